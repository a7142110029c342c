"""DICOM files as images: frames, the patient they belong to, and grey values as a viewer would show them.

pydicom is an extra (`pip install 'partly[dicom]'`) and is imported only when a DICOM file is met.
"""

import io
import warnings
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from db.imaging.pixels import stretched

MAGIC_AT, MAGIC = 128, b"DICM"
SUFFIXES = frozenset({".dcm", ".dicom"})

PLACEHOLDERS = frozenset(
    {"", "anonymous", "anonymized", "anonymised", "anon", "anonym", "deidentified", "de-identified", "removed"}
    | {"none", "null", "nan", "n/a", "na", "unknown", "patient", "patientid", "id", "test", "no name", "noname"}
)
"""What programs write in place of a patient's id: images that share it have nothing in common."""


class DicomUnusable(Exception):
    """The file cannot be shown; the message says why and what to do."""


@dataclass(frozen=True, slots=True)
class DicomHeader:
    """What a DICOM file says about its pixels and where they come from."""

    frames: int
    width: int
    height: int
    patient_id: str | None


def is_dicom(data: bytes) -> bool:
    """Say whether these bytes are a DICOM file (PS3.10: "DICM" after 128 bytes of preamble)."""
    return data[MAGIC_AT : MAGIC_AT + len(MAGIC)] == MAGIC


def read_header(data: bytes) -> DicomHeader:
    """Read size, number of frames and patient id.

    Raises:
        DicomUnusable: pydicom is not installed, the file is damaged, or it holds no image.
    """
    dataset = _read(data)
    if "PixelData" not in dataset:
        raise DicomUnusable("the DICOM file contains no image (no PixelData)")
    patient = str(dataset.get("PatientID") or "").strip()
    try:
        frames = int(dataset.get("NumberOfFrames") or 1)
        known = None if patient.lower().strip(" ^_-.0x") in PLACEHOLDERS else patient
        return DicomHeader(frames, int(dataset.Columns), int(dataset.Rows), known)
    except (AttributeError, TypeError, ValueError) as exc:
        raise DicomUnusable(f"the DICOM file does not say how large its image is ({exc})") from exc


def read_frame(data: bytes, frame: int = 0) -> NDArray[np.uint8]:
    """Decode one frame; see `read_frames`."""
    return next(read_frames(data, [frame]))


def read_frames(data: bytes, frames: Iterable[int]) -> Iterator[NDArray[np.uint8]]:
    """Decode frames of a file that is parsed once: rescale and window as the file asks, dark to bright, 8 bit.

    Yields:
        uint8, HW for grey and HW3 for colour. Grey is stretched to 0 to 255 by the frame's own range after
        windowing; MONOCHROME1 is inverted.

    Raises:
        DicomUnusable: there is no such frame, or no decoder for the file's compression.
    """
    dataset = _read(data)
    for frame in frames:
        yield _show(dataset, frame)


def _show(dataset: Any, frame: int) -> NDArray[np.uint8]:
    from pydicom.pixels import apply_color_lut, apply_modality_lut, apply_voi_lut, pixel_array

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            pixels: NDArray[Any] = pixel_array(dataset, index=frame)
            if dataset.get("PhotometricInterpretation") == "PALETTE COLOR":
                # The numbers are places in a table of colours, whatever their size.
                pixels = apply_color_lut(pixels, dataset)
                return (pixels >> 8).astype(np.uint8) if pixels.dtype == np.uint16 else pixels.astype(np.uint8)
            if pixels.ndim == 3:
                return stretched(pixels) if pixels.dtype != np.uint8 else pixels[:, :, :3]
            grey_HW = apply_voi_lut(apply_modality_lut(pixels, dataset), dataset)
    except Exception as exc:
        # pydicom's decoders raise what they like; for the user it is always the same: this frame cannot be shown.
        raise DicomUnusable(
            f"frame {frame} cannot be decoded ({str(exc)[:200]}); compressed DICOM needs: pip install 'pylibjpeg[all]'"
        ) from exc
    shown = stretched(grey_HW)
    return 255 - shown if dataset.get("PhotometricInterpretation") == "MONOCHROME1" else shown


def _read(data: bytes) -> Any:
    try:
        import pydicom
    except ImportError as exc:
        raise DicomUnusable("DICOM files need: pip install 'partly[dicom]'") from exc
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return pydicom.dcmread(io.BytesIO(data))
    except Exception as exc:
        raise DicomUnusable(f"it is not a readable DICOM file ({exc})") from exc
