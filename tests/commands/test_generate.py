"""`daguerre generate`: the file, its options, and how it ends."""

from __future__ import annotations

import io
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import MODEL, FakeEngine, flat_colour
from PIL import Image

from daguerre import cli
from daguerre.errors import InternalError, NotReady
from daguerre.params import ImageParams


@pytest.mark.parametrize(
    ("name", "kind"), [("x.png", "PNG"), ("x.jpg", "JPEG"), ("x.JPEG", "JPEG")]
)
def test_generate(run: Callable[..., str], engine: FakeEngine, name: str, kind: str) -> None:
    """The file is there, in the format of its name, with the pixels that the engine made."""
    printed = run("generate", "a red fox", "-o", name, "--seed", "7", "--size", "1344x768")
    assert re.fullmatch(rf"{name}  seed 7  \d+\.\d s\n", printed)
    with Image.open(name) as image:
        assert (image.format, image.size) == (kind, (1344, 768))
        colour = flat_colour(engine.params[0])
        near = image.getpixel((5, 5))
    assert isinstance(near, tuple)
    assert max(abs(a - b) for a, b in zip(near, colour, strict=True)) <= (kind == "JPEG") * 3
    assert (engine.num_starts, engine.num_stops) == (1, 1)


def test_generate_passes_every_option(run: Callable[..., str], engine: FakeEngine) -> None:
    """Every option reaches the engine as the server would resolve it."""
    run(
        *("generate", "a fox", "-o", "x.png", "--negative-prompt", "a dog", "--seed", "5"),
        *("--aspect-ratio", "16:9", "--output-format", "jpeg", "--output-compression", "33"),
        *("--model", MODEL),
    )
    assert engine.params == [ImageParams(MODEL, "a fox", "a dog", 1344, 768, 5, "jpeg", 33)]


def test_generate_draws_a_seed(run: Callable[..., str], engine: FakeEngine) -> None:
    """Without a seed each image has its own, which is printed."""
    seeds = [re.search(r"seed (\d+)", run("generate", "fox", "-o", "x.png")) for _ in range(2)]
    printed = [int(seed.group(1)) for seed in seeds if seed]
    assert printed == [params.seed for params in engine.params]
    assert printed[0] != printed[1]


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--size", "12x12"], 'size is "12x12"; it must be one of'),
        (["--aspect-ratio", "7:5"], 'aspect_ratio is "7:5"; it must be one of'),
        (["--seed", "-1"], "seed is -1; it must be an integer from 0 to 4294967295"),
        (["--size", "1344x768", "--aspect-ratio", "1:1"], "send only one of them"),
        (["--output-format", "webp"], 'output_format is "webp"; it must be one of'),
        (["-o", "x.webp"], "x.webp ends in none of .png, .jpg, .jpeg"),
        (["-o", "nowhere/x.png"], "the folder nowhere does not exist"),
        (["-o", "."], ". is a folder"),
    ],
)
def test_generate_refuses(
    fails: Callable[..., str], engine: FakeEngine, arguments: list[str], told: str
) -> None:
    """A value that the server would refuse is refused here in the same words, before any work."""
    assert told in fails("generate", "a fox", "-o", "x.png", *arguments)
    assert engine.num_starts == 0 and not Path("x.png").exists()


def test_generate_refuses_an_empty_prompt(fails: Callable[..., str], engine: FakeEngine) -> None:
    """A prompt of white space is refused as the server refuses it."""
    assert "prompt is" in fails("generate", "  ", "-o", "x.png")


def test_generate_to_stdout(engine: FakeEngine, capsysbinary: pytest.CaptureFixture[bytes]) -> None:
    """`-o -` writes the file alone to standard output, and the facts to stderr."""
    assert cli.main(["generate", "a fox", "-o", "-", "--seed", "3"]) == 0
    captured = capsysbinary.readouterr()
    with Image.open(io.BytesIO(captured.out)) as image:
        assert (image.format, image.size) == ("PNG", (1024, 1024))
    assert b"seed 3" in captured.err


def test_generate_failure(fails: Callable[..., str], engine: FakeEngine) -> None:
    """A fault in the engine is one line with status 1; the engine is stopped, no file is left."""
    engine.failure = InternalError("the network broke")
    assert "the network broke" in fails("generate", "a fox", "-o", "x.png", status=cli.FAULT)
    assert engine.num_stops == 1 and not Path("x.png").exists()


def test_generate_waits_for_the_model(
    run: Callable[..., str], engine: FakeEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While the model loads, the command waits instead of failing."""
    engine.refusal = NotReady("loading", retry_after_s=5)
    slept: list[float] = []

    async def sleep(seconds: float) -> None:
        slept.append(seconds)
        if len(slept) == 3:
            engine.refusal = None

    monkeypatch.setattr("asyncio.sleep", sleep)
    run("generate", "a fox", "-o", "x.png")
    assert len(slept) == 3 and len(engine.params) == 1


def test_generate_interrupted(engine: FakeEngine, capsys: pytest.CaptureFixture[str]) -> None:
    """Ctrl-C ends quietly with 130, and the engine is stopped."""
    engine.failure = None
    engine.refusal = KeyboardInterrupt()  # type: ignore[assignment]
    assert cli.main(["generate", "a fox", "-o", "x.png"]) == cli.INTERRUPTED
    captured = capsys.readouterr()
    assert (captured.out, captured.err.strip()) == ("", "")
    assert engine.num_stops == 1


def test_progress_on_a_terminal(
    run: Callable[..., str], engine: FakeEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a terminal a bar fills with the steps, on stderr; elsewhere there is none."""

    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    pipe, terminal = io.StringIO(), Terminal()
    for stream in (pipe, terminal):
        monkeypatch.setattr("sys.stderr", stream)
        run("generate", "a fox", "-o", "x.png")
    assert pipe.getvalue() == ""
    assert "denoising" in terminal.getvalue() and "100%" in terminal.getvalue()
