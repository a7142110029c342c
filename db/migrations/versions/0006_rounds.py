"""Queries: which images people were asked about, and why those. Rounds: what each of the loop knew, asked and reached.

Revision: 0006_rounds, after 0005_certificates.
"""

import sqlalchemy as sa
from alembic import op

from db.migrations import triggers

revision = "0006_rounds"
down_revision = "0005_certificates"
branch_labels = None
depends_on = None

NEW_TABLES = ("queries", "query_items", "rounds")


def upgrade() -> None:
    op.create_table(
        "queries",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("run_id", sa.Integer(), nullable=True),
        sa.Column("strategy", sa.String(length=64), nullable=False),
        sa.Column("seed", sa.BigInteger(), nullable=False),
        sa.Column("budget", sa.Integer(), nullable=False),
        sa.Column("options", sa.JSON(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["run_id"], ["runs.id"], ondelete="RESTRICT", name=op.f("fk_queries_run_id_runs")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_queries")),
    )
    op.create_table(
        "query_items",
        sa.Column("query_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("image_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("ordinal", sa.Integer(), nullable=False),
        sa.Column("part", sa.String(length=8), nullable=False),
        sa.Column("score", sa.Double(), nullable=True),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.CheckConstraint("part IN ('confirm', 'draw', 'audit')", name=op.f("ck_query_items_part")),
        sa.ForeignKeyConstraint(
            ["query_id"], ["queries.id"], ondelete="RESTRICT", name=op.f("fk_query_items_query_id_queries")
        ),
        sa.ForeignKeyConstraint(
            ["image_id"], ["images.id"], ondelete="RESTRICT", name=op.f("fk_query_items_image_id_images")
        ),
        sa.PrimaryKeyConstraint("query_id", "image_id", name=op.f("pk_query_items")),
    )
    op.create_index("ix_query_items_image_id", "query_items", ["image_id"])
    op.create_table(
        "rounds",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("run_id", sa.Integer(), nullable=True),
        sa.Column("query_id", sa.Integer(), nullable=True),
        sa.Column("located", sa.Integer(), nullable=False),
        sa.Column("reviews", sa.Integer(), nullable=False),
        sa.Column("minutes", sa.Double(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("located >= 0 AND reviews >= 0", name=op.f("ck_rounds_counts")),
        sa.CheckConstraint("run_id IS NOT NULL OR query_id IS NOT NULL", name=op.f("ck_rounds_did_something")),
        sa.ForeignKeyConstraint(["run_id"], ["runs.id"], ondelete="RESTRICT", name=op.f("fk_rounds_run_id_runs")),
        sa.ForeignKeyConstraint(
            ["query_id"], ["queries.id"], ondelete="RESTRICT", name=op.f("fk_rounds_query_id_queries")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_rounds")),
    )
    postgresql = op.get_bind().dialect.name == "postgresql"
    append_only = triggers.append_only_postgresql if postgresql else triggers.append_only_sqlite
    for table in NEW_TABLES:
        for statement in append_only(table):
            op.execute(statement)


def downgrade() -> None:
    for table in reversed(NEW_TABLES):
        op.drop_table(table)
