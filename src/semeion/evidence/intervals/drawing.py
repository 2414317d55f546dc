"""Several accounts of the same cases from the same draws of patients, and the entries that they become."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from semeion.errors import InputError
from semeion.evidence.intervals.bootstrap import LEVEL, Spread, case_weights, draw
from semeion.evidence.intervals.entry import bootstrapped
from semeion.evidence.intervals.proportions import FEW, carriers, clustered_wilson
from semeion.evidence.intervals.reliance import unreliable
from semeion.evidence.intervals.sizes import Size, size_interval
from semeion.evidence.intervals.weights import Array, Weights, distinct_codes

SUM_TOLERANCE = 1e-6
"""How far from 1 the probabilities of a case may sum."""
_TAIL = (1 - LEVEL) / 2


@dataclass(frozen=True)
class Checked:
    """Cases that were looked at: usable for any account. Every case counts once: nothing here takes weights.

    Attributes
    ----------
    y
        0 or 1, or the class index, ``(cases,)``.
    p
        Probability of the positive class ``(cases,)``, or of every class ``(cases, classes)``.
    patient
        Number of the patient, from 0 to ``n_patients - 1``, ``(cases,)``.
    n_patients
        Distinct patients.
    """

    y: NDArray[np.int64]
    p: Array
    patient: NDArray[np.int64]
    n_patients: int

    def __len__(self) -> int:
        return len(self.y)

    @cached_property
    def events(self) -> int:
        """Patients with a case of the rarest class among the cases."""
        return min(distinct_codes(self.patient[self.y == k]) for k in np.unique(self.y))


@dataclass(frozen=True)
class Drawn:
    """Values of an account on the cases as they are, and on every resample.

    Attributes
    ----------
    spreads
        One a value.
    cases
        That the values are of.
    """

    spreads: Sequence[Spread]
    cases: Checked

    @property
    def values(self) -> Array:
        """On the cases as they are, ``(width,)``; NaN where undefined."""
        return np.array([spread.value for spread in self.spreads])

    def part(self, first: int, last: int) -> Drawn:
        """Return the values from `first` to ``last - 1``."""
        return Drawn(self.spreads[first:last], self.cases)

    def drawn(self, first: int, last: int) -> Array:
        """Return the values `first` to ``last - 1`` over resamples, ``(resamples, last - first)``."""
        return np.column_stack([spread.drawn for spread in self.spreads[first:last]])

    def entry(self, column: int, name: str = "", *, how: str = "", undefined: str = "") -> dict[str, Any]:
        """Return ``{value, low, high, n, n_patients, method}`` of one value, and ``reason`` where something is said.

        Parameters
        ----------
        column
            Of the value.
        name
            Of the figure, for what is known against its interval (:mod:`semeion.evidence.intervals.reliance`).
        how
            How the figure is defined, where its name leaves a choice.
        undefined
            Why it has no value, used when it has none.
        """
        spread, patients = self.spreads[column], self.cases.n_patients
        entry: dict[str, Any] = {"value": None, "low": None, "high": None, "n": len(self.cases), "n_patients": patients}
        if not np.isfinite(spread.value):
            return {**entry, "method": how or "not computed", "reason": undefined or "undefined on these cases"}
        ends, method, reason = bootstrapped(name, spread, patients, self.cases.events)
        entry |= {"value": spread.value, **ends, "method": "; ".join(filter(None, [method, how])) or "as defined"}
        return {**entry, "reason": reason} if reason else entry

    def sized(
        self, column: int, name: str, differences: Array, drawn: Array, size: Size, *, power: int = 1, how: str = ""
    ) -> dict[str, Any]:
        """Return the entry of a size of differences, with the interval of :func:`semeion.evidence.sizes.size_interval`.

        The value of the column is the size to the `power`; other arguments are those of that function and of
        :meth:`entry`.
        """
        entry = self.entry(column, name, how=how)
        patients = self.cases.n_patients
        if entry["value"] is None or patients < 2:
            return entry
        low, high = size_interval(differences, drawn, size)
        method = f"95 % bootstrap over patients, {len(drawn)} resamples, less what chance makes of no difference"
        entry |= {"low": min(low**power, entry["value"]), "high": max(high**power, entry["value"])}
        entry["method"] = f"{method}; {how}" if how else method
        entry.pop("reason", None)
        reason = unreliable(name, patients=patients)
        return {**entry, "reason": reason} if reason else entry

    def share(
        self, column: int, hit: ArrayLike, among: NDArray[np.bool_], *, how: str = "", undefined: str = ""
    ) -> dict[str, Any]:
        """Return the entry of a share of cases: Wilson's interval where hits, or misses, are in under 10 patients.

        Parameters
        ----------
        column
            Of the value.
        hit, among
            Whether each case is a hit, and counts, ``(cases,)``; n and n_patients are of those that count.
        how, undefined
            As in :meth:`entry`.
        """
        patient, hits = self.cases.patient[among], np.asarray(hit, dtype=np.bool_)[among]
        entry = self.entry(column, how=how, undefined=undefined) | {
            "n": len(hits),
            "n_patients": distinct_codes(patient),
        }
        if entry["value"] is None or self.cases.n_patients < 2 or carriers(hits, patient) >= FEW:
            return entry
        found = clustered_wilson(hits, patient)
        method = f"{found.method}; fewer than {FEW} patients with a hit, or with a miss"
        entry |= {"low": found.low, "high": found.high}
        entry["method"] = "; ".join(filter(None, [method, how]))
        entry.pop("reason", None)
        return entry

    def band(self, first: int, last: int, *, least: float = -np.inf, most: float = np.inf) -> dict[str, Any]:
        """Return ``{low, high}`` of the columns `first` to ``last - 1``: pointwise 95 % percentiles, kept in bounds.

        None where fewer than half of the resamples have a value, and everywhere with fewer than 2 patients.
        """
        block = self.drawn(first, last)
        lost = np.isnan(block).sum(axis=0)
        ends = np.full((2, last - first), np.nan)
        whole = lost == 0
        if whole.any():
            ends[:, whole] = np.quantile(block[:, whole], [_TAIL, 1 - _TAIL], axis=0)
        for column in np.flatnonzero((lost > 0) & (2 * lost <= len(block))):
            ends[:, column] = np.nanquantile(block[:, column], [_TAIL, 1 - _TAIL])
        low, high = np.clip(ends, least, most)
        return {"low": listed(low), "high": listed(high)}


@dataclass(frozen=True)
class Piece:
    """One account of a set of cases that the bootstrap can repeat.

    Attributes
    ----------
    compute
        Weights of the cases ``(resamples, cases)``, which it must not change, to values ``(resamples, width)``.
    tell
        Those values to what is written, ready for JSON.
    """

    compute: Callable[[Weights], Array]
    tell: Callable[[Drawn], dict[str, Any]]


def draw_together(
    pieces: Sequence[Piece], cases: Checked, *, resamples: int = 2000, seed: int = 0, jobs: int | None = None
) -> list[dict[str, Any]]:
    """Return what each piece tells of the cases; all see the same draws, which are made once.

    Parameters
    ----------
    pieces
        Built from these very cases, in the same order.
    cases
        See :func:`checked_cases`.
    resamples, seed, jobs
        Of :func:`semeion.evidence.bootstrap.draw`.

    Raises
    ------
    InputError
        When `resamples` is below 1.
    """
    if resamples < 1:
        raise InputError(f"{resamples} resamples", where="resamples", fix="use 2000")
    ends = np.cumsum([0] + [piece.compute(np.ones((1, len(cases)))).shape[1] for piece in pieces])

    def compute(counts: Array) -> Array:
        weights = case_weights(counts, cases.patient)
        return np.hstack([piece.compute(weights) for piece in pieces])

    spreads = draw(compute, cases.n_patients, len(cases), resamples=resamples, seed=seed, jobs=jobs)
    return [
        piece.tell(Drawn(spreads[first:last], cases))
        for piece, first, last in zip(pieces, ends[:-1], ends[1:], strict=True)
    ]


def checked_cases(y: ArrayLike, p: ArrayLike, patient: ArrayLike, *, where: str = "cases") -> Checked:
    """Look at the arrays of a set of cases, or refuse them.

    Parameters
    ----------
    y
        0 or 1 (or bool) where `p` is ``(cases,)``, class index where it is ``(cases, classes)``.
    p
        Probability of the positive class, or of every class.
    patient
        Whose each case is, any labels.
    where
        Named in messages.

    Raises
    ------
    InputError
        For no case, lengths that differ, a label or a probability that is none, probabilities that do not sum to 1
        within 1e-6, and a patient that is missing.
    """
    values = np.asarray(p, dtype=np.float64)
    if values.ndim not in (1, 2) or (values.ndim == 2 and values.shape[1] < 2):
        raise InputError(
            f"probabilities of shape {values.shape}", where=where, fix="give them as (cases,) or (cases, classes)"
        )
    if len(values) == 0:
        raise InputError("there is no case", where=where, fix="give at least one labelled case")
    _check_probabilities(values, where)
    truth = np.asarray(y, dtype=np.float64)
    if truth.shape != values.shape[:1]:
        raise InputError(
            f"{truth.shape} labels for probabilities of shape {values.shape}", where=where, fix="give one label a case"
        )
    classes = 2 if values.ndim == 1 else values.shape[1]
    if not np.isin(truth, np.arange(classes)).all():
        wanted = "neither 0 nor 1" if values.ndim == 1 else f"no class index from 0 to {classes - 1}"
        raise InputError(f"a label is {wanted}", where=where, fix="leave out cases without a label")
    codes, n_patients = patient_codes(patient, len(values), where)
    return Checked(truth.astype(np.int64), values, codes, n_patients)


def need_binary(cases: Checked, where: str) -> None:
    """Refuse cases with a column a class.

    Raises
    ------
    InputError
        When `p` is not ``(cases,)``.
    """
    if cases.p.ndim != 1:
        raise InputError(
            f"probabilities of shape {cases.p.shape}", where=where, fix="give the probability of the positive class"
        )


def patient_codes(patient: ArrayLike, n: int, where: str) -> tuple[NDArray[np.int64], int]:
    """Return the patient of each case as a number from 0 on, and how many there are.

    Raises
    ------
    InputError
        When there is not one patient a case, or one is missing.
    """
    labels = np.asarray(patient)
    if labels.shape != (n,):
        raise InputError(f"{labels.shape} patients for {n} cases", where=where, fix="say whose each case is")
    if (labels != labels).any() or (labels.dtype == object and any(label is None for label in labels)):
        raise InputError("a patient is missing", where=where, fix="give every case a patient, its own if need be")
    keys = labels.astype(str) if labels.dtype == object else labels
    distinct, codes = np.unique(keys, return_inverse=True)
    return codes.reshape(-1).astype(np.int64), len(distinct)


def listed(values: Array) -> list[float | None]:
    """Return the values for JSON: None where there is none."""
    return [float(value) if np.isfinite(value) else None for value in values]


def _check_probabilities(values: Array, where: str) -> None:
    if not np.isfinite(values).all():
        raise InputError("a probability is not a number", where=where, fix="leave out failed cases")
    if values.min() < 0 or values.max() > 1:
        raise InputError("a probability is not between 0 and 1", where=where, fix="give probabilities, not scores")
    if values.ndim == 2 and np.abs(values.sum(axis=1) - 1).max() > SUM_TOLERANCE:
        raise InputError(
            "the probabilities of a case do not sum to 1", where=where, fix="give the probability of every class"
        )
