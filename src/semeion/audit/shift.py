"""Calibration and class balance that differ where a model is used."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from semeion.audit.audit import Audit, Verdict
from semeion.audit.judged import Floats, Judged
from semeion.audit.levels import FEWEST_CASES, FEWEST_OF_A_CLASS, Level, levels_of
from semeion.evidence.association import holm

SURE = 0.01
"""Adjusted p-value below which a shift of calibration is taken for more than chance."""
ODDS = 1.5
"""Factor between the odds seen and foretold that is warned of."""


def calibration_shift(judged: Judged, column: str = "site") -> Audit:
    """Look at calibration at each level of a column: the intercept with the slope held at 1.

    The intercept of each level is the logistic regression of the truth on logit p as an offset (calibration in the
    large; Steyerberg, Clinical Prediction Models, 2019, chapter 15), its standard error from the information, times the
    root of the cases a patient. A warning needs a Holm-adjusted p below 0.01 and odds that are off by half or more.
    """
    name = "calibration-shift"
    if judged.question.task != "binary":
        return Audit(name, "not_run", "train", advice="Only a finding with two classes is looked at, site by site.")
    if column not in judged.columns:
        return Audit(
            name, "not_run", "train", advice=f"The table has no column {column!r}: bring the site of each case."
        )
    levels = [level for level in levels_of(judged.columns[[column]]) if _both(judged, level)]
    if len(levels) < 2:
        advice = (
            f"Fewer than two levels of {column!r} have {FEWEST_CASES} cases with {FEWEST_OF_A_CLASS} of each class."
        )
        return Audit(name, "not_run", "train", advice=advice)
    from scipy.special import logit
    from scipy.stats import norm

    one = judged.question.positive_index
    offset = logit(np.clip(judged.cases.p[:, one], 1e-7, 1 - 1e-7))
    truth = (judged.y == one).astype(np.float64)
    found = []
    for level in levels:
        rows = level.rows
        a, se = _intercept(truth[rows], offset[rows])
        se *= math.sqrt(rows.sum() / len(np.unique(judged.cases.patient[rows])))
        found.append((level, a, se, float(2 * norm.sf(abs(a) / se))))
    adjusted = holm([p for *_, p in found])
    figures: dict[str, Any] = {"column": column, "levels": len(levels)}
    off = []
    for (level, a, se, _), p in zip(found, adjusted, strict=True):
        figures[f"{column}={level.name}"] = {
            "intercept": a,
            "low": a - 1.96 * se,
            "high": a + 1.96 * se,
            "p_adjusted": p,
            "cases": int(level.rows.sum()),
        }
        if p < SURE and abs(a) >= math.log(ODDS):
            off.append(f"at {level.name} the odds are {math.exp(a):.2g} times what is predicted")
    verdict: Verdict = "warn" if off else "clear"
    if verdict == "clear":
        widest = max(1.96 * se for _, _, se, _ in found)
        advice = (
            f"At none of the {len(levels)} levels of {column} odds were shown to be off by half or more; at the "
            f"smallest they could be by a factor of {math.exp(widest):.2g}."
        )
        return Audit(name, verdict, "train", figures, (), advice)
    text = "; ".join(off)
    advice = f"{text[0].upper()}{text[1:]}. Recalibrate there before probabilities are used."
    return Audit(name, verdict, "train", figures, (), advice)


def _both(judged: Judged, level: Level) -> bool:
    y = judged.y[level.rows]
    return all(int((y == code).sum()) >= FEWEST_OF_A_CLASS for code in (0, 1))


def _intercept(truth: Floats, offset: Floats) -> tuple[float, float]:
    """Return the maximum-likelihood intercept with an offset, and its standard error, by Newton's method."""
    at = 0.0
    for _ in range(100):
        chance = 1 / (1 + np.exp(-(offset + at)))
        information = float((chance * (1 - chance)).sum())
        step = float((truth - chance).sum()) / max(information, 1e-12)
        at += max(-2.0, min(2.0, step))
        if abs(step) < 1e-10:
            break
    chance = 1 / (1 + np.exp(-(offset + at)))
    return at, 1 / math.sqrt(max(float((chance * (1 - chance)).sum()), 1e-12))
