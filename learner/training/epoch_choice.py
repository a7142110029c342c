"""Which epoch of stage 2 is kept: the last one, or the best one on validation. Pure."""

from collections.abc import Mapping

Measured = Mapping[str, float | None]


def selection_score(measured: Measured, select: str) -> float | None:
    """What the best epoch is best in; None where validation cannot tell.

    `dice_auc` adds the AUC to the mean Dice over images with a lesion, averaged with the share of the images known to
    be empty on which nothing is drawn. A method that does not classify is chosen by Dice, whatever is asked for.

    Args:
        measured: accuracy, auc, dice and empty, see `learner.training.loop.validate`.
        select: `last`, `dice_auc` or `accuracy`.
    """
    if select == "last":
        return None
    if select == "accuracy" and measured["accuracy"] is not None:
        return measured["accuracy"]
    located = [value for name in ("dice", "empty") if (value := measured.get(name)) is not None]
    parts = [sum(located) / len(located)] if located else []
    parts += [auc] if (auc := measured["auc"]) is not None else []
    return sum(parts) if parts else None


def is_better(score: float | None, best: float | None) -> bool:
    """Say whether an epoch replaces the one that was kept so far; of equal ones the later is trained longer.

    Where nothing can be measured every epoch does, so that the last one is kept.
    """
    return score is None or best is None or score >= best
