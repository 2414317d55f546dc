"""What a model's abstaining did to the cases of an evaluation: how many it called, and how good it is on these.

Headline figures are of every case that can be read: what a model keeps from calling is no way to better figures. Those
of the cases called stand apart, with how many they are.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from semeion.evidence.intervals.proportions import clustered_wilson
from semeion.evidence.question import Question
from semeion.evidence.use.operating import OperatingPoints
from semeion.evidence.weigh import weigh
from semeion.model.codes import CODES, code_of, meaning_of
from semeion.model.findings import Finding, Status

MARKED = ("not_applicable", "unsure")
ORDER: tuple[Status, ...] = ("failed", "not_applicable", "unsure", "set", "called")
"""In which statuses are decided."""


def gate_json(
    cohort: pd.DataFrame,
    findings: Mapping[str, Sequence[Finding]],
    predictions: pd.DataFrame,
    question: Question,
    points: OperatingPoints | None,
) -> dict[str, Any]:
    """Return what the evidence says of abstaining.

    Parameters
    ----------
    cohort
        The cases that were weighed: ``case_id`` and ``patient_id``.
    findings
        Of each case, as the model gave them, abstaining where it does.
    predictions
        Rows of ``predictions.parquet`` of the same cases.
    question, points
        What is asked, and the operating points.

    Returns
    -------
    dict
        ``statuses``: how many cases have each status; of several labels a case has the one of most of them, the first
        in the order in which they are decided. ``reasons``: how many cases carry each code that keeps from a call, and
        ``meanings`` what these say.
        ``marked``: the share that is not applicable or unsure, with its interval over patients. ``metrics``: figures of
        the cases called, empty where there are none or all are.
    """
    ids = [str(case) for case in cohort["case_id"]]
    status = [_of_case(findings[case]) for case in ids]
    kept = ("not_applicable", "unsure")
    reasons = Counter(
        code
        for case in ids
        for code in {code_of(text) for one in findings[case] for text in one.reasons}
        if CODES.get(code, "").startswith(kept)
    )
    marked = np.array([one in MARKED for one in status], dtype=np.bool_)
    patient = pd.factorize(cohort["patient_id"])[0].astype(np.int64)
    found: dict[str, Any] = {
        "statuses": dict(Counter(status)),
        "reasons": dict(reasons.most_common()),
        "meanings": {code: meaning_of(code) for code, _ in reasons.most_common()},
        "marked": share_json(marked, patient),
        "metrics": {},
    }
    called = {case for case, one in zip(ids, status, strict=True) if one == "called"}
    if called and len(called) < len(ids):
        rows = predictions[predictions["case_id"].astype(str).isin(called)]
        found["metrics"] = weigh(rows, question, points=points)["metrics"].get("external", {})
    return found


def share_json(marked: npt.NDArray[np.bool_], patient: npt.NDArray[np.int64]) -> dict[str, Any]:
    """Return a share of cases as a figure of the evidence, with its interval over patients."""
    share = clustered_wilson(marked, patient)
    return {
        "value": float(marked.mean()),
        "low": share.low,
        "high": share.high,
        "n": len(marked),
        "n_patients": len(np.unique(patient)),
        "method": share.method,
    }


def _of_case(findings: Sequence[Finding]) -> str:
    """Return the status of a case, of several labels that of most."""
    counts: Counter[Status] = Counter(one.status for one in findings)
    return max(ORDER, key=lambda status: counts[status])
