"""Results of the benchmark of CUDA devices: JSON lines and tables."""

from __future__ import annotations

from pathlib import Path

from bench.cuda.results import Results, markdown, read


def test_tables(tmp_path: Path) -> None:
    """Rows are grouped by table, with the columns of all rows; an unfinished line is left out."""
    file = tmp_path / "results.jsonl"
    assert read(file) == []
    one, two = Results(file, "one"), Results(file, "two")
    one.add("rows", jobs=2, forward_ms=12.34567)
    two.add("other rows", is_exact=True)
    one.add("rows", jobs=4, error="a | b\nc")
    with file.open("a") as unfinished:
        unfinished.write('{"part": "on')
    assert markdown(read(file)) == (
        "## one: rows\n\n"
        "| jobs | forward ms | error |\n|---|---|---|\n| 2 | 12.35 |  |\n| 4 |  | a \\| b c |\n\n"
        "## two: other rows\n\n| is exact |\n|---|\n| yes |\n"
    )
