"""What figures mean in use: calibration as a curve, net benefit, and what abstaining would cost."""

from __future__ import annotations

from typing import Any

import numpy as np

from semeion.evidence.calibration.reliability import reliability_piece
from semeion.evidence.intervals.drawing import checked_cases, draw_together
from semeion.evidence.measuring import Answer, Drawing
from semeion.evidence.use.abstain import abstaining_piece
from semeion.evidence.use.operating import OperatingPoints, parse_rule
from semeion.evidence.use.utility import utility_piece

KEYS = ("reliability", "utility", "abstaining")


def account_of(answer: Answer, points: OperatingPoints | None, drawing: Drawing) -> dict[str, Any]:
    """Return what is said of an answer in use, all from the same draws of patients.

    Parameters
    ----------
    answer
        The cases of one target in one split, and their calls.
    points
        At which a finding of two classes was called.
    drawing
        How patients are drawn.

    Returns
    -------
    dict
        Of two classes ``reliability`` (:func:`semeion.evidence.calibration.reliability.reliability_piece`), ``utility``
        (:func:`semeion.evidence.use.utility.utility_piece`) and ``abstaining``
        (:func:`semeion.evidence.use.abstain.abstaining_piece`); of several ``abstaining`` alone; of a measured value
        nothing.
    """
    cases, question = answer.cases, answer.question
    if question.task == "regression":
        return {}
    y = cases.y.astype(np.int64)
    if question.task != "binary":
        several = checked_cases(y, cases.p, cases.patient, where="abstaining")
        pieces = {"abstaining": abstaining_piece(several, answer.call)}
        found = draw_together(list(pieces.values()), several, **_how(drawing))
        return dict(zip(pieces, found, strict=True))
    one = question.positive_index
    positive = checked_cases(y == one, cases.p[:, one], cases.patient, where="probabilities")
    called = answer.call == one
    pieces = {
        "reliability": reliability_piece(positive),
        "utility": utility_piece(positive, called, point=traded_at(points)),
        "abstaining": abstaining_piece(positive, called),
    }
    found = draw_together(list(pieces.values()), positive, **_how(drawing))
    return dict(zip(pieces, found, strict=True))


def traded_at(points: OperatingPoints | None) -> float | None:
    """Return the probability at which a false alarm is traded for a miss.

    For the rule ``cost=FN:FP`` that is ``FP / (FP + FN)``, whatever the point that it led to; for others the point
    itself. None where there is no point, or one of 0 or 1, at which nothing is traded.
    """
    if points is None or points.shipped is None:
        return None
    kind = points.rule.split("=")[0]
    if kind == "cost":
        rule = parse_rule(points.rule)
        return rule.cost_fp / (rule.cost_fp + rule.cost_fn)
    return float(points.shipped) if 0 < points.shipped < 1 else None


def _how(drawing: Drawing) -> dict[str, Any]:
    return {"resamples": drawing.resamples, "seed": drawing.seed, "jobs": drawing.jobs}
