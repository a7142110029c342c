"""Tables as spreadsheets and people write them: what parts the cells, how text is stored, names, and empty cells."""

import unicodedata

import pytest

from annotator.datasets.formats.supported import read_layout
from annotator.datasets.import_images import import_images
from annotator.datasets.import_request import ImportRequest
from annotator.datasets.listing.folder import Folder
from annotator.errors import DataUnreadable
from db.records import Split
from tests.picture_files import mask_file
from tests.unit.annotator.datasets.formats.test_as_people_write_them import FIRST, SECOND, found, picture, text

TITLES, ROW = "image,class,x,y,width,height", "a.png,benign,8,6,16,12"
PLAIN = f"{TITLES}\n{ROW}\n"


@pytest.fixture
def root(tmp_path):
    picture(tmp_path, "a.png")
    return tmp_path


@pytest.mark.parametrize(
    ("content", "encoding"),
    [
        (PLAIN.replace(",", ";"), "utf-8"),
        (PLAIN.replace(",", "\t"), "utf-8"),
        (PLAIN.replace(",", "|"), "utf-8"),
        (f"sep=;\r\n{PLAIN.replace(',', ';')}", "utf-8"),
        (f"sep=,\n{PLAIN}", "utf-8-sig"),
        (f"# made on Monday, by hand\n\n{PLAIN}", "utf-8"),
        (PLAIN.replace(TITLES, TITLES.upper()), "utf-8"),
        (PLAIN.replace(TITLES, " Image , Class,X,Y,Width,Height"), "utf-8"),
        (PLAIN, "utf-16"),
        (PLAIN.replace(",", "\t").replace("\n", "\r\n"), "utf-16"),
        (PLAIN.replace(",", ";").replace("8;6;16;12", "8,0;6,0;16,0;12,0"), "utf-8"),
        (PLAIN.replace("\n", "\r"), "utf-8"),
    ],
)
def test_a_table_is_read_however_it_was_saved(root, content, encoding):
    text(root, "labels.csv", content, encoding)
    opened, refused, said = found(root, "csv")
    assert (opened, refused, said) == ({"a.png": ("benign", None, [FIRST])}, {}, [])


def test_lines_are_counted_from_the_top_of_the_file(root):
    text(root, "labels.csv", f"sep=,\n# of the file\n{PLAIN}gone.png,benign,1,2,x,4\n")
    assert found(root, "csv")[1]["gone.png"].endswith("(labels.csv line 5)")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"PK\x03\x04 a workbook", "Excel workbook; save it as CSV UTF-8"),
        (f"{TITLES}\n{ROW.replace('benign', 'gutartig ü')}\n".encode("latin-1"), "save it as UTF-8"),
        (b"image_id;class\n7;benign\n", "if 'image_id' is that column, rename it to 'image'"),
        (b"path,file,class\na.png,a.png,benign\n", "if 'path' is that column, rename it to 'image'"),
        (b"patient,class\na.png,benign\n", "expected columns image, class"),
        (b"image,Image\na.png,b.png\n", "the column 'image' appears twice"),
        (b'image,class\n"a.png,benign\n', "cannot be read as a CSV file"),
    ],
)
def test_what_is_no_such_table_is_named_with_the_remedy(root, content, said):
    (root / "labels.csv").write_bytes(content)
    with pytest.raises(DataUnreadable, match=said):
        read_layout("csv", root)


def classes(root):
    opened, refused, said = found(root, "csv")
    return {name: class_name for name, (class_name, _, _) in opened.items()}, refused, said


@pytest.mark.parametrize("title", ["image", "image_id", "Image Index", "patientId"])
def test_ids_without_folder_and_ending_find_their_images(tmp_path, title):
    """As HAM10000, the chest X-rays of NIH and RSNA, and VinDr-CXR have them."""
    picture(tmp_path, "part_1/ISIC_7.jpg")
    picture(tmp_path, "part_2/ISIC_8.png")
    text(tmp_path, "labels.csv", f"lesion,{title},class\nL1,ISIC_7,nevus\nL2,ISIC_8,melanoma\n")
    opened, refused, said = classes(tmp_path)
    assert (opened, refused) == ({"ISIC_7": "nevus", "ISIC_8": "melanoma"}, {})
    assert said[-1] == "2 images were found by only part of the path, such as part_1/ISIC_7.jpg for 'ISIC_7'"
    assert (f"labels.csv: the column {title!r} was used as 'image'" in said) == (title != "image")


