"""Fingerprints of cohorts of volumes with masks, and measured machines, made by hand."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from semeion.cohort.cohort import Cohort, Target
from semeion.cohort.roles import ImageRole
from semeion.plan.fingerprint import fingerprint
from semeion.plan.rules import Wishes
from semeion.plan.segment_networks import segment_candidates
from semeion.plan.segment_rules import MeasuredArm, SegmentMachine, make_segmentation_plan
from semeion.plan.segment_schema import SegmentationPlan


def facts_of(
    n: int = 60,
    *,
    size: tuple[int, int, int] = (35, 50, 35),
    spacing: tuple[float, float, float] = (1.0, 1.0, 1.0),
    classes: tuple[str, ...] = ("anterior", "posterior"),
    split: list[str] | None = None,
    patients: int | None = None,
    channels: tuple[str, ...] = (),
    **columns: Any,
) -> dict[str, Any]:
    """Return the fingerprint of `n` volumes of `size` and `spacing` (i, j, k); `columns` replaces those of the scan."""
    role = ImageRole("volume", "channels" if channels else "single", channels)
    table = pd.DataFrame(
        {
            "case_id": [f"c{k}" for k in range(n)],
            "patient_id": [f"p{k % (patients or n)}" for k in range(n)],
            "site": None,
            "split": split if split else pd.Series([None] * n, dtype=object),
            "image": [f"/nowhere/{k}.nii.gz" for k in range(n)],
            "mask": [f"/nowhere/{k}-mask.nii.gz" for k in range(n)],
        }
    )
    target = Target("mask", "segmentation", classes, values=tuple(range(1, len(classes) + 1)))
    cohort = Cohort(table, target, has_patients=True, source="cohort.csv", images=role)
    scan: dict[str, Any] = {
        "case_id": table["case_id"],
        "status": "ok",
        **{f"size_{axis}": side for axis, side in zip("ijk", size, strict=True)},
        **{f"spacing_{axis}": mm for axis, mm in zip("ijk", spacing, strict=True)},
        "orientation": "LPS",
        "planes": max(1, len(channels)),
        "unit": "",
        "modality": "MR",
        "source_format": "NIfTI",
        "minimum": 0.0,
        "p005": 1.0,
        "mean": 100.0,
        "std": 50.0,
        "p995": 300.0,
        "maximum": 400.0,
        "fg_p005": 10.0,
        "fg_p995": 90.0,
        "fg_mean": 50.0,
        "fg_std": 20.0,
        "mask_voxels": '{"1": 500, "2": 400}',
    }
    return fingerprint(cohort, pd.DataFrame({**scan, **columns}, index=np.arange(n)))


def machine_of(facts: dict[str, Any], speed: float = 1e6, memory: float = 8.0) -> SegmentMachine:
    """Return a machine that learns from `speed` voxels a second at 8 channels, and 1.8 times as many in bfloat16."""
    measured = []
    for arm in segment_candidates(facts):
        work = arm.batch * np.prod(arm.network.patch) * (arm.network.widths[0] / 8) ** 1.5
        seconds = float(work / speed)
        peak = 0.1 * arm.network.widths[0]
        measured.append(MeasuredArm(arm, {"float32": seconds, "bfloat16": seconds / 1.8}, peak))
    return SegmentMachine(2, memory, "cpu", measured)


def plan_of(budget: float = 2700.0, *, speed: float = 1e6, folds: int = 0, **given: Any) -> SegmentationPlan:
    """Return the plan of such a cohort."""
    facts = facts_of(**given)
    return make_segmentation_plan(facts, machine_of(facts, speed), Wishes(budget=budget), folds=folds)
