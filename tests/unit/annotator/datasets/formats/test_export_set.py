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
def test_a_divided_mask_is_whole_again(rectangles, seed):
    mask = np.random.default_rng(seed).random((30, 30)) > 0.7
    parts = masks_by_box(mask, [Box(*rectangle) for rectangle in rectangles])
    assert (np.sum(parts, axis=0) == mask).all()
