"""Triggers: what the registry does by itself, so that no program can forget it.

On PostgreSQL those that only look at rows that are already written run once a statement, not once a row, so that they
cost little in bulk.
"""

APPEND_ONLY_0002 = ("image_versions", "snapshots", "retractions", "retracted_labels")
APPEND_ONLY_0003 = ("catch_trials", "catch_reviews")
VERSIONED = ("uri", "class_id", "group_key", "split", "label_id")
VERSIONED_0004 = (*VERSIONED, "removed")
IMMUTABLE = ("id", "content_hash", "width", "height")

TEST_FROZEN = "the test split is frozen: an image never leaves it"
TEST_LABEL = "the image is in the test split: its labels change only on purpose"
TEST_PROPOSAL = "the image is in the test split: nothing is proposed for it"
IMAGE_FIXED = "the content and size of a registered image never change"


def append_only_sqlite(table: str) -> list[str]:
    """Refuse UPDATE and DELETE of a table."""
    return [
        f"CREATE TRIGGER tr_{table}_no_{verb.lower()} BEFORE {verb} ON {table} "
        f"BEGIN SELECT RAISE(ABORT, '{table} is append-only'); END"
        for verb in ("UPDATE", "DELETE")
    ]


def append_only_postgresql(table: str) -> list[str]:
    """Refuse UPDATE and DELETE of a table."""
    return [
        f"CREATE TRIGGER tr_{table}_append_only BEFORE UPDATE OR DELETE ON {table} "
        "FOR EACH ROW EXECUTE FUNCTION partly_refuse_change()"
    ]


_COLUMNS = ", ".join(VERSIONED)


def sqlite_0002() -> list[str]:
    """Return the statements that make the triggers of schema 0002 on SQLite."""
    version = (
        f"INSERT INTO image_versions (image_id, {_COLUMNS}, origin, created_at) VALUES (NEW.id, "
        + ", ".join(f"NEW.{name}" for name in VERSIONED)
        + ", NEW.origin, strftime('%Y-%m-%d %H:%M:%f000', 'now'));"
    )
    changed = " OR ".join(f"OLD.{name} IS NOT NEW.{name}" for name in VERSIONED)
    fixed = " OR ".join(f"OLD.{name} IS NOT NEW.{name}" for name in IMMUTABLE)
    in_test = "(SELECT split FROM images WHERE id = NEW.image_id) = 'test'"
    return [
        f"CREATE TRIGGER tr_images_first_version AFTER INSERT ON images BEGIN {version} END",
        f"CREATE TRIGGER tr_images_next_version AFTER UPDATE OF {_COLUMNS} ON images WHEN {changed} "
        f"BEGIN {version} END",
        f"CREATE TRIGGER tr_images_fixed BEFORE UPDATE ON images WHEN {fixed} "
        f"BEGIN SELECT RAISE(ABORT, '{IMAGE_FIXED}'); END",
        "CREATE TRIGGER tr_images_test_frozen BEFORE UPDATE OF split ON images "
        "WHEN OLD.split = 'test' AND NEW.split IS NOT 'test' "
        f"BEGIN SELECT RAISE(ABORT, '{TEST_FROZEN}'); END",
        "CREATE TRIGGER tr_proposals_no_test BEFORE INSERT ON proposals "
        f"WHEN {in_test} BEGIN SELECT RAISE(ABORT, '{TEST_PROPOSAL}'); END",
        "CREATE TRIGGER tr_location_labels_no_test BEFORE INSERT ON location_labels "
        f"WHEN NOT NEW.on_test AND {in_test} BEGIN SELECT RAISE(ABORT, '{TEST_LABEL}'); END",
        "CREATE TRIGGER tr_location_labels_hold AFTER INSERT ON location_labels BEGIN "
        "UPDATE images SET label_id = NEW.id, location_status = NEW.status WHERE id = NEW.image_id; END",
    ]


