"""A journal of pushes and pulls, second readers, and proposals that are known to be wrong.

Revision: 0003_sync, after 0002_history.
"""

import sqlalchemy as sa
from alembic import op

from db.migrations import triggers

revision = "0003_sync"
down_revision = "0002_history"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("label_studio_tasks", sa.Column("readers", sa.Integer(), server_default="1", nullable=False))
    op.add_column("label_studio_tasks", sa.Column("annotations", sa.Integer(), nullable=True))
    _create_journal()
    _create_trials()
    postgresql = op.get_bind().dialect.name == "postgresql"
    append_only = triggers.append_only_postgresql if postgresql else triggers.append_only_sqlite
    for table in triggers.APPEND_ONLY_0003:
        for statement in append_only(table):
            op.execute(statement)


def _create_journal() -> None:
    op.create_table(
        "syncs",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("connection_id", sa.Integer(), nullable=False),
        sa.Column("kind", sa.String(length=8), nullable=False),
        sa.Column("options", sa.JSON(), nullable=False),
        sa.Column("status", sa.String(length=16), nullable=False),
        sa.Column("owner", sa.Text(), nullable=False),
        sa.Column("counts", sa.JSON(), nullable=False),
        sa.Column("mark", sa.JSON(), nullable=False),
        sa.Column("detail", sa.Text(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("touched_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint("kind IN ('push', 'pull')", name=op.f("ck_syncs_kind")),
        sa.CheckConstraint("status IN ('running', 'finished', 'failed', 'replaced')", name=op.f("ck_syncs_status")),
        sa.ForeignKeyConstraint(
            ["connection_id"], ["connections.id"], ondelete="RESTRICT", name=op.f("fk_syncs_connection_id_connections")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_syncs")),
    )
    op.create_index("ix_syncs_connection_id_kind_id", "syncs", ["connection_id", "kind", "id"])
    op.create_table(
        "sync_steps",
        sa.Column("sync_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("ordinal", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("action", sa.String(length=16), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("image_id", sa.Integer(), nullable=True),
        sa.Column("task_id", sa.Integer(), nullable=True),
        sa.Column("annotation_id", sa.Integer(), nullable=True),
        sa.Column("proposal_id", sa.Integer(), nullable=True),
        sa.Column("control", sa.Boolean(), server_default=sa.false(), nullable=False),
        sa.Column("readers", sa.Integer(), server_default="1", nullable=False),
        sa.Column("address", sa.Text(), nullable=True),
        sa.Column("detail", sa.Text(), nullable=True),
        sa.CheckConstraint("action IN ('create', 'update', 'gone', 'conflict')", name=op.f("ck_sync_steps_action")),
        sa.CheckConstraint("state IN ('planned', 'sent', 'done', 'skipped')", name=op.f("ck_sync_steps_state")),
        sa.ForeignKeyConstraint(
            ["sync_id"], ["syncs.id"], ondelete="RESTRICT", name=op.f("fk_sync_steps_sync_id_syncs")
        ),
        sa.ForeignKeyConstraint(
            ["image_id"], ["images.id"], ondelete="RESTRICT", name=op.f("fk_sync_steps_image_id_images")
        ),
        sa.ForeignKeyConstraint(
            ["proposal_id"], ["proposals.id"], ondelete="RESTRICT", name=op.f("fk_sync_steps_proposal_id_proposals")
        ),
        sa.PrimaryKeyConstraint("sync_id", "ordinal", name=op.f("pk_sync_steps")),
    )
    op.create_index("ix_sync_steps_image_id", "sync_steps", ["image_id"])


def _create_trials() -> None:
    op.create_table(
        "catch_trials",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("connection_id", sa.Integer(), nullable=False),
        sa.Column("image_id", sa.Integer(), nullable=False),
        sa.Column("run_id", sa.Integer(), nullable=False),
        sa.Column("score", sa.Double(), nullable=False),
        sa.Column("boxes", sa.JSON(), nullable=False),
        sa.Column("truth", sa.JSON(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["connection_id"],
            ["connections.id"],
            ondelete="RESTRICT",
            name=op.f("fk_catch_trials_connection_id_connections"),
        ),
        sa.ForeignKeyConstraint(
            ["image_id"], ["images.id"], ondelete="RESTRICT", name=op.f("fk_catch_trials_image_id_images")
        ),
        sa.ForeignKeyConstraint(["run_id"], ["runs.id"], ondelete="RESTRICT", name=op.f("fk_catch_trials_run_id_runs")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_catch_trials")),
        sa.UniqueConstraint("connection_id", "image_id", name=op.f("uq_catch_trials_connection_id_image_id")),
    )
    op.create_index("ix_catch_trials_image_id", "catch_trials", ["image_id"])
    op.create_table(
        "catch_reviews",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("trial_id", sa.Integer(), nullable=False),
        sa.Column("external_id", sa.Integer(), nullable=False),
        sa.Column("external_version", sa.String(length=64), nullable=False),
        sa.Column("reviewer", sa.Text(), nullable=False),
        sa.Column("outcome", sa.String(length=16), nullable=False),
        sa.Column("truth_iou", sa.Double(), nullable=False),
        sa.Column("seconds", sa.Double(), nullable=True),
        sa.Column("payload", sa.JSON(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("outcome IN ('missed', 'caught')", name=op.f("ck_catch_reviews_outcome")),
        sa.ForeignKeyConstraint(
            ["trial_id"], ["catch_trials.id"], ondelete="RESTRICT", name=op.f("fk_catch_reviews_trial_id_catch_trials")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_catch_reviews")),
        sa.UniqueConstraint(
            "trial_id",
            "external_id",
            "external_version",
            name=op.f("uq_catch_reviews_trial_id_external_id_external_version"),
        ),
    )


def downgrade() -> None:
    for table in ("catch_reviews", "catch_trials", "sync_steps", "syncs"):
        op.drop_table(table)
    op.drop_column("label_studio_tasks", "annotations")
    op.drop_column("label_studio_tasks", "readers")
