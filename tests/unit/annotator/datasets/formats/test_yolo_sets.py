"""YOLO sets as people really have them: moved, renamed, edited by hand, and contradicting themselves."""

import pytest

from annotator.datasets.formats.names import BoxesAs
from annotator.datasets.formats.recognise import recognise
from annotator.errors import DataUnreadable
from db.records import Split
from tests.unit.annotator.datasets.formats.test_as_people_write_them import FIRST, SECOND, found, picture, text, yolo

TRAIN, VAL, TEST = Split.TRAIN, Split.VAL, Split.TEST
BENIGN, MALIGNANT = "benign", "malignant"
NAMES = "names: [benign, malignant]\n"


def make(root, files, images=("images/a.png", "images/b.png")):
    """Two images with a label file each, of class 0 and 1 in their order, and other files."""
    for n, image in enumerate(images):
        picture(root, image, n)
        label = image.replace("images/", "labels/").rpartition(".")[0]
        text(root, f"{label}.txt", yolo((FIRST, SECOND)[n], n))
    for name, content in files.items():
        text(root, name, content)
    return root


def facts(root, images=("images/a.png", "images/b.png"), path=None):
    """Class and split of each image, the refusals, and the remarks as one text."""
    opened, refused, remarks = found(root, "yolo", path)
    return [opened[image][:2] if image in opened else None for image in images], refused, "\n".join(remarks)


# --- darknet's obj.data

IN_ONE = ("obj_train_data/a.png", "obj_train_data/b.png")


@pytest.mark.parametrize("prefix", ["data/", "", "build/darknet/x64/data/", "C:\\darknet\\data\\", "/home/me/set/"])
@pytest.mark.parametrize("key", ["valid", "test"])
def test_obj_data_names_lists_and_classes_of_any_name(tmp_path, prefix, key):
    listed = {TRAIN: "mytrain.txt", key: "held out.list"}
    said = f"classes = 2\nnames={prefix}lesions.names\n train = {prefix}mytrain.txt\n{key} = {prefix}held out.list\n"
    make(tmp_path, {"obj.data": said, "lesions.names": "benign\nmalignant\n"}, IN_ONE)
    for n, name in enumerate(listed.values()):
        text(tmp_path, name, f"data/{IN_ONE[n]}\n")
    of_images, refused, remarks = facts(tmp_path, IN_ONE)
    assert of_images == [(BENIGN, TRAIN), (MALIGNANT, VAL if key == "valid" else TEST)]
    assert (refused, remarks) == ({}, "")


def test_obj_data_counts_before_lists_and_names_that_nobody_names(tmp_path):
    files = {
        "obj.data": "names = data/own.names\ntrain = data/own.txt\nvalid = data/test.txt\n",
        **{"own.names": "benign\nmalignant\n", "classes.txt": "malignant\nbenign\n"},
        **{"own.txt": f"{IN_ONE[0]}\n", "train.txt": f"{IN_ONE[1]}\n", "test.txt": f"{IN_ONE[1]}\n"},
    }
    of_images, refused, remarks = facts(make(tmp_path, files, IN_ONE), IN_ONE)
    assert (of_images, refused) == ([(BENIGN, TRAIN), (MALIGNANT, VAL)], {})
    assert "train.txt was not read, since obj.data" in remarks
    assert "classes.txt calls class 0 'malignant', own.names calls it 'benign'; own.names was used" in remarks


def test_obj_data_in_the_folder_that_darknet_was_run_around(tmp_path):
    images = ("data/obj/a.png", "data/obj/b.png")
    files = {
        "data/obj.data": "train=data/train.txt\nvalid=data/valid.txt\nnames=data/obj.names\n",
        "data/obj.names": "benign\nmalignant\n",
        **{"data/train.txt": "data/obj/a.png\n", "data/valid.txt": "data/obj/b.png\n"},
    }
    assert facts(make(tmp_path, files, images), images)[0] == [(BENIGN, TRAIN), (MALIGNANT, VAL)]


