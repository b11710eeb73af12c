"""OpenTelemetry traces of requests. The library is imported by `open_tracing`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from daguerre.errors import SettingsError

if TYPE_CHECKING:
    from daguerre.server.tracing.spans import Tracing


def open_tracing() -> Tracing:
    """Tracing as the `OTEL_` variables say.

    Raises `SettingsError` without the extra, or for a bad variable.
    """
    try:
        from daguerre.server.tracing.otlp import open_provider
        from daguerre.server.tracing.spans import Tracing
    except ImportError as error:
        raise SettingsError(
            f"tracing is on, but OpenTelemetry is not installed ({error}); run: pip install"
            " 'daguerre[otel]', or switch tracing off"
        ) from None
    return Tracing(open_provider())
