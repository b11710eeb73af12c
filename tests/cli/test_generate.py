"""`daguerre generate`: the file, its options, and how it ends."""

from __future__ import annotations

import io
import os
import re
import resource
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest
from conftest import MODEL, FakeEngine, flat_colour
from PIL import Image

from cli.conftest import environment
from daguerre.cli import main
from daguerre.engine.interface import EngineStats
from daguerre.errors import InternalError
from daguerre.params import ImageParams

# An engine whose only model fails as the test asks.
BROKEN = """
import sys
import daguerre.factory
from conftest import MODEL
from daguerre.cli.main import main
from daguerre.engine.thread_engine import ThreadEngine
from engine.networks import ToyModel
def fail():
    raise OSError("no weights")
model = ToyModel(name=MODEL, **({"on_load": fail} if sys.argv[1] == "load" else {}))
engine = ThreadEngine([model], max_queued_jobs=1, max_running_jobs=1)
daguerre.factory.build_engine = lambda settings, only: engine
sys.exit(main(["generate", sys.argv[2], "-o", "x.png"]))
"""


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
        (["-o", ""], "the empty name is a folder"),
        (["-o", "x" * 300 + ".png"], "cannot be a file: File name too long"),
        (["-o", "loop.png"], "cannot be a file: Symlink loop"),
    ],
)
def test_generate_refuses(
    fails: Callable[..., str], engine: FakeEngine, arguments: list[str], told: str
) -> None:
    """A value that the server would refuse is refused here in the same words, before any work."""
    Path("loop.png").symlink_to("loop.png")
    assert told in fails("generate", "a fox", "-o", "x.png", *arguments)
    assert engine.num_starts == 0 and not Path("x.png").exists()


def test_generate_refuses_an_empty_prompt(fails: Callable[..., str], engine: FakeEngine) -> None:
    """A prompt of white space is refused as the server refuses it."""
    assert "prompt is" in fails("generate", "  ", "-o", "x.png")


def test_generate_to_stdout(engine: FakeEngine, capsysbinary: pytest.CaptureFixture[bytes]) -> None:
    """`-o -` writes the file alone to standard output, and the facts to stderr."""
    assert main.main(["generate", "a fox", "-o", "-", "--seed", "3"]) == 0
    captured = capsysbinary.readouterr()
    with Image.open(io.BytesIO(captured.out)) as image:
        assert (image.format, image.size) == ("PNG", (1024, 1024))
    assert b"seed 3" in captured.err


def test_generate_failure(fails: Callable[..., str], engine: FakeEngine) -> None:
    """A fault in the engine is one line with status 1; the engine is stopped, no file is left."""
    engine.failure = InternalError("the network broke")
    assert "the network broke" in fails(
        "generate", "a fox", "-o", "x.png", status=main.EXIT_FAILURE
    )
    assert engine.num_stops == 1 and not Path("x.png").exists()


@pytest.mark.parametrize(
    ("when", "told"),
    [
        ("load", f"the model {MODEL} could not be loaded: OSError: no weights"),
        ("job", "the image could not be made: ZeroDivisionError('poison in the pipeline')"),
    ],
)
def test_generate_with_a_broken_model(when: str, told: str) -> None:
    """A model that fails is one line with its reason, and no traceback (a bug was)."""
    done = subprocess.run(
        [sys.executable, "-c", BROKEN, when, "poison"],
        env=environment(),
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stdout, done.stderr) == (
        main.EXIT_FAILURE,
        "",
        f"daguerre: {told}\n",
    )
    assert not Path("x.png").exists()


@contextmanager
def full_disk() -> Iterator[None]:
    """No file of this process gets beyond 100 bytes."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)


def test_generate_on_a_full_disk(fails: Callable[..., str], engine: FakeEngine) -> None:
    """An image that cannot be written leaves what was there, and no half of a file (a bug was)."""
    Path("x.png").write_bytes(b"the one of yesterday")
    with full_disk():
        assert "cannot write x.png" in fails("generate", "a fox", "-o", "x.png")
    assert Path("x.png").read_bytes() == b"the one of yesterday"
    assert [path.name for path in Path().iterdir()] == ["x.png"]


def test_generate_over_a_file(run: Callable[..., str], engine: FakeEngine) -> None:
    """A file that is replaced keeps its permissions, and a link still leads to it."""
    Path("x.png").write_bytes(b"old")
    Path("x.png").chmod(0o640)
    Path("link.png").symlink_to("x.png")
    run("generate", "a fox", "-o", "link.png")
    assert Path("link.png").is_symlink() and Path("x.png").stat().st_mode & 0o777 == 0o640
    assert Path("x.png").read_bytes().startswith(b"\x89PNG")


def test_generate_into_a_pipe(run: Callable[..., str], engine: FakeEngine) -> None:
    """A pipe and a device are written to, and stay what they are."""
    run("generate", "a fox", "-o", "/dev/null", "--output-format", "png")
    assert Path("/dev/null").is_char_device()
    os.mkfifo("x.png")
    with ThreadPoolExecutor(1) as pool:
        read = pool.submit(Path("x.png").read_bytes)
        run("generate", "a fox", "-o", "x.png")
        assert read.result(20).startswith(b"\x89PNG")
    assert Path("x.png").is_fifo()


def test_generate_waits_for_the_model(
    run: Callable[..., str], engine: FakeEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While the model loads, the command waits instead of failing."""
    engine.is_ready = False
    stats, asked = engine.stats, []

    def soon_ready() -> EngineStats:
        asked.append(stats())
        engine.is_ready = len(asked) == 3
        return stats()

    monkeypatch.setattr(engine, "stats", soon_ready)
    run("generate", "a fox", "-o", "x.png")
    assert len(asked) == 3 and len(engine.params) == 1


def test_generate_interrupted(engine: FakeEngine, capsys: pytest.CaptureFixture[str]) -> None:
    """Ctrl-C ends quietly with 130, and the engine is stopped."""
    engine.failure = None
    engine.refusal = KeyboardInterrupt()  # type: ignore[assignment]
    assert main.main(["generate", "a fox", "-o", "x.png"]) == main.EXIT_SIGINT
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
