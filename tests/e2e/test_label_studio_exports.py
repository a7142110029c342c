"""What a real Label Studio exports, JSON and JSON-MIN, reads back as it was said."""

import io
import json

import numpy as np
import pytest
from PIL import Image

from annotator.shapes.brush import encode_brush
from tests.picture_files import H, W

CONFIG = """<View>
  <Image name="img" value="$picture"/>
  <Choices name="finding" toName="img"><Choice value="benign"/><Choice value="malignant"/></Choices>
  <RectangleLabels name="place" toName="img"><Label value="lesion"/><Label value="cyst"/></RectangleLabels>
  <PolygonLabels name="outline" toName="img"><Label value="lesion"/></PolygonLabels>
  <BrushLabels name="paint" toName="img"><Label value="lesion"/></BrushLabels>
</View>"""
BOX = (8.0, 6.0, 16.0, 12.0)
VALUE = {"x": 100 * 8 / W, "y": 100 * 6 / H, "width": 100 * 16 / W, "height": 100 * 12 / H, "rotation": 0}
PERCENT = [[100 * x / W, 100 * y / H] for x, y in ((8, 6), (24, 6), (24, 18), (8, 18))]


def result(kind, control, **value):
    size = {"original_width": W, "original_height": H, "image_rotation": 0}
    return {"type": kind, "from_name": control, "to_name": "img", "value": value, **size}


def inside():
    mask = np.zeros((H, W), dtype=bool)
    mask[6:18, 8:24] = True
    return encode_brush(mask)


SAID = {
    "box": [result("rectanglelabels", "place", **VALUE, rectanglelabels=["lesion"])],
    "class": [result("choices", "finding", choices=["malignant"])],
    "both": [
        result("rectanglelabels", "place", **VALUE, rectanglelabels=["cyst"]),
        result("choices", "finding", choices=["benign"]),
    ],
    "polygon": [result("polygonlabels", "outline", points=PERCENT, polygonlabels=["lesion"])],
    "paint": [result("brushlabels", "paint", format="rle", rle=inside(), brushlabels=["lesion"])],
    "nothing": [],
    "open": None,
}
"""What was submitted for each image; nothing for one that nobody has looked at."""


@pytest.fixture
def exported(client, tmp_path):
    """A project of a team of its own: uploaded images, annotations, a prediction; its two exports, and the images."""
    project = client.create_project("a team's own", CONFIG)
    files = []
    (tmp_path / "set").mkdir()
    for n, name in enumerate(SAID):
        noise = np.random.default_rng(n).integers(0, 255, (H, W), dtype=np.uint8)
        buffer = io.BytesIO()
        Image.fromarray(noise).save(buffer, "PNG")
        files.append((f"{name}_of_p1.png", buffer.getvalue()))
        (tmp_path / "set" / f"{name}_of_p1.png").write_bytes(buffer.getvalue())
    places = client.upload_images(project.id, files)
    ids = client.import_tasks(project.id, [{"data": {"picture": places[name]}} for name, _ in files])
    for task_id, said in zip(ids, SAID.values(), strict=True):
        if said is not None:
            client.create_annotation(task_id, said)
    wrong = {"x": 1, "y": 1, "width": 5, "height": 5, "rotation": 0}
    guess = result("rectanglelabels", "place", **wrong, rectanglelabels=["cyst"])
    client.import_predictions(project.id, [{"task": ids[-1], "result": [guess], "model_version": "m", "score": 0.9}])
    for kind in ("JSON", "JSON_MIN"):
        reply = client.http.send(
            "GET", f"/api/projects/{project.id}/export", params={"exportType": kind, "download_all_tasks": "true"}
        )
        (tmp_path / "set" / f"{kind}.json").write_bytes(reply.content)
    return tmp_path / "set"


def known(partly, folder):
    """Class and boxes of every image of a project, by the first word of its name; unknown locations are None."""
    partly("--project", folder, "export", folder / "out", "--format", "coco", "--unlabeled")
    document = json.loads((folder / "out" / "annotations.json").read_text())
    boxes = {item["id"]: [] for item in document["images"]}
    for annotation in document["annotations"]:
        boxes[annotation["image_id"]].append(tuple(map(float, annotation["bbox"])))
    return {
        item["file_name"].split("_of")[0]: (
            item["partly"].get("class"),
            None if item["partly"]["location"] == "unknown" else boxes[item["id"]],
        )
        for item in document["images"]
    }


@pytest.mark.parametrize("kind", ["JSON", "JSON_MIN"])
def test_an_export_reads_as_people_said(partly, exported, tmp_path, kind):
    project = tmp_path / kind
    partly("init", project)
    done = partly("--project", project, "--json", "import", exported / f"{kind}.json")
    assert (done["registered"], done["refused"]) == (7, [])
    assert "read as labelstudio" in done["recognised"]
    found = known(partly, project)
    # Where images have classes, what a lesion is called is none.
    # JSON-MIN does not say which texts are choices, nor, therefore, whether a row without a region is one.
    unsaid = {"class": (None, None), "both": (None, [BOX]), "nothing": (None, None)}
    from_choice = {} if kind == "JSON" else unsaid
    assert found == {
        "box": (None, [BOX]),
        "class": ("malignant", None),
        "both": ("benign", [BOX]),
        "polygon": (None, [BOX]),
        "paint": (None, [BOX]),
        "nothing": (None, []),
        "open": (None, None),
        **from_choice,
    }
    if kind == "JSON":
        assert any("a prediction is not a label" in warning for warning in done["warnings"])


def test_json_min_knows_choices_when_they_are_named(partly, exported, tmp_path):
    project = tmp_path / "named"
    partly("init", project)
    partly("--project", project, "import", exported / "JSON_MIN.json", "--class-from", "finding")
    found = known(partly, project)
    assert (found["class"], found["both"]) == (("malignant", None), ("benign", [BOX]))
