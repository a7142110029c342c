from hypothesis import given
from hypothesis import strategies as st

from db.records import Box
from learner.data.location_share import hide_locations
from tests.builders import image_record, label_record


def images(count):
    return [
        image_record(id=n, class_name="benign" if n % 3 else "malignant", label=label_record(Box(1, 2, 3, 4)))
        for n in range(count)
    ] + [image_record(id=1000, class_name="benign")]


def kept(result):
    return {image.id for image in result if image.label is not None}


@given(st.integers(6, 60), st.floats(0, 1), st.integers(0, 5))
def test_a_share_of_every_class_is_kept(count, share, seed):
    given_images = images(count)
    result = hide_locations(given_images, share, seed)
    assert [image.id for image in result] == [image.id for image in given_images]
    for name in ("benign", "malignant"):
        of_class = {image.id for image in given_images if image.class_name == name and image.label}
        left = len(kept(result) & of_class)
        assert abs(left - share * len(of_class)) <= 1
        assert left >= (share > 0)
    assert hide_locations(given_images, share, seed) == result


def test_smaller_shares_lie_in_larger_ones_and_seeds_differ():
    given_images = images(60)
    quarter, half = (kept(hide_locations(given_images, share, 0)) for share in (0.25, 0.5))
    assert quarter < half
    assert quarter != kept(hide_locations(given_images, 0.25, 1))
    assert hide_locations(given_images, 1.0, 0) == given_images
