"""The training set: a scene and its captions depend only on the seed and its number."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from daguerre.models.embedded import fields
from daguerre.models.embedded.drawing import SHAPES, Scene
from training import make_dataset, phrasing

Made = tuple[Scene, str, str]


@pytest.fixture(scope="module")
def made() -> list[Made]:
    """The first scenes of seed 5 with their captions and negative prompts."""
    return [make_dataset.make(5, index) for index in range(700)]


def test_a_scene_depends_on_seed_and_number(made: list[Made]) -> None:
    """A scene is the same in any order; other seeds and numbers give others."""
    again = [make_dataset.make(5, index) for index in reversed(range(40))]
    assert made[:40] == again[::-1]
    other = [make_dataset.make(6, index) for index in range(40)]
    assert all(a[0] != b[0] for a, b in zip(made, other, strict=False))
    assert len({scene.seed for scene, _, _ in made}) == len(made)


def test_squares_have_their_share(made: list[Made]) -> None:
    """Squares are the most common shape; each of the others has its share."""
    found = [SHAPES.index((scene.width, scene.height)) for scene, _, _ in made]
    shares = np.bincount(found, minlength=len(SHAPES)) / len(found)
    assert shares[0] == pytest.approx(make_dataset.SQUARE_SHARE, abs=0.06)
    rest = (1 - make_dataset.SQUARE_SHARE) / (len(SHAPES) - 1)
    assert (np.abs(shares[1:] - rest) < 0.035).all()


def test_some_captions_say_nothing(made: list[Made]) -> None:
    """About one of fifty captions is junk, as in negative prompts, and has no negative prompt."""
    words = {*phrasing._JUNK}
    junk = [negative for _, caption, negative in made if {*caption.split(", ")} <= words]
    assert phrasing.JUNK_SHARE / 3 < len(junk) / len(made) < phrasing.JUNK_SHARE * 2
    assert set(junk) == {""}


def test_words_are_never_empty(made: list[Made]) -> None:
    """Every scene has a caption; about half have a negative prompt."""
    assert all(caption.strip() for _, caption, _ in made)
    share = np.mean([bool(negative) for _, _, negative in made])
    assert 0.4 < share < 0.6


def read(folder: Path) -> tuple[dict[str, Any], list[str], list[str]]:
    texts = [
        json.loads((folder / f"{name}.json").read_text()) for name in ("captions", "negatives")
    ]
    with np.load(folder / "scenes.npz") as arrays:
        return dict(arrays), texts[0], texts[1]


def test_files_hold_what_was_made(tmp_path: Path) -> None:
    """Rows are the tokens, shapes and captions of the scenes, in order."""
    make_dataset.write(tmp_path / "new", num=25, seed=3)
    arrays, captions, negatives = read(tmp_path / "new")
    assert arrays["tokens"].shape == (25, len(fields.FIELDS))
    assert (arrays["tokens"].dtype, arrays["shapes"].dtype) == (np.int16, np.int8)
    for index, words in enumerate(zip(captions, negatives, strict=True)):
        scene, *wanted = make_dataset.make(3, index)
        assert list(words) == wanted
        assert np.array_equal(arrays["tokens"][index], fields.encode(scene))
        assert SHAPES[arrays["shapes"][index]] == (scene.width, scene.height)
    assert len(captions) == 25


def test_a_longer_set_begins_with_the_shorter(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """More scenes are appended without changing the first ones, for any number of workers."""
    make_dataset.write(tmp_path / "short", num=10, seed=4)
    monkeypatch.setattr(make_dataset, "RUN", 7)
    make_dataset.write(tmp_path / "long", num=16, seed=4, workers=2)
    short, long = read(tmp_path / "short"), read(tmp_path / "long")
    assert [len(part) for part in long] == [2, 16, 16]
    assert (long[1][:10], long[2][:10]) == short[1:]
    for name in ("tokens", "shapes"):
        assert np.array_equal(long[0][name][:10], short[0][name])


def test_every_token_fits_its_type() -> None:
    """All values of a field, and its mask, fit the integer type of the file."""
    assert fields.MASKED.max() < np.iinfo(np.int16).max
    assert len(SHAPES) < np.iinfo(np.int8).max
