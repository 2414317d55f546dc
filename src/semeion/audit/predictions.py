"""The audits that read predictions: all of the tier ``train``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from semeion.audit.audit import Audit
from semeion.audit.baseline import trivial_baseline
from semeion.audit.judged import Judged, judge, over_labels, without_teachers
from semeion.audit.label_errors import label_errors
from semeion.audit.luck import readings_of_test, seed_luck
from semeion.audit.prevalence import prevalence_shift
from semeion.audit.sample import small_sample
from semeion.audit.shift import calibration_shift
from semeion.audit.strata import hidden_strata
from semeion.audit.subgroups import subgroup_gap
from semeion.evidence.question import Question
from semeion.evidence.table import validate_predictions
from semeion.evidence.use.operating import OperatingPoints

NAMES = (
    "small-sample",
    "trivial-baseline",
    "seed-luck",
    "test-reuse",
    "label-errors",
    "subgroup-gap",
    "hidden-strata",
    "calibration-shift",
    "prevalence-shift",
)
"""The audits of :func:`run_prediction_audits`, in the order in which a page shows them."""


def run_prediction_audits(
    predictions: pd.DataFrame,
    question: Question,
    points: OperatingPoints | None,
    weighed: Mapping[str, Any],
    *,
    columns: pd.DataFrame | None = None,
    covariates: Sequence[str] = (),
    embedding: pd.DataFrame | None = None,
    readings: int | None = None,
    seed: int = 0,
) -> dict[str, Audit]:
    """Run every audit of predictions on the most trustworthy split there is: test, external or out of fold.

    Parameters
    ----------
    predictions, question, points
        As :func:`semeion.evidence.weigh.weigh` takes them.
    weighed
        What it returned for them.
    columns
        ``case_id`` and what else is known of the cases.
    covariates
        Names of columns that say something about the patient (age, sex), of which a trivial model is made.
    embedding
        ``case_id`` and numbers that say what each image looks like; None where images are not at hand.
    readings
        How often the test cases were read; None where nobody counts.
    seed
        Where random streams begin.

    Returns
    -------
    dict
        An :class:`Audit` for each of `NAMES`.
    """
    own = validate_predictions(without_teachers(predictions), question)
    judged = judge(own, question, points, columns, covariates, seed)
    if not judged:
        return not_run("No labelled case outside training and validation: there is nothing to look at.")
    split = judged[0].cases.split

    def sample(one: Judged) -> Audit:
        place = weighed["targets"][one.cases.target] if question.task == "multilabel" else weighed
        return small_sample(one, place["metrics"].get(split, {}))

    def strata(one: Judged) -> Audit:
        if embedding is None:
            return hidden_strata(one)
        known = embedding.assign(case_id=embedding["case_id"].astype(str)).set_index("case_id")
        return hidden_strata(one, known.reindex(one.ids.astype(str)).to_numpy(dtype="float64"))

    audits = (
        over_labels(sample, judged),
        over_labels(trivial_baseline, judged),
        over_labels(seed_luck, judged),
        readings_of_test(readings, split),
        over_labels(label_errors, judged),
        over_labels(subgroup_gap, judged),
        over_labels(strata, judged),
        over_labels(calibration_shift, judged),
        over_labels(prevalence_shift, judged),
    )
    return {audit.name: audit for audit in audits}


def not_run(why: str) -> dict[str, Audit]:
    """Return every audit of this tier as not run, with the reason."""
    return {name: Audit(name, "not_run", "train", advice=why) for name in NAMES}
