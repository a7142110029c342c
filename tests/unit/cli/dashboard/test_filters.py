"""Filters in an address: what is read is what was written."""

from urllib.parse import parse_qsl, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cli.dashboard.filters import FIELDS, address, filter_from, given_in, image_number, number_in
from db.errors import InvalidArgument
from db.records import Supervision
from db.records.images import ImageFilter


def test_every_field_of_the_filter_can_be_asked_for():
    query = {
        "name": "scan",
        "class": "a&b=c",
        "split": "val",
        "supervision": "partly",
        "located": "no",
        "proposed": "yes",
        "run": "run-3",
        "min_score": "0.25",
        "max_score": "1",
        "reviewer": "ann@x",
        "near_duplicates": "yes",
    }
    assert set(query) == set(FIELDS)
    assert filter_from(query) == ImageFilter(
        class_name="a&b=c",
        split="val",
        supervision=Supervision.PARTLY,
        located=False,
        proposed=True,
        run="run-3",
        min_score=0.25,
        max_score=1.0,
        reviewer="ann@x",
        name="scan",
        look_alikes=True,
    )
    assert filter_from(dict.fromkeys(FIELDS, "") | {"page": "7"}) == ImageFilter()


@given(st.dictionaries(st.sampled_from(FIELDS), st.text(st.characters(exclude_categories=["Cs"]), max_size=20)))
def test_an_address_says_what_it_was_made_from(query):
    read = dict(parse_qsl(urlsplit(address("/images", query, after=7)).query, keep_blank_values=True))
    assert given_in(read) == given_in(query)
    assert number_in(read, "after") == 7


@given(st.text(max_size=12))
def test_a_number_is_a_small_whole_one_or_none(text):
    number = image_number(text)
    assert number is None or (0 <= number < 10**9 and number == int(text))
    if text and number is None:
        with pytest.raises(InvalidArgument, match="number of an image"):
            number_in({"after": text}, "after")
