"""The layout of BUSI: several masks an image, and black masks."""

from annotator.datasets.import_images import import_images
from annotator.datasets.import_request import ImportRequest
from db.records import Box, LocationStatus
from tests.picture_files import mask_file, picture


def test_busi_unites_masks_and_knows_empty_from_unknown(registry, tmp_path):
    folder = tmp_path / "busi"
    picture(folder / "benign" / "benign (1).png", 1)
    mask_file(folder / "benign" / "benign (1)_mask.png", (1, 1, 10, 10))
    mask_file(folder / "benign" / "benign (1)_mask_1.png", (40, 30, 8, 8))
    picture(folder / "normal" / "normal (1).png", 2)
    mask_file(folder / "normal" / "normal (1)_mask.png")
    picture(folder / "malignant" / "malignant (3).png", 3)
    mask_file(folder / "malignant" / "malignant (4)_mask.png", (1, 1, 5, 5))
    report = import_images(registry, ImportRequest(folder, "busi"))
    assert (report.registered, report.refused) == (3, [])
    assert any("no image belongs to this mask" in warning for warning in report.warnings)
    with registry.read() as tx:
        images = {image.class_name: image for image in tx.images.select()}
    assert set(images["benign"].boxes) == {Box(1, 1, 10, 10), Box(40, 30, 8, 8)}
    assert images["normal"].location_status is LocationStatus.EMPTY
    assert images["malignant"].location_status is LocationStatus.UNKNOWN
