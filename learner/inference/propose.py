"""The proposal use-case: a run suggests locations for images that have none, and only the sure ones are kept.

A proposal is a suggestion for a person. Nothing here makes a label.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import overload

from db.errors import InvalidArgument
from db.progress import Progress, SilentProgress
from db.records import Box, ImageRecord, NewProposal
from db.records.certificates import CertificateKind, NewCertificate
from db.records.images import PROPOSED_FOR
from db.registry import Registry
from learner.distributed import Processes
from learner.inference.certify import (
    Calibration,
    Thresholds,
    calibration_images,
    certified_thresholds,
    certify_run,
    explain_certificates,
    kind_of,
)
from learner.inference.gate import Promise, check_gate, check_tau
from learner.inference.pool import PAGE, score_pool, score_records
from learner.inference.scored import PackedProposals, Scored
from learner.inference.trained_model import TrainedModel, open_run


@dataclass(frozen=True, slots=True)
class ProposeRequest:
    """Which run proposes, and what passes."""

    run: str | None = None
    """None for the newest finished one."""
    tau: float | str | None = None
    """The score must be above it: a number from 0 to 1, `auto` (certified on validation boxes), None for the run's."""
    gate: str | None = None
    """`class` or `agreement`, None for the run's."""
    budget: int | None = None
    """Largest number of proposals, the most confident first; None for all that pass."""
    promise: Promise = field(default_factory=Promise)
    """What has to be certified where tau is `auto`."""

    def __post_init__(self) -> None:
        if self.budget is not None and self.budget < 1:
            raise InvalidArgument(f"--budget must be at least 1, got {self.budget}")
        if self.gate is not None:
            check_gate(self.gate)


@dataclass(frozen=True, slots=True)
class ProposedItem:
    """One proposal, with its image."""

    image: int
    path: str
    class_name: str
    class_probability: float
    score: float
    boxes: tuple[Box, ...]
    """None where it proposes that the image is empty."""
    presence: float | None
    """Probability that there is anything to find; None if the run does not estimate it."""
    known_class_probability: float | None
    """Probability of the image's known class."""


class ProposedItems(Sequence[ProposedItem]):
    """Proposals as they are listed; each is unpacked when it is asked for, and equal to a sequence of equal items."""

    def __init__(self, packed: PackedProposals) -> None:
        self._packed = packed

    def __len__(self) -> int:
        return len(self._packed)

    @overload
    def __getitem__(self, index: int) -> ProposedItem: ...
    @overload
    def __getitem__(self, index: slice) -> list[ProposedItem]: ...
    def __getitem__(self, index: int | slice) -> ProposedItem | list[ProposedItem]:
        if isinstance(index, slice):
            return [self[n] for n in range(len(self))[index]]
        proposal, n = self._packed[index], range(len(self))[index]
        return ProposedItem(
            image=proposal.image_id,
            path=self._packed.path(n),
            class_name=proposal.class_name,
            class_probability=proposal.class_probability,
            score=proposal.score,
            boxes=proposal.boxes,
            presence=proposal.presence,
            known_class_probability=proposal.known_class_probability,
        )

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and list(self) == list(other)

    def __repr__(self) -> str:
        return f"ProposedItems({list(self)!r})"

    __hash__ = None  # type: ignore[assignment]


@dataclass(frozen=True, slots=True)
class ProposeResult:
    """What a run proposes."""

    run: str
    tau: float | None
    """None if no threshold could be certified."""
    gate: str
    considered: int
    proposed: int
    items: Sequence[ProposedItem]
    calibration: Calibration | None = None
    """None if tau was given."""
    nothing: Calibration | None = None
    """For proposals that an image is empty; None if tau was given or no such proposal was scored."""


