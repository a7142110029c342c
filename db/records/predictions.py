"""What a model says about an image file that is not registered."""

from dataclasses import dataclass

from db.imaging.boxes import Box


@dataclass(frozen=True, slots=True)
class FilePrediction:
    """What a model says about one image file."""

    file: str
    """Its path or URI."""
    width: int
    """Of the upright image, pixels."""
    height: int
    class_name: str | None
    """The most probable one; None from a network that only finds."""
    class_probability: float | None
    """0 to 1."""
    score: float
    """What `--tau` is compared with, 0 to 1."""
    presence: float | None
    """Probability that there is something to find; None from a model without an output for it."""
    boxes: tuple[Box, ...]
    """Pixels of the upright image; none where nothing is found."""
    box_scores: tuple[float, ...]
    """One a box, 0 to 1."""


@dataclass(frozen=True, slots=True)
class UnreadableFile:
    """A file that cannot be scored."""

    file: str
    reason: str
