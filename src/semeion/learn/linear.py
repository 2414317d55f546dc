"""Linear heads: few cases, thousands of features, one penalty chosen by patient-grouped cross-validation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from semeion.errors import InputError
from semeion.folds import grouped_folds
from semeion.learn.linear_solve import Basis, Link, Problem, Solution, basis_of, case_losses, predicted, solve
from semeion.plan.splits import strata

Floats = npt.NDArray[np.float64]
Codes = npt.NDArray[np.int64]

STRENGTHS = (100.0, 30.0, 10.0, 3.0, 1.0, 0.3, 0.1, 0.03, 0.01, 0.003, 0.001, 0.0003)
"""Penalties from strong to weak. Features are standardised and divided by the root of their number, so that the inverse
of a strength is the variance of a typical case's logit before any case is seen, whatever the number of features."""
FOLDS = 5
MOST_REPEATS = 5
PATIENTS = 600
"""Patients from whom on one drawing of the folds suffices; with fewer it is repeated, since chance in it matters."""
PATIENCE = 2
"""Weaker penalties in a row, each worse than the best by a standard error, after which none is tried."""
DIGITS = 9
"""Significant digits of the numbers that ship: those of a float32."""

LINKS: dict[str, Link] = {
    "binary": "sigmoid",
    "multiclass": "softmax",
    "multilabel": "sigmoid",
    "ordinal": "ordered",
    "regression": "identity",
}


@dataclass(frozen=True)
class FittedLinear:
    """A linear model as arrays, and how its penalty was chosen.

    Attributes
    ----------
    arrays
        Fields of :class:`semeion.model.linear.Linear`.
    strength
        The penalty that was chosen.
    inner
        ``(N, K)``: probabilities or values of the learning cases, each from a model that learned without its patient
        (means and scales of the features, which know no label, are of all cases). NaN for cases of a class with a
        single patient, whom no model can do without.
    losses, errors
        Of each penalty tried, over held-out cases: log loss (regression: absolute error), and the standard error over
        patients of its difference to the best.
    notes
        What a reader should know: in plain sentences.
    """

    arrays: dict[str, Any]
    strength: float
    inner: Floats
    losses: dict[float, float]
    errors: dict[float, float]
    notes: tuple[str, ...] = ()


def fit_linear(
    x: npt.ArrayLike,
    y: npt.ArrayLike,
    groups: npt.ArrayLike,
    task: str,
    classes: int,
    *,
    seed: int,
    strengths: Sequence[float] = STRENGTHS,
    weight: npt.ArrayLike | None = None,
    features: Sequence[str] | None = None,
) -> FittedLinear:
    """Fit a linear model with an L2 penalty, whose strength grouped cross-validation chooses.

    Logistic regression for two classes, multinomial for several, one logistic a label (multi-label), ridge for values,
    proportional odds for grades (McCullagh, 1980). The penalty with the least held-out loss is taken: with few cases
    the rule of one standard error (Breiman et al., 1984) shrinks so far that log loss and ranking both suffer.

    Parameters
    ----------
    x
        Features ``(N, F)``, all finite; float32 is enough.
    y
        Class or grade index ``(N,)``, or each class's share ``(N, K)`` (binary, multi-class: soft labels); 0, 1 or NaN
        for unknown ``(N, K)`` (multi-label); the value ``(N,)`` (regression).
    groups
        Patient of each case ``(N,)``; never on two sides of a fold.
    task
        ``binary``, ``multiclass``, ``multilabel``, ``ordinal`` or ``regression``.
    classes
        Number of classes, grades or labels K; 1 for regression.
    seed
        Of the folds.
    strengths
        Penalties to try; once two in a row are clearly worse, weaker ones are left out.
    weight
        How much each case counts ``(N,)``, relative to one another.
    features
        Names of the columns, for messages and for the file.

    Raises
    ------
    InputError
        When a feature or target is missing, a class has no case, or too few classes have two patients, so that nothing
        can be held out.
    """
    table = np.asarray(x)
    if table.ndim != 2 or table.shape[1] == 0:
        raise ValueError(f"features of shape {table.shape} are no table of cases and features")
    if features is not None and len(features) != table.shape[1]:
        raise ValueError(f"{len(features)} names for {table.shape[1]} features")
    if not strengths or min(strengths) <= 0:
        raise ValueError("strengths must be positive numbers")
    _refuse_missing(table, features)
    truth, known, shift, unit = _truth(y, len(table), task, classes)
    counts = _weights(weight, len(truth))
    patient = np.unique(np.asarray(groups).astype(str), return_inverse=True)[1].reshape(-1).astype(np.int64)
    if len(patient) != len(table):
        raise ValueError(f"{len(patient)} patients for {len(table)} cases")
    notes: list[str] = []
    folds = _folds(truth, known, patient, task, seed, notes)
    use = np.stack([counts * (fold != number) for fold in folds for number in range(int(fold.max()) + 1)], axis=1)
    # The last column is the model that ships: it learns from every case.
    use = np.hstack([use, counts[:, None]])
    basis = basis_of(table)
    shown = truth[:, 1:] if task == "binary" else truth
    problem = Problem(LINKS[task], shown, known[:, : shown.shape[1]], use)
    tried = _tried(basis, problem, sorted({float(s) for s in strengths}, reverse=True), folds, patient, counts)
    best = min(tried, key=lambda one: one.loss)
    if best.strength == min(strengths) and len(tried) > 1:
        notes.append("the weakest penalty that was allowed is the best")
    errors = {one.strength: _difference(one, best)[1] for one in tried}
    out = _probabilities(best.held, best.held_intercepts, task) * unit + shift
    return FittedLinear(
        _arrays(basis, problem, best.solution, task, features, shift, unit),
        best.strength,
        out,
        {one.strength: one.loss * unit for one in tried},
        {strength: error * unit for strength, error in errors.items()},
        tuple(notes),
    )


