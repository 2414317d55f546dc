"""The one figure of a learning curve: from outputs to its values over many weightings of the cases."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from semeion.errors import InputError, nearest
from semeion.evidence.intervals.weights import Array, Weights
from semeion.evidence.metrics import Figures, binary_figures, regression_figures, several_figures
from semeion.evidence.question import Question

Index = NDArray[np.int64]

METRICS: dict[str, tuple[str, ...]] = {
    "binary": ("auroc", "auprc", "accuracy", "balanced_accuracy", "brier"),
    "multiclass": ("auroc", "auprc", "accuracy", "balanced_accuracy", "f1_macro", "brier"),
    "ordinal": ("kappa_quadratic", "auroc", "accuracy", "balanced_accuracy", "grade_distance", "brier"),
    "multilabel": ("auroc", "auprc", "brier"),
    "regression": ("mae", "rmse", "r2"),
}
"""The figures that a curve can be of, by task; the first one unless another is asked for."""
LOWER = frozenset({"brier", "mae", "rmse", "grade_distance"})
"""Figures that are errors themselves; of the others the error is one less the figure."""

UNBOUNDED = frozenset({"mae", "rmse", "r2", "grade_distance", "kappa_quadratic"})
"""Figures that do not lie between 0 and 1."""
TAIL = 0.025
Z = 1.959963984540054


def metric_of(task: str, asked: str | None, *, where: str = "--metric") -> str:
    """Return the figure that a curve is of.

    Raises
    ------
    InputError
        When the task has no curve, or the figure does not fit it.
    """
    known = METRICS.get(task)
    if known is None:
        raise InputError(f"there is no learning curve of the task {task!r}", where="--task", fix="give another target")
    if asked is None:
        return known[0]
    if asked not in known:
        raise InputError(
            f"{asked!r} is no figure of a curve of the task {task}{nearest(asked, known)}",
            where=where,
            fix=f"use one of {', '.join(known)}",
        )
    return asked


def as_error(values: Array, metric: str) -> Array:
    """Return what falls as more is learned: the figure itself where lower is better, else one less it.

    It is its own inverse, and so makes figures of errors too.
    """
    return values if metric in LOWER else 1 - values


def ends_of(values: Array, drawn: Array, metric: str) -> tuple[Array, Array]:
    """Return low and high ends of the 95 % intervals of several figures, which hold the figures.

    Of a figure between 0 and 1 the interval is normal about its logit, with the deviation of the resamples (Pepe, The
    Statistical Evaluation of Medical Tests, 2003, section 5.2): percentiles hold the truth too seldom near 1, where few
    scored cases leave the resamples hardly any room. Of any other figure, and of 0 and 1, it is that of percentiles.

    Parameters
    ----------
    values
        ``(figures,)``.
    drawn
        Their resamples, ``(resamples, figures)``.
    metric
        What they are.
    """
    low, high = np.quantile(drawn, [TAIL, 1 - TAIL], axis=0)
    if metric not in UNBOUNDED:
        inside = (values > 0) & (values < 1)
        safe = np.where(inside, values, 0.5)
        middle, half = np.log(safe / (1 - safe)), Z * drawn.std(axis=0) / (safe * (1 - safe))
        low = np.where(inside, 1 / (1 + np.exp(np.minimum(half - middle, 700.0))), np.clip(low, 0, 1))
        high = np.where(inside, 1 / (1 + np.exp(-np.minimum(half + middle, 700.0))), np.clip(high, 0, 1))
    return np.minimum(low, values), np.maximum(high, values)


@dataclass(frozen=True)
class Scored:
    """The cases that are scored, none of them ever learned from.

    Attributes
    ----------
    y
        Class index or value ``(cases,)``; of several labels 0, 1 or NaN, ``(cases, labels)``.
    patient
        Of each case, counted from 0, ``(cases,)``.
    fold
        Of each case; cases of different folds are outputs of different models and never ranked against one another.
    """

    y: Array
    patient: Index
    fold: Index

    def __len__(self) -> int:
        return len(self.y)

    @property
    def n_patients(self) -> int:
        """Patients with a case."""
        return int(self.patient.max(initial=-1)) + 1


def values_of(outputs: Array, scored: Scored, question: Question, metric: str) -> Meter:
    """Return a function of weights ``(resamples, cases)`` to the figure's values ``(resamples,)``.

    Calls are the most probable class (of two, from 0.5 on). With folds the figure is that of each fold, averaged with
    the weight of its cases; a fold without the figure (one class alone) is left out. Several labels: their mean.

    Parameters
    ----------
    outputs
        Probabilities ``(cases, classes)``, of several labels ``(cases, labels)``, or the value ``(cases, 1)``.
    scored, question, metric
        Whose outputs, what was asked, which figure.
    """
    parts = []
    for fold in np.unique(scored.fold):
        rows = np.flatnonzero(scored.fold == fold)
        parts += [(rows[own], figures) for own, figures in _figures(outputs[rows], scored.y[rows], question)]
    return Meter(tuple(parts), metric)


@dataclass(frozen=True)
class Meter:
    """Rows and figures of each fold (and label), whose mean is the figure."""

    parts: tuple[tuple[Index, Figures], ...]
    metric: str

    def __call__(self, weights: Weights) -> Array:
        """Return the values ``(resamples,)``; NaN where no part has one."""
        total, sums = np.zeros(len(weights)), np.zeros(len(weights))
        for rows, figures in self.parts:
            own = weights[:, rows]
            values = figures.compute(own, (self.metric,))[:, 0]
            mass = np.where(np.isfinite(values), own.sum(axis=1), 0.0)
            sums += mass * np.where(np.isfinite(values), values, 0.0)
            total += mass
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.asarray(np.where(total > 0, sums / total, np.nan))

    @property
    def conditional(self) -> bool:
        """Whether the figure is conditional on the class, so that patients are drawn within strata of outcome."""
        return bool(self.parts) and self.metric in self.parts[0][1].conditional


def _figures(outputs: Array, y: Array, question: Question) -> list[tuple[Index, Figures]]:
    """Return the figures of the cases of a fold, of each label, with the places of the cases that count."""
    everyone = np.arange(len(y), dtype=np.int64)
    if question.task == "regression":
        return [(everyone, regression_figures(y, outputs[:, 0]))]
    if question.task == "multilabel":
        found = []
        for number, label in enumerate(question.classes):
            known = np.flatnonzero(np.isfinite(y[:, number]))
            if len(known):
                p, truth = outputs[known, number], y[known, number].astype(np.int64)
                found.append((known, binary_figures(truth, p, (p >= 0.5).astype(np.int64), question.label(label))))
        return found
    truth, call = y.astype(np.int64), outputs.argmax(axis=1).astype(np.int64)
    if question.task == "binary":
        one = question.positive_index
        p = outputs[:, one]
        call = np.where(p >= 0.5, one, 1 - one).astype(np.int64)
        return [(everyone, binary_figures(truth, p, call, question))]
    return [(everyone, several_figures(truth, outputs, call, question))]
