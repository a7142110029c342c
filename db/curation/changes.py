"""Changes by hand: takes images out of the data set, and corrects their class or group. Nothing is deleted."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from db.curation.listing import nearest_class
from db.errors import Conflict, InvalidArgument
from db.records import ImageRecord, OperationKind, Split
from db.registry import Registry, Transaction

FEW = 3


@dataclass(frozen=True, slots=True)
class ChangeReport:
    """What a change by hand did."""

    images: list[ImageRecord]
    """The images that were changed, as they were before."""
    unchanged: int
    """Images that were already as asked for."""
    operation: int | None
    """Its number, for undoing it; None if nothing changed or on a dry run."""
    dry_run: bool
    warnings: tuple[str, ...] = ()
    """What may not have been meant."""


def remove_images(
    registry: Registry,
    names: Sequence[str],
    *,
    change_test: bool = False,
    author: str = "unknown",
    dry_run: bool = False,
) -> ChangeReport:
    """Take images out of the data set; their history and snapshots from before keep them.

    Args:
        registry: where they are registered.
        names: of the images: number, path, URI, or the end of the path.
        change_test: take test images out too.
        author: the person who removes them.
        dry_run: return what would change without storing anything.

    Raises:
        NotFound: one is not registered; Conflict: a name is ambiguous, or one is in test. Nothing is changed then.
    """
    with registry.begin(rehearsal=dry_run) as tx:
        found = _resolve(tx, names)
        wanted = [image for image in found if not image.removed]
        _check_test(wanted, change_test=change_test)
        operation = None
        if wanted:
            detail = f"removal of {_listed(wanted)}"
            operation = tx.operations.begin(OperationKind.REMOVE, detail, author=author)
            ids = [image.id for image in wanted]
            tx.images.set_removed(ids, True, origin=f"removed by {author}", operation_id=operation)
    # The number of a rehearsal is not taken.
    return ChangeReport(wanted, len(found) - len(wanted), None if dry_run else operation, dry_run)


def set_facts(
    registry: Registry,
    names: Sequence[str],
    *,
    class_name: str | None = None,
    group: str | None = None,
    change_test: bool = False,
    author: str = "unknown",
    dry_run: bool = False,
) -> ChangeReport:
    """Correct the class or the group of images.

    Args:
        registry: where they are registered.
        names: of the images: number, path, URI, or the end of the path.
        class_name: the new class; None to leave it.
        group: the new group (patient, video); None to leave it.
        change_test: change test images too.
        author: the person who changes them.
        dry_run: return what would change without storing anything.

    Raises:
        InvalidArgument: there is nothing to change.
        NotFound: one is not registered; Conflict: a name is ambiguous, an image was removed, or one is in test.
            Nothing is changed then.
    """
    given = {"--class": class_name, "--group": group}
    if all(value is None for value in given.values()):
        raise InvalidArgument("nothing to set: give --class NAME or --group NAME, or both")
    if empty := [option for option, value in given.items() if value is not None and not value.strip()]:
        raise InvalidArgument(f"{empty[0]} needs a name, got an empty one")
    warnings: tuple[str, ...] = ()
    with registry.begin(rehearsal=dry_run) as tx:
        found = _resolve(tx, names)
        if class_name is not None:
            warnings = _new_class(class_name, tx.status.count().classes)
        if removed := [image for image in found if image.removed]:
            raise Conflict(f"{_listed(removed)}: removed from the data set; undo the removal first: partly undo")
        wanted = [
            image
            for image in found
            if (class_name or image.class_name) != image.class_name or (group or image.group) != image.group
        ]
        _check_test(wanted, change_test=change_test)
        operation = None
        if wanted:
            said = ", ".join(f"{option[2:]} {value}" for option, value in given.items() if value is not None)
            operation = tx.operations.begin(OperationKind.SET, f"{said} for {_listed(wanted)}", author=author)
            for image in wanted:
                tx.images.set_facts(
                    image.id,
                    class_name=class_name or image.class_name,
                    group=group or image.group,
                    split=image.split,
                    origin=f"set by {author}",
                    operation_id=operation,
                )
    # The number of a rehearsal is not taken.
    return ChangeReport(wanted, len(found) - len(wanted), None if dry_run else operation, dry_run, warnings)


def _new_class(name: str, names: Collection[str]) -> tuple[str, ...]:
    """Warn of a class that no image had before: it may be mistyped."""
    if not names or name in names:
        return ()
    near = nearest_class(name, names)
    return (f"{name!r} is a new class" + (f"; did you mean {near!r}? To undo this: partly undo" if near else ""),)


def _resolve(tx: Transaction, names: Sequence[str]) -> list[ImageRecord]:
    found = {image.id: image for image in (tx.images.resolve(name) for name in names)}
    return list(found.values())


def _check_test(images: Sequence[ImageRecord], *, change_test: bool) -> None:
    held = [image for image in images if image.split is Split.TEST]
    if held and not change_test:
        raise Conflict(f"{_listed(held)}: in the test split, which changes only on request: repeat with --change-test")


def _listed(images: Sequence[ImageRecord]) -> str:
    few = ", ".join(image.path.name for image in images[:FEW])
    return few + (f" and {len(images) - FEW} more" if len(images) > FEW else "")
