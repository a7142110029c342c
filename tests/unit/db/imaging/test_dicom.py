"""DICOM files: written by pydicom here, read as images with frames and patients."""

import io
import subprocess
import sys
import warnings

import numpy as np
import pytest

from annotator.datasets.import_request import ImportRequest

pydicom = pytest.importorskip("pydicom")

from PIL import Image  # noqa: E402
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset  # noqa: E402
from pydicom.encaps import encapsulate  # noqa: E402
from pydicom.uid import (  # noqa: E402
    MPEG4HP41,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGLSLossless,
    SecondaryCaptureImageStorage,
    generate_uid,
)

from annotator.datasets.import_images import import_images  # noqa: E402
from db.errors import ImageUnreadable  # noqa: E402
from db.imaging import dicom  # noqa: E402
from db.imaging.decode import hash_content, is_stored_upright, read_facts, read_image  # noqa: E402
from db.imaging.files import ImageFile  # noqa: E402


def write_dicom(path, pixels, *, patient="P-17", photometric="MONOCHROME2", syntax=None, data=None, **tags):
    """Write a file: pixels HW, NHW or HW3; `data` are their bytes where they are not stored plainly."""
    path.parent.mkdir(parents=True, exist_ok=True)
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = SecondaryCaptureImageStorage
    meta.MediaStorageSOPInstanceUID = generate_uid()
    meta.TransferSyntaxUID = syntax or ExplicitVRLittleEndian
    file = FileDataset(str(path), {}, file_meta=meta, preamble=b"\0" * 128)
    file.SOPClassUID, file.SOPInstanceUID = meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID
    file.PatientID, file.PhotometricInterpretation = patient, photometric
    colour = photometric.startswith(("RGB", "YBR", "HSV"))
    file.SamplesPerPixel = 3 if colour else 1
    if colour:
        file.PlanarConfiguration = 0
    shape = pixels.shape[:2] if colour else pixels.shape[-2:]
    file.Rows, file.Columns = shape
    if pixels.ndim == 3 and not colour:
        file.NumberOfFrames = len(pixels)
    bits = pixels.dtype.itemsize * 8
    file.BitsAllocated = bits
    content = pixels.tobytes() if data is None else data
    if pixels.dtype.kind == "f":
        setattr(file, {32: "FloatPixelData", 64: "DoubleFloatPixelData"}[bits], content)
    else:
        file.BitsStored, file.HighBit, file.PixelRepresentation = bits, bits - 1, int(pixels.dtype.kind == "i")
        file.PixelData = encapsulate([content]) if meta.TransferSyntaxUID.is_encapsulated else content
        file["PixelData"].VR = "OB" if bits == 8 else "OW"
        file["PixelData"].is_undefined_length = meta.TransferSyntaxUID.is_encapsulated
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pydicom warns of what is written wrong on purpose
        for name, value in tags.items():
            setattr(file, name, value)
        file.save_as(path, enforce_file_format=True)
    return path


def grey(tmp_path, pixels, frame=0, **tags):
    """Write pixels and read one frame of them back, as one list."""
    return dicom.read_frame(write_dicom(tmp_path / "x.dcm", pixels, **tags).read_bytes(), frame).ravel().tolist()


def colours(tmp_path, pixels, **tags):
    """Write pixels and read them back, as a list of RGB."""
    return dicom.read_frame(write_dicom(tmp_path / "x.dcm", pixels, **tags).read_bytes()).reshape(-1, 3).tolist()


def items(**tags):
    """One item of a sequence."""
    item = Dataset()
    for name, value in tags.items():
        setattr(item, name, value)
    return [item]


def table(entries, *, first=0, bits=16, packed=False):
    """A table of grey values, with 16 bits an entry or packed into 8."""
    (item,) = items(LUTDescriptor=[len(entries), first, bits])
    item["LUTDescriptor"].VR = "SS" if first < 0 else "US"
    item.add_new("LUTData", "OW", np.array(entries, dtype=np.uint8 if packed else "<u2").tobytes())
    return [item]


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


