"""VOC sets as people have them: lists of images in several places and spellings, twins, folders spelled otherwise."""

import pytest

from annotator.datasets.formats.names import BoxesAs
from annotator.datasets.formats.recognise import recognise
from annotator.datasets.formats.supported import read_layout
from annotator.datasets.import_images import import_images
from annotator.datasets.import_request import ImportRequest
from annotator.errors import DataUnreadable
from db.records import Split
from tests.unit.annotator.datasets.formats.test_as_people_write_them import FIRST, SECOND, found, picture, text, voc

HALVES = (Split.TRAIN, Split.TEST)


def set_of_two(root, images="JPEGImages", annotations="Annotations", end="xml"):
    for n, name in enumerate("ab"):
        picture(root, f"{images}/{name}.png", n)
        text(root, f"{annotations}/{name}.{end}", voc(FIRST if name == "a" else SECOND))
    return root


def splits(root):
    opened, refused, warnings = found(root, "voc")
    assert refused == {}
    return tuple(split for _, split, _ in opened.values()), warnings


@pytest.mark.parametrize(
    "place",
    [
        *("ImageSets/Main/{}.txt", "ImageSets/{}.txt", "imagesets/main/{}.TXT", "ImageSets/Segmentation/{}.txt"),
        *("ImageSets/Layout/{}.txt", "ImageSets/Own/{}.txt", "{}.txt", "splits/{}.txt", "JPEGImages/{}.txt"),
        *("ImageSets/Main/{}_list.txt", "2007_{}.txt", "ImageSets/Main/{}2012.txt", "ImageSets/Main/benign_{}.txt"),
    ],
)
@pytest.mark.parametrize("around", ["", "VOC2012/", "VOCdevkit/VOC2012/"])
def test_lists_are_found_wherever_they_lie(tmp_path, around, place):
    set_of_two(tmp_path / around)
    text(tmp_path, around + place.format("train"), "a\n")
    text(tmp_path, around + place.format("test"), "b\n")
    assert splits(tmp_path) == (HALVES, [])


@pytest.mark.parametrize(
    "line",
    [
        *("{}", "{}.png", "{}.jpg", "JPEGImages/{}.png", "JPEGImages/{}", "./JPEGImages/{}.png", "images/{}.png"),
        *("/home/me/VOC2012/JPEGImages/{}.png", "C:\\set\\JPEGImages\\{}.png", "{} 1", "{}  -1", "{}.xml"),
        *("JPEGImages/{}.png Annotations/{}.xml", "/data/JPEGImages/{}.png 48,12,50,14,0", "  {}.png\t"),
    ],
)
def test_lines_of_lists_name_images_in_many_ways(tmp_path, line):
    set_of_two(tmp_path)
    text(tmp_path, "ImageSets/Main/train.txt", line.replace("{}", "a") + "\r\n\r\n", "utf-8-sig")
    text(tmp_path, "ImageSets/Main/test.txt", line.replace("{}", "b"))
    assert splits(tmp_path) == (HALVES, [])


def test_names_with_blanks_and_dots_are_listed_whole(tmp_path):
    for n, name in enumerate(("benign (1).png", "benign (2).png", "a.b.png", "a.png")):
        picture(tmp_path, f"JPEGImages/{name}", n)
    text(tmp_path, "ImageSets/Main/train.txt", "benign (1)\na.b\n")
    text(tmp_path, "ImageSets/Main/test.txt", "benign (2) 1\na\n")
    opened, _, warnings = found(tmp_path, "voc")
    assert {name: split for name, (_, split, _) in opened.items()} == {
        "JPEGImages/a.b.png": Split.TRAIN,
        "JPEGImages/a.png": Split.TEST,
        "JPEGImages/benign (1).png": Split.TRAIN,
        "JPEGImages/benign (2).png": Split.TEST,
    }
    assert warnings == []


def test_lines_that_name_no_image_or_several_are_said(tmp_path):
    for n, name in enumerate(("p1/1.png", "p2/1.png", "p1/2.png")):
        picture(tmp_path, f"JPEGImages/{name}", n)
    text(tmp_path, "ImageSets/Main/train.txt", "1\np3/2\np1/2.png\nnobody\n")
    said, warnings = splits(tmp_path)
    assert said == (None, Split.TRAIN, None)
    assert any(warning.startswith("1: ") and "it is unclear which" in warning for warning in warnings)
    assert any("p3/2, nobody" in warning or "nobody: " in warning for warning in warnings)


def test_two_sets_below_one_folder_keep_their_own_lists(tmp_path):
    for year in ("VOC2007", "VOC2012"):
        set_of_two(tmp_path / year)
    text(tmp_path, "VOC2007/ImageSets/Main/train.txt", "a\nb\n")
    text(tmp_path, "VOC2012/ImageSets/Main/val.txt", "a\nb\n")
    assert splits(tmp_path) == ((Split.TRAIN, Split.TRAIN, Split.VAL, Split.VAL), [])


