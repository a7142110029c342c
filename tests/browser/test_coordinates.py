"""Boxes and paint in a real Chromium: the same place on the page and in the registry, however the file is turned."""

import io
import json

import numpy as np
import pytest
from PIL import Image, ImageOps

from annotator.datasets.import_images import import_images
from annotator.datasets.import_request import ImportRequest
from annotator.label_studio.client import LabelStudioClient
from annotator.label_studio.connect import ConnectRequest, connect_project
from annotator.label_studio.local_server import read_account, studio_status
from annotator.label_studio.payload.tasks import KEY
from annotator.label_studio.pull.interpret import location_in
from annotator.label_studio.pull.pull_reviews import pull_reviews
from annotator.label_studio.push.plan import PushRequest
from annotator.label_studio.push.push_images import push_images
from db.imaging.decode import mask_from_png
from db.imaging.geometry import boxes_iou
from db.records import Box, NewProposal, ReviewOutcome
from tests.browser.conftest import open_task, orange_box, place_of, press, wait_for

pytestmark = [pytest.mark.studio, pytest.mark.browser]

WIDTH, HEIGHT = 320, 200
LESION = Box(200, 30, 80, 50)
TURNS = {2: Image.Transpose.FLIP_LEFT_RIGHT, 3: Image.Transpose.ROTATE_180, 4: Image.Transpose.FLIP_TOP_BOTTOM,
         5: Image.Transpose.TRANSPOSE, 6: Image.Transpose.ROTATE_90, 7: Image.Transpose.TRANSVERSE,
         8: Image.Transpose.ROTATE_270}  # fmt: skip
"""What a file of each EXIF orientation has done to the upright image."""


def write_turned(folder):
    """Write the same picture eight times, each stored in another orientation."""
    pixels_HW = np.full((HEIGHT, WIDTH), 60, dtype=np.uint8)
    pixels_HW[30:80, 200:280] = 235
    upright = Image.fromarray(pixels_HW).convert("RGB")
    rows = ["image,class"]
    for orientation in range(1, 9):
        # A speck of its own, so that no two are the same image.
        own = upright.copy()
        own.putpixel((5 + orientation, 190), (90, 90, 90))
        stored = own.transpose(TURNS[orientation]) if orientation in TURNS else own
        exif = Image.Exif()
        exif[0x0112] = orientation
        file = folder / f"turned-{orientation}.jpg"
        stored.save(file, quality=95, exif=exif)
        with Image.open(file) as back:
            assert ImageOps.exif_transpose(back).size == (WIDTH, HEIGHT)
        rows.append(f"{file.name},benign")
    (folder / "labels.csv").write_text("\n".join(rows))


@pytest.fixture
def turned(registry, tmp_path):
    folder = tmp_path / "turned"
    folder.mkdir()
    write_turned(folder)
    report = import_images(registry, ImportRequest(folder, "csv"))
    assert report.registered == 8
    with registry.read() as tx:
        images = {int(image.path.stem[-1]): image for image in tx.images.select()}
    assert {(image.width, image.height) for image in images.values()} == {(WIDTH, HEIGHT)}
    return images


def tasks_of(client, project_id):
    tasks = client.list_tasks(project_id, with_annotations=True)
    return {int(task["data"][KEY].partition("-")[0]): task for task in tasks}


@pytest.mark.thorough
def test_proposals_lie_over_the_lesion_in_all_eight_orientations(registry, turned, studio, page, tmp_path):
    with registry.begin() as tx:
        run = tx.runs.start(preset="default", config={}, snapshot="s")
        proposals = [NewProposal(image.id, "benign", 0.9, 0.9, (LESION,)) for image in turned.values()]
        tx.proposals.add(proposals, run_id=run.id, tau=0.5, gate="class")
    url = studio_status(studio).url
    wanted = Box(LESION.x / WIDTH, LESION.y / HEIGHT, LESION.width / WIDTH, LESION.height / HEIGHT)
    with LabelStudioClient(url, read_account(studio).token) as client:
        connection = connect_project(
            registry, client, ConnectRequest(title="eight orientations"), media_folder=studio.media
        ).connection
        push_images(registry, client, media_folder=studio.media)
        tasks = tasks_of(client, connection.project_id)
    for orientation, image in turned.items():
        open_task(page, url, connection.project_id, tasks[image.id]["id"])

        def overlap(name=f"orientation-{orientation}.png"):
            rect = place_of(page)
            screenshot = Image.open(io.BytesIO(page.get_screenshot_as_png()))
            screenshot.save(tmp_path / name)  # to look at when this fails
            try:
                found = orange_box(screenshot, rect)
            except ValueError:
                return 0.0
            iou = boxes_iou([Box(*map(float, found))], [wanted])
            return iou if iou > 0.9 and lesion_is_bright(screenshot, rect) else 0.0

        assert wait_for(overlap) > 0.9, f"orientation {orientation}"


