"""One replay of the loop: a strategy, a seed, and a registry of its own that knows classes alone at first.

After every step what was reached is written beside the registry, so that a replay that is cut goes on with the same
numbers: queries, answers and trainings depend on the seed and on what is stored, on nothing else.
"""

import json
import shutil
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from db.atomic_write import draft_of, write_text
from db.curation.leakage import group_names
from db.errors import Conflict
from db.progress import Progress, SilentProgress
from db.records import (
    ImageRecord,
    Location,
    LocationSource,
    NewImage,
    NewLabel,
    Split,
)
from db.records.asked import Part, QueryRecord
from db.records.images import PROPOSED_FOR
from db.registry import Registry, create_registry, open_registry
from learner.config import make_config
from learner.data.location_share import hide_locations
from learner.evaluation.evaluate import evaluate_run
from learner.inference.propose import ProposeRequest
from learner.query.batch import Shares
from learner.query.query_images import QueryRequest, query_images
from learner.query.strategies import MODEL, find_strategy
from learner.simulation.reviewer import Reply, Reviewer, answer
from learner.training.train_once import train_once, warmed

REGISTRY = "registry.sqlite3"
ROWS = "rounds.json"
PLAN = "plan.json"
EVERYTHING = "all boxes"
"""The replay that has every location from the start: what the others are measured against."""
BEGINNING = "beginning"
"""The replay that asks nothing: what is known at first, which all strategies have in common."""


@dataclass(frozen=True, slots=True)
class ReplayPlan:
    """What one replay does."""

    strategy: str
    """Of its queries; `EVERYTHING` makes none."""
    seed: int
    rounds: int
    budget: int
    """Images a query."""
    start: float
    """Share of the locations that is known at first, by class; 0: none, and the first query is made cold."""
    shares: Shares = field(default_factory=Shares)
    reviewer: Reviewer = field(default_factory=Reviewer)
    preset: str = "default"
    settings: Mapping[str, Any] = field(default_factory=dict)
    """Of the trainings."""
    tau: float | None = None
    """Above which proposals are confirmed; None: the trainings' own."""
    warm: bool = False
    """Each training starts from the network of the one before, instead of anew."""

    @property
    def name(self) -> str:
        """The name of its folder."""
        return f"{self.strategy}-{self.seed}".replace(" ", "-")


@dataclass(frozen=True, slots=True)
class RoundRow:
    """What was known after a number of queries, and what a training made of it."""

    round: int
    located: int
    """Images outside test and validation whose location is known."""
    minutes: float
    """That people have spent so far."""
    said: Mapping[str, int]
    """What they did this round."""
    iou: float | None
    """Of the training, on the held-back images; None where nothing could be trained yet."""
    ap50_all: float | None
    auc: float | None


def run_replay(
    plan: ReplayPlan,
    folder: Path,
    truth: Registry,
    *,
    beginning: Path | None = None,
    progress: Progress | None = None,
) -> tuple[RoundRow, ...]:
    """Replay the loop, or what is left of it.

    Args:
        plan: what is done.
        folder: of this replay; made where it is missing.
        truth: the registry that knows every location, and how images are split.
        beginning: folder of a finished replay that has trained on what is known at first, with the same settings and
            seed; it is taken over, not trained again.
        progress: where to show how far it is.

    Returns:
        One row for what is known at first, and one a round.

    Raises:
        RegistryError, LearnerError: as queries, trainings and evaluations do; what was done stays done.
    """
    progress = progress or SilentProgress()
    if beginning is not None and not folder.exists():
        _take_over(beginning, folder)
    _check_plan(plan, folder)
    known = _locations(truth)
    registry = _open(plan, folder, truth, known)
    try:
        rows = _read_rows(folder)
        for number in range(len(rows), plan.rounds + 1):
            said, seconds = (
                _first_answers(registry, plan) if number == 0 else _ask(registry, plan, number, known, progress)
            )
            spent = (rows[-1].minutes if rows else 0.0) + seconds / 60
            rows = (*rows, _measured(registry, plan, RoundRow(number, 0, spent, said, None, None, None), progress))
            write_text(folder / ROWS, json.dumps([asdict(row) for row in rows], indent=1))
        return rows
    finally:
        registry.close()


def _take_over(beginning: Path, folder: Path) -> None:
    """Copy a replay that has asked nothing yet, in one step: a copy that was cut counts as none."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    draft = draft_of(folder)
    shutil.copytree(beginning, draft)
    (draft / PLAN).unlink()
    draft.rename(folder)


def _check_plan(plan: ReplayPlan, folder: Path) -> None:
    """Refuse to go on with another plan; more rounds are the same one, continued."""
    wanted = json.loads(json.dumps({**asdict(plan), "settings": dict(plan.settings), "rounds": None}))
    try:
        begun = json.loads((folder / PLAN).read_text(encoding="utf-8"))
    except FileNotFoundError:
        write_text(folder / PLAN, json.dumps(wanted, indent=1))
        return
    differing = sorted(key for key in wanted if begun.get(key) != wanted[key])
    if differing:
        raise Conflict(
            f"{folder} holds a replay with other settings ({', '.join(differing)}); give another folder with --out, or "
            "remove this one"
        )


def _read_rows(folder: Path) -> tuple[RoundRow, ...]:
    try:
        return tuple(RoundRow(**row) for row in json.loads((folder / ROWS).read_text(encoding="utf-8")))
    except FileNotFoundError:
        return ()


def _open(plan: ReplayPlan, folder: Path, truth: Registry, known: Mapping[str, Location]) -> Registry:
    """Open the replay's registry; the first time, fill it with the images, the test locations and the first others."""
    folder.mkdir(parents=True, exist_ok=True)
    address = f"sqlite:///{folder.resolve()}/{REGISTRY}"
    if (folder / REGISTRY).exists():
        registry = open_registry(address, folder)
        with registry.read() as tx:
            if tx.images.select(limit=1):
                return registry
        registry.close()
    registry = create_registry(address, folder)
    with truth.read() as tx:
        images, groups = tx.images.select(), group_names(tx)
    first = _first_images(images, plan)
    with registry.begin() as tx:
        ids = tx.images.add([_hidden(image, groups[image.id]) for image in images])
        numbers = dict(zip((image.id for image in images), ids, strict=True))
        tx.labels.append_many(
            [
                NewLabel(numbers[image.id], known[str(image.path)], source=LocationSource.IMPORTED)
                for image in images
                if str(image.path) in known and (image.split is Split.TEST or image.id in first)
            ]
        )
        tx.images.set_splits({numbers[image.id]: image.split for image in images if image.split is not None})
    return registry


