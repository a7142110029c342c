"""The label check: images whose class or box is contradicted by models that were trained without them.

The images outside test are cut into folds by group; for each fold a model is trained on the others, and judges it. The
trainings are runs like any other: one that was finished is not repeated, one that was cut goes on.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace

from db.curation.doctor import CONFLICT, Finding, find_problems
from db.errors import InvalidArgument
from db.progress import Progress, SilentProgress
from db.records.asked import LABEL_CHECK, NewQuery, Part, QueryRecord, Question
from db.registry import Registry
from learner.config import TrainConfig
from learner.data.selection import select_training_data
from learner.distributed import Processes
from learner.evaluation.contradictions import box_contradictions, class_contradictions
from learner.evaluation.evaluate import score_examples
from learner.evaluation.per_image import ImageResult
from learner.inference.trained_model import open_run
from learner.query.batch import Shares
from learner.training.train_once import train_once


@dataclass(frozen=True, slots=True)
class LabelCheck:
    """How labels are checked."""

    config: TrainConfig
    """Of the trainings."""
    folds: int = 5

    def __post_init__(self) -> None:
        if self.folds < 2:
            raise InvalidArgument(f"--folds must be at least 2, got {self.folds}")


def find_label_errors(
    registry: Registry, check: LabelCheck, *, progress: Progress | None = None
) -> tuple[Finding, ...]:
    """Train a model for each fold, and list the labels that it contradicts; look-alikes of different classes, too.

    Args:
        registry: whose labels are checked; nothing in it is changed but for the runs that are added.
        check: settings and folds.
        progress: where to show how far it is.

    Returns:
        Findings, those of one kind together, the surest first.

    Raises:
        DataInvalid: there is too little to train on; CheckUnavailable: cleanlab is not installed.
        LearnerError: as trainings do; folds that were done stay done.
    """
    progress = progress or SilentProgress()
    rows: list[ImageResult] = []
    classes: Sequence[str] = ()
    for fold in range(check.folds):
        config = replace(check.config, folds=check.folds, fold=fold)
        progress.say(f"fold {fold + 1} of {check.folds}")
        # All folds tell the same classes apart: those of the images to learn from and of the fold together.
        of_fold, classes = _score_fold(registry, config, progress)
        rows += of_fold
    with registry.read() as tx:
        images = {image.id: image for image in tx.images.select()}
    contradicted = [
        *class_contradictions(rows, classes),
        *box_contradictions(rows, check.config.tau),
    ]
    conflicts = [finding for finding in find_problems(registry, progress=progress) if finding.kind == CONFLICT]
    return (*(Finding(item.what, [images[item.image]], item.detail) for item in contradicted), *conflicts)


def _score_fold(registry: Registry, config: TrainConfig, progress: Progress) -> tuple[list[ImageResult], list[str]]:
    run, _ = train_once(registry, config, progress)
    model = open_run(registry, run.name)
    with registry.begin(rehearsal=True) as tx:
        examples = select_training_data(tx, config).val.opened(registry)
    return score_examples(model, examples, Processes(), progress), model.classes


def ask_about(registry: Registry, findings: Sequence[Finding]) -> QueryRecord | None:
    """Store the images of findings as a query, to be looked at again; each image once.

    Returns:
        The query; None where there is nothing to ask.
    """
    reasons: dict[int, str] = {}
    for finding in findings:
        for image in finding.images:
            reasons.setdefault(image.id, finding.detail)
    if not reasons:
        return None
    with registry.begin() as tx:
        return tx.asked.add(
            NewQuery(
                strategy=LABEL_CHECK,
                seed=0,
                budget=len(reasons),
                options=asdict(Shares(0, 1, 0)),
                run_id=None,
                questions=tuple(Question(image, Part.DRAW, None, why) for image, why in reasons.items()),
            )
        )
