"""CBAM: channel attention, then spatial attention, in the original configuration. Source: Woo et al. 2018."""

import torch
from torch import Tensor, nn


class ChannelAttention(nn.Module):
    """CAM: which channels matter, from their average and maximum through one shared bottleneck."""

    def __init__(self, channels: int, reduction: int = 16) -> None:
        super().__init__()
        hidden = max(1, channels // reduction)
        self.bottleneck = nn.Sequential(
            nn.Conv2d(channels, hidden, 1, bias=False),
            nn.ReLU(inplace=True),
            nn.Conv2d(hidden, channels, 1, bias=False),
        )

    def forward(self, feature_BCHW: Tensor) -> Tensor:
        """Scale each channel by its weight in 0 to 1; the shape stays BCHW."""
        average_BC11 = feature_BCHW.mean(dim=(2, 3), keepdim=True)
        peak_BC11 = feature_BCHW.amax(dim=(2, 3), keepdim=True)
        weight_BC11 = torch.sigmoid(self.bottleneck(average_BC11) + self.bottleneck(peak_BC11))
        return feature_BCHW * weight_BC11


class SpatialAttention(nn.Module):
    """SAM: which places matter, from the average and maximum over channels through one 7x7 convolution."""

    def __init__(self, kernel_size: int = 7) -> None:
        super().__init__()
        self.conv = nn.Conv2d(2, 1, kernel_size, padding=kernel_size // 2, bias=False)

    def forward(self, feature_BCHW: Tensor) -> Tensor:
        """Scale each place by its weight in 0 to 1; the shape stays BCHW."""
        pooled_B2HW = torch.cat([feature_BCHW.mean(dim=1, keepdim=True), feature_BCHW.amax(dim=1, keepdim=True)], dim=1)
        return feature_BCHW * torch.sigmoid(self.conv(pooled_B2HW))


class CBAM(nn.Module):
    """CAM followed by SAM; either can be left out."""

    def __init__(self, channels: int, *, cam: bool = True, sam: bool = True) -> None:
        super().__init__()
        self.channel = ChannelAttention(channels) if cam else nn.Identity()
        self.spatial = SpatialAttention() if sam else nn.Identity()

    def forward(self, feature_BCHW: Tensor) -> Tensor:
        """Attend to channels, then to places; the shape stays BCHW."""
        attended_BCHW: Tensor = self.spatial(self.channel(feature_BCHW))
        return attended_BCHW
