"""The review page in a real Chromium: a proposal lies over its lesion, and Submit accepts it."""

import io
import shutil
import time

import numpy as np
import pytest
from PIL import Image

from annotator.client import LabelStudioClient
from annotator.connect import connect_project
from annotator.import_images import import_images
from annotator.labeling import NO_LESION
from annotator.opening import open_data_set
from annotator.pull import pull_reviews
from annotator.push import push_images
from annotator.studio import read_account, studio_status
from db.records import Box, NewProposal
from db.regions import boxes_iou

pytestmark = [pytest.mark.studio, pytest.mark.browser]

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


@pytest.fixture
def browser(tmp_path):
    if not (shutil.which("chromium") and shutil.which("chromedriver")):
        pytest.skip("Chromium and its driver are not installed (Debian: apt-get install chromium chromium-driver)")
    selenium = pytest.importorskip("selenium.webdriver")
    options = selenium.ChromeOptions()
    options.binary_location = shutil.which("chromium")
    for flag in [*FLAGS, f"--user-data-dir={tmp_path / 'profile'}"]:
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


def test_a_proposal_is_shown_over_its_lesion(registry, phantoms, studio, browser, tmp_path):
    opened, _ = open_data_set(phantoms, "csv")
    truth = next(image for image in opened if image.location.boxes)
    import_images(registry, phantoms, "csv", keep_locations=0)
    with registry.begin() as tx:
        image = next(image for image in tx.images.select() if image.path == truth.path)
        run = tx.runs.start(preset="default", config={}, snapshot="s")
        proposal = NewProposal(image.id, image.class_name, 0.9, 0.9, truth.location.boxes)
        tx.proposals.add([proposal], run_id=run.id, tau=0.5, gate="class")
    url, account = studio_status(studio).url, read_account(studio)
    with LabelStudioClient(url, account.token) as client:
        connection, _, _ = connect_project(registry, client, title="browser", media_folder=studio.media)
        push_images(registry, client, media_folder=studio.media)
        (task,) = client.list_tasks(connection.project_id, with_annotations=False)
    log_in(browser, url, account)
    browser.get(f"{url}/projects/{connection.project_id}/data?task={task['id']}")

    def shown():
        images = [
            element
            for element in browser.find_elements("tag name", "img")
            if element.get_attribute("alt") == "image" and element.size["width"] > 300
        ]
        return images and browser.find_elements("tag name", "canvas") and images[0]

    wait_for(shown)
    assert NO_LESION in browser.page_source

    def overlap():
        rect = browser.execute_script(
            "const r = arguments[0].getBoundingClientRect(); return {x: r.x, y: r.y, width: r.width, height: r.height}",
            shown(),  # the page replaces the element while it loads
        )
        screenshot = Image.open(io.BytesIO(browser.get_screenshot_as_png()))
        screenshot.save(tmp_path / "review-page.png")  # to look at when this fails
        try:
            found = orange_box(screenshot, rect)
        except ValueError:
            return 0.0
        box = truth.location.boxes[0]
        wanted = Box(box.x / truth.width, box.y / truth.height, box.width / truth.width, box.height / truth.height)
        iou = boxes_iou([Box(*map(float, found))], [wanted])
        return iou if iou > 0.9 else 0.0

    assert wait_for(overlap) > 0.9

    # A person who finds it right presses Submit; that is an accepted proposal, with the time it took.
    def submitted():
        buttons = [button for button in browser.find_elements("tag name", "button") if button.text == "Submit"]
        if buttons:
            buttons[0].click()
        return bool(buttons)

    wait_for(submitted)
    with LabelStudioClient(url, account.token) as client:
        report = wait_for(lambda: (found := pull_reviews(registry, client)).created and found)
    assert report.outcomes == {"accepted": 1}
    with registry.read() as tx:
        assert tx.images.get(image.id).boxes == truth.location.boxes