STRETCHED = [0, 51, 102, 153, 204, 255]
QUARTERS = [0, 25, 50, 75, 100, 125]
"""GREY divided by four: what a window from 0 to 1020 makes of it."""
EXACT = {"VOILUTFunction": "LINEAR_EXACT", "WindowCenter": 510, "WindowWidth": 1020}


@pytest.mark.parametrize(
    "tags",
    [
        {"RescaleSlope": None, "RescaleIntercept": 0},
        {"RescaleSlope": -1},
        {"RescaleSlope": "nan", "RescaleIntercept": 0},
        {"RescaleSlope": 0, "RescaleIntercept": 0},
        {"RescaleSlope": [-1, -2], "RescaleIntercept": 0},
        {"ModalityLUTSequence": []},
    ],
)
def test_a_rescale_that_says_nothing_is_none(tmp_path, tags):
    assert grey(tmp_path, GREY, **tags) == STRETCHED


def test_a_table_of_the_modality_replaces_the_values(tmp_path):
    falling = table([4095 - value for value in range(4096)], bits=12)
    assert grey(tmp_path, GREY, ModalityLUTSequence=falling) == STRETCHED[::-1]
    # The window is told in the table's values: 4095 - 500 is its lower end, 4095 its upper one.
    window = {"VOILUTFunction": "LINEAR_EXACT", "WindowCenter": 3845, "WindowWidth": 500}
    assert grey(tmp_path, GREY, ModalityLUTSequence=falling, **window) == STRETCHED[::-1]
    few = np.array([[0, 1, 2, 9]], dtype=np.uint8)
    assert grey(tmp_path, few, ModalityLUTSequence=table([20, 8, 0], bits=8, packed=True)) == [255, 102, 0, 0]
    signed = np.array([[-32768, -2, -1, 32767]], dtype=np.int16)
    assert grey(tmp_path, signed, ModalityLUTSequence=table([0, 100, 20], first=-2)) == [0, 0, 255, 51]


def test_without_its_table_of_the_modality_a_file_is_refused(tmp_path):
    broken = items(LUTDescriptor=[4096, 0, 12], LUTData=[1, 2])
    broken[0]["LUTDescriptor"].VR = broken[0]["LUTData"].VR = "US"
    with pytest.raises(dicom.DicomUnusable, match=r"grey values \(Modality LUT\)"):
        grey(tmp_path, GREY, ModalityLUTSequence=broken)


def test_a_window_is_shown_by_its_own_range(tmp_path):
    assert grey(tmp_path, GREY, **EXACT) == QUARTERS
    assert grey(tmp_path, GREY, WindowCenter=510.5, WindowWidth=1021) == QUARTERS
    assert grey(tmp_path, GREY, **EXACT, photometric="MONOCHROME1") == [255 - value for value in QUARTERS]
    # 255 / (1 + e ** -4(v - 200) / 400), v from 0 to 500
    curve = {"VOILUTFunction": "SIGMOID", "WindowCenter": 200, "WindowWidth": 400}
    assert grey(tmp_path, GREY[:, [0, 1]], **curve) == [30, 69, 186, 225]
    assert grey(tmp_path, GREY, **{**EXACT, "VOILUTFunction": ""}, RescaleSlope=1, RescaleIntercept=1)[0] == 0


def test_a_frame_beyond_its_window_is_white_and_equal_values_look_alike_in_all_frames(tmp_path):
    assert grey(tmp_path, GREY + 2000, **EXACT) == [255] * 6
    assert grey(tmp_path, GREY + 2000, **EXACT, photometric="MONOCHROME1") == [0] * 6
    frames = np.array([[[0, 100]], [[100, 1020]]], dtype=np.uint16)
    assert grey(tmp_path, frames, 0, **EXACT) == [0, 25]
    assert grey(tmp_path, frames, 1, **EXACT) == [25, 255]


