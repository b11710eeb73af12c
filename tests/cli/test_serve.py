"""`daguerre serve`: what it prints is correct and works."""

from __future__ import annotations

import json
import re
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from conftest import MODEL, PATIENCE_S, FakeEngine, wait_until
from models.test_catalog import checkpoint
from PIL import Image

from cli.conftest import environment, opened
from daguerre import factory
from daguerre.cli import credentials
from daguerre.cli.announcement import curl
from daguerre.factory import summarize_models
from daguerre.models import catalog
from daguerre.models.diffusers.loaded_pipeline import LoadedCheckpoint
from daguerre.models.diffusers.pipeline_config import PipelineConfig
from daguerre.server.server import Server
from daguerre.storage.resources import ResourceStore

# `daguerre serve` with a fake engine, in a subprocess.
SERVE = """
import sys
from contextlib import nullcontext
import daguerre.factory
from conftest import FakeEngine
daguerre.factory.open_engine = lambda *_: nullcontext(FakeEngine())
from daguerre.models import catalog
catalog._EXTRA = ()  # of checkpoints, which the fake engine does not load
from daguerre.cli.main import main
sys.exit(main(["serve", *sys.argv[1:]]))
"""


@contextmanager
def serving(*arguments: str) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [sys.executable, "-c", SERVE, *arguments],
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def announcement(process: subprocess.Popen[str]) -> str:
    """What the server prints, up to the end of the sample request."""
    assert process.stdout is not None
    printed = ""
    while "python3 -c" not in printed:
        line = process.stdout.readline()
        assert line, process.communicate()[1]
        printed += line
    return printed


def variables_of(process: subprocess.Popen[str]) -> dict[str, str]:
    return dict(re.findall(r"^export (\w+)=(.*)$", announcement(process), re.MULTILINE))


needs_curl = pytest.mark.skipif(
    shutil.which("curl") is None or shutil.which("python3") is None, reason="no curl or python3"
)


def test_first_serve(home: Path, run: Callable[..., str]) -> None:
    """The first start prints and stores valid variables, and a signal ends it."""
    with serving("--port", "0") as process:
        printed = announcement(process)
        variables = dict(re.findall(r"^export (\w+)=(.*)$", printed, re.MULTILINE))
        assert json.loads(run("config", "--json")) == variables
        assert re.search(r"listens on (\S+)", printed).group(1) == variables["DIFFUSION_URL"]  # type: ignore[union-attr]
        assert not variables["DIFFUSION_URL"].endswith(":0")
        with opened(home) as store:
            assert store.authenticate(variables["DIFFUSION_KEY"]) is not None
        assert run("models", "reload") == "Reloaded the catalog: no change.\n"
        assert "not loaded" in run("models", "list")
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=30)
    assert process.returncode == 0
    assert "Traceback" not in errors and "inf-" not in errors


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["none"], "'none' does not exist; it must be the path of a directory in diffusers format"),
        (["a", "--catalog", "x.toml"], "both a and --catalog are given"),
        *((["--base", base], "--base is given without PATH") for base in ("a", "")),
        (["."], "has no model_index.json"),
    ],
)
def test_refused_path(
    fails: Callable[..., str],
    monkeypatch: pytest.MonkeyPatch,
    arguments: list[str],
    words: str,
) -> None:
    """A path that is not a checkpoint is one line, and nothing starts."""
    monkeypatch.setattr(catalog, "_EXTRA", ())
    assert words in fails("serve", *arguments)


def test_serve_a_path(tmp_path: Path) -> None:
    """The checkpoint is the only model, with its own key, also if the database has others."""
    checkpoint(tmp_path / "dreamy xl")
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "daguerre.toml").write_text("not read")
    with opened(tmp_path / "home") as store:
        store.create(MODEL, "DIFFUSION")
    with serving("dreamy xl", "--port", "0") as process:
        variables = variables_of(process)
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=PATIENCE_S)
    assert variables["DREAMY_XL_MODEL_ID"] == "dreamy-xl"
    assert re.search(r"^dreamy-xl +Stable Diffusion 1.x, 2.x +directory +", errors, re.MULTILINE)


