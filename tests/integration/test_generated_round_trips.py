"""Registries as they come, through every format and back: what a format can say is equal, the rest it warns of."""

import dataclasses

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from annotator.datasets.decode import open_entries
from annotator.datasets.export_images import ExportRequest, export_images
from annotator.datasets.formats.supported import read_layout
from annotator.datasets.listing.entries import Refusal
from db.imaging.decode import hash_content, mask_from_png, png_from_mask
from db.imaging.files import ImageFile
from db.imaging.geometry import boxes_from_mask
from db.records import Box, Location, LocationSource, LocationStatus, NewImage, NewLabel, Split
from db.registry import create_registry
from tests.accounts import assert_adds_up

W, H = 24, 16
FILES = [
    "a.png", "A.PNG", "p1/a.png", "p2/a.png", "with blank.png", " b .png", "ümlaut ß.png", "new\nline.png", "IM2",
    "c.jfif", "scan.2024", "a-3.png", 'qu"o,te;\'.png', "labels.png", "x_mask.png", "#frame=3.png", "l" * 220 + ".png",
    "%41.png", "train/test/images/d.png", "é.png",
]  # fmt: skip
CLASSES = [None, "benign", "None", "nan", " blank ", "two\nlines", "a,b", 'qu"ote', "7", "ümlaut", "<x>&", "bell\x07"]
GROUPS = [None, "p1", "Patient 7 ", "None", "a\nb", "ü,\"'"]


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    """The images, all of different content, with their content hashes."""
    folder = tmp_path_factory.mktemp("pictures")
    found = []
    for n, name in enumerate(FILES):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        noise = np.random.default_rng(n).integers(0, 255, (H, W), dtype=np.uint8)
        Image.fromarray(noise).save(path, "JPEG" if name.endswith("jfif") else "PNG")
        file = ImageFile.at(path)
        found.append((file, hash_content(file, path.read_bytes())))
    return found


@st.composite
def boxes(draw):
    x, y = draw(st.integers(0, 2 * W - 2)) / 2, draw(st.integers(0, 2 * H - 2)) / 2
    return Box(x, y, draw(st.integers(1, int(2 * (W - x)))) / 2, draw(st.integers(1, int(2 * (H - y)))) / 2)


@st.composite
def locations(draw):
    kind = draw(st.sampled_from(["unknown", "empty", "boxes", "mask", "mask and boxes"]))
    if kind == "unknown":
        return None
    if kind == "empty":
        return Location(LocationStatus.EMPTY)
    own = tuple(draw(st.lists(boxes(), min_size=1, max_size=3, unique=True)))
    if kind == "boxes":
        return Location(LocationStatus.PRESENT, own)
    mask = np.zeros((H, W), dtype=bool)
    for _ in range(draw(st.integers(1, 2))):
        x, y = draw(st.integers(0, W - 1)), draw(st.integers(0, H - 1))
        mask[y : y + draw(st.integers(1, 9)), x : x + draw(st.integers(1, 9))] = True
    return Location(LocationStatus.PRESENT, own if "boxes" in kind else boxes_from_mask(mask), png_from_mask(mask))


images = st.lists(
    st.tuples(
        st.integers(0, len(FILES) - 1),
        st.sampled_from(CLASSES),
        st.sampled_from(GROUPS),
        st.sampled_from([None, *Split]),
        locations(),
    ),
    min_size=1,
    max_size=6,
    unique_by=lambda item: item[0],
)


def statement(class_name, group, split, location):
    """What is known of an image, in a form that can be compared."""
    if location is None:
        return class_name, group, split, "unknown", (), None
    mask = mask_from_png(location.mask_png).tolist() if location.mask_png is not None else None
    places = tuple(tuple(round(side, 6) for side in dataclasses.astuple(box)) for box in location.boxes)
    return class_name, group, split, str(location.status), places, mask


def write(folder, pictures, given_images, layout):
    registry = create_registry(f"sqlite:///{folder}/r.sqlite3", folder)
    with registry.begin() as tx:
        ids = tx.images.add(
            [NewImage(*pictures[n], W, H, class_name, group, split) for n, class_name, group, split, _ in given_images]
        )
        tx.labels.append_many(
            [
                NewLabel(image_id, item[4], LocationSource.IMPORTED, on_test=True)
                for image_id, item in zip(ids, given_images, strict=True)
                if item[4] is not None
            ]
        )
    report = export_images(registry, ExportRequest(folder / "out", layout, unlabeled=True))
    registry.close()
    return report


@pytest.mark.parametrize("layout", ["coco", "csv", "voc", "yolo"])
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(given_images=images)
def test_what_goes_out_comes_back(tmp_path_factory, pictures, layout, given_images):
    folder = tmp_path_factory.mktemp("trip")
    report = write(folder, pictures, given_images, layout)
    assert (report.images, report.skipped) == (len(given_images), [])
    listing = read_layout(layout, folder / "out")
    assert_adds_up(listing)
    assert (listing.refusals, listing.unused) == ([], [])
    found = {}
    for entry, opened in zip(listing.entries, open_entries(listing.entries), strict=True):
        assert not isinstance(opened, Refusal), opened
        (image,) = opened
        found[image.content_hash] = statement(image.class_name, image.group, entry.split, image.location)
    expected = {pictures[n][1]: statement(*rest) for n, *rest in given_images}
    if layout == "yolo":
        masked = sum(item[5] is not None for item in expected.values())
        assert bool(masked) == any(" a mask, of which" in warning for warning in report.warnings)
        expected = {key: (*item[:5], None) for key, item in expected.items()}
    else:
        assert report.warnings == []
    assert found == expected
