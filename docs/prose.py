"""Checks the English of the documentation, docstrings, comments and messages.

    python docs/prose.py            print findings and fail if there are any
    python docs/prose.py --report   print findings only

Rules: a median of at most 17 words a sentence in each page and in the docstrings of each package,
no sentence over 40 words, none of `PHRASES`, and no prose line over 120 columns. Code, tables and
generated pages are exempt. Logs and the changelog are exempt from the sentence length, logs from
the phrases, too.
"""

from __future__ import annotations

import ast
import io
import re
import statistics
import sys
import tokenize
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[1]
MAX_MEDIAN_WORDS = 17
MAX_WORDS = 40
MAX_COLUMNS = 120
MIN_SENTENCES = 5  # for a median
PHRASES = (
    *("knows nothing", "knows no", "does not know", "do not know"),
    *("is no http", "is no number", "is no image", "is no json", "what is no", "that is no"),
    *("nobody", "whoever", "stranger", "strangers", "newcomer", "guest", "crowd"),
    *("is told", "are told", "was told", "told", "foretold", "foreseen", "hears"),
    *("stands", "stand for", "makes room", "make room", "room for", "goes", "go on", "goes on"),
    *("by then", "so often", "so long as", "meanwhile", "anew", "all the same", "be it", "of late"),
    *("alike", "longest ago", "takes turns", "take turns", "in turns"),
    *("other bits", "the same bits as ever", "a whole number", "whole numbers"),
    *("model in the box", "data folder", "models of the start", "a connection too many"),
)
PHRASE = re.compile(r"\b(" + "|".join(map(re.escape, PHRASES)) + r")\b", re.IGNORECASE)
RECORDS = ("CHANGELOG.md", "LOG.md")
NO_PROSE = ("|", "#", "<", "![", "├", "│", "└")  # tables, headings, HTML, images, trees
GENERATED = "<!-- Made by"
FRAGMENT = re.compile(r"(Of|As|For|From|With|In|To|On|At|By)\b")


class Finding(NamedTuple):
    path: Path
    line: int
    text: str

    def __str__(self) -> str:
        return f"{self.path.relative_to(ROOT)}:{self.line}: {self.text}"


class Sentence(NamedTuple):
    line: int
    text: str

    @property
    def num_words(self) -> int:
        plain = re.sub(r"`[^`]*`", "code", self.text)
        return sum(any(c.isalnum() for c in word) for word in plain.split())


def pages() -> list[Path]:
    """Pages of prose; generated pages are checked where their text is written, in the code."""
    found = [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("bench/*.md")]
    found += ROOT.glob("training/*.md")
    return sorted(p for p in found if not p.read_text(encoding="utf-8").startswith(GENERATED))


def modules() -> list[Path]:
    return sorted((ROOT / "src").rglob("*.py"))


def paragraphs(text: str) -> Iterator[tuple[int, str]]:
    """First line number and text of each paragraph or list item, without code and tables."""
    first, lines, is_code = 0, list[str](), False
    for number, line in enumerate(text.splitlines(), 1):
        is_fence = line.lstrip().startswith("```")
        is_code ^= is_fence
        stripped = line.strip()
        ends = is_code or is_fence or not stripped or stripped.startswith(NO_PROSE)
        if (ends or re.match(r"([-*]|\d+\.) ", stripped)) and lines:
            yield first, " ".join(lines)
            lines = []
        if not ends:
            first = first if lines else number
            lines.append(stripped)
    if lines:
        yield first, " ".join(lines)


def sentences(text: str, first_line: int = 1) -> list[Sentence]:
    found = []
    for line, paragraph in paragraphs(text):
        plain = re.sub(r"\]\([^)]*\)", "]", paragraph)
        for part in re.split(r"(?<=[.!?])[\])*\"]*\s+(?=[\[(*\"`A-Z0-9])", plain):
            found.append(Sentence(first_line + line - 1, part))
    return found


def docstrings(tree: ast.Module) -> Iterator[tuple[int, str, bool]]:
    """First line, text, and whether it is a function's, of each docstring."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            if text := ast.get_docstring(node):
                yield node.body[0].lineno, text, not isinstance(node, ast.Module)


def check_lengths(path: Path, found: list[Sentence], median: bool) -> Iterator[Finding]:
    for sentence in found:
        if sentence.num_words > MAX_WORDS:
            yield Finding(path, sentence.line, f"a sentence of {sentence.num_words} words")
    if median and len(found) >= MIN_SENTENCES:
        words = statistics.median(sentence.num_words for sentence in found)
        if words > MAX_MEDIAN_WORDS:
            yield Finding(path, 1, f"a median of {words:g} words a sentence")


def check_phrases(path: Path, lines: Iterable[tuple[int, str]]) -> Iterator[Finding]:
    for number, line in lines:
        for phrase in PHRASE.findall(re.sub(r"`[^`]*`", "", line)):
            yield Finding(path, number, f"{phrase!r}")


def check_page(path: Path) -> Iterator[Finding]:
    text = path.read_text(encoding="utf-8")
    if path.name not in RECORDS:
        yield from check_lengths(path, sentences(text), median=True)
    if path.name != "LOG.md":
        yield from check_phrases(path, _lines_outside_code(text))
    for number, line in _lines_outside_code(text):
        if len(line) > MAX_COLUMNS and not line.startswith("|") and " " in line[MAX_COLUMNS // 2 :]:
            yield Finding(path, number, f"{len(line)} columns")


def _lines_outside_code(text: str) -> Iterator[tuple[int, str]]:
    is_code = False
    for number, line in enumerate(text.splitlines(), 1):
        is_code ^= line.lstrip().startswith("```")
        if not is_code:
            yield number, line


def check_module(path: Path) -> Iterator[Finding]:
    source = path.read_text(encoding="utf-8")
    for line, text, is_definition in docstrings(ast.parse(source)):
        yield from check_lengths(path, sentences(text, line), median=False)
        if is_definition and FRAGMENT.match(text):
            yield Finding(path, line, f"a docstring starts with {text.split()[0]!r}")
    texts = (
        (token.start[0], token.string)
        for token in tokenize.generate_tokens(io.StringIO(source).readline)
        if token.type
        in (tokenize.COMMENT, tokenize.STRING, getattr(tokenize, "FSTRING_MIDDLE", -1))
    )
    yield from check_phrases(
        path,
        (
            (line + index, part)
            for line, text in texts
            for index, part in enumerate(text.splitlines())
        ),
    )


def check_packages() -> Iterator[Finding]:
    """Median length of the sentences in all docstrings of each package."""
    for package in sorted({path.parent for path in modules()}):
        found = [
            sentence
            for path in package.glob("*.py")
            for line, text, _ in docstrings(ast.parse(path.read_text(encoding="utf-8")))
            for sentence in sentences(text, line)
        ]
        yield from check_lengths(package / "__init__.py", found, median=True)


def findings() -> list[Finding]:
    found = [finding for path in pages() for finding in check_page(path)]
    found += [finding for path in modules() for finding in check_module(path)]
    found += [finding for finding in check_packages() if "median" in finding.text]
    return found


def main() -> None:
    found = findings()
    for finding in found:
        print(finding)
    if found and "--report" not in sys.argv[1:]:
        sys.exit(f"{len(found)} findings")


if __name__ == "__main__":
    main()
