"""FEX: image -> feature maps at falling resolution, from any timm encoder that can return features.

Publishes `channels` and `strides` of its levels, finest first; heads need only those numbers.
"""

from pathlib import Path
from typing import Any

import timm
from safetensors.torch import load_file
from torch import Tensor, nn

from learner.errors import ConfigInvalid, WeightsUnavailable

WANTED_STRIDES = (4, 8, 16, 32)


class Encoder(nn.Module):
    """The paper's FEX (Eq. 1): features f_1..f_n at strides 4, 8, 16 and 32 where the encoder has them."""

    def __init__(self, name: str) -> None:
        """Build the encoder without weights.

        Raises:
            ConfigInvalid: timm has no such encoder, or it cannot return features.
        """
        super().__init__()
        try:
            probe: Any = timm.create_model(name, features_only=True, pretrained=False)
            strides = list(probe.feature_info.reduction())
            indices = [strides.index(stride) for stride in WANTED_STRIDES if stride in strides]
            if len(set(strides)) < 2:
                # A plain ViT has one scale: its last four blocks are the levels.
                indices = list(range(len(strides)))[-4:]
            self.body: Any = timm.create_model(name, features_only=True, pretrained=False, out_indices=tuple(indices))
        except (RuntimeError, AttributeError, ValueError, KeyError) as exc:
            near = ", ".join(timm.list_models(f"*{name[:6]}*")[:4])
            hint = f"; timm has for example {near}" if near else ""
            raise ConfigInvalid(f"encoder={name} cannot be used as a feature encoder ({exc}){hint}") from exc
        self.name = name
        feature_info: Any = self.body.feature_info
        self.channels: list[int] = list(feature_info.channels())
        self.strides: list[int] = list(feature_info.reduction())

    def forward(self, image_B3HW: Tensor) -> list[Tensor]:
        """Return the feature maps BCHW, finest first."""
        features: list[Tensor] = self.body(image_B3HW)
        # Swin and its like answer in BHWC.
        return [
            feature if feature.shape[1] == channels else feature.permute(0, 3, 1, 2).contiguous()
            for feature, channels in zip(features, self.channels, strict=True)
        ]


def load_encoder_weights(encoder: Encoder, weights: str) -> None:
    """Load encoder weights: `none`, `imagenet` (through timm, from its hub), or a safetensors file.

    Raises:
        WeightsUnavailable: they cannot be had or do not fit; the message says which option to use.
    """
    if weights == "none":
        return
    if weights == "imagenet":
        _load_imagenet(encoder)
        return
    path = Path(weights)
    try:
        state = load_file(path)
    except Exception as exc:  # the reader has no error class of its own
        raise WeightsUnavailable(f"--weights {weights}: cannot be read as a safetensors file ({exc})") from exc
    body = encoder.body.state_dict()
    fitting = {key: value for key, value in state.items() if key in body and body[key].shape == value.shape}
    if len(fitting) < len(body) / 2:
        raise WeightsUnavailable(
            f"--weights {weights}: only {len(fitting)} of the {len(body)} tensors of {encoder.name} are in the file"
        )
    encoder.body.load_state_dict(fitting, strict=False)


def _load_imagenet(encoder: Encoder) -> None:
    try:
        pretrained = timm.create_model(
            encoder.name, features_only=True, pretrained=True, out_indices=encoder.body.feature_info.out_indices
        )
    except Exception as exc:  # the hub's client raises whatever its transport raises
        raise WeightsUnavailable(
            f"the ImageNet weights of {encoder.name} cannot be fetched from the model hub ({type(exc).__name__}). "
            "Without a way to the hub, train from scratch with --weights none, or name a file with "
            "--weights FILE.safetensors"
        ) from exc
    encoder.body.load_state_dict(pretrained.state_dict())
