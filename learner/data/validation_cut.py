"""Cuts validation in two, so that no image both chooses the epoch and certifies what was chosen; pure.

The best of many epochs looks better on the images that chose it than on any others. A certificate from them would
promise too much, so a training that chooses its epoch is shown one half, and the certificate rests on the other.
"""

import hashlib
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any


def cut_validation(groups: Mapping[int, str], image_ids: Sequence[int], seed: int) -> tuple[list[int], list[int]]:
    """Cut validation images into two halves by group.

    Args:
        groups: the name of each image's group: images of one patient, video or picture have the same.
        image_ids: the validation images.
        seed: another seed cuts elsewhere; the same seed and groups cut the same, whatever the groups are called.

    Returns:
        The images that choose the epoch, and those that certify, each in the order given. Half of the groups are in
        each; an odd one chooses.
    """
    members: dict[str, list[int]] = defaultdict(list)
    for image_id in image_ids:
        members[groups[image_id]].append(image_id)
    drawn = sorted(members, key=lambda name: _draw(members[name], seed))
    certifies = set(drawn[(len(drawn) + 1) // 2 :])
    choosing = [image_id for image_id in image_ids if groups[image_id] not in certifies]
    return choosing, [image_id for image_id in image_ids if groups[image_id] in certifies]


def _draw(member_ids: Sequence[int], seed: int) -> str:
    named = ",".join(str(image_id) for image_id in sorted(member_ids))
    return hashlib.sha256(f"{seed}/validation cut/{named}".encode()).hexdigest()


def chosen_by(description: Mapping[str, Any]) -> frozenset[int]:
    """Return the validation images that chose a checkpoint's epoch.

    Trainings that cut validation in two write down the half that chose; before they did, all of validation chose.
    """
    if description["config"].get("select") == "last":
        return frozenset()
    cut = description.get("validation_cut") is True and "choosing" in description
    return frozenset(description["choosing"] if cut else description.get("images", {}).get("val", ()))
