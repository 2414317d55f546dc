"""How well several readers agree on the same cases: kappa, alpha and intraclass correlation, over patients."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from semeion.errors import InputError
from semeion.evidence.intervals.bootstrap import case_weights, interval, resample
from semeion.evidence.intervals.weights import Array, weighted_sums

Kind = Literal["nominal", "ordinal", "measured"]


@dataclass(frozen=True)
class Statistic:
    """A measure of agreement that is a function of sums over cases.

    Attributes
    ----------
    name
        For example ``kappa_fleiss``.
    rows
        Cases that count, ``(cases,)`` of True and False.
    columns
        What each case adds, ``(cases, sums)``; zero where it does not count.
    of
        Sums ``(..., sums)`` to the measure ``(...)``, NaN where it is undefined.
    source
        Paper and year.
    """

    name: str
    rows: npt.NDArray[np.bool_]
    columns: Array
    of: Callable[[Array], Array]
    source: str

    @property
    def value(self) -> float:
        """The measure of the cases as they are; NaN when undefined."""
        return float(self.of(self.columns.sum(axis=0)[None])[0]) if self.rows.any() else np.nan


def agreement_of(readings: npt.ArrayLike, kind: Kind) -> Statistic:
    """Return the measure of agreement that suits the readings.

    Parameters
    ----------
    readings
        ``(cases, readers)``, NaN where a reader did not read: classes as whole numbers from 0, grades as whole numbers
        in their order, or measured values.
    kind
        Measured: ICC(2,1) of the cases that all read. Two readers: Cohen's kappa, of grades with quadratic weights.
        Several: Fleiss' kappa of classes when every case was read by all or by none, else Krippendorff's alpha; of
        grades always alpha, with squared differences.

    Raises
    ------
    InputError
        Fewer than two readers, or another shape.
    """
    x = np.asarray(readings, dtype=np.float64)
    if x.ndim != 2 or x.shape[1] < 2:
        raise InputError(
            f"readings of shape {x.shape} are not of two readers or more",
            where="agreement",
            fix="give one row a case and one column a reader",
        )
    if kind == "measured":
        return icc(x)
    if x.shape[1] == 2:
        return cohen(x[:, 0], x[:, 1], quadratic=kind == "ordinal")
    if kind == "ordinal":
        return alpha(x, squared=True)
    read = np.isfinite(x)
    return fleiss(x) if bool((read.all(axis=1) | ~read.any(axis=1)).all()) else alpha(x)


def cohen(first: Array, second: Array, *, quadratic: bool = False) -> Statistic:
    """Return Cohen's kappa of two readers (Educ Psychol Meas 20:37, 1960) on the cases that both read.

    With `quadratic`, errors weigh by the square of their distance (Fleiss and Cohen, Educ Psychol Meas 33:613, 1973).
    """
    rows = np.isfinite(first) & np.isfinite(second)
    k = _classes(np.concatenate([first[rows], second[rows]]))
    pair = np.where(rows, np.nan_to_num(first) * k + np.nan_to_num(second), 0).astype(np.int64)
    columns = (pair[:, None] == np.arange(k * k)) & rows[:, None]
    distance = np.subtract.outer(np.arange(k), np.arange(k))
    cost = (distance**2 if quadratic else distance != 0).astype(np.float64)

    def of(sums: Array) -> Array:
        table = sums.reshape(*sums.shape[:-1], k, k)
        total = table.sum(axis=(-2, -1))
        expected = table.sum(axis=-1)[..., :, None] * table.sum(axis=-2)[..., None, :]
        return _one_less((cost * table).sum(axis=(-2, -1)) * total, (cost * expected).sum(axis=(-2, -1)))

    source = "Fleiss and Cohen 1973" if quadratic else "Cohen 1960"
    return Statistic("kappa_quadratic" if quadratic else "kappa", rows, columns.astype(np.float64), of, source)


def fleiss(readings: Array) -> Statistic:
    """Return Fleiss' kappa (Psychol Bull 76:378, 1971) on the cases that every reader read."""
    rows = np.asarray(np.isfinite(readings).all(axis=1))
    counts = _counts(readings, rows)
    m = readings.shape[1]
    agree = (counts * (counts - 1)).sum(axis=1) / (m * (m - 1))

    def of(sums: Array) -> Array:
        n = sums[..., -1]
        with np.errstate(invalid="ignore", divide="ignore"):
            shares = sums[..., :-2] / (m * n[..., None])
            return _one_less(1 - sums[..., -2] / n, 1 - (shares**2).sum(axis=-1))

    columns = np.column_stack([counts, agree, np.ones(len(counts))]) * rows[:, None]
    return Statistic("kappa_fleiss", rows, columns, of, "Fleiss 1971")