def test_of_several_windows_the_first_usable_one_counts(tmp_path):
    several = {"VOILUTFunction": "LINEAR_EXACT", "WindowCenter": [510, 50], "WindowWidth": [1020, 100]}
    assert grey(tmp_path, GREY, **several) == QUARTERS
    several |= {"WindowCenter": [50, 510], "WindowWidth": [0, 1020]}
    assert grey(tmp_path, GREY, **several) == QUARTERS
    several |= {"WindowCenter": 510}
    assert grey(tmp_path, GREY, **several) == STRETCHED


@pytest.mark.parametrize(
    "tags",
    [
        {"WindowCenter": 5},
        {"WindowWidth": 5},
        {"WindowCenter": None, "WindowWidth": 5},
        {"WindowCenter": 5, "WindowWidth": 0},
        {"WindowCenter": 5, "WindowWidth": -9},
        {"WindowCenter": 5, "WindowWidth": 0.5},
        {"WindowCenter": 5, "WindowWidth": 0, "VOILUTFunction": "SIGMOID"},
        {"WindowCenter": "nan", "WindowWidth": 5},
        {"WindowCenter": 5, "WindowWidth": "inf"},
        {"WindowCenter": 5, "WindowWidth": 9, "VOILUTFunction": "CUBIC"},
        {"VOILUTSequence": items(LUTExplanation="no table")},
        {"VOILUTSequence": table([0, 0])},
        {"VOILUTSequence": items(LUTDescriptor=[2, 0], LUTData=[1, 2])},
    ],
)
def test_a_window_that_cannot_be_used_is_left_out(tmp_path, tags):
    for item in tags.get("VOILUTSequence", ()):
        for name in {"LUTDescriptor", "LUTData"} & set(item.dir()):
            item[name].VR = "OW" if isinstance(item[name].value, bytes) else "US"
    assert grey(tmp_path, GREY, **tags) == STRETCHED


def test_a_window_that_is_no_number_is_left_out(tmp_path):
    data = write_dicom(tmp_path / "a.dcm", GREY, WindowCenter="51", WindowWidth="10").read_bytes()
    bad = data.replace(b"DS\x02\x0051", b"DS\x02\x00ab")
    assert bad != data
    assert dicom.read_frame(bad).ravel().tolist() == STRETCHED


def test_a_table_of_the_window_goes_before_numbers(tmp_path):
    falling = table([4095 - value for value in range(4096)], bits=12)
    # 4095 - 500 of 4095 is 224, 4095 - 100 is 249, by the table's own range
    assert grey(tmp_path, GREY, VOILUTSequence=falling, **EXACT) == [255, 249, 243, 236, 230, 224]
    eights = table([value >> 2 for value in range(1024)], bits=8)
    assert grey(tmp_path, GREY, VOILUTSequence=eights) == QUARTERS, "places above 255 are not counted modulo 256"
    assert grey(tmp_path, GREY + 2000, VOILUTSequence=eights) == [255] * 6
    rescaled = {"RescaleSlope": 0.01, "RescaleIntercept": -2}
    stairs = table([0, 10, 20, 30, 51], first=-1)
    assert grey(tmp_path, GREY, VOILUTSequence=stairs, **rescaled) == [0, 0, 50, 100, 150, 255]
    # 100 * 0.29 is a little less than 29 to a computer; 29 of 50 is 148.
    hundred = np.array([[100]], dtype=np.uint16)
    fraction = {"RescaleSlope": 0.29, "RescaleIntercept": 0}
    assert grey(tmp_path, hundred, VOILUTSequence=table(range(51)), **fraction) == [148]
    beyond = np.array([[0, 1, 65536]], dtype=np.uint32)
    assert grey(tmp_path, beyond, VOILUTSequence=table([0, 51, 255])) == [0, 51, 255]


def test_a_falling_rescale_and_a_window_do_not_turn_the_image_twice(tmp_path):
    rescaled = {"RescaleSlope": -1, "RescaleIntercept": 500}
    assert grey(tmp_path, GREY, **rescaled, **EXACT) == QUARTERS[::-1]


