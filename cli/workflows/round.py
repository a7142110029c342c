"""One round of the loop: pull, train, propose, push; with a query, what is pushed is what the query chose.

Each step sees what is done already and does not do it again, so a round that was cut goes on when it is repeated.
"""

from dataclasses import dataclass, field, replace
from pathlib import Path

from annotator.label_studio.client import LabelStudioClient
from annotator.label_studio.pull.plan import PullReport, PullRequest
from annotator.label_studio.pull.pull_reviews import pull_reviews
from annotator.label_studio.push.plan import PushRequest
from annotator.label_studio.push.push_images import PushReport, push_images
from db.progress import Progress, SilentProgress
from db.records import ReviewOutcome, RunRecord, RunStatus
from db.records.images import PROPOSED_FOR
from db.registry import Registry
from learner.config import TrainConfig
from learner.errors import DataInvalid
from learner.inference.propose import ProposeRequest, ProposeResult, propose_locations
from learner.query.plan_rounds import plan_rounds
from learner.query.query_images import COLD, QueryRequest, QueryResult, query_images
from learner.query.rounds import note_round
from learner.query.strategies import MODEL, find_strategy
from learner.training.train_once import current_snapshot, find_run, train_once, warmed, warmed_where_sound


@dataclass(frozen=True, slots=True)
class RoundRequest:
    """What each of the four steps is asked for."""

    config: TrainConfig
    pull: PullRequest = field(default_factory=PullRequest)
    propose: ProposeRequest = field(default_factory=ProposeRequest)
    """Its run is the one that the round trains."""
    push: PushRequest = field(default_factory=PushRequest)
    query: QueryRequest | None = None
    """What a query is to choose; None: what is pushed are the proposals that pass the gate."""
    warm: bool | None = None
    """Start from the network of the round before (True) or anew (False); None: from it if what it learned holds."""


@dataclass(frozen=True, slots=True)
class RoundPlan:
    """What a round would do."""

    pulled: PullReport
    would_train: bool


@dataclass(frozen=True, slots=True)
class RoundResult:
    """What each of the four steps did."""

    pulled: PullReport
    run: str | None
    """None where no location is known yet, so that there is nothing to train on."""
    trained: bool
    """False where a finished run with the same settings has seen all that is known."""
    proposed: ProposeResult | None
    """None where a query took its place."""
    queried: QueryResult | None
    """None without a query, or where the last one was made with the same run and still waits for answers."""
    pushed: PushReport


def plan_round(
    registry: Registry, client: LabelStudioClient, request: RoundRequest, *, progress: Progress | None = None
) -> RoundPlan:
    """Say what would be pulled, and whether there is anything to train on.

    Raises:
        RegistryError, AnnotatorError: as a pull does.
    """
    pulled = pull_reviews(registry, client, request.pull, dry_run=True, progress=progress)
    snapshot = current_snapshot(registry, dry_run=True)
    config = _start_from(registry, request, SilentProgress())
    known = find_run(registry, config, snapshot, RunStatus.FINISHED)
    # A rejection says nothing that a training would see.
    said = sum(count for outcome, count in pulled.outcomes.items() if outcome != ReviewOutcome.REJECTED)
    return RoundPlan(pulled, known is None or said + pulled.updated + pulled.withdrawn > 0)


def run_round(
    registry: Registry,
    client: LabelStudioClient,
    request: RoundRequest,
    *,
    media_folder: Path | None = None,
    progress: Progress | None = None,
) -> RoundResult:
    """Pull reviews, train on all that is known, propose, and push the proposals for review.

    Args:
        registry: where everything is.
        client: to the connected server.
        request: settings of the training and of the other steps.
        media_folder: folder that the local server serves, where images are placed there.
        progress: where to show how far it is.

    Raises:
        RegistryError, AnnotatorError, LearnerError: as the four steps do; what was done stays done.
    """
    progress = progress or SilentProgress()
    pulled = pull_reviews(registry, client, request.pull, progress=progress)
    run, trained = None, False
    if request.query is None or _knows_locations(registry):
        config = _start_from(registry, request, progress)
        run, trained = train_once(registry, config, progress)
        if not trained:
            progress.say(f"{run.name} was already trained on the current labels with these settings; skipping training")
    else:
        progress.say("no location is known yet, so there is nothing to train on; asking for the first ones")
    proposed = queried = None
    push = request.push
    if request.query is not None:
        queried = _query_once(registry, request.query, run, progress)
        push = replace(push, what="query")
    elif run is not None:
        proposed = propose_locations(registry, replace(request.propose, run=run.name), progress=progress)
    if note_round(registry, run, queried.query if queried is not None else None) is not None:
        _say_whether_it_pays(registry, progress)
    with registry.read() as tx:
        nothing_asked = request.query is not None and tx.asked.latest() is None
    if nothing_asked:
        # There is nobody to ask about; what was pushed before is as it was.
        return RoundResult(pulled, run.name if run else None, trained, proposed, queried, PushReport())
    pushed = push_images(registry, client, push, media_folder=media_folder, progress=progress)
    if pushed.resumed:
        # It has finished an interrupted push, whose plan did not hold what is proposed now.
        pushed = push_images(registry, client, push, media_folder=media_folder, progress=progress)
    return RoundResult(pulled, run.name if run else None, trained, proposed, queried, pushed)


def _start_from(registry: Registry, request: RoundRequest, progress: Progress) -> TrainConfig:
    if request.warm is None:
        return warmed_where_sound(registry, request.config, progress)
    return warmed(registry, request.config) if request.warm else request.config


def _knows_locations(registry: Registry) -> bool:
    with registry.read() as tx:
        return bool(tx.images.count(splits=PROPOSED_FOR, located=True))


def _say_whether_it_pays(registry: Registry, progress: Progress) -> None:
    """Say so where the last rounds gained no more than chance can explain."""
    try:
        recent = plan_rounds(registry, progress=progress)
    except DataInvalid:
        # Nothing to judge it on yet.
        return
    if recent.recent is not None and recent.recent.below_noise:
        progress.say(f"{recent.advice}; see: partly plan")


def _query_once(
    registry: Registry, request: QueryRequest, run: RunRecord | None, progress: Progress
) -> QueryResult | None:
    """Make a query, unless the last one was made with the same run, or before there was any, and still waits."""
    with registry.read() as tx:
        last, waiting = tx.asked.latest(), tx.asked.waiting()
    if last is not None and last.run_id == (run.id if run is not None else None):
        left = sum(question.image in waiting for question in last.questions)
        if left:
            progress.say(
                f"query {last.id} is still waiting for {left} of its {len(last.questions)} answers, so no new one is "
                "made; to ask for more anyway: partly query, then partly push --query"
            )
            return None
    propose = replace(request.propose, run=run.name if run is not None else None)
    if run is None and request.strategy is not None and MODEL in find_strategy(request.strategy).needs:
        progress.say(f"the query strategy {request.strategy} needs a model; the first query is made by {COLD}")
        request = replace(request, strategy=COLD)
    return query_images(registry, replace(request, propose=propose), progress=progress)
