"""Sends images to Label Studio as tasks, with proposals as visible predictions: a plan, a journal, then the work.

A push can be repeated, or cut anywhere and repeated, without a second task for an image: what is to be done is written
down first (`sync_journal`), and a request whose answer never came is followed by a look at what is there
(`push.execute`), not by the same request.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from annotator.label_studio.client import LabelStudioClient
from annotator.label_studio.ownership import own_project
from annotator.label_studio.page import refresh_interface
from annotator.label_studio.payload.labeling_config import can_ask_class, can_say_nothing, has_mask_tools
from annotator.label_studio.payload.plain import is_writable, shown
from annotator.label_studio.payload.tasks import as_own, key_of
from annotator.label_studio.push.attention_checks import plan_attention_checks
from annotator.label_studio.push.audit import add_audit, mark_audit
from annotator.label_studio.push.execute import Destination, Materials, Sender
from annotator.label_studio.push.media import find_unreadable
from annotator.label_studio.push.plan import PlannedTask, PushPlan, PushRequest, plan_push
from annotator.label_studio.push.select_images import queried_images, selected_images, waiting_for_audit
from annotator.label_studio.sync_journal import Journal, begun_steps, journaled
from annotator.label_studio.sync_report import PlannedAction, Skipped, counts_of
from db.progress import Progress, SilentProgress
from db.records import ConnectionRecord, ImageRecord, ProposalRecord, TaskLink
from db.records.images import OUTSIDE_TEST
from db.records.sync import AttentionCheck, StepState, SyncKind, SyncStep
from db.registry import Registry


@dataclass(frozen=True, slots=True)
class PushReport:
    """What a push did."""

    created: int = 0
    updated: int = 0
    unchanged: int = 0
    gone: int = 0
    """Images whose task was deleted in Label Studio and not recreated."""
    conflict: int = 0
    """Images with several tasks in Label Studio, of which the oldest counts."""
    predictions: int = 0
    control: int = 0
    """New tasks whose proposal was withheld."""
    second: int = 0
    """New tasks with two annotators."""
    again: int = 0
    """New tasks for images that were reviewed before and are proposed again."""
    catch: int = 0
    """New attention checks."""
    audit: int = 0
    """New tasks for random images, sent without a proposal, in addition to those requested."""
    nothing: int = 0
    """New tasks whose proposal is that the image is empty."""
    class_asked: int = 0
    """New tasks that ask for the image's class."""
    resumed: bool = False
    """Whether it finished an interrupted push."""
    skipped: list[Skipped] = field(default_factory=list)
    plan: list[PlannedAction] = field(default_factory=list)


def push_images(
    registry: Registry,
    client: LabelStudioClient,
    request: PushRequest | None = None,
    *,
    media_folder: Path | None = None,
    dry_run: bool = False,
    progress: Progress | None = None,
) -> PushReport:
    """Create tasks for images, and predictions for their pending proposals.

    Args:
        registry: where the images and proposals are.
        client: to the connected server.
        request: which images, and how; None for all with a pending proposal.
        media_folder: folder that the local server serves, where images are placed there.
        dry_run: only say what would be done.
        progress: where to show how far it is.

    Raises:
        NotFound: the registry is not connected.
        LabelStudioError: the server cannot be used; what was done stays done, and the same push goes on from there.
    """
    request = request or PushRequest()
    with registry.read() as tx:
        connection = tx.connections.current()
    identity = own_project(registry, client, connection.project_id, dry_run=dry_run)
    page = refresh_interface(client, client.get_project(connection.project_id), dry_run=dry_run)
    if dry_run:
        begun = begun_steps(registry, connection, SyncKind.PUSH, request.to_document())
        state = _sayable(_read(registry, connection, request, begun), page)
        plan = _plan(client, connection, request, state, identity, begun)
        unreadable = find_unreadable([planned.image for planned in plan.create], media_folder, progress)
        lost = {item.image for item in unreadable}
        created = [planned for planned in plan.create if planned.image.id not in lost]
        report = replace(_report(plan), resumed=bool(begun), class_asked=_asked(created, state, request))
        return _done(report, created, plan.update, unreadable)
    with journaled(registry, connection, SyncKind.PUSH, request.to_document()) as journal:
        state = _sayable(_read(registry, connection, request, journal.begun), page)
        plan = _plan(client, connection, request, state, identity, journal.begun)
        report = replace(_report(plan), resumed=bool(journal.begun))
        masks = _masks(registry, page, plan) if request.known else None
        _write_down(journal, plan)
        materials = Materials(
            media_folder,
            masks,
            as_polygons=request.polygons,
            file_names=request.file_names,
            classes=state.classes,
            ask_class=request.ask_class,
        )
        destination = Destination(client, connection, identity or "")
        sender = Sender(registry, destination, journal, materials, progress or SilentProgress())
        report = _carry_out(sender, plan, state, report, request)
        journal.finish(counts_of(report))
    return report


