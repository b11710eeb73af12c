"""What the page looks like, and that everyone can use it: axe finds nothing in any state of it.

Screenshots of each state are left in the test's folder, or in $DAGUERRE_SCREENSHOTS.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Literal

import pytest
from conftest import RunningServer
from playwright.sync_api import Browser, Page, expect

from playground.conftest import AXE, KEPT, TIMEOUT_MS

needs_axe = pytest.mark.skipif(
    not AXE.exists(), reason="axe-core is not installed; `make test` does it where npm is"
)
STANDARDS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]


def idle(page: Page, server: RunningServer, make: Callable[..., None]) -> None:
    expect(page.locator("#empty")).to_be_visible()


def drawing(page: Page, server: RunningServer, make: Callable[..., None]) -> None:
    server.engine.is_held = True
    page.get_by_role("button", name="Another seed").click()
    page.get_by_role("button", name="Make the picture").click()
    expect(page.locator("#state")).to_contain_text("Next in line")


def looking(page: Page, server: RunningServer, make: Callable[..., None]) -> None:
    """At another picture, while one is being made."""
    server.engine.is_held = False
    expect(page.locator(KEPT)).to_have_count(1)
    server.engine.is_held, server.engine.place = True, 2
    page.get_by_role("radio", name="16:9").check()
    page.get_by_role("button", name="Make the picture").click()
    page.locator(KEPT).click()
    expect(page.locator("#caption-words")).to_be_visible()


def drawn(page: Page, server: RunningServer, make: Callable[..., None]) -> None:
    server.engine.is_held, server.engine.place = False, 0
    expect(page.locator(KEPT)).to_have_count(2)
    make("an owl in the snow, by moonlight", 4294967295)


def refused(page: Page, server: RunningServer, make: Callable[..., None]) -> None:
    page.get_by_label("Seed", exact=True).fill("seven")
    page.get_by_role("button", name="Make the picture").click()
    expect(page.locator("#seed-error")).to_be_visible()


def asked_for_key(page: Page, server: RunningServer, make: Callable[..., None]) -> None:
    page.keyboard.press("Escape")
    page.get_by_role("button", name="Key", exact=True).click()
    page.get_by_label("Key", exact=True).fill("inf-wrong")
    page.get_by_role("button", name="Use this key").click()
    expect(page.locator("#key-error")).to_be_visible()


def code(page: Page, server: RunningServer, make: Callable[..., None]) -> None:
    page.get_by_role("button", name="Copy as code").click()
    expect(page.locator("#code")).to_be_visible()


# In an order in which each begins where the one before it has left the page.
STATES = (idle, refused, drawing, looking, drawn, code, asked_for_key)


@needs_axe
@pytest.mark.timeout(240)
@pytest.mark.parametrize(("scheme", "width"), [("light", 1440), ("dark", 390)])
def test_axe(
    page: Page,
    server: RunningServer,
    make: Callable[..., None],
    tmp_path: Path,
    scheme: Literal["light", "dark"],
    width: int,
) -> None:
    """No violation of WCAG 2.2 AA in any state, in both schemes, on a phone and on a desk. The
    checker is run by the browser's debugger, so the page's policy is the one that is served."""
    folder = Path(os.environ.get("DAGUERRE_SCREENSHOTS", tmp_path))
    page.set_viewport_size({"width": width, "height": 900})
    page.emulate_media(color_scheme=scheme)
    found = {}
    for state in STATES:
        state(page, server, make)
        page.screenshot(path=folder / f"{state.__name__}-{scheme}-{width}.png")
        found[state.__name__] = violations(page)
    assert found == {state.__name__: [] for state in STATES}


def violations(page: Page) -> list[str]:
    page.evaluate(AXE.read_text("utf-8"))
    found = page.evaluate(
        "standards => axe.run({ runOnly: standards }).then((found) => found.violations)", STANDARDS
    )
    return [f"{one['id']}: {json.dumps(one['nodes'])[:600]}" for one in found]


@needs_axe
def test_axe_finds_what_is_wrong(page: Page) -> None:
    """The check itself works: a picture without words and a pale label are found."""
    page.evaluate("document.getElementById('prompt').removeAttribute('id')")
    page.evaluate("document.querySelector('.note').style.color = '#ccc'")
    found = " ".join(violations(page))
    assert "color-contrast" in found and "label" in found


@needs_axe
def test_axe_on_the_docs(browser: Browser, server: RunningServer) -> None:
    """The contract as a page has no violation either."""
    context = browser.new_context()
    context.set_default_timeout(TIMEOUT_MS)
    page = context.new_page()
    page.goto(server.settings.public_base_url() + "/docs")
    found = violations(page)
    context.close()
    assert found == []