def test_a_frame_is_rescaled_and_windowed_by_its_functional_groups(tmp_path):
    frames = np.stack([GREY, GREY])
    window = items(**EXACT)
    halved = items(RescaleSlope=2, RescaleIntercept=0)
    per_frame = items(PixelValueTransformationSequence=halved) + items(PixelValueTransformationSequence=[])
    groups = {
        "SharedFunctionalGroupsSequence": items(FrameVOILUTSequence=window),
        "PerFrameFunctionalGroupsSequence": per_frame,
    }
    assert grey(tmp_path, frames, 0, **groups) == [0, 50, 100, 150, 200, 250]
    assert grey(tmp_path, frames, 1, **groups) == QUARTERS
    groups["PerFrameFunctionalGroupsSequence"] = per_frame[:1]
    assert grey(tmp_path, frames, 1, **groups) == QUARTERS, "fewer groups than frames"
    own = items(FrameVOILUTSequence=items(**{**EXACT, "WindowCenter": 250, "WindowWidth": 500}))
    groups["PerFrameFunctionalGroupsSequence"] = items(FrameVOILUTSequence=window) + own
    assert grey(tmp_path, frames, 0, **groups) == QUARTERS
    assert grey(tmp_path, frames, 1, **groups) == STRETCHED
    # What the file says for all frames counts where the groups are silent.
    groups["PerFrameFunctionalGroupsSequence"] = items(PixelValueTransformationSequence=items(RescaleType="US"))
    assert grey(tmp_path, frames, 0, **groups, RescaleSlope=2, RescaleIntercept=0) == [0, 50, 100, 150, 200, 250]


def test_dark_and_bright_are_turned_once(tmp_path):
    assert grey(tmp_path, GREY, PresentationLUTShape="INVERSE") == STRETCHED[::-1]
    assert grey(tmp_path, GREY, photometric="MONOCHROME1", PresentationLUTShape="INVERSE") == STRETCHED[::-1]
    assert grey(tmp_path, GREY, photometric="MONOCHROME1", PresentationLUTShape="IDENTITY") == STRETCHED[::-1]
    assert grey(tmp_path, GREY, PresentationLUTShape="IDENTITY") == STRETCHED
    assert grey(tmp_path, GREY, **EXACT, PresentationLUTShape="INVERSE") == [255 - value for value in QUARTERS]


def test_colours_as_brightness_and_difference(tmp_path):
    # R = Y + 1.402 (Cr - 128), G = Y - 0.344 (Cb - 128) - 0.714 (Cr - 128), B = Y + 1.772 (Cb - 128)
    pixels = np.array([[[76, 85, 255], [150, 85, 255]]], dtype=np.uint8)
    expected = [[254, 0, 0], [255, 74, 74]]
    assert colours(tmp_path, pixels, photometric="YBR_FULL") == expected
    planes = pixels.transpose(2, 0, 1).tobytes()
    assert colours(tmp_path, pixels, photometric="YBR_FULL", data=planes, PlanarConfiguration=1) == expected
    halved = bytes([76, 150, 85, 255])
    assert colours(tmp_path, pixels, photometric="YBR_FULL_422", data=halved) == expected


@pytest.mark.parametrize("photometric", ["YBR_PARTIAL_420", "YBR_RCT", "HSV"])
def test_colours_that_pydicom_does_not_convert_are_refused(tmp_path, photometric):
    with pytest.raises(dicom.DicomUnusable, match=f"colours are stored as {photometric}"):
        colours(tmp_path, np.zeros((2, 2, 3), np.uint8), photometric=photometric)


def test_deep_colours_keep_their_hue(tmp_path):
    deep = np.array([[[1000, 2000, 3000], [100, 4000, 4000]]], dtype=np.uint16)
    expected = [[62, 125, 187], [6, 249, 249]]
    assert colours(tmp_path, deep, photometric="RGB", BitsStored=12, HighBit=11) == expected
    planes = {"data": deep.transpose(2, 0, 1).tobytes(), "PlanarConfiguration": 1}
    assert colours(tmp_path, deep, photometric="RGB", BitsStored=12, HighBit=11, **planes) == expected
    bright = np.full((1, 2, 3), 200, dtype=np.uint8)
    assert colours(tmp_path, bright, photometric="RGB", PixelRepresentation=1) == [[200] * 3] * 2, (
        "no colour is negative"
    )