def propose_locations(
    registry: Registry,
    request: ProposeRequest | None = None,
    *,
    dry_run: bool = False,
    processes: Processes | None = None,
    progress: Progress | None = None,
) -> ProposeResult:
    """Score images outside test and validation whose location is not known, and store what passes the gate.

    With tau `auto` the threshold is certified first; where nothing can be certified, nothing is scored or proposed.

    Args:
        registry: where the images are and the proposals go.
        request: which run, tau, gate and budget; None for the newest run and its own settings.
        dry_run: score, but store nothing.
        processes: those that share the work; the first one stores.
        progress: where to show how far it is.

    Raises:
        InvalidArgument: tau is out of range.
        NotFound, CheckpointIncompatible: the run cannot be used.
    """
    request, processes = request or ProposeRequest(), processes or Processes()
    progress = progress or SilentProgress()
    model = open_run(registry, request.run, processes=processes)
    gate = request.gate or model.config.gate
    thresholds = choose_thresholds(registry, model, request, processes, progress, dry_run=dry_run)
    with registry.read() as tx:
        # Where nothing can pass, nothing is scored.
        ids = tx.images.ids(splits=PROPOSED_FOR, located=False) if thresholds.by_kind else []
    considered, mine = 0, PackedProposals()
    for item in score_pool(registry, model, ids, gate, processes, progress) if ids else ():
        considered += 1
        if thresholds.passes(item):
            mine.add(to_proposal(item), str(item.image.path))
        if request.budget is not None and len(mine) > 2 * request.budget + PAGE:
            mine = mine.most_confident(request.budget)
    considered = sum(processes.gather([(processes.number, considered)]))
    first, *others = processes.gather([(processes.number, mine)])
    for of_another in others:
        first.extend(of_another)
    passing = first.most_confident(request.budget)
    if not dry_run and passing:
        processes.first(lambda: store_proposals(registry, passing, model, thresholds, gate))
    return ProposeResult(
        run=model.run.name,
        tau=thresholds.by_kind.get(CertificateKind.BOXES),
        gate=gate,
        considered=considered,
        proposed=len(passing),
        items=ProposedItems(passing),
        calibration=thresholds.calibration(CertificateKind.BOXES),
        nothing=thresholds.calibration(CertificateKind.NOTHING),
    )


def store_proposals(
    registry: Registry, proposals: Iterable[NewProposal], model: TrainedModel, thresholds: Thresholds, gate: str
) -> None:
    """Store what a run proposes, each kind with its threshold and the certificate that it is made under."""
    rest = iter(proposals)
    with registry.begin() as tx:
        while page := list(islice(rest, PAGE)):
            for kind, tau in thresholds.by_kind.items():
                tx.proposals.add(
                    [proposal for proposal in page if kind_of(proposal) is kind],
                    run_id=model.run.id,
                    tau=tau,
                    gate=gate,
                    certificate_id=thresholds.certificate_id(kind),
                )


def choose_thresholds(
    registry: Registry,
    model: TrainedModel,
    request: ProposeRequest,
    processes: Processes,
    progress: Progress,
    *,
    dry_run: bool = False,
) -> Thresholds:
    """Work out what a run's proposals have to be above; what is certified for it is stored.

    Returns:
        The same threshold for both kinds where tau is a number; where it is `auto` one for each kind that can be
        certified, or none at all.

    Raises:
        InvalidArgument: tau is out of range.
    """
    wanted = model.config.tau if request.tau is None else request.tau
    if wanted != "auto":
        return Thresholds(dict.fromkeys(CertificateKind, check_tau(wanted)))
    gate = request.gate or model.config.gate
    calibration = calibration_images(registry, model)
    with registry.read() as tx:
        earlier = tx.certificates.history(model.run.id)
    found = certify_run(
        model,
        gate,
        request.promise,
        calibration,
        lambda images: score_images(registry, model, images, gate, processes, progress),
        earlier,
    )
    for line in explain_certificates(found, calibration, model.run.name):
        progress.say(line)
    return certified_thresholds(found if dry_run else processes.first(lambda: _store_certificates(registry, found)))


def _store_certificates(registry: Registry, found: Sequence[NewCertificate]) -> Sequence[NewCertificate]:
    with registry.begin() as tx:
        return [tx.certificates.add(item) for item in found]


def score_images(
    registry: Registry,
    model: TrainedModel,
    images: list[ImageRecord],
    gate: str,
    processes: Processes,
    progress: Progress,
) -> list[Scored]:
    """Run a model on images and score what it finds by a gate; images that cannot be read are left out."""
    if not images:
        return []
    return processes.gather(score_records(registry, model, images, gate, processes, progress))


def to_proposal(item: Scored) -> NewProposal:
    """Write what a model found as a proposal."""
    return NewProposal(
        image_id=item.image.id,
        class_name=item.class_name,
        class_probability=item.class_probability,
        score=min(1.0, item.score),
        boxes=item.boxes,
        box_scores=tuple(min(1.0, score) for score in item.box_scores),
        presence=item.presence,
        known_class_probability=item.known_class_probability,
    )