def test_what_obj_data_names_and_is_not_there_is_said(tmp_path):
    make(tmp_path, {"obj.data": "train = data/x.txt\n", "obj.names": "benign\nmalignant\n"}, IN_ONE)
    of_images, _, remarks = facts(tmp_path, IN_ONE)
    assert of_images == [(BENIGN, None), (MALIGNANT, None)]
    assert "obj.data: `train` is 'data/x.txt', and there is no such list" in remarks
    assert "its folder is called obj_train_data, but a list that obj.data names is missing" in remarks
    text(tmp_path, "obj.data", "names = data/lesions.names\n")
    with pytest.raises(DataUnreadable, match=r"obj\.data: `names` is 'data/lesions\.names', and no such file"):
        facts(tmp_path)
    text(tmp_path, "obj.data", "names = data/obj.names\n# names = x\nnames = data/other.names\n")
    with pytest.raises(DataUnreadable, match=r"`names` appears twice, again in line 3"):
        facts(tmp_path)


def test_one_list_for_two_splits_puts_its_images_in_none(tmp_path):
    files = {"obj.data": "train = data/all.txt\nvalid = data/all.txt\n", "obj.names": "benign\nmalignant\n"}
    make(tmp_path, files | {"all.txt": "\n".join(IN_ONE)}, IN_ONE)
    of_images, refused, remarks = facts(tmp_path, IN_ONE)
    assert ([split for _, split in of_images], refused) == ([None, None], {})
    assert "all.txt: obj.data names it for train and for val, so its images are in none (2 splits)" in remarks


# --- lists and folders that data.yaml names

IN_TRAIN = ("images/train/a.png", "images/train/b.png")


@pytest.mark.parametrize(
    ("said", "lists"),
    [
        ("train: lists\\train.txt\ntest: lists\\test.txt\n", ("lists/train.txt", "lists/test.txt")),
        ("path: ..\\sets\\x\ntrain: .\\tr.txt\ntest: te.txt\n", ("tr.txt", "te.txt")),
        ("train: D:\\sets\\x\\train.txt\ntest: D:\\sets\\x\\test.txt\n", ("train.txt", "test.txt")),
        ("train: train.txt\ntest: test.txt\n", ("train.txt", "test.TXT")),
        ("train: Lists/Train.txt\ntest: lists/test.txt\n", ("lists/train.txt", "LISTS/TEST.TXT")),
        ("", ("train.txt", "test.txt")),
        ("", ("TRAIN.TXT", "Test.txt")),
        ("train: ../train/tr.txt\ntest: /home/me/test/te.txt\n", ("tr.txt", "te.txt")),
        ("train: [train.txt]\n", ("train.txt", "test.txt")),
    ],
)
def test_a_list_counts_before_the_name_of_a_folder(tmp_path, said, lists):
    make(tmp_path, {"data.yaml": said + NAMES, lists[0]: f"./{IN_TRAIN[0]}\n", lists[1]: f"{IN_TRAIN[1]}\n"}, IN_TRAIN)
    of_images, refused, remarks = facts(tmp_path, IN_TRAIN)
    assert (of_images, refused, remarks) == ([(BENIGN, TRAIN), (MALIGNANT, TEST)], {}, "")


@pytest.mark.parametrize("said", ["train: lists/t.txt\nval: lists/v.txt\n", "train: {a: b}\n"])
def test_a_list_that_is_missing_is_said_and_no_folder_takes_its_place(tmp_path, said):
    make(tmp_path, {"data.yaml": said + NAMES}, IN_TRAIN)
    if "{" in said:
        with pytest.raises(DataUnreadable, match=r"data\.yaml: `train` is neither a path nor a list of paths"):
            facts(tmp_path)
        return
    of_images, refused, remarks = facts(tmp_path, IN_TRAIN)
    assert (of_images, refused) == ([(BENIGN, None), (MALIGNANT, None)], {})
    assert "data.yaml: `train` is 'lists/t.txt', and there is no such list in the data set" in remarks
    assert "data.yaml: `val` is 'lists/v.txt'" in remarks
    assert "its folder is called train, but a list that data.yaml names is missing, so it is in no split" in remarks


