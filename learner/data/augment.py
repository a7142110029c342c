"""Augmentation on tensors, image and target together; everything random comes from the caller's `Chance`.

Shape legend: B batch, S side. Images are floats in 0 to 1 before normalisation.
"""

import math

import torch
from torch import Tensor
from torch.nn import functional as F

from learner.data.random_draws import Chance

MAX_ROTATION_RAD = math.radians(15)
SCALE_RANGE = (0.8, 1.25)
MAX_SHIFT = 0.1


def augment_weakly(image_B3SS: Tensor, target_B1SS: Tensor, chance: Chance, *, kind: str) -> tuple[Tensor, Tensor]:
    """Move image and target together and change the image's brightness and contrast a little.

    Args:
        image_B3SS: float 0 to 1.
        target_B1SS: float 0 to 1.
        chance: source of everything random.
        kind: `paper` (quarter turns, flips, colour jitter) or `ultrasound` (mirrored, small affine, gain, contrast).

    Returns:
        Image and target of the same shapes.
    """
    if kind == "paper":
        image_B3SS, target_B1SS = _turn_and_flip(image_B3SS, target_B1SS, chance)
    else:
        image_B3SS, target_B1SS = _small_affine(image_B3SS, target_B1SS, chance)
    return jitter(image_B3SS, chance, strength=0.15), target_B1SS


def augment_strongly(image_B3SS: Tensor, chance: Chance) -> Tensor:
    """Change an image's look but not its geometry: gain, contrast, gamma, blur, speckle, and a square cut out."""
    image_B3SS = jitter(image_B3SS, chance, strength=0.4)
    device = image_B3SS.device
    gamma_B = torch.exp(chance.uniform(-0.4, 0.4, device))
    image_B3SS = image_B3SS.clamp(1e-4, 1).pow(gamma_B[:, None, None, None])
    blurred_B3SS = F.avg_pool2d(F.pad(image_B3SS, (1, 1, 1, 1), mode="replicate"), 3, stride=1)
    blur_B = (chance.uniform(0, 1, device) < 0.5)[:, None, None, None]
    image_B3SS = torch.where(blur_B, blurred_B3SS, image_B3SS)
    speckle_B = chance.uniform(0, 0.2, device)[:, None, None, None]
    image_B3SS = image_B3SS * (1 + speckle_B * chance.noise(image_B3SS.shape[-1], device))
    return _cut_out(image_B3SS, chance).clamp(0, 1)


def jitter(image_B3SS: Tensor, chance: Chance, *, strength: float) -> Tensor:
    """Change brightness and contrast by up to `strength`."""
    device = image_B3SS.device
    gain_B = 1 + chance.uniform(-strength, strength, device)[:, None, None, None]
    contrast_B = 1 + chance.uniform(-strength, strength, device)[:, None, None, None]
    mean_B = image_B3SS.mean(dim=(1, 2, 3), keepdim=True)
    return ((image_B3SS - mean_B) * contrast_B + mean_B * gain_B).clamp(0, 1)


def _turn_and_flip(image_B3SS: Tensor, target_B1SS: Tensor, chance: Chance) -> tuple[Tensor, Tensor]:
    images, targets = [], []
    turns = chance.integers(4)
    flips = (chance.uniform(0, 1, torch.device("cpu"), columns=2) < 0.5).tolist()
    for image, target, turn, (across, down) in zip(image_B3SS, target_B1SS, turns, flips, strict=True):
        axes = [axis for axis, wanted in ((-1, across), (-2, down)) if wanted]
        images.append(torch.flip(torch.rot90(image, turn, (-2, -1)), axes))
        targets.append(torch.flip(torch.rot90(target, turn, (-2, -1)), axes))
    return torch.stack(images), torch.stack(targets)


def _small_affine(image_B3SS: Tensor, target_B1SS: Tensor, chance: Chance) -> tuple[Tensor, Tensor]:
    device = image_B3SS.device
    angle_B = chance.uniform(-MAX_ROTATION_RAD, MAX_ROTATION_RAD, device)
    scale_B = torch.exp(chance.uniform(math.log(SCALE_RANGE[0]), math.log(SCALE_RANGE[1]), device))
    mirror_B = torch.where(chance.uniform(0, 1, device) < 0.5, -1.0, 1.0)
    shift_B2 = chance.uniform(-MAX_SHIFT, MAX_SHIFT, device, columns=2)
    cosine_B, sine_B = torch.cos(angle_B) / scale_B, torch.sin(angle_B) / scale_B
    matrix_B23 = torch.stack(
        [
            torch.stack([cosine_B * mirror_B, -sine_B, shift_B2[:, 0]], dim=1),
            torch.stack([sine_B * mirror_B, cosine_B, shift_B2[:, 1]], dim=1),
        ],
        dim=1,
    )
    both_B4SS = torch.cat([image_B3SS, target_B1SS], dim=1)
    grid = F.affine_grid(matrix_B23, list(both_B4SS.shape), align_corners=False)
    moved_B4SS = F.grid_sample(both_B4SS, grid, mode="bilinear", padding_mode="zeros", align_corners=False)
    return moved_B4SS[:, :3], moved_B4SS[:, 3:]


def _cut_out(image_B3SS: Tensor, chance: Chance) -> Tensor:
    side, device = image_B3SS.shape[-1], image_B3SS.device
    place_B3 = chance.uniform(0, 1, device, columns=3)
    cut_B = (0.1 + 0.2 * place_B3[:, 2])[:, None]
    steps_S = (torch.arange(side, device=device) + 0.5)[None, :] / side
    across_BS = (steps_S - place_B3[:, 0:1]).abs() < cut_B / 2
    down_BS = (steps_S - place_B3[:, 1:2]).abs() < cut_B / 2
    wanted_B = chance.uniform(0, 1, device) < 0.5
    hole_B1SS = (down_BS[:, :, None] & across_BS[:, None, :] & wanted_B[:, None, None])[:, None]
    return image_B3SS.masked_fill(hole_B1SS, 0.0)
