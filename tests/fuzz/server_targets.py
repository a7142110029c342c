"""What Label Studio sends: the tasks that a pull lists, and the requests that the ML backend answers."""

import contextlib
import copy
import json
import socket
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import httpx
import numpy as np

import annotator.label_studio.transport
from annotator.errors import AnnotatorError
from annotator.label_studio.client import LabelStudioClient
from annotator.label_studio.ml_backend import MlBackend
from annotator.label_studio.payload.labeling_config import interface, result_from_boxes, result_from_class
from annotator.label_studio.payload.tasks import TaskHeader, prediction_of, task_of
from annotator.label_studio.pull.pull_reviews import pull_reviews
from annotator.label_studio.web_server import WebServer
from annotator.shapes.brush import encode_brush
from db.errors import RegistryError
from db.records import Box, NewProposal, TaskLink
from db.registry import open_registry
from tests.builders import add_images, new_image, proposal_record
from tests.fuzz.harness import Lost
from tests.fuzz.mutations import changed_document, damaged, pick
from tests.fuzz.project import Project

SIZE = 100, 80
BOX = Box(20, 10, 40, 30)
TOKEN = "0123456789abcdef0123456789abcdef01234567"
URL = "http://studio.test"
SECONDS = 20
PATIENCE_S = 1
"""With a request of which a part may be missing."""


class Reviews:
    """A pull from a server on which annotators, or the server itself, have stored nonsense in one of three tasks."""

    def __init__(self, folder: Path) -> None:
        self.project = Project(folder)
        registry = open_registry(f"sqlite:///{self.project.pristine}/registry.sqlite3", self.project.pristine)
        classes = ("benign", "malignant", None)
        self.ids = add_images(registry, *(new_image(f"{n}.png", class_name=name) for n, name in enumerate(classes)))
        with registry.begin() as tx:
            run = tx.runs.start(preset="default", config={}, snapshot="sha256:0")
            tx.proposals.add(
                [NewProposal(image_id, "benign", 0.9, 0.8, (BOX,)) for image_id in self.ids],
                run_id=run.id,
                tau=0.5,
                gate="agreement",
            )
            proposals = {item.image_id: item.id for item in tx.proposals.of_run(run.id)}
            self.identity = tx.connections.ensure_identity()
            connection = tx.connections.use(url=URL, project_id=1, media="upload")
            tx.connections.set_links(
                connection.id, [TaskLink(image_id, n + 1, proposals[image_id]) for n, image_id in enumerate(self.ids)]
            )
            images = tx.images.select()
        registry.close()
        self.tasks = [self._task(n + 1, image, run.name) for n, image in enumerate(images)]
        self.bad = None
        self.good = self._read(self.tasks)
        assert len(self.good) == 3, self.good

    def _task(self, number, image, run):
        made = task_of(image, f"/data/upload/{number}.png", TaskHeader(), registry_id=self.identity)
        shown = {"id": 30 + number, **prediction_of(image, (BOX,), model_version=run)}
        result = result_from_boxes((Box(22, 12, 38, 30),), *SIZE, region_prefix="a-")
        if number == 2:
            inside = np.zeros((SIZE[1], SIZE[0]), dtype=bool)
            inside[10:40, 20:60] = True
            region = {"type": "brushlabels", "from_name": "brush", "to_name": "image", "id": "p"}
            value = {"format": "rle", "rle": encode_brush(inside), "brushlabels": ["lesion (paint)"]}
            result = [{**region, "original_width": SIZE[0], "original_height": SIZE[1], "value": value}]
        if number == 3:
            result += result_from_class("benign", region_id="c")
        said = {
            **{"id": 70 + number, "result": result, "was_cancelled": False, "completed_by": 1, "updated_by": 1},
            **{"lead_time": 3.5, "created_at": "2026-01-02T03:04:05Z", "updated_at": "2026-01-02T03:04:06Z"},
            **{"parent_prediction": 30 + number, "ground_truth": False, "task": number, "project": 1},
        }
        return {**made, "id": number, "annotations": [said], "predictions": [shown], "overlap": 1, "is_labeled": True}

    def damage(self, rng) -> str:
        number = int(rng.integers(3))
        task = copy.deepcopy(self.tasks[number])
        self.by_server = bool(rng.integers(4) == 0)
        if self.by_server:
            self.now = changed_document(self.tasks, rng)
            return "the listing"
        part = pick(rng, ("result", "result", "annotation", "data", "predictions"))
        if part == "result":
            said = task["annotations"][0]
            said["result"] = changed_document({"result": said["result"]}, rng).get("result")
        elif part == "annotation":
            # The server numbers its annotations itself.
            task["annotations"][0] = {**changed_document(task["annotations"][0], rng), "id": 71 + number}
        else:
            task[part] = changed_document({part: task[part]}, rng).get(part)
        self.now = [*self.tasks[:number], task, *self.tasks[number + 1 :]]
        self.bad = number
        return f"{part} of task {number + 1}"

    def restore(self) -> None:
        self.bad = None

    def use(self) -> str:
        try:
            found = self._read(self.now)
        except (AnnotatorError, RegistryError):
            if not self.by_server:
                raise
            return "refused"
        if self.by_server:
            return "fine"
        for number, image_id in enumerate(self.ids):
            if number != self.bad and found.get(image_id) != self.good[image_id]:
                raise Lost(f"task {number + 1} is {found.get(image_id)} instead of {self.good[image_id]}")
        return "fine" if found.get(self.ids[self.bad]) else "refused"

    def _read(self, tasks):
        """Pull twice: what stops one pull must not stop the next."""
        project = self.project.renew()
        registry = open_registry(f"sqlite:///{project}/registry.sqlite3", project)
        text = json.dumps(tasks)
        with LabelStudioClient(URL, TOKEN) as client:
            answer_with(client, lambda request: self._answer(request, text))
            pull_reviews(registry, client)
            pull_reviews(registry, client)
        with registry.read() as tx:
            found = {
                image.id: [image.class_name, [str(box) for box in image.boxes], str(image.location_status)]
                for image in tx.images.select()
                if image.is_located
            }
        registry.close()
        return found

    def _answer(self, request, tasks):
        path = urlsplit(str(request.url)).path
        if request.method != "GET":
            return httpx.Response(200, json={})
        if path == "/api/projects/1/":
            project = {"id": 1, "title": "p", "label_config": interface(masks=True), "task_number": 3}
            counts = {"total_annotations_number": 3, "skipped_annotations_number": 0}
            return httpx.Response(200, json=project | counts | {"description": f"(registry {self.identity})"})
        if path == "/api/tasks/":
            if parse_qs(request.url.query.decode())["page_size"] == ["1"]:
                return httpx.Response(200, json={"tasks": [{"id": 3, "updated_at": "2026-01-02T03:04:06Z"}]})
            return httpx.Response(200, text=f'{{"tasks": {tasks}, "total": 3}}')
        if path == "/api/users/":
            return httpx.Response(200, json=[{"id": 1, "email": "ann@example.org"}])
        if path.startswith("/api/tasks/"):
            found = [task for task in json.loads(tasks) if f"/api/tasks/{task.get('id')}/" == path]
            return httpx.Response(200 if found else 404, text=json.dumps(found[0] if found else {}))
        return httpx.Response(404, json={})


