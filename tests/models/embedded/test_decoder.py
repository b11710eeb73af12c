"""The decoder: converts tokens to pixels, row by row."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from daguerre.models.embedded import fields
from daguerre.models.embedded.decoder import SceneDecoder, code_points, words_from
from daguerre.models.embedded.drawing import SHAPES, Scene, SceneObject, render, things
from daguerre.params import SIZES

CAT = SceneObject("cat", things.looks(things.BY_NAME["cat"])[0], "", "g", 1, 0.6, False)
ROBOT = SceneObject("robot", things.looks(things.BY_NAME["robot"])[0], "", "g", 1, 0.9, False)
PLAIN = Scene("thing", 1024, 1024, 1, objects=(CAT,), background="blue", ground="floor")
SCENES = (
    PLAIN,
    Scene("landscape", 1024, 1024, 1, 5, "sunset", "clear", "mountains", "summer", sun=True),
    Scene(
        "pair",
        1024,
        1024,
        1,
        objects=(CAT, ROBOT),
        background="white",
        ground="plain",
        relation="left",
        style="watercolour",
    ),
)
TOKENS = np.stack([fields.encode(scene) for scene in SCENES])
LAYOUT = np.array([[1, 0], [2**32 - 1, 59], [7, 30]])
SMALL = SHAPES.index((640, 1536))


def pixels(tokens: NDArray[np.int64], layout: NDArray[np.int64], shape: int) -> NDArray[np.uint8]:
    words = np.concatenate([code_points("")] * len(tokens))
    inputs = {"tokens": tokens, "layout": layout, "words": words, "shape": shape}
    (found,) = SceneDecoder("0" * 64)(inputs)
    return np.asarray(found)


@pytest.mark.parametrize(("width", "height"), SIZES.values())
def test_every_size_has_its_true_pixels(width: int, height: int) -> None:
    """Every served size is a shape of scenes, and its pixels have that size."""
    found = pixels(TOKENS[:1], LAYOUT[:1], fields.SHAPE_INDEX[width, height])
    assert found.shape == (1, height, width, 3) and found.dtype == np.uint8
    assert found.std() > 2


@pytest.fixture(scope="module")
def together() -> NDArray[np.uint8]:
    """All rows in one forward."""
    return pixels(TOKENS, LAYOUT, SMALL)


def test_pixels_are_those_of_the_scene(together: NDArray[np.uint8]) -> None:
    """A row shows the scene of its tokens, laid out by its seed and palette."""
    scene = fields.decode(TOKENS[1], (640, 1536), 2**32 - 1, 59)
    assert np.array_equal(together[1], render(scene, 640, 1536))


def test_rows_are_independent(together: NDArray[np.uint8]) -> None:
    """A row has the same bytes alone and among others, in any order."""
    alone = pixels(TOKENS[2:], LAYOUT[2:], SMALL)
    assert np.array_equal(alone[0], together[2])
    turned = pixels(TOKENS[::-1], LAYOUT[::-1], SMALL)
    assert np.array_equal(turned[::-1], together)


def test_layout_is_not_a_token(together: NDArray[np.uint8]) -> None:
    """The same tokens with another seed give another picture."""
    other = pixels(TOKENS[1:2], LAYOUT[:1], SMALL)
    assert not np.array_equal(other[0], together[1])


def test_words_are_those_of_the_row() -> None:
    """Rows with one scene show their own words, whatever the words of the other rows."""
    tokens = fields.encode(replace(PLAIN, kind="lettering", lettering="sign"))
    words = np.concatenate([code_points("OPEN"), code_points("Größe ❤")])
    both = {"tokens": np.stack([tokens] * 2), "layout": LAYOUT[[0, 0]], "words": words}
    second = {name: array[1:] for name, array in both.items()}
    found, alone = (
        np.asarray(SceneDecoder("0" * 64)({**arrays, "shape": SMALL})[0])
        for arrays in (both, second)
    )
    assert np.array_equal(found[1], alone[0])
    assert not np.array_equal(found[0], found[1])
    assert [words_from(row) for row in words] == ["OPEN", "Größe ❤"]


def test_a_row_without_a_layout_is_refused() -> None:
    """Different numbers of tokens and layouts raise an error."""
    with pytest.raises(ValueError, match="shorter"):
        pixels(TOKENS, LAYOUT[:2], SMALL)


def test_fingerprint() -> None:
    """The fingerprint has the weights and the drawing libraries, and no instance-specific part."""
    one, same, other = (SceneDecoder(digest * 64) for digest in "001")
    assert one.name == "decoder" and one.fingerprint == same.fingerprint != other.fingerprint
    for part in ("0" * 64, "decoder", "thorvg ", "python ", "numpy ", "pillow "):
        assert part in one.fingerprint