def test_a_name_that_several_images_have_is_refused_with_their_paths(root):
    for name in ("one/b.png", "two/b.png", "c.png", "c.jpg", "two/d.png"):
        picture(root, name)
    text(root, "labels.csv", "image,class\nb,x\nb.png,x\nc,x\nd,y\na.png,x\n")
    opened, refused, _ = classes(root)
    assert opened == {"d": "y", "a.png": "x"}
    assert "b may be one/b or two/b; it is unclear which" in refused["b"]
    assert "b.png may be one/b.png or two/b.png; it is unclear which" in refused["b.png"]
    assert "c may be c.jpg or c.png; it is unclear which" in refused["c"]


def test_two_names_that_would_be_one_image_are_refused(root):
    text(root, "labels.csv", "image,class\none/a.png,x\ntwo/a.png,x\n")
    opened, refused, _ = classes(root)
    assert opened == {}
    assert "a.png may be one/a.png or two/a.png; it is unclear which" in refused["two/a.png"]
    text(root, "labels.csv", "image,class\none/a.png,x\n")
    assert classes(root)[0] == {"one/a.png": "x"}


def test_a_mask_is_not_the_image_that_is_called_so(root):
    picture(root, "images/b.png")
    mask_file(root / "masks" / "b.png", (8, 6, 16, 12))
    text(root, "labels.csv", "image,class\nb.png,x\n")
    opened, _, said = classes(root)
    assert opened == {"b.png": "x"}
    # That it is not used is said.
    assert "masks/b.png: labels.csv has no mask of its image; name it in a column 'mask'" in said
    text(root, "labels.csv", "image,class,mask\nb.png,x,masks/b.png\n")
    assert found(root, "csv")[0]["b.png"] == ("x", None, [(8, 6, 16, 12)])


@pytest.mark.parametrize("named", ["b.png", "b", "masks/b", "Masks\\b.png"])
@pytest.mark.parametrize("images", ["images/", ""])
def test_a_mask_that_is_named_without_its_folder_or_ending_is_found(tmp_path, named, images):
    picture(tmp_path, f"{images}b.png")
    mask_file(tmp_path / "Masks" / "b.png", (8, 6, 16, 12))
    text(tmp_path, "labels.csv", f"image,class,mask\nb.png,x,{named.replace('masks', 'Masks')}\n")
    opened, refused, said = found(tmp_path, "csv")
    assert (opened, refused) == ({"b.png": ("x", None, [(8, 6, 16, 12)])}, {})
    assert ("1 mask was found by only part of the path" in " ".join(said)) == ("\\" not in named)


def test_a_mask_that_several_files_may_be_is_refused_with_their_paths(root):
    for name in ("one/m.png", "two/m.png"):
        mask_file(root / name, (8, 6, 16, 12))
    picture(root, "b.png")
    text(root, "labels.csv", "image,class,mask\na.png,x,m.png\nb.png,y,n.png\n")
    opened, refused, _ = found(root, "csv")
    assert opened == {}
    assert "m.png may be one/m.png or two/m.png; it is unclear which" in refused["a.png"]
    assert "n.png" in refused["b.png"]
    picture(root, "c.png")
    text(root, "labels.csv", "image,class,mask\na.png,x,masks/c.png\n")
    assert found(root, "csv")[1] == {"a.png": "its mask c.png cannot be used: no such file"}
    text(root, "labels.csv", "image,class,mask\na.png,x,a.png\n")
    assert "named as its own mask" in found(root, "csv")[1]["a.png"]


