from annotator.label_studio.payload.labeling_config import (
    CANNOT_TELL,
    CONFIG,
    NO_LESION,
    config_problem,
    regions_in,
    result_from_boxes,
    result_from_verdict,
    verdict_in,
)
from db.records import Box


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
