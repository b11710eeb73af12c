"""Lists of models: OpenAI's, for the model of a key, and the managed service's, for any client."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from daguerre.engine.interface import Engine, find_model, served_models
from daguerre.params import ModelInfo
from daguerre.server.access.auth import Authenticator, check_access


class Models:
    """Endpoints of the model lists."""

    def __init__(self, engine: Engine, authenticator: Authenticator) -> None:
        self._engine, self._authenticator = engine, authenticator

    async def list(self, request: Request) -> Response:
        resource = await self._authenticator.authenticate(request)
        data = [_card(info) for info in served_models(self._engine) if info.id == resource.model]
        return JSONResponse({"object": "list", "data": data})

    async def show(self, request: Request) -> Response:
        model = request.path_params["model_id"]
        check_access(await self._authenticator.authenticate(request), model)
        return JSONResponse(_card(find_model(model, served_models(self._engine))))

    async def list_available(self, request: Request) -> Response:
        """Needs no key and ignores one, which may belong to another server."""
        return JSONResponse(
            [
                {"model_id": info.id, "type": ["text-to-image"], "regions": ["local"]}
                for info in served_models(self._engine)
            ]
        )


def _card(info: ModelInfo) -> dict[str, object]:
    return {
        "id": info.id,
        "object": "model",
        "created": info.created,
        "owned_by": "daguerre",
        "max_prompt_tokens": info.max_prompt_tokens,
        "extra_sizes": info.extra_sizes,
        "drawn_sizes": info.drawn_sizes,
    }
