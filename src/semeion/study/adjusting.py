"""Figures with probabilities corrected for the class balance at use; beside the measured ones, never in their place."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from semeion.audit.judged import Judged, judge
from semeion.audit.prevalence import GAP, SURE, correctable, observed_shift
from semeion.errors import InputError
from semeion.evidence.question import Question
from semeion.evidence.table import ENSEMBLE, probability_columns, validate_predictions
from semeion.evidence.use.operating import OperatingPoints
from semeion.evidence.use.prevalence import adjust_probabilities, class_shares, moved_point
from semeion.evidence.weigh import weigh
from semeion.study.adjusting_labels import adjusted_labels

SPLIT = "test"


def adjusted_figures(
    predictions: pd.DataFrame,
    question: Question,
    points: OperatingPoints | None,
    *,
    split: str = SPLIT,
    seed: int = 0,
) -> dict[str, Any] | None:
    """Return ``adjusted`` of the evidence, or None where the balance did not shift, or not by label shift alone.

    The balance is estimated from the cases' probabilities without their labels; the operating point is moved on
    validation cases.

    Parameters
    ----------
    predictions, question, points, seed
        As :func:`semeion.evidence.weigh.weigh` takes them.
    split
        Whose figures are corrected: ``test``, or ``external`` with the cases that calibrated the model as ``val``.

    Returns
    -------
    dict or None
        ``test`` (or ``external``) with the figures, ``prevalence`` with the shares, and ``operating_point``; of several
        labels as :func:`semeion.study.adjusting_labels.adjusted_labels`, each by itself.
    """
    if question.task == "multilabel" and split == SPLIT:
        return adjusted_labels(predictions, question, points, split=split, seed=seed)
    judged = _judged(predictions, question, points, split, seed)
    found = None if judged is None else correctable(judged)
    if judged is None or found is None:
        return None
    told = {"prevalence": found.to_json()}
    return told | _corrected(predictions, question, points, judged, found.prior, found.at_use, split, seed)


def adjusted_by_labels(
    predictions: pd.DataFrame,
    question: Question,
    points: OperatingPoints | None,
    *,
    split: str,
    seed: int = 0,
) -> dict[str, Any] | None:
    """Return the same with the class balance that the labels of these very cases show.

    It needs no estimate and no agreement, but the labels: it says what a known prevalence would bring. None where the
    balance does not differ by 5 points with p below 0.01.

    Parameters
    ----------
    predictions, question, points, split, seed
        As :func:`adjusted_figures` takes them.

    Returns
    -------
    dict or None
        ``shares`` ``{class: {chosen, here}}``, ``operating_point``, and the figures under the name of the split; or
        ``reason``.
    """
    judged = _judged(predictions, question, points, split, seed)
    if judged is None or judged.chosen is None:
        return None
    here, p = observed_shift(judged)
    try:
        prior = class_shares(judged.chosen.y, len(here))
    except InputError as error:
        return {"reason": error.what}
    if not ((np.abs(here - prior) >= GAP) & (p < SURE)).any():
        return None
    named = zip(question.classes, prior, here, strict=True)
    told = {"shares": {name: {"chosen": float(one), "here": float(other)} for name, one, other in named}}
    return told | _corrected(predictions, question, points, judged, prior, here, split, seed)


def _judged(
    predictions: pd.DataFrame, question: Question, points: OperatingPoints | None, split: str, seed: int
) -> Judged | None:
    if question.task not in ("binary", "multiclass", "ordinal"):
        return None
    judged = judge(validate_predictions(predictions, question), question, points, seed=seed)
    return judged[0] if judged and judged[0].cases.split == split else None


def _corrected(
    predictions: pd.DataFrame,
    question: Question,
    points: OperatingPoints | None,
    judged: Judged,
    prior: Sequence[float] | npt.NDArray[np.float64],
    at_use: Sequence[float] | npt.NDArray[np.float64],
    split: str,
    seed: int,
) -> dict[str, Any]:
    """Return the moved operating point, and the figures with corrected probabilities at it; or the reason why not."""
    columns = list(probability_columns(question))
    rows = predictions[(predictions["split"] == split) & (predictions["member"] == ENSEMBLE)].copy()
    moved, stated = None, None
    try:
        rows[columns] = adjust_probabilities(rows[columns].to_numpy(dtype="float64"), prior, at_use)
        chosen = judged.chosen
        if question.task == "binary" and points is not None and points.shipped is not None and chosen is not None:
            one = question.positive_index
            at = moved_point(chosen.y == one, chosen.p[:, one], points.rule, points.shipped, prior[one], at_use[one])
            moved = OperatingPoints(points.rule, at.value)
            stated = {"rule": points.rule, "value": at.value, "unadjusted": at.unadjusted, "method": at.method}
    except InputError as error:
        return {"reason": error.what}
    figures = weigh(rows, question, points=moved, seed=seed)
    return {"operating_point": stated, split: figures["metrics"][split]}
