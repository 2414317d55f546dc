"""Networks worth measuring for these images, best first."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from semeion.plan.recipes import Backbone, NetworkPlan

SIZES = (224, 160, 128, 96, 64)
PRETRAINED_SIDES = (224, 160, 128, 96, 64)
"""Longer sides at which pretrained networks are tried."""
KEPT = 6
"""Stages that are kept where a pretrained network is too slow to learn as a whole: the maps after them have a sixteenth
of the picture's sides, and about half of the weights are behind them."""
KEPT_WIDTH, KEPT_STRIDE = 112, 16
"""Planes of these maps, and how many pixels lie between their places."""
VIEWS_BYTES = 2**31
"""That such maps of the cases of one member may take in memory."""
KEPT_SIDES = (224, 160)
"""Longer sides at which that is tried: smaller pictures are learned from as a whole in about that time."""
ENLARGED = 1.5
"""Most times that slices are enlarged for them: with slices of 50 pixels 96 were no better in trials than 64."""
VOLUME_SIDES = (96, 64, 48, 32)
"""Rows and columns tried for volumes."""
MOST_SLICES = 64
GRID = 4
"""Rows and columns of images that a network makes smaller are multiples of this."""
LAST_MAP = 8
"""Stages are added until the last map is at most this many pixels wide."""


@dataclass(frozen=True)
class Candidate:
    """A network with its input size.

    Attributes
    ----------
    size
        Height and width of the input in pixels; of volumes slices, height and width.
    fit
        Whether images are padded or stretched to it.
    widths, stem_stride
        As in :class:`semeion.plan.recipes.NetworkPlan`.
    batch
        Images a step.
    wants_members
        Members of full length that must be affordable (of three) before this candidate is chosen.
    kind, pooling
        As in :class:`semeion.plan.recipes.NetworkPlan`.
    backbone, side, kept
        Of ``pretrained``, as in :class:`semeion.plan.recipes.PretrainedPlan`.
    """

    size: tuple[int, ...]
    fit: Literal["pad", "stretch"]
    widths: tuple[int, ...]
    stem_stride: Literal[1, 2]
    batch: int
    wants_members: float
    kind: Literal["residual", "residual3d", "slices", "pretrained"] = "residual"
    pooling: Literal["mean", "attention", "gru", "lstm"] = "mean"
    backbone: Backbone = "lite0"
    side: int = 0
    kept: int = 0

    def describe(self) -> str:
        """Return a short phrase, for example ``28 x 28 pixels, widths 24-48-96``."""
        if self.kind == "pretrained":
            part = "the last stages of " if self.kept else ""
            return f"{part}EfficientNet-{self.backbone.title()} at {self.side} pixels"
        if self.kind != "residual":
            body = "in three dimensions" if self.kind == "residual3d" else f"slice by slice, {self.pooling} over slices"
            size = " x ".join(map(str, self.size))
            return f"{size} voxels, {body}, widths {'-'.join(map(str, self.widths))}"
        return f"{self.size[0]} x {self.size[1]} pixels, widths {'-'.join(map(str, self.widths))}"


def candidates(facts: dict[str, Any]) -> list[Candidate]:
    """Return the ladder of candidates for a fingerprint: from the largest to the cheapest.

    Images up to 64 pixels keep their size. Larger ones are tried at fixed sizes up to 224, never enlarged. Sides keep
    the proportion of the images when these agree within 5 %, else the input is square and images are padded.
    """
    training = facts["training"]
    if "volume" in training:
        return volume_candidates(facts)
    rows, cols, aspect = training["rows"], training["cols"], training["aspect"]
    uniform = aspect["p95"] <= 1.05 * aspect["p05"]
    longest = max(rows["median"], cols["median"])
    kept = aspect["median"] if uniform else None
    ladder = []
    if longest <= SIZES[-1]:
        side = max(12, math.ceil(longest / 4) * 4)
        for width, members in ((32, 8.0), (24, 1.5), (16, 1.5), (8, 1.0)):
            ladder.append(_candidate(side, kept, width, members))
        return ladder
    for side in SIZES:
        if side <= longest or side == SIZES[-1]:
            members = 3.0 if side > 128 else 2.0
            ladder += [_candidate(side, kept, width, members) for width in (24, 16)]
    ladder.append(_candidate(SIZES[-1], kept, 8, 1.0))
    return ladder


def pretrained_candidates(facts: dict[str, Any]) -> list[Candidate]:
    """Return the ladder of pretrained networks, from the largest input to the smallest.

    They were trained at 224 pixels and see small images best enlarged; beyond the size of the images nothing is gained
    but for small ones. Of volumes they see slices, one by one. Of large pictures come last, again from the largest
    input, those that keep their first stages.
    """
    training = facts["training"]
    if "volume" in training:
        most = ENLARGED * max(volume_size(training["volume"], PRETRAINED_SIDES[0]))
    else:
        most = max(96, training["rows"]["median"], training["cols"]["median"])
    sides = [side for side in PRETRAINED_SIDES if side <= most] or [PRETRAINED_SIDES[-1]]
    kept = [] if "volume" in training else [side for side in KEPT_SIDES if side <= most]
    return [
        Candidate((side, side), "pad", (), 1, 32, 1.0, kind="pretrained", backbone="lite0", side=side, kept=stages)
        for stages, ladder in ((0, sides), (KEPT, kept))
        for side in ladder
    ]


