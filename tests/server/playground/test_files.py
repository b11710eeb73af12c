"""The files of the page: content security policy, references between files, form choices."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser

import pytest
from conftest import RunningServer, error_of

from daguerre.imagefile.encoding import FORMATS
from daguerre.params import MAX_PREVIEWS, MAX_SEED, SIZES
from daguerre.server.playground.page import FOLDER, INDEX, SCHEMA, schema_script

LICENCES = FOLDER / "FONTS.txt"  # for readers of the source; not served
CONTENTS = {path.name: path.read_bytes() for path in FOLDER.iterdir() if path != LICENCES}
CONTENTS[SCHEMA] = schema_script()
FILES = sorted(CONTENTS)
TEXTS = {name: CONTENTS[name].decode() for name in FILES if not name.endswith("woff2")}
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
    """The policy allows only files of the page: no inline and no third-party code."""
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
    """Every file is served with its media type, the policy and an ETag that gives a 304."""
    response = server.client.get(f"/playground/{name}")
    assert response.content == CONTENTS[name]
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
    """No name reads a file outside the page; a near name is suggested."""
    response = server.client.get(f"/playground/{name}")
    assert error_of(response)["code"] == 404
    assert ("style.css" in response.text) == (name == "stile.css")


def test_page_references_existing_files() -> None:
    """The page has no inline script or style, and refers only to its own files and /docs."""
    page = _Page()
    assert not [name for _, name, _ in page.attributes if name == "style" or name.startswith("on")]
    addresses = [value for _, name, value in page.attributes if name in ("src", "href")]
    wanted = {value.removeprefix("playground/") for value in addresses} - {"docs", "#"}
    assert wanted and wanted <= set(FILES)


@pytest.mark.parametrize("name", SCRIPTS)
def test_imports_exist(name: str) -> None:
    """Every imported module is a file of the page and exports the imported names."""
    for names, path in re.findall(r'import (.+?) from "\./(.+?)"', TEXTS[name]):
        assert path in FILES
        for wanted in re.findall(r"\w+", names) if names.startswith("{") else []:
            assert re.search(rf"^export [^=(]*\b{wanted}\b", TEXTS[path], re.MULTILINE), wanted


@pytest.mark.parametrize("name", TEXTS)
def test_no_other_host(name: str) -> None:
    """No file names another host; the style sheet loads only files of the page."""
    foreign = re.findall(r"https?://[^\s\"')]+", TEXTS[name])
    assert set(foreign) <= {"http://www.w3.org/2000/svg"}
    assert set(re.findall(r'url\("(.+?)"\)', TEXTS[name])) <= set(FILES)


def test_form_repeats_no_limit() -> None:
    """Sizes, formats and limits come from the request schema; no other file repeats them."""
    exports = dict(re.findall(r"export const (\w+) = (.+);", TEXTS[SCHEMA]))
    assert {key: tuple(size) for key, size in json.loads(exports["sizes"]).items()} == SIZES
    fields = json.loads(exports["requestFields"])
    assert fields["output_format"]["enum"] == list(FORMATS)
    assert fields["seed"]["maximum"] == MAX_SEED
    assert fields["partial_images"]["maximum"] == MAX_PREVIEWS
    others = "".join(text for name, text in TEXTS.items() if name.endswith((".js", ".html")))
    others = others.replace(TEXTS[SCHEMA], "")
    assert not re.search(r"1344|4294967295|2 \*\* 32 - 1|10_?000", others)


def test_font_licences_are_included() -> None:
    """The fonts' licences are next to the fonts, and NOTICE names the fonts."""
    notice = (FOLDER.parents[4] / "NOTICE").read_text("utf-8")
    licence = LICENCES.read_text("utf-8")
    for name in ("Old Standard", "Instrument Sans"):
        assert name in notice and name in licence
    assert "SIL OPEN FONT LICENSE" in licence.upper()


def test_versions_of_tools_are_pinned() -> None:
    """The accessibility checker has one exact version."""
    package = json.loads((FOLDER.parents[4] / "tests/server/playground/package.json").read_text())
    assert re.fullmatch(r"\d+\.\d+\.\d+", package["dependencies"]["axe-core"])