def test_an_image_that_the_list_of_its_split_leaves_out_is_in_none(tmp_path):
    make(tmp_path, {"data.yaml": f"train: train.txt\n{NAMES}", "train.txt": IN_TRAIN[0]}, IN_TRAIN)
    of_images, _, remarks = facts(tmp_path, IN_TRAIN)
    assert [split for _, split in of_images] == [TRAIN, None]
    assert "data.yaml names train.txt for train, which it is not in" in remarks
    text(tmp_path, "data.yaml", NAMES)
    of_images, _, remarks = facts(tmp_path, IN_TRAIN)
    assert [split for _, split in of_images] == [TRAIN, None]
    assert "its folder is called train, but train.txt does not list it, so it is in no split" in remarks


@pytest.mark.parametrize(
    "said",
    [
        "train: .\\images\\one\nval: .\\images\\two\n",
        "path: D:\\sets\\x\ntrain: images\\one\\\nval: [images\\two]\n",
        "train: IMAGES/One\nval: ../Images/two/\n",
        "train: /kaggle/input/images/one\nvalidation: /kaggle/input/images/two\n",
        "train: /home/me/train/images/one\nval: ../valid/images/two\n",
        "path: ../test/images\ntrain: one\nval: two\n",
    ],
)
def test_folders_are_found_with_backslashes_and_in_any_case(tmp_path, said):
    images = ("images/one/a.png", "images/two/b.png")
    of_images, _, remarks = facts(make(tmp_path, {"data.yaml": said + NAMES}, images), images)
    assert ([split for _, split in of_images], remarks) == ([TRAIN, VAL], "")


def test_folders_that_are_missing_are_said(tmp_path):
    images = ("images/train/a.png", "images/val/b.png")
    make(tmp_path, {"data.yaml": f"train: images/train\nval: images/val\ntest: ../test/images\n{NAMES}"}, images)
    of_images, _, remarks = facts(tmp_path, images)
    assert [split for _, split in of_images] == [TRAIN, VAL]
    assert remarks.startswith(
        "data.yaml: `test` is '../test/images', and there is no such list, and no such folder with images,"
    )
    text(tmp_path, "data.yaml", f"train: labels/train\n{NAMES}")
    assert "`train` is 'labels/train', and there is no such list, and no such folder with images" in facts(tmp_path)[2]
    text(tmp_path, "data.yaml", f"train: one/pictures\n{NAMES}")
    of_images, _, remarks = facts(tmp_path, images)
    assert [split for _, split in of_images] == [None, VAL]
    assert "its folder is called train, but data.yaml names one/pictures for train, which it is not in" in remarks


def test_paths_that_become_one_when_folders_are_left_out_are_missing(tmp_path):
    make(tmp_path, {"data.yaml": f"train: tr/images\nval: va/images\n{NAMES}"})
    of_images, _, remarks = facts(tmp_path)
    assert [split for _, split in of_images] == [None, None]
    assert "'tr/images', and there is no such list, and no such folder" in remarks
    assert "'va/images', and there is no such list, and no such folder" in remarks
    text(tmp_path, "data.yaml", f"train: tr/images\n{NAMES}")
    of_images, _, remarks = facts(tmp_path)
    assert [split for _, split in of_images] == [TRAIN, TRAIN]
    assert "data.yaml: `train` is 'tr/images', and images, which is there, was used" in remarks


def test_a_list_and_a_folder_that_contradict_each_other_put_an_image_in_no_split(tmp_path):
    make(tmp_path, {"data.yaml": f"train: images\ntest: test.txt\n{NAMES}", "test.txt": "images/b.png\n"})
    of_images, refused, remarks = facts(tmp_path)
    assert ([split for _, split in of_images], refused) == ([TRAIN, None], {})
    assert "images/b.png: it is named for test and for train, so it is in none" in remarks


def test_the_label_file_of_an_image_called_train_is_no_list(tmp_path):
    images = ("train.png", "b.png")
    of_images, refused, _ = facts(make(tmp_path, {"data.yaml": NAMES}, images), images)
    assert (of_images, refused) == ([(BENIGN, None), (MALIGNANT, None)], {})


def test_lists_name_images_in_any_case_where_that_means_one(tmp_path):
    make(tmp_path, {"data.yaml": NAMES, "train.txt": "Images\\A.PNG\n", "val.txt": "images/b.png\n"})
    assert [split for _, split in facts(tmp_path)[0]] == [TRAIN, VAL]
    picture(tmp_path, "images/A.png", 5)
    of_images, _, remarks = facts(tmp_path)
    assert of_images[0] == (BENIGN, None)
    assert "train.txt lists it: Images\\A.PNG may be images/A.png or images/a.png" in remarks


