"""Something that also answered every case, weighed beside the ensemble on the same draws of patients."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

from semeion.evidence.pairs.compare import compare
from semeion.evidence.pairs.pairing import Side
from semeion.evidence.question import Question
from semeion.evidence.table import ENSEMBLE
from semeion.evidence.use.operating import OperatingPoints

SHOWN = ("test", "oof", "val")
"""Splits on which both are shown, the honest ones first; validation cases only where there are no others."""


def weigh_beside(
    ensemble: pd.DataFrame,
    own: pd.DataFrame,
    question: Question,
    points: OperatingPoints | None,
    own_points: OperatingPoints | None,
    *,
    title: str,
    sides: tuple[str, str],
    seed: int,
    resamples: int = 2000,
) -> dict[str, Any]:
    """Return the figures of other rows, and the ensemble's less theirs, paired.

    Parameters
    ----------
    ensemble, own
        Rows of ``predictions.parquet`` of either, each with one member.
    question, points, own_points
        The target, and how either is called.
    title
        What the other rows are, for messages.
    sides
        What a verdict calls them and the ensemble.
    seed, resamples
        Of the bootstrap.

    Returns
    -------
    dict
        ``metrics.<split>.<name>`` of the other rows, ``difference.<split>.<name>`` with ``better`` and ``verdict``, and
        of several labels ``targets.<label>`` with its own.
    """
    labelled = ensemble[ensemble["y_true"].notna()]
    there = [split for split in SHOWN if (labelled["split"] == split).any()]
    told: dict[str, Any] = {"metrics": {}, "difference": {}}
    if question.task == "multilabel":
        told["targets"] = {label: {"metrics": {}, "difference": {}} for label in question.classes}
    for split in [name for name in there if name != "val"] or there:
        found = compare(
            Side(title, own.assign(member=ENSEMBLE), question, own_points, split),
            Side("the ensemble", ensemble, question, points, split),
            resamples=resamples,
            seed=seed,
        )
        _put(told, split, found["figures"], sides)
        for label, each in found["targets"].items():
            _put(told["targets"][label], split, each["figures"], sides)
    return told


def label_point(point: OperatingPoints) -> dict[str, Any]:
    """Return the operating point of one label as the evidence states it."""
    by_fold = {str(fold): value for fold, value in point.by_fold.items()}
    return {"rule": point.rule, "value": point.shipped, "by_fold": by_fold}


def _put(place: dict[str, Any], split: str, figures: Mapping[str, Any], sides: tuple[str, str]) -> None:
    words = dict(zip("ab", sides, strict=True))
    place["metrics"][split] = {name: one["a"] for name, one in figures.items()}
    place["difference"][split] = {
        name: {**one["difference"], "better": one["better"], "verdict": words.get(one["verdict"], one["verdict"])}
        for name, one in figures.items()
    }