BLOCKS = np.array([[[200, 50, 20], [20, 200, 50]], [[50, 20, 200], [90, 90, 90]]], np.uint8).repeat(8, 0).repeat(8, 1)
ADOBE = b"\xff\xee\x00\x0eAdobe\x00\x64\x00\x00\x00\x00\x01"


def jpeg(format="JPEG", **options):
    buffer = io.BytesIO()
    Image.fromarray(BLOCKS).save(buffer, format, **options)
    return buffer.getvalue()


@pytest.mark.parametrize("planar", [0, 1])
@pytest.mark.parametrize("photometric", ["YBR_FULL_422", "YBR_FULL", "RGB"])
@pytest.mark.parametrize("marker", [b"", ADOBE])
def test_colours_of_a_jpeg(tmp_path, planar, photometric, marker):
    plain = jpeg(quality=100, subsampling=0)
    options = {"syntax": JPEGBaseline8Bit, "photometric": photometric, "PlanarConfiguration": planar}
    shown = colours(tmp_path, BLOCKS, data=plain[:2] + marker + plain[2:], **options)
    assert np.abs(np.array(shown) - BLOCKS.reshape(-1, 3)).max() <= 2


def test_colours_that_a_jpeg_holds_as_they_are(tmp_path):
    data = jpeg(quality=100, subsampling=0, keep_rgb=True)
    shown = colours(tmp_path, BLOCKS, data=data, syntax=JPEGBaseline8Bit, photometric="RGB")
    assert np.abs(np.array(shown) - BLOCKS.reshape(-1, 3)).max() <= 2


@pytest.mark.parametrize("planar", [0, 1])
def test_colours_of_a_jpeg_2000(tmp_path, planar):
    options = {"syntax": JPEG2000Lossless, "photometric": "YBR_RCT", "PlanarConfiguration": planar}
    assert colours(tmp_path, BLOCKS, data=jpeg("JPEG2000", no_jp2=True), **options) == BLOCKS.reshape(-1, 3).tolist()


def palette(entries, bits, dtype):
    stored = {
        f"{name}PaletteColorLookupTableData": np.array(entries, dtype).tobytes()
        for name in ("Red", "Green", "Blue", "Alpha")
    }
    names = ("Red", "Green", "Blue")
    return stored | {f"{name}PaletteColorLookupTableDescriptor": [len(entries), 0, bits] for name in names}


def test_palettes(tmp_path):
    places = np.array([[0, 1, 257]], dtype=np.uint16)
    expected = [[9] * 3, [200] * 3, [70] * 3]
    options = {"photometric": "PALETTE COLOR", "PixelRepresentation": 0}
    assert colours(tmp_path, places, **options, **palette([9, 200, 5, 70], 8, np.uint8)) == expected, "alpha is dropped"
    assert colours(tmp_path, places, **options, **palette([9, 200, 5, 70], 8, "<u2")) == expected
    assert colours(tmp_path, places, **options, **palette([9 << 8, 200 << 8, 70 << 8], 16, "<u2")) == expected
    with pytest.raises(dicom.DicomUnusable, match="palette of 512 8-bit colours"):
        colours(tmp_path, places, **options, **palette([1] * 512, 8, np.uint8))


