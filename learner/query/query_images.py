"""The query use-case: which images people should be asked about next, and why those.

A batch has three parts (`learner.query.batch`). What is to be confirmed comes from the newest run's proposals, what is
to be drawn from a query strategy, and the audit from a random order of the validation images whose location is not
known, which no training has learned a location of; once these are used up, of all other images.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, field

import numpy as np
from numpy.typing import NDArray

from db.curation.leakage import group_names
from db.errors import InvalidArgument, NotFound
from db.progress import Progress, SilentProgress
from db.records import ImageRecord, LocationStatus, RunStatus, Split
from db.records.asked import NewQuery, Part, QueryRecord, Question
from db.records.certificates import CertificateKind
from db.records.images import PROPOSED_FOR
from db.registry import Registry, Transaction
from learner.data.presence import MIN_KNOWN
from learner.distributed import Processes
from learner.errors import StrategyUnusable
from learner.inference.propose import ProposeRequest, choose_thresholds, score_images, store_proposals, to_proposal
from learner.inference.scored import Scored, most_confident
from learner.inference.trained_model import TrainedModel, open_run
from learner.query.batch import Offer, Shares, draw_questions, make_batch
from learner.query.features import image_features, imagenet_source, run_source
from learner.query.pool import Candidate, Pool
from learner.query.strategies import FEATURES, MODEL, Strategy, find_strategy

COLD, WARM = "typical", "disagreement"
"""Strategies where none is named: before there is a run, and after; measured in docs/results.md."""


@dataclass(frozen=True, slots=True)
class QueryRequest:
    """What a query is to choose, and how."""

    strategy: str | None = None
    """None: `typical` before there is a run, `disagreement` after."""
    budget: int = 50
    """Images in all."""
    shares: Shares = field(default_factory=Shares)
    propose: ProposeRequest = field(default_factory=ProposeRequest)
    """Run, tau and gate of the proposals that are to be confirmed."""
    seed: int = 0

    def __post_init__(self) -> None:
        if self.budget < 1:
            raise InvalidArgument(f"--budget must be at least 1, got {self.budget}")
        if not 0 <= self.seed < 2**63:
            raise InvalidArgument(f"--seed must be between 0 and 2^63, got {self.seed}")


@dataclass(frozen=True, slots=True)
class QueriedItem:
    """One image to ask about."""

    image: int
    path: str
    class_name: str | None
    part: Part
    score: float | None
    reason: str


@dataclass(frozen=True, slots=True)
class QueryResult:
    """What to ask next."""

    query: int | None
    """Its number in the registry; None where nothing was stored."""
    strategy: str
    run: str | None
    """The run whose model scored the images; None before there is one."""
    tau: float | None
    considered: int
    """Images whose location is unknown and that nobody is being asked about already."""
    parts: Mapping[str, int]
    items: tuple[QueriedItem, ...]


@dataclass(frozen=True, slots=True)
class _Known:
    """What the registry knows that a query needs."""

    pool: list[ImageRecord]
    """Those that may be confirmed or drawn."""
    audit: list[ImageRecord]
    """Those that the audit is drawn from."""
    located: list[ImageRecord]
    groups: Mapping[int, str]
    round: int


def query_images(
    registry: Registry,
    request: QueryRequest | None = None,
    *,
    dry_run: bool = False,
    processes: Processes | None = None,
    progress: Progress | None = None,
) -> QueryResult:
    """Choose the images to ask about next, and store the query for the next push.

    Proposals that pass the gate are stored, too, as `partly propose` does.

    Args:
        registry: of the images.
        request: what is wanted; None for the defaults.
        dry_run: choose, but store nothing.
        processes: those that share the work of scoring.
        progress: where to show how far it is.

    Raises:
        StrategyUnknown: there is no such strategy; StrategyUnusable: it lacks a model or features.
        InvalidArgument: budget, shares, seed or tau are out of range.
        NotFound, CheckpointIncompatible: the run cannot be used.
    """
    request, processes = request or QueryRequest(), processes or Processes()
    progress = progress or SilentProgress()
    model = _model(registry, request, processes)
    strategy = find_strategy(request.strategy or (COLD if model is None else WARM))
    if MODEL in strategy.needs and model is None:
        raise StrategyUnusable(
            f"the query strategy {strategy.name} needs a trained model, and there is none yet: train one with partly "
            "train, or ask with --strategy typical or random first"
        )
    with registry.read() as tx:
        known = _read(tx)
    scored, tau = _score(registry, model, request, known, processes, progress, dry_run=dry_run)
    offers = [
        Offer(Part.CONFIRM, [_to_confirm(item) for item in most_confident([item for item, sure in scored if sure])]),
        Offer(Part.AUDIT, _audit(known, request.seed)),
    ]
    if request.shares.draw:
        drawn = _draw(registry, strategy, model, request, known, [item for item, _ in scored], progress)
        offers.append(Offer(Part.DRAW, drawn))
    questions = make_batch(offers, known.groups, request.budget, request.shares)
    stored = (
        None
        if dry_run or not questions
        else processes.first(lambda: _store(registry, request, strategy, model, questions))
    )
    images = {image.id: image for image in (*known.pool, *known.audit)}
    return QueryResult(
        query=stored.id if stored is not None else None,
        strategy=strategy.name,
        run=model.run.name if model is not None else None,
        tau=tau,
        considered=len(known.pool),
        parts={part.value: sum(question.part is part for question in questions) for part in Part},
        items=tuple(_item(question, images[question.image]) for question in questions),
    )


def _model(registry: Registry, request: QueryRequest, processes: Processes) -> TrainedModel | None:
    if request.propose.run is None:
        with registry.read() as tx:
            if not any(run.status is RunStatus.FINISHED for run in tx.runs.all()):
                return None
    return open_run(registry, request.propose.run, processes=processes)


def _read(tx: Transaction) -> _Known:
    busy = tx.asked.waiting() | _with_open_task(tx)
    free = [image for image in tx.images.select(splits=PROPOSED_FOR, located=False) if image.id not in busy]
    held_out = [image for image in tx.images.select(splits=[Split.VAL], located=False) if image.id not in busy]
    located = tx.images.select(splits=[*PROPOSED_FOR, Split.VAL], located=True)
    groups = group_names(tx)
    covered = {groups[image.id] for image in located if image.split is Split.VAL}
    audit = [image for image in held_out if groups[image.id] not in covered] or free
    return _Known(free, audit, [image for image in located if image.split is not Split.VAL], groups, tx.asked.count())


def _with_open_task(tx: Transaction) -> set[int]:
    """Return the images that people are asked about in the connected project, and have not answered."""
    try:
        connection = tx.connections.current()
    except NotFound:
        return set()
    return {image_id for image_id, link in tx.connections.links(connection.id).items() if not link.annotations}


def _score(
    registry: Registry,
    model: TrainedModel | None,
    request: QueryRequest,
    known: _Known,
    processes: Processes,
    progress: Progress,
    *,
    dry_run: bool,
) -> tuple[list[tuple[Scored, bool]], float | None]:
    """Score the pool once, for proposals and for the strategy; say of each image whether its proposal is sure."""
    if model is None:
        return [], None
    gate = request.propose.gate or model.config.gate
    thresholds = choose_thresholds(registry, model, request.propose, processes, progress, dry_run=dry_run)
    scored = score_images(registry, model, known.pool, gate, processes, progress)
    sure = [(item, thresholds.passes(item)) for item in scored]
    passing = [item for item, passes in sure if passes]
    if passing and not dry_run:
        processes.first(lambda: store_proposals(registry, map(to_proposal, passing), model, thresholds, gate))
    return sure, thresholds.by_kind.get(CertificateKind.BOXES)


def _to_confirm(item: Scored) -> Question:
    what = "a proposal above tau" if item.boxes else "above tau: nothing to find"
    return Question(item.image.id, Part.CONFIRM, item.score, what)


def _audit(known: _Known, seed: int) -> list[Question]:
    order = np.random.default_rng([seed, known.round, 1]).permutation(len(known.audit))
    why = "a random validation image" if known.audit and known.audit[0].split is Split.VAL else "a random image"
    return [Question(known.audit[n].id, Part.AUDIT, None, f"{why}, shown without a proposal") for n in order]


def _draw(
    registry: Registry,
    strategy: Strategy,
    model: TrainedModel | None,
    request: QueryRequest,
    known: _Known,
    scored: Sequence[Scored],
    progress: Progress,
) -> list[Question]:
    """Ask the strategy; images that teach little come after all others, whatever it says."""
    by_image = {item.image.id: item for item in scored}
    images = [image for image in known.pool if MODEL not in strategy.needs or image.id in by_image]
    vectors: Mapping[int, NDArray[np.float32]] = {}
    if FEATURES in strategy.needs:
        source = run_source(model) if model is not None else imagenet_source()
        vectors = image_features(registry, [*images, *known.located], source, progress=progress)
        images = [image for image in images if image.id in vectors]
    located = [image for image in known.located if not vectors or image.id in vectors]
    if not images:
        return []
    pool = Pool(
        candidates=[_candidate(image, known.groups, by_image.get(image.id)) for image in images],
        feature_NF=np.stack([vectors[image.id] for image in images]) if vectors else None,
        known_MF=np.stack([vectors[image.id] for image in located]) if vectors and located else None,
        known_classes=[image.class_name for image in located],
        round=known.round,
    )
    choices = strategy.choose(pool, request.budget, np.random.default_rng([request.seed, known.round, 0]))
    questions = draw_questions(choices, [image.id for image in images])
    empty, covered = empty_classes(known.located), {known.groups[image.id] for image in known.located}
    classes = {image.id: image.class_name for image in images}
    return sorted(questions, key=lambda item: (classes[item.image] in empty, known.groups[item.image] in covered))


def _candidate(image: ImageRecord, groups: Mapping[int, str], scored: Scored | None) -> Candidate:
    return Candidate(
        image.id,
        groups[image.id],
        image.class_name,
        scored.entropy if scored is not None else None,
        scored.disagreement if scored is not None else None,
    )


def empty_classes(located: Collection[ImageRecord]) -> set[str | None]:
    """Return the classes all of whose known locations are empty, at least five: asking for more of them is no use."""
    found: dict[str | None, list[bool]] = {}
    for image in located:
        if image.class_name is not None:
            found.setdefault(image.class_name, []).append(image.location_status is LocationStatus.EMPTY)
    return {name for name, empty in found.items() if len(empty) >= MIN_KNOWN and all(empty)}


def _store(
    registry: Registry,
    request: QueryRequest,
    strategy: Strategy,
    model: TrainedModel | None,
    questions: Sequence[Question],
) -> QueryRecord:
    with registry.begin() as tx:
        return tx.asked.add(
            NewQuery(
                strategy=strategy.name,
                seed=request.seed,
                budget=request.budget,
                options=asdict(request.shares),
                run_id=model.run.id if model is not None else None,
                questions=tuple(questions),
            )
        )


def _item(question: Question, image: ImageRecord) -> QueriedItem:
    return QueriedItem(image.id, str(image.path), image.class_name, question.part, question.score, question.reason)
