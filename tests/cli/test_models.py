"""`daguerre models`: create, list, info, rotate and destroy."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import MODEL

from cli.conftest import opened
from daguerre import factory
from daguerre.cli import credentials, main
from daguerre.config import Settings
from daguerre.models.catalog import Catalog, EmbeddedConfig
from daguerre.models.summary import ModelSummary
from daguerre.params import ModelInfo
from daguerre.server import control_socket


def test_life_of_a_resource(run: Callable[..., str], home: Path) -> None:
    """Each command changes which keys authenticate, and prints what it did."""
    assert "Created FOX" in run("models", "create", MODEL, "--as", "fox")
    first = credentials.read(home)["FOX"].key
    assert "FOX" in run("models", "list") and "FOX" in run("models", "info", "fox")
    assert "new key" in run("models", "rotate", "FOX")
    second = credentials.read(home)["FOX"].key
    with opened(home) as store:
        assert store.authenticate(first) is None
        assert store.authenticate(second) == store.get("FOX")
    assert "Removed FOX" in run("models", "destroy", "FOX", "--confirm", "fox")
    with opened(home) as store:
        assert store.authenticate(second) is None and store.list() == ()
    assert credentials.read(home) == {}


def test_rate_limit_is_kept(run: Callable[..., str], home: Path) -> None:
    """The resource has the requested rate limit."""
    run("models", "create", MODEL, "--as", "FOX", "--requests-per-minute", "20")
    with opened(home) as store:
        assert store.get("FOX").requests_per_minute == 20
    assert re.search(r"Requests per minute: +20\n", run("models", "info", "FOX"))


def test_models_as_json(run: Callable[..., str], home: Path) -> None:
    """`--json` prints every field of a resource, and every model of the catalog."""
    run("models", "create", MODEL, "--as", "FOX")
    listed, shown = (
        json.loads(run("models", *rest, "--json")) for rest in (["list"], ["info", "FOX"])
    )
    with opened(home) as store:
        resource = store.get("FOX")
    assert listed["resources"] == [shown]
    assert shown == {name: getattr(resource, name) for name in resource.__slots__}
    assert [model["model"] for model in listed["models"]] == [
        each.info.id for each in factory.summarize_catalog(Settings(home=home))
    ]


def test_states_in_the_running_server(
    run: Callable[..., str], home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`list` shows what the server does with each model, if one runs with this data directory."""
    home.mkdir()
    summaries = [ModelSummary(ModelInfo(name, weights_sha256="", created=0)) for name in "abcd"]
    monkeypatch.setattr(factory, "summarize_catalog", lambda settings: summaries)
    plain = {"reason": "", "num_workers": 0, "num_bytes": 0}
    states = [
        {**plain, "id": "a", "state": "loaded", "num_workers": 2, "num_bytes": 1_500_000_000},
        {**plain, "id": "b", "state": "not loaded"},
        {**plain, "id": "c", "state": "failed", "reason": "not enough memory"},
    ]
    assert "STATE" not in run("models", "list")
    with control_socket.serve(home, {"models": lambda: {"models": states}}):
        printed = run("models", "list")
        listed = json.loads(run("models", "list", "--json"))["models"]
    lines = dict(re.findall(r"^  ([a-d]) (.*)$", printed, re.MULTILINE))
    expected = {
        "a": "loaded (2 workers, about 3.00 GB)",
        "b": "not loaded",
        "c": "failed: not enough memory",
    }
    assert {model["model"]: model["state"] for model in listed} == {**expected, "d": None}
    for model, state in {**expected, "d": "not served; run: daguerre models reload"}.items():
        assert lines[model].endswith(state)


def test_server_without_an_answer(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The catalog's models are listed nevertheless, with a warning."""
    home.mkdir()
    with control_socket.serve(home, {}):
        assert main.main(["models", "list"]) == 0
    printed = capsys.readouterr()
    assert "STATE" not in printed.out and "warning: unknown command 'models'" in printed.err


def test_promote(run: Callable[..., str], fails: Callable[..., str], home: Path) -> None:
    """`promote` prints the models that the server had refused."""
    assert "no server runs" in fails("models", "promote")
    home.mkdir()
    for models, words in ((["a", "b"], "a, b"), ([], "no model was refused")):
        with control_socket.serve(home, {"promote": lambda: {"models": models}}):  # noqa: B023
            assert run("models", "promote") == f"Promoted: {words}.\n"


def test_reload(run: Callable[..., str], fails: Callable[..., str], home: Path) -> None:
    """`reload` prints what has changed, or why nothing has."""
    assert "no server runs" in fails("models", "reload")
    home.mkdir()
    with control_socket.serve(home, {"reload": lambda: {"changes": "added b"}}):
        assert run("models", "reload") == "Reloaded the catalog: added b.\n"
    with control_socket.serve(home, {"reload": lambda: {"error": "it is not TOML"}}):
        assert "it is not TOML" in fails("models", "reload")


def test_keys_are_not_listed(run: Callable[..., str], home: Path) -> None:
    """Only `config` shows a key."""
    printed = run("models", "create", MODEL, "--as", "FOX")
    printed += run("models", "list") + run("models", "list", "--json")
    printed += run("models", "info", "FOX") + run("models", "rotate", "FOX") + run("info")
    key = credentials.read(home)["FOX"].key
    assert key not in printed and re.search(r"inf-[\w-]{20}", printed) is None
    assert key in run("config")


def test_unknown_model_is_refused(
    fails: Callable[..., str], monkeypatch: pytest.MonkeyPatch, home: Path
) -> None:
    """An unknown model gets no resource; the nearest name is suggested."""
    models = {MODEL: EmbeddedConfig(), "flux-dev": EmbeddedConfig()}
    monkeypatch.setattr(factory, "read_catalog", lambda settings: Catalog(home, models))
    near = fails("models", "create", "stabel-image-ultra", "--as", "FOX")
    assert "no model 'stabel-image-ultra'; did you mean 'stable-image-ultra'?" in near
    far = fails("models", "create", "dall-e-3", "--as", "FOX")
    assert f"no model 'dall-e-3'; models: {MODEL}, flux-dev" in far
    with opened(home) as store:
        assert store.list() == ()


def test_model_of_a_path(run: Callable[..., str], home: Path) -> None:
    """A model that has a resource gets another one, also without a table in the catalog."""
    with opened(home) as store:
        store.create("dreamy-xl", "DREAMY")
    assert "Created FOX, a resource of dreamy-xl" in run(
        "models", "create", "dreamy-xl", "--as", "FOX"
    )


def test_destroy_asks(
    run: Callable[..., str],
    fails: Callable[..., str],
    home: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Without the alias as confirmation, nothing is removed, with and without a terminal."""
    run("models", "create", MODEL, "--as", "FOX")
    monkeypatch.setattr("sys.stdin", io.StringIO(""))
    assert "add --confirm FOX" in fails("models", "destroy", "FOX")
    assert "'DOG' is not FOX" in fails("models", "destroy", "FOX", "--confirm", "DOG")
    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    monkeypatch.setattr("click.prompt", lambda *args, **kwargs: "dog")
    assert "'dog' is not FOX" in fails("models", "destroy", "FOX")
    with opened(home) as store:
        assert store.get("FOX")
    monkeypatch.setattr("click.prompt", lambda *args, **kwargs: "fox")
    run("models", "destroy", "FOX")
    with opened(home) as store:
        assert store.list() == ()
