"""DICOM files as images: frames, the patient they belong to, and grey values as a viewer would show them.

pydicom is an extra (`pip install 'partly[dicom]'`), imported only when a DICOM file is met. It does the processing;
here elements are found (it knows no functional groups) and handed over so that it reads them right.
"""

import itertools
import math
import re
import warnings
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from db.imaging.dicom_file import DicomUnusable, check_claims, check_stream, read_dataset, said
from db.imaging.limits import DICOM_VALUES
from db.imaging.pixels import stretched

MAGIC_AT, MAGIC = 128, b"DICM"
SUFFIXES = frozenset({".dcm", ".dicom"})

PLACEHOLDERS = frozenset(
    {"anonymous", "anonymized", "anonymised", "anon", "anonym", "deidentified", "identified", "removed", "redacted"}
    | {"none", "null", "nan", "unknown", "noname", "dummy", "hidden", "phi"}
)
"""What programs write in place of a patient's id: images that share it have nothing in common."""
FILLERS = frozenset(
    {"patient", "patientid", "id", "name", "no", "test", "de", "n", "a", "na", "x", "xx", "xxx", "xxxx"}
)
"""Words beside those, which in a DICOM file are no id alone either."""

PIXELS = ("PixelData", "FloatPixelData", "DoubleFloatPixelData")
RLE_LOSSLESS, JPEG_BASELINE = "1.2.840.10008.1.2.5", "1.2.840.10008.1.2.4.50"
ADOBE_MARKER = b"\xff\xee\x00\x0eAdobe"
OVERLAYS = [(group, element) for group in range(0x6000, 0x6020, 2) for element in (0x0010, 0x3000)]
"""An overlay's rows and its data; one that lies in unused bits of the pixels has no data of its own."""
OVERLAY_REMARK = "it has an overlay (drawings or text), which is not shown"
SEGMENTATION = "1.2.840.10008.5.1.4.1.1.66.4"
MEANING = ("ModalityLUTSequence", "RescaleSlope", "RescaleIntercept")
LOOKS = ("VOILUTSequence", "WindowCenter", "WindowWidth", "VOILUTFunction")
WINDOWS = {"LINEAR": 1.0, "LINEAR_EXACT": math.ulp(0.0), "SIGMOID": math.ulp(0.0)}
"""How a window may bend, and its smallest width (PS3.3 C.11.2.1)."""


def is_placeholder(patient: str, *, filler: bool = False) -> bool:
    """Say whether this stands where a patient's id would, and is none, as ANONYMOUS, <REMOVED> or Unknown Patient.

    Args:
        patient: what stands there.
        filler: zeros, nothing, and words such as TEST are no id either.
    """
    words = re.findall(r"[^\W\d_]+", patient.lower())
    if re.search(r"[1-9]", patient) or not all(word in PLACEHOLDERS | FILLERS for word in words):
        return False
    return filler or any(word in PLACEHOLDERS for word in words)


@dataclass(frozen=True, slots=True)
class DicomHeader:
    """What a DICOM file says about its pixels and where they come from."""

    frames: int
    width: int
    height: int
    patient_id: str | None
    remark: str | None = None
    """What is in the file and not shown."""


def is_dicom(data: bytes) -> bool:
    """Say whether these bytes are a DICOM file (PS3.10: "DICM" after 128 bytes of preamble)."""
    return data[MAGIC_AT : MAGIC_AT + len(MAGIC)] == MAGIC


