"""Which places the features of a frozen network come from, and so what each place adds to a linear head's score.

A feature is the mean or the maximum over a layer's map, and of several pictures of a case the mean or the maximum over
them. A mean is spread over its places, a maximum over those that come near it, most where it is (:func:`nearness`), so
the contributions of places sum to that of the feature, exactly.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from semeion.errors import ModelRefused
from semeion.model.combine import Floats
from semeion.prepare.looked import middles, pools
from semeion.prepare.spread import spread, spread_seen

Map = npt.NDArray[np.float32]
AXES = ("", "rows", "columns")
"""Endings of the names of maps: along the slices, the rows, the columns of a volume."""
FITS = 1e-3
"""Largest difference between features and what their maps give, relative to the features' spread."""
_AGAIN = "get the model from its source again"


@dataclass(frozen=True)
class Pull:
    """What features count: each adds `slopes` times itself, less `start`; float64 ``(F,)``. Empty: nothing yet."""

    slopes: Floats | None = None
    start: Floats | None = None

    def and_of(self, slopes: Floats, usual: Floats) -> Pull:
        """Return this with another head's, whose features add nothing where they are as usual."""
        if self.slopes is None or self.start is None:
            return Pull(slopes, slopes * usual)
        return Pull(self.slopes + slopes, self.start + slopes * usual)


@dataclass(frozen=True)
class _Layer:
    """The map of one layer of all pictures along an axis, ``(pictures, width, places)``, and its rows and columns."""

    values: Map
    sides: tuple[int, int]
    mean: Map
    highest: Map


@dataclass(frozen=True)
class _Axis:
    """Pictures along one axis: how many places along it, and their layers."""

    number: int
    places: int
    layers: tuple[_Layer, ...]

    @property
    def pictures(self) -> int:
        return len(self.layers[0].values)

    def features(self) -> Map:
        """Return the features of each picture, ``(pictures, each)``."""
        return np.concatenate([one for layer in self.layers for one in (layer.mean, layer.highest)], axis=1)


def frozen_map(pull: Pull, given: Mapping[str, Map], groups: int, size: Sequence[int], *, where: str) -> Map:
    """Return what each place adds to a score, float32 ``(groups, *size)``; it sums to what the features add.

    Parameters
    ----------
    pull
        What the features count.
    given
        Outputs of the graph of one case: ``map_<layer>`` in the order of the layers, ``(width, rows, columns)`` of one
        picture, ``(groups x kinds, places, width, rows, columns)`` of several, those along rows and columns named
        ``map_<layer>rows`` and ``map_<layer>columns``; and ``features`` ``(F,)``.
    groups, size
        Frames or views of a case, and the model's input grid: (slices,) rows, columns.
    where
        The graph, for messages.

    Raises
    ------
    ModelRefused
        When the maps are not those that the features are pooled of.
    """
    if pull.slopes is None or pull.start is None:
        raise ValueError("no features count")
    solid = tuple(size) if len(size) == 3 else (1, *size)
    axes = _axes(given, groups, where)
    slopes, start = _by_picture(pull.slopes, pull.start, axes, given.get("features"), groups, where)
    whole = np.zeros((groups, *solid), np.float32)
    first = 0
    for axis in axes:
        own = slice(first, first + axis.pictures)
        first += axis.pictures
        sides = tuple(side for number, side in enumerate(solid) if number != axis.number)
        flat = _pictures(axis, slopes[own], start[own], sides)
        summed = flat.reshape(groups, -1, axis.places, *sides).sum(axis=1)
        depth = solid[axis.number]
        if axis.places > depth:
            raise _unfit(where)
        centres = [(place + 0.5) / depth for place in middles(depth, axis.places)]
        placed = spread(np.moveaxis(summed, 1, -1), [centres], [depth])
        whole += np.moveaxis(placed, -1, 1 + axis.number)
    return whole if len(size) == 3 else whole[:, 0]


def _unfit(where: str) -> ModelRefused:
    return ModelRefused("the maps of the graph are not those that its features come from", where=where, fix=_AGAIN)


def _axes(given: Mapping[str, Map], groups: int, where: str) -> list[_Axis]:
    """Return the maps by the axis that pictures lie along."""
    by_axis: dict[int, list[Map]] = {}
    for name, one in given.items():
        if name.startswith("map_"):
            number = next((number for number in (1, 2) if name.endswith(AXES[number])), 0)
            by_axis.setdefault(number, []).append(one)
    found = []
    for number, maps in by_axis.items():
        shapes = {one.shape[:-3] for one in maps}
        if len(shapes) != 1 or any(one.ndim not in (3, 5) for one in maps):
            raise _unfit(where)
        kinds, places = next(iter(shapes)) or (1, 1)
        if kinds % groups:
            raise _unfit(where)
        layers = []
        for one in maps:
            width, rows, columns = (int(side) for side in one.shape[-3:])
            values = np.ascontiguousarray(one).reshape(-1, width, rows * columns)
            layers.append(_Layer(values, (rows, columns), values.mean(axis=2), values.max(axis=2)))
        found.append(_Axis(number, int(places), tuple(layers)))
    return found


