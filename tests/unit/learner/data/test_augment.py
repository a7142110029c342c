import pytest
import torch

from learner.data.augment import augment_strongly, augment_weakly
from learner.data.random_draws import Chance


def batch(count=4, side=32):
    target = torch.zeros(count, 1, side, side)
    target[:, :, 10:20, 8:24] = 1
    return target.repeat(1, 3, 1, 1) * 0.6 + 0.2, target


@pytest.mark.parametrize("kind", ["paper", "ultrasound"])
def test_image_and_target_move_together(kind):
    image, target = batch(16)
    moved, mask = augment_weakly(image, target, Chance(torch.Generator().manual_seed(0), len(image)), kind=kind)
    inside, outside = mask > 0.99, mask < 0.01
    assert inside.any()
    for n in range(16):
        # The lesion is the brighter part, wherever it went.
        assert moved[n, :1][inside[n]].mean() > moved[n, :1][outside[n]].mean()
    assert not torch.equal(mask, target)


def test_the_strong_view_changes_the_look_and_nothing_else():
    image, _ = batch()
    strong = augment_strongly(image, Chance(torch.Generator().manual_seed(0), len(image)))
    assert strong.shape == image.shape
    assert 0 <= float(strong.min()) <= float(strong.max()) <= 1
    assert not torch.allclose(strong, image)


def test_the_same_generator_gives_the_same_numbers():
    image, target = batch()
    first, second = (
        augment_weakly(image, target, Chance(torch.Generator().manual_seed(5), len(image)), kind="ultrasound")
        for _ in range(2)
    )
    assert torch.equal(first[0], second[0])
