"""When each stage of a request began and ended, from the timings that its context has."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from daguerre.server.http.request_context import RequestContext


class Stage(NamedTuple):
    """A part of a request: seconds of the monotonic clock."""

    name: str
    begin: float
    end: float


def stages(context: RequestContext, ended: float) -> Iterator[Stage]:
    """The stages of an image request that ended at `ended`, in chronological order.

    The engine reports durations, so its stages are placed one after another, up to the arrival of
    the pixels. A request that joined a running job has the parts that it waited for; the others
    have no length. A request without an image has only the admission, which lasts until the job was
    accepted.
    """
    if context.params is None:
        return
    admitted = next(t for t in (context.accepted, context.file_started, ended) if t is not None)
    yield Stage("admission", context.started, admitted)
    if context.file_started is None:
        return
    *engine_stages, (_, file_ms) = context.stages_ms().items()
    if context.accepted is not None:  # else the image is from the store
        begin = context.file_started - sum(ms for _, ms in engine_stages) / 1000
        for name, ms in engine_stages:
            end = begin + ms / 1000
            yield Stage(name, max(begin, admitted), max(end, admitted))
            begin = end
    yield Stage("file", context.file_started, context.file_started + file_ms / 1000)
