"""Which prediction an annotation began from, where a task has several."""

import pytest

from annotator.label_studio.pull.plan import parent_version

TASK = {
    "predictions": [
        {"id": 31, "model_version": "run-1"},
        {"id": 32, "model_version": "run-2"},
        {"id": 33, "model_version": "run-3"},
    ]
}


@pytest.mark.parametrize(("parent", "version"), [(31, "run-1"), (32, "run-2"), (33, "run-3"), (99, None), (None, None)])
def test_an_annotation_names_its_own_parent_among_several_predictions(parent, version):
    assert parent_version(TASK, {"parent_prediction": parent}) == version


def test_an_annotation_from_scratch_has_no_parent():
    assert parent_version(TASK, {}) is None
    assert parent_version({"predictions": [{"model_version": "run-1"}]}, {"parent_prediction": None}) is None
    assert parent_version({}, {"parent_prediction": 31}) is None
