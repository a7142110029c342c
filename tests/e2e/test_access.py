"""How people's servers are reached: tokens, https, a path prefix, a user who may only look, images elsewhere."""

import json
import re
import ssl
import threading
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import httpx
import pytest
import trustme

from annotator.datasets.import_images import import_images
from annotator.datasets.import_request import ImportRequest
from annotator.datasets.phantoms import write_phantoms
from annotator.errors import AuthRejected, ConnectionFailed, ProjectUnusable
from annotator.label_studio.client import LabelStudioClient
from annotator.label_studio.connect import ConnectRequest, connect_project
from annotator.label_studio.local_server import read_account, studio_status
from annotator.label_studio.payload.labeling_config import CONFIG, result_from_boxes
from annotator.label_studio.payload.tasks import KEY
from annotator.label_studio.pull.pull_reviews import pull_reviews
from annotator.label_studio.push.plan import PushRequest
from annotator.label_studio.push.push_images import push_images
from annotator.label_studio.reconcile import NOT_SERVED, compare_with_studio
from db.records import Box, Supervision
from tests.faults.proxy import FaultyProxy

pytestmark = pytest.mark.studio


@pytest.fixture
def data(tmp_path):
    write_phantoms(tmp_path / "phantoms", 6, seed=21)
    return tmp_path / "phantoms"


@pytest.fixture
def url(studio):
    return studio_status(studio).url


def loop(registry, client, title):
    """Push by upload, draw one box, pull it; returns the project."""
    connection = connect_project(registry, client, ConnectRequest(title=title)).connection
    assert push_images(registry, client, PushRequest(what="partly")).created == 6
    task = client.list_tasks(connection.project_id, with_annotations=False)[0]
    with registry.read() as tx:
        image = tx.images.get(int(task["data"][KEY].partition("-")[0]))
    client.create_annotation(int(task["id"]), result_from_boxes([Box(10, 10, 30, 20)], image.width, image.height))
    return connection.project_id


def personal_token(url, account):
    """Make one as the account's page does."""
    with httpx.Client(base_url=url, follow_redirects=True) as browser:
        page = browser.get("/user/login/")
        csrf = re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', page.text)[1]
        form = {"csrfmiddlewaretoken": csrf, "email": account.username, "password": account.password}
        browser.post("/user/login/", data=form, headers={"Referer": f"{url}/user/login/"})
        answer = browser.post("/api/token/", headers={"X-CSRFToken": browser.cookies["csrftoken"], "Referer": url})
        assert answer.status_code == 201, answer.text
        return answer.json()["token"]


def test_a_personal_token_through_https_of_an_own_authority_and_a_path_prefix(registry, data, studio, url, tmp_path):
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    proxy = FaultyProxy(url, prefix="/labels", tls=context)
    token = personal_token(url, read_account(studio))
    import_images(registry, ImportRequest(data, "csv", keep_locations=0))
    with LabelStudioClient(proxy.url, token) as stranger, pytest.raises(ConnectionFailed, match="ca_file"):
        stranger.whoami()
    with LabelStudioClient(proxy.url, token, ca_file=tmp_path / "ca.pem") as client:
        loop(registry, client, "tls and prefix")
        assert pull_reviews(registry, client).created == 1
        assert [item for item in compare_with_studio(registry, client) if item.kind == NOT_SERVED] == []
    proxy.close()


def test_a_personal_token_that_was_taken_back_is_explained(url):
    # Of the right form, signed by nobody, valid for long.
    forged = "eyJhbGciOiJIUzI1NiJ9.eyJleHAiOjQxMDI0NDQ4MDAsInRva2VuX3R5cGUiOiJyZWZyZXNoIn0.AAAA"
    with LabelStudioClient(url, forged) as client, pytest.raises(AuthRejected, match="refused the token"):
        client.whoami()


