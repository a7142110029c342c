"""The dashboard's routes: whom they answer, that text stays text, and what is shown of files that cannot be read."""

import io
import re
from html.parser import HTMLParser

import pytest
from PIL import Image

from cli.dashboard.application import STATIC
from cli.dashboard.pages import PAGE
from db.errors import RegistryError
from db.registry import Registry
from tests.builders import add_images, new_image
from tests.unit.cli.dashboard.conftest import BOX, NASTY, PROPOSED

PAGES = ("/", "/next", "/rounds", "/review", "/runs", "/images", "/images/1", "/images/3")


class Tags(HTMLParser):
    """Elements of a page, and the text of its page."""

    def __init__(self, text):
        super().__init__()
        self.found = []
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.found.append((tag, dict(attrs)))

    def handle_data(self, data):
        self.text += data

    def named(self, tag):
        return [attributes for found, attributes in self.found if found == tag]


def page(client, address, status=200):
    answer = client.get(address)
    assert answer.status_code == status, answer.text[-500:]
    return Tags(answer.text)


@pytest.mark.parametrize("address", PAGES)
def test_pages_of_an_empty_and_of_a_full_registry_load_nothing_from_elsewhere(client, registry, project, address):
    found = page(client, address)
    for tag, attributes in found.found:
        assert not [name for name in attributes if name.startswith("on") or name == "style"], (tag, attributes)
        for name in ("src", "href", "action", "data-fragment"):
            assert attributes.get(name, "/").startswith(("/", "#")), (tag, attributes)
            assert not attributes.get(name, "/").startswith("//")
    (script,) = found.named("script")
    assert script["src"] == "/static/dashboard.js"
    assert "<b>trial</b>" in found.text, "the project's name is text"


@pytest.mark.parametrize("address", [address for address in PAGES if not re.search(r"\d", address)])
def test_nothing_registered_is_said_and_no_failure(client, address):
    page(client, address)


def test_names_classes_and_origins_are_text(client, project):
    for address in ("/", "/images", f"/images/{project[2]}", f"/images/{project[0]}"):
        raw = client.get(address).text
        assert "<script>alert" not in raw
        assert len(Tags(raw).named("script")) == 1
    found = page(client, f"/images/{project[2]}")
    assert NASTY in found.text
    assert "x<script>alert(1)<!--" in found.text
    assert "\u202e" not in found.text, "marks that turn the direction of writing are spelled out"
    assert "\\u202e" in found.text
    options = [option["value"] for option in page(client, "/images").named("option") if "value" in option]
    assert NASTY in options
    (link,) = [one["href"] for one in page(client, "/").named("a") if "script" in one["href"]]
    tiles = [one for one in page(client, link).named("a") if one.get("class") == "tile"]
    assert [tile["href"].split("?")[0] for tile in tiles] == [f"/images/{project[2]}"]


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("localhost:8765", 200),
        ("127.0.0.1:8765", 200),
        ("127.0.0.1:9", 200),
        ("[::1]:8765", 200),
        ("LOCALHOST.", 200),
        ("evil.test", 403),
        ("evil.test:8765", 403),
        ("127.0.0.1.evil.test", 403),
        ("localhost.evil.test", 403),
        ("x@localhost", 403),
        ("192.168.1.5:8765", 403),
        ("0.0.0.0:8765", 403),
        ("", 403),
        ("[", 403),
    ],
)
def test_only_names_of_this_machine_are_answered(client, project, host, status):
    for address in ("/", "/images/1/picture", "/static/dashboard.js", "/nowhere"):
        answer = client.get(address, headers={"Host": host})
        assert answer.status_code == (404 if status == 200 and address == "/nowhere" else status)
        if status == 403:
            assert "partly" not in answer.text
            assert answer.headers["content-type"].startswith("text/plain")


def test_pages_of_other_sites_are_not_answered(client, project):
    assert client.get("/", headers={"Origin": "http://evil.test"}).status_code == 403
    assert client.get("/", headers={"Origin": "null"}).status_code == 403
    assert client.get("/", headers={"Origin": "http://127.0.0.1:8765"}).status_code == 200


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT", "PROPFIND"])
def test_nothing_but_reading_is_answered(client, project, method):
    for address in (*PAGES, "/images/1/picture", "/static/dashboard.css", "/nowhere"):
        answer = client.request(method, address, content=b"{}")
        assert answer.status_code == 405, address
        assert answer.headers["allow"] == "GET, HEAD"


