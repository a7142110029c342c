"""The dashboard in a real Chromium: filters, an image with its boxes where they are, keys; the console stays empty."""

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

from annotator.datasets.import_images import import_images
from annotator.datasets.import_request import ImportRequest
from annotator.datasets.phantoms import write_phantoms
from annotator.web.listening import ListeningServer, listen
from cli.dashboard.application import make_application
from cli.dashboard.pages import PAGE
from db.records import Box, LocationStatus, NewProposal, RunStatus, Split
from db.registry import create_registry
from tests.browser.conftest import wait_for
from tests.browser.test_rounds_page import DARK, LIGHT, contrast, in_scheme

pytestmark = pytest.mark.browser

IMAGES = PAGE + 20
PROPOSED = Box(21.5, 33.25, 40.0, 25.5)
PHONE_PX = 375
PLACE = "const r = document.querySelector(arguments[0]).getBoundingClientRect(); return [r.x, r.y, r.width, r.height]"
LOADED = "return [...document.images].every(i => i.loading === 'lazy' || (i.complete && i.naturalWidth > 0))"
COLUMNS = "return getComputedStyle(document.querySelector('.grid')).gridTemplateColumns.split(' ').length"


@pytest.fixture(scope="module")
def registry(tmp_path_factory):
    """Phantoms, some with a known location and mask, and one with a proposal."""
    place = tmp_path_factory.mktemp("dashboard")
    write_phantoms(place / "images", IMAGES, seed=2)
    made = create_registry(f"sqlite:///{place}/registry.sqlite3", place)
    import_images(made, ImportRequest(place / "images", "csv", keep_locations=0.5))
    with made.begin() as tx:
        tx.images.set_splits(dict.fromkeys(tx.images.ids(), Split.TRAIN))
        run = tx.runs.start(preset="default", config={}, snapshot="x")
        key = tx.images.ids(located=False)[3]
        tx.proposals.add([NewProposal(key, "benign", 0.9, 0.875, (PROPOSED,))], run_id=run.id, tau=0.5, gate="class")
        tx.runs.finish(run.id, RunStatus.FINISHED, {})
    yield made
    made.close()


@pytest.fixture
def page(browser, registry):
    """The browser, and the dashboard's address as its attribute; every page must have been free of errors."""
    browser.get_log("browser")
    with ListeningServer(make_application(registry, title="partly: phantoms"), listen("127.0.0.1", 0)) as server:
        browser.root = f"http://127.0.0.1:{server.port}"
        browser.get(browser.root)
        browser.execute_script("sessionStorage.clear()")
        yield browser
        assert browser.get_log("browser") == []
        browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})
        browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
        browser.get("about:blank")


def press(page, *keys):
    page.switch_to.active_element.send_keys(*keys)


def tiles(page):
    return [int(tile.get_attribute("href").split("/images/")[1].split("?")[0]) for tile in page.find_elements(
        By.CSS_SELECTOR, "a.tile")]  # fmt: skip


def shown_at(page, selector, size):
    """Where something drawn is on the image, in the image's pixels: x, y, width, height."""
    script = (
        "const r = document.querySelector(arguments[0]).getBoundingClientRect(); return [r.x, r.y, r.width, r.height]"
    )
    x, y, width, height = page.execute_script(script, selector)
    left, top, wide, high = page.execute_script(script, ".canvas img")
    across, down = size[0] / wide, size[1] / high
    return (x - left) * across, (y - top) * down, width * across, height * down


def loaded(page):
    """Say whether every picture on the page that was asked for is there."""
    script = (
        "return [...document.images].filter(i => i.loading !== 'lazy').every(i => i.complete && i.naturalWidth > 0)"
    )
    return page.execute_script(script)


def test_what_to_do_next_arrives(page):
    assert wait_for(lambda: "partly " in page.find_element(By.CSS_SELECTOR, "[data-fragment] .steps").text)


