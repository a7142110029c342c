"""Ultrasound-like phantoms with known class and mask, so that everything can be tried without real images.

Speckled tissue in layers; benign masses are smooth, wide and hypoechoic with enhancement below them, malignant ones
irregular and tall with a shadow; normal images show fat lobules at most. No image resembles a patient's.
"""

import csv
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray
from PIL import Image
from scipy.ndimage import gaussian_filter, maximum_filter

from annotator.datasets.formats.csv_table import BOX_COLUMNS, FILE_NAME
from db.imaging.geometry import boxes_from_mask
from db.records import Box

CLASSES = ("benign", "malignant", "normal")
SHARES = (0.45, 0.40, 0.15)
TRIES = 40
"""To find room for one more mass."""

Field = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Phantom:
    """One image with its truth."""

    class_name: str
    image_HW: NDArray[np.uint8]
    masses: tuple[NDArray[np.bool_], ...]
    """The mask of each, bool HW; they do not overlap."""

    @property
    def mask_HW(self) -> NDArray[np.bool_]:
        """The mask of all its masses, bool HW."""
        return np.asarray(np.logical_or.reduce([np.zeros(self.image_HW.shape, dtype=bool), *self.masses]))

    @property
    def boxes(self) -> tuple[Box, ...]:
        """The box of each mass, in pixels."""
        return tuple(box for mass_HW in self.masses for box in boxes_from_mask(mass_HW)[:1])


def make_phantom(class_name: str, rng: Generator, *, masses: int = 1, touching: bool = False) -> Phantom:
    """Draw one phantom.

    Args:
        class_name: benign, malignant or normal.
        rng: source of chance.
        masses: how many it has, if it is not normal; later ones are smaller, and one for which there is no room is
            left out.
        touching: each mass beyond the first lies against it.

    Returns:
        A grey image of 120 to 200 pixels a side, and the masks of its masses, none for normal.
    """
    height, width = int(rng.integers(120, 180)), int(rng.integers(140, 200))
    echo_HW = _tissue(height, width, rng)
    for _ in range(int(rng.integers(1, 4))):
        lobule_HW = _ellipse(height, width, rng, radius=(5, 12), aspect=(1.2, 2.5))
        echo_HW *= np.where(gaussian_filter(lobule_HW.astype(float), 2) > 0.5, rng.uniform(0.5, 0.8), 1.0)
    malignant = class_name == "malignant"
    drawn: list[NDArray[np.bool_]] = []
    for number in range(0 if class_name == "normal" else masses):
        mass_HW = _mass(height, width, rng, malignant=malignant, scale=1.0 if number == 0 else rng.uniform(0.25, 0.7))
        mass_HW = _placed(mass_HW, drawn, rng, touching=touching)
        if mass_HW.any():
            drawn.append(mass_HW)
            echo_HW = _with_mass(echo_HW, mass_HW, rng, malignant=malignant)
    return Phantom(class_name, _speckle(echo_HW, rng), tuple(drawn))


def write_phantoms(folder: Path, count: int, *, seed: int = 0, masses: int = 1, touching: bool = False) -> Path:
    """Write phantoms in the `csv` layout: images, masks and labels.csv.

    Args:
        folder: made where it is missing.
        count: images, divided into classes as in `SHARES`.
        seed: the same seed and count give the same files.
        masses: the most that an image has; with several, images have one, two, three and so on by turns, and the file
            has a box for each instead of a mask.
        touching: masses of one image lie against each other.

    Returns:
        The path of labels.csv.
    """
    rng = np.random.default_rng(seed)
    counts = [round(count * share) for share in SHARES[:-1]]
    names = [name for name, n in zip(CLASSES, [*counts, count - sum(counts)], strict=True) for _ in range(n)]
    for part in ("images", "masks"):
        (folder / part).mkdir(parents=True, exist_ok=True)
    rows = []
    for number, name in enumerate(names, start=1):
        phantom = make_phantom(name, rng, masses=1 + number % masses, touching=touching)
        image, mask = f"images/{name}_{number:04d}.png", f"masks/{name}_{number:04d}.png"
        Image.fromarray(phantom.image_HW).save(folder / image)
        Image.fromarray(phantom.mask_HW).save(folder / mask)
        if masses == 1 or not phantom.boxes:
            rows.append({"image": image, "class": name, "mask": mask})
        else:
            rows += [{"image": image, "class": name, **asdict(box)} for box in phantom.boxes]
    target = folder / FILE_NAME
    with target.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.DictWriter(stream, ("image", "class", "mask", *(BOX_COLUMNS if masses > 1 else ())))
        writer.writeheader()
        writer.writerows(rows)
    return target


