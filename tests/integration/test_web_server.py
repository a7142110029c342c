"""The web server against callers that want to stop it, over real sockets."""

import contextlib
import json
import socket
import time

import pytest

from annotator.label_studio.web_server import Access, RequestInvalid, WebServer
from annotator.web.callers import refusal
from annotator.web.listening import Limits

QUICK = Limits(body_bytes=1000, request_s=0.4, at_once=8)


def echo(document):
    if document.get("break"):
        raise RuntimeError("/home/somebody/secret.txt\nand more")
    if document.get("wrong"):
        raise RequestInvalid("that is wrong")
    if document.get("late"):
        raise TimeoutError("another server kept this one waiting")
    if document.get("much"):
        return {"much": "x" * 20_000_000}
    return {"seen": document}


@pytest.fixture(scope="module")
def server():
    with WebServer({("POST", "/echo"): echo, ("GET", "/"): echo}, host="127.0.0.1", port=0, limits=QUICK) as running:
        wait_for(running.port)
        yield running


def wait_for(port):
    for _ in range(200):
        if ask(port, b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")[0] is not None:
            return
        time.sleep(0.02)


def post(body, *more, host="127.0.0.1", kind="application/json", length=None):
    head = [
        "POST /echo HTTP/1.1",
        f"Host: {host}",
        f"Content-Type: {kind}",
        f"Content-Length: {len(body) if length is None else length}",
        "Connection: close",
        *more,
    ]
    return "\r\n".join(head).encode() + b"\r\n\r\n" + body


def ask(port, request, seconds=5.0):
    """Send bytes; the status and the body of the answer, and how long it took. None where there is no answer."""
    started, answer = time.monotonic(), b""
    with socket.create_connection(("127.0.0.1", port), timeout=seconds) as connection:
        with contextlib.suppress(ConnectionError, TimeoutError):
            connection.sendall(request)
        with contextlib.suppress(ConnectionError, TimeoutError):
            while part := connection.recv(65536):
                answer += part
    head, _, body = answer.partition(b"\r\n\r\n")
    return (int(head.split()[1]) if head else None), body, time.monotonic() - started


def test_a_good_request_is_answered(server):
    status, body, _ = ask(server.port, post(b'{"a": 1}'))
    assert (status, json.loads(body)) == (200, {"seen": {"a": 1}})


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (post(b"x" * 2000), 413),
        (post(b"{}", length="12x"), 400),
        (post(b"{}", length="-1"), 400),
        (post(b"{}", kind="text/plain"), 415),
        (post(b"a=b", kind="application/x-www-form-urlencoded"), 415),
        (post(b"{}", kind="application/json; charset=utf-8"), 200),
        (post(b"{}", host="evil.test"), 403),
        (post(b"{}", host="127.0.0.1.evil.test"), 403),
        (post(b"{}", host=""), 403),
        (post(b"{}", host="localhost:9090"), 200),
        (post(b"{}", host="192.168.1.5:9090"), 200),
        (post(b"{}", host="[::1]:9090"), 200),
        (post(b"{}", host="x@localhost"), 403),
        (post(b"{}", "Origin: http://evil.test"), 403),
        (post(b"{}", "Origin: null"), 403),
        (post(b"{}", "Origin: http://127.0.0.1"), 200),
        (post(b"{}", "Origin: http://127.0.0.1:8080"), 403),
        (post(b"["), 400),
        (post(b"[]"), 400),
        (post(b'{"a":' * 190), 400),
        (post(b"\xff\xfe"), 400),
        (post(b"{}", length=10**15), 413),
        (post(b"{}", length="9" * 5000), 400),
        (post(b"{}").replace(b"/echo", b"/echo/"), 404),
        (post(b'{"wrong": 1}'), 400),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", 400),
    ],
)
def test_what_is_not_meant_for_it_is_refused(server, request_, status):
    assert ask(server.port, request_)[0] == status
    assert ask(server.port, post(b"{}"))[0] == 200