def test_bits_beside_the_value_do_not_count(tmp_path):
    assert grey(tmp_path, GREY | np.uint16(0x5000), BitsStored=12, HighBit=11) == STRETCHED
    left = (GREY << np.uint16(4)) | np.uint16(5)
    assert grey(tmp_path, left, BitsStored=12, HighBit=15) == STRETCHED
    assert grey(tmp_path, left, BitsStored=12, HighBit=15, **EXACT) == QUARTERS
    between = (GREY << np.uint16(2)) | np.uint16(0x8001)
    assert grey(tmp_path, between, BitsStored=12, HighBit=13) == STRETCHED
    signed = (np.array([[-5, 0, 5]], dtype=np.int16) << np.int16(4)) | np.int16(9)
    assert grey(tmp_path, signed, BitsStored=12, HighBit=15) == [0, 128, 255]
    assert grey(tmp_path, GREY, HighBit=3) == STRETCHED, "a position that cannot be is not believed"


def test_an_overlay_is_reported_and_not_shown(tmp_path):
    path = write_dicom(tmp_path / "plain.dcm", GREY)
    assert read_facts(path)[0].remark is None
    with_overlay = pydicom.dcmread(path)
    for element, vr, value in ((0x10, "US", 2), (0x11, "US", 3), (0x3000, "OW", b"\x3f\0")):
        with_overlay.add_new((0x6002, element), vr, value)
    with_overlay.save_as(tmp_path / "drawn.dcm")
    (facts,) = read_facts(tmp_path / "drawn.dcm")
    assert facts.remark == "it has an overlay (drawings or text), which is not shown"
    assert read_image(tmp_path / "drawn.dcm")[:, :, 0].ravel().tolist() == STRETCHED
    frames = pydicom.dcmread(write_dicom(tmp_path / "cine.dcm", np.stack([GREY, GREY])))
    frames.add_new((0x6000, 0x10), "US", 2)
    frames.save_as(tmp_path / "cine.dcm")
    told = [facts.remark for facts in read_facts(tmp_path / "cine.dcm")]
    assert [bool(remark) for remark in told] == [True, False], "said once, not once a frame"


def test_values_of_every_kind(tmp_path):
    assert grey(tmp_path, np.array([[-10, 0, 40]], dtype=np.int16)) == [0, 51, 255]
    assert grey(tmp_path, np.array([[-10, 0, 40]], dtype=np.int8)) == [0, 51, 255]
    assert grey(tmp_path, np.array([[0, 10**9, 4 * 10**9]], dtype=np.uint32)) == [0, 64, 255]
    assert grey(tmp_path, np.array([[-(10**9), 0, 10**9]], dtype=np.int32), **{
        "WindowCenter": 0, "WindowWidth": 2 * 10**9, "VOILUTFunction": "LINEAR_EXACT"
    }) == [0, 128, 255]  # fmt: skip


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_floating_point_values(tmp_path, dtype):
    values = np.array([[-0.5, 0.0, 0.75, np.nan]], dtype=dtype)
    path = write_dicom(tmp_path / "a.dcm", values)
    (facts,) = read_facts(path)
    assert (facts.width, facts.height) == (4, 1)
    assert grey(tmp_path, values) == [0, 102, 255, 102], "NaN counts as 0"
    assert grey(tmp_path, values, WindowCenter=0, WindowWidth=2, VOILUTFunction="LINEAR_EXACT")[:3] == [64, 128, 223]


def test_single_bits(tmp_path):
    # Ten pixels a frame, the lowest bit first: the second frame begins within the second byte.
    frames = np.array([[[1, 0, 1, 0, 0], [0, 0, 0, 0, 1]], [[1, 1, 1, 1, 1], [1, 1, 1, 1, 1]]], dtype=np.uint8)
    bits = {"BitsAllocated": 1, "BitsStored": 1, "HighBit": 0, "data": bytes([0b00000101, 0b11111110, 0b1111, 0])}
    assert grey(tmp_path, frames, 0, **bits) == [255, 0, 255, 0, 0, 0, 0, 0, 0, 255]
    assert grey(tmp_path, frames, 1, **bits) == [255] * 10, "ones are white even where there is nothing else"