def _by_picture(
    slopes: Floats, start: Floats, axes: Sequence[_Axis], features: Map | None, groups: int, where: str
) -> tuple[Map, Map]:
    """Return what the features of each picture count, ``(pictures, each)``, of what those of the case do."""
    each = [axis.features() for axis in axes]
    if len({one.shape[1] for one in each}) != 1:
        raise _unfit(where)
    seen = np.concatenate(each).astype(np.float64)
    kinds = axes[0].pictures // (groups * axes[0].places)
    counts = [axis.places for axis in axes]
    if any(axis.pictures != groups * kinds * axis.places for axis in axes):
        raise _unfit(where)
    for images in (False, True):
        for apart in (False, True):
            own = pools(groups, kinds, counts, images=images, axes=apart)
            pooled = _pooled(seen, own)
            if len(pooled) == len(slopes) and (features is None or _same(pooled, features)):
                return _shared(slopes, start, seen, own)
    raise _unfit(where)


def _pooled(seen: Floats, own: Sequence[Sequence[int]]) -> Floats:
    """Return the features of a case of those of its pictures."""
    if max(len(places) for places in own) == 1:
        return np.concatenate([seen[places[0]] for places in own])
    return np.concatenate([one for places in own for one in (seen[places].mean(axis=0), seen[places].max(axis=0))])


def _same(pooled: Floats, features: Map) -> bool:
    return features.shape == pooled.shape and bool(
        np.abs(pooled - features).max() <= FITS * max(float(features.std()), 1e-6)
    )


def _shared(slopes: Floats, start: Floats, seen: Floats, own: Sequence[Sequence[int]]) -> tuple[Map, Map]:
    """Give every picture its part of what the features of the case count."""
    width = seen.shape[1]
    doubled = max(len(places) for places in own) > 1
    found = [np.zeros(seen.shape), np.zeros(seen.shape)]
    at = 0
    for places in own:
        rows = list(places)
        for out, counts in zip(found, (slopes, start), strict=True):
            out[rows] += counts[at : at + width] / (len(rows) if doubled else 1)
        at += width
        if doubled:
            highest = seen[rows] == seen[rows].max(axis=0)
            parts = highest / highest.sum(axis=0)
            for out, counts in zip(found, (slopes, start), strict=True):
                out[rows] += counts[at : at + width] * parts
            at += width
    return found[0].astype(np.float32), found[1].astype(np.float32)


def _pictures(axis: _Axis, slopes: Map, start: Map, sides: tuple[int, ...]) -> Map:
    """Return what each place of each picture adds, ``(pictures, rows, columns)`` on the input grid."""
    coarse: dict[tuple[int, ...], Map] = {}
    at = 0
    for layer in axis.layers:
        pictures, width, places = layer.values.shape
        mean, top = slice(at, at + width), slice(at + width, at + 2 * width)
        at += 2 * width
        # Products without a matrix library, whose threads contend with those of the runtime.
        added = np.einsum("pw,pwk->pk", slopes[:, mean], layer.values) / places
        added -= start[:, mean].sum(axis=1, keepdims=True) / places
        near = nearness(layer.values, layer.highest)
        counts = (slopes[:, top] * layer.highest - start[:, top]) / near.sum(axis=2)
        added += np.einsum("pw,pwk->pk", counts, near)
        own = added.reshape(pictures, *layer.sides)
        coarse[layer.sides] = coarse.get(layer.sides, np.float32(0)) + own
    return np.asarray(sum(spread_seen(own, sides) for own in coarse.values()), dtype=np.float32)


def nearness(values: Map, highest: Map) -> Map:
    """Return how near each place comes to the maximum of its map, from 0 to 1, which is where it is.

    ``exp((value - maximum) / spread)``, with the standard deviation over the map's places: shares of these are the
    derivative of the smooth maximum ``spread x log(mean(exp(value / spread)))`` by the places (log-sum-exp pooling;
    Pinheiro and Collobert, From image-level to pixel-level labeling with convolutional networks, CVPR 2015). Were all
    of it given to the one highest place, thousands of features would mark single pixels strewn over the picture, and
    which of two places that are nearly as high is meant would be a matter of noise.

    Parameters
    ----------
    values
        ``(pictures, width, places)``.
    highest
        Of each map, ``(pictures, width)``.
    """
    spreads = values.std(axis=2, keepdims=True)
    spreads[spreads == 0] = 1.0  # all places are as high
    found: Map = np.exp((values - highest[:, :, np.newaxis]) / spreads, dtype=np.float32)
    return found
