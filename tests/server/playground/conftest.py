"""Shared fixtures of the playground's tests: Chromium, and pages that must stay free of errors.

The browser is the system's own. The server has an engine that needs no model.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from conftest import RunningServer
from playwright.sync_api import Browser, BrowserContext, Page, Request, sync_playwright

HERE = Path(__file__).parent
AXE = HERE / "node_modules" / "axe-core" / "axe.min.js"
NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
KEPT = "#gallery button:has(img)"  # without the placeholder of the picture in progress
TIMEOUT_MS = 30_000
ARGUMENTS = [
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
]


def chromium() -> str | None:
    found = (shutil.which(name) for name in NAMES)
    return next((path for path in found if path), None)


def why_no_browser() -> str | None:
    """The reason that no browser is available, or None."""
    if chromium() is None:
        return "Chromium is not installed; run `make test-deps` as root"
    return None


@pytest.fixture(scope="package")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    if reason := why_no_browser():
        pytest.skip(reason)
    # Tests contact only this machine, so no proxy applies.
    kept = {name: value for name, value in os.environ.items() if "proxy" not in name.lower()}
    kept["HOME"] = str(tmp_path_factory.mktemp("browser"))
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=chromium(), args=ARGUMENTS, env=dict(kept)
        )
        yield browser
        browser.close()


@pytest.fixture
def context(browser: Browser) -> Iterator[BrowserContext]:
    """A browser without any stored data."""
    context = browser.new_context(accept_downloads=True, reduced_motion="reduce")
    context.set_default_timeout(TIMEOUT_MS)
    yield context
    context.close()


@pytest.fixture
def page(context: BrowserContext, server: RunningServer) -> Iterator[Page]:
    """A page that is signed in. The test fails if it contacts another host, raises an error or
    violates its policy.
    """
    page = context.new_page()
    problems = watched(page, server)
    context.add_init_script(
        f"if (!sessionStorage.used) localStorage.setItem('daguerre.key', {server.key!r});"
        "sessionStorage.used = 1;"
    )
    page.goto(server.settings.public_base_url())
    page.get_by_text("stable-image-ultra").wait_for()
    yield page
    assert problems == []


def watched(page: Page, server: RunningServer) -> list[str]:
    problems: list[str] = []

    def on_request(request: Request) -> None:
        if not request.url.startswith((server.settings.public_base_url() + "/", "blob:")):
            problems.append(f"asked {request.url}")

    page.on("request", on_request)
    page.on("pageerror", lambda error: problems.append(f"failed: {error}"))
    # Chromium logs each response that is not a 200 as such an error.
    page.on(
        "console",
        lambda message: (
            problems.append(message.text)
            if message.type == "error" and "Failed to load resource" not in message.text
            else None
        ),
    )
    return problems


@pytest.fixture
def make(page: Page) -> Callable[..., None]:
    """Types a prompt, requests its picture and waits for it."""

    def make_picture(prompt: str, seed: int | None = None) -> None:
        page.get_by_label("What should the picture show?").fill(prompt)
        if seed is not None:
            page.get_by_label("Seed", exact=True).fill(str(seed))
        page.get_by_role("button", name="Make the picture").click()
        page.locator("#caption-words", has_text=prompt).wait_for()
        page.locator("#make").wait_for()

    return make_picture