def test_lists_of_autosplit_count_where_there_are_no_others(tmp_path):
    make(tmp_path, {"data.yaml": NAMES, "autosplit_train.txt": "./images/a.png\n", "autosplit_val.txt": "images/b.png"})
    assert [split for _, split in facts(tmp_path)[0]] == [TRAIN, VAL]
    text(tmp_path, "train.txt", "images/b.png\n")
    assert [split for _, split in facts(tmp_path)[0]] == [None, TRAIN]


# --- names of classes


@pytest.mark.parametrize(
    ("names", "line"),
    [
        ("names:\n  0: benign\n  0: malignant\n  1: x\n", "(line 3)"),
        ("names: {0: benign, '00': malignant, 1: x}\n", "(line 1)"),
        ("names:\n  0: benign\n  1: x\n  0: malignant\n  0: benign\n", "(line 4)"),
    ],
)
def test_a_class_with_two_names_has_none(tmp_path, names, line):
    of_images, refused, remarks = facts(make(tmp_path, {"data.yaml": names}))
    assert of_images == [None, ("x", None)]
    assert "class 0 in line 1, which data.yaml gives two names, 'benign' and 'malignant'" in refused["images/a.png"]
    assert line in refused["images/a.png"]
    assert "class 0, which data.yaml gives two names" in remarks


def test_a_class_that_is_named_twice_alike_has_this_name(tmp_path):
    make(tmp_path, {"data.yaml": "names:\n  0: benign\n  0: benign\n  1: malignant\n"})
    assert facts(tmp_path)[0] == [(BENIGN, None), (MALIGNANT, None)]


@pytest.mark.parametrize("key", ["names", "train", "path", "kpt_shape"])
def test_a_key_that_is_there_twice_and_says_two_things_ends_the_import(tmp_path, key):
    values = {"names": ("[benign, x]", "[malignant, x]"), "train": ("images", "labels"), "path": ("a", "b")}
    first, second = values.get(key, ("[1, 2]", "[1, 3]"))
    said = f"names: [benign, x]\nnc: 2\n{key}: {first}\n{key}: {second}\n"
    make(tmp_path, {"data.yaml": said})
    with pytest.raises(DataUnreadable, match=rf"data\.yaml: `{key}` appears twice, in lines \d and 4"):
        facts(tmp_path)
    text(tmp_path, "data.yaml", f"nc: 2\nnc: 3\n? [a, b]\n: c\nauthor: a\nauthor: b\n{NAMES}{NAMES}")
    assert facts(tmp_path)[0] == [(BENIGN, None), (MALIGNANT, None)]


@pytest.mark.parametrize(
    ("names", "what"),
    [
        ("[~, malignant]", "no name"),
        ("[null, malignant]", "no name"),
        ("['', malignant]", "no name"),
        ("{0: , 1: malignant}", "no name"),
        ("[[benign], malignant]", "a list or a mapping"),
        ("[{benign: 0}, malignant]", "a list or a mapping"),
        ("{0: [benign], 1: malignant}", "a list or a mapping"),
    ],
)
def test_what_is_no_text_is_no_name(tmp_path, names, what):
    of_images, refused, remarks = facts(make(tmp_path, {"data.yaml": f"names: {names}\n"}))
    assert of_images == [None, (MALIGNANT, None)]
    assert f"class 0 in line 1, which data.yaml gives {what}" in refused["images/a.png"]
    assert f"class 0, which data.yaml gives {what}" in remarks


