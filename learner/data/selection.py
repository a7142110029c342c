"""Which images a training may see, as a snapshot of the registry knows them, and that none of them is held back."""

import warnings
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from db.curation.leakage import group_names, leaking_images
from db.errors import NotFound
from db.records import LocationStatus, RunRecord, SnapshotRecord, Split
from db.registry import Transaction
from learner.config import TrainConfig
from learner.data.examples import Examples, PackedImages
from learner.data.validation_cut import cut_validation
from learner.early_checks import NO_IMAGE
from learner.errors import CheckpointIncompatible, DataInvalid, ImagesMissing


@dataclass(frozen=True, slots=True)
class TrainingData:
    """Images that a training may see, and what they are called together."""

    train: Examples
    val: Examples
    classes: list[str]
    snapshot: SnapshotRecord
    left_out: int = 0
    """Images that belong to a group that is held back."""
    choosing: tuple[int, ...] = ()
    """Numbers of the validation images that choose the epoch; the others judge what was chosen."""

    @property
    def image_ids(self) -> dict[str, list[int]]:
        """Numbers of the images to learn from, and of those to choose the epoch by."""
        return {"train": self.train.ids, "val": self.val.ids}


def select_training_data(tx: Transaction, config: TrainConfig) -> TrainingData:
    """Choose the records that a training may see, as they are now, and remember them under a snapshot.

    That is everything outside test, but for images of the same patient, video or picture as a test image; and images
    without a split are left out if they are related like that to a validation image. With `folds` the validation
    images are one of the parts that all these are cut into, groups whole and classes alike.

    Args:
        tx: a writing transaction.
        config: whether the method needs locations, and the folds.

    Raises:
        DataInvalid: there is no image, or no class, or (where one is needed) no known location, or too few groups.
    """
    snapshot = tx.snapshots.take()
    of_test, of_val = leaking_images(tx)
    held_back = of_test | set(tx.images.ids(splits=[Split.TEST]))
    groups = group_names(tx) if config.folds or config.select != "last" else {}
    leaking, left_out, packed = of_test if config.folds else of_test | of_val, 0, PackedImages()
    for image in tx.snapshots.each_image_at(snapshot.position):
        if image.split is Split.TEST:
            continue
        if image.id in leaking:
            left_out += 1
        else:
            packed.add(image)
    kept = packed.all()
    of_val = _fold(kept, groups, config) if config.folds else set(packed.of_split(Split.VAL))
    _refuse_held_back(kept, held_back)
    data = _training_data(kept, of_val, snapshot, localizes=config.localizes, left_out=left_out)
    if config.select == "last":
        return data
    choosing, _ = cut_validation(groups, data.val.ids, config.seed)
    return replace(data, choosing=tuple(choosing))


def _fold(images: Examples, groups: Mapping[int, str], config: TrainConfig) -> set[int]:
    """Choose the images of the fold that is validation; the others are trained on."""
    ids = images.ids
    names = [groups[image_id] for image_id in ids]
    if len(set(names)) < config.folds:
        raise DataInvalid(f"{len(set(names))} groups of images cannot be divided into {config.folds} folds; try fewer")
    # Loads slowly, and few trainings are parts of a cross-validation.
    from sklearn.model_selection import StratifiedGroupKFold

    cutter = StratifiedGroupKFold(config.folds, shuffle=True, random_state=config.seed)
    classes = np.array([class_name or "" for class_name in images.class_names])
    # A class with fewer images than folds is missing in some of them; that is for the metrics to say.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        parts = list(cutter.split(np.zeros(len(ids)), classes, names))
    return {ids[n] for n in parts[config.fold][1].tolist()}


def select_data_of_run(
    tx: Transaction,
    run: RunRecord,
    image_ids: Mapping[str, Sequence[int]],
    config: TrainConfig,
    choosing: Sequence[int] = (),
) -> TrainingData:
    """Choose the records that an interrupted training saw, as they were known then.

    Raises:
        CheckpointIncompatible: its snapshot cannot be read, or one of its images is held back now.
    """
    wanted = {image_id for ids in image_ids.values() for image_id in ids}
    try:
        snapshot = tx.snapshots.get(run.snapshot)
    except NotFound as exc:
        raise CheckpointIncompatible(
            f"{run.name} cannot be resumed: its snapshot can no longer be read; start a new run with: partly train"
        ) from exc
    packed = PackedImages()
    for image in tx.snapshots.each_image_at(snapshot.position):
        if image.id in wanted:
            packed.add(image)
    images = packed.all()
    held_back = leaking_images(tx)[0] | set(tx.images.ids(splits=[Split.TEST]))
    try:
        _refuse_held_back(images, held_back)
    except DataInvalid as exc:
        raise CheckpointIncompatible(
            f"{run.name} cannot be resumed: {exc}; start a new run with: partly train"
        ) from exc
    data = _training_data(images, set(image_ids["val"]), snapshot, localizes=config.localizes)
    return replace(data, choosing=tuple(choosing))


def _refuse_held_back(images: Examples, held_back: Collection[int]) -> None:
    """Refuse to train on a test image, or on one that shows the same.

    Whoever chose the images left them out; this is the lock behind that door.

    Raises:
        DataInvalid: there is one.
    """
    leaking = [n for n, image_id in enumerate(images.ids) if image_id in held_back]
    if leaking:
        names = ", ".join(str(image.path) for image in images.take(leaking[:3], masks=False))
        raise DataInvalid(
            f"{len(leaking)} of its images are in the test split, or are near-duplicates of one ({names}); "
            "see: partly doctor"
        )


def _training_data(
    images: Examples, of_val: Collection[int], snapshot: SnapshotRecord, *, localizes: bool, left_out: int = 0
) -> TrainingData:
    ids = images.ids
    train = images.select([n for n, image_id in enumerate(ids) if image_id not in of_val])
    val = images.select([n for n, image_id in enumerate(ids) if image_id in of_val])
    if not len(train):
        raise ImagesMissing(NO_IMAGE)
    if localizes and LocationStatus.PRESENT not in train.statuses:
        raise DataInvalid(
            "no training image has a known location, so the first stage has nothing to learn from; import some boxes "
            "or masks, or draw some in Label Studio (partly push --partly, then partly pull); classes alone can be "
            "learned with: partly train --set method=classifier"
        )
    classes = sorted({name for part in (train, val) for name in part.class_names if name is not None})
    if not classes:
        raise DataInvalid("no training image has a class; import them with a class column or from class folders")
    return TrainingData(train, val, classes, snapshot, left_out)
