"""Pictures: boxes drawn over images, many on one page."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from db.atomic_write import replacing
from db.imaging.decode import read_image
from db.imaging.files import ImageFile
from db.plain_text import shown
from db.records import Box

if TYPE_CHECKING:
    from learner.inference.propose import ProposeResult

PROPOSED = (255, 140, 0)
TRUE = (60, 220, 90)
OTHER = (80, 160, 255)
CAPTION_HEIGHT_PX = 22
MARGIN_PX = 6
LONGEST_NAME = 18
"""Characters of a file's name that fit below a picture beside what is said of it."""


@dataclass(frozen=True, slots=True)
class Panel:
    """One image of a page."""

    path: ImageFile
    caption: str
    proposed: tuple[Box, ...] = ()
    truth: tuple[Box, ...] = ()
    other: tuple[Box, ...] = ()
    """Of another run."""


def ending(file: str) -> str:
    """Return a file's name for a caption, the end of it where it is long."""
    return file if len(file) <= LONGEST_NAME else ".." + file[-LONGEST_NAME + 2 :]


def wrapped(text: str, fits: Callable[[str], bool]) -> str:
    """Break a caption into lines that fit, between words; a word that is too long is cut at its front.

    Args:
        text: one line.
        fits: says whether a line is short enough.
    """
    lines: list[str] = []
    for word in text.split(" "):
        longer = f"{lines[-1]} {word}" if lines else word
        if lines and fits(longer):
            lines[-1] = longer
            continue
        cut = word
        while not fits(cut) and len(cut) > 3:
            cut = f"..{cut[3:]}" if cut.startswith("..") else f"..{cut[2:]}"
        lines.append(cut)
    return "\n".join(line.strip() for line in lines if line.strip())


def draw_page(panels: Sequence[Panel], out: Path, *, columns: int = 4, cell_px: int = 260, title: str = "") -> Path:
    """Draw images with their boxes, proposals in orange, the truth in green, another run in blue, and save the page.

    Args:
        panels: the images.
        out: PNG file to write.
        columns: images a row.
        cell_px: side of the square that an image is fitted into.
        title: line on top of the page.

    Raises:
        ImageUnreadable: an image cannot be read any more.
    """
    columns = max(1, min(columns, len(panels)))
    rows = math.ceil(len(panels) / columns)
    font = ImageFont.load_default(13)
    captions = [wrapped(shown(panel.caption), lambda text: font.getlength(text) <= cell_px) for panel in panels]
    lines = max((caption.count("\n") + 1 for caption in captions), default=1)
    step_x, step_y = cell_px + MARGIN_PX, cell_px + lines * CAPTION_HEIGHT_PX + MARGIN_PX
    top = 30 if title else MARGIN_PX
    page = Image.new("RGB", (columns * step_x + MARGIN_PX, rows * step_y + top), (24, 24, 28))
    draw = ImageDraw.Draw(page)
    if title:
        draw.text((MARGIN_PX, 8), shown(title), fill=(235, 235, 235), font=ImageFont.load_default(15))
    for n, (panel, caption) in enumerate(zip(panels, captions, strict=True)):
        left, upper = MARGIN_PX + n % columns * step_x, top + n // columns * step_y
        cell = draw_boxes(panel, cell_px)
        page.paste(cell, (left + (cell_px - cell.width) // 2, upper + (cell_px - cell.height) // 2))
        draw.text((left, upper + cell_px + 3), caption, fill=(220, 220, 220), font=font)
    return _save(page, out)


def _save(page: Image.Image, out: Path) -> Path:
    with replacing(out, durable=False) as draft:
        page.save(draft, Image.registered_extensions().get(out.suffix.lower(), "PNG"))
    return out


@dataclass(frozen=True, slots=True)
class HeatPanel:
    """One image with what a model looked at."""

    image_HW3: NDArray[np.uint8]
    heat_HW: NDArray[np.floating]
    """0 to 1."""
    caption: str
    predicted: tuple[Box, ...] = ()
    truth: tuple[Box, ...] = ()


def draw_heat(panel: HeatPanel, out: Path, *, cell_px: int = 360) -> Path:
    """Draw an image with its boxes beside the same image under its heat, and save the picture."""
    from matplotlib import colormaps

    colour_HW3 = colormaps["inferno"](panel.heat_HW)[..., :3] * 255
    # Cold places show the image, hot ones the colour.
    share_HW1 = 0.25 + 0.5 * panel.heat_HW[..., None]
    mixed_HW3 = (panel.image_HW3 * (1 - share_HW1) + colour_HW3 * share_HW1).astype(np.uint8)
    left = _fit(panel.image_HW3, panel.truth, panel.predicted, cell_px)
    right = _fit(mixed_HW3, panel.truth, panel.predicted, cell_px)
    page = Image.new(
        "RGB", (2 * left.width + 3 * MARGIN_PX, left.height + CAPTION_HEIGHT_PX + 2 * MARGIN_PX), (24, 24, 28)
    )
    page.paste(left, (MARGIN_PX, MARGIN_PX))
    page.paste(right, (left.width + 2 * MARGIN_PX, MARGIN_PX))
    ImageDraw.Draw(page).text(
        (MARGIN_PX, left.height + MARGIN_PX + 4),
        shown(panel.caption),
        fill=(220, 220, 220),
        font=ImageFont.load_default(13),
    )
    return _save(page, out)


def draw_proposals(result: "ProposeResult", out: Path, *, count: int = 12) -> Path:
    """Draw the first proposals of a result over their images.

    Raises:
        ImageUnreadable: an image cannot be read any more.
    """
    panels = [
        Panel(
            path=ImageFile.from_text(item.path),
            caption=f"{item.image} {ending(Path(item.path).name)}  {item.class_name} {item.class_probability:.2f}  "
            f"score {item.score:.2f}",
            proposed=item.boxes,
        )
        for item in result.items[:count]
    ]
    return draw_page(panels, out, title=f"proposals of {result.run}, score above tau = {result.tau}")


def draw_boxes(panel: Panel, cell_px: int) -> Image.Image:
    """Draw one image with its boxes, fitted into a square of `cell_px`."""
    return _fit(read_image(panel.path), panel.truth, panel.proposed, cell_px, panel.other)


def _fit(
    image_HW3: NDArray[np.uint8],
    truth: Sequence[Box],
    predicted: Sequence[Box],
    cell_px: int,
    other: Sequence[Box] = (),
) -> Image.Image:
    image = Image.fromarray(image_HW3)
    scale = cell_px / max(image.size)
    image = image.resize((max(1, round(image.width * scale)), max(1, round(image.height * scale))))
    draw = ImageDraw.Draw(image)
    for boxes, colour, width in ((truth, TRUE, 2), (other, OTHER, 3), (predicted, PROPOSED, 3)):
        for box in boxes:
            corners = (box.x, box.y, box.x + box.width, box.y + box.height)
            draw.rectangle([value * scale for value in corners], outline=colour, width=width)
    return image
