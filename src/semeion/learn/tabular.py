"""Classifiers of measurements: a few small ones, chosen by patient-grouped cross-validation of the learning cases."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from semeion.errors import InputError
from semeion.learn.thresholds import drawn_thresholds
from semeion.prepare.covariate_fit import shared_quantile
from semeion.prepare.covariates import LEAST_PATIENTS

Floats = npt.NDArray[np.float64]
Kind = Literal["forest", "extra-trees", "boosting"]
KINDS: tuple[Kind, ...] = ("forest", "extra-trees", "boosting")
TREES = 300
INNER_FOLDS = 5


@dataclass(frozen=True)
class Fitted:
    """A classifier of measurements as arrays, and how it was chosen.

    Attributes
    ----------
    arrays
        Fields of :class:`semeion.model.trees.Trees`, with thresholds that are nobody's value.
    kind
        The kind that was chosen.
    inner
        ``(N, K)``: probabilities of the learning cases, each from a classifier that learned without its patient.
        Calibration and operating point are fitted on them.
    losses
        Log loss of each kind over `inner`.
    """

    arrays: dict[str, Any]
    kind: Kind
    inner: Floats
    losses: dict[str, float]


def fit_measurements(
    x: npt.ArrayLike,
    y: npt.ArrayLike,
    groups: npt.ArrayLike,
    features: Sequence[str],
    classes: int,
    *,
    seed: int,
    kinds: Sequence[Kind] = KINDS,
) -> Fitted:
    """Choose a kind by log loss over grouped folds of the learning cases, and fit it on all of them.

    Parameters
    ----------
    x
        Measurements ``(N, F)``; NaN where one could not be taken.
    y
        Class index ``(N,)``.
    groups
        Patient of each case ``(N,)``; never on two sides of a fold.
    features, classes
        Names of the columns, and the number of classes.
    seed
        Of the trees and the folds.

    Raises
    ------
    InputError
        When a class has fewer than two patients, so that nothing can be held out.
    """
    table, truth, patient = np.asarray(x, dtype=np.float64), np.asarray(y, dtype=np.int64), np.asarray(groups)
    if table.shape != (len(truth), len(features)):
        raise ValueError(f"measurements {table.shape} do not fit {len(truth)} cases and {len(features)} names")
    fill = _fill(table, patient)
    folds = _folds(truth, patient, classes, seed)
    losses: dict[str, float] = {}
    inner: dict[str, Floats] = {}
    for kind in kinds:
        out = np.zeros((len(truth), classes))
        for fold in range(int(folds.max()) + 1):
            held = folds == fold
            # The median that stands for a missing value comes from the learning side of the fold.
            own = _fill(table[~held], patient[~held])
            model = _make(kind, seed).fit(_filled(table[~held], own), truth[~held])
            out[np.ix_(np.flatnonzero(held), model.classes_)] = model.predict_proba(_filled(table[held], own))
        inner[kind] = out
        losses[kind] = float(-np.log(np.clip(out[np.arange(len(truth)), truth], 1e-3, 1)).mean())
    chosen = min(kinds, key=lambda kind: losses[kind])
    model = _make(chosen, seed).fit(_filled(table, fill), truth)
    nodes = drawn_thresholds(_arrays(model, chosen, classes), _filled(table, fill), seed)
    arrays = {"features": list(features), "fill": fill.tolist(), "outputs": classes, **nodes}
    return Fitted(arrays, chosen, inner[chosen], losses)


def _fill(table: Floats, patient: npt.NDArray[Any]) -> Floats:
    """Return about the median of each measurement, ``(F,)``; 0 where fewer than five patients have it.

    It ships, and a median itself may be one patient's value.
    """
    who = np.unique(patient, return_inverse=True)[1].reshape(-1)
    fill = np.zeros(table.shape[1])
    for at, column in enumerate(table.T):
        ok = np.isfinite(column)
        counts = np.bincount(who[ok])
        each = np.sort(np.bincount(who[ok], column[ok])[counts > 0] / counts[counts > 0])
        fill[at] = shared_quantile(each, 0.5) if len(each) >= LEAST_PATIENTS else 0.0
    return fill


def _filled(table: Floats, fill: Floats) -> Floats:
    return np.where(np.isfinite(table), table, fill)


def _folds(truth: npt.NDArray[np.int64], patient: npt.NDArray[Any], classes: int, seed: int) -> npt.NDArray[np.int64]:
    from sklearn.model_selection import StratifiedGroupKFold

    counts = [len(np.unique(patient[truth == index])) for index in range(classes)]
    if min(counts) < 2:
        raise InputError(
            f"a class has {min(counts)} patients to learn from, and two are needed to hold one out",
            where="measurements",
            fix="add patients of the rarest class, or join classes",
        )
    folds = np.zeros(len(truth), dtype=np.int64)
    splitter = StratifiedGroupKFold(min(INNER_FOLDS, *counts), shuffle=True, random_state=seed)
    for number, (_, held) in enumerate(splitter.split(truth[:, None], truth, patient)):
        folds[held] = number
    return folds


def _make(kind: Kind, seed: int) -> Any:
    from sklearn.ensemble import ExtraTreesClassifier, GradientBoostingClassifier, RandomForestClassifier

    if kind == "boosting":
        return GradientBoostingClassifier(
            n_estimators=80, learning_rate=0.1, max_depth=2, subsample=0.7, max_features="sqrt", random_state=seed
        )
    made = RandomForestClassifier if kind == "forest" else ExtraTreesClassifier
    return made(TREES, min_samples_leaf=2, max_features="sqrt", class_weight="balanced", random_state=seed, n_jobs=1)


def _arrays(model: Any, kind: Kind, classes: int) -> dict[str, Any]:
    """Return the nodes of a fitted model as :class:`semeion.model.trees.Trees` names them."""
    nodes: dict[str, list[Any]] = {name: [] for name in ("feature", "threshold", "left", "right", "value", "share")}
    roots: list[int] = []
    boosted = kind == "boosting"
    trees = [(tree, k) for row in np.atleast_2d(model.estimators_) for k, tree in enumerate(row)]
    for estimator, output in trees:
        tree, start = estimator.tree_, len(nodes["feature"])
        roots.append(start)
        leaf = tree.children_left < 0
        nodes["feature"] += np.where(leaf, -1, tree.feature).tolist()
        nodes["threshold"] += np.where(leaf, 0.0, tree.threshold).tolist()
        nodes["left"] += np.where(leaf, 0, tree.children_left + start).tolist()
        nodes["right"] += np.where(leaf, 0, tree.children_right + start).tolist()
        nodes["share"] += _shares(tree, leaf)
        nodes["value"] += _values(tree.value, model, output if boosted else None, classes).tolist()
    base = _base(model, classes) if boosted else []
    link = ("softmax" if hasattr(model, "classes_") else "identity") if boosted else "mean"
    return {"link": link, "base": base, "roots": roots, **nodes}


def _shares(tree: Any, leaf: npt.NDArray[np.bool_]) -> list[float]:
    """Return the share of the (weighted) learning cases of each node that went left, 0 in a leaf."""
    weight = np.asarray(tree.weighted_n_node_samples, dtype=np.float64)
    left = weight[np.where(leaf, 0, tree.children_left)]
    share = np.clip(left / np.maximum(weight, 1e-300), 1e-6, 1 - 1e-6)
    return [round(float(one), 9) for one in np.where(leaf, 0.0, share)]


def boosted_arrays(model: Any, classes: int, *, regression: bool) -> dict[str, Any]:
    """Return the nodes of boosted trees of scikit-learn as :class:`semeion.model.trees.Trees` names them.

    Parameters
    ----------
    model
        A fitted ``GradientBoostingClassifier`` or, with `regression`, ``GradientBoostingRegressor``.
    classes
        Number of classes K; a class that the model never saw is unlikely.
    regression
        Whether the trees add up to a value.
    """
    return _arrays(model, "boosting", 1 if regression else classes)


def _values(value: Floats, model: Any, output: int | None, classes: int) -> Floats:
    """Return ``(nodes, classes)``: a forest's class shares, or a boosted tree's step in its own logit or value."""
    out = np.zeros((len(value), classes))
    if not hasattr(model, "classes_"):
        return np.asarray(model.learning_rate * value[:, 0, :1], dtype=np.float64)
    if output is None:
        shares = value[:, 0, :]
        out[:, model.classes_] = shares / shares.sum(axis=1, keepdims=True)
    elif len(model.classes_) == 2:
        # One tree a stage, for the log odds of the second class: half a step up for it and half a step down for the
        # first, so that what drove a case towards the first is told as well.
        half = 0.5 * model.learning_rate * value[:, 0, 0]
        out[:, model.classes_[1]], out[:, model.classes_[0]] = half, -half
    else:
        out[:, model.classes_[output]] = model.learning_rate * value[:, 0, 0]
    return out


def _base(model: Any, classes: int) -> list[float]:
    """Return the logits before any tree: the classes' shares of the learning cases; of a value their mean."""
    if not hasattr(model, "classes_"):
        return [float(np.ravel(model.init_.constant_)[0])]
    prior = np.asarray(model.init_.class_prior_, dtype=np.float64)
    base = np.full(classes, -20.0)
    base[model.classes_] = np.log(np.clip(prior, 1e-12, 1))
    return [float(value) for value in base]
