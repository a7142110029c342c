"""What a training saw: the images, their splits, classes and the labels that held, under one content hash."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from db.records import ImageRecord


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The data of a training, by content."""

    hash: str
    images: list[dict[str, Any]]
    """One entry an image: id, hash, split, class, label revision and status."""


def take_snapshot(images: Sequence[ImageRecord]) -> Snapshot:
    """Describe images and what is known of them; the same knowledge gives the same hash."""
    entries = [
        {
            "id": image.id,
            "hash": image.content_hash,
            "split": image.split,
            "class": image.class_name,
            "location": image.location_status,
            "revision": image.label.revision if image.label else 0,
            "boxes": [[box.x, box.y, box.width, box.height] for box in image.boxes],
        }
        for image in sorted(images, key=lambda image: image.id)
    ]
    document = json.dumps(entries, sort_keys=True, separators=(",", ":"))
    return Snapshot("sha256:" + hashlib.sha256(document.encode()).hexdigest(), entries)
