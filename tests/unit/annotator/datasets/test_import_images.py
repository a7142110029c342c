import os
import shutil

import numpy as np
import pytest
from PIL import Image

from annotator.datasets.decode import open_data_set
from annotator.datasets.import_images import import_images
from annotator.datasets.import_report import shown_refusals
from annotator.datasets.import_request import ImportRequest
from annotator.datasets.listing.entries import Refusal
from annotator.errors import DataSuspicious, DataUnreadable
from db.errors import InvalidArgument
from db.imaging.files import ImageFile
from db.records import Box, LocationSource, LocationStatus, NewLabel, NewReview, ReviewOutcome, Split
from tests.builders import present
from tests.picture_files import picture


@pytest.fixture
def data(tmp_path):
    """A folder with a few images: 100 x 80, each of other content."""
    folder = tmp_path / "data"
    folder.mkdir()
    for n, name in enumerate("abcdef"):
        Image.new("L", (100, 80), 20 * n).save(folder / f"{name}.png")
    return folder


def write(folder, text):
    (folder / "labels.csv").write_text(text, encoding="utf-8")
    return folder


def images_of(registry):
    with registry.read() as tx:
        return {image.path.name: image for image in tx.images.select()}


def test_boxes_masks_empty_and_unknown(registry, data):
    mask = np.zeros((80, 100), dtype=np.uint8)
    mask[10:30, 20:60] = 255
    Image.fromarray(mask).save(data / "c_mask.png")
    Image.new("1", (100, 80)).save(data / "d_mask.png")
    write(
        data,
        "image,class,mask,x,y,width,height,group,split,location\n"
        "a.png,benign,,10,20,30,40,p1,test,\n"
        "a.png,benign,,50,20,10.5,10,p1,test,\n"
        "b.png,malignant,,,,,,,,\n"
        "c.png,benign,c_mask.png,,,,,,,\n"
        "d.png,normal,d_mask.png,,,,,,,\n"
        "e.png,normal,,,,,,,val,empty\n",
    )
    report = import_images(registry, ImportRequest(data, "csv"))
    assert (report.registered, report.refused) == (5, [])
    images = images_of(registry)
    assert images["a.png"].boxes == (Box(10, 20, 30, 40), Box(50, 20, 10.5, 10))
    assert (images["a.png"].group, images["a.png"].split) == ("p1", Split.TEST)
    assert images["b.png"].location_status is LocationStatus.UNKNOWN
    assert images["c.png"].boxes == (Box(20, 10, 40, 20),)
    assert images["c.png"].label.has_mask
    assert images["d.png"].location_status is LocationStatus.EMPTY
    assert images["e.png"].location_status is LocationStatus.EMPTY


def test_the_same_import_twice_changes_nothing(registry, data):
    write(data, "image,class,x,y,width,height\na.png,benign,1,2,3,4\nb.png,benign,,,,\n")
    import_images(registry, ImportRequest(data, "csv"))
    before = images_of(registry)
    report = import_images(registry, ImportRequest(data / "labels.csv", "csv"))
    assert (report.registered, report.updated, report.unchanged) == (0, 0, 2)
    assert images_of(registry) == before


def test_bad_items_are_listed_and_the_good_ones_registered(registry, data, tmp_path):
    (data / "broken.png").write_bytes(b"no image")
    (tmp_path / "secret.png").write_bytes(b"x")
    Image.new("1", (50, 50)).save(data / "small.png")
    write(
        data,
        "image,class,mask,x,y,width,height,colour\n"
        "a.png,benign,,,,,,red\n"
        "broken.png,benign,,,,,,\n"
        "gone.png,benign,,,,,,\n"
        "b.png,benign,missing.png,,,,,\n"
        "c.png,benign,small.png,,,,,\n"
        "d.png,benign,,95,10,20,20,\n"
        "e.png,benign,,1,2,three,4,\n"
        "f.png,benign,,1,2,0,4,\n"
        "../secret.png,benign,,,,,,\n"
        "/etc/passwd,benign,,,,,,\n"
        ",benign,,,,,,\n",
    )
    report = import_images(registry, ImportRequest(data, "csv"))
    assert report.registered == 1
    assert "colour" in report.warnings[0]
    reasons = {refusal.file: refusal.reason for refusal in report.refused}
    assert "not an image" in reasons["broken.png"]
    assert "no such file" in reasons["gone.png"]
    assert "missing.png" in reasons["b.png"]
    assert "50x50" in reasons["c.png"]
    assert "outside the 100x80 image" in reasons["d.png"]
    assert "four numbers" in reasons["e.png"]
    assert "is empty: its width" in reasons["f.png"]
    assert "outside" in reasons["../secret.png"]
    assert "outside" in reasons["/etc/passwd"]
    assert len(report.refused) == 10


