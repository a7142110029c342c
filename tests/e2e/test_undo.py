"""A wrong import, as a user makes and mends it."""

import pytest

from annotator.datasets.phantoms import write_phantoms


@pytest.fixture
def data(tmp_path):
    write_phantoms(tmp_path / "data", 12, seed=3)
    return tmp_path / "data"


def images(partly):
    return partly("status", "--json")["images"]


@pytest.mark.parametrize(
    ("layout", "doubt", "count"),
    [("yolo", "label file", 24), ("folders", "labels.csv beside them may name classes", 12)],
)
def test_an_import_in_the_wrong_layout_stops_and_forced_can_be_undone(partly, data, layout, doubt, count):
    partly("init")
    stopped = partly("import", data, "--layout", layout, expect=4)
    assert doubt in stopped.stderr
    assert "--force" in stopped.stderr
    assert images(partly)["total"] == 0
    forced = partly("import", data, "--layout", layout, "--force", "--json")
    assert (forced["registered"], forced["operation"]) == (count, 1)
    undone = partly("undo", "--json")
    assert (undone["operation"], undone["removed"], undone["kept"]) == (1, count, [])
    assert images(partly)["total"] == 0
    right = partly("import", data, "--layout", "csv", "--json")
    assert (right["registered"], right["refused"]) == (12, [])
    status = partly("status", "--json")
    assert sorted(status["classes"]) == ["benign", "malignant", "normal"]
    assert status["locations"]["unknown"] == 0
    again = partly("import", data, "--layout", "csv", "--json")
    assert (again["unchanged"], again["operation"]) == (12, None)


def test_what_was_done_is_listed_and_undone_by_number(partly, data):
    partly("init")
    partly("import", data, "--layout", "csv")
    partly("split", "--val", "0.3")
    partly("set", "benign_0003.png", "--class", "malignant")
    partly("remove", "4", "5")
    kinds = [item["kind"] for item in partly("undo", "--list", "--json")["operations"]]
    assert kinds == ["import", "split", "set", "remove"]
    assert images(partly)["total"] == 10
    planned, done = partly("undo", "2", "--dry-run", "--json"), partly("undo", "2", "--json")
    assert planned | {"undo": done["undo"], "dry_run": False} == done
    # Images that were removed since go back with the others: only what is asked for is undone.
    assert (done["changed"], images(partly)["total"]) == (12, 10)
    assert partly("status", "--json")["splits"] == {"train": 0, "val": 0, "test": 0}
    history = partly("log", "benign_0003.png").stdout
    assert "class malignant (was benign)" in history
    assert "undo of split" in history
    partly("undo", "99", expect=4)
