"""Appearance and accessibility: axe finds no violation in any state of the page.

Screenshots of each state are in the test's directory, or in $DAGUERRE_SCREENSHOTS.
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

from server.playground.conftest import AXE, KEPT, TIMEOUT_MS

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
    """Shows a stored picture while another is in progress."""
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


# Each state starts from the page that the state before it left.
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
    """No state violates WCAG 2.2 AA, in both colour schemes, on a phone and on a desktop. The
    debugger runs the checker, so the served policy applies.
    """
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
def test_axe_finds_violations(page: Page) -> None:
    """The checker works: it finds an input without a label and a pale text."""
    page.evaluate("document.getElementById('prompt').removeAttribute('id')")
    page.evaluate("document.querySelector('.note').style.color = '#ccc'")
    found = " ".join(violations(page))
    assert "color-contrast" in found and "label" in found


@needs_axe
def test_axe_on_the_docs(browser: Browser, server: RunningServer) -> None:
    """The API documentation page has no violation."""
    context = browser.new_context()
    context.set_default_timeout(TIMEOUT_MS)
    page = context.new_page()
    page.goto(server.settings.public_base_url() + "/docs")
    found = violations(page)
    context.close()
    assert found == []
