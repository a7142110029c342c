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
    pseudo: str
    """Where pseudo masks come from: teacher, self, none."""


def make_stages(config: TrainConfig) -> tuple[StageConfig, StageConfig]:
    """Return the two stages of a configuration."""
    return (
        StageConfig(
            name="stage 1",
            number=1,
            epochs=config.stage1_epochs,
            all_images=False,
            classify=False,
            pseudo="none",
        ),
        StageConfig(
            name="stage 2",
            number=2,
            epochs=config.stage2_epochs,
            all_images=True,
            classify=True,
            pseudo=config.pseudo,
        ),
    )
