"""An exported model as TorchScript, which torch loads without partly, also from C++."""

import io
import json
import warnings
from collections.abc import Mapping

import numpy as np
import torch
from numpy.typing import NDArray

from learner.errors import ExportFailed
from learner.export.exportable import EXAMPLE, Answer, Exportable

ABOUT = "partly.json"
"""The file within the file that says what the model is."""


def torchscript_bytes(model: Exportable, metadata: Mapping[str, str]) -> bytes:
    """Write a model down as TorchScript.

    Args:
        model: on the CPU, in evaluation mode.
        metadata: texts by key, kept in the file as JSON.

    Raises:
        ExportFailed: torch cannot follow this network.
    """
    stream = io.BytesIO()
    try:
        with warnings.catch_warnings(), torch.inference_mode():
            # About the tracer's future, and about sizes that are constants because the square's are.
            warnings.simplefilter("ignore")
            traced = torch.jit.trace(model, torch.zeros(EXAMPLE, dtype=torch.uint8), check_trace=False, strict=False)
            torch.jit.save(traced, stream, _extra_files={ABOUT: json.dumps(dict(metadata))})
    except (RuntimeError, ValueError, TypeError) as exc:
        reason = (str(exc).strip().splitlines() or [type(exc).__name__])[0][:300]
        raise ExportFailed(
            f"this network cannot be written as TorchScript ({type(exc).__name__}: {reason}), and nothing was written"
        ) from exc
    return stream.getvalue()


def torchscript_answer(written: bytes) -> Answer:
    """Load a TorchScript file's content, on the CPU."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = torch.jit.load(io.BytesIO(written), map_location="cpu")

    def answer(image_HW3: NDArray[np.uint8]) -> dict[str, NDArray[np.float32]]:
        with torch.inference_mode():
            return {name: value.numpy() for name, value in model(torch.from_numpy(image_HW3)).items()}

    return answer
