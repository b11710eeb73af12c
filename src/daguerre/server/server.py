"""Running the server: its socket, its logging, and its end.

The socket is bound before anything is built, so a taken port is one line and not a traceback, and
port 0 is known by its true number. On SIGTERM or SIGINT new requests are refused with 503, work
that was accepted is finished, and `serve` returns; a second signal ends at once. A model that
cannot be loaded ends the server, too.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import math
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from types import FrameType
from typing import Any

import uvicorn

from daguerre.config import Settings
from daguerre.engine.interface import Engine
from daguerre.errors import InternalError, SettingsError
from daguerre.server.app import create_app
from daguerre.server.http import logs
from daguerre.server.http.connection_limiter import ConnectionLimiter, clamp_to_open_file_limit
from daguerre.server.http.h11_protocol import (
    MAX_HEAD_BYTES,
    READ_CHUNK_BYTES,
    HttpProtocol,
    drop_uvicorn_parse_warnings,
)
from daguerre.server.playground.one_time_login import OneTimeLogin
from daguerre.storage.api_keys import ResourceStore

# Longer than clients and proxies keep an idle connection, so that they close first and never send
# into a connection that is being closed here.
KEEP_ALIVE_S = 75
# Connections that wait in the kernel, and those that are taken at a time: each of the latter has a
# file before it is counted, so a crowd that comes at once must not be taken at once.
_BACKLOG, _ACCEPTED_AT_ONCE = 2048, 2
_NO_FILES = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)

logger = logging.getLogger(__name__)


class Server(uvicorn.Server):
    """Bound to its address as soon as it exists; `settings.port` is the true port."""

    def __init__(
        self,
        settings: Settings,
        engine: Engine,
        resources: ResourceStore,
        on_ready: Callable[[Settings], None] | None = None,
        one_time_login: OneTimeLogin | None = None,
    ) -> None:
        protocol = _protocol(settings)
        self.socket = listen(settings.host, settings.port)
        self.settings = replace(settings, port=self.socket.getsockname()[1])
        self._engine, self._on_ready = engine, on_ready
        self._is_asked_to_end = False
        self._loop: asyncio.AbstractEventLoop | None = None  # while connections are taken
        self._draining: asyncio.Task[None] | None = None
        logging.getLogger("uvicorn.error").addFilter(drop_uvicorn_parse_warnings)
        app = create_app(self.settings, engine, resources, one_time_login)
        super().__init__(
            uvicorn.Config(
                app,
                http=protocol,
                loop="asyncio",  # always, as HTTP is always read by h11
                ws="none",
                lifespan="on",
                log_config=None,
                access_log=False,
                proxy_headers=False,
                server_header=False,
                timeout_keep_alive=KEEP_ALIVE_S,
                backlog=_ACCEPTED_AT_ONCE,
                # Only in case: a request ends by its own deadline, and whoever does not read its
                # answer is dropped.
                timeout_graceful_shutdown=math.ceil(settings.request_timeout_s) + 5,
                h11_max_incomplete_event_size=MAX_HEAD_BYTES,
            )
        )

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        asyncio.get_running_loop().set_exception_handler(_on_loop_error)
        await super().startup(sockets)
        self.socket.listen(_BACKLOG)
        self._loop = asyncio.get_running_loop()
        if self.started and self._on_ready:
            self._on_ready(self.settings)

    async def on_tick(self, counter: int) -> bool:
        """Called ten times a second while connections are taken."""
        self._drain_if_asked()  # by a signal that came before
        if self._engine.stats().failure:
            self.should_exit = True
        return await super().on_tick(counter)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """The first signal drains, the second cuts off what is not done. Unlike uvicorn's, it keeps
        no signal to raise again at the end: draining was all it asked for."""
        if self._is_asked_to_end:
            self.force_exit = self.should_exit  # ends the waits of a shutdown under way
            self.should_exit = True
            self.config.timeout_graceful_shutdown = 0
        self._is_asked_to_end = True
        if self._loop is not None:
            with suppress(RuntimeError):  # it has ended
                # Before whatever is read from now on.
                self._loop.call_soon_threadsafe(self._drain_if_asked)

    def _drain_if_asked(self) -> None:
        if self._is_asked_to_end and self._draining is None:
            self._draining = asyncio.create_task(self._drain())

    async def _drain(self) -> None:
        grace_s = self.settings.graceful_shutdown_timeout_s
        try:
            async with asyncio.timeout(grace_s or self.settings.request_timeout_s):
                await self._engine.drain()
        except TimeoutError:
            if grace_s:
                self.config.timeout_graceful_shutdown = 0
            # Else each request that is left has its own deadline.
        finally:
            self.should_exit = True

    def run_to_the_end(self) -> None:
        try:
            self.run(sockets=[self.socket])
        finally:
            self.socket.close()


def serve(
    settings: Settings,
    engine: Engine,
    resources: ResourceStore,
    on_ready: Callable[[Settings], None] | None = None,
    on_bound: Callable[[Settings], None] | None = None,
    one_time_login: OneTimeLogin | None = None,
) -> None:
    """Blocks until a signal ends it. Raises `SettingsError` where the address cannot be had, and
    `InternalError` where the models cannot be loaded.

    Both are called with the true port: `on_bound` once the address is ours and before anything is
    answered, `on_ready` once connections are answered; the model may be loading still, as /readyz
    tells.
    """
    server = Server(settings, engine, resources, on_ready, one_time_login)
    if on_bound:
        try:
            on_bound(server.settings)
        except BaseException:
            server.socket.close()
            raise
    logs.configure(settings.log_level, settings.log_format)
    with _signals_go_to(server):
        server.run_to_the_end()
    if failure := engine.stats().failure:
        raise InternalError(failure)


def listen(host: str, port: int) -> socket.socket:
    try:
        family, _, _, _, address = socket.getaddrinfo(
            host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        is_dual = host == "::" and socket.has_dualstack_ipv6()
        return socket.create_server(address[:2], family=family, dualstack_ipv6=is_dual)
    except (OSError, UnicodeError) as error:  # the latter for a name that is none
        reason = getattr(error, "strerror", None) or error
        raise SettingsError(
            f"cannot listen on {host}, port {port}: {reason};"
            " choose another with --host and --port (0 takes a free port)"
        ) from None


def _protocol(settings: Settings) -> type[HttpProtocol]:
    # uvicorn makes the protocols itself and passes no settings of ours.
    own = {
        "limiter": ConnectionLimiter(
            clamp_to_open_file_limit(settings.max_connections, settings.workers),
            settings.max_connections_per_ip,
        ),
        "malformed_request_log": logs.ThrottledLogger(
            logger, "%d malformed HTTP requests rejected"
        ),
        "read_buffer": memoryview(bytearray(READ_CHUNK_BYTES)),
        "head_timeout_s": settings.request_read_timeout_s,
        "response_write_timeout_s": settings.response_write_timeout_s,
    }
    return type("HttpProtocol", (HttpProtocol,), own)


def _on_loop_error(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """Files may be short for reasons outside the server: that is a line, and no traceback."""
    error = context.get("exception")
    if isinstance(error, OSError) and error.errno in _NO_FILES:
        logger.warning("no connection can be taken for a moment: %s", error.strerror)
    else:
        loop.default_exception_handler(context)


@contextmanager
def _signals_go_to(server: Server) -> Iterator[None]:
    """Also those that come before uvicorn takes them, and after it has given them back."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    numbers = (signal.SIGINT, signal.SIGTERM)
    before = {number: signal.signal(number, server.handle_exit) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
