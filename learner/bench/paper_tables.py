"""The paper's tables and figures as data: which methods, with which settings, beside which of its own numbers.

Three more are ours (overview, modules, shares): small enough for two cores, with classes and places side by side.

The paper's numbers are means over three trainings on its own split of BUSI (about a fifth of whose test images have a
near-duplicate in training), 256 px, 100 epochs, ImageNet weights: something to look at, not to be compared with.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

CLASSIFICATION = ("accuracy", "precision", "recall", "f1", "auc")
LOCALIZATION = ("iou", "dice", "ap50_all", "ap50", "mask_iou", "mask_dice")


@dataclass(frozen=True, slots=True)
class Row:
    """One method of a table."""

    method: str
    settings: Mapping[str, Any]
    paper: Mapping[str, float] = field(default_factory=dict)
    """Its numbers on BUSI, where it gives them in figures."""


@dataclass(frozen=True, slots=True)
class Table:
    """One table or figure."""

    title: str
    metrics: tuple[str, ...]
    rows: tuple[Row, ...]


R18, R50 = "resnet18", "resnet50"
NAMES = {R18: "R18", R50: "R50"}


def _classifier(name: str, encoder: str, **settings: Any) -> Row:
    return Row(name, {"method": "classifier", "encoder": encoder} | settings)


CLASSIFIERS = (
    _classifier("ViT", "vit_small_patch16_224"),
    _classifier("EB0", "efficientnet_b0"),
    _classifier("R18", R18),
    _classifier("R50", R50),
)
SEGMENTERS = (
    Row("U-Net", {"method": "unet", "encoder": R18}),
    Row("DeepLabV3", {"method": "deeplabv3", "encoder": R18}),
)
MULTI_TASK = (
    Row("AGN", {"method": "agn", "encoder": R18, "images": "located"}),
    Row("R18+RMTL", {"method": "rmtl", "encoder": R18, "images": "located"}),
    Row("R50+RMTL", {"method": "rmtl", "encoder": R50, "images": "located"}),
)


def _lanet(encoder: str, images: str = "all", **settings: Any) -> Row:
    suffix = " without s-SSL" if images == "located" else ""
    return Row(f"{NAMES[encoder]}+LA-Net{suffix}", {"encoder": encoder, "images": images} | settings)


LANETS = (_lanet(R18), _lanet(R50))
LANETS_LOCATED = (_lanet(R18, "located"), _lanet(R50, "located"))

BUSI_CLASSIFICATION = {
    "ViT": (0.878, 0.884, 0.878, 0.877, 0.953),
    "EB0": (0.919, 0.920, 0.919, 0.919, 0.961),
    "R18": (0.886, 0.899, 0.886, 0.885, 0.964),
    "R50": (0.939, 0.940, 0.939, 0.939, 0.967),
    "AGN": (0.898, 0.901, 0.898, 0.898, 0.933),
    "R18+RMTL": (0.935, 0.939, 0.935, 0.935, 0.965),
    "R50+RMTL": (0.955, 0.959, 0.955, 0.955, 0.982),
    "R18+LA-Net": (0.951, 0.955, 0.951, 0.951, 0.980),
    "R50+LA-Net": (0.964, 0.964, 0.964, 0.964, 0.989),
}
BUSI_LOCALIZATION = {
    "U-Net": (0.465, 0.580),
    "DeepLabV3": (0.495, 0.593),
    "AGN": (0.424, 0.526),
    "R18+RMTL": (0.388, 0.515),
    "R50+RMTL": (0.384, 0.501),
    "R18+LA-Net": (0.429, 0.530),
    "R50+LA-Net": (0.438, 0.543),
}
MODULES_CLASSIFICATION = {
    "none": (0.939, 0.940, 0.939, 0.939, 0.967),
    "without CAM": (0.939, 0.939, 0.939, 0.939, 0.973),
    "without SAM": (0.939, 0.944, 0.939, 0.939, 0.975),
    "without MAM": (0.911, 0.920, 0.911, 0.910, 0.968),
    "all": (0.964, 0.965, 0.964, 0.964, 0.989),
}
MODULES_LOCALIZATION = {
    "without CAM": (0.411, 0.521),
    "without SAM": (0.413, 0.515),
    "without MAM": (0.419, 0.528),
    "all": (0.438, 0.543),
}


def _beside(
    rows: tuple[Row, ...], metrics: tuple[str, ...], numbers: Mapping[str, tuple[float, ...]]
) -> tuple[Row, ...]:
    return tuple(
        Row(row.method, row.settings, dict(zip(metrics, numbers[row.method], strict=False)))
        if row.method in numbers
        else row
        for row in rows
    )


def _all_located(rows: tuple[Row, ...]) -> tuple[Row, ...]:
    return tuple(Row(row.method, {**row.settings, "images": "located"}, row.paper) for row in rows)


MODULES = (
    Row("none", {"method": "classifier", "encoder": R50}),
    *(Row(f"without {part.upper()}", {"encoder": R50, part: False}) for part in ("cam", "sam", "mam")),
    Row("all", {"encoder": R50}),
)
SEMI_SUPERVISION = tuple(
    Row(f"{NAMES[encoder]}+{name} {word} s-SSL", {"method": method, "encoder": encoder, "images": images})
    for encoder in (R18, R50)
    for name, method in (("RMTL", "rmtl"), ("LA-Net", "lanet"))
    for word, images in (("without", "located"), ("with", "all"))
)
DEPTHS = (*CLASSIFIERS[2:], *MULTI_TASK[1:], *LANETS)
SHARES = tuple(
    Row(f"{row.method}, {round(100 * share)}%", {**row.settings, "location_share": share})
    for share in (0.25, 0.5, 0.75, 1.0)
    for row in (SEGMENTERS[0], *MULTI_TASK[1:], LANETS[1])
)
SIZES = tuple(
    Row(f"{NAMES[encoder]}+LA-Net, {word} size", {"encoder": encoder, "size_factor": factor})
    for encoder in (R18, R50)
    for word, factor in (("the given", 1), ("twice the", 2))
)

BOTH = ("accuracy", "f1", "auc", "iou", "dice", "ap50_all", "ap50", "mask_iou", "mask_dice")
OVERVIEW = (
    Row("paper", {"preset": "paper", "encoder": R18}),
    Row("R18 alone", {"method": "classifier", "encoder": R18}),
    Row("U-Net", {"method": "unet", "encoder": R18}),
    Row("RMTL", {"method": "rmtl", "encoder": R18}),
    Row("default", {"encoder": R18}),
)
SWITCHES = (
    *(Row(f"without {part.upper()}", {"encoder": R18, part: False}) for part in ("cam", "sam", "mam")),
    Row("without s-SSL", {"encoder": R18, "pseudo": "none"}),
    Row("default", {"encoder": R18}),
)
LOCATION_SHARES = tuple(
    Row(f"{round(100 * share)}% of the locations", {"encoder": R18, "location_share": share})
    for share in (0.25, 0.5, 0.75, 1.0)
)

TABLES: MappingProxyType[str, Table] = MappingProxyType(
    {
        "overview": Table("Both presets and single methods, classes and places", BOTH, OVERVIEW),
        "modules": Table("Parts of the method, one left out at a time, classes and places", BOTH, SWITCHES),
        "shares": Table("Share of location labels, classes and places", BOTH, LOCATION_SHARES),
        "table3": Table(
            "Classification, partly-labeled data", CLASSIFICATION, (*CLASSIFIERS, *MULTI_TASK, *LANETS_LOCATED, *LANETS)
        ),
        "table4": Table(
            "Localization, partly-labeled data", LOCALIZATION, (*SEGMENTERS, *MULTI_TASK, *LANETS, *LANETS_LOCATED)
        ),
        "table5": Table(
            "Classification, fully-labeled images alone",
            CLASSIFICATION,
            _beside(_all_located((*CLASSIFIERS, *MULTI_TASK, *LANETS)), CLASSIFICATION, BUSI_CLASSIFICATION),
        ),
        "table6": Table(
            "Localization, fully-labeled images alone",
            LOCALIZATION,
            _beside(_all_located((*SEGMENTERS, *MULTI_TASK, *LANETS)), LOCALIZATION, BUSI_LOCALIZATION),
        ),
        "table7": Table(
            "Attention modules: classification",
            CLASSIFICATION,
            _beside(MODULES, CLASSIFICATION, MODULES_CLASSIFICATION),
        ),
        "table8": Table(
            "Attention modules: localization", LOCALIZATION, _beside(MODULES[1:], LOCALIZATION, MODULES_LOCALIZATION)
        ),
        "table9": Table("Semi-supervised learning: classification", CLASSIFICATION, SEMI_SUPERVISION),
        "table10": Table("Semi-supervised learning: localization", LOCALIZATION, SEMI_SUPERVISION),
        "fig6": Table("Depth: classification", CLASSIFICATION, DEPTHS),
        "fig7": Table("Depth: localization", LOCALIZATION, DEPTHS[2:]),
        "fig8": Table("Share of location labels: classification", CLASSIFICATION, SHARES),
        "fig9": Table("Share of location labels: localization", LOCALIZATION, SHARES),
        "fig10": Table("Image size: classification", CLASSIFICATION, SIZES),
        "fig11": Table("Image size: localization", LOCALIZATION, SIZES),
    }
)
