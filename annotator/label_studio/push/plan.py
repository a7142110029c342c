"""What a push is to do: compares what should be in Label Studio with what is there; pure."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from annotator.label_studio.payload.tasks import (
    CONTROL,
    NOTE,
    key_of,
    problem_of,
    round_of,
    shows_prediction,
    slot_of,
    why_unreadable,
)
from annotator.label_studio.push.order import in_order, is_chosen
from annotator.label_studio.sync_report import PlannedAction, Skipped
from db.errors import InvalidArgument
from db.records import Box, ImageRecord, ProposalRecord, Split, TaskLink, run_name
from db.records.sync import AttentionCheck, StepAction, SyncStep

WHAT = ("proposals", "query", "partly", "all")


@dataclass(frozen=True, slots=True, kw_only=True)
class PushRequest:
    """Which images a push sends, and how."""

    what: str = "proposals"
    """`proposals` (images with a pending proposal), `query` (the newest query's that are still open), `partly` (all
    images without a known location, proposals included) or `all` (every image outside test)."""
    limit: int | None = None
    """Largest number of new tasks, the most confident proposals first; None for all."""
    recreate: bool = False
    """Create tasks again that were deleted in Label Studio."""
    known: bool = False
    """With new tasks of located images, send the known location, to be corrected."""
    polygons: bool = False
    """Send masks as polygons instead of brush strokes."""
    control_share: float = 0.0
    """Share of the new tasks with a proposal that are sent without it, 0 to 1, so that boxes drawn independently
    can be compared with reviewed proposals."""
    second_share: float = 0.0
    """Share of the new tasks that get two annotators, 0 to 1."""
    catch_share: float = 0.0
    """Attention checks: additional tasks whose proposal is known to be wrong, as a share of those with a proposal."""
    audit_share: float = 0.0
    """Share of the new tasks that are random validation images without a known location, 0 to 1; 1: these alone."""
    file_names: bool = False
    """Show annotators the names of the files; without it they see the images' numbers."""
    ask_class: bool = False
    """Offer the classes as a choice on every new task; without it only where the image's class is not known."""

    def __post_init__(self) -> None:
        if self.what not in WHAT:
            raise InvalidArgument(f"expected proposals, query, partly or all to push, got {self.what!r}")
        if self.limit is not None and self.limit < 1:
            raise InvalidArgument(f"--limit must be at least 1, got {self.limit}")
        for name in ("control", "second", "catch", "audit"):
            share = getattr(self, f"{name}_share")
            if not 0 <= share <= 1:
                raise InvalidArgument(f"--{name}-share is a share from 0 to 1, got {share}")
        if self.catch_share and self.what == "all":
            raise InvalidArgument(
                "--catch-share needs located images that are not pushed themselves, so it cannot be combined with --all"
            )

    def to_document(self) -> dict[str, Any]:
        """Write the request for the journal, whose keys never change."""
        document = asdict(self)
        document["outlines"] = document.pop("polygons")
        if not self.audit_share:
            # An interrupted push of an earlier version did not know it, and goes on.
            del document["audit_share"]
        if not self.ask_class:
            # A push that an earlier version began is continued.
            del document["ask_class"]
        return document


@dataclass(frozen=True, slots=True)
class PlannedTask:
    """A task to create, or (with `task_id`) one whose newest proposal is to be added."""

    image: ImageRecord
    proposal: ProposalRecord | None = None
    check: AttentionCheck | None = None
    control: bool = False
    annotators: int = 1
    task_id: int | None = None
    round: int = 1
    """Counts the image's tasks in the project."""
    data: Mapping[str, Any] | None = None
    """Of the task as it is there, where it exists."""
    shown_as: str | None = None
    """The model version under which annotators are shown predictions: the newest run, whichever run proposed."""
    place: float | None = None
    """What a validation image is ordered by, see `annotator.label_studio.push.order`."""
    audit: bool = False
    """It was added to be reviewed without a proposal."""
    step: SyncStep = field(default_factory=lambda: SyncStep(StepAction.CREATE))

    @property
    def slot(self) -> str:
        """What there is one task of: the image and the round."""
        return slot_of(self.image.key, self.round)

    @property
    def shown(self) -> ProposalRecord | AttentionCheck | None:
        """What annotators see as the proposal."""
        return self.check or (None if self.control else self.proposal)

    @property
    def boxes(self) -> tuple[Box, ...]:
        """The boxes that annotators see."""
        return self.shown.boxes if self.shown is not None else ()

    @property
    def proposes_nothing(self) -> bool:
        """Annotators see a proposal, and it is that there is nothing to find."""
        return self.shown is not None and not self.shown.boxes

    @property
    def score(self) -> float | None:
        """The score of what annotators see."""
        return self.shown.score if self.shown is not None else None

    @property
    def rank(self) -> float:
        """What tasks are created in order of, so that a control or an attention check stands where it belongs."""
        if self.place is not None:
            return self.place
        wanted = self.check or self.proposal
        return -wanted.score if wanted is not None else 1.0

    @property
    def sent_proposal_id(self) -> int | None:
        """The proposal that annotators see; None in control tasks and attention checks."""
        return self.proposal.id if self.proposal is not None and self.shown is self.proposal else None

    def link(self, task_id: int) -> TaskLink:
        """Return what is noted once the task is there."""
        return TaskLink(self.image.id, task_id, self.sent_proposal_id, self.control, self.annotators, self.round)

    def to_step(self) -> SyncStep:
        """Write the task down for the journal."""
        return SyncStep(
            action=StepAction.CREATE if self.task_id is None else StepAction.UPDATE,
            image_id=self.image.id,
            task_id=self.task_id,
            proposal_id=self.proposal.id if self.proposal is not None else None,
            control=self.control,
            annotators=self.annotators,
            round=self.round,
        )


