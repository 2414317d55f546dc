"""What each part of an averaged verdict is worth: figures of the parts and of the whole, and what averaging gains."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from semeion.evidence.intervals.bootstrap import case_weights, draw, outcome_strata
from semeion.evidence.intervals.delong import delong
from semeion.evidence.intervals.entry import entries
from semeion.evidence.intervals.weights import Array
from semeion.evidence.metrics import Account, Share
from semeion.evidence.question import Question
from semeion.evidence.ranking import areas

NAMES = ("accuracy", "auroc")


@dataclass(frozen=True)
class Verdict:
    """What one part says of every case: probabilities ``(cases, classes)`` and the class it calls ``(cases,)``."""

    p: Array
    call: npt.NDArray[np.int64]


def weigh_parts(
    verdicts: Mapping[str, Verdict],
    y: npt.ArrayLike,
    patients: npt.ArrayLike,
    question: Question,
    *,
    whole: str,
    without: str,
    resamples: int = 2000,
    seed: int = 0,
) -> dict[str, dict[str, dict[str, Any]]]:
    """Return the figures of verdicts on the same cases, and the paired difference between two of them.

    Parameters
    ----------
    verdicts
        By name.
    y
        Class index of the truth ``(cases,)``.
    patients
        Whose each case is; all cases of a patient are drawn together.
    question
        Binary (AUROC of the positive class), or of several classes (macro, one versus rest).
    whole, without
        Names of the verdicts whose difference is stated: the first less the second, on the same draws.
    resamples, seed
        Of the bootstrap.

    Returns
    -------
    dict
        By name, and under ``difference``: ``accuracy`` and ``auroc``, each ``{value, low, high, n, n_patients,
        method}``; value null and ``reason`` where it is not defined. The area of two classes also has ``delong: {low,
        high}``, of the difference the paired one.
    """
    truth = np.asarray(y, dtype=np.int64)
    _, patient = np.unique(np.asarray(patients).astype(str), return_inverse=True)
    patient = patient.astype(np.int64)
    n, n_patients = len(truth), int(patient.max()) + 1 if len(patient) else 0
    hits = {name: (verdict.call == truth).astype(np.float64) for name, verdict in verdicts.items()}
    classes = [question.positive_index] if question.task == "binary" else [int(k) for k in np.unique(truth)]
    ranks = {name: [areas(truth == k, verdict.p[:, k]) for k in classes] for name, verdict in verdicts.items()}
    binary = question.task == "binary"
    # The area of two classes does not depend on their mix; of more than two, what "the rest" is does.
    strata = outcome_strata(patient, truth, n_patients) if binary and n else ()

    def accuracy(counts: Array) -> Array:
        weights = case_weights(counts, patient)
        each = {name: weights @ hit / weights.sum(axis=1) for name, hit in hits.items()}
        return np.stack([*each.values(), each[whole] - each[without]], axis=1)

    def area(counts: Array) -> Array:
        weights = case_weights(counts, patient)
        each = {name: np.mean([rank(weights)[:, 0] for rank in own], axis=0) for name, own in ranks.items()}
        return np.stack([*each.values(), each[whole] - each[without]], axis=1)

    right = draw(accuracy, n_patients, n, resamples=resamples, seed=seed)
    ranked = draw(area, n_patients, n, resamples=resamples, seed=seed, strata=strata)
    common = Account(
        names=NAMES,
        methods=dict.fromkeys(NAMES, "the same draws for every part"),
        undefined=dict.fromkeys(NAMES, "only one class among the cases"),
        classes=truth,
    )
    positive = truth == question.positive_index
    found: dict[str, dict[str, dict[str, Any]]] = {}
    for number, name in enumerate([*verdicts, "difference"]):
        account = common
        if name in verdicts:
            p, hit = verdicts[name].p[:, question.positive_index], hits[name] > 0
            shares = {"accuracy": Share(hit, np.ones(n, dtype=np.bool_))}
            account = replace(common, shares=shares, ranked=(positive, p) if binary else None)
        spreads = {"accuracy": right[number], "auroc": ranked[number]}
        found[name] = entries(account, spreads, patient, n=n, n_patients=n_patients)
    if binary:
        pair = np.stack([verdicts[name].p[:, question.positive_index] for name in (whole, without)])
        _, ends = delong(positive, pair, patient).difference()
        found["difference"]["auroc"]["delong"] = {"low": ends[0] if ends else None, "high": ends[1] if ends else None}
    return found
