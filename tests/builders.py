"""One-line valid objects for tests."""

from datetime import UTC, datetime
from pathlib import Path

from db.imaging.files import ImageFile
from db.records import (
    Box,
    ImageRecord,
    Location,
    LocationLabel,
    LocationSource,
    LocationStatus,
    NewImage,
    NewProposal,
    ProposalRecord,
)
from db.registry import Registry

CONTENT = iter(range(10**9))


def new_image(name: str = "a.png", **fields) -> NewImage:
    given = {
        "path": ImageFile.at(Path("/images") / name),
        "content_hash": f"sha256:{next(CONTENT):064x}",
        "width": 100,
        "height": 80,
        "class_name": "benign",
    }
    return NewImage(**{**given, **fields})


def image_record(**fields) -> ImageRecord:
    given = {
        "id": 7,
        "path": ImageFile.at("/images/a.png"),
        "content_hash": "sha256:" + "ab" * 32,
        "width": 200,
        "height": 100,
        "class_name": "benign",
        "group": None,
        "split": None,
    }
    return ImageRecord(**{**given, **fields})


def label_record(*boxes: Box, **fields) -> LocationLabel:
    given = {
        "id": 11,
        "image_id": 7,
        "revision": 1,
        "status": LocationStatus.PRESENT if boxes else LocationStatus.EMPTY,
        "boxes": boxes,
        "has_mask": False,
        "source": LocationSource.IMPORTED,
        "reviewer": None,
        "run_id": None,
        "created_at": datetime(2026, 1, 1, tzinfo=UTC),
    }
    return LocationLabel(**{**given, **fields})


def proposal_record(**fields) -> ProposalRecord:
    given = {
        "id": 5,
        "image_id": 7,
        "run_id": 1,
        "class_name": "benign",
        "class_probability": 0.9,
        "score": 0.85,
        "tau": 0.8,
        "gate": "class",
        "boxes": (Box(20, 10, 40, 30),),
    }
    return ProposalRecord(**{**given, **fields})


def present(*boxes: Box) -> Location:
    return Location(LocationStatus.PRESENT, boxes or (Box(1, 2, 3, 4),))


EMPTY = Location(LocationStatus.EMPTY)


def add_images(registry: Registry, *images: NewImage) -> list[int]:
    with registry.begin() as tx:
        return tx.images.add(images)


def add_run_with_proposal(registry: Registry, image_id: int, *boxes: Box, score: float = 0.9) -> tuple[int, int]:
    """Start a run and let it propose; returns run id and proposal id."""
    with registry.begin() as tx:
        run = tx.runs.start(preset="default", config={}, snapshot="sha256:0")
        proposal = NewProposal(image_id, "benign", 0.9, score, boxes or (Box(20, 10, 40, 30),))
        tx.proposals.add([proposal], run_id=run.id, tau=0.8, gate="class")
        return run.id, tx.proposals.of_run(run.id)[0].id