def _tissue(height: int, width: int, rng: Generator) -> Field:
    depth_H = np.linspace(0, 1, height)
    wave_W = gaussian_filter(rng.normal(size=width), 25, mode="wrap") * 0.6
    depth_HW = depth_H[:, None] + wave_W[None, :]
    fat, gland = rng.uniform(0.15, 0.3), rng.uniform(0.6, 0.8)
    echo_HW = np.where(depth_HW < fat, 0.42, np.where(depth_HW < gland, 0.62, 0.45))
    echo_HW = echo_HW + 0.5 * np.exp(-(((depth_H - 0.02) / 0.02) ** 2))[:, None]
    for border in (fat, gland):
        echo_HW += 0.35 * np.exp(-(((depth_HW - border) / 0.015) ** 2))
    texture_HW = gaussian_filter(rng.normal(size=(height, width)), (2, 7))
    return np.asarray(echo_HW * (1 + 0.28 * texture_HW / texture_HW.std()).clip(0.4, 1.8))


def _ellipse(
    height: int, width: int, rng: Generator, *, radius: tuple[float, float], aspect: tuple[float, float]
) -> NDArray[np.bool_]:
    y_HW, x_HW = np.mgrid[0:height, 0:width]
    b = rng.uniform(*radius)
    a = b * rng.uniform(*aspect)
    cy, cx = rng.uniform(0.2, 0.85) * height, rng.uniform(0.1, 0.9) * width
    return np.asarray(((x_HW - cx) / a) ** 2 + ((y_HW - cy) / b) ** 2 <= 1)


def _placed(
    mass_HW: NDArray[np.bool_], others: Sequence[NDArray[np.bool_]], rng: Generator, *, touching: bool
) -> NDArray[np.bool_]:
    """Move a mass to where it overlaps no other; against the first one, or apart from all. Empty where that fails."""
    if not others:
        return mass_HW
    taken_HW = np.logical_or.reduce(others)
    margin_HW = taken_HW if touching else maximum_filter(taken_HW, size=9)
    height, width = mass_HW.shape
    (top, left), (tall, wide) = _extent(mass_HW)
    patch_HW = mass_HW[top : top + tall, left : left + wide]
    for _ in range(TRIES):
        y, x = int(rng.integers(0, height - tall)), int(rng.integers(0, width - wide))
        if touching:
            y, x = _pushed((y, x), patch_HW, taken_HW)
        moved_HW = np.zeros_like(mass_HW)
        moved_HW[y : y + tall, x : x + wide] = patch_HW
        if not (moved_HW & margin_HW).any() and (not touching or (maximum_filter(moved_HW, size=3) & taken_HW).any()):
            return moved_HW
    return np.zeros_like(mass_HW)


def _pushed(place: tuple[int, int], patch_HW: NDArray[np.bool_], taken_HW: NDArray[np.bool_]) -> tuple[int, int]:
    """Move a patch from its place towards what is taken, as far as it goes without lying on it."""
    tall, wide = patch_HW.shape
    (top, left), (height, width) = _extent(taken_HW)
    goal = (top + (height - tall) / 2, left + (width - wide) / 2)
    found = place
    for step in np.linspace(0, 1, 4 * max(taken_HW.shape)):
        y, x = (round(start + step * (end - start)) for start, end in zip(place, goal, strict=True))
        if (taken_HW[y : y + tall, x : x + wide] & patch_HW).any():
            break
        found = (y, x)
    return found


