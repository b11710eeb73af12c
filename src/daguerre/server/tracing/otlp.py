"""The exporter: sends spans by OTLP over HTTP, as the standard `OTEL_` variables say.

https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables
"""

from __future__ import annotations

import os
import re

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import SERVICE_NAME, SERVICE_VERSION, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor

from daguerre.errors import SettingsError
from daguerre.version import __version__

_PROTOCOLS = ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")
_ENDPOINTS = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
_PROTOCOL = "http/protobuf"
_URL = re.compile(r"https?://[^/\s]\S*", re.IGNORECASE)


def open_provider() -> TracerProvider:
    """A provider with a thread that sends the spans. Raises `SettingsError` for a bad variable."""
    name, value = _first_set(_PROTOCOLS)
    if value not in ("", _PROTOCOL):
        raise SettingsError(
            f"{name} is {value!r}; it must be {_PROTOCOL}, usually at port 4318 of a collector"
        )
    name, value = _first_set(_ENDPOINTS)
    if value and not _URL.fullmatch(value):
        raise SettingsError(
            f"{name} is {value!r}; it must be an address that begins with http:// or https://,"
            " such as http://localhost:4318"
        )
    provider = TracerProvider(resource=_resource(), shutdown_on_exit=False)
    try:
        provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    except (ValueError, RuntimeError) as error:
        raise SettingsError(
            f"OpenTelemetry rejects a variable: {error}; check the variables OTEL_BSP_... and"
            " OTEL_EXPORTER_OTLP_..."
        ) from None
    return provider


def _first_set(names: tuple[str, str]) -> tuple[str, str]:
    """The variable that counts and its value, which is empty if none is set."""
    name = next((name for name in names if os.environ.get(name)), names[0])
    return name, os.environ.get(name, "")


def _resource() -> Resource:
    """The resource that the variables describe; its default name is daguerre."""
    resource = Resource.create({SERVICE_VERSION: __version__})
    if str(resource.attributes[SERVICE_NAME]).startswith("unknown_service"):
        resource = resource.merge(Resource({SERVICE_NAME: "daguerre"}))
    return resource
