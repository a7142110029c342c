"""How long the dashboard's pages take on a large registry, over HTTP, against a stated limit; exits with 1 if missed.

    python benchmarks/dashboard.py             100,000 images
    python benchmarks/dashboard.py --images N  another number (then the limit says little)

Each page is asked for a few times, and the slowest answer counts. What to do next comes after the page and is not
waited for, so it has a limit of its own. The images' files do not exist: of thumbnails only those of one real file are
timed, once decoded and once from memory.
"""

import argparse
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

import numpy as np
from limits import Row, print_limits
from PIL import Image
from registry import fill

from annotator.web.listening import ListeningServer, listen
from cli.dashboard.application import make_application
from cli.dashboard.overlays import load_tools
from db.imaging.files import ImageFile
from db.records import NewImage
from db.registry import Registry, create_registry

IMAGES = 100_000
TIMES = 5
LIMIT_S, NEXT_S, DECODED_S, KEPT_S = 0.5, 10.0, 0.5, 0.1
FIRST_S = 1.5
"""The very first answer, which templates are compiled for."""
PHOTO_PX = (1600, 1200)

PAGES = {
    "overview": "/",
    "review": "/review",
    "rounds": "/rounds",
    "runs": "/runs",
    "images": "/images",
    "class": "/images?class=benign",
    "split": "/images?split=val",
    "no split": "/images?split=none",
    "supervision": "/images?supervision=fully",
    "nothing like it": "/images?supervision=unlabeled",
    "located": "/images?located=yes",
    "proposed": "/images?proposed=yes",
    "not proposed": "/images?proposed=no",
    "run": "/images?run=run-1",
    "score": "/images?min_score=0.9",
    "narrow score": "/images?min_score=0.5&max_score=0.5001",
    "reviewer": "/images?reviewer=nobody",
    "name": "/images?name=image-00099",
    "name of none": "/images?name=zzz",
    "near-duplicates": "/images?near_duplicates=yes",
    "several filters": "/images?class=normal&proposed=yes&min_score=0.9&name=study",
    "a late page": "/images?after={late}",
    "the page before": "/images?before={late}",
    "an image": "/images/{late}",
    "an image of a rare filter": "/images/{late}?name=image-00000000",
}


def seconds(address: str) -> float:
    """Seconds of one answer, read to its end."""
    started = time.perf_counter()
    with urllib.request.urlopen(address) as answer:
        answer.read()
    return time.perf_counter() - started


def add_photo(registry: Registry, folder: Path) -> int:
    """Register an image whose file exists, and return its number."""
    rng = np.random.default_rng(0)
    place = folder / "photo.jpg"
    coarse = Image.fromarray(rng.integers(0, 255, (48, 64, 3), dtype=np.uint8))
    coarse.resize(PHOTO_PX, Image.Resampling.BICUBIC).save(place, quality=90)
    width, height = PHOTO_PX
    with registry.begin() as tx:
        return tx.images.add([NewImage(ImageFile.at(place), "sha256:" + "f" * 64, width, height, "benign")])[0]


def measure(url: str, images: int, photo: int) -> list[Row]:
    """Ask for every page and print how long it takes."""
    checks: list[Row] = [("the very first page, seconds", seconds(f"{url}/"), "<=", FIRST_S)]
    late = images * 9 // 10
    print(f"{'page':<28} {'median s':>9} {'slowest s':>10}")
    for name, address in PAGES.items():
        times = sorted(seconds(url + address.format(late=late)) for _ in range(TIMES))
        print(f"{name:<28} {times[TIMES // 2]:>9.3f} {times[-1]:>10.3f}")
        checks.append((f"{name}, seconds", times[-1], "<=", LIMIT_S))
    checks.append(("what to do next, seconds", seconds(f"{url}/next"), "<=", NEXT_S))
    checks.append(("a thumbnail, decoded, seconds", seconds(f"{url}/images/{photo}/thumbnail"), "<=", DECODED_S))
    checks.append(("a thumbnail, kept, seconds", seconds(f"{url}/images/{photo}/thumbnail"), "<=", KEPT_S))
    return checks


def main() -> int:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=IMAGES)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        registry = create_registry(f"sqlite:///{name}/registry.sqlite3", Path(name))
        fill(registry, 0, options.images)
        photo = add_photo(registry, Path(name))
        load_tools()
        with ListeningServer(make_application(registry, title="bench"), listen("127.0.0.1", 0)) as server:
            checks = measure(f"http://127.0.0.1:{server.port}", options.images, photo)
        registry.close()
    print()
    return print_limits(checks)


if __name__ == "__main__":
    sys.exit(main())
