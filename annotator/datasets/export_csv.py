"""Writes the `csv` layout; `annotator/datasets/formats/csv_table.py` reads it."""

import csv
from pathlib import Path

from annotator.datasets.export_set import ExportSet, facts_of, number, write_new
from annotator.datasets.formats.csv_table import BOX_COLUMNS, COLUMNS, FILE_NAME

IMAGES, MASKS = "images", "masks"


def write(export: ExportSet, folder: Path) -> list[Path]:
    """Write labels.csv, one row a box (or an image without one), and masks; images belong into `images`.

    Returns:
        The files written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    written = [folder / FILE_NAME]
    with written[0].open("w", encoding="utf-8", newline="") as stream:
        writer = csv.DictWriter(stream, COLUMNS, lineterminator="\n")
        writer.writeheader()
        for image in export.images:
            row = {"image": f"{IMAGES}/{image.name}" if export.copied else image.name, **facts_of(image)}
            if image.mask_png is not None:
                file = folder / MASKS / f"{image.stem}.png"
                write_new(file, image.mask_png)
                written.append(file)
                row["mask"] = f"{MASKS}/{file.name}"
            if export.spreadsheet_safe:
                row = {column: _as_text(value) for column, value in row.items()}
            for box in image.boxes:
                writer.writerow(row | {name: number(getattr(box, name)) for name in BOX_COLUMNS})
            if not image.boxes:
                writer.writerow(row)
    return written


def _as_text(value: str) -> str:
    """Mark a text that spreadsheets would take for a formula, in the way that they do themselves."""
    return f"'{value}" if value.startswith(("=", "+", "-", "@", "\t", "\r")) else value
