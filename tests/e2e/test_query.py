"""Queries against a real Label Studio: what people are sent, with a proposal and without, from the first round on."""

from contextlib import closing

import pytest

from annotator.label_studio.local_server import read_account, studio_status
from annotator.label_studio.payload.labeling_config import result_from_boxes
from annotator.label_studio.payload.tasks import image_key_of
from db.curation.doctor import Finding
from db.records import Box, LocationSource, NewLabel, Split
from db.registry import open_registry
from learner.query.label_errors import ask_about
from tests.builders import present

pytestmark = pytest.mark.studio

SETTINGS = ["--weights", "none", "--set", "encoder=resnet10t", "--set", "size=32", "--set", "batch_size=8",
            "--set", "head_channels=8", "--set", "device=cpu", "--set", "epochs=1"]  # fmt: skip
ITEM = {"image", "path", "class", "part", "score", "reason"}
ROUND = {"round", "run", "snapshot", "seed", "begun", "located", "reviews", "minutes", "iou", "ap50_all", "auc", "tau",
         "query", "strategy", "asked", "answered"}  # fmt: skip


class Project:
    """A project with classes and no location, connected to the server of these tests."""

    def __init__(self, partly, client, root):
        self.partly, self.client, self.root = partly, client, root

    def registry(self):
        return closing(open_registry(f"sqlite:///{self.root}/registry.sqlite3", self.root))

    def tasks(self):
        """The tasks by image number."""
        with self.registry() as registry, registry.read() as tx:
            project_id = tx.connections.current().project_id
            numbers = {image.key: image.id for image in tx.images.select()}
        listed = self.client.list_tasks(project_id, with_annotations=False)
        return {numbers[image_key_of(task)]: task for task in listed}

    def draw(self, images):
        """Let somebody draw a box on these."""
        with self.registry() as registry, registry.read() as tx:
            records = {image.id: image for image in tx.images.select(ids=images)}
        tasks = self.tasks()
        for image in images:
            size = records[image].width, records[image].height
            self.client.create_annotation(int(tasks[image]["id"]), result_from_boxes([Box(10, 10, 40, 30)], *size))

    def round(self, *words):
        return self.partly("round", *SETTINGS, "--tau", "0.01", "--strategy", "random", "--json", *words)


@pytest.fixture
def project(partly, phantoms, tmp_path, studio, client, monkeypatch):
    monkeypatch.setenv("PARTLY_LABEL_STUDIO_TOKEN", read_account(studio).token)
    monkeypatch.setenv("PARTLY_STUDIO_HOME", str(studio.home))
    partly("init", tmp_path)
    partly("import", phantoms, "--layout", "csv", "--keep-locations", "0")
    partly("split", "--val", "0.2", "--test", "0.2")
    partly("connect", studio_status(studio).url, "--title", f"queries {tmp_path.name}")
    return Project(partly, client, tmp_path)


def test_a_push_sends_the_newest_query_and_nothing_twice(project, partly):
    assert "partly query --budget" in partly("push", "--query", expect=4).stderr
    asked = partly("query", "--strategy", "random", "--budget", 6, "--json")
    assert set(asked) == {"query", "strategy", "run", "tau", "considered", "parts", "items"}
    assert all(set(item) == ITEM for item in asked["items"])
    assert (asked["query"], asked["parts"], len(asked["items"])) == (1, {"confirm": 0, "draw": 5, "audit": 1}, 6)
    assert partly("push", "--query", "--dry-run", "--json")["created"] == 6
    assert project.tasks() == {}
    assert partly("rounds", "--json")["rounds"] == []
    assert "the first one: partly round" in partly("rounds").stdout
    report = partly("push", "--query", "--json")
    assert (report["created"], report["audit"], report["predictions"]) == (6, 1, 0)
    assert set(project.tasks()) == {item["image"] for item in asked["items"]}
    assert partly("push", "--query", "--json")["created"] == 0
    planned = partly("push", "--strategy", "random", "--budget", 4, "--dry-run", "--json")
    assert (planned["query"], len(planned["items"]), len(project.tasks())) == (None, 4, 6)
    # Query and push in one; what waits is not asked again.
    report = partly("push", "--strategy", "random", "--budget", 4, "--json")
    assert (report["created"], report["unchanged"]) == (4, 0)
    assert len(project.tasks()) == 10


