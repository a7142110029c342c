"""The explanation use-case: where a model looks, as Grad-CAM over images, for the class or for the lesion.

Shape legend: B batch, C channels, S side of the square, H W the image's own size.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from db.errors import InvalidArgument
from db.imaging.decode import read_image
from db.progress import Progress, SilentProgress
from db.records import ImageRecord, Split
from db.registry import Registry
from learner.data.dataset import FramedData, load_framed
from learner.data.examples import examples_from_records
from learner.data.letterbox import unframed, unit_images
from learner.errors import DataInvalid
from learner.inference.predict import Prediction, predict
from learner.inference.trained_model import TrainedModel, open_run
from learner.network.forward import Normalizer
from learner.network.interface import Network
from learner.reporting.drawing import HeatPanel, draw_heat, ending

CLASS, LESION = "class", "lesion"


@dataclass(frozen=True, slots=True)
class ExplainRequest:
    """Which images of which run are explained, and for what."""

    run: str | None = None
    """None for the newest finished one."""
    split: Split | None = None
    """Whose images; None for test, or validation where there is no test image."""
    image_ids: tuple[int, ...] = ()
    """These images instead."""
    target: str = CLASS
    """`class` or `lesion`."""
    layer: str | None = None
    """Of the network, see `list_layers`; None for `default_layer`."""
    limit: int = 12
    """Largest number of images, in the order of their numbers."""


@dataclass(frozen=True, slots=True)
class ExplainedImage:
    """One picture."""

    image: int
    path: str
    class_name: str | None
    predicted: str | None
    picture: Path


@dataclass(frozen=True, slots=True)
class Explanation:
    """What was drawn."""

    run: str
    target: str
    layer: str
    layers: tuple[str, ...]
    """All layers that can be explained, in the order in which they run."""
    items: tuple[ExplainedImage, ...]


def explain_images(
    registry: Registry, out: Path, request: ExplainRequest | None = None, *, progress: Progress | None = None
) -> Explanation:
    """Draw what in an image speaks for the predicted class, or for the lesion.

    Args:
        registry: where the run and the images are.
        out: folder for the pictures, made where it is missing.
        request: which run, images, target and layer; None for the newest run and the class.
        progress: where to show how far it is.

    Raises:
        InvalidArgument: there is no such target or layer, or the method does not predict that.
        DataInvalid: there is no such image; NotFound, CheckpointIncompatible: the run cannot be used.
    """
    request = request or ExplainRequest()
    model = open_run(registry, request.run)
    layers = list_layers(model.network, model.config.size, model.device)
    layer = _choose_layer(model, layers, request)
    images = _choose_images(registry, request.split, request.image_ids)[: request.limit]
    data = _framed(registry, model, images, progress)
    items = []
    with (progress or SilentProgress()).task("explaining", len(data)) as task:
        for position, prediction in enumerate(list(predict(model.network, data, model.config, model.device))):
            record = images[data.positions[position]]
            image_13SS = data.images_N3SS[torch.tensor([position])]
            heat_SS = heat_of(model, image_13SS, layer, request.target, prediction.class_index)
            heat_HW = unframed(heat_SS, data.frames[position])
            picture = out / f"{record.id}-{request.target}.png"
            draw_heat(_panel(record, prediction, heat_HW, model, request.target), picture)
            predicted = model.classes[prediction.class_index] if model.network.classifies else None
            items.append(ExplainedImage(record.id, str(record.path), record.class_name, predicted, picture))
            task.advance()
    return Explanation(model.run.name, request.target, layer, tuple(layers), tuple(items))


def _choose_layer(model: TrainedModel, layers: Mapping[str, int], request: ExplainRequest) -> str:
    answers = {CLASS: model.network.classifies, LESION: model.network.localizes}
    if not answers.get(request.target):
        possible = ", ".join(name for name, answered in answers.items() if answered)
        raise InvalidArgument(f"--target {request.target}: {model.run.name} can explain: {possible}")
    layer = request.layer or default_layer(layers, request.target)
    if layer not in layers:
        raise InvalidArgument(f"--layer {layer}: no such layer with feature maps; list them with: --list-layers")
    return layer


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
        raise InvalidArgument("Grad-CAM needs feature maps, but the encoder of this run has only tokens")
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
    # Of an image that is scored in tiles, too, the whole is explained.
    seen_13SS = F.adaptive_avg_pool2d(unit_13SS, model.config.size)
    normal_13SS = Normalizer(model.config, model.device)(seen_13SS)
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
    return load_framed(examples, model.classes, model.framer(progress), progress=progress)


def _panel(record: ImageRecord, prediction: Prediction, heat_HW: Tensor, model: TrainedModel, target: str) -> HeatPanel:
    words = [f"{record.id} {ending(record.path.name)}", str(record.class_name)]
    if model.network.classifies:
        index = prediction.class_index
        words.append(f"> {model.classes[index]} {prediction.class_probability_K[index]:.2f}")
    return HeatPanel(
        image_HW3=read_image(record.path),
        heat_HW=heat_HW.numpy(),
        caption="  ".join([*words, f"heat: {target}"]),
        predicted=prediction.boxes if model.network.localizes else (),
        truth=record.boxes,
    )
