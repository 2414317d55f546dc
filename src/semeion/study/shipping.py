"""Makes the model folder of a run."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from semeion.audit.groups import duplicate_groups
from semeion.cohort.cohort import Cohort
from semeion.model.card import headline, render_card
from semeion.model.neighbours import NEIGHBOURS
from semeion.model.package import graph_paths, write_model
from semeion.model.values import VALUES
from semeion.monitor.baseline import MONITOR, baseline_json
from semeion.plan.inputs import VolumePreparationPlan
from semeion.plan.schema import MemberPlan, Plan
from semeion.plan.splits import Sides
from semeion.prepare.covariate_fit import covariate_rows, fit_encoding
from semeion.prepare.covariates import Encoding
from semeion.prepare.store import Store
from semeion.prepare.volume_spec import VolumePreparation
from semeion.study.calibrating import manifest_calibration
from semeion.study.explaining import explained_part
from semeion.study.folder import RunFolder
from semeion.study.inputs_seen import header_inputs, seen_sizes, training_intensity
from semeion.study.learning import Trained, as_weights
from semeion.study.lineage import lineage
from semeion.study.members.covariates import FILE, needed
from semeion.study.members.frozen import HEAD
from semeion.study.members.outputs import graph_file, member_folder
from semeion.study.monitor_baseline import monitor_baseline
from semeion.study.neighbours import make_neighbours, told
from semeion.study.reference import images_of, looks_part, make_reference
from semeion.study.reference_tried import held_back
from semeion.study.value_reference import covariate_reference


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
    """Write ``model/`` and return its hash. Nothing of any single case goes in, unless the plan says so.

    What ships of the training cases is told in `evidence` under ``gate`` and ``neighbours``.
    """
    learned = np.unique(np.concatenate([side.learn for side in sides]))
    seen = facts.iloc[learned]
    sample = learned[np.linspace(0, len(learned) - 1, min(len(learned), 500)).astype(np.int64)]
    units = seen["unit"].dropna().unique()
    whose = cohort.table["patient_id"].iloc[learned]
    images = images_of(plan)
    looks = looks_part(cohort, facts, store, sample, images)
    members, shares = shipped_members(trained)
    weights = as_weights(shares)
    covariates = {m.name: file.read_bytes() for m in members if (file := member_folder(run, m) / FILE).exists()}
    parts: dict[str, Any] = {
        "synthetic": cohort.synthetic,
        "task": plan.target.task,
        "target": plan.target.name,
        "classes": plan.target.classes,
        "positive": plan.target.positive,
        "unit": cohort.target.unit,
        "inputs": {
            "images": images,
            "names": plan.images.names if plan.images.role != "single" else [],
            "role": plan.images.role,
            "unit": str(units[0]) if len(units) == 1 and units[0] else None,
            "intensity": training_intensity(store.take(sample), cohort.table["patient_id"].iloc[sample], images),
            "looks": looks,
            **header_inputs(seen, whose, stored=_as_stored(plan)),
            **_covariates(plan if covariates else None, cohort, learned),
            **seen_sizes(seen, whose),
            **_photometry(plan),
        },
        "preparation": plan.preparation.spec(),
        "calibration": manifest_calibration(evidence["calibration"]),
        "operating_point": point_part(evidence["operating_point"]),
        "interval": interval_part(evidence.get("interval")),
        "sets": sets_part(evidence),
        "explained": explained_part(evidence.get("explanations") or {}),
        "evidence": headline(evidence["metrics"]),
        "provenance": lineage(run, seen, evidence),
    }
    graphs = {m.name: graph_file(run, m).read_bytes() for m in members if m.name not in covariates}
    heads = {m.name: head.read_bytes() for m in members if (head := member_folder(run, m) / HEAD).exists()}
    patient = duplicate_groups(cohort, facts).to_numpy(dtype=np.int64)
    judged = (run, trained.plan, members, graph_paths(graphs, heads), cohort, store)
    made = make_reference(*judged, sides, looks, patient)
    files = made.reference.files()
    parts["reference"], evidence["gate"] = made.path, made.facts
    made.facts["held_back"] = held_back(made.reference, *judged, looks, patient)
    if covariates:
        columns = Encoding.model_validate({"columns": parts["inputs"]["covariates"]}).columns
        files[VALUES], parts["values"] = covariate_reference(cohort, learned, columns).to_json(), VALUES
    if trained.plan.combination.neighbours:
        near = make_neighbours(
            *(run, trained.plan, members, graph_paths(graphs, heads), cohort, store, sides), made.reference.space
        )
        evidence["neighbours"] = told(near)
        if near is not None:
            files[NEIGHBOURS], parts["neighbours"] = near.to_json(), NEIGHBOURS
    watched = monitor_baseline(
        run, trained.plan, members, parts, cohort, facts, store, sides, made.reference, made.facts
    )
    if watched is not None:
        files[MONITOR], parts["monitor"] = baseline_json(watched), MONITOR
    return write_model(
        run / "model",
        parts,
        graphs,
        render_card(parts, evidence),
        heads=heads,
        files=files,
        weights=None if weights is None else dict(zip(shares, weights, strict=True)),
        covariates=covariates,
    )


def shipped_members(trained: Trained) -> tuple[list[MemberPlan], dict[str, float]]:
    """Return the members that have a share in the ensemble of all folds, and their shares."""
    plan = trained.plan
    shares = trained.shares([member.name for member in plan.members])
    # Another member may go by one that has no share of its own.
    shares |= {member.name: 0.0 for member in needed(plan, shares)}
    members = [member for member in plan.members if member.name in shares]
    return members, {member.name: shares[member.name] for member in members}


def _as_stored(plan: Plan) -> bool:
    steps = plan.preparation.spec()
    return isinstance(steps, VolumePreparation) and steps.orientation == "stored"


def _covariates(plan: Plan | None, cohort: Cohort, learned: Any) -> dict[str, Any]:
    """Return what the model expects besides images: usual ranges and levels of all cases that members learned from."""
    if plan is None:  # no member that ships knows a covariate
        return {}
    rows = covariate_rows(cohort, plan.covariates, learned)
    encoding = fit_encoding(rows, plan.covariates, cohort.table["patient_id"].iloc[learned].tolist())
    return {"covariates": [column.model_dump() for column in encoding.columns]}


def _photometry(plan: Plan) -> dict[str, Any]:
    """Return whether pictures are grey or colour; nothing of volumes."""
    steps = plan.preparation
    return {} if isinstance(steps, VolumePreparationPlan) else {"photometry": ("grey", "colour")[steps.channels == 3]}


def point_part(point: dict[str, Any] | None) -> dict[str, Any] | None:
    """Return the operating point as the manifest states it."""
    kept = ("rule", "value", "by_target")
    return None if point is None else {name: point[name] for name in kept if name in point}


def interval_part(interval: dict[str, Any] | None) -> dict[str, Any] | None:
    """Return the interval of a measured value as the manifest states it; None where none could be made."""
    if interval is None or interval["half_width"] is None:
        return None
    return {name: interval[name] for name in ("coverage", "half_width")}


def sets_part(evidence: dict[str, Any]) -> dict[str, Any] | None:
    """Return the thresholds of sets of classes as the manifest states them; None where none could be made."""
    several = evidence["task"] == "multilabel"
    found = {name: one.get("set_rule") for name, one in evidence["targets"].items()} if several else {}
    rules = {
        name: rule
        for name, rule in (found if several else {"": evidence.get("set_rule")}).items()
        if rule is not None and "thresholds" in rule
    }
    if not rules:
        return None
    kept = ("kind", "thresholds", "n_patients", "calibration", "promise")
    parts = {name: {key: rule[key] for key in kept} for name, rule in rules.items()}
    shared = {name: next(iter(rules.values()))[name] for name in ("coverage", "scored", "method")}
    return {**shared, "by_target": parts} if several else {**shared, "whole": parts[""]}
