"""Where a score comes from, computed inside the graph: what each place of the last map adds to each score.

A network that ends in a mean over its last map and a linear layer gives this exactly, since both are linear: the
contribution of a place is the layer's product with the map there, over the number of places (class activation maps:
Zhou et al., Learning Deep Features for Discriminative Localization, CVPR 2016, equation 2). A mean over parts, or one
weighted by attention, is linear in the maps as well; the last state of a recurrent network is not.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from semeion.prepare.spread import even, spreading

FINER = 2
"""Cells of the given maps along each axis of a place of the network's, so that where its centre lies is kept."""
MOST = 1 << 24
"""Most numbers a case in one further output."""
Centres = tuple[list[float], ...]


@dataclass(frozen=True)
class Encoded:
    """What an encoder makes of images.

    Attributes
    ----------
    features
        ``(images, width)``: the mean over parts, weighted by `shares`, of the means over the places of `maps`.
    maps
        ``(images, parts, width, *places)``; None where the features are no such mean.
    shares
        Of the parts, ``(images, parts)``; None: all the same.
    """

    features: Tensor
    maps: Tensor | None = None
    shares: Tensor | None = None


@dataclass(frozen=True)
class Told:
    """What a network says of a batch, and where it comes from.

    Attributes
    ----------
    logits
        ``(batch, outputs)``.
    features
        What the last layer takes, ``(batch, width)``.
    maps
        What each place adds to each score, ``(batch, scores, (groups,) (slices,) rows, columns)``: with the layer's
        bias they sum to its scores. None where pooling is not linear.
    weights
        Shares of the parts in attention pooling, ``(batch, parts)``; None without.
    """

    logits: Tensor
    features: Tensor
    maps: Tensor | None = None
    weights: Tensor | None = None


def last_layer(head: nn.Module) -> nn.Linear:
    """Return the linear layer of a head: itself, or that of the one score of ordered grades."""
    inner = getattr(head, "score", head)
    if not isinstance(inner, nn.Linear):
        raise ValueError(f"{type(inner).__name__} is no linear layer")
    return inner


def strided(places: int, stride: int, side: int, first: float = 0.0) -> list[float]:
    """Return the centres of places that are `stride` pixels apart, as parts of an axis of `side` pixels.

    `first` is the pixel that the first place is centred on. A convolution with an odd kernel and as much padding on
    both sides is centred on the pixels 0, stride, 2 stride, ..., whatever its kernel.
    """
    return [min((first + stride * place + 0.5) / side, 1.0) for place in range(places)]


def contributions(encoded: Encoded, layer: nn.Linear, centres: Centres) -> Tensor | None:
    """Return what each place of an encoder's maps adds to each score, ``(images, scores, parts, *cells)``.

    Without the bias of the layer. The places of the maps are spread over cells that divide the images evenly, since
    strides and padding move them off the middles.
    """
    if encoded.maps is None:
        return None
    parts, width, *sides = (int(one) for one in encoded.maps.shape[1:])
    places = 1
    for side in sides:
        places *= side
    found = torch.matmul(layer.weight, encoded.maps.reshape(-1, parts, width, places)) / (places * parts)
    if encoded.shares is not None:
        found = found * (encoded.shares * parts)[:, :, None, None]
    scores = int(layer.weight.shape[0])
    return _spread(found.reshape(-1, parts, scores, *sides), centres).transpose(1, 2)


def _spread(maps: Tensor, centres: Centres) -> Tensor:
    """Spread the last axes, whose places have these centres, over cells that divide each evenly."""
    for axis, own in enumerate(centres):
        places = len(own)
        evenly = all(abs(a - b) < 1e-6 for a, b in zip(own, even(places), strict=True))
        if evenly:
            continue
        matrix = torch.from_numpy(spreading(own, FINER * places).copy()).to(maps.device)
        back = len(centres) - 1 - axis
        if back == 0:
            maps = torch.matmul(maps, matrix.T)
        elif back == 1:
            maps = torch.matmul(matrix, maps)
        else:
            before, after = [int(one) for one in maps.shape[1:-3]], [int(one) for one in maps.shape[-2:]]
            maps = torch.matmul(matrix, maps.flatten(-2)).reshape(-1, *before, int(matrix.shape[0]), *after)
    return maps


def by_groups(maps: Sequence[Tensor], pooled: Tensor | None, extra: Tensor | None) -> Tensor:
    """Return the maps of all groups, ``(batch, scores, groups, parts, *cells)``.

    Parameters
    ----------
    maps
        Of each group, ``(batch, scores, parts, *cells)``.
    pooled
        Share of each group in the pooled features, ``(batch, groups)``; None: all the same.
    extra
        What the network adds to the features of each group whatever it sees, as scores ``(groups, scores)``: it belongs
        to the group and to none of its places, so all have the same of it.
    """
    groups = len(maps)
    found = torch.stack(list(maps), 2)
    rest = found.ndim - 3
    if extra is not None:
        inside = 1
        for side in found.shape[3:]:
            inside *= int(side)
        found = found + (extra.T / inside).reshape(1, -1, groups, *(1 for _ in range(rest)))
    if pooled is None:
        return found / groups
    return found * pooled.reshape(-1, 1, groups, *(1 for _ in range(rest)))
