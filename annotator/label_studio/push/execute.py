"""The work of one push: images to where people can see them, tasks in chunks, predictions, and a look at the result."""

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from annotator.errors import ConnectionFailed, IncompleteListing, ProjectUnusable, RequestRefused
from annotator.label_studio.client import LabelStudioClient
from annotator.label_studio.connect import MEDIA_LOCAL
from annotator.label_studio.payload.plain import is_writable
from annotator.label_studio.payload.tasks import (
    CLASS,
    LIVE_TITLE,
    SCORE,
    TaskHeader,
    as_own,
    header_data,
    key_of,
    known_location_of,
    prediction_of,
    round_of,
    shows_prediction,
    slot_of,
    task_of,
    with_new_keys,
    with_registry,
)
from annotator.label_studio.push.media import bucket_of, media_bytes, media_name, own_address, place_media
from annotator.label_studio.push.order import draw
from annotator.label_studio.push.plan import PlannedTask
from annotator.label_studio.sync_journal import Journal
from annotator.label_studio.sync_report import Skipped
from db.errors import ImageUnreadable
from db.progress import Progress
from db.records import ConnectionRecord, ImageRecord, ProposalRecord
from db.registry import Registry

CHUNK = 100
WRITE_ROUNDS = 4
WRITE_PAUSE_S = 0.5
UPLOAD_FILES = 50
UPLOAD_BYTES = 32 * 2**20
"""What one request may carry, so that no proxy in between finds it too much."""
LOOKED_AT = 3
"""Images that are fetched through the server before anything is made of them."""


@dataclass(frozen=True, slots=True)
class Materials:
    """Where images go, and which masks are sent with them."""

    media_folder: Path | None
    """Folder that the local server serves; None where images are uploaded."""
    masks: Mapping[int, bytes] | None
    """PNGs by label, where known locations are sent along; None where they are not."""
    as_polygons: bool
    """Send masks as polygons instead of brush strokes."""
    file_names: bool = False
    """Show annotators the names of the files."""
    classes: tuple[str, ...] = ()
    """Classes that are offered where the page asks for one; none where its labeling interface cannot."""
    ask_class: bool = False
    """Ask for the class where it is known, too."""


@dataclass(frozen=True, slots=True)
class Destination:
    """The project that tasks go to, and the registry that they are from."""

    client: LabelStudioClient
    connection: ConnectionRecord
    registry_id: str