def _extent(mask_HW: NDArray[np.bool_]) -> tuple[tuple[int, int], tuple[int, int]]:
    """Return top and left of what is inside, and its height and width."""
    rows, columns = np.flatnonzero(mask_HW.any(axis=1)), np.flatnonzero(mask_HW.any(axis=0))
    top, left = int(rows[0]), int(columns[0])
    return (top, left), (int(rows[-1]) - top + 1, int(columns[-1]) - left + 1)


def _mass(height: int, width: int, rng: Generator, *, malignant: bool, scale: float = 1.0) -> NDArray[np.bool_]:
    area = scale * rng.uniform(0.025, 0.09) * height * width
    aspect = rng.uniform(0.65, 0.95) if malignant else rng.uniform(1.3, 2.1)
    a, b = math.sqrt(area * aspect / math.pi), math.sqrt(area / aspect / math.pi)
    tilt = rng.uniform(-0.35, 0.35)
    margin = max(a, b) + 6
    cx = rng.uniform(margin, width - margin) if width > 2 * margin else width / 2
    cy = rng.uniform(0.25 * height + b * 0.6, max(0.26 * height + b * 0.6, 0.8 * height - b))
    y_HW, x_HW = np.mgrid[0:height, 0:width]
    dx_HW, dy_HW = x_HW - cx, y_HW - cy
    u_HW = (dx_HW * math.cos(tilt) + dy_HW * math.sin(tilt)) / a
    v_HW = (-dx_HW * math.sin(tilt) + dy_HW * math.cos(tilt)) / b
    angle_HW = np.arctan2(v_HW, u_HW)
    border_HW = np.ones((height, width))
    orders = range(3, 12) if malignant else range(2, 4)
    strength = 0.09 if malignant else 0.03
    for order in orders:
        border_HW += strength * rng.normal() * np.cos(order * angle_HW + rng.uniform(0, 2 * math.pi))
    return np.asarray(np.hypot(u_HW, v_HW) <= border_HW.clip(0.5, 1.6))


def _with_mass(echo_HW: Field, mask_HW: NDArray[np.bool_], rng: Generator, *, malignant: bool) -> Field:
    height = mask_HW.shape[0]
    inside_HW = gaussian_filter(mask_HW.astype(float), 1.6 if malignant else 0.8)
    below_HW = np.maximum.accumulate(mask_HW, axis=0) & ~mask_HW
    fade_H = np.exp(-np.arange(height) / (0.5 * height))
    last = np.nonzero(mask_HW.any(axis=1))[0].max()
    fade_H = np.concatenate([np.ones(last), fade_H])[:height]
    band_HW = gaussian_filter(below_HW.astype(float), (2, 3)) * fade_H[:, None]
    factor = rng.uniform(0.45, 0.75) if malignant else rng.uniform(1.25, 1.6)
    echo_HW = echo_HW * (1 + band_HW * (factor - 1))
    rim_HW = gaussian_filter(mask_HW.astype(float), 3) * (1 - inside_HW)
    echo_HW = echo_HW * (1 + (1.0 if malignant else 0.5) * rim_HW)
    darkness = rng.uniform(0.25, 0.55)
    return np.asarray(echo_HW * (1 - inside_HW * (1 - darkness)))


def _speckle(echo_HW: Field, rng: Generator) -> NDArray[np.uint8]:
    real_HW, imaginary_HW = rng.normal(size=(2, *echo_HW.shape))
    amplitude_HW = np.hypot(gaussian_filter(real_HW, (0.7, 1.1)), gaussian_filter(imaginary_HW, (0.7, 1.1)))
    amplitude_HW = amplitude_HW / amplitude_HW.mean()
    gain = rng.uniform(0.85, 1.15)
    grey_HW = 95 + 62 * np.log(echo_HW.clip(0.02, None) * (0.35 + 0.65 * amplitude_HW) * gain * 1.6)
    return np.asarray(grey_HW.clip(0, 255), dtype=np.uint8)
