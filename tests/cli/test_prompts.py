"""`daguerre generate --prompts` and the contact sheet."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from conftest import FakeEngine, flat_colour
from PIL import Image

from daguerre.cli import main
from daguerre.cli.contact_sheet import ContactSheet
from daguerre.errors import InternalError
from daguerre.params import GeneratedImage, ImageParams, ModelInfo


def test_one_image_per_line(run: Callable[..., str], engine: FakeEngine) -> None:
    """Each line is one image, named by its number and words; blank lines are skipped."""
    Path("prompts.txt").write_text(
        "a red fox\n\n  Ein Bär, nachts!  \r\n狐\n", encoding="utf-8-sig"
    )
    printed = run("generate", "--prompts", "prompts.txt", "-o", "out", "--seed", "4")
    names = ["1-a-red-fox.png", "2-ein-bar-nachts.png", "3.png"]
    assert sorted(path.name for path in Path("out").iterdir()) == names
    assert [params.prompt for params in engine.params] == ["a red fox", "Ein Bär, nachts!", "狐"]
    assert {params.seed for params in engine.params} == {4}
    assert [line.split("  ")[0] for line in printed.splitlines()] == [f"out/{n}" for n in names]
    for name, params in zip(names, engine.params, strict=True):
        with Image.open(Path("out") / name) as image:
            assert image.getpixel((0, 0)) == flat_colour(params)
    assert (engine.num_starts, engine.num_stops) == (1, 1)


def test_prompts_from_standard_input(
    run: Callable[..., str], engine: FakeEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`--prompts -` reads standard input; without --seed each image has its own seed."""
    monkeypatch.setattr("sys.stdin", SimpleNamespace(buffer=io.BytesIO(b"a\nb")))
    run("generate", "--prompts", "-", "-o", ".", "--output-format", "jpeg")
    assert Path("1-a.jpg").exists() and Path("2-b.jpg").exists()
    assert len({params.seed for params in engine.params}) == 2


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--prompts", "good.txt"], "give a file to write with -o"),
        (["-o", "x.png"], "give either a PROMPT or a file"),
        (["a fox", "--prompts", "good.txt", "-o", "x.png"], "give either a PROMPT or a file"),
        (["--prompts", "none.txt", "-o", "out"], "none.txt: No such file"),
        (["--prompts", "empty.txt", "-o", "out"], "empty.txt contains no prompt"),
        (["--prompts", "latin.txt", "-o", "out"], "latin.txt: it is not UTF-8"),
        (["--prompts", "long.txt", "-o", "out"], "line 2 of long.txt: prompt is"),
        (["--prompts", "good.txt", "-o", "out", "--seed", "-1"], "seed is -1"),
        (["--prompts", "good.txt", "-o", "good.txt"], "good.txt is a file; give a directory"),
        (["--prompts", "good.txt", "-o", "no/where"], "cannot create the directory no/where"),
        (["--prompts", "good.txt", "-o", "-"], "several images need a directory"),
        (
            ["--prompts", "good.txt", "--sheet", "-"],
            "the contact sheet cannot go to standard output",
        ),
        (["--prompts", "good.txt", "--sheet", "x.gif"], "the suffix of x.gif is none of"),
        (["--prompts", "good.txt", "--sheet", "no/x.png"], "the directory no does not exist"),
    ],
)
def test_refused(
    fails: Callable[..., str], engine: FakeEngine, arguments: list[str], message: str
) -> None:
    """Invalid arguments fail before the engine starts."""
    Path("good.txt").write_text("a fox\n")
    Path("empty.txt").write_text(" \n\n")
    Path("latin.txt").write_bytes(b"b\xe4r\n")
    Path("long.txt").write_text("a fox\n" + "x" * 10_001)
    assert message in fails("generate", *arguments)
    assert engine.num_starts == 0


def test_failure_keeps_earlier_images(
    capsys: pytest.CaptureFixture[str], engine: FakeEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If the second image fails, the first one stays and the error is printed."""
    made = engine._last

    def last(params: ImageParams) -> object:
        engine.failure = InternalError("broke") if params.prompt == "b" else None
        return made(params)

    monkeypatch.setattr(engine, "_last", last)
    Path("prompts.txt").write_text("a\nb\nc\n")
    assert main.main(["generate", "--prompts", "prompts.txt", "-o", "out"]) == main.EXIT_FAILURE
    assert [path.name for path in Path("out").iterdir()] == ["1-a.png"]
    assert "broke" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["sheet.png", "sheet.jpg"])
def test_sheet(run: Callable[..., str], engine: FakeEngine, name: str) -> None:
    """The sheet shows every image in the format of its suffix; -o is not needed."""
    Path("prompts.txt").write_text("a\nb\nc\n")
    assert name in run("generate", "--prompts", "prompts.txt", "--sheet", name, "--seed", "1")
    assert sorted(path.name for path in Path().iterdir()) == sorted(["prompts.txt", name])
    with Image.open(name) as sheet:
        assert sheet.format == ("PNG" if name.endswith("png") else "JPEG")
        pixels = np.asarray(sheet.convert("RGB")).astype(int)
    for params in engine.params:
        near = np.abs(pixels - flat_colour(params)).max(axis=2) < 12
        assert near.sum() > 0.9 * 400 * 400


def sheet_of(*prompts: str, size: tuple[int, int] = (1536, 640)) -> Image.Image:
    sheet = ContactSheet()
    for prompt in prompts:
        params = ImageParams("m", prompt, width=size[0], height=size[1])
        pixels = np.full((size[1], size[0], 3), 128, np.uint8)
        sheet.add(GeneratedImage(pixels, params, ModelInfo("m", "0" * 64, 0)))
    return Image.fromarray(sheet.pixels())


@pytest.mark.parametrize("count", [1, 2, 3, 5, 10])
def test_sheet_shows_each_image_once(count: int) -> None:
    """Each image has one cell."""
    grey = np.all(np.asarray(sheet_of(*["fox"] * count)) == 128, axis=2)
    assert grey.sum() == count * 400 * 167


@pytest.mark.parametrize("prompt", ["word " * 500, "x" * 5000, "狐" * 300, "\n\n a \t b"])
def test_sheet_with_any_prompt(prompt: str) -> None:
    """A caption of any length stays in its column."""
    sheet = np.asarray(sheet_of(prompt, "b", "c"))
    gap = sheet[:, 28 + 400 + 3 : 28 + 400 + 25]
    assert np.all(gap == (250, 251, 251))


@pytest.mark.parametrize("prompt", ["W" * 500, "MMMMMMM " * 60])
def test_sheet_cuts_no_caption(prompt: str) -> None:
    """Lines of wide characters are wrapped before the right edge of their cell."""
    sheet = np.asarray(sheet_of(prompt, size=(1024, 1024)))
    captions = sheet[28 + 400 :, 28 : 28 + 400]
    ink = np.any(captions != (250, 251, 251), axis=(0, 2))
    assert ink[300:].any() and not ink[398:].any()
