"""Trains a YOLO detector and writes what it answers: run by yolo.py in an environment that has ultralytics.

    python yolo_process.py REQUEST.json ANSWER.json

Nothing of partly is imported here.
"""

import json
import os
import sys
from pathlib import Path

RANKED_FROM = 0.001
"""Score from which boxes count in the tool's own validation."""


def main() -> int:
    """Train within the time, and answer for the images."""
    request = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    os.environ["YOLO_CONFIG_DIR"] = request["folder"]
    os.environ.setdefault("YOLO_OFFLINE", "true")
    from ultralytics import YOLO, settings

    settings.update({"sync": False})
    model, started = YOLO(request["model"] + ".yaml"), "none (from its .yaml)"
    weights = Path(request["weights"]) if request["weights"] else None
    if weights is not None and weights.is_file():
        model, started = YOLO(weights), f"{weights.name}"
    model.train(
        data=request["data"],
        time=request["minutes"] / 60,
        imgsz=request["size"],
        seed=request["seed"],
        device="cpu" if request["device"] == "cpu" else None,
        project=request["folder"],
        name="run",
        exist_ok=True,
        plots=False,
        verbose=False,
        workers=0,
    )
    trained = YOLO(Path(request["folder"]) / "run" / "weights" / "best.pt")
    answers = []
    for path in request["images"]:
        (found,) = trained.predict(
            path, imgsz=request["size"], conf=RANKED_FROM, device=request["device"], verbose=False
        )
        names = [found.names[int(number)] for number in found.boxes.cls.tolist()]
        answers.append({"corners": found.boxes.xyxy.tolist(), "scores": found.boxes.conf.tolist(), "classes": names})
    epochs = trained.ckpt.get("epoch") if isinstance(trained.ckpt, dict) else None
    document = {"started": started, "answers": answers, "epochs": epochs}
    Path(sys.argv[2]).write_text(json.dumps(document), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
