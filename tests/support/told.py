"""Run folders as training leaves them, but for the training: real tables and figures of made predictions."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
import yaml

from semeion.artefacts import write_json
from semeion.audit.patients import patient_overlap
from semeion.cohort.cohort import Cohort, Flow, Target, write_cohort
from semeion.evidence.question import Question
from semeion.evidence.use.operating import OperatingPoints
from semeion.evidence.weigh import weigh

CLASSES = ("benign", "malignant")
POINT = 0.4
LEFT_OUT = 7


def cohort_of(n: int, *, scheme: Literal["given", "folds"], patients: int, named: bool, seed: int) -> Cohort:
    """Return cases of some patients, each on one side, with age, sex and site."""
    stream = np.random.default_rng(seed)
    patient = np.arange(n) % patients
    side = np.array(["train", "train", "train", "val", "test", "test"], dtype=object)[patient % 6]
    who = stream.integers(0, 2, patients), stream.normal(58, 14, patients).round(1), stream.integers(0, 3, patients)
    table = pd.DataFrame(
        {
            "case_id": [f"c{k}" for k in range(n)],
            "patient_id": [f"p{k}" for k in patient] if named else [f"c{k}" for k in range(n)],
            "site": np.array(["north", "south", "west"], dtype=object)[who[2][patient]],
            "split": side if scheme == "given" else None,
            "image": [f"{k}.png" for k in range(n)],
            "y": (stream.random(n) < 0.35).astype(float),
            "sex": np.array(["F", "M"], dtype=object)[who[0][patient]],
            "age": np.where(patient % 17 == 0, np.nan, who[1][patient]),
        }
    )
    target = Target("finding", "binary", CLASSES, "malignant", "malignant is a disease word")
    count = int(table["patient_id"].nunique())
    flow = (
        Flow("in the source", n + LEFT_OUT, count + 3, "rows of cohort.csv"),
        Flow("with a label", n, count, "the target is missing"),
    )
    return Cohort(table, target, flow, unused=("sex", "age"), has_patients=named, source="cohort.csv")


def predictions_of(cohort: Cohort, seed: int) -> pd.DataFrame:
    """Return calibrated-looking predictions of all cases but those of training; without a split, of five folds."""
    table = cohort.table
    stream = np.random.default_rng(seed + 1)
    p = 1 / (1 + np.exp(-(2.2 * table["y"] - 1.4 + stream.normal(0, 1.3, len(table)))))
    y = table["y"].astype(int)
    told = pd.DataFrame(
        {
            "case_id": table["case_id"],
            "patient_id": table["patient_id"],
            "site": table["site"],
            "split": table["split"] if cohort.has_split else "oof",
            "fold": -1 if cohort.has_split else pd.factorize(table["patient_id"])[0] % 5,
            "member": "ensemble",
            "target": "finding",
            "y_true": np.array(CLASSES, dtype=object)[y],
            "p_benign": 1 - p,
            "p_malignant": p,
        }
    )
    return told[told["split"] != "train"].reset_index(drop=True)


def told_run(
    folder: Path,
    n: int = 240,
    *,
    scheme: Literal["given", "folds"] = "given",
    patients: int = 96,
    named: bool = True,
    seed: int = 0,
    resamples: int = 50,
) -> dict[str, Any]:
    """Write ``cohort.parquet predictions.parquet evidence.json plan.yaml`` and return the evidence."""
    folder.mkdir(parents=True, exist_ok=True)
    cohort = cohort_of(n, scheme=scheme, patients=patients, named=named, seed=seed)
    predictions = predictions_of(cohort, seed)
    question = Question("finding", "binary", CLASSES, "malignant")
    points = OperatingPoints("youden", POINT, dict.fromkeys(range(5), POINT))
    strata = cohort.table[["case_id", "site", "sex"]]
    weighed = weigh(predictions, question, points=points, seed=seed, strata=strata, resamples=resamples)
    notes = weighed.pop("notes")
    if cohort.has_split:
        train = cohort.table[cohort.table["split"] == "train"]
        counts = {name: int((train["y"] == code).sum()) for code, name in enumerate(CLASSES)}
        facts = {"n": len(train), "n_patients": int(train["patient_id"].nunique()), "class_counts": counts}
        weighed["splits"] = {"train": facts, **weighed["splits"]}
    evidence = {
        "schema": 1,
        "semeion": "0.1.0",
        "created": "2026-01-15",
        "target": "finding",
        "task": "binary",
        "positive": "malignant",
        "classes": list(CLASSES),
        "why": cohort.target.why,
        "source": cohort.source,
        "synthetic": False,
        "has_patients": named,
        "model": "ab" * 32,
        "operating_point": {"rule": "youden", "value": POINT, "chosen_on": "val", "n": 40, "by_fold": {}},
        "calibration": {"method": "temperature", "value": 1.2, "fitted_on": "val", "by_fold": {}},
        **weighed,
        "flow": [vars(step) for step in cohort.flow],
        "audits": {"patient-overlap": patient_overlap(cohort).to_json()},
        "accepted": [],
        "members": [{"name": "seed0", "fold": -1, "seed": 11, "steps": 100, "stopped": "all steps done"}],
        "notes": notes,
        "not_validated": ["Images from another site: none were seen."],
    }
    write_cohort(cohort, folder / "cohort.parquet")
    predictions.to_parquet(folder / "predictions.parquet", index=False)
    write_json(folder / "evidence.json", evidence)
    plan = {
        "schema": 1,
        "network": {"kind": "residual", "widths": [16, 32]},
        "preparation": {"size": [28, 28], "fit": "stretch"},
        "training": {"batch": 32, "class_weights": [0.8, 1.2]},
        "validation": {"scheme": scheme},
    }
    (folder / "plan.yaml").write_text(yaml.safe_dump(plan))
    return evidence
