"""A token goes to servers that its owner has named, and a settings file of somebody else decides nothing."""

import json
import os
import stat

import pytest

from annotator.errors import AuthRejected
from cli.context import TOKEN_VARIABLE, confirm_server
from cli.settings import find_project, load_settings, write_project_file
from cli.trusted_servers import is_trusted, trust, trusted_file, trusted_servers
from db.errors import InvalidArgument

URL = "https://labels.test/studio"
TOKEN = "c0ffee" * 7


@pytest.fixture
def token(monkeypatch):
    monkeypatch.setenv(TOKEN_VARIABLE, TOKEN)


def test_a_server_that_was_never_named_gets_no_token(token):
    with pytest.raises(AuthRejected, match=f"nothing was sent.*partly connect {URL}") as caught:
        confirm_server(URL, is_typed=False)
    assert TOKEN not in str(caught.value)


def test_a_server_that_was_named_once_is_remembered_and_no_other(token):
    confirm_server(URL, is_typed=True)
    confirm_server("https://LABELS.test:443", is_typed=False)
    for other in ("http://labels.test", "https://labels.test:8443", "https://labels.test.evil.test", "https://x.test"):
        with pytest.raises(AuthRejected):
            confirm_server(other, is_typed=False)


def test_a_token_that_is_not_in_the_environment_belongs_to_its_address():
    confirm_server(URL, is_typed=False)
    assert trusted_servers() == []


def test_the_file_holds_addresses_and_is_the_users_alone(token):
    trust(URL)
    trust(URL)
    assert json.loads(trusted_file().read_text()) == {"label_studio": ["https://labels.test:443"]}
    assert stat.S_IMODE(trusted_file().stat().st_mode) == 0o600
    assert is_trusted("https://labels.test")


@pytest.mark.parametrize("content", ["", "[]", '{"label_studio": 3}', '{"label_studio": [3]}', "\xff"])
def test_a_file_that_cannot_be_read_is_named(content):
    trusted_file().parent.mkdir(parents=True)
    trusted_file().write_bytes(content.encode("latin-1"))
    with pytest.raises(InvalidArgument, match=r"servers\.json"):
        is_trusted(URL)


@pytest.fixture
def found(tmp_path, monkeypatch):
    """A project that is found on the way up."""
    write_project_file(tmp_path / "p")
    (tmp_path / "p/below").mkdir()
    monkeypatch.chdir(tmp_path / "p/below")
    return tmp_path / "p"


def test_ones_own_project_is_found(found):
    assert find_project(found / "below") == found
    assert load_settings(project=None, database=None).root == found


def test_a_settings_file_that_everybody_can_write_is_used_only_if_it_is_named(found):
    (found / "partly.toml").chmod(0o666)
    with pytest.raises(InvalidArgument, match=f"written by every user.*partly --project {found}"):
        load_settings(project=None, database=None)
    assert load_settings(project=found, database=None).root == found


def test_a_settings_file_of_another_user_is_used_only_if_it_is_named(found, monkeypatch):
    if os.getuid() == 0:
        os.chown(found / "partly.toml", 65534, -1)
    else:
        me = os.geteuid()
        monkeypatch.setattr(os, "geteuid", lambda: me + 1)
    monkeypatch.delenv("SUDO_UID", raising=False)
    with pytest.raises(InvalidArgument, match="belongs to another user"):
        load_settings(project=None, database=None)
    assert load_settings(project=found, database=None).root == found
