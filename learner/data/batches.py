"""Which images make up the batches of an epoch, and how often each of them is drawn: pure, seeded by the caller.

Shape legend: N images.
"""

from dataclasses import dataclass

import torch
from torch import Generator, Tensor


@dataclass(frozen=True, slots=True)
class Epoch:
    """The batches of an epoch."""

    batches: list[Tensor]
    """Indices of images."""
    draws_N: Tensor
    """float: how often each image is drawn in an epoch on average; 0 for one that takes no part."""
    alike: bool = False
    """All batches have the same make-up, so that each may be weighed by what is expected of it."""


@dataclass(frozen=True, slots=True)
class Shares:
    """What a batch in streams is made of."""

    located: float
    """Share with a known location, 0 to 1."""
    empty: float
    """Largest share of these that is known to be empty, 0 to 1."""


def plain_batches(indices_N: Tensor, batch_size: int, generator: Generator) -> list[Tensor]:
    """Shuffle images into batches; none has a single image, for batch normalisation's sake.

    A last batch of one joins its neighbour, and a single image is shown twice.
    """
    if len(indices_N) == 1:
        return [indices_N.repeat(2)]
    shuffled_N = indices_N[torch.randperm(len(indices_N), generator=generator)]
    batches = list(shuffled_N.split(batch_size))
    if len(batches) > 1 and len(batches[-1]) == 1:
        batches[-2:] = [torch.cat(batches[-2:])]
    return batches


def stream_batches(
    known_N: Tensor,
    empty_N: Tensor,
    batch_size: int,
    shares: Shares,
    generator: Generator,
    *,
    located_only: bool = False,
    min_batches: int = 0,
) -> Epoch:
    """Batches that each hold a fixed share of images with a known location, few of them empty, however rare those are.

    An epoch has as many batches as show every image of unknown location once, and every image with something to find,
    and at least as many as all images fill: the few that have a location come round as often as many would.

    Args:
        known_N: bool, the location is known.
        empty_N: bool, it is known to be empty.
        batch_size: images a batch, at least 2.
        shares: of each batch; a kind of image that there is has at least one place, if there is room for it.
        generator: source of chance.
        located_only: show no image of unknown location.
        min_batches: batches that the epoch has at least.
    """
    streams = [torch.nonzero(mask_N).flatten() for mask_N in (known_N & ~empty_N, known_N & empty_N, ~known_N)]
    if located_only:
        streams[2] = streams[2][:0]
    counts = [len(stream) for stream in streams]
    filled = -(-len(known_N) // batch_size)
    # Fewer images than places would only be repeated within a batch.
    batch_size = min(batch_size, max(2, sum(counts)))
    places = _places(counts, batch_size, shares)
    if places[1] == 0:
        streams = [torch.cat(streams[:2]), streams[1][:0], streams[2]]
    shown_once = [(streams[0], places[0]), (streams[2], places[2])]
    batches = max(filled, min_batches, *(-(-len(stream) // place) for stream, place in shown_once if place))
    draws_N = torch.zeros(len(known_N))
    columns = []
    for stream, place in zip(streams, places, strict=True):
        if not place:
            continue
        needed = batches * place
        draws_N[stream] = needed / len(stream)
        order = torch.cat([torch.randperm(len(stream), generator=generator) for _ in range(-(-needed // len(stream)))])
        columns.append(stream[order[:needed]].view(batches, place))
    return Epoch(list(torch.cat(columns, dim=1)), draws_N, alike=True)


def _places(counts: list[int], batch_size: int, shares: Shares) -> tuple[int, int, int]:
    """Divide a batch between images with something to find, images known to be empty, and the others.

    No place for empty images means that there are so few of them that they are drawn with the first.
    """
    present, empty, unknown = counts
    located = present + empty
    if not located or not unknown:
        of_located = batch_size if located else 0
    else:
        of_located = min(max(1, round(shares.located * batch_size)), batch_size - 1)
    of_empty = 0
    if present and located and empty / located > shares.empty:
        of_empty = min(max(1, round(shares.empty * of_located)), of_located - 1)
    return of_located - of_empty, of_empty, batch_size - of_located


def unweighted(batches: list[Tensor], count: int) -> Epoch:
    """Make an epoch of batches in which each drawn image counts alike, as in the paper."""
    draws_N = torch.zeros(count)
    draws_N[torch.cat(batches)] = 1.0
    return Epoch(batches, draws_N)


def two_stream_batches(known_N: Tensor, batch_size: int, located_share: float, generator: Generator) -> list[Tensor]:
    """Batches that each hold a fixed share of images with a known location, however rare those are.

    An epoch shows every other image once; images with a known location come round as often as that needs.

    Args:
        known_N: bool, the location is known.
        batch_size: images a batch.
        located_share: share of each batch, at least one image of each kind.
        generator: source of chance.
    """
    known, other = torch.nonzero(known_N).flatten(), torch.nonzero(~known_N).flatten()
    if not len(known) or not len(other) or batch_size < 2:
        return plain_batches(torch.arange(len(known_N)), batch_size, generator)
    per_batch = min(max(1, round(located_share * batch_size)), batch_size - 1)
    others = list(other[torch.randperm(len(other), generator=generator)].split(batch_size - per_batch))
    # Where located images are the majority, the epoch is long enough to show each of them once.
    rounds = max(len(others), -(-len(known) // per_batch))
    needed = rounds * per_batch
    order = torch.cat([torch.randperm(len(known), generator=generator) for _ in range(-(-needed // len(known)))])
    while len(others) < rounds:
        others += list(other[torch.randperm(len(other), generator=generator)].split(batch_size - per_batch))
    streams = known[order[:needed]].split(per_batch)
    return [torch.cat([located, unlocated]) for located, unlocated in zip(streams, others, strict=False)]
