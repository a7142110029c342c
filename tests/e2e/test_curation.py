"""Years of curating in a minute: import, doctor, split, export, log, diff, retract, backup, as a user types it."""

import shutil
import sqlite3

import pytest

from db.registry import open_registry
from tests.builders import add_run_with_proposal


def tree(folder):
    return {str(file.relative_to(folder)): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


def test_a_set_is_curated(partly, phantoms, tmp_path):
    partly("init")
    partly("import", phantoms, "--layout", "csv", "--keep-locations", 0.5)
    copy = tmp_path / "again" / "benign"
    copy.mkdir(parents=True)
    original = sorted((phantoms / "images").iterdir())[0]
    shutil.copyfile(original, copy / "copy of it.png")
    assert partly("import", tmp_path / "again", "--layout", "folders", "--json")["registered"] == 1
    findings = partly("doctor", "--json")["findings"]
    assert all({"kind", "images", "detail"} <= set(finding) for finding in findings)
    (exact,) = [finding for finding in findings if finding["kind"] == "exact_duplicates"]
    assert {path.rsplit("/", 1)[-1] for path in exact["images"]} == {original.name, "copy of it.png"}
    assert "exact_duplicates" in partly("doctor", "--strict", expect=4).stdout
    partly("split", "--test", 0.2)

    first = partly("export", "out", "--format", "coco", "--json")
    assert first["unknown"] == 0
    assert len(partly("snapshots", "--json")["snapshots"]) == 1
    known = partly("status", "--json")["locations"]
    assert first["present"] == known["present"]
    registry = open_registry(f"sqlite:///{tmp_path}/registry.sqlite3", tmp_path)
    with registry.read() as tx:
        image = next(image for image in tx.images.select() if image.label is None and image.split == "train")
    add_run_with_proposal(registry, image.id)
    registry.close()
    partly("import", phantoms, "--layout", "csv", expect=4)  # the other half of the locations; test is left alone
    second = partly("snapshots", "--take", "--json")["snapshots"][-1]["snapshot"]
    changes = partly("diff", first["snapshot"][7:19], second, "--json")
    assert changes["counts"].keys() == {"location"}
    assert {"image", "path", "what", "before", "after"} == set(changes["changes"][0])
    partly("export", "later", "--format", "coco", "--snapshot", first["snapshot"])
    assert tree(tmp_path / "later") == tree(tmp_path / "out")
    assert partly("export", "new", "--format", "coco", "--json")["present"] > first["present"]

    log = partly("log", image.id, "--json")
    assert [event["what"] for event in log["events"]] == ["registered", "changed", "proposed", "located"]
    assert log["events"][2]["tau"] == 0.8
    assert "import of" in partly("log", image.path.name).stdout


def test_what_was_born_since_a_time_is_taken_back_and_given_back(partly, phantoms):
    partly("init")
    partly("import", phantoms, "--layout", "csv")
    before = partly("status", "--json")
    dry = partly("retract", "--since", "2020-01-01", "--dry-run", "--json")
    assert (dry["labels"], dry["retraction"]) == (48, None)
    done = partly("retract", "--since", "2020-01-01", "--json")
    assert done["labels"] == 48
    assert partly("status", "--json")["locations"]["unknown"] == 48
    assert partly("retract", "--since", "2020-01-01", "--json")["retraction"] is None
    partly("retract", "--undo", done["retraction"])
    assert partly("status", "--json") == before
    (listed,) = partly("retract", "--list", "--json")["retractions"]
    assert (listed["labels"], listed["undone"]) == (48, True)
    partly("retract", expect=2)
    partly("retract", "--since", "yesterday", expect=2)
    partly("retract", "--run", "run-7", expect=4)
    partly("retract", "--undo", 7, expect=4)


def test_the_registry_is_looked_after(partly, phantoms, tmp_path):
    partly("init", "one")
    partly("--project", "one", "import", phantoms, "--layout", "csv")
    status = partly("--project", "one", "status", "--json")
    assert partly("--project", "one", "db", "check", "--json") == {"sound": True, "problems": []}
    assert partly("--project", "one", "db", "backup", "backup.sqlite3", "--json")["rows"]["images"] == 48
    partly("--project", "one", "db", "backup", "backup.sqlite3", expect=4)
    partly("init", "two")
    partly("--project", "two", "db", "restore", "backup.sqlite3")
    assert partly("--project", "two", "status", "--json") == status
    partly("--project", "two", "db", "restore", "backup.sqlite3", expect=4)
    assert partly("--project", "one", "db", "upgrade", "--json")["upgraded"] is False
    with sqlite3.connect(tmp_path / "two" / "registry.sqlite3") as connection:
        connection.execute("DROP TRIGGER tr_images_next_version")
        connection.execute("UPDATE images SET group_key = 'x' WHERE id = 1")
    connection.close()
    assert "last recorded version" in partly("--project", "two", "db", "check", expect=4).stdout


def test_an_old_registry_is_upgraded_by_name(partly, tmp_path):
    from db.engine import make_engine
    from tests.migrations.test_migrations import fill_old

    partly("init")
    (tmp_path / "registry.sqlite3").unlink()
    engine = make_engine(f"sqlite:///{tmp_path}/registry.sqlite3")
    fill_old(engine, "0001_create_registry")
    engine.dispose()
    assert "partly db upgrade" in partly("status", expect=4).stderr
    planned = partly("db", "upgrade", "--dry-run", "--json")
    assert "partly db upgrade" in partly("status", expect=4).stderr, "a dry run changes nothing"
    done = partly("db", "upgrade", "--json")
    assert planned | {"dry_run": False} == done
    assert (done["from"], done["upgraded"]) == ("0001_create_registry", True)
    assert done["copy"].endswith("registry.sqlite3.before-upgrade")
    assert partly("status", "--json")["images"]["total"] == 9
    with sqlite3.connect(tmp_path / "registry.sqlite3") as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    connection.close()
    assert "newer than this program" in partly("status", expect=4).stderr
    assert "newer than this program" in partly("db", "upgrade", expect=4).stderr


@pytest.mark.parametrize("layout", ["coco", "csv", "voc", "yolo"])
def test_every_format_goes_out_and_comes_back(partly, phantoms, tmp_path, layout):
    partly("init", "one")
    partly("--project", "one", "import", phantoms, "--layout", "csv")
    written = partly("--project", "one", "export", "out", "--format", layout, "--json")
    partly("init", "two")
    back = partly("--project", "two", "import", "out", "--layout", layout, "--json")
    assert (back["registered"], back["refused"]) == (48, [])
    first, second = (partly("--project", name, "status", "--json") for name in ("one", "two"))
    assert second["locations"] == first["locations"]
    assert second["classes"] == first["classes"]
    assert written["boxes"] > 30
