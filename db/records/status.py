"""Status: counts over the whole registry."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class RegistryStatus:
    """Counts over the whole registry, as `partly status` prints them."""

    images: dict[str, int]
    locations: dict[str, int]
    classes: dict[str, int]
    splits: dict[str, int]
    proposals: dict[str, int]
    runs: dict[str, int]
