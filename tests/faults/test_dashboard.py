"""The dashboard while others work on the registry: it goes on answering, and shows what they have done."""

import json
import os
import re
import signal
import sqlite3
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from contextlib import closing
from pathlib import Path

import pytest
from PIL import Image

from db.imaging.files import ImageFile
from db.registry import create_registry, open_registry
from tests.builders import add_images, new_image

ROOT = Path(__file__).parents[2]
PAGES = ("/", "/next", "/images", "/images?name=png", "/images/1", "/review", "/rounds", "/runs", "/images/1/picture")


@pytest.fixture
def project(tmp_path):
    """A project with five images."""
    (tmp_path / "partly.toml").touch()
    registry = create_registry(f"sqlite:///{tmp_path}/registry.sqlite3", tmp_path)
    for number in range(5):
        Image.new("RGB", (100, 80), (40 * number, 80, 120)).save(tmp_path / f"{number}.png")
    add_images(registry, *(new_image(path=ImageFile.at(tmp_path / f"{number}.png")) for number in range(5)))
    registry.close()
    return tmp_path


@pytest.fixture
def dashboard(project):
    """The command in a process of its own, and its address; it must end well when it is asked to."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    words = [sys.executable, "-m", "partly", "dashboard", "--port", "0", "--no-open", "--json"]
    started = subprocess.Popen(
        words, cwd=project, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    said = ""
    while not said.rstrip().endswith("}"):
        line = started.stdout.readline()
        assert line, started.stderr.read()
        said += line
    document = json.loads(said)
    assert document["pid"] == started.pid
    yield document["url"].rstrip("/")
    started.send_signal(signal.SIGINT)
    left, complaints = started.communicate(timeout=30)
    assert (started.returncode, left) == (0, "")
    assert "Traceback" not in complaints


def look(url):
    """Return status and text of an answer."""
    try:
        with urllib.request.urlopen(url, timeout=30) as answer:
            return answer.status, answer.read().decode(errors="replace")
    except urllib.error.HTTPError as exc:
        with exc:
            return exc.code, exc.read().decode(errors="replace")


def counted(url):
    return int(re.search(r'<p class="count" role="status">(\d+) image', look(f"{url}/images")[1])[1])


def test_a_locked_registry_is_shown(project, dashboard):
    with closing(sqlite3.connect(project / "registry.sqlite3", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        other.execute("UPDATE images SET group_key = 'not yet'")
        for address in PAGES:
            status, text = look(dashboard + address)
            assert status == 200, address
            assert "not yet" not in text
        other.execute("COMMIT")
    assert "not yet" in look(f"{dashboard}/images/1")[1]


def test_what_is_written_meanwhile_is_seen_and_disturbs_nobody(project, dashboard):
    statuses, done = [], threading.Event()

    def browse():
        while not done.is_set():
            statuses.extend(look(dashboard + address)[0] for address in PAGES)

    browsers = [threading.Thread(target=browse) for _ in range(3)]
    for thread in browsers:
        thread.start()
    registry = open_registry(f"sqlite:///{project}/registry.sqlite3", project)
    try:
        for number in range(40):
            add_images(registry, new_image(f"later-{number}.png"))
    finally:
        done.set()
        for thread in browsers:
            thread.join()
        registry.close()
    assert set(statuses) == {200}
    assert len(statuses) > len(PAGES)
    assert counted(dashboard) == 45


def test_a_registry_that_goes_and_comes_back_is_said_and_seen(project, dashboard):
    assert counted(dashboard) == 5
    place = project / "registry.sqlite3"
    with closing(sqlite3.connect(place)) as other:
        other.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        other.execute("ALTER TABLE images RENAME TO moved")
        other.commit()
    for address in ("/", "/next", "/images", "/images?name=png", "/images/1", "/review"):
        status, text = look(dashboard + address)
        assert status == 503, address
        assert "cannot be used" in text
    assert look(f"{dashboard}/images/1/picture")[0] == 200, "a picture says why it is none"
    with closing(sqlite3.connect(place)) as other:
        other.execute("ALTER TABLE moved RENAME TO images")
        other.commit()
    assert counted(dashboard) == 5


def test_an_image_that_goes_is_said(project, dashboard):
    assert look(f"{dashboard}/images/2/thumbnail")[0] == 200
    (project / "1.png").unlink()
    assert "no such file" in look(f"{dashboard}/images/2")[1]
    assert "<svg" in look(f"{dashboard}/images/2/thumbnail")[1]
    assert look(f"{dashboard}/images/1")[0] == 200


def test_a_port_that_is_taken_is_said(project, dashboard):
    port = dashboard.rpartition(":")[2]
    words = [sys.executable, "-m", "partly", "--project", str(project), "dashboard", "--no-open", "--port", port]
    done = subprocess.run(
        words, env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 2
    assert "another port with --port" in done.stderr
