"""The training set: a scene depends on seed, shape and number only, whoever draws it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from training import make_dataset
from training.scenes import SHAPES


def test_same_seed_gives_same_pixels_and_captions() -> None:
    """A picture and its record come out the same again, and another seed gives another."""
    for index in range(6):
        first, one = make_dataset.make(7, (1344, 768), index, 8)
        again, two = make_dataset.make(7, (1344, 768), index, 8)
        other, _ = make_dataset.make(8, (1344, 768), index, 8)
        assert first.shape == (96, 168, 3) and first.dtype == np.uint8
        assert np.array_equal(first, again) and one == two
        assert not np.array_equal(first, other)


def test_workers_write_what_one_call_makes(tmp_path: Path) -> None:
    """The files hold, in order, the pictures and records of every shape's scenes."""
    make_dataset.write(tmp_path, num=30, scale=32, seed=3, workers=2)
    assert sum(map(make_dataset.share, SHAPES)) == pytest.approx(1)
    for shape in SHAPES:
        name = f"{shape[0]}x{shape[1]}"
        pictures = np.load(tmp_path / f"{name}.npy")
        records = json.loads((tmp_path / f"{name}.json").read_text())
        assert len(pictures) == len(records) == round(30 * make_dataset.share(shape))
        for index, (found, record) in enumerate(zip(pictures, records, strict=True)):
            picture, wanted = make_dataset.make(3, shape, index, 32)
            assert np.array_equal(found, picture) and record == wanted
    assert not list(tmp_path.glob("*.part"))
