"""How much is lost elsewhere: figures on other patients less those on held-out patients of the model's own cohort."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from semeion.errors import InputError
from semeion.evidence.calibration.reliability import FIGURES as RELIABILITY
from semeion.evidence.calibration.reliability import Reliability
from semeion.evidence.intervals.bootstrap import Spread, Strata, case_weights, draw, outcome_strata
from semeion.evidence.intervals.drawing import checked_cases
from semeion.evidence.intervals.entry import bootstrapped
from semeion.evidence.intervals.weights import Array, Weights
from semeion.evidence.measuring import Answer
from semeion.evidence.pairs.compare import LOWER_IS_BETTER, NEITHER, NO_BETTER
from semeion.evidence.pairs.pairing import Side
from semeion.evidence.table import split_cases, validate_predictions
from semeion.evidence.weigh import answer_of

ICI = "ici"
DROPPED: dict[str, tuple[str, ...]] = {
    "binary": (
        *("auroc", "recall", "specificity", "balanced_accuracy"),
        *("brier", "calibration_slope", "calibration_intercept", ICI),
    ),
    "multiclass": ("auroc", "accuracy", "balanced_accuracy", "brier", "calibration_slope"),
    "ordinal": ("auroc", "balanced_accuracy", "kappa_quadratic", "brier", "calibration_slope"),
    "regression": ("mae", "rmse", "r2"),
}
"""Figures of each task whose difference is stated; ``recall`` and ``specificity`` at the operating point as it is."""
METHOD = "external less internal; patients of each side drawn by themselves"
MOVER = (
    "external less internal, from the stated figures and their intervals (method of variance estimates recovery: Zou "
    "and Donner, Stat Med 27:1693, 2008)"
)


def drop_of(
    internal: Side, external: Side, *, resamples: int = 2000, seed: int = 0, jobs: int | None = None
) -> dict[str, dict[str, dict[str, Any]]]:
    """Return the difference of each figure between two sets of patients, external less internal, with its interval.

    Parameters
    ----------
    internal, external
        The same question of two sets of patients that have none in common, each called at its own operating points.
    resamples, seed, jobs
        Of the bootstrap.

    Returns
    -------
    dict
        By target, by figure: ``{internal, external, difference, better, verdict}``. The first two are values,
        ``difference`` is ``{value, low, high, n, n_patients, method}`` with the n of both sides together; ``better`` is
        ``higher``, ``lower`` or None; ``verdict`` is ``worse``, ``better`` or (where neither end is better)
        ``differs`` when the interval excludes 0, ``none`` when it holds 0, ``unknown`` without one.

    Raises
    ------
    InputError
        When a side has no case of its split, or the questions differ.

    Notes
    -----
    Two independent samples: in every resample the patients of each side are drawn from that side, as many as it has
    (Efron and Tibshirani, An Introduction to the Bootstrap, 1993, section 8.2), and the acceleration of the BCa
    interval is that of several samples (Davison and Hinkley, Bootstrap Methods and their Application, 1997, section
    5.3). Figures that are conditional on the class are drawn within strata of outcome too, as in ``weigh``.
    """
    if internal.question.targets != external.question.targets or internal.question.classes != external.question.classes:
        raise InputError(
            "the two sides answer different questions",
            where=f"{internal.name} and {external.name}",
            fix="give the run that made this model",
        )
    inside, outside = _answers(internal), _answers(external)
    found = {}
    for number, target in enumerate(external.question.targets):
        if target in inside and target in outside:
            # A stream of its own for every label.
            found[target] = _target(inside[target], outside[target], resamples, seed + number, jobs)
    return found


def stated_drop(
    internal: Mapping[str, Mapping[str, Any]], external: Mapping[str, Mapping[str, Any]], task: str
) -> dict[str, dict[str, Any]]:
    """Return the same from figures that were stated with their intervals, where the predictions are not at hand.

    Parameters
    ----------
    internal, external
        ``{name: {value, low, high}}``, of independent patients.
    task
        Of the question.

    Returns
    -------
    dict
        As :func:`drop_of` for one target, for the figures that both state. The interval of a difference d of figures e
        and i with intervals (le, ue) and (li, ui) is ``d - sqrt((e - le)^2 + (ui - i)^2)`` to ``d + sqrt((ue - e)^2 +
        (i - li)^2)``.
    """
    found = {}
    for name in DROPPED.get("binary" if task == "multilabel" else task, ()):
        one, other = internal.get(name), external.get(name)
        if one is None or other is None or one.get("value") is None or other.get("value") is None:
            continue
        i, e = float(one["value"]), float(other["value"])
        gap: dict[str, Any] = {"value": e - i, "low": None, "high": None, "method": "not computed"}
        ends = [side.get(end) for side in (one, other) for end in ("low", "high")]
        if None in ends:
            gap["reason"] = "no interval: one of the figures has none"
        else:
            li, ui, le, ue = (float(end) for end in ends if end is not None)
            gap |= {"low": e - i - math.hypot(e - le, ui - i), "high": e - i + math.hypot(ue - e, i - li)}
            gap["method"] = f"{MOVER}, 95 %"
        found[name] = _entry(name, i, e, gap)
    return found


def _answers(side: Side) -> dict[str, Answer]:
    table = validate_predictions(side.predictions, side.question)
    table = table.sort_values(["patient_id", "case_id"], kind="stable")
    for cases in split_cases(table, side.question):
        if cases[0].split == side.split:
            return {each.target: answer_of(each, side.question, side.points) for each in cases}
    raise InputError(
        f"has no labelled case of the split {side.split}", where=side.name, fix="give the predictions of that split"
    )


def _target(a: Answer, b: Answer, resamples: int, seed: int, jobs: int | None) -> dict[str, dict[str, Any]]:
    names = [name for name in DROPPED[a.question.task] if name == ICI or name in a.figures.names]
    within = [name for name in names if name in a.figures.conditional]
    spreads: dict[str, tuple[Spread, Spread, Spread]] = {}
    for asked, stratified in ((within, True), ([name for name in names if name not in within], False)):
        if asked:
            spreads |= _drawn(a, b, asked, stratified, resamples, seed, jobs)
    events = _events(a, b)
    n, patients = len(a.cases) + len(b.cases), a.n_patients + b.n_patients
    found = {}
    for name in names:
        one, other, gap = spreads[name]
        entry: dict[str, Any] = {"value": None, "low": None, "high": None, "n": n, "n_patients": patients}
        if not np.isfinite(gap.value):
            why = a.figures.undefined.get(name) or b.figures.undefined.get(name) or "undefined on one of the sides"
            entry |= {"method": "not computed", "reason": why}
        else:
            # The interval is no surer than the smaller side.
            ends, how, reason = bootstrapped(name, gap, min(a.n_patients, b.n_patients), events)
            entry |= {"value": gap.value, **ends, "method": "; ".join(filter(None, [how, METHOD]))}
            if name == ICI:
                reason = "; ".join(filter(None, [reason, "chance makes it larger where cases are fewer"]))
            if reason:
                entry["reason"] = reason
        found[name] = _entry(name, _finite(one.value), _finite(other.value), entry)
    return found


def _finite(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None


def _events(a: Answer, b: Answer) -> int | None:
    """Return the patients of the rarest class on the side that has fewer; None of a measured value."""
    if a.question.task == "regression":
        return None
    return min(
        len(np.unique(each.cases.patient[each.cases.y == k])) for each in (a, b) for k in np.unique(each.cases.y)
    )


def _drawn(
    a: Answer, b: Answer, names: Sequence[str], stratified: bool, resamples: int, seed: int, jobs: int | None
) -> dict[str, tuple[Spread, Spread, Spread]]:
    """Return the spreads of each figure inside, outside, and of the difference."""
    inside, outside = a.cases.n_patients, b.cases.n_patients
    sides = [(a, _computed(a, names), slice(0, inside)), (b, _computed(b, names), slice(inside, inside + outside))]

    def compute(counts: Array) -> Array:
        one, other = (
            compute_(case_weights(np.ascontiguousarray(counts[:, part]), answer.cases.patient))
            for answer, compute_, part in sides
        )
        return np.hstack([one, other, other - one])

    spreads = draw(
        compute,
        inside + outside,
        len(a.cases) + len(b.cases),
        resamples=resamples,
        seed=seed,
        jobs=jobs,
        strata=_strata(a, b, stratified),
    )
    # That the draws are within the two sides is said by the method; "stratified" speaks of outcomes.
    spreads = [replace(spread, stratified=stratified) for spread in spreads]
    k = len(names)
    return {name: (spreads[j], spreads[k + j], spreads[2 * k + j]) for j, name in enumerate(names)}


def _strata(a: Answer, b: Answer, stratified: bool) -> Strata:
    inside, outside = a.cases.n_patients, b.cases.n_patients
    if not stratified:
        return np.arange(inside), np.arange(inside, inside + outside)
    own = outcome_strata(a.cases.patient, a.cases.y.astype(np.int64), inside)
    other = outcome_strata(b.cases.patient, b.cases.y.astype(np.int64), outside)
    return (*own, *(part + inside for part in other))


def _computed(answer: Answer, names: Sequence[str]) -> Any:
    """Return a function of weights ``(resamples, cases)`` that gives the named figures, ``(resamples, names)``."""
    plain = [name for name in names if name != ICI]
    account = None
    if ICI in names:
        one = answer.question.positive_index
        cases = answer.cases
        account = Reliability(checked_cases(cases.y == one, cases.p[:, one], cases.patient, where="calibration"))

    def compute(weights: Weights) -> Array:
        found = answer.figures.values(weights, plain)
        columns = {name: found[name] for name in plain}
        if account is not None:
            columns[ICI] = account.compute(weights)[:, RELIABILITY.index(ICI)]
        return np.stack([columns[name] for name in names], axis=1)

    return compute


def _entry(name: str, internal: float | None, external: float | None, difference: dict[str, Any]) -> dict[str, Any]:
    better = (
        None
        if name in NO_BETTER or name.startswith(NEITHER)
        else "lower"
        if name in LOWER_IS_BETTER or name == ICI
        else "higher"
    )
    told = {"internal": internal, "external": external, "difference": difference, "better": better}
    return {**told, "verdict": _verdict(difference, better)}


def _verdict(difference: Mapping[str, Any], better: str | None) -> str:
    low, high = difference.get("low"), difference.get("high")
    if low is None or high is None or "unreliable" in (difference.get("reason") or ""):
        return "unknown"
    if low <= 0 <= high:
        return "none"
    if better is None:
        return "differs"
    return "better" if (low > 0) == (better == "higher") else "worse"
