"""Images on web servers that want to lead elsewhere, or never end; real servers, real sockets."""

import contextlib
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from db.errors import ImageUnreadable
from db.imaging import web
from db.imaging.files import ImageFile
from db.imaging.web import is_private


@pytest.mark.parametrize(
    ("host", "inside"),
    [
        *(("127.0.0.1", True), ("10.1.2.3", True), ("192.168.0.1", True), ("169.254.169.254", True), ("0.0.0.0", True)),
        *(("::1", True), ("fe80::1", True), ("::ffff:10.0.0.1", True), ("localhost", True), ("100.64.0.1", True)),
        *(("8.8.8.8", False), ("2606:4700::1111", False), ("nobody.invalid", False)),
    ],
)
def test_private_networks_are_known_by_address(host, inside):
    assert is_private(host) is inside


class Server(BaseHTTPRequestHandler):
    """Serves a picture, a redirect, and a file without an end."""

    asked: list[str] = []  # noqa: RUF012 - of the one server of this module

    def do_HEAD(self):
        self.send_response(200)
        self.end_headers()

    def do_GET(self):
        self.asked.append(self.path)
        if self.path == "/away.png":
            self.send_response(302)
            self.send_header("Location", f"http://127.0.0.1:{self.server.server_port}/inside.png")
            self.end_headers()
            return
        self.send_response(200)
        self.end_headers()
        with contextlib.suppress(ConnectionError):
            for _ in range(10_000 if self.path == "/endless.png" else 1):
                self.wfile.write(b"x" * 2**16)

    def log_message(self, *_):
        pass


@pytest.fixture
def address():
    server = ThreadingHTTPServer(("127.0.0.1", 0), Server)
    Server.asked.clear()
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://localhost:{server.server_port}"
    server.shutdown()
    server.server_close()


def test_a_file_is_read(address):
    assert len(ImageFile.at(f"{address}/a.png").read_bytes()) == 2**16


def test_a_redirect_within_a_private_network_is_followed(address):
    assert len(ImageFile.at(f"{address}/away.png").read_bytes()) == 2**16
    assert Server.asked[-1] == "/inside.png"


def test_a_redirect_from_outside_into_a_private_network_is_not(address, monkeypatch):
    # Seen from here no address of a test is outside; so localhost counts as if it were.
    monkeypatch.setattr(web, "is_private", lambda host: host != "localhost")
    with pytest.raises(ImageUnreadable, match=r"redirects to 127\.0\.0\.1, in a private network"):
        ImageFile.at(f"{address}/away.png").read_bytes()
    assert Server.asked == ["/away.png"]


def test_a_file_without_an_end_is_left_at_the_limit(address):
    with pytest.raises(ImageUnreadable, match="larger than 2 MB"):
        ImageFile.at(f"{address}/endless.png").read_bytes(limit=2 * 2**20)
