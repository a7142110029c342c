import pytest

from learner.config import make_config
from learner.errors import ConfigInvalid
from learner.input_range import IMAGENET, parse_statistics, write_statistics

HALF = ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))


def test_names_and_numbers_are_read_and_written_back():
    assert parse_statistics("auto") == parse_statistics("imagenet") == IMAGENET
    assert parse_statistics("unit") == ((0, 0, 0), (1, 1, 1))
    assert write_statistics(IMAGENET) == "imagenet"
    assert write_statistics(((0.0, 0.0, 0.0), (1.0, 1.0, 1.0))) == "unit"
    assert write_statistics(HALF) == "0.5,0.5,0.5/0.5,0.5,0.5"
    odd = ((0.1 + 0.2, 1 / 3, 0.0), (2 / 3, 1e-3, 1.0))
    assert parse_statistics(write_statistics(odd)) == odd, "to the last digit"


@pytest.mark.parametrize(
    "text", ["", "Imagenet", "0.5", "1,2,3", "1,2/3,4", "1,2,3/0,1,1", "1,2,3/nan,1,1", "a,b,c/1,1,1"]
)
def test_anything_else_is_refused(text):
    with pytest.raises(ConfigInvalid, match="expected auto, imagenet, unit"):
        make_config("default", {"normalize": text})


def test_presets():
    assert make_config("default").normalize == "auto"
    assert make_config("paper").normalize == "unit"