def test_a_link_out_of_the_folder_is_refused(registry, data, tmp_path):
    Image.new("L", (9, 9)).save(tmp_path / "outside.png")
    (data / "link.png").symlink_to(tmp_path / "outside.png")
    write(data, "image,class\nlink.png,benign\n")
    assert "outside" in import_images(registry, ImportRequest(data, "csv")).refused[0].reason


def test_a_link_inside_the_folder_is_followed_and_one_to_nowhere_refused(registry, data):
    write(data, "image,class\nlink.png,benign\nnowhere.png,benign\n")
    Image.fromarray(np.random.default_rng(9).integers(0, 255, (20, 30), dtype=np.uint8)).save(data / "target.png")
    (data / "link.png").symlink_to("target.png")
    (data / "nowhere.png").symlink_to("gone.png")
    report = import_images(registry, ImportRequest(data, "csv"))
    assert report.registered == 1
    assert [refusal.reason for refusal in report.refused] == ["no such file"]
    assert images_of(registry)["link.png"].width == 30


def test_linked_folders_are_not_searched(registry, tmp_path):
    (tmp_path / "elsewhere" / "deep").mkdir(parents=True)
    Image.new("L", (9, 9)).save(tmp_path / "elsewhere" / "deep" / "a.png")
    (tmp_path / "set" / "benign").mkdir(parents=True)
    Image.new("L", (8, 8)).save(tmp_path / "set" / "benign" / "b.png")
    (tmp_path / "set" / "benign" / "linked").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "set" / "benign" / "loop").symlink_to(tmp_path / "set")
    report = import_images(registry, ImportRequest(tmp_path / "set", "folders"))
    assert (report.registered, report.refused) == (1, [])


@pytest.mark.parametrize("name", ["new\nline.png", 'quo"te, comma.png', " blank .png", "图ü.png", "#frame=7.png"])
def test_a_table_may_name_any_file(registry, data, name):
    import csv

    Image.new("L", (9, 9)).save(data / name)
    with (data / "labels.csv").open("w", newline="", encoding="utf-8") as stream:
        csv.writer(stream).writerows([["image", "class"], [name, "benign"]])
    assert import_images(registry, ImportRequest(data, "csv")).refused == []
    assert list(images_of(registry)) == [name]
    again = import_images(registry, ImportRequest(data, "csv"))
    assert (again.registered, again.unchanged) == (0, 1)


def test_what_no_database_could_store_is_refused_and_the_good_ones_registered(registry, data):
    with open(os.fsencode(data) + b"/b\xff.png", "wb") as stream:  # noqa: PTH123 - a name that is no text
        stream.write((data / "a.png").read_bytes())
    import_images(registry, ImportRequest(write(data, "image,class\na.png,benign\n"), "csv"))
    (data / "deep" / "benign").mkdir(parents=True)
    os.rename(os.fsencode(data) + b"/b\xff.png", os.fsencode(data) + b"/deep/benign/b\xff.png")  # noqa: PTH104
    Image.new("L", (7, 9)).save(data / "deep" / "benign" / "good.png")
    report = import_images(registry, ImportRequest(data / "deep", "folders"))
    assert report.registered == 1
    assert [(refusal.file, "UTF-8" in refusal.reason) for refusal in report.refused] == [("benign/b\\udcff.png", True)]
    too_long = write(data, f"image,class\na.png,{'c' * 256}\n")
    assert "longer than 255" in import_images(registry, ImportRequest(too_long, "csv")).refused[0].reason


@pytest.mark.parametrize("text", ["", "name,class\nz,b\n", "patient,class\na,b\n"])
def test_a_table_without_an_image_column_cannot_be_read(registry, data, text):
    with pytest.raises(
        DataUnreadable, match=r"expected columns|the file is empty|if 'name' is that column, rename it to 'image'"
    ):
        import_images(registry, ImportRequest(write(data, text), "csv"))


def test_no_table_and_no_layout(registry, tmp_path):
    with pytest.raises(DataUnreadable, match=r"labels\.csv"):
        import_images(registry, ImportRequest(tmp_path, "csv"))
    with pytest.raises(InvalidArgument, match="expected one of"):
        import_images(registry, ImportRequest(tmp_path, "excel"))


