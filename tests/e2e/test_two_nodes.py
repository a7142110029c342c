"""Two processes as two machines would be, with PostgreSQL and S3, one of them killed: the same as one process does."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
import torch

from annotator.datasets.import_images import import_images
from annotator.datasets.import_request import ImportRequest
from annotator.datasets.phantoms import write_phantoms
from db.curation.splitting import split_images
from db.registry import open_registry
from learner.checkpoint import load_checkpoint

pytest.importorskip("s3fs")
moto_server = pytest.importorskip("moto.server")

import boto3  # noqa: E402
import fsspec  # noqa: E402

pytestmark = [
    pytest.mark.thorough,
    pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning"),
    pytest.mark.skipif(os.name != "posix", reason="processes are killed as on Unix"),
]

ROOT = Path(__file__).parents[2]
SETTINGS = {"encoder": "resnet10t", "size": 32, "head_channels": 8, "weights": "none", "device": "cpu", "batch_size": 8,
            "stage1_epochs": 2, "stage2_epochs": 6, "min_steps": 0, "lr": 1e-4}  # fmt: skip
TRAIN = ["train", *(word for key, value in SETTINGS.items() for word in ("--set", f"{key}={value}"))]
PROPOSE = ["propose", "--tau", "0.05"]
IMAGES = 48


class Cluster:
    """A project folder that two nodes share, with a database and a bucket elsewhere."""

    def __init__(self, root, url, endpoint):
        self.root = root
        self.environment = {
            **os.environ, "PYTHONPATH": str(ROOT), "PARTLY_DB": url, "OMP_NUM_THREADS": "1",
            "AWS_ACCESS_KEY_ID": "testing", "AWS_SECRET_ACCESS_KEY": "testing", "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_ENDPOINT_URL": endpoint,
        }  # fmt: skip

    def start(self, words, node=None, port=None):
        """Start a command, alone or as one of two nodes."""
        more = {} if node is None else {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "NODE_RANK": str(node)}
        nodes = [] if node is None else ["--num-nodes", "2", "--devices", "1"]
        return subprocess.Popen(
            [sys.executable, "-m", "partly", "--project", str(self.root), *words, *nodes],
            env=self.environment | more, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip

    def start_both(self, words):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        return [self.start(words, node, port) for node in range(2)]

    def run(self, words, *, both=False):
        """Run a command to its end, and return what the first process says."""
        running = self.start_both(words) if both else [self.start(words)]
        try:
            said = [process.communicate(timeout=300) for process in running]
        finally:
            for process in running:
                process.kill()
        assert [process.returncode for process in running] == [0] * len(running), said
        return said[0][0]

    def kill_one(self, words, reached=lambda: True):
        """Start both nodes, kill the second one once they have met and something is reached; the first one must end."""
        first, second = self.start_both(words)
        deadline = time.monotonic() + 200
        while not (has_met(second) and reached()) and time.monotonic() < deadline and first.poll() is None:
            time.sleep(0.02)
        second.send_signal(signal.SIGKILL)
        second.communicate()
        try:
            said = first.communicate(timeout=120)
        finally:
            first.kill()
        return first.returncode, said

    def losses(self, run):
        """Of every epoch."""
        history = load_checkpoint(self.root / "runs" / run).description["history"]
        return [epoch["loss"] for epoch in history]

    def weights(self, run):
        return load_checkpoint(self.root / "runs" / run).tensors


def has_met(process):
    """Say whether a process has a connection to another one on a port that is no server's known to it."""
    with contextlib.suppress(psutil.Error):
        for found in psutil.Process(process.pid).net_connections("tcp"):
            if found.status == psutil.CONN_LISTEN and found.laddr.port > 1024:
                # gloo listens for the others once the meeting has begun.
                return True
    return False


@pytest.fixture(scope="module")
def cluster(tmp_path_factory, postgres_server):
    pytest.importorskip("psycopg")
    server = moto_server.ThreadedMotoServer(ip_address="127.0.0.1", port=0)
    server.start()
    endpoint = "http://{}:{}".format(*server.get_host_and_port())
    place = tmp_path_factory.mktemp("nodes")
    write_phantoms(place / "phantoms", IMAGES, seed=5)
    postgres_server.psql("CREATE DATABASE two_nodes;")
    url = postgres_server.get_uri(database="two_nodes")
    found = Cluster(place / "project", url, endpoint)
    before = dict(os.environ)
    os.environ.update({key: value for key, value in found.environment.items() if key.startswith("AWS_")})
    # What earlier tests of this process connected to is gone.
    fsspec.filesystem("s3").clear_instance_cache()
    try:
        client = boto3.client("s3")
        client.create_bucket(Bucket="scans")
        for file in (place / "phantoms").rglob("*"):
            if file.is_file():
                client.upload_file(str(file), "scans", file.relative_to(place / "phantoms").as_posix())
        found.run(["init", str(found.root)])
        registry = open_registry(url, found.root)
        import_images(registry, ImportRequest("s3://scans", "csv", keep_locations=0.4))
        split_images(registry, val=0.2, test=0.2)
        found.registry = registry
        yield found
        registry.close()
    finally:
        os.environ.clear()
        os.environ.update(before)
        fsspec.filesystem("s3").clear_instance_cache()
        server.stop()


def test_two_nodes_do_what_one_process_does_whoever_is_killed(cluster):
    cluster.run(TRAIN)
    cluster.run(["cache", "clear"])
    cluster.run(TRAIN, both=True)
    # Sums in another order, which many steps of Adam carry on: the same but for that.
    assert cluster.losses("run-2") == pytest.approx(cluster.losses("run-1"), rel=0.02), "cold cache"
    cold = cluster.weights("run-2")
    cluster.run(TRAIN, both=True)
    warm = cluster.weights("run-3")
    assert all(torch.equal(value, warm[name]) for name, value in cold.items()), "warm cache"

    code, said = cluster.kill_one(TRAIN, lambda: (cluster.root / "runs" / "run-4" / "last.json").exists())
    assert code != 0, said
    cluster.run(["train", "--resume"], both=True)
    resumed = cluster.weights("run-4")
    assert all(torch.equal(value, resumed[name]) for name, value in cold.items()), "one node killed in mid-epoch"

    alone = json.loads(cluster.run([*PROPOSE, "--dry-run", "--json"]))["items"]
    cluster.run(["cache", "clear"])
    cluster.kill_one(PROPOSE)
    cluster.run(PROPOSE, both=True)
    with cluster.registry.read() as tx:
        pool = tx.images.ids(splits=("train", None), located=False)
        stored = [(item.image_id, item.score) for item in tx.proposals.of_run(tx.runs.latest().id, pool)]
    assert len({image for image, _ in stored}) == len(stored) == len(alone) > 0, "each image once"
    # Which images are in a batch together is another matter, of the last digits.
    assert dict(stored) == pytest.approx({item["image"]: item["score"] for item in alone}, abs=1e-4)
