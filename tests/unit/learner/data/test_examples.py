"""Packed images: what comes out is what was put in, in little memory."""

import sys
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from db.imaging.files import ImageFile
from db.records import Box, ImageRecord, LocationLabel, LocationSource, LocationStatus, NewLabel, Split
from learner.data.examples import PackedImages, examples_from_records
from learner.data.location_share import examples_with_share, hide_locations
from tests.builders import add_images, new_image, present

boxes = st.builds(Box, *[st.floats(0, 5000)] * 2, *[st.floats(0.1, 5000)] * 2)
paths = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1, max_size=30)


@st.composite
def records(draw):
    found, ids = [], draw(st.lists(st.integers(1, 2**40), unique=True, max_size=8))
    for number in sorted(ids):
        status = draw(st.sampled_from([None, *LocationStatus]))
        label = None
        if status is not None:
            of_image = tuple(draw(st.lists(boxes, min_size=1, max_size=3))) if status == "present" else ()
            label = LocationLabel(
                number + 1, number, 1, status, of_image, False, LocationSource.IMPORTED, None, None, datetime.now(UTC)
            )
        file = ImageFile(f"/{draw(paths)}", draw(st.none() | st.integers(0, 99)))
        found.append(
            ImageRecord(
                number, file, f"sha256:{number:064x}", draw(st.integers(1, 10**5)), draw(st.integers(1, 10**5)),
                draw(st.sampled_from([None, "", "benign", "b\u00f6se"])), None,
                draw(st.sampled_from([None, *Split])), label,
            )
        )  # fmt: skip
    return found


class NoMasks:
    """A transaction in which no label has a mask."""

    class labels:
        mask_pngs = staticmethod(lambda ids: {})


def packed(images):
    into = PackedImages()
    for image in images:
        into.add(image)
    return into


@given(records(), st.randoms())
def test_what_was_put_in_comes_out(images, random):
    expected = examples_from_records(NoMasks, images)
    examples = packed(images).all()
    assert list(examples) == expected
    assert examples.ids == [image.id for image in images]
    assert list(examples.class_names) == [image.class_name for image in images]
    assert list(examples.statuses) == [image.location_status for image in images]
    assert [one.boxes for one in examples.sizes] == [image.boxes for image in images]
    order = random.sample(range(len(images)), k=random.randint(0, len(images)))
    assert list(examples.select(order)) == [expected[n] for n in order]
    assert examples[1:3] == expected[1:3]


@given(records(), st.floats(0, 1), st.integers(0, 5))
def test_hiding_locations_is_the_same_as_of_records(images, share, seed):
    shown = examples_with_share(packed(images).all(), share, seed)
    assert list(shown) == examples_from_records(NoMasks, hide_locations(images, share, seed))
    assert [one.boxes for one in shown.sizes] == [one.location.boxes if one.location else () for one in shown]


def test_masks_come_from_the_registry_all_at_once(registry, monkeypatch):
    ids = add_images(registry, *(new_image(f"{n}.png") for n in range(4)))
    with registry.begin() as tx:
        for key in ids[:3]:
            location = replace(present(), mask_png=b"mask %d" % key) if key != ids[1] else present()
            tx.labels.append(NewLabel(key, location, LocationSource.IMPORTED))
        images = tx.images.select()
        expected = examples_from_records(tx, images)
    into = packed(images).all()
    with pytest.raises(AssertionError, match="opened"):
        list(into)
    assert list(into.opened(registry)) == expected
    reads = []
    real = type(registry).read
    monkeypatch.setattr(type(registry), "read", lambda self: reads.append(1) or real(self))
    opened = into.opened(registry)
    assert [one.location.mask_png if one.location else None for one in opened.take([2, 0, 3])] == [
        b"mask %d" % ids[2], b"mask %d" % ids[0], None,
    ]  # fmt: skip
    opened.take([2, 0], masks=False)
    opened.hiding(ids).take([0, 2])
    assert len(reads) == 1


def test_an_image_takes_little_memory():
    record = ImageRecord(1, ImageFile("/data/some/folder/of/a/hospital/image-0000001.png"), "sha256:" + "0" * 64,
                         640, 480, "benign", None, Split.TRAIN)  # fmt: skip
    into = packed(replace(record, id=n) for n in range(2000))
    arrays = [value for value in vars(into).values() if not isinstance(value, (dict, list))]
    assert sum(map(sys.getsizeof, arrays)) < 2000 * 220
