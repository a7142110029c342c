"""Trainings, what was certified about them, and the locations that they propose."""

from datetime import datetime
from typing import Any

from sqlalchemy import JSON, CheckConstraint, ForeignKey, String, Text, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from db.tables.base import Base, UtcDateTime, now


class Run(Base):
    """One training, the data it saw and what came out."""

    __tablename__ = "runs"
    __table_args__ = (CheckConstraint("status IN ('running', 'finished', 'failed')", name="status"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    preset: Mapped[str] = mapped_column(String(64))
    status: Mapped[str] = mapped_column(String(16))
    config: Mapped[dict[str, Any]] = mapped_column(JSON)
    snapshot: Mapped[str] = mapped_column(String(80))
    checkpoint: Mapped[str | None] = mapped_column(Text)
    metrics: Mapped[dict[str, Any]] = mapped_column(JSON, default=dict)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime, default=now)
    finished_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    host: Mapped[str | None] = mapped_column(Text)
    """Machine on which it is being trained, while it is."""
    pid: Mapped[int | None]
    """Process there."""
    heartbeat_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    """When that process last said that it lives."""


class Certificate(Base):
    """A promise about a run's proposals: above tau, at least this share is right. Without tau nothing was certified."""

    __tablename__ = "certificates"
    __table_args__ = (
        CheckConstraint("kind IN ('boxes', 'nothing')", name="kind"),
        CheckConstraint("errors >= 0 AND errors <= accepted", name="errors"),
        CheckConstraint(
            '"precision" > 0 AND "precision" < 1 AND confidence > 0 AND confidence < 1',
            name="promise",
        ),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    run_id: Mapped[int] = mapped_column(ForeignKey("runs.id", ondelete="RESTRICT"), index=True)
    kind: Mapped[str] = mapped_column(String(8))
    """About proposed boxes, or about images where nothing is to be found."""
    gate: Mapped[str] = mapped_column(String(32))
    tau: Mapped[float | None]
    precision: Mapped[float]
    confidence: Mapped[float]
    accepted: Mapped[int]
    """Calibration images above tau; where nothing was certified, all that there were."""
    errors: Mapped[int]
    """Those of them that were wrong."""
    lower_bound: Mapped[float | None]
    """Of the precision, at this confidence."""
    needed: Mapped[int]
    """Further reviewed images that it takes at least, where nothing was certified."""
    image_ids: Mapped[list[int]] = mapped_column(JSON)
    """The calibration images."""
    created_at: Mapped[datetime] = mapped_column(UtcDateTime, default=now)


class Proposal(Base):
    """What a run suggests for an image: a location, or without boxes that there is nothing to find.

    It never becomes a label without a review.
    """

    __tablename__ = "proposals"
    __table_args__ = (
        UniqueConstraint("run_id", "image_id"),
        CheckConstraint("score >= 0 AND score <= 1", name="score"),
        CheckConstraint("class_probability >= 0 AND class_probability <= 1", name="class_probability"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    image_id: Mapped[int] = mapped_column(ForeignKey("images.id", ondelete="RESTRICT"), index=True)
    run_id: Mapped[int] = mapped_column(ForeignKey("runs.id", ondelete="RESTRICT"))
    class_id: Mapped[int] = mapped_column(ForeignKey("classes.id", ondelete="RESTRICT"))
    class_probability: Mapped[float]
    """Of the class that the run predicts."""
    known_class_probability: Mapped[float | None]
    """Of the class that the image is known to have."""
    presence: Mapped[float | None]
    """Probability that there is something to find."""
    score: Mapped[float] = mapped_column(index=True)
    tau: Mapped[float]
    gate: Mapped[str] = mapped_column(String(32))
    certificate_id: Mapped[int | None]
    """The certificate under which it was made, where tau was certified."""
    created_at: Mapped[datetime] = mapped_column(UtcDateTime, default=now)


class ProposalBox(Base):
    """One box of a proposal."""

    __tablename__ = "proposal_boxes"
    __table_args__ = (CheckConstraint("width > 0 AND height > 0", name="size"),)

    proposal_id: Mapped[int] = mapped_column(
        ForeignKey("proposals.id", ondelete="RESTRICT"), primary_key=True, autoincrement=False
    )
    ordinal: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    x: Mapped[float]
    y: Mapped[float]
    width: Mapped[float]
    height: Mapped[float]
    score: Mapped[float | None]
    """Mean lesion probability in the box's part of the mask times the agreement of views there."""
