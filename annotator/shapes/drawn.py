"""Shapes as labeling programs draw them, in pixels of the upright image, and the boxes and masks they are. Pure.

A pixel is inside a shape if its centre is; corners are given where pixels meet, so that the whole of an image of
width 10 reaches from 0 to 10.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from annotator.shapes.limits import check_canvas, check_corners, number_in_range
from annotator.shapes.polygons import MIN_CORNERS, Points, mask_from_polygon
from db.imaging.geometry import clip_box
from db.records import Box


def _extent(points: Iterable[tuple[float, float]], width: int, height: int) -> Box | None:
    """Return the box around those of the points that lie on an image, None where it has no area."""
    inside = [(x, y) for x, y in points if 0 <= x <= width and 0 <= y <= height]
    if not inside:
        return None
    xs, ys = [x for x, _ in inside], [y for _, y in inside]
    box = Box(min(xs), min(ys), max(xs) - min(xs), max(ys) - min(ys))
    return box if box.area > 0 else None


@dataclass(frozen=True, slots=True)
class Rectangle:
    """A box, and nothing else."""

    rectangle: Box

    def box(self) -> Box:
        """Return it."""
        return self.rectangle

    def box_on(self, width: int, height: int) -> Box | None:
        """Return the box around what of it lies on an image of this size, None where nothing does."""
        return clip_box(self.rectangle, width, height)

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

    def box_on(self, width: int, height: int) -> Box | None:
        """Return the box around what of it lies on an image of this size, None where nothing does."""
        # What it has in common with the image ends at its own corners, where it crosses the edge, and at the image's.
        crossings = [
            *self._crossings(0, 0.0),
            *self._crossings(0, float(width)),
            *((x, y) for y, x in self._crossings(1, 0.0)),
            *((x, y) for y, x in self._crossings(1, float(height))),
        ]
        corners = [(x, y) for x in (0.0, float(width)) for y in (0.0, float(height)) if self._surrounds(x, y)]
        return _extent([*self.corners, *crossings, *corners], width, height)

    def _crossings(self, axis: int, value: float) -> list[tuple[float, float]]:
        """Return where its edges cross a line on which one coordinate has this value, that coordinate first."""
        found = []
        for start, end in zip(self.corners, [*self.corners[1:], self.corners[0]], strict=True):
            if (start[axis] < value) != (end[axis] < value):
                share = (value - start[axis]) / (end[axis] - start[axis])
                found.append((value, start[1 - axis] + share * (end[1 - axis] - start[1 - axis])))
        return found

    def _surrounds(self, x: float, y: float) -> bool:
        """Say whether a point lies inside, even-odd as it is filled."""
        return sum(across > x for _, across in self._crossings(1, y)) % 2 == 1

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

    def box_on(self, width: int, height: int) -> Box | None:
        """Return the box around what of it lies on an image of this size, None where nothing does."""
        box = self.box()
        half_width, half_height = box.width / 2, box.height / 2
        turned = math.radians(self.degrees)
        # It runs through x + half_width * cos(t - to_right) and y + half_height * cos(t - to_bottom).
        to_right = math.atan2(-self.radius_y * math.sin(turned), self.radius_x * math.cos(turned))
        to_bottom = math.atan2(self.radius_y * math.cos(turned), self.radius_x * math.sin(turned))
        points: list[tuple[float, float]] = []
        for to_edge, half, centre, side, is_x in (
            (to_right, half_width, self.x, width, True),
            (to_bottom, half_height, self.y, height, False),
        ):
            edges = [value for value in (0.0, float(side)) if abs(value - centre) <= half]
            for value, cosine in [
                (centre - half, -1.0),
                (centre + half, 1.0),
                *((e, (e - centre) / half) for e in edges),
            ]:
                away = math.acos(max(-1.0, min(1.0, cosine)))
                for t in (to_edge + away, to_edge - away):
                    along = self.x + half_width * math.cos(t - to_right)
                    down = self.y + half_height * math.cos(t - to_bottom)
                    points.append((value, down) if is_x else (along, value))
        corners = [(x, y) for x in (0.0, float(width)) for y in (0.0, float(height)) if self._surrounds(x, y)]
        return _extent([*points, *corners], width, height)

    def _surrounds(self, x: float, y: float) -> bool:
        cosine, sine = math.cos(math.radians(self.degrees)), math.sin(math.radians(self.degrees))
        right, down = x - self.x, y - self.y
        along, across = right * cosine + down * sine, down * cosine - right * sine
        return (along / self.radius_x) ** 2 + (across / self.radius_y) ** 2 <= 1

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
            raise ValueError("a mask is empty")

    def box(self) -> Box:
        """Return the box around what is inside."""
        rows_N, columns_N = np.nonzero(self.inside_HW.any(axis=1))[0], np.nonzero(self.inside_HW.any(axis=0))[0]
        return Box(
            float(self.left + columns_N[0]),
            float(self.top + rows_N[0]),
            float(columns_N[-1] - columns_N[0] + 1),
            float(rows_N[-1] - rows_N[0] + 1),
        )

    def box_on(self, width: int, height: int) -> Box | None:
        """Return the box around what of it lies on an image of this size, None where nothing does."""
        top, left = max(self.top, 0), max(self.left, 0)
        part_HW = self.inside_HW[top - self.top :, left - self.left :][: max(height - top, 0), : max(width - left, 0)]
        return Painted(part_HW, left, top).box() if part_HW.any() else None

    def mask(self, height: int, width: int) -> NDArray[np.bool_] | None:
        """Return it on the whole image, bool HW; what lies beyond the edge is cut."""
        check_canvas(height, width)
        whole_HW = np.zeros((height, width), dtype=bool)
        top, left = max(self.top, 0), max(self.left, 0)
        part_HW = self.inside_HW[top - self.top :, left - self.left :][: height - top, : width - left]
        whole_HW[top : top + part_HW.shape[0], left : left + part_HW.shape[1]] = part_HW
        return whole_HW


Shape = Rectangle | Polygon | Ellipse | Painted
