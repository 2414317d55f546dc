"""Which recalibration map these cases bear: chosen by cross-validation over patients, shown before and after."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from semeion.calibration.maps import Identity, Map, Temperature
from semeion.errors import InputError, nearest
from semeion.evidence.calibration.maps import MAPS
from semeion.evidence.calibration.reliability import ERRORS, Reliability
from semeion.evidence.calibration.slope import logistic, multinomial
from semeion.evidence.calibration.temperature import fit_temperature
from semeion.evidence.intervals.drawing import Checked, Drawn, Piece, checked_cases, draw_together
from semeion.evidence.intervals.weights import Array, Weights, weighted_sums
from semeion.folds import grouped_folds

FOLDS = 5
OF_SEVERAL = ("identity", "temperature")
"""Maps offered where there are more than two classes."""
PATIENTS = {"identity": 20, "temperature": 20, "platt": 20, "beta": 30, "isotonic": 100}
"""Patients of the second commonest class from which on a map is offered: ten for every number that is fitted (Peduzzi
et al., J Clin Epidemiol 49:1373, 1996), and many for a map of as many numbers as there are steps."""
LEAST = 1e-7
"""Probabilities are kept this far from 0 before their logarithm is taken, as in calibration."""
_WHERE = "recalibration"


@dataclass(frozen=True)
class Choice:
    """A chosen map, and what was compared.

    Attributes
    ----------
    chosen
        Fitted on all the cases.
    candidates
        ``{kind, loss, excess, se, reason}`` of each map offered: mean log loss on cases held out, how much more than
        the least, the standard error of that; None and a reason where a map could not be fitted.
    reason
        Why this one, in words.
    held_out
        Probabilities of the same cases by maps of the chosen kind fitted without their fold, the shape of `p`. Figures
        "after" that are made on the cases that chose must use these.
    n, n_patients, folds
        Cases, patients, and folds (0 where nothing was compared).
    warning
        Why the probabilities could not be recalibrated as they should, else empty.
    """

    chosen: Map
    candidates: tuple[dict[str, Any], ...]
    reason: str
    held_out: Array
    n: int
    n_patients: int
    folds: int
    warning: str = ""

    def to_json(self) -> dict[str, Any]:
        """Return everything but the cases."""
        told = {"reason": self.reason, "n": self.n, "n_patients": self.n_patients, "folds": self.folds}
        return {"map": self.chosen.to_json(), "candidates": [dict(each) for each in self.candidates], **told}


def choose_map(
    y: ArrayLike,
    p: ArrayLike,
    patient: ArrayLike,
    *,
    kinds: Sequence[str] | None = None,
    folds: int = FOLDS,
    seed: int = 0,
    ready: bool = False,
) -> Choice:
    """Choose and fit a recalibration map on cases that may choose. Never test cases.

    Parameters
    ----------
    y
        0 or 1 ``(cases,)``, or the class index where `p` has a column a class.
    p
        Uncalibrated probability of the positive class ``(cases,)``, or of every class ``(cases, classes)``. Every case
        counts once.
    patient
        Whose each case is; a patient's cases are held out together.
    kinds
        Of :data:`semeion.evidence.calibration.maps.MAPS`; by default all of them, and with a column a class identity
        and temperature.
    folds, seed
        Of the cross-validation.
    ready
        Whether the identity gives way to any map that has less log loss, and not only to a gain beyond the error. A
        temperature costs a model that needs none about ``1 / (2 n)`` of log loss, and few cases seldom prove that one
        is needed where it is.

    Returns
    -------
    Choice
        The identity, with a reason, where fewer than `folds` patients have the second commonest class.

    Raises
    ------
    InputError
        For cases that cannot be used, an unknown map, one that takes no classes, and fewer than 2 folds.

    Notes
    -----
    The least mean log loss on held-out cases is sought; of the maps within one standard error of it the simplest is
    taken (Breiman et al., Classification and regression trees, 1984, 3.4.3). The standard error is that of the paired
    difference from the best, over patients: maps differ far less on the same cases than cases differ from one another,
    so the plain one would let the identity always pass. From simple to flexible: identity, temperature, Platt, beta,
    isotonic.
    """
    cases = checked_cases(y, p, patient, where=_WHERE)
    offered = _offered(kinds, cases)
    if folds < 2:
        raise InputError(f"{folds} folds", where=_WHERE, fix="use at least 2, for example 5")
    having = sorted(len(np.unique(cases.patient[cases.y == k])) for k in range(max(2, int(cases.y.max()) + 1)))
    if having[-2] < folds:
        few = f"the second commonest class has {having[-2]} patients, fewer than {folds} folds"
        reason = f"not recalibrated: {few}"
        return Choice(Identity(), (), reason, cases.p.copy(), len(cases), cases.n_patients, 0, reason)
    fold = grouped_folds(cases.y, cases.patient, folds, seed)
    held: dict[str, Array] = {}
    fitted: dict[str, Map] = {}
    failed: dict[str, str] = {}
    for kind in offered:
        try:
            fitted[kind] = MAPS[kind].fit(cases.y, cases.p)
            held[kind] = held_out(kind, cases, fold, folds)
        except InputError as error:
            failed[kind] = error.what
    return _chosen(cases, offered, fitted, held, failed, folds, ready=ready)


def choose_by_size(y: ArrayLike, p: ArrayLike, patient: ArrayLike, *, seed: int = 0) -> Choice:
    """Choose and fit the map that ships: among as many as these cases can compare, the temperature where they are few.

    Parameters
    ----------
    y, p, patient
        As for :func:`choose_map`, but there may be few cases, one class, or none.
    seed
        Of the folds.

    Returns
    -------
    Choice
        With fewer than 20 patients of the second commonest class nothing is compared: the temperature is fitted to all
        cases, and `held_out` holds the probabilities as they are.

    Raises
    ------
    InputError
        For cases that cannot be used.
    """
    truth, values = np.asarray(y, dtype=np.int64), np.asarray(p, dtype=np.float64)
    whose = np.asarray(patient)
    having = sorted((len(np.unique(whose[truth == k])) for k in np.unique(truth)), reverse=True)
    second = having[1] if len(having) > 1 else 0
    kinds = [kind for kind, least in PATIENTS.items() if second >= least and (values.ndim == 1 or kind in OF_SEVERAL)]
    if kinds:
        return choose_map(truth, values, whose, kinds=kinds, seed=seed, ready=True)
    fit = fit_temperature(truth, values if values.ndim == 2 else np.column_stack([1 - values, values]))
    chosen: Map = Identity() if fit.value == 1 else Temperature(fit.value)
    few = f"the second commonest class has {second} patients, fewer than {PATIENTS['temperature']} to compare on"
    reason = f"temperature alone: {few}" if fit.value != 1 or not fit.reason else fit.reason
    return Choice(chosen, (), reason, values, len(truth), len(np.unique(whose)), 0, fit.reason)


def _chosen(
    cases: Checked,
    offered: Sequence[str],
    fitted: dict[str, Map],
    held: dict[str, Array],
    failed: dict[str, str],
    folds: int,
    *,
    ready: bool,
) -> Choice:
    compared = [kind for kind in offered if kind in held]
    if not compared:
        reason = f"not recalibrated: {'; '.join(f'{kind}: {why}' for kind, why in failed.items())}"
        return Choice(Identity(), (), reason, cases.p.copy(), len(cases), cases.n_patients, folds, reason)
    losses = {kind: log_losses(cases.y, held[kind]) for kind in compared}
    best = min(compared, key=lambda kind: float(losses[kind].mean()))
    candidates: list[dict[str, Any]] = []
    passing = []
    for kind in offered:
        if kind not in held:
            candidates.append({"kind": kind, "loss": None, "excess": None, "se": None, "reason": failed[kind]})
            continue
        excess, error = mean_and_error(losses[kind] - losses[best], cases)
        candidates.append({"kind": kind, "loss": float(losses[kind].mean()), "excess": excess, "se": error})
        if excess <= error:
            passing.append(kind)
    if ready and best != "identity" and "identity" in losses:
        least = float(losses["identity"].mean())
        passing = [kind for kind in passing if kind != "identity" and float(losses[kind].mean()) < least]
    simplest = passing[0]
    reason = f"{simplest} has the least log loss on held-out patients"
    if simplest != best:
        reason = (
            f"{best} has the least log loss on held-out patients, {simplest} is simpler and within a standard error"
        )
    return Choice(fitted[simplest], tuple(candidates), reason, held[simplest], len(cases), cases.n_patients, folds)


def compare_calibration(
    y: ArrayLike,
    before: ArrayLike,
    after: ArrayLike,
    patient: ArrayLike,
    *,
    resamples: int = 2000,
    seed: int = 0,
    jobs: int | None = None,
) -> dict[str, Any]:
    """Return figures before and after recalibration and their difference on the same draws of patients.

    Parameters
    ----------
    y
        0 or 1, or the class index, ``(cases,)``.
    before, after
        Probabilities ``(cases,)`` or ``(cases, classes)``. On the cases that chose the map `after` must be
        :attr:`Choice.held_out`; elsewhere what the map gives.
    patient
        Whose each case is.
    resamples, seed, jobs
        Of the bootstrap.

    Returns
    -------
    dict
        ``before``, ``after`` and ``difference`` (after less before), each with ``log_loss brier calibration_slope`` and
        for a binary target ``calibration_intercept ece_adaptive ici e50 e90``: ``{value, low, high, n, n_patients,
        method}``.

    Raises
    ------
    InputError
        See :func:`semeion.evidence.intervals.drawing.checked_cases`; and when `after` has another shape.
    """
    first = checked_cases(y, before, patient, where="probabilities before")
    second = checked_cases(y, after, patient, where="probabilities after")
    if first.p.shape != second.p.shape:
        raise InputError(
            f"shape {second.p.shape}, and {first.p.shape} before",
            where="probabilities after",
            fix="give the same cases",
        )
    names, old = _summary(first)
    _, new = _summary(second)
    binary = first.p.ndim == 1
    accounts = [Reliability(first), Reliability(second)] if binary else []

    def compute(weights: Weights) -> Array:
        a, b = old(weights), new(weights)
        if not binary:
            return np.hstack([a, b, b - a])
        whole = [account.compute(weights) for account in accounts]
        errors = [each[:, : len(ERRORS)] for each in whole]
        return np.hstack([a, b, np.hstack([b, errors[1]]) - np.hstack([a, errors[0]]), *whole])

    def tell(drawn: Drawn) -> dict[str, Any]:
        k, told, end = len(names), {}, 3 * len(names) + len(ERRORS)
        undefined = "no finite slope fits: one class only, separated classes or probabilities that do not vary"
        for place, part in enumerate(("before", "after", "difference")):
            columns = names if part != "difference" or not binary else (*names, *ERRORS)
            told[part] = {
                name: drawn.entry(place * k + column, name, undefined=undefined) for column, name in enumerate(columns)
            }
        for part, account in zip(("before", "after"), accounts, strict=False):
            entries = account.figures(drawn.part(end, end + account.width))
            told[part] |= {name: entries[name] for name in ERRORS}
            end += account.width
        return told

    [found] = draw_together([Piece(compute, tell)], first, resamples=resamples, seed=seed, jobs=jobs)
    return found


def _offered(kinds: Sequence[str] | None, cases: Checked) -> list[str]:
    several = cases.p.ndim == 2
    wanted = list(kinds) if kinds is not None else list(OF_SEVERAL if several else MAPS)
    for kind in wanted:
        if kind not in MAPS:
            raise InputError(
                f"unknown map {kind!r}{nearest(kind, MAPS)}", where=_WHERE, fix=f"use some of {', '.join(MAPS)}"
            )
        if several and kind not in OF_SEVERAL:
            raise InputError(
                f"the map {kind!r} takes the probability of one class",
                where=_WHERE,
                fix=f"use {' or '.join(OF_SEVERAL)}",
            )
    if not wanted:
        raise InputError("no map is offered", where=_WHERE, fix=f"name some of {', '.join(MAPS)}")
    return [kind for kind in MAPS if kind in wanted]


def held_out(kind: str, cases: Checked, fold: NDArray[np.int64], folds: int, maps: Mapping[str, Any] = MAPS) -> Array:
    """Return the probabilities of each case by a map fitted without its fold; `maps` holds the kinds by name."""
    held = np.empty_like(cases.p)
    for k in range(folds):
        out = fold == k
        try:
            held[out] = maps[kind].fit(cases.y[~out], cases.p[~out]).apply(cases.p[out])
        except InputError as error:
            raise InputError(f"without fold {k + 1} of {folds}: {error.what}", where=_WHERE) from error
    return held


def log_losses(y: NDArray[np.int64], p: Array) -> Array:
    """Return the log loss of each case."""
    own = np.where(y == 1, p, 1 - p) if p.ndim == 1 else p[np.arange(len(y)), y]
    return np.asarray(-np.log(np.clip(own, LEAST, 1)))


def mean_and_error(difference: Array, cases: Checked) -> tuple[float, float]:
    """Return the mean difference over cases and its standard error, patients being independent."""
    n, mean = len(difference), float(difference.mean())
    surplus = np.bincount(cases.patient, weights=difference - mean)
    patients = cases.n_patients
    return mean, float(np.sqrt(patients / (patients - 1) * (surplus**2).sum()) / n)


def _summary(cases: Checked) -> tuple[tuple[str, ...], Any]:
    """Return the names of the figures of one set of probabilities, and how weights give them."""
    losses = log_losses(cases.y, cases.p)
    if cases.p.ndim == 2:
        hot = cases.y[:, None] == np.arange(cases.p.shape[1])
        columns = np.column_stack([np.ones(len(cases)), losses, ((cases.p - hot) ** 2).sum(axis=1)])
        factor = multinomial(cases.y, cases.p)

        def of_several(weights: Weights) -> Array:
            sums = weighted_sums(weights, columns)
            return np.column_stack([sums[:, 1:] / sums[:, :1], factor(weights)])

        return ("log_loss", "brier", "calibration_slope"), of_several
    positive = cases.y == 1
    columns = np.column_stack([np.ones(len(cases)), losses, (cases.p - positive) ** 2])
    line = logistic(positive, cases.p)

    def of_two(weights: Weights) -> Array:
        sums = weighted_sums(weights, columns)
        return np.hstack([sums[:, 1:] / sums[:, :1], line(weights)])

    return ("log_loss", "brier", "calibration_slope", "calibration_intercept"), of_two
