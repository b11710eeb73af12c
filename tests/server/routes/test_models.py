"""The two lists of models."""

from __future__ import annotations

import pytest
from conftest import MODEL, RunningServer, error_of

CARD = {"id": MODEL, "object": "model", "created": 1_700_000_000, "owned_by": "daguerre"}


def bearer(key: str) -> dict[str, str]:
    return {"authorization": f"Bearer {key}"}


@pytest.mark.parametrize("prefix", ["", "/v1"])
def test_openai_list_and_object(server: RunningServer, prefix: str) -> None:
    """The key's model, as a list and alone, with and without /v1."""
    listed = server.client.get(f"{prefix}/models", headers=bearer(server.key))
    assert listed.json() == {"object": "list", "data": [CARD]}
    one = server.client.get(f"{prefix}/models/{MODEL}", headers=bearer(server.key))
    assert one.json() == CARD


@pytest.mark.parametrize("path", ["/v1/models", f"/v1/models/{MODEL}"])
def test_key_is_needed(server: RunningServer, path: str) -> None:
    """Without a key: 401, as everywhere."""
    assert error_of(server.client.get(path))["code"] == 401


@pytest.mark.parametrize("model", ["other", "a/b", "stable-image-ultra/", ""])
def test_other_model(server: RunningServer, model: str) -> None:
    """A model that the key does not open is 403, whether it exists or not."""
    response = server.client.get(f"/v1/models/{model}", headers=bearer(server.key))
    assert error_of(response)["code"] == 403


def test_model_that_is_not_served(server: RunningServer) -> None:
    """A resource for a model that is not here lists nothing, and has no card."""
    _, key = server.resources.create("org/gone", "NOT_HERE")
    assert server.client.get("/v1/models", headers=bearer(key)).json()["data"] == []
    assert error_of(server.client.get("/v1/models/org/gone", headers=bearer(key)))["code"] == 404
    server.resources.destroy("NOT_HERE")


@pytest.mark.parametrize("headers", [{}, bearer("foreign"), {"authorization": "Basic x"}])
def test_available_models(server: RunningServer, headers: dict[str, str]) -> None:
    """Open to anyone, in the managed service's shape; a foreign key is not looked at."""
    response = server.client.get("/available-models", headers=headers)
    assert response.status_code == 200
    assert response.json() == [{"model_id": MODEL, "type": ["text-to-image"], "regions": ["local"]}]
