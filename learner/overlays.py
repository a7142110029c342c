"""Pictures: boxes drawn over images, many on one page."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image, ImageDraw, ImageFont

from db.files import ImageFile
from db.images import read_image
from db.records import Box

PROPOSED = (255, 140, 0)
TRUE = (60, 220, 90)
CAPTION_HEIGHT_PX = 22
MARGIN_PX = 6


@dataclass(frozen=True, slots=True)
class Panel:
    """One image of a page."""

    path: ImageFile
    caption: str
    proposed: tuple[Box, ...] = ()
    truth: tuple[Box, ...] = ()


def draw_page(panels: Sequence[Panel], out: Path, *, columns: int = 4, cell_px: int = 260, title: str = "") -> Path:
    """Draw images with their boxes, proposals in orange and the truth in green, and save the page.

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
    step_x, step_y = cell_px + MARGIN_PX, cell_px + CAPTION_HEIGHT_PX + MARGIN_PX
    top = 30 if title else MARGIN_PX
    page = Image.new("RGB", (columns * step_x + MARGIN_PX, rows * step_y + top), (24, 24, 28))
    draw = ImageDraw.Draw(page)
    font = ImageFont.load_default(13)
    if title:
        draw.text((MARGIN_PX, 8), title, fill=(235, 235, 235), font=ImageFont.load_default(15))
    for n, panel in enumerate(panels):
        left, upper = MARGIN_PX + n % columns * step_x, top + n // columns * step_y
        cell = draw_boxes(panel, cell_px)
        page.paste(cell, (left + (cell_px - cell.width) // 2, upper + (cell_px - cell.height) // 2))
        draw.text((left, upper + cell_px + 3), panel.caption, fill=(220, 220, 220), font=font)
    out.parent.mkdir(parents=True, exist_ok=True)
    page.save(out)
    return out


def draw_proposals(result: Mapping[str, Any], out: Path, *, count: int = 12) -> Path:
    """Draw the surest proposals of what `propose_locations` returned."""
    panels = [
        Panel(
            path=ImageFile.from_text(item["path"]),
            caption=f"{item['class']} {item['class_probability']:.2f}   score {item['score']:.2f}",
            proposed=tuple(Box(*box) for box in item["boxes"]),
        )
        for item in result["items"][:count]
    ]
    return draw_page(panels, out, title=f"proposals of {result['run']}, score above tau = {result['tau']}")


def draw_boxes(panel: Panel, cell_px: int) -> Image.Image:
    """Draw one image with its boxes, fitted into a square of `cell_px`."""
    image = Image.fromarray(read_image(panel.path))
    scale = cell_px / max(image.size)
    image = image.resize((max(1, round(image.width * scale)), max(1, round(image.height * scale))))
    draw = ImageDraw.Draw(image)
    for boxes, colour, width in ((panel.truth, TRUE, 2), (panel.proposed, PROPOSED, 3)):
        for box in boxes:
            corners = (box.x, box.y, box.x + box.width, box.y + box.height)
            draw.rectangle([value * scale for value in corners], outline=colour, width=width)
    return image
