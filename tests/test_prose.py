"""The check of the documentation's English finds what it is meant to find."""

from __future__ import annotations

from pathlib import Path

import pytest

from docs import prose


@pytest.mark.parametrize(
    ("text", "finding"),
    [
        ("The file goes to the store.", "'goes'"),
        ("Nobody reads it.", "'Nobody'"),
        (" ".join(["word"] * 41) + ".", "a sentence of 41 words"),
        ("x " * 70, "139 columns"),
        ("One two three.\n" * 4 + " ".join(["Word"] * 20), None),
        ("It reads `goes` from the table.", None),
        ("```text\nThe file goes to the store.\n```", None),
        ("| " + "goes " * 50 + "|", "'goes'"),
        ("# A heading\n\nA short sentence.", None),
    ],
)
def test_page(text: str, finding: str | None, tmp_path: Path) -> None:
    """A page is checked for phrases, long sentences and long lines, outside its code."""
    page = tmp_path / "page.md"
    page.write_text(text.rstrip())
    found = {one.text for one in prose.check_page(page)}
    assert finding in found if finding else not found


def test_median(tmp_path: Path) -> None:
    """A page of long sentences is reported, even if no single one is too long."""
    page = tmp_path / "page.md"
    page.write_text("\n\n".join([" ".join(["Word"] * 18) + "."] * 6))
    assert [one.text for one in prose.check_page(page)] == ["a median of 18 words a sentence"]


@pytest.mark.parametrize(
    ("source", "finding"),
    [
        ('"""The model in the box."""', "'model in the box'"),
        ("x = 1  # meanwhile", "'meanwhile'"),
        ('raise ValueError("the file goes")', "'goes'"),
        ('raise ValueError(f"{x} goes {y}")', "'goes'"),
        ('def f():\n    """Of all sizes."""', "a docstring starts with 'Of'"),
        ("meanwhile = 1", None),
    ],
)
def test_module(source: str, finding: str | None, tmp_path: Path) -> None:
    """A module is checked in its docstrings, comments and strings, but not in its names."""
    module = tmp_path / "module.py"
    module.write_text(source)
    found = {one.text for one in prose.check_module(module)}
    assert finding in found if finding else not found
