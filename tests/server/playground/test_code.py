"""The copied code runs unchanged and produces the bytes of the picture in the gallery."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import RunningServer
from playwright.sync_api import Page, expect

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


def run(command: list[str], folder: Path, extra: dict[str, str]) -> None:
    environment = {**os.environ, "NO_PROXY": "127.0.0.1", "no_proxy": "127.0.0.1", **extra}
    done = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
