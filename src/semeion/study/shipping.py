"""Makes the model folder of a run."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from semeion.cohort.cohort import Cohort
from semeion.model.card import headline, render_card
from semeion.model.gate import training_intensity
from semeion.model.package import write_model
from semeion.plan.schema import Plan
from semeion.plan.splits import Sides
from semeion.prepare.store import Store
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
            "images": 1,
            "photometry": "colour" if plan.preparation.channels == 3 else "grey",
            "modality": sorted(set(seen["modality"].dropna()) - {""}),
            "unit": str(units[0]) if len(units) == 1 and units[0] else None,
            "intensity": training_intensity(store.take(sample)),
            "size_seen": {
                "rows": (int(seen["rows"].min()), int(seen["rows"].max())),
                "cols": (int(seen["cols"].min()), int(seen["cols"].max())),
            },
        },
        "preparation": plan.preparation.spec(),
        "calibration": _calibration(evidence["calibration"]),
        "operating_point": _point(evidence["operating_point"]),
        "evidence": headline(evidence["metrics"]),
    }
    graphs = {m.name: (member_folder(run, m) / "graph.onnx").read_bytes() for m in trained.plan.members}
    return write_model(run / "model", parts, graphs, render_card(parts, evidence))


def _calibration(calibration: dict[str, Any] | None) -> dict[str, Any] | None:
    kept = ("method", "value", "by_target")
    return None if calibration is None else {name: calibration[name] for name in kept if name in calibration}


def _point(point: dict[str, Any] | None) -> dict[str, Any] | None:
    kept = ("rule", "value", "by_target")
    return None if point is None else {name: point[name] for name in kept if name in point}
