"""Mean and deviation that images are normalised with, as a setting says them. Pure, and without torch."""

from types import MappingProxyType

Statistics = tuple[tuple[float, ...], tuple[float, ...]]
"""Mean and deviation of red, green and blue, of images in 0 to 1."""

IMAGENET: Statistics = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))

NAMED: MappingProxyType[str, Statistics] = MappingProxyType(
    {"imagenet": IMAGENET, "unit": ((0.0, 0.0, 0.0), (1.0, 1.0, 1.0)), "auto": IMAGENET}
)
"""Until weights are loaded, or without any, `auto` means ImageNet's."""

EXPECTED = "expected auto, imagenet, unit, or MEAN/STD of red, green and blue, such as 0.5,0.5,0.5/0.5,0.5,0.5"


def parse_statistics(text: str) -> Statistics:
    """Read the setting `normalize`.

    Args:
        text: a name, or `r,g,b/r,g,b`: three means and three deviations above 0.

    Raises:
        ValueError: it is neither; the message says what is expected.
    """
    if text in NAMED:
        return NAMED[text]
    try:
        mean, std = (tuple(float(number) for number in part.split(",")) for part in text.split("/"))
    except ValueError:
        raise ValueError(EXPECTED) from None
    # A number that is not finite passes no comparison.
    if len(mean) != 3 or len(std) != 3 or not all(abs(m) < 1e6 for m in mean) or not all(0 < s < 1e6 for s in std):
        raise ValueError(EXPECTED)
    return mean, std


def write_statistics(statistics: Statistics) -> str:
    """Write what `parse_statistics` reads: the name where it has one, else the numbers, to the last digit."""
    named = next((name for name, known in NAMED.items() if known == statistics and name != "auto"), None)
    return named or "/".join(",".join(repr(float(number)) for number in part) for part in statistics)