def test_an_image_of_another_folder_is_none_that_is_missing(root):
    picture(root, "test/b.png")
    text(root, "labels.csv", "image,class\na.png,x\ntrain/b.png,x\n")
    opened, refused, _ = classes(root)
    assert opened == {"a.png": "x"}
    assert refused["train/b.png"] == "no such file"


def test_classes_in_columns_of_their_own(root):
    """One column a class, with a 1 in that of the image's class: as ISIC's tables have them."""
    for name in ("b.png", "c.png", "d.png", "e.png"):
        picture(root, name)
    table = "image,MEL,NV,age\na.png,1.0,0.0,1\nb.png,0,1,30\nc.png,0,0,30\nd.png,1,1,30\ne.png,-1.0\n"
    text(root, "labels.csv", table)
    _, _, said = found(root, "csv")
    assert said[-1].endswith("or from several, where the one with a 1 is the image's class: --class-from A,B,C")
    opened, refused, said = found(root, "csv", class_from="MEL, NV")
    assert {name: row[0] for name, row in opened.items()} == {
        "a.png": "MEL",
        "b.png": "NV",
        "c.png": None,
        "e.png": None,
    }
    assert refused["d.png"].startswith("it has a 1 in several columns of classes (MEL, NV); an image has one class")
    assert said == ["labels.csv: unknown column ignored: age"]
    with pytest.raises(DataUnreadable, match="there is no column 'BCC'"):
        found(root, "csv", class_from="MEL,BCC")
    text(root, "labels.csv", table + "a.png,1,0,1,surplus\n")
    assert "more cells than there are columns" in found(root, "csv", class_from="MEL,NV")[1]["a.png"]


def test_the_only_table_of_a_folder_is_read_whatever_it_is_called(root):
    text(root, "Annotations.CSV", PLAIN)
    assert found(root, "csv")[0] == {"a.png": ("benign", None, [FIRST])}
    text(root, "more.tsv", PLAIN)
    with pytest.raises(DataUnreadable, match=r"name one of its tables: Annotations\.CSV, more\.tsv"):
        read_layout("csv", root)
    assert found(root, "csv", path=root / "Annotations.CSV")[0] == {"a.png": ("benign", None, [FIRST])}


def test_a_table_of_titles_alone_says_so(root):
    text(root, "labels.csv", f"{TITLES}\n")
    opened, _, said = found(root, "csv")
    assert opened == {}
    assert "labels.csv lists no images: it has column titles but no rows" in said


@pytest.mark.parametrize("cell", ["#N/A", "n.a.", "-", "?", "#NV", "#VALUE!", "nan", "NULL"])
def test_a_cell_that_says_nothing_is_no_class(root, cell):
    text(root, "labels.csv", f"{TITLES}\na.png,{cell},8,6,16,12\n")
    opened, _, said = found(root, "csv")
    assert opened == {"a.png": (None, None, [FIRST])}
    assert said == [f"labels.csv: cells with {cell!r} (1) count as missing"]


def test_minus_is_a_class_beside_plus(root):
    picture(root, "b.png", 1)
    text(root, "labels.csv", "image,class,group\na.png,+,-\nb.png,-,p1\n")
    listing = read_layout("csv", root)
    assert [(entry.class_name, entry.group) for entry in listing.entries] == [("+", None), ("-", "p1")]
    assert listing.warnings == ["labels.csv: cells with '-' (1) count as missing"]


def test_blanks_after_commas_are_no_part_of_a_name_unless_a_file_is_called_so(root):
    picture(root, " b.png", 1)
    text(root, "labels.csv", "class, image\nbenign, a.png\nmalignant, b.png\n")
    opened, refused, _ = found(root, "csv")
    assert (opened, refused) == ({" a.png": ("benign", None, None), " b.png": ("malignant", None, None)}, {})


@pytest.mark.parametrize(("listed", "there"), [("NFC", "NFD"), ("NFD", "NFC")])
def test_a_letter_with_an_accent_is_found_in_both_forms(tmp_path, listed, there):
    picture(tmp_path, f"{unicodedata.normalize(there, 'é')}.png")
    name = f"{unicodedata.normalize(listed, 'é')}.png"
    text(tmp_path, "labels.csv", f"image,class\n{name},benign\n")
    opened, refused, said = found(tmp_path, "csv")
    assert (opened, refused, said) == ({name: ("benign", None, None)}, {}, [])


