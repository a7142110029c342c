"""The labeling interface that partly uses, and what its parts are called in results. No network.

Three statements are possible on a task, and they are never the same: boxes (here it is), the choice "no lesion"
(there is nothing), and the choice "cannot tell" or an emptied proposal (the proposal is wrong, the place is not known).
"""

from collections.abc import Mapping, Sequence
from typing import Any
from xml.etree.ElementTree import ParseError

import numpy as np
from defusedxml.common import DefusedXmlException
from defusedxml.ElementTree import fromstring
from numpy.typing import NDArray

from annotator.label_studio.payload.brush import encode_brush
from annotator.label_studio.payload.percent import percent_from_box
from annotator.label_studio.payload.polygons import has_holes, percent_from_polygon, polygons_from_mask
from db.records import Box

BOX_CONTROL = "box"
VERDICT_CONTROL = "verdict"
IMAGE_OBJECT = "image"
BRUSH_CONTROL = "brush"
POLYGON_CONTROL = "polygon"
BOX_LABEL = "lesion"
BRUSH_LABEL = "lesion (paint)"
POLYGON_LABEL = "lesion (outline)"
NO_LESION = "no lesion"
CANNOT_TELL = "cannot tell"

MASK_TOOLS = f"""
  <BrushLabels name="{BRUSH_CONTROL}" toName="{IMAGE_OBJECT}">
    <Label value="{BRUSH_LABEL}" background="#1e90ff" hotkey="4"/>
  </BrushLabels>
  <PolygonLabels name="{POLYGON_CONTROL}" toName="{IMAGE_OBJECT}">
    <Label value="{POLYGON_LABEL}" background="#2e8b57" hotkey="5"/>
  </PolygonLabels>"""


def interface(*, masks: bool = False) -> str:
    """Write the labeling interface as XML; with tools for masks where they are wanted."""
    return f"""<View>
  <Header value="Class: $partly_class" size="4"/>
  <Choices name="{VERDICT_CONTROL}" toName="{IMAGE_OBJECT}" choice="single" showInline="true">
    <Choice value="{NO_LESION}" hotkey="2"/>
    <Choice value="{CANNOT_TELL}" hotkey="3"/>
  </Choices>
  <Image name="{IMAGE_OBJECT}" value="$image" zoom="true" zoomControl="true" brightnessControl="true"
         contrastControl="true"/>
  <RectangleLabels name="{BOX_CONTROL}" toName="{IMAGE_OBJECT}">
    <Label value="{BOX_LABEL}" background="#ff8c00" hotkey="1"/>
  </RectangleLabels>{MASK_TOOLS if masks else ""}
</View>"""


CONFIG = interface()


def has_mask_tools(xml: str) -> bool:
    """Say whether a project's labeling interface can show and change masks."""
    found = {(element.get("name"), element.tag) for element in _parse(xml).iter()}
    return {(BRUSH_CONTROL, "BrushLabels"), (POLYGON_CONTROL, "PolygonLabels")} <= found


def _parse(xml: str) -> Any:
    return fromstring(xml)


def config_problem(xml: str) -> str | None:
    """Say what keeps a project's labeling interface from working with partly, None if nothing does."""
    try:
        root = _parse(xml)
    except (ParseError, DefusedXmlException) as exc:
        return f"it is not valid XML ({exc})"
    wanted = {BOX_CONTROL: "RectangleLabels", VERDICT_CONTROL: "Choices", IMAGE_OBJECT: "Image"}
    found = {element.get("name"): element.tag for element in root.iter() if element.get("name")}
    missing = [f'<{tag} name="{name}">' for name, tag in wanted.items() if found.get(name) != tag]
    if missing:
        return f"it lacks {', '.join(missing)}"
    values = {element.get("value") for element in root.iter()}
    lost = [value for value in (BOX_LABEL, NO_LESION, CANNOT_TELL) if value not in values]
    return f"it lacks the values {', '.join(lost)}" if lost else None


def result_from_boxes(
    boxes: Sequence[Box], width: int, height: int, *, region_prefix: str = "box"
) -> list[dict[str, Any]]:
    """Write boxes as the result of a prediction or annotation.

    Args:
        boxes: pixels of the upright image.
        width: of the upright image, pixels.
        height: of the upright image, pixels.
        region_prefix: of the regions' ids, which are unique in the result.
    """
    return [
        _region(f"{region_prefix}{n}", "rectanglelabels", BOX_CONTROL, width, height)
        | {"value": {**percent_from_box(box, width, height), "rectanglelabels": [BOX_LABEL]}}
        for n, box in enumerate(boxes)
    ]


def _region(region_id: str, kind: str, control: str, width: int, height: int) -> dict[str, Any]:
    return {
        "id": region_id,
        "type": kind,
        "from_name": control,
        "to_name": IMAGE_OBJECT,
        "original_width": width,
        "original_height": height,
        "image_rotation": 0,
    }


def result_from_mask(
    mask_HW: NDArray[np.bool_], *, as_polygons: bool = False, region_prefix: str = "mask"
) -> list[dict[str, Any]]:
    """Write a mask as the result of a prediction or annotation.

    Args:
        mask_HW: bool of the upright image, True inside.
        as_polygons: as polygons, to within a pixel; a mask with holes stays painted, since a polygon has none.
        region_prefix: of the regions' ids.
    """
    height, width = mask_HW.shape
    if as_polygons and not has_holes(mask_HW):
        return [
            _region(f"{region_prefix}{n}", "polygonlabels", POLYGON_CONTROL, width, height)
            | {
                "value": {
                    "points": percent_from_polygon(points, width, height),
                    "closed": True,
                    "polygonlabels": [POLYGON_LABEL],
                }
            }
            for n, points in enumerate(polygons_from_mask(mask_HW))
        ]
    return [
        _region(f"{region_prefix}0", "brushlabels", BRUSH_CONTROL, width, height)
        | {"value": {"format": "rle", "rle": encode_brush(mask_HW), "brushlabels": [BRUSH_LABEL]}}
    ]


def result_from_verdict(verdict: str) -> list[dict[str, Any]]:
    """Write a verdict ("no lesion", "cannot tell") as the result of an annotation."""
    return [
        {
            "id": VERDICT_CONTROL,
            "type": "choices",
            "from_name": VERDICT_CONTROL,
            "to_name": IMAGE_OBJECT,
            "value": {"choices": [verdict]},
        }
    ]


def regions_in(result: Sequence[Mapping[str, Any]], kind: str) -> list[Mapping[str, Any]]:
    """Return the regions of a kind: `rectanglelabels`, `brushlabels`, `polygonlabels`."""
    return [region for region in result if region.get("type") == kind]


def painted_regions(result: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Return the brush masks and polygons of a result."""
    return [*regions_in(result, "brushlabels"), *regions_in(result, "polygonlabels")]


def verdict_in(result: Sequence[Mapping[str, Any]]) -> str | None:
    """Return the verdict of a result, None where none was chosen."""
    for region in result:
        if region.get("type") == "choices" and region.get("from_name") == VERDICT_CONTROL:
            choices = region.get("value", {}).get("choices") or []
            if choices:
                return str(choices[0])
    return None
