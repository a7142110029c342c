"""Checks that a registry says what it should: the database itself, and what its tables promise about each other."""

import hashlib

from sqlalchemy import Connection, text

from db.history.snapshot_hash import EMPTY_STATE, hash_state, update_state
from db.registry import Registry
from db.tables import Mask

PROMISES = {
    "an image points at a label that is not its newest": (
        "SELECT images.id FROM images LEFT JOIN location_labels l ON l.image_id = images.id AND l.revision = "
        "(SELECT max(revision) FROM location_labels m WHERE m.image_id = images.id) "
        "WHERE coalesce(images.label_id, 0) <> coalesce(l.id, 0)"
    ),
    "an image's location status is not its label's": (
        "SELECT images.id FROM images LEFT JOIN location_labels l ON l.id = images.label_id "
        "WHERE images.location_status <> coalesce(l.status, 'unknown')"
    ),
    "an image's last recorded version differs from its current state": (
        "SELECT images.id FROM images LEFT JOIN image_versions v ON v.id = "
        "(SELECT max(id) FROM image_versions w WHERE w.image_id = images.id) "
        "WHERE v.id IS NULL OR v.uri <> images.uri OR coalesce(v.label_id, 0) <> coalesce(images.label_id, 0) "
        "OR coalesce(v.split, '') <> coalesce(images.split, '') OR coalesce(v.class_id, 0) <> "
        "coalesce(images.class_id, 0) OR coalesce(v.group_key, '') <> coalesce(images.group_key, '') "
        "OR v.removed <> images.removed"
    ),
    "a label does not have as many boxes as it says": (
        "SELECT l.id FROM location_labels l LEFT JOIN location_boxes b ON b.label_id = l.id "
        "GROUP BY l.id, l.num_boxes HAVING count(b.label_id) <> l.num_boxes"
    ),
    "the revisions of an image's labels have a gap": (
        "SELECT image_id FROM location_labels GROUP BY image_id HAVING max(revision) <> count(*)"
    ),
}
FEW = 5


def check_registry(registry: Registry) -> list[str]:
    """Return the problems found, one sentence each; an empty list for a sound registry.

    The database's own checks run first, then what triggers and queries promise, the masks' contents, and the newest
    snapshot, whose hash is worked out again from all images.
    """
    with registry.connect() as connection:
        problems = _database_problems(connection)
        for promise, statement in PROMISES.items():
            found = [row[0] for row in connection.execute(text(statement))]
            if found:
                few = ", ".join(str(key) for key in found[:FEW]) + (", ..." if len(found) > FEW else "")
                problems.append(f"{promise}: {len(found)} ({few})")
        damaged = 0
        for digest, png in connection.execution_options(yield_per=100).execute(
            Mask.__table__.select().with_only_columns(Mask.hash, Mask.png)
        ):
            damaged += digest != "sha256:" + hashlib.sha256(png).hexdigest()
        if damaged:
            problems.append(f"the content of {damaged} masks does not match their hash")
    return problems + _snapshot_problems(registry)


def _database_problems(connection: Connection) -> list[str]:
    if connection.dialect.name != "sqlite":
        return []
    said = [str(row[0]) for row in connection.execute(text("PRAGMA integrity_check"))]
    broken = [f"{row[0]} row {row[1]}" for row in connection.execute(text("PRAGMA foreign_key_check"))]
    return [*(line for line in said if line != "ok"), *(f"a row refers to a missing row: {line}" for line in broken)]


def _snapshot_problems(registry: Registry) -> list[str]:
    with registry.read() as tx:
        snapshots = tx.snapshots.all()
        if not snapshots:
            return []
        newest = max(snapshots, key=lambda snapshot: snapshot.position)
        images = tx.snapshots.states_at(newest.position)
    if hash_state(update_state(EMPTY_STATE, [], images)) != newest.hash:
        return [f"snapshot {newest.hash} no longer matches its hash"]
    return []
