"""The configurations of nginx and HAProxy in deploy/, in front of two servers without a model."""

from __future__ import annotations

import datetime
import os
import re
import shutil
import socket
import ssl
import subprocess
import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest
from conftest import MODEL, PATH, PATIENCE_S, RunningServer, error_of, running, wait_until
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from daguerre.errors import QueueFullError
from deployment.files import DEPLOY

# The proxy trusts the address of the tests' own machine; this is a client's.
CLIENT_ADDRESS = "127.0.0.9"
SERVERS = r"( +server (\w+ )?10\.0\.0\..*\n){2}"
BODY = {"model": MODEL, "prompt": "a red fox"}


def certificate(directory: Path) -> tuple[Path, Path]:
    """A self-signed certificate of localhost, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    pem, key_file = directory / "daguerre.pem", directory / "daguerre.key"
    private = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    key_file.write_bytes(private)
    pem.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    return pem, key_file


def replaced(text: str, pattern: str, by: str) -> str:
    """The configuration with a line that operators change, which must exist."""
    text, count = re.subn(pattern, lambda match: by, text)
    assert count, pattern
    return text


def nginx(directory: Path, port: int, servers: list[int]) -> list[str]:
    """Writes the configuration, and returns the options with which nginx uses it."""
    pem, key = certificate(directory)
    text = (DEPLOY / "nginx.conf").read_text(encoding="utf-8")
    text = replaced(text, r"listen 443 ssl;", f"listen {port} ssl;")
    text = replaced(text, r"ssl_certificate \S+;", f"ssl_certificate {pem};")
    text = replaced(text, r"ssl_certificate_key \S+;", f"ssl_certificate_key {key};")
    lines = "".join(f"server 127.0.0.1:{one} max_fails=0;\n" for one in servers)
    text = replaced(text, SERVERS, lines)
    (directory / "daguerre.conf").write_text(text)
    paths = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    temporary = "".join(f"{name}_temp_path {directory}/{name};\n" for name in paths)
    user = "user root;\n" if os.geteuid() == 0 else ""
    (directory / "nginx.conf").write_text(
        f"{user}daemon off; worker_processes 1; pid {directory}/pid; error_log stderr warn;\n"
        f"events {{}}\nhttp {{ access_log off;\n{temporary}include {directory}/daguerre.conf; }}\n"
    )
    return ["-e", "stderr", "-p", str(directory), "-c", str(directory / "nginx.conf")]


def haproxy(directory: Path, port: int, servers: list[int]) -> list[str]:
    """Writes the configuration, and returns the options with which HAProxy uses it."""
    pem, key = certificate(directory)
    pem.write_bytes(pem.read_bytes() + key.read_bytes())
    text = (DEPLOY / "haproxy.cfg").read_text(encoding="utf-8")
    text = replaced(text, r"bind :443 ssl crt \S+", f"bind :{port} ssl crt {pem}")
    lines = "".join(f"    server s{one} 127.0.0.1:{one}\n" for one in servers)
    text = replaced(text, SERVERS, lines)
    (directory / "haproxy.cfg").write_text(text)
    return ["-db", "-f", str(directory / "haproxy.cfg")]


PROXIES: dict[str, Callable[[Path, int, list[int]], list[str]]] = {
    "nginx": nginx,
    "haproxy": haproxy,
}


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


@dataclass
class Proxy:
    """A running proxy with its servers, and a client of another address."""

    url: str
    servers: list[RunningServer]
    client: httpx.Client = field(repr=False)

    def post(self, body: Mapping[str, object] = BODY, **headers: str) -> httpx.Response:
        """With the key of the first server, which is valid at all."""
        sent = {"authorization": f"Bearer {self.servers[0].key}", **headers}
        return self.client.post(PATH, json=body, headers=sent)


def client(url: str, address: str = CLIENT_ADDRESS) -> httpx.Client:
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    transport = httpx.HTTPTransport(verify=context, local_address=address)
    return httpx.Client(base_url=url, transport=transport, timeout=PATIENCE_S)


@contextmanager
def proxied(
    name: str, directory: Path, num_servers: int = 2, shutdown_delay_s: float = 0.0
) -> Iterator[Proxy]:
    if not (program := shutil.which(name, path=os.environ["PATH"] + ":/usr/sbin")):
        pytest.skip(f"{name} is not installed; run `make test-deps` as root")
    settings: dict[str, Any] = {
        "trusted_proxies": "127.0.0.1",
        "max_connections_per_ip": 0,
        "shutdown_delay_s": shutdown_delay_s,
    }
    with ExitStack() as stack:
        home = directory / "home"
        servers = [
            stack.enter_context(running(home, alias=f"S{number}", **settings))
            for number in range(num_servers)
        ]
        (directory / name).mkdir()
        url = stack.enter_context(
            started(name, program, directory / name, [one.settings.port for one in servers])
        )
        yield Proxy(url, servers, stack.enter_context(client(url)))


@contextmanager
def started(name: str, program: str, directory: Path, servers: list[int]) -> Iterator[str]:
    """Runs the proxy, and yields its URL. Another process may take its port, so it tries again."""
    for _ in range(5):
        port = free_port()
        command = [program, *PROXIES[name](directory, port, servers)]
        with (directory / "log").open("wb") as log:
            process = subprocess.Popen(command, stdout=log, stderr=log)
        try:
            url = f"https://127.0.0.1:{port}"
            wait_until(lambda: process.poll() is not None or is_ready(url))  # noqa: B023
            if process.poll() is None:
                yield url
                return
        finally:
            process.terminate()
            process.wait(PATIENCE_S)
    pytest.fail((directory / "log").read_text())


def is_ready(url: str) -> bool:
    try:
        with client(url) as own:
            return own.get("/readyz").status_code == 200
    except httpx.TransportError:
        return False


@pytest.fixture(scope="module", params=PROXIES)
def _shared(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Proxy]:
    with proxied(request.param, tmp_path_factory.mktemp(request.param)) as proxy:
        yield proxy


@pytest.fixture
def proxy(_shared: Proxy) -> Iterator[Proxy]:
    """The shared proxy; the engines of its servers are reset for every test."""
    yield _shared
    for server in _shared.servers:
        server.engine.reset()


def num_images(server: RunningServer) -> int:
    return len(server.engine.params)


def test_balance(proxy: Proxy) -> None:
    """Concurrent requests are answered by both servers."""
    for server in proxy.servers:
        server.engine.is_held = True
    with ThreadPoolExecutor(8) as pool:
        answers = [pool.submit(proxy.post) for _ in range(8)]
        wait_until(lambda: [num_images(server) for server in proxy.servers] == [4, 4])
        for server in proxy.servers:
            server.engine.is_held = False
        assert {answer.result().status_code for answer in answers} == {200}


def test_stream(proxy: Proxy) -> None:
    """The events of a stream arrive while its job is running."""
    for server in proxy.servers:
        server.engine.is_held = True
    head = {"authorization": f"Bearer {proxy.servers[0].key}"}
    body = {**BODY, "stream": True}
    with proxy.client.stream("POST", PATH, json=body, headers=head) as answer:
        lines = answer.iter_lines()
        assert next(lines) == ": queued 0"
        for server in proxy.servers:
            server.engine.is_held = False
        assert "event: image_generation.completed" in [*lines]


def test_server_that_answers_503(proxy: Proxy) -> None:
    """A request that one server refuses is answered by the other, also one with a long prompt."""
    refusing, other = proxy.servers
    refusing.engine.refusal = QueueFullError("the queue is full")
    for prompt in ("a red fox", "狐" * 10_000):
        for _ in range(6):
            assert proxy.post({**BODY, "prompt": prompt}).status_code == 200
    assert (num_images(refusing), num_images(other)) == (0, 12)


def test_servers_that_all_answer_503(proxy: Proxy) -> None:
    """If both servers refuse, the client gets their error; afterwards they are used at once."""
    for server in proxy.servers:
        server.engine.refusal = QueueFullError("the queue is full")
    for _ in range(3):
        refused = proxy.post()
        assert (refused.status_code, error_of(refused)["message"]) == (503, "the queue is full")
        assert int(refused.headers["retry-after"]) > 0
    for server in proxy.servers:
        server.engine.refusal = None
    assert proxy.post().status_code == 200


def test_forwarded_headers(proxy: Proxy, caplog: pytest.LogCaptureFixture) -> None:
    """The log has the address of the client, which it cannot forge, and URLs have its host."""
    with caplog.at_level("INFO", "daguerre.requests"):
        forged = {"x-forwarded-for": "203.0.113.7", "x-forwarded-proto": "http"}
        answer = proxy.post({**BODY, "response_format": "url"}, **forged)
        url = answer.json()["data"][0]["url"]
        assert url.startswith(f"{proxy.url}/v1/images/files/")
        assert proxy.client.get(url).headers["content-type"] == "image/png"
        wait_until(lambda: caplog.text.count(f"client={CLIENT_ADDRESS}") >= 2)
    assert "203.0.113.7" not in caplog.text and "client=127.0.0.1" not in caplog.text


@pytest.mark.parametrize("path", ["/metrics", "//metrics/", "/v1/metrics", "/%6detrics"])
def test_metrics_are_private(proxy: Proxy, path: str) -> None:
    """Only the proxy's own machine can read the metrics."""
    assert proxy.client.get(f"{proxy.url}{path}").status_code == 404
    with client(proxy.url, "127.0.0.1") as local:
        assert local.get("/metrics").status_code == 200