def lesion_is_bright(screenshot, rect):
    """Say whether the browser shows the bright lesion where it is in the upright image."""
    green = np.asarray(screenshot.convert("RGB"), dtype=int)[:, :, 1]
    x, y, w, h = (round(rect[key]) for key in ("x", "y", "width", "height"))
    part = green[y : y + h, x : x + w]
    inside = part[int(0.2 * h) : int(0.35 * h), int(0.66 * w) : int(0.84 * w)].mean()
    beside = part[int(0.6 * h) : int(0.9 * h), int(0.1 * w) : int(0.5 * w)].mean()
    return inside > beside + 60


def drag(driver, first, last):
    """Draw with the mouse between two places, given in pixels of the image."""
    from selenium.webdriver.common.actions.action_builder import ActionBuilder

    rect = settled_place(driver)
    mouse = ActionBuilder(driver, duration=50)
    # By places on the page: the driver's offsets count from the middle of what is in view of an element.
    for step in (0.0, 0.3, 0.7, 1.0):
        x, y = (a + (b - a) * step for a, b in zip(first, last, strict=True))
        place = (rect["x"] + x / WIDTH * rect["width"], rect["y"] + y / HEIGHT * rect["height"])
        mouse.pointer_action.move_to_location(*(round(number) for number in place))
        if step == 0.0:
            mouse.pointer_action.pointer_down()
    mouse.pointer_action.pointer_up()
    mouse.perform()


def settled_place(driver):
    """Return where the image is once the page has stopped moving it."""
    seen = [place_of(driver)]

    def still():
        seen.append(place_of(driver))
        return seen[-1] == seen[-2] and len(seen) > 3

    wait_for(still)
    return seen[-1]


def choose(driver, label):
    """Take a tool by its label."""

    def chosen():
        found = [item for item in driver.find_elements("css selector", ".lsf-label") if label in item.text]
        if found:
            found[0].click()
        return bool(found)

    wait_for(chosen)


@pytest.mark.parametrize(
    ("orientation", "first", "last"),
    [
        pytest.param(1, (200, 30), (280, 80), marks=pytest.mark.thorough),
        pytest.param(6, (280, 80), (200, 30)),
    ],
)
def test_a_box_drawn_with_the_mouse_comes_back_within_two_pixels(
    registry, turned, studio, page, orientation, first, last
):
    url = studio_status(studio).url
    with LabelStudioClient(url, read_account(studio).token) as client:
        title = f"drawn in orientation {orientation}"
        connection = connect_project(
            registry, client, ConnectRequest(title=title), media_folder=studio.media
        ).connection
        push_images(registry, client, PushRequest(what="partly"), media_folder=studio.media)
        image = turned[orientation]
        task = tasks_of(client, connection.project_id)[image.id]
        open_task(page, url, connection.project_id, task["id"])
        # The label is chosen already.
        drag(page, first, last)
        press(page, "Submit")
        report = wait_for(lambda: (found := pull_reviews(registry, client)).created and found)
    assert report.outcomes == {ReviewOutcome.DRAWN: 1}
    with registry.read() as tx:
        (box,) = tx.images.get(image.id).boxes
    assert (box.x, box.y) == pytest.approx((200, 30), abs=2)
    assert (box.x + box.width, box.y + box.height) == pytest.approx((280, 80), abs=2)


def test_paint_comes_back_as_it_was_painted(registry, turned, studio, page, tmp_path):
    from label_studio_sdk.converter.brush import decode_rle

    url = studio_status(studio).url
    with LabelStudioClient(url, read_account(studio).token) as client:
        connection = connect_project(
            registry, client, ConnectRequest(title="painted", masks=True), media_folder=studio.media
        ).connection
        push_images(registry, client, PushRequest(what="partly"), media_folder=studio.media)
        image = turned[6]
        task = tasks_of(client, connection.project_id)[image.id]
        open_task(page, url, connection.project_id, task["id"])
        choose(page, "lesion (paint)")
        drag(page, (210, 55), (270, 55))
        press(page, "Submit")
        wait_for(lambda: tasks_of(client, connection.project_id)[image.id]["annotations"])
        (annotation,) = tasks_of(client, connection.project_id)[image.id]["annotations"]
        pull_reviews(registry, client)
    (tmp_path / "painted.json").write_text(json.dumps(annotation["result"]))
    (region,) = annotation["result"]
    boxes, png = location_in(annotation["result"], image)
    mask_HW = mask_from_png(png)
    theirs_HW = decode_rle(region["value"]["rle"]).reshape(HEIGHT, WIDTH, 4)[:, :, 3] >= 128
    assert np.array_equal(mask_HW, theirs_HW)
    assert mask_HW[55, 210:270].all(), "the stroke is where the mouse was"
    assert boxes[0].x == pytest.approx(210, abs=25)
    with registry.read() as tx:
        label = tx.images.get(image.id).label
        assert np.array_equal(mask_from_png(tx.labels.mask_pngs([label.id])[label.id]), mask_HW)
