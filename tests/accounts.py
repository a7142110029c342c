"""What a listing says of a data set must add up."""

from annotator.datasets.listing.entries import NOTHING, Counts, Listing


def account(listing: Listing) -> tuple[Counts, Counts]:
    """What is used if every entry is good, and what is not."""
    used = sum((entry.counts for entry in listing.entries), NOTHING)
    unused = sum((item.counts for item in [*listing.refusals, *listing.unused]), NOTHING)
    return used, unused


def assert_adds_up(listing: Listing) -> None:
    """Compare what was counted before reading with what became of it."""
    used, unused = account(listing)
    assert used + unused == listing.there, f"{used} + {unused} is not {listing.there}"
    assert min(used.images, used.labels, used.masks, used.splits) >= 0
