"""The gallery of the docs: its generator, and the commands that its page shows."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
from conftest import MODEL, FakeEngine, flat_colour
from PIL import Image

import daguerre
from daguerre import factory
from daguerre.config import Settings
from daguerre.params import SIZES
from docs import gallery


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch) -> FakeEngine:
    fake = FakeEngine()
    monkeypatch.setattr(factory, "build_engine", lambda settings, catalog: fake)
    return fake


def draw(folder: Path, entries: tuple[gallery.Entry, ...]) -> list[daguerre.Image]:
    settings = Settings(home=folder / "home", embed_prompt=True)
    with daguerre.Model.from_settings(settings, MODEL) as model:
        return gallery.draw(model, entries)


def test_page_and_pictures(tmp_path: Path, engine: FakeEngine) -> None:
    """Every entry has a picture of its shape; pictures of an earlier run are deleted."""
    entries = gallery.ENTRIES
    stale = tmp_path / gallery.PICTURES / "99.jpg"
    stale.parent.mkdir(parents=True)
    stale.write_bytes(b"old")
    images = draw(tmp_path, entries)
    gallery.write(tmp_path, entries, images)
    page = (tmp_path / gallery.PAGE).read_text("utf-8")
    links = re.findall(r"^!\[(.+)\]\((.+)\)$", page, re.MULTILINE)
    assert [alt for alt, _ in links] == [entry.prompt for entry in entries]
    files = sorted((tmp_path / gallery.PICTURES).iterdir())
    assert files == [tmp_path / link for _, link in links]
    for entry, file, params in zip(entries, files, engine.params, strict=True):
        with Image.open(file) as image:
            assert image.size == SIZES[entry.aspect_ratio]
            pixel = image.convert("RGB").getpixel((9, 9))
        assert isinstance(pixel, tuple)
        assert max(abs(a - b) for a, b in zip(pixel, flat_colour(params), strict=True)) <= 3


def test_commands_make_the_same_request(tmp_path: Path, engine: FakeEngine) -> None:
    """The command below a picture makes the same request as the generator."""
    from daguerre.cli.generate import generate
    from daguerre.protocol.parsing import parse_request

    entries = gallery.ENTRIES
    images = draw(tmp_path, entries)
    lines = re.findall(r"^\$ daguerre generate (.+)$", gallery.page(entries, images), re.MULTILINE)
    assert len(lines) == len(entries)
    for line, entry in zip(lines, entries, strict=True):
        context = generate.make_context("generate", shlex.split(line))
        given = {name: value for name, value in context.params.items() if value is not None}
        assert given.pop("output").endswith(".jpg") and given.pop("embed_prompt")
        params = parse_request({"model": MODEL, "output_format": "jpeg", **given}).to_image_params()
        assert params == entry.params(MODEL)


def test_gallery_shows_all_shapes() -> None:
    """The gallery has all nine shapes and no prompt twice."""
    assert {entry.aspect_ratio for entry in gallery.ENTRIES} == set(SIZES)
    assert len({entry.prompt for entry in gallery.ENTRIES}) == len(gallery.ENTRIES)
