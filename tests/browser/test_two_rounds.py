"""Forty tasks by mouse and keys, through two rounds: the registry says what was meant, and nothing waits unseen."""

import pytest
from selenium.webdriver.common.keys import Keys

from annotator.datasets.import_images import import_images
from annotator.datasets.import_request import ImportRequest
from annotator.label_studio.client import LabelStudioClient
from annotator.label_studio.connect import ConnectRequest, connect_project
from annotator.label_studio.local_server import read_account, studio_status
from annotator.label_studio.payload.tasks import key_of
from annotator.label_studio.pull.pull_reviews import pull_reviews
from annotator.label_studio.push.push_images import push_images
from annotator.label_studio.reconcile import compare_with_studio
from db.imaging.geometry import boxes_iou
from db.maintenance.integrity import check_registry
from db.records import Box, LocationStatus, NewProposal
from tests.browser.conftest import shown_image, wait_for
from tests.browser.hands import ELSEWHERE, PROPOSED, Reviewer

pytestmark = [pytest.mark.studio, pytest.mark.browser]

TASKS = 40
SECOND = Box(40, 20, 60, 50)
"""What the second run proposes for what the first one did not settle."""
MEANT = ["accept", "accept", "nothing there", "cannot tell", "wrong class", "move", "one more", "redraw"]
"""What the person means, image after image."""


def propose(registry, image_ids, box):
    with registry.begin() as tx:
        run = tx.runs.start(preset="default", config={}, snapshot="s")
        scored = [NewProposal(key, "benign", 0.9, 0.9 - 0.002 * n, (box,)) for n, key in enumerate(sorted(image_ids))]
        tx.proposals.add(scored, run_id=run.id, tau=0.5, gate="class")


def shown_task(page):
    """The task that is open, as its number under the image says it."""
    return page.execute_script("return window.Htx && Htx.task && Htx.task.id")


def review_all(page, url, project, images, tasks, means):
    """Work through the queue as it comes, with "Label All Tasks"."""
    page.get(f"{url}/projects/{project}/data?labeling=1")
    done = set()
    while len(done) < len(tasks):
        task = wait_for(lambda: (found := shown_task(page)) and found not in done and shown_image(page) and found)
        image = images[tasks[task]]
        reviewer = Reviewer(page, image)
        reviewer.settle()
        means(reviewer, image.id)
        reviewer.submit()
        done.add(task)


def by_meaning(reviewer, meant, box):
    """Do on the page what is meant."""
    middle = (box.x + box.width / 2, box.y + box.height / 2)
    if meant == "nothing there":
        reviewer.key("2")
    elif meant == "cannot tell":
        reviewer.key("3")
    elif meant == "wrong class":
        reviewer.key("4")
    elif meant == "move":
        reviewer.drag(middle, (middle[0] + 15, middle[1] + 10))
    elif meant == "redraw":
        reviewer.click(*middle)
        # Selecting the box has taken the label off, and 5 puts it on again.
        reviewer.key(Keys.BACKSPACE, "5")
    if meant in ("one more", "redraw"):
        corner = (ELSEWHERE.x + ELSEWHERE.width, ELSEWHERE.y + ELSEWHERE.height)
        reviewer.drag((ELSEWHERE.x, ELSEWHERE.y), corner)


def expected(meant, box):
    """The boxes that follow from what was meant; None where the location stays unknown."""
    return {
        "accept": [box],
        "nothing there": [],
        "cannot tell": None,
        "wrong class": None,
        "move": [Box(box.x + 15, box.y + 10, box.width, box.height)],
        "one more": [box, ELSEWHERE],
        "redraw": [ELSEWHERE],
    }[meant]


def check_labels(registry, meanings, box):
    with registry.read() as tx:
        images = {image.id: image for image in tx.images.select(ids=meanings)}
    for image_id, meant in meanings.items():
        image, boxes = images[image_id], expected(meant, box)
        if boxes is None:
            assert image.location_status is LocationStatus.UNKNOWN, (image_id, meant)
        elif not boxes:
            assert image.location_status is LocationStatus.EMPTY, (image_id, meant)
        else:
            assert len(image.boxes) == len(boxes), (image_id, meant)
            assert boxes_iou(image.boxes, boxes) > 0.9, (image_id, meant, image.boxes)
            if meant == "accept":
                assert image.boxes == (box,)


def waiting(registry):
    with registry.read() as tx:
        return {proposal.image_id for proposal in tx.proposals.pending()}


def to_review(client, project):
    """The images under the tab that annotators work through."""
    views = client.http.get("/api/dm/views/", project=project)
    (view,) = [view for view in views if view["data"].get("title") == "to review"]
    tasks = client.http.get("/api/tasks/", project=project, view=view["id"], page_size=100)["tasks"]
    return {int(task["id"]): int(key_of(task).partition("-")[0]) for task in tasks}


@pytest.mark.thorough
def test_forty_tasks_through_two_rounds(registry, phantoms, studio, page):
    import_images(registry, ImportRequest(phantoms, "csv", keep_locations=0))
    with registry.read() as tx:
        images = {image.id: image for image in tx.images.select()[:TASKS]}
    propose(registry, images, PROPOSED)
    url, account = studio_status(studio).url, read_account(studio)
    with LabelStudioClient(url, account.token) as client:
        wanted = ConnectRequest(title="forty tasks")
        project = connect_project(registry, client, wanted, media_folder=studio.media).project_id
        assert push_images(registry, client, media_folder=studio.media).created == TASKS
        meanings = {image_id: MEANT[n % len(MEANT)] for n, image_id in enumerate(images)}

        def first(reviewer, image_id):
            by_meaning(reviewer, meanings[image_id], PROPOSED)

        tasks = to_review(client, project)
        assert set(tasks.values()) == set(images)
        review_all(page, url, project, images, tasks, first)
        report = wait_for(lambda: (found := pull_reviews(registry, client)).created and found)
        while report.created:
            report = pull_reviews(registry, client)
        check_labels(registry, meanings, PROPOSED)
        assert report.skipped == []
        assert waiting(registry) == set()
        assert to_review(client, project) == {}

        # The next model proposes for what is still not known.
        open_still = {key for key, meant in meanings.items() if expected(meant, PROPOSED) is None}
        propose(registry, open_still, SECOND)
        report = push_images(registry, client, media_folder=studio.media)
        assert (report.created, report.again) == (len(open_still), len(open_still))
        tasks = to_review(client, project)
        assert set(tasks.values()) == open_still == waiting(registry)
        again = {key: MEANT[n % len(MEANT)] for n, key in enumerate(sorted(open_still))}

        def second(reviewer, image_id):
            by_meaning(reviewer, again[image_id], SECOND)

        review_all(page, url, project, images, tasks, second)
        wait_for(lambda: pull_reviews(registry, client).created == 0 and not to_review(client, project))
        check_labels(registry, {key: meant for key, meant in meanings.items() if key not in open_still}, PROPOSED)
        check_labels(registry, again, SECOND)
        assert waiting(registry) == set()
        assert [item.kind for item in compare_with_studio(registry, client)] == []
    assert check_registry(registry) == []