@dataclass(frozen=True, slots=True)
class DuplicateTasks:
    """Several tasks of one image in Label Studio; the oldest one counts."""

    image_id: int
    task_ids: tuple[int, ...]


@dataclass(slots=True)
class PushPlan:
    """What a push would do."""

    create: list[PlannedTask] = field(default_factory=list)
    update: list[PlannedTask] = field(default_factory=list)
    """Tasks that exist and lack the newest proposal."""
    adopt: list[TaskLink] = field(default_factory=list)
    """Tasks that are there already and only have to be noted here."""
    annotators: list[tuple[int, int]] = field(default_factory=list)
    """Tasks, and how many people are to see them, where the server has another number."""
    unchanged: int = 0
    gone: list[ImageRecord] = field(default_factory=list)
    """Images whose task was deleted in Label Studio; they are left alone unless asked for."""
    conflicts: list[DuplicateTasks] = field(default_factory=list)
    skipped: list[Skipped] = field(default_factory=list)

    def actions(self) -> list[PlannedAction]:
        """List what would be done, for people and scripts."""
        return [
            *(PlannedAction("create", planned.image.id) for planned in self.create),
            *(PlannedAction("update", planned.image.id, planned.task_id) for planned in self.update),
            *(PlannedAction("gone", image.id) for image in self.gone),
            *(PlannedAction("conflict", found.image_id, min(found.task_ids)) for found in self.conflicts),
        ]


def plan_push(
    images: Sequence[ImageRecord],
    proposals: Mapping[int, ProposalRecord],
    links: Mapping[int, TaskLink],
    tasks: Iterable[Mapping[str, Any]],
    request: PushRequest | None = None,
    *,
    begun: Sequence[SyncStep] = (),
    checks: Mapping[int, AttentionCheck] | None = None,
) -> PushPlan:
    """Compare what should be there with what is.

    Args:
        images: to have a task.
        proposals: pending ones, by image.
        links: tasks known here, by image.
        tasks: tasks there, with the model versions of their predictions.
        request: its limit and shares, and whether deleted tasks are created again; None for the defaults.
        begun: steps of an interrupted push, whose decisions hold; it has chosen its images, so no limit counts.
        checks: attention checks in the project, by image; such a task stays as it is.
    """
    request, plan = request or PushRequest(), PushPlan()
    limit = None if begun else request.limit
    tasks = list(tasks)
    there = _by_key(tasks)
    unreadable = {int(task["id"]): task for task in tasks if problem_of(task) is not None}
    decided = {step.image_id: step for step in begun}
    newest = max((proposal.run_id for proposal in proposals.values()), default=None)
    shown_as = run_name(newest) if newest is not None else None
    for placed in in_order(images, proposals):
        image = placed.image
        found = there.get(image.key, [])
        link = links.get(image.id)
        check = (checks or {}).get(image.id)
        if check is not None:
            wanted = PlannedTask(image, check=check)
        else:
            wanted = _wanted(image, placed.proposal, link, decided.get(image.id), request)
            place = placed.rank if image.split is Split.VAL else None
            wanted = replace(wanted, shown_as=shown_as, place=place)
        broken = [task for task in found if problem_of(task) is not None]
        if link is not None and link.task_id in unreadable:
            broken.append(unreadable[link.task_id])
        if broken:
            plan.skipped.append(
                Skipped(f"{why_unreadable(broken[0])}, then push again", image.id, int(broken[0]["id"]))
            )
            plan.unchanged += 1
            continue
        if found and link is not None and round_of(found[0]) < link.round:
            # Its last task was deleted; that of an earlier round does not stand in for it.
            found = []
        if not found and link is not None and not request.recreate:
            plan.gone.append(image)
            why = f"its task {link.task_id} was deleted in Label Studio; to create it again: --recreate"
            plan.skipped.append(Skipped(why, image.id, link.task_id))
            continue
        if len(found) > 1:
            tasks_there = sorted(int(candidate["id"]) for candidate in found)
            plan.conflicts.append(DuplicateTasks(image.id, tuple(tasks_there)))
        if found:
            task = min(found, key=lambda candidate: int(candidate["id"]))
            again = _next_round(wanted, task, link) if check is None else None
            if isinstance(again, Skipped):
                plan.skipped.append(again)
                plan.unchanged += 1
                continue
            if again is None:
                _plan_existing(plan, wanted, task, link)
                continue
            wanted = again
        if limit is None or len(plan.create) < limit:
            plan.create.append(wanted)
        else:
            plan.skipped.append(Skipped("beyond --limit", image.id))
    return plan


