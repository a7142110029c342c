"""The labeling interface that partly uses, and what its parts are called in results. No network.

What can be said of a task, and is never the same: boxes (here it is), "nothing there", "cannot tell" or an emptied
proposal (the proposal is wrong, the place is not known), and "wrong class" (the image's class is to be corrected).
Tasks of images whose class is not known offer the classes too: those in the task's own data, so that a class that is
new to the registry needs no other interface.
"""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from hashlib import sha256
from typing import Any
from xml.etree.ElementTree import ParseError

import numpy as np
from defusedxml.common import DefusedXmlException
from defusedxml.ElementTree import fromstring
from numpy.typing import NDArray

from annotator.shapes.brush import encode_brush
from annotator.shapes.percent import percent_from_box
from annotator.shapes.polygons import has_holes, percent_from_polygon, polygons_from_mask
from db.records import Box
from db.records.reviews import WRONG_CLASS

BOX_CONTROL = "box"
VERDICT_CONTROL = "verdict"
CLASS_CONTROL = "class"
IMAGE_OBJECT = "image"
BRUSH_CONTROL = "brush"
POLYGON_CONTROL = "polygon"
BOX_LABEL = "lesion"
BRUSH_LABEL = "lesion (paint)"
POLYGON_LABEL = "lesion (outline)"
ACCEPT = "accept"
NO_LESION = "no lesion"
CANNOT_TELL = "cannot tell"
NOTHING_THERE = "nothing there"
"""How "no lesion" reads on the page."""

MASK_TOOLS = f"""
  <BrushLabels name="{BRUSH_CONTROL}" toName="{IMAGE_OBJECT}">
    <Label value="{BRUSH_LABEL}" background="#1e90ff" hotkey="6"/>
  </BrushLabels>
  <PolygonLabels name="{POLYGON_CONTROL}" toName="{IMAGE_OBJECT}" fillOpacity="0">
    <Label value="{POLYGON_LABEL}" background="#2e8b57" hotkey="7"/>
  </PolygonLabels>"""

# The controls stand above the image, which has the rest of the window's height. "Value" is written so on purpose: the
# page reads attributes in any case, while the server would count "value" as one more key of the data and refuse to
# upload images to a project that has two. The empty View stands for the choice that the server would miss without it.
INTERFACE = """<View className="partly">
  <Style>
    .partly .partly-controls {{ display: flex; flex-wrap: wrap; align-items: center; gap: 0 14px; margin-bottom: 4px; }}
    .partly .partly-controls label {{ font-size: 13px; }}
    .partly .partly-controls :is(.lsf-choices, .lsf-labels) {{ margin: 0 !important; }}
    .partly :is(h1, h2, h3, h4, h5) {{ margin: 0 !important; font-size: 15px !important; }}
    .partly .partly-note :is(h1, h2, h3, h4, h5) {{ color: #c0392b !important; margin-bottom: 14px !important; }}
    .partly .partly-proposal :is(h1, h2, h3, h4, h5) {{ color: #1668b8 !important; }}
    .partly :is(.partly-note, .partly-proposal) :is(h1, h2, h3, h4, h5):empty {{ display: none; }}
  </Style>
  <View className="partly-note"><Header value="$partly_note" size="4"/></View>
  <View className="partly-controls">
    <Header value="{header}" size="4"/>
    <View className="partly-proposal"><Header value="$partly_proposal" size="4"/></View>
    <Choices name="{class_control}" toName="{image}" choice="single" showInline="true" Value="$partly_classes">
      <View/>
    </Choices>
    <Choices name="{verdict}" toName="{image}" choice="single" showInline="true">
      <Choice value="{accept}" hotkey="1"/>
      <Choice value="{nothing}" alias="{no_lesion}" hotkey="2"/>
      <Choice value="{cannot_tell}" hotkey="3"/>
      <Choice value="{wrong_class}" hotkey="4"/>
    </Choices>
    <RectangleLabels name="{box}" toName="{image}" opacity="1" fillOpacity="0" strokeWidth="2" canRotate="false">
      <Label value="{label}" background="#ff8c00" hotkey="5" selected="true"/>
    </RectangleLabels>{masks}
  </View>
  <Image name="{image}" value="$image" zoom="true" zoomControl="true" rotateControl="false" brightnessControl="true"
         contrastControl="true" maxHeight="calc(100vh - 236px)"/>
</View>"""
HEADER = "Class: $partly_class \u00b7 $partly_image"
HEADER_WITH_SCORE = f"{HEADER} \u00b7 score $partly_score"

