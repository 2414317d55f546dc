"""Decisions about volumes and about several images a case: preparation, encoders, poolings."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

from semeion.plan.inputs import ImagesPlan, VolumePreparationPlan
from semeion.plan.networks import VOLUME_SIDES, Candidate, volume_axes, volume_size, volume_spacing
from semeion.plan.recipes import AugmentationPlan, NetworkPlan
from semeion.prepare.volume_spec import Intensity

MISALIGNED = 0.05
"""Share of training cases whose contrasts do not lie on one another from which on all are registered."""
NO_N4 = "slow changes of brightness of MR coils stay: N4 is not planned by rule, set `n4: true` here to ask for it"
"""Whether it helps was not tried here, and it costs seconds a volume."""
NO_CROP = "nothing is cut away by rule; set `foreground` or `body`, with `margin_mm`, where air fills the volume"
LARGER = "as large as the pretrained network sees them, and smaller ones are made in the graphs"
OWN_ENCODERS = 1000
"""Training cases from which on each view gets an encoder of its own."""


def plan_images(facts: dict[str, Any]) -> ImagesPlan:
    """Return what the images of a case are."""
    images = facts.get("images", {"kind": "picture", "role": "single", "names": []})
    why = {
        "channels": "contrasts on one grid: stacked as the planes of one image",
        "frames": "times of one anatomy: each encoded by the same network, then read in order",
        "views": "other planes of one case: each encoded for itself, then pooled; never stacked",
    }
    role = images["role"]
    reasons = {"role": why[role]} if role in why else {}
    return ImagesPlan(kind=images["kind"], role=role, names=images["names"], why=reasons)


def plan_network(facts: dict[str, Any], candidate: Candidate, why: str, *, smaller: bool = False) -> NetworkPlan:
    """Return the network of a candidate with its poolings and reasons; `smaller`: images are prepared larger."""
    images, cases = plan_images(facts), facts["training"]["cases"]
    reasons = {"widths": why}
    shared, pooled = True, "mean"
    if images.role == "frames":
        pooled = "gru"
        reasons["group_pooling"] = "the order of frames carries meaning, which a mean would lose"
    elif images.role == "views":
        shared = cases < OWN_ENCODERS
        reasons["shared"] = f"{cases} training cases: " + (
            f"one encoder learns from all views; from {OWN_ENCODERS} on each has its own"
            if shared
            else "enough for an encoder a view"
        )
        reasons["group_pooling"] = "a finding may be in any view, and the views have no order"
    if candidate.kind == "slices":
        volume = facts["training"]["volume"]
        reasons["kind"] = (
            f"slices lie {volume['thickness']['median']:.1f} times as far apart as pixels, so they are seen one by one"
            if volume["anisotropic"]
            else "slices are cheaper to learn from than whole volumes within this budget"
        )
        reasons["pooling"] = (
            "attention finds the few slices that show something"
            if candidate.pooling == "attention"
            else "too few slices to choose among"
        )
    elif candidate.kind == "residual3d":
        thick = facts["training"]["volume"]["thickness"]["median"]
        reasons["kind"] = f"slices lie {thick:.1f} times as far apart as pixels, so the body has three dimensions"
    return NetworkPlan(
        kind=candidate.kind,
        widths=list(candidate.widths),
        side=max(candidate.size[-2:]) if smaller else None,
        depth=candidate.size[0] if smaller and len(candidate.size) == 3 else None,
        stem_stride=candidate.stem_stride,
        pooling=candidate.pooling,
        group_pooling=pooled,
        shared=shared,
        why=reasons,
    )


def plan_volume_preparation(
    facts: dict[str, Any], candidate: Candidate, sides: Sequence[int] = ()
) -> VolumePreparationPlan:
    """Decide orientation, spacing, size and intensities of volumes from the training cases.

    `sides` are longer sides of slices that members see besides the plan's own network: volumes are prepared as large as
    the member needs them that sees most detail, never finer than they are.
    """
    training, images = facts["training"], plan_images(facts)
    volume = training["volume"]
    own = _side_of(volume, candidate)
    stored = max([own, *sides])
    slices, height, width = size = volume_size(volume, stored)
    axes = volume_axes(volume)
    orientation: Literal["LPS", "stored"] = "stored" if axes == "stored" else "LPS"
    side = max(height, width)
    spacing = volume_spacing(volume, stored)
    channels = list(images.names) if images.role == "channels" else ["image"]
    intensity, unit, reason = plan_volume_intensity(training)
    registration, how = plan_registration(training)
    extent = volume[axes]["extent_mm"]
    fits = " x ".join(f"{extent[axis]['p95']:.0f}" for axis in "kji")
    return VolumePreparationPlan(
        channels=channels,
        units=[unit] * len(channels) if unit else None,
        orientation=orientation,
        spacing=(round(spacing[0], 4), round(spacing[1], 4), round(spacing[2], 4)),
        interpolation="linear",
        intensity=[intensity],
        registration=registration,
        size=(slices, height, width),
        size_mode="centre",
        why={
            **how,
            "orientation": "slices are thick and must stay slices"
            if orientation == "stored"
            else "axes are turned to left, posterior, superior, so that one anatomy lies one way",
            "spacing": f"95 % of the training volumes measure at most {fits} mm and fit into {side} voxels a side",
            "size": f"{slices} slices of {height} x {width}: 95 % of the training volumes fit; larger ones are cut "
            "about their centre, smaller ones padded" + (f"; {LARGER}" if size != candidate.size else ""),
            "intensity": reason,
            "crop": NO_CROP,
            "interpolation": "linear is enough to classify, and fast",
        },
    )


def _side_of(volume: dict[str, Any], candidate: Candidate) -> int:
    """Return the side that a candidate was made for; the longest where several give its size."""
    return next((side for side in VOLUME_SIDES if volume_size(volume, side) == candidate.size), VOLUME_SIDES[-1])


def plan_registration(training: dict[str, Any]) -> tuple[Literal["check", "rigid"], dict[str, str]]:
    """Return how channels are brought onto the first, and why; no reason where a case has one."""
    apart = training.get("misaligned_share")
    if apart is None:
        return "check", {}
    told = f"in {apart:.0%} of the training cases channels are on other grids or fit better shifted"
    if apart < MISALIGNED:
        return "check", {"registration": f"{told}: they are taken as they lie"}
    return "rigid", {
        "registration": f"{told}: each is moved to the first, by mutual information, where that fits better"
    }


def plan_volume_intensity(training: dict[str, Any]) -> tuple[Intensity, str | None, str]:
    """Return how values become numbers, the unit they must have, and why."""
    units, cases = training["unit"], training["cases"]
    for unit in ("HU", "SUVbw"):
        if units.get(unit, 0) >= 0.9 * cases:
            low, high = training["intensity"]["p005"]["p05"], training["intensity"]["p995"]["p95"]
            high = max(high, low + 1.0)
            window = Intensity(kind="fixed", low=low, high=high, mean=low, std=high - low)
            return (
                window,
                unit,
                f"values are {unit}; the 0.5 and 99.5 percentiles of 95 % of training volumes bound them",
            )
    scaled = Intensity(kind="percentiles", foreground="nonzero", clip=(0.005, 0.995))
    why = f"values have no common unit, so each volume is scaled by the percentiles of its foreground; {NO_N4}"
    return scaled, None, why


def plan_augmentation(candidate: Candidate, modality: str, mirrored: bool) -> AugmentationPlan:
    """Decide the random changes of training images."""
    why = {
        "rotation": "positioning differs by some degrees, and shift and size with it",
        "flip_horizontal": f"{modality}: left and right carry no meaning"
        if mirrored
        else "off, since the modality is unknown or its sides carry meaning (heart, liver, laterality)",
        "brightness": "gain and exposure differ between devices",
    }
    chosen: dict[str, Any] = {"flip_horizontal": mirrored}
    if candidate.kind == "residual3d":
        chosen["tilt"] = 10.0
        why["tilt"] = "voxels are nearly cubes, so a volume is turned about every axis"
    elif candidate.kind == "slices":
        chosen["rotation"] = 15.0
        why["tilt"] = "off: slices stay slices"
    return AugmentationPlan(**chosen, why=why)
