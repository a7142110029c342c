"""An exported model as ONNX, and ONNX Runtime to check it with. The one place that knows these libraries."""

import io
import logging
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, redirect_stdout

import numpy as np
import torch
from numpy.typing import NDArray

from learner.errors import ExportFailed
from learner.export.exportable import EXAMPLE, INPUT, MASK, Answer, Exportable

OPSET = 18
"""Of the operators; understood by every ONNX Runtime since 1.14."""


def onnx_bytes(model: Exportable, metadata: Mapping[str, str]) -> bytes:
    """Write a model down as ONNX.

    Args:
        model: on the CPU, in evaluation mode.
        metadata: texts by key, kept in the file.

    Raises:
        ExportFailed: torch cannot write this network as ONNX.
    """
    import onnx

    height, width = torch.export.Dim("height", min=1), torch.export.Dim("width", min=1)
    try:
        with _quiet():
            program = torch.onnx.export(
                model,
                (torch.zeros(EXAMPLE, dtype=torch.uint8),),
                input_names=[INPUT],
                output_names=list(model.names),
                dynamic_shapes={INPUT: {0: height, 1: width}},
                opset_version=OPSET,
                dynamo=True,
                verbose=False,
            )
        if program is None:
            raise ExportFailed("torch wrote no ONNX program")
        program.model.metadata_props.update(metadata)
        written: bytes = program.model_proto.SerializeToString()
        onnx.checker.check_model(written, full_check=True)
    except ExportFailed:
        raise
    except Exception as exc:  # exporters raise whatever their passes raise
        raise ExportFailed(
            f"this network cannot be written as ONNX ({_root_of(exc)}), and nothing was written; try "
            "--format torchscript"
        ) from exc
    return written


def _root_of(exc: BaseException) -> str:
    """Say what an exporter failed of: its outermost errors are about itself."""
    while exc.__cause__ is not None:
        exc = exc.__cause__
    lines = str(exc).strip().splitlines()
    return f"{type(exc).__name__}: {lines[0][:300]}" if lines else type(exc).__name__


def onnx_answer(written: bytes) -> Answer:
    """Load an ONNX file's content into ONNX Runtime, on the CPU.

    Raises:
        ExportFailed: ONNX Runtime does not take it.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    # Errors alone: what it warns of is how it makes a graph quicker.
    options.log_severity_level = 3
    try:
        session = onnxruntime.InferenceSession(written, options, providers=["CPUExecutionProvider"])
    except Exception as exc:  # its errors have no common root
        raise ExportFailed(f"ONNX Runtime does not accept the exported model ({exc}), and nothing was written") from exc
    names = [output.name for output in session.get_outputs()]

    def answer(image_HW3: NDArray[np.uint8]) -> dict[str, NDArray[np.float32]]:
        return dict(zip(names, session.run(None, {INPUT: image_HW3}), strict=True))

    return answer


def has_free_size(written: bytes) -> bool:
    """Say whether a file's image, and its mask where it has one, may have any height and width."""
    import onnx

    graph = onnx.load_model_from_string(written).graph
    wanted = [value for value in (*graph.input, *graph.output) if value.name in (INPUT, MASK)]
    return all(size.dim_param for value in wanted for size in value.type.tensor_type.shape.dim[:2])


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep an exporter's own remarks, about its passes and its future, off the screen."""
    exporter = logging.getLogger("torch.onnx")
    passes = logging.getLogger("onnx_ir")
    before = exporter.level, passes.level
    exporter.setLevel(logging.ERROR)
    passes.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings(), redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        exporter.setLevel(before[0])
        passes.setLevel(before[1])
