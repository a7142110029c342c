"""Folders of classes as people have them: one level too high, in splits, around patients, beside folders of masks."""

import pytest

from annotator.datasets.formats.recognise import recognise
from annotator.datasets.formats.supported import read_layout
from annotator.datasets.import_images import import_images
from annotator.datasets.import_request import ImportRequest
from annotator.errors import DataSuspicious
from db.records import Split
from tests.picture_files import mask_file
from tests.unit.annotator.datasets.formats.test_as_people_write_them import FIRST, found, picture

BOTH = pytest.mark.parametrize("layout", ["folders", "busi"])


def pictures(root, *names):
    for n, name in enumerate(names):
        picture(root, name, n)


def facts(root, layout, **options):
    """Class and split by image, patients by image, warnings, doubts."""
    opened, refused, warnings = found(root, layout, **options)
    assert refused == {}
    listing = read_layout(layout, root, **options)
    groups = {entry.name: entry.group for entry in listing.entries if entry.group is not None}
    return {name: said[:2] for name, said in opened.items()}, groups, warnings, listing.doubts


@BOTH
@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({"My/benign/1.png": ("benign", None), "My/cyst/2.png": ("cyst", None)}, "My"),
        ({"a/b/benign/1.png": ("benign", None), "a/b/cyst/2.png": ("cyst", None)}, "a and b"),
        ({"siteA/benign/1.png": ("benign", None), "siteB/malignant/2.png": ("malignant", None)}, "siteA"),
        ({"train_set/x/1.png": ("x", Split.TRAIN), "test_set/y/2.png": ("y", Split.TEST)}, "test_set"),
        ({"Training/x/1.png": ("x", Split.TRAIN), "valid/y/2.png": ("y", Split.VAL)}, "valid"),
        ({"train2017/x/1.png": ("x", Split.TRAIN), "val2017/y/2.png": ("y", Split.VAL)}, "val2017"),
        ({"train/x/1.png": ("x", Split.TRAIN), "dev/y/2.png": ("y", Split.VAL)}, "dev"),
        ({"DS/train/x/1.png": ("x", Split.TRAIN), "DS/test/y/2.png": ("y", Split.TEST)}, "DS"),
        ({"x/train/1.png": ("x", Split.TRAIN), "x/test/2.png": ("x", Split.TEST), "y/3.png": ("y", None)}, "splits"),
        ({"test/train/x/1.png": ("x", Split.TRAIN), "test/val/y/2.png": ("y", Split.VAL)}, "ignored: test"),
        ({"test/x/1.png": ("x", Split.TEST), "test/y/2.png": ("y", Split.TEST)}, "test"),
        ({"benign/images/1.png": ("benign", None), "cyst/images/2.png": ("cyst", None)}, None),
        ({"images/benign/1.png": ("benign", None), "images/cyst/2.png": ("cyst", None)}, None),
        ({"benign/raw/1.png": ("benign", None), "cyst/raw/2.png": ("cyst", None)}, "ignored: raw"),
        ({"cyst/1.png": ("cyst", None), "cyst/sub/2.png": ("cyst", None), "x/3.png": ("x", None)}, "sub"),
        ({"0/1.png": ("0", None), "1/2.png": ("1", None)}, None),
        ({"00001/1.png": ("00001", None), "00002/2.png": ("00002", None)}, None),
        # Sorts of a lesion, each in one class alone: the outer folder is the class, and it is said.
        ({"cancer/ductal/1.png": ("cancer", None), "cyst/simple/2.png": ("cyst", None)}, "--class-from folder"),
    ],
)
def test_classes_and_splits_are_found_wherever_they_lie(tmp_path, layout, files, expected):
    pictures(tmp_path, *files)
    said, groups, warnings, doubts = facts(tmp_path, layout)
    assert (said, groups, doubts) == (files, {}, [])
    assert any(expected in warning for warning in warnings) if expected else warnings == []


