"""Images by what is known of them, for people, and for other programs."""

import csv
import io
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from annotator.datasets.import_images import import_images
from annotator.datasets.import_request import ImportRequest
from annotator.datasets.phantoms import write_phantoms
from db.records import Box, NewProposal, RunStatus, Split
from db.registry import open_registry

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """Phantoms of which half have a location, two proposals, and one image that looks like another."""
    from typer.testing import CliRunner

    from cli.main import app

    place = tmp_path_factory.mktemp("list")
    write_phantoms(place / "images", 24, seed=1)
    first = sorted((place / "images" / "images").iterdir())[0]
    table = (place / "images" / "labels.csv").read_text().splitlines()
    copied = "images/a copy, \u00e4hm.png"
    (place / "images" / copied).write_bytes(first.read_bytes() + b"\0")
    row = next(line for line in table if first.name in line)
    (place / "images" / "labels.csv").write_text(
        "\n".join([*table, '"' + copied + '"' + row[len(f"images/{first.name}") :]]) + "\n"
    )
    assert CliRunner().invoke(app, ["init", str(place / "project")]).exit_code == 0
    root = place / "project"
    registry = open_registry(f"sqlite:///{root}/registry.sqlite3", root)
    report = import_images(registry, ImportRequest(place / "images", "csv", keep_locations=0.5))
    assert report.registered == 25, report
    with registry.begin() as tx:
        tx.images.set_splits({image.id: (Split.TRAIN, Split.VAL)[image.id % 2] for image in tx.images.select()})
        run = tx.runs.start(preset="default", config={}, snapshot="x")
        unknown = tx.images.ids(splits=[Split.TRAIN], located=False)
        drawn = ((unknown[0], 0.7, (Box(1, 2, 3, 4),)), (unknown[1], 0.4, ()))
        found = [NewProposal(image, "benign", 0.9, score, boxes) for image, score, boxes in drawn]
        tx.proposals.add(found, run_id=run.id, tau=0.1, gate="class")
        tx.runs.finish(run.id, RunStatus.FINISHED, {})
    registry.close()
    return root


def test_filters_are_what_they_say(partly, project):
    def listed(*words):
        found = partly("list", *words, "--project", project, "--json")
        assert found["total"] == len(found["images"])
        return found["images"]

    everything = listed()
    assert len(everything) == 25
    for words, holds in (
        (["--class", "benign"], lambda one: one["class"] == "benign"),
        (["--split", "val"], lambda one: one["split"] == "val"),
        (["--split", "none"], lambda one: one["split"] is None),
        (["--supervision", "partly"], lambda one: one["supervision"] == "partly"),
        (["--located"], lambda one: one["location"] != "unknown"),
        (["--unlocated"], lambda one: one["location"] == "unknown"),
        (["--proposed"], lambda one: one["proposed"] is not None),
        (["--unproposed", "--unlocated"], lambda one: one["proposed"] is None and one["location"] == "unknown"),
        (["--run", "run-1"], lambda one: one["run"] == "run-1"),
        (["--min-score", "0.5"], lambda one: (one["score"] or 0) >= 0.5),
        (["--max-score", "0.5"], lambda one: one["score"] is not None and one["score"] <= 0.5),
        (["--near-duplicates"], lambda one: one["look_alikes"]),
        (["--reviewer", "somebody"], lambda one: one["reviewer"] == "somebody"),
    ):
        assert listed(*words) == [one for one in everything if holds(one)], words
    # What is mistyped is no filter that lets nothing through.
    for words, hint in ((["--run", "run-2"], "the newest is run-1"), (["--class", "bening"], "did you mean 'benign'?")):
        assert hint in partly("list", *words, "--project", project, expect=4).stderr
    assert len(listed("--proposed")) == 2
    assert len(listed("--near-duplicates")) == 2
    assert listed("--limit", "3") == everything[:3]
    assert {one["proposed"] for one in listed("--proposed")} == {0, 1}
    assert "2 images" in partly("list", "--proposed", "--project", project).stdout
    assert "1 image\n" in partly("list", "--proposed", "--limit", 1, "--project", project).stdout


def test_other_programs_read_it(partly, project):
    everything = partly("list", "--project", project, "--json")["images"]
    rows = list(csv.DictReader(io.StringIO(partly("list", "--csv", "--project", project).stdout)))
    assert [(int(row["image"]), row["path"], row["class"]) for row in rows] == [
        (one["image"], one["path"], one["class"]) for one in everything
    ]
    alike = [[int(number) for number in row["look_alikes"].split()] for row in rows]
    assert alike == [one["look_alikes"] for one in everything]
    command = [sys.executable, "-m", "partly", "--project", str(project), "list", "--near-duplicates"]
    done = subprocess.run(
        f"{' '.join(command)} --print0 | xargs -0 ls -1", shell=True, capture_output=True, check=True, cwd=project,
        env=os.environ | {"PYTHONPATH": str(ROOT), "LC_ALL": "C.UTF-8", "PYTHONIOENCODING": "ascii"},
    )  # fmt: skip
    paths = sorted(one["path"] for one in everything if one["look_alikes"])
    assert sorted(done.stdout.decode().splitlines()) == paths
    assert any("\u00e4hm" in path for path in paths)


def test_a_wrong_filter_is_said(partly, project):
    assert "limit must be at least 1" in partly("list", "--limit", 0, "--project", project, expect=2).stderr
    assert "choose one" in partly("list", "--paths", "--json", "--project", project, expect=2).stderr
    assert "train" in partly("list", "--split", "tset", "--project", project, expect=2).stderr


def test_an_image_is_shown_with_what_is_known_and_proposed(partly, project, tmp_path):
    """The known box in green, the proposed one in orange, in the picture where they are in the image."""
    listed = partly("list", "--project", project, "--json")["images"]
    known = next(one for one in listed if one["location"] == "present")
    proposed = next(one for one in listed if one["proposed"])
    said = partly(
        "show", known["image"], Path(proposed["path"]).name, "--out", "two.png", "--project", project, "--json"
    )
    assert [one["image"] for one in said["images"]] == [known["image"], proposed["image"]]
    assert said["images"][0]["source"] == "imported"
    assert said["images"][1]["proposal"] == {"run": "run-1", "score": 0.7, "boxes": [[1, 2, 3, 4]]}
    picture = np.asarray(Image.open(tmp_path / "two.png").convert("RGB")).astype(int)
    middle = picture.shape[1] // 2
    green, orange = (np.abs(picture - colour).sum(axis=2) == 0 for colour in ((60, 220, 90), (255, 140, 0)))
    assert green[:, :middle].any()
    assert not orange[:, :middle].any()
    assert orange[:, middle:].any()
    assert "shown.png" in partly("show", known["image"], "--project", project).stdout
    assert (project / "shown.png").is_file()
    assert "there is no image" in partly("show", 999, "--project", project, expect=4).stderr
