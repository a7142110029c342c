"""The tables that near-duplicates are found by, and the near-duplicates. Private to db."""

from sqlalchemy import CheckConstraint, ForeignKey, LargeBinary
from sqlalchemy.orm import Mapped, mapped_column

from db.tables.base import Base


class Fingerprint(Base):
    """What near-duplicates are found by."""

    __tablename__ = "fingerprints"

    image_id: Mapped[int] = mapped_column(
        ForeignKey("images.id", ondelete="RESTRICT"), primary_key=True, autoincrement=False
    )
    hash: Mapped[bytes] = mapped_column(LargeBinary)
    compared: Mapped[bool] = mapped_column(index=True)
    """Compared with every image registered before it."""


class Thumbnail(Base):
    """32 x 32 grey values of an image, which decide whether two are near-duplicates."""

    __tablename__ = "thumbnails"

    image_id: Mapped[int] = mapped_column(
        ForeignKey("images.id", ondelete="RESTRICT"), primary_key=True, autoincrement=False
    )
    pixels: Mapped[bytes] = mapped_column(LargeBinary)


class NearDuplicate(Base):
    """Two images that show the same."""

    __tablename__ = "near_duplicates"
    __table_args__ = (CheckConstraint("first_id < second_id", name="order"),)

    first_id: Mapped[int] = mapped_column(
        ForeignKey("images.id", ondelete="RESTRICT"), primary_key=True, autoincrement=False
    )
    second_id: Mapped[int] = mapped_column(
        ForeignKey("images.id", ondelete="RESTRICT"), primary_key=True, autoincrement=False, index=True
    )
    correlation: Mapped[float]