def test_a_token_that_may_only_read_pulls_and_does_not_push(registry, data, studio, url):
    import_images(registry, ImportRequest(data, "csv", keep_locations=0))
    token = read_account(studio).token
    proxy = FaultyProxy(url, read_only=True)
    with LabelStudioClient(url, token) as client, LabelStudioClient(proxy.url, token) as reader:
        project_id = loop(registry, client, "only reading")
        connect_project(registry, reader, ConnectRequest(title="whatever", project_id=project_id))
        report = pull_reviews(registry, reader)
        assert report.created == 1
        with pytest.raises(AuthRejected, match="write access"):
            reader.create_project("not for readers", CONFIG)
        lost = client.list_tasks(project_id, with_annotations=False)[1]
        client.http.delete(f"/api/tasks/{lost['id']}/")
        with pytest.raises(AuthRejected, match="write access"):
            push_images(registry, reader, PushRequest(what="partly", recreate=True))
        assert len(client.list_tasks(project_id, with_annotations=False)) == 5
    proxy.close()


def test_an_existing_project_is_never_overwritten(registry, studio, url):
    with LabelStudioClient(url, read_account(studio).token) as client:
        own = CONFIG.replace('name="box"', 'name="rectangle"')
        made = client.http.post("/api/projects/", {"title": "theirs", "label_config": own})
        with pytest.raises(ProjectUnusable, match="It was not changed"):
            connect_project(registry, client, ConnectRequest(title="x", project_id=made["id"]))
        assert client.get_project(made["id"]).config == own
        plain = client.http.post("/api/projects/", {"title": "boxes", "label_config": CONFIG})
        with pytest.raises(ProjectUnusable, match="no tools for masks"):
            connect_project(registry, client, ConnectRequest(title="x", project_id=plain["id"], masks=True))
        connection = connect_project(registry, client, ConnectRequest(title="x", project_id=plain["id"])).connection
        assert connection.project_id == plain["id"]
        # Another team's own interface keeps its page; only the description says whose the tasks are.
        green = CONFIG.replace("#ff8c00", "#00ff00")
        theirs = client.http.post("/api/projects/", {"title": "green", "label_config": green, "description": "Ours"})
        with pytest.raises(ProjectUnusable, match="changed by hand"):
            connect_project(registry, client, ConnectRequest(title="x", project_id=theirs["id"], show_score=True))
        connect_project(registry, client, ConnectRequest(title="x", project_id=theirs["id"]))
        found = client.http.get(f"/api/projects/{theirs['id']}/")
        assert (found["label_config"], found["expert_instruction"] or "") == (green, "")
        assert found["description"].startswith("Ours (registry ")
        assert client.http.get("/api/dm/views/", project=theirs["id"]) == []


@pytest.mark.parametrize("masks", [False, True])
def test_the_score_is_shown_and_hidden_again(registry, studio, url, masks):
    with LabelStudioClient(url, read_account(studio).token) as client:

        def header(**options):
            wanted = ConnectRequest(title=f"score {masks}", masks=masks, **options)
            project_id = connect_project(registry, client, wanted).project_id
            return "$partly_score" in client.get_project(project_id).config

        assert [header(), header(show_score=True), header(), header(show_score=False)] == [False, True, True, False]


def test_images_on_the_web_are_seen_where_they_lie(registry, data, studio, url):
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Quiet", (SimpleHTTPRequestHandler,), {
        "__init__": lambda self, *args, **kw: SimpleHTTPRequestHandler.__init__(self, *args, directory=str(data), **kw),
        "log_message": lambda *_: None,
    }))  # fmt: skip
    threading.Thread(target=server.serve_forever, daemon=True).start()
    address = f"http://127.0.0.1:{server.server_address[1]}"
    names = sorted(f"images/{file.name}" for file in (data / "images").iterdir())
    listing = data.parent / "web.csv"
    listing.write_text("image,class\n" + "".join(f"{name},benign\n" for name in names))
    assert import_images(registry, ImportRequest(listing, "csv", images=address)).registered == 6
    with LabelStudioClient(url, read_account(studio).token) as client:
        connection = connect_project(registry, client, ConnectRequest(title="images on the web")).connection
        assert push_images(registry, client, PushRequest(what="partly")).created == 6
        tasks = client.list_tasks(connection.project_id, with_annotations=False)
        assert {task["data"]["image"] for task in tasks} == {f"{address}/{name}" for name in names}
        assert compare_with_studio(registry, client) == []
        server.shutdown()
        server.server_close()
        unseen = [item.kind for item in compare_with_studio(registry, client)]
        assert unseen == [NOT_SERVED] * 6