def postgresql_0002() -> list[str]:
    """Return the statements that make the triggers of schema 0002 on PostgreSQL."""
    values = ", ".join(f"n.{name}" for name in VERSIONED)
    changed = " OR ".join(f"o.{name} IS DISTINCT FROM n.{name}" for name in VERSIONED)
    fixed = " OR ".join(f"OLD.{name} IS DISTINCT FROM NEW.{name}" for name in IMMUTABLE)
    insert = (
        f"INSERT INTO image_versions (image_id, {_COLUMNS}, origin, created_at) "
        f"SELECT n.id, {values}, n.origin, clock_timestamp() FROM new_rows n"
    )
    refuse = "RAISE EXCEPTION '{}' USING ERRCODE = 'integrity_constraint_violation'"
    in_test = "SELECT 1 FROM new_rows n JOIN images i ON i.id = n.image_id WHERE i.split = 'test'"
    hold = (
        "UPDATE images SET label_id = n.id, location_status = n.status FROM (SELECT DISTINCT ON (image_id) * "
        "FROM new_rows ORDER BY image_id, revision DESC) n WHERE images.id = n.image_id"
    )
    return [
        _function("partly_first_version", f"{insert} ORDER BY n.id"),
        _function("partly_next_version", f"{insert} JOIN old_rows o ON o.id = n.id WHERE {changed} ORDER BY n.id"),
        _function("partly_image_fixed", refuse.format(IMAGE_FIXED), result="NEW"),
        _function("partly_test_frozen", refuse.format(TEST_FROZEN), result="NEW"),
        _function("partly_proposals_no_test", f"IF EXISTS ({in_test}) THEN {refuse.format(TEST_PROPOSAL)}; END IF"),
        _function(
            "partly_labels_hold",
            f"IF EXISTS ({in_test} AND NOT n.on_test) THEN {refuse.format(TEST_LABEL)}; END IF; {hold}",
        ),
        "CREATE TRIGGER tr_images_first_version AFTER INSERT ON images REFERENCING NEW TABLE AS new_rows "
        "FOR EACH STATEMENT EXECUTE FUNCTION partly_first_version()",
        "CREATE TRIGGER tr_images_next_version AFTER UPDATE ON images "
        "REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows "
        "FOR EACH STATEMENT EXECUTE FUNCTION partly_next_version()",
        f"CREATE TRIGGER tr_images_fixed BEFORE UPDATE ON images FOR EACH ROW WHEN ({fixed}) "
        "EXECUTE FUNCTION partly_image_fixed()",
        "CREATE TRIGGER tr_images_test_frozen BEFORE UPDATE ON images FOR EACH ROW "
        "WHEN (OLD.split = 'test' AND NEW.split IS DISTINCT FROM 'test') EXECUTE FUNCTION partly_test_frozen()",
        "CREATE TRIGGER tr_proposals_no_test AFTER INSERT ON proposals REFERENCING NEW TABLE AS new_rows "
        "FOR EACH STATEMENT EXECUTE FUNCTION partly_proposals_no_test()",
        "CREATE TRIGGER tr_location_labels_hold AFTER INSERT ON location_labels REFERENCING NEW TABLE AS new_rows "
        "FOR EACH STATEMENT EXECUTE FUNCTION partly_labels_hold()",
    ]


FUNCTIONS_0002 = (
    "partly_first_version",
    "partly_next_version",
    "partly_image_fixed",
    "partly_test_frozen",
    "partly_proposals_no_test",
    "partly_labels_hold",
)
TRIGGERS_0002 = {
    "images": ("first_version", "next_version", "fixed", "test_frozen"),
    "proposals": ("no_test",),
    "location_labels": ("no_test", "hold"),
}


_RELEASED = (
    "NOT EXISTS (SELECT 1 FROM runs) AND "
    "EXISTS (SELECT 1 FROM operations WHERE id = NEW.operation_id AND kind = 'undo')"
)
"""Only an undoing takes images out of test again, and only before the first training has seen what is not in it."""


