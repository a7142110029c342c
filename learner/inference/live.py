"""Proposals while people work: the model is loaded once, and again when a newer run has finished."""

import threading
from collections.abc import Iterable
from dataclasses import dataclass

from db.progress import LinesOnly, Progress, SilentProgress
from db.records import ProposalRecord
from db.records.images import PROPOSED_FOR
from db.registry import Registry
from learner.distributed import Processes
from learner.errors import DataInvalid
from learner.inference.certify import Thresholds
from learner.inference.gate import Promise
from learner.inference.propose import (
    ProposeRequest,
    choose_thresholds,
    score_images,
    store_proposals,
    to_proposal,
)
from learner.inference.trained_model import TrainedModel, open_run


@dataclass(frozen=True, slots=True)
class _Loaded:
    """A run's model, and what its proposals have to pass."""

    model: TrainedModel
    gate: str
    thresholds: Thresholds


class LiveProposer:
    """Answers with the current run's proposals. Safe to call from several threads; the model works on one at a time."""

    def __init__(
        self,
        registry: Registry,
        *,
        run: str | None = None,
        tau: float | str | None = None,
        promise: Promise | None = None,
        progress: Progress | None = None,
    ) -> None:
        """Load the model.

        Args:
            registry: where the runs and images are, and the proposals go.
            run: which run proposes, None for the newest finished one, whichever that is when somebody asks.
            tau: the score must be above it; a number, `auto` (certified whenever a run is loaded), None for the run's
                own.
            promise: what has to be certified where tau is `auto`; None for the usual.
            progress: where to say that a newer run is loaded.

        Raises:
            NotFound, CheckpointIncompatible: the run cannot be used; InvalidArgument: tau is out of range.
        """
        self._registry = registry
        self._run = run
        self._request = ProposeRequest(run, tau, promise=promise or Promise())
        self._progress = progress or SilentProgress()
        self._lock = threading.Lock()
        self._asked_nothing: set[int] = set()
        self._loaded = self._load()

    def _load(self) -> _Loaded:
        model = open_run(self._registry, self._run)
        thresholds = choose_thresholds(self._registry, model, self._request, Processes(), self._progress)
        return _Loaded(model, model.config.gate, thresholds)

    def current_run(self) -> str:
        """Return the name of the run that proposes now; a newer one is loaded first."""
        with self._lock:
            return self._current().model.run.name

    def _current(self) -> _Loaded:
        if self._run is None:
            with self._registry.read() as tx:
                newest = tx.runs.latest()
            if newest.id != self._loaded.model.run.id:
                self._progress.say(f"{newest.name} has finished and makes the proposals from now on")
                self._loaded = self._load()
                self._asked_nothing.clear()
        return self._loaded

    def propose(self, image_ids: Iterable[int]) -> dict[int, ProposalRecord]:
        """Return the current run's proposals for images, by image; what is new is stored first.

        Images whose location is known get none, nor do test and validation images.
        """
        with self._lock:
            loaded = self._current()
            run_id = loaded.model.run.id
            with self._registry.read() as tx:
                wanted = {image.id for image in tx.images.select(splits=PROPOSED_FOR, ids=image_ids)}
                known = {item.image_id: item for item in tx.proposals.of_run(run_id, wanted)}
                left = wanted - set(known) - self._asked_nothing if loaded.thresholds.by_kind else set()
                images = tx.images.select(located=False, ids=left)
            lines = LinesOnly(self._progress)
            try:
                scored = score_images(self._registry, loaded.model, images, loaded.gate, Processes(), lines)
            except DataInvalid as exc:
                # None of these can be read; what is known of the others is answered all the same.
                self._progress.say(str(exc))
                scored = []
            passing = [item for item in scored if loaded.thresholds.passes(item)]
            self._asked_nothing |= {item.image.id for item in scored} - {item.image.id for item in passing}
            if passing:
                proposals = map(to_proposal, passing)
                store_proposals(self._registry, proposals, loaded.model, loaded.thresholds, loaded.gate)
                with self._registry.read() as tx:
                    stored = tx.proposals.of_run(run_id, [item.image.id for item in passing])
                known |= {item.image_id: item for item in stored}
            return known
