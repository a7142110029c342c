"""Create the registry.

Revision: 0001_create_registry, the first.

Labels, their boxes and masks, proposals and reviews are append-only: triggers refuse to change or delete them.
"""

import sqlalchemy as sa
from alembic import op

revision = "0001_create_registry"
down_revision = None
branch_labels = None
depends_on = None

APPEND_ONLY = ("location_labels", "location_boxes", "masks", "proposals", "proposal_boxes", "reviews")


def create_append_only_triggers() -> None:
    if op.get_bind().dialect.name == "postgresql":
        op.execute(
            "CREATE FUNCTION partly_refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$ "
            "BEGIN RAISE EXCEPTION '% is append-only', TG_TABLE_NAME; END $$"
        )
        for table in APPEND_ONLY:
            op.execute(
                f"CREATE TRIGGER tr_{table}_append_only BEFORE UPDATE OR DELETE ON {table} "
                "FOR EACH ROW EXECUTE FUNCTION partly_refuse_change()"
            )
        return
    for table in APPEND_ONLY:
        for verb in ("UPDATE", "DELETE"):
            op.execute(
                f"CREATE TRIGGER tr_{table}_no_{verb.lower()} BEFORE {verb} ON {table} "
                f"BEGIN SELECT RAISE(ABORT, '{table} is append-only'); END"
            )


