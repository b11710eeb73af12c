"""The copied code runs unchanged and produces the bytes of the picture in the gallery."""

from __future__ import annotations

import ast
import json
import os
import shlex
import shutil
import subprocess
import sys
import unicodedata
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import RunningServer
from playwright.sync_api import Page, expect

from daguerre.server.playground.page import FOLDER

SNIPPETS = FOLDER / "snippets.js"
# Special characters of the shell, Python and JavaScript.
PROMPT = 'it\'s "$HOME" `x` \\n {a} é 日本 🦊 <b>'
LANGUAGES = {
    "curl": (["bash", "-c"], "curl"),
    "Python": ([sys.executable, "-c"], sys.executable),
    "JavaScript": (["node", "--input-type=module", "-e"], "node"),
}


@pytest.mark.timeout(240)
def test_copied_code(
    page: Page, server: RunningServer, make: Callable[..., None], tmp_path: Path
) -> None:
    """Each language writes the downloaded file, with the key in the code or in the environment."""
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.get_by_role("radio", name="3:2").check()
    make(PROMPT, 11)
    with page.expect_download() as download:
        page.get_by_role("link", name="Download").click()
    wanted = download.value.path().read_bytes()
    page.get_by_role("button", name="Copy as code").click()
    for language, (command, program) in LANGUAGES.items():
        if shutil.which(program) is None:
            continue
        page.get_by_role("radio", name=language, exact=True).check()
        for with_key in (True, False):
            page.get_by_label("Include my key").set_checked(with_key)
            page.get_by_role("button", name="Copy", exact=True).click()
            expect(page.locator("#code-copied")).to_have_text("Copied")
            text: str = page.evaluate("navigator.clipboard.readText()")
            assert (server.key in text) == with_key
            folder = tmp_path / f"{language}-{with_key}"
            folder.mkdir()
            run([*command, text], folder, {} if with_key else {"DIFFUSION_KEY": server.key})
            assert [file.read_bytes() for file in folder.iterdir()] == [wanted]
            assert next(folder.iterdir()).name == download.value.suggested_filename


# Prints the code for a request, or runs the JavaScript and prints the body that it sends.
SCRIPT = """
const { snippet } = await import(process.argv[1]);
const fields = JSON.parse(process.argv[2]);
const request = { url: "http://x", key: "inf-x", fields, file: "x.png" };
const code = (language) => snippet(language, request);
const texts = [code("curl"), code("python"), code("javascript")];
globalThis.fetch = async (url, { body }) => {
  process.stdout.write(JSON.stringify([...texts, body]));
  process.exit();
};
await import("data:text/javascript," + encodeURIComponent(texts[2]));
"""


@pytest.mark.skipif(shutil.which("node") is None, reason="node is not installed")
def test_invisible_characters() -> None:
    """The code of a hostile prompt has no control, format or line separator characters, and sends
    the prompt unchanged."""
    controls = map(chr, [*range(1, 32), *range(0x7F, 0xA0)])
    # Separators, bidirectional marks, a byte order mark, and a tag beyond 16 bits.
    invisible = "\u2028\u2029\u061c\u200b\u200e\u200f\u202a\u202e\u2066\u2069\ufeff\U000e0041"
    prompt = PROMPT + "".join(controls) + invisible + "\x7f" * 400 + " ; touch x ; : '"
    fields = {"prompt": prompt, "seed": 1}
    command = ["node", "--input-type=module", "-e", SCRIPT, str(SNIPPETS), json.dumps(fields)]
    done = subprocess.run(command, capture_output=True, check=True, timeout=60)
    curl, python, javascript, sent = json.loads(done.stdout)
    for code in (curl, python, javascript):
        assert [c for c in code if unicodedata.category(c) in ("Cc", "Cf", "Zl", "Zp")] == [
            "\n"
        ] * code.count("\n")
    words = shlex.split(curl)
    assert json.loads(words[words.index("-d") + 1]) == fields
    literal = python[python.index("fields = ") + 9 : python.index("request = ")]
    assert json.loads(json.dumps(ast.literal_eval(literal))) == fields
    assert json.loads(sent) == fields


def run(command: list[str], folder: Path, extra: dict[str, str]) -> None:
    environment = {**os.environ, "NO_PROXY": "127.0.0.1", "no_proxy": "127.0.0.1", **extra}
    done = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
