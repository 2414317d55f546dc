"""The best of many, without the optimism of having been chosen on the cases that it is judged by."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from semeion.evidence.intervals.bootstrap import multiplicities
from semeion.evidence.intervals.drawing import patient_codes

RESAMPLES = 1000
_CHUNK = 100

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Chosen:
    """The one of least loss.

    Attributes
    ----------
    best
        Its place.
    naive
        Its mean loss on the cases that chose it, which flatters.
    value, low, high
        The loss to expect of what is chosen like this, and its 95 % interval; None where it is undefined.
    gain, gain_low, gain_high
        How much less it is than that of the reference, where there is one.
    n, n_patients, resamples
        Cases, patients, and how often patients were drawn.
    reason
        Why something is undefined.
    """

    best: int
    naive: float
    value: float | None
    low: float | None
    high: float | None
    gain: float | None
    gain_low: float | None
    gain_high: float | None
    n: int
    n_patients: int
    resamples: int
    reason: str = ""

    def to_json(self) -> dict[str, Any]:
        """Return all of it for JSON."""
        return asdict(self)


def choose_corrected(
    losses: ArrayLike, patient: ArrayLike, *, reference: int | None = None, seed: int, resamples: int = RESAMPLES
) -> Chosen:
    """Choose the least mean loss, and say what to expect of it by bootstrap bias correction.

    Patients are drawn with replacement; in each draw the one of least loss among the drawn cases is chosen, as it was
    among all, and judged by the cases of patients that were not drawn. The mean over draws is the corrected loss, and
    their 2.5 and 97.5 percentiles its interval, which is wide, since a third of the patients judges each draw (BBC-CV:
    Tsamardinos, Greasidou and Borboudakis, Machine Learning 107:1895, 2018).

    Parameters
    ----------
    losses
        Loss of each case by each configuration, ``(configurations, cases)``; a case that is NaN for one is left out.
    patient
        Patient of each case ``(cases,)``.
    reference
        Place of a configuration that was not chosen, to compare with.
    seed, resamples
        Of the draws.

    Raises
    ------
    ValueError
        When there is no configuration, or no case that all have a loss of.
    InputError
        When a patient is missing.
    """
    table = np.asarray(losses, dtype=np.float64)
    if table.ndim != 2 or not len(table):
        raise ValueError(f"losses of shape {table.shape} are no table of configurations and cases")
    codes, _ = patient_codes(patient, table.shape[1], "validation cases")
    known = np.isfinite(table).all(axis=0)
    table, codes = table[:, known], np.unique(codes[known], return_inverse=True)[1].reshape(-1)
    if not table.shape[1]:
        raise ValueError("no case has a loss by every configuration")
    patients = int(codes.max()) + 1
    means = table.mean(axis=1)
    best = int(means.argmin())
    # Of each patient, the sum of the losses by each configuration, and the cases.
    sums = np.stack([np.bincount(codes, row, patients) for row in table], axis=1)
    cases = np.bincount(codes, minlength=patients).astype(np.float64)
    found: list[Array] = []
    for first in range(0, resamples, _CHUNK):
        counts = multiplicities(patients, first, min(first + _CHUNK, resamples), seed)
        out = (counts == 0).astype(np.float64)
        counts, out = counts[out.any(axis=1)], out[out.any(axis=1)]
        chosen = ((counts @ sums) / (counts @ cases)[:, None]).argmin(axis=1)
        judged = (out @ sums) / (out @ cases)[:, None]
        rows = np.arange(len(counts))
        other = judged[:, reference] if reference is not None else np.full(len(counts), np.nan)
        found.append(np.stack([judged[rows, chosen], other], axis=1))
    drawn = np.concatenate(found) if found else np.empty((0, 2))
    naive, size = float(means[best]), (int(table.shape[1]), patients, resamples)
    if not len(drawn):
        reason = "one patient cannot be left out of itself"
        return Chosen(best, naive, None, None, None, None, None, None, *size, reason)
    value, low, high = _interval(drawn[:, 0])
    if reference is None:
        return Chosen(best, naive, value, low, high, None, None, None, *size)
    return Chosen(best, naive, value, low, high, *_interval(drawn[:, 1] - drawn[:, 0]), *size)


def _interval(drawn: Array) -> tuple[float, float, float]:
    low, high = np.percentile(drawn, [2.5, 97.5])
    return float(drawn.mean()), float(low), float(high)
