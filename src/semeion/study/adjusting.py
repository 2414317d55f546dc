"""Figures with probabilities corrected for the class balance at use; beside the measured ones, never in their place."""

from __future__ import annotations

from typing import Any

import pandas as pd

from semeion.audit.judged import judge
from semeion.audit.prevalence import correctable
from semeion.errors import InputError
from semeion.evidence.question import Question
from semeion.evidence.table import ENSEMBLE, probability_columns, validate_predictions
from semeion.evidence.use.operating import OperatingPoints
from semeion.evidence.use.prevalence import adjust_probabilities, moved_point
from semeion.evidence.weigh import weigh

SPLIT = "test"


def adjusted_figures(
    predictions: pd.DataFrame, question: Question, points: OperatingPoints | None, *, seed: int = 0
) -> dict[str, Any] | None:
    """Return ``adjusted`` of the evidence, or None where the balance did not shift, or not by label shift alone.

    The balance is estimated from the test cases' probabilities without their labels; the operating point is moved on
    validation cases.

    Parameters
    ----------
    predictions, question, points, seed
        As :func:`semeion.evidence.weigh.weigh` takes them.

    Returns
    -------
    dict or None
        ``test`` with the figures, ``prevalence`` with the shares, and ``operating_point``.
    """
    if question.task not in ("binary", "multiclass", "ordinal"):
        return None
    table = validate_predictions(predictions, question)
    judged = judge(table, question, points, seed=seed)
    if not judged or judged[0].cases.split != SPLIT:
        return None
    found = correctable(judged[0])
    if found is None:
        return None
    columns = list(probability_columns(question))
    rows = predictions[(predictions["split"] == SPLIT) & (predictions["member"] == ENSEMBLE)].copy()
    moved, stated = None, None
    try:
        rows[columns] = adjust_probabilities(rows[columns].to_numpy(dtype="float64"), found.prior, found.at_use)
        chosen = judged[0].chosen
        if question.task == "binary" and points is not None and points.shipped is not None and chosen is not None:
            one = question.positive_index
            at = moved_point(
                chosen.y == one, chosen.p[:, one], points.rule, points.shipped, found.prior[one], found.at_use[one]
            )
            moved = OperatingPoints(points.rule, at.value)
            stated = {"rule": points.rule, "value": at.value, "unadjusted": at.unadjusted, "method": at.method}
    except InputError as error:
        return {"prevalence": found.to_json(), "reason": error.what}
    figures = weigh(rows, question, points=moved, seed=seed)
    return {"prevalence": found.to_json(), "operating_point": stated, SPLIT: figures["metrics"][SPLIT]}
