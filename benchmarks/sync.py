"""Speed of push and pull against a real local Label Studio, as ratios against what the server itself takes.

Tasks are those of phantoms that exist only as records: their files are tiny, and what is measured is the traffic. The
server is started for this alone, in a folder that is removed afterwards.

    python benchmarks/sync.py [--tasks 5000] [--changes 50]
"""

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from limits import print_limits
from PIL import Image

from annotator.datasets.import_request import ImportRequest
from annotator.label_studio.pull.plan import PullRequest

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from annotator.datasets.import_images import import_images
from annotator.label_studio.client import EVERYTHING, TASKS_PAGE, LabelStudioClient
from annotator.label_studio.connect import ConnectRequest, connect_project
from annotator.label_studio.local_server import StudioPaths, read_account, start_studio, stop_studio
from annotator.label_studio.payload.labeling_config import CONFIG
from annotator.label_studio.pull import incremental as changes_module
from annotator.label_studio.pull.pull_reviews import pull_reviews
from annotator.label_studio.push import execute as sending
from annotator.label_studio.push.push_images import push_images
from cli.settings import studio_folders
from db.records import Box, NewProposal
from db.registry import Registry, create_registry
from tests.faults.proxy import FaultyProxy

ROUNDS = 3

JsonObject = dict[str, Any]
"""What the server sends and takes."""


