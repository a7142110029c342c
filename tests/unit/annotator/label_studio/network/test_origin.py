"""An address in a task leads where it says, and the token stays at home."""

import httpx
import pytest

from annotator.label_studio.network.origin import AddressRefused, join_address, origin_of, web_hosts

SERVERS = ["http://labels.test", "http://labels.test:8080", "https://labels.test/studio"]


@pytest.mark.parametrize("server", SERVERS)
@pytest.mark.parametrize(
    "address",
    [
        ".evil.test/steal",
        "@evil.test/steal",
        ":80@evil.test/steal",
        "evil.test",
        "/data/x.png",
        "/../../x",
        "?a",
        "x/y",
    ],
)
def test_what_is_relative_stays_on_the_server(server, address):
    assert origin_of(join_address(server, address)) == origin_of(httpx.URL(server))


@pytest.mark.parametrize("server", SERVERS)
@pytest.mark.parametrize(
    "address",
    [
        *("//evil.test/steal", "http://evil.test/", "HTTPS://EVIL.test", "http://labels.test.evil.test/"),
        *("http://labels.test:9/x", "ftp://labels.test/x", "https://labels.test:8443", "http://labels.test:65535/"),
    ],
)
def test_what_names_another_server_is_another_origin_or_nothing(server, address):
    try:
        found = join_address(server, address)
    except AddressRefused:
        return
    assert origin_of(found) != origin_of(httpx.URL(server))


@pytest.mark.parametrize(
    "address",
    [
        *(
            "/\\evil.test/x",
            "\\\\evil.test",
            "/\t/evil.test",
            "http://labels.test\x00.evil.test",
            "http://a:b@labels.test/",
        ),
        *("http://labels.test@evil.test/", "javascript:alert(1)", "file:///etc/passwd", "http://[::1", "/x\u2028y"),
        *("https:///data/x", "http://labels.test:99999999999/", "\u202e/x", "http://xn--/"),
    ],
)
def test_what_is_no_address_is_refused(address):
    with pytest.raises(AddressRefused):
        join_address("http://labels.test", address)


def test_an_origin_is_scheme_host_and_port_whatever_is_left_out():
    assert origin_of(httpx.URL("http://LABELS.test:80/a")) == origin_of(httpx.URL("http://labels.test./b?c"))
    assert origin_of(httpx.URL("https://labels.test")) == origin_of(httpx.URL("https://labels.test:443"))
    assert origin_of(httpx.URL("https://labels.test")) != origin_of(httpx.URL("http://labels.test"))


def test_a_path_prefix_of_the_server_is_kept():
    assert (
        str(join_address("https://labels.test/studio", "/data/a b.png")) == "https://labels.test/studio/data/a%20b.png"
    )


def test_hosts_of_files_on_the_web():
    places = ["/a/b.png", "s3://bucket/x", "https://Images.test/a.png", "http://img.test:81/b", "http://[::1"]
    assert web_hosts(places) == {"images.test", "img.test"}
