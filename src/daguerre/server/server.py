"""The server process: socket, logging, signals and shutdown.

The socket is bound before the app is built, so an error about a taken port is one line, and port 0
is replaced by the actual port. SIGTERM and SIGINT start a graceful shutdown: /readyz answers 503;
after `shutdown_delay_s` (not for SIGINT) new requests get 503, too, and accepted ones finish. A
second signal stops at once. The server also stops if a model cannot be loaded.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import math
import signal
import socket
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import replace
from types import FrameType
from typing import Any

import uvicorn

from daguerre.config import Settings
from daguerre.engine.interface import Engine
from daguerre.errors import InternalError, SettingsError
from daguerre.server.agreed_engine import AgreedEngine
from daguerre.server.app import create_app
from daguerre.server.http import logs
from daguerre.server.http.connection_limiter import ConnectionLimiter, clamp_to_open_file_limit
from daguerre.server.http.h11_protocol import READ_CHUNK_BYTES, HttpProtocol
from daguerre.server.http.http_stats import HttpStats
from daguerre.server.http.listener import Listener, bind_socket
from daguerre.server.http.parse_queue import ParseQueue
from daguerre.server.playground.one_time_login import OneTimeLogin
from daguerre.storage.resources import ResourceStore
from daguerre.version import __version__

# Longer than the idle timeout of clients and proxies, so that they close first. Otherwise they
# could send a request into a closing connection.
KEEP_ALIVE_S = 75
# From the second signal to the end of the process.
_FORCED_EXIT_S = 1.0
_WAKE_UP_S = 0.1
_OUT_OF_FILES = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)

logger = logging.getLogger(__name__)


class Server(uvicorn.Server):
    """A server whose socket is bound; `settings.port` is the actual port.

    `on_ready` is called with these settings when connections are accepted; models may still be
    loading. `reload` replaces the catalog; it logs what it does, and raises `SettingsError`. Raises
    `SettingsError` if the address is not available.
    """

    def __init__(
        self,
        settings: Settings,
        engine: Engine,
        resources: ResourceStore,
        on_ready: Callable[[Settings], None] | None = None,
        one_time_login: OneTimeLogin | None = None,
        reload: Callable[[], Awaitable[object]] | None = None,
    ) -> None:
        logs.configure(settings.log_level, settings.log_format)
        self._protocol = _protocol(settings)
        self.socket = bind_socket(settings.host, settings.port)
        self.settings = replace(settings, port=self.socket.getsockname()[1])
        self._on_ready, self._reload = on_ready, reload
        self._must_reload = False
        self._reloading: set[asyncio.Task[None]] = set()
        self._started_s, self._was_ready, self._failure = time.monotonic(), False, ""
        self._exit_signal: signal.Signals | None = None
        self._loop: asyncio.AbstractEventLoop | None = None  # while connections are accepted
        self._draining: asyncio.Task[None] | None = None
        self._listener: Listener | None = None
        try:
            app = create_app(
                self.settings,
                engine,
                resources,
                one_time_login,
                is_shutting_down=lambda: self._exit_signal is not None,
                http_stats=self._http_stats,
            )
        except SettingsError:
            self.socket.close()
            raise
        self.engine: AgreedEngine = app.state.engine
        super().__init__(
            uvicorn.Config(
                app,
                http=self._protocol,
                loop="asyncio",  # the same everywhere, like h11
                ws="none",
                lifespan="on",
                log_config=None,
                access_log=False,
                proxy_headers=False,
                server_header=False,
                timeout_keep_alive=KEEP_ALIVE_S,
                # A safeguard, because deadlines and the write timeout end every request before.
                timeout_graceful_shutdown=math.ceil(settings.request_timeout_s) + 5,
            )
        )

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        asyncio.get_running_loop().set_exception_handler(_on_loop_error)
        await super().startup([])
        self._listener = Listener(self.socket, self._new_protocol)
        self._loop = asyncio.get_running_loop()
        settings = self.settings
        where = f"{settings.host}:{settings.port}"
        details = f"workers={settings.workers}, data directory={settings.data_dir()}"
        logger.info("daguerre %s listens on %s (%s)", __version__, where, details)
        if self.started and self._on_ready:
            self._on_ready(self.settings)

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Installs no handlers: `serve_forever` does, for a longer time."""
        yield

    async def on_tick(self, counter: int) -> bool:
        """Called ten times a second while connections are accepted."""
        self._drain_if_requested()  # by a signal before the event loop started
        self._reload_if_requested()
        stats = self.engine.stats()
        if stats.is_ready and not self._was_ready:
            self._was_ready = True
            logger.info("ready after %.1f s", time.monotonic() - self._started_s)
        if stats.failure:  # kept, because `stop` resets the engine
            self._failure, self.should_exit = stats.failure, True
        return await super().on_tick(counter)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """The first signal drains the server, the second cancels all requests."""
        if self._exit_signal:
            self.force_exit = self.should_exit  # ends a shutdown in progress
            self.should_exit = True
            self.config.timeout_graceful_shutdown = 0
        self._exit_signal = self._exit_signal or signal.Signals(sig)
        if self._loop is not None:
            with suppress(RuntimeError):  # the loop is closed
                # Drains before the loop reads the next request.
                self._loop.call_soon_threadsafe(self._drain_if_requested)

    def _on_signal(self, sig: int, frame: FrameType | None) -> None:
        """Like `handle_exit`, but a second signal ends the process even if something hangs."""
        if self._exit_signal:
            # The default action of SIGALRM needs no thread of this process.
            signal.signal(signal.SIGALRM, signal.SIG_DFL)
            signal.setitimer(signal.ITIMER_REAL, _FORCED_EXIT_S)
        self.handle_exit(sig, frame)

    def _on_hangup(self, sig: int, frame: FrameType | None) -> None:
        """Has the next tick reload the catalog."""
        self._must_reload = True

    def _reload_if_requested(self) -> None:
        is_busy = self._reloading or self._draining
        if self._must_reload and self._reload and not is_busy:
            self._must_reload = False
            task = asyncio.create_task(_reload(self._reload))
            self._reloading.add(task)
            task.add_done_callback(self._reloading.discard)

    def _drain_if_requested(self) -> None:
        if self._exit_signal and self._draining is None:
            self._draining = asyncio.create_task(self._drain(self._exit_signal))

    async def _drain(self, exit_signal: signal.Signals) -> None:
        # At a terminal there is no load balancer to wait for.
        delay_s = self.settings.shutdown_delay_s if exit_signal == signal.SIGTERM else 0.0
        if delay_s:
            logger.info("%s received: serving for %g more seconds", exit_signal.name, delay_s)
            await asyncio.sleep(delay_s)
        stats = self.engine.stats()
        logger.info(
            "%s received: rejecting new requests, waiting for %d jobs",
            exit_signal.name,
            stats.num_queued + stats.num_running,
        )
        grace_s = self.settings.graceful_shutdown_timeout_s
        try:
            async with asyncio.timeout(grace_s or self.settings.request_timeout_s):
                await self.engine.drain()
        except TimeoutError:
            if grace_s:
                self.config.timeout_graceful_shutdown = 0
            # Without a timeout, each remaining request has its own deadline.
        finally:
            self.should_exit = True

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        tasks = self.server_state.tasks
        if tasks and self.config.timeout_graceful_shutdown == 0:
            logger.warning("cancelling %d unfinished requests", len(tasks))
        if self._listener:
            self._listener.close()
        waking = asyncio.create_task(_wake_up())
        try:
            await super().shutdown(sockets)
        finally:
            waking.cancel()

    def _http_stats(self) -> HttpStats:
        limiter, malformed = self._protocol.limiter, self._protocol.malformed_log.num_events
        num_requests = len(self.server_state.tasks)
        return HttpStats(limiter.num_open, num_requests, limiter.num_rejected, malformed)

    def _new_protocol(self) -> HttpProtocol:
        return self._protocol(self.config, self.server_state, self.lifespan.state)

    def serve_forever(self) -> None:
        """Serves until a signal, then closes the socket.

        Raises `InternalError` if a model cannot be loaded.
        """
        with closing(self.socket), _handle_signals(self._on_signal, self._on_hangup):
            self.run(sockets=[self.socket])
        logger.info("shutdown complete")
        if self._failure:
            raise InternalError(self._failure)