@dataclass(frozen=True)
class _Tried:
    """One penalty: its solution, held-out scores of the first drawing, and each patient's held-out loss."""

    strength: float
    solution: Solution
    held: Floats
    held_intercepts: Floats
    by_patient: Floats
    share: Floats

    @property
    def loss(self) -> float:
        return float((self.by_patient * self.share).sum())


def _tried(
    basis: Basis, problem: Problem, strengths: list[float], folds: list[Codes], patient: Codes, counts: Floats
) -> list[_Tried]:
    found: list[_Tried] = []
    solution: Solution | None = None
    worse = 0
    column = np.cumsum([0] + [int(fold.max()) + 1 for fold in folds])
    held = [fold >= 0 for fold in folds]
    cases = np.arange(len(counts))
    # A case without any known label says nothing.
    says = counts * problem.known.any(axis=1)
    for strength in strengths:
        solution = solve(basis, problem, strength, solution)
        scores = predicted(basis, problem, solution)
        each = case_losses(problem, scores, solution.intercepts)
        total, weighed = np.zeros(len(counts)), np.zeros(len(counts))
        for first, fold, ok in zip(column, folds, held, strict=False):
            total[ok] += says[ok] * each[cases[ok], first + fold[ok]]
            weighed[ok] += says[ok]
        of_patient = np.bincount(patient, total), np.bincount(patient, weighed)
        mine = np.where(held[0], folds[0], 0)
        own = scores[cases, mine]
        own[~held[0]] = np.nan
        found.append(
            _Tried(
                strength,
                solution,
                own,
                solution.intercepts[mine],
                of_patient[0] / np.maximum(of_patient[1], 1e-12),
                of_patient[1] / max(float(of_patient[1].sum()), 1e-12),
            )
        )
        best = min(found, key=lambda one: one.loss)
        difference, error = _difference(found[-1], best)
        worse = worse + 1 if difference > error > 0 else 0
        if worse >= PATIENCE:
            break
    return found


def _difference(one: _Tried, other: _Tried) -> tuple[float, float]:
    """Return how much more `one` loses on held-out cases, and the standard error of that over patients."""
    n = int((one.share > 0).sum())
    each = one.by_patient - other.by_patient
    mean = float((one.share * each).sum())
    spread = float((one.share**2 * (each - mean) ** 2).sum())
    return mean, float(np.sqrt(spread * n / max(n - 1, 1)))


