"""What writers of formats share."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from annotator.datasets.export_set import masks_by_box
from db.records import Box


@given(
    st.lists(
        st.tuples(st.integers(0, 20), st.integers(0, 20), st.integers(1, 9), st.integers(1, 9)), min_size=1, max_size=4
    ),
    st.integers(0, 2**32 - 1),
)
def test_a_divided_mask_is_whole_again_and_no_part_is_empty(rectangles, seed):
    mask = np.random.default_rng(seed).random((30, 30)) > 0.7
    parts = masks_by_box(mask, [Box(*rectangle) for rectangle in rectangles])
    assert (np.any(parts, axis=0) == mask).all()
    for (x, y, width, height), part in zip(rectangles, parts, strict=True):
        assert part.any() or not mask[y : y + height, x : x + width].any()


def test_a_pixel_belongs_to_the_smallest_box_around_it():
    mask = np.ones((10, 10), dtype=bool)
    around, within = masks_by_box(mask, [Box(0, 0, 10, 10), Box(2, 2, 3, 3)])
    assert (int(around.sum()), int(within.sum())) == (91, 9)
