"""Contact sheets of the table: one cell per row, on as many pages as necessary."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from daguerre.models.embedded.drawing.things import BY_NAME, THINGS
from training import lookbook

BALL = BY_NAME["ball"]


def test_sheets_hold_every_row(tmp_path: Path) -> None:
    """Rows fill pages in order; the rest of the last page is paper."""
    per_page = lookbook.COLUMNS * lookbook.ROWS
    paths = lookbook.sheets([BALL] * (per_page + 1), tmp_path / "new")
    assert [path.name for path in paths] == ["things-00.png", "things-01.png"]
    full, rest = (np.asarray(Image.open(path)) for path in paths)
    width, height = lookbook.CELL
    first = np.asarray(lookbook.cell(BALL, ""))
    assert (full[-height:, -width:] == first).all() and (rest[:height, :width] == first).all()
    assert (rest[height:] == lookbook.PAPER).all()


def test_a_colour_is_shown_by_what_takes_it() -> None:
    """The red ball turns blue; things that cannot be recoloured stay unchanged."""
    plain, blue = (np.asarray(lookbook.cell(BALL, colour)).astype(int) for colour in ("", "blue"))
    middle = lookbook.SIDE // 2
    assert plain[middle, middle, 0] > plain[middle, middle, 2]
    assert blue[middle, middle, 2] > blue[middle, middle, 0]
    drawn = next(t for t in THINGS if t.slugs[0].startswith("drawn:") and not t.recolourable)
    assert lookbook.cell(drawn, "blue").tobytes() == lookbook.cell(drawn, "").tobytes()


@pytest.mark.parametrize(
    ("option", "said", "allowed"), [("--tag", "fishy", "insect"), ("--colour", "blau", "purple")]
)
def test_unknown_tag_or_colour(
    option: str,
    said: str,
    allowed: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """An unknown tag or colour is an error that lists the known ones."""
    monkeypatch.setattr("sys.argv", ["lookbook", "unused", option, said])
    with pytest.raises(SystemExit):
        lookbook.main()
    message = capsys.readouterr().err
    assert said in message and allowed in message
