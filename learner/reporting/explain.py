"""The explanation use-case: where a model looks, as Grad-CAM over images, for the class or for the lesion.

Shape legend: B batch, C channels, S side of the square, H W the image's own size.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from db.errors import InvalidArgument
from db.imaging.decode import read_image
from db.progress import Progress, SilentProgress
from db.records import ImageRecord, Split
from db.registry import Registry
from learner.data.dataset import FramedData, examples_from_records
from learner.data.letterbox import unframed, unit_images
from learner.distributed import Processes
from learner.errors import DataInvalid
from learner.inference.predict import Prediction, predict
from learner.inference.trained_model import TrainedModel, frame_share, open_run
from learner.network.forward import Normalizer
from learner.network.interface import Network
from learner.reporting.drawing import HeatPanel, draw_heat

CLASS, LESION = "class", "lesion"


def explain_images(
    registry: Registry,
    out: Path,
    *,
    run: str | None = None,
    split: Split | None = None,
    image_ids: Sequence[int] = (),
    target: str = CLASS,
    layer: str | None = None,
    limit: int = 12,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Draw what in an image speaks for the predicted class, or for the lesion.

    Args:
        registry: where the run and the images are.
        out: folder for the pictures, made where it is missing.
        run: its name, None for the newest finished one.
        split: whose images; None for test, or validation where there is no test image.
        image_ids: these images instead.
        target: `class` or `lesion`.
        layer: of the network, see `list_layers`; None for `default_layer`.
        limit: at most this many images, in the order of their numbers.
        progress: where to show how far it is.

    Returns:
        run, target, layer, layers, items: every item has its image, path, class and picture.

    Raises:
        InvalidArgument: there is no such target or layer, or the method does not answer that.
        DataInvalid: there is no such image; NotFound, CheckpointIncompatible: the run cannot be used.
    """
    model = open_run(registry, run)
    answers = {CLASS: model.network.classifies, LESION: model.network.localizes}
    if not answers.get(target):
        possible = ", ".join(name for name, answered in answers.items() if answered)
        raise InvalidArgument(f"--target {target}: {model.run.name} can be asked about: {possible}")
    layers = list_layers(model.network, model.config.size, model.device)
    chosen = layer or default_layer(layers, target)
    if chosen not in layers:
        raise InvalidArgument(f"--layer {chosen}: there is no such layer with maps; list them with: --list-layers")
    images = _choose_images(registry, split, image_ids)[:limit]
    data = _framed(registry, model, images, progress)
    items = []
    with (progress or SilentProgress()).task("explaining", len(data)) as task:
        said = list(predict(model.network, data, model.config, model.device))
        for position, prediction in enumerate(said):
            record = images[data.positions[position]]
            heat_SS = heat_of(model, data.images_N3SS[position : position + 1], chosen, target, prediction.class_index)
            heat_HW = unframed(heat_SS, data.frames[position])
            picture = out / f"{record.id}-{target}.png"
            draw_heat(_panel(record, prediction, heat_HW, model, target), picture)
            predicted = model.classes[prediction.class_index] if model.network.classifies else None
            items.append(
                {"image": record.id, "path": str(record.path), "class": record.class_name, "predicted": predicted,
                 "picture": str(picture)}
            )  # fmt: skip
            task.advance()
    return {"run": model.run.name, "target": target, "layer": chosen, "layers": list(layers), "items": items}


def list_layers(network: Network, size: int, device: torch.device) -> dict[str, int]:
    """Find the layers whose output is maps BCHW, in the order in which they work, with their channels."""
    found: dict[str, int] = {}

    def note(name: str, output: object) -> None:
        if isinstance(output, Tensor) and output.ndim == 4:
            found.setdefault(name, output.shape[1])

    handles = [
        module.register_forward_hook(lambda module, given, output, name=name: note(name, output))
        for name, module in network.named_modules()
        if name
    ]
    try:
        with torch.inference_mode():
            network.eval()(torch.zeros(1, 3, size, size, device=device))
    finally:
        for handle in handles:
            handle.remove()
    return found