def _refuse_missing(table: npt.NDArray[Any], features: Sequence[str] | None) -> None:
    # A sum is finite exactly where every part is, short of overflow, and needs no second table.
    if np.isfinite(table.sum(dtype=np.float64)) or (bad := ~np.isfinite(table)).sum() == 0:
        return
    row, column = (int(index) for index in np.argwhere(bad)[0])
    name = f"feature {column}" if features is None else f"feature {features[column]!r}"
    raise InputError(
        f"{name} is not a finite number in row {row} ({int(bad[:, column].sum())} of {len(table)} rows)",
        where="features",
        fix="fill in what is missing first, or leave the feature out",
    )


def _truth(y: npt.ArrayLike, cases: int, task: str, classes: int) -> tuple[Floats, Floats, float, float]:
    """Return what is known as ``(N, K)``, 1 where it is known, and the mean and spread of a value."""
    given = np.asarray(y, dtype=np.float64)
    if task not in LINKS:
        raise ValueError(f"task {task!r} is none of {', '.join(LINKS)}")
    if len(given) != cases:
        raise ValueError(f"{len(given)} targets for {cases} cases")
    if task == "multilabel":
        if given.shape != (cases, classes):
            raise ValueError(f"targets of shape {given.shape} are not {classes} labels of {cases} cases")
        known = np.isfinite(given)
        if not np.isin(given[known], (0, 1)).all():
            raise InputError("a label is neither 0, 1 nor unknown", where="target", fix="correct the labels")
        if not known.any():
            raise InputError("no label of any case is known", where="target", fix="bring labelled cases")
        return np.where(known, given, 0.0), known.astype(np.float64), 0.0, 1.0
    if not np.isfinite(given).all():
        row = int(np.argwhere(~np.isfinite(given))[0, 0])
        raise InputError(f"the target is missing in row {row}", where="target", fix="leave out unlabelled cases")
    if task == "regression":
        values = given.reshape(cases, -1)
        if values.shape[1] != 1:
            raise ValueError(f"targets of shape {given.shape} are not one value a case")
        spread = float(values.std())
        shift, unit = float(values.mean()), spread if spread > 0 else 1.0
        return (values - shift) / unit, np.ones((cases, 1)), shift, unit
    if given.ndim == 1:
        index = given.astype(np.int64)
        if (index != given).any() or index.min(initial=0) < 0 or index.max(initial=0) >= classes:
            raise InputError(f"a class is no index from 0 to {classes - 1}", where="target", fix="correct the labels")
        shares = np.eye(classes)[index]
    else:
        shares = given
        sound = shares.shape == (cases, classes) and (shares >= 0).all()
        if task == "ordinal" or not sound or np.abs(shares.sum(axis=1) - 1).max(initial=0) > 1e-6:
            raise InputError(
                "the shares of the classes do not fit or do not sum to 1",
                where="target",
                fix="give one share a class (and of ordered grades the grade)",
            )
    for empty in np.flatnonzero(shares.sum(axis=0) == 0):
        raise InputError(
            f"class number {empty} has no case to learn from", where="target", fix="bring cases of it, or leave it out"
        )
    return shares, np.ones((cases, classes)), 0.0, 1.0


def _weights(weight: npt.ArrayLike | None, cases: int) -> Floats:
    """Return how much each case counts, 1 on average."""
    counts = np.ones(cases) if weight is None else np.asarray(weight, dtype=np.float64).copy()
    if counts.shape != (cases,):
        raise ValueError(f"weights of shape {counts.shape} for {cases} cases")
    if not np.isfinite(counts).all() or (counts < 0).any() or counts.sum() <= 0:
        raise InputError(
            "a case's weight is negative or not a number, or all are 0", where="weight", fix="correct the weights"
        )
    return np.asarray(counts / counts.mean(), dtype=np.float64)