def test_lists_of_another_challenge_do_not_contradict_those_of_main(tmp_path):
    set_of_two(tmp_path)
    for kind, first, second in (("Main", "a", "b"), ("Segmentation", "b", "a")):
        text(tmp_path, f"ImageSets/{kind}/train.txt", first)
        text(tmp_path, f"ImageSets/{kind}/test.txt", second)
    said, warnings = splits(tmp_path)
    assert said == HALVES
    assert warnings == ["ImageSets/Segmentation: its lists of images are not read; those of ImageSets/Main are used"]


def test_lists_of_classes_and_of_two_splits_together(tmp_path):
    set_of_two(tmp_path)
    text(tmp_path, "ImageSets/Main/trainval.txt", "a\nb\n")
    said, warnings = splits(tmp_path)
    assert said == (None, None)
    assert "leaves open which images are for training" in warnings[0]
    text(tmp_path, "ImageSets/Main/benign_train.txt", "a  1\n")
    text(tmp_path, "ImageSets/Main/cyst_train.txt", "a -1\n")
    text(tmp_path, "ImageSets/Main/benign_val.txt", "b -1\n")
    assert splits(tmp_path) == ((Split.TRAIN, Split.VAL), [])
    # Where whole lists are there, those of classes say nothing more.
    text(tmp_path, "ImageSets/Main/train.txt", "a\n")
    text(tmp_path, "ImageSets/Main/test.txt", "b\n")
    assert splits(tmp_path) == (HALVES, [])


def test_a_text_called_like_a_list_that_names_no_image_is_none(tmp_path):
    set_of_two(tmp_path)
    text(tmp_path, "train.txt", "trained with lr 0.1 on Monday\n")
    text(tmp_path, "notes/test.txt", "0 0.5 0.5 0.1 0.1\n")
    said, warnings = splits(tmp_path)
    assert said == (None, None)
    assert not any("lists it" in warning for warning in warnings)


def test_a_list_that_is_not_utf8_is_named(tmp_path):
    set_of_two(tmp_path)
    text(tmp_path, "ImageSets/Main/Train.txt", "\u00e9t\u00e9\n", "latin-1")
    with pytest.raises(DataUnreadable, match=r"Main/Train.txt: it is not UTF-8 .*save it as UTF-8"):
        read_layout("voc", tmp_path)


@pytest.mark.parametrize(
    ("images", "annotations", "end"),
    [
        ("jpegimages", "annotations", "xml"),
        ("JPEGIMAGES", "ANNOTATIONS", "XML"),
        ("JpegImages", "Annotations", "Xml"),
        ("images", "xmls", "xml"),
    ],
)
def test_folders_and_endings_may_be_spelled_otherwise(registry, tmp_path, images, annotations, end):
    set_of_two(tmp_path, images, annotations, end)
    picture(tmp_path, "segmentationclass/a.png", 3)
    assert recognise(tmp_path)[0] == "voc"
    listing = read_layout("voc", tmp_path)
    assert [(entry.name, entry.class_name, len(entry.mask_paths)) for entry in listing.entries] == [
        (f"{images}/a.png", "benign", 1),
        (f"{images}/b.png", "benign", 0),
    ]


def twins(*boxes, names=("benign", "benign")):
    objects = [voc(box, name).partition("<object>")[2] for box, name in zip(boxes, names, strict=True)]
    return voc().partition("<object>")[0] + "".join(
        f"<object>{item.removesuffix('</annotation>')}" for item in objects
    ) + "</annotation>"  # fmt: skip


def test_objects_that_repeat_an_earlier_one_count_once_and_are_named(tmp_path):
    picture(tmp_path, "JPEGImages/a.png")
    text(tmp_path, "Annotations/a.xml", twins(FIRST, FIRST))
    opened, refused, warnings = found(tmp_path, "voc")
    assert (opened["JPEGImages/a.png"], refused) == (("benign", None, [FIRST]), {})
    assert warnings == ["JPEGImages/a.png: an object repeats an earlier one; each counts once"]
    # Numbers are the same however they are written.
    text(tmp_path, "Annotations/a.xml", twins(FIRST, FIRST).replace("<xmin>9<", "<xmin> 9.0 <", 1))
    assert found(tmp_path, "voc")[0]["JPEGImages/a.png"][2] == [FIRST]
    text(tmp_path, "Annotations/a.xml", twins(FIRST, SECOND))
    opened, _, warnings = found(tmp_path, "voc")
    assert (opened["JPEGImages/a.png"][2], warnings) == ([FIRST, SECOND], [])