def test_a_filter_an_image_and_its_box_at_the_right_place(page, registry):
    page.find_element(By.LINK_TEXT, "Images").click()
    assert len(tiles(page)) == PAGE
    page.find_element(By.CSS_SELECTOR, "select[name=proposed] option[value=yes]").click()
    wait_for(lambda: len(tiles(page)) == 1)
    assert page.current_url == f"{page.root}/images?proposed=yes", "what was left empty is not in the address"
    with registry.read() as tx:
        (proposal,) = tx.proposals.pending()
        record = tx.images.get(proposal.image_id)
    assert tiles(page) == [record.id]
    page.find_element(By.CSS_SELECTOR, "a.tile").click()
    wait_for(lambda: loaded(page))
    found = shown_at(page, "g.proposed rect", (record.width, record.height))
    # Its line is drawn half outside; a pixel of the page is a part of one of the image.
    assert found == pytest.approx((PROPOSED.x, PROPOSED.y, PROPOSED.width, PROPOSED.height), abs=1.0)
    assert page.find_element(By.CSS_SELECTOR, "g.proposed text").text == "0.88"
    assert "registered" in page.find_element(By.XPATH, "//table[caption='History']").text
    # And in the picture: orange on the box's left edge, none in the middle of the image's edge.
    left, top, wide, high = page.execute_script(PLACE, ".canvas")
    pixels = np.asarray(Image.open(io.BytesIO(page.get_screenshot_as_png())).convert("RGB"), dtype=int)
    orange = (pixels[:, :, 0] - pixels[:, :, 2]) > 120
    middle = round(top + (PROPOSED.y + PROPOSED.height / 2) / record.height * high)
    edge = round(left + PROPOSED.x / record.width * wide)
    assert orange[middle - 12 : middle + 12, edge - 3 : edge + 4].any()
    assert not orange[middle - 12 : middle + 12, edge - 40 : edge - 8].any()


def test_no_box_is_drawn_over_what_stands_for_an_image_that_cannot_be_read(page, registry):
    with registry.read() as tx:
        first, second = [one for one in tx.images.select(located=True) if one.boxes][:2]
    moved = Path(first.path.location).rename(f"{first.path.location}.moved")
    try:
        page.get(f"{page.root}/images?located=yes")
        overlay = "a.tile[href^='/images/{}?'] svg"
        wait_for(lambda: not page.find_element(By.CSS_SELECTOR, overlay.format(first.id)).is_displayed())
        assert page.find_element(By.CSS_SELECTOR, overlay.format(second.id)).is_displayed()
        page.get(f"{page.root}/images/{first.id}")
        assert "no such file" in page.find_element(By.CSS_SELECTOR, "[role=alert]").text
        assert not page.find_elements(By.CSS_SELECTOR, ".canvas")
    finally:
        moved.rename(first.path.location)
    page.get(f"{page.root}/images/{first.id}")
    wait_for(lambda: loaded(page))
    assert page.find_element(By.CSS_SELECTOR, ".canvas svg").is_displayed()


def test_layers_are_hidden_and_stay_hidden_on_the_next_image(page, registry):
    with registry.read() as tx:
        first, second = [
            one for one in tx.images.select(located=True) if one.location_status is LocationStatus.PRESENT
        ][:2]
    page.get(f"{page.root}/images/{first.id}?located=yes")
    wait_for(lambda: loaded(page))
    (box,) = first.boxes
    size = (first.width, first.height)
    assert shown_at(page, "g.imported rect", size) == pytest.approx((box.x, box.y, box.width, box.height), abs=1.0)
    assert shown_at(page, "g.mask polygon", size) == pytest.approx((box.x, box.y, box.width, box.height), abs=1.5)
    page.find_element(By.CSS_SELECTOR, "input[data-kind=mask]").click()
    assert not page.find_element(By.CSS_SELECTOR, "g.mask").is_displayed()
    assert page.find_element(By.CSS_SELECTOR, "g.imported").is_displayed()
    page.get(f"{page.root}/images/{second.id}?located=yes")
    assert not page.find_element(By.CSS_SELECTOR, "g.mask").is_displayed()
    assert page.find_element(By.CSS_SELECTOR, "g.imported").is_displayed()