@BOTH
@pytest.mark.parametrize(
    "files",
    [
        {"benign/p1/1.png": ("benign", "p1"), "cyst/p2/2.png": ("cyst", "p2")},
        {"p1/benign/1.png": ("benign", "p1"), "p1/cyst/2.png": ("cyst", "p1"), "p2/cyst/3.png": ("cyst", "p2")},
        {"10253/0/1.png": ("0", "10253"), "10253/1/2.png": ("1", "10253"), "10254/0/3.png": ("0", "10254")},
        {"benign/patient_1/1.png": ("benign", "patient_1"), "benign/patient_2/2.png": ("benign", "patient_2")},
        {"train/benign/Case 7/1.png": ("benign", "Case 7"), "test/cyst/Case 8/2.png": ("cyst", "Case 8")},
    ],
)
def test_folders_of_patients_are_groups_and_no_classes(tmp_path, layout, files):
    pictures(tmp_path, *files)
    said, groups, warnings, doubts = facts(tmp_path, layout)
    assert {name: (said[name][0], groups.get(name)) for name in said} == files
    assert doubts == []
    assert any("for patients" in warning for warning in warnings)


@BOTH
@pytest.mark.parametrize(
    ("files", "outer", "inner"),
    [
        (("siteA/cyst/1.png", "siteA/fibroma/2.png", "siteB/cyst/3.png"), {"siteA", "siteB"}, {"cyst", "fibroma"}),
        (("My/1.png", "My/cyst/2.png"), {"My"}, {"cyst"}),
        (("siteA/benign/1.png", "siteB/scan/benign/2.png"), {"siteA", "siteB"}, {"benign"}),
    ],
)
def test_where_several_folders_could_be_the_class_nothing_is_guessed(registry, tmp_path, layout, files, outer, inner):
    pictures(tmp_path / "set", *files)
    with pytest.raises(DataSuspicious, match=r"outer folders .*inner ones .*--class-from folder") as caught:
        import_images(registry, ImportRequest(tmp_path / "set", layout))
    assert all(name in str(caught.value) for name in outer | inner)
    forced, *_ = facts(tmp_path / "set", layout)
    assert {name for name, _ in forced.values()} == outer
    chosen, _, _, doubts = facts(tmp_path / "set", layout, class_from="folder")
    assert inner <= {name for name, _ in chosen.values()}
    assert doubts == []
    report = import_images(registry, ImportRequest(tmp_path / "set", layout, class_from="folder"))
    assert report.registered == len(files)


@BOTH
@pytest.mark.parametrize(
    ("files", "doubt"),
    [
        (("train/x/1.png", "test/y/2.png", "extra/3.png"), "beside them extra would be a class"),
        (("p1/1.png", "p2/2.png"), "names of patient folders"),
        (("train/1.png", "test/2.png"), "its classes would be 'test'"),
        (("train_set/1.png", "test_set/2.png"), "its classes would be 'test_set'"),
    ],
)
def test_folders_that_are_no_classes_are_doubted(registry, tmp_path, layout, files, doubt):
    pictures(tmp_path / "set", *files)
    with pytest.raises(DataSuspicious, match=doubt):
        import_images(registry, ImportRequest(tmp_path / "set", layout))


@BOTH
def test_one_class_for_all_and_two_that_look_the_same_are_said_aloud(tmp_path, layout):
    pictures(tmp_path / "one", "Scans/1.png", "Scans/2.png")
    assert "all 2 images have the class 'Scans'" in facts(tmp_path / "one", layout)[2][0]
    pictures(tmp_path / "two", "benign/1.png", "Benign/2.png")
    assert "differ only in spelling" in facts(tmp_path / "two", layout)[2][0]


@BOTH
def test_images_of_a_split_without_classes_and_of_two_splits(tmp_path, layout):
    pictures(tmp_path, "train/x/1.png", "train/y/2.png", "test/3.png", "train/x/test/4.png")
    opened, refused, warnings = found(tmp_path, layout)
    assert set(opened) == {"train/x/1.png", "train/y/2.png"}
    assert "several splits (test, train)" in refused["train/x/test/4.png"]
    assert any(warning.startswith("test/3.png: it is not in a class folder") for warning in warnings)


