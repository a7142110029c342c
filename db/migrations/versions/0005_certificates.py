"""Certificates of a threshold, classes that reviewers stated, what a proposal's score is made of, leases of runs.

Revision: 0005_certificates, after 0004_operations.
"""

from typing import Any

import sqlalchemy as sa
from alembic import op

from db.migrations import triggers

revision = "0005_certificates"
down_revision = "0004_operations"
branch_labels = None
depends_on = None

NEW_TABLES = ("class_labels", "certificates")
NEW_COLUMNS: dict[str, tuple[tuple[str, Any], ...]] = {
    "proposals": (
        ("presence", sa.Double()),
        ("known_class_probability", sa.Double()),
        ("certificate_id", sa.Integer()),
    ),
    "proposal_boxes": (("score", sa.Double()),),
    "runs": (("host", sa.Text()), ("pid", sa.Integer()), ("heartbeat_at", sa.DateTime(timezone=True))),
}


def upgrade() -> None:
    _create_certificates()
    _create_class_labels()
    for table, columns in NEW_COLUMNS.items():
        for name, kind in columns:
            op.add_column(table, sa.Column(name, kind, nullable=True))
    postgresql = op.get_bind().dialect.name == "postgresql"
    append_only = triggers.append_only_postgresql if postgresql else triggers.append_only_sqlite
    for table in NEW_TABLES:
        for statement in append_only(table):
            op.execute(statement)


def _create_certificates() -> None:
    op.create_table(
        "certificates",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("run_id", sa.Integer(), nullable=False),
        sa.Column("kind", sa.String(length=8), nullable=False),
        sa.Column("gate", sa.String(length=32), nullable=False),
        sa.Column("tau", sa.Double(), nullable=True),
        sa.Column("precision", sa.Double(), nullable=False),
        sa.Column("confidence", sa.Double(), nullable=False),
        sa.Column("accepted", sa.Integer(), nullable=False),
        sa.Column("errors", sa.Integer(), nullable=False),
        sa.Column("lower_bound", sa.Double(), nullable=True),
        sa.Column("needed", sa.Integer(), nullable=False),
        sa.Column("image_ids", sa.JSON(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("kind IN ('boxes', 'nothing')", name=op.f("ck_certificates_kind")),
        sa.CheckConstraint("errors >= 0 AND errors <= accepted", name=op.f("ck_certificates_errors")),
        sa.CheckConstraint(
            '"precision" > 0 AND "precision" < 1 AND confidence > 0 AND confidence < 1',
            name=op.f("ck_certificates_promise"),
        ),
        sa.ForeignKeyConstraint(["run_id"], ["runs.id"], ondelete="RESTRICT", name=op.f("fk_certificates_run_id_runs")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_certificates")),
    )
    op.create_index("ix_certificates_run_id", "certificates", ["run_id"])


def _create_class_labels() -> None:
    keys = {"image_id": "images", "class_id": "classes", "review_id": "reviews", "run_id": "runs"}
    op.create_table(
        "class_labels",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("image_id", sa.Integer(), nullable=False),
        sa.Column("class_id", sa.Integer(), nullable=False),
        sa.Column("source", sa.String(length=16), nullable=False),
        sa.Column("reviewer", sa.Text(), nullable=False),
        sa.Column("review_id", sa.Integer(), nullable=False),
        sa.Column("run_id", sa.Integer(), nullable=True),
        sa.Column("operation_id", sa.Integer(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("source IN ('accepted', 'chosen', 'withdrawn')", name=op.f("ck_class_labels_source")),
        sa.CheckConstraint("source <> 'accepted' OR run_id IS NOT NULL", name=op.f("ck_class_labels_run")),
        *(
            sa.ForeignKeyConstraint(
                [column], [f"{table}.id"], ondelete="RESTRICT", name=op.f(f"fk_class_labels_{column}_{table}")
            )
            for column, table in keys.items()
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_class_labels")),
    )
    op.create_index("ix_class_labels_image_id", "class_labels", ["image_id"])


def downgrade() -> None:
    for table, columns in NEW_COLUMNS.items():
        for name, _ in columns:
            op.drop_column(table, name)
    for table in NEW_TABLES:
        op.drop_table(table)
