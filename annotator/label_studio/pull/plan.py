"""What a pull is to store: compares the annotations in Label Studio with what was pulled before; pure."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from annotator.label_studio.payload.labeling_config import class_in
from annotator.label_studio.payload.tasks import (
    CLASSES,
    image_of,
    is_as_sent,
    is_of_another,
    key_of,
    problem_of,
    why_unreadable,
)
from annotator.label_studio.pull.interpret import (
    NoStatement,
    Unsettled,
    interpret_annotation,
    interpret_attention_check,
)
from annotator.label_studio.sync_report import PlannedPull, Skipped
from db.records import ImageRecord, LocationSource, NewReview, ProposalRecord, Split, TaskLink
from db.records.sync import AttentionCheck, AttentionResponse

SAID_THERE = frozenset({LocationSource.DRAWN, LocationSource.ACCEPTED, LocationSource.EDITED, LocationSource.WITHDRAWN})
"""Sources of labels that came from Label Studio."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PullRequest:
    """What a pull brings in, and how reviews are read."""

    policy: str = "latest"
    """Which review holds where several people have reviewed an image: latest, unanimous, majority, or a reviewer."""
    change_test: bool = False
    """Store reviews of test images too; without it they are skipped and can be pulled later."""
    empty_is_none: bool = False
    """Read an annotation without a box as "no lesion"; without it only the explicit choice is."""
    full: bool = False
    """Look at every task, not only at those that changed since the last pull."""
    author: str = "unknown"
    """Who pulls, for the history."""

    def to_document(self) -> dict[str, Any]:
        """Write what decides how reviews are read, for the journal, whose keys never change."""
        return {"policy": self.policy, "change_test": self.change_test, "empty_is_none": self.empty_is_none}


@dataclass(frozen=True, slots=True)
class PullReport:
    """What a pull did."""

    created: int = 0
    """Reviews of images that had none from this annotation yet."""
    updated: int = 0
    """Annotations that were changed in Label Studio since the last pull."""
    unchanged: int = 0
    withdrawn: int = 0
    """Annotations that were deleted or turned into a skip since an earlier pull; their labels are retracted."""
    conflict: int = 0
    """Images whose label was changed both here and in Label Studio since the last pull; Label Studio's wins."""
    gone: int = 0
    """Images whose task was deleted in Label Studio; their reviews are kept."""
    questioned: list[int] = field(default_factory=list)
    """Images whose class one of these reviews marked as wrong."""
    operation: int | None = None
    """The pull's number, for undoing it; None if it stored no review or on a dry run."""
    catch: int = 0
    """Responses to attention checks; none becomes a label."""
    skipped: list[Skipped] = field(default_factory=list)
    outcomes: dict[str, int] = field(default_factory=dict)
    contested: list[int] = field(default_factory=list)
    """Images whose reviewers disagree, so that no review applies; their location is unknown."""
    classes: int = 0
    """Images whose class changed because reviewers stated or withdrew it."""
    class_contested: list[int] = field(default_factory=list)
    """Images whose reviewers disagree about the class; it is not stored."""
    plan: list[PlannedPull] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class PlannedReview:
    """A review to store, and whether it replaces an earlier version."""

    review: NewReview
    task_id: int
    is_update: bool
    is_conflict: bool = False


@dataclass(slots=True)
class PullPlan:
    """What a pull would store."""

    reviews: list[PlannedReview] = field(default_factory=list)
    """In the order in which they were made, so that the latest review of an image is stored last."""
    checks: list[AttentionResponse] = field(default_factory=list)
    unchanged: int = 0
    skipped: list[Skipped] = field(default_factory=list)
    unsettled: dict[int, str] = field(default_factory=dict)
    """Tasks with an annotation that somebody has to correct in Label Studio, and why; every pull names them until
    then."""
    waiting: bool = False
    """Something was skipped that could be stored once the registry knows more."""


@dataclass(frozen=True, slots=True)
class Known:
    """What the registry knows that a plan needs."""

    images: Mapping[str, ImageRecord]
    """By key."""
    links: Mapping[int, TaskLink]
    """By task."""
    proposals: Mapping[int, ProposalRecord]
    """By id: those sent last, and those that annotations began from."""
    versions: Mapping[int, str]
    """Version last stored of each annotation."""
    checks: Mapping[int, AttentionCheck] = field(default_factory=dict)
    """By image."""
    users: Mapping[int, str] = field(default_factory=dict)
    """E-mail addresses by number."""
    class_by_reviews: Collection[int] = ()
    """Images whose class is what reviewers stated."""


