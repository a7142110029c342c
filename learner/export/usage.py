"""The lines that run an exported model, as they stand in docs/models.md and in every model card."""

from db.plain_text import shown
from learner.export.places import ExportFormat

ONNX = """import json

import numpy as np
import onnxruntime
from PIL import Image, ImageOps

session = onnxruntime.InferenceSession("model.onnx")
classes = json.loads(session.get_modelmeta().custom_metadata_map["classes"])
image = np.asarray(ImageOps.exif_transpose(Image.open("image.png")).convert("RGB"))
names = [output.name for output in session.get_outputs()]
said = dict(zip(names, session.run(None, {"image": image})))
print({name: round(float(p), 3) for name, p in zip(classes, said["class_probability"])})
found = said["mask"] > 0.5 if said.get("presence", [1.0])[0] >= 0.5 else np.zeros(image.shape[:2], bool)
rows, columns = np.nonzero(found)
box = (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1) if rows.size else None
print("left, top, right, bottom:", box, "score:", float(said["score"][0]))
"""

TORCHSCRIPT = """import json

import numpy as np
import torch
from PIL import Image, ImageOps

about = {"partly.json": ""}
model = torch.jit.load("model.pt", map_location="cpu", _extra_files=about)
classes = json.loads(json.loads(about["partly.json"])["classes"])
image = np.array(ImageOps.exif_transpose(Image.open("image.png")).convert("RGB"))
with torch.inference_mode():
    said = model(torch.from_numpy(image))
print({name: round(float(p), 3) for name, p in zip(classes, said["class_probability"])})
"""

SAFETENSORS = """partly predict images/ found.csv --run model
"""

CLASSES_LINE = """print({name: round(float(p), 3) for name, p in zip(classes, said["class_probability"])})
"""


def usage(layout: ExportFormat, name: str, *, classifies: bool, localizes: bool) -> tuple[str, str]:
    """Return the language of the lines, and the lines, for a file of this name and what the network answers.

    Args:
        layout: of the export.
        name: of its file or folder.
        classifies: the network says what an image shows.
        localizes: the network says where.
    """
    if layout is ExportFormat.SAFETENSORS:
        return "sh", SAFETENSORS.replace("--run model", f"--run {_quoted(name)}")
    lines = ONNX if layout is ExportFormat.ONNX else TORCHSCRIPT
    for placeholder in ("model.onnx", "model.pt"):
        lines = lines.replace(f'"{placeholder}"', _literal(name))
    if not classifies:
        lines = lines.replace(CLASSES_LINE, "")
        lines = "".join(line for line in lines.splitlines(keepends=True) if not line.startswith("classes ="))
    if not localizes and layout is ExportFormat.ONNX:
        lines = lines[: lines.index("found =")]
    return "python", lines


def _literal(name: str) -> str:
    return '"' + shown(name).replace("\\", "\\\\").replace('"', '\\"') + '"'


def _quoted(name: str) -> str:
    import shlex

    return shlex.quote(shown(name))
