"""What an adopted network says of the cases, how it is calibrated, and how it ships."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from semeion.adopt.answer import ROUGH
from semeion.audit.groups import duplicate_groups
from semeion.cohort.cohort import Cohort
from semeion.errors import ModelRefused
from semeion.model.card import headline, render_card
from semeion.model.combine import calibrate, from_logits
from semeion.model.engine import open_engine
from semeion.model.package import write_model
from semeion.plan.adopt_schema import AdoptedPlan, AdoptionPlan
from semeion.plan.splits import Sides
from semeion.prepare.store import Store
from semeion.study.calibrating import manifest_calibration
from semeion.study.folder import RunFolder
from semeion.study.inputs_seen import header_inputs, seen_sizes, training_intensity
from semeion.study.lineage import lineage
from semeion.study.predicting import Decision, Predicted, decide
from semeion.study.reference import adopted_reference, looks_part
from semeion.study.rows import prediction_rows
from semeion.study.shipping import interval_part, point_part, sets_part

Values = npt.NDArray[np.float64]
Rows = npt.NDArray[np.int64]

SAMPLE = 500
"""Cases that the brightness which the model expects is taken from, at most."""
UNKNOWN = "what it learned from is not known, so overlap with these cases cannot be excluded"


def adopted_json(network: AdoptedPlan) -> dict[str, Any]:
    """Return what the evidence, the page, the card and the manifest say of where the network comes from.

    Returns
    -------
    dict
        ``sha256 producer opset gives learned_from sentence``; `learned_from` null where the user states nothing.
    """
    tool = f"its file was written by {network.producer}" if network.producer else "its file does not say by what"
    head = f"Trained elsewhere ({tool})"
    sentence = f"{head}: {UNKNOWN}."
    if network.learned_from is not None:
        sentence = f"{head}. As the user states, and nobody checked, it learned from: {network.learned_from}"
        sentence += "" if sentence.endswith((".", "!", "?")) else "."
    return {
        "sha256": network.sha256,
        "producer": network.producer or None,
        "opset": network.opset,
        "gives": network.gives,
        "learned_from": network.learned_from,
        "sentence": sentence,
    }


def predict_adopted(
    graph: Path, plan: AdoptionPlan, cohort: Cohort, y: Values, store: Store, parts: list[Sides], member: str
) -> Predicted:
    """Predict every case that a figure may use, through the graph that ships; test cases are read here, once.

    Of a given split the val cases choose calibration and operating point, but those that are set aside to calibrate
    sets; train cases are not read. With folds those of each are chosen on the other folds, and what ships on all.

    Parameters
    ----------
    graph
        The wrapped graph.
    plan, cohort, y, store, parts
        What is asked, of whom, their reference standard and prepared images, and who is on which side.
    member
        Name of the network.
    """
    engine, task, rule = open_engine(graph, bounded=True), plan.target.task, plan.operating_point.rule
    patient = pd.factorize(cohort.table["patient_id"])[0].astype(np.int64)
    frames: list[pd.DataFrame] = []
    by_fold: dict[int, Decision] = {}

    def read(rows: Rows) -> Values:
        found = [from_logits(engine.run(pixels), task) for pixels in store.batches(rows)]
        raw = np.concatenate(found) if found else np.zeros((0, engine.n_outputs))
        refuse_unsound(raw, rows, plan, cohort)
        return raw

    def decided(raw: Values, rows: Rows, words: str) -> Decision:
        return decide(y[rows], raw, patient[rows], task, plan.target.classes, rule, words, seed=plan.seed)

    def add(rows: Rows, raw: Values, decision: Decision, split: str, fold: int = -1) -> None:
        cases = cohort.table.iloc[rows]
        kept = {name: cases[name].to_numpy() for name in ("case_id", "patient_id", "site")}
        p = calibrate(raw, task, decision.maps)
        for name in ("ensemble", member):
            base = pd.DataFrame({**kept, "split": split, "fold": fold, "member": name})
            frames.append(prediction_rows(base, plan.target.name, task, plan.target.classes, y[rows], raw, p))

    if plan.validation.scheme == "given":
        rows = parts[0].validate
        raw = read(rows)
        shipped = decided(raw, rows, "val")
        add(rows, raw, shipped, "val")
        if len(aside := parts[0].calibrate):
            add(aside, read(aside), shipped, "calibration")
        test = np.flatnonzero((cohort.table["split"] == "test").to_numpy()).astype(np.int64)
        if len(test):
            add(test, read(test), shipped, "test")
    else:
        rows = np.sort(np.concatenate([side.held_out for side in parts]))
        raw = read(rows)
        for side in parts:
            held = np.isin(rows, side.held_out)
            by_fold[side.fold] = decided(raw[~held], rows[~held], "cases of the other folds")
            add(rows[held], raw[held], by_fold[side.fold], "oof", side.fold)
        shipped = decided(raw, rows, "oof")
    return Predicted(pd.concat(frames, ignore_index=True), shipped, by_fold)


def refuse_unsound(raw: Values, rows: Rows, plan: AdoptionPlan, cohort: Cohort) -> None:
    """Refuse a network whose answers to some case are no probabilities, or no numbers: figures would leave it out.

    Raises
    ------
    ModelRefused
        Naming the first case.
    """
    bad = np.flatnonzero(~np.isfinite(raw).all(axis=1))
    if not len(bad):
        return
    what = "not a number"
    if plan.network.gives == "probabilities":
        what = f"no probability (more than {ROUGH:g} outside 0 to 1, or of a sum other than 1, or not a number)"
    first = cohort.table["case_id"].iloc[int(rows[bad[0]])]
    raise ModelRefused(
        f"the network's answer is {what} for {len(bad)} of {len(rows)} cases (first: case {first})",
        where=plan.network.file,
        fix="check --gives and --scale against how it was trained, or leave such cases out of the table",
    )


def ship_adopted(
    run: RunFolder,
    plan: AdoptionPlan,
    member: str,
    evidence: dict[str, Any],
    cohort: Cohort,
    facts: pd.DataFrame,
    store: Store,
    parts: list[Sides],
) -> str:
    """Write ``model/`` and return its hash. Nothing of any single case goes in.

    What images the model expects is taken from the train cases of a given split, the cases that chose where it has
    none, and all cases where folds were drawn.
    """
    rows = np.unique(np.concatenate([side.learn if len(side.learn) else side.validate for side in parts]))
    seen = facts.iloc[rows]
    sample = rows[np.linspace(0, len(rows) - 1, min(len(rows), SAMPLE)).astype(np.int64)]
    units = seen["unit"].dropna().unique()
    whose = cohort.table["patient_id"]
    looks = looks_part(cohort, facts, store, sample)

    parts_of: dict[str, Any] = {
        "synthetic": cohort.synthetic,
        "task": plan.target.task,
        "target": plan.target.name,
        "classes": plan.target.classes,
        "positive": plan.target.positive,
        "inputs": {
            "unit": str(units[0]) if len(units) == 1 and units[0] else None,
            "intensity": training_intensity(store.take(sample), whose.iloc[sample]),
            "photometry": "colour" if plan.preparation.channels == 3 else "grey",
            "looks": looks,
            **header_inputs(seen, whose.iloc[rows]),
            **seen_sizes(seen, whose.iloc[rows]),
        },
        "preparation": plan.preparation.spec(),
        "adopted": evidence["adopted"],
        "calibration": manifest_calibration(evidence["calibration"]),
        "operating_point": point_part(evidence["operating_point"]),
        "interval": interval_part(evidence.get("interval")),
        "sets": sets_part(evidence),
        "evidence": headline(evidence["metrics"]),
        "provenance": lineage(run, seen, evidence),
    }
    patient = duplicate_groups(cohort, facts).to_numpy(dtype=np.int64)
    made = adopted_reference(cohort, plan.target.task, store, rows, looks, patient, seed=plan.seed)
    parts_of["reference"], evidence["gate"] = made.path, made.facts
    graphs = {member: (run / "members" / member / "graph.onnx").read_bytes()}
    card = render_card(parts_of, evidence)
    return write_model(run / "model", parts_of, graphs, card, files=made.reference.files())