@dataclass(frozen=True, slots=True)
class _State:
    """What the registry knows that a push needs."""

    images: list[ImageRecord]
    proposals: dict[int, ProposalRecord]
    links: dict[int, TaskLink]
    checks: dict[int, AttentionCheck]
    candidates: list[ImageRecord]
    """For attention checks."""
    audit: list[ImageRecord]
    """For the audit, in the order in which they are taken."""
    classes: tuple[str, ...] = ()
    """Classes that the page can offer; none where it cannot."""
    audited: frozenset[int] = frozenset()
    """Images of a query's audit."""
    unsaid: tuple[Skipped, ...] = ()
    """Proposals and classes that the page cannot show."""


def _sayable(state: _State, page: str) -> _State:
    """Leave out what a project's labeling interface cannot say or ask.

    A proposal that there is nothing to find would look like no proposal at all.
    """
    if not can_ask_class(page):
        state = replace(state, classes=())
    unwritable = [name for name in state.classes if not is_writable(name)]
    if unwritable:
        why = "the class {} has control characters, so it is not offered; give its images another: partly set --class"
        state = replace(
            state,
            classes=tuple(name for name in state.classes if is_writable(name)),
            unsaid=tuple(Skipped(why.format(shown(name))) for name in unwritable),
        )
    hidden = {image_id for image_id, proposal in state.proposals.items() if proposal.is_nothing}
    if not hidden or can_say_nothing(page):
        return state
    why = (
        "the model proposes that there is nothing to find, which the project's labeling interface cannot show; add to "
        'it, in its settings: <Header value="$partly_proposal"/>'
    )
    return replace(
        state,
        images=[image for image in state.images if image.id not in hidden],
        proposals={image_id: item for image_id, item in state.proposals.items() if image_id not in hidden},
        unsaid=(*state.unsaid, *(Skipped(why, image_id) for image_id in sorted(hidden))),
    )


def _asked(created: Sequence[PlannedTask], state: _State, request: PushRequest) -> int:
    """Count the tasks that ask for a class."""
    asking = [item for item in created if item.image.class_name is None or request.ask_class]
    return len(asking) if state.classes else 0


def _read(registry: Registry, connection: ConnectionRecord, request: PushRequest, begun: Sequence[SyncStep]) -> _State:
    with registry.read() as tx:
        links = tx.connections.links(connection.id)
        checks = tx.attention_checks.of_connection(connection.id)
        classes = tuple(tx.images.class_names())
        if begun:
            ids = {step.image_id for step in begun if step.image_id is not None}
            proposals = {proposal.image_id: proposal for proposal in tx.proposals.pending_for(ids)}
            return _State(tx.images.select(splits=OUTSIDE_TEST, ids=ids), proposals, links, checks, [], [], classes)
        audited = frozenset[int]()
        if request.what == "query":
            images, proposals, audited = queried_images(tx)
        else:
            images, proposals = selected_images(tx, request, links)
        candidates: list[ImageRecord] = []
        if request.catch_share:
            located = tx.images.select(splits=OUTSIDE_TEST, located=True)
            candidates = [image for image in located if image.id not in links and image.id not in checks]
        audit = (
            waiting_for_audit(tx, {image.id for image in images} | set(links) | set(checks))
            if request.audit_share
            else []
        )
    return _State(images, proposals, links, checks, candidates, audit, classes, audited)