def read_header(data: bytes) -> DicomHeader:
    """Read size, number of frames and patient id.

    Raises:
        DicomUnusable: pydicom is not installed, the file is damaged, or it holds no image.
    """
    dataset = read_dataset(data)
    try:
        if not any(dataset.get(keyword) for keyword in PIXELS):
            raise DicomUnusable("the DICOM file contains no image (no PixelData)")
        if str(dataset.get("SOPClassUID") or "") == SEGMENTATION:
            raise DicomUnusable("it is a DICOM segmentation, not an image")
        patient = str(dataset.get("PatientID") or "").strip()
        frames, width, height = check_claims(dataset, len(data))
        known = None if is_placeholder(patient, filler=True) else patient
        remark = OVERLAY_REMARK if any(tag in dataset for tag in OVERLAYS) else None
        return DicomHeader(frames, width, height, known, remark)
    except DicomUnusable:
        raise
    except Exception as exc:
        # pydicom parses an element when it is asked for, and raises what it likes.
        raise DicomUnusable(f"the DICOM file does not say how large its image is ({said(exc)})") from exc


def read_frame(data: bytes, frame: int = 0) -> NDArray[np.uint8]:
    """Decode one frame; see `read_frames`."""
    return next(read_frames(data, [frame]))


def read_frames(data: bytes, frames: Iterable[int]) -> Iterator[NDArray[np.uint8]]:
    """Decode frames of a file that is parsed once: rescale and window as the file asks, dark to bright, 8 bit.

    Yields:
        uint8, HW for grey and HW3 for colour. Grey is shown by the range of its window, or of its table (VOI LUT);
        where the file has neither that can be used, it is stretched to 0 to 255 by the frame's own range.
        MONOCHROME1 is inverted. Overlays are not drawn.

    Raises:
        DicomUnusable: there is no such frame, it is damaged, or there is no decoder for the file's compression.
    """
    dataset = read_dataset(data)
    check_claims(dataset, len(data))
    for frame in frames:
        yield _show(dataset, frame)


def _show(dataset: Any, frame: int) -> NDArray[np.uint8]:
    try:
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            pixels, facts = _decode(dataset, frame)
            if facts["samples_per_pixel"] > 1:
                return _colours(pixels, facts)
            if facts["photometric_interpretation"] == "PALETTE COLOR":
                return _palette(pixels, dataset)
            return _grey(pixels, dataset, frame)
    except Exception as exc:
        # pydicom's decoders raise what they like; for the user it is always the same: this frame cannot be shown.
        final = isinstance(exc, (DicomUnusable, NotImplementedError, MemoryError))
        packed = not final and _is_packed(dataset)
        hint = "; compressed DICOM needs: pip install 'pylibjpeg[all]'" if packed else ""
        raise DicomUnusable(f"frame {frame} cannot be decoded ({said(exc)}){hint}") from exc


def _is_packed(dataset: Any) -> bool:
    try:
        return bool(dataset.file_meta.TransferSyntaxUID.is_encapsulated)
    except Exception:
        return False  # a file that is damaged in more than one place


def _decode(dataset: Any, frame: int) -> tuple[NDArray[Any], dict[str, Any]]:
    """Decode a frame; return it with what is true of it now, after pydicom has converted its colours."""
    from pydicom.pixels import get_decoder

    syntax = dataset.file_meta.get("TransferSyntaxUID")
    if not syntax or not isinstance(syntax, str):
        raise DicomUnusable("the DICOM file does not say how its pixels are stored (no Transfer Syntax UID)")
    decoder = get_decoder(syntax)
    if syntax != RLE_LOSSLESS and _is_packed(dataset):
        check_stream(dataset, frame)
    below = _bits_below(dataset, syntax)
    options = {"bits_stored": dataset.HighBit + 1} if below else {}
    if dataset.get("SamplesPerPixel") == 3:
        options |= _colour_options(dataset, syntax, frame)
    pixels, facts = decoder.as_array(dataset, index=frame, **options)
    if options.get("raw"):
        facts["photometric_interpretation"] = "RGB"
    return (pixels >> below if below else pixels), facts


def _bits_below(dataset: Any, syntax: Any) -> int:
    """Count the unused bits below the value: pydicom takes it that there are none, and cuts the upper end off."""
    stored, high, allocated = (dataset.get(keyword) for keyword in ("BitsStored", "HighBit", "BitsAllocated"))
    if (syntax.is_encapsulated and syntax != RLE_LOSSLESS) or None in (stored, high, allocated):
        return 0
    return int(high + 1 - stored) if stored <= high + 1 <= allocated else 0


