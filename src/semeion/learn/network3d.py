"""Networks of volumes, and of several images a case: encoders of parts, pooling, head."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, TypeAlias, cast

import torch
import torch.nn.functional as F  # noqa: N812 - its usual name
from torch import Tensor, nn

from semeion.errors import InputError
from semeion.learn.network import Network, make_head
from semeion.learn.own import own_network
from semeion.learn.places import Centres, Encoded, Told, by_groups, contributions, last_layer, strided
from semeion.learn.shrink import shrunk
from semeion.learn.slices import PictureEncoder, RecurrentPool, SliceEncoder, make_pool
from semeion.learn.stages import stages_of
from semeion.plan.networks import seen_size
from semeion.plan.recipes import AnyNetwork, NetworkPlan, PretrainedPlan

if TYPE_CHECKING:
    from semeion.learn.pretrained import PretrainedBody

Triple = tuple[int, int, int]


def strides_of(size: Triple, stem: int, stages: int) -> list[Triple]:
    """Return the stride of the stem and of each stage: an axis is halved while it is long beside the longest.

    An axis of half the longest or less, or of fewer than 4 voxels, keeps its length, so that maps become cubes and
    thick slices are not merged before thin rows and columns are.
    """
    sides = [int(side) for side in size]
    found: list[Triple] = []
    for stage in range(stages + 1):
        asked = stem if stage == 0 else (1 if stage == 1 else 2)
        longest = max(sides)
        stride = [asked if 2 * side > longest and side >= 4 else 1 for side in sides]
        sides = [-(-side // step) for side, step in zip(sides, stride, strict=True)]
        found.append((stride[0], stride[1], stride[2]))
    return found


class ResidualBlock3d(nn.Module):
    """Two 3 x 3 x 3 convolutions and a shortcut (He et al., CVPR 2016, in three dimensions)."""

    def __init__(self, inputs: int, outputs: int, stride: Triple) -> None:
        super().__init__()
        self.conv1 = nn.Conv3d(inputs, outputs, 3, stride, 1, bias=False)
        self.norm1 = nn.BatchNorm3d(outputs)
        self.conv2 = nn.Conv3d(outputs, outputs, 3, 1, 1, bias=False)
        self.norm2 = nn.BatchNorm3d(outputs)
        self.shortcut: nn.Module = nn.Identity()
        if max(stride) != 1 or inputs != outputs:
            self.shortcut = nn.Sequential(nn.Conv3d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm3d(outputs))

    def forward(self, x: Tensor) -> Tensor:
        """Return the block's map, ``(batch, outputs, depth, height, width)`` over the strides."""
        y = F.relu(self.norm1(self.conv1(x)))
        return F.relu(self.norm2(self.conv2(y)) + self.shortcut(x))


class VolumeEncoder(nn.Module):
    """Features of a volume: a residual body in three dimensions and the mean over its map."""

    def __init__(self, plan: NetworkPlan, channels: int, size: Triple) -> None:
        super().__init__()
        strides = strides_of(size, plan.stem_stride, len(plan.widths))
        first = plan.widths[0]
        stem = nn.Conv3d(channels, first, 3, strides[0], 1, bias=False)
        layers: list[nn.Module] = [stem, nn.BatchNorm3d(first), nn.ReLU()]
        width = first
        for stage, wanted in enumerate(plan.widths):
            for block in range(plan.blocks):
                layers.append(ResidualBlock3d(width, wanted, (1, 1, 1) if block else strides[stage + 1]))
                width = wanted
        self.body, self.width = nn.Sequential(*layers), width
        self.strides = tuple(math.prod(along) for along in zip(*strides, strict=True))

    def forward(self, x: Tensor) -> Tensor:
        """Return ``(batch, width)`` of ``(batch, channels, depth, height, width)``."""
        return self.encoded(x).features

    def encoded(self, x: Tensor) -> Encoded:
        """Return what :meth:`forward` does, and the map that it is the mean of."""
        seen: Tensor = self.body(x)
        return Encoded(seen.mean((2, 3, 4)), seen[:, None])

    def centres(self, size: tuple[int, ...], places: tuple[int, ...]) -> Centres:
        """Return where the places of a map of volumes of `size` are centred."""
        return tuple(strided(*one) for one in zip(places, self.strides, size, strict=True))

    def stages(self) -> list[list[nn.Parameter]]:
        """Return the parameters that learn at one rate: all of them."""
        return [list(self.parameters())]