def sqlite_0004() -> list[str]:
    """Return the statements that replace triggers of schema 0002 on SQLite: removed images, operations."""
    columns = ", ".join((*VERSIONED_0004, "operation_id"))
    version = (
        f"INSERT INTO image_versions (image_id, {columns}, origin, created_at) VALUES (NEW.id, "
        + ", ".join(f"NEW.{name}" for name in (*VERSIONED_0004, "operation_id"))
        + ", NEW.origin, strftime('%Y-%m-%d %H:%M:%f000', 'now'));"
    )
    changed = " OR ".join(f"OLD.{name} IS NOT NEW.{name}" for name in VERSIONED_0004)
    return [
        *(f"DROP TRIGGER tr_{name}" for name in REPLACED_0004),
        f"CREATE TRIGGER tr_images_first_version AFTER INSERT ON images BEGIN {version} END",
        f"CREATE TRIGGER tr_images_next_version AFTER UPDATE OF {', '.join(VERSIONED_0004)} ON images WHEN {changed} "
        f"BEGIN {version} END",
        "CREATE TRIGGER tr_images_test_frozen BEFORE UPDATE OF split ON images "
        f"WHEN OLD.split = 'test' AND NEW.split IS NOT 'test' AND NOT ({_RELEASED}) "
        f"BEGIN SELECT RAISE(ABORT, '{TEST_FROZEN}'); END",
        "CREATE TRIGGER tr_location_labels_hold AFTER INSERT ON location_labels BEGIN "
        "UPDATE images SET label_id = NEW.id, location_status = NEW.status, operation_id = NEW.operation_id "
        "WHERE id = NEW.image_id; END",
    ]


def postgresql_0004() -> list[str]:
    """Return the statements that replace functions of schema 0002 on PostgreSQL: removed images, operations."""
    columns = (*VERSIONED_0004, "operation_id")
    changed = " OR ".join(f"o.{name} IS DISTINCT FROM n.{name}" for name in VERSIONED_0004)
    insert = (
        f"INSERT INTO image_versions (image_id, {', '.join(columns)}, origin, created_at) "
        f"SELECT n.id, {', '.join(f'n.{name}' for name in columns)}, n.origin, clock_timestamp() FROM new_rows n"
    )
    refuse = "RAISE EXCEPTION '{}' USING ERRCODE = 'integrity_constraint_violation'"
    in_test = "SELECT 1 FROM new_rows n JOIN images i ON i.id = n.image_id WHERE i.split = 'test'"
    hold = (
        "UPDATE images SET label_id = n.id, location_status = n.status, operation_id = n.operation_id FROM "
        "(SELECT DISTINCT ON (image_id) * FROM new_rows ORDER BY image_id, revision DESC) n "
        "WHERE images.id = n.image_id"
    )
    return [
        _replaced("partly_first_version", f"{insert} ORDER BY n.id"),
        _replaced("partly_next_version", f"{insert} JOIN old_rows o ON o.id = n.id WHERE {changed} ORDER BY n.id"),
        _replaced(
            "partly_test_frozen", f"IF NOT ({_RELEASED}) THEN {refuse.format(TEST_FROZEN)}; END IF", result="NEW"
        ),
        _replaced(
            "partly_labels_hold",
            f"IF EXISTS ({in_test} AND NOT n.on_test) THEN {refuse.format(TEST_LABEL)}; END IF; {hold}",
        ),
    ]


def sqlite_before_0004() -> list[str]:
    """Return the statements that put triggers of schema 0002 back on SQLite."""
    names = {f"CREATE TRIGGER tr_{name} " for name in REPLACED_0004}
    old = [statement for statement in sqlite_0002() if any(statement.startswith(name) for name in names)]
    return [*(f"DROP TRIGGER tr_{name}" for name in REPLACED_0004), *old]


def postgresql_before_0004() -> list[str]:
    """Return the statements that put functions of schema 0002 back on PostgreSQL."""
    functions = [statement for statement in postgresql_0002() if statement.startswith("CREATE FUNCTION")]
    return [statement.replace("CREATE FUNCTION", "CREATE OR REPLACE FUNCTION", 1) for statement in functions]


REPLACED_0004 = ("images_first_version", "images_next_version", "images_test_frozen", "location_labels_hold")


def _replaced(name: str, body: str, *, result: str = "NULL") -> str:
    return _function(name, body, result=result).replace("CREATE FUNCTION", "CREATE OR REPLACE FUNCTION", 1)


def _function(name: str, body: str, *, result: str = "NULL") -> str:
    return f"CREATE FUNCTION {name}() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN {body}; RETURN {result}; END $$"
