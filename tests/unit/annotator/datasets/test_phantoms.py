import numpy as np
import pytest

from annotator.datasets.import_images import import_images
from annotator.datasets.import_request import ImportRequest
from annotator.datasets.phantoms import make_phantom, write_phantoms
from db.imaging.geometry import boxes_from_mask
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


@pytest.mark.parametrize("touching", [False, True])
def test_several_masses_are_of_different_sizes_and_lie_apart_or_touch(touching):
    rng = np.random.default_rng(1)
    sizes = []
    for count in (2, 3):
        for _ in range(10):
            phantom = make_phantom("benign", rng, masses=count, touching=touching)
            areas = [int(mass.sum()) for mass in phantom.masses]
            assert len(areas) == count
            sizes.append(areas[1] / areas[0])
            assert sum(areas) == phantom.mask_HW.sum()
            assert len(boxes_from_mask(phantom.mask_HW, 0.0)) == (1 if touching else count)
    assert min(sizes) < 0.3 < np.median(sizes) < 0.8


def test_several_masses_are_registered_with_a_box_each(registry, tmp_path):
    write_phantoms(tmp_path / "set", 30, seed=2, masses=3, touching=True)
    import_images(registry, ImportRequest(tmp_path / "set", "csv"))
    with registry.read() as tx:
        boxes = [len(image.boxes) for image in tx.images.select()]
    assert boxes.count(0) == 4
    assert min(boxes.count(2), boxes.count(3)) >= 8
