"""Which images a filter lists, a page at a time: found by the number after which a page begins, never by counting."""

import re

from sqlalchemy import ColumnElement, exists, false, func, or_, select
from sqlalchemy.orm import Session

from db.queries.images import image_conditions
from db.queries.status import is_pending
from db.records import Split
from db.records.images import ImageFilter
from db.tables import Image, ImageClass, NearDuplicate, Proposal
from db.tables import LocationLabel as LabelRow


class ListingQueries:
    """Images by what is known of them."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def page(self, wanted: ImageFilter, *, after: int = 0, limit: int) -> list[int]:
        """Return the numbers of the first images after this one, ascending; the filter's own limit is not looked at."""
        statement = select(Image.id).where(*_conditions(wanted), Image.id > after).order_by(Image.id)
        return list(self._session.scalars(statement.limit(limit)))

    def page_before(self, wanted: ImageFilter, *, before: int, limit: int) -> list[int]:
        """Return the numbers of the last images before this one, ascending."""
        statement = select(Image.id).where(*_conditions(wanted), Image.id < before).order_by(Image.id.desc())
        return list(self._session.scalars(statement.limit(limit)))[::-1]

    def count(self, wanted: ImageFilter) -> int:
        """Count the images that a filter lists, whatever its own limit."""
        counted = select(func.count()).select_from(Image).where(*_conditions(wanted))
        return self._session.scalar(counted) or 0

    def reviewers(self) -> list[str]:
        """Return everybody who ever said where something is, in alphabetical order."""
        named = select(LabelRow.reviewer).where(LabelRow.reviewer.is_not(None)).distinct()
        return sorted(name for name in self._session.scalars(named) if name)


def _conditions(wanted: ImageFilter) -> list[ColumnElement[bool]]:
    splits = None if wanted.split is None else (None if wanted.split == "none" else Split(wanted.split),)
    found = image_conditions(splits, wanted.supervision, wanted.located)
    if wanted.class_name == "":
        found.append(Image.class_id.is_(None))
    elif wanted.class_name is not None:
        named = select(ImageClass.id).where(ImageClass.name == wanted.class_name)
        found.append(Image.class_id == named.scalar_subquery())
    if wanted.name:
        found.append(Image.uri.icontains(wanted.name, autoescape=True))
    if wanted.reviewer is not None:
        found.append(Image.label_id.in_(select(LabelRow.id).where(LabelRow.reviewer == wanted.reviewer)))
    if wanted.look_alikes:
        found.append(_has_look_alike())
    if wanted.asks_for_proposal:
        found.append(_has_proposal(wanted))
    if wanted.proposed is False:
        found.append(~exists().where(Proposal.image_id == Image.id, is_pending()))
    return found


def _has_proposal(wanted: ImageFilter) -> ColumnElement[bool]:
    asked = [Proposal.image_id == Image.id, is_pending()]
    if wanted.run is not None:
        # Runs are known by their public names alone.
        number = re.fullmatch(r"run-(\d{1,9})", wanted.run)
        asked.append(Proposal.run_id == int(number[1]) if number else false())
    if wanted.min_score is not None:
        asked.append(Proposal.score >= wanted.min_score)
    if wanted.max_score is not None:
        asked.append(Proposal.score <= wanted.max_score)
    return exists().where(*asked)


def _has_look_alike() -> ColumnElement[bool]:
    removed = select(Image.id).where(Image.removed.is_(True)).scalar_subquery()
    both = NearDuplicate.first_id.not_in(removed) & NearDuplicate.second_id.not_in(removed)
    return or_(
        Image.id.in_(select(NearDuplicate.first_id).where(both)),
        Image.id.in_(select(NearDuplicate.second_id).where(both)),
    )