@pytest.mark.parametrize(
    ("names", "classes"),
    [
        ("[no, yes]", ("no", "yes")),
        ("[on, off]", ("on", "off")),
        ("[1, 2.5]", ("1", "2.5")),
        ("['~', \"null\"]", ("~", "null")),
    ],
)
def test_words_and_numbers_that_mean_something_in_yaml_are_names(tmp_path, names, classes):
    of_images, _, _ = facts(make(tmp_path, {"data.yaml": f"names: {names}\n"}))
    assert tuple(name for name, _ in of_images) == classes


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("names: {benign: 0, malignant: 1}\n", "line 1, under `names`, has 'benign' where a class number"),
        ("names: benign, malignant\n", r"a list of names is written as \[benign, malignant\]"),
        ("names:\n\t- benign\n", "it cannot be read as YAML .line 2"),
        ("names: [x]\nkpt_shape: [a, b]\n", "`kpt_shape` is not two numbers"),
        ("names: [x]\nkpt_shape: 17\n", "`kpt_shape` is not two numbers"),
        ("names: ~\n", "expected `names`"),
        ("- benign\n", "expected `names`"),
    ],
)
def test_what_cannot_be_names_is_said_in_words(tmp_path, content, message):
    make(tmp_path, {"data.yaml": content})
    with pytest.raises(DataUnreadable, match=rf"data\.yaml: .*{message}") as caught:
        facts(tmp_path)
    assert "invalid literal" not in str(caught.value)


def test_lists_of_names_that_contradict_each_other_count_for_the_label_files_around_them(tmp_path):
    images = ("s1/images/a.png", "s2/images/b.png")
    files = {"s1/labels/classes.txt": "benign\nx\n", "s2/labels/classes.txt": "x\nmalignant\n"}
    of_images, refused, remarks = facts(make(tmp_path, files, images), images)
    assert (of_images, refused) == ([(BENIGN, None), (MALIGNANT, None)], {})
    assert "s1/labels/classes.txt calls class 0 'benign', s2/labels/classes.txt calls it 'x'" in remarks
    assert "nearest" in remarks
    picture(tmp_path, "s3/images/c.png", 7)
    text(tmp_path, "s3/labels/c.txt", yolo())
    _, refused, _ = facts(tmp_path, images)
    assert list(refused) == ["s3/images/c.png"]
    assert "s1/labels/classes.txt and s2/labels/classes.txt name classes differently" in refused["s3/images/c.png"]


def test_the_nearest_list_of_names_counts_before_the_one_of_the_set(tmp_path):
    make(tmp_path, {"classes.txt": "malignant\nbenign\n", "labels/classes.txt": "benign\nmalignant\n"})
    of_images, _, remarks = facts(tmp_path)
    assert of_images == [(BENIGN, None), (MALIGNANT, None)]
    assert "classes.txt calls class 0 'malignant', labels/classes.txt calls it 'benign'" in remarks


def test_what_classes_are_called_does_not_matter_where_every_box_is_a_lesion(tmp_path):
    make(tmp_path, {"data.yaml": "names: {0: benign, 0: malignant, 1: ~}\n"})
    opened, refused, _ = found(tmp_path, "yolo", boxes_as=BoxesAs.LESION)
    assert ([one[::2] for one in opened.values()], refused) == ([(None, [FIRST]), (None, [SECOND])], {})


def test_lists_of_names_that_agree_are_one(tmp_path):
    images = ("s1/images/a.png", "s2/images/b.png")
    files = {"s1/labels/classes.txt": "benign\n", "s3/classes.txt": "benign\nmalignant\n"}
    of_images, refused, remarks = facts(make(tmp_path, files, images), images)
    assert (of_images, refused, remarks) == ([(BENIGN, None), (MALIGNANT, None)], {}, "")


@pytest.mark.parametrize(
    ("used", "other"),
    [
        (("data.yaml", NAMES), ("classes.txt", "malignant\nbenign\n")),
        (("data.yaml", NAMES), ("labels/Classes.txt", "malignant\n")),
        (("data.yaml", NAMES), ("obj.names", "benign\nx\n")),
        (("data.yaml", NAMES), ("dataset.yaml", "names: [malignant]\n")),
        (("data.yaml", NAMES), ("DATA.yml", "names: {1: benign}\n")),
        (("classes.txt", "benign\nmalignant\n"), ("obj.names", "malignant\nbenign\n")),
    ],
)
def test_files_that_call_classes_differently_are_both_named(tmp_path, used, other):
    of_images, _, remarks = facts(make(tmp_path, dict((used, other))))
    assert of_images == [(BENIGN, None), (MALIGNANT, None)]
    assert f"{other[0]} calls class" in remarks
    assert f"{used[0]} calls it" in remarks
    assert f"{used[0]} was used" in remarks


