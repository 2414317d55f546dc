"""A U-Net of two or three dimensions: plain or residual blocks, kernels and strides from the plan.

Source: Ronneberger et al., MICCAI 2015; the choice of kernels and strides by spacing, instance normalisation, leaky
ReLU and deep supervision follow Isensee et al., Nature Methods 18:203, 2021.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from semeion.plan.segment_schema import UNetPlan

SLOPE = 0.01
"""Of the leaky ReLU."""


def _normalisation(dims: int, norm: str, channels: int) -> nn.Module:
    if norm == "batch":
        return nn.BatchNorm2d(channels) if dims == 2 else nn.BatchNorm3d(channels)
    return nn.InstanceNorm2d(channels, affine=True) if dims == 2 else nn.InstanceNorm3d(channels, affine=True)


class Block(nn.Module):
    """Two convolutions, each normalised and followed by a leaky ReLU; with a shortcut around both when residual."""

    def __init__(
        self, inputs: int, outputs: int, kernel: Sequence[int], stride: Sequence[int], norm: str, residual: bool
    ) -> None:
        super().__init__()
        dims = len(kernel)
        conv: Any = nn.Conv2d if dims == 2 else nn.Conv3d
        padding = tuple(size // 2 for size in kernel)
        self.conv1 = conv(inputs, outputs, tuple(kernel), tuple(stride), padding, bias=False)
        self.norm1 = _normalisation(dims, norm, outputs)
        self.conv2 = conv(outputs, outputs, tuple(kernel), 1, padding, bias=False)
        self.norm2 = _normalisation(dims, norm, outputs)
        self.act = nn.LeakyReLU(SLOPE, inplace=True)
        self.shortcut: nn.Module | None = None
        if residual and inputs == outputs and max(stride) == 1:
            self.shortcut = nn.Identity()
        elif residual:
            self.shortcut = nn.Sequential(
                conv(inputs, outputs, tuple(stride), tuple(stride), bias=False), _normalisation(dims, norm, outputs)
            )

    def forward(self, x: Tensor) -> Tensor:
        """Return the block's map."""
        y = self.norm2(self.conv2(self.act(self.norm1(self.conv1(x)))))
        out: Tensor = self.act(y if self.shortcut is None else y + self.shortcut(x))
        return out


class UNet(nn.Module):
    """Encoder, decoder with skips, and one output a supervised level.

    Parameters
    ----------
    plan
        Widths, kernels, strides.
    channels
        Of the image.
    labels
        Of the output, background among them.
    """

    def __init__(self, plan: UNetPlan, channels: int, labels: int) -> None:
        super().__init__()
        conv: Any = nn.Conv2d if plan.dims == 2 else nn.Conv3d
        up: Any = nn.ConvTranspose2d if plan.dims == 2 else nn.ConvTranspose3d
        widths, levels = plan.widths, len(plan.widths)
        self.encoder = nn.ModuleList()
        for level in range(levels):
            inputs = channels if level == 0 else widths[level - 1]
            self.encoder.append(
                Block(inputs, widths[level], plan.kernels[level], plan.strides[level], plan.norm, plan.residual)
            )
        ones = (1,) * plan.dims
        self.up, self.decoder = nn.ModuleList(), nn.ModuleList()
        for level in range(levels - 1):
            stride = tuple(plan.strides[level + 1])
            self.up.append(up(widths[level + 1], widths[level], stride, stride, bias=False))
            self.decoder.append(
                Block(2 * widths[level], widths[level], plan.kernels[level], ones, plan.norm, plan.residual)
            )
        self.heads = nn.ModuleList([conv(widths[level], labels, 1) for level in range(plan.deep_supervision + 1)])
        for module in self.modules():
            if isinstance(module, nn.Conv2d | nn.Conv3d | nn.ConvTranspose2d | nn.ConvTranspose3d):
                nn.init.kaiming_normal_(module.weight, SLOPE)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)

    def forward(self, x: Tensor) -> list[Tensor]:
        """Return logits ``(N, labels, ...)`` from full resolution to the coarsest supervised level."""
        skips = []
        for block in self.encoder:
            x = block(x)
            skips.append(x)
        out: list[Tensor] = []
        for level in range(len(self.up) - 1, -1, -1):
            x = self.decoder[level](torch.cat([self.up[level](x), skips[level]], 1))
            if level < len(self.heads) and (self.training or level == 0):
                out.append(self.heads[level](x))
        return out[::-1]


class ShippedUNet(nn.Module):
    """What is exported: an image in, logits at full resolution out."""

    def __init__(self, network: UNet) -> None:
        super().__init__()
        self.network = network

    def forward(self, image: Tensor) -> Tensor:
        """Return logits ``(N, labels, ...)`` of prepared patches ``(N, channels, ...)``."""
        out: Tensor = self.network(image)[0]
        return out
