"""What became of proposals, how long that took, and how far people agree: numbers from stored reviews.

`summarize_reviews` reads the registry; everything else is computed from the records that it is given. A bin of scores
says whether tau is in the right place: where nearly all proposals are accepted it could be lower, where
many are edited or rejected it should be higher.

Proposals that there is nothing to find are counted apart, since their scores say something else: accepted where people
agree, rejected where they draw something; there is no IoU.
"""

import math
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from statistics import fmean

from db.imaging.geometry import boxes_iou
from db.records import Box, LocationLabel, LocationStatus, ProposalRecord, ReviewOutcome, ReviewRecord
from db.records.sync import AttentionResponse
from db.registry import Registry

BIN = 0.1
AGREED_IOU = 0.5

OF_PROPOSALS = (ReviewOutcome.ACCEPTED, ReviewOutcome.EDITED, ReviewOutcome.REJECTED)


@dataclass(frozen=True, slots=True)
class ScoreBin:
    """Reviews of proposals whose score is at least `low` and below `high`."""

    low: float
    high: float
    n: int
    accepted: int
    edited: int
    rejected: int
    iou: float | None
    """Mean IoU of the proposals with the reviewed boxes; a rejected proposal counts as 0. None without boxes."""

    @property
    def accept_rate(self) -> float:
        """Share left as it was."""
        return self.accepted / self.n


@dataclass(frozen=True, slots=True)
class ReviewerSummary:
    """What one person did."""

    reviewer: str
    reviews: int
    minutes: float
    outcomes: dict[str, int]


@dataclass(frozen=True, slots=True)
class Agreement:
    """How far two people agree on the images that both have reviewed."""

    first: str
    second: str
    images: int
    agreed: int
    """Both found nothing, or the same place: IoU of at least .5."""
    iou: float | None
    """Mean IoU over the images where both found something."""


@dataclass(frozen=True, slots=True)
class Influence:
    """Reviews of images whose proposal was shown or, in the control group, withheld."""

    group: str
    """proposed or control."""
    reviews: int
    iou: float
    """Mean IoU of the review with the proposal, 0 if the review finds nothing; if the proposal is that the image is
    empty, 1 if the review agrees, else 0."""
    agreed: int
    """With an IoU of at least .5."""
    seconds: float | None
    """Mean time per image, where it is known."""


def influences(
    reviews: Sequence[ReviewRecord], said: Mapping[int, LocationLabel], held_back: Mapping[int, ProposalRecord]
) -> list[Influence]:
    """Compare reviews of proposals with control reviews; nothing unless there are both.

    People who see a proposal agree with it more than people who do not. The difference is its influence, the agreement
    of the control group what the proposal is worth.

    Args:
        reviews: the newest version of every annotation.
        said: what reviews said about the location, by review.
        held_back: by image, the proposals that control tasks did not show.
    """
    groups: dict[str, list[tuple[float, float | None]]] = {"proposed": [], "control": []}
    for review in reviews:
        proposal = held_back.get(review.image_id)
        if review.of_nothing:
            groups["proposed"].append((float(review.outcome is ReviewOutcome.ACCEPTED), review.seconds))
        elif review.score is not None:
            shown = review.outcome is not ReviewOutcome.REJECTED and review.outcome is not ReviewOutcome.EMPTY
            groups["proposed"].append(((review.iou or 0.0) if shown else 0.0, review.seconds))
        elif proposal is not None and review.id in said:
            groups["control"].append((_agreement(said[review.id].boxes, proposal.boxes), review.seconds))
    if not all(groups.values()):
        return []
    return [
        Influence(
            group=name,
            reviews=len(members),
            iou=fmean(iou for iou, _ in members),
            agreed=sum(iou >= AGREED_IOU for iou, _ in members),
            seconds=fmean(known) if (known := [spent for _, spent in members if spent is not None]) else None,
        )
        for name, members in groups.items()
    ]


def _agreement(said: Sequence[Box], proposed: Sequence[Box]) -> float:
    """Return the IoU of two locations; 1 where both are empty."""
    return boxes_iou(said, proposed) if said and proposed else float(not said and not proposed)


