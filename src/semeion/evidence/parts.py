"""What each part of an averaged verdict is worth: figures of the parts and of the whole, and what averaging gains."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from semeion.evidence.bootstrap import case_weights, interval, resample
from semeion.evidence.question import Question
from semeion.evidence.ranking import areas
from semeion.evidence.weights import Array

NAMES = ("accuracy", "auroc")


@dataclass(frozen=True)
class Verdict:
    """What one part says of every case: probabilities ``(cases, classes)`` and the class it calls ``(cases,)``."""

    p: Array
    call: npt.NDArray[np.int64]


def weigh_parts(
    verdicts: Mapping[str, Verdict],
    y: npt.ArrayLike,
    patients: npt.ArrayLike,
    question: Question,
    *,
    whole: str,
    without: str,
    resamples: int = 2000,
    seed: int = 0,
) -> dict[str, dict[str, dict[str, Any]]]:
    """Return the figures of verdicts on the same cases, and the paired difference between two of them.

    Parameters
    ----------
    verdicts
        By name.
    y
        Class index of the truth ``(cases,)``.
    patients
        Whose each case is; all cases of a patient are drawn together.
    question
        Binary (AUROC of the positive class), or of several classes (macro, one versus rest).
    whole, without
        Names of the verdicts whose difference is stated: the first less the second, on the same draws.
    resamples, seed
        Of the bootstrap.

    Returns
    -------
    dict
        By name, and under ``difference``: ``accuracy`` and ``auroc``, each ``{value, low, high, n, n_patients,
        method}``; value null and ``reason`` where it is not defined.
    """
    truth = np.asarray(y, dtype=np.int64)
    _, patient = np.unique(np.asarray(patients).astype(str), return_inverse=True)
    patient = patient.astype(np.int64)
    n, n_patients = len(truth), int(patient.max()) + 1 if len(patient) else 0
    hits = {name: (verdict.call == truth).astype(np.float64) for name, verdict in verdicts.items()}
    classes = [question.positive_index] if question.task == "binary" else [int(k) for k in np.unique(truth)]
    ranks = {name: [areas(truth == k, verdict.p[:, k]) for k in classes] for name, verdict in verdicts.items()}

    def compute(counts: Array) -> Array:
        weights = case_weights(counts, patient)
        total = weights.sum(axis=1)
        each = {
            name: np.stack(
                [weights @ hits[name] / total, np.mean([rank(weights)[:, 0] for rank in ranks[name]], axis=0)], axis=1
            )
            for name in verdicts
        }
        return np.concatenate([*each.values(), each[whole] - each[without]], axis=1)

    values = compute(np.ones((1, n_patients)))[0]
    drawn = resample(compute, n_patients, n, resamples=resamples, seed=seed) if n_patients > 1 else None
    found: dict[str, dict[str, dict[str, Any]]] = {}
    for number, name in enumerate([*verdicts, "difference"]):
        found[name] = {}
        for place, figure in enumerate(NAMES):
            column = len(NAMES) * number + place
            spread = None if drawn is None else drawn[:, column]
            found[name][figure] = _entry(float(values[column]), spread, n, n_patients, resamples)
    return found


def _entry(value: float, drawn: Array | None, n: int, n_patients: int, resamples: int) -> dict[str, Any]:
    method = f"percentile bootstrap over patients, {resamples} resamples, the same draws for every part"
    entry: dict[str, Any] = {"value": None, "low": None, "high": None, "n": n, "n_patients": n_patients}
    entry["method"] = method
    if not np.isfinite(value):
        return {**entry, "reason": "only one class among the cases"}
    entry["value"] = value
    if drawn is None:
        return {**entry, "reason": "no interval: fewer than 2 patients"}
    span = interval(drawn, n_patients)
    if np.isfinite(span.low):
        entry |= {"low": span.low, "high": span.high}
    return {**entry, "reason": span.reason} if span.reason else entry
