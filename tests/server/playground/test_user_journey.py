"""The user's path through the page in a real browser: sign in, generate, watch, cancel, return."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import MODEL, FakeEngine, RunningServer, running, wait_until
from playwright.sync_api import BrowserContext, Page, expect

from daguerre.errors import InternalError, QueueFullError
from daguerre.params import ImageParams
from daguerre.server.playground.one_time_login import OneTimeLogin
from server.playground.conftest import KEPT, TIMEOUT_MS, watched

expect.set_options(timeout=TIMEOUT_MS)


def held_after(engine: FakeEngine, step: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Holds the engine after a step until the test clears `is_held`."""
    draw: Callable[[ImageParams, int], Any] = engine._preview

    def draw_and_hold(params: ImageParams, index: int) -> Any:
        engine.is_held = engine.is_held or index == step
        return draw(params, index)

    monkeypatch.setattr(engine, "_preview", draw_and_hold)


def pictures(page: Page) -> int:
    return page.locator(KEPT).count()


@pytest.fixture
def one_time_login() -> OneTimeLogin:
    return OneTimeLogin()


@pytest.fixture
def own_server(tmp_path: Path, one_time_login: OneTimeLogin) -> Iterator[RunningServer]:
    with running(tmp_path, one_time_login=one_time_login) as server:
        yield server


def test_link_signs_in_once(
    context: BrowserContext, own_server: RunningServer, one_time_login: OneTimeLogin
) -> None:
    """The link leads to a picture with one click, leaves no trace, and works only once."""
    link = own_server.settings.public_base_url() + one_time_login.issue(own_server.key)
    page = context.new_page()
    problems = watched(page, own_server)
    page.goto(link)
    expect(page.locator("#service")).to_have_text(MODEL)
    assert page.url == own_server.settings.public_base_url() + "/"
    page.get_by_role("button", name="Make the picture").click()
    expect(page.locator(KEPT)).to_have_count(1)
    page.reload()
    expect(page.locator("#service")).to_have_text(MODEL)
    assert problems == []
    other = context.browser.new_context() if context.browser else context
    late = other.new_page()
    late.goto(link)
    expect(late.locator("#key-error")).to_contain_text("this link has been used")
    other.close()


def test_link_in_an_open_page(
    context: BrowserContext, own_server: RunningServer, one_time_login: OneTimeLogin
) -> None:
    """A link that is pasted into an open page signs in without a reload. Its token leaves the URL,
    and an invalid link leaves the stored key alone.
    """
    url = own_server.settings.public_base_url()
    page = context.new_page()
    problems = watched(page, own_server)
    page.goto(url)
    page.get_by_role("button", name="Make the picture").click()  # opens the dialog for the key
    page.evaluate("window.isSamePage = true")
    link = url + one_time_login.issue(own_server.key)
    for _ in range(2):
        page.goto(link)
        expect(page.locator("#service")).to_have_text(MODEL)
        expect(page.locator("#key-dialog")).to_be_hidden()
        page.wait_for_url(url + "/")
    assert page.evaluate("window.isSamePage") and problems == []


def test_key_is_typed_once(context: BrowserContext, server: RunningServer) -> None:
    """Without a key, the page asks for one, explains why one is wrong, and stores a valid one."""
    page = context.new_page()
    problems = watched(page, server)
    page.goto(server.settings.public_base_url())
    page.get_by_role("button", name="Make the picture").click()
    field = page.get_by_label("Key", exact=True)
    expect(field).to_be_focused()
    for wrong, message in (("inf-wrong", "unknown"), ("inf-ключ", "This is not a key")):
        field.fill(wrong)
        page.get_by_role("button", name="Use this key").click()
        expect(page.locator("#key-error")).to_contain_text(message)
    field.fill(f"  {server.key} ")
    field.press("Enter")
    expect(page.locator("#service")).to_have_text(MODEL)
    page.reload()
    expect(page.locator("#service")).to_have_text(MODEL)
    page.get_by_role("button", name="Key").click()
    page.get_by_role("button", name="Forget the key").click()
    expect(page.locator("#service")).to_have_text("Not signed in")
    assert page.evaluate("localStorage.getItem('daguerre.key')") is None
    assert problems == []


