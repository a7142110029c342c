"""What partly noted of each image beside a format that has no place for it."""

import csv
import io
from collections.abc import Collection

from annotator.datasets.export_set import SIDECAR
from annotator.datasets.listing.folder import Folder
from db.errors import ImageUnreadable
from db.imaging.limits import LISTING_BYTES


def read_sidecar(folder: Folder, names: Collection[str]) -> dict[str, dict[str, str]]:
    """Read what exports wrote beside a data set, by the places of images; nothing where there is none.

    Args:
        folder: the data set's.
        names: the files in it.
    """
    if SIDECAR not in names:
        return {}
    try:
        text = io.TextIOWrapper(io.BytesIO(folder.read(SIDECAR, LISTING_BYTES)), encoding="utf-8-sig", newline="")
        reader = csv.DictReader(text)
        rows = [row for row in reader if row.get("image")]
    except (UnicodeDecodeError, csv.Error, ImageUnreadable):
        return {}
    # Another program's file of this name says other things.
    is_own = {"image", "class", "location", "split", "source"} <= set(reader.fieldnames or ())
    return {row["image"]: row for row in rows} if is_own else {}
