"""Figures of a multi-label target with each label's probabilities corrected for its own share at use."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pandas as pd

from semeion.audit.judged import Judged, judge
from semeion.audit.prevalence import correctable
from semeion.errors import InputError
from semeion.evidence.question import Question
from semeion.evidence.table import ENSEMBLE, probability_columns, validate_predictions
from semeion.evidence.use.operating import OperatingPoints
from semeion.evidence.use.prevalence import MovedPoint, Prevalence, adjust_probabilities, moved_point
from semeion.evidence.weigh import weigh


def adjusted_labels(
    predictions: pd.DataFrame, question: Question, points: OperatingPoints | None, *, split: str, seed: int = 0
) -> dict[str, Any] | None:
    """Return ``adjusted`` of the evidence of a multi-label target, or None where no label's share is shown to differ.

    Labels whose share does not differ keep their probabilities and points, so that the means over labels are of all.

    Parameters
    ----------
    predictions, question, points, seed
        As :func:`semeion.evidence.weigh.weigh` takes them.
    split
        Whose figures are corrected.

    Returns
    -------
    dict or None
        ``<split>`` with the means over labels; ``prevalence.<label>`` and ``operating_point.<label>`` of those that
        were corrected, ``targets.<label>.<split>`` with their figures; ``reason`` names those that could not be.
    """
    if points is None:
        return None
    judged = judge(validate_predictions(predictions, question), question, points, seed=seed)
    if not judged or judged[0].cases.split != split:
        return None
    found = {one.cases.target: (one, share) for one in judged if (share := correctable(one)) is not None}
    if not found:
        return None
    columns = list(probability_columns(question))
    rows = predictions[(predictions["split"] == split) & (predictions["member"] == ENSEMBLE)].copy()
    moved: dict[str, MovedPoint] = {}
    failed: dict[str, str] = {}
    for label, (one, share) in found.items():
        mine = rows["target"].astype(str) == label
        try:
            p = adjust_probabilities(rows.loc[mine, columns].to_numpy(dtype="float64"), share.prior, share.at_use)
            moved[label] = _moved(one, share, points.of(label))
        except InputError as error:
            failed[label] = error.what
            continue
        rows.loc[mine, columns] = p
    told: dict[str, Any] = {"prevalence": {label: share.to_json() for label, (_, share) in found.items()}}
    if failed:
        told["reason"] = "; ".join(f"{label}: {what}" for label, what in failed.items())
    if not moved:
        return told
    at = {
        label: replace(points.of(label), shipped=moved[label].value) if label in moved else points.of(label)
        for label in question.classes
    }
    figures = weigh(rows, question, points=OperatingPoints(points.rule, by_target=at), seed=seed)
    return {
        **told,
        "operating_point": {label: {"rule": at[label].rule, **vars(one)} for label, one in moved.items()},
        split: figures["metrics"][split],
        "targets": {label: {split: figures["targets"][label]["metrics"][split]} for label in moved},
    }


def _moved(judged: Judged, share: Prevalence, points: OperatingPoints) -> MovedPoint:
    chosen, one = judged.chosen, judged.question.positive_index
    if chosen is None or points.shipped is None:
        raise InputError("there is no operating point to move", where="prevalence at use", fix="choose one")
    prior, at_use = share.prior[one], share.at_use[one]
    return moved_point(chosen.y == one, chosen.p[:, one], points.rule, points.shipped, prior, at_use)
