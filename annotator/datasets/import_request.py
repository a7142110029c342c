"""Which data set is imported, and how."""

from dataclasses import dataclass
from pathlib import Path

from annotator.datasets.formats.names import BoxesAs
from db.errors import InvalidArgument


@dataclass(frozen=True, slots=True)
class ImportRequest:
    """Which data set is imported, and how."""

    path: str | Path
    """The data set; where the layout allows it, an fsspec URI."""
    layout: str
    """Name of a reader, such as `coco`; `auto` to find out."""
    images: str | Path | None = None
    """Folder or URI that the names of images are relative to, where that is not the data set's own."""
    keep_locations: float = 1.0
    """Share of the known locations to register, 0 to 1, stratified by class and seeded; the other images become partly
    labeled. Images that the data set puts into test keep theirs."""
    seed: int = 0
    """Random seed of that choice."""
    group_by: str | None = None
    """Regular expression on an image's name; its first group (or the whole match) is the image's group."""
    change_test: bool = False
    """Allow changes of what is known of images that are in test already."""
    first_pixel: int | None = None
    """Number of an image's first pixel in `voc`, 0 or 1; None to find out."""
    boxes_as: BoxesAs = BoxesAs.CLASS
    """What the names beside boxes mean: the class of the image, or nothing."""
    class_from: str | None = None
    """Where an image's class comes from: `folder`, or the name of a column or attribute; None for the layout's own."""
    mask_background: int | None = None
    """The value of masks (a grey level or a palette's index) that means "outside"; None for black or transparent."""
    force: bool = False
    """Import a data set even if it seems to be read in the wrong layout."""
    author: str | None = None
    """Who imports, for the history."""

    def __post_init__(self) -> None:
        if not 0 <= self.keep_locations <= 1:
            raise InvalidArgument(f"--keep-locations must be a share from 0 to 1, got {self.keep_locations}")

    @property
    def origin(self) -> str:
        """What the history says about where labels come from."""
        return self.operation + (plain_text(f" by {self.author}") if self.author else "")

    @property
    def operation(self) -> str:
        """What the list of operations says."""
        return plain_text(f"import of {self.path} as {self.layout}")


def plain_text(text: str) -> str:
    """Return words of ours, in which a name of a file may stand, with what no database can store spelled out."""
    return text.encode("utf-8", "backslashreplace").decode().replace("\0", r"\x00")
