"""Decisions about pictures: preparation and intensities."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from semeion.plan.inputs import PreparationPlan, VolumePreparationPlan
from semeion.plan.networks import Candidate
from semeion.plan.volume_rules import plan_volume_preparation
from semeion.prepare.spec import Cleaning


def stored_size(facts: dict[str, Any], candidate: Candidate, sides: Sequence[int]) -> tuple[int, int]:
    """Return rows and columns of the prepared pictures: as large as the member that sees most detail, never enlarged.

    Parameters
    ----------
    facts
        The fingerprint.
    candidate
        The plan's own network.
    sides
        Longer sides that other members see.
    """
    training = facts["training"]
    longest = max(training["rows"]["median"], training["cols"]["median"])
    own = max(candidate.size)
    side = max([own, *(min(side, int(longest)) for side in sides)])
    rows, columns = (max(8, round(one * side / own / 4) * 4) for one in candidate.size)
    return (rows, columns) if side > own else (candidate.size[0], candidate.size[1])


def plan_preparation(
    facts: dict[str, Any], candidate: Candidate, cleaning: dict[str, tuple[bool, str]], sides: Sequence[int] = ()
) -> PreparationPlan | VolumePreparationPlan:
    """Decide channels, intensities, cleaning, size and fit from the training images.

    `sides` are longer sides that members see besides the plan's own network.
    """
    training = facts["training"]
    if "volume" in training:
        return plan_volume_preparation(facts, candidate, sides)
    size = stored_size(facts, candidate, sides)
    why = {"size": f"images are {training['rows']['median']:.0f} x {training['cols']['median']:.0f} pixels (median)"}
    if size != candidate.size:
        why["size"] += "; as large as the pretrained network sees them, and smaller ones are made in the graphs"
    channels = 3 if training["colour_share"] >= 0.5 else 1
    why["channels"] = f"{training['colour_share']:.0%} of the training images have colour"
    intensity, window, why["intensity"] = _intensity(training)
    why.update({f"clean.{name}": reason for name, (_, reason) in cleaning.items()})
    why["fit"] = (
        "images differ in proportion, so they are padded"
        if candidate.fit == "pad"
        else "images agree in proportion, so nothing is distorted"
    )
    return PreparationPlan(
        channels=channels,
        intensity=intensity,
        window=window,
        clean=Cleaning(**{name: asked for name, (asked, _) in cleaning.items()}),
        size=size,
        fit=candidate.fit,
        why=why,
    )


def _intensity(training: dict[str, Any]) -> tuple[str, tuple[float, float] | None, str]:
    units, bits, cases = training["unit"], training["bits"], training["cases"]
    if units.get("HU", 0) >= 0.9 * cases:
        low, high = training["intensity"]["p005"]["p05"], training["intensity"]["p995"]["p95"]
        reason = "values are HU; the window holds the 0.5 and 99.5 percentiles of 95 % of training images"
        return "window", (low, max(high, low + 1)), reason
    if set(bits) <= {"8", "1"}:
        return "stored", None, "all training images have 8 bits, so their stored range is kept"
    return (
        "percentiles",
        None,
        "intensities have no common unit or more than 8 bits, so each image is scaled by its own",
    )
