"""A pool of registered images, scored as a stream: memory does not grow with it, and what was scored stays scored."""

from collections.abc import Iterator, Sequence

from db.progress import LinesOnly, Progress
from db.records import ImageRecord
from db.registry import Registry
from learner.data.examples import examples_from_records
from learner.distributed import Processes
from learner.errors import DataInvalid
from learner.inference.kept_scores import KEPT_FROM, KeptScores
from learner.inference.predict import Prediction, known_index, predict
from learner.inference.scored import Scored
from learner.inference.trained_model import TrainedModel, frame_share

PAGE = 1000
"""Images whose records are in memory at a time."""


def score_pool(
    registry: Registry,
    model: TrainedModel,
    ids: Sequence[int],
    gate: str,
    processes: Processes,
    progress: Progress,
) -> Iterator[Scored]:
    """Run a model on images and score what it finds by a gate; those that cannot be read are named and left out.

    Args:
        registry: of the images.
        model: what is asked.
        ids: numbers of images.
        gate: `class` or `agreement`.
        processes: that share the work.
        progress: where to show how far it is.

    Yields:
        This process's share, as it comes: of a large pool first what was scored before.

    Raises:
        DataInvalid: none of the images can be read.
    """
    mine, lines = processes.share(ids), LinesOnly(progress)
    kept = KeptScores(registry.root, model, gate, processes) if len(ids) >= KEPT_FROM else None
    scored, unreadable = 0, None
    with progress.task("scoring", len(mine)) as task:
        for start in range(0, len(mine), PAGE):
            page = mine[start : start + PAGE]
            with registry.read() as tx:
                images = tx.images.select(ids=page)
            known = kept.read(images) if kept is not None else {}
            for item in known.values():
                yield item
            task.advance(len(known))
            scored += len(known)
            left = [image for image in images if image.id not in known]
            if not left:
                continue
            try:
                for _, item in score_records(registry, model, left, gate, Processes(), lines):
                    if kept is not None:
                        kept.add(item)
                    scored += 1
                    yield item
                    task.advance()
            except DataInvalid as exc:
                unreadable = exc
            if kept is not None:
                kept.write()
    if unreadable is not None and not scored:
        raise unreadable


def score_records(
    registry: Registry,
    model: TrainedModel,
    images: Sequence[ImageRecord],
    gate: str,
    processes: Processes,
    progress: Progress,
) -> Iterator[tuple[int, Scored]]:
    """Score images whose records are at hand; see `score_pool`.

    Yields:
        This process's share, each with its position among the images.
    """
    with registry.read() as tx:
        examples = examples_from_records(tx, images)
    stream = frame_share(model, examples, processes, progress)
    for prediction in predict(model.network, stream, model.config, model.device, progress=progress):
        yield prediction.position, _to_scored(images[prediction.position], prediction, model.classes, gate)


def _to_scored(image: ImageRecord, prediction: Prediction, classes: Sequence[str], gate: str) -> Scored:
    """Put a prediction beside the image that it is for, with its score by a gate."""
    probability_K, known_class = prediction.class_probability_K, known_index(prediction.example, classes)
    return Scored(
        image,
        prediction.boxes,
        classes[prediction.class_index],
        float(probability_K[prediction.class_index]),
        prediction.score(gate, known_class),
        prediction.box_scores,
        prediction.presence if prediction.judges_presence else None,
        float(probability_K[known_class]) if known_class is not None else None,
        prediction.entropy,
        1 - prediction.agreement,
    )
