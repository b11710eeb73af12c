"""Runs the samples of the guide, the README and the concept pages, and checks the guide's table.

Every sample of the guide and the README is a complete program that writes one image. Samples with a
seed write the same bytes.
"""

from __future__ import annotations

import json
import re
import shutil
import sys
from pathlib import Path

import pytest
from conftest import RunningServer

from clients.conftest import (
    LANGCHAIN,
    LITELLM,
    NODE_MODULES,
    ROOT,
    TIMEOUT_S,
    Service,
    assert_picture,
    image,
    run,
    why_no_langchain,
    why_no_litellm,
    why_no_node,
)

GUIDE = ROOT / "docs" / "guides" / "clients.md"
GUIDE_TEXT = GUIDE.read_text(encoding="utf-8")
PROMPT = "A red fox in the snow."
LANGUAGES = ("bash", "javascript", "python")
# Import of a Python sample -> the interpreter that has it, and why it may be missing.
ELSEWHERE = {
    "litellm": (LITELLM, why_no_litellm),
    "langchain_community": (LANGCHAIN, why_no_langchain),
}


def samples(page: Path) -> list[tuple[str, str]]:
    """Language and code of every fenced block with a language."""
    text = page.read_text(encoding="utf-8")
    return re.findall(r"^```(\w+)\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


IN_GUIDE = samples(GUIDE)
IN_README = [sample for sample in samples(ROOT / "README.md") if sample[0] in LANGUAGES]
IN_CONCEPTS = [
    code
    for page in (ROOT / "docs" / "concepts").glob("*.md")
    for language, code in samples(page)
    if language == "bash"
]
ROWS = re.findall(r"^\| `(\{.*\})` \| (\d+) \|", GUIDE_TEXT, re.MULTILINE)


def why_not(language: str, code: str) -> str | None:
    """Why this sample cannot run here, or None."""
    if language == "javascript":
        return why_no_node()
    if language == "python":
        return next((why() for name, (_, why) in ELSEWHERE.items() if name in code), None)
    wanted = [name for name in ("curl", "jq", "base64", "python3") if f"{name} " in code]
    missing = [name for name in wanted if shutil.which(name) is None]
    return f"not installed: {', '.join(missing)}" if missing else None


def command(language: str, code: str, folder: Path) -> list[str]:
    if language == "bash":
        return ["bash", "-c", code]
    if language == "python":
        found = (python for name, (python, _) in ELSEWHERE.items() if name in code)
        return [str(next(found, sys.executable)), "-c", code]
    (folder / "node_modules").symlink_to(NODE_MODULES)
    (folder / "sample.mjs").write_text(code)
    return ["node", str(folder / "sample.mjs")]


@pytest.mark.timeout(TIMEOUT_S)
@pytest.mark.parametrize(("language", "code"), IN_GUIDE + IN_README)
def test_sample(language: str, code: str, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    """The sample writes an image of its size; with a seed, it has the same bytes as elsewhere."""
    if reason := why_not(language, code):
        pytest.skip(reason)
    is_linked = "langchain_community" in code
    service: Service = request.getfixturevalue("links" if is_linked else "service")
    run(command(language, code, tmp_path), service, tmp_path)
    (file,) = tmp_path.glob("*.png")
    assert_picture(file.read_bytes(), (1344, 768) if "16:9" in code else (1024, 1024))
    if PROMPT in code:
        assert file.read_bytes() == image(service, prompt=PROMPT, seed=123)


@pytest.mark.timeout(TIMEOUT_S)
@pytest.mark.parametrize("code", IN_CONCEPTS)
def test_concept_sample(code: str, service: Service, tmp_path: Path) -> None:
    """A request of a concept page prints a response with an image."""
    if reason := why_not("bash", code):
        pytest.skip(reason)
    assert json.loads(run(["bash", "-c", code], service, tmp_path))["data"][0]["b64_json"]


def test_every_sample_is_run() -> None:
    """Every block of the guide has a language that the tests run."""
    assert {language for language, _ in IN_GUIDE} == set(LANGUAGES)
    assert len(IN_GUIDE) * 2 == len(re.findall(r"^```", GUIDE_TEXT, re.MULTILINE))
    assert sum(PROMPT in code for _, code in IN_GUIDE) >= 6


@pytest.mark.parametrize(("fields", "status"), ROWS)
def test_table(fields: str, status: str, server: RunningServer) -> None:
    """A request of the table gets the status in its row."""
    response = server.generate(**json.loads(fields))
    assert response.status_code == int(status), response.text