EARLIER = frozenset(
    {
        "772aaebafb4493f17400fb0626e28fa77b1bcd673c89c42d302186c31423c26f",
        "f76ff2ad86328eec935d66014665e82a85906526f1c5c6507ed25af5096fecf8",
        "c5c220bdb740b0ae9dc61f4181d4f7bbb8df258e74d155e578be88ff9e2c16a8",
        "04b22a6d6227772d0939d5a401e5dd6a9973335e37f9ed19620efc531f72ca8c",
    }
)
"""SHA-256 of interfaces that earlier versions wrote, blanks made alike; a project that has one is given today's."""


def interface(*, masks: bool = False, show_score: bool = False) -> str:
    """Write the labeling interface as XML.

    Args:
        masks: with tools for masks: paint and outlines.
        show_score: with the proposal's score in the header, which sways people.
    """
    return INTERFACE.format(
        header=HEADER_WITH_SCORE if show_score else HEADER,
        verdict=VERDICT_CONTROL,
        class_control=CLASS_CONTROL,
        image=IMAGE_OBJECT,
        box=BOX_CONTROL,
        accept=ACCEPT,
        nothing=NOTHING_THERE,
        no_lesion=NO_LESION,
        cannot_tell=CANNOT_TELL,
        wrong_class=WRONG_CLASS,
        label=BOX_LABEL,
        masks=MASK_TOOLS.replace("\n", "\n  ") if masks else "",
    )


CONFIG = interface()
VARIANTS = [(masks, score) for masks in (False, True) for score in (False, True)]


def is_generated(xml: str) -> bool:
    """Say whether a project's labeling interface is one that partly wrote, now or earlier, and nobody has changed."""
    return digest_of(xml) in EARLIER or any(is_same(xml, interface(masks=m, show_score=s)) for m, s in VARIANTS)


def refreshed(xml: str) -> str:
    """Return today's form of an interface that partly wrote; one that somebody has changed stays as it is."""
    if not is_generated(xml):
        return xml
    return interface(masks=has_mask_tools(xml), show_score="$partly_score" in xml)


def digest_of(text: str) -> str:
    """Return the SHA-256 of a text in which any number of blanks counts as one."""
    return sha256(" ".join(text.split()).encode()).hexdigest()


def is_same(first: str, second: str) -> bool:
    """Say whether two labeling interfaces differ in blanks at most."""
    return first.split() == second.split()


def has_mask_tools(xml: str) -> bool:
    """Say whether a project's labeling interface can show and change masks."""
    found = {(element.get("name"), element.tag) for element in _elements(xml)}
    return {(BRUSH_CONTROL, "BrushLabels"), (POLYGON_CONTROL, "PolygonLabels")} <= found


def can_say_nothing(xml: str) -> bool:
    """Say whether a project's labeling interface shows that a model proposes "nothing to find"."""
    return any("$partly_proposal" in (element.get("value") or "") for element in _elements(xml))


def can_ask_class(xml: str) -> bool:
    """Say whether a project's labeling interface offers a task's classes as a choice."""
    wanted = ("Choices", CLASS_CONTROL, "$partly_classes")
    found = ((item.tag, item.get("name"), item.get("Value") or item.get("value")) for item in _elements(xml))
    return any(control == wanted for control in found)


