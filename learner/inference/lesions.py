"""Mask -> lesions: one box each, also where several lie so close that their parts of the mask touch. Pure.

A part of a mask is several lesions where it has a neck: two places that are far from its border, and between them none
that is nearly as far. It is cut across the neck, by a watershed on the distance to the border.

Source of the cut: Beucher and Lantuéjoul 1979, Use of watersheds in contour detection; as in scikit-image's example of
touching coins.
"""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from db.imaging.geometry import MIN_AREA_SHARE, Component, mask_components
from db.records import Box

NECK = 0.6
"""A neck is narrower than this share of the narrower of both parts. On the 581 components of the real masks in
BUSI this cuts four that are one lesion, and it finds 95% of pairs of ellipses that just touch (docs/results.md)."""
SMALLEST = 0.05
"""A part below this share of its component's area is a spur of the outline, not a lesion."""
NEIGHBOURS = (
    (np.s_[:-1, :], np.s_[1:, :]),
    (np.s_[:, :-1], np.s_[:, 1:]),
    (np.s_[:-1, :-1], np.s_[1:, 1:]),
    (np.s_[:-1, 1:], np.s_[1:, :-1]),
)
"""Pairs of views of an array in which a pixel lies where one of its eight neighbours lies."""
FINE_PX = 256
"""Longer side at which a neck is looked for; finer than any network's answer."""
COARSE_PX, COARSE_NECK = 64, 0.9
"""The same for a first look, which takes a tenth of the time: most lesions have no neck, not even a wider one."""


def lesion_boxes(mask_HW: NDArray[np.bool_], *, split: bool) -> tuple[Box, ...]:
    """Find the boxes of the lesions in a mask.

    Args:
        mask_HW: bool, True inside.
        split: cut parts of the mask at their necks; else each component is one lesion.

    Returns:
        Boxes in pixels of the mask, the largest lesion first; parts below 2% of the mask's area are left out.
    """
    components = mask_components(mask_HW)
    if not split:
        return tuple(component.box for component in components)
    least = MIN_AREA_SHARE * np.count_nonzero(mask_HW)
    parts = [part for component in components for part in split_at_necks(component)]
    areas = [np.count_nonzero(part.inside_HW) for part in parts]
    order = sorted(range(len(parts)), key=lambda n: -areas[n])
    return tuple(parts[n].box for n in order if areas[n] >= least)


def split_at_necks(component: Component) -> list[Component]:
    """Cut a component of a mask into the lesions that it is made of.

    Returns:
        Its parts, which cover it; itself where it has no neck.
    """
    from skimage.segmentation import watershed

    inside_HW = component.inside_HW
    if max(inside_HW.shape) > COARSE_PX and _cut(inside_HW, COARSE_PX, COARSE_NECK) is None:
        return [component]
    markers_HW = _cut(inside_HW, FINE_PX, NECK)
    if markers_HW is None:
        return [component]
    step = _step(inside_HW, FINE_PX)
    rows_H, columns_W = np.arange(inside_HW.shape[0]) // step, np.arange(inside_HW.shape[1]) // step
    full_HW = markers_HW[rows_H[:, None], columns_W[None, :]]
    # Pixels between the coarse ones that are inside belong to the nearest lesion.
    flat_HW = np.zeros(inside_HW.shape, dtype=np.uint8)
    full_HW = watershed(flat_HW, full_HW * inside_HW, mask=inside_HW, connectivity=2)
    return list(_parts(component, full_HW))


def _step(inside_HW: NDArray[np.bool_], finest_px: int) -> int:
    height, width = inside_HW.shape
    return int(-(-max(height, width) // finest_px))


def _cut(inside_HW: NDArray[np.bool_], finest_px: int, neck: float) -> NDArray[np.int64] | None:
    """Return the number of the lesion of each pixel, of every `_step`th row and column; None where there is no neck."""
    from skimage.segmentation import watershed

    step = _step(inside_HW, finest_px)
    coarse_HW = np.pad(inside_HW[::step, ::step], 1)
    depth_HW, peaks_HW = _depth(coarse_HW)
    if peaks_HW.max() < 2:
        return None
    basins_HW = watershed(-depth_HW, peaks_HW, mask=coarse_HW)
    lesion_of_basin = _joined(basins_HW, depth_HW, neck)
    if len({*lesion_of_basin.tolist()} - {0}) < 2:
        return None
    markers_HW: NDArray[np.int64] = lesion_of_basin[basins_HW][1:-1, 1:-1]
    return markers_HW


def _depth(inside_HW: NDArray[np.bool_]) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Return each pixel's distance to the border, and the places that are farthest from it, numbered from 1."""
    from scipy.ndimage import distance_transform_edt, label, maximum_filter

    depth_HW = distance_transform_edt(inside_HW)
    peaks_HW, _ = label((depth_HW == maximum_filter(depth_HW, size=5)) & inside_HW, structure=np.ones((3, 3)))
    return depth_HW, peaks_HW


def _joined(basins_HW: NDArray[np.int64], depth_HW: NDArray[np.float64], neck: float) -> NDArray[np.int64]:
    """Join basins between which there is no neck, from the widest pass on.

    Returns:
        int, the lesion of each basin by its number, the background's 0 first; 0 for one that is too small.
    """
    from scipy.ndimage import maximum

    number = int(basins_HW.max())
    height_N = np.concatenate([[0.0], np.atleast_1d(maximum(depth_HW, basins_HW, range(1, number + 1)))])
    area_N = np.bincount(basins_HW.ravel(), minlength=number + 1)
    least = SMALLEST * area_N[1:].sum()
    lesion_N = np.arange(number + 1)
    for one, other, width in sorted(_passes(basins_HW, depth_HW), key=lambda found: -found[2]):
        low, high = sorted((lesion_N[one], lesion_N[other]), key=lambda lesion: height_N[lesion])
        if low == high or (width < neck * height_N[low] and min(area_N[low], area_N[high]) >= least):
            continue
        lesion_N[lesion_N == low] = high
        area_N[high] += area_N[low]
    # What hangs together at full resolution only, and is small.
    return np.where(area_N[lesion_N] >= least, lesion_N, 0)


def _passes(basins_HW: NDArray[np.int64], depth_HW: NDArray[np.float64]) -> Iterator[tuple[int, int, float]]:
    """Yield pairs of basins that touch, and the greatest distance to the border on the line between them."""
    widest: dict[tuple[int, int], float] = {}
    for one, other in NEIGHBOURS:
        a_HW, b_HW = basins_HW[one], basins_HW[other]
        touch_HW = (a_HW != b_HW) & (a_HW > 0) & (b_HW > 0)
        width_P = np.minimum(depth_HW[one], depth_HW[other])[touch_HW]
        pairs = np.sort(np.stack([a_HW[touch_HW], b_HW[touch_HW]], axis=1), axis=1).tolist()
        for (first, second), width in zip(pairs, width_P.tolist(), strict=True):
            widest[first, second] = max(width, widest.get((first, second), 0.0))
    for (first, second), width in widest.items():
        yield first, second, width


def _parts(component: Component, lesions_HW: NDArray[np.int64]) -> Iterator[Component]:
    from scipy.ndimage import find_objects

    for number, place in enumerate(find_objects(lesions_HW), start=1):
        if place is not None:
            y, x = place
            yield Component(component.left + x.start, component.top + y.start, lesions_HW[y, x] == number)