def test_looking_writes_nothing(client, project, tmp_path):
    before = {file: file.read_bytes() for file in tmp_path.iterdir() if file.is_file() and "-shm" not in file.name}
    for address in (*PAGES, "/images/1/picture", "/images/1/thumbnail", "/images/4/picture"):
        assert client.get(address).status_code == 200
        assert client.head(address).status_code == 200
        assert client.head(address).content == b""
    after = {file: file.read_bytes() for file in tmp_path.iterdir() if file.is_file() and "-shm" not in file.name}
    assert after == before


@pytest.mark.parametrize("address", ["/", "/nowhere", "/images/1/thumbnail", "/static/icon.svg", "/images?split=x"])
def test_every_answer_says_what_a_browser_may_do_with_it(client, project, address):
    headers = client.get(address).headers
    policy = dict(part.strip().split(" ", 1) for part in headers["content-security-policy"].split(";"))
    assert policy["default-src"] == "'none'"
    assert policy["script-src"] == policy["style-src"] == policy["img-src"] == "'self'"
    assert policy["frame-ancestors"] == "'none'"
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["cross-origin-resource-policy"] == "same-origin"
    assert headers["cache-control"] == "no-store"


@pytest.mark.parametrize(
    "number", ["999", "0", "-1", "1.5", "x", "9999999999999999999", "%00", "..%2f..%2fetc%2fpasswd", "\u0661"]
)
def test_what_is_not_there_is_not_found(client, project, number):
    for what in ("", "/thumbnail", "/picture"):
        assert client.get(f"/images/{number}{what}").status_code == 404, what


@pytest.mark.parametrize("address", ["/nowhere", "/static/../pages.py", "/static/pages.py", "/images/", "/index.php"])
def test_there_are_no_other_pages(client, project, address):
    answer = client.get(address)
    assert answer.status_code == 404
    assert "location" not in answer.headers


def test_our_own_files_are_served(client):
    for name, kind in STATIC.items():
        assert client.get(f"/static/{name}").headers["content-type"].startswith(kind)


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("split=x", "split"),
        ("supervision=x", "supervision"),
        ("located=x", "located"),
        ("min_score=x", "min_score"),
        ("min_score=nan", "min_score"),
        ("max_score=2", "max_score"),
        ("after=x", "after"),
        ("before=99999999999999999999", "before"),
        ("name=%00", "NUL"),
        ("class=%00", "NUL"),
        (f"name={'x' * 501}", "at most"),
    ],
)
def test_a_filter_that_is_none_is_said(client, project, query, said):
    assert said in page(client, f"/images?{query}", 400).text
    if "after" not in query and "before" not in query:
        page(client, f"/images/1?{query}", 400)


@pytest.mark.parametrize("query", ["unknown=1", "class=%ff%fe", "run=run-99999999999", "class=", "name=%25%5f%5c"])
def test_odd_filters_list_nothing_or_all(client, project, query):
    page(client, f"/images?{query}")


def test_boxes_are_drawn_where_they_are(client, project):
    known = page(client, f"/images/{project[0]}")
    (canvas,) = [svg for svg in known.named("svg") if "viewbox" in svg]
    assert canvas["viewbox"] == "0 0 100 80"
    (box,) = known.named("rect")
    assert [float(box[name]) for name in ("x", "y", "width", "height")] == [BOX.x, BOX.y, BOX.width, BOX.height]
    (outline,) = known.named("polygon")
    points = [tuple(map(float, pair.split(","))) for pair in outline["points"].split()]
    assert min(x for x, _ in points) == pytest.approx(10, abs=1)
    assert max(y for _, y in points) == pytest.approx(60, abs=1)
    proposed = page(client, f"/images/{project[1]}")
    (box,) = proposed.named("rect")
    assert float(box["x"]) == PROPOSED.x
    assert "0.87" in proposed.text
    assert {"imported", "mask"} <= {group.get("class") for group in known.named("g")}
    assert [group.get("class") for group in proposed.named("g")] == ["proposed"]


