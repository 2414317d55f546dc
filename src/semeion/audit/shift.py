"""Calibration that differs from site to site, each compared with all others."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from semeion.audit.audit import Audit, Verdict
from semeion.audit.judged import Floats, Judged
from semeion.audit.levels import FEWEST_CASES, FEWEST_OF_A_CLASS, Level, levels_of
from semeion.evidence.association import holm

NAME = "calibration-shift"
SURE = 0.01
"""Adjusted p-value below which a difference is taken for more than chance."""
ODDS = 1.5
"""Factor between the odds here and elsewhere that is warned of..."""
SLOPES = 1.5
"""...and between the slopes."""
UNKNOWN = 100.0
"""Standard error of a slope from which on it is not known: the classes hardly overlap."""

Rows = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class _Fit:
    """A logistic regression: coefficients, their standard errors, and the log likelihood."""

    at: Floats
    se: Floats
    likelihood: float


@dataclass(frozen=True)
class _Compared:
    """One level against the others.

    Attributes
    ----------
    level
        Of the column.
    intercept, elsewhere
        Calibration in the large here and elsewhere (slope held at 1), with standard errors.
    apart
        Difference of intercept with the slope shared, and its standard error.
    slope, slope_elsewhere
        Here and elsewhere, with standard errors.
    left_out
        Intercept and slope here of what was recalibrated on the others.
    p
        Of the difference of intercept, and of the difference of slope.
    """

    level: Level
    intercept: tuple[float, float]
    elsewhere: tuple[float, float]
    apart: tuple[float, float]
    slope: tuple[float, float]
    slope_elsewhere: tuple[float, float]
    left_out: tuple[float, float]
    p: tuple[float, float]


def calibration_shift(judged: Judged, column: str = "site") -> Audit:
    """Compare calibration at each level of a column with that of all other cases: intercept and slope.

    Of each level, as figures: the intercept with the slope held at 1 (calibration in the large) and the slope, by
    logistic regression of the truth on logit p (Cox, Biometrika 45:562, 1958; Steyerberg, Clinical Prediction Models,
    2019, chapter 15); and both once more after the probabilities were recalibrated on the other levels (leave one site
    out). Whether a level differs from the others is told by likelihood ratios: of one intercept more with the slope
    shared, then of one slope more; both are divided by the cases a patient, and all p-values are adjusted together
    (Holm). A warning needs an adjusted p below 0.01 and odds, or slopes, that differ by half or more. A level that is
    far off makes all others differ from the rest: so the surest is named first and the others are compared again
    without it. Probabilities that are off everywhere alike are no shift: they are noted, and the figures of calibration
    weigh them.
    """
    if judged.question.task != "binary":
        return _not_run("Only a finding with two classes is looked at, site by site.")
    if column not in judged.columns:
        return _not_run(f"The table has no column {column!r}: bring the site of each case.")
    levels = [level for level in levels_of(judged.columns[[column]]) if _both(judged, level.rows)]
    if len(levels) < 2:
        return _not_run(
            f"Fewer than two levels of {column!r} have {FEWEST_CASES} cases with {FEWEST_OF_A_CLASS} of each class."
        )
    from scipy.special import logit

    one = judged.question.positive_index
    x = logit(np.clip(judged.cases.p[:, one], 1e-7, 1 - 1e-7))
    truth = (judged.y == one).astype(np.float64)
    every = np.ones(len(x), dtype=np.bool_)
    compared, adjusted = _round(levels, every, truth, x, judged.cases.patient)
    whole = _whole(truth, x, judged.cases.patient)
    figures: dict[str, Any] = {
        "column": column,
        "levels": len(levels),
        "comparisons": 2 if _are_two(levels, every) else 2 * len(levels),
        **whole[0],
    }
    for each, p in zip(compared, adjusted, strict=True):
        figures[f"{column}={each.level.name}"] = _entry(each, p)
    told = _named(compared, adjusted, truth, x, judged.cases.patient)
    if told:
        text = "; ".join(told)
        advice = f"{text[0].upper()}{text[1:]}. Recalibrate there before probabilities are used."
        return Audit(NAME, "warn", "train", figures, (), advice)
    widest = max(1.96 * each.apart[1] for each in compared)
    advice = (
        f"At none of the {len(levels)} levels of {column} were odds or slope shown to differ from the others' by half "
        f"or more; where least is known the odds could by a factor of {math.exp(min(widest, 20.0)):.2g}."
    )
    verdict: Verdict = "note" if whole[1] else "clear"
    return Audit(NAME, verdict, "train", figures, (), advice + whole[1])


def _round(
    levels: list[Level], among: Rows, truth: Floats, x: Floats, patient: npt.NDArray[Any]
) -> tuple[list[_Compared], Floats]:
    """Compare each level with all other cases of `among`, and return p-values ``(levels, 2)`` adjusted together."""
    compared = [_compared(level, among, truth, x, patient) for level in levels]
    of_two = _are_two(levels, among)
    adjusted = holm([p for each in (compared[:1] if of_two else compared) for p in each.p]).reshape(-1, 2)
    return compared, np.concatenate([adjusted, adjusted]) if of_two else adjusted


def _are_two(levels: list[Level], among: Rows) -> bool:
    """Tell whether each of two levels is the other's others: that is one comparison."""
    return len(levels) == 2 and bool((levels[0].rows | levels[1].rows)[among].all())


