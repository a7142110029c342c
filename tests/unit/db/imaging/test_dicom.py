"""DICOM files: written by pydicom here, read as images with frames and patients."""

import numpy as np
import pytest

from annotator.datasets.import_images import ImportRequest

pydicom = pytest.importorskip("pydicom")

from pydicom.dataset import FileDataset, FileMetaDataset  # noqa: E402
from pydicom.uid import ExplicitVRLittleEndian, SecondaryCaptureImageStorage, generate_uid  # noqa: E402

from annotator.datasets.import_images import import_images  # noqa: E402
from db.errors import ImageUnreadable  # noqa: E402
from db.imaging.decode import hash_content, is_stored_upright, read_facts, read_image  # noqa: E402
from db.imaging.files import ImageFile  # noqa: E402


def write_dicom(path, pixels, *, patient="P-17", photometric="MONOCHROME2", **tags):
    """Write an uncompressed file: pixels HW, NHW or HW3."""
    path.parent.mkdir(parents=True, exist_ok=True)
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = SecondaryCaptureImageStorage
    meta.MediaStorageSOPInstanceUID = generate_uid()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    data = FileDataset(str(path), {}, file_meta=meta, preamble=b"\0" * 128)
    data.SOPClassUID, data.SOPInstanceUID = meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID
    data.PatientID, data.PhotometricInterpretation = patient, photometric
    colour = photometric == "RGB"
    data.SamplesPerPixel = 3 if colour else 1
    if colour:
        data.PlanarConfiguration = 0
    shape = pixels.shape[:2] if colour else pixels.shape[-2:]
    data.Rows, data.Columns = shape
    if pixels.ndim == 3 and not colour:
        data.NumberOfFrames = len(pixels)
    bits = pixels.dtype.itemsize * 8
    data.BitsAllocated = data.BitsStored = bits
    data.HighBit, data.PixelRepresentation = bits - 1, 0
    for name, value in tags.items():
        setattr(data, name, value)
    data.PixelData = pixels.tobytes()
    data.save_as(path, enforce_file_format=True)
    return path


GREY = np.arange(6, dtype=np.uint16).reshape(2, 3) * 100


def test_grey_is_stretched_and_the_patient_is_the_group(tmp_path):
    path = write_dicom(tmp_path / "a.dcm", GREY)
    (facts,) = read_facts(path)
    assert (facts.width, facts.height, facts.patient, facts.frame) == (3, 2, "P-17", None)
    image = read_image(path)
    assert image.shape == (2, 3, 3)
    assert image[:, :, 0].ravel().tolist() == [0, 51, 102, 153, 204, 255]
    assert not is_stored_upright(ImageFile.at(path), path.read_bytes())


def test_dark_and_bright_are_as_a_viewer_shows_them(tmp_path):
    inverted = write_dicom(tmp_path / "a.dcm", GREY, photometric="MONOCHROME1")
    assert read_image(inverted)[:, :, 0].ravel().tolist() == [255, 204, 153, 102, 51, 0]
    windowed = write_dicom(tmp_path / "b.dcm", GREY, WindowCenter=100, WindowWidth=200)
    assert read_image(windowed)[1, :, 0].tolist() == [255] * 3, "above the window all is white"
    rescaled = write_dicom(tmp_path / "c.dcm", GREY, RescaleSlope=-1, RescaleIntercept=500)
    assert read_image(rescaled)[:, :, 0].ravel().tolist() == [255, 204, 153, 102, 51, 0]


def test_colour(tmp_path):
    pixels = np.zeros((2, 3, 3), dtype=np.uint8)
    pixels[0, 0] = (255, 0, 9)
    path = write_dicom(tmp_path / "a.dcm", pixels, photometric="RGB")
    assert read_image(path)[0, 0].tolist() == [255, 0, 9]


def test_several_frames_are_several_images_of_one_patient(registry, tmp_path):
    frames = np.random.default_rng(0).integers(0, 4000, (3, 40, 50), dtype=np.uint16)
    write_dicom(tmp_path / "set" / "benign" / "cine.dcm", frames)
    write_dicom(tmp_path / "set" / "malignant" / "single.dcm", frames[0], patient="P-18")
    assert import_images(registry, ImportRequest(tmp_path / "set", "folders")).registered == 4
    with registry.read() as tx:
        images = tx.images.select()
    assert [image.path.frame for image in images] == [0, 1, 2, None]
    assert [image.group for image in images] == ["P-17"] * 3 + ["P-18"]
    assert len({image.content_hash for image in images}) == 4
    pixels = [read_image(image.path) for image in images[:3]]
    assert not (pixels[0] == pixels[1]).all()
    again = import_images(registry, ImportRequest(tmp_path / "set", "folders"))
    assert (again.registered, again.unchanged) == (0, 4)


def test_a_box_belongs_to_a_frame(registry, tmp_path):
    frames = np.random.default_rng(0).integers(0, 4000, (3, 40, 50), dtype=np.uint16)
    write_dicom(tmp_path / "cine.dcm", frames)
    (tmp_path / "labels.csv").write_text("image,class,x,y,width,height\ncine.dcm,benign,1,2,3,4\n")
    report = import_images(registry, ImportRequest(tmp_path, "csv"))
    assert "#frame=0" in report.refused[0].reason
    (tmp_path / "labels.csv").write_text("image,class,x,y,width,height\ncine.dcm#frame=2,benign,1,2,3,4\n")
    assert import_images(registry, ImportRequest(tmp_path, "csv")).registered == 1
    with registry.read() as tx:
        (image,) = tx.images.select()
    assert (image.path.frame, len(image.boxes)) == (2, 1)


def test_the_only_frame_may_be_named_too(registry, tmp_path):
    path = write_dicom(tmp_path / "single.dcm", np.arange(2000, dtype=np.uint16).reshape(40, 50))
    (tmp_path / "labels.csv").write_text("image,class,location\nsingle.dcm#frame=0,normal,empty\n")
    assert import_images(registry, ImportRequest(tmp_path, "csv")).registered == 1
    with registry.read() as tx:
        (image,) = tx.images.select()
    assert (image.path.frame, hash_content(image.path, path.read_bytes())) == (0, image.content_hash)


def test_what_cannot_be_shown_says_why(tmp_path):
    path = write_dicom(tmp_path / "a.dcm", GREY)
    with pytest.raises(ImageUnreadable, match="frame 5"):
        read_image(ImageFile.at(path).with_frame(5))
    report = pydicom.dcmread(path)
    del report.PixelData
    report.save_as(tmp_path / "report.dcm")
    with pytest.raises(ImageUnreadable, match="no image"):
        read_facts(tmp_path / "report.dcm")
    (tmp_path / "cut.dcm").write_bytes(path.read_bytes()[:-6])
    with pytest.raises(ImageUnreadable, match="cut"):
        read_facts(tmp_path / "cut.dcm")
