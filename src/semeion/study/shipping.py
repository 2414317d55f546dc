"""Makes the model folder of a run."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from semeion.cohort.cohort import Cohort
from semeion.model.card import headline, render_card
from semeion.model.gate import training_intensity
from semeion.model.package import write_model
from semeion.plan.schema import Plan, VolumePreparationPlan
from semeion.plan.splits import Sides
from semeion.prepare.store import Store
from semeion.study.calibrating import manifest_calibration
from semeion.study.folder import RunFolder
from semeion.study.learning import Trained, member_folder


def ship(
    run: RunFolder,
    plan: Plan,
    trained: Trained,
    evidence: dict[str, Any],
    cohort: Cohort,
    facts: pd.DataFrame,
    store: Store,
    sides: list[Sides],
) -> str:
    """Write ``model/`` and return its hash. Nothing of any single case goes in."""
    learned = np.unique(np.concatenate([side.learn for side in sides]))
    seen = facts.iloc[learned]
    sample = learned[np.linspace(0, len(learned) - 1, min(len(learned), 500)).astype(np.int64)]
    units = seen["unit"].dropna().unique()
    parts = {
        "synthetic": cohort.synthetic,
        "task": plan.target.task,
        "target": plan.target.name,
        "classes": plan.target.classes,
        "positive": plan.target.positive,
        "inputs": {
            "images": max(1, len(plan.images.names)) if plan.images.role != "single" else 1,
            "names": plan.images.names if plan.images.role != "single" else [],
            "role": plan.images.role,
            "modality": sorted(set(seen["modality"].dropna()) - {""}),
            "unit": str(units[0]) if len(units) == 1 and units[0] else None,
            "intensity": training_intensity(store.take(sample)),
            **_seen(plan, seen),
        },
        "preparation": plan.preparation.spec(),
        "calibration": manifest_calibration(evidence["calibration"]),
        "operating_point": point_part(evidence["operating_point"]),
        "evidence": headline(evidence["metrics"]),
    }
    graphs = {m.name: (member_folder(run, m) / "graph.onnx").read_bytes() for m in trained.plan.members}
    return write_model(run / "model", parts, graphs, render_card(parts, evidence))


def _seen(plan: Plan, seen: pd.DataFrame) -> dict[str, Any]:
    """Return the sizes of the training images, and whether pictures are grey or colour."""

    def span(name: str) -> tuple[int, int]:
        return int(seen[name].min()), int(seen[name].max())

    if isinstance(plan.preparation, VolumePreparationPlan):
        spacing = [(float(seen[f"spacing_{a}"].min()), float(seen[f"spacing_{a}"].max())) for a in "ijk"]
        return {"volumes_seen": {"spacing": tuple(spacing), "size": tuple(span(f"size_{a}") for a in "ijk")}}
    return {
        "photometry": "colour" if plan.preparation.channels == 3 else "grey",
        "size_seen": {"rows": span("rows"), "cols": span("cols")},
    }


def point_part(point: dict[str, Any] | None) -> dict[str, Any] | None:
    """Return the operating point as the manifest states it."""
    kept = ("rule", "value", "by_target")
    return None if point is None else {name: point[name] for name in kept if name in point}
