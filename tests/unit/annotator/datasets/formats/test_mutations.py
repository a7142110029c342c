"""Valid data sets with one file damaged: never a traceback, never a hang, never a good image lost.

A short run is a part of the tests; `make fuzz` makes thousands of trials (PARTLY_FUZZ is the number per format).
"""

import copy
import json
import os
import resource
import shutil
import sys
import time
import warnings
import xml.etree.ElementTree as ElementTree
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian

from annotator.datasets.decode import open_entries
from annotator.datasets.formats.supported import read_layout
from annotator.datasets.listing.entries import Refusal
from annotator.errors import DataUnreadable
from db.errors import InvalidArgument
from tests.accounts import assert_adds_up
from tests.unit.annotator.datasets.formats.test_as_people_write_them import (
    SECOND,
    annotation,
    coco,
    text,
    voc,
    yolo,
)
from tests.unit.annotator.datasets.formats.test_labeling_programs import (
    RECT,
    choice,
    cvat,
    cvat_box,
    drawn,
    export,
    labelme,
    rectangle,
    task,
    via,
    via_regions,
)
from tests.unit.annotator.datasets.formats.test_labeling_programs import annotation as submitted
from tests.unit.annotator.datasets.formats.test_labeling_programs import image as cvat_image

TRIALS = int(os.environ.get("PARTLY_FUZZ", "40"))
SEED = int(os.environ.get("PARTLY_FUZZ_SEED", "1"))
ALONE = "PARTLY_FUZZ" in os.environ
SLOW_S = 10
MEMORY_KIB = 2**20
NAMES = ("a", "b", "c")
TOKENS = [
    *(b"nan", b"-1", b"1e999", b"99999999999999999999", b"null", b"[]", b"{}", b'"', b",", b"\n", b"\x00", b"%s"),
    *(b"\xff\xfe", b"\xef\xbb\xbf", b"&x;", b"<a>", b"../../etc/passwd", b"#frame=7", "ü\u202e".encode()),
]


def image(path, seed):
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 255, (48, 64), dtype=np.uint8)
    if path.suffix == ".dcm":
        write_dicom(path, pixels)
    else:
        Image.fromarray(pixels).save(path)


def write_dicom(path, pixels):
    header = FileMetaDataset()
    header.TransferSyntaxUID = ExplicitVRLittleEndian
    header.MediaStorageSOPClassUID = header.MediaStorageSOPInstanceUID = "1.2.3"
    dataset = Dataset()
    dataset.file_meta = header
    dataset.PatientID = "p1"
    dataset.Rows, dataset.Columns = pixels.shape
    dataset.BitsAllocated = dataset.BitsStored = 8
    dataset.HighBit, dataset.PixelRepresentation, dataset.SamplesPerPixel = 7, 0, 1
    dataset.PhotometricInterpretation = "MONOCHROME2"
    dataset.WindowCenter, dataset.WindowWidth, dataset.RescaleSlope, dataset.RescaleIntercept = 128, 256, 1, 0
    dataset.PixelData = pixels.tobytes()
    dataset.save_as(path, enforce_file_format=True)


def mask(path):
    inside = np.zeros((48, 64), dtype=np.uint8)
    inside[6:18, 8:24] = 255
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(inside).save(path)


