"""Names from data sets are data of a task, never part of the page's XML, and can be sent whatever they are."""

import json
from xml.etree.ElementTree import fromstring

import numpy as np
import pytest

from annotator.label_studio.payload.instructions import INSTRUCTIONS
from annotator.label_studio.payload.labeling_config import VARIANTS, interface
from annotator.label_studio.payload.plain import is_writable, writable
from annotator.label_studio.payload.tasks import (
    CLASS,
    KEY,
    TaskHeader,
    image_ids_of,
    key_of,
    known_location_of,
    task_of,
)
from db.imaging.decode import png_from_mask
from db.records import Box
from tests.builders import image_record, label_record

HOSTILE = ["<img src=x onerror=alert(1)>", "a\x00b", "\x1b[2J", "\udcff", "]]>", '"/><Choices/>', "$image", "&lt;"]


@pytest.mark.parametrize("name", HOSTILE)
def test_a_task_can_be_sent_whatever_its_names_are(name):
    image = image_record(class_name=name)
    header = TaskHeader(name=name, classes=("benign",))
    data = task_of(image, "/data/x.png", header, registry_id="0" * 36)["data"]
    for shown in (data[CLASS], data["partly_image"]):
        shown.encode()
        assert is_writable(shown)
        assert shown == name or "\ufffd" in shown
    json.dumps(data, ensure_ascii=False).encode()


def test_the_page_and_its_instructions_are_the_same_whatever_names_there_are():
    # Neither takes a name: what could break out of the XML is not in it.
    for masks, score in VARIANTS:
        fromstring(interface(masks=masks, show_score=score))
    assert "$partly_classes" in interface()
    assert "{" not in INSTRUCTIONS


def test_characters_that_no_page_can_show_are_replaced_and_others_kept():
    assert writable("Läsion\u00a0\U0001f600 <b>") == "Läsion\u00a0\U0001f600 <b>"
    assert writable("a\x07b\ud800") == "a\ufffdb\ufffd"


@pytest.mark.parametrize("key", ["²-x", "9" * 400 + "-x", "-1-x", "1.5-x", "٣-x", ["1-x"], {"a": 1}, 5, True, None])
def test_a_key_that_is_not_ours_names_no_image(key):
    assert image_ids_of([{"data": {KEY: key}}]) == []


@pytest.mark.parametrize("data", [None, [1], "x", 5])
def test_a_task_without_fields_has_no_key(data):
    assert key_of({"data": data}) is None


def test_a_mask_in_more_parts_than_can_be_drawn_is_sent_as_paint():
    mask_HW = np.zeros((100, 200), dtype=bool)
    mask_HW[::4, ::4] = True
    image = image_record(label=label_record(Box(0, 0, 10, 10)))
    (known,) = known_location_of(image, png_from_mask(mask_HW), as_polygons=True)
    assert [region["type"] for region in known["result"]] == ["brushlabels"]