@pytest.mark.parametrize("folder", ["folders-parent", "auto"])
def test_a_set_in_a_folder_of_its_name_is_read_and_recognised(registry, tmp_path, folder):
    pictures(tmp_path / folder, "MyData/benign/1.png", "MyData/malignant/2.png")
    assert recognise(tmp_path / folder)[0] == "folders"
    report = import_images(registry, ImportRequest(tmp_path / folder, "auto"))
    assert any("MyData" in warning for warning in report.warnings)
    with registry.read() as tx:
        assert tx.status.count().classes == {"benign": 1, "malignant": 1}


@BOTH
@pytest.mark.parametrize(
    ("image", "mask"),
    [
        ("benign/a.png", "benign_mask/a.png"),
        ("benign/a.png", "benign_masks/a.png"),
        ("benign/a.png", "Benign-Mask/a.png"),
        ("benign/a.png", "benign_mask/a_mask.png"),
        ("benign/a.png", "mask_benign/a.png"),
        ("benign/a.png", "benign_gt/a.png"),
        ("benign/a.png", "masks/a.png"),
        ("benign/a.png", "masks/benign/a.png"),
        ("benign/a.png", "benign/masks/a.png"),
        ("benign/a.png", "Ground Truth/a.png"),
        ("benign/images/a.png", "benign/masks/a.png"),
        ("images/benign/a.png", "masks/benign/a.png"),
        ("train/benign/a.png", "train/benign_mask/a.png"),
    ],
)
def test_masks_in_folders_of_their_own_are_masks_and_no_class(tmp_path, layout, image, mask):
    other = image.replace("benign", "cyst").replace("/a", "/b")
    pictures(tmp_path, image, other)
    mask_file(tmp_path / mask, (8, 6, 16, 12))
    opened, refused, warnings = found(tmp_path, layout)
    assert refused == {}
    assert {name: (said[0], said[2]) for name, said in opened.items()} == {
        image: ("benign", [FIRST]),
        other: ("cyst", None),
    }
    assert any("are used as masks" in warning for warning in warnings)


@BOTH
def test_masks_that_may_be_of_several_images_or_of_none_are_named(tmp_path, layout):
    pictures(tmp_path, "benign/1.png", "cyst/1.png", "cyst/2.png", "cyst/3.png")
    for name in ("masks/1.png", "masks/2.png", "masks/9.png", "cyst_mask/3.png", "cyst_gt/3.png"):
        mask_file(tmp_path / name, (8, 6, 16, 12))
    opened, refused, warnings = found(tmp_path, layout)
    assert opened == {
        "benign/1.png": ("benign", None, None),
        "cyst/1.png": ("cyst", None, None),
        "cyst/2.png": ("cyst", None, [FIRST]),
    }
    assert "several masks" in refused["cyst/3.png"]
    assert any("masks/1.png: it may belong to benign/1.png or cyst/1.png" in warning for warning in warnings)
    assert any("masks/9.png: no image belongs" in warning for warning in warnings)


@BOTH
def test_a_folder_called_like_masks_that_holds_none_is_doubted(registry, tmp_path, layout):
    pictures(tmp_path / "set", "benign/a.png", "benign_mask/x.png", "cyst/b.png")
    with pytest.raises(DataSuspicious, match="benign_mask is named like a mask folder"):
        import_images(registry, ImportRequest(tmp_path / "set", layout))
    # People with masks on: a class, once somebody says so.
    pictures(tmp_path / "faces", "mask/1.png", "no_mask/1.png")
    with pytest.raises(DataSuspicious, match="'mask'"):
        import_images(registry, ImportRequest(tmp_path / "faces", layout))
    assert import_images(registry, ImportRequest(tmp_path / "faces", layout, force=True)).registered == 2


def test_busi_several_masks_in_a_folder_of_their_own_are_united(tmp_path):
    pictures(tmp_path, "benign/a.png", "cyst/b.png")
    mask_file(tmp_path / "benign_mask/a_mask.png", (8, 6, 16, 12))
    mask_file(tmp_path / "benign_mask/a_mask_1.png", (40, 30, 8, 8))
    opened, refused, _ = found(tmp_path, "busi")
    assert refused == {}
    assert set(opened["benign/a.png"][2]) == {FIRST, (40.0, 30.0, 8.0, 8.0)}


