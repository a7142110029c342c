"""The tables of everything that passes between the registry and Label Studio, private to db."""

from datetime import datetime
from typing import Any

from sqlalchemy import JSON, CheckConstraint, ForeignKey, Index, String, Text, UniqueConstraint, false
from sqlalchemy.orm import Mapped, mapped_column

from db.tables.base import Base, UtcDateTime, now


class Connection(Base):
    """A Label Studio project that this registry syncs with. No token is ever stored."""

    __tablename__ = "connections"
    __table_args__ = (
        UniqueConstraint("url", "project_id"),
        CheckConstraint("media IN ('local', 'upload')", name="media"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    url: Mapped[str] = mapped_column(Text)
    project_id: Mapped[int]
    media: Mapped[str] = mapped_column(String(16))
    used_at: Mapped[datetime] = mapped_column(UtcDateTime, default=now)


class LabelStudioTask(Base):
    """An image's task in a Label Studio project. An image that is proposed again gets a task of a later round."""

    __tablename__ = "label_studio_tasks"
    __table_args__ = (Index(None, "image_id"),)

    connection_id: Mapped[int] = mapped_column(
        ForeignKey("connections.id", ondelete="RESTRICT"), primary_key=True, autoincrement=False
    )
    task_id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    image_id: Mapped[int] = mapped_column(ForeignKey("images.id", ondelete="RESTRICT"))
    round: Mapped[int] = mapped_column(default=1, server_default="1")
    """Counts the image's tasks in the project; the one of the highest round is the one that people are shown."""
    proposal_id: Mapped[int | None] = mapped_column(ForeignKey("proposals.id", ondelete="RESTRICT"))
    control: Mapped[bool] = mapped_column(default=False, server_default=false())
    """Sent without its proposal on purpose."""
    readers: Mapped[int] = mapped_column(default=1, server_default="1")
    """How many people are to look at it."""
    annotations: Mapped[int | None]
    """Annotations and skips that it had at the last pull; None before the first."""


class Review(Base):
    """What a person said about an image, one row per annotation and version of it."""

    __tablename__ = "reviews"
    __table_args__ = (
        UniqueConstraint("connection_id", "external_id", "external_version"),
        CheckConstraint("outcome IN ('accepted', 'edited', 'rejected', 'drawn', 'empty')", name="outcome"),
        CheckConstraint("iou >= 0 AND iou <= 1", name="iou"),
        CheckConstraint("outcome NOT IN ('accepted', 'edited') OR proposal_id IS NOT NULL", name="proposal"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    connection_id: Mapped[int] = mapped_column(ForeignKey("connections.id", ondelete="RESTRICT"))
    external_id: Mapped[int]
    external_version: Mapped[str] = mapped_column(String(64))
    image_id: Mapped[int] = mapped_column(ForeignKey("images.id", ondelete="RESTRICT"), index=True)
    proposal_id: Mapped[int | None] = mapped_column(ForeignKey("proposals.id", ondelete="RESTRICT"), index=True)
    outcome: Mapped[str] = mapped_column(String(16))
    reviewer: Mapped[str] = mapped_column(Text)
    iou: Mapped[float | None]
    seconds: Mapped[float | None]
    payload: Mapped[dict[str, Any]] = mapped_column(JSON)
    operation_id: Mapped[int | None]
    """The pull that stored it."""
    created_at: Mapped[datetime] = mapped_column(UtcDateTime, default=now)


class Sync(Base):
    """One push or pull: what was asked for, how far it came."""

    __tablename__ = "syncs"
    __table_args__ = (
        CheckConstraint("kind IN ('push', 'pull')", name="kind"),
        CheckConstraint("status IN ('running', 'finished', 'failed', 'replaced')", name="status"),
        Index(None, "connection_id", "kind", "id"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    connection_id: Mapped[int] = mapped_column(ForeignKey("connections.id", ondelete="RESTRICT"))
    kind: Mapped[str] = mapped_column(String(8))
    options: Mapped[dict[str, Any]] = mapped_column(JSON)
    status: Mapped[str] = mapped_column(String(16))
    owner: Mapped[str] = mapped_column(Text)
    """Machine and process that works on it."""
    counts: Mapped[dict[str, Any]] = mapped_column(JSON, default=dict)
    mark: Mapped[dict[str, Any]] = mapped_column(JSON, default=dict)
    """Where the next one can begin: the server's last change and totals at a finished pull."""
    detail: Mapped[str | None] = mapped_column(Text)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime, default=now)
    touched_at: Mapped[datetime] = mapped_column(UtcDateTime, default=now)
    finished_at: Mapped[datetime | None] = mapped_column(UtcDateTime)


class SyncStep(Base):
    """One thing that a push or pull does, written down before it is done."""

    __tablename__ = "sync_steps"
    __table_args__ = (
        CheckConstraint("action IN ('create', 'update', 'gone', 'conflict')", name="action"),
        CheckConstraint("state IN ('planned', 'sent', 'done', 'skipped')", name="state"),
        Index(None, "image_id"),
    )

    sync_id: Mapped[int] = mapped_column(
        ForeignKey("syncs.id", ondelete="RESTRICT"), primary_key=True, autoincrement=False
    )
    ordinal: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    action: Mapped[str] = mapped_column(String(16))
    state: Mapped[str] = mapped_column(String(16))
    image_id: Mapped[int | None] = mapped_column(ForeignKey("images.id", ondelete="RESTRICT"))
    task_id: Mapped[int | None]
    annotation_id: Mapped[int | None]
    proposal_id: Mapped[int | None] = mapped_column(ForeignKey("proposals.id", ondelete="RESTRICT"))
    control: Mapped[bool] = mapped_column(default=False, server_default=false())
    readers: Mapped[int] = mapped_column(default=1, server_default="1")
    round: Mapped[int] = mapped_column(default=1, server_default="1")
    address: Mapped[str | None] = mapped_column(Text)
    """Where the server has the image, so that it is not uploaded twice."""
    detail: Mapped[str | None] = mapped_column(Text)


class AttentionCheck(Base):
    """A proposal that is known to be wrong, shown to see whether people notice. It never becomes a label."""

    __tablename__ = "catch_trials"
    __table_args__ = (UniqueConstraint("connection_id", "image_id"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    connection_id: Mapped[int] = mapped_column(ForeignKey("connections.id", ondelete="RESTRICT"))
    image_id: Mapped[int] = mapped_column(ForeignKey("images.id", ondelete="RESTRICT"), index=True)
    run_id: Mapped[int] = mapped_column(ForeignKey("runs.id", ondelete="RESTRICT"))
    """The run under whose name it is shown."""
    score: Mapped[float]
    boxes: Mapped[list[Any]] = mapped_column(JSON)
    """x, y, width, height in pixels."""
    truth: Mapped[list[Any]] = mapped_column(JSON)
    """Where it really was, as far as was known then."""
    created_at: Mapped[datetime] = mapped_column(UtcDateTime, default=now)


class AttentionResponse(Base):
    """What a person made of a proposal that is known to be wrong, one row per annotation and version of it."""

    __tablename__ = "catch_reviews"
    __table_args__ = (
        UniqueConstraint("trial_id", "external_id", "external_version"),
        CheckConstraint("outcome IN ('missed', 'caught')", name="outcome"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    trial_id: Mapped[int] = mapped_column(ForeignKey("catch_trials.id", ondelete="RESTRICT"))
    external_id: Mapped[int]
    external_version: Mapped[str] = mapped_column(String(64))
    reviewer: Mapped[str] = mapped_column(Text)
    outcome: Mapped[str] = mapped_column(String(16))
    truth_iou: Mapped[float]
    """Of what the person said with where it really is."""
    seconds: Mapped[float | None]
    payload: Mapped[dict[str, Any]] = mapped_column(JSON)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime, default=now)