def _elements(xml: str) -> list[Any]:
    """Return all parts of an interface; none where it is not valid XML, and so has none that anybody sees."""
    try:
        return list(_parse(xml).iter())
    except (ParseError, DefusedXmlException, ValueError):
        return []


def _parse(xml: str) -> Any:
    return fromstring(xml)


def config_problem(xml: str) -> str | None:
    """Say what keeps a project's labeling interface from working with partly, None if nothing does."""
    try:
        root = _parse(xml)
    except (ParseError, DefusedXmlException, ValueError) as exc:
        return f"it is not valid XML ({exc})"
    wanted = {BOX_CONTROL: "RectangleLabels", VERDICT_CONTROL: "Choices", IMAGE_OBJECT: "Image"}
    found = {element.get("name"): element.tag for element in root.iter() if element.get("name")}
    missing = [f'<{tag} name="{name}">' for name, tag in wanted.items() if found.get(name) != tag]
    if missing:
        return f"it lacks {', '.join(missing)}"
    values = {element.get(name) for element in root.iter() for name in ("value", "alias")}
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

    Raises:
        ValueError: the mask is in more pieces than could be read back.
    """
    height, width = mask_HW.shape
    outlines = None
    if as_polygons and not has_holes(mask_HW):
        # In more parts than an annotation may have shapes, it stays painted.
        with suppress(ValueError):
            outlines = polygons_from_mask(mask_HW)
    if outlines is not None:
        return [
            _region(f"{region_prefix}{n}", "polygonlabels", POLYGON_CONTROL, width, height)
            | {
                "value": {
                    "points": percent_from_polygon(points, width, height),
                    "closed": True,
                    "polygonlabels": [POLYGON_LABEL],
                }
            }
            for n, points in enumerate(outlines)
        ]
    return [
        _region(f"{region_prefix}0", "brushlabels", BRUSH_CONTROL, width, height)
        | {"value": {"format": "rle", "rle": encode_brush(mask_HW), "brushlabels": [BRUSH_LABEL]}}
    ]


def result_from_verdict(verdict: str) -> list[dict[str, Any]]:
    """Write a verdict ("no lesion", "cannot tell") as the result of an annotation."""
    return [_choice(VERDICT_CONTROL, verdict)]


def result_from_class(class_name: str, *, region_id: str = CLASS_CONTROL) -> list[dict[str, Any]]:
    """Write the class of an image as the result of a prediction or annotation."""
    return [_choice(CLASS_CONTROL, class_name) | {"id": region_id}]


def _choice(control: str, value: str) -> dict[str, Any]:
    return {
        "id": control,
        "type": "choices",
        "from_name": control,
        "to_name": IMAGE_OBJECT,
        "value": {"choices": [value]},
    }


def regions_in(result: Sequence[Mapping[str, Any]], kind: str) -> list[Mapping[str, Any]]:
    """Return the regions of a kind: `rectanglelabels`, `brushlabels`, `polygonlabels`."""
    return [region for region in result if region.get("type") == kind]


def painted_regions(result: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Return the brush masks and polygons of a result."""
    return [*regions_in(result, "brushlabels"), *regions_in(result, "polygonlabels")]


def verdict_in(result: Sequence[Mapping[str, Any]]) -> str | None:
    """Return the verdict of a result, None where none was chosen."""
    return _chosen(result, VERDICT_CONTROL)


def class_in(result: Sequence[Mapping[str, Any]]) -> str | None:
    """Return the class that a result states for the image, None where none was chosen."""
    return _chosen(result, CLASS_CONTROL)


def _chosen(result: Sequence[Mapping[str, Any]], control: str) -> str | None:
    for region in result:
        if region.get("type") == "choices" and region.get("from_name") == control:
            choices = region.get("value", {}).get("choices") or []
            if choices:
                return str(choices[0])
    return None
