"""What a person can do with the mouse on the review page, and what a pull makes of it: every row of the table.

docs/label-studio.md says how reviews are read; here each row is done by hand in a real Chromium.
"""

import pytest
from selenium.webdriver.common.keys import Keys

from annotator.datasets.decode import open_data_set
from annotator.datasets.import_images import import_images
from annotator.datasets.import_request import ImportRequest
from annotator.label_studio.client import LabelStudioClient
from annotator.label_studio.connect import ConnectRequest, connect_project
from annotator.label_studio.local_server import read_account, studio_status
from annotator.label_studio.payload.labeling_config import (
    ACCEPT,
    CANNOT_TELL,
    NO_LESION,
    WRONG_CLASS,
    regions_in,
    verdict_in,
)
from annotator.label_studio.pull.pull_reviews import pull_reviews
from annotator.label_studio.push.push_images import push_images
from db.imaging.geometry import boxes_iou
from db.records import LocationStatus, NewProposal
from tests.browser.conftest import open_task, press, wait_for
from tests.browser.hands import ELSEWHERE, PROPOSED, Reviewer

pytestmark = [pytest.mark.studio, pytest.mark.browser]


@pytest.fixture
def pushed(registry, phantoms, studio, request):
    """One image with a proposal as a task; yields what is needed to review and pull it."""
    opened, _ = open_data_set(phantoms, "csv")
    truth = next(image for image in opened if image.location.boxes)
    import_images(registry, ImportRequest(phantoms, "csv", keep_locations=0))
    with registry.begin() as tx:
        image = next(image for image in tx.images.select() if image.path == truth.path)
        run = tx.runs.start(preset="default", config={}, snapshot="s")
        tx.proposals.add(
            [NewProposal(image.id, image.class_name, 0.9, 0.9, (PROPOSED,))], run_id=run.id, tau=0.5, gate="class"
        )
    url, account = studio_status(studio).url, read_account(studio)
    with LabelStudioClient(url, account.token) as client:
        title = request.node.name[:50]
        project = connect_project(registry, client, ConnectRequest(title=title), media_folder=studio.media).project_id
        push_images(registry, client, media_folder=studio.media)
        (task,) = client.list_tasks(project, with_annotations=False)
        yield client, url, project, int(task["id"]), image


def result_on_server(client, task):
    """The result of the task's one annotation."""
    annotations = client.get_task(task)["annotations"]
    return annotations[0]["result"] if annotations else None


def tasks_under(client, project, tab):
    """The tasks that a tab of the Data Manager shows."""
    (view,) = [view for view in client.http.get("/api/dm/views/", project=project) if view["data"].get("title") == tab]
    return [task["id"] for task in client.http.get("/api/tasks/", project=project, view=view["id"])["tasks"]]


ROWS = [
    ("leave", None, "accepted"),
    ("move", None, "edited"),
    ("delete", None, "rejected"),
    ("draw", None, "edited"),
    ("leave", NO_LESION, "empty"),
    ("leave", CANNOT_TELL, "rejected"),
    ("delete", NO_LESION, "empty"),
    ("delete", CANNOT_TELL, "rejected"),
    ("move", NO_LESION, "contradiction"),
    ("move", CANNOT_TELL, "contradiction"),
    ("draw", NO_LESION, "contradiction"),
    ("draw", CANNOT_TELL, "contradiction"),
    ("leave", ACCEPT, "accepted"),
    ("move", ACCEPT, "edited"),
    ("delete", ACCEPT, "contradiction"),
    ("draw", ACCEPT, "edited"),
    ("leave", WRONG_CLASS, "rejected"),
    ("move", WRONG_CLASS, "edited"),
    ("delete", WRONG_CLASS, "rejected"),
    ("draw", WRONG_CLASS, "edited"),
]


# Every action without a verdict, every verdict on an untouched box, and a contradiction; the others take a minute.
FIRST = [*((box, None) for box in ("leave", "move", "delete", "draw")), ("leave", NO_LESION), ("leave", CANNOT_TELL),
         ("leave", WRONG_CLASS), ("move", NO_LESION)]  # fmt: skip


@pytest.mark.parametrize(
    ("box", "verdict", "outcome"),
    [
        pytest.param(*row, id=f"{row[0]}-{row[1]}", marks=() if row[:2] in FIRST else pytest.mark.thorough)
        for row in ROWS
    ],
)
def test_what_a_person_does_is_what_is_pulled(registry, pushed, page, tmp_path, box, verdict, outcome):
    client, url, project, task, image = pushed
    reviewer = Reviewer(page, image)
    open_task(page, url, project, task)
    reviewer.answer(box, verdict, tmp_path, button="Submit")
    result = (
        wait_for(lambda: result_on_server(client, task) if client.get_task(task)["annotations"] else None)
        if (box, verdict) != ("delete", None)
        else []
    )
    # The mouse did what it was to do.
    boxes = len(regions_in(result, "rectanglelabels"))
    assert (boxes, verdict_in(result)) == ({"leave": 1, "move": 1, "delete": 0, "draw": 2}[box], verdict)
    report = wait_for(lambda: (found := pull_reviews(registry, client)).created + len(found.skipped) and found)
    with registry.read() as tx:
        stored = tx.images.get(image.id)
    if outcome == "contradiction":
        assert (report.outcomes, stored.location_status) == ({}, LocationStatus.UNKNOWN)
        assert "one" in report.skipped[0].reason
        assert pull_reviews(registry, client).skipped == report.skipped, "named until it is settled"
        note = client.get_task(task)["data"]["partly_note"]
        assert note == f"Please check: {report.skipped[0].reason}"
        # The person is told so, on the page and by a tab of the Data Manager.
        open_task(page, url, project, task)
        wait_for(lambda: page.find_elements("xpath", f"//*[starts-with(normalize-space(text()), {note[:24]!r})]"))
        assert tasks_under(client, project, "unclear") == [task]
        return
    assert tasks_under(client, project, "unclear") == []
    assert report.outcomes == {outcome: 1}
    assert report.questioned == ([image.id] if verdict == WRONG_CLASS else [])
    status = {"empty": LocationStatus.EMPTY, "rejected": LocationStatus.UNKNOWN}.get(outcome, LocationStatus.PRESENT)
    assert stored.location_status is status
    if outcome == "accepted":
        assert stored.boxes == (PROPOSED,)
    if box == "move":
        assert 0.2 < boxes_iou(stored.boxes, [PROPOSED]) < 0.9


