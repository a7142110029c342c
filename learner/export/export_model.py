"""The export use-case: a run's model as a file or folder that works without its project, checked before it is written.

export_model -> find the run -> write down (ONNX, TorchScript, folder) -> compare with the network -> put in place
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from db.errors import Conflict
from db.plain_text import shown
from db.progress import Progress, SilentProgress
from learner.checkpoint import BEST
from learner.export.agreement import SHAPES, Checked, compare
from learner.export.exportable import CLASSES, INPUT, MASK, Answer, Exportable, output_names
from learner.export.model_card import card_text
from learner.export.places import (
    CARD,
    EXPORTED_BY,
    ExportFormat,
    card_beside,
    card_is_of,
    check_installed,
    check_place,
    weights_of_export,
)
from learner.export.portable_folder import exported_by, on_cpu, portable_answer, portable_files
from learner.export.source import RunSource
from learner.export.write_together import write_together
from learner.inference.predict_files import open_run_folder
from learner.inference.trained_model import TrainedModel


@dataclass(frozen=True, slots=True)
class ModelExportRequest:
    """What is written, where and how."""

    out: Path
    """A file, or with `safetensors` a folder."""
    layout: ExportFormat
    force: bool = False
    """Write over an earlier export."""


@dataclass(frozen=True, slots=True)
class Port:
    """An input or an output of an exported model."""

    dtype: str
    shape: tuple[int | str, ...]
    """A name stands for a variable size."""


@dataclass(frozen=True, slots=True)
class ModelExportReport:
    """What was written, and how close it is to the network."""

    run: str
    format: str
    out: Path
    files: tuple[str, ...]
    """Files written, by their names within their folder."""
    card: Path
    card_kept: bool
    """Whether a card for the same weights already existed and was left unchanged."""
    bytes: int
    """Size of the model."""
    inputs: Mapping[str, Port]
    """Empty for a folder of weights, which `partly predict` reads."""
    outputs: Mapping[str, Port]
    checked: Checked
    dry_run: bool
    metadata: Mapping[str, str] = field(default_factory=dict)
    """What the model says about itself."""


def export_model(
    source: RunSource, request: ModelExportRequest, *, dry_run: bool = False, progress: Progress | None = None
) -> ModelExportReport:
    """Write a run's model for use elsewhere, with a model card beside it.

    Args:
        source: the run.
        request: how, and where.
        dry_run: do all of it but the writing.
        progress: where to show how far it is.

    Raises:
        InvalidArgument, Conflict: it cannot go there. ExportUnavailable: packages are missing.
        CheckpointIncompatible: the run cannot be used. ExportFailed: the model cannot be written in this format, or
            what was written does not say what the network says.
        OSError: there is no space, or no permission. After an error nothing was written.
    """
    progress, layout = progress or SilentProgress(), request.layout
    out = check_place(request.out, layout, force=request.force)
    card = card_beside(out, layout)
    card_kept = card_is_of(card, source.weights_sha256, force=request.force)
    check_installed(layout)
    model = on_cpu(open_run_folder(source.folder))
    metadata = about(source, model)
    progress.say(f"writing {source.name} as {layout}")
    files, answer = _written(source, model, request, metadata)
    with progress.task("checking", len(SHAPES)) as task:
        checked = compare(model, answer, task.advance)
    if not card_kept:
        files[card] = card_text(source, layout, out.name).encode("utf-8")
    if not dry_run:
        _put(files, out, request)
    is_graph = layout is not ExportFormat.SAFETENSORS
    return ModelExportReport(
        run=source.name,
        format=layout.value,
        out=request.out,
        files=tuple(file.name for file in files),
        card=request.out / CARD if not is_graph else request.out.with_name(CARD),
        card_kept=card_kept,
        bytes=sum(len(content) for file, content in files.items() if file != card),
        inputs={INPUT: Port("uint8", ("height", "width", 3))} if is_graph else {},
        outputs=_ports(model) if is_graph else {},
        checked=checked,
        dry_run=dry_run,
        metadata=metadata,
    )


def about(source: RunSource, model: TrainedModel) -> dict[str, str]:
    """Say what whoever has the file alone has to know; the values are texts, as ONNX wants them."""
    config = model.config
    return {
        "run": source.name,
        "classes": json.dumps(model.classes, ensure_ascii=False),
        "method": config.method,
        "encoder": config.encoder,
        "size": str(config.square_px),
        "tiles": str(config.tiles),
        "framing": config.framing,
        "normalize": config.normalize,
        "views": "4" if config.tta else "1",
        "gate": config.gate,
        "tau": repr(config.tau),
        "weights_sha256": source.weights_sha256,
        EXPORTED_BY: exported_by(),
        "input": "image: uint8, height x width x 3, red green blue, upright; grey repeated three times",
        "mask": "lesion probability of every pixel of the image",
        "use": "research software, not a medical device",
    }


def _written(
    source: RunSource, model: TrainedModel, request: ModelExportRequest, metadata: Mapping[str, str]
) -> tuple[dict[Path, bytes], Answer]:
    """Write the model down in memory: content by place, what stands for all of it first, and the way to ask it."""
    out, layout = request.out.absolute(), request.layout
    if layout is ExportFormat.SAFETENSORS:
        with portable_files(source.folder) as folder:
            answer = portable_answer(model, folder)
            found = sorted(folder.iterdir(), key=lambda file: file.name != f"{BEST}.json")
            return {out / file.name: file.read_bytes() for file in found}, answer
    exportable = Exportable(model.network, model.config).eval()
    if layout is ExportFormat.ONNX:
        from learner.export.onnx_file import onnx_answer, onnx_bytes

        written = onnx_bytes(exportable, metadata)
        return {out: written}, onnx_answer(written)
    from learner.export.torchscript_file import torchscript_answer, torchscript_bytes

    written = torchscript_bytes(exportable, metadata)
    return {out: written}, torchscript_answer(written)


def _put(files: Mapping[Path, bytes], out: Path, request: ModelExportRequest) -> None:
    earlier = weights_of_export(out) if request.layout is ExportFormat.SAFETENSORS else None
    try:
        write_together(files, force=request.force)
    except FileExistsError as exc:
        raise Conflict(
            f"{shown(str(exc.filename))} was created by another process in the meantime; nothing was written"
        ) from exc
    if earlier is not None and earlier not in files:
        # Of the export that was written over; no description names it any more.
        earlier.unlink(missing_ok=True)


def _ports(model: TrainedModel) -> dict[str, Port]:
    shapes: dict[str, tuple[int | str, ...]] = {CLASSES: (len(model.classes),), MASK: ("height", "width")}
    return {name: Port("float32", shapes.get(name, (1,))) for name in output_names(model.network)}