def plan_pull(
    tasks: Sequence[Mapping[str, Any]], known: Known, *, change_test: bool = False, empty_is_none: bool = False
) -> PullPlan:
    """Decide what every annotation means.

    Args:
        tasks: with annotations and predictions.
        known: what is in the registry.
        change_test: plan reviews of test images too.
        empty_is_none: take an empty result for "no lesion".
    """
    plan = PullPlan()
    by_version = {(proposal.image_id, proposal.run_name): proposal for proposal in known.proposals.values()}
    for task in tasks:
        key = key_of(task)
        annotations = list(task.get("annotations") or [])
        image = image_of(task, known.images)
        if problem_of(task) is not None:
            _plan_unreadable(plan, task, image)
            continue
        if image is None:
            if annotations:
                why = "the task was not made by partly" if not key else f"its image {key} is not registered here"
                if is_of_another(task):
                    why = f"the task belongs to another registry (its image there: {key})"
                else:
                    plan.waiting |= key is not None
                plan.skipped.append(Skipped(why, task=int(task["id"])))
            continue
        for annotation in annotations:
            version, annotation_id = str(annotation.get("updated_at")), int(annotation["id"])
            if known.versions.get(annotation_id) == version or is_as_sent(annotation):
                plan.unchanged += 1
                continue
            try:
                if image.id in known.checks:
                    plan.checks.append(
                        interpret_attention_check(annotation, image, known.checks[image.id], known.users)
                    )
                    continue
                if image.split is Split.TEST and not change_test:
                    plan.waiting = True
                    raise NoStatement("the image is in the test split; to change its label: --change-test")
                link = known.links.get(int(task["id"]))
                proposal = by_version.get((image.id, parent_version(task, annotation) or ""))
                if proposal is None and link is not None and link.proposal_id is not None:
                    proposal = known.proposals.get(link.proposal_id)
                review = interpret_annotation(
                    annotation,
                    image,
                    proposal,
                    known.users,
                    preset_class=preset_class(task, proposal),
                    empty_is_none=empty_is_none,
                )
            except NoStatement as exc:
                plan.skipped.append(Skipped(str(exc), image.id, int(task["id"]), annotation_id))
                if isinstance(exc, Unsettled):
                    plan.unsettled[int(task["id"])] = str(exc)
                continue
            is_update = annotation_id in known.versions
            changed_here = image.label is not None and image.label.source not in SAID_THERE
            plan.reviews.append(PlannedReview(review, int(task["id"]), is_update, is_update and changed_here))
    plan.reviews.sort(key=lambda planned: (planned.review.external_version, planned.review.external_id))
    return plan


def _plan_unreadable(plan: PullPlan, task: Mapping[str, Any], image: ImageRecord | None) -> None:
    """Name a task that cannot be read, in this pull and in every other until it is mended or deleted."""
    why = why_unreadable(task)
    plan.skipped.append(Skipped(f"{why}, then: partly pull", image.id if image is not None else None, int(task["id"])))
    plan.unsettled[int(task["id"])] = why


def parent_version(task: Mapping[str, Any], annotation: Mapping[str, Any]) -> str | None:
    """Return the model version of the prediction that an annotation began from, None where it is not known."""
    parent = annotation.get("parent_prediction")
    for prediction in task.get("predictions") or []:
        if parent is not None and prediction.get("id") == parent:
            return str(prediction.get("model_version"))
    return None


def preset_class(task: Mapping[str, Any], proposal: ProposalRecord | None) -> str | None:
    """Return the class that was chosen on a task's page already, as its run proposed it; None where none was."""
    if proposal is None or not (task.get("data") or {}).get(CLASSES):
        return None
    predictions = task.get("predictions") or []
    shown = {class_in(prediction.get("result") or []) for prediction in predictions}
    # Predictions can be deleted there; what was sent is known here.
    return proposal.class_name if not predictions or proposal.class_name in shown else None
