"""Looking at a square in tiles: what each says comes to its place, and the image's answer is that of all together."""

import itertools

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from learner.network.forward import look, tile_starts
from learner.network.interface import Network, Output


class Bright(Network):
    """Says that a lesion is where a pixel is above .5, of class 1 if it is above .8; coarse things it cannot see."""

    judges_presence = True

    def __init__(self, *, presence=True):
        super().__init__()
        self.presence, self.seen = presence, []

    def forward(self, image_B3HW):
        self.seen.append(tuple(image_B3HW.shape))
        brightness_B1HW = image_B3HW[:, :1]
        brightest_B = brightness_B1HW.amax(dim=(1, 2, 3))
        class_BK = torch.stack([torch.zeros_like(brightest_B), 100 * (brightest_B - 0.8)], dim=1)
        return Output(20 * (brightness_B1HW - 0.5), class_BK, 10 * (brightest_B - 0.5) if self.presence else None)


@given(st.integers(16, 600), st.integers(16, 600))
def test_tiles_cover_a_side_and_overlap(side, tile):
    tile = min(side, tile)
    starts = tile_starts(side, tile)
    assert starts[0] == 0
    assert starts[-1] == side - tile
    gaps = [after - before for before, after in itertools.pairwise(starts)]
    assert all(0 < gap <= 0.75 * tile + 1 for gap in gaps)


def test_as_many_tiles_as_are_said():
    assert [len(tile_starts(tiles * 64, 64)) for tiles in (1, 2, 3, 4)] == [1, 3, 4, 5]


def test_a_square_that_is_no_larger_is_looked_at_once():
    network = Bright()
    image = torch.rand(2, 3, 32, 32)
    said, wanted = look(network, image, 32), network(image)
    assert torch.equal(said.mask_logits_B1HW, wanted.mask_logits_B1HW)
    assert network.seen == [(2, 3, 32, 32)] * 2


@pytest.mark.parametrize(("row", "column"), [(0, 0), (63, 63), (31, 40), (16, 47)])
def test_a_pixel_that_the_whole_does_not_show_is_found_where_it_is(row, column):
    image = torch.zeros(2, 3, 64, 64)
    image[1, :, row, column] = 0.9
    network = Bright()
    said = look(network, image, 16)
    # 25 tiles of two images each, no more than 16 in a pass.
    assert network.seen == [(2, 3, 16, 16), *[(16, 3, 16, 16)] * 3, (2, 3, 16, 16)]
    assert said.mask_logits_B1HW.shape == (2, 1, 64, 64)
    assert torch.nonzero(said.mask_logits_B1HW[:, 0] > 0).tolist() == [[1, row, column]]
    assert (said.presence_logits_B > 0).tolist() == [False, True]
    # The whole says class 0, by far; the tile's 10 is averaged with its -74.4.
    assert said.class_logits_BK[1, 1].item() == pytest.approx((10 + 100 * (0.9 / 16 - 0.8)) / 2, rel=1e-4)
    assert said.class_logits_BK[0, 1].item() == pytest.approx(-80)


def test_what_is_as_large_as_the_image_is_found_by_the_whole():
    image = torch.full((1, 3, 64, 64), 0.7)
    said = look(Bright(), image, 16)
    assert bool((said.mask_logits_B1HW > 0).all())


def test_without_an_output_for_presence_the_mask_says_which_tile_is_surest():
    image = torch.zeros(1, 3, 64, 64)
    image[:, :, 5, 50] = 0.95
    said = look(Bright(presence=False), image, 16)
    assert said.presence_logits_B is None
    assert said.class_logits_BK[0, 1].item() == pytest.approx((15 + 100 * (0.95 / 16 - 0.8)) / 2, rel=1e-4)


def test_the_mean_of_overlapping_tiles_is_weighed_by_hand():
    """Along a row of 28 in tiles of 16 that begin at 0 and 12: 12 to 15 are seen by both."""

    class Numbered(Network):
        def forward(self, image_B3HW):
            # The whole says nothing; of the four tiles the left ones say 1 and the right ones 3.
            values = [-50.0] if len(image_B3HW) == 1 else [1.0, 3.0, 1.0, 3.0]
            mask_B1HW = torch.tensor(values)[:, None, None, None].expand(-1, 1, 16, 16)
            return Output(mask_B1HW, torch.zeros(len(values), 2))

    row = look(Numbered(), torch.zeros(1, 3, 28, 28), 16).mask_logits_B1HW[0, 0, 0]
    assert row[:12].tolist() == pytest.approx([1.0] * 12)
    assert row[16:].tolist() == pytest.approx([3.0] * 12)
    # Pixel 12 is 3.5 from the left tile's end and .5 from the right one's beginning.
    assert row[12].item() == pytest.approx((3.5 * 1 + 0.5 * 3) / 4)
    assert row[13].item() == pytest.approx((2.5 * 1 + 1.5 * 3) / 4)
