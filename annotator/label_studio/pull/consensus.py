"""What holds for an image about which several people have spoken: policies, and their use on the registry.

    latest       the last word, whoever said it (what a pull does without being asked)
    unanimous    the last word if all agree; otherwise the location is not known
    majority     the word that more than half agree with; otherwise the location is not known
    NAME         that reviewer's word; without one the last word

Each person counts once, with their last word. Two words agree if both say that there is nothing, or if their boxes
cover the same place (IoU of at least .5). Every word stays in the history; a decision is one more row after them.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import fmean

from db.errors import InvalidArgument
from db.imaging.geometry import boxes_iou
from db.records import ImageRecord, Location, LocationLabel, LocationSource, LocationStatus, NewLabel, Split
from db.registry import Transaction

LATEST, UNANIMOUS, MAJORITY = "latest", "unanimous", "majority"
AGREED_IOU = 0.5


@dataclass(frozen=True, slots=True)
class Word:
    """One person's last word about an image."""

    reviewer: str
    label: LocationLabel


def check_policy(policy: str, reviewers: Iterable[str]) -> None:
    """Refuse what is neither a policy nor anybody's name.

    Raises:
        InvalidArgument: a typing error would otherwise quietly become "the last word".
    """
    known = sorted(set(reviewers))
    if policy not in (LATEST, UNANIMOUS, MAJORITY) and policy not in known:
        raise InvalidArgument(
            f"--resolve is latest, unanimous, majority or a reviewer's name, got {policy!r}; "
            f"reviewers known here: {', '.join(known) or 'none'}"
        )


def agree(first: LocationLabel, second: LocationLabel) -> bool:
    """Say whether two statements mean the same."""
    if first.status is not second.status:
        return False
    return not first.boxes or boxes_iou(first.boxes, second.boxes) >= AGREED_IOU


def resolve(words: Sequence[Word], policy: str) -> Word | None:
    """Decide between words, oldest first.

    Returns:
        The word that holds, None where the policy finds none.
    """
    if not words:
        return None
    if policy == UNANIMOUS:
        same = all(agree(word.label, words[-1].label) for word in words)
        return words[-1] if same else None
    if policy == MAJORITY:
        return _majority(words)
    named = [word for word in words if word.reviewer == policy]
    return named[-1] if named and policy != LATEST else words[-1]


def _majority(words: Sequence[Word]) -> Word | None:
    best: tuple[int, float, int] | None = None
    for place, word in enumerate(words):
        friends = [other for other in words if agree(word.label, other.label)]
        # Of several with as many friends the one in their middle, then the later one.
        closeness = fmean(
            boxes_iou(word.label.boxes, other.label.boxes) if word.label.boxes else 1.0 for other in friends
        )
        candidate = (len(friends), closeness, place)
        best = max(best, candidate) if best is not None else candidate
    return words[best[2]] if best is not None and best[0] * 2 > len(words) else None


def settle_images(tx: Transaction, image_ids: Iterable[int], policy: str, *, change_test: bool = False) -> list[int]:
    """Let a policy decide on images about which several people have spoken.

    Args:
        tx: a writing transaction.
        image_ids: images with a new word.
        policy: see above.
        change_test: decide on test images too.

    Returns:
        The images on which the policy finds no word that holds; their location is not known until it does.
    """
    if policy == LATEST:
        return []
    contested: list[int] = []
    decisions: list[NewLabel] = []
    words_of = _words(tx, image_ids)
    for image in tx.images.select(ids=words_of):
        words = words_of[image.id]
        if len(words) < 2 or (image.split is Split.TEST and not change_test):
            continue
        winner = resolve(words, policy)
        if winner is None:
            contested.append(image.id)
        decision = _decision(image, words, winner, policy)
        if decision is not None:
            decisions.append(decision)
    tx.labels.append_many(decisions)
    return contested


def _words(tx: Transaction, image_ids: Iterable[int]) -> dict[int, list[Word]]:
    wanted = set(image_ids)
    reviews = [review for review in tx.reviews.all() if review.image_id in wanted]
    said = tx.reviews.statements([review.id for review in reviews])
    standing = tx.retractions.standing([label.id for label in said.values()])
    last: dict[int, dict[str, Word]] = defaultdict(dict)
    for review in reviews:
        label = said.get(review.id)
        if label is not None and label.id in standing and label.status is not LocationStatus.UNKNOWN:
            # Taken out first, so that words stay in the order in which they were said last.
            last[review.image_id].pop(review.reviewer, None)
            last[review.image_id][review.reviewer] = Word(review.reviewer, label)
    return {image_id: list(words.values()) for image_id, words in last.items()}


def _decision(image: ImageRecord, words: Sequence[Word], winner: Word | None, policy: str) -> NewLabel | None:
    current = image.label.statement_id if image.label is not None else None
    origin = f"{policy} of {len(words)} reviewers"
    if winner is None:
        if current not in {word.label.id for word in words}:
            return None
        return NewLabel(
            image.id,
            Location(LocationStatus.UNKNOWN),
            LocationSource.WITHDRAWN,
            review_id=words[-1].label.review_id,
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