def timed(work: Callable[[], object]) -> float:
    """Return how many seconds something takes."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def make_registry(folder: Path, count: int) -> Registry:
    """Register small images, each with a pending proposal."""
    rng = np.random.default_rng(0)
    (folder / "images").mkdir()
    rows = ["image,class"]
    for n in range(count):
        noise = rng.integers(0, 255, (12, 16), dtype=np.uint8)
        Image.fromarray(noise).resize((64, 48)).save(folder / "images" / f"{n}.png", compress_level=1)
        rows.append(f"images/{n}.png,benign")
    (folder / "labels.csv").write_text("\n".join(rows))
    registry = create_registry(f"sqlite:///{folder}/registry.sqlite3", folder)
    import_images(registry, ImportRequest(folder, "csv"))
    with registry.begin() as tx:
        run = tx.runs.start(preset="default", config={}, snapshot="s")
        proposals = [
            NewProposal(image.id, "benign", 0.9, 0.5 + (image.id % 100) / 250, (Box(10, 10, 20, 15),))
            for image in tx.images.select()
        ]
        tx.proposals.add(proposals, run_id=run.id, tau=0.5, gate="class")
    return registry


def plain_import(client: LabelStudioClient, documents: list[list[JsonObject]]) -> int:
    """Import the same tasks in the same chunks with nothing around it; returns the project."""
    project = client.http.post("/api/projects/", {"title": "plain import", "label_config": CONFIG})
    for chunk in documents:
        client.http.post(f"/api/projects/{project['id']}/import", chunk, return_task_ids="true")
    return int(project["id"])


def plain_listing(client: LabelStudioClient, project_id: int) -> list[JsonObject]:
    """List all tasks page by page with nothing around it."""
    tasks: list[JsonObject] = []
    page, total = 1, 1
    while len(tasks) < total:
        answer = client.http.get(
            "/api/tasks/", project=project_id, page=page, page_size=TASKS_PAGE, fields="all", include=EVERYTHING,
            resolve_uri="false",
        )  # fmt: skip
        total, page = answer["total"], page + 1
        tasks += answer["tasks"]
    return tasks


def annotate(client: LabelStudioClient, tasks: list[JsonObject]) -> list[list[JsonObject]]:
    """Return import documents of the same tasks, each with its proposal accepted by somebody."""
    documents = [
        {
            "data": task["data"],
            "predictions": [
                {key: prediction[key] for key in ("model_version", "result")} for prediction in task["predictions"]
            ],
            "annotations": [{"result": task["predictions"][0]["result"], "lead_time": 3.0, "ground_truth": False}],
        }
        for task in tasks
    ]
    return [documents[start : start + sending.CHUNK] for start in range(0, len(documents), sending.CHUNK)]


def measure(count: int, changes: int, folder: Path, paths: StudioPaths, url: str) -> int:
    """Measure, print, and return the exit code."""
    proxy = FaultyProxy(url)
    account = read_account(paths)
    assert account is not None, "a server that was started has an account"
    token = account.token
    with LabelStudioClient(url, token) as client, LabelStudioClient(proxy.url, token) as counted:
        pushes, imports, pulls, listings = [], [], [], []
        for round_number in range(ROUNDS):
            place = folder / f"round-{round_number}"
            place.mkdir()
            registry = make_registry(place, count)
            connection = connect_project(
                registry, client, ConnectRequest(title=f"sync {round_number}"), media_folder=paths.media
            ).connection
            assert connection is not None
            push_images(registry, client, media_folder=paths.media, dry_run=True)
            pushes.append(timed(lambda: push_images(registry, client, media_folder=paths.media)))  # noqa: B023
            tasks = plain_listing(client, connection.project_id)
            documents = [
                [
                    {"data": task["data"], "predictions": [
                        {key: prediction[key] for key in ("model_version", "result")}
                        for prediction in task["predictions"]
                    ]}
                    for task in tasks[start : start + sending.CHUNK]
                ]
                for start in range(0, len(tasks), sending.CHUNK)
            ]  # fmt: skip
            imports.append(timed(lambda: plain_import(client, documents)))  # noqa: B023
            project_id = plain_import(client, annotate(client, tasks))
            connect_project(
                registry, client, ConnectRequest(title="annotated", project_id=project_id), media_folder=paths.media
            )
            listings.append(timed(lambda: plain_listing(client, project_id)))  # noqa: B023
            pulls.append(timed(lambda: pull_reviews(registry, client)))  # noqa: B023
            with registry.read() as tx:
                located = sum(bool(image.boxes) for image in tx.images.select())
            assert located == count, f"{located} of {count} images were located"
            if round_number < ROUNDS - 1:
                registry.close()
        sparse = timed_sparse_pull(client, registry, project_id, count, changes)
        registry.close()
        # The same chunks with twice the images in each: as many requests.
        requests = [count_requests(counted, proxy, folder / f"count-{n}", paths, n) for n in (200, 400)]
    proxy.close()
    print(json.dumps({"tasks": count, "push_s": pushes, "import_s": imports, "pull_s": pulls, "listing_s": listings,
                      "sparse_pull_s": sparse, "requests": requests}))  # fmt: skip
    chunks_more = 2
    return print_limits(
        [
            ("push / plain bulk import", median(np.divide(pushes, imports)), "<=", 1.3),
            ("full pull / plain listing", median(np.divide(pulls, listings)), "<=", 1.3),
            (f"pull after {changes} changes / full pull", sparse / median(pulls), "<=", 0.1),
            ("further requests / further chunks of a push", (requests[1] - requests[0]) / chunks_more, "<=", 3),
        ]
    )


def timed_sparse_pull(
    client: LabelStudioClient, registry: Registry, project_id: int, count: int, changes: int
) -> float:
    """Time a pull after a few changes.

    A pull lists what changed in the two minutes before the last look, too; nobody annotates thousands of images in two
    minutes, so that is waited for.
    """
    time.sleep(changes_module.OVERLAP.total_seconds() + 1)
    pull_reviews(registry, client, PullRequest(full=True))
    chosen = plain_listing(client, project_id)[:: max(1, count // changes)][:changes]
    for task in chosen:
        (said,) = task["annotations"]
        region = said["result"][0]
        moved = {**region, "value": {**region["value"], "x": region["value"]["x"] + 2}}
        client.update_annotation(int(said["id"]), [moved])
    start = time.perf_counter()
    report = pull_reviews(registry, client)
    seconds = time.perf_counter() - start
    assert report.updated == len(chosen), report
    return seconds


def count_requests(client: LabelStudioClient, proxy: FaultyProxy, place: Path, paths: StudioPaths, count: int) -> int:
    """Count the requests of a push of so many tasks."""
    place.mkdir()
    registry = make_registry(place, count)
    connect_project(registry, client, ConnectRequest(title=f"count {count}"), media_folder=paths.media)
    before = proxy.requests
    push_images(registry, client, media_folder=paths.media)
    registry.close()
    return proxy.requests - before


def main() -> int:
    """Start a server, measure, stop it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tasks", type=int, default=5000)
    parser.add_argument("--changes", type=int, default=50)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        paths = StudioPaths(Path(folder) / "studio", studio_folders()[1])
        status = start_studio(paths)
        try:
            return measure(given.tasks, given.changes, Path(folder), paths, str(status.url))
        finally:
            stop_studio(paths)


if __name__ == "__main__":
    raise SystemExit(main())