@pytest.mark.parametrize("other", ["classes.txt", "obj.names", "labels/classes.txt"])
def test_files_that_agree_go_without_saying(tmp_path, other):
    assert facts(make(tmp_path, {"data.yaml": NAMES, other: "benign\nmalignant\n"}))[2] == ""


def test_descriptions_that_name_other_splits_are_both_named(tmp_path):
    make(tmp_path, {"data.yaml": f"train: images\n{NAMES}", "dataset.yaml": f"test: images\n{NAMES}"})
    of_images, _, remarks = facts(tmp_path)
    assert of_images[0] == (BENIGN, TRAIN)
    assert "dataset.yaml and data.yaml name different lists or folders for splits; data.yaml was used" in remarks
    assert [split for _, split in facts(tmp_path, path=tmp_path / "dataset.yaml")[0]] == [TEST, TEST]


def test_of_several_descriptions_with_names_of_their_own_one_is_to_be_named(tmp_path):
    make(tmp_path, {"fold1.yaml": NAMES, "fold2.YAML": NAMES, "hyp.yaml": "lr0: 0.01\n"})
    with pytest.raises(DataUnreadable, match=r"fold1\.yaml, fold2\.YAML may describe the data set; name one"):
        facts(tmp_path)
    (tmp_path / "fold1.yaml").unlink()
    assert facts(tmp_path)[0] == [(BENIGN, None), (MALIGNANT, None)]


def test_a_description_one_folder_below_is_read_and_several_are_not_mixed(tmp_path):
    images = ("s1/images/train/a.png", "s1/images/val/b.png")
    make(tmp_path, {"s1/data.yaml": f"train: images/val\nval: images/train\n{NAMES}"}, images)
    of_images, _, remarks = facts(tmp_path, images)
    assert of_images == [(BENIGN, VAL), (MALIGNANT, TRAIN)]
    assert "s1/data.yaml is used as the description of the data set" in remarks
    picture(tmp_path, "s2/images/c.png", 7)
    _, _, remarks = facts(tmp_path, images)
    assert "s1/data.yaml was not read" in remarks
    text(tmp_path, "s2/data.yaml", "names: [malignant, benign]\n")
    with pytest.raises(DataUnreadable, match=r"several data sets, described in s1/data\.yaml, s2/data\.yaml; import"):
        facts(tmp_path)


# --- upper and lower case


@pytest.mark.parametrize(
    ("image", "label"),
    [
        ("images/a.png", "labels/a.TXT"),
        ("Images/a.png", "Labels/a.txt"),
        ("IMAGES/a.png", "LABELS/A.TXT"),
        ("images/Train/a.png", "labels/train/a.txt"),
        ("s/a.png", "s/A.Txt"),
        ("images/Images/a.png", "labels/Images/a.txt"),
    ],
)
@pytest.mark.parametrize("yaml", ["data.yaml", "Data.YAML", "DATASET.yaml"])
def test_names_that_differ_in_case_only_belong_together(tmp_path, image, label, yaml):
    picture(tmp_path, image)
    text(tmp_path, label, yolo())
    text(tmp_path, yaml, "names: [benign]\n")
    opened, refused, remarks = found(tmp_path, "yolo")
    assert ({name: one[::2] for name, one in opened.items()}, refused, remarks) == ({image: (BENIGN, [FIRST])}, {}, [])
    assert recognise(tmp_path)[0] == "yolo"
    assert recognise(tmp_path / yaml)[0] == "yolo"
    assert found(tmp_path, "yolo", tmp_path / yaml)[0] == opened


def test_the_very_name_goes_before_one_in_another_case(tmp_path):
    make(tmp_path, {"data.yaml": NAMES, "labels/A.TXT": yolo(SECOND)})
    picture(tmp_path, "images/A.png", 5)
    opened, refused, _ = found(tmp_path, "yolo")
    assert (opened["images/a.png"][2], opened["images/A.png"][2], refused) == ([FIRST], [SECOND], {})
    (tmp_path / "labels/A.TXT").unlink()
    opened, refused, _ = found(tmp_path, "yolo")
    assert (opened["images/a.png"][2], opened["images/A.png"][2], refused) == ([FIRST], None, {})


