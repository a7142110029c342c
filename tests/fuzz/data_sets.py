"""Small valid data sets of three images in every layout, and pictures in every format: what the damage is done to."""

import io
from pathlib import Path

import numpy as np
from PIL import Image
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian

from tests.unit.annotator.datasets.formats.test_as_people_write_them import (
    SECOND,
    annotation,
    coco,
    text,
    voc,
    yolo,
)
from tests.unit.annotator.datasets.formats.test_labeling_programs import (
    RECT,
    choice,
    cvat,
    cvat_box,
    drawn,
    export,
    labelme,
    rectangle,
    task,
    via,
    via_regions,
)
from tests.unit.annotator.datasets.formats.test_labeling_programs import annotation as submitted
from tests.unit.annotator.datasets.formats.test_labeling_programs import image as cvat_image

NAMES = ("a", "b", "c")
LAYOUTS = ("busi", "coco", "csv", "cvat", "folders", "labelme", "labelstudio", "via", "voc", "yolo")
PICTURES = ("png", "jpg", "gif", "tif", "tif-lzw", "webp", "bmp", "jp2", "ppm", "png-16", "apng", "dcm", "dcm-frames")
"""Kinds of pictures, by the end of their name and what is special about them."""


def picture(kind, seed=0):
    """The bytes of a picture of 64 x 48 pixels."""
    end, _, special = kind.partition("-")
    rng = np.random.default_rng(seed)
    pixels = rng.integers(0, 255, (48, 64), dtype=np.uint8)
    if end == "dcm":
        return _dicom(np.stack([pixels, pixels // 2]) if special == "frames" else pixels)
    image = Image.fromarray(pixels.astype(np.uint16) * 200) if special == "16" else Image.fromarray(pixels)
    out = io.BytesIO()
    more = [Image.fromarray(255 - pixels), Image.fromarray(pixels // 3)]
    options = {
        "gif": {"save_all": True, "append_images": more},
        "apng": {"save_all": True, "append_images": more},
        "tif": {"save_all": True, "append_images": more} if special else {},
    }.get(end, {})
    if special == "lzw":
        options |= {"compression": "tiff_lzw"}
    names = {"jpg": "JPEG", "tif": "TIFF", "jp2": "JPEG2000", "ppm": "PPM", "apng": "PNG"}
    image.save(out, format=names.get(end, end.upper()), **options)
    return out.getvalue()


def suffix(kind):
    """How a picture's name ends."""
    end = kind.partition("-")[0]
    return ".png" if end == "apng" else f".{end}"


def _dicom(pixels):
    header = FileMetaDataset()
    header.TransferSyntaxUID = ExplicitVRLittleEndian
    header.MediaStorageSOPClassUID = header.MediaStorageSOPInstanceUID = "1.2.3"
    dataset = Dataset()
    dataset.file_meta = header
    dataset.PatientID = "p1"
    if pixels.ndim == 3:
        dataset.NumberOfFrames = len(pixels)
    dataset.Rows, dataset.Columns = pixels.shape[-2:]
    dataset.BitsAllocated = dataset.BitsStored = 8
    dataset.HighBit, dataset.PixelRepresentation, dataset.SamplesPerPixel = 7, 0, 1
    dataset.PhotometricInterpretation = "MONOCHROME2"
    dataset.WindowCenter, dataset.WindowWidth, dataset.RescaleSlope, dataset.RescaleIntercept = 128, 256, 1, 0
    dataset.PixelData = pixels.tobytes()
    out = io.BytesIO()
    dataset.save_as(out, enforce_file_format=True)
    return out.getvalue()


def _write(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


def mask(path):
    inside = np.zeros((48, 64), dtype=np.uint8)
    inside[6:18, 8:24] = 255
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(inside).save(path)


def make(root, layout):
    """Write a valid data set of three images; returns the files that are of one image alone, by that image."""
    own = {}
    folder = {"busi": "benign/", "folders": "benign/", "voc": "JPEGImages/", "yolo": "images/"}.get(layout, "")
    # Pictures of other formats than PNG are damaged where nothing else is.
    kinds = ("jpg", "tif", "dcm") if layout == "folders" else ("png",) * 3
    for n, (name, kind) in enumerate(zip(NAMES, kinds, strict=True)):
        place = f"{folder}{name}{suffix(kind)}"
        _write(root / place, picture(kind, n))
        own[place] = name
    if layout == "csv":
        rows = "".join(f"{name}.png,benign,m/{name}.png,8,6,16,12,p{name},train\n" for name in NAMES)
        text(root, "labels.csv", "image,class,mask,x,y,width,height,group,split\n" + rows)
    if layout in ("csv", "busi"):
        for name in NAMES:
            place = f"m/{name}.png" if layout == "csv" else f"benign/{name}_mask.png"
            mask(root / place)
            own[place] = name
    if layout == "coco":
        items = [{"id": n, "file_name": f"{name}.png", "width": 64, "height": 48} for n, name in enumerate(NAMES)]
        notes = [annotation(id=n, image_id=n, segmentation=[[8, 6, 24, 6, 24, 18]]) for n in range(3)]
        text(root, "annotations.json", coco(notes, items))
    if layout == "voc":
        text(root, "ImageSets/Main/train.txt", "a\nb\n")
        for name in NAMES:
            text(root, f"Annotations/{name}.xml", voc(filename=f"{name}.png"))
            own[f"Annotations/{name}.xml"] = name
    if layout == "cvat":
        cvat(root, *(cvat_image(f"{name}.png", cvat_box(), subset="Train") for name in NAMES))
    if layout == "labelme":
        for name in NAMES:
            shape = drawn("polygon", [[8, 6], [24, 6], [24, 18]])
            text(root, f"{name}.json", labelme(shape, path=f"{name}.png"))
            own[f"{name}.json"] = name
    if layout == "labelstudio":
        export(root, *(task(f"{name}.png", submitted(rectangle(), choice("benign"))) for name in NAMES))
    if layout == "via":
        via(root, {f"{name}.png": (via_regions((RECT, {"type": "benign"})), {}) for name in NAMES})
    if layout == "yolo":
        text(root, "data.yaml", "train: images\nnames: [benign, malignant]\n")
        for name in NAMES:
            text(root, f"labels/{name}.txt", yolo() + yolo(SECOND))
            own[f"labels/{name}.txt"] = name
    return own