def answer_with(client, handler):
    """Let a client's requests be answered here instead of by a server."""
    annotator.label_studio.transport.READ_PAUSE_S = 0.0
    client.http._http._transport = httpx.MockTransport(handler)


class BackendRequests:
    """Requests to the ML backend over a real socket: one is damaged, and the next must be answered as ever."""

    def __init__(self, folder: Path) -> None:
        self.project = Project(folder)
        registry = open_registry(f"sqlite:///{self.project.pristine}/registry.sqlite3", self.project.pristine)
        self.ids = add_images(registry, *(new_image(f"{n}.png") for n in range(3)))
        with registry.begin() as tx:
            identity = tx.connections.ensure_identity()
            images = tx.images.select()
        registry.close()
        made = [task_of(image, "/data/x.png", TaskHeader(), registry_id=identity) for image in images]
        self.tasks = [{**task, "id": n + 1} for n, task in enumerate(made)]
        self.good = json.dumps({"tasks": self.tasks, "label_config": interface(), "project": "1.1"}).encode()

    def damage(self, rng) -> str:
        self.bad = None
        kind = rng.integers(4)
        if kind == 0:
            # One task among three.
            self.bad = int(rng.integers(3))
            tasks = [*self.tasks]
            tasks[self.bad] = changed_document({"task": tasks[self.bad]}, rng).get("task")
            self.request = _post(json.dumps({"tasks": tasks}).encode())
            return f"task {self.bad}"
        if kind == 1:
            document = changed_document({"all": json.loads(self.good)}, rng)
            self.request = _post(json.dumps(document.get("all", document)).encode())
            return "the document"
        if kind == 2:
            self.request = _post(damaged(self.good, rng))
            return "the body"
        self.request = damaged(_post(self.good), rng)
        return "the request"

    def restore(self) -> None:
        pass

    def use(self) -> str:
        project = self.project.renew()
        registry = open_registry(f"sqlite:///{project}/registry.sqlite3", project)

        def propose(ids):
            return {image_id: proposal_record(image_id=image_id, boxes=(BOX,)) for image_id in ids}

        backend = MlBackend(registry, propose, lambda: "run-1")
        with WebServer(backend.handlers(), host="127.0.0.1", port=0) as server:
            status, document = ask(server.port, self.request, seconds=PATIENCE_S if self.bad is None else SECONDS)
            if status is not None and status >= 500:
                raise AssertionError(f"status {status}: {document}")
            if self.bad is not None and status == 200:
                self._check(document, set(range(3)) - {self.bad})
            after, document = ask(server.port, _post(self.good))
            if after != 200:
                raise Lost(f"the next request is answered with {after}")
            self._check(document, set(range(3)))
        registry.close()
        return "fine" if status == 200 else "refused"

    def _check(self, document, numbers):
        results = json.loads(document)["results"]
        if len(results) != 3 or not all(results[number] for number in numbers):
            raise Lost(f"answered {[len(result) for result in results]} predictions for three tasks")


def _post(body):
    head = f"POST /predict HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nContent-Length: {len(body)}"
    return f"{head}\r\nConnection: close\r\n\r\n".encode() + body


def ask(port, request, seconds=SECONDS):
    """Send bytes and return the status and the body of what is answered; None where there is no answer."""
    with socket.create_connection(("127.0.0.1", port), timeout=seconds) as connection:
        answer = b""
        # It may well hang up on nonsense, or wait for the rest of it.
        with contextlib.suppress(ConnectionError, TimeoutError):
            connection.sendall(request)
            while part := connection.recv(65536):
                answer += part
    head, _, body = answer.partition(b"\r\n\r\n")
    return (int(head.split()[1]), body) if head.startswith(b"HTTP/1.1 ") else (None, body)
