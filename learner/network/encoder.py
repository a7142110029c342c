"""FEX: image -> feature maps at falling resolution, from any timm encoder that can return features.

Publishes `channels` and `strides` of its levels, finest first; heads need only those numbers.
"""

import difflib
from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn

from learner.errors import ConfigInvalid
from learner.input_range import Statistics
from learner.timm_import import timm

WANTED_STRIDES = (4, 8, 16, 32)
FINER_STRIDES = (2, *WANTED_STRIDES)
"""With a level that not every encoder has."""


def create_timm(name: str, *, size: int, pretrained: bool = False, **options: Any) -> Any:
    """Create a model of timm for images of this side, where the model wants to know it.

    Raises:
        ConfigInvalid: timm has no such model, or it cannot do what the options ask for.
    """
    try:
        try:
            return timm.create_model(name, pretrained=pretrained, img_size=size, **options)
        except TypeError:
            # Only models of patches and windows are built for a size.
            return timm.create_model(name, pretrained=pretrained, **options)
    except (RuntimeError, AttributeError, ValueError, KeyError, AssertionError) as exc:
        if pretrained:
            raise
        likely = difflib.get_close_matches(name, timm.list_models(), n=1)
        near = ", ".join(timm.list_models(f"*{name[:6]}*")[:4])
        hint = f"; did you mean {likely[0]}?" if likely else f"; timm has, for example, {near}" if near else ""
        raise ConfigInvalid(f"encoder={name} cannot be used as a feature encoder ({exc}){hint}") from exc


def timm_statistics(body: Any) -> Statistics:
    """Return mean and deviation that the pretrained weights of a model of timm were made with."""
    known = body.pretrained_cfg
    return tuple(known["mean"]), tuple(known["std"])


class Encoder(nn.Module):
    """The paper's FEX (Eq. 1): features f_1..f_n at strides 4, 8, 16 and 32 where the encoder has them."""

    def __init__(self, name: str, *, size: int = 256, wanted: Sequence[int] = WANTED_STRIDES) -> None:
        """Build the encoder without weights.

        Args:
            name: of a timm model.
            size: side of the images, pixels; a multiple of the patches' size where there are patches.
            wanted: strides of the levels, of those that it has.

        Raises:
            ConfigInvalid: timm has no such encoder, or it cannot return features.
        """
        super().__init__()
        self.name, self.size = name, size
        strides = list(create_timm(name, size=size, features_only=True).feature_info.reduction())
        if len(set(strides)) < 2:
            # A plain ViT has one scale: its last block is made into the levels of a pyramid.
            self.indices: tuple[int, ...] = (len(strides) - 1,)
        else:
            self.indices = tuple(strides.index(stride) for stride in wanted if stride in strides)
        self.body: Any = create_timm(name, size=size, features_only=True, out_indices=self.indices)
        self.body_channels: list[int] = list(self.body.feature_info.channels())
        self.strides: list[int] = list(self.body.feature_info.reduction())
        self.channels = list(self.body_channels)
        self.pyramid: OneScalePyramid | None = None
        if len(self.indices) == 1:
            self.pyramid = OneScalePyramid(self.channels[0])
            self.channels = self.pyramid.channels
            self.strides = [self.strides[0] * 4 // factor for factor in (16, 8, 4, 2)]
        # Does nothing: a place to look at each level, whatever the encoder's own modules answer with.
        self.levels = nn.ModuleList(nn.Identity() for _ in self.channels)

    def pretrained_body(self) -> nn.Module:
        """Return the same encoder with its ImageNet weights."""
        body: nn.Module = create_timm(
            self.name, size=self.size, pretrained=True, features_only=True, out_indices=self.indices
        )
        return body

    def pretrained_statistics(self) -> Statistics:
        """Return mean and deviation that its ImageNet weights were made with."""
        return timm_statistics(self.body)

    def forward(self, image_B3HW: Tensor) -> list[Tensor]:
        """Return the feature maps BCHW, finest first."""
        features: list[Tensor] = self.body(image_B3HW)
        # Swin and its like answer in BHWC.
        maps = [
            feature if feature.shape[1] == channels else feature.permute(0, 3, 1, 2).contiguous()
            for feature, channels in zip(features, self.body_channels, strict=True)
        ]
        maps = maps if self.pyramid is None else self.pyramid(maps[0])
        return [level(feature) for level, feature in zip(self.levels, maps, strict=True)]


class OneScalePyramid(nn.Module):
    """Levels at four strides from one map: enlarged twice, once, as it is, and halved.

    Source: Li et al. 2022, Exploring plain vision transformer backbones for object detection (ViTDet), section 3.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        half, quarter = channels // 2, channels // 4
        self.channels = [quarter, half, channels, channels]
        self.twice = nn.Sequential(
            nn.ConvTranspose2d(channels, half, 2, stride=2),
            nn.BatchNorm2d(half),
            nn.GELU(),
            nn.ConvTranspose2d(half, quarter, 2, stride=2),
        )
        self.once = nn.ConvTranspose2d(channels, half, 2, stride=2)
        self.halved = nn.MaxPool2d(2)

    def forward(self, map_BCHW: Tensor) -> list[Tensor]:
        """Return four maps, finest first."""
        return [self.twice(map_BCHW), self.once(map_BCHW), map_BCHW, self.halved(map_BCHW)]
