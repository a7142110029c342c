"""The client's own promises, against answers that a healthy server does not give."""

import httpx
import pytest

from annotator.errors import AuthRejected, ConnectionFailed, IncompleteListing, LabelStudioError
from annotator.label_studio.client import LabelStudioClient
from annotator.label_studio.transport import normalize_url
from db.errors import InvalidArgument

TOKEN = "0123456789abcdef0123456789abcdef01234567"


def client_with(monkeypatch, handler):
    monkeypatch.setattr("annotator.label_studio.transport.READ_PAUSE_S", 0.0)
    real = httpx.Client
    monkeypatch.setattr(
        "annotator.label_studio.transport.httpx.Client", lambda **kw: real(transport=httpx.MockTransport(handler), **kw)
    )
    return LabelStudioClient("http://studio.test", TOKEN)


def page(request, total, size):
    number = int(request.url.params["page"])
    length = int(request.url.params["page_size"])
    first = (number - 1) * length
    tasks = [{"id": n + 1, "data": {}} for n in range(first, min(first + length, size))]
    body = {"tasks": tasks, "total": total, "total_annotations": 0, "total_predictions": 0}
    return httpx.Response(200, json=body)


def test_every_page_is_listed(monkeypatch):
    client = client_with(monkeypatch, lambda request: page(request, 2500, 2500))
    assert len(client.list_tasks(1, with_annotations=False)) == 2500


def test_a_listing_shorter_than_the_servers_total_is_an_error(monkeypatch):
    client = client_with(monkeypatch, lambda request: page(request, 2500, 1500))
    with pytest.raises(IncompleteListing, match="2500 tasks, but only 1500"):
        client.list_tasks(1, with_annotations=False)


def test_a_404_in_mid_listing_is_an_error_not_the_end(monkeypatch):
    def answer(request):
        return page(request, 2500, 2500) if request.url.params["page"] == "1" else httpx.Response(404, json={})

    with pytest.raises(IncompleteListing, match="page 2"):
        client_with(monkeypatch, answer).list_tasks(1, with_annotations=False)


def projects(request, size, count=None):
    if request.url.path != "/api/projects/":
        number = int(request.url.path.strip("/").rpartition("/")[2])
        return httpx.Response(200, json={"id": number, "title": f"p{number}", "label_config": "", "task_number": 0})
    number = int(request.url.params["page"])
    shown = [{"id": n + 1, "title": f"p{n + 1}"} for n in range((number - 1) * 100, min(number * 100, size))]
    if not shown and number > 1:
        return httpx.Response(404, json={"detail": "Invalid page."})
    body = {"count": size if count is None else count, "next": None, "previous": None, "results": shown}
    return httpx.Response(200, json=body)


@pytest.mark.parametrize("size", [0, 99, 100, 101, 200, 250])
def test_projects_are_found_however_many_there_are(monkeypatch, size):
    client = client_with(monkeypatch, lambda request: projects(request, size))
    assert client.find_project("nowhere") is None
    if size:
        assert client.find_project(f"p{size}").id == size


def test_a_listing_of_projects_that_is_short_is_an_error(monkeypatch):
    client = client_with(monkeypatch, lambda request: projects(request, 100, count=150))
    with pytest.raises(IncompleteListing, match="projects"):
        client.find_project("p120")


@pytest.mark.parametrize("status", [500, 504, 429])
def test_a_write_is_sent_once_whatever_the_answer(monkeypatch, status):
    sent = []

    def answer(request):
        sent.append(request)
        return httpx.Response(status, json={}, headers={"Set-Cookie": "sessionid=secret"})

    with pytest.raises(ConnectionFailed) as caught:
        client_with(monkeypatch, answer).import_tasks(1, [{"data": {}}])
    assert len(sent) == 1
    assert TOKEN not in str(caught.value)
    assert "secret" not in str(caught.value)


def test_a_refused_token_says_what_to_do_and_not_the_token(monkeypatch):
    client = client_with(monkeypatch, lambda request: httpx.Response(401, json={"detail": "Invalid token."}))
    with pytest.raises(AuthRejected, match="PARTLY_LABEL_STUDIO_TOKEN") as caught:
        client.whoami()
    assert TOKEN not in str(caught.value)


def test_reading_is_tried_again_and_a_server_that_is_gone_is_named(monkeypatch):
    tried = []

    def answer(request):
        tried.append(request)
        raise httpx.ConnectError("refused")

    with pytest.raises(ConnectionFailed, match=r"http://studio\.test"):
        client_with(monkeypatch, answer).whoami()
    assert len(tried) == 4


