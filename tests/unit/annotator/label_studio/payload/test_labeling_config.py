from pathlib import Path

import pytest

from annotator.label_studio.payload.labeling_config import (
    CANNOT_TELL,
    CONFIG,
    EARLIER,
    MASK_TOOLS,
    NO_LESION,
    can_ask_class,
    can_say_nothing,
    class_in,
    config_problem,
    digest_of,
    has_mask_tools,
    interface,
    is_generated,
    refreshed,
    regions_in,
    result_from_boxes,
    result_from_class,
    result_from_verdict,
    verdict_in,
)
from db.records import Box

OLD = Path(__file__).parent / "assets" / "interface-1.xml"
"""As partly wrote it before it could propose "nothing to find" and ask for a class."""


def test_our_own_interface_has_no_problem():
    assert config_problem(CONFIG) is None


def test_another_interface_is_explained():
    assert "RectangleLabels" in config_problem("<View><Image name='image' value='$image'/></View>")
    assert "not valid XML" in config_problem("<View>")
    assert NO_LESION in config_problem(CONFIG.replace(NO_LESION, "nothing"))


def test_a_result_says_what_was_put_in():
    result = result_from_boxes([Box(10, 10, 20, 20), Box(50, 50, 10, 10)], 100, 100)
    assert len({region["id"] for region in result}) == 2
    assert len(regions_in(result, "rectanglelabels")) == 2
    assert (result[0]["original_width"], result[0]["original_height"]) == (100, 100)
    assert verdict_in(result) is None
    assert verdict_in(result_from_verdict(CANNOT_TELL)) == CANNOT_TELL


def test_a_class_and_a_verdict_are_told_apart():
    result = [*result_from_class("no lesion"), *result_from_verdict(CANNOT_TELL)]
    assert (class_in(result), verdict_in(result)) == ("no lesion", CANNOT_TELL)
    assert (class_in([]), verdict_in(result_from_class("benign"))) == (None, None)


@pytest.mark.parametrize("masks", [False, True])
@pytest.mark.parametrize("score", [False, True])
def test_our_own_interface_is_known_and_can_say_and_ask_everything(masks, score):
    xml = interface(masks=masks, show_score=score)
    assert is_generated(xml.replace("\n", "\n  "))
    assert refreshed(xml) == xml
    assert can_say_nothing(xml)
    assert can_ask_class(xml)


@pytest.mark.parametrize("masks", [False, True])
@pytest.mark.parametrize("score", [False, True])
def test_an_interface_of_an_earlier_version_is_brought_up_to_date_and_a_changed_one_is_not(masks, score):
    old = OLD.read_text().replace("{score}", " \u00b7 score $partly_score" if score else "")
    old = old.replace("{masks}", MASK_TOOLS if masks else "")
    assert digest_of(old) in EARLIER
    assert not can_say_nothing(old)
    assert not can_ask_class(old)
    assert refreshed(old) == interface(masks=masks, show_score=score)
    changed = old.replace("accept", "yes")
    assert refreshed(changed) == changed


@pytest.mark.parametrize("xml", ["", "<View>", '<!DOCTYPE a [<!ENTITY b "c">]><View>&b;</View>', "<View>\x00</View>"])
def test_an_interface_that_is_no_xml_offers_nothing_and_stops_nothing(xml):
    assert config_problem(xml) is not None
    assert not has_mask_tools(xml)
    assert not can_ask_class(xml)
    assert not can_say_nothing(xml)
