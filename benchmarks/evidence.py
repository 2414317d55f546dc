"""Time and memory of weighing 100,000 cases with 2,000 resamples, against a loop over scikit-learn in the same run."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from time import perf_counter
from typing import Any

import numpy as np
import pandas as pd

from benchmarks.processes import run
from benchmarks.record import record

CASES, PATIENTS, RESAMPLES, SEED = 100_000, 50_000, 2_000, 5
LOOPED = 10
"""Resamples of the loop, whose time is scaled to all of them."""
POINT = 0.4
LIMITS = {"seconds": 30, "mib": 2048, "times_faster": 10}


def cases() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return truth, probability and patient of each case."""
    rng = np.random.default_rng(SEED)
    p = 1 / (1 + np.exp(-rng.normal(-0.8, 1.6, CASES)))
    return (rng.random(CASES) < p**1.1).astype(np.int64), p, np.arange(CASES) % PATIENTS


def ours() -> dict[str, Any]:
    """Weigh all cases, and return the figures of the first resamples as well."""
    from semeion.evidence.intervals.bootstrap import case_weights, multiplicities
    from semeion.evidence.metrics import binary_figures
    from semeion.evidence.question import Question
    from semeion.evidence.use.operating import OperatingPoints
    from semeion.evidence.weigh import weigh

    y, p, patient = cases()
    table = pd.DataFrame(
        {
            "case_id": [f"c{case:06}" for case in range(CASES)],
            "patient_id": [f"p{number:06}" for number in patient],
            "split": "test",
            "fold": -1,
            "member": "ensemble",
            "target": "finding",
            "y_true": y.astype(str),
            "p_0": 1 - p,
            "p_1": p,
        }
    )
    question = Question("finding", "binary", ("0", "1"), "1")
    began = perf_counter()
    weighed = weigh(table, question, points=OperatingPoints("youden", POINT), resamples=RESAMPLES, seed=SEED)
    seconds = perf_counter() - began
    call = (p >= POINT).astype(np.int64)
    figures = binary_figures(y, p, call, question)
    rows = figures.compute(case_weights(multiplicities(PATIENTS, 0, LOOPED, SEED), patient))
    return {
        "seconds": seconds,
        "whole": {name: entry["value"] for name, entry in weighed["metrics"]["test"].items()},
        "drawn": [dict(zip(figures.names, row.tolist(), strict=True)) for row in rows],
    }


def loop() -> dict[str, Any]:
    """Compute the same figures on the same resamples, one after the other."""
    from semeion.evidence.intervals.bootstrap import multiplicities

    y, p, patient = cases()
    call = (p >= POINT).astype(np.int64)
    whole = by_scikit_learn(y, p, call)
    counts = multiplicities(PATIENTS, 0, LOOPED, SEED)
    began = perf_counter()
    drawn = []
    for row in counts:
        at = np.repeat(np.arange(CASES), row[patient].astype(np.int64))
        drawn.append(by_scikit_learn(y[at], p[at], call[at]))
    return {"seconds": perf_counter() - began, "whole": whole, "drawn": drawn}


def by_scikit_learn(y: np.ndarray, p: np.ndarray, call: np.ndarray) -> dict[str, float]:
    """Return every binary figure, most of them by scikit-learn."""
    from sklearn import metrics
    from sklearn.linear_model import LogisticRegression

    precision, recall, f1, _ = metrics.precision_recall_fscore_support(y, call, labels=[0, 1], zero_division=0)
    bins = np.minimum((p * 10).astype(np.int64), 9)
    odds = np.log(p / (1 - p))[:, None]
    # So little shrinkage that the fit is that of maximum likelihood.
    line = LogisticRegression(C=1e15, solver="newton-cholesky", tol=1e-10).fit(odds, y)
    return {
        "auroc": float(metrics.roc_auc_score(y, p)),
        "auprc": float(metrics.average_precision_score(y, p)),
        "accuracy": float(metrics.accuracy_score(y, call)),
        "balanced_accuracy": float(metrics.balanced_accuracy_score(y, call)),
        "precision": float(precision[1]),
        "recall": float(recall[1]),
        "specificity": float(recall[0]),
        "f1": float(f1[1]),
        "precision_macro": float(precision.mean()),
        "recall_macro": float(recall.mean()),
        "f1_macro": float(f1.mean()),
        "brier": float(metrics.brier_score_loss(y, p)),
        "ece": float(np.abs(np.bincount(bins, weights=y - p)).sum() / len(y)),
        "calibration_slope": float(line.coef_[0, 0]),
        "calibration_intercept": float(line.intercept_[0]),
        **{
            f"{kind}_{j}": float(values[j])
            for kind, values in (("precision", precision), ("recall", recall), ("f1", f1))
            for j in (0, 1)
        },
    }


def speed() -> None:
    """Measure both, each in a process of its own, one after the other."""
    found = {}
    for name in ("ours", "loop"):
        done = run([sys.executable, "-m", "benchmarks.evidence", name], every=0.05)
        if done.status:
            sys.exit(done.output)
        found[name] = json.loads(done.output.splitlines()[-1])
        if name == "ours":
            memory = done
    mine, theirs = found["ours"], found["loop"]
    scaled = theirs["seconds"] * RESAMPLES / LOOPED
    pairs = [(mine["whole"], theirs["whole"]), *zip(mine["drawn"], theirs["drawn"], strict=True)]
    figures = {
        "cases": CASES,
        "patients": PATIENTS,
        "resamples": RESAMPLES,
        "cores": len(os.sched_getaffinity(0)),
        "seconds": round(mine["seconds"], 1),
        "peak_mib": round(memory.peak_mib, 1),
        "max_rss_mib": round(memory.max_rss_mib, 1),
        "loop_resamples": LOOPED,
        "loop_seconds_scaled": round(scaled, 1),
        "times_faster": round(scaled / mine["seconds"], 1),
        "largest_difference": largest(pairs, fitted=False),
        "largest_difference_slope": largest(pairs, fitted=True),
        "limits": LIMITS,
    }
    record("evidence-speed", "python -m benchmarks evidence-speed", figures, seed=SEED)


def largest(pairs: list[tuple[dict[str, float], dict[str, float]]], *, fitted: bool) -> float:
    """Return the largest difference over all figures but slope and intercept, or of these two alone."""
    return max(
        abs(one[name] - other[name])
        for one, other in pairs
        for name in one
        if name.startswith("calibration_") == fitted
    )


ROWS: dict[str, Callable[[], None]] = {"evidence-speed": speed}


if __name__ == "__main__":
    print(json.dumps({"ours": ours, "loop": loop}[sys.argv[1]]()))
