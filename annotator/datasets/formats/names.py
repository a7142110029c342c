"""The formats by name, without their readers: light enough for the command line's help."""

from enum import StrEnum


class InputFormat(StrEnum):
    """Formats that can be imported."""

    AUTO = "auto"
    """Found out from the files that lie in the data set."""
    BUSI = "busi"
    COCO = "coco"
    CSV = "csv"
    CVAT = "cvat"
    FOLDERS = "folders"
    LABELME = "labelme"
    LABEL_STUDIO = "labelstudio"
    VIA = "via"
    VOC = "voc"
    YOLO = "yolo"


class BoxesAs(StrEnum):
    """What the names beside boxes mean."""

    CLASS = "class"
    """The class of the image, which all its boxes must share."""
    LESION = "lesion"
    """Nothing: every box is a location, and the image has its class from elsewhere."""


class OutputFormat(StrEnum):
    """Formats that can be exported."""

    COCO = "coco"
    CSV = "csv"
    VOC = "voc"
    YOLO = "yolo"


class ImagesIn(StrEnum):
    """What an export does with the images."""

    COPY = "copy"
    """Copy them into the export, upright."""
    NONE = "none"
    """Only name the originals."""


class PredictionFormat(StrEnum):
    """How predictions are written."""

    CSV = "csv"
    """A row a box; an image in which nothing is found has a row without a box."""
    COCO = "coco"
    """COCO's annotations, with a score each; class and probabilities stand with the image."""
    YOLO = "yolo"
    """A folder with a text file an image: class, box as shares of the image, score."""
    LABEL_STUDIO = "labelstudio"
    """Tasks with a prediction each, to be imported into Label Studio."""
