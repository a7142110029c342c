"""Operations that can be undone, removed images, rounds of tasks, and the registry's identity.

Revision: 0004_operations, after 0003_sync.
"""

from typing import Any

import sqlalchemy as sa
from alembic import op

from db.migrations import triggers

revision = "0004_operations"
down_revision = "0003_sync"
branch_labels = None
depends_on = None

TASK_COLUMNS = "connection_id, image_id, task_id, proposal_id, control, readers, annotations"


def upgrade() -> None:
    _create_tables()
    for table in ("images", "image_versions"):
        op.add_column(table, sa.Column("removed", sa.Boolean(), server_default=sa.false(), nullable=False))
    for table in ("images", "image_versions", "location_labels"):
        op.add_column(table, sa.Column("operation_id", sa.Integer(), nullable=True))
    _widen_reviews()
    op.add_column("sync_steps", sa.Column("round", sa.Integer(), server_default="1", nullable=False))
    op.drop_index("ix_images_split_class_id_location_status", "images")
    op.create_index(
        "ix_images_split_class_id_location_status_removed",
        "images",
        ["split", "class_id", "location_status", "removed"],
    )
    with_rounds = (*_task_columns(), sa.Column("round", sa.Integer(), server_default="1", nullable=False))
    _rebuild_tasks(*with_rounds, sa.PrimaryKeyConstraint("connection_id", "task_id", name="pk_label_studio_tasks"))
    op.create_index("ix_label_studio_tasks_image_id", "label_studio_tasks", ["image_id"])
    postgresql = op.get_bind().dialect.name == "postgresql"
    for statement in triggers.postgresql_0004() if postgresql else triggers.sqlite_0004():
        op.execute(sa.text(statement.replace(":", r"\:")))


def _widen_reviews() -> None:
    """Let a review reject without a proposal ("cannot tell", "wrong class"), and say which pull stored it."""
    with op.batch_alter_table("reviews", copy_from=_reviews_table()) as batch:
        batch.add_column(sa.Column("operation_id", sa.Integer(), nullable=True))
        batch.drop_constraint(op.f("ck_reviews_proposal"), type_="check")
        batch.create_check_constraint(
            op.f("ck_reviews_proposal"), "outcome NOT IN ('accepted', 'edited') OR proposal_id IS NOT NULL"
        )
    if op.get_bind().dialect.name != "postgresql":
        # Rebuilding the table has dropped its triggers.
        for statement in triggers.append_only_sqlite("reviews"):
            op.execute(statement)


