"""A project whose images exist, and the dashboard over it."""

import numpy as np
import pytest
from PIL import Image
from starlette.testclient import TestClient

from cli.dashboard.application import make_application
from db.imaging.decode import png_from_mask
from db.imaging.files import ImageFile
from db.records import Box, LocationSource, NewLabel, NewProposal, RunStatus, Split
from db.records.labels import Location, LocationStatus
from tests.builders import add_images, new_image, present

NASTY = '"><script>alert(1)</script>'
BOX = Box(10, 20, 30, 40)
PROPOSED = Box(12.5, 18, 30, 44)


@pytest.fixture
def project(registry, tmp_path):
    """Four images: known with a mask, proposed, of a hostile name and class, and one whose file is missing.

    Returns:
        Their numbers.
    """
    places = [tmp_path / name for name in ("known.png", "proposed.png", "x<script>alert(1)<!--\u202e.png")]
    for number, place in enumerate(places):
        pixels = np.full((80, 100, 3), 40 * (number + 1), dtype=np.uint8)
        Image.fromarray(pixels).save(place)
    found = [
        new_image(path=ImageFile.at(places[0]), class_name="benign", split=Split.TRAIN),
        new_image(path=ImageFile.at(places[1]), class_name="benign", split=Split.TRAIN),
        new_image(path=ImageFile.at(places[2]), class_name=NASTY, group=NASTY),
        new_image(path=ImageFile.at(tmp_path / "gone.png"), class_name="malignant"),
    ]
    ids = add_images(registry, *found)
    mask = np.zeros((80, 100), dtype=bool)
    mask[20:60, 10:40] = True
    location = Location(LocationStatus.PRESENT, (BOX,), png_from_mask(mask))
    with registry.begin() as tx:
        tx.labels.append(NewLabel(ids[0], location, LocationSource.IMPORTED, origin=NASTY))
        tx.labels.append(NewLabel(ids[3], present(), LocationSource.IMPORTED))
        run = tx.runs.start(preset="default", config={}, snapshot="s")
        tx.proposals.add([NewProposal(ids[1], "benign", 0.9, 0.87, (PROPOSED,))], run_id=run.id, tau=0.5, gate="class")
        tx.runs.finish(run.id, RunStatus.FINISHED, {"val": {"localization": {"iou": 0.75}}})
    return ids


@pytest.fixture
def client(registry):
    application = make_application(registry, title="partly: <b>trial</b>")
    with TestClient(application, base_url="http://127.0.0.1:8765") as made:
        yield made