def _folds(truth: Floats, known: Floats, patient: Codes, task: str, seed: int, notes: list[str]) -> list[Codes]:
    """Return one fold a case for every drawing; -1 for cases that every model learns from."""
    patients = len(np.unique(patient))
    if patients < 2:
        raise InputError(
            "the cases are all of one patient, so that nothing can be held out", where="features", fix="add patients"
        )
    free = np.ones(len(truth), dtype=bool)
    if of_classes := task in ("binary", "multiclass", "ordinal"):
        stratum = truth.argmax(axis=1)
        several = [len(np.unique(patient[stratum == index])) > 1 for index in range(truth.shape[1])]
        single = [index for index, many in enumerate(several) if not many and (stratum == index).any()]
        if sum(several) < 2:
            raise InputError(
                f"class number {single[0] if single else 0} has cases of fewer than two patients to learn from, and "
                "two classes need two each to hold one out",
                where="features",
                fix="add patients of the rarest class, or join classes",
            )
        notes += [f"class number {index} has cases of a single patient, who is never held out" for index in single]
        free &= ~np.isin(patient, patient[np.isin(stratum, single)])
    else:
        values = np.where(known > 0, truth, np.nan)
        stratum = strata(values[:, 0] if task == "regression" else values, task)
    codes = np.unique(patient[free], return_inverse=True)[1].reshape(-1).astype(np.int64)
    count = min(FOLDS, int(codes.max(initial=-1)) + 1)
    if count < 2:
        raise InputError(
            "fewer than two patients can be held out", where="features", fix="add patients of the rarest class"
        )
    drawings = []
    for repeat in range(max(1, min(MOST_REPEATS, PATIENTS // patients))):
        fold = np.full(len(truth), -1, dtype=np.int64)
        fold[free] = grouped_folds(stratum[free].astype(np.int64), codes, count, seed + repeat)
        drawings.append(_learnable(fold, stratum, patient, notes) if of_classes else fold)
    return drawings


def _learnable(fold: Codes, stratum: Codes, patient: Codes, notes: list[str]) -> Codes:
    """Return the folds without the patients of a class that would be missing from the learning side of a fold."""
    fold = fold.copy()
    for index in np.unique(stratum):
        own = stratum == index
        held = np.unique(fold[own])
        if len(held) == 1 and held[0] >= 0:
            fold[np.isin(patient, patient[own])] = -1
            note = f"the patients of class number {index} fell into one fold, and were not held out"
            if note not in notes:
                notes.append(note)
    return fold


def _probabilities(scores: Floats, intercepts: Floats, task: str) -> Floats:
    """Return what scores ``(N, S)`` mean, ``(N, K)``."""
    if task == "regression":
        return scores
    if task == "ordinal":
        below = np.exp(-np.logaddexp(0, scores - intercepts))
        edge = np.zeros((len(scores), 1))
        return np.diff(np.hstack([edge, below, edge + 1]), axis=1)
    if task == "multiclass":
        raised = np.exp(scores - scores.max(axis=1, keepdims=True))
        return np.asarray(raised / raised.sum(axis=1, keepdims=True))
    yes = np.exp(-np.logaddexp(0, -scores))
    return np.hstack([1 - yes, yes]) if task == "binary" else yes


def _arrays(
    basis: Basis,
    problem: Problem,
    solution: Solution,
    task: str,
    features: Sequence[str] | None,
    shift: float,
    unit: float,
) -> dict[str, Any]:
    """Return the fields of :class:`semeion.model.linear.Linear`, as they are written."""
    coefficients = np.asarray(basis.back @ solution.weights[:, -1], dtype=np.float64).T * unit
    intercepts = solution.intercepts[-1] * unit + shift
    if task == "binary":
        # Half a step up for the second class and half a step down for the first, so that both are explained alike.
        coefficients = np.vstack([-coefficients, coefficients]) / 2
        intercepts = np.concatenate([-intercepts, intercepts]) / 2
    return {
        "features": len(basis.mean) if features is None else list(features),
        "mean": _rounded(basis.mean),
        "scale": _rounded(basis.scale),
        "coefficients": [_rounded(row) for row in coefficients],
        "intercepts": _rounded(intercepts),
        "link": "softmax" if task == "binary" else problem.link,
    }


def _rounded(values: Floats) -> list[float]:
    return [float(f"{value:.{DIGITS}g}") for value in values]