def test_two_spellings_of_one_image_are_one_image(root):
    text(root, "labels.csv", f"{PLAIN}./a.png,benign,30,20,20,20\n a.png,benign,8,6,16,12\n")
    opened, refused, said = found(root, "csv")
    assert (opened, refused) == ({"a.png": ("benign", None, [FIRST, SECOND])}, {})
    assert any("repeats an earlier one" in line for line in said)


def test_absolute_names_are_followed_inside_the_folder_and_by_their_ends_where_a_person_says_where(root, tmp_path):
    inside, elsewhere = str(root / "a.png"), "C:\\data\\a.png"
    text(root, "labels.csv", f"image,class\n{inside},benign\n")
    assert found(root, "csv")[0] == {inside: ("benign", None, None)}
    text(root, "labels.csv", f"image,class\n{elsewhere},benign\n")
    assert "--images DIR" in found(root, "csv")[1][elsewhere]
    listing = read_layout("csv", root, images=root)
    assert [entry.path for entry in listing.entries] == [Folder(root).file("a.png")]


def test_a_mask_apart_from_its_box_or_that_is_the_image_is_refused(registry, root):
    mask_file(root / "m.png", (40, 30, 10, 10), size=(64, 48))
    text(root, "labels.csv", f"{TITLES},mask\n{ROW},m.png\n")
    assert "cover 0% of its mask" in found(root, "csv")[1]["a.png"]
    mask_file(root / "m.png", (40, 30, 10, 10), size=(64, 48))
    text(root, "labels.csv", f"{TITLES},mask\na.png,benign,40,30,10,4,m.png\n")
    assert found(root, "csv")[0]["a.png"][2] == [(40, 30, 10, 4)]
    report = import_images(registry, ImportRequest(root, "csv"))
    assert report.warnings == ["a.png: its boxes cover less than half of its mask; both were kept as they are"]
    text(root, "labels.csv", "image,class,mask\na.png,benign,./a.png\n")
    assert found(root, "csv")[1]["a.png"].startswith("it is named as its own mask")
    text(root, "labels.csv", f"{TITLES},mask\na.png,benign,35,25,20,20,m.png\n")
    assert found(root, "csv")[0]["a.png"][2] == [(35, 25, 20, 20)]


@pytest.mark.parametrize(
    ("cells", "said"),
    [
        ("0.25,0.25,0.25,0.25", "looks like fractions"),
        ("1_0,6,16,12", "four numbers"),
        ("0,0,1,0.5", "looks like fractions"),
    ],
)
def test_numbers_that_are_no_pixels_are_refused(root, cells, said):
    text(root, "labels.csv", f"{TITLES}\na.png,benign,{cells}\n")
    assert said in found(root, "csv")[1]["a.png"]


@pytest.mark.parametrize(
    "titles", ["xmin,ymin,xmax,ymax", "X1,Y1,X2,Y2", "x_min,y_min,x_max,y_max", "left,top,right,bottom"]
)
def test_sides_of_a_box_and_other_words_for_the_image_are_read_and_said(root, titles):
    text(root, "labels.csv", f"filename,class,{titles}\na.png,benign,8,6,24,18\na.png,benign,30,20,50,40\n")
    opened, refused, said = found(root, "csv")
    assert (opened, refused) == ({"a.png": ("benign", None, [FIRST, SECOND])}, {})
    assert said == [
        "labels.csv: the column 'filename' was used as 'image'",
        f"labels.csv: boxes were read from {titles.lower().replace(',', ', ')}",
    ]


@pytest.mark.parametrize(
    ("cells", "reason"), [("24,6,8,18", "is empty"), ("8,6,x,18", "four numbers"), ("8,,24,18", "four numbers")]
)
def test_sides_that_make_no_box_are_refused(root, cells, reason):
    text(root, "labels.csv", f"image,class,xmin,ymin,xmax,ymax\na.png,benign,{cells}\n")
    assert reason in found(root, "csv")[1]["a.png"]


