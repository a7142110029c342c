"""Pascal VOC sets of other people, and what is refused of them."""

import pytest

from annotator.datasets.import_images import import_images
from annotator.datasets.import_request import ImportRequest
from db.records import Box
from tests.picture_files import picture

VOC = """<annotation><filename>a.png</filename><size><width>64</width><height>48</height></size>
<object><name>benign</name><bndbox><xmin>1</xmin><ymin>3</ymin><xmax>10</xmax><ymax>4</ymax></bndbox></object>
</annotation>"""


def voc_set(folder, text):
    picture(folder / "JPEGImages/a.png")
    (folder / "Annotations").mkdir()
    (folder / "Annotations/a.xml").write_text(text)
    return folder


def test_voc_counts_pixels_from_one_and_includes_the_last(registry, tmp_path):
    import_images(registry, ImportRequest(voc_set(tmp_path / "voc", VOC), "voc"))
    with registry.read() as tx:
        (image,) = tx.images.select()
    assert (image.class_name, image.boxes) == ("benign", (Box(0, 2, 10, 2),))


BOMB = '<!DOCTYPE x [<!ENTITY a "aaaa">]><annotation><filename>&a;</filename></annotation>'
SECRET = '<!DOCTYPE x [<!ENTITY a SYSTEM "file:///etc/passwd">]><annotation><filename>&a;</filename></annotation>'


@pytest.mark.parametrize("text", ["", "<annotation>", BOMB, SECRET, VOC.replace("<xmin>1", "<xmin>x")])
def test_hostile_or_broken_voc_is_refused(registry, tmp_path, text):
    report = import_images(registry, ImportRequest(voc_set(tmp_path / "voc", text), "voc"))
    assert report.registered == 0
    assert len(report.refused) == 1


def test_voc_of_another_size_is_refused(registry, tmp_path):
    text = VOC.replace("<width>64</width><height>48</height>", "<width>48</width><height>64</height>")
    report = import_images(registry, ImportRequest(voc_set(tmp_path / "voc", text), "voc"))
    assert "before it was rotated" in report.refused[0].reason