def test_objects_in_a_bucket_are_signed_by_the_server_or_copied(registry, data, studio, url, monkeypatch, tmp_path):
    pytest.importorskip("s3fs")
    moto = pytest.importorskip("moto.server")
    server = moto.ThreadedMotoServer(port=0, verbose=False)
    server.start()
    endpoint = f"http://127.0.0.1:{server.get_host_and_port()[1]}"
    for name, value in {"AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "secret", "AWS_ENDPOINT_URL": endpoint,
                        "AWS_DEFAULT_REGION": "us-east-1"}.items():  # fmt: skip
        monkeypatch.setenv(name, value)
    import s3fs

    s3fs.S3FileSystem.clear_instance_cache()
    store = s3fs.S3FileSystem()
    store.mkdir("scans")
    files = sorted(path for path in (data / "images").iterdir())
    for file in files:
        store.put_file(str(file), f"scans/{file.name}")
    listing = tmp_path / "bucket.csv"
    listing.write_text("image,class\n" + "".join(f"{file.name},benign\n" for file in files))
    import_images(registry, ImportRequest(listing, "csv", images="s3://scans"))
    with LabelStudioClient(url, read_account(studio).token) as client:
        connection = connect_project(registry, client, ConnectRequest(title="without a storage")).connection
        push_images(registry, client, PushRequest(what="partly"))
        copied = client.list_tasks(connection.project_id, with_annotations=False)
        assert all(task["data"]["image"].startswith("/data/upload/") for task in copied)
        project = client.create_project("with a storage", CONFIG)
        storage = {"project": project.id, "bucket": "scans", "s3_endpoint": endpoint, "aws_access_key_id": "key",
                   "aws_secret_access_key": "secret", "region_name": "us-east-1", "presign": True}  # fmt: skip
        client.http.post("/api/storages/s3/", storage)
        connect_project(registry, client, ConnectRequest(title="x", project_id=project.id))
        assert push_images(registry, client, PushRequest(what="partly")).created == 6
        tasks = client.list_tasks(project.id, with_annotations=False)
        assert {task["data"]["image"] for task in tasks} == {f"s3://scans/{file.name}" for file in files}
        stored = json.dumps([task["data"] for task in tasks])
        assert "Signature" not in stored
        assert compare_with_studio(registry, client) == []
    server.stop()
    with registry.read() as tx:
        assert len(tx.images.select(supervision=Supervision.PARTLY)) == 6


def test_open_says_where_to_review_and_how_to_log_in(partly, studio, monkeypatch):
    monkeypatch.setenv("PARTLY_STUDIO_HOME", str(studio.home))
    partly("init")
    assert "not connected" in partly("open", "--no-browser", expect=4).stderr
    project = partly("connect", "--title", "to be opened", "--json")["project"]
    found = partly("open", "--json")
    account = read_account(studio)
    assert (found["project"], found["username"], found["opened"]) == (project, account.username, False)
    assert found["address"] == f"{studio_status(studio).url}/projects/{project}/data"
    said = partly("open", "--no-browser").stdout
    assert found["address"] in said
    assert str(studio.account_file) in said
    assert account.password not in said


def test_a_server_that_was_typed_has_the_token_from_then_on_and_no_other_user_of_the_registry(
    partly, data, studio, url, monkeypatch, tmp_path
):
    monkeypatch.setenv("PARTLY_LABEL_STUDIO_TOKEN", read_account(studio).token)
    partly("init")
    partly("import", data, "--layout", "csv", "--keep-locations", "0")
    partly("connect", url, "--title", "typed once")
    assert partly("push", "--partly", "--json")["created"] == 6
    assert partly("pull", "--json")["created"] == 0
    # Whoever gets the folder has another configuration.
    monkeypatch.setenv("PARTLY_CONFIG_HOME", str(tmp_path / "of somebody else"))
    assert f"partly connect {url}" in partly("pull", expect=3).stderr
    monkeypatch.setenv("PARTLY_LABEL_STUDIO_URL", url)
    assert partly("pull", "--json")["created"] == 0
    assert partly("connect", "--json")["url"] == url