class Sender:
    """Carries out a plan."""

    def __init__(
        self,
        registry: Registry,
        destination: Destination,
        journal: Journal,
        materials: Materials,
        progress: Progress,
    ) -> None:
        """Prepare; nothing is sent yet.

        Args:
            registry: where it is noted what was done.
            destination: the project.
            journal: of this push.
            materials: where images go, and what is sent with them.
            progress: where to show how far it is.
        """
        self._registry = registry
        self._client = destination.client
        self._connection = destination.connection
        self._registry_id = destination.registry_id
        self._journal = journal
        self._progress = progress
        self._media_folder = materials.media_folder
        self._masks = materials.masks
        self._as_polygons = materials.as_polygons
        self._materials = materials
        self._buckets: set[tuple[str, str]] | None = None
        self._keeps_order: bool | None = None

    @property
    def _project_id(self) -> int:
        return self._connection.project_id

    def restore_media(self, images: Sequence[ImageRecord], skipped: list[Skipped]) -> None:
        """Put images of existing tasks back that were lost where the local server serves them.

        Args:
            images: of existing tasks.
            skipped: filled with images that cannot be put back.

        Raises:
            ProjectUnusable: the connected server is not the local one any more.
        """
        if self._connection.media == MEDIA_LOCAL:
            folder = self._served_folder()
            for image in images:
                try:
                    place_media(image, folder, thoroughly=False)
                except (ImageUnreadable, OSError) as exc:
                    skipped.append(Skipped(f"it cannot be put back where Label Studio serves it: {exc}", image.id))

    def set_annotators(self, wanted: Sequence[tuple[int, int]]) -> None:
        """Ask for as many people as a task is to have; one request each, the server has none for many."""
        for task_id, count in wanted:
            self._client.set_annotators(task_id, count)

    def create(self, planned: Sequence[PlannedTask], skipped: list[Skipped]) -> list[PlannedTask]:
        """Create tasks in chunks and return those that are there now.

        Args:
            planned: what to create.
            skipped: filled with images that cannot be read.
        """
        created: list[PlannedTask] = []
        if not planned:
            return created
        chunks = [planned[start : start + CHUNK] for start in range(0, len(planned), CHUNK)]
        # While the server makes one chunk's tasks, the next chunk's images are made available to annotators.
        with self._progress.task("creating tasks", len(planned)) as task, ThreadPoolExecutor(1) as ahead:
            coming = ahead.submit(self._addresses, chunks[0])
            for number, chunk in enumerate(chunks):
                addresses, unreadable = coming.result()
                if number + 1 < len(chunks):
                    coming = ahead.submit(self._addresses, chunks[number + 1])
                skipped += unreadable
                ready = [item for item in chunk if item.image.id in addresses]
                if ready and not created:
                    self._look_at([addresses[item.image.id] for item in ready])
                if ready:
                    self._create_chunk(ready, addresses)
                created += ready
                task.advance(len(chunk))
        return created

    def _create_chunk(self, chunk: Sequence[PlannedTask], addresses: Mapping[int, str]) -> None:
        self._journal.sent([item.step for item in chunk])
        ids = self._send_until_there([(item, self._task(item, addresses[item.image.id])) for item in chunk])
        self.set_annotators([(ids[item.slot], item.annotators) for item in chunk if item.annotators > 1])
        self._journal.done([item.step for item in chunk], [item.link(ids[item.slot]) for item in chunk])

    def _send_until_there(self, chunk: Sequence[tuple[PlannedTask, dict[str, Any]]]) -> dict[str, int]:
        """Send a chunk and return the tasks' ids by key and round."""
        waiting = list(chunk)
        for attempt in range(WRITE_ROUNDS):
            try:
                ids = self._client.import_tasks(self._project_id, [task for _, task in waiting])
                slots = [item.slot for item, _ in waiting]
                if len(waiting) == len(chunk) and self._in_order(ids, slots):
                    return dict(zip(slots, ids, strict=True))
                break
            except ConnectionFailed as exc:
                if attempt == WRITE_ROUNDS - 1:
                    raise
                self._client.http.wait(exc, WRITE_PAUSE_S * 2**attempt)
                # The server may have done the work before the answer was lost: look before sending again.
                there = self._task_ids()
                waiting = [(item, task) for item, task in waiting if item.slot not in there]
                if not waiting:
                    break
        there = self._task_ids()
        missing = [item.image.id for item, _ in chunk if item.slot not in there]
        if missing:
            raise IncompleteListing(f"{len(missing)} of the tasks just created are not listed; push again")
        return there

    def _in_order(self, ids: Sequence[int], slots: Sequence[str]) -> bool:
        """Say whether the ids that the server answered with are those of the tasks that were sent, in their order.

        It numbers them one after the other as they come. That is looked at once a push; whatever uses an id later looks
        at the task's key anyway.
        """
        if len(ids) != len(slots) or list(ids) != list(range(ids[0], ids[0] + len(ids))):
            return False
        if self._keeps_order is None:
            last = as_own(self._client.get_task(ids[-1]), self._registry_id)
            self._keeps_order = slot_of(key_of(last) or "", round_of(last)) == slots[-1]
        return self._keeps_order

    def _task_ids(self) -> dict[str, int]:
        ids: dict[str, int] = {}
        for task in self._client.list_tasks(self._project_id, with_annotations=False):
            key = key_of(as_own(task, self._registry_id))
            if key:
                ids.setdefault(slot_of(key, round_of(task)), int(task["id"]))
        return ids

    def _task(self, item: PlannedTask, address: str) -> dict[str, Any]:
        known: list[dict[str, Any]] = []
        if self._masks is not None and item.check is None and item.image.label is not None:
            known = known_location_of(item.image, self._masks.get(item.image.label.id), as_polygons=self._as_polygons)
        return task_of(
            item.image,
            address,
            self._header(item),
            registry_id=self._registry_id,
            prediction=self._prediction(item),
            annotations=known,
        )

    def _header(self, item: PlannedTask) -> TaskHeader:
        asked = item.image.class_name is None or self._materials.ask_class
        return TaskHeader(
            score=item.score,
            name=item.image.path.name if self._materials.file_names else None,
            annotators=item.annotators,
            round=item.round,
            proposes_nothing=item.proposes_nothing,
            classes=self._materials.classes if asked else (),
        )

    def _prediction(self, item: PlannedTask) -> dict[str, Any] | None:
        shown = item.shown
        if shown is None:
            return None
        class_name: str | None = None
        if item.image.class_name is None and self._materials.classes:
            # What is known is never suggested again: whoever chooses it then has said so.
            class_name = shown.class_name if isinstance(shown, ProposalRecord) else self._any_class(item.image)
            # One that no page can show is not offered, so it is not chosen either.
            class_name = class_name if class_name is not None and is_writable(class_name) else None
        version = item.shown_as or shown.run_name
        return prediction_of(item.image, shown.boxes, model_version=version, class_name=class_name)

    def _any_class(self, image: ImageRecord) -> str:
        """Choose a class for an attention check, which would be told from other tasks without one."""
        classes = self._materials.classes
        return classes[int(draw(image, "catch class") * len(classes))]

    def _addresses(self, chunk: Sequence[PlannedTask]) -> tuple[dict[int, str], list[Skipped]]:
        """Bring a chunk's images to where people can see them; returns their addresses, and what cannot be read."""
        skipped: list[Skipped] = []
        found = {item.image.id: item.step.address for item in chunk if item.step.address is not None}
        uploads: list[tuple[PlannedTask, bytes]] = []
        size = 0
        for item in chunk:
            if item.image.id in found:
                continue
            try:
                address = own_address(item.image, self._buckets_for(item.image))
                if address is None and self._connection.media == MEDIA_LOCAL:
                    address = self._placed(item.image)
                if address is not None:
                    found[item.image.id] = address
                    continue
                content = media_bytes(item.image)
            except (ImageUnreadable, OSError) as exc:
                skipped.append(Skipped(str(exc), item.image.id))
                self._journal.skipped(item.step, str(exc))
                continue
            if uploads and (len(uploads) == UPLOAD_FILES or size + len(content) > UPLOAD_BYTES):
                found |= self._upload(uploads)
                uploads, size = [], 0
            uploads.append((item, content))
            size += len(content)
        return found | (self._upload(uploads) if uploads else {}), skipped

    def _upload(self, uploads: Sequence[tuple[PlannedTask, bytes]]) -> dict[int, str]:
        files = {media_name(item.image): content for item, content in uploads}
        by_name = self._client.upload_images(self._project_id, list(files.items()))
        self._journal.keep_addresses({item.step.ordinal: by_name[media_name(item.image)] for item, _ in uploads})
        return {item.image.id: by_name[media_name(item.image)] for item, _ in uploads}

    def _served_folder(self) -> Path:
        if self._media_folder is None:
            raise ProjectUnusable("the connected server is no longer the local one; connect again: partly connect URL")
        return self._media_folder

    def _placed(self, image: ImageRecord) -> str:
        folder = self._served_folder()
        return "/data/local-files/?d=" + quote(f"{folder.name}/{place_media(image, folder).name}")

    def _buckets_for(self, image: ImageRecord) -> set[tuple[str, str]]:
        """Return the buckets that the project has a storage for; asked once, if an image lies in one at all."""
        if bucket_of(image) is None:
            return set()
        if self._buckets is None:
            self._buckets = {
                (kind, str(storage.get("bucket")))
                for kind in ("s3", "gcs")
                for storage in self._client.storages(self._project_id, kind)
            }
        return self._buckets

    def _look_at(self, addresses: Sequence[str]) -> None:
        """Fetch a few images as people's browsers will, before the first task is made.

        Raises:
            ProjectUnusable: one is not served; nothing was created.
        """
        for address in addresses[:: max(1, len(addresses) // LOOKED_AT)][:LOOKED_AT]:
            problem = self._client.image_problem(address)
            if problem is not None:
                raise ProjectUnusable(
                    f"Label Studio cannot show the images: {problem} ({address}); no task was created. Fix this, then "
                    "push again"
                )

    def add_predictions(self, planned: Sequence[PlannedTask]) -> int:
        """Add the newest proposals to tasks that exist, and bring the scores in their data up to date."""
        for start in range(0, len(planned), CHUNK):
            chunk = planned[start : start + CHUNK]
            self._journal.sent([item.step for item in chunk])
            self._refresh_headers(chunk)
            self._client.import_predictions(
                self._project_id, [{"task": item.task_id, **(self._prediction(item) or {})} for item in chunk]
            )
            links = [item.link(item.task_id) for item in chunk if item.task_id is not None]
            self._journal.done([item.step for item in chunk], links)
        return len(planned)

    def _refresh_headers(self, planned: Sequence[PlannedTask]) -> None:
        """One request a task, the server has none for many; where it refuses, an older score stays.

        Raises:
            RequestRefused: the page would go on to say what is not so any more.
        """
        for item in planned:
            present = with_new_keys(item.data or {})
            wanted = header_data(item.image, self._header(item))
            stale = {key for key, value in wanted.items() if (present.get(key) or None) != (value or None)}
            if item.data is not None and stale:
                task = with_registry({"data": {**present, **wanted}}, self._registry_id)
                with suppress(*([RequestRefused] if stale <= {SCORE, CLASS} else [])):
                    self._client.http.patch(f"/api/tasks/{item.task_id}/", {"data": task["data"]})

    def show_predictions(self, proposals: Sequence[ProposalRecord]) -> None:
        """Make the newest run's predictions the ones that annotators see, and verify it.

        Raises:
            ProjectUnusable: they were sent, and the server does not show them.
        """
        with self._registry.read() as tx:
            links = tx.connections.links(self._connection.id)
        sent = [item for item in proposals if item.image_id in links and not links[item.image_id].control]
        if not sent:
            return
        newest = max(sent, key=lambda proposal: (proposal.run_id, -proposal.image_id))
        # With an ML backend annotators see its predictions, which are the newest run's too.
        good = [(newest.run_name, True), (LIVE_TITLE, True)]
        visible = self._client.shown_predictions(self._project_id)
        if visible not in good:
            visible = self._client.show_predictions(self._project_id, newest.run_name)
        task = self._client.get_task(links[newest.image_id].task_id)
        if not shows_prediction(task, newest.run_name) or visible not in good:
            raise ProjectUnusable(
                f"the proposals of {newest.run_name} were sent, but project {self._project_id} does not show them: set "
                f"its model version to {newest.run_name} in Label Studio (Settings, Annotation, Prelabeling)"
            )
