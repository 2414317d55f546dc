"""Whether the cases are enough for their figures to mean anything."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from semeion.audit.audit import Audit, Verdict, counted
from semeion.audit.judged import Judged
from semeion.evidence.intervals.proportions import wilson

NAME = "small-sample"
FEWEST_EVENTS = 10
"""Of a class; with fewer, intervals themselves cannot be trusted."""
WIDE, AIM = 0.2, 0.1
"""Width of the 95 % interval of an AUROC that means nothing, and to aim for (Riley et al., Stat Med 40:4230, 2021)."""
WIDE_RECALL = 0.25
"""Width of the interval of a class's recall from which on nothing can be said of how often the class is missed."""
SLOPE_AIM = 0.4
"""Width of the calibration slope's interval to aim for (same source: a standard error of 0.1)."""
_Z = 1.959963984540054


def small_sample(judged: Judged, figures: Mapping[str, Mapping[str, Any]]) -> Audit:
    """Look at how wide the intervals are, and how many cases would make them narrow enough.

    Parameters
    ----------
    judged
        The cases.
    figures
        Of these very cases, with intervals: ``auroc``, and ``calibration_slope`` where there is one.
    """
    if judged.question.task == "regression":
        return _regression(judged, figures)
    counts = np.bincount(judged.y, minlength=max(2, len(judged.question.classes)))
    seen = counts[counts > 0]
    found: dict[str, Any] = {
        "cases": len(judged.y),
        "patients": len(np.unique(judged.cases.patient)),
        "rarest_class": int(seen.min()),
    }
    problems, wishes = [], []
    if len(seen) < 2:
        problems.append("only one class is among the cases")
    elif seen.min() < FEWEST_EVENTS:
        name = judged.question.classes[int(np.flatnonzero(counts == seen.min())[0])]
        problems.append(f"class {name!r} has {counted(int(seen.min()), 'case')}, and {FEWEST_EVENTS} are the least")
    for code, span in _recall_widths(judged).items():
        name, n = judged.question.classes[code], counted(int(counts[code]), "case")
        found[f"recall_width_{name}"] = span
        if span > WIDE_RECALL and counts[code] >= FEWEST_EVENTS:
            problems.append(f"how many of {name!r} are recognised is known to within {span:.2f} ({n})")
    width = _width(figures.get("auroc"))
    if width is not None:
        found["auroc_width"] = width
        found["cases_for_auroc"] = needed = cases_for_auroc(float(figures["auroc"]["value"]), _share(judged))
        if width > WIDE:
            problems.append(f"the AUROC's interval is {width:.2f} wide")
        elif width > AIM:
            wishes.append(f"about {needed:,} cases would make the AUROC's interval {AIM} wide; it is {width:.2f}")
    slope = _width(figures.get("calibration_slope"))
    if slope is not None:
        found["slope_width"] = slope
        found["cases_for_slope"] = needed = math.ceil(len(judged.y) * (slope / SLOPE_AIM) ** 2)
        if slope > SLOPE_AIM:
            wishes.append(
                f"about {needed:,} cases would make the calibration slope's interval {SLOPE_AIM} wide; it is "
                f"{slope:.2f}"
            )
    verdict: Verdict = "warn" if problems else "note" if wishes else "clear"
    if verdict == "clear":
        return Audit(NAME, verdict, "train", found, (), "The cases are enough for the intervals to be narrow.")
    text = "; ".join([*problems, *wishes])
    todo = (
        "Such figures cannot support a claim: bring more patients, or pool sites."
        if problems
        else "Read the intervals, not the figures alone."
    )
    return Audit(NAME, verdict, "train", found, (), f"{text[0].upper()}{text[1:]}. {todo}")


def _recall_widths(judged: Judged) -> dict[int, float]:
    """Return the width of the 95 % interval of each class's recall, by its code.

    Wilson's (J Am Stat Assoc 22:209, 1927), which has a width where every case is called rightly, as the AUROC's by
    resampling has not; with as many cases as patients.
    """
    widths = {}
    for code in (int(one) for one in np.unique(judged.y)):
        mine = judged.y == code
        n = float(len(np.unique(judged.cases.patient[mine])))
        low, high = wilson(np.array([n * (judged.call[mine] == code).mean()]), np.array([n]))
        widths[code] = float(high[0] - low[0])
    return widths


def cases_for_auroc(auroc: float, share: float, width: float = AIM) -> int:
    """Return how many cases give an AUROC a 95 % interval of `width`.

    The standard error is that of Newcombe (Stat Med 25:559, 2006), as Riley et al. (Stat Med 40:4230, 2021, eq. 6)
    propose: ``C(1-C) [1 + (N/2-1)(1-C)/(2-C) + (N/2-1) C/(1+C)] / (N^2 p(1-p))`` is its square.

    Parameters
    ----------
    auroc, share
        Expected AUROC, and share of positive cases.
    width
        Of the interval.
    """
    c, p = min(max(auroc, 1 - auroc), 0.999), min(max(share, 1e-6), 1 - 1e-6)
    wanted = (width / (2 * _Z)) ** 2
    # The square of the standard error falls with N, so the root of a quadratic in 1/N is the answer.
    rate = (1 - c) / (2 - c) + c / (1 + c)
    a, b = c * (1 - c) * (1 - rate) / (p * (1 - p)), c * (1 - c) * rate / (2 * p * (1 - p))
    if abs(a) < 1e-15:
        return math.ceil(b / wanted)
    inverse = (-b + math.sqrt(b * b + 4 * a * wanted)) / (2 * a)
    return math.ceil(1 / inverse)


def _regression(judged: Judged, figures: Mapping[str, Mapping[str, Any]]) -> Audit:
    """Look at the interval of the mean absolute error against the error itself."""
    n = len(judged.cases)
    found: dict[str, Any] = {"cases": n, "patients": len(np.unique(judged.cases.patient))}
    width, entry = _width(figures.get("mae")), figures.get("mae") or {}
    if width is None:
        advice = "The mean absolute error has no interval: bring more patients."
        return Audit(NAME, "warn", "train", found, (), advice)
    relative = width / max(float(entry["value"]), 1e-300)
    found["mae_relative_width"] = relative
    if relative > 1:
        advice = f"The interval of the mean absolute error is as wide as the error itself ({counted(n, 'case')})."
        return Audit(NAME, "warn", "train", found, (), f"{advice} Bring more patients.")
    return Audit(NAME, "clear", "train", found, (), "The cases are enough for the error's interval to be narrow.")


def _share(judged: Judged) -> float:
    """Return the share of the positive class, or of the rarest of several."""
    if judged.question.task == "binary":
        return float((judged.y == judged.question.positive_index).mean())
    counts = np.bincount(judged.y)
    return float(counts[counts > 0].min() / counts.sum())


def _width(entry: Mapping[str, Any] | None) -> float | None:
    if not entry or entry.get("low") is None or entry.get("high") is None:
        return None
    return float(entry["high"]) - float(entry["low"])