def default_layer(layers: Mapping[str, int], target: str) -> str:
    """Choose the encoder's last map for a class, and the last that is more than an answer for a lesion.

    Raises:
        InvalidArgument: there is none.
    """
    fitting = [name for name, channels in layers.items() if channels > 1]
    if target == CLASS:
        fitting = [name for name in fitting if name.startswith("encoder.")]
    if not fitting:
        raise InvalidArgument("the encoder of this run has no maps to look at; it works on tokens alone")
    return fitting[-1]


def heat_of(model: TrainedModel, image_13SS: Tensor, layer: str, target: str, class_index: int) -> Tensor:
    """Work out Grad-CAM of one image.

    Args:
        model: whose view it is.
        image_13SS: uint8.
        layer: one of `list_layers`.
        target: `class` (the logit of a class) or `lesion` (the mean lesion logit where it is predicted, or everywhere
            where nothing is).
        class_index: which class.

    Returns:
        float SS on the CPU, 0 to 1; zeros where nothing speaks for it.

    Source: Selvaraju et al. 2017, Grad-CAM, as in captum; for masks Vinogradova et al. 2020 (SEG-GRAD-CAM).
    """
    from captum.attr import LayerGradCam

    network = model.network.eval()
    modules = dict(network.named_modules())

    def score(image_B3SS: Tensor) -> Tensor:
        output = network(image_B3SS)
        if target == CLASS:
            of_class_B: Tensor = output.class_logits_BK[:, class_index]
            return of_class_B
        logits_B1HW: Tensor = output.mask_logits_B1HW
        inside = (logits_B1HW > 0).detach()
        weight = inside.to(logits_B1HW.dtype) if bool(inside.any()) else torch.ones_like(logits_B1HW)
        mean_B: Tensor = (logits_B1HW * weight).sum(dim=(1, 2, 3)) / weight.sum()
        return mean_B

    unit_13SS = unit_images(image_13SS, model.device)
    normal_13SS = Normalizer(model.config, model.device)(unit_13SS)
    with _without_inplace(network):
        heat_11HW = LayerGradCam(score, modules[layer]).attribute(normal_13SS, relu_attributions=True)
    heat_SS = F.interpolate(heat_11HW.detach(), size=unit_13SS.shape[-2:], mode="bilinear", align_corners=False)[0, 0]
    highest = heat_SS.max()
    return (heat_SS / highest if highest > 0 else heat_SS).float().cpu()


class _without_inplace:
    """Activations that overwrite what the layer before them answered would show their own output as that layer's."""

    def __init__(self, network: nn.Module) -> None:
        self._changed = [module for module in network.modules() if getattr(module, "inplace", False) is True]

    def __enter__(self) -> None:
        for module in self._changed:
            module.inplace = False  # type: ignore[assignment]

    def __exit__(self, *exc: object) -> None:
        for module in self._changed:
            module.inplace = True  # type: ignore[assignment]


def _choose_images(registry: Registry, split: Split | None, image_ids: Sequence[int]) -> list[ImageRecord]:
    with registry.read() as tx:
        if image_ids:
            images = tx.images.select(ids=image_ids)
        else:
            chosen = split or (Split.TEST if tx.status.count().splits[Split.TEST] else Split.VAL)
            images = tx.images.select(splits=[chosen])
    if not images:
        raise DataInvalid("there is no such image; see: partly status")
    return images


def _framed(
    registry: Registry, model: TrainedModel, images: Sequence[ImageRecord], progress: Progress | None
) -> FramedData:
    with registry.read() as tx:
        examples = examples_from_records(tx, images)
    return frame_share(model, examples, Processes(), progress)


def _panel(record: ImageRecord, prediction: Prediction, heat_HW: Tensor, model: TrainedModel, target: str) -> HeatPanel:
    words = [f"image {record.id}", str(record.class_name)]
    if model.network.classifies:
        index = prediction.class_index
        words.append(f"> {model.classes[index]} {prediction.class_probability_K[index]:.2f}")
    return HeatPanel(
        image_HW3=read_image(record.path),
        heat_HW=heat_HW.numpy(),
        caption="  ".join([*words, f"heat: {target}"]),
        said=prediction.boxes if model.network.localizes else (),
        truth=record.boxes,
    )
