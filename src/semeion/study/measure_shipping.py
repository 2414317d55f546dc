"""Makes the model folder of a diagnosis from measurements."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from semeion.cohort.cohort import Cohort
from semeion.learn.tabular import Fitted
from semeion.model.card import headline, render_card
from semeion.model.package import write_model
from semeion.model.reference import RATE, REFERENCE, Reference
from semeion.model.trees import Trees
from semeion.model.values import VALUES, ValueReference
from semeion.plan.measure_schema import MeasuredPlan
from semeion.study.calibrating import manifest_calibration
from semeion.study.diagnosing import Judged, definitions_of
from semeion.study.folder import RunFolder
from semeion.study.inspect import labels
from semeion.study.lineage import lineage
from semeion.study.measure_images import FOLDER, Seen
from semeion.study.members.outputs import member_folder
from semeion.study.reference import FEW
from semeion.study.reference_fit import measured_range
from semeion.study.segment_graphs import shipped_graphs
from semeion.study.segment_shipping import segmentation_part, volume_inputs
from semeion.study.shipping import point_part, sets_part
from semeion.study.value_reference import measured_values

TREES = "members/measurements.json"


def ship_measured(
    run: RunFolder,
    plan: MeasuredPlan,
    cohort: Cohort,
    seen: pd.DataFrame,
    evidence: dict[str, Any],
    classifier: Fitted,
    shipped: Sequence[int],
    looked: Seen | None = None,
    verdicts: Sequence[Judged] = (),
) -> str:
    """Write ``model/`` and return its hash. Nothing of any single case goes in.

    Parameters
    ----------
    run, plan
        Where, and the plan as it was executed.
    cohort, seen
        The cases, and the scan of their volumes.
    evidence
        The content of ``evidence.json``.
    classifier
        Of the measurements, fitted on all cases but the test cases.
    shipped
        Numbers of the pairs whose networks ship.
    looked
        What the image networks became; all of them ship. None: there are none.
    verdicts
        On cases held out: what their measurements usually are ships too.
    """
    networks = plan.segmentation
    structures = list(networks.target.classes)
    measured: dict[str, Any] = {"structures": structures, "measurements": plan.measurements.take, "file": TREES}
    files: dict[str, bytes] = {}
    if plan.images is not None and looked is not None:
        files = image_graphs(run, looked)
        measured["images"] = {
            "preparation": plan.images.networks.preparation.spec(),
            "members": [{"name": Path(file).stem, "file": file} for file in files],
            "calibration": manifest_calibration(evidence["measured"]["images"]["calibration"]),
        }
    parts = {
        "synthetic": cohort.synthetic,
        "task": plan.target.task,
        "target": plan.target.name,
        "classes": plan.target.classes,
        "positive": plan.target.positive,
        "inputs": volume_inputs(cohort, seen),
        "preparation": networks.preparation.spec(),
        "segmentation": segmentation_part(networks),
        "measured": measured,
        "calibration": manifest_calibration(evidence["calibration"]),
        "operating_point": point_part(evidence["operating_point"]),
        "sets": sets_part(evidence),
        "evidence": headline(evidence["metrics"]),
        "provenance": lineage(run, seen, evidence),
    }
    members = [member for member in networks.members if member.fold in shipped]
    graphs, fast = shipped_graphs(run, [member.name for member in members])
    trees = Trees.model_validate({"schema": 1, **classifier.arrays}).model_dump_json(by_alias=True).encode()
    mirror = dict.fromkeys(graphs, networks.use.mirror)
    known = measured_reference(plan, cohort, verdicts)
    parts["reference"] = None if known.empty else REFERENCE
    files |= known.files()
    values = measured_value_reference(plan, cohort, verdicts)
    if values is not None:
        parts["values"], files[VALUES] = VALUES, values.to_json()
    evidence["gate"] = {
        "rate": RATE,
        "limits": ["measurements"] if known.measurements is not None else [],
        "reason": known.reason,
        "cases": sum(len(one.rows) for one in verdicts if one.split == "oof"),
        "patients": known.patients,
        "marked": {},
    }
    card = render_card(parts, evidence)
    return write_model(run / "model", parts, graphs, card, mirror=mirror, fast=fast, files={TREES: trees, **files})


def measured_reference(plan: MeasuredPlan, cohort: Cohort, verdicts: Sequence[Judged]) -> Reference:
    """Return what the measurements of cases that were held out, and are no test cases, usually are."""
    held = [one for one in verdicts if one.split == "oof"]
    patient = pd.factorize(cohort.table["patient_id"])[0].astype(np.int64)
    found = None
    whose = patient[np.concatenate([one.rows for one in held])] if held else patient[:0]
    if held:
        x = np.concatenate([one.x for one in held])
        found = measured_range(x, list(plan.measurements.features), whose, rate=RATE)
    return Reference.model_validate(
        {
            "measurements": found,
            "reason": None if found is not None else FEW,
            "patients": len(np.unique(whose)),
        }
    )


def measured_value_reference(plan: MeasuredPlan, cohort: Cohort, verdicts: Sequence[Judged]) -> ValueReference | None:
    """Return what a person reads measurements against: those of held-out masks, of cases that are no test cases."""
    held = [one for one in verdicts if one.split == "oof"]
    if not held:
        return None
    rows = np.concatenate([one.rows for one in held])
    words = {name: (one.title, one.unit or "") for name, one in definitions_of(plan).items()}
    return measured_values(
        np.concatenate([one.x for one in held]),
        plan.measurements.features,
        words,
        labels(cohort)[rows],
        cohort.table["patient_id"].iloc[rows].tolist(),
        plan.target.task,
        plan.target.classes,
    )


def image_graphs(run: RunFolder, looked: Seen) -> dict[str, bytes]:
    """Return the graphs of the image networks by their paths in the model folder."""
    folder = RunFolder(run / FOLDER)
    members = looked.trained.plan.members
    return {f"members/images-{m.name}.onnx": (member_folder(folder, m) / "graph.onnx").read_bytes() for m in members}
