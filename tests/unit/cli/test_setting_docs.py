"""Every setting is explained, and what is said to be allowed is what is allowed."""

import dataclasses
import re

import pytest

from cli.help.setting_docs import OTHER, RANGES, setting_docs
from learner.config import ALIASES, TrainConfig, make_config
from learner.errors import ConfigInvalid

DOCS = setting_docs()


def test_every_setting_is_explained_in_a_section():
    names = {field.name for field in dataclasses.fields(TrainConfig)} - {"preset"}
    assert {ALIASES.get(key, key) for key in DOCS} == names
    assert not [doc.key for doc in DOCS.values() if doc.group == OTHER]
    assert all(doc.meaning.endswith(".") for doc in DOCS.values())
    # Every number has a range.
    assert [doc.key for doc in DOCS.values() if "number" in doc.kind and not doc.allowed] == ["weight_decay"]


@pytest.mark.parametrize("key", [key for key, doc in DOCS.items() if doc.choices])
def test_every_choice_is_taken_and_nothing_else(key):
    for choice in DOCS[key].choices:
        make_config("default", {key: choice})
    with pytest.raises(ConfigInvalid):
        make_config("default", {key: "nonsense"})


def number(text):
    return float(text.replace(",", ""))


@pytest.mark.parametrize("field", sorted(set(RANGES) - {"fold", "seed"}))
def test_ranges_are_those_that_are_checked(field):
    allowed = RANGES[field]
    key = next((typed for typed, name in ALIASES.items() if name == field), field)
    whole = DOCS[key].kind == "whole number"
    # Together with what a bound of one setting needs of another.
    others = {"ignore_low": {"ignore_high": 1}, "ignore_high": {"ignore_low": 0}, "ema_decay": {"pseudo": "none"}}

    def accepts(value):
        try:
            make_config("default", {**others.get(field, {}), key: int(value) if whole else value})
        except ConfigInvalid:
            return False
        return True

    step = 1 if whole else 1e-6
    zero, low, high = re.fullmatch(
        r"(0, or )?(?:above )?([\d,]+)(?:,? (?:to |or |))?(?:below )?([\d,]+|more)?(?: \(.*\))?", allowed
    ).groups()
    if zero:
        assert accepts(0)
        assert not accepts(1)
    assert accepts(number(low)) == (not allowed.startswith("above"))
    assert accepts(number(low) + step)
    assert not accepts(number(low) - step)
    if high is not None and high != "more":
        assert accepts(number(high)) == ("below" not in allowed)
        assert not accepts(number(high) + step)