def test_rounds_from_no_location_at_all(project, partly):
    first = project.round("--budget", 20)
    assert (first["run"], first["trained"], first["proposed"]) == (None, False, None)
    assert set(first["queried"]) == {"query", "strategy", "run", "tau", "considered", "parts"}
    assert first["queried"]["parts"] == {"confirm": 0, "draw": 18, "audit": 2}
    assert first["pushed"]["created"] == 20
    again = project.round("--budget", 20)
    assert (again["queried"], again["pushed"]["created"], again["pushed"]["unchanged"]) == (None, 0, 20)
    (noted,) = partly("rounds", "--json")["rounds"]
    assert set(noted) == ROUND
    assert (noted["run"], noted["located"], noted["reviews"], noted["minutes"]) == (None, 0, 0, None)
    assert (noted["strategy"], noted["asked"], noted["answered"]) == (
        "random",
        {"confirm": 0, "draw": 18, "audit": 2},
        0,
    )

    project.draw(list(project.tasks()))
    second = project.round("--budget", 6)
    assert (second["run"], second["trained"], second["pulled"]["created"]) == ("run-1", True, 20)
    parts = second["queried"]["parts"]
    assert sum(parts.values()) == second["pushed"]["created"] == 6
    # An image to draw on is sent with its proposal where there is one above tau.
    assert 0 < parts["confirm"] <= second["pushed"]["predictions"] <= 6 - parts["audit"]
    # What is held back of the audit stays held back when it is proposed for later.
    with project.registry() as registry, registry.read() as tx:
        query = tx.asked.latest()
        links = tx.connections.links(tx.connections.current().id)
        splits = {image.id: image.split for image in tx.images.select()}
    for question in query.questions:
        withheld = question.part == "audit" and splits[question.image] is not Split.VAL
        assert links[question.image].control == withheld
        if question.part != "draw":
            assert (links[question.image].proposal_id is not None) == (question.part == "confirm")
    third = project.round("--budget", 6)
    assert (third["trained"], third["queried"], third["pushed"]["created"]) == (False, None, 0)
    first, second = partly("rounds", "--json")["rounds"]
    assert first["answered"] == 20
    assert (second["round"], second["run"], second["seed"], second["reviews"]) == (2, "run-1", 0, 20)
    assert (second["located"], second["answered"]) == (18, 0)
    assert second["iou"] is not None
    assert "run-1" in partly("rounds").stdout


def test_a_cut_round_goes_on_with_its_query(project, partly, monkeypatch):
    with monkeypatch.context() as patched:
        patched.setattr("cli.workflows.round.push_images", lambda *a, **k: (_ for _ in ()).throw(KeyboardInterrupt()))
        with pytest.raises(AssertionError, match="interrupted"):
            project.round("--budget", 5)
    report = project.round("--budget", 5)
    assert (report["queried"], report["pushed"]["created"]) == (None, 5)


def test_an_audit_of_the_pool_is_shown_nothing_whatever_is_proposed(project, partly):
    with project.registry() as registry, registry.read() as tx:
        val = [image.id for image in tx.images.select(splits=[Split.VAL])]
    partly("push", "--partly", "--json")
    project.draw([image for image in project.tasks() if image in val])
    partly("pull")
    # All others have a task already, so none can be asked about.
    assert partly("query", "--strategy", "random", "--json")["items"] == []


def test_labels_that_may_be_wrong_are_sent_with_what_is_known_of_them(project, partly):
    with project.registry() as registry:
        with registry.begin() as tx:
            first, second = tx.images.select(splits=[Split.TRAIN])[:2]
            tx.labels.append(NewLabel(first.id, present(Box(10, 10, 40, 30)), source=LocationSource.IMPORTED))
        findings = [Finding("box_contradicted", [first], "elsewhere"), Finding("class_contradicted", [second], "other")]
        ask_about(registry, findings)
    report = partly("push", "--query", "--known", "--ask-class", "--json")
    assert (report["created"], report["class_asked"]) == (2, 2)
    tasks = project.tasks()
    assert set(tasks) == {first.id, second.id}


def test_options_that_do_not_go_together(project, partly):
    assert "choose one of" in partly("push", "--query", "--all", expect=2).stderr
    assert "there is no query strategy 'best'" in partly("push", "--strategy", "best", expect=2).stderr
    assert "there is no query strategy 'best'" in partly("round", "--strategy", "best", expect=2).stderr
    assert "--budget must be at least 1" in partly("query", "--budget", 0, expect=2).stderr
    listed = partly("query", "--strategies", "--json")["strategies"]
    assert [item["strategy"] for item in listed][:2] == ["random", "typical"]
    assert set(listed[0]) == {"strategy", "about", "needs"}
    assert "Any order, every class in proportion" in partly("query", "--strategies").stdout
    shown = partly("query", "--strategy", "random", "--budget", 30).stdout
    assert "and 10 more; all of them: --json" in shown
    assert "next: partly push --query" in shown