def _colour_options(dataset: Any, syntax: Any, frame: int) -> dict[str, Any]:
    from pydicom.encaps import get_frame

    # No colour is negative; some programs claim so.
    options: dict[str, Any] = {"pixel_representation": 0}
    if syntax.is_encapsulated:
        # Decoders return pixel after pixel, but pydicom believes what the header says of the planes.
        options["planar_configuration"] = 0
    if syntax == JPEG_BASELINE:
        data = get_frame(dataset.PixelData, frame, number_of_frames=int(dataset.get("NumberOfFrames") or 1))
        if ADOBE_MARKER in data:
            # It makes Pillow return RGB, which pydicom would then convert once more.
            options |= {"raw": True, "decoding_plugin": "pillow"}
    return options


def _colours(pixels: NDArray[Any], facts: dict[str, Any]) -> NDArray[np.uint8]:
    if (stored_as := facts["photometric_interpretation"]) != "RGB":
        raise DicomUnusable(f"its colours are stored as {stored_as}, which pydicom does not convert to RGB")
    bits = facts["bits_stored"]
    return pixels if bits == 8 and pixels.dtype == np.uint8 else _spread(pixels, 2**bits - 1)


def _palette(pixels: NDArray[Any], dataset: Any) -> NDArray[np.uint8]:
    from pydicom.pixels import apply_color_lut

    entries, first, bits = dataset.get("RedPaletteColorLookupTableDescriptor") or (0, 0, 16)
    if bits == 8 and not 0 < entries <= 256:
        # pydicom counts the places in the entries' own size.
        raise DicomUnusable(f"it has a palette of {entries or 2**16} 8-bit colours; more than 256 are not supported")
    places = np.clip(pixels.astype(np.int64), first, first + (entries or 2**16) - 1)
    colours: NDArray[Any] = apply_color_lut(places, dataset)[:, :, :3]
    return (colours >> 8 if bits > 8 else colours).astype(np.uint8)


def _grey(pixels: NDArray[Any], dataset: Any, frame: int) -> NDArray[np.uint8]:
    values = _rescaled(pixels, dataset, frame)
    looks = _elements(dataset, frame, "FrameVOILUTSequence", LOOKS)
    shown = _through_table(values, looks)
    shown = _through_window(values, looks) if shown is None else shown
    if shown is None:
        shown = _spread(values, 1) if values is pixels and dataset.BitsAllocated == 1 else stretched(values)
    # pydicom's apply_presentation_lut turns around the frame's highest value, which need not be its window's end.
    inverse = dataset.PhotometricInterpretation == "MONOCHROME1" or dataset.get("PresentationLUTShape") == "INVERSE"
    return 255 - shown if inverse else shown


def _elements(dataset: Any, frame: int, group: str, keywords: tuple[str, ...]) -> Any:
    """Collect elements from the frame's functional groups, else the shared ones, else the file."""
    from pydicom import Dataset

    own = (dataset.get("PerFrameFunctionalGroupsSequence") or [])[frame : frame + 1]
    shared = (dataset.get("SharedFunctionalGroupsSequence") or [])[:1]
    items = [item for place in (*own, *shared) for item in (place.get(group) or [])[:1]]
    source = next((item for item in items if any(keyword in item for keyword in keywords)), dataset)
    found = Dataset()
    found.file_meta = dataset.file_meta  # tables are read with the file's byte order
    for keyword in keywords:
        if keyword in source:
            found.add(source[keyword])
    return found


