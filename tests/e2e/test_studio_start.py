"""The local Label Studio starts beside other servers that take its port at the same moment."""

import os
import socket

import pytest

from annotator.errors import StudioFailed
from annotator.label_studio.local_server import StudioPaths, start_studio, stop_studio, studio_status
from cli.settings import studio_folders

pytestmark = [pytest.mark.studio, pytest.mark.thorough]


@pytest.fixture
def beside(tmp_path):
    """A server of this test's own, which shares the (large) environment."""
    paths = StudioPaths(tmp_path / "beside", studio_folders()[1])
    paths.home.mkdir()
    yield paths
    stop_studio(paths)


@pytest.fixture
def taken():
    """A port that somebody else holds without listening yet: it looks free, and cannot be opened."""
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        yield holder


@pytest.mark.skipif(os.name == "nt", reason="Windows lets two programs open one port")
def test_a_port_taken_while_starting_is_left_to_the_other(beside, taken, monkeypatch):
    number = taken.getsockname()[1]
    offered = iter([number])
    monkeypatch.setattr("annotator.label_studio.local_server._last_port", lambda _: next(offered))
    status = start_studio(beside)
    assert status.running
    assert status.url != f"http://127.0.0.1:{number}"
    assert studio_status(beside) == status


def test_where_label_studio_goes_to_another_port_it_is_found_there(beside, taken, monkeypatch):
    number = taken.getsockname()[1]
    monkeypatch.setattr("annotator.label_studio.local_server._free_port", lambda _: number)
    taken.listen()
    status = start_studio(beside)
    assert status.running
    assert status.url != f"http://127.0.0.1:{number}"
    stop_studio(beside)
    with pytest.raises(
        StudioFailed, match=f"port {number} is in use by another server; choose another one with --port"
    ):
        start_studio(beside, port=number)
    assert not studio_status(beside).running


def test_a_server_that_does_not_come_up_says_why(beside, monkeypatch):
    (beside.home / "data").write_text("a file where its folder should be")
    with pytest.raises(StudioFailed, match=r"server\.log \(last line: .*data"):
        start_studio(beside)
