"""What makes a pull look again, before any server is asked; with a real one it is in tests/e2e/test_live.py."""

import threading

import pytest

from annotator.label_studio.pull.follow import hints_from
from db.errors import InvalidArgument


@pytest.mark.parametrize("url", ["", "host:9090", "http://[", "http://"])
def test_an_address_that_is_none_is_refused_before_anybody_listens(url):
    with pytest.raises(InvalidArgument, match="--webhook-url"), hints_from(None, 1, threading.Event(), host="127.0.0.1",
                                                                           port=0, url=url):  # fmt: skip
        raise AssertionError("it listens")