@dataclass(frozen=True, slots=True)
class AttentionSummary:
    """How often one person failed to catch a proposal known to be wrong."""

    reviewer: str
    shown: int
    missed: int
    truth_iou: float
    """Mean IoU of the person's answers with the true locations."""


def attention_summaries(reviews: Sequence[AttentionResponse]) -> list[AttentionSummary]:
    """Count answers to planted proposals by person, who missed most first."""
    by_person: dict[str, list[AttentionResponse]] = defaultdict(list)
    for review in reviews:
        by_person[review.reviewer].append(review)
    found = [
        AttentionSummary(name, len(said), sum(item.missed for item in said), fmean(item.truth_iou for item in said))
        for name, said in by_person.items()
    ]
    return sorted(found, key=lambda summary: (-summary.missed / summary.shown, summary.reviewer))


def waiting_for_second(wanted: Mapping[int, int], reviews: Sequence[ReviewRecord]) -> list[int]:
    """Return the images that fewer annotators have reviewed than are wanted.

    Args:
        wanted: how many people are to look at an image, by image.
        reviews: the newest version of every annotation.
    """
    reviewed_by: dict[int, set[str]] = defaultdict(set)
    for review in reviews:
        reviewed_by[review.image_id].add(review.reviewer)
    return [image_id for image_id, count in sorted(wanted.items()) if len(reviewed_by[image_id]) < count]


def score_bins(reviews: Sequence[ReviewRecord], *, of_nothing: bool = False) -> list[ScoreBin]:
    """Count what became of proposals, by score, lowest first; bins without a review are left out.

    A proposal that was replaced by a drawing, or by "no lesion", counts as rejected.

    Args:
        reviews: the newest version of every annotation.
        of_nothing: count the proposals that there is nothing to find, instead of those with boxes.
    """
    binned: dict[int, list[ReviewRecord]] = defaultdict(list)
    for review in reviews:
        if review.score is not None and review.of_nothing is of_nothing:
            # A score of 1 belongs to the last bin; rounding keeps .3 / .1 from being 2.
            binned[min(math.floor(round(review.score / BIN, 9)), round(1 / BIN) - 1)].append(review)
    bins = []
    for number, members in sorted(binned.items()):
        kinds = Counter(review.outcome if review.outcome in OF_PROPOSALS else "rejected" for review in members)
        bins.append(
            ScoreBin(
                low=round(number * BIN, 10),
                high=round((number + 1) * BIN, 10),
                n=len(members),
                accepted=kinds[ReviewOutcome.ACCEPTED],
                edited=kinds[ReviewOutcome.EDITED],
                rejected=kinds[ReviewOutcome.REJECTED],
                iou=None if of_nothing else fmean(_iou_kept(review) for review in members),
            )
        )
    return bins


def _iou_kept(review: ReviewRecord) -> float:
    return (review.iou or 0.0) if review.outcome in (ReviewOutcome.ACCEPTED, ReviewOutcome.EDITED) else 0.0


def reviewer_summaries(reviews: Sequence[ReviewRecord]) -> list[ReviewerSummary]:
    """Count what each person did, the busiest first."""
    by_person: dict[str, list[ReviewRecord]] = defaultdict(list)
    for review in reviews:
        by_person[review.reviewer].append(review)
    found = [
        ReviewerSummary(
            reviewer=name,
            reviews=len(members),
            minutes=sum(review.seconds or 0.0 for review in members) / 60,
            outcomes=dict(sorted(Counter(str(review.outcome) for review in members).items())),
        )
        for name, members in by_person.items()
    ]
    return sorted(found, key=lambda summary: (-summary.reviews, summary.reviewer))


