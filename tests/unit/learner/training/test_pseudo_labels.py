"""What an averaged network's answer teaches, worked out by hand."""

import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.ndimage import label

from learner.training.pseudo_labels import LEAST_PEAK, main_lesion, relative_to_peak


def masks(*rows):
    return torch.tensor(rows, dtype=torch.float32)[:, None, None, :]


def test_an_image_that_has_a_lesion_is_taken_relative_to_its_highest_probability():
    found, weight = relative_to_peak(masks([0.1, 0.4, 0.2], [0.1, 0.4, 0.2]), torch.tensor([True, False]))
    assert torch.allclose(found, masks([0.25, 1.0, 0.5], [0.1, 0.4, 0.2]))
    assert torch.allclose(weight, torch.tensor([0.4, 1.0]))


def test_an_answer_that_says_nothing_of_places_is_not_blown_up():
    found, weight = relative_to_peak(masks([0.001, 0.002]), torch.tensor([True]))
    assert torch.allclose(found, masks([0.001 / LEAST_PEAK, 0.002 / LEAST_PEAK]))
    assert weight.tolist() == [torch.tensor(LEAST_PEAK).item()]


def test_what_is_apart_from_the_most_probable_pixel_is_no_lesion():
    answer = masks([0.6, 0.8, 0.1, 0.7, 0.3], [0.6, 0.8, 0.1, 0.7, 0.3])
    found = main_lesion(answer, torch.tensor([True, False]))
    # .1 and .3 are below half of .8, and stay as they are.
    assert torch.allclose(found, masks([0.6, 0.8, 0.1, 0.0, 0.3], [0.6, 0.8, 0.1, 0.7, 0.3]))


def test_corners_hang_together():
    answer = torch.tensor([[0.9, 0.0, 0.0], [0.0, 0.8, 0.0], [0.0, 0.0, 0.7]])[None, None]
    assert torch.equal(main_lesion(answer, torch.tensor([True])), answer)


@given(seed=st.integers(0, 10_000))
def test_it_is_the_component_that_scipy_finds(seed):
    generator = torch.Generator().manual_seed(seed)
    smooth = torch.nn.functional.avg_pool2d(torch.rand(2, 1, 18, 18, generator=generator), 3, stride=1)
    found = main_lesion(smooth, torch.tensor([True, True]))
    for before, after in zip(smooth[:, 0], found[:, 0], strict=True):
        components, _ = label((before >= 0.5 * before.max()).numpy(), structure=torch.ones(3, 3).numpy())
        peak = components.ravel()[int(before.argmax())]
        assert torch.equal(after, torch.where(torch.from_numpy((components > 0) & (components != peak)), 0.0, before))
