import numpy as np
import pytest

from learner.inference.uncertainty import lesion_entropy


def test_a_sure_mask_has_no_entropy():
    probability_SS = np.zeros((64, 64), np.float32)
    probability_SS[20:40, 20:40] = 1
    assert lesion_entropy(probability_SS) == 0


def test_a_coin_toss_has_one_bit():
    assert lesion_entropy(np.full((32, 32), 0.5, np.float32)) == pytest.approx(1)


def test_only_the_lesion_and_its_band_count():
    probability_SS = np.zeros((256, 256), np.float32)
    probability_SS[100:110, 100:110] = 0.9
    # The band is 5 px wide: 20 x 20 pixels, of which 10 x 10 have .469 bits.
    assert lesion_entropy(probability_SS) == pytest.approx(0.469 / 4, abs=1e-3)
    # Doubt far away changes nothing.
    probability_SS[200:210, 200:210] = 0.4
    assert lesion_entropy(probability_SS) == pytest.approx(0.469 / 4, abs=1e-3)


def test_where_nothing_is_drawn_it_is_taken_where_something_is_most_probable():
    probability_SS = np.zeros((256, 256), np.float32)
    probability_SS[100:110, 100:110] = 0.3
    # H(.3) = .881 bits over a quarter of the band.
    assert lesion_entropy(probability_SS) == pytest.approx(0.8813 / 4, abs=1e-3)


def test_an_empty_image_has_none():
    assert lesion_entropy(np.zeros((32, 32), np.float32)) == 0
