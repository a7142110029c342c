"""Takes back what annotations said that were deleted, or turned into a skip, after they were pulled."""

from collections.abc import Mapping, Sequence
from typing import Any

from annotator.label_studio.payload.tasks import image_of, problem_of
from db.records import ConnectionRecord, ImageRecord, Split
from db.records.class_labels import ClassLabelRecord, ClassSource, NewClassLabel
from db.registry import Registry, Transaction

Withdrawn = list[tuple[int, int, int]]
"""Label, image and annotation."""


def find_withdrawn(
    registry: Registry,
    connection: ConnectionRecord,
    tasks: Sequence[Mapping[str, Any]],
    images: Mapping[str, ImageRecord],
    *,
    change_test: bool,
) -> Withdrawn:
    """Find what annotations said that are not there any more, while their task is.

    A task that is gone says nothing about the labels: a project that was emptied there takes no label with it.
    """
    with registry.read() as tx:
        gone, listed = _gone(tx, connection, tasks, images)
        return [
            (label_id, image_id, annotation_id)
            for label_id, image_id, annotation_id in tx.retractions.statements_of_annotations(connection.id, gone)
            if change_test or listed[image_id].split is not Split.TEST
        ]


def _gone(
    tx: Transaction,
    connection: ConnectionRecord,
    tasks: Sequence[Mapping[str, Any]],
    images: Mapping[str, ImageRecord],
) -> tuple[list[int], dict[int, ImageRecord]]:
    """Return the annotations that were pulled and are not there any more, and the images that are listed, by number."""
    standing: set[int] = set()
    listed: dict[int, ImageRecord] = {}
    links = tx.connections.tasks(connection.id)
    # What a task that cannot be read still holds is not known.
    unknown = {links[int(task["id"])].image_id for task in tasks if problem_of(task) and int(task["id"]) in links}
    unknown |= {image.id for task in tasks if problem_of(task) and (image := image_of(task, images)) is not None}
    for task in tasks:
        image = image_of(task, images)
        if image is not None and image.id not in unknown:
            listed[image.id] = image
            annotations = task.get("annotations") or []
            standing.update(int(item["id"]) for item in annotations if not item.get("was_cancelled"))
    known = tx.reviews.images(connection.id) if listed else {}
    return [key for key, image_id in known.items() if image_id in listed and key not in standing], listed


def find_withdrawn_classes(
    registry: Registry,
    connection: ConnectionRecord,
    tasks: Sequence[Mapping[str, Any]],
    images: Mapping[str, ImageRecord],
    *,
    change_test: bool,
) -> list[ClassLabelRecord]:
    """Find the classes that annotations stated which are not there any more, while their task is."""
    with registry.read() as tx:
        gone, listed = _gone(tx, connection, tasks, images)
        stated = tx.class_labels.standing(listed) if gone else {}
    return [
        label
        for image_id, labels in stated.items()
        for label in labels
        if label.connection_id == connection.id
        and label.annotation_id in set(gone)
        and (change_test or listed[image_id].split is not Split.TEST)
    ]


def withdraw_classes(tx: Transaction, withdrawn: Sequence[ClassLabelRecord]) -> None:
    """Note that classes were taken back; call `settle_classes` afterwards."""
    tx.class_labels.add_many(
        [
            NewClassLabel(
                image_id=label.image_id,
                class_name=label.class_name,
                source=ClassSource.WITHDRAWN,
                reviewer=label.reviewer,
                review_id=label.review_id,
                run_id=label.run_id,
            )
            for label in withdrawn
        ]
    )


def withdraw(tx: Transaction, connection: ConnectionRecord, withdrawn: Withdrawn) -> None:
    """Retract the labels that withdrawn annotations made."""
    # Another pull may have been here since they were found.
    standing = tx.retractions.standing([label_id for label_id, _, _ in withdrawn])
    left = [(label_id, image_id) for label_id, image_id, _ in withdrawn if label_id in standing]
    if left:
        number = tx.retractions.add(
            [label_id for label_id, _ in left],
            author=f"deleted in Label Studio {connection.url} project {connection.project_id}",
        )
        tx.retractions.settle([image_id for _, image_id in left], retraction_id=number)
