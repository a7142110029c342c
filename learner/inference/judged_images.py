"""Which images a run may be judged on: none that it learned from, and none of the same patient, video or picture."""

from collections.abc import Sequence

from db.curation.leakage import relatives
from db.records import ImageRecord, Split
from db.registry import Transaction
from learner.inference.trained_model import TrainedModel


def judged_images(tx: Transaction, model: TrainedModel, images: Sequence[ImageRecord]) -> list[ImageRecord]:
    """Leave out the images that a run cannot be judged on, whatever split they are in now.

    Splits change after a training, and with folds a run's validation images are not the registry's. Images that only
    chose the epoch count in validation, where that is what they are for, and not in test.

    Args:
        tx: an open transaction.
        model: the run.
        images: those that are asked for.
    """
    learned, chosen = relatives(tx, model.learned_from), relatives(tx, model.seen)
    return [image for image in images if image.id not in (chosen if image.split is Split.TEST else learned)]