def _next_round(wanted: PlannedTask, task: Mapping[str, Any], link: TaskLink | None) -> PlannedTask | Skipped | None:
    """Say whether a proposal needs a new task, since people are done with the one that is there.

    Returns:
        The new task; why there is none yet; or None where the task that is there will do.
    """
    proposal, task_id = wanted.proposal, int(task["id"])
    if proposal is None or not task.get("is_labeled") or shows_prediction(task, proposal.run_name):
        return None
    if (task.get("data") or {}).get(NOTE):
        why = f"its task {task_id} is waiting for its annotator to settle it (see the tab unclear)"
        return Skipped(why, wanted.image.id, task_id)
    said = int(task.get("total_annotations") or 0) + int(task.get("cancelled_annotations") or 0)
    if link is None or link.task_id != task_id or said > (link.annotations or 0):
        why = f"its task {task_id} was reviewed since the last pull; run first: partly pull"
        return Skipped(why, wanted.image.id, task_id)
    # What was held back once is shown now, and one more look is enough.
    return PlannedTask(wanted.image, proposal, round=round_of(task) + 1, shown_as=wanted.shown_as)


def _by_key(tasks: Iterable[Mapping[str, Any]]) -> dict[str, list[Mapping[str, Any]]]:
    """Return the tasks of each image's last round."""
    there: dict[str, list[Mapping[str, Any]]] = defaultdict(list)
    for task in tasks:
        key = key_of(task)
        if key:
            there[key].append(task)
    for key, found in there.items():
        last = max(map(round_of, found))
        there[key] = [task for task in found if round_of(task) == last]
    return there


def _wanted(
    image: ImageRecord,
    proposal: ProposalRecord | None,
    link: TaskLink | None,
    decided: SyncStep | None,
    request: PushRequest,
) -> PlannedTask:
    if link is not None:
        return PlannedTask(image, proposal, control=link.control, annotators=link.annotators, round=link.round)
    if decided is not None:
        return PlannedTask(image, proposal, control=decided.control, annotators=decided.annotators, round=decided.round)
    control = proposal is not None and is_chosen(image, "control", request.control_share)
    annotators = 2 if is_chosen(image, "second", request.second_share) else 1
    return PlannedTask(image, proposal, control=control, annotators=annotators)


def _plan_existing(plan: PushPlan, wanted: PlannedTask, task: Mapping[str, Any], link: TaskLink | None) -> None:
    task_id, proposal = int(task["id"]), wanted.proposal
    # A push that was cut may have made the task without noting it; then its own plan says whether it is a control.
    control = bool((task.get("data") or {}).get(CONTROL)) or wanted.control
    if int(task.get("overlap") or 1) < wanted.annotators:
        plan.annotators.append((task_id, wanted.annotators))
    seen_as = wanted.shown_as or (proposal.run_name if proposal is not None else "")
    if not control and proposal is not None and not task.get("is_labeled") and not shows_prediction(task, seen_as):
        updated = replace(wanted, control=False, task_id=task_id, round=round_of(task), data=task.get("data"))
        plan.update.append(updated)
        return
    plan.unchanged += 1
    if control:
        # Its proposal is held back on purpose, and so are those of later runs.
        seen = None
    elif proposal is not None:
        seen = proposal.id
    else:
        seen = link.proposal_id if link is not None else None
    noted = TaskLink(wanted.image.id, task_id, seen, control, wanted.annotators, round_of(task))
    if link != noted:
        plan.adopt.append(noted)
