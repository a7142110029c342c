"""Which images make up the batches of an epoch: pure, seeded by the caller's generator."""

import torch
from torch import Generator, Tensor


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
