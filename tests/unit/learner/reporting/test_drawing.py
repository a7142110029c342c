"""Captions of pictures: whole where they fit, in lines where they do not."""

from hypothesis import given
from hypothesis import strategies as st

from learner.reporting.drawing import wrapped


@given(st.text(alphabet="ab  .-", max_size=60), st.integers(4, 30))
def test_captions_fit_and_say_everything(text, width):
    found = wrapped(text, lambda line: len(line) <= width)
    lines = found.split("\n")
    assert all(len(line) <= width for line in lines)
    if all(len(word) <= width for word in text.split()):
        assert found.split() == text.split()


def test_a_long_name_keeps_its_end():
    assert wrapped("12 a_very_long_name.png  benign .9", lambda line: len(line) <= 12) == "12\n..g_name.png\nbenign .9"