def agreements(reviews: Sequence[ReviewRecord], said: Mapping[int, LocationLabel]) -> list[Agreement]:
    """Compare the latest reviews of every two annotators of the same image.

    Args:
        reviews: the newest version of every annotation, oldest first.
        said: what reviews said about the location, by review; a rejected proposal says nothing.
    """
    last: dict[int, dict[str, LocationLabel]] = defaultdict(dict)
    for review in reviews:
        if review.id in said and said[review.id].status is not LocationStatus.UNKNOWN:
            last[review.image_id][review.reviewer] = said[review.id]
    pairs: dict[tuple[str, str], list[float | None]] = defaultdict(list)
    agreed: Counter[tuple[str, str]] = Counter()
    for words in last.values():
        for names in combinations(sorted(words), 2):
            first, second = (words[name] for name in names)
            both = bool(first.boxes) and bool(second.boxes)
            iou = boxes_iou(first.boxes, second.boxes) if both else None
            pairs[names].append(iou)
            agreed[names] += first.status is second.status and (iou is None or iou >= AGREED_IOU)
    return [
        Agreement(
            first=names[0],
            second=names[1],
            images=len(ious),
            agreed=agreed[names],
            iou=fmean(known) if (known := [iou for iou in ious if iou is not None]) else None,
        )
        for names, ious in sorted(pairs.items())
    ]


@dataclass(frozen=True, slots=True)
class QueueEntry:
    """A proposal waiting for review."""

    image: int
    path: str
    class_name: str | None
    score: float
    run: str
    nothing: bool = False
    """Whether it proposes that the image is empty."""


@dataclass(frozen=True, slots=True)
class SecondReviews:
    """Images that two annotators are to review."""

    wanted: int
    waiting: list[int]
    """Those that fewer annotators than that have reviewed so far."""


@dataclass(frozen=True, slots=True)
class AttentionChecks:
    """How annotators responded to proposals known to be wrong."""

    planted: int
    answers: int
    missed: int
    reviewers: list[AttentionSummary]


@dataclass(frozen=True, slots=True)
class ReviewSummary:
    """The review queue, and what became of the proposals in it."""

    pending: int
    queue: list[QueueEntry]
    """The pending proposals with the highest scores."""
    outcomes: dict[str, int]
    """Number of proposals by outcome."""
    reviews: int
    minutes: float
    by_score: list[ScoreBin]
    reviewers: list[ReviewerSummary]
    agreement: list[Agreement]
    control: list[Influence]
    second: SecondReviews
    catch: AttentionChecks
    nothing_by_score: list[ScoreBin] = field(default_factory=list)
    """For proposals that an image is empty; `by_score` is for the others."""


def summarize_reviews(registry: Registry, *, limit: int = 10) -> ReviewSummary:
    """Summarize the review queue and all reviews so far.

    Args:
        registry: the registry.
        limit: largest number of queue entries, highest score first.
    """
    with registry.read() as tx:
        counts = tx.status.count().proposals
        pending = tx.proposals.pending(limit=max(limit, 0))
        images = {image.id: image for image in tx.images.select(ids=[proposal.image_id for proposal in pending])}
        reviews = tx.reviews.all()
        said = tx.reviews.statements([item.id for item in reviews])
        held_back = tx.proposals.newest_for(tx.connections.control_images())
        wanted = tx.connections.annotators_wanted()
        planted, answers = tx.attention_checks.count(), tx.attention_checks.reviews()
    people = reviewer_summaries(reviews)
    return ReviewSummary(
        pending=counts["pending"],
        queue=[
            QueueEntry(
                item.image_id,
                str(images[item.image_id].path),
                item.class_name,
                item.score,
                item.run_name,
                item.is_nothing,
            )
            for item in pending
        ],
        outcomes={name: count for name, count in counts.items() if name != "pending"},
        reviews=len(reviews),
        minutes=sum(person.minutes for person in people),
        by_score=score_bins(reviews),
        reviewers=people,
        agreement=agreements(reviews, said),
        control=influences(reviews, said, held_back),
        second=SecondReviews(len(wanted), waiting_for_second(wanted, reviews)),
        catch=AttentionChecks(
            planted, len(answers), sum(item.missed for item in answers), attention_summaries(answers)
        ),
        nothing_by_score=score_bins(reviews, of_nothing=True),
    )
