"""No file of an export is another's: names are given as a set, and the folder appears whole."""

import csv
import json
import os
import time
import unicodedata
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from annotator.datasets.export_folder import replacing_export
from annotator.datasets.export_images import ExportRequest, export_images
from annotator.datasets.export_names import reserve_stems
from annotator.datasets.import_images import import_images
from annotator.datasets.import_request import ImportRequest
from db.atomic_write import STALE_S, draft_of
from db.errors import Conflict
from db.imaging.files import ImageFile
from tests.builders import image_record

NUMBERS = iter(range(10**6))
FORMATS = ("coco", "csv", "voc", "yolo")


def picture(file, *, turned=False, size=(40, 30)):
    """An image that no other equals."""
    file.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(next(NUMBERS)).integers(0, 255, (size[1], size[0], 3), dtype=np.uint8)
    exif = Image.Exif()
    if turned:
        exif[0x0112] = 6
    Image.fromarray(pixels).save(file, exif=exif, format="JPEG" if ".jp" in file.name[-5:] else "PNG")


def registered(registry, folder, **masks):
    """Register pictures below a folder, each with a mask of its own size."""
    lines = ["image,class,mask"]
    for number, file in enumerate(sorted(path for path in folder.rglob("*") if path.is_file())):
        with Image.open(file) as opened:
            width, height = opened.size if opened.getexif().get(0x0112) != 6 else opened.size[::-1]
        mask = np.zeros((height, width), dtype=np.uint8)
        mask[2 : 4 + number, 3:9] = 255
        (folder.parent / "masks").mkdir(exist_ok=True)
        Image.fromarray(mask).save(folder.parent / "masks" / f"{number}.png")
        lines.append(f'"{file.relative_to(folder.parent).as_posix()}",benign,masks/{number}.png')
    (folder.parent / "labels.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    report = import_images(registry, ImportRequest(folder.parent, "csv"))
    assert report.refused == []
    return report.registered


def odd_set(folder):
    for name in ("a/x.png", "b/x.png", "x-2.png", "c/x-2.png", "x-1-.png", "scan.jpg.png", "d/scan.png", "X.PNG"):
        picture(folder / name)
    picture(folder / "scan.jpg", turned=True)
    picture(folder / unicodedata.normalize("NFC", "e/müller.png"))
    picture(folder / unicodedata.normalize("NFD", "f/müller.png"))
    picture(folder / "g" / ("ü" * 120 + "1.png"))
    picture(folder / "g" / ("ü" * 120 + "2.png"))
    picture(folder / "h" / "con.png")
    # Without an end of their own: one that gets too long by the end it is given, one that seems to have an end.
    picture(folder / "i" / ("ü" * 127))
    picture(folder / "i" / "scan.jpg.")


@pytest.mark.parametrize("layout", FORMATS)
def test_every_image_has_files_of_its_own(registry, tmp_path, layout):
    odd_set(tmp_path / "set" / "pictures")
    count = registered(registry, tmp_path / "set" / "pictures")
    out = tmp_path / "out"
    report = export_images(registry, ExportRequest(out, layout))
    assert (report.images, report.skipped) == (count, [])
    files = [path.relative_to(out) for path in out.rglob("*") if path.is_file()]
    assert len({unicodedata.normalize("NFD", str(path)).casefold() for path in files}) == len(files)
    kinds = {"coco": ["images"], "csv": ["images", "masks"], "voc": ["JPEGImages", "SegmentationClass", "Annotations"],
             "yolo": ["images", "labels"]}[layout]  # fmt: skip
    for kind in kinds:
        found = [path for path in files if path.parts[0] == kind]
        assert len(found) == count, kind
        assert all(len(os.fsencode(path.name)) <= 255 for path in found)
    contents = {(out / path).read_bytes() for path in files if path.parts[0] == kinds[0]}
    assert len(contents) == count, "no image is another's"


def test_masks_beside_images_that_are_not_copied_have_names_of_their_own(registry, tmp_path):
    odd_set(tmp_path / "set" / "pictures")
    count = registered(registry, tmp_path / "set" / "pictures")
    export_images(registry, ExportRequest(tmp_path / "out", "csv", images="none"))
    with (tmp_path / "out" / "labels.csv").open(encoding="utf-8", newline="") as stream:
        masks = {row["mask"] for row in csv.DictReader(stream)}
    assert len(masks) == len(list((tmp_path / "out" / "masks").iterdir())) == count


def test_names_do_not_depend_on_the_order():
    places = ["/a/x.png", "/b/X.png", "/x-2.png", "/c/x-1.png", "/x.tif"]
    records = [image_record(id=n, path=ImageFile.at(place)) for n, place in enumerate(places, start=1)]
    assert reserve_stems(records) == reserve_stems(records[::-1])
    assert len({stem.casefold() for stem in reserve_stems(records).values()}) == len(places)


def test_what_a_killed_export_left_is_removed_and_another_ones_is_not(tmp_path):
    out = tmp_path / "out"
    dead, living, others = draft_of(out), draft_of(out), draft_of(tmp_path / "out2")
    dead = dead.with_name(dead.name.replace(f"-{os.getpid()}-", "-4194304-"))
    others = others.with_name(others.name.replace(f"-{os.getpid()}-", "-4194304-"))
    for draft in (dead, living, others):
        draft.mkdir()
        os.utime(draft, (time.time() - 2 * STALE_S,) * 2)
    os.utime(living)
    with replacing_export(out) as draft:
        (draft / "partly-export.json").write_text("{}")
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(["out", living.name, others.name])


def test_of_two_exports_to_one_folder_the_second_to_finish_says_so(tmp_path):
    def content(folder):
        return (folder / "partly-export.json").read_text()

    def write(draft, text):
        (draft / "partly-export.json").write_text(text)

    out = tmp_path / "out"
    with pytest.raises(Conflict, match="another process"), replacing_export(out) as first:
        write(first, "first")
        with replacing_export(out) as second:
            write(second, "second")
    assert content(out) == "second"
    # The same over an export that was there before.
    with pytest.raises(Conflict, match="another process"), replacing_export(out) as first:
        write(first, "third")
        with replacing_export(out) as second:
            write(second, "fourth")
    assert content(out) == "fourth"
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_a_failure_leaves_the_earlier_export_as_it_was(tmp_path):
    out = tmp_path / ("x" * 255)
    with replacing_export(out) as draft:
        (draft / "partly-export.json").write_text("{}")
    with pytest.raises(OSError, match="full"), replacing_export(out) as draft:
        (draft / "a").touch()
        raise OSError(28, "the disk is full")
    assert [path.name for path in tmp_path.iterdir()] == [out.name]
    assert [path.name for path in out.iterdir()] == ["partly-export.json"]


def test_a_spreadsheet_finds_no_formula(registry, tmp_path):
    picture(tmp_path / "set" / "pictures" / "=1+1.png")
    (tmp_path / "set" / "labels.csv").write_text(
        'image,class,x,y,width,height,group\npictures/=1+1.png,"=HYPERLINK(""http://x"")",1.5,2,30,20,@me\n'
    )
    import_images(registry, ImportRequest(tmp_path / "set", "csv"))
    (tmp_path / "here").mkdir()
    for safe in (False, True):
        request = ExportRequest(tmp_path / "here" / str(safe), "csv", images="none", spreadsheet_safe=safe)
        export_images(registry, request)
        with (request.out / "labels.csv").open(encoding="utf-8", newline="") as stream:
            (row,) = csv.DictReader(stream)
        mark = "'" if safe else ""
        assert row["class"] == mark + '=HYPERLINK("http://x")'
        assert row["group"] == mark + "@me"
        assert float(row["x"]) == 1.5
    assert json.loads((request.out / "partly-export.json").read_text())["format"] == "csv"
    assert Path(row["image"]).name == "=1+1.png"