def test_what_fails_tells_callers_nothing_of_this_machine(server, caplog):
    status, body, _ = ask(server.port, post(b'{"break": 1}'))
    assert status == 500
    assert b"secret" not in body
    assert b"RuntimeError" not in body
    (line,) = caplog.messages
    assert "secret.txt" in line
    assert "\n" not in line


def test_waiting_in_here_is_not_taken_for_a_slow_caller(server):
    assert ask(server.port, post(b'{"late": 1}'))[0] == 500


@pytest.mark.parametrize(
    "body",
    [
        b"[" * 100_000 + b"]" * 100_000,
        b'{"a":' * 100_000 + b"1" + b"}" * 100_000,
        b'{"a": ' + b"9" * 100_000 + b"}",
    ],
    ids=["lists", "objects", "digits"],
)
def test_json_that_no_program_writes_is_refused(body):
    with WebServer({("POST", "/echo"): echo}, host="127.0.0.1", port=0) as running:
        assert ask(running.port, post(body))[0] == 400
        assert ask(running.port, post(b"{}"))[0] == 200


def test_whoever_does_not_fetch_an_answer_is_dropped(server):
    """As many as may be connected at a time ask for much and read nothing."""
    with contextlib.ExitStack() as stack:
        for _ in range(QUICK.at_once - 1):
            opened = stack.enter_context(socket.create_connection(("127.0.0.1", server.port), timeout=4))
            opened.sendall(post(b'{"much": 1}'))
        time.sleep(0.1)
        deadline = time.monotonic() + 5
        while ask(server.port, post(b"{}"))[0] != 200:
            assert time.monotonic() < deadline
            time.sleep(0.1)


def test_it_ends_although_a_caller_is_slow():
    limits = Limits(request_s=60)
    with contextlib.ExitStack() as stack:
        with WebServer({("POST", "/echo"): echo}, host="127.0.0.1", port=0, limits=limits) as running:
            assert ask(running.port, post(b"{}"))[0] == 200
            for request in (b"POST /echo HT", post(b"", length=500), post(b'{"much": 1}')):
                opened = stack.enter_context(socket.create_connection(("127.0.0.1", running.port), timeout=4))
                opened.sendall(request)
            time.sleep(0.3)
            started = time.monotonic()
        assert time.monotonic() - started < 5


def has_ipv6():
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        return False
    return True


@pytest.mark.skipif(not has_ipv6(), reason="this machine has no IPv6")
def test_it_listens_on_ipv6():
    with contextlib.ExitStack() as stack:
        running = stack.enter_context(WebServer({("POST", "/echo"): echo}, host="::1", port=0))
        connection = stack.enter_context(socket.create_connection(("::1", running.port), timeout=4))
        connection.sendall(post(b"{}", host=f"[::1]:{running.port}"))
        assert connection.recv(65536).startswith(b"HTTP/1.1 200")


def test_a_body_in_chunks_is_counted_while_it_arrives(server):
    head = post(b"").replace(b"Content-Length: 0", b"Transfer-Encoding: chunked")
    # It has not come to its end, and never will.
    status, body, seconds = ask(server.port, head + b"800\r\n" + b" " * 2048 + b"\r\n")
    assert status == 413
    assert b"larger than" in body
    assert seconds < 4
    # Who goes on sending is cut off, and may not come to read the answer.
    status, _, seconds = ask(server.port, head + (b"10000\r\n" + b" " * 65536 + b"\r\n") * 1000)
    assert status in (413, None)
    assert seconds < 4


def test_headers_without_an_end_are_given_up(server):
    status, _, seconds = ask(server.port, b"GET / HTTP/1.1\r\nHost: localhost\r\nX: " + b"x" * 5_000_000)
    assert status in (400, None)
    assert seconds < 4
    assert ask(server.port, post(b"{}"))[0] == 200


def drip(port, head, seconds):
    """Send a request a byte at a time; how long the server puts up with it, and what it says."""
    started, answer = time.monotonic(), b""
    with socket.create_connection(("127.0.0.1", port), timeout=seconds) as connection:
        connection.settimeout(0.05)
        for number in range(int(seconds / 0.05)):
            try:
                connection.sendall(head[number : number + 1] or b"x")
                part = connection.recv(65536)
                answer += part
                if not part:
                    break
            except TimeoutError:
                continue
            except ConnectionError:
                break
    return time.monotonic() - started, answer


