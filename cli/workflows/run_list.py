"""Runs as people list them: state, and what each reached on validation."""

from dataclasses import dataclass

from db.records import RunRecord
from learner.training.lease import run_state


@dataclass(frozen=True, slots=True)
class RunSummary:
    """One run, as people look at it."""

    run: str
    preset: str
    status: str
    """As it is stored."""
    begun: str
    auc: float | None
    """On validation, as the other measures are."""
    iou: float | None
    ap50_all: float | None
    snapshot: str
    """The start of its hash."""
    state: str
    """As its status, or interrupted where nobody is training it any more."""


def summarize_run(record: RunRecord) -> RunSummary:
    """Take from a run what people look at."""
    val = record.metrics.get("val") or {}
    boxes = val.get("localization", {})
    return RunSummary(
        run=record.name,
        preset=record.preset,
        status=str(record.status),
        begun=f"{record.created_at:%Y-%m-%d %H:%M}",
        auc=val.get("classification", {}).get("auc"),
        iou=boxes.get("iou"),
        ap50_all=boxes.get("ap50_all"),
        snapshot=record.snapshot.removeprefix("sha256:")[:12],
        state=run_state(record),
    )
