import numpy as np

from annotator.datasets.phantoms import make_phantom, write_phantoms
from db.imaging.masks import read_mask


def test_the_same_seed_draws_the_same_files(tmp_path):
    for name in ("first", "second"):
        write_phantoms(tmp_path / name, 6, seed=4)
    for file in sorted((tmp_path / "first").rglob("*.png")):
        other = tmp_path / "second" / file.relative_to(tmp_path / "first")
        assert file.read_bytes() == other.read_bytes()


def test_masses_are_dark_benign_ones_wide_and_malignant_ones_tall():
    rng = np.random.default_rng(0)
    aspects = {"benign": [], "malignant": []}
    for name, found in aspects.items():
        for _ in range(20):
            phantom = make_phantom(name, rng)
            rows, columns = np.nonzero(phantom.mask_HW)
            found.append(np.ptp(columns) / np.ptp(rows))
            inside, outside = phantom.image_HW[phantom.mask_HW], phantom.image_HW[~phantom.mask_HW]
            assert inside.mean() < outside.mean()
    assert np.median(aspects["benign"]) > 1.2 > 1.0 > np.median(aspects["malignant"])


def test_a_normal_phantom_has_an_empty_mask(tmp_path):
    write_phantoms(tmp_path, 10)
    masks = sorted((tmp_path / "masks").glob("normal_*.png"))
    assert masks
    assert not any(read_mask(mask).any() for mask in masks)
