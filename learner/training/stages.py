"""What differs between the two stages, as data. There is one training loop.

Source: the paper's Algorithm 1 (stage 1: FEX and LA-Net on fully-labeled images; stage 2: everything on all images).
"""

from dataclasses import dataclass

from learner.config import TrainConfig


@dataclass(frozen=True, slots=True, kw_only=True)
class StageConfig:
    """One stage of a training."""

    name: str
    number: int
    epochs: int
    all_images: bool
    """All images, or only those whose location is known."""
    classify: bool
    """Train the classifier and weigh its loss by lambda; else only localization is trained."""
    localize: bool
    """Train localization; else only the classifier is trained, and its loss is not weighed."""
    pseudo: str
    """Where pseudo masks come from: teacher, self, none."""


def make_stages(config: TrainConfig) -> tuple[StageConfig, StageConfig]:
    """Return the two stages of a configuration.

    The first stage is for methods that localize and classify; the others have the second alone.
    """
    joint = config.localizes and config.classifies
    return (
        StageConfig(
            name="stage 1",
            number=1,
            epochs=config.stage1_epochs if joint else 0,
            all_images=False,
            classify=False,
            localize=True,
            pseudo="none",
        ),
        StageConfig(
            name="stage 2",
            number=2,
            epochs=config.stage2_epochs,
            all_images=config.classifies and config.images == "all",
            classify=config.classifies,
            localize=config.localizes,
            pseudo=config.pseudo if joint and config.images == "all" else "none",
        ),
    )