def test_the_tables_of_tensorflow_and_roboflow_have_the_size_of_the_image_beside_the_sides(root):
    titles = "filename,width,height,class,xmin,ymin,xmax,ymax"
    text(root, "_annotations.csv", f"{titles}\na.png,64,48,benign,8,6,24,18\na.png,64,48,benign,30,20,50,40\n")
    opened, refused, said = found(root, "csv")
    assert (opened, refused) == ({"a.png": ("benign", None, [FIRST, SECOND])}, {})
    assert not any("unknown column" in line for line in said)
    text(root, "_annotations.csv", f"{titles}\na.png,640,480,benign,8,6,24,18\n")
    assert "the table says 640x480, the upright image is 64x48" in found(root, "csv")[1]["a.png"]
    text(root, "_annotations.csv", f"{titles}\na.png,64,48,benign,,,,\n")
    assert found(root, "csv")[0] == {"a.png": ("benign", None, None)}


def test_an_image_without_sides_has_no_location(root):
    text(root, "labels.csv", "image,class,xmin,ymin,xmax,ymax\na.png,benign,,,,\n")
    assert found(root, "csv")[0] == {"a.png": ("benign", None, None)}


def test_columns_that_are_not_read_are_named_with_what_to_do(root):
    text(root, "labels.csv", "image,label,bx,by,bw,bh,split\na.png,benign,8,6,16,12,val\n")
    opened, _, said = found(root, "csv")
    assert opened == {"a.png": (None, Split.VAL, None)}
    assert said == [
        "labels.csv: unknown column ignored: label, bx, by, bw, bh",
        "labels.csv: it has no column 'class'; to take classes from 'label': --class-from label",
        "labels.csv: no boxes were read from bx, by, bw, bh; boxes need the columns x,y,width,height: left, top and "
        "size in pixels",
    ]
    listing = read_layout("csv", root, class_from="label")
    assert [entry.class_name for entry in listing.entries] == ["benign"]
    assert not any("--class-from" in line for line in listing.warnings)


def test_a_box_that_reaches_beyond_the_edge_is_cut_with_a_warning(registry, root):
    text(root, "labels.csv", f"{TITLES}\na.png,benign,-2,40,12,10\n")
    report = import_images(registry, ImportRequest(root, "csv"))
    assert (report.registered, report.refused) == (1, [])
    assert report.warnings == ["a.png: a shape reaches beyond the edge of the image; what lies outside was cut off"]
    assert found(root, "csv")[0] == {"a.png": ("benign", None, [(0, 40, 10, 8)])}
    text(root, "labels.csv", f"{TITLES}\na.png,benign,-7,40,12,4\n")
    assert "lies by 58% outside the 64x48 image" in found(root, "csv")[1]["a.png"]


def test_a_table_in_a_folder_of_one_split_beside_others_is_for_that_split(tmp_path):
    for n, part in enumerate(("train", "valid")):
        picture(tmp_path, f"{part}/{n}.png", n)
        text(tmp_path, f"{part}/_annotations.csv", f"{TITLES}\n{n}.png,benign,8,6,16,12\n")
    opened, refused, said = found(tmp_path / "valid", "csv")
    assert (opened, refused) == ({"1.png": ("benign", Split.VAL, [FIRST])}, {})
    assert said == ["valid/_annotations.csv was taken as the val split because of its folder's name"]
    text(tmp_path, "valid/_annotations.csv", f"{TITLES},split\n1.png,benign,8,6,16,12,test\n")
    assert found(tmp_path / "valid", "csv")[0] == {"1.png": ("benign", Split.TEST, [FIRST])}


def test_a_mask_is_found_under_other_spellings_too(root):
    mask_file(root / "m 1.png", (8, 6, 16, 12), size=(64, 48))
    text(root, "labels.csv", "image, class, mask\na.png, benign, m%201.png\n")
    assert found(root, "csv")[:2] == ({"a.png": ("benign", None, [FIRST])}, {})
