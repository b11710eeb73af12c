"""Prompt files of `daguerre generate --prompts`, and names of image files."""

from __future__ import annotations

import re
import sys
import unicodedata
from pathlib import Path

from daguerre.cli.output_file import STDOUT
from daguerre.errors import SettingsError

_MAX_NAME_CHARS = 48


def read_prompts(prompts: str) -> list[tuple[int, str]]:
    """Line numbers and prompts of a file (`-` is standard input), without blank lines."""
    try:
        data = sys.stdin.buffer.read() if prompts == STDOUT else Path(prompts).read_bytes()
        text = data.decode("utf-8-sig")
    except (OSError, ValueError) as error:
        reason = "it is not UTF-8" if isinstance(error, UnicodeDecodeError) else error
        raise SettingsError(
            f"cannot read the prompts in {prompts}: {getattr(error, 'strerror', None) or reason}"
        ) from None
    lines = [
        (number, line.strip())
        for number, line in enumerate(text.split("\n"), start=1)
        if line.strip()
    ]
    if not lines:
        source = "standard input" if prompts == STDOUT else prompts
        raise SettingsError(f"{source} contains no prompt; write one on each line")
    return lines


def file_stem(prompt: str) -> str:
    """The words of a prompt as a part of a file name: `-a-red-fox`, or empty without ASCII."""
    ascii_text = unicodedata.normalize("NFKD", prompt).encode("ascii", "ignore").decode().lower()
    words = "-".join(re.findall(r"[a-z0-9]+", ascii_text))[:_MAX_NAME_CHARS].rstrip("-")
    return f"-{words}" if words else ""
