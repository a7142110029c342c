"""Boxes in pixels of the displayed (EXIF-upright) image; no dependencies, so that everything may use them."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Box:
    """An axis-parallel rectangle in pixels of the upright image, top-left origin."""

    x: float
    y: float
    width: float
    height: float

    @property
    def area(self) -> float:
        """Area in square pixels."""
        return self.width * self.height
