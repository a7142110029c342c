"""A real Chromium, logged in to the real Label Studio of these tests."""

import shutil
import time

import numpy as np
import pytest

from annotator.label_studio.local_server import read_account, studio_status

FLAGS = [
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--window-size=1400,1000",
    "--force-device-scale-factor=1",
]
WAIT_S = 60


@pytest.fixture(scope="session")
def browser(tmp_path_factory):
    if not (shutil.which("chromium") and shutil.which("chromedriver")):
        pytest.skip("Chromium and its driver are not installed (Debian: apt-get install chromium chromium-driver)")
    selenium = pytest.importorskip("selenium.webdriver")
    options = selenium.ChromeOptions()
    options.binary_location = shutil.which("chromium")
    for flag in [*FLAGS, f"--user-data-dir={tmp_path_factory.mktemp('profile')}"]:
        options.add_argument(flag)
    driver = selenium.Chrome(options=options, service=selenium.ChromeService(shutil.which("chromedriver")))
    yield driver
    driver.quit()


def wait_for(condition):
    """Ask until the answer is yes. The page replaces its elements while it loads, so a stale one means: not yet."""
    from selenium.common.exceptions import WebDriverException

    deadline, last = time.monotonic() + WAIT_S, None
    while time.monotonic() < deadline:
        try:
            found = condition()
        except WebDriverException as exc:
            found, last = None, exc
        if found:
            return found
        time.sleep(0.3)
    raise AssertionError(f"the page did not show what was waited for ({last})")


def log_in(driver, url, account):
    driver.get(f"{url}/user/login/")
    wait_for(lambda: driver.find_elements("name", "email"))
    driver.find_element("name", "email").send_keys(account.username)
    driver.find_element("name", "password").send_keys(account.password)
    driver.find_element("css selector", "button[type=submit]").click()
    wait_for(lambda: "/user/login" not in driver.current_url)


def orange_box(screenshot, rect):
    """The extent of what the proposal tints, inside the image's place on the page, as shares of the image."""
    pixels = np.asarray(screenshot.convert("RGB"), dtype=int)
    x, y, w, h = (round(rect[key]) for key in ("x", "y", "width", "height"))
    part = pixels[y : y + h, x : x + w]
    tinted = (part[:, :, 0] - part[:, :, 2]) > 25  # grey images have no colour of their own
    rows, columns = np.nonzero(tinted.sum(axis=1) > 20)[0], np.nonzero(tinted.sum(axis=0) > 20)[0]
    return columns.min() / w, rows.min() / h, (np.ptp(columns) + 1) / w, (np.ptp(rows) + 1) / h


def open_task(driver, url, project_id, task_id):
    """Open a task and wait until its image and what is drawn over it are there."""
    driver.get(f"{url}/projects/{project_id}/data?task={task_id}")
    wait_for(lambda: shown_image(driver))


def shown_image(driver):
    """Return the task's image on the page, None while it loads."""
    images = [
        element
        for element in driver.find_elements("tag name", "img")
        if element.get_attribute("alt") == "image" and element.size["width"] > 100
    ]
    return images[0] if images and driver.find_elements("tag name", "canvas") else None


def place_of(driver):
    """Return where the image is on the page, in its pixels."""
    script = "const r = arguments[0].getBoundingClientRect(); return {x: r.x, y: r.y, width: r.width, height: r.height}"
    return driver.execute_script(script, shown_image(driver))  # the page replaces the element while it loads


def press(driver, label):
    """Press a button by its words."""

    def pressed():
        buttons = [button for button in driver.find_elements("tag name", "button") if button.text == label]
        if buttons:
            buttons[0].click()
        return bool(buttons)

    wait_for(pressed)


@pytest.fixture
def page(browser, studio):
    """The browser, as a desktop shows pages, and logged in.

    Other tests may have been on phones and paper, and at other servers of this machine, which share its cookies.
    """
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "", "features": []})
    browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
    url = studio_status(studio).url
    browser.get(f"{url}/user/account")
    if "/user/login" in browser.current_url:
        log_in(browser, url, read_account(studio))
    return browser
