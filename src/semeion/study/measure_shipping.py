"""Makes the model folder of a diagnosis from measurements."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from semeion.cohort.cohort import Cohort
from semeion.learn.tabular import Fitted
from semeion.model.card import headline, render_card
from semeion.model.package import write_model
from semeion.model.trees import Trees
from semeion.plan.measure_schema import MeasuredPlan
from semeion.study.calibrating import manifest_calibration
from semeion.study.folder import RunFolder
from semeion.study.lineage import lineage
from semeion.study.measure_images import FOLDER, Seen
from semeion.study.members.outputs import member_folder
from semeion.study.segment_graphs import shipped_graphs
from semeion.study.segment_shipping import segmentation_part, volume_inputs
from semeion.study.shipping import point_part

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
        "evidence": headline(evidence["metrics"]),
        "provenance": lineage(run, seen, evidence),
    }
    members = [member for member in networks.members if member.fold in shipped]
    graphs, fast = shipped_graphs(run, [member.name for member in members])
    trees = Trees.model_validate({"schema": 1, **classifier.arrays}).model_dump_json(by_alias=True).encode()
    mirror = dict.fromkeys(graphs, networks.use.mirror)
    card = render_card(parts, evidence)
    return write_model(run / "model", parts, graphs, card, mirror=mirror, fast=fast, files={TREES: trees, **files})


def image_graphs(run: RunFolder, looked: Seen) -> dict[str, bytes]:
    """Return the graphs of the image networks by their paths in the model folder."""
    folder = RunFolder(run / FOLDER)
    members = looked.trained.plan.members
    return {f"members/images-{m.name}.onnx": (member_folder(folder, m) / "graph.onnx").read_bytes() for m in members}
