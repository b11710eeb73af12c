"""The lists of models."""

from __future__ import annotations

import pytest
from conftest import MODEL, RunningServer, error_of

from daguerre.params import ModelInfo

CARD = {
    "id": MODEL,
    "object": "model",
    "created": 1_700_000_000,
    "owned_by": "daguerre",
    "max_prompt_tokens": None,
    "extra_sizes": [],
    "drawn_sizes": {},
}


def bearer(key: str) -> dict[str, str]:
    return {"authorization": f"Bearer {key}"}


@pytest.mark.parametrize("prefix", ["", "/v1"])
def test_openai_list_and_object(server: RunningServer, prefix: str) -> None:
    """The model of the key, in the list and alone, with and without /v1."""
    listed = server.client.get(f"{prefix}/models", headers=bearer(server.key))
    assert listed.json() == {"object": "list", "data": [CARD]}
    one = server.client.get(f"{prefix}/models/{MODEL}", headers=bearer(server.key))
    assert one.json() == CARD


@pytest.mark.parametrize("path", ["/v1/models", f"/v1/models/{MODEL}"])
def test_needs_a_key(server: RunningServer, path: str) -> None:
    """A request without a key gets 401."""
    assert error_of(server.client.get(path))["code"] == 401


@pytest.mark.parametrize("model", ["other", "a/b", "stable-image-ultra/x"])
def test_other_model(server: RunningServer, model: str) -> None:
    """A model of another key is 403, whether it exists or not."""
    response = server.client.get(f"/v1/models/{model}", headers=bearer(server.key))
    assert error_of(response)["code"] == 403


def test_model_that_is_not_served(server: RunningServer) -> None:
    """A key for a model that is not served gets an empty list and 404."""
    _, key = server.resources.create("org/gone", "NOT_SERVED")
    assert server.client.get("/v1/models", headers=bearer(key)).json()["data"] == []
    assert error_of(server.client.get("/v1/models/org/gone", headers=bearer(key)))["code"] == 404
    server.resources.destroy("NOT_SERVED")


@pytest.mark.parametrize("headers", [{}, bearer("foreign"), {"authorization": "Basic x"}])
def test_available_models(server: RunningServer, headers: dict[str, str]) -> None:
    """Needs no key, ignores a foreign one, and has the managed service's format."""
    response = server.client.get("/available-models", headers=headers)
    assert response.status_code == 200
    assert response.json() == [{"model_id": MODEL, "type": ["text-to-image"], "regions": ["local"]}]


def test_extra_sizes(server: RunningServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """They are accepted for their model, listed in its card and in the error for another size."""
    infos = (
        ModelInfo(MODEL, "0" * 64, created=1, extra_sizes=("512x512",)),
        ModelInfo("other", "0" * 64, created=1, extra_sizes=("256x256",)),
    )
    monkeypatch.setattr(server.engine, "model_infos", infos)
    card = server.client.get(f"/v1/models/{MODEL}", headers=bearer(server.key)).json()
    assert card["extra_sizes"] == ["512x512"]
    assert server.generate(size="512x512").status_code == 200
    assert (server.engine.params[-1].width, server.engine.params[-1].height) == (512, 512)
    error = error_of(server.generate(size="256x256"))
    assert error["param"] == "size" and error["message"].count("512x512") == 1
    # The sizes of a model of another key stay unknown.
    assert "512x512" not in error_of(server.generate(model="other", size="1x1"))["message"]
    assert "256x256" not in error_of(server.generate(model="other", size="1x1"))["message"]
