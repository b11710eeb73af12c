"""`daguerre generate`: output files, options, errors and interrupts."""

from __future__ import annotations

import io
import os
import re
import resource
import signal
import subprocess
import sys
import threading
from collections.abc import AsyncGenerator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import click
import pytest
from conftest import MODEL, FakeEngine, flat_colour
from PIL import Image
from pydantic import BaseModel, Field

from cli.conftest import environment
from daguerre.cli import main
from daguerre.cli.request_options import request_option
from daguerre.engine.interface import EngineStats
from daguerre.errors import InternalError
from daguerre.params import Event, ImageParams
from daguerre.protocol.parsing import describe_constraint, field_schemas
from daguerre.protocol.request import HTTP_ONLY

# The only model of this engine fails while it loads or in a job.
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
daguerre.factory.build_engine = lambda settings, catalog: engine
sys.exit(main(["generate", sys.argv[2], "-o", "x.png"]))
"""


@pytest.mark.parametrize(
    ("name", "kind"), [("x.png", "PNG"), ("x.jpg", "JPEG"), ("x.JPEG", "JPEG")]
)
def test_generate(run: Callable[..., str], engine: FakeEngine, name: str, kind: str) -> None:
    """The file has the format of its suffix and the pixels of the engine."""
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
    """Every option reaches the engine with the value that the server would resolve."""
    run(
        *("generate", "a fox", "-o", "x.png", "--negative-prompt", "a dog", "--seed", "5"),
        *("--aspect-ratio", "16:9", "--output-format", "jpeg", "--output-compression", "33"),
        *("--model", MODEL),
    )
    assert engine.params == [ImageParams(MODEL, "a fox", "a dog", 1344, 768, 5, "jpeg", 33)]


def test_generate_random_seed(run: Callable[..., str], engine: FakeEngine) -> None:
    """Without --seed each image has its own random seed, which is printed."""
    seeds = [re.search(r"seed (\d+)", run("generate", "fox", "-o", "x.png")) for _ in range(2)]
    printed = [int(seed.group(1)) for seed in seeds if seed]
    assert printed == [params.seed for params in engine.params]
    assert printed[0] != printed[1]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--size", "12x12"], 'size is "12x12"; it must be one of'),
        (["--aspect-ratio", "7:5"], 'aspect_ratio is "7:5"; it must be one of'),
        (["--seed", "x"], 'seed is "x"; it must be an integer from 0 to 4294967295'),
        (["--seed", "-1"], "seed is -1; it must be an integer from 0 to 4294967295"),
        (["--size", "1344x768", "--aspect-ratio", "1:1"], "send only one of them"),
        (["--output-format", "webp"], 'output_format is "webp"; it must be one of'),
        (["-o", "x.webp"], "the suffix of x.webp is none of .png, .jpg, .jpeg"),
        (["-o", "nowhere/x.png"], "the directory nowhere does not exist"),
        (["-o", "."], ". is a directory"),
        (["-o", ""], "the name of the file is empty"),
        (["-o", "x" * 300 + ".png"], "cannot be a file: File name too long"),
        (["-o", "loop.png"], "cannot be a file: Symlink loop"),
    ],
)
def test_generate_refuses(
    fails: Callable[..., str], engine: FakeEngine, arguments: list[str], message: str
) -> None:
    """An invalid value fails with the server's message, before the engine starts."""
    Path("loop.png").symlink_to("loop.png")
    assert message in fails("generate", "a fox", "-o", "x.png", *arguments)
    assert engine.num_starts == 0 and not Path("x.png").exists()


def test_extra_size_of_a_model(run: Callable[..., str], engine: FakeEngine, tmp_path: Path) -> None:
    """`--size` accepts the sizes that the catalog gives the model."""
    table = 'source = "diffusers"\npath = "sd"\nextra_sizes = ["512x512"]\n'
    catalog = tmp_path / "sizes.toml"
    catalog.write_text(f'[models."{MODEL}"]\n{table}')
    run("generate", "a fox", "-o", "x.png", "--catalog", str(catalog), "--size", "512x512")
    assert [(params.width, params.height) for params in engine.params] == [(512, 512)]


def test_options_follow_the_request_schema(run: Callable[..., str]) -> None:
    """The help lists every field that determines the image, with its constraint and default."""
    help = " ".join(run("generate", "--help").split())
    for name, schema in field_schemas().items():
        flag = f"--{name.replace('_', '-')}"
        assert (f" {flag} " in help) == (name != "prompt" and name not in HTTP_ONLY), name
        if f" {flag} " in help:
            assert describe_constraint(schema) in help
    assert "an integer from 0 to 4294967295]" in help
    assert "default the suffix of FILE" in help


class NewFields(BaseModel):
    """Fields of types that no option has yet."""

    guidance: float = Field(4.5, ge=0, le=30, description="Strength of the `prompt`.")
    upscale: bool = Field(False, description="Double the size.")


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ([], {"guidance": None, "upscale": None}),
        (["--guidance", "7"], {"guidance": 7.0, "upscale": None}),
        (["--guidance", "x", "--no-upscale"], {"guidance": "x", "upscale": False}),
        (["--upscale"], {"guidance": None, "upscale": True}),
    ],
)
def test_option_types(arguments: list[str], expected: dict[str, object]) -> None:
    """Numbers and booleans are converted; other text is left to the request validation."""
    options = [request_option(name, schema) for name, schema in field_schemas(NewFields).items()]
    command = click.Command("x", params=[*options], callback=lambda **given: given)
    assert command.main(arguments, standalone_mode=False) == expected
    help = command.get_help(click.Context(command))
    text = " ".join(help.split())
    assert "Strength of the prompt. [a number from 0 to 30; default 4.5]" in text