def _named(
    compared: list[_Compared], adjusted: Floats, truth: Floats, x: Floats, patient: npt.NDArray[Any]
) -> list[str]:
    """Return what differs at each level that stands out, the surest first."""
    said: list[str] = []
    among = np.ones(len(x), dtype=np.bool_)
    while True:
        off = [(each, p, texts) for each, p in zip(compared, adjusted, strict=True) if (texts := _off(each, p))]
        if not off:
            return said
        # Of two that differ from each other, the one whose odds are further from what is predicted.
        each, _, texts = min(off, key=lambda one: (one[1].min(), -abs(one[0].intercept[0])))
        said += texts
        among = among & ~each.level.rows
        left = [other.level for other in compared if other is not each and _differ(truth, among & ~other.level.rows)]
        if not left:
            return said
        compared, adjusted = _round(left, among, truth, x, patient)


def _differ(truth: Floats, rows: Rows) -> bool:
    """Tell whether enough cases of both classes are left to compare with."""
    return bool(min(truth[rows].sum(), (1 - truth[rows]).sum()) >= FEWEST_OF_A_CLASS)


def _compared(level: Level, among: Rows, truth: Floats, x: Floats, patient: npt.NDArray[Any]) -> _Compared:
    """Compare the cases of a level with all others of `among`."""
    from scipy.stats import chi2

    here, truth, x, patient = level.rows[among], truth[among], x[among], patient[among]
    crowd = len(x) / len(np.unique(patient))
    middle = x.mean()
    ones, other, centred = np.ones(len(x)), here.astype(np.float64), x - middle
    shared = _logistic(truth, np.column_stack([ones, centred]))
    moved = _logistic(truth, np.column_stack([ones, centred, other]))
    turned = _logistic(truth, np.column_stack([ones, centred, other, other * centred]))
    gains = (moved.likelihood - shared.likelihood, turned.likelihood - moved.likelihood)
    own, others = (_slope(truth, x, rows, patient) for rows in (here, ~here))
    recalibrated = others.at[0] + others.at[1] * x[here]
    left_out = _intercept(truth[here], recalibrated)[0]
    return _Compared(
        level,
        _large(truth, x, here, patient),
        _large(truth, x, ~here, patient),
        (float(moved.at[2]), float(moved.se[2]) * math.sqrt(crowd)),
        (float(own.at[1]), float(own.se[1])),
        (float(others.at[1]), float(others.se[1])),
        (left_out, float(own.at[1] / others.at[1]) if others.at[1] > 0 else math.nan),
        (float(chi2.sf(2 * max(gains[0], 0) / crowd, 1)), float(chi2.sf(2 * max(gains[1], 0) / crowd, 1))),
    )


def _off(each: _Compared, p: Floats) -> list[str]:
    """Return what differs at a level, in words."""
    said = []
    if p[0] < SURE and abs(each.apart[0]) >= math.log(ODDS):
        said.append(
            f"at {each.level.name} the odds are {math.exp(each.intercept[0]):.2g} times what is predicted, and "
            f"{math.exp(each.elsewhere[0]):.2g} times elsewhere"
        )
    low, high = sorted((each.slope[0], each.slope_elsewhere[0]))
    if p[1] < SURE and high > 0 and high >= SLOPES * low:
        how = "more" if each.slope[0] < each.slope_elsewhere[0] else "less"
        said.append(
            f"at {each.level.name} the calibration slope is {each.slope[0]:.2g}, and {each.slope_elsewhere[0]:.2g} "
            f"elsewhere (probabilities are {how} extreme than they should be, compared with elsewhere)"
        )
    return said


