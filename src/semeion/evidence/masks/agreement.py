"""How well measured values agree with the reference's: error, bias and limits of agreement, over patients."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from semeion.evidence.intervals.bootstrap import case_weights, draw
from semeion.evidence.intervals.entry import bootstrapped
from semeion.evidence.intervals.weights import Array

NAMES = ("mae", "bias", "limit_low", "limit_high")


def agreement(
    measured: npt.ArrayLike,
    reference: npt.ArrayLike,
    patients: npt.ArrayLike,
    *,
    resamples: int = 2000,
    seed: int = 0,
) -> dict[str, dict[str, Any]]:
    """Compare two measurements of the same cases.

    Parameters
    ----------
    measured, reference
        ``(cases,)`` in one unit; a case without one of them (NaN) is left out.
    patients
        Whose each case is; all cases of a patient are drawn together.
    resamples, seed
        Of the bootstrap.

    Returns
    -------
    dict
        ``mae`` mean absolute difference, ``bias`` mean of measured less reference, ``limit_low`` and ``limit_high``
        bias less and plus 1.96 standard deviations of the differences (Bland and Altman, Lancet 327:307, 1986), each
        ``{value, low, high, n, n_patients, method}`` with its BCa interval; value null and ``reason`` without a case.
    """
    a, b = np.asarray(measured, dtype=np.float64), np.asarray(reference, dtype=np.float64)
    kept = np.isfinite(a) & np.isfinite(b)
    difference = (a - b)[kept]
    _, patient = np.unique(np.asarray(patients).astype(str)[kept], return_inverse=True)
    n, n_patients = len(difference), int(patient.max()) + 1 if kept.any() else 0
    if n == 0:
        empty = {"value": None, "low": None, "high": None, "n": 0, "n_patients": 0, "method": "not computed"}
        return {name: {**empty, "reason": "no case has both values"} for name in NAMES}

    # From their mean, so that a large bias does not drown the spread.
    shift = float(difference.mean())
    apart = difference - shift

    def compute(counts: Array) -> Array:
        weights = case_weights(counts, patient.astype(np.int64))
        total = weights.sum(axis=1)
        off = weights @ apart / total
        mean = shift + off
        # The variance of a sample, so that two cases already have one.
        spread = np.sqrt(np.maximum(weights @ apart**2 - total * off**2, 0) / np.maximum(total - 1, 1))
        return np.stack(
            [weights @ np.abs(difference) / total, mean, mean - 1.96 * spread, mean + 1.96 * spread], axis=1
        )

    spreads = draw(compute, n_patients, n, resamples=resamples, seed=seed)
    entries: dict[str, dict[str, Any]] = {}
    for name, spread in zip(NAMES, spreads, strict=True):
        entry: dict[str, Any] = {"value": spread.value, "low": None, "high": None, "n": n, "n_patients": n_patients}
        if n < 2 and name.startswith("limit"):
            entries[name] = {**entry, "value": None, "method": "not computed", "reason": "fewer than 2 cases"}
            continue
        span, _, reason = bootstrapped(name, spread, n_patients)
        entries[name] = {**entry, **span, "method": spread.method} | ({"reason": reason} if reason else {})
    return entries
