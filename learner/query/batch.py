"""A batch of questions in three parts: sure proposals to confirm, images to draw on, and a random audit. Pure.

The audit is chosen first and from everything, so that it stays a random sample whatever the other two take. No two
images of a batch are of one group: a second frame of a video, or a near-duplicate, would say the same once more.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields

from db.errors import InvalidArgument
from db.records.asked import Part, Question
from learner.query.pool import Choice


@dataclass(frozen=True, slots=True)
class Shares:
    """What a batch is made of; the shares are in proportion, they need not add up to 1."""

    confirm: float = 0.6
    draw: float = 0.3
    audit: float = 0.1

    def __post_init__(self) -> None:
        for field in fields(self):
            share = getattr(self, field.name)
            if not 0 <= share <= 1:
                raise InvalidArgument(f"--{field.name}-share must be between 0 and 1, got {share:g}")
        if not self.confirm + self.draw + self.audit:
            raise InvalidArgument("one of --confirm-share, --draw-share and --audit-share must be above 0")

    @classmethod
    def parse(cls, text: str | None) -> "Shares":
        """Read shares as `--query-shares` takes them, such as 0.6/0.3/0.1; None for the usual ones.

        Raises:
            InvalidArgument: that is no three shares.
        """
        if text is None:
            return cls()
        try:
            confirm, draw, audit = map(float, text.split("/"))
        except ValueError:
            raise InvalidArgument(
                f"--query-shares takes the shares to confirm, to draw and to audit, such as 0.6/0.3/0.1; got {text!r}"
            ) from None
        return cls(confirm, draw, audit)


@dataclass(frozen=True, slots=True)
class Offer:
    """Images that a part can be filled with, in the order in which they are taken."""

    part: Part
    questions: Sequence[Question]


def quotas(budget: int, shares: Shares, offered: Mapping[Part, int]) -> dict[Part, int]:
    """Divide a budget; what a part has no images for goes to drawing, then to confirming, then to the audit.

    Args:
        budget: images in all.
        shares: of each part.
        offered: images that there are for each part.

    Returns:
        Images of each part, of which there are enough; together the budget where there are as many.
    """
    weights = {part: getattr(shares, part.value) for part in Part}
    exact = {part: budget * weight / sum(weights.values()) for part, weight in weights.items()}
    wanted = {part: int(number) for part, number in exact.items()}
    by_rest = sorted(Part, key=lambda part: (wanted[part] - exact[part], list(Part).index(part)))
    for part in by_rest[: budget - sum(wanted.values())]:
        wanted[part] += 1
    taken = {part: min(wanted[part], offered.get(part, 0)) for part in Part}
    for part in (Part.DRAW, Part.CONFIRM, Part.AUDIT):
        if weights[part]:
            taken[part] += min(budget - sum(taken.values()), offered.get(part, 0) - taken[part])
    return taken


def make_batch(offers: Sequence[Offer], groups: Mapping[int, str], budget: int, shares: Shares) -> list[Question]:
    """Fill a batch from what is offered for each part, one image a group.

    Args:
        offers: one a part; what none is made for stays empty.
        groups: the group of every image.
        budget: images in all.
        shares: of each part.

    Returns:
        At most `budget` questions: those to confirm, those to draw, the audit, each in the order of its offer.
    """
    by_part = {offer.part: list(offer.questions) for offer in offers}
    taken: dict[Part, list[Question]] = {part: [] for part in Part}
    used: set[str] = set()

    def fill(part: Part, count: int) -> None:
        for question in _of_new_groups(by_part.get(part, []), groups, used):
            if len(taken[part]) >= count:
                break
            used.add(groups[question.image])
            taken[part].append(question)

    # How many groups each part offers on its own; what another part takes of them is made up for below.
    offered = {part: len({groups[item.image] for item in items}) for part, items in by_part.items()}
    wanted = quotas(budget, shares, offered)
    for part in (Part.AUDIT, Part.CONFIRM, Part.DRAW):
        fill(part, wanted[part])
    for part in (Part.DRAW, Part.CONFIRM, Part.AUDIT):
        missing = budget - sum(len(questions) for questions in taken.values())
        if missing and getattr(shares, part.value):
            fill(part, len(taken[part]) + missing)
    return [question for part in Part for question in taken[part]]


def _of_new_groups(questions: Sequence[Question], groups: Mapping[int, str], used: set[str]) -> Iterator[Question]:
    return (question for question in questions if groups[question.image] not in used)


def draw_questions(choices: Sequence[Choice], images: Sequence[int]) -> list[Question]:
    """Turn a strategy's choices into questions.

    Args:
        choices: in its order; positions among `images`.
        images: the candidates' numbers.
    """
    return [Question(images[choice.position], Part.DRAW, choice.score, choice.reason) for choice in choices]
