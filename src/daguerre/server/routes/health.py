"""GET /healthz and /readyz, for load balancers and supervisors; without authentication."""

from __future__ import annotations

from collections.abc import Callable

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from daguerre.engine.interface import Engine, check_ready


class Health:
    """Liveness and readiness of the server, which is not ready while it shuts down."""

    def __init__(self, engine: Engine, is_shutting_down: Callable[[], bool]) -> None:
        self._engine, self._is_shutting_down = engine, is_shutting_down

    async def alive(self, request: Request) -> Response:
        return JSONResponse({"status": "alive"})

    async def ready(self, request: Request) -> Response:
        stats = self._engine.stats()
        check_ready(stats.failure, stats.is_draining or self._is_shutting_down(), stats.is_ready)
        failures = sorted(stats.load_failures.items())
        return JSONResponse(
            {
                "status": "ready",
                "worker_restarts": stats.num_restarts,
                "unavailable_models": [{"id": one, "reason": reason} for one, reason in failures],
            }
        )