def test_headers_and_bodies_that_drip_are_given_up(server):
    seconds, answer = drip(server.port, b"GET / HTTP/1.1\r\nHost: localhost\r\n", 4)
    assert seconds < 2
    assert answer == b""
    slow = post(b"", length=500)
    with socket.create_connection(("127.0.0.1", server.port), timeout=4) as connection:
        connection.sendall(slow)
        started = time.monotonic()
        assert connection.recv(65536).startswith(b"HTTP/1.1 408")
    assert time.monotonic() - started < 2


def test_a_second_request_that_drips_is_given_up_too(server):
    with socket.create_connection(("127.0.0.1", server.port), timeout=4) as connection:
        connection.sendall(post(b"{}").replace(b"Connection: close\r\n", b""))
        assert connection.recv(65536).startswith(b"HTTP/1.1 200")
        connection.sendall(b"POST /echo HT")
        started = time.monotonic()
        with contextlib.suppress(ConnectionError):
            while connection.recv(65536):
                pass
    assert time.monotonic() - started < 2


def test_who_comes_while_it_is_full_is_told_so(server):
    with contextlib.ExitStack() as stack:
        for _ in range(QUICK.at_once):
            stack.enter_context(socket.create_connection(("127.0.0.1", server.port), timeout=4))
        assert ask(server.port, post(b"{}"))[0] == 503
    time.sleep(0.05)
    assert ask(server.port, post(b"{}"))[0] == 200


def test_two_hundred_open_connections_do_not_shut_it(server):
    with contextlib.ExitStack() as stack:
        for _ in range(200):
            opened = stack.enter_context(socket.create_connection(("127.0.0.1", server.port), timeout=4))
            with contextlib.suppress(ConnectionError):
                opened.sendall(b"POST /echo HTTP/1.1\r\n")
        deadline = time.monotonic() + 5
        while ask(server.port, post(b"{}"))[0] != 200:
            assert time.monotonic() < deadline
            time.sleep(0.1)


def test_names_that_were_allowed_are_answered_and_others_are_told_once_how(caplog):
    access = Access(names=frozenset({"host.docker.internal"}))
    with WebServer({("POST", "/echo"): echo}, host="127.0.0.1", port=0, access=access) as running:
        wait_for(running.port)
        assert ask(running.port, post(b"{}", host="host.docker.internal:9090"))[0] == 200
        for port in range(3):
            assert ask(running.port, post(b"{}", host=f"partly.intern:909{port}"))[0] == 403
    assert caplog.text.count("--allow-host partly.intern") == 1


@pytest.mark.parametrize("host", ["$(id)", "x;id", "x|id", "x`id`", "-x", "x\x9b31m", "a" * 300])
def test_nobody_is_told_to_type_what_a_stranger_chose_if_it_is_no_name(server, caplog, host):
    head = post(b"{}", host="HOST").replace(b"HOST", host.encode("latin-1"))
    assert ask(server.port, head)[0] == 403
    assert "--allow-host" not in caplog.text
    assert len(caplog.messages) <= 1
    assert "\x9b" not in caplog.text


def test_whoever_must_give_a_password_gets_nothing_without_it():
    access = Access(account=("ls", "word"))
    with WebServer({("POST", "/echo"): echo}, host="127.0.0.1", port=0, access=access) as running:
        wait_for(running.port)
        assert ask(running.port, post(b"{}"))[0] == 401
        assert ask(running.port, post(b"{}", "Authorization: Basic bHM6d29yZA=="))[0] == 200
        assert ask(running.port, post(b"{}", "Authorization: Basic \xff"))[0] == 401


def test_a_get_needs_no_content_type_and_a_name_in_any_case_is_the_same():
    assert refusal("GET", {"host": "LOCALHOST."}, ()) is None
    assert refusal("GET", {"host": "Partly.Intern"}, {"partly.intern"}) is None
    assert refusal("GET", {}, ()) is not None
    assert refusal("GET", {"host": "["}, ()) is not None
