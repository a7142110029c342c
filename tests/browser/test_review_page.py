"""The review page in a real Chromium: a proposal lies over its lesion, and Submit accepts it."""

import io

import pytest
from PIL import Image

from annotator.datasets.decode import open_data_set
from annotator.datasets.import_images import import_images
from annotator.datasets.import_request import ImportRequest
from annotator.label_studio.client import LabelStudioClient
from annotator.label_studio.connect import ConnectRequest, connect_project
from annotator.label_studio.local_server import read_account, studio_status
from annotator.label_studio.payload.labeling_config import NOTHING_THERE
from annotator.label_studio.pull.pull_reviews import pull_reviews
from annotator.label_studio.push.push_images import push_images
from db.imaging.geometry import boxes_iou
from db.records import Box, NewProposal
from tests.browser.conftest import open_task, orange_box, place_of, press, wait_for

pytestmark = [pytest.mark.studio, pytest.mark.browser]


def test_a_proposal_is_shown_over_its_lesion(registry, phantoms, studio, page, tmp_path):
    opened, _ = open_data_set(phantoms, "csv")
    truth = next(image for image in opened if image.location.boxes)
    import_images(registry, ImportRequest(phantoms, "csv", keep_locations=0))
    with registry.begin() as tx:
        image = next(image for image in tx.images.select() if image.path == truth.path)
        run = tx.runs.start(preset="default", config={}, snapshot="s")
        proposal = NewProposal(image.id, image.class_name, 0.9, 0.9, truth.location.boxes)
        tx.proposals.add([proposal], run_id=run.id, tau=0.5, gate="class")
    url, account = studio_status(studio).url, read_account(studio)
    with LabelStudioClient(url, account.token) as client:
        connection = connect_project(
            registry, client, ConnectRequest(title="browser"), media_folder=studio.media
        ).connection
        push_images(registry, client, media_folder=studio.media)
        (task,) = client.list_tasks(connection.project_id, with_annotations=False)
    open_task(page, url, connection.project_id, task["id"])
    assert NOTHING_THERE in page.page_source

    def overlap():
        rect = place_of(page)
        screenshot = Image.open(io.BytesIO(page.get_screenshot_as_png()))
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
    press(page, "Submit")
    with LabelStudioClient(url, account.token) as client:
        report = wait_for(lambda: (found := pull_reviews(registry, client)).created and found)
    assert report.outcomes == {"accepted": 1}
    with registry.read() as tx:
        assert tx.images.get(image.id).boxes == truth.location.boxes
