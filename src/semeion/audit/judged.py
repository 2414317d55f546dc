"""What the audits of the tier ``train`` look at: predictions on cases that no model learned from."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from semeion.audit.audit import Audit, Verdict
from semeion.evidence.question import Question
from semeion.evidence.table import CLASSIC, ENSEMBLE, OUTSIDE, SHARE, TEACHER, Cases, split_cases
from semeion.evidence.use.operating import OperatingPoints

Floats = npt.NDArray[np.float64]
Codes = npt.NDArray[np.int64]
ORDER: tuple[Verdict, ...] = ("void", "warn", "note", "clear", "not_run")
"""From worst; what was not run says nothing."""
HONEST = ("test", "external", "oof")
"""Splits whose cases no model learned from and none was chosen on, the most trustworthy first."""


@dataclass(frozen=True)
class Judged:
    """The ensemble's predictions for one target on the cases of one split.

    Attributes
    ----------
    question
        Binary for a label of a multi-label target.
    cases
        Who, the truth and the probabilities.
    call
        Class index that each case is called, ``(cases,)``; empty for a measured value.
    members
        Predictions of each member on cases of the same split, by name.
    classic
        Those of the classic small network, where it was trained: it is no member.
    columns
        What else is known of each case (site, sex, age, scanner...), a row a case of `cases`.
    covariates
        Names of those columns that a model of covariates may use.
    chosen
        Validation cases, where a split was given: what calibration and operating point were chosen on.
    seed
        Where random streams begin.
    """

    question: Question
    cases: Cases
    call: Codes
    members: Mapping[str, Cases] = field(default_factory=dict)
    classic: Cases | None = None
    columns: pd.DataFrame = field(default_factory=pd.DataFrame)
    covariates: tuple[str, ...] = ()
    chosen: Cases | None = None
    seed: int = 0

    @property
    def y(self) -> Codes:
        """Class index of the truth, ``(cases,)``."""
        return self.cases.y.astype(np.int64)

    @property
    def ids(self) -> npt.NDArray[np.object_]:
        """Case ids."""
        return self.cases.case_id

    def wrong(self) -> Floats:
        """Return 1 for each case that is called another class than its truth, else 0."""
        return np.asarray(self.call != self.y, dtype=np.float64)

    def scores(self) -> list[tuple[npt.NDArray[np.bool_], Floats]]:
        """Return the truth and the score of each class that an AUROC averages: the positive one, or every one seen."""
        y, p = self.y, self.cases.p
        if self.question.task == "binary":
            one = self.question.positive_index
            return [(y == one, p[:, one])]
        return [(y == code, p[:, code]) for code in np.unique(y)]


def judge(
    table: pd.DataFrame,
    question: Question,
    points: OperatingPoints | None,
    columns: pd.DataFrame | None = None,
    covariates: Sequence[str] = (),
    seed: int = 0,
) -> list[Judged]:
    """Return what there is to audit: one for each target of the most trustworthy split, none where there is no such.

    Parameters
    ----------
    table
        As :func:`semeion.evidence.table.validate_predictions` returns it.
    question, points
        The target and how cases are called.
    columns
        ``case_id`` and what else is known of the cases.
    covariates, seed
        See :class:`Judged`.
    """
    by_split = {cases[0].split: cases for cases in split_cases(table, question)}
    split = next((name for name in HONEST if name in by_split), None)
    if split is None:
        return []
    members = {
        str(name): {one.target: one for one in _of_member(rows, question, split)}
        for name, rows in table[(table["split"] == split) & (table["member"] != ENSEMBLE)].groupby("member", sort=True)
        if name == CLASSIC or name not in OUTSIDE
    }
    classic = members.pop(CLASSIC, {})
    chosen = {one.target: one for one in by_split.get("val", [])}
    known = None if columns is None else columns.assign(case_id=columns["case_id"].astype(str)).set_index("case_id")
    found = []
    for cases in by_split[split]:
        asked = question.label(cases.target) if question.task == "multilabel" else question
        found.append(
            Judged(
                asked,
                cases,
                _calls(cases, asked, points),
                {name: each[cases.target] for name, each in members.items() if cases.target in each},
                classic.get(cases.target),
                pd.DataFrame(index=range(len(cases)))
                if known is None
                else known.reindex(cases.case_id.astype(str)).reset_index(drop=True),
                tuple(covariates),
                chosen.get(cases.target),
                seed,
            )
        )
    return found


def without_teachers(predictions: pd.DataFrame) -> pd.DataFrame:
    """Return the predictions of a run without the ensemble that taught and its members, of which nothing ships.

    Students are the members that have a share in any split.
    """
    if "member" not in predictions or SHARE not in predictions or not (predictions["member"] == TEACHER).any():
        return predictions
    share = pd.to_numeric(predictions[SHARE], errors="coerce").groupby(predictions["member"]).max()
    others = set(share.index[share > 0]) | (set(OUTSIDE) - {TEACHER})
    return predictions[predictions["member"].isin(others)]


def over_labels(audit: Callable[[Judged], Audit], judged: Sequence[Judged]) -> Audit:
    """Run an audit of each label of a multi-label target and join what it says; of one target it is that audit.

    The verdict is the worst; figures are prefixed by the label, and only labels of the worst verdict give advice.
    """
    each = [audit(one) for one in judged]
    if len(each) == 1:
        return each[0]
    worst = min((one.verdict for one in each), key=ORDER.index)
    figures: dict[str, Any] = {}
    for one, found in zip(judged, each, strict=True):
        figures |= {f"{one.cases.target}: {key}": value for key, value in found.figures.items()}
    speaking = [(one, found) for one, found in zip(judged, each, strict=True) if found.verdict == worst]
    cases = tuple(dict.fromkeys(case for _, found in speaking for case in found.cases))
    advice = " ".join(f"{one.cases.target}: {found.advice}" for one, found in speaking[:5])
    unlooked = [one.cases.target for one, found in zip(judged, each, strict=True) if found.verdict == "not_run"]
    if unlooked and worst != "not_run":
        figures["labels_not_looked_at"] = ", ".join(unlooked)
        advice += f" Not looked at: {', '.join(unlooked[:5])}{' and more' if len(unlooked) > 5 else ''}."
        if worst == "clear" and 2 * len(unlooked) > len(each):
            worst = "not_run"
    return Audit(each[0].name, worst, each[0].tier, figures, cases, advice)


def _of_member(rows: pd.DataFrame, question: Question, split: str) -> list[Cases]:
    """Return the cases of one member, read as those of an ensemble are."""
    return next((cases for cases in split_cases(rows.assign(member=ENSEMBLE), question) if cases[0].split == split), [])


def _calls(cases: Cases, question: Question, points: OperatingPoints | None) -> Codes:
    if question.task == "regression":
        return np.zeros(0, dtype=np.int64)
    if question.task != "binary":
        return np.asarray(cases.p.argmax(axis=1), dtype=np.int64)
    given = points or OperatingPoints()
    own = given.of(cases.target) if given.by_target else given
    one = question.positive_index
    called = cases.p[:, one] >= own.thresholds(cases.split, cases.fold)
    return np.asarray(np.where(called, one, 1 - one), dtype=np.int64)
