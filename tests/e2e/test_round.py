"""partly round against a real Label Studio: pull, train, propose, push, in one command that can be repeated."""

import shutil
import time
from contextlib import closing

import pytest

from annotator.label_studio.local_server import read_account, studio_status
from annotator.label_studio.payload.labeling_config import result_from_boxes
from annotator.label_studio.payload.tasks import image_key_of
from db.records import Box
from db.registry import open_registry

pytestmark = pytest.mark.studio

SETTINGS = ["--weights", "none", "--set", "encoder=resnet10t", "--set", "size=32", "--set", "batch_size=8",
            "--set", "head_channels=8", "--set", "device=cpu", "--set", "epochs=1", "--tau", "0.01"]  # fmt: skip


@pytest.fixture
def connected(partly, phantoms, tmp_path, studio, client, monkeypatch):
    monkeypatch.setenv("PARTLY_LABEL_STUDIO_TOKEN", read_account(studio).token)
    monkeypatch.setenv("PARTLY_STUDIO_HOME", str(studio.home))
    partly("init", tmp_path)
    partly("import", phantoms, "--layout", "csv", "--keep-locations", "0.5")
    partly("split", "--val", "0.2", "--test", "0.2")
    partly("connect", studio_status(studio).url, "--title", "a round")
    return lambda *words: partly("round", *SETTINGS, "--json", *words)


def test_rounds_until_nothing_is_new(connected, client, tmp_path, monkeypatch):
    assert connected("--dry-run")["trained"]

    # Cut between proposing and pushing: repeated, it neither trains nor proposes anew.
    with monkeypatch.context() as patched:
        patched.setattr("cli.workflows.round.push_images", lambda *a, **k: (_ for _ in ()).throw(KeyboardInterrupt()))
        with pytest.raises(AssertionError, match="interrupted"):
            connected()
    first = connected()
    assert (first["run"], first["trained"]) == ("run-1", False)
    proposed = first["proposed"]["proposed"]
    assert proposed > 0
    # A tenth of the new tasks are validation images, sent without a proposal.
    assert first["pushed"]["audit"] == round(proposed / 9)
    assert (first["pushed"]["created"], first["pushed"]["predictions"]) == (proposed + round(proposed / 9), proposed)
    again = connected()
    assert (again["trained"], again["pushed"]["created"], again["pushed"]["predictions"]) == (False, 0, 0)
    assert again["pushed"]["unchanged"] == proposed
    planned = connected("--dry-run")
    assert (planned["pulled"], planned["trained"], planned["dry_run"]) == (again["pulled"], False, True)

    with closing(open_registry(f"sqlite:///{tmp_path}/registry.sqlite3", tmp_path)) as registry, registry.read() as tx:
        project_id = tx.connections.current().project_id
        images = {image.key: image for image in tx.images.select()}
    task = client.list_tasks(project_id, with_annotations=False)[0]
    time.sleep(1.1)  # the server's clock shows seconds
    image = images[image_key_of(task)]
    client.create_annotation(int(task["id"]), result_from_boxes([Box(10, 10, 40, 30)], image.width, image.height))
    planned = connected("--dry-run")
    assert planned["trained"], planned
    second = connected()
    assert second["pulled"]["created"] == 1
    assert (second["run"], second["trained"]) == ("run-2", True)

    # Somebody tidied up: a run without its model is not done.
    shutil.rmtree(tmp_path / "runs" / "run-2")
    assert connected("--dry-run")["trained"]
    third = connected()
    assert (third["run"], third["trained"]) == ("run-3", True)
