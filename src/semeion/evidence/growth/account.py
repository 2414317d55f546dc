"""A learning curve as ``curve.json`` states it: points, law, what more patients bring, cases an interval needs."""

from __future__ import annotations

from typing import Any

import numpy as np

from semeion.errors import InputError
from semeion.evidence.growth.figure import LOWER, TAIL, UNBOUNDED, Scored, ends_of
from semeion.evidence.growth.measure import Points, Readings
from semeion.evidence.growth.power_law import FORMULA, Fitted
from semeion.evidence.growth.wanted import Wanted, wanted_area, wanted_root, wanted_share
from semeion.evidence.intervals.proportions import effective_cases
from semeion.evidence.intervals.weights import Array
from semeion.evidence.question import Question, figure_class

DEFAULT_WIDTH = 0.1
"""Of an interval of a figure between 0 and 1, from end to end: 0.05 either way, as Riley et al. 2021 take it."""
_DRAWN = 60
"""Sizes at which the law is written for the picture."""


def points_json(readings: Readings, points: Points, metric: str) -> list[dict[str, Any]]:
    """Return the figure at each size: ``patients cases draws value low high between``."""
    low, high = ends_of(points.value, points.drawn, metric)
    rows = []
    for place, size in enumerate(readings.sizes):
        value = float(points.value[place])
        rows.append(
            {
                "patients": size,
                "cases": round(readings.cases[place]),
                "draws": 1 if _whole(readings, place) else readings.draws,
                "value": value,
                "low": float(low[place]),
                "high": float(high[place]),
                "between": float(points.between[place]),
            }
        )
    return rows


def gain_json(readings: Readings, points: Points) -> dict[str, Any]:
    """Return what was gained from the smallest size to the largest, from the points alone."""
    drawn = points.drawn[:, -1] - points.drawn[:, 0]
    low, high = np.quantile(drawn, [TAIL, 1 - TAIL])
    value = float(points.value[-1] - points.value[0])
    return {
        "from": readings.sizes[0],
        "to": readings.sizes[-1],
        "value": value,
        "low": min(float(low), value),
        "high": max(float(high), value),
    }


def law_json(fitted: Fitted, sizes: tuple[int, ...]) -> dict[str, Any]:
    """Return the law with its band, as far as it may be carried on."""
    last = sizes[-1]
    reach = round(last * fitted.reach)
    spaced = np.unique(np.round(np.exp(np.linspace(np.log(sizes[0]), np.log(reach), _DRAWN))))
    at = np.unique(np.concatenate([spaced, np.array(sizes, dtype=np.float64), [float(reach)]]))
    value, low, high = fitted.at(at)
    law = fitted.law
    return {
        "formula": FORMULA,
        "error": "the figure" if fitted.metric in LOWER else "1 less the figure",
        "a": float(law.a[0]),
        "b": float(law.b[0]),
        "c": float(law.c[0]),
        "at": [int(one) for one in at],
        "value": value.tolist(),
        "low": low.tolist(),
        "high": high.tolist(),
        "measured_to": last,
    }


def beyond_json(fitted: Fitted, sizes: tuple[int, ...]) -> dict[str, Any]:
    """Return what the law says of more patients, or why it says nothing: ``{reach, reason, points}``."""
    last, rows = sizes[-1], []
    for times in (1.5, 2.0, 3.0, 4.0):
        if fitted.reach > 1 and times <= fitted.reach:
            more = round(times * last)
            value, low, high = (float(one[0]) for one in fitted.at(np.array([float(more)])))
            gain = dict(zip(("value", "low", "high"), fitted.change(float(last), float(more)), strict=True))
            rows.append({"times": times, "patients": more, "value": value, "low": low, "high": high, "gain": gain})
    value, low, high = (float(one[0]) for one in fitted.at(np.array([float(last)])))
    now = {"patients": last, "value": value, "low": low, "high": high}
    return {"reach": fitted.reach, "reason": fitted.refused, "from": now, "points": rows}


def refuse_width(width: float | None, metric: str, *, where: str = "--want-width") -> None:
    """Refuse a width that no interval of the figure could have.

    Raises
    ------
    InputError
        When it is not positive, or 1 or more of a figure between 0 and 1.
    """
    if width is None:
        return
    bounded = metric not in UNBOUNDED
    if not 0 < width < (1.0 if bounded else float("inf")):
        raise InputError(
            f"no interval of {metric} can be asked to be {width:g} wide",
            where=where,
            fix="give the whole width, for example 0.1 for 0.05 either way" if bounded else "give a positive width",
        )


def wanted_json(
    outputs: Array,
    points: Points,
    scored: Scored,
    question: Question,
    metric: str,
    width: float | None,
    *,
    prior: float | None = None,
) -> dict[str, Any]:
    """Return the cases that intervals of a width would need: ``{width, asked, figures, threshold}``.

    Parameters
    ----------
    outputs
        Of the scored cases, learned from the whole pool, ``(cases, outputs)``.
    points, scored, question, metric
        Of the curve.
    width
        Wanted, from low to high end; None takes 0.1, or of a measured value half the present one.
    prior
        Share of the positive class among those learned from: from that probability on a case is called positive, which
        no scored case has chosen.
    """
    value = float(points.value[-1])
    low, high = (float(one[0]) for one in ends_of(points.value[-1:], points.present[:, None], metric))
    aim = width or (DEFAULT_WIDTH if metric not in UNBOUNDED or high == low else (high - low) / 2)
    n = len(scored)
    rows: list[Wanted] = []
    if question.task == "binary":
        truth, one = scored.y.astype(np.int64), question.positive_index
        positive = truth == one
        names = (question.classes[one], question.classes[1 - one])
        counts = (int(positive.sum()), int((~positive).sum()))
        if metric == "auroc":
            rows.append(wanted_area(value, float(points.present.var()), names, counts, aim))
        called = outputs[:, one] >= (0.5 if prior is None else prior)
        for figure, mine, hit in (("recall", positive, called), ("specificity", ~positive, ~called)):
            count, share = int(mine.sum()), float(hit[mine].mean())
            independent = effective_cases(hit[mine], scored.patient[mine])
            of = names[0] if figure == "recall" else names[1]
            rows.append(wanted_share(figure, share, of, count, independent, n, aim))
    if metric != "auroc" or question.task != "binary":
        rows.insert(0, wanted_root(metric, value, low, high, n, aim))
    if question.task in ("multiclass", "ordinal"):
        truth, call = scored.y.astype(np.int64), outputs.argmax(axis=1)
        for number, name in enumerate(question.classes):
            mine = truth == number
            if mine.any():
                hit = call[mine] == number
                independent = effective_cases(hit, scored.patient[mine])
                rows.append(
                    wanted_share(
                        f"recall_{figure_class(name)}", float(hit.mean()), name, int(mine.sum()), independent, n, aim
                    )
                )
    return {
        "width": aim,
        "asked": width is not None,
        "threshold": prior if question.task == "binary" else None,
        "figures": [row.to_json() for row in rows],
    }


def _whole(readings: Readings, place: int) -> bool:
    first = readings.outputs[place][0]
    return all(np.array_equal(one, first) for one in readings.outputs[place])