def _rescaled(pixels: NDArray[Any], dataset: Any, frame: int) -> NDArray[Any]:
    """Turn stored numbers into the modality's own (Hounsfield units, say)."""
    from pydicom.pixels import apply_modality_lut

    found = _elements(dataset, frame, "PixelValueTransformationSequence", MEANING)
    if found.get("ModalityLUTSequence"):
        try:
            found.ModalityLUTSequence = [_wide_table(found.ModalityLUTSequence[0])]
            return np.asarray(apply_modality_lut(pixels.astype(np.int64), found))
        except Exception as exc:
            # Unlike a window, which only says how to look at the numbers, the table says what they mean.
            raise DicomUnusable(f"its table of grey values (Modality LUT) cannot be read ({said(exc)})") from exc
    slope, intercept = _numbers(found, "RescaleSlope"), _numbers(found, "RescaleIntercept")
    usable = len(slope + intercept) == 2 and slope != [0.0] and np.isfinite(slope + intercept).all()
    return np.asarray(apply_modality_lut(pixels, found)) if usable else pixels


def _wide_table(item: Any) -> Any:
    """Return a look-up table as one of 16 bits: pydicom counts places in the entries' size, and knows 8 and 16 bits."""
    from pydicom import Dataset

    (entries, first, _), data, wide = item.LUTDescriptor, item["LUTData"], Dataset()
    wide.LUTDescriptor, count = [entries, first, 16], entries or 2**16
    wide.add(data)
    if isinstance(data.value, bytes) and len(data.value) < 2 * count:
        wide.add_new("LUTData", "US", list(data.value[:count]))
    return wide


def _through_table(values: NDArray[Any], looks: Any) -> NDArray[np.uint8] | None:
    """Look grey values up in the VOI LUT, which pydicom prefers to a window; None where there is no usable one."""
    from pydicom.pixels import apply_voi

    try:
        looks.VOILUTSequence = [_wide_table(looks.VOILUTSequence[0])]
        entries, first, _ = looks.VOILUTSequence[0].LUTDescriptor
        places = np.arange(first, first + (entries or 2**16))
        near = np.clip(np.rint(np.nan_to_num(values)), places[0], places[-1]).astype(np.int64)
        return _spread(apply_voi(near, looks), int(apply_voi(places, looks).max()))
    except Exception:
        return None  # absent, empty, cut short: it would only say how to look at the image


def _through_window(values: NDArray[Any], looks: Any) -> NDArray[np.uint8] | None:
    """Show grey values through the first window that can be used; None where there is none."""
    from pydicom.pixels import apply_windowing

    function = str(looks.get("VOILUTFunction") or "LINEAR").strip().upper()
    least = WINDOWS.get(function, math.inf)
    windows = zip(_numbers(looks, "WindowCenter"), _numbers(looks, "WindowWidth"), strict=False)
    for index, (center, width) in enumerate(windows):
        if math.isfinite(center) and least <= width < math.inf:
            looks.VOILUTFunction = function
            # Without the rescale: a falling one would make pydicom turn dark and bright around.
            looks.PhotometricInterpretation, looks.PixelRepresentation, looks.BitsStored = "MONOCHROME2", 0, 16
            return _spread(apply_windowing(values, looks, index), 2**16 - 1)
    return None


def _numbers(dataset: Any, keyword: str) -> list[float]:
    """Read an element that holds one number or several; NaN where it is missing or no number."""
    try:
        value = dataset.get(keyword)
        several = isinstance(value, Iterable) and not isinstance(value, (str, bytes))
        first = list(itertools.islice(value, DICOM_VALUES)) if several else value
        return np.asarray(first, dtype=np.float64).reshape(-1).tolist() or [math.nan]
    except (TypeError, ValueError, OverflowError):
        return [math.nan]


def _spread(values: NDArray[Any], top: int) -> NDArray[np.uint8]:
    """Map 0 to `top` onto 0 to 255; NaN counts as 0."""
    return np.asarray(np.rint(np.clip(np.nan_to_num(values), 0, top) * (255.0 / top)), dtype=np.uint8)
