"""Whether there is anything to find in an image, as far as it is known: from its location, or from its class. Pure."""

import torch
from torch import Tensor

PRESENT, EMPTY, UNKNOWN = 1, 0, -1

MIN_KNOWN = 5
"""Known locations of a class that must all say the same before the class speaks for its other images."""


def presence_with_classes(presence_N: Tensor, class_N: Tensor) -> Tensor:
    """Add what an image's class tells to what its location says.

    A class whose known locations are all empty ("normal"), at least `MIN_KNOWN` of them, has nothing to find in its
    other images either; one with something in each of them has something in the others. Without the second the share
    of images with something would depend on how many locations are known.

    Args:
        presence_N: int8, from locations alone: 1 something, 0 nothing, -1 not known.
        class_N: class indices, negative where the class is not known.

    Returns:
        int8 N.
    """
    found_N = presence_N.clone()
    for index in torch.unique(class_N[class_N >= 0]).tolist():
        of_class_N = class_N == index
        known = presence_N[of_class_N & (presence_N != UNKNOWN)]
        if len(known) >= MIN_KNOWN and len(torch.unique(known)) == 1:
            found_N[of_class_N] = known[0]
    return found_N
