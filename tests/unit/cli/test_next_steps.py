"""Advice by what a project knows, and along a real project."""

import pytest

from cli.workflows.next_steps import Facts, Step, advise, next_steps
from db.records import Box, LocationSource, NewLabel, NewProposal, RunStatus, Split
from tests.builders import add_images, new_image, present

FILLED = {"images": 100, "classes": 2, "located": 20, "pool": 60, "validation": 30, "judged": 25}
TRAINED = {**FILLED, "run": "run-1"}


@pytest.mark.parametrize(
    ("facts", "commands"),
    [
        ({}, ["partly import PATH"]),
        ({"images": 5}, ["partly set IMAGE... --class NAME"]),
        ({**FILLED, "located": 0}, ["partly studio start", "partly connect"]),
        ({**FILLED, "located": 0, "connected": True}, ["partly query --budget 50", "partly push --query"]),
        ({**FILLED, "located": 0, "connected": True, "tasks": 9}, ["partly open", "partly pull"]),
        ({**FILLED, "validation": 0}, ["partly split --val 0.15 --test 0.15", "partly train"]),
        (FILLED, ["partly train"]),
        ({**FILLED, "running": "run-1"}, ["partly runs"]),
        ({**FILLED, "interrupted": "run-1"}, ["partly train --resume"]),
        (TRAINED, ["partly propose --tau auto"]),
        ({**TRAINED, "judged": 5}, ["partly propose --tau 0.8"]),
        ({**TRAINED, "uncertified": True}, ["partly propose --tau 0.8"]),
        ({**TRAINED, "stale": True}, ["partly train"]),
        ({**TRAINED, "stale": True, "connected": True}, ["partly round"]),
        ({**TRAINED, "stale": True, "running": "run-2"}, ["partly runs", "partly propose --tau auto"]),
        ({**TRAINED, "pending": 3, "unsent": 3, "proposed": True}, ["partly studio start", "partly connect"]),
        ({**TRAINED, "pending": 3, "unsent": 3, "proposed": True, "studio_runs": True}, ["partly connect"]),
        ({**TRAINED, "pending": 3, "unsent": 2, "proposed": True, "connected": True}, ["partly push"]),
        ({**TRAINED, "pending": 3, "proposed": True, "connected": True}, ["partly open", "partly pull"]),
        ({**TRAINED, "proposed": True, "connected": True}, ["partly query --budget 50", "partly push --query"]),
        ({**TRAINED, "pool": 0}, ["partly report"]),
    ],
)
def test_what_comes_next(facts, commands):
    assert [step.command for step in advise(Facts(**facts))] == commands


def test_along_a_project(registry):
    assert [step.command for step in next_steps(registry)] == ["partly import PATH"]
    ids = add_images(registry, *(new_image(f"{n}.png", class_name="a", split=Split.TRAIN) for n in range(4)))
    with registry.begin() as tx:
        tx.labels.append(NewLabel(ids[0], present(), LocationSource.IMPORTED))
    assert next_steps(registry)[1] == Step("partly train", "1 location to learn from, and no run yet")
    with registry.begin() as tx:
        run = tx.runs.start(preset="default", config={}, snapshot=tx.snapshots.take().hash)
    assert next_steps(registry) == [Step("partly train --resume", "run-1 was interrupted")]
    with registry.begin() as tx:
        tx.runs.finish(run.id, RunStatus.FINISHED, {})
    few = "run-1 may find the location in 3 images; 0 validation images with a known location are too few to certify"
    assert next_steps(registry) == [Step("partly propose --tau 0.8", f"{few} a threshold")]
    with registry.begin() as tx:
        proposal = NewProposal(ids[1], "a", 0.9, 0.9, (Box(1, 2, 3, 4),))
        tx.proposals.add([proposal], run_id=run.id, tau=0.5, gate="class")
    assert next_steps(registry)[0].why.startswith("1 proposal waits for review, in Label Studio")
    with registry.begin() as tx:
        tx.connections.use(url="http://studio", project_id=1, media="local")
    assert next_steps(registry) == [Step("partly push", "1 proposal not yet in Label Studio")]
    with registry.begin() as tx:
        tx.labels.append(NewLabel(ids[1], present(), LocationSource.IMPORTED))
    assert next_steps(registry)[0] == Step(
        "partly round", "labels, classes or splits have changed since run-1 was trained"
    )
