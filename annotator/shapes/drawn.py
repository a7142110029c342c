"""Shapes as labeling programs draw them, in pixels of the upright image, and the boxes and masks they are. Pure.

A pixel is inside a shape if its centre is; corners are given where pixels meet, so that the whole of an image of
width 10 reaches from 0 to 10.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from annotator.shapes.limits import check_canvas, check_corners, number_in_range
from annotator.shapes.polygons import MIN_CORNERS, Points, mask_from_polygon
from db.records import Box


@dataclass(frozen=True, slots=True)
class Rectangle:
    """A box, and nothing else."""

    rectangle: Box

    def box(self) -> Box:
        """Return it."""
        return self.rectangle

    def mask(self, height: int, width: int) -> NDArray[np.bool_] | None:
        """Return None: what of a rectangle is the lesion is not known."""
        return None


@dataclass(frozen=True, slots=True)
class Polygon:
    """A closed outline of at least three corners."""

    corners: Points

    def __post_init__(self) -> None:
        if len(self.corners) < MIN_CORNERS:
            raise ValueError(f"a polygon needs at least {MIN_CORNERS} corners, it has {len(self.corners)}")
        check_corners(len(self.corners))
        for corner in self.corners:
            for number in corner:
                number_in_range(number, "a corner of a polygon")

    def box(self) -> Box:
        """Return the box around it."""
        xs, ys = [x for x, _ in self.corners], [y for _, y in self.corners]
        return Box(min(xs), min(ys), max(xs) - min(xs), max(ys) - min(ys))

    def mask(self, height: int, width: int) -> NDArray[np.bool_] | None:
        """Fill it; bool HW."""
        return mask_from_polygon(self.corners, height, width)


@dataclass(frozen=True, slots=True)
class Ellipse:
    """An ellipse by its centre, half axes and rotation; a circle has two equal ones."""

    x: float
    y: float
    radius_x: float
    radius_y: float
    degrees: float = 0.0
    """Clockwise on the screen, around the centre."""

    def __post_init__(self) -> None:
        numbers = (self.x, self.y, self.radius_x, self.radius_y, self.degrees)
        for number in numbers:
            number_in_range(number, "the centre, radius or rotation of an ellipse")
        if self.radius_x <= 0 or self.radius_y <= 0:
            raise ValueError("an ellipse needs a centre and two positive radii")

    def box(self) -> Box:
        """Return the box around it."""
        cosine, sine = math.cos(math.radians(self.degrees)), math.sin(math.radians(self.degrees))
        half_width = math.hypot(self.radius_x * cosine, self.radius_y * sine)
        half_height = math.hypot(self.radius_x * sine, self.radius_y * cosine)
        return Box(self.x - half_width, self.y - half_height, 2 * half_width, 2 * half_height)

    def mask(self, height: int, width: int) -> NDArray[np.bool_] | None:
        """Fill it; bool HW."""
        check_canvas(height, width)
        cosine, sine = math.cos(math.radians(self.degrees)), math.sin(math.radians(self.degrees))
        right_W, down_H = np.arange(width) + 0.5 - self.x, np.arange(height) + 0.5 - self.y
        along_HW = (right_W[None, :] * cosine + down_H[:, None] * sine) / self.radius_x
        across_HW = (down_H[:, None] * cosine - right_W[None, :] * sine) / self.radius_y
        return np.asarray(along_HW**2 + across_HW**2 <= 1, dtype=bool)


@dataclass(frozen=True, slots=True)
class Painted:
    """A mask of a part of the image."""

    inside_HW: NDArray[np.bool_]
    left: int = 0
    top: int = 0

    def __post_init__(self) -> None:
        if not self.inside_HW.any():
            raise ValueError("a mask has nothing inside")

    def box(self) -> Box:
        """Return the box around what is inside."""
        rows_N, columns_N = np.nonzero(self.inside_HW.any(axis=1))[0], np.nonzero(self.inside_HW.any(axis=0))[0]
        return Box(
            float(self.left + columns_N[0]),
            float(self.top + rows_N[0]),
            float(columns_N[-1] - columns_N[0] + 1),
            float(rows_N[-1] - rows_N[0] + 1),
        )

    def mask(self, height: int, width: int) -> NDArray[np.bool_] | None:
        """Return it on the whole image, bool HW; what lies beyond the edge is cut."""
        check_canvas(height, width)
        whole_HW = np.zeros((height, width), dtype=bool)
        top, left = max(self.top, 0), max(self.left, 0)
        part_HW = self.inside_HW[top - self.top :, left - self.left :][: height - top, : width - left]
        whole_HW[top : top + part_HW.shape[0], left : left + part_HW.shape[1]] = part_HW
        return whole_HW


Shape = Rectangle | Polygon | Ellipse | Painted