def test_generate_refuses_an_empty_prompt(fails: Callable[..., str], engine: FakeEngine) -> None:
    """A blank prompt fails with the server's message."""
    assert "prompt is" in fails("generate", "  ", "-o", "x.png")


def test_generate_to_stdout(engine: FakeEngine, capsysbinary: pytest.CaptureFixture[bytes]) -> None:
    """`-o -` writes only the file to standard output, and the seed to stderr."""
    assert main.main(["generate", "a fox", "-o", "-", "--seed", "3"]) == 0
    captured = capsysbinary.readouterr()
    with Image.open(io.BytesIO(captured.out)) as image:
        assert (image.format, image.size) == ("PNG", (1024, 1024))
    assert b"seed 3" in captured.err


def test_generate_failure(fails: Callable[..., str], engine: FakeEngine) -> None:
    """An engine error prints one line, exits with 1, stops the engine and leaves no file."""
    engine.failure = InternalError("the network broke")
    assert "the network broke" in fails(
        "generate", "a fox", "-o", "x.png", status=main.EXIT_FAILURE
    )
    assert engine.num_stops == 1 and not Path("x.png").exists()


@pytest.mark.parametrize(
    ("when", "message"),
    [
        ("load", f"the model {MODEL} could not be loaded: OSError: no weights"),
        ("job", "the image could not be generated: ZeroDivisionError('poison in the pipeline')"),
    ],
)
def test_generate_with_a_broken_model(when: str, message: str) -> None:
    """A failing model prints one line with the cause and no traceback."""
    done = subprocess.run(
        [sys.executable, "-c", BROKEN, when, "poison"],
        env=environment(),
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stdout, done.stderr) == (
        main.EXIT_FAILURE,
        "",
        f"daguerre: {message}\n",
    )
    assert not Path("x.png").exists()


@contextmanager
def full_disk() -> Iterator[None]:
    """Limits the files of this process to 100 bytes."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)


def test_generate_on_a_full_disk(fails: Callable[..., str], engine: FakeEngine) -> None:
    """A failed write keeps the previous file and leaves no partial file."""
    Path("x.png").write_bytes(b"previous")
    with full_disk():
        error = fails("generate", "a fox", "-o", "x.png", status=main.EXIT_FAILURE)
    assert error == "daguerre: cannot read or write x.png: File too large"
    assert Path("x.png").read_bytes() == b"previous"
    assert [path.name for path in Path().iterdir()] == ["x.png"]


def test_generate_over_a_file(run: Callable[..., str], engine: FakeEngine) -> None:
    """A replaced file keeps its permissions, and a symbolic link to it stays a link."""
    Path("x.png").write_bytes(b"old")
    Path("x.png").chmod(0o640)
    Path("link.png").symlink_to("x.png")
    run("generate", "a fox", "-o", "link.png")
    assert Path("link.png").is_symlink() and Path("x.png").stat().st_mode & 0o777 == 0o640
    assert Path("x.png").read_bytes().startswith(b"\x89PNG")


def test_generate_into_a_pipe(run: Callable[..., str], engine: FakeEngine) -> None:
    """A pipe and a device receive the image and are not replaced by a file."""
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
    """The command waits while the model loads."""
    engine.is_ready = False
    stats, calls = engine.stats, []

    def soon_ready() -> EngineStats:
        calls.append(stats())
        engine.is_ready = len(calls) == 3
        return stats()

    monkeypatch.setattr(engine, "stats", soon_ready)
    run("generate", "a fox", "-o", "x.png")
    assert len(calls) == 3 and len(engine.params) == 1


def test_generate_interrupted(
    engine: FakeEngine, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Ctrl-C ends quietly with 130, cancels the job and stops the engine."""
    engine.is_held = True

    def generate(params: ImageParams) -> AsyncGenerator[Event, None]:
        main_id = threading.main_thread().ident
        assert main_id is not None
        threading.Timer(0.1, signal.pthread_kill, [main_id, signal.SIGINT]).start()
        return FakeEngine.generate(engine, params)

    monkeypatch.setattr(engine, "generate", generate)
    assert main.main(["generate", "a fox", "-o", "x.png"]) == main.EXIT_SIGINT
    captured = capsys.readouterr()
    assert (captured.out, captured.err.strip()) == ("", "")
    assert (engine.num_cancelled, engine.num_stops) == (1, 1)


def test_progress_on_a_terminal(
    run: Callable[..., str], engine: FakeEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A terminal shows a progress bar on stderr; a pipe shows nothing."""

    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    pipe, terminal = io.StringIO(), Terminal()
    for stream in (pipe, terminal):
        monkeypatch.setattr("sys.stderr", stream)
        run("generate", "a fox", "-o", "x.png")
    assert pipe.getvalue() == ""
    assert "denoising" in terminal.getvalue() and "100%" in terminal.getvalue()