def upgrade() -> None:
    op.create_table(
        "classes",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("name", sa.String(length=255), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_classes")),
        sa.UniqueConstraint("name", name=op.f("uq_classes_name")),
    )
    op.create_table(
        "connections",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("url", sa.Text(), nullable=False),
        sa.Column("project_id", sa.Integer(), nullable=False),
        sa.Column("media", sa.String(length=16), nullable=False),
        sa.Column("used_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("media IN ('local', 'upload')", name=op.f("ck_connections_media")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_connections")),
        sa.UniqueConstraint("url", "project_id", name=op.f("uq_connections_url_project_id")),
    )
    op.create_table(
        "masks",
        sa.Column("hash", sa.String(length=80), nullable=False),
        sa.Column("png", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("hash", name=op.f("pk_masks")),
    )
    op.create_table(
        "runs",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("preset", sa.String(length=64), nullable=False),
        sa.Column("status", sa.String(length=16), nullable=False),
        sa.Column("config", sa.JSON(), nullable=False),
        sa.Column("snapshot", sa.String(length=80), nullable=False),
        sa.Column("checkpoint", sa.Text(), nullable=True),
        sa.Column("metrics", sa.JSON(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint("status IN ('running', 'finished', 'failed')", name=op.f("ck_runs_status")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_runs")),
    )
    op.create_table(
        "images",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("uri", sa.Text(), nullable=False),
        sa.Column("content_hash", sa.String(length=80), nullable=False),
        sa.Column("width", sa.Integer(), nullable=False),
        sa.Column("height", sa.Integer(), nullable=False),
        sa.Column("class_id", sa.Integer(), nullable=True),
        sa.Column("group_key", sa.Text(), nullable=True),
        sa.Column("split", sa.String(length=8), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("split IN ('train', 'val', 'test')", name=op.f("ck_images_split")),
        sa.CheckConstraint("width > 0 AND height > 0", name=op.f("ck_images_size")),
        sa.ForeignKeyConstraint(
            ["class_id"], ["classes.id"], name=op.f("fk_images_class_id_classes"), ondelete="RESTRICT"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_images")),
        sa.UniqueConstraint("uri", name=op.f("uq_images_uri")),
    )
    op.create_index("ix_images_content_hash", "images", ["content_hash"])
    op.create_index("ix_images_group_key", "images", ["group_key"])
    op.create_index("ix_images_split_class_id", "images", ["split", "class_id"])

    op.create_table(
        "proposals",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("image_id", sa.Integer(), nullable=False),
        sa.Column("run_id", sa.Integer(), nullable=False),
        sa.Column("class_id", sa.Integer(), nullable=False),
        sa.Column("class_probability", sa.Double(), nullable=False),
        sa.Column("score", sa.Double(), nullable=False),
        sa.Column("tau", sa.Double(), nullable=False),
        sa.Column("gate", sa.String(length=32), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint(
            "class_probability >= 0 AND class_probability <= 1", name=op.f("ck_proposals_class_probability")
        ),
        sa.CheckConstraint("score >= 0 AND score <= 1", name=op.f("ck_proposals_score")),
        sa.ForeignKeyConstraint(
            ["class_id"], ["classes.id"], name=op.f("fk_proposals_class_id_classes"), ondelete="RESTRICT"
        ),
        sa.ForeignKeyConstraint(
            ["image_id"], ["images.id"], name=op.f("fk_proposals_image_id_images"), ondelete="RESTRICT"
        ),
        sa.ForeignKeyConstraint(["run_id"], ["runs.id"], name=op.f("fk_proposals_run_id_runs"), ondelete="RESTRICT"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_proposals")),
        sa.UniqueConstraint("run_id", "image_id", name=op.f("uq_proposals_run_id_image_id")),
    )
    op.create_index("ix_proposals_image_id", "proposals", ["image_id"])

    op.create_table(
        "label_studio_tasks",
        sa.Column("connection_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("image_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("task_id", sa.Integer(), nullable=False),
        sa.Column("proposal_id", sa.Integer(), nullable=True),
        sa.ForeignKeyConstraint(
            ["connection_id"],
            ["connections.id"],
            name=op.f("fk_label_studio_tasks_connection_id_connections"),
            ondelete="RESTRICT",
        ),
        sa.ForeignKeyConstraint(
            ["image_id"],
            ["images.id"],
            name=op.f("fk_label_studio_tasks_image_id_images"),
            ondelete="RESTRICT",
        ),
        sa.ForeignKeyConstraint(
            ["proposal_id"],
            ["proposals.id"],
            name=op.f("fk_label_studio_tasks_proposal_id_proposals"),
            ondelete="RESTRICT",
        ),
        sa.PrimaryKeyConstraint("connection_id", "image_id", name=op.f("pk_label_studio_tasks")),
        sa.UniqueConstraint("connection_id", "task_id", name=op.f("uq_label_studio_tasks_connection_id_task_id")),
    )
    op.create_table(
        "proposal_boxes",
        sa.Column("proposal_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("ordinal", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("x", sa.Double(), nullable=False),
        sa.Column("y", sa.Double(), nullable=False),
        sa.Column("width", sa.Double(), nullable=False),
        sa.Column("height", sa.Double(), nullable=False),
        sa.CheckConstraint("width > 0 AND height > 0", name=op.f("ck_proposal_boxes_size")),
        sa.ForeignKeyConstraint(
            ["proposal_id"],
            ["proposals.id"],
            name=op.f("fk_proposal_boxes_proposal_id_proposals"),
            ondelete="RESTRICT",
        ),
        sa.PrimaryKeyConstraint("proposal_id", "ordinal", name=op.f("pk_proposal_boxes")),
    )
    op.create_table(
        "reviews",
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
        sa.CheckConstraint(
            "outcome IN ('accepted', 'edited', 'rejected', 'drawn', 'empty')", name=op.f("ck_reviews_outcome")
        ),
        sa.CheckConstraint(
            "outcome NOT IN ('accepted', 'edited', 'rejected') OR proposal_id IS NOT NULL",
            name=op.f("ck_reviews_proposal"),
        ),
        sa.CheckConstraint("iou >= 0 AND iou <= 1", name=op.f("ck_reviews_iou")),
        sa.ForeignKeyConstraint(
            ["connection_id"],
            ["connections.id"],
            name=op.f("fk_reviews_connection_id_connections"),
            ondelete="RESTRICT",
        ),
        sa.ForeignKeyConstraint(
            ["image_id"], ["images.id"], name=op.f("fk_reviews_image_id_images"), ondelete="RESTRICT"
        ),
        sa.ForeignKeyConstraint(
            ["proposal_id"],
            ["proposals.id"],
            name=op.f("fk_reviews_proposal_id_proposals"),
            ondelete="RESTRICT",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_reviews")),
        sa.UniqueConstraint(
            "connection_id",
            "external_id",
            "external_version",
            name=op.f("uq_reviews_connection_id_external_id_external_version"),
        ),
    )
    op.create_index("ix_reviews_image_id", "reviews", ["image_id"])
    op.create_index("ix_reviews_proposal_id", "reviews", ["proposal_id"])

    op.create_table(
        "location_labels",
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
        sa.CheckConstraint("(status = 'present') = (num_boxes > 0)", name=op.f("ck_location_labels_boxes")),
        sa.CheckConstraint("(status = 'unknown') = (source = 'withdrawn')", name=op.f("ck_location_labels_withdrawn")),
        sa.CheckConstraint("source = 'imported' OR review_id IS NOT NULL", name=op.f("ck_location_labels_review")),
        sa.CheckConstraint(
            "source IN ('imported', 'drawn', 'accepted', 'edited', 'withdrawn')",
            name=op.f("ck_location_labels_source"),
        ),
        sa.CheckConstraint(
            "source NOT IN ('accepted', 'edited') OR run_id IS NOT NULL", name=op.f("ck_location_labels_run")
        ),
        sa.CheckConstraint("status = 'present' OR mask_hash IS NULL", name=op.f("ck_location_labels_mask")),
        sa.CheckConstraint("status IN ('present', 'empty', 'unknown')", name=op.f("ck_location_labels_status")),
        sa.CheckConstraint("revision > 0", name=op.f("ck_location_labels_revision")),
        sa.ForeignKeyConstraint(
            ["image_id"], ["images.id"], name=op.f("fk_location_labels_image_id_images"), ondelete="RESTRICT"
        ),
        sa.ForeignKeyConstraint(
            ["mask_hash"],
            ["masks.hash"],
            name=op.f("fk_location_labels_mask_hash_masks"),
            ondelete="RESTRICT",
        ),
        sa.ForeignKeyConstraint(
            ["review_id"],
            ["reviews.id"],
            name=op.f("fk_location_labels_review_id_reviews"),
            ondelete="RESTRICT",
        ),
        sa.ForeignKeyConstraint(
            ["run_id"], ["runs.id"], name=op.f("fk_location_labels_run_id_runs"), ondelete="RESTRICT"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_location_labels")),
        sa.UniqueConstraint("id", "status", name=op.f("uq_location_labels_id_status")),
        sa.UniqueConstraint("image_id", "revision", name=op.f("uq_location_labels_image_id_revision")),
    )
    op.create_index("ix_location_labels_review_id", "location_labels", ["review_id"])
    op.create_index("ix_location_labels_run_id", "location_labels", ["run_id"])

    op.create_table(
        "location_boxes",
        sa.Column("label_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("ordinal", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("label_status", sa.String(length=16), nullable=False),
        sa.Column("x", sa.Double(), nullable=False),
        sa.Column("y", sa.Double(), nullable=False),
        sa.Column("width", sa.Double(), nullable=False),
        sa.Column("height", sa.Double(), nullable=False),
        sa.CheckConstraint("label_status = 'present'", name=op.f("ck_location_boxes_present")),
        sa.CheckConstraint("width > 0 AND height > 0", name=op.f("ck_location_boxes_size")),
        sa.ForeignKeyConstraint(
            ["label_id", "label_status"],
            ["location_labels.id", "location_labels.status"],
            name=op.f("fk_location_boxes_label_id_label_status_location_labels"),
            ondelete="RESTRICT",
        ),
        sa.PrimaryKeyConstraint("label_id", "ordinal", name=op.f("pk_location_boxes")),
    )
    create_append_only_triggers()


def downgrade() -> None:
    op.drop_table("location_boxes")
    op.drop_index("ix_location_labels_run_id", "location_labels")
    op.drop_index("ix_location_labels_review_id", "location_labels")

    op.drop_table("location_labels")
    op.drop_index("ix_reviews_proposal_id", "reviews")
    op.drop_index("ix_reviews_image_id", "reviews")

    op.drop_table("reviews")
    op.drop_table("proposal_boxes")
    op.drop_table("label_studio_tasks")
    op.drop_index("ix_proposals_image_id", "proposals")

    op.drop_table("proposals")
    op.drop_index("ix_images_split_class_id", "images")
    op.drop_index("ix_images_group_key", "images")
    op.drop_index("ix_images_content_hash", "images")

    op.drop_table("images")
    op.drop_table("runs")
    op.drop_table("masks")
    op.drop_table("connections")
    op.drop_table("classes")
    if op.get_bind().dialect.name == "postgresql":
        op.execute("DROP FUNCTION partly_refuse_change()")
