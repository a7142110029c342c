"""The evaluation use-case: scores a split of the registry, or images that are not registered at all."""

import errno
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from db.curation.leakage import already_seen
from db.progress import Progress, SilentProgress
from db.records import NewImage, Split
from db.registry import Registry
from learner.data.examples import Example, example_from_new, examples_from_records
from learner.distributed import Processes
from learner.errors import DataInvalid
from learner.evaluation.aggregate import Summary, summarize_results
from learner.evaluation.per_image import ImageResult, score_rows, write_results
from learner.inference.judged_images import judged_images
from learner.inference.trained_model import TrainedModel, frame_share, open_run


@dataclass(frozen=True, slots=True)
class Leaks:
    """Images from outside the registry that are, or show the same as, the run's training images."""

    n: int
    images: tuple[str, ...]
    without: Summary
    """The results without them."""


@dataclass(frozen=True, slots=True)
class Evaluation:
    """A run scored on a set of images."""

    run: str
    left_out: int
    """Images of the split that the run has seen."""
    summary: Summary
    rows: tuple[ImageResult, ...]
    classes: tuple[str, ...]
    """In the order of the rows' probabilities."""
    leaks: Leaks | None = None
    """None if there are none; they are included in `summary`."""

    def to_document(self) -> dict[str, Any]:
        """Return the numbers as they are stored with a run."""
        return {
            "run": self.run,
            "left_out": self.left_out,
            "classes": list(self.classes),
            **self.summary.to_document(),
        }


def evaluate_run(
    registry: Registry,
    *,
    run: str | None = None,
    split: Split = Split.TEST,
    images: Sequence[NewImage] | None = None,
    processes: Processes | None = None,
    progress: Progress | None = None,
) -> Evaluation:
    """Score a run on a split of the registry, or on images that are not registered (and stay so).

    Images that the run has learned from (or another image of their group) are left out: they were put into the split
    after it. What was said about every image of a split is kept beside the checkpoint.

    Raises:
        DataInvalid: there is no image to score; NotFound, CheckpointIncompatible: the run cannot be used.
    """
    processes = processes or Processes()
    model = open_run(registry, run, processes=processes)
    left_out, leaking = 0, list[int]()
    if images is not None:
        with registry.read() as tx:
            leaking = already_seen(tx, images, model.seen)
        examples = [example_from_new(image) for image in images]
    else:
        with registry.read() as tx:
            records = tx.images.select(splits=[split])
            if not records:
                raise DataInvalid(f"the {split} split is empty; fill it with: partly split --{split} 0.2")
            fair = judged_images(tx, model, records)
            examples = examples_from_records(tx, fair)
        left_out = len(records) - len(fair)
    if not examples:
        raise DataInvalid(
            f"there is no image to score{f': {model.run.name} was trained on all {left_out} of them' * bool(left_out)}"
        )
    rows = score_examples(model, examples, processes, progress)
    if images is None and model.run.checkpoint is not None and processes.is_first:
        try:
            write_results(model.run.checkpoint, split, rows)
        except OSError as exc:
            if exc.errno not in (errno.EACCES, errno.EPERM, errno.EROFS):
                raise
            (progress or SilentProgress()).say(
                f"the results of each image were not saved beside the checkpoint: {exc.strerror}"
            )
    leaks = None
    if leaking and images is not None:
        unseen = [row for row in rows if row.position not in set(leaking)]
        named = tuple(str(images[position].path) for position in leaking)
        leaks = Leaks(len(leaking), named, summarize_results(unseen, model.classes))
    return Evaluation(
        model.run.name, left_out, summarize_results(rows, model.classes), tuple(rows), tuple(model.classes), leaks
    )


def score_examples(
    model: TrainedModel, examples: Sequence[Example], processes: Processes, progress: Progress | None
) -> list[ImageResult]:
    """Decode and score images, each process its share; all get everybody's rows, in the order of the images."""
    data = frame_share(model, examples, processes, progress)
    rows = score_rows(model.network, data, model.config, model.classes, model.device, progress)
    return processes.gather((row.position or 0, row) for row in rows)
