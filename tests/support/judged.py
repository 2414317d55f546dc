"""Predictions with known faults, for the audits that read predictions."""

from __future__ import annotations

import numpy as np
import pandas as pd

from semeion.audit.judged import Judged, judge
from semeion.evidence.question import Question
from semeion.evidence.table import validate_predictions
from semeion.evidence.use.operating import OperatingPoints

QUESTION = Question("finding", "binary", ("benign", "malignant"), "malignant")
POINTS = OperatingPoints("youden", 0.5, dict.fromkeys(range(5), 0.5))


def table(
    n: int = 400,
    *,
    strength: float = 2.0,
    seed: int = 0,
    flipped: float = 0.0,
    split: str = "test",
    patients: int | None = None,
    folds: int = 0,
) -> pd.DataFrame:
    """Return calibrated predictions of a finding with prevalence of about a third, then flip a share of the labels."""
    stream = np.random.default_rng(seed)
    logit = stream.normal(-1.0, strength, n)
    p = 1 / (1 + np.exp(-logit))
    y = (stream.random(n) < p).astype(int)
    turned = stream.permutation(n)[: round(flipped * n)]
    y[turned] = 1 - y[turned]
    found = pd.DataFrame(
        {
            "case_id": [f"c{k}" for k in range(n)],
            "patient_id": [f"p{k % (patients or n)}" for k in range(n)],
            "split": split,
            "fold": np.arange(n) % folds if folds else -1,
            "member": "ensemble",
            "target": "finding",
            "y_true": np.where(y == 1, "malignant", "benign"),
            "p_benign": 1 - p,
            "p_malignant": p,
        }
    )
    found.attrs["flipped"] = {f"c{k}" for k in turned}
    return found


def judged(found: pd.DataFrame, columns: pd.DataFrame | None = None, covariates: tuple[str, ...] = ()) -> Judged:
    """Return the one target of a table of :func:`table`."""
    (one,) = judge(validate_predictions(found, QUESTION), QUESTION, POINTS, columns, covariates)
    return one


def known(found: pd.DataFrame, **columns: object) -> pd.DataFrame:
    """Return columns of the cases of `found`."""
    return pd.DataFrame({"case_id": found["case_id"], **columns})


def wrongly_sure(found: pd.DataFrame, rows: np.ndarray, by: float) -> pd.DataFrame:
    """Return `found` with the probabilities of `rows` turned against the truth by `by` (0 nothing, 1 wholly)."""
    p = found["p_malignant"].to_numpy().copy()
    p[rows] = (1 - by) * p[rows] + by * (1 - p[rows])
    return found.assign(p_malignant=p, p_benign=1 - p)
