"""The review page in a real Chromium where a model proposes nothing to find, and where the class is not known."""

import pytest

from annotator.datasets.decode import open_data_set
from annotator.datasets.import_images import import_images
from annotator.datasets.import_request import ImportRequest
from annotator.label_studio.client import LabelStudioClient
from annotator.label_studio.connect import ConnectRequest, connect_project
from annotator.label_studio.local_server import read_account, studio_status
from annotator.label_studio.payload.tasks import PROPOSES_NOTHING
from annotator.label_studio.pull.pull_reviews import pull_reviews
from annotator.label_studio.push.push_images import push_images
from db.records import LocationStatus, NewProposal
from tests.browser.conftest import open_task, press, wait_for
from tests.browser.hands import PROPOSED, Reviewer

pytestmark = [pytest.mark.studio, pytest.mark.browser, pytest.mark.thorough]


@pytest.fixture
def opened(registry, phantoms, studio, page, request):
    """Opens the review page of an image with a proposal of its own; gives the client and the person before it."""
    url, account = studio_status(studio).url, read_account(studio)
    with LabelStudioClient(url, account.token) as client:

        def task_with(*boxes, class_known=True):
            import_images(registry, ImportRequest(phantoms, "csv", keep_locations=0))
            found, _ = open_data_set(phantoms, "csv")
            truth = next(image for image in found if image.location.boxes)
            with registry.begin() as tx:
                image = next(image for image in tx.images.select() if image.path == truth.path)
                run = tx.runs.start(preset="default", config={}, snapshot="s")
                proposal = NewProposal(image.id, "malignant", 0.9, 0.9, boxes)
                tx.proposals.add([proposal], run_id=run.id, tau=0.5, gate="class")
                if not class_known:
                    tx.images.set_facts(image.id, class_name=None, group=None, split=None)
            title = f"{request.node.callspec.id} {request.node.name}"[:50]
            project = connect_project(
                registry, client, ConnectRequest(title=title), media_folder=studio.media
            ).project_id
            push_images(registry, client, media_folder=studio.media)
            (task,) = client.list_tasks(project, with_annotations=False)
            open_task(page, url, project, task["id"])
            return client, Reviewer(page, image)

        yield task_with


def words_on(page, words):
    return [item for item in page.find_elements("xpath", f"//*[text()[contains(., {words!r})]]") if item.is_displayed()]


def pulled(registry, client):
    return wait_for(lambda: (found := pull_reviews(registry, client)).created + len(found.skipped) and found)


def offered(page):
    """The classes that the page offers, and which of them is chosen."""
    labels = page.find_elements("css selector", ".partly-controls label")
    shown = {label.text.split("[")[0].strip(): label for label in labels if label.is_displayed()}
    names = [name for name in ("benign", "malignant", "normal") if name in shown]
    chosen = [name for name in names if shown[name].find_elements("css selector", "input:checked")]
    return names, chosen


@pytest.mark.parametrize(("key", "outcome"), [("1", "accepted"), ("2", "accepted"), ("3", "rejected"), (None, None)])
def test_one_key_accepts_that_there_is_nothing_and_submit_alone_does_not(
    registry, opened, page, tmp_path, key, outcome
):
    client, reviewer = opened()
    wait_for(lambda: words_on(page, PROPOSES_NOTHING))
    assert offered(page) == ([], []), "the class is known"
    reviewer.settle()
    if key is not None:
        reviewer.key(key)
    page.save_screenshot(str(tmp_path / "nothing.png"))
    press(page, "Submit")
    report = pulled(registry, client)
    with registry.read() as tx:
        stored = tx.images.get(reviewer.image.id)
    if outcome is None:
        assert (report.created, stored.location_status) == (0, LocationStatus.UNKNOWN)
        assert "does not say whether there is nothing" in report.skipped[0].reason
        return
    assert report.outcomes == {outcome: 1}
    wanted = LocationStatus.EMPTY if outcome == "accepted" else LocationStatus.UNKNOWN
    assert stored.location_status is wanted


@pytest.mark.parametrize("key", [None], ids=["draw"])
def test_a_lesion_that_the_model_missed_is_drawn(registry, opened, page, key):
    client, reviewer = opened()
    wait_for(lambda: words_on(page, PROPOSES_NOTHING))
    reviewer.settle()
    reviewer.draw()
    press(page, "Submit")
    assert pulled(registry, client).outcomes == {"drawn": 1}
    with registry.read() as tx:
        assert len(tx.images.get(reviewer.image.id).boxes) == 1


@pytest.mark.parametrize(
    ("does", "class_name", "source"),
    [("leave", "malignant", "accepted"), ("key", "benign", "chosen"), ("click", "normal", "chosen")],
)
def test_a_class_is_offered_with_the_proposed_one_chosen(registry, opened, page, tmp_path, does, class_name, source):
    client, reviewer = opened(PROPOSED, class_known=False)
    wait_for(lambda: offered(page)[1])
    page.save_screenshot(str(tmp_path / "class.png"))
    assert offered(page) == (["benign", "malignant", "normal"], ["malignant"])
    assert not words_on(page, PROPOSES_NOTHING)
    reviewer.settle()
    if does == "key":
        reviewer.key("8")
    elif does == "click":
        reviewer.choose("normal")
    page.save_screenshot(str(tmp_path / "class-chosen.png"))
    press(page, "Submit")
    report = pulled(registry, client)
    assert (report.outcomes, report.classes) == ({"accepted": 1}, 1)
    with registry.read() as tx:
        (label,) = tx.class_labels.standing([reviewer.image.id])[reviewer.image.id]
        assert tx.images.get(reviewer.image.id).class_name == class_name
    assert (label.class_name, label.source) == (class_name, source)