def make(root, layout):
    """Write a valid data set of three images; returns the files that are of one image alone, by that image."""
    own = {}
    folder = {"busi": "benign/", "folders": "benign/", "voc": "JPEGImages/", "yolo": "images/"}.get(layout, "")
    # Pictures of other formats than PNG are damaged where nothing else is.
    ends = (".jpg", ".tif", ".dcm") if layout == "folders" else (".png",) * 3
    for n, (name, end) in enumerate(zip(NAMES, ends, strict=True)):
        image(root / f"{folder}{name}{end}", n)
        own[f"{folder}{name}{end}"] = name
    if layout == "csv":
        rows = "".join(f"{name}.png,benign,m/{name}.png,8,6,16,12,p{name},train\n" for name in NAMES)
        text(root, "labels.csv", "image,class,mask,x,y,width,height,group,split\n" + rows)
    if layout in ("csv", "busi"):
        for name in NAMES:
            place = f"m/{name}.png" if layout == "csv" else f"benign/{name}_mask.png"
            mask(root / place)
            own[place] = name
    if layout == "coco":
        items = [{"id": n, "file_name": f"{name}.png", "width": 64, "height": 48} for n, name in enumerate(NAMES)]
        notes = [annotation(id=n, image_id=n, segmentation=[[8, 6, 24, 6, 24, 18]]) for n in range(3)]
        text(root, "annotations.json", coco(notes, items))
    if layout == "voc":
        text(root, "ImageSets/Main/train.txt", "a\nb\n")
        for name in NAMES:
            text(root, f"Annotations/{name}.xml", voc(filename=f"{name}.png"))
            own[f"Annotations/{name}.xml"] = name
    if layout == "cvat":
        cvat(root, *(cvat_image(f"{name}.png", cvat_box(), subset="Train") for name in NAMES))
    if layout == "labelme":
        for name in NAMES:
            shape = drawn("polygon", [[8, 6], [24, 6], [24, 18]])
            text(root, f"{name}.json", labelme(shape, path=f"{name}.png"))
            own[f"{name}.json"] = name
    if layout == "labelstudio":
        export(root, *(task(f"{name}.png", submitted(rectangle(), choice("benign"))) for name in NAMES))
    if layout == "via":
        via(root, {f"{name}.png": (via_regions((RECT, {"type": "benign"})), {}) for name in NAMES})
    if layout == "yolo":
        text(root, "data.yaml", "train: images\nnames: [benign, malignant]\n")
        for name in NAMES:
            text(root, f"labels/{name}.txt", yolo() + yolo(SECOND))
            own[f"labels/{name}.txt"] = name
    return own


def damaged(data, rng):
    """Damage bytes in one of the ways that disks, editors and programs do."""
    kind = rng.integers(7)
    at, end = sorted(int(value) for value in rng.integers(0, len(data) + 1, 2))
    if kind == 0:
        return data[:at]
    if kind == 1:
        return data[:at] + data[end:]
    if kind == 2:
        return data[:end] + data[at:end] + data[end:]
    if kind == 3:
        return data[:at] + TOKENS[rng.integers(len(TOKENS))] + data[at:]
    if kind == 4:
        return data[:at] + TOKENS[rng.integers(len(TOKENS))] + data[min(at + 3, len(data)) :]
    if kind == 5:
        return data[:at] + rng.bytes(int(rng.integers(1, 9))) + data[at:]
    changed = bytearray(data)
    for place in rng.integers(0, max(len(changed), 1), int(rng.integers(1, 6))):
        if changed:
            changed[place] ^= 1 << int(rng.integers(8))
    return bytes(changed)


VALUES = [None, True, [], {}, "", "x", -1, 0, 1e308, 10**400, float("nan"), [[]], {"id": {}}, "a.png", ["a.png"]]


