"""A million rows: the figures are right, and the memory stays bounded."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import average_precision_score, roc_auc_score

from semeion.evidence.question import Question
from semeion.evidence.use.operating import OperatingPoints
from semeion.evidence.weigh import weigh

ROWS, PATIENTS = 1_000_000, 8
"""Few patients, so that few are left out in turn; the cases are what costs memory."""


def test_a_million_rows_are_weighed_in_bounded_memory() -> None:
    rng = np.random.default_rng(0)
    p = rng.random(ROWS).round(3)
    y = rng.random(ROWS) < p
    table = pd.DataFrame(
        {
            "case_id": np.arange(ROWS).astype(str),
            "patient_id": (np.arange(ROWS) % PATIENTS).astype(str),
            "split": "external",
            "fold": -1,
            "member": "ensemble",
            "target": "finding",
            "y_true": np.where(y, "yes", "no"),
            "p_no": 1 - p,
            "p_yes": p,
        }
    )
    tracemalloc.start()
    found = weigh(
        table, Question("finding", "binary", ("no", "yes")), points=OperatingPoints("youden", 0.5), resamples=2, jobs=1
    )
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1e9
    figures = {name: entry["value"] for name, entry in found["metrics"]["external"].items()}
    assert found["metrics"]["external"]["auroc"]["n"] == ROWS
    assert figures["auroc"] == pytest.approx(roc_auc_score(y, p), abs=1e-10)
    assert figures["auprc"] == pytest.approx(average_precision_score(y, p), abs=1e-10)
    assert figures["brier"] == pytest.approx(((p - y) ** 2).mean(), abs=1e-10)
    assert figures["recall"] == pytest.approx((p[y] >= 0.5).mean(), abs=1e-10)
    assert figures["calibration_slope"] == pytest.approx(1, abs=0.01), "the probabilities are the true ones"
    assert sum(map(sum, found["confusion"]["external"]["counts"])) == ROWS
    assert len(found["curves"]["external"]["roc"]["x"]) <= 201, "what a page draws does not grow with the cases"
    assert len(found["reliability"]["external"]["curve"]["x"]) <= 101