def _first_images(images: Sequence[ImageRecord], plan: ReplayPlan) -> set[int]:
    """Choose the images whose location is known at first, the same ones for every strategy."""
    of_training = [image for image in images if image.split in PROPOSED_FOR]
    share = 1.0 if plan.strategy == EVERYTHING else plan.start
    return {image.id for image in hide_locations(of_training, share, plan.seed) if image.is_located}


def _hidden(image: ImageRecord, group: str) -> NewImage:
    return NewImage(
        path=image.path,
        content_hash=image.content_hash,
        width=image.width,
        height=image.height,
        class_name=image.class_name,
        group=group,
    )


def _locations(registry: Registry) -> dict[str, Location]:
    """Return what is known, by path: boxes alone, which is what people are asked for."""
    with registry.read() as tx:
        images = tx.images.select(located=True)
    return {str(image.path): Location(image.location_status, image.boxes) for image in images}


def _first_answers(registry: Registry, plan: ReplayPlan) -> tuple[dict[str, int], float]:
    """Say what the first locations have cost: each was drawn, or said to be empty."""
    with registry.read() as tx:
        images = tx.images.select(splits=PROPOSED_FOR, located=True)
    chance = np.random.default_rng([plan.seed, 0])
    careful = replace(plan.reviewer, wrong_accepts=0.0, misses=0.0)
    replies = [answer(careful, Location(image.location_status, image.boxes), None, chance) for image in images]
    return _counts(replies), sum(reply.seconds for reply in replies)


def _ask(
    registry: Registry, plan: ReplayPlan, number: int, known: Mapping[str, Location], progress: Progress
) -> tuple[dict[str, int], float]:
    """Make a query, or take up the one that was cut, and answer it."""
    with registry.read() as tx:
        made = tx.asked.count()
        trained = any(run.checkpoint is not None for run in tx.runs.all())
    if made < number:
        # Without a location there is no model, and strategies that need one begin with the cold one.
        strategy = plan.strategy if trained or MODEL not in find_strategy(plan.strategy).needs else None
        request = QueryRequest(strategy, plan.budget, plan.shares, ProposeRequest(tau=plan.tau), seed=plan.seed)
        if query_images(registry, request, progress=progress).query is None:
            return {}, 0.0
    with registry.read() as tx:
        query = tx.asked.history()[number - 1]
    return _reply(registry, plan, query, known)


def _reply(
    registry: Registry, plan: ReplayPlan, query: QueryRecord, known: Mapping[str, Location]
) -> tuple[dict[str, int], float]:
    with registry.read() as tx:
        images = {image.id: image for image in tx.images.select(ids=[item.image for item in query.questions])}
        proposed = tx.proposals.of_run(query.run_id, images) if query.run_id is not None else []
    boxes = {item.image_id: item.boxes for item in proposed}
    replies: dict[int, Reply] = {}
    for question in query.questions:
        image = images[question.image]
        shown = boxes.get(image.id) if question.part is not Part.AUDIT else None
        # Each image has its own chance, so that a replay that was cut goes on as it would have.
        chance = np.random.default_rng([plan.seed, image.id])
        replies[image.id] = answer(plan.reviewer, known[str(image.path)], shown, chance)
    with registry.begin() as tx:
        tx.labels.append_many(
            [
                NewLabel(image, reply.location, source=LocationSource.IMPORTED)
                for image, reply in replies.items()
                if not images[image].is_located
            ]
        )
    return _counts(replies.values()), sum(reply.seconds for reply in replies.values())


def _counts(replies: Iterable[Reply]) -> dict[str, int]:
    return dict(Counter(reply.said.value for reply in replies))


def _measured(registry: Registry, plan: ReplayPlan, row: RoundRow, progress: Progress) -> RoundRow:
    """Train on what is known, and score the held-back images."""
    with registry.read() as tx:
        located = tx.images.count(splits=PROPOSED_FOR, located=True)
    if not located:
        return row
    config = make_config(plan.preset, {"seed": plan.seed, **plan.settings})
    if plan.warm:
        config = warmed(registry, config)
    run, _ = train_once(registry, config, progress)
    summary = evaluate_run(registry, run=run.name, split=Split.TEST, progress=progress).summary
    return replace(
        row,
        located=located,
        iou=summary.localization.iou,
        ap50_all=summary.localization.ap50_all,
        auc=summary.classification.auc,
    )