def test_one_box_of_two_names_is_one_location_or_no_class(tmp_path):
    picture(tmp_path, "JPEGImages/a.png")
    text(tmp_path, "Annotations/a.xml", twins(FIRST, FIRST, names=("cyst", "mass")))
    assert "several classes" in found(tmp_path, "voc")[1]["JPEGImages/a.png"]
    opened, _, _ = found(tmp_path, "voc", boxes_as=BoxesAs.LESION)
    assert opened["JPEGImages/a.png"][2] == [FIRST]


def test_what_programs_wrote_beside_a_set_counts_one_folder_higher_too(tmp_path):
    set_of_two(tmp_path / "cvat")
    text(tmp_path, "cvat/labelmap.txt", "benign:0,0,0::\n")
    opened, _, warnings = found(tmp_path, "voc")
    # Counted from 0, a box that was written as if counted from 1 lies a pixel further and is a pixel smaller.
    assert opened["cvat/JPEGImages/a.png"][2] == [(9.0, 7.0, 15.0, 11.0)]
    assert any("the set was written by CVAT" in warning for warning in warnings)


def test_an_export_of_partly_is_read_from_the_folder_around_it(registry, tmp_path):
    set_of_two(tmp_path / "set")
    columns = "image,class,group,split,location,source\n"
    text(tmp_path, "set/images.csv", f"{columns}JPEGImages/a.png,benign,p1,val,present,drawn\n")
    listing = read_layout("voc", tmp_path)
    assert [(entry.group, entry.split) for entry in listing.entries] == [("p1", Split.VAL), (None, None)]
    assert import_images(registry, ImportRequest(tmp_path, "voc")).registered == 2


@pytest.mark.parametrize("filename", ["{}.png", "{}", "{}.jpg", "C:\\pics\\{}.png"])
@pytest.mark.parametrize(
    ("annotations", "images"),
    [
        ("my_xml", "my_img"),
        ("train_xml", "train_img"),
        ("train_annot", "train"),
        ("train/annots", "train/pics"),
        ("train_annotations", "train_images"),
        ("xmls_2", "scans_2"),
        ("a/b/c", "d"),
        ("my_xml", "train"),
    ],
)
def test_an_annotation_that_names_the_only_image_of_its_name_is_that_ones(
    registry, tmp_path, annotations, images, filename
):
    for n, name in enumerate("ab"):
        picture(tmp_path, f"{images}/{name}.png", n)
        box = FIRST if name == "a" else SECOND
        text(tmp_path, f"{annotations}/{name}.xml", voc(box, filename=filename.format(name)))
    opened, refused, warnings = found(tmp_path, "voc")
    assert [said[2] for said in opened.values()] == [[FIRST], [SECOND]]
    assert (refused, warnings) == ({}, [])
    assert import_images(registry, ImportRequest(tmp_path, "voc")).registered == 2


def test_two_splits_with_folders_of_their_own_keep_apart(tmp_path):
    for n, (split, name) in enumerate((("train", "a"), ("test", "b"))):
        picture(tmp_path, f"{split}_images/{name}.png", n)
        text(tmp_path, f"{split}_annotations/{name}.xml", voc(FIRST if n else SECOND, filename=f"{name}.png"))
    opened, refused, _ = found(tmp_path, "voc")
    assert opened == {
        "test_images/b.png": ("benign", Split.TEST, [FIRST]),
        "train_images/a.png": ("benign", Split.TRAIN, [SECOND]),
    }
    assert refused == {}


@pytest.mark.parametrize(
    ("annotation", "image", "filename"),
    [
        ("p2/1.xml", "p1/1.png", "1.png"),
        ("10254/xml/1.xml", "10253/img/1.png", "1.png"),
        ("test_xml/1.xml", "train_img/1.png", "1.png"),
        ("validation/1.xml", "testing/1.png", "1.png"),
        ("my_xml/1.xml", "my_img/1.png", ""),
        ("my_xml/1.xml", "my_img/1.png", "2.png"),
    ],
)
def test_annotations_of_other_parts_of_the_data_are_not_taken(tmp_path, annotation, image, filename):
    picture(tmp_path, image)
    text(tmp_path, annotation, voc(filename=filename))
    opened, refused, warnings = found(tmp_path, "voc")
    assert ([(said[0], said[2]) for said in opened.values()], refused) == ([(None, None)], {})
    assert any(annotation in warning and "no image belongs" in warning for warning in warnings)


def test_an_annotation_among_other_images_is_not_taken(tmp_path):
    picture(tmp_path, "benign/1.png")
    picture(tmp_path, "malignant/2.png", 1)
    text(tmp_path, "malignant/1.xml", voc(filename="1.png"))
    opened, _, warnings = found(tmp_path, "voc")
    assert opened["benign/1.png"][2] is None
    assert any("malignant/1.xml" in warning for warning in warnings)
