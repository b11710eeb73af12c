"""GET /healthz and /readyz, for load balancers and supervisors; without authentication."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from daguerre.engine.interface import Engine
from daguerre.errors import NotReadyError, UnavailableError


class Health:
    """Liveness and readiness of the server."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    async def alive(self, request: Request) -> Response:
        return JSONResponse({"status": "alive"})

    async def ready(self, request: Request) -> Response:
        stats = self._engine.stats()
        if stats.failure:
            raise UnavailableError("the model could not be loaded; see the server's log")
        if stats.is_draining:
            raise NotReadyError("the server is shutting down and accepts no new requests")
        if not stats.is_ready:
            raise NotReadyError("the model is still loading")
        return JSONResponse({"status": "ready"})
