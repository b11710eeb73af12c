"""`Replica`: runs the engine of one replica for the servers, without Ray.

The replica encodes the file, because the file is smaller than the pixels. Steps without a preview
are not sent, unless a client watches the progress.
"""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from dataclasses import replace

import numpy as np

from daguerre.engine.interface import Engine
from daguerre.engine.ray.messages import (
    HEARTBEAT_S,
    JobRequest,
    PackedReport,
    Report,
    ServerState,
    StreamItem,
    pack,
)
from daguerre.errors import DaguerreError, InternalError
from daguerre.imagefile.encoding import encode
from daguerre.params import (
    Event,
    GeneratedImage,
    JobFailed,
    JobQueued,
    JobSucceeded,
    StepCompleted,
)

# Seconds for which the last message of a server counts.
SERVER_TTL_S = 5.0
_START_POLL_S = 0.05
_NO_PIXELS = np.empty((0, 0, 3), np.uint8)


class Replica:
    """`engine` runs up to `capacity` jobs at a time. All methods run in one event loop."""

    def __init__(
        self,
        engine: Engine,
        capacity: int,
        name: str,
        node: str = "",
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._engine, self._capacity = engine, capacity
        self._name, self._node, self._clock = name, node, clock
        self._sequence = itertools.count(1)
        self._servers: dict[str, tuple[float, ServerState]] = {}

    async def start(self) -> None:
        """Returns when the engine is ready. Raises `InternalError` if it never will be."""
        await self._engine.start()
        while not (stats := self._engine.stats()).is_ready:
            if stats.failure:
                raise InternalError(stats.failure)
            await asyncio.sleep(_START_POLL_S)

    async def stop(self) -> None:
        await self._engine.stop()

    def check_health(self) -> None:
        """Raises `InternalError` if the engine has failed for good."""
        if failure := self._engine.stats().failure:
            raise InternalError(failure)

    def report(self) -> Report:
        # Certificates are many, and only of use where they were made.
        stats = replace(self._engine.stats(), certificates={})
        return Report(
            self._name,
            self._node,
            self._engine.models(),
            stats,
            self._capacity,
            next(self._sequence),
            self._current_servers(),
        )

    def exchange(self, server: str, state: ServerState) -> PackedReport:
        """Receives the state of a server and returns that of the replica."""
        self._record(server, state)
        return pack(self.report())

    def server_names(self) -> list[str]:
        """Servers that have sent a message in the last seconds."""
        return list(self._current_servers())

    def num_queued(self) -> int:
        """Jobs of all servers that have not ended, wherever they are."""
        return sum(sum(state.num_jobs.values()) for state in self._current_servers().values())

    async def generate(self, request: JobRequest) -> AsyncGenerator[StreamItem, None]:
        """See `StreamItem`. Closing the generator cancels the job before its next forward."""
        self._record(request.server, request.state)
        yield (pack(self.report()),)
        last_step: tuple[StepCompleted, ...] = ()
        is_watched = request.context.wants_progress
        # The server enforces the deadline and reports the positions.
        context = replace(request.context, timeout_s=None, wants_progress=False)
        try:
            async with (
                aclosing(self._engine.generate(request.params, context)) as events,
                aclosing(_with_heartbeats(events)) as events_and_heartbeats,
            ):
                async for event in events_and_heartbeats:
                    match event:
                        case None:
                            yield ()
                        case JobQueued():
                            pass
                        case StepCompleted(preview=None) if not is_watched:
                            last_step = (event,)
                        case StepCompleted():
                            yield (event,)
                        case JobFailed():
                            yield (pack(self.report()), event)
                            return
                        case JobSucceeded(image=image):
                            file = await asyncio.to_thread(_encode, image, request)
                            yield (*last_step, pack(self.report()), JobSucceeded(file))
                            return
        except DaguerreError as error:  # the engine has refused the job
            yield (pack(self.report()), JobFailed(error))

    def _record(self, server: str, state: ServerState) -> None:
        _, known = self._servers.get(server, (0.0, ServerState()))
        newest = max(known, state, key=lambda each: each.sequence)
        self._servers[server] = self._clock(), newest

    def _current_servers(self) -> dict[str, ServerState]:
        since_s = self._clock() - SERVER_TTL_S
        self._servers = {name: item for name, item in self._servers.items() if item[0] > since_s}
        return {name: state for name, (_, state) in self._servers.items()}


async def _with_heartbeats(
    events: AsyncGenerator[Event, None],
) -> AsyncGenerator[Event | None, None]:
    """The events, and None after each `HEARTBEAT_S` without one."""
    event: Event | None
    while True:
        following = asyncio.ensure_future(anext(events, None))
        try:
            while not (await asyncio.wait((following,), timeout=HEARTBEAT_S))[0]:
                yield None
            event = following.result()
        finally:
            following.cancel()
            await asyncio.gather(following, return_exceptions=True)
        if event is None:
            return
        yield event


def _encode(image: GeneratedImage, request: JobRequest) -> GeneratedImage:
    file = encode(image, with_prompt=request.embed_prompt)
    return replace(image, pixels=_NO_PIXELS, file=file)
