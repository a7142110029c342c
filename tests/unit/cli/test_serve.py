"""What `partly serve` makes of its options and environment before it listens."""

import pytest

from cli.commands.serve import PASSWORD_VARIABLE, USER_VARIABLE, account_in, names_of, warning_of_reach
from db.errors import InvalidArgument


def test_a_name_without_a_password_does_not_let_everybody_in():
    assert account_in({}) is None
    assert account_in({USER_VARIABLE: "ls", PASSWORD_VARIABLE: "word"}) == ("ls", "word")
    with pytest.raises(InvalidArgument, match=PASSWORD_VARIABLE):
        account_in({USER_VARIABLE: "ls", PASSWORD_VARIABLE: ""})
    with pytest.raises(InvalidArgument, match=USER_VARIABLE) as raised:
        account_in({PASSWORD_VARIABLE: "secret"})
    assert "secret" not in str(raised.value)


def test_names_are_those_that_are_allowed_and_that_of_the_address():
    assert names_of(None, ()) == frozenset()
    assert names_of("http://Studio.Intern:9090/x", ["host.docker.internal", "ml_1."]) == {
        "studio.intern",
        "host.docker.internal",
        "ml_1",
    }


@pytest.mark.parametrize("url", ["", "host:9090", "ftp://host", "http://[", "http://", "http://a b"])
def test_an_address_that_is_none_is_refused(url):
    with pytest.raises(InvalidArgument, match="--url"):
        names_of(url, ())


@pytest.mark.parametrize("name", ["", "http://host", "host:9090", "*", "a/b", "x@y"])
def test_a_name_that_is_none_is_refused(name):
    with pytest.raises(InvalidArgument, match="--allow-host"):
        names_of(None, [name])


def test_whoever_lets_other_machines_in_is_told_what_that_means():
    for host in ("127.0.0.1", "127.0.0.2", "localhost", "::1"):
        assert warning_of_reach(host, None) is None
    for host in ("0.0.0.0", "::", "192.168.1.5", "studio.intern", ""):
        assert USER_VARIABLE in warning_of_reach(host, None)
        assert "unencrypted" in warning_of_reach(host, ("ls", "word"))
        assert "word" not in warning_of_reach(host, ("ls", "word")).replace("password", "")