@pytest.mark.parametrize("name", PROXIES)
def test_servers_that_are_gone(name: str, tmp_path: Path) -> None:
    """Without one server no request is lost; without both, clients get a JSON error."""
    with proxied(name, tmp_path) as proxy:
        first, second = proxy.servers
        first.server.should_exit = True
        wait_until(lambda: not is_listening(first))
        assert {proxy.post().status_code for _ in range(6)} == {200}
        assert num_images(second) == 6
        second.server.should_exit = True
        wait_until(lambda: not is_listening(second))
        answer = proxy.post()
        assert (answer.status_code, answer.json()["error"]["code"]) == (503, 503)
        assert answer.json()["error"]["message"] == "no server is available; try again"
        assert answer.headers["retry-after"] == "5"


def is_listening(server: RunningServer) -> bool:
    with socket.socket() as connection:
        return connection.connect_ex(("127.0.0.1", server.settings.port)) == 0


@pytest.mark.parametrize("name", PROXIES)
def test_one_server(name: str, tmp_path: Path) -> None:
    """The configuration is valid for a single server."""
    with proxied(name, tmp_path, num_servers=1) as proxy:
        assert proxy.post().status_code == 200


@pytest.mark.parametrize("name", PROXIES)
def test_shutdown_during_traffic(name: str, tmp_path: Path) -> None:
    """SIGTERM to one server loses no request: neither before its end nor after."""
    with proxied(name, tmp_path, shutdown_delay_s=3.0) as proxy:
        first, second = proxy.servers
        is_over = threading.Event()

        def send_requests() -> set[int]:
            statuses = set[int]()
            while not is_over.is_set():
                statuses.add(proxy.post().status_code)
            return statuses

        with ThreadPoolExecutor(4) as pool:
            clients = [pool.submit(send_requests) for _ in range(4)]
            wait_until(lambda: min(map(num_images, proxy.servers)) > 4)
            first.server.handle_exit(15, None)
            wait_until(lambda: not is_listening(first))
            num_before = num_images(second)
            wait_until(lambda: num_images(second) > num_before + 8)
            is_over.set()
            assert [one.result() for one in clients] == [{200}] * 4
