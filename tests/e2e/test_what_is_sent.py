"""What a push sends to a real Label Studio: images that are what was registered, and names that can be shown."""

import stat

import pytest
from PIL import Image

from annotator.datasets.import_images import import_images
from annotator.datasets.import_request import ImportRequest
from annotator.datasets.phantoms import write_phantoms
from annotator.label_studio.connect import ConnectRequest, connect_project
from annotator.label_studio.payload.tasks import CLASS, CLASSES
from annotator.label_studio.push.plan import PushRequest
from annotator.label_studio.push.push_images import push_images
from db.curation.changes import set_facts
from db.imaging.files import ImageFile

pytestmark = pytest.mark.studio

HOSTILE = '<img src=x onerror=alert(1)>"/>]]>&lt;$image'


@pytest.mark.parametrize("uploaded", [False, True])
def test_only_what_was_registered_is_sent(registry, tmp_path, studio, client, uploaded):
    # Images of its own: what another test has placed already lies in the served folder as it was registered.
    write_phantoms(tmp_path / "phantoms", 6, seed=90_417)
    import_images(registry, ImportRequest(tmp_path / "phantoms", "csv", keep_locations=0))
    folder = None if uploaded else studio.media
    connect_project(registry, client, ConnectRequest(title=f"sent {uploaded}"), media_folder=folder)
    with registry.read() as tx:
        files = {image.id: ImageFile.at(image.path).location for image in tx.images.select()}
    Image.new("L", (64, 64), 99).save(files[1])
    secret = tmp_path / "secret.png"
    secret.write_bytes((tmp_path / "phantoms" / files[2]).read_bytes())
    (tmp_path / "phantoms" / files[2]).unlink()
    (tmp_path / "phantoms" / files[2]).symlink_to(secret)
    set_facts(registry, ["3"], class_name=HOSTILE)
    set_facts(registry, ["4"], class_name="bad\x1b[2J")

    rehearsed = push_images(registry, client, PushRequest(what="partly"), media_folder=folder, dry_run=True)
    report = push_images(registry, client, PushRequest(what="partly", ask_class=True), media_folder=folder)
    assert (rehearsed.created, report.created) == (4, 4)
    for done in (rehearsed, report):
        named = {item.image: item.reason for item in done.skipped if item.image is not None}
        assert set(named) == {1, 2}
        assert "content has changed" in named[1]
        assert "symbolic link" in named[2]
        assert all("partly doctor --verify" in why for why in named.values())
    assert any("control characters" in item.reason for item in report.skipped if item.image is None)

    with registry.read() as tx:
        links = tx.connections.links(tx.connections.current().id)
    data = {image_id: client.get_task(link.task_id)["data"] for image_id, link in links.items()}
    assert set(data) == {3, 4, 5, 6}
    assert (data[3][CLASS], data[4][CLASS]) == (HOSTILE, "bad\ufffd[2J")
    offered = [item["value"] for item in data[5][CLASSES]]
    assert HOSTILE in offered
    assert not any("bad" in name for name in offered)
    assert all(client.image_problem(item["image"]) is None for item in data.values())
    if not uploaded:
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
        assert {stat.S_IMODE(file.stat().st_mode) for file in folder.iterdir()} == {0o600}