def test_checkpoint_is_read_once(
    tmp_path: Path, run: Callable[..., str], engine: FakeEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The table of models shows the objects of which the engine is built."""
    checkpoint(tmp_path / "sd")
    read: list[PipelineConfig] = []
    build = LoadedCheckpoint.__init__

    def record(loaded: LoadedCheckpoint, config: PipelineConfig, *others: Any) -> None:
        read.append(config)
        build(loaded, config, *others)

    monkeypatch.setattr(LoadedCheckpoint, "__init__", record)
    monkeypatch.setattr(catalog, "_EXTRA", ())
    monkeypatch.setattr(factory, "summarize_models", summarize_models)  # not that of `home`
    monkeypatch.setattr(Server, "serve_forever", lambda server: None)
    run("serve", "sd", "--port", "0")
    assert len(read) == 1


def test_json_log(home: Path, run: Callable[..., str]) -> None:
    """With a log in JSON, stderr has only JSON, also about the models, and nothing has the key."""
    with serving("--port", "0", "--host", "0.0.0.0", "--log-format", "json") as process:
        assert process.stdout is not None and process.stderr is not None
        errors = ""
        while "listens on" not in errors:
            line = process.stderr.readline()
            assert line, errors
            errors += line
        process.send_signal(signal.SIGINT)
        errors += process.stderr.read()  # `communicate` would lose what `readline` has buffered
        printed = process.stdout.read()
        process.wait(PATIENCE_S)
    messages = [str(json.loads(line).get("message")) for line in errors.splitlines()]
    assert sum(f"model={MODEL}, family=daguerre flat" in text for text in messages) == 1
    assert any("behind an HTTPS proxy, set --public-url" in text for text in messages)
    assert (process.returncode, printed) == (0, "")
    assert json.loads(run("config", "--json"))["DIFFUSION_KEY"] not in errors


@needs_curl
def test_printed_request_works(tmp_path: Path) -> None:
    """The printed request creates x.png when it is pasted into a shell."""
    with serving("--port", "0") as process:
        printed = announcement(process)
        command = printed[printed.index("curl ") :]
        done = subprocess.run(["sh", "-c", command], cwd=tmp_path, capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    with Image.open(tmp_path / "x.png") as image:
        assert (image.format, image.size) == ("PNG", (1024, 1024))


@needs_curl
def test_printed_request_prints_errors(tmp_path: Path) -> None:
    """If the server rejects the printed request, its message is shown and no file is created."""
    with serving("--port", "0") as process:
        url = re.search(r"listens on (\S+)", announcement(process)).group(1)  # type: ignore[union-attr]
        wrong = credentials.ResourceCredentials(url=url, key="inf-wrong", model=MODEL)
        done = subprocess.run(
            ["sh", "-c", curl(wrong)], cwd=tmp_path, capture_output=True, text=True
        )
    assert done.returncode != 0 and "key" in done.stderr and "Traceback" not in done.stderr
    assert not (tmp_path / "x.png").exists()


def test_service_of_kubernetes(monkeypatch: pytest.MonkeyPatch) -> None:
    """The address of a Service named daguerre is not the port; one warning says so."""
    monkeypatch.setenv("DAGUERRE_PORT", "tcp://10.0.171.239:8000")
    monkeypatch.setenv("DAGUERRE_SERVICE_HOST", "10.0.171.239")
    with serving("--port", "0") as process:
        announcement(process)
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 0
    assert errors.count("enableServiceLinks: false") == 1


def test_printed_link_gives_the_key_once() -> None:
    """The sign-in link gives the default resource's key to one browser."""
    with serving("--port", "0") as process:
        printed = announcement(process)
        url, token = re.search(
            r"^(http://127\.0\.0\.1:\d+)/#sign-in=(\S+)$", printed, re.M
        ).groups()  # type: ignore[union-attr]
        answers = [httpx.post(url + "/playground/sign-in", json={"token": token}) for _ in "12"]
        key = re.search(r"_KEY=(\S+)", printed).group(1)  # type: ignore[union-attr]
    assert answers[0].json() == {"key": key} and answers[1].status_code == 401


@pytest.mark.parametrize(
    ("arguments", "has_hint"),
    [
        (["--host", "0.0.0.0"], True),
        (["--host", "0.0.0.0", "--trusted-proxies", "10.0.0.1"], False),
        (["--public-url", "https://images.example.com"], False),
    ],
)
def test_no_link_for_other_machines(arguments: list[str], has_hint: bool) -> None:
    """A server reachable from other machines prints its address, but no sign-in link; it names the
    settings for an HTTPS proxy unless one is set."""
    with serving("--port", "0", *arguments) as process:
        printed = announcement(process)
    assert "sign-in" not in printed and "In a browser, with the key below:" in printed
    assert re.match(r"daguerre listens on [\d.]+:\d+; clients use http\S+\n", printed)
    assert ("behind an HTTPS proxy, set --public-url" in printed) == has_hint


def test_taken_port(fails: Callable[..., str], engine: FakeEngine) -> None:
    """A port in use is an error with one line that says what to do."""
    with serving("--port", "0") as process:
        port = re.search(r":(\d+)", announcement(process)).group(1)  # type: ignore[union-attr]
        message = fails("serve", "--port", port)
    assert port in message and "--port" in message
    assert engine.num_starts == 0


def test_failed_start_leaves_no_address(home: Path, fails: Callable[..., str]) -> None:
    """A first start that fails creates no resource, and so stores no address."""
    fails("serve", "--host", "no.such.host.invalid")
    assert not (home / credentials.FILE_NAME).exists()
    with opened(home) as store:
        assert not store.list()


def test_serve_without_the_key(home: Path, run: Callable[..., str]) -> None:
    """Without a credentials file, the server starts and says how to create a new key."""
    run("models", "create", MODEL, "--as", "DIFFUSION")
    (home / credentials.FILE_NAME).unlink()
    with serving("--port", "0") as process:
        assert process.stdout is not None
        lines = [process.stdout.readline(), process.stdout.readline()]
    assert "listens on" in lines[0]
    assert "models rotate DIFFUSION" in lines[1]


def warning_of_running_server(*arguments: str) -> tuple[str, str]:
    """The warning on stderr of a server that answers requests, and what follows it."""
    with serving("--port", "0", *arguments) as process:
        assert process.stdout is not None and process.stderr is not None
        first = process.stdout.readline()
        assert "listens on" in first, process.stderr.read()
        warning = next(line for line in process.stderr if line.startswith("daguerre: "))
        assert httpx.get(first.split()[-1] + "/healthz").status_code == 200
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=30)
    assert process.returncode == 0
    return warning, errors


