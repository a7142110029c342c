"""The page about the rounds as it is seen: light, dark, on a phone, and printed."""

import base64
import io

import numpy as np
import pytest
from PIL import Image

from learner.reporting.rounds_page import write_rounds_page
from tests.unit.learner.reporting.test_rounds_page import PLAN, PROMISE, REVIEWS, ROUNDS

LIGHT, DARK = "light", "dark"


@pytest.fixture
def page(browser, tmp_path):
    file = write_rounds_page(tmp_path / "rounds.html", "Breast ultrasound", ROUNDS, REVIEWS, PLAN, [PROMISE])
    browser.get(file.as_uri())
    yield browser
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})
    browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


def in_scheme(driver, scheme):
    features = [{"name": "prefers-color-scheme", "value": scheme}]
    driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})


def luminance(colour):
    """Relative luminance of an sRGB colour, 0 to 1 (WCAG 2.1)."""
    channels = np.array([float(part) for part in colour[colour.index("(") + 1 : -1].split(",")[:3]]) / 255
    linear = np.where(channels <= 0.04045, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4)
    return float(linear @ [0.2126, 0.7152, 0.0722])


def contrast(driver, selector):
    """Contrast of an element's text with the page."""
    read = "return getComputedStyle(document.querySelector(arguments[0]))[arguments[1]]"
    ink, paper = (
        luminance(driver.execute_script(read, *of)) for of in ((selector, "color"), ("body", "backgroundColor"))
    )
    return (max(ink, paper) + 0.05) / (min(ink, paper) + 0.05)


@pytest.mark.parametrize("scheme", [LIGHT, DARK])
def test_it_can_be_read_by_day_and_by_night(page, scheme):
    in_scheme(page, scheme)
    background = page.execute_script("return getComputedStyle(document.body).backgroundColor")
    assert (luminance(background) > 0.5) == (scheme == LIGHT)
    for selector in ("h1", "p.lead", "p.soft", "th", "td"):
        assert contrast(page, selector) >= 4.5, f"{selector}: WCAG AA asks for 4.5"
    shown = np.asarray(Image.open(io.BytesIO(page.get_screenshot_as_png())).convert("L"), dtype=float)
    assert (np.median(shown) > 128) == (scheme == LIGHT)


def test_the_curve_is_seen(page):
    (svg,) = page.find_elements("tag name", "svg")
    assert svg.size["width"] > 400
    dots = svg.find_elements("css selector", "circle.round")
    places = [(dot.rect["x"], -dot.rect["y"]) for dot in dots]
    assert len(places) == 3
    assert places == sorted(places, key=lambda place: place[0])
    heights = [height for _, height in places]
    assert heights == sorted(heights), "each round is higher than the one before"


def test_bars_show_what_people_did(page):
    bar = page.find_element("css selector", ".bar")
    parts = [bar.find_element("css selector", f".{name}").size["width"] for name in ("accepted", "edited", "rejected")]
    shares = np.array(parts) / bar.size["width"]
    assert shares == pytest.approx([22 / 40, 12 / 40, 6 / 40], abs=0.02)


def test_it_fits_a_phone(page):
    page.execute_cdp_cmd(
        "Emulation.setDeviceMetricsOverride", {"width": 375, "height": 700, "deviceScaleFactor": 1, "mobile": True}
    )
    widths = page.execute_script("return [document.documentElement.scrollWidth, window.innerWidth]")
    assert widths[0] <= widths[1], "nothing but the wide table scrolls sideways, and that on its own"


def test_it_prints_dark_on_white_whatever_the_screen(page):
    in_scheme(page, DARK)
    printed = page.execute_cdp_cmd(
        "Page.printToPDF", {"printBackground": False, "paperWidth": 8.27, "paperHeight": 11.7}
    )
    assert base64.b64decode(printed["data"]).startswith(b"%PDF")
    page.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print", "features": []})
    read = "return getComputedStyle(document.querySelector('h1')).color"
    assert page.execute_script(read) == "rgb(0, 0, 0)"
    page.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": ""})
