"""The figures of each task, for many weightings of the same cases at once.

A :class:`Figures` is built once from the cases and then maps weights ``(resamples, cases)`` to values ``(resamples,
figures)``; weights of one give the figures of the cases as they are. Almost every figure is made of weighted sums, so
one matrix product serves them all; only the areas and the calibration slope need more, and are left out unless asked.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from semeion.evidence.calibration.slope import logistic, multinomial
from semeion.evidence.intervals.weights import Array, Weights, weighted_sums
from semeion.evidence.question import Question, figure_class
from semeion.evidence.ranking import areas

BINS = 10
"""Equal-width bins of the calibration error."""

AGREEMENT = ("bias", "limit_low", "limit_high")
REGRESSION = ("mae", "rmse", "r2", *AGREEMENT)
_RANKS = ("auroc", "auprc", "accuracy", "balanced_accuracy")
_MACROS = ("precision_macro", "recall_macro", "f1_macro")
_CALIBRATION = ("brier", "ece", "calibration_slope")
BINARY = (*_RANKS, "precision", "recall", "specificity", "f1", *_MACROS, *_CALIBRATION, "calibration_intercept")
SEVERAL = (*_RANKS, *_MACROS, *_CALIBRATION)
# A resample may leave a denominator without weight: the figure is then undefined, NaN, and left out later.
_quiet = np.errstate(invalid="ignore", divide="ignore")
_ONE_CLASS = "only one class among the cases"
_NO_SLOPE = "no finite slope fits: one class only, separated classes or probabilities that do not vary"


@dataclass(frozen=True)
class Share:
    """A share of cases: those that are a hit among those that count, each ``(cases,)``."""

    hit: NDArray[np.bool_]
    counts: NDArray[np.bool_]


@dataclass(frozen=True, kw_only=True)
class Account:
    """What must be known of figures to state them, however their values come about.

    Attributes
    ----------
    names
        Of the figures, in order.
    methods
        How a figure is defined, where its name leaves a choice.
    undefined
        Why a figure is undefined, used when it is.
    remarks
        What must be said of a figure although it is defined.
    conditional
        Figures that are conditional on the class: the mix of classes does not enter them, and patients may be drawn
        within strata of outcome. For the others that would fix what varies from cohort to cohort, and be too narrow.
    shares
        Figures that are a share of cases.
    ranked
        Positive or not, and score, ``(cases,)`` each, when `auroc` is the area of one class against one other.
    classes
        Class index of each case, ``(cases,)``; None where there are none.
    """

    names: tuple[str, ...]
    methods: dict[str, str] = field(default_factory=dict)
    undefined: dict[str, str] = field(default_factory=dict)
    remarks: dict[str, str] = field(default_factory=dict)
    conditional: frozenset[str] = frozenset()
    shares: dict[str, Share] = field(default_factory=dict)
    ranked: tuple[NDArray[np.bool_], Array] | None = None
    classes: NDArray[np.int64] | None = None


@dataclass(frozen=True, kw_only=True)
class Figures(Account):
    """Figures of one set of cases.

    Attributes
    ----------
    values
        Weights ``(resamples, cases)`` and the names that are asked for to their values ``(resamples,)``, NaN where
        undefined; others may be among them.
    """

    values: Callable[[Weights, Collection[str]], dict[str, Array]]

    def compute(self, weights: Weights, only: Sequence[str] | None = None) -> Array:
        """Return the values of all figures, or of those named, ``(resamples, figures)``."""
        names = self.names if only is None else only
        found = self.values(weights, names)
        return np.stack([found[name] for name in names], axis=1)


def figure_names(question: Question) -> tuple[str, ...]:
    """Return the names of the figures of a question, in their order; multi-label: those that are averaged."""
    if question.task == "regression":
        return REGRESSION
    if question.task == "multilabel":
        return BINARY
    each = [f"{kind}_{figure_class(name)}" for kind in ("precision", "recall", "f1") for name in question.classes]
    if question.task == "binary":
        return (*BINARY, *each)
    return (*SEVERAL, *each, *(_grades(question) if question.task == "ordinal" else ()))


def _grades(question: Question) -> tuple[str, ...]:
    """Return the figures of an ordinal grade alone: ``off_by_<k>`` is the share of calls that far from the truth."""
    return "kappa_quadratic", "grade_distance", *(f"off_by_{k}" for k in range(1, len(question.classes)))


def binary_figures(y: NDArray[np.int64], p: Array, call: NDArray[np.int64], question: Question) -> Figures:
    """Return the figures of a binary target.

    Parameters
    ----------
    y, call
        Class index of the truth and of the call, ``(cases,)``.
    p
        Probability of the positive class, ``(cases,)``.
    question
        Names the two classes and the positive one.
    """
    one = question.positive_index
    positive = y == one
    bins = np.minimum((p * BINS).astype(np.int64), BINS - 1)
    surplus = _one_hot(bins, BINS) * (positive - p)[:, None]
    columns = np.column_stack([_one_hot(y, 2), _one_hot(call, 2), _hits(y, call, 2), (p - positive) ** 2, surplus])
    rank, slope = areas(positive, p), logistic(positive, p)
    ranked, fitted = {"auroc", "auprc"}, {"calibration_slope", "calibration_intercept"}

    @_quiet
    def values(weights: Weights, asked: Collection[str]) -> dict[str, Array]:
        sums = weighted_sums(weights, columns)
        truth, called, hits = sums[:, 0:2], sums[:, 2:4], sums[:, 4:6]
        total = truth.sum(axis=1)
        parts = _per_class(truth, called, hits)
        found = {
            "accuracy": hits.sum(axis=1) / total,
            "balanced_accuracy": parts["recall"].mean(axis=1),
            "precision": parts["precision"][:, one],
            "recall": parts["recall"][:, one],
            "specificity": parts["recall"][:, 1 - one],
            "f1": parts["f1"][:, one],
            **_macro(parts, np.ones(2, dtype=np.bool_)),
            "brier": sums[:, 6] / total,
            "ece": np.abs(sums[:, 7:]).sum(axis=1) / total,
            **_named(parts, question.classes),
        }
        if not ranked.isdisjoint(asked):
            found["auroc"], found["auprc"] = rank(weights).T
        if not fitted.isdisjoint(asked):
            found["calibration_slope"], found["calibration_intercept"] = slope(weights).T
        return found

    undefined, remarks = _words(y, call, question.classes)
    undefined["precision"] = f"no case was called {question.classes[one]!r}"
    undefined |= dict.fromkeys(("recall", "f1"), f"no case of class {question.classes[one]!r}")
    undefined["specificity"] = f"no case of class {question.classes[1 - one]!r}"
    undefined |= dict.fromkeys(_MACROS, _ONE_CLASS)
    shares = _shares(y, call, question.classes)
    own, other = figure_class(question.classes[one]), figure_class(question.classes[1 - one])
    shares["precision"], shares["recall"] = shares[f"precision_{own}"], shares[f"recall_{own}"]
    shares["specificity"] = shares[f"recall_{other}"]
    return Figures(
        names=figure_names(question),
        values=values,
        conditional=frozenset({"auroc", "specificity", "recall", *_recalls(question.classes)}),
        shares=shares,
        ranked=(positive, p),
        classes=y,
        methods={
            "auprc": "average precision",
            "ece": f"probability of the positive class, {BINS} bins of equal width",
            "calibration_slope": "logistic regression of the truth on logit p, slope and intercept together",
            "calibration_intercept": "logistic regression of the truth on logit p, slope and intercept together",
        },
        undefined=undefined,
        remarks=remarks,
    )


def several_figures(y: NDArray[np.int64], p: Array, call: NDArray[np.int64], question: Question) -> Figures:
    """Return the figures of a multi-class target or an ordinal grade.

    Averages over classes are over those among the cases; a resample that loses one of them has no average.

    Parameters
    ----------
    y, call
        Class index of the truth and of the call, ``(cases,)``.
    p
        Probabilities, ``(cases, classes)``.
    question
        Names the classes.
    """
    k = len(question.classes)
    seen = np.bincount(y, minlength=k) > 0
    top = p.max(axis=1)
    bins = np.minimum((top * BINS).astype(np.int64), BINS - 1)
    right = p.argmax(axis=1) == y
    surplus = _one_hot(bins, BINS) * (right - top)[:, None]
    squares = ((p - _one_hot(y, k)) ** 2).sum(axis=1)
    away = np.abs(y - call)
    columns = np.column_stack(
        [_one_hot(y, k), _one_hot(call, k), _hits(y, call, k), squares, away**2, surplus, _one_hot(away, k)]
    )
    ranks = [areas(y == j, p[:, j]) for j in np.flatnonzero(seen)]
    slope = multinomial(y, p)
    ranked = {"auroc", "auprc"}
    grade = np.arange(k, dtype=np.float64)

    @_quiet
    def values(weights: Weights, asked: Collection[str]) -> dict[str, Array]:
        sums = weighted_sums(weights, columns)
        truth, called, hits = sums[:, :k], sums[:, k : 2 * k], sums[:, 2 * k : 3 * k]
        total = truth.sum(axis=1)
        parts = _per_class(truth, called, hits)
        found = {
            "accuracy": hits.sum(axis=1) / total,
            "balanced_accuracy": parts["recall"][:, seen].mean(axis=1),
            **_macro(parts, seen),
            "brier": sums[:, 3 * k] / total,
            "ece": np.abs(sums[:, 3 * k + 2 : 3 * k + 2 + BINS]).sum(axis=1) / total,
            **_named(parts, question.classes),
        }
        if not ranked.isdisjoint(asked):
            found["auroc"], found["auprc"] = np.mean([rank(weights) for rank in ranks], axis=0).T
        if "calibration_slope" in asked:
            found["calibration_slope"] = slope(weights)
        if question.task == "ordinal":
            found["kappa_quadratic"] = _kappa(truth, called, sums[:, 3 * k + 1], grade)
            off = sums[:, 3 * k + 2 + BINS :] / total[:, None]
            found["grade_distance"] = off @ grade
            found |= {f"off_by_{step}": off[:, step] for step in range(1, k)}
        return found

    undefined, remarks = _words(y, call, question.classes)
    undefined["kappa_quadratic"] = "truth and calls are all one grade"
    shares = _shares(y, call, question.classes)
    shares |= {f"off_by_{step}": Share(away == step, np.ones(len(y), dtype=np.bool_)) for step in range(1, k)}
    return Figures(
        names=figure_names(question),
        values=values,
        # Not the area: what "the rest" is hangs on the mix of the other classes.
        conditional=_recalls(question.classes),
        shares=shares,
        classes=y,
        methods={
            "auroc": "macro one-versus-rest",
            "auprc": "average precision, macro one-versus-rest",
            "brier": "sum over classes of squared differences",
            "ece": f"largest probability, {BINS} bins of equal width",
            "calibration_slope": "multinomial recalibration of log p by one factor",
            "grade_distance": "mean over cases of the grades between truth and call",
            **{f"off_by_{step}": f"share of calls {step} grade(s) from the truth, up or down" for step in range(1, k)},
        },
        undefined=undefined,
        remarks=remarks,
    )


def regression_figures(y: Array, p: Array) -> Figures:
    """Return errors and agreement of a measured value, all but R2 in the unit of `y`.

    Bias is the mean of predicted less measured, the limits of agreement lie 1.96 standard deviations (of a sample) of
    the differences on either side of it (Bland and Altman, Lancet 327:307, 1986).
    """
    error, centred = p - y, y - (y.mean() if len(y) else 0.0)
    # The differences from their mean, so that a large bias does not drown their spread.
    shift = float(error.mean()) if len(error) else 0.0
    apart = error - shift
    columns = np.column_stack(
        [np.ones_like(y), np.abs(error), error**2, centred, centred**2, apart, apart**2],
    )
    varies = 1e-12 * float((centred**2).sum())

    @_quiet
    def values(weights: Weights, _asked: Collection[str]) -> dict[str, Array]:
        total, absolute, squared, first, second, off, spread = weighted_sums(weights, columns).T
        variation = second - first**2 / total
        r2 = np.where(variation > varies, 1 - squared / variation, np.nan)
        bias = shift + off / total
        left = spread - off**2 / total
        # Where a resample is one case again and again, what is left is rounding, whose root would not be small.
        left = np.where(left > 1e-13 * spread, left, 0)
        reach = 1.96 * np.sqrt(left / np.where(total > 1, total - 1, np.nan))
        return {
            "mae": absolute / total,
            "rmse": np.sqrt(squared / total),
            "r2": r2,
            "bias": bias,
            "limit_low": bias - reach,
            "limit_high": bias + reach,
        }

    undefined = {"r2": "the measured value does not vary among the cases"}
    undefined |= dict.fromkeys(("limit_low", "limit_high"), "fewer than 2 cases")
    methods = {
        "bias": "mean of predicted less measured",
        "limit_low": "bias less 1.96 standard deviations of the differences",
        "limit_high": "bias and 1.96 standard deviations of the differences",
    }
    return Figures(names=REGRESSION, values=values, undefined=undefined, methods=methods)


def _one_hot(index: NDArray[np.int64], k: int) -> Array:
    return np.asarray(index[:, None] == np.arange(k), dtype=np.float64)


def _hits(y: NDArray[np.int64], call: NDArray[np.int64], k: int) -> Array:
    return np.asarray(_one_hot(y, k) * (y == call)[:, None])


def _per_class(truth: Array, called: Array, hits: Array) -> dict[str, Array]:
    """Return precision, recall and F1 of each class; F1 is undefined, as recall is, without a case of the class."""
    return {
        "precision": hits / called,
        "recall": hits / truth,
        "f1": np.where(truth > 0, 2 * hits / (truth + called), np.nan),
    }


def _macro(parts: dict[str, Array], seen: NDArray[np.bool_]) -> dict[str, Array]:
    """Return the averages over the classes seen; a class never called has precision 0 there, as in scikit-learn."""
    recall = parts["recall"][:, seen].mean(axis=1)
    precision = np.nan_to_num(parts["precision"][:, seen]).mean(axis=1)
    return {
        "precision_macro": np.where(np.isnan(recall), np.nan, precision),
        "recall_macro": recall,
        "f1_macro": parts["f1"][:, seen].mean(axis=1),
    }


def _named(parts: dict[str, Array], classes: tuple[str, ...]) -> dict[str, Array]:
    return {
        f"{kind}_{figure_class(name)}": values[:, j] for kind, values in parts.items() for j, name in enumerate(classes)
    }


def _recalls(classes: tuple[str, ...]) -> frozenset[str]:
    """Return the recalls of the classes and their means."""
    return frozenset({"balanced_accuracy", "recall_macro", *(f"recall_{figure_class(name)}" for name in classes)})


def _shares(y: NDArray[np.int64], call: NDArray[np.int64], classes: tuple[str, ...]) -> dict[str, Share]:
    """Return accuracy, and precision and recall of each class, as shares of cases."""
    hit = y == call
    shares = {"accuracy": Share(hit, np.ones(len(y), dtype=np.bool_))}
    for j, name in enumerate(classes):
        shares[f"precision_{figure_class(name)}"] = Share(hit, call == j)
        shares[f"recall_{figure_class(name)}"] = Share(hit, y == j)
    return shares


def _kappa(truth: Array, called: Array, disagreement: Array, grade: Array) -> Array:
    """Return Cohen's kappa with squared-distance weights (Cohen, Psychological Bulletin 1968)."""
    total = truth.sum(axis=1)
    expected = (truth @ grade**2) + (called @ grade**2) - 2 * (truth @ grade) * (called @ grade) / total
    return np.asarray(np.where(expected > 1e-9, 1 - disagreement / expected, np.nan))