def test_folders_give_classes_and_no_locations(registry, data):
    for name, folder in (("a", "benign"), ("b", "malignant"), ("c", "malignant")):
        (data / "set" / folder).mkdir(parents=True, exist_ok=True)
        shutil.move(data / f"{name}.png", data / "set" / folder / f"{name}.png")
    (data / "set" / "benign" / "notes.txt").write_text("x")
    report = import_images(registry, ImportRequest(data / "set", "folders"))
    assert report.registered == 3
    assert "notes.txt" in report.warnings[0]
    with registry.read() as tx:
        status = tx.status.count()
    assert status.classes == {"benign": 1, "malignant": 2}
    assert status.images == {"total": 3, "fully": 0, "partly": 3, "unlabeled": 0}


def test_a_share_of_the_locations_is_kept_in_each_class(registry, phantoms):
    import_images(registry, ImportRequest(phantoms, "csv", keep_locations=0.25, seed=1))
    with registry.read() as tx:
        status = tx.status.count()
        kept = {image.path.name for image in tx.images.select() if image.supervision == "fully"}
    # 48 phantoms: 22 benign, 19 malignant, 7 normal.
    assert status.images == {"total": 48, "fully": 6 + 5 + 2, "partly": 35, "unlabeled": 0}
    assert status.locations == {"present": 11, "confirmed_empty": 2, "unknown": 35}
    again = import_images(registry, ImportRequest(phantoms, "csv", keep_locations=0.25, seed=1))
    assert again.unchanged == 48
    with registry.read() as tx:
        assert {image.path.name for image in tx.images.select() if image.supervision == "fully"} == kept


def test_images_in_test_keep_their_locations(registry, data):
    rows = "".join(f"{name}.png,benign,1,1,5,5,{'test' if name in 'ab' else ''}\n" for name in "abcdef")
    import_images(
        registry, ImportRequest(write(data, "image,class,x,y,width,height,split\n" + rows), "csv", keep_locations=0)
    )
    known = {name for name, image in images_of(registry).items() if image.boxes}
    assert known == {"a.png", "b.png"}


@pytest.mark.parametrize("share", [-0.1, 1.1])
def test_a_share_out_of_range_is_refused(registry, phantoms, share):
    with pytest.raises(InvalidArgument, match="keep-locations"):
        import_images(registry, ImportRequest(phantoms, "csv", keep_locations=share))


def test_groups_come_from_names(registry, data):
    write(data, "image,class\na.png,benign\nb.png,benign\n")
    import_images(registry, ImportRequest(data, "csv", group_by=r"^(\w)\.png"))
    assert {image.group for image in images_of(registry).values()} == {"a", "b"}
    with pytest.raises(InvalidArgument, match="regular expression"):
        import_images(registry, ImportRequest(data, "csv", group_by="("))


def test_a_moved_file_is_the_same_image(registry, data, tmp_path):
    write(data, "image,class,x,y,width,height\na.png,benign,1,2,3,4\n")
    import_images(registry, ImportRequest(data, "csv"))
    shutil.move(data, tmp_path / "elsewhere")
    report = import_images(registry, ImportRequest(tmp_path / "elsewhere", "csv"))
    assert (report.registered, report.moved) == (0, 1)
    assert images_of(registry)["a.png"].path == ImageFile.at(tmp_path / "elsewhere" / "a.png")


def test_identical_files_move_each_to_its_own_name(registry, data, tmp_path):
    shutil.copy(data / "a.png", data / "z.png")
    write(data, "image,class\na.png,benign\nz.png,malignant\n")
    import_images(registry, ImportRequest(data, "csv"))
    shutil.move(data, tmp_path / "elsewhere")
    report = import_images(registry, ImportRequest(tmp_path / "elsewhere", "csv"))
    assert (report.registered, report.moved, report.refused) == (0, 2, [])
    assert {name: image.class_name for name, image in images_of(registry).items()} == {
        "a.png": "benign",
        "z.png": "malignant",
    }
    assert import_images(registry, ImportRequest(tmp_path / "elsewhere", "csv")).unchanged == 2


def test_a_copy_beside_the_original_is_an_image_of_its_own(registry, data, tmp_path):
    write(data, "image,class\na.png,benign\n")
    import_images(registry, ImportRequest(data, "csv"))
    shutil.copytree(data, tmp_path / "copy")
    assert import_images(registry, ImportRequest(tmp_path / "copy", "csv")).registered == 1


def test_changed_content_and_another_class_are_refused_and_nothing_is_lost(registry, data):
    write(data, "image,class\na.png,benign\nb.png,benign\n")
    import_images(registry, ImportRequest(data, "csv"))
    before = images_of(registry)
    Image.new("L", (100, 80), 255).save(data / "a.png")
    report = import_images(registry, ImportRequest(write(data, "image,class\na.png,benign\nb.png,malignant\n"), "csv"))
    reasons = {refusal.file: refusal.reason for refusal in report.refused}
    assert "changed since" in reasons["a.png"]
    assert "'benign'" in reasons["b.png"]
    assert images_of(registry) == before


