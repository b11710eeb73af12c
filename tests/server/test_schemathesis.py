"""Schemathesis: generated requests, valid and invalid, checked against the OpenAPI document.

`test_document_over_http` checks that the server serves the same document.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest
import schemathesis
from conftest import MODEL, RunningServer
from hypothesis import HealthCheck, settings
from schemathesis.checks import CheckFunction
from schemathesis.config import SchemathesisConfig
from schemathesis.specs.openapi.checks import negative_data_rejection, positive_data_acceptance

from daguerre.protocol.request import RATIO_OF_SIZE
from daguerre.server.routes.openapi import document

pytestmark = pytest.mark.slow


def narrowed() -> dict[str, Any]:
    """The document with only the model of the key, because all others get 403."""
    contract = document("http://127.0.0.1:8000")
    contract["components"]["schemas"]["ImageGenerationRequest"]["properties"]["model"] = {
        "const": MODEL
    }
    # Generated signatures are never valid; routes/test_files.py tests valid ones.
    del contract["paths"]["/v1/images/files/{name}"]
    # A short timeout is a 504 on a busy machine; http/test_deadline.py tests the header.
    contract["paths"]["/v1/images/generations"]["post"]["parameters"].pop()
    parameters = contract["paths"]["/v1/models/{id}"]["get"]["parameters"]
    parameters[0]["schema"] = {"const": MODEL}
    return contract


KNOWN_HEADERS = {"idempotency-key", "x-request-timeout", "authorization", "content-type"}
API = schemathesis.openapi.from_dict(
    narrowed(),
    config=SchemathesisConfig.from_dict(
        {
            "generation": {"with-security-parameters": False},
            "checks": {"positive_data_acceptance": {"expected-statuses": [200]}},
        }
    ),
)


def contradicts(body: object) -> bool:
    """Whether fields of the body contradict each other, which the schema does not express."""
    if not isinstance(body, dict):
        return False
    ratio = body.get("aspect_ratio")
    is_other_ratio = ratio is not None and RATIO_OF_SIZE.get(str(body.get("size")), ratio) != ratio
    is_streamed = body.get("stream") is True
    is_link = is_streamed and body.get("response_format") == "url"
    return is_other_ratio or is_link or bool(body.get("partial_images") and not is_streamed)


def excluded(body: object, headers: Iterable[str]) -> list[CheckFunction]:
    """Checks whose result depends on contradicting fields, timing, earlier requests or unknown
    headers."""
    sent = {name.lower() for name in headers}
    is_undecided = contradicts(body) or sent & {"idempotency-key", "x-request-timeout"}
    checks: list[CheckFunction] = [positive_data_acceptance] if is_undecided else []
    is_free = isinstance(body, dict) and body.get("allow_ignored_params") is True
    if is_free or sent - KNOWN_HEADERS:
        checks.append(negative_data_rejection)
    return checks


@pytest.mark.timeout(600)  # hundreds of images
@API.parametrize()
@settings(
    max_examples=25,
    deadline=None,
    # New random requests must not fail an unrelated change.
    derandomize=True,
    database=None,
    suppress_health_check=list(HealthCheck),
)
def test_conformance(case: schemathesis.Case[Any], server: RunningServer) -> None:
    """Responses match the document: valid requests succeed, invalid ones fail without a 5xx."""
    response = case.call_and_validate(
        base_url=server.settings.public_base_url(),
        headers={"Authorization": f"Bearer {server.key}"},
        excluded_checks=excluded(case.body, case.headers or ()),
    )
    assert response.status_code == 400 or not contradicts(case.body)
