"""Audits of predictions, wherever these come from."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from semeion.audit.columns import tokens
from semeion.audit.predictions import run_prediction_audits
from semeion.audit.subgroups import PEOPLE
from semeion.cohort.cohort import Cohort
from semeion.evidence.question import Question
from semeion.evidence.use.operating import OperatingPoints
from semeion.prepare.thumb import unpacked

NOT_COLUMNS = frozenset(("case_id", "patient_id", "split", "mask", "image"))


def prediction_audits(
    predictions: pd.DataFrame,
    question: Question,
    points: OperatingPoints | None,
    weighed: Mapping[str, Any],
    columns: pd.DataFrame | None,
    covariates: tuple[str, ...] = (),
    *,
    embedding: pd.DataFrame | None = None,
    readings: int | None = None,
    seed: int = 0,
) -> dict[str, dict[str, Any]]:
    """Return the audits of the tier ``train`` as JSON, by name.

    Parameters
    ----------
    predictions, question, points, weighed
        As :func:`semeion.audit.predictions.run_prediction_audits` takes them.
    columns, covariates
        What else is known of the cases. Columns of who the patients are (age, sex) make the trivial model besides
        the covariates that were named.
    embedding, readings, seed
        As there.
    """
    people = () if columns is None else tuple(str(name) for name in columns if PEOPLE & set(tokens(str(name))))
    found = run_prediction_audits(
        predictions,
        question,
        points,
        weighed,
        columns=columns,
        covariates=tuple(dict.fromkeys((*covariates, *people))),
        embedding=embedding,
        readings=readings,
        seed=seed,
    )
    return {name: audit.to_json() for name, audit in found.items()}


def looks_of(facts: pd.DataFrame) -> pd.DataFrame | None:
    """Return what each image looks like, from the thumbnails that the scan kept: ``case_id`` and grey levels of 16 x 16
    pixels a view, NaN where there is no thumbnail; None where the scan kept none.
    """
    if "thumb" not in facts:
        return None
    thumbs, known = unpacked(facts["thumb"])
    if not known.any():
        return None
    n, views, side, _ = thumbs.shape
    small = thumbs.reshape(n, views, side // 2, 2, side // 2, 2).mean(axis=(3, 5)).reshape(n, -1)
    small[~known] = np.nan
    return pd.concat([facts[["case_id"]].reset_index(drop=True), pd.DataFrame(small)], axis=1)


def columns_of(cohort: Cohort) -> pd.DataFrame:
    """Return the columns of a cohort that say something of its cases and are neither answers nor files."""
    named = [name for name in ("site", *cohort.covariates, *cohort.unused) if name in cohort.table.columns]
    kept = [name for name in dict.fromkeys(named) if name not in NOT_COLUMNS]
    return cohort.table[["case_id", *kept]]