@BOTH
def test_what_systems_and_file_servers_keep_beside_the_images_is_no_class(tmp_path, layout):
    pictures(tmp_path, "benign/1.png", "malignant/2.png", "@eaDir/3.png", "benign/@eaDir/1.png/thumb.png")
    pictures(tmp_path, "__MACOSX/benign/._1.png", "__MACOSX/benign/5.png", "$RECYCLE.BIN/4.png")
    opened, groups, warnings, doubts = facts(tmp_path, layout)
    assert opened == {"benign/1.png": ("benign", None), "malignant/2.png": ("malignant", None)}
    assert (groups, warnings, doubts) == ({}, [], [])


@BOTH
@pytest.mark.parametrize("word", ["mask", "Mask", "gt", "label", "seg", "segmentation", "ground_truth"])
@pytest.mark.parametrize("folders", [("benign/p1", "cyst/p2"), ("benign", "cyst"), ("test/benign/p1", "train/cyst/p2")])
def test_a_picture_called_mask_beside_one_image_is_its_mask(registry, tmp_path, layout, word, folders):
    first, second = folders
    pictures(tmp_path, f"{first}/image.png", f"{second}/scan 1.png")
    mask_file(tmp_path / first / f"{word}.png", (8, 6, 16, 12))
    mask_file(tmp_path / second / f"{word}.bmp")
    opened, refused, warnings = found(tmp_path, layout)
    assert refused == {}
    assert {name: (said[0], said[2]) for name, said in opened.items()} == {
        f"{first}/image.png": ("benign", [FIRST]),
        f"{second}/scan 1.png": ("cyst", []),
    }
    assert any("2 pictures" in warning and "used as the mask" in warning for warning in warnings)
    assert import_images(registry, ImportRequest(tmp_path, layout)).registered == 2


@BOTH
@pytest.mark.parametrize(
    "files",
    [
        ("benign/p1/t1.png", "benign/p1/t2.png", "benign/p1/seg.png", "cyst/p2/1.png"),
        ("benign/p1/a.png", "benign/p1/seg.png", "benign/p1/gt.png", "cyst/p2/1.png"),
        ("benign/p1/seg.png", "cyst/p2/1.png"),
        ("benign/a.png", "benign/b.png", "benign/seg.png", "cyst/1.png"),
    ],
)
def test_a_picture_called_mask_that_may_be_of_several_images_is_doubted(registry, tmp_path, layout, files):
    pictures(tmp_path, *files)
    with pytest.raises(DataSuspicious, match=r"named like masks.*/seg.png"):
        import_images(registry, ImportRequest(tmp_path, layout))
    assert import_images(registry, ImportRequest(tmp_path, layout, force=True)).registered == len(files)


@BOTH
def test_names_that_only_begin_like_a_mask_are_images(tmp_path, layout):
    pictures(tmp_path, "benign/label 1.png", "benign/masked.png", "cyst/seg-7.png", "cyst/gt2.png")
    opened, _, warnings, doubts = facts(tmp_path, layout)
    assert (len(opened), warnings, doubts) == (4, [], [])


@BOTH
@pytest.mark.parametrize(
    ("image", "mask"),
    [
        ("images/{}.png", "masks/{}.png"),
        ("Images/{}.png", "Ground Truth/{}.png"),
        ("train/images/{}.png", "train/masks/{}.png"),
        ("images/train/{}.png", "masks/train/{}.png"),
        ("photos/{}.png", "photos/masks/{}_mask.png"),
        ("imgs/jpg/{}.png", "masks/jpg/{}.png"),
    ],
)
def test_folders_that_only_say_what_is_in_them_give_no_class(registry, tmp_path, layout, image, mask):
    pictures(tmp_path, image.format(1), image.format(2))
    mask_file(tmp_path / mask.format(1), (8, 6, 16, 12))
    opened, refused, warnings = found(tmp_path, layout)
    assert refused == {}
    assert [(said[0], said[2]) for said in opened.values()] == [(None, [FIRST]), (None, None)]
    assert any("so no image has a class; give one with partly set" in warning for warning in warnings)
    assert import_images(registry, ImportRequest(tmp_path, layout)).registered == 2
    with registry.read() as tx:
        assert tx.status.count().classes == {}


