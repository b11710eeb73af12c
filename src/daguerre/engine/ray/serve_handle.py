"""`ServeHandle`: a `ReplicaHandle` through Ray Serve."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Mapping
from contextlib import suppress
from typing import Any

from ray import serve
from ray.exceptions import RayError
from ray.serve.exceptions import RayServeException

from daguerre.engine.ray import routed_reports
from daguerre.engine.ray.deployment import DEPLOYMENT
from daguerre.engine.ray.handle import ReplicaLostError
from daguerre.engine.ray.messages import JobRequest, PackedReport, ServerState, StreamItem


class ServeHandle:
    """The replicas of one application."""

    def __init__(self, application: str) -> None:
        handle = serve.get_deployment_handle(DEPLOYMENT, application)
        self.application = application
        self._exchange = handle.options(method_name="exchange")
        self._generate = handle.options(method_name="generate", stream=True)

    def reports(self) -> Mapping[str, PackedReport | None] | None:
        """See `ReplicaHandle.reports`."""
        return routed_reports.BY_APPLICATION.get(self.application)

    async def exchange(self, server: str, state: ServerState) -> PackedReport:
        """See `ReplicaHandle.exchange`."""
        response = self._exchange.remote(server, state)
        try:
            report: PackedReport = await response
        except (RayError, RayServeException) as error:
            raise ReplicaLostError(type(error).__name__) from error
        except asyncio.CancelledError:
            _cancel_later(response)
            raise
        return report

    async def generate(self, request: JobRequest) -> AsyncGenerator[StreamItem, None]:
        """See `ReplicaHandle.generate`."""
        response = self._generate.remote(request)
        has_ended = False
        try:
            async for item in response:
                yield item
            has_ended = True
        except (RayError, RayServeException) as error:
            raise ReplicaLostError(type(error).__name__) from error
        finally:
            if not has_ended:
                _cancel_later(response)


def _cancel_later(response: Any) -> None:
    """Cancels the call in a thread, because that waits for the router.

    Serve's iterator does not do so when it is cancelled itself.
    """

    def cancel() -> None:
        with suppress(Exception):  # the replica is gone, or Ray has been shut down
            response.cancel()

    asyncio.get_running_loop().run_in_executor(None, cancel)