def _reviews_table() -> sa.Table:
    """Describe the table in full: SQLite rebuilds it, and versions of Alembic differ in what they read back."""
    keys = {"connection_id": "connections", "image_id": "images", "proposal_id": "proposals"}
    checks = {
        "outcome": "outcome IN ('accepted', 'edited', 'rejected', 'drawn', 'empty')",
        "proposal": "outcome NOT IN ('accepted', 'edited', 'rejected') OR proposal_id IS NOT NULL",
        "iou": "iou >= 0 AND iou <= 1",
    }
    return sa.Table(
        "reviews",
        sa.MetaData(),
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("connection_id", sa.Integer(), nullable=False),
        sa.Column("external_id", sa.Integer(), nullable=False),
        sa.Column("external_version", sa.String(length=64), nullable=False),
        sa.Column("image_id", sa.Integer(), nullable=False),
        sa.Column("proposal_id", sa.Integer(), nullable=True),
        sa.Column("outcome", sa.String(length=16), nullable=False),
        sa.Column("reviewer", sa.Text(), nullable=False),
        sa.Column("iou", sa.Double(), nullable=True),
        sa.Column("seconds", sa.Double(), nullable=True),
        sa.Column("payload", sa.JSON(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        *(sa.CheckConstraint(text, name=op.f(f"ck_reviews_{name}")) for name, text in checks.items()),
        *(
            sa.ForeignKeyConstraint(
                [column], [f"{table}.id"], name=op.f(f"fk_reviews_{column}_{table}"), ondelete="RESTRICT"
            )
            for column, table in keys.items()
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_reviews")),
        sa.UniqueConstraint(
            "connection_id",
            "external_id",
            "external_version",
            name=op.f("uq_reviews_connection_id_external_id_external_version"),
        ),
        sa.Index("ix_reviews_image_id", "image_id"),
        sa.Index("ix_reviews_proposal_id", "proposal_id"),
    )


def _create_tables() -> None:
    op.create_table(
        "operations",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("kind", sa.String(length=8), nullable=False),
        sa.Column("detail", sa.Text(), nullable=False),
        sa.Column("author", sa.Text(), nullable=False),
        sa.Column("undoes_id", sa.Integer(), nullable=True),
        sa.Column("retraction_id", sa.Integer(), nullable=True),
        sa.Column("undone", sa.Boolean(), server_default=sa.false(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint(
            "kind IN ('import', 'pull', 'split', 'remove', 'set', 'undo')", name=op.f("ck_operations_kind")
        ),
        sa.ForeignKeyConstraint(
            ["undoes_id"], ["operations.id"], ondelete="RESTRICT", name=op.f("fk_operations_undoes_id_operations")
        ),
        sa.ForeignKeyConstraint(
            ["retraction_id"],
            ["retractions.id"],
            ondelete="RESTRICT",
            name=op.f("fk_operations_retraction_id_retractions"),
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_operations")),
    )
    op.create_table(
        "registry_identity",
        sa.Column("one", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("identity", sa.String(length=36), nullable=False),
        sa.CheckConstraint("one = 1", name=op.f("ck_registry_identity_one")),
        sa.PrimaryKeyConstraint("one", name=op.f("pk_registry_identity")),
    )


def _task_columns() -> tuple[sa.Column[Any], ...]:
    return (
        sa.Column("connection_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("task_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("image_id", sa.Integer(), nullable=False),
        sa.Column("proposal_id", sa.Integer(), nullable=True),
        sa.Column("control", sa.Boolean(), server_default=sa.false(), nullable=False),
        sa.Column("readers", sa.Integer(), server_default="1", nullable=False),
        sa.Column("annotations", sa.Integer(), nullable=True),
    )


def _rebuild_tasks(*parts: sa.schema.SchemaItem, only: str = "1 = 1") -> None:
    """Give the table another key; no other table refers to it."""
    op.execute(f"CREATE TABLE tasks_before AS SELECT * FROM label_studio_tasks t WHERE {only}")
    op.drop_table("label_studio_tasks")
    op.create_table(
        "label_studio_tasks",
        *parts,
        *(
            sa.ForeignKeyConstraint(
                [column],
                [f"{table}.id"],
                ondelete="RESTRICT",
                name=op.f(f"fk_label_studio_tasks_{column}_{table}"),
            )
            for column, table in (
                ("connection_id", "connections"),
                ("image_id", "images"),
                ("proposal_id", "proposals"),
            )
        ),
    )
    op.execute(f"INSERT INTO label_studio_tasks ({TASK_COLUMNS}) SELECT {TASK_COLUMNS} FROM tasks_before")
    op.drop_table("tasks_before")


def downgrade() -> None:
    # The schema before knows one task an image: the one that people are shown.
    newest = "NOT EXISTS (SELECT 1 FROM label_studio_tasks n WHERE n.connection_id = t.connection_id "
    newest += "AND n.image_id = t.image_id AND (n.round > t.round OR (n.round = t.round AND n.task_id < t.task_id)))"
    op.drop_index("ix_label_studio_tasks_image_id", "label_studio_tasks")
    _rebuild_tasks(
        *_task_columns(),
        sa.PrimaryKeyConstraint("connection_id", "image_id", name="pk_label_studio_tasks"),
        sa.UniqueConstraint("connection_id", "task_id", name="uq_label_studio_tasks_connection_id_task_id"),
        only=newest,
    )
    postgresql = op.get_bind().dialect.name == "postgresql"
    for statement in triggers.postgresql_before_0004() if postgresql else triggers.sqlite_before_0004():
        op.execute(sa.text(statement.replace(":", r"\:")))
    op.drop_index("ix_images_split_class_id_location_status_removed", "images")
    op.create_index("ix_images_split_class_id_location_status", "images", ["split", "class_id", "location_status"])
    op.drop_column("sync_steps", "round")
    # Reviews may go on to reject without a proposal: what was stored must not be lost.
    for table in ("images", "image_versions", "location_labels", "reviews"):
        op.drop_column(table, "operation_id")
    for table in ("images", "image_versions"):
        op.drop_column(table, "removed")
    op.drop_table("registry_identity")
    op.drop_table("operations")
