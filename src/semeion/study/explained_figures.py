"""Figures of explanations: means over cases, each with its interval over patients."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from semeion.evidence.intervals.bootstrap import case_weights, draw
from semeion.evidence.intervals.proportions import FEW, carriers, clustered_wilson

Floats = npt.NDArray[np.float64]
Rows = npt.NDArray[np.int64]

RESAMPLES = 2000


def figure(values: Floats, patient: Rows, cases: str, seed: int) -> dict[str, Any]:
    """Return the mean over cases with its 95 % interval over patients; see :func:`figures`."""
    return figures({"": values}, patient, cases, seed)[""]


def figures(values: Mapping[str, Floats], patient: Rows, cases: str, seed: int) -> dict[str, dict[str, Any]]:
    """Return means over cases with their 95 % intervals over patients.

    Parameters
    ----------
    values
        Name to the value of each case, ``(cases,)``; NaN where it has none. Of hits and misses, 1 and 0.
    patient
        Of each case.
    cases
        Which those are, in words.
    seed
        Of the resamples.
    """
    found: dict[str, dict[str, Any]] = {}
    alike: dict[bytes, list[str]] = {}
    for name, one in values.items():
        alike.setdefault(np.isfinite(one).tobytes(), []).append(name)
    for names in alike.values():
        there = np.isfinite(values[names[0]])
        own = np.unique(patient[there], return_inverse=True)[1].reshape(-1).astype(np.int64)
        table = np.stack([values[name][there] for name in names], axis=1).astype(np.float64)
        found |= dict(zip(names, _means(table, own, cases, seed), strict=True))
    return {name: found[name] for name in values}


def _means(table: Floats, patient: Rows, cases: str, seed: int) -> list[dict[str, Any]]:
    """Return the figures of several columns ``(cases, figures)``, from the same resamples."""
    n, n_patients = len(table), int(patient.max()) + 1 if len(patient) else 0
    about: dict[str, Any] = {"value": None, "low": None, "high": None, "n": n, "n_patients": n_patients, "cases": cases}
    if not n:
        return [about | {"method": "mean over cases", "reason": "no case has it"}] * table.shape[1]

    def means(counts: Floats) -> Floats:
        weights = case_weights(counts, patient)
        return np.asarray(weights @ table / weights.sum(axis=1, keepdims=True), dtype=np.float64)

    spreads = draw(means, n_patients, n, resamples=RESAMPLES, seed=seed)
    found = []
    for column, spread in zip(table.T, spreads, strict=True):
        entry = about | {"value": float(column.mean())}
        if bool(np.isin(column, (0.0, 1.0)).all()) and carriers(column > 0, patient) < FEW:
            ends = clustered_wilson(column > 0, patient)
            how = f"{ends.method}; fewer than {FEW} patients with a hit, or with a miss"
            found.append(entry | {"low": ends.low, "high": ends.high, "method": how})
            continue
        interval = spread.interval(n_patients)
        ends_known = {"low": interval.low, "high": interval.high} if np.isfinite(interval.low) else {}
        entry |= {**ends_known, "method": f"mean over cases; {spread.method}"}
        found.append(entry | ({"reason": interval.reason} if interval.reason else {}))
    return found
