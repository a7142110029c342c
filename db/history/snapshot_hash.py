"""The content address of everything that is known, in a form that can be brought up to date; pure.

A snapshot's hash is the SHA-256 of a sum: every image contributes 1024 numbers modulo 2^16, drawn from SHAKE-128 over
what is known of it. The sum does not depend on the order, and when an image changes its old numbers are taken off and
the new ones added, so that a snapshot costs what has changed since the last one. Source: LtHash (Bellare and
Micciancio 1997; Lewi et al. 2019, "Securing Update Propagation with Homomorphic Hashing").
"""

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from db.records import Box

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

LANES = 1024
EMPTY_STATE = bytes(2 * LANES)


@dataclass(frozen=True, slots=True)
class ImageState:
    """What is known of one image, as far as a data set's meaning goes."""

    uri: str
    content_hash: str
    width: int
    height: int
    class_name: str | None
    group: str | None
    split: str | None
    status: str
    boxes: tuple[Box, ...]
    mask_hash: str | None
    source: str | None
    reviewer: str | None
    run_id: int | None

    def to_bytes(self) -> bytes:
        """Write the state in the one way that its hash is made of."""
        boxes = [[box.x, box.y, box.width, box.height] for box in self.boxes]
        values = [
            self.uri,
            self.content_hash,
            self.width,
            self.height,
            self.class_name,
            self.group,
            self.split,
            self.status,
            boxes,
            self.mask_hash,
            self.source,
            self.reviewer,
            self.run_id,
        ]
        return json.dumps(values, separators=(",", ":")).encode()


def update_state(state: bytes, removed: Iterable[ImageState], added: Iterable[ImageState]) -> bytes:
    """Take images out of a sum and put others in."""
    # Most commands do without it.
    import numpy as np

    total = np.frombuffer(state, dtype="<u2").copy()
    for image in removed:
        total -= _numbers(image)
    for image in added:
        total += _numbers(image)
    return total.tobytes()


def _numbers(image: ImageState) -> "NDArray[np.uint16]":
    import numpy as np

    return np.frombuffer(hashlib.shake_128(image.to_bytes()).digest(2 * LANES), dtype="<u2")


def hash_state(state: bytes) -> str:
    """Return the content address of a sum."""
    return "sha256:" + hashlib.sha256(state).hexdigest()
