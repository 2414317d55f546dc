"""Cohorts, scans, fingerprints, machines and plans made by hand for the tests of planning."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from semeion.cohort.cohort import Cohort, Target
from semeion.plan.fingerprint import fingerprint
from semeion.plan.networks import candidates
from semeion.plan.recipes import FrozenRecipe, NetworkRecipe, PretrainedPlan
from semeion.plan.rules import Machine, Measured, Wishes, make_plan
from semeion.plan.schema import MemberPlan, Plan

TARGETS = {
    "binary": Target("finding", "binary", ("benign", "malignant"), "malignant"),
    "multiclass": Target("kind", "multiclass", ("a", "b", "c")),
    "ordinal": Target("grade", "ordinal", ("low", "mid", "high")),
    "multilabel": Target("signs", "multilabel", ("mass", "cyst")),
    "regression": Target("age", "regression"),
}


def cohort_of(
    n: int = 60,
    task: str = "binary",
    *,
    split: list[str] | None = None,
    patients: list[str] | None = None,
    y: list[float] | None = None,
) -> Cohort:
    """Return `n` cases whose labels take turns, or are `y`."""
    target = TARGETS[task]
    table = pd.DataFrame(
        {
            "case_id": [f"c{k}" for k in range(n)],
            "patient_id": patients or [f"p{k}" for k in range(n)],
            "site": None,
            "split": split if split else pd.Series([None] * n, dtype=object),
            "image": [f"/nowhere/{k}.png" for k in range(n)],
        }
    )
    turns = np.arange(n) % max(len(target.classes), 1)
    if task == "multilabel":
        table["y.mass"], table["y.cyst"] = turns.astype(float), 1.0 - turns
    elif task == "regression":
        table["y"] = np.linspace(20, 80, n)
    else:
        table["y"] = turns.astype(float)
    if y is not None:
        table["y"] = y
    return Cohort(table, target, has_patients=patients is not None, source="cohort.csv")


def facts_of(n: int = 60, *, rows: int = 28, cols: int = 28, **columns: Any) -> pd.DataFrame:
    """Return a scan of `n` readable grey 8-bit pictures; `columns` replaces whole columns."""
    base: dict[str, Any] = {
        "case_id": [f"c{k}" for k in range(n)],
        "status": "ok",
        "problem": "",
        "rows": rows,
        "cols": cols,
        "channels": 1,
        "bits": 8,
        "source_format": "png",
        "modality": None,
        "unit": None,
        "minimum": 0.0,
        "p005": 2.0,
        "mean": 90.0,
        "p995": 240.0,
        "maximum": 255.0,
        "border_fraction": 0.0,
        "text_fraction": 0.0,
        "salt_fraction": 0.0,
        "low_contrast": False,
    }
    return pd.DataFrame({**base, **columns}, index=range(n))


def fingerprint_of(n: int = 60, task: str = "binary", *, cohort: Cohort | None = None, **scan: Any) -> dict[str, Any]:
    """Return the fingerprint of such a cohort and scan."""
    cohort = cohort or cohort_of(n, task)
    return fingerprint(cohort, facts_of(len(cohort.table), **scan))


def machine_of(facts: dict[str, Any], *, seconds: float = 2e-9, bfloat16: float | None = None) -> Machine:
    """Return a machine whose step costs `seconds` for a pixel and a squared width; `bfloat16` is a factor of that."""
    measured = []
    for candidate in candidates(facts):
        cost = seconds * candidate.batch * candidate.size[0] * candidate.size[1] * candidate.widths[0] ** 2
        times = {"float32": cost} | ({"bfloat16": cost * bfloat16} if bfloat16 else {})
        measured.append(Measured(candidate, times))
    return Machine(1, 8.0, "cpu", measured, {"peak_gib": 0.4})


def plan_of(n: int = 60, task: str = "binary", *, wishes: Wishes | None = None, **scan: Any) -> Plan:
    """Return the plan that the rules make of such a cohort."""
    facts = fingerprint_of(n, task, **scan)
    return make_plan(facts, machine_of(facts), wishes or Wishes())


def of_ways(kept: int = 6) -> Plan:
    """Return a plan with members of its own network, of frozen features and of a pretrained one."""
    plan = plan_of(budget=1800.0).model_copy(update={"search": None})
    tuned = NetworkRecipe(network=PretrainedPlan(side=224, kept=kept), training=plan.training)
    steps = {"frozen": 0, "tuned": 9}
    more = [MemberPlan(name=f"{name}-seed0", recipe=name, fold=0, seed=1, steps=steps[name]) for name in steps]
    return plan.model_copy(
        update={"recipes": {"frozen": FrozenRecipe(side=224), "tuned": tuned}, "members": [*more, *plan.members]}
    )