def test_damage_is_told_in_plain_words(tmp_path):
    with pytest.raises(dicom.DicomUnusable, match="contains no image"):
        dicom.read_header(write_dicom(tmp_path / "a.dcm", GREY, data=b"").read_bytes())
    with pytest.raises(dicom.DicomUnusable, match="NumberOfFrames is '-2'"):
        dicom.read_header(write_dicom(tmp_path / "a.dcm", GREY, NumberOfFrames=-2).read_bytes())
    with pytest.raises(dicom.DicomUnusable, match="MPEG-4") as film:
        grey(tmp_path, GREY, syntax=MPEG4HP41)
    with pytest.raises(dicom.DicomUnusable) as native:
        grey(tmp_path, GREY, BitsAllocated=12)
    assert "pylibjpeg" not in f"{film.value} {native.value}", "it would not help"
    plain = write_dicom(tmp_path / "a.dcm", GREY).read_bytes()
    with pytest.raises(dicom.DicomUnusable, match="cannot be decoded"):
        dicom.read_frame(plain.replace(b"1.2.840.10008.1.2.1\0", b"1.2.826.9999999.1.2\0"))
    with pytest.raises(dicom.DicomUnusable, match="Transfer Syntax"):
        dicom.read_frame(plain.replace(b"\x02\x00\x10\x00UI", b"\x02\x00\x11\x00UI"))
    with pytest.raises(dicom.DicomUnusable, match="Transfer Syntax"):
        dicom.read_frame(plain.replace(b"1.2.840.10008.1.2.1\0", b"1.2.840.10008\\1.2.1\0"))
    with pytest.raises(dicom.DicomUnusable, match="OJ"):
        dicom.read_header(plain.replace(b"\xe0\x7f\x10\x00OW", b"\xe0\x7f\x10\x00OJ"))


def test_a_missing_decoder_is_named(tmp_path, monkeypatch):
    from pydicom.pixels import get_decoder

    monkeypatch.setattr(get_decoder(JPEGLSLossless), "_available", {})
    with pytest.raises(dicom.DicomUnusable, match=r"JPEG-LS.*pip install 'pylibjpeg\[all\]'"):
        grey(tmp_path, GREY, syntax=JPEGLSLossless)


def test_what_pydicom_thinks_of_damaged_values_is_not_printed(tmp_path):
    code = (
        "import sys, logging; from pathlib import Path; from db.imaging.decode import read_facts\n"
        "read_facts(Path(sys.argv[1]))\nlogging.getLogger('pydicom').warning('SAID BY PYDICOM')\n"
    )
    file = tmp_path / "a.dcm"
    write_dicom(file, np.full((4, 4), 7, dtype=np.uint8))
    done = subprocess.run([sys.executable, "-c", code, str(file)], capture_output=True, text=True, check=True)
    assert done.stderr == ""


# --- files made to do harm


@pytest.mark.parametrize(
    ("tags", "words"),
    [
        ({"NumberOfFrames": -3}, "NumberOfFrames is '-3'"),
        ({"NumberOfFrames": 2_000_000_000}, "2,000,000,000 frames; the limit is 10,000"),
        ({"Rows": 65535, "Columns": 65535}, "65,535 x 65,535 pixels per frame; the limit per frame is 33,554,432"),
        ({"Rows": 5000, "Columns": 5000, "NumberOfFrames": 9000}, "more than a file of"),
        ({"Rows": None}, "no Rows"),
        ({"Rows": 0}, "Rows is '0'"),
    ],
)
def test_what_a_file_claims_is_checked_before_it_is_believed(tmp_path, tags, words):
    path = write_dicom(tmp_path / "a.dcm", np.zeros((8, 8), dtype=np.uint8), **tags)
    for reader in (read_facts, read_image):
        with pytest.raises(ImageUnreadable, match=words):
            reader(path)


