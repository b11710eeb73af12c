"""GET /healthz and /readyz, for load balancers and supervisors; without authentication."""

from __future__ import annotations

from collections.abc import Callable

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from daguerre.engine.interface import Engine, check_ready
from daguerre.errors import UnavailableError
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
        failures = sorted(stats.load_failures.items())
        models = {info.id for info in self._engine.models()}
        has_no_model = bool(models) and models <= {*stats.load_failures} and not stats.is_ready
        is_closing = stats.is_draining or self._is_shutting_down()
        check_ready(stats.failure, is_closing, stats.is_ready or has_no_model, stats.problem)
        if has_no_model:
            reasons = ", ".join(dict.fromkeys(reason for _, reason in failures))
            raise UnavailableError(f"no model is served: {reasons}")
        return JSONResponse(
            {
                "status": "ready",
                "worker_restarts": stats.num_restarts,
                "unavailable_models": [{"id": one, "reason": reason} for one, reason in failures],
                "outages": self._outages.recent(),
            }
        )