def test_what_a_person_said_is_never_replaced_by_an_import(registry, data):
    write(data, "image,class\na.png,benign\n")
    import_images(registry, ImportRequest(data, "csv"))
    image = images_of(registry)["a.png"]
    with registry.begin() as tx:
        connection = tx.connections.use(url="http://x", project_id=1, media="upload")
        review = NewReview(image.id, ReviewOutcome.DRAWN, "ann", 1, "v1", location=present(Box(5, 5, 9, 9)))
        review_id = tx.reviews.add(connection.id, review)
        tx.labels.append(
            NewLabel(image.id, review.location, source=LocationSource.DRAWN, reviewer="ann", review_id=review_id)
        )
    report = import_images(
        registry, ImportRequest(write(data, "image,class,x,y,width,height\na.png,benign,1,2,3,4\n"), "csv")
    )
    assert any("a.png: a person has located it" in warning for warning in report.warnings)
    # Its class was known, and its box is not used.
    assert (report.used.images, report.used.labels, report.unused.labels) == (1, 0, 1)
    assert images_of(registry)["a.png"].boxes == (Box(5, 5, 9, 9),)


def test_a_dry_run_registers_nothing(registry, phantoms):
    assert import_images(registry, ImportRequest(phantoms, "csv"), dry_run=True).registered == 48
    assert images_of(registry) == {}


def test_a_data_set_can_be_opened_without_registering_it(phantoms):
    images, refused = open_data_set(phantoms, "csv")
    assert (len(images), refused) == (48, [])


def test_real_images(registry, busi):
    report = import_images(registry, ImportRequest(busi, "csv", keep_locations=0.25))
    assert (report.registered, report.refused) == (670, [])
    with registry.read() as tx:
        assert tx.status.count().classes == {"benign": 397, "malignant": 170, "normal": 103}


def test_a_dry_run_of_a_large_data_set_opens_a_sample_and_looks_for_the_rest(registry, phantoms, tmp_path, monkeypatch):
    # A copy: what is taken away here is there for other tests.
    phantoms = shutil.copytree(phantoms, tmp_path / "phantoms")
    import_images(registry, ImportRequest(phantoms, "csv"))
    monkeypatch.setattr("annotator.datasets.import_images.LOOKED_INTO", 4)
    rows = (phantoms / "labels.csv").read_text().splitlines()
    (phantoms / rows[2].split(",")[0]).unlink()
    # One image more than are registered.
    picture(phantoms / "more.png", 99)
    (phantoms / "labels.csv").write_text("\n".join([*rows, "more.png" + "," * rows[0].count(",")]) + "\n")
    report = import_images(registry, ImportRequest(phantoms, "csv"), dry_run=True)
    assert (report.registered, report.unchanged, report.not_opened) == (1, 47, 44)
    assert [refusal.reason for refusal in report.refused] == ["no such file"]
    assert report.used + report.unused == report.there
    assert import_images(registry, ImportRequest(phantoms, "csv")).registered == 1


def test_people_are_shown_the_first_of_every_kind_of_refusal():
    refused = [Refusal(f"{n}.png", f"its mask m{n}.png is {n}x4, the image 64x48") for n in range(9)]
    refused.append(Refusal("x.png", "no such file"))
    assert shown_refusals(refused) == [
        ("0.png", "its mask m0.png is 0x4, the image 64x48"),
        ("1.png", "its mask m1.png is 1x4, the image 64x48"),
        ("2.png", "its mask m2.png is 2x4, the image 64x48"),
        ("and 6 more", "of the same kind; --json lists all"),
        ("x.png", "no such file"),
    ]


def test_a_data_set_that_is_not_registered_says_as_much_of_itself(data):
    write(data, "image,class,x,y,width,height,colour\na.png,benign,-1,5,20,10,red\nb.png,benign,,,,,\n")
    said = []
    images, refused = open_data_set(data, "csv", say=said.append)
    assert (len(images), refused) == (2, [])
    assert any("unknown column ignored: colour" in line for line in said)
    assert any("a shape reaches beyond the edge" in line for line in said)
    for place in ("siteA/cyst", "siteA/fibroma", "siteB/cyst"):
        (data / "sites" / place).mkdir(parents=True)
        Image.new("L", (8, 8)).save(data / "sites" / place / "1.png")
    with pytest.raises(DataSuspicious, match="choose another --layout"):
        open_data_set(data / "sites", "folders")
