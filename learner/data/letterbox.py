"""How an image becomes a square of `size` pixels, and how a square of probabilities becomes a mask again."""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor
from torch.nn import functional as F

from db.records import Box


@dataclass(frozen=True, slots=True)
class Frame:
    """The place of an image inside its square: x_framed = x * scale_x + left, y_framed = y * scale_y + top."""

    width: int
    height: int
    left: int
    top: int
    inner_width: int
    inner_height: int

    @property
    def scale_x(self) -> float:
        """Framed pixels for one pixel of the image, across."""
        return self.inner_width / self.width

    @property
    def scale_y(self) -> float:
        """Framed pixels for one pixel of the image, down."""
        return self.inner_height / self.height


def frame_of(width: int, height: int, size: int, framing: str) -> Frame:
    """Place an image of `width` x `height` in a square: `letterbox` keeps the aspect ratio, `resize` does not."""
    if framing == "resize":
        return Frame(width, height, 0, 0, size, size)
    scale = size / max(width, height)
    inner_width, inner_height = max(1, round(width * scale)), max(1, round(height * scale))
    left, top = (size - inner_width) // 2, (size - inner_height) // 2
    return Frame(width, height, left, top, inner_width, inner_height)


def framed_image(image_HW3: NDArray[np.uint8], frame: Frame, size: int) -> NDArray[np.uint8]:
    """Resize an image into its square with antialiasing; the padding is black.

    Returns:
        uint8 3SS.
    """
    resized = Image.fromarray(image_HW3).resize((frame.inner_width, frame.inner_height), Image.Resampling.BILINEAR)
    square_SS3 = np.zeros((size, size, 3), dtype=np.uint8)
    square_SS3[frame.top : frame.top + frame.inner_height, frame.left : frame.left + frame.inner_width] = np.asarray(
        resized
    )
    return np.ascontiguousarray(square_SS3.transpose(2, 0, 1))


def framed_mask(mask_HW: NDArray[np.bool_], frame: Frame, size: int) -> NDArray[np.uint8]:
    """Average a mask into its square.

    Returns:
        uint8 SS, 255 inside.
    """
    grey = Image.fromarray(mask_HW.astype(np.uint8) * 255)
    square_SS = np.zeros((size, size), dtype=np.uint8)
    resized = grey.resize((frame.inner_width, frame.inner_height), Image.Resampling.BOX)
    square_SS[frame.top : frame.top + frame.inner_height, frame.left : frame.left + frame.inner_width] = np.asarray(
        resized
    )
    return square_SS


def framed_box(box: Box, frame: Frame) -> Box:
    """Move a box from pixels of the image to pixels of its square."""
    return Box(
        box.x * frame.scale_x + frame.left,
        box.y * frame.scale_y + frame.top,
        box.width * frame.scale_x,
        box.height * frame.scale_y,
    )


def unframed(values_SS: Tensor, frame: Frame) -> Tensor:
    """Bring values of a square back to the image's own size, float HW."""
    inner = values_SS[frame.top : frame.top + frame.inner_height, frame.left : frame.left + frame.inner_width].float()
    full = F.interpolate(inner[None, None], size=(frame.height, frame.width), mode="bilinear", align_corners=False)
    return full[0, 0].cpu()


def unframed_mask(probability_SS: Tensor, frame: Frame, threshold: float = 0.5) -> NDArray[np.bool_]:
    """Turn a square of probabilities into a mask of the image's own size.

    Args:
        probability_SS: float, 0 to 1.
        frame: the image's place in the square.
        threshold: above it is inside (Eq. 3).

    Returns:
        bool HW in the upright image's size.
    """
    mask_HW: NDArray[np.bool_] = (unframed(probability_SS, frame) > threshold).numpy()
    return mask_HW


def unit_images(images_B3SS: Tensor, device: torch.device) -> Tensor:
    """Move uint8 squares to the device as floats in 0 to 1."""
    moved = images_B3SS.to(device, non_blocking=True).float().div_(255.0)
    return moved.contiguous(memory_format=torch.channels_last)
