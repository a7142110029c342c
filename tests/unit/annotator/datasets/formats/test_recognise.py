import pytest

from annotator.datasets.formats.recognise import recognise
from annotator.datasets.formats.supported import read_layout
from annotator.errors import DataUnreadable
from tests.unit.annotator.datasets.formats.test_as_people_write_them import coco, picture, text, voc, yolo


@pytest.mark.parametrize(
    ("files", "pictures", "layout", "why"),
    [
        ({"labels.csv": "image,class\n"}, ["images/a.png"], "csv", "labels.csv"),
        ({"annotations.json": coco([])}, ["images/a.png"], "coco", "annotations.json"),
        ({"annotations/x.json": coco([])}, ["a.png"], "coco", "annotations/x.json"),
        ({"data.yaml": "names: [a]\n"}, ["images/a.png"], "yolo", "data.yaml"),
        ({"labels/a.txt": yolo()}, ["images/a.png"], "yolo", "labels/a.txt"),
        ({"a.txt": yolo()}, ["a.png"], "yolo", "a.txt"),
        ({"Annotations/a.xml": voc()}, ["JPEGImages/a.png"], "voc", "Annotations/a.xml"),
        ({}, ["benign/a (1).png", "benign/a (1)_mask.png"], "busi", "a (1)_mask.png"),
        ({"notes.json": "{}", "readme.txt": "hello"}, ["benign/a.png"], "folders", "benign/a.png"),
    ],
)
def test_a_layout_is_recognised_by_what_lies_there(tmp_path, files, pictures, layout, why):
    for n, name in enumerate(pictures):
        picture(tmp_path, name, n)
    for name, content in files.items():
        text(tmp_path, name, content)
    found = recognise(tmp_path)
    assert found[0] == layout
    assert why in found[1]


@pytest.mark.parametrize(
    ("name", "layout"), [("x.csv", "csv"), ("x.json", "coco"), ("x.yaml", "yolo"), ("x.yml", "yolo")]
)
def test_a_file_that_is_named_says_it_by_its_ending(tmp_path, name, layout):
    text(tmp_path, name, "")
    assert recognise(tmp_path / name)[0] == layout


def test_what_could_be_several_layouts_is_refused_with_all_of_them(tmp_path):
    picture(tmp_path, "images/a.png")
    text(tmp_path, "labels/a.txt", yolo())
    text(tmp_path, "Annotations/a.xml", voc())
    with pytest.raises(DataUnreadable, match=r"voc, since .*yolo, since .*--layout"):
        recognise(tmp_path)


def test_what_is_nothing_is_refused_with_what_was_expected(tmp_path):
    picture(tmp_path, "a.png")
    with pytest.raises(DataUnreadable, match=r"labels.csv.*--layout"):
        recognise(tmp_path)
    with pytest.raises(DataUnreadable, match="there is no such folder"):
        recognise(tmp_path / "nowhere")


TABLE = (
    "annotation_id,annotator,created_at,id,image,label,lead_time,updated_at\n"
    '1,1,x,1,/data/upload/1/a.png,"[{""x"":12.5,""rectanglelabels"":[""benign""]}]",1.0,x\n'
)
MIN = '[{"id": 1, "image": "a.png", "annotation_id": 1, "annotator": 1, "lead_time": 1.0}]'


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("export.csv", TABLE, "CSV export of Label Studio.*as JSON.*--layout labelstudio"),
        ("labels.csv", TABLE, "CSV export of Label Studio"),
        ("export.tsv", TABLE.replace(",", "\t"), "CSV export of Label Studio"),
        ("export.csv", "\ufeff" + TABLE.replace(",", ";"), "CSV export of Label Studio"),
        ("exports/export.csv", TABLE, "CSV export of Label Studio"),
        ("labels.csv", MIN, "is not a table but a JSON export of Label Studio; rename it to .json"),
    ],
)
@pytest.mark.parametrize("is_named", [False, True])
def test_a_table_of_label_studio_is_refused_with_what_to_do(tmp_path, name, content, message, is_named):
    picture(tmp_path, "benign/a.png")
    text(tmp_path, name, content)
    with pytest.raises(DataUnreadable, match=message) as caught:
        recognise(tmp_path / name if is_named else tmp_path)
    assert name in str(caught.value)


def test_a_table_of_label_studio_beside_its_json_is_passed_over(tmp_path):
    picture(tmp_path, "a.png")
    text(tmp_path, "export.csv", TABLE)
    text(tmp_path, "export.json", '[{"id": 1, "data": {"image": "a.png"}, "annotations": []}]')
    assert recognise(tmp_path)[0] == "labelstudio"


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("annotations.csv", "filename,class,xmin,ymin,xmax,ymax\nimages/a.png,benign,8,6,24,18\n"),
        ("Data.tsv", "image\tclass\nimages/a.png\tbenign\n"),
        ("boxes.csv", "Image;X;Y;Width;Height\nimages/a.png;8;6;16;12\n"),
    ],
)
def test_the_only_table_that_lists_images_is_a_csv_set(tmp_path, name, content):
    picture(tmp_path, "images/a.png")
    text(tmp_path, name, content)
    layout, why = recognise(tmp_path)
    assert (layout, why.startswith(f"{name} is the only table")) == ("csv", True)


@pytest.mark.parametrize("content", ["image,age\nbenign/a.png,60\n", "patient,class\n1,benign\n", ""])
def test_a_table_that_says_nothing_of_images_leaves_folders_of_classes_as_they_are(tmp_path, content):
    picture(tmp_path, "benign/a.png")
    picture(tmp_path, "malignant/b.png", 1)
    text(tmp_path, "metadata.csv", content)
    assert recognise(tmp_path)[0] == "folders"


def test_tables_that_list_images_in_folders_are_to_be_imported_by_name(tmp_path):
    for part in ("train", "valid"):
        picture(tmp_path, f"{part}/a.png")
        text(tmp_path, f"{part}/_annotations.csv", "filename,width,height,class,xmin,ymin,xmax,ymax\n")
    with pytest.raises(DataUnreadable, match=r"train/_annotations.csv \(and 1 more\) lists images; import each table"):
        recognise(tmp_path)
    assert recognise(tmp_path / "train")[0] == "csv"


@pytest.mark.parametrize(
    ("titles", "row", "layout"),
    [
        ("image_id,class", "ISIC_7,nevus", "csv"),
        ("id,class", "7,nevus", "folders"),
        ("name,class", "nevus,1", "folders"),
    ],
)
def test_a_table_of_ids_counts_where_these_are_images(tmp_path, titles, row, layout):
    picture(tmp_path, "nevi/ISIC_7.png")
    text(tmp_path, "facts.csv", f"{titles}\n{row}\n")
    assert recognise(tmp_path)[0] == layout


@pytest.mark.parametrize("folder", ["HAM10000_images_part_{}", "images_00{}", "batch{}", "img-{}"])
def test_parts_of_a_set_are_no_classes(tmp_path, folder):
    """Where a table beside them may name classes, nothing is registered."""
    for n in (1, 2):
        picture(tmp_path, f"{folder.format(n)}/a{n}.png")
    text(tmp_path, "metadata.csv", "lesion_id,image_id,dx\nL1,a1,nv\nL2,a2,mel\n")
    listing = read_layout("folders", tmp_path)
    assert listing.doubts == [
        "none of its folders is named like a class, and metadata.csv beside them may name classes"
    ]
    assert {entry.class_name for entry in listing.entries} == {None}
