"""A pretrained body for pictures of any size and channels, and features that it gives without learning."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from semeion.errors import InputError
from semeion.learn.efficientnet_lite import HEAD, LAYERS, MEAN, STD, EfficientNetLite, pretrained
from semeion.plan.recipes import FrozenRecipe

GRID = 16
SMALLEST, LARGEST = 32, 512
MOST_SLICES = 16
"""Slices of a volume that frozen features are taken of: enough to meet a finding of a sixteenth of the volume's depth,
at the price of sixteen pictures."""
AXES = ("slices", "rows", "columns")
"""Of a volume, in the order of its array."""
ALL_LAYERS = ("stride8", "stride16", "stride32", "head")


def size_for(size: tuple[int, int], side: int) -> tuple[int, int]:
    """Return rows and columns that a picture is resized to, so that the longer becomes `side`.

    Both are the multiples of 16 that are nearest, and at least 32, so that the last map has a pixel.
    """
    scale = side / max(size)
    rows, columns = (max(SMALLEST, math.floor(one * scale / GRID + 0.5) * GRID) for one in size)
    return rows, columns


@lru_cache(maxsize=64)
def resizing(before: int, after: int) -> npt.NDArray[np.float32]:
    """Return the matrix ``(after, before)`` that resizes one axis: linear, and over as many pixels as fall together.

    A triangle whose half-width is one pixel of the coarser grid, normalised at the borders (Turkowski, Filters for
    common resampling tasks, Graphics Gems I, 1990); the same as bilinear interpolation with antialiasing in PyTorch.
    As a matrix it exports to any version of ONNX, and its gradient does not depend on the order of a sum.
    """
    scale = before / after
    reach = max(scale, 1.0)
    centres = (np.arange(after) + 0.5) * scale
    weights = np.maximum(0.0, 1 - np.abs(np.arange(before) + 0.5 - centres[:, None]) / reach)
    weights /= weights.sum(1, keepdims=True)
    return weights.astype(np.float32)


def colours_of(channels: int) -> npt.NDArray[np.float32]:
    """Return the weights ``(3, channels)`` by which channels become the three planes that the network knows.

    Each plane is a mean of neighbouring channels, and the planes are spread evenly over them: one channel is repeated,
    three stay as they are, two become first, mean, second. The plain mean over channels would hide from the network
    what tells them apart.
    """
    middles = np.arange(3)[:, None] * (channels - 1) / 2
    weights = np.maximum(0.0, 1 - np.abs(np.arange(channels) - middles) / max(1.0, (channels - 1) / 2))
    weights /= weights.sum(1, keepdims=True)
    return weights.astype(np.float32)


class PretrainedBody(nn.Module):
    """An EfficientNet-Lite with ImageNet weights for standardised pictures of any size and channels.

    Pictures are resized first, inside the graph, so that what ships takes the stored pictures as they are.

    Parameters
    ----------
    backbone
        ``lite0``, ``lite1`` or ``lite2``.
    side
        Longer side that pictures are resized to, from 32 to 512 pixels; see :func:`size_for`.
    channels
        Of a picture. Other than 1 or 3: a 1 x 1 convolution, which learns too, begins as :func:`colours_of`.

    Attributes
    ----------
    width
        Of the features, 1280.

    Raises
    ------
    InputError
        When the backbone is unknown or not installed, or `side` is out of its bounds.
    """

    def __init__(self, backbone: str, side: int, channels: int) -> None:
        super().__init__()
        if not SMALLEST <= side <= LARGEST:
            raise InputError(
                f"pictures for a pretrained network are to have a side of {side} pixels",
                where="side",
                fix=f"use {SMALLEST} to {LARGEST}",
            )
        self.side, self.channels, self.width = side, channels, HEAD
        self.colours: nn.Conv2d | None = None
        if channels not in (1, 3):
            self.colours = nn.Conv2d(channels, 3, 1, bias=False)
            with torch.no_grad():
                self.colours.weight.copy_(torch.from_numpy(colours_of(channels))[:, :, None, None])
        self.network: EfficientNetLite = pretrained(backbone)

    def stages(self) -> list[list[nn.Parameter]]:
        """Return the parameters by stage, from the picture to the features: stem, seven stages of blocks, head.

        Every parameter is in one of them: for learning rates by layer, and for releasing the last ones first.
        """
        first, *rest = [list(layers.parameters()) for _, layers in self.network.stages()]
        return [[*self.colours.parameters(), *first] if self.colours is not None else first, *rest]

    def forward(self, x: Tensor) -> Tensor:
        """Return ``(batch, width)``, the mean over the head's map.

        Parameters
        ----------
        x
            Float ``(batch, channels, rows, columns)``: pixels from 0 to 255 less 127.5, over 127.5.
        """
        return self.network.maps(self._seen(x), ("head",))[0].mean((2, 3))

    def pooled_layers(self, x: Tensor, layers: tuple[str, ...] = ALL_LAYERS) -> Tensor:
        """Return the mean and the maximum over the map of each named layer, ``(batch, features)``."""
        maps = self.network.maps(self._seen(x), layers)
        return torch.cat([pooled for one in maps for pooled in (one.mean((2, 3)), one.amax((2, 3)))], 1)

    def features(self, layers: tuple[str, ...] = ALL_LAYERS) -> int:
        """Return how many features :meth:`pooled_layers` gives."""
        return 2 * sum(self.network.widths[layer] for layer in layers)

    def _seen(self, x: Tensor) -> Tensor:
        """Return the pictures as the network sees them: resized, in three planes."""
        # Plain integers, so that an exported graph holds the matrices as constants.
        rows, columns = int(x.shape[-2]), int(x.shape[-1])
        wanted = size_for((rows, columns), self.side)
        if wanted != (rows, columns):
            down = torch.from_numpy(resizing(rows, wanted[0])).to(x.device)
            along = torch.from_numpy(resizing(columns, wanted[1])).to(x.device)
            # In half precision neighbouring grey levels would fall together.
            with torch.autocast(x.device.type, enabled=False):
                x = (down @ x.float()) @ along.T
        if self.channels == 1:
            return torch.cat([x, x, x], 1)
        return x if self.colours is None else self.colours(x)


class FrozenFeatures(nn.Module):
    """The graph from a uint8 case to features of a pretrained network; nothing in it learns.

    Every picture of a case is read for itself by the same network: of a volume at most `slices` along each axis of
    `along`, the middles of as many equal parts; of frames or views each. Of several pictures the features are the mean
    over them and then the maximum over them, so a finding in one of many is kept; their order is not used, and the
    number of features does not depend on how many they are.

    Parameters
    ----------
    backbone, side
        As for :class:`PretrainedBody`.
    shape
        Of a case: planes, (slices,) rows, columns; the planes of the first group come first.
    groups
        Frames or views of a case; 1 for a single image or for channels.
    layers
        Whose mean and maximum over the map are the features; among ``stride4``, ``stride8``, ``stride16``,
        ``stride32`` and ``head``.
    slices
        Most pictures of a volume along each axis.
    along, colours, apart
        As in :class:`semeion.plan.recipes.FrozenRecipe`. What is apart comes one after the other: the groups, of each
        the channels, of each the axes in the order of `along`.

    Attributes
    ----------
    parts
        Pictures of a case that are read.
    width
        Features of a case.

    Raises
    ------
    InputError
        When the backbone is unknown or not installed, `side` is out of its bounds, or a layer is unknown or named
        twice.
    """

    def __init__(
        self,
        backbone: str,
        shape: tuple[int, ...],
        *,
        groups: int = 1,
        side: int = 128,
        layers: Sequence[str] = ALL_LAYERS,
        slices: int = MOST_SLICES,
        along: Sequence[str] = AXES[:1],
        colours: str = "channels",
        apart: Sequence[str] = (),
    ) -> None:
        super().__init__()
        if not layers or set(layers) - set(LAYERS) or len(set(layers)) != len(layers):
            raise InputError(
                f"the layers of the frozen features are {', '.join(layers) or 'none'}",
                where="layers",
                fix=f"name some of {', '.join(LAYERS)}, each once",
            )
        self.layers, self.groups, self.channels = tuple(layers), groups, shape[0] // groups
        # A picture is a volume of one slice, which is seen from no other side and has no neighbours.
        self.solid = (1, *shape[1:]) if len(shape) == 3 else shape[1:]
        self.along = [AXES.index(axis) for axis in (along if len(shape) == 4 else AXES[:1])]
        self.colours = colours if len(shape) == 4 or colours != "neighbours" else "each"
        self.taken = [middles(self.solid[axis], slices) for axis in self.along]
        kinds = 1 if self.colours == "channels" else self.channels
        self.seen = {"channels": self.channels, "neighbours": 3, "each": 1}[self.colours]
        counts = [len(places) for places in self.taken]
        self.parts = groups * kinds * sum(counts)
        # What is pooled: each list holds the pictures of one pool, by their places in the order of reading.
        self.pools = _pools(groups, kinds, counts, "images" in apart, "axes" in apart)
        self.body = PretrainedBody(backbone, side, self.seen).requires_grad_(False)
        self.each = self.body.features(self.layers)
        self.doubled = max(len(places) for places in self.pools) > 1
        self.width = self.each * len(self.pools) * (2 if self.doubled else 1)
        self.eval()

    def forward(self, image: Tensor) -> Tensor:
        """Return float32 ``(batch, width)`` of a uint8 ``(batch, planes, (slices,) rows, columns)``."""
        # Batch, groups, channels, slices, rows, columns.
        whole = image.reshape(-1, self.groups, self.channels, *self.solid)
        found = [self._seen(whole, axis, places) for axis, places in zip(self.along, self.taken, strict=True)]
        features = torch.cat(found, 1) if len(found) > 1 else found[0]
        if self.parts == 1:
            return features[:, 0]
        if len(self.pools) == 1:
            return torch.cat([features.mean(1), features.amax(1)], 1)
        pooled = []
        for places in self.pools:
            own = features[:, places]
            pooled += [own.mean(1), own.amax(1)] if self.doubled else [own[:, 0]]
        return torch.cat(pooled, 1)

    def _seen(self, whole: Tensor, axis: int, places: list[int]) -> Tensor:
        """Return the features of the pictures along an axis, ``(batch, groups x channels x places, features)``."""
        moved = whole.movedim(3 + axis, 3)
        size = moved.shape[4:]
        if self.colours == "neighbours":
            last = int(moved.shape[3]) - 1
            around = [min(max(place + step, 0), last) for place in places for step in (-1, 0, 1)]
            pictures = moved[:, :, :, around].reshape(-1, 3, *size)
        else:
            own = moved[:, :, :, places] if len(places) < moved.shape[3] else moved
            pictures = (own.transpose(2, 3) if self.colours == "channels" else own).reshape(-1, self.seen, *size)
        said = self.body.pooled_layers((pictures.to(torch.float32) - MEAN) / STD, self.layers)
        kinds = 1 if self.colours == "channels" else self.channels
        return said.reshape(-1, self.groups * kinds * len(places), self.each)

    def columns(self) -> list[npt.NDArray[np.int64]]:
        """Return the columns of each layer's features."""
        widths = [2 * self.body.network.widths[layer] for layer in self.layers]
        starts = np.cumsum([0, *widths])
        repeats = self.each * np.arange(self.width // self.each)
        return [
            (np.arange(start, start + width) + repeats[:, None]).reshape(-1)
            for start, width in zip(starts, widths, strict=False)
        ]


def _pools(groups: int, kinds: int, counts: list[int], images: bool, axes: bool) -> list[list[int]]:
    """Return the places of the pictures that are pooled with one another, one list a pool.

    Pictures are read axis by axis, along each group by group, of each kind by kind, of each slice by slice. Groups are
    apart where `images`, axes where `axes`; kinds always are.
    """
    found: dict[tuple[int, int, int], list[int]] = {}
    place = 0
    for axis, count in enumerate(counts):
        for group in range(groups):
            for kind in range(kinds):
                key = (group if images else 0, kind, axis if axes else 0)
                found.setdefault(key, []).extend(range(place, place + count))
                place += count
    return [found[key] for key in sorted(found)]


def frozen_of(recipe: FrozenRecipe, shape: tuple[int, ...], groups: int) -> FrozenFeatures:
    """Return what gives the features of a recipe, of cases of `shape` with so many frames or views."""
    return FrozenFeatures(
        recipe.backbone,
        shape,
        groups=groups,
        side=recipe.side,
        layers=recipe.layers,
        slices=recipe.slices,
        along=recipe.along,
        colours=recipe.colours,
        apart=recipe.apart,
    )


def middles(depth: int, most: int) -> list[int]:
    """Return the slices in the middle of at most `most` equal parts of a volume's depth; all when they are few."""
    count = min(depth, most)
    return [int((number + 0.5) * depth / count) for number in range(count)]