def test_html_instead_of_json_is_refused(monkeypatch):
    client = client_with(monkeypatch, lambda request: httpx.Response(200, text="<html>login</html>"))
    with pytest.raises(LabelStudioError, match="is this its address"):
        client.list_tasks(1, with_annotations=False)


@pytest.mark.parametrize(
    ("given", "normal"),
    [
        ("localhost:8080", "http://localhost:8080"),
        ("HTTPS://Studio.Example/ls/", "https://studio.example/ls"),
        ("http://user:word@studio.test/?a=b", "http://studio.test"),
    ],
)
def test_addresses_have_one_form_without_secrets(given, normal):
    assert normalize_url(given) == normal


def test_what_is_no_address_is_refused():
    with pytest.raises(InvalidArgument):
        normalize_url("ftp://studio.test")


def test_the_server_says_how_long_to_wait(monkeypatch):
    slept, answers = (
        [],
        [httpx.Response(429, json={}, headers={"Retry-After": "7"}), httpx.Response(200, json={"a": 1})],
    )
    client = client_with(monkeypatch, lambda request: answers.pop(0))
    monkeypatch.setattr("annotator.label_studio.transport.time.sleep", slept.append)
    assert client.http.get("/api/x/") == {"a": 1}
    assert slept == [7.0]


def test_a_server_that_asks_for_too_much_patience_is_not_waited_for(monkeypatch):
    slept = []
    client = client_with(monkeypatch, lambda request: httpx.Response(503, headers={"Retry-After": "3600"}))
    monkeypatch.setattr("annotator.label_studio.transport.time.sleep", slept.append)
    with pytest.raises(ConnectionFailed) as caught:
        client.http.get("/api/x/")
    assert (caught.value.retry_after_s, slept) == (3600.0, [])


def test_a_date_to_wait_for_is_understood(monkeypatch):
    when = {"Retry-After": "Wed, 21 Oct 2015 07:28:00 GMT"}
    client = client_with(monkeypatch, lambda request: httpx.Response(503, headers=when))
    with pytest.raises(ConnectionFailed) as caught:
        client.http.post("/api/x/", {})
    assert caught.value.retry_after_s == 0.0


def test_a_server_that_has_moved_is_named_not_followed(monkeypatch):
    sent = []

    def answer(request):
        sent.append(request)
        return httpx.Response(301, headers={"Location": "https://labels.test/api/x/"})

    with pytest.raises(LabelStudioError, match=r"https://labels\.test"):
        client_with(monkeypatch, answer).http.post("/api/x/", {})
    assert len(sent) == 1


def test_a_token_that_may_only_read_is_explained(monkeypatch):
    client = client_with(monkeypatch, lambda request: httpx.Response(403, json={"detail": "no permission"}))
    with pytest.raises(AuthRejected, match="read-only"):
        client.import_tasks(1, [{"data": {}}])


def test_annotations_without_what_they_say_are_an_error_not_empty(monkeypatch):
    def answer(request):
        body = {"tasks": [{"id": 1, "data": {}, "annotations": [{"id": 5}], "predictions": []}], "total": 1}
        return httpx.Response(200, json=body)

    with pytest.raises(LabelStudioError, match="without their results"):
        client_with(monkeypatch, answer).list_tasks(1, with_annotations=True)


def test_a_file_that_is_no_certificate_is_refused(tmp_path):
    wrong = tmp_path / "ca.pem"
    wrong.write_text("nothing")
    with pytest.raises(InvalidArgument, match=r"ca\.pem"):
        LabelStudioClient("https://studio.test", TOKEN, ca_file=wrong)


def test_uploads_that_the_server_did_not_keep_are_an_error(monkeypatch):
    def answer(request):
        if request.method == "POST":
            return httpx.Response(201, json={"file_upload_ids": [1]})
        return httpx.Response(200, json=[{"id": 1, "file": "upload/1/0bf7ee21-a.png"}])

    client = client_with(monkeypatch, answer)
    assert client.upload_images(1, [("a.png", b"x")]) == {"a.png": "/data/upload/1/0bf7ee21-a.png"}
    with pytest.raises(IncompleteListing, match="1 of 2"):
        client.upload_images(1, [("a.png", b"x"), ("b.png", b"y")])


# --- the token, and what a hostile server or annotator tries