def alpha(readings: Array, *, squared: bool = False) -> Statistic:
    """Return Krippendorff's alpha on the cases with two readings or more, whoever made them.

    Nominal, or with `squared` that of squared differences ("interval"). Krippendorff, Content Analysis (2nd ed. 2004),
    chapter 11; with m readings of a case and n in all, the observed disagreement is the mean over readings of their
    differences from the others of the case, the expected one that of all pairs of readings.
    """
    m = np.isfinite(readings).sum(axis=1)
    rows = m >= 2
    others = np.where(rows, m - 1, 1)
    if squared:
        held = np.isfinite(readings) & rows[:, None]
        # About the mean: sums of squares of large numbers would lose their digits.
        x = np.where(held, readings - (readings[held].mean() if held.any() else 0), 0)
        one, two = x.sum(axis=1), (x**2).sum(axis=1)
        columns = np.column_stack([np.where(rows, m, 0), one, two, 2 * (m * two - one**2) / others])

        def of(sums: Array) -> Array:
            n, total, square, apart = (sums[..., place] for place in range(4))
            with np.errstate(invalid="ignore", divide="ignore"):
                return _one_less(apart / n, 2 * (n * square - total**2) / (n * (n - 1)))

        return Statistic("alpha_squared", rows, columns, of, "Krippendorff 2004")
    counts = _counts(readings, rows)

    def nominal(sums: Array) -> Array:
        each = sums[..., :-1]
        n = each.sum(axis=-1)
        with np.errstate(invalid="ignore", divide="ignore"):
            chance = (each * (each - 1)).sum(axis=-1) / (n * (n - 1))
            return _one_less(1 - sums[..., -1] / n, 1 - chance)

    agree = (counts * (counts - 1)).sum(axis=1) / others
    return Statistic("alpha", rows, np.column_stack([counts, agree]), nominal, "Krippendorff 2004")


def icc(readings: Array) -> Statistic:
    """Return ICC(2,1): one reading of any such reader, absolute agreement.

    Shrout and Fleiss, Psychol Bull 86:420 (1979). Of the cases that every reader read:
    (MSR - MSE) / (MSR + (k - 1) MSE + k (MSC - MSE) / n), with the mean squares of cases, readers and the rest of a
    two-way analysis of variance.
    """
    rows = np.asarray(np.isfinite(readings).all(axis=1))
    k = readings.shape[1]
    x = np.where(rows[:, None], readings - (readings[rows].mean() if rows.any() else 0), 0)
    columns = np.column_stack([rows, x.sum(axis=1) ** 2, (x**2).sum(axis=1), x])

    def of(sums: Array) -> Array:
        n, squares, each = sums[..., 0], sums[..., 2], sums[..., 3:]
        with np.errstate(invalid="ignore", divide="ignore"):
            middle = each.sum(axis=-1) ** 2 / (n * k)
            between = sums[..., 1] / k - middle
            readers = (each**2).sum(axis=-1) / n - middle
            rest = (squares - middle - between - readers) / ((n - 1) * (k - 1))
            msr, msc = between / (n - 1), readers / (k - 1)
            whole = msr + (k - 1) * rest + k * (msc - rest) / n
            return np.asarray(np.where((n > 1) & (whole > 1e-12 * squares / n), (msr - rest) / whole, np.nan))

    return Statistic("icc_2_1", rows, columns.astype(np.float64), of, "Shrout and Fleiss 1979")


def weigh_agreement(
    statistic: Statistic, patients: npt.ArrayLike, *, resamples: int = 1000, seed: int = 0
) -> dict[str, Any]:
    """Return a measure of agreement with its interval.

    Parameters
    ----------
    statistic
        Of some cases.
    patients
        Whose each case is; all cases of a patient are drawn together.
    resamples, seed
        Of the bootstrap.

    Returns
    -------
    dict
        ``measure value low high n n_patients``, and ``reason`` where something is undefined or must be said.
    """
    rows = statistic.rows
    patient = np.unique(np.asarray(patients).astype(str)[rows], return_inverse=True)[1].astype(np.int64)
    n_patients = int(patient.max(initial=-1)) + 1
    columns = statistic.columns[rows]
    entry: dict[str, Any] = {"measure": statistic.name, "value": None, "low": None, "high": None}
    entry |= {"n": int(rows.sum()), "n_patients": n_patients}
    if not np.isfinite(statistic.value):
        return entry | {"reason": "all readings are the same" if rows.any() else "no case has two readings"}
    entry["value"] = statistic.value
    if n_patients < 2:
        return entry | {"reason": "no interval: fewer than 2 patients"}

    def compute(counts: Array) -> Array:
        return statistic.of(weighted_sums(case_weights(counts, patient), columns))[:, None]

    span = interval(resample(compute, n_patients, len(columns), resamples=resamples, seed=seed)[:, 0], n_patients)
    if np.isfinite(span.low):
        entry |= {"low": span.low, "high": span.high}
    return entry | ({"reason": span.reason} if span.reason else {})


def pairs(readings: Array, kind: Kind) -> list[tuple[int, int, Statistic]]:
    """Return the measure of agreement of every pair of readers."""
    both = itertools.combinations(range(readings.shape[1]), 2)
    return [(a, b, agreement_of(readings[:, [a, b]], kind)) for a, b in both]


def majority(readings: Array) -> Array:
    """Return the class that most readers of each case chose, NaN where none did or several are as frequent."""
    if not np.isfinite(readings).any():
        return np.full(len(readings), np.nan)
    counts = _counts(readings, np.ones(len(readings), dtype=np.bool_))
    most = counts.max(axis=1)
    alone = (counts == most[:, None]).sum(axis=1) == 1
    return np.where((most > 0) & alone, counts.argmax(axis=1), np.nan)


def _counts(readings: Array, rows: npt.NDArray[np.bool_]) -> Array:
    """Return how many readers chose each class, ``(cases, classes)``; zeros where a case does not count."""
    k = _classes(readings[np.isfinite(readings)])
    return np.asarray((readings[:, :, None] == np.arange(k)).sum(axis=1) * rows[:, None].astype(np.float64))


def _classes(codes: Array) -> int:
    return max(2, int(codes.max(initial=0)) + 1)


def _one_less(observed: Array, expected: Array) -> Array:
    """Return 1 - observed / expected, NaN where no disagreement can be expected."""
    possible = np.isfinite(expected) & (expected > 1e-12)
    return np.asarray(1 - np.divide(observed, expected, out=np.full_like(expected, np.nan), where=possible))