class PartsNetwork(nn.Module):
    """Encodes each image of a case for itself (channels of one grid together), pools, and answers.

    Parameters
    ----------
    plan
        Kind of encoder, poolings, whether groups share an encoder.
    shape
        Of a case: planes, (slices,) height, width. The planes of the first group come first.
    groups
        Frames or views of a case; 1 for a single image or for channels.
    task, outputs
        As for :class:`semeion.learn.network.Network`.
    """

    def __init__(
        self, plan: NetworkPlan | PretrainedPlan, shape: tuple[int, ...], groups: int, task: str, outputs: int
    ) -> None:
        super().__init__()
        self.shared = isinstance(plan, PretrainedPlan) or plan.shared
        self.groups, self.spatial = groups, len(shape) - 1
        self.channels = shape[0] // groups
        encoders = [make_encoder(plan, self.channels, shape[1:]) for _ in range(1 if self.shared else groups)]
        self.encoders = nn.ModuleList(encoders)
        width = encoders[0].width
        # A shared encoder cannot know which view it sees; what is added tells the pooling.
        self.place = nn.Parameter(torch.zeros(groups, width)) if self.shared and groups > 1 else None
        self.pool = make_pool(plan.group_pooling, width) if groups > 1 else None
        self.dropout = nn.Dropout(plan.dropout)
        self.head = make_head(self.pool.width if self.pool is not None else width, task, outputs)

    def forward(self, x: Tensor) -> Tensor:
        """Return logits ``(batch, outputs)`` of standardised cases ``(batch, planes, (slices,) height, width)``."""
        logits: Tensor = self.head(self.dropout(self._features(x)[0]))
        return logits

    def told(self, x: Tensor) -> Told:
        """Return what :meth:`forward` says of cases in use, and where it comes from."""
        features, encoded, pooled = self._features(x)
        logits: Tensor = self.head(features)
        maps = self._maps(encoded, pooled, tuple(int(side) for side in x.shape[2:]))
        return Told(logits, features, maps, self._weights(encoded, pooled))

    def stages(self) -> list[list[nn.Parameter]]:
        """Return the parameters that learn at one rate, from the input to the output."""
        staged = [stages_of(encoder) for encoder in self.encoders]
        inner = [[p for stage in same for p in stage] for same in zip(*staged, strict=True)]
        taken = {id(p) for encoder in self.encoders for p in encoder.parameters()}
        return [*inner, [p for p in self.parameters() if id(p) not in taken]]

    def begun(self, x: Tensor) -> Tensor:
        """Return the maps of standardised cases after the stages that a pretrained body keeps.

        ``(batch, groups x width, rows, columns)``, the first group's first.
        """
        found = self._pretrained.begun(x.reshape(-1, self.channels, *x.shape[2:]))
        return found.reshape(-1, self.groups * found.shape[1], *found.shape[2:])

    def ended(self, begun: Tensor) -> Tensor:
        """Return what :meth:`forward` does of what :meth:`begun` gave."""
        apart = begun.reshape(-1, begun.shape[1] // self.groups, *begun.shape[2:])
        logits: Tensor = self.head(self.dropout(self._of_one(self._pretrained.ended(apart))[0]))
        return logits

    @property
    def _encoders(self) -> list[Encoder]:
        return cast("list[Encoder]", list(self.encoders))

    @property
    def _pretrained(self) -> PretrainedBody:
        return cast("PretrainedBody", self.encoders[0])

    def _features(self, x: Tensor) -> tuple[Tensor, list[Encoded], Tensor | None]:
        """Return the features of cases, what each group was encoded to, and the groups' shares (as `Encoded`)."""
        if self.pool is None or self.place is not None:
            parts = x if self.pool is None else x.reshape(-1, self.channels, *x.shape[2:])
            return self._of_one(self._encoders[0].encoded(parts))
        each = x.chunk(self.groups, 1)
        encoded = [encoder.encoded(part) for encoder, part in zip(self._encoders, each, strict=True)]
        return self._of_parts(torch.stack([one.features for one in encoded], 1), encoded)

    def _of_one(self, encoded: Encoded) -> tuple[Tensor, list[Encoded], Tensor | None]:
        """Return what :meth:`_features` does, of what the one encoder of all groups gave."""
        if self.pool is None or self.place is None:
            return encoded.features, [encoded], None
        return self._of_parts(
            encoded.features.reshape(-1, self.groups, self._encoders[0].width) + self.place, [encoded]
        )

    def _of_parts(self, parts: Tensor, encoded: list[Encoded]) -> tuple[Tensor, list[Encoded], Tensor | None]:
        if isinstance(self.pool, RecurrentPool):
            return self.pool(parts), encoded, None
        pool: Any = self.pool
        features, shares = pool.shared(parts)
        return features, encoded, shares

    def _maps(self, encoded: list[Encoded], pooled: Tensor | None, size: tuple[int, ...]) -> Tensor | None:
        """Return the maps of :class:`semeion.learn.places.Told`."""
        if isinstance(self.pool, RecurrentPool) or encoded[0].maps is None:
            return None
        layer = last_layer(self.head)
        centres = self._encoders[0].centres(size, tuple(int(side) for side in encoded[0].maps.shape[3:]))
        each = [contributions(one, layer, centres) for one in encoded]
        found = [one for one in each if one is not None]
        if self.pool is None:
            whole = found[0]
        else:
            if self.shared:
                found = list(found[0].reshape(-1, self.groups, *found[0].shape[1:]).unbind(1))
            extra = None if self.place is None else self.place @ layer.weight.T
            whole = by_groups(found, pooled, extra)
        if isinstance(self._encoders[0], SliceEncoder):
            return whole
        # Of pictures and of whole volumes a group has one part, which is no axis of the map.
        return whole.flatten(2, 3) if self.pool is None else whole.flatten(3, 4)

    def _weights(self, encoded: list[Encoded], pooled: Tensor | None) -> Tensor | None:
        """Return the shares of the parts that attention gave: slices of each group, or groups."""
        slices = [one.shares for one in encoded if one.shares is not None]
        if isinstance(self.pool, RecurrentPool) or (not slices and pooled is None):
            return None
        if not slices or self.pool is None:
            return slices[0] if slices else pooled
        inside = slices[0] if self.shared else torch.stack(slices, 1)
        inside = inside.reshape(-1, self.groups, slices[0].shape[-1])
        outside = inside.new_full((), 1 / self.groups) if pooled is None else pooled[..., None]
        return (inside * outside).flatten(1)


Encoder: TypeAlias = "PictureEncoder | SliceEncoder | VolumeEncoder | PretrainedBody"


def make_encoder(plan: NetworkPlan | PretrainedPlan, channels: int, size: tuple[int, ...]) -> Encoder:
    """Return what encodes one image of a case, of `size` (slices,) height, width."""
    if isinstance(plan, PretrainedPlan):
        from semeion.learn.pretrained import PretrainedBody

        body = PretrainedBody(plan.backbone, plan.side, channels, plan.kept)
        if plan.kept and len(size) == 3:
            raise InputError(
                "stages are kept of pictures alone, and these are volumes", where="network.kept", fix="leave it at 0"
            )
        return SliceEncoder(body, plan.pooling) if len(size) == 3 else body
    if plan.kind == "residual3d":
        return VolumeEncoder(plan, channels, (size[0], size[1], size[2]))
    picture = PictureEncoder(plan, channels)
    return SliceEncoder(picture, plan.pooling) if plan.kind == "slices" else picture


def make_network(plan: AnyNetwork, shape: tuple[int, ...], groups: int, task: str, outputs: int) -> nn.Module:
    """Return the network of a plan for cases of `shape`."""
    if plan.kind == "own":
        return own_network(plan, shape, outputs)
    if isinstance(plan, NetworkPlan) and (wanted := seen_size(plan, shape[1:])) != tuple(shape[1:]):
        bare = plan.model_copy(update={"side": None, "depth": None})
        return shrunk(make_network(bare, (shape[0], *wanted), groups, task, outputs), shape[1:], wanted)
    if plan.kind == "residual" and groups == 1:
        return Network(plan, shape[0], task, outputs)
    return PartsNetwork(plan, shape, groups, task, outputs)
