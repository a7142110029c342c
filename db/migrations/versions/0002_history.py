"""History, snapshots, retractions, near-duplicates, and a test split that the database itself keeps frozen.

Revision: 0002_history, after 0001_create_registry.

Every registered image gets its label and location status beside it (triggers keep them true) and a first row in
image_versions. What was said before is in location_labels already.
"""

from typing import Any

import sqlalchemy as sa
from alembic import op

from db.migrations import triggers

revision = "0002_history"
down_revision = "0001_create_registry"
branch_labels = None
depends_on = None

OLD_LABEL_KEYS = {
    "fk_location_labels_image_id_images": ("images", "image_id"),
    "fk_location_labels_mask_hash_masks": ("masks", "mask_hash"),
    "fk_location_labels_review_id_reviews": ("reviews", "review_id"),
    "fk_location_labels_run_id_runs": ("runs", "run_id"),
}
LABEL_KEYS = {
    "fk_location_labels_retraction_id_retractions": ("retractions", "retraction_id"),
    "fk_location_labels_restores_id_location_labels": ("location_labels", "restores_id"),
}
LABEL_CHECKS = {
    "revision": "revision > 0",
    "status": "status IN ('present', 'empty', 'unknown')",
    "source": "source IN ('imported', 'drawn', 'accepted', 'edited', 'withdrawn')",
    "boxes": "(status = 'present') = (num_boxes > 0)",
    "mask": "status = 'present' OR mask_hash IS NULL",
    "withdrawn": "(status = 'unknown') = (source = 'withdrawn')",
    "run": "source NOT IN ('accepted', 'edited') OR run_id IS NOT NULL",
}
OLD_REVIEW_CHECK = "source = 'imported' OR review_id IS NOT NULL"
REVIEW_CHECK = f"{OLD_REVIEW_CHECK} OR retraction_id IS NOT NULL"


def upgrade() -> None:
    _create_tables()
    op.add_column("images", sa.Column("label_id", sa.Integer(), nullable=True))
    op.add_column(
        "images", sa.Column("location_status", sa.String(length=16), server_default="unknown", nullable=False)
    )
    op.add_column("images", sa.Column("origin", sa.Text(), nullable=True))
    op.add_column("label_studio_tasks", sa.Column("control", sa.Boolean(), server_default=sa.false(), nullable=False))
    op.create_index("ix_proposals_score", "proposals", ["score"])
    op.drop_index("ix_images_split_class_id", "images")
    op.create_index("ix_images_split_class_id_location_status", "images", ["split", "class_id", "location_status"])
    _widen_labels()
    _fill()
    _create_triggers()


def _widen_labels() -> None:
    with op.batch_alter_table("location_labels", copy_from=_labels_table(widened=False)) as batch:
        for column in _new_label_columns():
            batch.add_column(column)
        for name, (table, column_name) in LABEL_KEYS.items():
            batch.create_foreign_key(op.f(name), table, [column_name], ["id"], ondelete="RESTRICT")
        batch.drop_constraint(op.f("ck_location_labels_review"), type_="check")
        batch.create_check_constraint(op.f("ck_location_labels_review"), REVIEW_CHECK)


def _new_label_columns() -> list[sa.Column[Any]]:
    return [
        sa.Column("retraction_id", sa.Integer(), nullable=True),
        sa.Column("restores_id", sa.Integer(), nullable=True),
        sa.Column("on_test", sa.Boolean(), server_default=sa.false(), nullable=False),
        sa.Column("origin", sa.Text(), nullable=True),
    ]


