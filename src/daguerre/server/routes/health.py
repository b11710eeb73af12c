"""GET /healthz and /readyz, for load balancers and supervisors; without authentication."""

from __future__ import annotations

from collections.abc import Callable

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from daguerre.engine.interface import Engine, check_ready
from daguerre.server.http.errors import OutageLog


class Health:
    """Liveness and readiness of the server, which is not ready while it shuts down."""

    def __init__(
        self, engine: Engine, is_shutting_down: Callable[[], bool], outages: OutageLog
    ) -> None:
        self._engine, self._is_shutting_down, self._outages = engine, is_shutting_down, outages

    async def alive(self, request: Request) -> Response:
        return JSONResponse({"status": "alive"})

    async def ready(self, request: Request) -> Response:
        stats = self._engine.stats()
        is_closing = stats.is_draining or self._is_shutting_down()
        check_ready(stats.failure, is_closing, stats.is_ready, stats.problem)
        failures = sorted(stats.load_failures.items())
        return JSONResponse(
            {
                "status": "ready",
                "worker_restarts": stats.num_restarts,
                "unavailable_models": [{"id": one, "reason": reason} for one, reason in failures],
                "outages": self._outages.recent(),
            }
        )