def test_the_keyboard_goes_from_image_to_image_and_over_the_edge_of_a_page(page, registry):
    with registry.read() as tx:
        ids = tx.images.ids()
    page.get(f"{page.root}/images")
    assert tiles(page) == ids[:PAGE]
    body = page.find_element(By.TAG_NAME, "body")
    body.send_keys(Keys.ARROW_RIGHT)
    press(page, Keys.ARROW_RIGHT)
    assert f"/images/{ids[1]}" in page.switch_to.active_element.get_attribute("href")
    columns = page.execute_script(COLUMNS)
    press(page, Keys.ARROW_DOWN)
    assert f"/images/{ids[1 + columns]}" in page.switch_to.active_element.get_attribute("href")
    press(page, Keys.SHIFT, Keys.ARROW_RIGHT)
    wait_for(lambda: tiles(page) == ids[PAGE:])
    # The first one of the page has the focus: back from it is the page before, on its last.
    wait_for(lambda: f"/images/{ids[PAGE]}" in page.switch_to.active_element.get_attribute("href"))
    press(page, Keys.ARROW_LEFT)
    wait_for(lambda: tiles(page) == ids[:PAGE])
    wait_for(lambda: f"/images/{ids[PAGE - 1]}" in page.switch_to.active_element.get_attribute("href"))
    press(page, Keys.ENTER)
    wait_for(lambda: page.current_url.endswith(f"/images/{ids[PAGE - 1]}"))
    page.find_element(By.TAG_NAME, "body").send_keys(Keys.ARROW_RIGHT)
    wait_for(lambda: page.current_url.endswith(f"/images/{ids[PAGE]}"))
    page.find_element(By.TAG_NAME, "body").send_keys(Keys.ARROW_LEFT)
    wait_for(lambda: page.current_url.endswith(f"/images/{ids[PAGE - 1]}"))
    page.find_element(By.TAG_NAME, "body").send_keys(Keys.ESCAPE)
    wait_for(lambda: tiles(page) and tiles(page)[0] == ids[PAGE - 1])


def test_keys_that_are_typed_into_a_field_stay_there(page):
    page.get(f"{page.root}/images")
    field = page.find_element(By.NAME, "name")
    field.send_keys("malignant", Keys.ARROW_LEFT, Keys.ARROW_RIGHT)
    assert page.switch_to.active_element == field
    field.send_keys(Keys.ENTER)
    wait_for(lambda: page.current_url.endswith("/images?name=malignant"))
    assert page.find_element(By.NAME, "name").get_attribute("value") == "malignant"


def test_a_script_that_got_into_a_page_would_not_run(page):
    script = (
        "const one = document.createElement('script'); one.textContent = 'window.ran = 1'; document.body.append(one)"
    )
    page.execute_script(script)
    assert page.execute_script("return window.ran") is None
    (refused,) = page.get_log("browser")
    assert "Content Security Policy" in refused["message"]


@pytest.mark.parametrize("scheme", [LIGHT, DARK])
@pytest.mark.parametrize("width", [PHONE_PX, 1280])
def test_it_can_be_read_by_day_by_night_and_on_a_phone(page, registry, scheme, width):
    in_scheme(page, scheme)
    metrics = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width == PHONE_PX}
    page.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    for address in ("/", "/images", "/images/1", "/review", "/rounds", "/runs"):
        page.get(page.root + address)
        assert page.execute_script("return document.documentElement.scrollWidth <= innerWidth"), address
        for selector in ("h1", "nav a", "footer", "main p, main td, main label"):
            if page.find_elements(By.CSS_SELECTOR, selector):
                assert contrast(page, selector) >= 4.5, f"{address} {selector}: WCAG AA asks for 4.5"


def test_it_is_printed_without_what_paper_cannot_do(page):
    page.get(f"{page.root}/images")
    page.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print"})
    try:
        assert not page.find_element(By.CSS_SELECTOR, "form.filters").is_displayed()
        assert not page.find_element(By.CSS_SELECTOR, "header nav").is_displayed()
        assert page.find_element(By.CSS_SELECTOR, "a.tile").is_displayed()
    finally:
        page.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": ""})