def _labels_table(*, widened: bool) -> sa.Table:
    """Describe the table in full: SQLite rebuilds it, and versions of Alembic differ in what they read back."""
    keys = dict(OLD_LABEL_KEYS) | (LABEL_KEYS if widened else {})
    checks = LABEL_CHECKS | {"review": REVIEW_CHECK if widened else OLD_REVIEW_CHECK}
    return sa.Table(
        "location_labels",
        sa.MetaData(),
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("image_id", sa.Integer(), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("status", sa.String(length=16), nullable=False),
        sa.Column("num_boxes", sa.Integer(), nullable=False),
        sa.Column("mask_hash", sa.String(length=80), nullable=True),
        sa.Column("source", sa.String(length=16), nullable=False),
        sa.Column("reviewer", sa.Text(), nullable=True),
        sa.Column("review_id", sa.Integer(), nullable=True),
        sa.Column("run_id", sa.Integer(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        *(_new_label_columns() if widened else ()),
        *(sa.CheckConstraint(text, name=op.f(f"ck_location_labels_{name}")) for name, text in checks.items()),
        *(
            sa.ForeignKeyConstraint(
                [column], [f"{table}.{'hash' if table == 'masks' else 'id'}"], name=op.f(name), ondelete="RESTRICT"
            )
            for name, (table, column) in keys.items()
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_location_labels")),
        sa.UniqueConstraint("id", "status", name=op.f("uq_location_labels_id_status")),
        sa.UniqueConstraint("image_id", "revision", name=op.f("uq_location_labels_image_id_revision")),
        sa.Index("ix_location_labels_review_id", "review_id"),
        sa.Index("ix_location_labels_run_id", "run_id"),
    )


def _create_tables() -> None:
    op.create_table(
        "image_versions",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("image_id", sa.Integer(), nullable=False),
        sa.Column("uri", sa.Text(), nullable=False),
        sa.Column("class_id", sa.Integer(), nullable=True),
        sa.Column("group_key", sa.Text(), nullable=True),
        sa.Column("split", sa.String(length=8), nullable=True),
        sa.Column("label_id", sa.Integer(), nullable=True),
        sa.Column("origin", sa.Text(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["image_id"], ["images.id"], ondelete="RESTRICT", name=op.f("fk_image_versions_image_id_images")
        ),
        sa.ForeignKeyConstraint(
            ["class_id"], ["classes.id"], ondelete="RESTRICT", name=op.f("fk_image_versions_class_id_classes")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_image_versions")),
    )
    op.create_index("ix_image_versions_image_id_id", "image_versions", ["image_id", "id"])
    op.create_table(
        "snapshots",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("hash", sa.String(length=80), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("num_images", sa.Integer(), nullable=False),
        sa.Column("state", sa.LargeBinary(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_snapshots")),
        sa.UniqueConstraint("hash", name=op.f("uq_snapshots_hash")),
    )
    op.create_table(
        "fingerprints",
        sa.Column("image_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("hash", sa.LargeBinary(), nullable=False),
        sa.Column("compared", sa.Boolean(), nullable=False),
        sa.ForeignKeyConstraint(
            ["image_id"], ["images.id"], ondelete="RESTRICT", name=op.f("fk_fingerprints_image_id_images")
        ),
        sa.PrimaryKeyConstraint("image_id", name=op.f("pk_fingerprints")),
    )
    op.create_table(
        "thumbnails",
        sa.Column("image_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("pixels", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(
            ["image_id"], ["images.id"], ondelete="RESTRICT", name=op.f("fk_thumbnails_image_id_images")
        ),
        sa.PrimaryKeyConstraint("image_id", name=op.f("pk_thumbnails")),
    )
    op.create_index("ix_fingerprints_compared", "fingerprints", ["compared"])
    op.create_table(
        "near_duplicates",
        sa.Column("first_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("second_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("correlation", sa.Double(), nullable=False),
        sa.CheckConstraint("first_id < second_id", name=op.f("ck_near_duplicates_order")),
        sa.ForeignKeyConstraint(
            ["first_id"], ["images.id"], ondelete="RESTRICT", name=op.f("fk_near_duplicates_first_id_images")
        ),
        sa.ForeignKeyConstraint(
            ["second_id"], ["images.id"], ondelete="RESTRICT", name=op.f("fk_near_duplicates_second_id_images")
        ),
        sa.PrimaryKeyConstraint("first_id", "second_id", name=op.f("pk_near_duplicates")),
    )
    op.create_index("ix_near_duplicates_second_id", "near_duplicates", ["second_id"])
    op.create_table(
        "retractions",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("run_id", sa.Integer(), nullable=True),
        sa.Column("reviewer", sa.Text(), nullable=True),
        sa.Column("since", sa.DateTime(timezone=True), nullable=True),
        sa.Column("undoes_id", sa.Integer(), nullable=True),
        sa.Column("author", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["run_id"], ["runs.id"], ondelete="RESTRICT", name=op.f("fk_retractions_run_id_runs")),
        sa.ForeignKeyConstraint(
            ["undoes_id"], ["retractions.id"], ondelete="RESTRICT", name=op.f("fk_retractions_undoes_id_retractions")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_retractions")),
        sa.UniqueConstraint("undoes_id", name=op.f("uq_retractions_undoes_id")),
    )
    op.create_index("ix_retractions_run_id", "retractions", ["run_id"])
    op.create_table(
        "retracted_labels",
        sa.Column("retraction_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("label_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.ForeignKeyConstraint(
            ["retraction_id"],
            ["retractions.id"],
            ondelete="RESTRICT",
            name=op.f("fk_retracted_labels_retraction_id_retractions"),
        ),
        sa.ForeignKeyConstraint(
            ["label_id"],
            ["location_labels.id"],
            ondelete="RESTRICT",
            name=op.f("fk_retracted_labels_label_id_location_labels"),
        ),
        sa.PrimaryKeyConstraint("retraction_id", "label_id", name=op.f("pk_retracted_labels")),
    )
    op.create_index("ix_retracted_labels_label_id", "retracted_labels", ["label_id"])


def _fill() -> None:
    newest = "SELECT l.{} FROM location_labels l WHERE l.image_id = images.id ORDER BY l.revision DESC LIMIT 1"
    op.execute(
        f"UPDATE images SET label_id = ({newest.format('id')}), "
        f"location_status = coalesce(({newest.format('status')}), 'unknown')"
    )
    columns = ", ".join(triggers.VERSIONED)
    op.execute(
        f"INSERT INTO image_versions (image_id, {columns}, origin, created_at) "
        f"SELECT id, {columns}, origin, created_at FROM images ORDER BY id"
    )


def _create_triggers() -> None:
    if op.get_bind().dialect.name == "postgresql":
        statements = triggers.postgresql_0002()
        for table in triggers.APPEND_ONLY_0002:
            statements += triggers.append_only_postgresql(table)
    else:
        # Rebuilding the table has dropped its triggers.
        statements = triggers.append_only_sqlite("location_labels") + triggers.sqlite_0002()
        for table in triggers.APPEND_ONLY_0002:
            statements += triggers.append_only_sqlite(table)
    for statement in statements:
        op.execute(sa.text(statement.replace(":", r"\:")))


def downgrade() -> None:
    postgresql = op.get_bind().dialect.name == "postgresql"
    for table, names in triggers.TRIGGERS_0002.items():
        for name in names:
            op.execute(f"DROP TRIGGER IF EXISTS tr_{table}_{name}" + (f" ON {table}" if postgresql else ""))
    if postgresql:
        for function in triggers.FUNCTIONS_0002:
            op.execute(f"DROP FUNCTION {function}()")
    op.drop_table("retracted_labels")
    with op.batch_alter_table("location_labels", copy_from=_labels_table(widened=True)) as batch:
        batch.drop_constraint(op.f("ck_location_labels_review"), type_="check")
        batch.create_check_constraint(op.f("ck_location_labels_review"), OLD_REVIEW_CHECK)
        for name in LABEL_KEYS:
            batch.drop_constraint(op.f(name), type_="foreignkey")
        for added in _new_label_columns():
            batch.drop_column(added.name)
    if not postgresql:
        for statement in triggers.append_only_sqlite("location_labels"):
            op.execute(statement)
    for table in ("retractions", "near_duplicates", "thumbnails", "fingerprints", "snapshots", "image_versions"):
        op.drop_table(table)
    op.drop_index("ix_proposals_score", "proposals")
    op.drop_column("label_studio_tasks", "control")
    op.drop_index("ix_images_split_class_id_location_status", "images")
    op.create_index("ix_images_split_class_id", "images", ["split", "class_id"])
    for name in ("label_id", "location_status", "origin"):
        op.drop_column("images", name)