def test_pictures_are_encoded_anew_and_bounded(client, project, tmp_path):
    small = client.get(f"/images/{project[0]}/thumbnail")
    assert small.headers["content-type"] == "image/jpeg"
    assert Image.open(io.BytesIO(small.content)).size == (256, 205)
    assert Image.open(io.BytesIO(client.get(f"/images/{project[0]}/picture").content)).size == (640, 512)
    assert small.content != (tmp_path / "known.png").read_bytes()


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (None, "no such file"),
        (b"", "empty"),
        (b"\x89PNG\r\n\x1a\n<script>alert(1)</script>", "not an image"),
    ],
)
def test_a_file_that_cannot_be_read_is_replaced_by_the_reason(client, project, tmp_path, damage, reason):
    if damage is not None:
        (tmp_path / "gone.png").write_bytes(damage)
    for what in ("thumbnail", "picture"):
        answer = client.get(f"/images/{project[3]}/{what}")
        assert answer.status_code == 200
        assert answer.headers["content-type"] == "image/svg+xml"
        drawn = Tags(answer.text)
        assert not drawn.named("script")
        assert "cannot be shown" in drawn.text
    looked = page(client, f"/images/{project[3]}")
    assert reason in looked.text
    assert not looked.named("polygon")
    assert len([one for one in page(client, "/images").named("a") if one.get("class") == "tile"]) == 4


def test_a_file_that_is_replaced_is_seen(client, project, tmp_path):
    before = client.get(f"/images/{project[0]}/thumbnail").content
    Image.new("RGB", (100, 80), (200, 10, 10)).save(tmp_path / "known.png")
    assert client.get(f"/images/{project[0]}/thumbnail").content != before


def test_pages_turn_forwards_and_backwards(client, registry):
    ids = add_images(registry, *(new_image(f"{n}.png") for n in range(2 * PAGE + 5)))

    def turned(address):
        found = page(client, address)
        tiles = [int(one["href"].split("/")[2].split("?")[0]) for one in found.named("a") if one.get("class") == "tile"]
        links = {one["rel"]: one["href"].split("#")[0] for one in found.named("a") if "rel" in one}
        return tiles, links

    first, links = turned("/images?name=png")
    assert "prev" not in links
    second, links_2 = turned(links["next"])
    third, links_3 = turned(links_2["next"])
    assert first + second + third == ids
    assert "next" not in links_3
    assert turned(links_3["prev"])[0] == second
    assert turned(turned(links_3["prev"])[1]["prev"])[0] == first
    assert "prev" not in turned(links_2["prev"])[1]
    looked = {one["rel"]: one["href"] for one in page(client, f"/images/{ids[7]}?name=png").named("a") if "rel" in one}
    assert looked["prev"] == f"/images/{ids[6]}?name=png"
    assert looked["next"] == f"/images/{ids[8]}?name=png"
    assert turned(looked["up"])[0][0] == ids[7]


def test_a_registry_that_cannot_be_read_is_said_and_the_next_look_is_fine(client, project, monkeypatch):
    def broken(self):
        raise RegistryError("the registry cannot be used: database is locked")

    with monkeypatch.context() as patched:
        patched.setattr(Registry, "read", broken)
        for address in PAGES:
            assert "locked" in page(client, address, 503).text
        assert "locked" in client.get("/images/1/picture").text
    page(client, "/")


def test_what_fails_tells_the_browser_nothing_of_this_machine(client, project, monkeypatch, caplog):
    def broken(self):
        raise RuntimeError("/home/somebody/secret.txt\nand more")

    monkeypatch.setattr(Registry, "read", broken)
    found = page(client, "/", 500)
    assert "secret" not in found.text
    (line,) = [line for line in caplog.messages if "secret" in line]
    assert "\n" not in line


def test_tables_have_headers_and_fields_have_labels(client, project):
    for address in PAGES:
        raw = client.get(address).text
        for table in re.findall(r"<table.*?</table>", raw, re.S):
            assert "<caption>" in table
            assert "<th scope=" in table
        assert all(image.get("alt") for image in Tags(raw).named("img"))
    form = re.search(r"<form.*?</form>", client.get("/images").text, re.S)[0]
    for field in re.findall(r"<(?:input|select)\b", re.sub(r"<label\b.*?</label>", "", form, flags=re.S)):
        raise AssertionError(f"{field} has no label")
