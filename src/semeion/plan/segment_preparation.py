"""How volumes are prepared for segmentation: orientation, spacing and intensities, from the training volumes."""

from __future__ import annotations

from typing import Any

from semeion.plan.networks import volume_axes
from semeion.plan.segment_networks import target_spacing
from semeion.plan.segment_schema import VolumePreparationPlan
from semeion.plan.volume_rules import NO_CROP, NO_N4, plan_registration
from semeion.prepare.volume_spec import Intensity

STEADY = 0.02
"""Relative spread of spacing below which volumes count as equally spaced."""


def plan_preparation(facts: dict[str, Any]) -> VolumePreparationPlan:
    """Decide orientation, spacing and intensities from the training volumes."""
    training = facts["training"]
    volume = training["volume"]
    spacing = target_spacing(facts)
    axes = volume[volume_axes(volume)]["spacing"]
    steady = all(axes[axis]["max"] - axes[axis]["min"] <= STEADY * axes[axis]["median"] for axis in "ijk")
    intensity, unit, reason = plan_intensity(training)
    images = facts["images"]
    channels = list(images["names"]) if images["role"] == "channels" else ["image"]
    thick = volume["thickness"]["median"]
    registration, how = plan_registration(training)
    return VolumePreparationPlan(
        channels=channels,
        units=[unit] * len(channels) if unit else None,
        orientation="stored" if volume["anisotropic"] else "LPS",
        spacing=None if steady else spacing,
        intensity=[intensity],
        registration=registration,
        why={
            **how,
            "orientation": f"slices lie {thick:.1f} times as far apart as pixels and must stay slices"
            if volume["anisotropic"]
            else "axes are turned to left, posterior, superior, so that one anatomy lies one way",
            "spacing": "all training volumes have the same spacing, so nothing is interpolated"
            if steady
            else "the median of the training volumes in the plane; thick slices keep their own distance, since between "
            "them anatomy would be invented"
            if volume["anisotropic"]
            else "the median of the training volumes along each axis",
            "intensity": reason,
            "crop": NO_CROP,
        },
    )


def plan_intensity(training: dict[str, Any]) -> tuple[Intensity, str | None, str]:
    """Return how values become numbers, the unit they must have, and why."""
    units, cases, inside = training["unit"], training["cases"], training["foreground"]
    for unit in ("HU", "SUVbw"):
        if units.get(unit, 0) >= 0.9 * cases and inside.get("fg_p005"):
            low, high = inside["fg_p005"]["p05"], inside["fg_p995"]["p95"]
            fixed = Intensity(
                kind="fixed",
                low=low,
                high=max(high, low + 1.0),
                mean=inside["fg_mean"]["mean"],
                std=max(inside["fg_std"]["mean"], 1e-3),
            )
            return (
                fixed,
                unit,
                f"values are {unit}: clipped to what is seen inside the labels, and scaled the same for all",
            )
    return (
        Intensity(kind="zscore", foreground="nonzero"),
        None,
        f"values have no common unit (MR), so each volume is scaled by its own mean and standard deviation; {NO_N4}",
    )
