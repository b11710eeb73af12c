"""The files of the page: what they may do, where they lead, and that they know the contract."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser

import pytest
from conftest import RunningServer, error_of

from daguerre.params import OUTPUT_FORMATS, SIZES
from daguerre.server.playground.page import FOLDER, INDEX

LICENCES = FOLDER / "FONTS.txt"  # for readers of the source; not served
FILES = sorted(path.name for path in FOLDER.iterdir() if path != LICENCES)
TEXTS = {name: (FOLDER / name).read_text("utf-8") for name in FILES if not name.endswith("woff2")}
SCRIPTS = [name for name in FILES if name.endswith(".js")]


class _Page(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.attributes: list[tuple[str, str, str]] = []
        self.in_script = False
        self.feed(TEXTS[INDEX])

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.attributes += [(tag, name, value or "") for name, value in attrs]
        assert tag != "style"
        self.in_script = tag == "script"

    def handle_data(self, data: str) -> None:
        assert not (self.in_script and data.strip()), "a script in the page itself"


def test_headers(server: RunningServer) -> None:
    """The page allows its own files alone; neither inline nor foreign code is ever allowed."""
    response = server.client.get("/")
    assert response.headers["content-type"] == "text/html; charset=utf-8"
    policy = dict(
        rule.split(" ", 1) for rule in response.headers["content-security-policy"].split("; ")
    )
    assert policy["default-src"] == "'none'"
    for name in ("script-src", "style-src", "connect-src", "font-src"):
        assert policy[name] == "'self'"
    assert policy["frame-ancestors"] == policy["base-uri"] == policy["form-action"] == "'none'"
    assert "unsafe" not in str(policy) and response.headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize("name", FILES)
def test_file(server: RunningServer, name: str) -> None:
    """Every file is served with its type and the policy, and not sent again while it is known."""
    response = server.client.get(f"/playground/{name}")
    assert response.content == (FOLDER / name).read_bytes()
    kind = {"html": "text/html", "css": "text/css", "js": "text/javascript"}.get(
        name.split(".")[-1],
        {"svg": "image/svg+xml", "woff2": "font/woff2"}.get(name.split(".")[-1]),
    )
    assert response.headers["content-type"].split(";")[0] == kind
    assert "content-security-policy" in response.headers
    known = {"if-none-match": response.headers["etag"]}
    again = server.client.get(f"/playground/{name}", headers=known)
    assert (again.status_code, again.content) == (304, b"")


@pytest.mark.parametrize("name", ["stile.css", "FONTS.txt", "page.py", "%2e%2e%2fpage.py"])
def test_no_other_file(server: RunningServer, name: str) -> None:
    """Nothing but the files of the page can be had, by whatever name."""
    response = server.client.get(f"/playground/{name}")
    assert error_of(response)["code"] == 404
    assert ("style.css" in response.text) == (name == "stile.css")


def test_page_leads_to_files_that_exist() -> None:
    """No inline script or style; every address in the page is a file of the page, or /docs."""
    page = _Page()
    assert not [name for _, name, _ in page.attributes if name == "style" or name.startswith("on")]
    addresses = [value for _, name, value in page.attributes if name in ("src", "href")]
    wanted = {value.removeprefix("playground/") for value in addresses} - {"docs", "#"}
    assert wanted and wanted <= set(FILES)


@pytest.mark.parametrize("name", SCRIPTS)
def test_imports_exist(name: str) -> None:
    """Every module that a script imports is a file of the page, and has the names asked for."""
    for names, path in re.findall(r'import (.+?) from "\./(.+?)"', TEXTS[name]):
        assert path in FILES
        for wanted in re.findall(r"\w+", names) if names.startswith("{") else []:
            assert re.search(rf"^export [^=(]*\b{wanted}\b", TEXTS[path], re.MULTILINE), wanted


@pytest.mark.parametrize("name", TEXTS)
def test_nothing_foreign(name: str) -> None:
    """No file names another host; the style sheet loads files of the page alone."""
    foreign = re.findall(r"https?://[^\s\"')]+", TEXTS[name])
    assert set(foreign) <= {"http://www.w3.org/2000/svg"}
    assert set(re.findall(r'url\("(.+?)"\)', TEXTS[name])) <= set(FILES)


def test_shapes_are_those_of_the_contract() -> None:
    """The page offers the nine shapes with their sizes, and both formats."""
    found = re.findall(r'"(\d+:\d+)": \[(\d+), (\d+)\]', TEXTS["form.js"])
    assert {shape: (int(width), int(height)) for shape, width, height in found} == SIZES
    values = {value for tag, name, value in _Page().attributes if name == "value"}
    assert set(OUTPUT_FORMATS) <= values


def test_licences_of_the_fonts_are_told() -> None:
    """Whose the fonts are stands beside them and in NOTICE."""
    notice = (FOLDER.parents[4] / "NOTICE").read_text("utf-8")
    licence = LICENCES.read_text("utf-8")
    for name in ("Old Standard", "Instrument Sans"):
        assert name in notice and name in licence
    assert "SIL OPEN FONT LICENSE" in licence.upper()


def test_versions_of_tools_are_pinned() -> None:
    """The accessibility checker is of one exact version."""
    package = json.loads((FOLDER.parents[4] / "tests/playground/package.json").read_text())
    assert re.fullmatch(r"\d+\.\d+\.\d+", package["dependencies"]["axe-core"])