@BOTH
def test_where_a_table_may_name_the_classes_a_set_without_any_is_doubted(registry, tmp_path, layout):
    pictures(tmp_path, "images/1.png")
    (tmp_path / "labels.csv").write_text("image,class\nimages/1.png,benign\n")
    with pytest.raises(DataSuspicious, match=r"labels.csv beside them may name classes.*--layout"):
        import_images(registry, ImportRequest(tmp_path, layout))
    assert import_images(registry, ImportRequest(tmp_path, "auto")).registered == 1


@BOTH
def test_a_folder_of_images_beside_classes_is_doubted_still(registry, tmp_path, layout):
    pictures(tmp_path, "images/1.png", "benign/2.png")
    with pytest.raises(DataSuspicious, match="'images'"):
        import_images(registry, ImportRequest(tmp_path, layout))


@BOTH
@pytest.mark.parametrize("word", ["unlabeled", "Unlabelled", "unknown", "UNCLASSIFIED"])
@pytest.mark.parametrize(
    "files",
    [
        {"benign/1.png": "benign", "{}/2.png": None, "malignant/3.png": "malignant"},
        {"cyst/1.png": "cyst", "{}/a/2.png": None, "tumor/3.png": "tumor"},
        {"p1/benign/1.png": "benign", "p2/{}/2.png": None},
        {"train/cyst/1.png": "cyst", "test/tumor/2.png": "tumor", "{}/3.png": None},
        {"train/cyst/1.png": "cyst", "test/tumor/2.png": "tumor", "train/{}/3.png": None},
        {"labeled/benign/1.png": "benign", "labeled/cyst/2.png": "cyst", "{}/3.png": None},
        {"{}/1.png": None},
        {"{}/images/1.png": None, "x/images/2.png": "x"},
    ],
)
def test_folders_of_images_that_nobody_has_labeled_are_no_class(registry, tmp_path, layout, word, files):
    files = {name.format(word): said for name, said in files.items()}
    pictures(tmp_path, *files)
    said, _, warnings, doubts = facts(tmp_path, layout)
    assert ({name: found[0] for name, found in said.items()}, doubts) == (files, [])
    assert any("1 image in " in warning and word in warning and "without a class" in warning for warning in warnings)
    assert import_images(registry, ImportRequest(tmp_path, layout)).registered == len(files)


@BOTH
def test_a_sort_that_is_unknown_keeps_its_class(tmp_path, layout):
    pictures(tmp_path, "benign/unknown/1.png", "malignant/ductal/2.png")
    said, *_ = facts(tmp_path, layout)
    assert {found[0] for found in said.values()} == {"benign", "malignant"}


@BOTH
def test_a_patient_in_two_splits_is_named_and_nothing_else_promised(tmp_path, layout):
    whole = ["train/benign/p1/a.png", "test/benign/p3/b.png", "train/malignant/p2/c.png"]
    pictures(tmp_path / "whole", *whole)
    _, groups, warnings, _ = facts(tmp_path / "whole", layout)
    assert set(groups.values()) == {"p1", "p2", "p3"}
    assert not any("several splits" in warning for warning in warnings)
    assert any("each of whom stays in one split" in warning for warning in warnings)
    pictures(tmp_path / "torn", *whole, "test/benign/p1/d.png")
    _, _, warnings, _ = facts(tmp_path / "torn", layout)
    assert not any("stays in one split" in warning for warning in warnings)
    (said,) = [warning for warning in warnings if "several splits" in warning]
    assert said.startswith("1 patient has images in several splits of this data set: p1 (test and train)")
    assert "partly doctor" in said
    assert "partly split" in said
    pictures(tmp_path / "many", *(f"{split}/x/p{n}/{split}.png" for split in ("train", "val") for n in range(5)))
    _, _, warnings, _ = facts(tmp_path / "many", layout)
    assert any("5 patients have images" in warning and "p0, p1, p2 and 2 others" in warning for warning in warnings)
