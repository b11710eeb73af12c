"""Disconnects: the job ends with the current forward pass.

Uses the real server, engine and bundled model. A gate in front of the denoiser holds the engine in
a forward pass, so the work after a disconnect is counted in forward passes, not in seconds.
"""

from __future__ import annotations

import json
import socket
import struct
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from conftest import MODEL, PATH, read_answer, wait_until

from daguerre.config import Settings
from daguerre.engine.forward import Inputs, Network, Outputs
from daguerre.engine.pipeline import Pipeline
from daguerre.engine.thread_engine import ThreadEngine
from daguerre.models.embedded.model import EmbeddedModel
from daguerre.params import ImageParams
from daguerre.server.server import Server
from daguerre.storage.resources import ResourceStore

NUM_STEPS = 4
WAIT_S = 60.0
FORWARDS_PER_IMAGE = 2 + NUM_STEPS + 1  # text encoder and reader, denoiser, decoder


@dataclass
class Gate:
    """A network that blocks call number `closed_at` until it is opened."""

    network: Network
    closed_at: int = 0
    num_calls: int = 0
    is_inside: threading.Event = field(default_factory=threading.Event)
    is_open: threading.Event = field(default_factory=threading.Event)

    @property
    def name(self) -> str:
        return self.network.name

    @property
    def fingerprint(self) -> str:
        return self.network.fingerprint

    def close(self, call: int) -> None:
        """Blocks the call with this number, counted from now."""
        self.is_inside.clear()
        self.is_open.clear()
        self.num_calls, self.closed_at = 0, call

    def __call__(self, inputs: Inputs) -> Outputs:
        self.num_calls += 1
        if self.num_calls == self.closed_at:
            self.is_inside.set()
            assert self.is_open.wait(WAIT_S), "the gate was not opened"
        return self.network(inputs)


class GatedModel:
    """The bundled model with a gate in front of its denoiser."""

    def __init__(self) -> None:
        self._model = EmbeddedModel(MODEL, num_inference_steps=NUM_STEPS)
        self.info, self.max_batch_size = self._model.info, self._model.max_batch_size
        self.num_bytes = self._model.num_bytes
        self.gate: Gate

    def load(self) -> Mapping[str, Network]:
        networks = self._model.load()
        self.gate = Gate(networks["denoiser"])
        return {**networks, "denoiser": self.gate}

    def batch_class(self, params: ImageParams) -> None:
        return None

    def pipeline(self, params: ImageParams) -> Pipeline:
        return self._model.pipeline(params)


@dataclass(frozen=True)
class Service:
    engine: ThreadEngine
    model: GatedModel
    port: int
    key: str

    def connect(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), timeout=WAIT_S)

    def send(self, connection: socket.socket, seed: int) -> None:
        body = json.dumps({"model": MODEL, "prompt": "a red fox", "seed": seed}).encode()
        head = (
            f"POST {PATH} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {self.key}\r\n"
            f"Content-Length: {len(body)}\r\n\r\n"
        )
        connection.sendall(head.encode() + body)


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with _serving(tmp_path_factory.mktemp("disconnect")) as service:
        yield service


@contextmanager
def _serving(folder: Path) -> Iterator[Service]:
    model = GatedModel()
    engine = ThreadEngine([model], max_queued_jobs=4, max_running_jobs=1)
    settings = Settings(home=folder, port=0)
    resources = ResourceStore.open(settings.database_url, settings.data_dir())
    _, key = resources.create(MODEL, "DIFFUSION")
    server = Server(settings, engine, resources)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        wait_until(lambda: engine.stats().is_ready, timeout_s=WAIT_S)
        yield Service(engine, model, server.settings.port, key)
    finally:
        server.should_exit = True
        thread.join(WAIT_S)
        resources.close()
    assert not thread.is_alive()


def disconnect(connection: socket.socket, *, is_reset: bool) -> None:
    """Closes the connection, or resets it like the kernel of a killed client."""
    if is_reset:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


@pytest.mark.parametrize("is_reset", [False, True], ids=["closed", "reset"])
def test_disconnect_while_running(service: Service, is_reset: bool) -> None:
    """The engine finishes the current forward pass and runs no more for this job."""
    gate, before = service.model.gate, service.engine.stats()
    gate.close(call=2)
    connection = service.connect()
    service.send(connection, seed=1)
    assert gate.is_inside.wait(WAIT_S)
    assert service.engine.stats().num_running == 1

    disconnect(connection, is_reset=is_reset)
    # The job is cancelled while its forward pass still runs.
    wait_until(lambda: service.engine.stats().num_running == 0)
    assert service.engine.stats().num_forwards == before.num_forwards + 3  # and the first step
    with service.connect() as following:
        service.send(following, seed=2)
        wait_until(lambda: service.engine.stats().num_queued == 1)
        gate.is_open.set()
        assert read_answer(following)[0] == 200

    after = service.engine.stats()
    assert gate.num_calls == 2 + NUM_STEPS
    assert after.num_forwards == before.num_forwards + 4 + FORWARDS_PER_IMAGE
    assert after.num_cancelled == before.num_cancelled + 1
    assert after.num_succeeded == before.num_succeeded + 1


def test_disconnect_while_queued(service: Service) -> None:
    """A job whose client disconnects in the queue runs no forward pass."""
    gate, before = service.model.gate, service.engine.stats()
    gate.close(call=1)
    with service.connect() as running:
        service.send(running, seed=1)
        assert gate.is_inside.wait(WAIT_S)
        waiting = service.connect()
        service.send(waiting, seed=2)
        wait_until(lambda: service.engine.stats().num_queued == 1)
        disconnect(waiting, is_reset=False)
        wait_until(lambda: service.engine.stats().num_queued == 0)
        gate.is_open.set()
        assert read_answer(running)[0] == 200

    after = service.engine.stats()
    assert after.num_forwards == before.num_forwards + FORWARDS_PER_IMAGE
    assert after.num_cancelled == before.num_cancelled + 1