def test_whole_way(page: Page, server: RunningServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """All fields reach the engine; queue, steps and preview are shown; the file is the server's."""
    engine = server.engine
    engine.num_steps, engine.is_held = 8, True
    held_after(engine, 5, monkeypatch)
    page.get_by_label("What should the picture show?").fill("a fox & a <b>hen</b>")
    page.get_by_label("What should it not show?").fill("a dog")
    page.get_by_role("radio", name="16:9").check()
    page.get_by_role("radio", name="JPEG").check()
    page.get_by_label("Seed", exact=True).fill("7")
    expect(page.get_by_role("button", name="Keep this seed")).to_have_attribute(
        "aria-pressed", "true"
    )
    page.get_by_role("button", name="Make the picture").click()
    expect(page.locator("#state")).to_contain_text("Next in line")
    engine.is_held = False
    expect(page.locator("#state")).to_contain_text("Step 5 of 8 · about")
    expect(page.locator("#picture")).to_be_visible()
    assert page.locator("#picture").evaluate("image => image.naturalWidth") == 1344 // 16
    assert page.locator("#progress").get_attribute("value") == "0.625"
    engine.is_held = False
    expect(page.locator("#caption-words")).to_have_text("a fox & a <b>hen</b>")
    expect(page.locator("#caption-facts")).to_contain_text("1344 × 768 · seed 7 · JPEG")
    wanted = ImageParams(MODEL, "a fox & a <b>hen</b>", "a dog", 1344, 768, 7, "jpeg")
    assert engine.params == [wanted] and engine.params[0].num_previews == 3
    monkeypatch.undo()
    with page.expect_download() as download:
        page.get_by_role("link", name="Download").click()
    assert download.value.suggested_filename == "a-fox-a-b-hen-b-7.jpg"
    plain = server.generate(
        prompt=wanted.prompt, negative_prompt="a dog", size="1344x768", seed=7, output_format="jpeg"
    )
    assert download.value.path().read_bytes() == _file(plain.json())


def _file(answer: dict[str, Any]) -> bytes:
    import base64

    return base64.b64decode(answer["data"][0]["b64_json"])


@pytest.mark.parametrize("how", ["button", "key"])
def test_cancel(page: Page, server: RunningServer, how: str) -> None:
    """The button and the Escape key cancel the job on the server, and the page is ready again."""
    server.engine.is_held = True
    page.keyboard.press("Control+Enter")
    expect(page.locator("#state")).to_contain_text("Next in line")
    if how == "button":
        page.get_by_role("button", name="Cancel").click()
    else:
        page.keyboard.press("Escape")
    expect(page.locator("#state")).to_have_text("Cancelled")
    expect(page.get_by_role("button", name="Make the picture")).to_be_visible()
    wait_until(lambda: server.engine.num_cancelled == 1)
    assert pictures(page) == 0


REFUSED = (
    ("What should the picture show?", " ", "prompt is", "a fox"),
    ("Seed", "-4", "it must be an integer from 0 to 4294967295", "4"),
    ("Seed", "seven", '"seven"', "7"),
    ("What should it not show?", "x" * 10_001, "(10001 characters)", "a dog"),
)


def test_error_at_its_field(page: Page, server: RunningServer) -> None:
    """A validation error appears at its field in the server's words; typing clears it."""
    for label, text, message, valid in REFUSED:
        type_invalid_value(page, label, text, message, valid)
    assert server.engine.params == []


def type_invalid_value(page: Page, label: str, text: str, message: str, valid: str) -> None:
    field = page.get_by_label(label, exact=label == "Seed")
    field.fill(text)
    page.get_by_role("button", name="Make the picture").click()
    expect(field).to_have_attribute("aria-invalid", "true")
    expect(field).to_be_focused()
    described = str(field.get_attribute("aria-describedby")).split()[0]
    error = page.locator(f"#{described}")
    expect(error).to_contain_text(message)
    field.fill(valid)
    expect(error).to_be_hidden()
    expect(field).not_to_have_attribute("aria-invalid", "true")


def test_other_failures(page: Page, server: RunningServer) -> None:
    """A server error appears above the form; the viewer returns to its previous state."""
    server.engine.failure = InternalError("the network broke")
    page.get_by_role("button", name="Make the picture").click()
    expect(page.locator("#form-error")).to_have_text("the network broke")
    expect(page.locator("#empty")).to_be_visible()


def test_full_queue(page: Page, server: RunningServer) -> None:
    """If the queue is full, the page says so and retries after Retry-After."""
    server.engine.refusal = QueueFullError("the queue is full", retry_after_s=1)
    page.get_by_role("button", name="Make the picture").click()
    expect(page.locator("#state")).to_contain_text("The queue is full. Trying again in")
    server.engine.refusal = None
    expect(page.locator(KEPT)).to_have_count(1)


def test_again_and_vary(page: Page, server: RunningServer, make: Callable[..., None]) -> None:
    """ "Again" gives the same bytes, stored once; "Vary" changes only the seed."""
    make("a red fox", 5)
    page.get_by_role("button", name="Again").click()
    expect(page.locator("#state")).to_have_text("The same bytes as before.")
    assert pictures(page) == 1
    page.get_by_role("button", name="Vary").click()
    expect(page.locator(KEPT)).to_have_count(2)
    first, again, varied = server.engine.params
    assert first == again and varied.seed != 5
    assert (varied.prompt, varied.width) == (first.prompt, first.width)


def test_seed(page: Page, make: Callable[..., None]) -> None:
    """Each picture has a new seed unless it is locked; the dice draw another one."""
    seed = page.get_by_label("Seed", exact=True)
    seen = []
    for _ in range(2):
        make("a fox")
        seen.append(seed.input_value())
    page.get_by_role("button", name="Another seed").click()
    page.get_by_role("button", name="Keep this seed").click()
    seen.append(seed.input_value())
    make("a fox")
    assert seed.input_value() == seen[-1] and len(set(seen)) == 3
    assert all(1 <= int(value) <= 4294967295 for value in seen)
    page.reload()
    expect(seed).to_have_value(seen[-1])
    expect(page.get_by_label("What should the picture show?")).to_have_value("a fox")


def test_gallery(page: Page, make: Callable[..., None]) -> None:
    """Pictures persist across reloads; arrow keys select; one or all of them can be removed."""
    for seed in (1, 2, 3):
        make(f"fox {seed}", seed)
    page.reload()
    expect(page.locator(KEPT)).to_have_count(3)
    expect(page.locator("#caption-words")).to_have_text("fox 3")
    page.locator(KEPT).first.focus()
    page.keyboard.press("ArrowRight")
    expect(page.locator("#caption-words")).to_have_text("fox 2")
    expect(page.locator("#gallery button:focus img")).to_have_attribute("alt", "fox 2, seed 2")
    page.keyboard.press("Delete")
    expect(page.locator("#caption-words")).to_have_text("fox 1")
    expect(page.locator("#gallery button:focus img")).to_have_attribute("alt", "fox 1, seed 1")
    page.reload()
    expect(page.locator(KEPT)).to_have_count(2)
    page.get_by_role("button", name="Remove all").click()
    page.get_by_role("dialog").get_by_role("button", name="Remove all").click()
    expect(page.locator("#empty")).to_be_visible()
    page.reload()
    expect(page.locator("#empty")).to_be_visible()
    assert pictures(page) == 0


def test_place_in_the_queue(page: Page, server: RunningServer) -> None:
    """The queue position is current, the countdown continues, and only positions are announced."""
    engine = server.engine
    page.evaluate("localStorage.setItem('daguerre.seconds', '20')")
    engine.is_held, engine.place = True, 2
    page.get_by_role("button", name="Make the picture").click()
    state, spoken = page.locator("#state"), page.locator("#spoken")
    expect(state).to_have_text(re.compile("2 ahead of you, about (60|5.) s left"))
    expect(state).to_have_text(re.compile("2 ahead of you, about (5.|4.) s left"))
    expect(spoken).to_have_text("2 ahead of you, about 60 s left")
    engine.place = 1
    expect(state).to_have_text(re.compile("1 ahead of you, about (40|3.) s left"))
    expect(spoken).to_have_text("1 ahead of you, about 40 s left")
    engine.place = 0
    expect(state).to_have_text(re.compile("Next in line, about (20|1.) s left"))
    engine.is_held = False
    expect(page.locator(KEPT)).to_have_count(1)
    page.wait_for_timeout(1200)  # longer than the countdown's interval
    expect(state).to_have_text("")


def test_another_picture_during_a_generation(
    page: Page, server: RunningServer, make: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """During a generation another picture can be selected; it stays selected at the end."""
    make("fox 1", 1)
    make("fox 2", 2)
    server.engine.num_steps = 8
    held_after(server.engine, 4, monkeypatch)
    page.get_by_role("radio", name="16:9").check()
    page.get_by_label("Seed", exact=True).fill("3")
    page.get_by_role("button", name="Make the picture").click()
    draft, picture = page.get_by_role("button", name="being made"), page.locator("#picture")
    expect(draft).to_have_attribute("aria-current", "true")
    expect(page.locator("#state")).to_contain_text("Step 4 of 8")
    expect(picture).to_have_attribute("alt", re.compile("preview"))
    page.get_by_role("button", name="fox 1, seed 1").click()
    expect(page.locator("#caption-words")).to_have_text("fox 1")
    expect(picture).to_have_attribute("alt", "fox 1")
    for name in ("Again", "Vary"):
        expect(page.get_by_role("button", name=name)).to_be_disabled()
    expect(page.locator("#state")).to_contain_text("Step 4 of 8")
    draft.click()
    expect(picture).to_have_attribute("alt", re.compile("preview"))
    assert picture.evaluate("image => image.naturalWidth") == 1344 // 16
    page.get_by_role("button", name="fox 1, seed 1").click()
    held_after(server.engine, 6, monkeypatch)
    server.engine.is_held = False
    expect(page.locator("#state")).to_contain_text("Step 6 of 8")
    expect(picture).to_have_attribute("alt", "fox 1")
    server.engine.is_held = False
    expect(page.locator("#state")).to_contain_text("The picture is done.")
    expect(page.locator("#caption-words")).to_have_text("fox 1")
    expect(draft).to_have_count(0)
    expect(page.get_by_role("button", name="Vary")).to_be_enabled()
    assert pictures(page) == 3


def test_cancel_restores_the_viewer(
    page: Page, server: RunningServer, make: Callable[..., None]
) -> None:
    """After a cancelled generation the viewer shows the previous picture, if it still exists."""
    make("fox 1", 1)
    make("fox 2", 2)
    server.engine.is_held = True
    page.get_by_role("button", name="Make the picture").click()
    page.get_by_role("button", name="Cancel").click()
    expect(page.locator("#caption-words")).to_have_text("fox 2")
    page.get_by_role("button", name="Make the picture").click()
    for seed in (2, 1):
        page.get_by_role("button", name=f"fox {seed}, seed {seed}").click()
        page.get_by_role("button", name="Remove", exact=True).click()
    expect(page.get_by_role("button", name="being made")).to_have_attribute("aria-current", "true")
    expect(page.locator("#empty")).to_be_hidden()
    page.get_by_role("button", name="Cancel").click()
    expect(page.locator("#empty")).to_be_visible()


def test_shapes_by_keys(page: Page) -> None:
    """The shapes have their proportions, and arrow keys select them."""
    for label in page.locator("#shapes label").all():
        width, height = map(int, label.inner_text().split(":"))
        box = label.locator(".shape").bounding_box()
        assert box
        assert np.isclose(box["width"] / box["height"], width / height, rtol=0.12)
    page.get_by_role("radio", name="1:1").focus()
    page.keyboard.press("ArrowRight")
    expect(page.get_by_role("radio", name="4:5")).to_be_checked()
    expect(page.locator("#size")).to_have_text("896 × 1088")


def test_everything_is_reached_with_tab(page: Page, make: Callable[..., None]) -> None:
    """Tab reaches every control, in visual order."""
    make("a fox", 1)
    page.locator("#open-key").focus()
    reached = []
    for _ in range(16):
        page.keyboard.press("Tab")
        reached.append(page.evaluate("document.activeElement.id || document.activeElement.name"))
    wanted = "prompt negative_prompt aspect_ratio seed dice lock output_format make again vary copy"
    assert reached[:14] == [*wanted.split(), "download", "remove", "clear"]


def test_nothing_is_cut_off(page: Page, make: Callable[..., None]) -> None:
    """At any width, from the narrowest phone to a wide screen, no content overflows."""
    make("Llanfairpwllgwyngyllgogerychwyrndrobwllllantysiliogogogoch" * 3, 4294967295)
    for width in (320, 390, 768, 1280, 2560):
        page.set_viewport_size({"width": width, "height": 800})
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        boxes = page.evaluate(BOXES)
        assert len(boxes) > 20
        for left, top, right, bottom in boxes:
            assert left >= 0 and right <= width
            assert min(right - left, bottom - top) >= 24  # WCAG 2.2, 2.5.8


# Everything clickable.
BOXES = """[...document.querySelectorAll("button, input, a.button")]
  .map((one) => one.getBoundingClientRect()).filter((box) => box.width)
  .map((box) => [box.left, box.top, box.right, box.bottom])"""


def test_page_without_storage(page: Page, make: Callable[..., None]) -> None:
    """Without browser storage, pictures are generated anyway, and the page says so."""
    page.add_init_script("delete window.indexedDB; window.indexedDB = undefined;")
    page.reload()
    expect(page.locator("#sheet-note")).to_contain_text("stores nothing")
    make("a fox", 3)
    assert pictures(page) == 1 and re.search("seed 3", page.locator("#caption-facts").inner_text())


def test_extra_sizes(
    context: BrowserContext, server: RunningServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The model's own sizes are offered after sign-in, kept over a reload, and sent as `size`."""
    infos = server.engine.model_infos
    own = (replace(infos[0], extra_sizes=("512x512", "768x512")),)
    monkeypatch.setattr(server.engine, "model_infos", own)
    page = context.new_page()
    problems = watched(page, server)
    page.goto(server.settings.public_base_url())
    page.evaluate("key => localStorage.setItem('daguerre.key', key)", server.key)
    page.reload()
    page.get_by_role("radio", name="768 × 512").check()
    expect(page.locator("#size")).to_have_text("768 × 512")
    page.reload()
    expect(page.get_by_role("radio", name="768 × 512")).to_be_checked()
    page.get_by_role("button", name="Make the picture").click()
    expect(page.locator(KEPT)).to_have_count(1)
    expect(page.locator("#caption-facts")).to_contain_text("768 × 512")
    params = server.engine.params[-1]
    assert (params.width, params.height) == (768, 512)
    # A model without it: the default is chosen, and the stored picture is still shown.
    monkeypatch.setattr(server.engine, "model_infos", infos)
    page.reload()
    expect(page.locator("#service")).to_have_text(MODEL)
    expect(page.get_by_role("radio", name="768 × 512")).to_have_count(0)
    expect(page.locator("#size")).to_have_text("1024 × 1024")
    expect(page.locator("#caption-facts")).to_contain_text("768 × 512")
    assert problems == []