def _words(
    y: NDArray[np.int64], call: NDArray[np.int64], classes: tuple[str, ...]
) -> tuple[dict[str, str], dict[str, str]]:
    """Return why figures are undefined, and what must be said of those that are defined."""
    undefined = dict.fromkeys(("auroc", "auprc", "balanced_accuracy"), _ONE_CLASS)
    undefined |= dict.fromkeys(("calibration_slope", "calibration_intercept"), _NO_SLOPE)
    for name in classes:
        undefined[f"precision_{figure_class(name)}"] = f"no case was called {name!r}"
        undefined |= {f"{kind}_{figure_class(name)}": f"no case of class {name!r}" for kind in ("recall", "f1")}
    remarks: dict[str, str] = {}
    absent = [name for j, name in enumerate(classes) if not (y == j).any()]
    averages = ("auroc", "auprc", "balanced_accuracy", "precision_macro", "recall_macro", "f1_macro")
    if absent and len(y):
        remarks |= dict.fromkeys(averages, f"left out, no case: {', '.join(absent)}")
    silent = [name for j, name in enumerate(classes) if (y == j).any() and not (call == j).any()]
    if silent:
        said = f"never called, its precision counts as 0: {', '.join(silent)}"
        before = remarks.get("precision_macro")
        remarks["precision_macro"] = f"{before}; {said}" if before else said
    return undefined, remarks
