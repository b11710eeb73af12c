"""Schemathesis against the server: what its own document says is tried, and what it does not.

Bounds, examples, wrong types, missing fields, other methods and missing keys are made from the
document by a program that knows nothing else of the server; `test_document_over_http` holds that
this document is the one that is served.
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
    """The document with the one model that the key opens, so that requests are not all 403."""
    contract = document("http://127.0.0.1:8000")
    contract["components"]["schemas"]["ImageGenerationRequest"]["properties"]["model"] = {
        "const": MODEL
    }
    # No drawn signature is good; tests/server/test_files.py has those that are.
    del contract["paths"]["/v1/images/files/{name}"]
    # A time that is too short for a busy machine is a 504, and no fault; what is sound
    # and what is not is in tests/server/test_timeout.py.
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
    """Whether the body breaks a rule between fields, which the document tells in words only."""
    if not isinstance(body, dict):
        return False
    ratio = body.get("aspect_ratio")
    is_other_ratio = ratio is not None and RATIO_OF_SIZE.get(str(body.get("size")), ratio) != ratio
    is_streamed = body.get("stream") is True
    is_link = is_streamed and body.get("response_format") == "url"
    return is_other_ratio or is_link or bool(body.get("partial_images") and not is_streamed)


def excluded(body: object, headers: Iterable[str]) -> list[CheckFunction]:
    """The checks whose answer depends on what the document tells in words only, on how fast the
    machine is, or on requests before; headers that a server does not know are none of its
    business."""
    sent = {name.lower() for name in headers}
    is_fickle = contradicts(body) or sent & {"idempotency-key", "x-request-timeout"}
    checks: list[CheckFunction] = [positive_data_acceptance] if is_fickle else []
    is_free = isinstance(body, dict) and body.get("allow_ignored_params") is True
    if is_free or sent - KNOWN_HEADERS:
        checks.append(negative_data_rejection)
    return checks


@pytest.mark.timeout(600)  # hundreds of images, and a machine may have other work
@API.parametrize()
@settings(
    max_examples=25,
    deadline=None,
    # What the program thinks of an answer is not ours: a new draw must not fail a good change.
    derandomize=True,
    database=None,
    suppress_health_check=list(HealthCheck),
)
def test_conformance(case: schemathesis.Case[Any], server: RunningServer) -> None:
    """Answers are as the document has them; the sound is taken, the unsound refused; no 5xx."""
    response = case.call_and_validate(
        base_url=server.settings.public_base_url(),
        headers={"Authorization": f"Bearer {server.key}"},
        excluded_checks=excluded(case.body, case.headers or ()),
    )
    assert response.status_code == 400 or not contradicts(case.body)