def test_serve_with_a_damaged_file(home: Path, run: Callable[..., str]) -> None:
    """A damaged credentials file is a warning, and requests are answered."""
    run("models", "create", MODEL, "--as", "DIFFUSION")
    (home / credentials.FILE_NAME).write_text("damaged")
    warning, errors = warning_of_running_server()
    assert warning.startswith("daguerre: ") and "is damaged" in warning
    assert "Traceback" not in errors


def test_serve_without_a_writable_directory(tmp_path: Path) -> None:
    """With database and images elsewhere, an unwritable data directory is a warning, too."""
    database_url = f"sqlite:///{tmp_path}/x.db"
    store = ResourceStore.open(database_url, Path())
    store.create(MODEL, "DIFFUSION")
    store.close()
    elsewhere = ("--database-url", database_url, "--image-store", str(tmp_path / "images"))
    warning, errors = warning_of_running_server("--home", "/proc/daguerre", *elsewhere)
    assert warning.startswith("daguerre: ") and "/proc/daguerre" in warning
    assert "Traceback" not in errors


def written_url(home: Path) -> str:
    return credentials.read(home)["DIFFUSION"].url


def test_address_follows_the_server(home: Path) -> None:
    """The stored address is that of the first running server; a second one prints its own."""
    with serving("--port", "0") as process:
        first = variables_of(process)["DIFFUSION_URL"]
        assert written_url(home) == first
        with serving("--port", "0") as beside:
            assert variables_of(beside)["DIFFUSION_URL"] != first
            assert written_url(home) == first
    with serving("--port", "0") as after:
        second = variables_of(after)["DIFFUSION_URL"]
        assert written_url(home) == second


def test_two_servers_on_one_directory(home: Path, run: Callable[..., str]) -> None:
    """Servers on one data directory share keys, rotations and idempotent replays. Killing one does
    not affect the others."""
    with serving("--port", "0") as one, serving("--port", "0") as other:
        urls = [variables_of(process)["DIFFUSION_URL"] for process in (one, other)]
        key = credentials.read(home)["DIFFUSION"].key
        with ThreadPoolExecutor(8) as pool:
            answers = list(pool.map(lambda url: ask(url, key, "same"), urls * 4))
        assert {answer.status_code for answer in answers} == {200}
        assert len({answer.content for answer in answers}) == 1
        assert ask(urls[0], key, "other").content != answers[0].content
        run("models", "rotate", "DIFFUSION")
        new = credentials.read(home)["DIFFUSION"].key
        assert [ask(url, key, "same").status_code for url in urls] == [401, 401]
        one.kill()
        one.wait()
        assert ask(urls[1], new, "same").content == answers[0].content
    with serving("--port", "0") as after:
        url = variables_of(after)["DIFFUSION_URL"]
        assert written_url(home) == url  # the killed process has released the lock
        assert ask(url, new, "same").content == answers[0].content


def ask(url: str, key: str, idempotency_key: str) -> httpx.Response:
    headers = {"authorization": f"Bearer {key}", "idempotency-key": idempotency_key}
    body = {"model": MODEL, "prompt": "a red fox"}
    return httpx.post(f"{url}/v1/images/generations", json=body, headers=headers, timeout=60)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="the system has no /dev/full")
def test_serve_outlives_its_standard_output(home: Path) -> None:
    """The server runs although its standard output is full."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = str(free.getsockname()[1])
    with open("/dev/full", "w") as full:
        process = subprocess.Popen(
            [sys.executable, "-c", SERVE, "--port", port],
            env=environment(),
            stdout=full,
            stderr=subprocess.PIPE,
        )
    try:
        url = f"http://127.0.0.1:{port}/healthz"
        wait_until(lambda: _is_alive(url), timeout_s=20)
        process.send_signal(signal.SIGTERM)
        errors = process.communicate(timeout=20)[1].decode()
        assert process.returncode == 0 and "Traceback" not in errors
    finally:
        process.kill()


def _is_alive(url: str) -> bool:
    try:
        return httpx.get(url).status_code == 200
    except httpx.TransportError:
        return False
