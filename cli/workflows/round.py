"""One round of the loop: pull, train, propose, push.

Each step sees what is done already and does not do it again, so a round that was cut goes on when it is repeated.
"""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from annotator.label_studio.client import LabelStudioClient
from annotator.label_studio.pull.plan import PullReport
from annotator.label_studio.pull.pull_reviews import pull_reviews
from annotator.label_studio.push.push_images import PushReport, push_images
from db.progress import Progress, SilentProgress
from db.records import RunStatus
from db.registry import Registry
from learner.config import TrainConfig
from learner.inference.propose import ProposeRequest, propose_locations
from learner.training.train_once import current_snapshot, find_run, train_once


@dataclass(frozen=True, slots=True)
class RoundOptions:
    """What the four steps are told."""

    config: TrainConfig
    tau: float | str | None = None
    gate: str | None = None
    budget: int | None = None
    limit: int | None = None
    policy: str = "latest"
    empty_is_none: bool = True


def run_round(
    registry: Registry,
    client: LabelStudioClient,
    options: RoundOptions,
    *,
    media_folder: Path | None = None,
    dry_run: bool = False,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Bring in what people said, learn from it, propose, and send the proposals to be reviewed.

    Args:
        registry: where everything is.
        client: to the connected server.
        options: settings of the training and of the other steps.
        media_folder: folder that the local server serves, where images are placed there.
        dry_run: only say what would be pulled, and whether there is anything to learn.
        progress: where to show how far it is.

    Returns:
        pulled, run, trained, proposed, pushed: counts of what each step did; `trained` is false where a finished run
        has seen all that is known, with the same settings.

    Raises:
        RegistryError, AnnotatorError, LearnerError: as the four steps do; what was done stays done.
    """
    progress = progress or SilentProgress()
    pulled = pull_reviews(
        registry,
        client,
        policy=options.policy,
        empty_is_none=options.empty_is_none,
        dry_run=dry_run,
        progress=progress,
    )
    brought = _without_plan(pulled)
    if dry_run:
        known = find_run(registry, options.config, current_snapshot(registry), RunStatus.FINISHED)
        changes = brought["created"] + brought["updated"] + brought["withdrawn"]
        return {"dry_run": True, "pulled": brought, "would_train": known is None or changes > 0}
    run, trained = train_once(registry, options.config, progress)
    if not trained:
        progress.say(f"{run.name} has seen all that is known, with these settings: not trained again")
    proposed = propose_locations(
        registry,
        ProposeRequest(run=run.name, tau=options.tau, gate=options.gate, budget=options.budget),
        progress=progress,
    )
    pushed = push_images(
        registry, client, what="proposals", limit=options.limit, media_folder=media_folder, progress=progress
    )
    if pushed.resumed:
        # It has finished a push that was cut before; what is proposed now was not in that one's plan.
        pushed = push_images(
            registry, client, what="proposals", limit=options.limit, media_folder=media_folder, progress=progress
        )
    return {
        "pulled": brought,
        "run": run.name,
        "trained": trained,
        "proposed": {name: getattr(proposed, name) for name in ("tau", "gate", "considered", "proposed")},
        "pushed": _without_plan(pushed),
    }


def _without_plan(report: PullReport | PushReport) -> dict[str, Any]:
    """Return what was done; what was planned is a dry run's."""
    return {name: value for name, value in asdict(report).items() if name != "plan"}