def restructured(name, data, rng):
    """Change what a file says rather than how it is written: values, cells and elements lost, doubled or swapped."""
    if name.endswith((".json", ".yaml")):
        document = yaml.safe_load(data) if name.endswith(".yaml") else json.loads(data)
        places = list(_places(document))
        at, key = places[rng.integers(len(places))]
        kind = rng.integers(3)
        if kind == 0:
            at[key] = VALUES[rng.integers(len(VALUES))]
        elif kind == 1:
            del at[key]
        else:
            other, there = places[rng.integers(len(places))]
            at[key] = copy.deepcopy(other[there])
        return (yaml.safe_dump(document) if name.endswith(".yaml") else json.dumps(document)).encode()
    if name.endswith(".xml"):
        root = ElementTree.fromstring(data)
        parents = [element for element in root.iter() if len(element)]
        parent = parents[rng.integers(len(parents))]
        child = parent[rng.integers(len(parent))]
        kind = rng.integers(4)
        if kind == 0:
            parent.remove(child)
        elif kind == 1:
            parents[rng.integers(len(parents))].append(copy.deepcopy(child))
        elif child.attrib and kind == 2:
            child.set(list(child.attrib)[rng.integers(len(child.attrib))], str(VALUES[rng.integers(len(VALUES) - 6)]))
        else:
            child.text = str(VALUES[rng.integers(len(VALUES) - 6)])
        return ElementTree.tostring(root)
    lines = data.split(b"\n")
    cells = lines[row := int(rng.integers(len(lines)))].replace(b",", b" ").split(b" ")
    kind = rng.integers(3)
    if kind == 0:
        lines.insert(int(rng.integers(len(lines) + 1)), lines[row])
    elif kind == 1:
        del lines[row]
    else:
        cells[rng.integers(len(cells))] = str(VALUES[rng.integers(len(VALUES))]).encode()
        lines[row] = (b"," if b"," in lines[row] else b" ").join(cells)
    return b"\n".join(lines)


def _places(document):
    """Every place of a document, as the container and the key or index in it."""
    keys = document.keys() if isinstance(document, dict) else range(len(document))
    for key in list(keys):
        yield document, key
        if isinstance(document[key], dict | list):
            yield from _places(document[key])


def read(root, layout):
    """The location of every good image by its letter; raises only what is meant to be raised."""
    listing = read_layout(layout, root)
    assert_adds_up(listing)
    if layout == "voc":
        # A 0 in a damaged file may well mean that the set counts from 0, which is said aloud.
        listing = read_layout(layout, root, first_pixel=1)
    found = {}
    for entry, opened in zip(listing.entries, open_entries(listing.entries), strict=True):
        if not isinstance(opened, Refusal):
            assert opened
            location = opened[0].location
            found[Path(entry.name).stem] = (entry.class_name, location.boxes if location else None)
        else:
            assert opened.reason
    return found


@pytest.mark.parametrize(
    "layout", ["busi", "coco", "csv", "cvat", "folders", "labelme", "labelstudio", "via", "voc", "yolo"]
)
def test_one_damaged_file_loses_nothing_else(tmp_path, layout):
    pristine = tmp_path / "pristine"
    own = make(pristine, layout)
    good = read(pristine, layout)
    assert set(good) == set(NAMES)
    files = sorted(str(path.relative_to(pristine)) for path in pristine.rglob("*") if path.is_file())
    rng = np.random.default_rng([SEED, len(layout), sum(layout.encode())])
    ends: Counter[str] = Counter()
    root = tmp_path / "damaged"
    shutil.copytree(pristine, root)
    for trial in range(TRIALS):
        name = files[rng.integers(len(files))]
        before = (pristine / name).read_bytes()
        is_text = name.endswith((".json", ".yaml", ".xml", ".csv", ".txt"))
        (root / name).write_bytes(restructured(name, before, rng) if is_text and trial % 2 else damaged(before, rng))
        started = time.monotonic()
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                found = read(root, layout)
        except (DataUnreadable, InvalidArgument) as exc:
            assert name not in own, f"trial {trial}: {name} is of one image, and all are lost: {exc}"
            assert str(root) in str(exc), "the message names the file"
            ends["refused as a whole"] += 1
        else:
            for other in set(NAMES) - {own.get(name)} if name in own else ():
                assert found.get(other) == good[other], f"trial {trial}: {name} was damaged, {other} was changed"
            ends["all good" if set(found) == set(NAMES) else "some refused"] += 1
        assert time.monotonic() - started < SLOW_S, f"trial {trial}: {name}"
        (root / name).write_bytes(before)
    if ALONE:
        # Among other tests the process has held what those needed.
        assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss < MEMORY_KIB
    assert sum(ends.values()) == TRIALS
    sys.stdout.write(f"{layout}: {dict(ends)}\n")