@pytest.mark.parametrize("written", [b"0 ", b"  ", b"1 "])
def test_a_number_of_frames_that_is_blank_or_0_is_one(tmp_path, written):
    data = write_dicom(tmp_path / "a.dcm", np.zeros((8, 8), dtype=np.uint8), NumberOfFrames=7).read_bytes()
    (tmp_path / "a.dcm").write_bytes(data.replace(b"IS\x02\x007 ", b"IS\x02\x00" + written))
    (facts,) = read_facts(tmp_path / "a.dcm")
    assert (facts.width, facts.height, facts.frame) == (8, 8, None)
    assert read_image(tmp_path / "a.dcm").shape == (8, 8, 3)


def test_a_number_of_frames_that_is_text_is_named(tmp_path):
    data = write_dicom(tmp_path / "a.dcm", np.zeros((8, 8), dtype=np.uint8), NumberOfFrames=7).read_bytes()
    (tmp_path / "a.dcm").write_bytes(data.replace(b"IS\x02\x007 ", b"IS\x02\x00ab"))
    with warnings.catch_warnings(), pytest.raises(ImageUnreadable, match="NumberOfFrames"):
        warnings.simplefilter("ignore")
        read_facts(tmp_path / "a.dcm")


def test_a_deflated_file_is_inflated_up_to_a_limit(tmp_path, monkeypatch):
    import zlib

    small = write_dicom(
        tmp_path / "a.dcm", np.arange(64, dtype=np.uint8).reshape(8, 8), syntax=DeflatedExplicitVRLittleEndian
    )
    assert read_image(small).shape == (8, 8, 3)
    meta = small.read_bytes()
    head = meta[: meta.index(b"\x02\x00\x00\x00UL") + 12 + int.from_bytes(meta[140:144], "little")]
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    (tmp_path / "bomb.dcm").write_bytes(head + packer.compress(bytes(20_000_000)) + packer.flush())
    monkeypatch.setattr("db.imaging.dicom_file.DICOM_INFLATED_BYTES", 10_000_000)
    with pytest.raises(ImageUnreadable, match="inflates to more than 9 MB"):
        read_facts(tmp_path / "bomb.dcm")


def test_a_deflated_file_of_several_pieces_is_read_to_its_end(tmp_path):
    pixels = np.zeros((4200, 4200), dtype=np.uint8)
    path = write_dicom(tmp_path / "a.dcm", pixels, syntax=DeflatedExplicitVRLittleEndian)
    # What follows the end is no part of it.
    path.write_bytes(path.read_bytes() + b"\0" * 1000)
    assert dicom.read_header(path.read_bytes()).width == 4200


@pytest.mark.parametrize(("syntax", "format"), [(JPEG2000Lossless, "JPEG2000"), (JPEGBaseline8Bit, "JPEG")])
def test_a_compressed_frame_that_is_larger_than_the_file_says_is_not_decoded(tmp_path, syntax, format):
    buffer = io.BytesIO()
    Image.new("L", (900, 700)).save(buffer, format)
    path = write_dicom(tmp_path / "a.dcm", np.zeros((8, 8), np.uint8), syntax=syntax, data=buffer.getvalue())
    with pytest.raises(ImageUnreadable, match="its compressed image is 900 x 700 pixels, but the file says 8 x 8"):
        read_image(path)


def test_damage_in_two_places_is_one_refusal(tmp_path):
    data = write_dicom(tmp_path / "a.dcm", np.zeros((8, 8), dtype=np.uint8)).read_bytes()
    for end in range(132, len(data), 11):
        (tmp_path / "a.dcm").write_bytes(data[:end])
        for reader in (read_facts, read_image):
            try:
                reader(tmp_path / "a.dcm")
            except ImageUnreadable as exc:
                assert exc.reason


def test_a_file_without_its_preamble_says_so(tmp_path):
    path = write_dicom(tmp_path / "a.dcm", GREY)
    path.write_bytes(path.read_bytes()[132:])
    with pytest.raises(ImageUnreadable, match="no DICM at byte 128"):
        read_facts(path)
    Image.fromarray(np.zeros((4, 4), np.uint8)).save(tmp_path / "b.png")
    (tmp_path / "b.png").rename(tmp_path / "b.dcm")
    assert read_facts(tmp_path / "b.dcm")[0].width == 4
