"""Learners of covariates: boosted trees or a regularised linear model, whichever says more of patients left out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from semeion.errors import InputError
from semeion.folds import grouped_folds
from semeion.learn.linear import fit_linear
from semeion.learn.tabular import boosted_arrays
from semeion.learn.thresholds import drawn_thresholds

Floats = npt.NDArray[np.float64]
Rows = npt.NDArray[np.int64]
Learner = Literal["boosting", "linear"]
LEARNERS: tuple[Learner, ...] = ("linear", "boosting")

INNER_FOLDS = 5
STAGES = (10, 20, 40, 80)
"""Numbers of trees that are tried: what says little is stopped early."""
_RATE = 0.1
_DEPTH = 2
_SHARE, _MOST = 0.7, 5_000
"""Of the cases that a tree grows from: their share, and their largest number."""
_LEAST_LEAF = 5
"""Cases of every leaf, so that none is of one patient; see also :mod:`semeion.learn.thresholds`."""
_PARTS = 5
"""Of a measured value: parts of equal size that every fold gets its share of."""


@dataclass(frozen=True)
class FittedCovariates:
    """A learner of covariates as arrays, and how it was chosen.

    Attributes
    ----------
    head
        ``{"trees": [...]}`` or ``{"linear": {...}}``: fields of :class:`semeion.model.covariates.CovariateHead`.
    inner
        ``(N, K)``: what is said of the learning cases, each by a learner that did not know its patient.
    kind
        The kind that was chosen.
    losses
        Of each kind over `inner`: log loss, or mean absolute error.
    """

    head: dict[str, Any]
    inner: Floats
    kind: Learner
    losses: dict[str, float]


def fit_covariates(
    x: npt.ArrayLike,
    y: npt.ArrayLike,
    groups: npt.ArrayLike,
    features: Sequence[str],
    task: str,
    classes: int,
    *,
    seed: int,
    learners: Sequence[Learner] = LEARNERS,
    weight: npt.ArrayLike | None = None,
) -> FittedCovariates:
    """Choose a kind by its loss over patient-grouped folds of the learning cases, and fit it on all of them.

    Parameters
    ----------
    x
        Features ``(N, F)``, finite.
    y
        Class index or value ``(N,)``; for multi-label ``(N, labels)`` of 0, 1 and NaN for unknown.
    groups
        Patient of each case ``(N,)``; never on two sides of a fold.
    features
        Names of the columns of `x`.
    task, classes
        The question; K classes, labels, or 1 value.
    seed
        Of trees and folds.
    weight
        How much each case counts ``(N,)``; None: all the same.

    Raises
    ------
    InputError
        When fewer than two patients are there to learn from, or no kind can learn from them.
    """
    table, truth = np.asarray(x, dtype=np.float64), np.asarray(y, dtype=np.float64)
    patient = np.unique(np.asarray(groups).astype(str), return_inverse=True)[1].astype(np.int64)
    if table.shape != (len(truth), len(features)):
        raise ValueError(f"features {table.shape} do not fit {len(truth)} cases and {len(features)} names")
    counts = None if weight is None else np.asarray(weight, dtype=np.float64)
    if len(np.unique(patient)) < 2:
        raise InputError("one patient is all there is to learn from", where="covariates", fix="add patients")
    folds = grouped_folds(_strata(truth, task), patient, min(INNER_FOLDS, int(patient.max()) + 1), seed)
    found: dict[Learner, tuple[dict[str, Any], Floats]] = {}
    refused: list[InputError] = []
    for kind in learners:
        try:
            found[kind] = _fit(kind, table, truth, patient, folds, list(features), task, classes, seed, counts)
        except InputError as error:  # a class with too few patients for one kind may do for the other
            refused.append(error)
    if not found:
        raise refused[0]
    losses: dict[str, float] = {kind: loss_of(inner, truth, task, counts) for kind, (_, inner) in found.items()}
    chosen = min(found, key=lambda kind: losses[kind])
    return FittedCovariates(*found[chosen], chosen, losses)


def loss_of(values: Floats, y: Floats, task: str, weight: Floats | None = None) -> float:
    """Return the log loss of probabilities, or the mean absolute error of values; weighted where weights are given."""
    if task == "regression":
        return float(np.average(np.abs(values[:, 0] - y), weights=weight))
    p = np.clip(values, 1e-3, 1 - 1e-3)
    if task == "multilabel":
        known = ~np.isnan(y)
        each = np.where(np.nan_to_num(y) == 1, -np.log(p), -np.log1p(-p))[known]
        return float(np.average(each, weights=None if weight is None else np.repeat(weight, known.sum(axis=1))))
    return float(np.average(-np.log(p[np.arange(len(y)), y.astype(np.int64)]), weights=weight))


def _strata(truth: Floats, task: str) -> Rows:
    """Return what every fold should have its share of, ``(N,)``."""
    if task == "multilabel":
        return np.unique(np.nan_to_num(truth, nan=2.0), axis=0, return_inverse=True)[1].reshape(-1).astype(np.int64)
    if task == "regression":
        order = np.argsort(np.argsort(truth, kind="stable"), kind="stable")
        return np.asarray(order * _PARTS // max(1, len(truth)), dtype=np.int64)
    return truth.astype(np.int64)


def _fit(
    kind: Learner,
    x: Floats,
    y: Floats,
    patient: Rows,
    folds: Rows,
    features: list[str],
    task: str,
    classes: int,
    seed: int,
    counts: Floats | None,
) -> tuple[dict[str, Any], Floats]:
    """Return the head of one kind, and what it says of cases left out."""
    if task == "multilabel" and kind == "boosting":
        heads, inner = [], np.zeros((len(x), classes))
        for label in range(classes):
            known = ~np.isnan(y[:, label])
            arrays, said = _boost(x, y[:, label], folds, known, features, "binary", 2, seed, counts)
            heads.append(arrays)
            inner[:, label] = said[:, 1]
        return {"trees": heads}, inner
    if kind == "boosting":
        arrays, inner = _boost(x, y, folds, np.ones(len(x), dtype=bool), features, task, classes, seed, counts)
        return {"trees": [arrays]}, inner
    fitted = fit_linear(x, y, patient, task, classes, seed=seed, features=features, weight=counts)
    # A class of a single patient has no opinion of anybody else.
    return {"linear": fitted.arrays}, np.where(np.isfinite(fitted.inner), fitted.inner, 1.0 / classes)


def _boost(
    x: Floats,
    y: Floats,
    folds: Rows,
    known: npt.NDArray[np.bool_],
    features: list[str],
    task: str,
    k: int,
    seed: int,
    counts: Floats | None,
) -> tuple[dict[str, Any], Floats]:
    """Return boosted trees as arrays, with as many stages as do best on cases left out, and what these are told."""
    said = np.zeros((len(STAGES), len(x), k))
    for fold in range(int(folds.max()) + 1):
        held = folds == fold
        for place, value in enumerate(
            _staged(_grown(x, y, known & ~held, task, STAGES[-1], seed, counts), x[held], task, k)
        ):
            said[place, held] = value
    losses = [loss_of(one[known], y[known], task, None if counts is None else counts[known]) for one in said]
    best = int(np.argmin(losses))
    model = _grown(x, y, known, task, STAGES[best], seed, counts)
    # Features are never missing, so that nothing is filled; a median may be one patient's value.
    fill = [0.0] * x.shape[1]
    if isinstance(model, int):
        arrays = _constant(model, k)
    else:
        arrays = drawn_thresholds(boosted_arrays(model, k, regression=task == "regression"), x[known], seed)
    return {"features": features, "fill": fill, "outputs": k, **arrays}, said[best]


def _grown(
    x: Floats, y: Floats, rows: npt.NDArray[np.bool_], task: str, stages: int, seed: int, counts: Floats | None = None
) -> Any:
    """Return a fitted model of scikit-learn, or the one class that there is to learn from."""
    from sklearn.ensemble import GradientBoostingClassifier, GradientBoostingRegressor

    truth = y[rows]
    if task != "regression" and len(np.unique(truth)) < 2:
        return int(truth[0]) if len(truth) else 0
    made = GradientBoostingRegressor if task == "regression" else GradientBoostingClassifier
    model = made(
        n_estimators=stages,
        learning_rate=_RATE,
        max_depth=_DEPTH,
        subsample=min(_SHARE, _MOST / len(truth)),
        min_samples_leaf=_LEAST_LEAF,
        random_state=seed,
    )
    weight = None if counts is None else counts[rows]
    return model.fit(x[rows], truth if task == "regression" else truth.astype(np.int64), sample_weight=weight)


def _staged(model: Any, x: Floats, task: str, k: int) -> list[Floats]:
    """Return what a model says after each number of `STAGES`."""
    if isinstance(model, int):
        return [np.eye(k)[np.full(len(x), model)]] * len(STAGES)
    if task == "regression":
        each = [value[:, None] for value in model.staged_predict(x)]
        return [each[stages - 1] for stages in STAGES]
    out = []
    for stages, p in enumerate(model.staged_predict_proba(x), 1):
        if stages in STAGES:
            full = np.zeros((len(x), k))
            full[:, model.classes_] = p
            out.append(full)
    return out


def _constant(only: int, k: int) -> dict[str, Any]:
    """Return a tree of one leaf that says the one class that was there."""
    base = np.where(np.arange(k) == only, 0.0, -7.0).tolist()
    leaf = {"feature": [-1], "threshold": [0.0], "left": [0], "right": [0], "value": [[0.0] * k], "share": [0.0]}
    return {"link": "softmax", "base": base, "roots": [0], **leaf}