class Recorded:
    """Answers by host, and keeps what was asked for with what credentials."""

    def __init__(self, answers):
        self.answers, self.asked = answers, []

    def __call__(self, request):
        self.asked.append((str(request.url), request.headers.get("authorization")))
        return self.answers.get(request.url.host, lambda _: httpx.Response(200, content=b"x"))(request)

    @property
    def given_away(self):
        return [url for url, token in self.asked if token and httpx.URL(url).host != "studio.test"]


PICTURE = {"content-type": "image/png"}


@pytest.mark.parametrize(
    "address",
    [
        ".evil.test/steal",
        "@evil.test/",
        "//evil.test/x",
        "http://evil.test/x",
        "/\\evil.test",
        "http://studio.test@evil.test/",
    ],
)
def test_a_task_cannot_send_the_token_elsewhere(monkeypatch, address):
    server = Recorded({})
    client_with(monkeypatch, server).image_problem(address)
    assert server.given_away == []
    assert all(httpx.URL(url).host == "studio.test" for url, _ in server.asked), "nor is anybody else asked"


def test_hosts_of_registered_images_are_asked_without_the_token(monkeypatch):
    server = Recorded({"images.test": lambda _: httpx.Response(200, content=b"x", headers=PICTURE)})
    client = client_with(monkeypatch, server)
    assert client.image_problem("http://images.test/a.png", hosts={"images.test"}) is None
    assert server.asked == [("http://images.test/a.png", None)]
    assert "no image of the registry is on images.test" in client.image_problem("http://images.test/a.png")


def test_a_redirect_is_followed_without_the_token(monkeypatch):
    def sent_on(request):
        return httpx.Response(302, headers={"location": "http://bucket.test/signed?s=1"})

    picture = httpx.Response(200, content=b"x", headers=PICTURE)
    server = Recorded({"studio.test": sent_on, "bucket.test": lambda _: picture})
    client = client_with(monkeypatch, server)
    assert client.image_problem("s3://bucket/a.png", task_id=4) is None
    assert [(httpx.URL(url).host, bool(token)) for url, token in server.asked] == [
        ("studio.test", True),
        ("bucket.test", False),
    ]


@pytest.mark.parametrize(
    "target", ["http://169.254.169.254/meta", "http://127.0.0.1:6379/", "http://[::1]/", "ftp://x/", "/loop"]
)
def test_a_redirect_into_a_private_network_or_round_and_round_is_not_followed(monkeypatch, target):
    server = Recorded({"studio.test": lambda _: httpx.Response(307, headers={"location": target})})
    problem = client_with(monkeypatch, server).image_problem("/data/a.png")
    assert problem.startswith("it cannot be fetched")
    assert {httpx.URL(url).host for url, _ in server.asked} == {"studio.test"}


def test_no_request_carries_the_token_to_another_server_whoever_sends_it(monkeypatch):
    server = Recorded({})
    client = client_with(monkeypatch, server)
    with pytest.raises(LabelStudioError, match="never sent to another server"):
        client.http._http.get("http://studio.test:8081/", headers=client.http.headers())
    assert server.asked == []


def test_a_server_that_repeats_a_page_is_left(monkeypatch):
    server = Recorded(
        {"studio.test": lambda _: httpx.Response(200, json={"tasks": [{"id": 1, "data": {}}], "total": 9})}
    )
    with pytest.raises(IncompleteListing):
        client_with(monkeypatch, server).list_tasks(1, with_annotations=False)
    assert len(server.asked) < 10


def test_a_server_that_has_more_and_more_tasks_is_left(monkeypatch):
    calls = []

    def more_and_more(_):
        calls.append(1)
        first = 100 * len(calls)
        tasks = [{"id": first + n, "data": {}} for n in range(100)]
        return httpx.Response(200, json={"tasks": tasks, "total": first + 500})

    with pytest.raises(IncompleteListing):
        client_with(monkeypatch, more_and_more).list_tasks(1, with_annotations=False)
    assert len(calls) < 300


def test_a_server_that_repeats_its_projects_is_left(monkeypatch):
    def same(_):
        shown = [{"id": n + 1, "title": "x"} for n in range(100)]
        return httpx.Response(200, json={"count": 10**9, "next": None, "previous": None, "results": shown})

    with pytest.raises(IncompleteListing):
        client_with(monkeypatch, same).find_project("p")


def test_json_that_is_nested_without_end_is_an_error_of_the_server(monkeypatch):
    deep = b"[" * 100_000
    client = client_with(monkeypatch, lambda _: httpx.Response(200, content=deep))
    with pytest.raises(LabelStudioError, match="did not respond like Label Studio"):
        client.http.get("/api/projects/1/")
