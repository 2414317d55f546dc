"""Two models on the same cases: the difference of every figure, from the same draws of patients."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from semeion.errors import InputError
from semeion.evidence.intervals.bootstrap import Spread, Strata, case_weights, draw, outcome_strata
from semeion.evidence.intervals.delong import delong
from semeion.evidence.intervals.entry import entries
from semeion.evidence.intervals.weights import Array
from semeion.evidence.measuring import Answer
from semeion.evidence.metrics import Account
from semeion.evidence.pairs.pairing import Pair, Side, pair
from semeion.evidence.question import Question
from semeion.evidence.use.curves import one_class_curves

LOWER_IS_BETTER = frozenset({"brier", "ece", "mae", "rmse", "grade_distance"})
NO_BETTER = frozenset({"calibration_slope", "calibration_intercept", "bias", "limit_low", "limit_high"})
"""Figures that are best at 1 or 0, and not at an end."""
NEITHER = "off_by_"
"""How figures begin of which neither more nor less is better: fewer calls 1 grade off may be right, or 2 off."""
SIDES = ("a", "b", "difference")
_SAME = 1e-12
"""Two sums of the same numbers in another order differ by less, and are no difference."""


def compare(a: Side, b: Side, *, resamples: int = 2000, seed: int = 0, jobs: int | None = None) -> dict[str, Any]:
    """Weigh two models on the cases that both have, and the difference of every figure.

    Parameters
    ----------
    a, b
        The models; a difference is b less a.
    resamples, seed, jobs
        Of the bootstrap.

    Returns
    -------
    dict
        ``n``, ``n_patients``, ``has_patients``, ``left_out`` (of a and b); ``absent``, the classes of which no case in
        common is, or the labels that all or none of them have; ``figures.<name>`` is ``{a, b, difference,
        better, verdict}``: each of the first three as in :func:`semeion.evidence.weigh.weigh`, ``better`` is
        ``higher``, ``lower`` or None, and ``verdict`` is ``a`` or ``b`` where the interval of the difference excludes 0
        in its favour, ``differs`` where it does and neither end is better, ``none`` where it holds 0, ``unknown``
        without an interval. The AUROC of two classes also has DeLong's interval, ``delong: {low, high}``. ``calls``
        counts cases called rightly by both, by one alone and by neither. ``curves.<class>`` holds the ROC curve of
        both. Of a multi-label target ``figures`` are means over the labels, and ``targets.<label>`` holds ``figures``
        and ``calls``.

    Raises
    ------
    InputError
        See :func:`semeion.evidence.pairing.pair`.

    Notes
    -----
    Both models are weighed on the same draws of patients, with all their cases, so what makes the cases of a draw hard
    enters both and leaves the difference (Efron and Tibshirani, An Introduction to the Bootstrap, 1993, chapter 8).
    Figures that are conditional on the class are drawn within strata of outcome, as in ``weigh``. The paired difference
    of two areas is also that of DeLong et al., Biometrics 44:837 (1988), in Obuchowski's form for several cases a
    patient (Biometrics 53:567, 1997).
    """
    if resamples < 1:
        raise InputError(f"{resamples} resamples", where="resamples", fix="use 2000")
    found = pair(a, b)
    multilabel = a.question.task == "multilabel"
    spreads = _spreads(found, multilabel, resamples, seed, jobs)
    each = [
        _figures(one, other, own, found.n_patients)
        for one, other, own in zip(found.a, found.b, spreads[: len(found.a)], strict=True)
    ]
    result: dict[str, Any] = {
        "n": found.n,
        "n_patients": found.n_patients,
        "has_patients": found.has_patients,
        "left_out": {"a": found.left_out[0], "b": found.left_out[1]},
        "absent": _absent(found, a.question),
        "figures": each[0] if not multilabel else _mean_figures(found, spreads[-1]),
        "targets": {},
        "calls": {} if multilabel else _calls(found.a[0], found.b[0]),
        "curves": _curves(found, a.question),
    }
    if multilabel:
        result["targets"] = {
            one.cases.target: {"figures": figures, "calls": _calls(one, other)}
            for one, other, figures in zip(found.a, found.b, each, strict=True)
        }
    return result


Spreads = dict[str, tuple[Spread, Spread, Spread]]
"""Of each figure: that of a, that of b, their difference."""


def _spreads(found: Pair, multilabel: bool, resamples: int, seed: int, jobs: int | None) -> list[Spreads]:
    """Return the draws of each target and, for a multi-label target, of the means over labels at the end."""
    answers = (found.a, found.b)
    first = found.a[0].figures
    names = first.names
    seen = _seen(found) if multilabel else {}

    def compute(counts: Array, asked: Sequence[str]) -> Array:
        values = [
            [each.figures.values(case_weights(counts, each.cases.patient), asked) for each in side] for side in answers
        ]
        if multilabel:
            for side in values:
                side.append({name: _mean(side, name, seen[name]) for name in asked})
        columns = []
        for one, other in zip(*values, strict=True):
            for name in asked:
                gain = other[name] - one[name]
                columns += [one[name], other[name], np.where(np.abs(gain) < _SAME, 0.0, gain)]
        return np.stack(columns, axis=1)

    spreads: list[Spreads] = [{} for _ in range(len(found.a) + multilabel)]
    for within in (False, True):
        asked = [name for name in names if (name in first.conditional) == within]
        if not asked:
            continue
        drawn = iter(
            draw(
                partial(compute, asked=asked),
                found.n_patients,
                max(len(each.cases) for each in found.a),
                resamples=resamples,
                seed=seed,
                jobs=jobs,
                strata=_strata(found) if within else (),
            )
        )
        for place in spreads:
            place |= {name: (next(drawn), next(drawn), next(drawn)) for name in asked}
    return spreads


def _strata(found: Pair) -> Strata:
    """Return the patients by the outcomes among their cases, over all labels."""
    width = max(len(each.question.classes) for each in found.a)
    outcome = [width * number + each.cases.y.astype(np.int64) for number, each in enumerate(found.a)]
    return outcome_strata(
        np.concatenate([each.cases.patient for each in found.a]), np.concatenate(outcome), found.n_patients
    )


def _stacked(values: Sequence[dict[str, Array]], name: str) -> Array:
    """Return a figure label by label; a label that is never called has precision 0 in a mean, as in scikit-learn."""
    stack = np.stack([each[name] for each in values])
    if name != "precision":
        return stack
    lost = np.isnan(np.stack([each["recall"] for each in values]))
    return np.where(lost, np.nan, np.nan_to_num(stack))


def _seen(found: Pair) -> dict[str, NDArray[np.bool_]]:
    """Return which labels enter the mean of each figure, ``(labels, 1)``: those where it is defined for both models."""
    names = found.a[0].figures.names
    whole = [
        [each.figures.values(np.ones((1, len(each.cases))), names) for each in side] for side in (found.a, found.b)
    ]
    return {name: np.isfinite(_stacked(whole[0], name)) & np.isfinite(_stacked(whole[1], name)) for name in names}


def _mean(values: Sequence[dict[str, Array]], name: str, seen: NDArray[np.bool_]) -> Array:
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(np.where(seen, _stacked(values, name), 0).sum(axis=0) / seen.sum())


def _figures(one: Answer, other: Answer, spreads: Spreads, n_patients: int) -> dict[str, Any]:
    """Return ``{name: {a, b, difference, better, verdict}}`` of one target."""
    patient, n = one.cases.patient, len(one.cases)
    n_patients = min(n_patients, one.n_patients)
    accounts = (one.figures, other.figures, _difference(one.figures, other.figures))
    found = [
        entries(
            account,
            {name: spread[place] for name, spread in spreads.items()},
            patient if place < 2 else None,
            n=n,
            n_patients=n_patients,
        )
        for place, account in enumerate(accounts)
    ]
    if one.figures.ranked and other.figures.ranked:
        positive, score = one.figures.ranked
        _, ends = delong(positive, np.stack([score, other.figures.ranked[1]]), patient).difference(1, 0)
        found[2]["auroc"]["delong"] = {"low": ends[0] if ends else None, "high": ends[1] if ends else None}
    for name, gain in found[2].items():
        # A difference is no surer than the figures that it is of.
        doubts = {side[name].get("reason", "") for side in found[:2] if "unreliable" in side[name].get("reason", "")}
        if doubts and "unreliable" not in gain.get("reason", ""):
            gain["reason"] = "; ".join(filter(None, [gain.get("reason", ""), *sorted(doubts)]))
    return _judged(found)


def _mean_figures(found: Pair, spreads: Spreads) -> dict[str, Any]:
    """Return the figures of the means over labels."""
    first = found.a[0].figures
    seen = _seen(found)
    labels = [each.cases.target for each in found.a]
    remarks = {}
    for name in first.names:
        lost = [label for label, there in zip(labels, seen[name][:, 0], strict=True) if not there]
        if lost:
            remarks[name] = f"left out, undefined for one of the models: {', '.join(lost)}"
    account = Account(
        names=first.names,
        methods={name: "; ".join(filter(None, ["mean over labels", first.methods.get(name)])) for name in first.names},
        undefined=dict.fromkeys(first.names, "undefined for every label"),
        remarks=remarks,
    )
    return _judged(
        [
            entries(
                account,
                {name: spread[place] for name, spread in spreads.items()},
                None,
                n=found.n,
                n_patients=found.n_patients,
            )
            for place in range(len(SIDES))
        ]
    )


def _difference(one: Account, other: Account) -> Account:
    """Return the account of the differences: undefined where either figure is."""
    undefined = {name: one.undefined.get(name) or other.undefined.get(name, "") for name in one.names}
    undefined = {name: text or "undefined for one of the models" for name, text in undefined.items()}
    return Account(
        names=one.names,
        methods={
            name: "; ".join(filter(None, ["the same draws for both", one.methods.get(name)])) for name in one.names
        },
        undefined=undefined,
    )


def _judged(found: Sequence[dict[str, dict[str, Any]]]) -> dict[str, Any]:
    figures = {}
    for name, gain in found[2].items():
        better = (
            None if name in NO_BETTER or name.startswith(NEITHER) else "lower" if name in LOWER_IS_BETTER else "higher"
        )
        figures[name] = {
            **{side: entry[name] for side, entry in zip(SIDES, found, strict=True)},
            "better": better,
            "verdict": verdict(gain, better),
        }
    return figures


def verdict(difference: dict[str, Any], better: str | None) -> str:
    """Return whom the interval of a difference (b less a) favours: ``a``, ``b``, ``differs``, ``none``, ``unknown``."""
    low, high = difference["low"], difference["high"]
    if low is None or high is None:
        return "unknown"
    if low <= 0 <= high:
        return "none"
    if low == high or "unreliable" in (difference.get("reason") or ""):
        return "unknown"
    if better is None:
        return "differs"
    return "b" if (low > 0) == (better == "higher") else "a"


def _calls(one: Answer, other: Answer) -> dict[str, int]:
    """Return how many cases both, one alone or neither called rightly; empty for a measured value."""
    if one.question.task == "regression":
        return {}
    a, b = one.call == one.cases.y, other.call == other.cases.y
    counts = {"both_right": a & b, "only_a_right": a & ~b, "only_b_right": ~a & b, "both_wrong": ~a & ~b}
    return {name: int(which.sum()) for name, which in counts.items()}


def _absent(found: Pair, question: Question) -> list[str]:
    """Return the classes without a case, or the labels whose cases are all of one class; empty for a measured value."""
    if question.task == "regression":
        return []
    if question.task == "multilabel":
        return [each.cases.target for each in found.a if len(np.unique(each.cases.y)) < 2]
    there = set(found.a[0].cases.y.tolist())
    return [name for code, name in enumerate(question.classes) if code not in there]


def _curves(found: Pair, question: Question) -> dict[str, Any]:
    """Return ``{class: {a, b}}``: the ROC curves of the positive class, of each class, or of each label."""
    if question.task == "regression":
        return {}
    curves: dict[str, Any] = {}
    for one, other in zip(found.a, found.b, strict=True):
        binary = one.question.task == "binary"
        for number in [one.question.positive_index] if binary else range(len(question.classes)):
            name = one.cases.target if question.task == "multilabel" else question.classes[number]
            sides = {
                side: one_class_curves(each.cases.y == number, each.cases.p[:, number])["roc"]
                for side, each in (("a", one), ("b", other))
            }
            if sides["a"]["x"] and sides["b"]["x"]:
                curves[name] = sides
    return curves
