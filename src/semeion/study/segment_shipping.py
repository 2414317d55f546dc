"""Makes the model folder of a segmentation run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

from semeion.cohort.cohort import Cohort
from semeion.model.card import render_card
from semeion.model.manifest import Figure
from semeion.model.package import write_model
from semeion.plan.segment_schema import SegmentationPlan
from semeion.study.folder import RunFolder
from semeion.study.inputs_seen import header_inputs, seen_sizes
from semeion.study.lineage import lineage


def ship_segmentation(
    run: RunFolder,
    plan: SegmentationPlan,
    graphs: Mapping[str, bytes],
    evidence: dict[str, Any],
    cohort: Cohort,
    seen: pd.DataFrame,
    fast: Mapping[str, bytes] | None = None,
) -> str:
    """Write ``model/`` and return its hash. Nothing of any single case goes in.

    Parameters
    ----------
    run, plan
        Where, and the plan as it was executed: its choices are what ships.
    graphs
        ONNX bytes by member.
    evidence
        The content of ``evidence.json``.
    cohort, seen
        The cases, and the scan of those that were learned from.
    fast
        The same graphs written for ONNX Runtime, by member; those that have one.
    """
    parts = {
        "synthetic": cohort.synthetic,
        "task": "segmentation",
        "target": plan.target.name,
        "classes": plan.target.classes,
        "inputs": volume_inputs(cohort, seen),
        "preparation": plan.preparation.spec(),
        "segmentation": segmentation_part(plan),
        "evidence": dice_figures(evidence["metrics"]),
        "provenance": lineage(run, seen, evidence),
    }
    mirror = dict.fromkeys(graphs, plan.use.mirror)
    return write_model(run / "model", parts, graphs, render_card(parts, evidence), mirror=mirror, fast=fast)


def segmentation_part(plan: SegmentationPlan) -> dict[str, Any]:
    """Return how labels are found, as the manifest states it."""
    return {
        "values": plan.target.values,
        "overlap": plan.use.overlap,
        "postprocess": plan.use.postprocess,
        "lesions": plan.target.lesions,
    }


def volume_inputs(cohort: Cohort, seen: pd.DataFrame) -> dict[str, Any]:
    """Return what the training volumes were, as the manifest states it."""
    whose = patients_of(cohort, seen)
    role, names = cohort.images.role, list(cohort.images.names)
    units = seen["unit"].dropna().unique()
    return {
        "images": len(names) if role != "single" else 1,
        "names": names if role != "single" else [],
        "role": role,
        "unit": str(units[0]) if len(units) == 1 and units[0] else None,
        **seen_sizes(seen, whose),
        **header_inputs(seen, whose),
    }


def patients_of(cohort: Cohort, seen: pd.DataFrame) -> pd.Series:
    """Return whose each case of a scan is, in its order; of frames and views a scan has a row for each."""
    cases = cohort.table["case_id"].astype(str)
    names = cohort.images.names if cohort.images.role in ("frames", "views") else ()
    whose: dict[str, Any] = {}
    for ids in (cases, *(cases + f" {name}" for name in names)):
        whose |= dict(zip(ids, cohort.table["patient_id"], strict=True))
    return pd.Series([whose[case] for case in seen["case_id"].astype(str)], dtype=object)


def dice_figures(metrics: Mapping[str, Mapping[str, Mapping[str, Any]]]) -> dict[str, dict[str, dict[str, Any]]]:
    """Return the figures that travel with the model: Dice, the errors of volume, and those of lesions."""
    return {
        split: {
            name: {key: figure[key] for key in Figure.model_fields if key in figure}
            for name, figure in figures.items()
            if name.startswith(("dice", "volume_error", "lesion_"))
        }
        for split, figures in metrics.items()
    }
