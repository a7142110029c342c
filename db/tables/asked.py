"""Queries: batches of images that people were asked about. Rounds of the loop, which make them."""

from datetime import datetime
from typing import Any

from sqlalchemy import JSON, BigInteger, CheckConstraint, ForeignKey, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from db.tables.base import Base, UtcDateTime, now


class Query(Base):
    """One batch of questions, and how it was chosen."""

    __tablename__ = "queries"

    id: Mapped[int] = mapped_column(primary_key=True)
    run_id: Mapped[int | None] = mapped_column(ForeignKey("runs.id", ondelete="RESTRICT"))
    """The run whose model scored the images."""
    strategy: Mapped[str] = mapped_column(String(64))
    seed: Mapped[int] = mapped_column(BigInteger)
    budget: Mapped[int]
    options: Mapped[dict[str, Any]] = mapped_column(JSON)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime, default=now)


class QueryItem(Base):
    """One image of a query."""

    __tablename__ = "query_items"
    __table_args__ = (CheckConstraint("part IN ('confirm', 'draw', 'audit')", name="part"),)

    query_id: Mapped[int] = mapped_column(
        ForeignKey("queries.id", ondelete="RESTRICT"), primary_key=True, autoincrement=False
    )
    image_id: Mapped[int] = mapped_column(
        ForeignKey("images.id", ondelete="RESTRICT"), primary_key=True, autoincrement=False, index=True
    )
    ordinal: Mapped[int]
    part: Mapped[str] = mapped_column(String(8))
    score: Mapped[float | None]
    reason: Mapped[str] = mapped_column(Text)


class Round(Base):
    """One round of the loop: what was known when it was trained, and what it asked."""

    __tablename__ = "rounds"
    __table_args__ = (
        CheckConstraint("located >= 0 AND reviews >= 0", name="counts"),
        CheckConstraint("run_id IS NOT NULL OR query_id IS NOT NULL", name="did_something"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    run_id: Mapped[int | None] = mapped_column(ForeignKey("runs.id", ondelete="RESTRICT"))
    """The run that it trained; none where no location was known yet."""
    query_id: Mapped[int | None] = mapped_column(ForeignKey("queries.id", ondelete="RESTRICT"))
    located: Mapped[int]
    """Images outside test and validation whose location was known."""
    reviews: Mapped[int]
    """Reviews since the round before."""
    minutes: Mapped[float | None]
    """That these took, as far as it is known."""
    created_at: Mapped[datetime] = mapped_column(UtcDateTime, default=now)
