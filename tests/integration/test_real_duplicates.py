"""Near-duplicates among real images, against an independent count."""

import numpy as np
import pytest
from PIL import Image

from annotator.datasets.import_images import import_images
from annotator.datasets.import_request import ImportRequest
from db.curation.doctor import find_problems
from db.imaging.fingerprints import (
    NEAR_CORRELATION,
)

pytestmark = pytest.mark.thorough


@pytest.mark.busi
def test_real_images_have_the_pairs_that_an_independent_count_finds(registry, busi):
    """Recall and precision against normalised correlation of thumbnails made by another library."""
    from skimage.transform import resize

    import_images(registry, ImportRequest(busi, "csv"))
    with registry.read() as tx:
        images = tx.images.select()
        found = {(first, second) for first, second, _ in tx.duplicates.pairs()}
    flat = []
    for image in images:
        with Image.open(str(image.path)) as opened:
            grey = np.asarray(opened.convert("L"), dtype=np.float64) / 255
        small = resize(grey, (32, 32), anti_aliasing=True).ravel()
        flat.append((small - small.mean()) / np.linalg.norm(small - small.mean()))
    correlation = np.array(flat) @ np.array(flat).T
    rows, columns = np.nonzero(np.triu(correlation > NEAR_CORRELATION, 1))
    truth = {(images[a].id, images[b].id) for a, b in zip(rows, columns, strict=True)}
    recall, precision = len(found & truth) / len(truth), len(found & truth) / len(found)
    assert len(found) == pytest.approx(190, abs=10)
    assert recall >= 0.95
    assert precision >= 0.95
    conflicts = [finding for finding in find_problems(registry) if finding.kind == "class_conflict"]
    together = [{image.path.stem for image in finding.images} for finding in conflicts]
    assert any({"benign_042", "benign_131", "malignant_051"} <= group for group in together)
