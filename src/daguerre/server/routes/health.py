"""Whether the server is alive, and whether it can take work.

For load balancers and supervisors; open to anyone, and cheap enough to be asked every second.
"""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from daguerre.engine.interface import Engine
from daguerre.errors import NotReadyError, UnavailableError


class Health:
    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    async def alive(self, request: Request) -> Response:
        return JSONResponse({"status": "alive"})

    async def ready(self, request: Request) -> Response:
        stats = self._engine.stats()
        if stats.failure:
            raise UnavailableError("the model could not be loaded; the server's log says why")
        if stats.is_draining:
            raise NotReadyError("the server is draining and takes no new requests")
        if not stats.is_ready:
            raise NotReadyError("the model is still loading")
        return JSONResponse({"status": "ready"})
