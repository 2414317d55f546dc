"""Sets of classes that hold the truth with a stated probability, and how often they did.

A set is promised for a patient who is exchangeable with those that calibrated it. Calibration cases must serve nothing
else: not training, not early stopping, not the temperature or the operating point.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from semeion.errors import InputError, nearest
from semeion.evidence.intervals.drawing import Checked, checked_cases

Array = NDArray[np.float64]
Sets = NDArray[np.bool_]
SCORES = ("lac", "aps")
RULES = ("largest", "drawn")
_WHERE = "conformal sets"


@dataclass(frozen=True)
class SetRule:
    """A class belongs to the set of a case when its score is at most the threshold of the class.

    Attributes
    ----------
    score
        ``lac`` or ``aps``, see :func:`class_scores`.
    coverage
        What is promised, for example 0.9.
    per_class
        Whether it is promised of each class by itself.
    rule
        Which score stands for a calibration patient: ``largest`` or ``drawn``.
    thresholds
        One a class, ``(classes,)``; all equal unless `per_class`.
    n_patients
        Calibration patients behind each threshold, ``(classes,)``.
    """

    score: str
    coverage: float
    per_class: bool
    rule: str
    thresholds: tuple[float, ...]
    n_patients: tuple[int, ...]

    def sets(self, p: ArrayLike) -> Sets:
        """Return whether each class is in the set of each case, ``(cases, classes)``.

        Parameters
        ----------
        p
            Probabilities ``(cases, classes)``, made in the same way as those that calibrated.

        Raises
        ------
        InputError
            When there is not one finite column a class.
        """
        values = np.asarray(p, dtype=np.float64)
        if values.ndim != 2 or values.shape[1] != len(self.thresholds) or not np.isfinite(values).all():
            raise InputError(
                f"probabilities of shape {values.shape}, or some not a number, for {len(self.thresholds)} classes",
                where=_WHERE,
                fix="give the probability of every class",
            )
        return np.asarray(class_scores(values, self.score) <= np.array(self.thresholds))

    def to_json(self) -> dict[str, Any]:
        """Return plain values."""
        written = {name: list(value) if isinstance(value, tuple) else value for name, value in vars(self).items()}
        return {**written, "promise": self.promise}

    @property
    def promise(self) -> str:
        """What is promised, in a sentence."""
        of = "every case" if self.rule == "largest" else "a case drawn at random"
        # Of a patient with cases of two classes each class is held with that probability, and both with less.
        by = ", of the cases of each class by themselves" if self.per_class else ""
        return f"the set holds the truth of {of} of a new patient with a probability of at least {self.coverage:g}{by}"


def class_scores(p: Array, score: str = "lac") -> Array:
    """Return how badly each class fits each case, ``(cases, classes)``.

    ``lac`` is ``1 - p`` (least ambiguous sets: Sadinle, Lei and Wasserman, JASA 114:223, 2019). ``aps`` is the sum of
    the probabilities that are at least as large as that of the class (Romano, Sesia and Candes, NeurIPS 2020), without
    their random part: deterministic, and so somewhat too large sets.

    Raises
    ------
    InputError
        For an unknown score.
    """
    if score == "lac":
        return np.asarray(1 - p)
    if score != "aps":
        raise InputError(
            f"unknown score {score!r}{nearest(score, SCORES)}", where=_WHERE, fix=f"use {' or '.join(SCORES)}"
        )
    return np.stack([np.where(p >= p[:, [k]], p, 0).sum(axis=1) for k in range(p.shape[1])], axis=1)


def fit_sets(
    y: ArrayLike,
    p: ArrayLike,
    patient: ArrayLike,
    *,
    coverage: float = 0.9,
    score: str = "lac",
    per_class: bool = False,
    rule: str = "largest",
    seed: int = 0,
) -> SetRule:
    """Return the rule that makes sets with a stated coverage from cases that served nothing else (split conformal).

    Parameters
    ----------
    y
        Class index ``(cases,)``; exchangeability is assumed, so cases carry no weights.
    p
        Probabilities ``(cases, classes)``; a binary target has two columns.
    patient
        Whose each case is.
    coverage
        Strictly between 0 and 1.
    score
        See :func:`class_scores`.
    per_class
        Promise the coverage of each class by itself (Mondrian; Vovk, Machine Learning 92:349, 2013).
    rule
        A patient gives one score, since its cases are not exchangeable with those of others. ``largest``: its largest,
        so that all cases of a new patient are held at once; conservative for a single case. ``drawn``: that of one case
        drawn at random (subsampling once: Dunn, Wasserman and Ramdas, JASA 118:2491, 2023). With one case a patient
        they are the same. With `per_class` the cases of one class count as the patient's.
    seed
        Of the draw.

    Raises
    ------
    InputError
        See :func:`semeion.evidence.drawing.checked_cases`; and when patients, of a class with `per_class`, are so few
        that no finite threshold keeps the promise: ``ceil((n + 1) * coverage) > n``.

    Notes
    -----
    The threshold is the ``ceil((n + 1) * coverage)``-th smallest score of n patients (Vovk, Gammerman and Shafer 2005).
    """
    cases = _checked(y, p, patient, coverage)
    if rule not in RULES:
        raise InputError(f"unknown rule {rule!r}{nearest(rule, RULES)}", where=_WHERE, fix=f"use {' or '.join(RULES)}")
    own = class_scores(cases.p, score)[np.arange(len(cases)), cases.y]
    classes = cases.p.shape[1]
    shuffled = np.random.default_rng(np.random.SeedSequence(seed)).permutation(len(cases))
    groups = [cases.y == k for k in range(classes)] if per_class else [np.ones(len(cases), dtype=np.bool_)]
    found = []
    for number, group in enumerate(groups):
        scores = _per_patient(own, cases.patient, group, shuffled if rule == "drawn" else None)
        of = f" with class {number}" if per_class else ""
        rank = _rank(len(scores), coverage, of)
        found.append((float(np.sort(scores)[rank - 1]), len(scores)))
    if not per_class:
        found *= classes
    thresholds, counts = zip(*found, strict=True)
    return SetRule(score, coverage, per_class, rule, tuple(thresholds), tuple(counts))


@dataclass(frozen=True)
class CrossSets:
    """Sets from the models of all folds, ``(cases, classes)``, and the coverage that is promised at the worst.

    `n_patients` of each class, ``(classes,)``, are those that each class was compared with.
    """

    sets: Sets
    coverage: float
    promised: float
    per_class: bool = False
    n_patients: tuple[int, ...] = ()

    @property
    def promise(self) -> str:
        """What is promised, in a sentence."""
        of = "of new patients of each class" if self.per_class else "of new patients"
        case = "case of that class" if self.per_class else "case"
        held = f"about {self.coverage:g} {of} have the truth of every {case} in their sets"
        return f"{held}; at the worst {self.promised:.3g}"


def cross_sets(
    y: ArrayLike,
    p: ArrayLike,
    patient: ArrayLike,
    fold: ArrayLike,
    new: Mapping[int, ArrayLike],
    *,
    coverage: float = 0.9,
    score: str = "lac",
    per_class: bool = False,
) -> CrossSets:
    """Return sets from out-of-fold predictions, which need no cases set aside (CV+, cross-conformal).

    Parameters
    ----------
    y, p, patient
        Class index, out-of-fold probabilities ``(cases, classes)`` and patient of the cases that were trained on.
    fold
        The fold that held each case out; one for all cases of a patient.
    new
        By fold: probabilities of the new cases by the model that did not see the fold, ``(new cases, classes)``.
    coverage, score
        As in :func:`fit_sets`; each patient has its largest score.
    per_class
        Compare each class with the patients of that class alone, among its cases; the bound is then of each class, the
        lowest of them is told.

    Returns
    -------
    CrossSets
        A class is in the set unless the new case fits worse than ``coverage * (n + 1)`` or more of the n patients, each
        compared by the model that did not see it. With ``alpha = 1 - coverage`` the coverage is at least ``1 - 2 alpha
        - min(2 (1 - 1/K) / (n/K + 1), (1 - K/n) / (K + 1))`` for K folds of equally many patients, whatever the model,
        and near ``1 - alpha`` for a stable one.

    Raises
    ------
    InputError
        As :func:`fit_sets`; and for a patient in two folds, fewer than 2 folds, folds that differ from those of `new`,
        and models that disagree on the number of new cases.

    Notes
    -----
    Cross-conformal prediction: Vovk, Ann Math Artif Intell 74:9, 2015; CV+ and its bound: Barber, Candes, Ramdas and
    Tibshirani, Ann Stat 49:486, 2021 (theorem 4); for classes: Romano, Sesia and Candes, NeurIPS 2020. The bound is for
    the sets made here, not for those of a model averaged over folds.
    """
    cases = _checked(y, p, patient, coverage)
    of = np.asarray(fold)
    if of.shape != (len(cases),) or of.dtype.kind not in "iu":
        raise InputError("not one whole number a case as fold", where=_WHERE, fix="number the folds from 0 on")
    numbers = np.unique(of)
    if len(numbers) < 2 or set(numbers.tolist()) != set(new):
        raise InputError(
            f"{len(numbers)} folds among the cases, {len(new)} models", where=_WHERE, fix="give one model for each fold"
        )
    first = np.zeros(cases.n_patients, dtype=of.dtype)
    first[cases.patient] = of
    if (first[cases.patient] != of).any():
        raise InputError("a patient is in two folds", where=_WHERE, fix="hold a patient's cases out together")
    own = class_scores(cases.p, score)[np.arange(len(cases)), cases.y]
    values = {number: _new_cases(new[number], number, cases.p.shape[1]) for number in numbers.tolist()}
    sizes = {len(each) for each in values.values()}
    if len(sizes) > 1:
        raise InputError(
            f"the models disagree on how many new cases there are: {', '.join(map(str, sorted(sizes)))}",
            where=_WHERE,
            fix="predict the same cases with each",
        )
    classes, k = cases.p.shape[1], len(numbers)
    fits = {number: class_scores(each, score) for number, each in values.items()}
    sets = np.zeros((sizes.pop(), classes), dtype=np.bool_)
    counts, promised = [], []
    groups = [cases.y == c for c in range(classes)] if per_class else [np.ones(len(cases), dtype=np.bool_)]
    for c, group in enumerate(groups):
        columns = [c] if per_class else list(range(classes))
        scores = _per_patient(own, cases.patient, group, None)
        held = first[np.unique(cases.patient[group])]
        n = len(scores)
        _rank(n, coverage, f" with class {c}" if per_class else "")
        better = np.zeros((len(sets), len(columns)))
        for number, each in fits.items():
            better += np.searchsorted(np.sort(scores[held == number]), each[:, columns], side="left")
        sets[:, columns] = better < coverage * (n + 1) - 1e-9
        slack = min(2 * (1 - 1 / k) / (n / k + 1), (1 - k / n) / (k + 1) if n >= k else 1.0)
        promised.append(max(0.0, 1 - 2 * (1 - coverage) - slack))
        counts += [n] * len(columns)
    return CrossSets(sets, coverage, min(promised), per_class, tuple(counts))


def expected_coverage(n: int, new: int, coverage: float) -> tuple[float, float]:
    """Return between which shares of `new` patients the sets should hold, in 95 of 100 repetitions of everything.

    Given n calibration patients the coverage is beta distributed with parameters r and ``n + 1 - r``, where ``r =
    ceil((n + 1) * coverage)`` (Vovk 2013), if scores have no ties; the measured share is then beta-binomial. With ties
    coverage can only be higher.

    Raises
    ------
    InputError
        When n is too small for the coverage, or there is no new patient.
    """
    from scipy.stats import betabinom

    if new < 1:
        raise InputError("no new patient", where=_WHERE, fix="measure coverage on at least one")
    rank = _rank(n, coverage, "")
    below = np.cumsum(betabinom.pmf(np.arange(new + 1), new, rank, n + 1 - rank))
    low, high = np.minimum(np.searchsorted(below, [0.025, 0.975]), new)
    return float(low) / new, float(high) / new


def _checked(y: ArrayLike, p: ArrayLike, patient: ArrayLike, coverage: float) -> Checked:
    cases = checked_cases(y, p, patient, where=_WHERE)
    if cases.p.ndim != 2:
        raise InputError(
            f"probabilities of shape {cases.p.shape}", where=_WHERE, fix="give the probability of every class"
        )
    if not 0 < coverage < 1:
        raise InputError(f"a coverage of {coverage}", where=_WHERE, fix="give a number between 0 and 1, such as 0.9")
    return cases


def _new_cases(p: ArrayLike, fold: int, classes: int) -> Array:
    values = np.asarray(p, dtype=np.float64)
    if values.ndim != 2 or values.shape[1] != classes or not np.isfinite(values).all():
        raise InputError(
            f"fold {fold}: probabilities of shape {values.shape}, or some not a number",
            where=_WHERE,
            fix=f"give the probabilities of {classes} classes",
        )
    return values


def threshold_rank(n: int, coverage: float) -> int | None:
    """Return which of n sorted scores is the threshold, from 1 on: ``ceil((n + 1) * coverage)``; None above n."""
    # The trace that is taken off is far above rounding.
    rank = math.ceil((n + 1) * coverage - 1e-9)
    return rank if rank <= n else None


def _rank(n: int, coverage: float, of: str) -> int:
    """Return which of n sorted scores is the threshold, or refuse patients that are too few."""
    rank = threshold_rank(n, coverage)
    if rank is None:
        least = math.ceil(coverage / (1 - coverage) - 1e-9)
        raise InputError(
            f"{n} calibration patients{of} are too few for a coverage of {coverage:g}, which takes {least}",
            where=_WHERE,
            fix="set more patients aside, or ask for less coverage",
        )
    return rank


def patient_scores(own: Array, patient: NDArray[np.int64], group: NDArray[np.bool_]) -> Array:
    """Return the largest score of each patient with cases in `group`.

    Parameters
    ----------
    own
        Score of the true class of each case, ``(cases,)``.
    patient, group
        Whose each case is, from 0 on, and whether it counts, ``(cases,)``.
    """
    return _per_patient(own, patient, group, None)


def _per_patient(
    own: Array, patient: NDArray[np.int64], group: NDArray[np.bool_], shuffled: NDArray[np.int64] | None
) -> Array:
    """Return one score of each patient with cases in `group`: the largest, or that of the first case when shuffled."""
    order = np.lexsort([-own, patient]) if shuffled is None else shuffled[np.argsort(patient[shuffled], kind="stable")]
    order = order[group[order]]
    return own[order[np.append(True, np.diff(patient[order]) > 0)]] if len(order) else np.zeros(0)
