"""Random numbers for a share of a batch: drawn for the whole batch, so that splitting it changes nothing.

Shape legend: T images of the whole batch, B images of the share.
"""

import torch
from torch import Generator, Tensor


class Chance:
    """Draws for every image of a batch and hands out the rows of some of them."""

    def __init__(self, generator: Generator, total: int, rows_B: Tensor | None = None) -> None:
        """Remember what is drawn for.

        Args:
            generator: on the CPU, so that a seed means the same on every device.
            total: images in the whole batch.
            rows_B: which of them this share holds; None for all.
        """
        self._generator = generator
        self._total = total
        self._rows_B = rows_B

    def of(self, chosen_B: Tensor) -> "Chance":
        """Return the chance of some images of this share (their indices); each gets what it would get among all."""
        rows_B = chosen_B if self._rows_B is None else self._rows_B[chosen_B]
        return Chance(self._generator, self._total, rows_B)

    def _share(self, values_T: Tensor) -> Tensor:
        return values_T if self._rows_B is None else values_T[self._rows_B]

    def uniform(self, low: float, high: float, device: torch.device, columns: int | None = None) -> Tensor:
        """Draw from low to high, float B, or B x columns."""
        shape = (self._total,) if columns is None else (self._total, columns)
        return self._share(torch.rand(shape, generator=self._generator) * (high - low) + low).to(device)

    def integers(self, end: int) -> list[int]:
        """Draw whole numbers from 0 to below `end`, one an image."""
        numbers: list[int] = self._share(torch.randint(0, end, (self._total,), generator=self._generator)).tolist()
        return numbers

    def noise(self, side: int, device: torch.device) -> Tensor:
        """Draw standard normal noise, float B1SS.

        On a GPU it is drawn there, from a seed that is drawn here: a million numbers would hold up a step.
        """
        shape = (self._total, 1, side, side)
        if device.type == "cpu":
            return self._share(torch.randn(shape, generator=self._generator))
        seed = int(torch.randint(0, 2**62, (1,), generator=self._generator))
        there = torch.Generator(device).manual_seed(seed)
        return self._share(torch.randn(shape, generator=there, device=device))