def _protocol(settings: Settings) -> type[HttpProtocol]:
    # uvicorn creates the protocols and passes no settings of ours.
    attributes = {
        "limiter": ConnectionLimiter(
            clamp_to_open_file_limit(settings.max_connections, settings.workers),
            settings.max_connections_per_ip,
        ),
        "parse_queue": ParseQueue(),
        "malformed_log": logs.ThrottledLogger(logger, "%d malformed HTTP requests rejected"),
        "read_buffer": memoryview(bytearray(READ_CHUNK_BYTES)),
        "head_timeout_s": settings.request_read_timeout_s,
        "response_write_timeout_s": settings.response_write_timeout_s,
    }
    return type("HttpProtocol", (HttpProtocol,), attributes)


async def _wake_up() -> None:
    """Wakes the event loop: a signal just before it waits is handled when it wakes."""
    while True:
        await asyncio.sleep(_WAKE_UP_S)


def _on_loop_error(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """Logs a lack of file descriptors as one line without a traceback."""
    error = context.get("exception")
    if isinstance(error, OSError) and error.errno in _OUT_OF_FILES:
        logger.warning("cannot accept connections: %s", error.strerror)
    else:
        loop.default_exception_handler(context)


async def _reload(reload: Callable[[], Awaitable[object]]) -> None:
    with suppress(SettingsError):  # it is logged
        await reload()


@contextmanager
def _handle_signals(
    on_exit: Callable[[int, FrameType | None], None],
    on_hangup: Callable[[int, FrameType | None], None],
) -> Iterator[None]:
    """Handles SIGINT, SIGTERM and SIGHUP in the `with` block, if this is the main thread."""
    is_main = threading.current_thread() is threading.main_thread()
    handlers = {signal.SIGINT: on_exit, signal.SIGTERM: on_exit, signal.SIGHUP: on_hangup}
    before = {
        number: signal.signal(number, handler) for number, handler in handlers.items() if is_main
    }
    try:
        yield
    finally:
        for number, previous in before.items():
            signal.signal(number, previous)
