"""Running the server: its socket, its logging, and its end.

The socket is bound before anything is built, so a taken port is one line and not a traceback, and
port 0 is known by its true number. On SIGTERM or SIGINT no more connections are taken, work that
was accepted is finished, and `serve` returns.
"""

from __future__ import annotations

import logging
import math
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from types import FrameType

import uvicorn

from daguerre.config import Settings
from daguerre.engine.interface import Engine
from daguerre.errors import SettingsError
from daguerre.resources import ResourceStore
from daguerre.server.app import create_app
from daguerre.server.connection import MAX_HEAD_BYTES, HttpProtocol

# Longer than clients and proxies keep an idle connection, so that they close first and never send
# into a connection that is being closed here.
KEEP_ALIVE_S = 75
_LOG_FORMAT = "%(asctime)s %(levelname)s %(name)s %(message)s"


class Server(uvicorn.Server):
    """Bound to its address as soon as it exists; `settings.port` is the true port."""

    def __init__(
        self,
        settings: Settings,
        engine: Engine,
        resources: ResourceStore,
        on_ready: Callable[[Settings], None] | None = None,
    ) -> None:
        self.socket = listen(settings.host, settings.port)
        self.settings = replace(settings, port=self.socket.getsockname()[1])
        self._on_ready = on_ready
        app = create_app(self.settings, engine, resources)
        super().__init__(
            uvicorn.Config(
                app,
                http=_protocol(settings),
                ws="none",
                lifespan="on",
                log_config=None,
                access_log=False,
                proxy_headers=False,
                server_header=False,
                timeout_keep_alive=KEEP_ALIVE_S,
                # A request ends by its own deadline; this is for clients that stop reading.
                timeout_graceful_shutdown=math.ceil(settings.request_timeout_s) + 5,
                h11_max_incomplete_event_size=MAX_HEAD_BYTES,
            )
        )

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started and self._on_ready:
            self._on_ready(self.settings)

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
) -> None:
    """Blocks until a signal ends it. Raises `SettingsError` where the address cannot be had.

    `on_ready` is called with the true port once connections are answered; the model may be loading
    still, as /readyz tells.
    """
    server = Server(settings, engine, resources, on_ready)
    _configure_logging(settings.log_level)
    with _signals_end_quietly():
        server.run_to_the_end()


def listen(host: str, port: int) -> socket.socket:
    try:
        family, _, _, _, address = socket.getaddrinfo(
            host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        is_dual = host == "::" and socket.has_dualstack_ipv6()
        return socket.create_server(address[:2], family=family, dualstack_ipv6=is_dual)
    except OSError as error:
        raise SettingsError(
            f"cannot listen on {host}, port {port}: {error.strerror or error};"
            " choose another with --host and --port (0 takes a free port)"
        ) from None


def _protocol(settings: Settings) -> type[HttpProtocol]:
    # uvicorn makes the protocols itself and passes no settings of ours.
    return type("HttpProtocol", (HttpProtocol,), {"head_timeout_s": settings.body_timeout_s})


def _configure_logging(level: str) -> None:
    """Leaves alone what the program that embeds the server has set up."""
    logging.basicConfig(level=level.upper(), format=_LOG_FORMAT)
    if level != "debug":
        logging.getLogger("uvicorn").setLevel(logging.WARNING)


@contextmanager
def _signals_end_quietly() -> Iterator[None]:
    """uvicorn raises a signal again after it has shut down; here that was all it asked for."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def ignore(number: int, frame: FrameType | None) -> None:
        pass

    before = {number: signal.signal(number, ignore) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
