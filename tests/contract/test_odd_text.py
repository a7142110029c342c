"""Text that PostgreSQL cannot store loses its own image alone, on every database alike."""

import os

import numpy as np
import pytest

from annotator.datasets.import_images import import_images
from annotator.datasets.import_request import ImportRequest
from tests.picture_files import picture
from tests.unit.db.imaging.test_dicom import write_dicom


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("patient", ["p\0x", "x" * 5000])
def test_a_patient_id_that_cannot_be_stored_loses_its_image_alone(registry, tmp_path, patient):
    folder = tmp_path / "set" / "benign"
    for n in range(3):
        picture(folder / f"{n}.png", n)
    pixels = np.random.default_rng(9).integers(0, 255, (8, 8), dtype=np.uint8)
    write_dicom(folder / "bad.dcm", pixels, patient="P" * len(patient))
    data = (folder / "bad.dcm").read_bytes()
    (folder / "bad.dcm").write_bytes(data.replace(b"P" * len(patient), patient.encode()))
    report = import_images(registry, ImportRequest(folder.parent, "folders"))
    assert (report.registered, [refusal.file for refusal in report.refused]) == (3, ["benign/bad.dcm"])
    assert "its group" in report.refused[0].reason
    with registry.read() as tx:
        assert tx.images.count() == 3


@pytest.mark.parametrize("author", ["a\0b", "\ud800"])
def test_an_author_and_a_folder_that_cannot_be_stored_are_spelled_out(registry, tmp_path, author):
    folder = tmp_path / os.fsdecode(b"s\xff")
    picture(tmp_path / "images" / "benign" / "a.png")
    folder.mkdir()
    (folder / "labels.csv").write_text("image,class\nbenign/a.png,benign\n")
    request = ImportRequest(folder, "csv", images=tmp_path / "images", author=author)
    report = import_images(registry, request)
    assert (report.registered, report.refused) == (1, [])
    with registry.read() as tx:
        (operation,) = tx.operations.all()
    assert "\\xff" in operation.detail or "udcff" in operation.detail
