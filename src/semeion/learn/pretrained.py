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
from semeion.learn.places import Centres, Encoded
from semeion.plan.recipes import FrozenRecipe
from semeion.prepare.looked import middles, pools
from semeion.prepare.spread import even

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


def pooled_maps(maps: Sequence[Tensor]) -> Tensor:
    """Return the mean and the maximum over the places of each map, one layer after the other."""
    return torch.cat([pooled for one in maps for pooled in (one.mean((2, 3)), one.amax((2, 3)))], 1)


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
    kept
        Stages from the picture on that keep their weights, 0 to 8; see :class:`semeion.plan.recipes.PretrainedPlan`.

    Attributes
    ----------
    width
        Of the features, 1280.

    Raises
    ------
    InputError
        When the backbone is unknown or not installed, or `side` is out of its bounds.
    """

    def __init__(self, backbone: str, side: int, channels: int, kept: int = 0) -> None:
        super().__init__()
        if not SMALLEST <= side <= LARGEST:
            raise InputError(
                f"pictures for a pretrained network are to have a side of {side} pixels",
                where="side",
                fix=f"use {SMALLEST} to {LARGEST}",
            )
        self.side, self.channels, self.width, self.kept = side, channels, HEAD, kept
        self.colours: nn.Conv2d | None = None
        if channels not in (1, 3):
            self.colours = nn.Conv2d(channels, 3, 1, bias=False)
            with torch.no_grad():
                self.colours.weight.copy_(torch.from_numpy(colours_of(channels))[:, :, None, None])
        self.network: EfficientNetLite = pretrained(backbone)
        learns = {id(parameter) for stage in self.stages() for parameter in stage}
        for parameter in self.parameters():
            parameter.requires_grad_(id(parameter) in learns)

    def stages(self) -> list[list[nn.Parameter]]:
        """Return the parameters by stage, from the picture to the features: stem, seven stages of blocks, head.

        Every parameter that learns is in one of them: for learning rates by layer, and for releasing the last ones
        first. Those that are `kept` are in none.
        """
        first, *rest = [list(layers.parameters()) for _, layers in self.network.stages()]
        return [[*self.colours.parameters(), *first] if self.colours is not None else first, *rest][self.kept :]

    def train(self, mode: bool = True) -> PretrainedBody:
        """Change between learning and use; with stages `kept` the statistics of batches stay as they are in both."""
        super().train(mode)
        if self.kept:
            for module in self.modules():
                if isinstance(module, nn.BatchNorm2d):
                    module.eval()
        return self

    def forward(self, x: Tensor) -> Tensor:
        """Return ``(batch, width)``, the mean over the head's map.

        Parameters
        ----------
        x
            Float ``(batch, channels, rows, columns)``: pixels from 0 to 255 less 127.5, over 127.5.
        """
        return self.encoded(x).features

    def encoded(self, x: Tensor) -> Encoded:
        """Return what :meth:`forward` does, and the map that it is the mean of."""
        return _of_map(self.network.maps(self._seen(x), ("head",))[0])

    def begun(self, x: Tensor) -> Tensor:
        """Return the map of pictures, as :meth:`forward` takes them, after the stages that are `kept`."""
        return self.network.begun(self._seen(x), self.kept)

    def ended(self, begun: Tensor) -> Encoded:
        """Return what :meth:`encoded` does of what :meth:`begun` gave."""
        return _of_map(self.network.ended(begun, self.kept))

    def centres(self, size: tuple[int, ...], places: tuple[int, ...]) -> Centres:
        """Return where the places of the head's map are centred: they divide a picture evenly.

        The padding would have them half a place further on, and yet that is where the pictures they answer to have
        their middle: the network learned from pictures and their mirror images.
        """
        return tuple(even(count) for count in places[-len(size) :])

    def pooled_layers(self, x: Tensor, layers: tuple[str, ...] = ALL_LAYERS) -> Tensor:
        """Return the mean and the maximum over the map of each named layer, ``(batch, features)``."""
        return pooled_maps(self.layer_maps(x, layers))

    def layer_maps(self, x: Tensor, layers: tuple[str, ...] = ALL_LAYERS) -> list[Tensor]:
        """Return the map of each named layer, ``(batch, width, rows, columns)``."""
        return self.network.maps(self._seen(x), layers)

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


def _of_map(seen: Tensor) -> Encoded:
    return Encoded(seen.mean((2, 3)), seen[:, None])


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
        self.pools = pools(groups, kinds, counts, images="images" in apart, axes="axes" in apart)
        self.body = PretrainedBody(backbone, side, self.seen).requires_grad_(False)
        self.each = self.body.features(self.layers)
        self.doubled = max(len(places) for places in self.pools) > 1
        self.width = self.each * len(self.pools) * (2 if self.doubled else 1)
        self.eval()

    def forward(self, image: Tensor) -> Tensor:
        """Return float32 ``(batch, width)`` of a uint8 ``(batch, planes, (slices,) rows, columns)``."""
        return self.told(image)[0]

    def told(self, image: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """Return what :meth:`forward` does, and the maps that it is pooled of, by their names in the graph.

        ``map_<layer>`` in the order of the layers, ``(batch, width, rows, columns)`` where a case is one picture. Of
        several pictures ``(batch, groups x kinds, places, width, rows, columns)``: of each group each channel, where
        channels are seen each for itself, and the places along the axis; the axes behind the slices have theirs in the
        name, as ``map_headrows``.
        """
        # Batch, groups, channels, slices, rows, columns.
        whole = image.reshape(-1, self.groups, self.channels, *self.solid)
        found, maps = [], {}
        for axis, places in zip(self.along, self.taken, strict=True):
            seen = self._seen(whole, axis, places)
            kinds = self.groups * (1 if self.colours == "channels" else self.channels)
            found.append(pooled_maps(seen).reshape(-1, kinds * len(places), self.each))
            for layer, one in zip(self.layers, seen, strict=True):
                own = tuple(int(side) for side in one.shape[1:])
                shape = own if self.parts == 1 else (kinds, len(places), *own)
                maps[f"map_{layer}{AXES[axis] if axis else ''}"] = one.reshape(-1, *shape)
        features = torch.cat(found, 1) if len(found) > 1 else found[0]
        return self._pooled(features), maps

    def _pooled(self, features: Tensor) -> Tensor:
        """Return the features of cases of those of their pictures, ``(batch, pictures, features)``."""
        if self.parts == 1:
            return features[:, 0]
        if len(self.pools) == 1:
            return torch.cat([features.mean(1), features.amax(1)], 1)
        pooled = []
        for places in self.pools:
            own = features[:, places]
            pooled += [own.mean(1), own.amax(1)] if self.doubled else [own[:, 0]]
        return torch.cat(pooled, 1)

    def _seen(self, whole: Tensor, axis: int, places: list[int]) -> list[Tensor]:
        """Return the maps of the pictures along an axis: batch x groups x channels x places in the first."""
        moved = whole.movedim(3 + axis, 3)
        size = moved.shape[4:]
        if self.colours == "neighbours":
            last = int(moved.shape[3]) - 1
            around = [min(max(place + step, 0), last) for place in places for step in (-1, 0, 1)]
            pictures = moved[:, :, :, around].reshape(-1, 3, *size)
        else:
            own = moved[:, :, :, places] if len(places) < moved.shape[3] else moved
            pictures = (own.transpose(2, 3) if self.colours == "channels" else own).reshape(-1, self.seen, *size)
        return self.body.layer_maps((pictures.to(torch.float32) - MEAN) / STD, self.layers)

    def columns(self) -> list[npt.NDArray[np.int64]]:
        """Return the columns of each layer's features."""
        widths = [2 * self.body.network.widths[layer] for layer in self.layers]
        starts = np.cumsum([0, *widths])
        repeats = self.each * np.arange(self.width // self.each)
        return [
            (np.arange(start, start + width) + repeats[:, None]).reshape(-1)
            for start, width in zip(starts, widths, strict=False)
        ]


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
