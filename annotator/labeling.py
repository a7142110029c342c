"""The labelling interface that partly uses, and what its parts are called in results. No network.

Three statements are possible on a task, and they are never the same: boxes (here it is), the choice "no lesion"
(there is nothing), and the choice "cannot tell" or an emptied proposal (the proposal is wrong, the place is not known).
"""

import xml.etree.ElementTree as ET
from collections.abc import Mapping, Sequence
from typing import Any

from annotator.geometry import percent_from_box
from db.records import Box

BOX_CONTROL = "box"
VERDICT_CONTROL = "verdict"
IMAGE_OBJECT = "image"
BOX_LABEL = "lesion"
NO_LESION = "no lesion"
CANNOT_TELL = "cannot tell"

CONFIG = f"""<View>
  <Header value="Class: $partly_class" size="4"/>
  <Choices name="{VERDICT_CONTROL}" toName="{IMAGE_OBJECT}" choice="single" showInline="true">
    <Choice value="{NO_LESION}" hotkey="2"/>
    <Choice value="{CANNOT_TELL}" hotkey="3"/>
  </Choices>
  <Image name="{IMAGE_OBJECT}" value="$image" zoom="true" zoomControl="true" brightnessControl="true"
         contrastControl="true"/>
  <RectangleLabels name="{BOX_CONTROL}" toName="{IMAGE_OBJECT}">
    <Label value="{BOX_LABEL}" background="#ff8c00" hotkey="1"/>
  </RectangleLabels>
</View>"""


def config_problem(xml: str) -> str | None:
    """Say what keeps a project's labelling interface from working with partly, None if nothing does."""
    try:
        root = ET.fromstring(xml)
    except ET.ParseError as exc:
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
        {
            "id": f"{region_prefix}{n}",
            "type": "rectanglelabels",
            "from_name": BOX_CONTROL,
            "to_name": IMAGE_OBJECT,
            "original_width": width,
            "original_height": height,
            "image_rotation": 0,
            "value": {**percent_from_box(box, width, height), "rectanglelabels": [BOX_LABEL]},
        }
        for n, box in enumerate(boxes)
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


def rectangles_in(result: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Return the rectangles of a result."""
    return [region for region in result if region.get("type") == "rectanglelabels"]


def verdict_in(result: Sequence[Mapping[str, Any]]) -> str | None:
    """Return the verdict of a result, None where none was chosen."""
    for region in result:
        if region.get("type") == "choices" and region.get("from_name") == VERDICT_CONTROL:
            choices = region.get("value", {}).get("choices") or []
            if choices:
                return str(choices[0])
    return None
