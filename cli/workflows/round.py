"""One round of the loop: pull, train, propose, push.

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
from db.records import ReviewOutcome, RunStatus
from db.registry import Registry
from learner.config import TrainConfig
from learner.inference.propose import ProposeRequest, ProposeResult, propose_locations
from learner.training.train_once import current_snapshot, find_run, train_once


@dataclass(frozen=True, slots=True)
class RoundRequest:
    """What each of the four steps is asked for."""

    config: TrainConfig
    pull: PullRequest = field(default_factory=PullRequest)
    propose: ProposeRequest = field(default_factory=ProposeRequest)
    """Its run is the one that the round trains."""
    push: PushRequest = field(default_factory=PushRequest)


@dataclass(frozen=True, slots=True)
class RoundPlan:
    """What a round would do."""

    pulled: PullReport
    would_train: bool


@dataclass(frozen=True, slots=True)
class RoundResult:
    """What each of the four steps did."""

    pulled: PullReport
    run: str
    trained: bool
    """False where a finished run with the same settings has seen all that is known."""
    proposed: ProposeResult
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
    known = find_run(registry, request.config, snapshot, RunStatus.FINISHED)
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
    run, trained = train_once(registry, request.config, progress)
    if not trained:
        progress.say(f"{run.name} was already trained on the current labels with these settings; skipping training")
    proposed = propose_locations(registry, replace(request.propose, run=run.name), progress=progress)
    pushed = push_images(registry, client, request.push, media_folder=media_folder, progress=progress)
    if pushed.resumed:
        # It has finished an interrupted push, whose plan did not hold what is proposed now.
        pushed = push_images(registry, client, request.push, media_folder=media_folder, progress=progress)
    return RoundResult(pulled, run.name, trained, proposed, pushed)