def _whole(truth: Floats, x: Floats, patient: npt.NDArray[Any]) -> tuple[dict[str, Any], str]:
    """Return intercept and slope of all cases as figures, and a sentence where they are off by half or more."""
    every = np.ones(len(x), dtype=np.bool_)
    large, fit = _large(truth, x, every, patient), _slope(truth, x, every, patient)
    slope = (float(fit.at[1]), float(fit.se[1]))
    figures = {"all": {**_three("intercept", large), **_three("slope", slope), "cases": len(x)}}
    said = []
    if abs(large[0]) >= math.log(ODDS) and _chance(large) < SURE:
        said.append(f"the odds are {math.exp(large[0]):.2g} times what is predicted")
    if slope[1] < UNKNOWN and not 1 / SLOPES < slope[0] < SLOPES and _chance((slope[0] - 1, slope[1])) < SURE:
        said.append(f"the calibration slope is {slope[0]:.2g}")
    if not said:
        return figures, ""
    return figures, f" On the whole {' and '.join(said)}: that is no shift, but see calibration."


def _chance(value: tuple[float, float]) -> float:
    from scipy.stats import norm

    return float(2 * norm.sf(abs(value[0]) / value[1]))


def _entry(each: _Compared, p: Floats) -> dict[str, Any]:
    return {
        **_three("intercept", each.intercept),
        **_three("slope", each.slope),
        **_three("intercept_difference", each.apart),
        "intercept_p_adjusted": float(p[0]),
        "slope_elsewhere": each.slope_elsewhere[0] if each.slope_elsewhere[1] < UNKNOWN else None,
        "slope_p_adjusted": float(p[1]),
        "left_out_intercept": each.left_out[0],
        "left_out_slope": each.left_out[1] if each.slope[1] < UNKNOWN and math.isfinite(each.left_out[1]) else None,
        "cases": int(each.level.rows.sum()),
    }


def _three(name: str, value: tuple[float, float]) -> dict[str, Any]:
    """Return a figure with its 95 % interval by the normal law; nothing but a reason where it is not known."""
    at, se = value
    if not se < UNKNOWN:
        reason = "the classes hardly overlap"
        return {name: None, f"{name}_low": None, f"{name}_high": None, f"{name}_reason": reason}
    return {name: at, f"{name}_low": at - 1.96 * se, f"{name}_high": at + 1.96 * se}


def _not_run(why: str) -> Audit:
    return Audit(NAME, "not_run", "train", advice=why)


def _both(judged: Judged, rows: Rows) -> bool:
    """Tell whether both these cases and all others have enough of each class."""
    return all(int((judged.y[side] == code).sum()) >= FEWEST_OF_A_CLASS for side in (rows, ~rows) for code in (0, 1))


def _large(truth: Floats, x: Floats, rows: Rows, patient: npt.NDArray[Any]) -> tuple[float, float]:
    """Return calibration in the large and its standard error, times the root of the cases a patient."""
    at, se = _intercept(truth[rows], x[rows])
    return at, se * math.sqrt(rows.sum() / len(np.unique(patient[rows])))


def _slope(truth: Floats, x: Floats, rows: Rows, patient: npt.NDArray[Any]) -> _Fit:
    """Return intercept and slope of some cases, standard errors times the root of the cases a patient."""
    fit = _logistic(truth[rows], np.column_stack([np.ones(rows.sum()), x[rows]]))
    return _Fit(fit.at, fit.se * math.sqrt(rows.sum() / len(np.unique(patient[rows]))), fit.likelihood)


def _intercept(truth: Floats, offset: Floats) -> tuple[float, float]:
    """Return the maximum-likelihood intercept with an offset, and its standard error."""
    fit = _logistic(truth, np.ones((len(truth), 1)), offset)
    return float(fit.at[0]), float(fit.se[0])


def _logistic(truth: Floats, design: Floats, offset: Floats | None = None) -> _Fit:
    """Fit by Newton's method with halved steps.

    A penalty too small to move a figure keeps coefficients finite where classes do not overlap.
    """
    shift = np.zeros(len(truth)) if offset is None else offset
    at = np.zeros(design.shape[1])
    penalty = 1e-6

    def value(beta: Floats) -> float:
        eta = shift + design @ beta
        return float((truth * eta - np.logaddexp(0, eta)).sum() - penalty * (beta @ beta) / 2)

    now = value(at)
    information = np.eye(len(at))
    for _ in range(100):
        chance = 1 / (1 + np.exp(-np.clip(shift + design @ at, -700, 700)))
        information = (design * (chance * (1 - chance))[:, None]).T @ design + penalty * np.eye(len(at))
        step = np.linalg.solve(information, design.T @ (truth - chance) - penalty * at)
        size = 1.0
        while size > 1e-6 and value(at + size * step) < now:
            size /= 2
        new = value(at + size * step)
        if new < now:
            break
        at, gain, now = at + size * step, new - now, new
        if gain < 1e-12:
            break
    return _Fit(at, np.sqrt(np.diag(np.linalg.inv(information))), now)