def _plan(
    client: LabelStudioClient,
    connection: ConnectionRecord,
    request: PushRequest,
    state: _State,
    identity: str | None,
    begun: Sequence[SyncStep] = (),
) -> PushPlan:
    listed = client.list_tasks(connection.project_id, with_annotations=False)
    tasks = [as_own(task, identity) for task in listed]
    plan = plan_push(
        state.images,
        state.proposals,
        state.links,
        tasks,
        request,
        begun=begun,
        checks=state.checks,
    )
    plan.skipped += state.unsaid
    mark_audit(plan, state.audited)
    there = {key_of(task) for task in tasks}
    add_audit(plan, [image for image in state.audit if image.key not in there], request)
    shown = [task.proposal for task in plan.create if task.proposal is not None and not task.control]
    free = [image for image in state.candidates if image.key not in there]
    checks = plan_attention_checks(free, shown, request.catch_share)
    # What has the same rank stays as it was planned.
    plan.create = sorted([*plan.create, *checks], key=lambda planned: planned.rank)
    return plan


def _report(plan: PushPlan) -> PushReport:
    return PushReport(
        unchanged=plan.unchanged,
        gone=len(plan.gone),
        conflict=len(plan.conflicts),
        skipped=plan.skipped,
        plan=plan.actions(),
    )


def _masks(registry: Registry, page: str, plan: PushPlan) -> dict[int, bytes]:
    """Return the masks of images whose known location is to be shown, by label."""
    wanted = [planned.image.label.id for planned in plan.create if planned.image.label and planned.image.label.has_mask]
    if not wanted or not has_mask_tools(page):
        return {}
    with registry.read() as tx:
        return tx.labels.mask_pngs(wanted)


def _write_down(journal: Journal, plan: PushPlan) -> None:
    """Write the plan into the journal; steps of the push that was cut keep their numbers."""
    old = {step.image_id: step for step in journal.begun}
    work = [*plan.create, *plan.update]
    new = [planned for planned in work if planned.image.id not in old]
    noted = journal.plan(
        [planned.to_step() for planned in new],
        [planned.check for planned in new if planned.check is not None and not planned.check.id],
    )
    steps = {step.image_id: step for step in (*journal.begun, *noted)}
    plan.create = [replace(planned, step=steps[planned.image.id]) for planned in plan.create]
    plan.update = [replace(planned, step=steps[planned.image.id]) for planned in plan.update]
    # What the cut push had done, or sent without hearing of it, and what is not wanted any more.
    over = set(old) - {planned.image.id for planned in work}
    open_still = [old[image_id] for image_id in over if old[image_id].state in (StepState.PLANNED, StepState.SENT)]
    journal.done(open_still, plan.adopt)


def _carry_out(
    sender: Sender,
    plan: PushPlan,
    state: _State,
    report: PushReport,
    request: PushRequest,
) -> PushReport:
    recreated = {planned.image.id for planned in plan.create} | {image.id for image in plan.gone}
    there = (set(state.links) | {link.image_id for link in plan.adopt}) - recreated
    unreadable: list[Skipped] = []
    sender.restore_media([image for image in state.images if image.id in there], unreadable)
    sender.set_annotators(plan.annotators)
    created = sender.create(plan.create, unreadable)
    updated = sender.add_predictions(plan.update)
    left = {image.id for image in plan.gone} | {item.image for item in plan.skipped}
    sender.show_predictions([item for item in state.proposals.values() if item.image_id not in left])
    report = replace(report, class_asked=_asked(created, state, request))
    return _done(report, created, plan.update[:updated], unreadable)


def _done(
    report: PushReport, created: Sequence[PlannedTask], updated: Sequence[PlannedTask], unreadable: Sequence[Skipped]
) -> PushReport:
    """Add to a report what was done of the plan, or would be."""
    return replace(
        report,
        created=len(created),
        control=sum(planned.control for planned in created),
        second=sum(planned.annotators > 1 for planned in created),
        again=sum(planned.round > 1 for planned in created),
        catch=sum(planned.check is not None for planned in created),
        audit=sum(planned.audit for planned in created),
        nothing=sum(planned.proposes_nothing for planned in created),
        updated=len(updated),
        predictions=sum(planned.shown is not None for planned in created) + len(updated),
        skipped=[*report.skipped, *unreadable],
    )
