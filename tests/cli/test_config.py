"""`daguerre config`: the variables of an application in every format."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import MODEL

from cli.conftest import environment, opened
from daguerre.cli import credentials, main


@pytest.fixture
def diffusion(run: Callable[..., str]) -> None:
    run("models", "create", MODEL, "--as", "DIFFUSION")


def test_config_without_resources(
    run: Callable[..., str], fails: Callable[..., str], home: Path
) -> None:
    """Without a resource, it creates none and names the command that does, also after `destroy`."""
    message = "no resources; create one with 'daguerre models create MODEL --as ALIAS'"
    assert message in fails("config")
    run("models", "create", MODEL, "--as", "FOX")
    run("models", "destroy", "FOX", "--confirm", "FOX")
    assert message in fails("config")
    with opened(home) as store:
        assert store.list() == ()


def test_config_has_a_valid_key(diffusion: None, run: Callable[..., str], home: Path) -> None:
    """It prints the three variables of DIFFUSION, with a valid key."""
    variables = json.loads(run("config", "--json"))
    assert list(variables) == ["DIFFUSION_URL", "DIFFUSION_KEY", "DIFFUSION_MODEL_ID"]
    assert variables["DIFFUSION_URL"] == "http://127.0.0.1:8000"
    assert variables["DIFFUSION_MODEL_ID"] == MODEL
    with opened(home) as store:
        resource = store.authenticate(variables["DIFFUSION_KEY"])
    assert resource and resource.alias == "DIFFUSION"
    assert json.loads(run("config", "--json")) == variables


def test_config_forms(diffusion: None, run: Callable[..., str], fails: Callable[..., str]) -> None:
    """The table, the shell lines and the JSON have the same content."""
    variables = json.loads(run("config", "--json"))
    assert run("config", "--shell") == "".join(f"{n}={v}\n" for n, v in variables.items())
    lines = [line.split(":", 1) for line in run("config").splitlines()]
    assert {name: value.strip() for name, value in lines} == variables
    assert "give either --shell or --json" in fails("config", "--shell", "--json")


def test_config_of_one_resource(run: Callable[..., str]) -> None:
    """`--as` prints one resource; the default is all."""
    for alias in ("FOX", "DOG"):
        run("models", "create", MODEL, "--as", alias)
    prefixes = {name.split("_")[0] for name in json.loads(run("config", "--json"))}
    assert prefixes == {"FOX", "DOG"}
    one = json.loads(run("config", "--json", "--as", "dog"))
    assert list(one) == ["DOG_URL", "DOG_KEY", "DOG_MODEL_ID"]


def test_shell_lines_can_be_evaluated(diffusion: None, home: Path) -> None:
    """The managed service's own command line sets the variables, with special characters."""
    url = "http://host:1/a b;$(touch owned)'\"&"
    credentials.set_url(home, url)
    script = (
        f'eval "$({sys.executable} -m daguerre config --shell'
        " | grep '^DIFFUSION_' | sed 's/^/export /')\";"
        " printenv DIFFUSION_URL DIFFUSION_KEY DIFFUSION_MODEL_ID"
    )
    done = subprocess.run(
        ["bash", "-c", script], env=environment(), capture_output=True, text=True, check=True
    )
    key = credentials.read(home)["DIFFUSION"].key
    assert done.stdout.splitlines() == [url, key, MODEL]
    assert not Path("owned").exists()


def test_public_url_is_shown(diffusion: None, run: Callable[..., str]) -> None:
    """`--public-url` is printed for an existing resource, and is not stored."""
    stored = json.loads(run("config", "--json"))
    shown = json.loads(run("config", "--json", "--public-url", "https://images.example/"))
    assert shown == {**stored, "DIFFUSION_URL": "https://images.example"}
    assert json.loads(run("config", "--json")) == stored


def test_lost_key(
    diffusion: None,
    run: Callable[..., str],
    fails: Callable[..., str],
    capsys: pytest.CaptureFixture[str],
    home: Path,
) -> None:
    """If the credentials file lacks a key, the error names the command that replaces it."""
    (home / credentials.FILE_NAME).unlink()
    message = "the key of DIFFUSION is not in this data directory"
    assert message in fails("config", "--as", "DIFFUSION")
    assert main.main(["config", "--shell"]) == main.EXIT_USAGE
    captured = capsys.readouterr()
    assert captured.out == "" and "daguerre models rotate DIFFUSION" in captured.err
    run("models", "create", MODEL, "--as", "FOX")
    assert main.main(["config", "--shell"]) == 0
    captured = capsys.readouterr()
    assert "FOX_KEY" in captured.out and "DIFFUSION" not in captured.out
    assert "daguerre models rotate DIFFUSION" in captured.err
    run("models", "rotate", "DIFFUSION")
    assert "DIFFUSION_KEY" in run("config")