AGAIN = [row for row in ROWS if row[:2] != ("leave", None)]


@pytest.mark.thorough
@pytest.mark.parametrize(("box", "verdict", "outcome"), AGAIN, ids=[f"{box}-{verdict}" for box, verdict, _ in AGAIN])
def test_a_change_of_mind_after_a_pull(registry, pushed, page, tmp_path, box, verdict, outcome):
    """The whole table once more, on a task that was accepted and pulled before."""
    client, url, project, task, image = pushed
    open_task(page, url, project, task)
    press(page, "Submit")
    wait_for(lambda: (found := pull_reviews(registry, client)).created and found)
    before = result_on_server(client, task)
    reviewer = Reviewer(page, image)
    open_task(page, url, project, task)
    reviewer.answer(box, verdict, tmp_path, button="Update")
    wait_for(lambda: result_on_server(client, task) != before)
    report = wait_for(lambda: (found := pull_reviews(registry, client)).updated + len(found.skipped) and found)
    with registry.read() as tx:
        stored = tx.images.get(image.id)
    if outcome != "contradiction":
        status = {"empty": LocationStatus.EMPTY, "rejected": LocationStatus.UNKNOWN}.get(
            outcome, LocationStatus.PRESENT
        )
        assert (report.outcomes, stored.location_status, report.skipped) == ({outcome: 1}, status, [])
        return
    # What was said before holds until the contradiction is settled.
    assert (report.outcomes, stored.boxes) == ({}, (PROPOSED,))
    assert "one" in report.skipped[0].reason
    assert tasks_under(client, project, "unclear") == [task]


def test_a_contradiction_is_settled_on_the_page(registry, pushed, page, tmp_path):
    client, url, project, task, image = pushed
    reviewer = Reviewer(page, image)
    open_task(page, url, project, task)
    reviewer.answer("move", NO_LESION, tmp_path, button="Submit")
    wait_for(lambda: pull_reviews(registry, client).skipped)
    assert tasks_under(client, project, "unclear") == [task]
    # The box goes, the verdict stays.
    open_task(page, url, project, task)
    x, y = reviewer.middle()
    reviewer.click(x + 20, y + 10)
    reviewer.key(Keys.BACKSPACE)
    press(page, "Update")
    report = wait_for(lambda: (found := pull_reviews(registry, client)).created and found)
    assert (report.outcomes, report.skipped) == ({"empty": 1}, [])
    assert client.get_task(task)["data"]["partly_note"] == ""
    assert tasks_under(client, project, "unclear") == []


SHORTEST = [
    ("accept", [], [], "accepted"),
    ("nothing there", ["2"], [], "empty"),
    ("cannot tell", ["3"], [], "rejected"),
    ("wrong class", ["4"], [], "rejected"),
    ("edit", [], ["corner"], "edited"),
    ("draw", [], ["beside"], "edited"),
]


@pytest.mark.parametrize(
    ("what", "keys", "drags", "outcome"),
    [
        pytest.param(
            *row, id=row[0], marks=() if row[0] in ("accept", "nothing there", "edit") else pytest.mark.thorough
        )
        for row in SHORTEST
    ],
)
def test_the_shortest_way_is_one_or_two_actions(registry, pushed, page, what, keys, drags, outcome):
    """Accepting is one action, everything else two: what is done on the page is counted here."""
    client, url, project, task, image = pushed
    reviewer = Reviewer(page, image)
    open_task(page, url, project, task)
    actions = 0
    for key in keys:
        reviewer.key(key)
        actions += 1
    for drag in drags:
        corner = (PROPOSED.x + PROPOSED.width, PROPOSED.y + PROPOSED.height)
        if drag == "corner":
            # A box that is not selected is moved by dragging it.
            reviewer.drag(reviewer.middle(), (corner[0], corner[1]))
        else:
            reviewer.drag((ELSEWHERE.x, ELSEWHERE.y), (ELSEWHERE.x + ELSEWHERE.width, ELSEWHERE.y + ELSEWHERE.height))
        actions += 1
    reviewer.submit()
    actions += 1
    assert actions == (1 if what == "accept" else 2)
    report = wait_for(lambda: (found := pull_reviews(registry, client)).created + len(found.skipped) and found)
    assert report.outcomes == {outcome: 1}
    with registry.read() as tx:
        boxes = tx.images.get(image.id).boxes
    if what == "edit":
        (box,) = boxes
        assert abs(box.x - PROPOSED.x - PROPOSED.width / 2) < 2
        assert abs(box.y - PROPOSED.y - PROPOSED.height / 2) < 2
    if what == "draw":
        assert len(boxes) == 2