def test_several_that_differ_in_case_only_are_nobodys(tmp_path):
    make(tmp_path, {"data.yaml": NAMES, "labels/B.TXT": yolo(), "labels/b.TXT": yolo()})
    (tmp_path / "labels/b.txt").unlink()
    _, refused, _ = found(tmp_path, "yolo")
    assert refused == {"images/b.png": "labels/B.TXT and labels/b.TXT may be its label file; keep one"}
    text(tmp_path, "Data.yaml", NAMES)
    text(tmp_path, "DATA.yaml", NAMES)
    (tmp_path / "data.yaml").unlink()
    with pytest.raises(DataUnreadable, match=r"DATA\.yaml and Data\.yaml may describe the data set; keep one"):
        found(tmp_path, "yolo")


# --- lines


@pytest.mark.parametrize(
    ("lines", "reason"),
    [
        ("\n0 16 12 16 12\n", "has 16 in line 2, far beyond the edge .* fractions of the width and height.* pixels"),
        ("0 25.0 25.0 50 12.5\n", "look like pixels"),
        ("0 8 6 24 6 24 18\n", "look like pixels"),
        ("0 .5 .5 .2 .2\n0 .5 .5 x .2\n", "cannot be read: line 2 has 'x', expected a number$"),
        ("benign .5 .5 .2 .2\n", "line 1 has 'benign', expected the number of a class$"),
        ("0,0.5,0.5,0.2,0.2\n", "numbers are separated by spaces and have a decimal point$"),
        ("0 0,5 0,5 0,2 0,2\n", "line 1 has '0,5', expected a number; numbers are separated by spaces"),
        ("0 .5 .5 .2 .2 .93\n", r"a line of 6 numbers \(line 1\), expected 5 .* confidence"),
        ("0 .5 .5 .2 .2\n\n0 .5\n", r"a line of 2 numbers \(line 3\), expected 5"),
        ("0 .5 .5 nan .2\n", "not finite in line 1"),
        ("7 .5 .5 .2 .2\n", r"class 7, which the data set does not name \(line 1; see data.yaml\)"),
        ("-1 .5 .5 .2 .2\n", "has -1 as a class in line 1"),
    ],
)
def test_a_line_that_cannot_be_used_is_named_in_words(tmp_path, lines, reason):
    make(tmp_path, {"data.yaml": NAMES, "labels/a.txt": lines})
    _, refused, _ = found(tmp_path, "yolo")
    assert list(refused) == ["images/a.png"]
    with pytest.raises(AssertionError, match=reason):
        raise AssertionError(refused["images/a.png"])
    assert refused["images/a.png"].startswith("its label file labels/a.txt ")


def test_a_label_file_that_is_not_utf8_says_so(tmp_path):
    make(tmp_path, {"data.yaml": NAMES})
    (tmp_path / "labels/a.txt").write_bytes("0 .5 .5 .2 .2\n".encode("utf-16"))
    assert found(tmp_path, "yolo")[1] == {
        "images/a.png": "its label file labels/a.txt cannot be read: it is not UTF-8 text; save it as UTF-8"
    }


def test_a_little_beyond_an_edge_is_no_pixel(tmp_path):
    make(tmp_path, {"data.yaml": NAMES, "labels/a.txt": "0 .5 .5 1.0000001 1.0000001\n"})
    assert found(tmp_path, "yolo")[0]["images/a.png"][2] == [(0, 0, 64, 48)]


def test_twins_are_counted_as_elsewhere(tmp_path):
    outline = "1 .1 .1 .4 .1 .4 .4\n"
    make(tmp_path, {"data.yaml": NAMES, "labels/a.txt": yolo() * 2, "labels/b.txt": outline * 3})
    _, refused, remarks = facts(tmp_path)
    assert refused == {}
    assert "images/a.png: a line repeats an earlier one; each counts once\n" in remarks
    assert "images/b.png: a line repeats an earlier one; each counts once (2 labels)" in remarks
    assert "images/b.png: it repeats an earlier outline (2 masks)" in remarks


def test_only_sets_whose_images_have_classes_miss_their_names(tmp_path):
    make(tmp_path, {"data.yaml": "names: []\n"})
    assert "data.yaml names no class; their numbers are used as names" in facts(tmp_path)[2]
    for name in ("a", "b"):
        text(tmp_path, f"labels/{name}.txt", "")
    assert facts(tmp_path)[2] == ""