def begun_bytes(candidate: Candidate, images: int) -> int:
    """Return what the maps after the stages that are kept take of one case of so many images, at least 1, in bytes."""
    return 2 * KEPT_WIDTH * math.ceil(candidate.side / KEPT_STRIDE) ** 2 * max(1, images)


def volume_candidates(facts: dict[str, Any]) -> list[Candidate]:
    """Return the ladder for volumes: each in-plane size with a network in three dimensions and one of slices.

    Thick slices (:data:`semeion.plan.volume_facts.ANISOTROPIC`) are seen by networks of slices alone.
    """
    volume = facts["training"]["volume"]
    ladder: list[Candidate] = []
    for side in VOLUME_SIDES:
        size = volume_size(volume, side)
        if ladder and ladder[-1].size == size:
            continue
        members = 2.0 if side > 48 else 1.5
        if not volume["anisotropic"]:
            ladder += [_volume_candidate(size, "residual3d", width, members) for width in (16, 8)]
        ladder.append(_volume_candidate(size, "slices", 16, members))
    ladder.append(_volume_candidate(volume_size(volume, VOLUME_SIDES[-1]), "slices", 8, 1.0))
    return ladder


def seen_size(network: NetworkPlan, size: Sequence[int]) -> tuple[int, ...]:
    """Return the (slices,) rows and columns that a network sees of images of `size`.

    Where it has a `side` shorter than the longer one of rows and columns it makes them smaller. Proportions are kept
    but for the rounding to :data:`GRID`; there are never more slices than before.
    """
    if network.side is None or network.side >= max(size[-2:]):
        return tuple(size)
    scale = network.side / max(size[-2:])
    rows, columns = (max(8, round(one * scale / GRID) * GRID) for one in size[-2:])
    return (*(min(one, network.depth or one) for one in size[:-2]), rows, columns)


def volume_axes(volume: dict[str, Any]) -> str:
    """Return which axes are planned with: ``stored`` where slices are thick and must stay slices, else ``lps``."""
    return "stored" if volume["anisotropic"] else "lps"


def volume_spacing(volume: dict[str, Any], side: int) -> tuple[float, float, float]:
    """Return the spacing along i, j and k, mm, at which 95 % of the volumes fit into `side` voxels in the plane.

    In the plane never finer than the median. Thin slices get that spacing in all axes, thick ones keep their distance,
    made coarser only where more than :data:`MOST_SLICES` would be needed.
    """
    axes = volume[volume_axes(volume)]
    median = [axes["spacing"][axis]["median"] for axis in "ijk"]
    extent = [axes["extent_mm"][axis]["p95"] for axis in "ijk"]
    plane = max(median[0], median[1], extent[0] / side, extent[1] / side)
    if volume["anisotropic"]:
        return plane, plane, max(median[2], extent[2] / MOST_SLICES)
    # With one spacing the tallest axis counts too: a long neck must not make the input endless.
    plane = max(plane, extent[2] / MOST_SLICES)
    return plane, plane, plane


def volume_size(volume: dict[str, Any], side: int) -> tuple[int, int, int]:
    """Return slices, height and width of the input that holds 95 % of the volumes at :func:`volume_spacing`."""
    axes = volume[volume_axes(volume)]
    wanted = [
        axes["extent_mm"][axis]["p95"] / step for axis, step in zip("ijk", volume_spacing(volume, side), strict=True)
    ]
    width, height = (max(8, math.ceil((value - 0.05) / 4) * 4) for value in wanted[:2])
    return max(1, min(MOST_SLICES, math.ceil(wanted[2] - 0.05))), height, width


def _volume_candidate(
    size: tuple[int, int, int], kind: Literal["residual3d", "slices"], width: int, members: float
) -> Candidate:
    stem: Literal[1, 2] = 1 if max(size[1:]) < 48 else 2
    stages = 1 + max(0, math.ceil(math.log2(max(size[1:]) / stem / LAST_MAP)))
    widths = tuple(min(width * 2**stage, 256) for stage in range(min(stages, 5)))
    voxels = size[0] * size[1] * size[2]
    # Attention finds the few slices that show something; of two or three slices nothing is left to find.
    pooling: Literal["mean", "attention"] = "attention" if kind == "slices" and size[0] > 3 else "mean"
    return Candidate(size, "pad", widths, stem, 16 if voxels <= 64**3 else 8, members, kind, pooling)


def _candidate(side: int, aspect: float | None, width: int, members: float) -> Candidate:
    height = width_ = side
    if aspect is not None and aspect < 1:
        height = max(8, round(side * aspect / 4) * 4)
    elif aspect is not None:
        width_ = max(8, round(side / aspect / 4) * 4)
    stem: Literal[1, 2] = 1 if side < 48 else 2
    stages = 1 + max(0, math.ceil(math.log2(side / stem / LAST_MAP)))
    widths = tuple(min(width * 2**stage, 256) for stage in range(min(stages, 6)))
    return Candidate(
        (height, width_), "stretch" if aspect is not None else "pad", widths, stem, 64 if side <= 96 else 32, members
    )
