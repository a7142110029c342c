"""Which review holds for an image with several annotators: policies, and their use on the registry.

    latest       the latest review, whoever made it (the default of a pull)
    unanimous    the latest review if all agree; otherwise the location is unknown
    majority     the review that more than half agree with; otherwise the location is unknown
    NAME         that reviewer's review; without one, the latest

Each reviewer counts once, with their latest review. Two reviews agree if both are "no lesion", or if their boxes cover
the same place (IoU of at least .5). Every review stays in the history; a decision is one more revision after them.

A class has no middle ground, and a wrong one teaches a model more wrong things than a wrong box: with `latest`, too, it
is stored only where all who stated one agree.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from statistics import fmean

from db.errors import InvalidArgument
from db.history.classes import Decide
from db.imaging.geometry import boxes_iou
from db.records import ImageRecord, Location, LocationLabel, LocationSource, LocationStatus, NewLabel, Split
from db.records.class_labels import ClassLabelRecord
from db.registry import Transaction

LATEST, UNANIMOUS, MAJORITY = "latest", "unanimous", "majority"
AGREED_IOU = 0.5


@dataclass(frozen=True, slots=True)
class Opinion:
    """One reviewer's latest review of an image."""

    reviewer: str
    label: LocationLabel


def check_policy(policy: str, reviewers: Iterable[str]) -> None:
    """Refuse what is neither a policy nor anybody's name.

    Raises:
        InvalidArgument: a typing error would otherwise silently mean `latest`.
    """
    known = sorted(set(reviewers))
    if policy not in (LATEST, UNANIMOUS, MAJORITY) and policy not in known:
        raise InvalidArgument(
            f"--resolve must be latest, unanimous, majority or a reviewer's name, got {policy!r}; "
            f"reviewers known here: {', '.join(known) or 'none'}"
        )


def agree(first: LocationLabel, second: LocationLabel) -> bool:
    """Say whether two reviews agree."""
    if first.status is not second.status:
        return False
    return not first.boxes or boxes_iou(first.boxes, second.boxes) >= AGREED_IOU


def resolve(opinions: Sequence[Opinion], policy: str) -> Opinion | None:
    """Decide between reviews, oldest first.

    Returns:
        The review that holds, None where the policy finds none.
    """
    if not opinions:
        return None
    if policy == UNANIMOUS:
        same = all(agree(opinion.label, opinions[-1].label) for opinion in opinions)
        return opinions[-1] if same else None
    if policy == MAJORITY:
        return _majority(opinions)
    named = [opinion for opinion in opinions if opinion.reviewer == policy]
    return named[-1] if named and policy != LATEST else opinions[-1]


def _majority(opinions: Sequence[Opinion]) -> Opinion | None:
    best: tuple[int, float, int] | None = None
    for place, opinion in enumerate(opinions):
        friends = [other for other in opinions if agree(opinion.label, other.label)]
        # With equally many agreeing reviews, the most central one, then the later one.
        closeness = fmean(
            boxes_iou(opinion.label.boxes, other.label.boxes) if opinion.label.boxes else 1.0 for other in friends
        )
        candidate = (len(friends), closeness, place)
        best = max(best, candidate) if best is not None else candidate
    return opinions[best[2]] if best is not None and best[0] * 2 > len(opinions) else None


def settle_images(
    tx: Transaction,
    image_ids: Iterable[int],
    policy: str,
    *,
    change_test: bool = False,
    operation_id: int | None = None,
) -> list[int]:
    """Apply a policy to images with several reviewers.

    Args:
        tx: a writing transaction.
        image_ids: images with a new review.
        policy: see above.
        change_test: apply it to test images too.
        operation_id: the pull that decides.

    Returns:
        The images for which no review holds; their location is unknown until one does.
    """
    if policy == LATEST:
        return []
    contested: list[int] = []
    decisions: list[NewLabel] = []
    opinions_of = _opinions(tx, image_ids)
    for image in tx.images.select(ids=opinions_of):
        opinions = opinions_of[image.id]
        if len(opinions) < 2 or (image.split is Split.TEST and not change_test):
            continue
        winner = resolve(opinions, policy)
        if winner is None:
            contested.append(image.id)
        decision = _decision(image, opinions, winner, policy)
        if decision is not None:
            decisions.append(replace(decision, operation_id=operation_id))
    tx.labels.append_many(decisions)
    return contested


def class_policy(policy: str) -> Decide:
    """Return how a policy decides between classes that reviewers stated."""

    def decide(opinions: Sequence[ClassLabelRecord]) -> str | None:
        named = [opinion for opinion in opinions if opinion.reviewer == policy]
        if named and policy not in (LATEST, UNANIMOUS, MAJORITY):
            return named[-1].class_name
        (name, votes), *_ = Counter(opinion.class_name for opinion in opinions).most_common()
        return name if votes == len(opinions) or (policy == MAJORITY and votes * 2 > len(opinions)) else None

    return decide


def _opinions(tx: Transaction, image_ids: Iterable[int]) -> dict[int, list[Opinion]]:
    wanted = set(image_ids)
    reviews = [review for review in tx.reviews.all() if review.image_id in wanted]
    said = tx.reviews.statements([review.id for review in reviews])
    standing = tx.retractions.standing([label.id for label in said.values()])
    last: dict[int, dict[str, Opinion]] = defaultdict(dict)
    for review in reviews:
        label = said.get(review.id)
        if label is not None and label.id in standing and label.status is not LocationStatus.UNKNOWN:
            # Taken out first, so that opinions stay in the order of their latest review.
            last[review.image_id].pop(review.reviewer, None)
            last[review.image_id][review.reviewer] = Opinion(review.reviewer, label)
    return {image_id: list(opinions.values()) for image_id, opinions in last.items()}


def _decision(image: ImageRecord, opinions: Sequence[Opinion], winner: Opinion | None, policy: str) -> NewLabel | None:
    current = image.label.statement_id if image.label is not None else None
    origin = f"{policy} of {len(opinions)} reviewers"
    if winner is None:
        if current not in {opinion.label.id for opinion in opinions}:
            return None
        return NewLabel(
            image.id,
            Location(LocationStatus.UNKNOWN),
            LocationSource.WITHDRAWN,
            review_id=opinions[-1].label.review_id,
            on_test=True,
            origin=f"contested: no {origin}",
        )
    if current == winner.label.id:
        return None
    return NewLabel(
        image.id,
        Location(winner.label.status, winner.label.boxes),
        winner.label.source,
        reviewer=winner.reviewer,
        review_id=winner.label.review_id,
        run_id=winner.label.run_id,
        on_test=True,
        origin=origin,
        restores_id=winner.label.id,
    )
