"""Images taken after what they are to foretell, told by dates."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from semeion.audit.audit import Audit, Verdict, counted
from semeion.audit.columns import date_role
from semeion.audit.dates import Dates, read_dates
from semeion.audit.labels import class_members
from semeion.cohort.cohort import Cohort
from semeion.cohort.problems import listed

AFTER_COUNT = 5
"""So many images taken afterwards are a warning..."""
AFTER_SHARE = 0.02
"""...and so is more than this share of the cases whose two dates are known; fewer are noted."""
_WHAT = {"outcome": "after the outcome", "treatment": "after treatment began"}


@dataclass(frozen=True)
class _Pair:
    acquired: str
    other: str
    role: str
    after: npt.NDArray[np.bool_]
    compared: int


def time_order(cohort: Cohort, facts: pd.DataFrame) -> Audit:
    """Compare when images were taken with when the outcome was known and when treatment began.

    Columns are chosen by their names (:func:`semeion.audit.columns.date_role`), and the DICOM files' own date counts as
    one of them. An image counts as taken afterwards when its date is later in every reading: a month or a year alone
    means any of its days, and the same day is not later.

    Parameters
    ----------
    cohort
        The cases.
    facts
        One row a case; ``acquired``, where it is a column, is the date that the files tell.
    """
    columns = _date_columns(cohort, facts)
    read = {name: (role, read_dates(column)) for name, (role, column) in columns.items()}
    unread = {name: dates for name, (_, dates) in read.items() if dates.problem}
    usable = {name: (role, dates) for name, (role, dates) in read.items() if not dates.problem and dates.known.any()}
    acquired = {name: dates for name, (role, dates) in usable.items() if role == "acquired"}
    others = {name: (role, dates) for name, (role, dates) in usable.items() if role != "acquired"}
    refused = [f"column {name!r} {dates.problem}: {dates.fix}" for name, dates in unread.items()]
    figures: dict[str, Any] = {"cases": len(cohort.table), "columns_not_read": len(unread)}
    pairs = [_compare(a, one, b, role, two) for a, one in acquired.items() for b, (role, two) in others.items()]
    pairs = [pair for pair in pairs if pair.compared]
    if not pairs:
        return Audit("time-order", "not_run", figures=figures, advice=_not_run(refused, acquired, others))
    members = class_members(cohort)
    late = np.zeros(len(cohort.table), dtype=np.bool_)
    said: list[str] = []
    worst: Verdict = "clear"
    for pair in pairs:
        n = int(pair.after.sum())
        key = f"{pair.acquired}_after_{pair.other}"
        figures |= {f"{key}_compared": pair.compared, key: n, f"{key}_share": round(n / pair.compared, 4)}
        figures |= {f"{key}_{name}": int((rows & pair.after).sum()) for name, rows in members.items() if n}
        if n:
            late |= pair.after
            said.append(
                f"{n} of {pair.compared} images were taken {_WHAT[pair.role]} ({pair.acquired!r} later than "
                f"{pair.other!r}{_by_class(pair, members)})"
            )
            grave = n >= AFTER_COUNT or n > AFTER_SHARE * pair.compared
            worst = "warn" if grave or worst == "warn" else "note"
    figures["images_taken_afterwards"] = int(late.sum())
    cases = tuple(cohort.table.loc[late, "case_id"].astype(str))
    if said:
        advice = (
            f"{'; '.join(said)}. Such images may show the disease's later course or its treatment, which is not there "
            "when the model is to be used. Leave them out, or correct the dates."
        )
        advice += f" Not read: {'; '.join(refused)}." if refused else ""
        return Audit("time-order", worst, figures=figures, cases=cases, advice=advice)
    compared = f"No image was taken after {listed(dict.fromkeys(repr(pair.other) for pair in pairs))}"
    if refused:
        advice = f"{compared}, but not every date could be read: {'; '.join(refused)}."
        return Audit("time-order", "not_run", figures=figures, advice=advice)
    return Audit("time-order", "clear", figures=figures, advice=f"{compared}.")


def _date_columns(cohort: Cohort, facts: pd.DataFrame) -> dict[str, tuple[str, pd.Series[Any]]]:
    """Return the columns of dates by name with what happened then."""
    found: dict[str, tuple[str, pd.Series[Any]]] = {}
    for name in (*cohort.unused, *cohort.covariates):
        role = date_role(name)
        if role is not None and name in cohort.table.columns and name != cohort.target.name:
            found[name] = (role, cohort.table[name])
    if "acquired" in facts.columns and "acquired" not in found and (facts["acquired"].astype(str) != "").any():
        found["acquired"] = ("acquired", facts["acquired"].reset_index(drop=True))
    return found


def _compare(acquired: str, one: Dates, other: str, role: str, two: Dates) -> _Pair:
    """Tell which images were taken afterwards."""
    both = one.known & two.known
    after = np.zeros(len(both), dtype=np.bool_)
    after[both] = one.first[both] > two.last[both]
    return _Pair(acquired, other, role, after, int(both.sum()))


def _by_class(pair: _Pair, members: dict[str, npt.NDArray[np.bool_]]) -> str:
    counts = {name: int((rows & pair.after).sum()) for name, rows in members.items()}
    told = [f"{count} {name}" for name, count in counts.items() if count]
    return f": {listed(told)}" if told else ""


def _not_run(refused: list[str], acquired: dict[str, Any], others: dict[str, Any]) -> str:
    """Say why nothing was compared and what to bring."""
    if refused:
        number = counted(len(refused), "column of dates is", "columns of dates are")
        return f"{number} not read, since guessing would compare wrong days: {'; '.join(refused)}."
    if acquired and others:
        return "No case has both a date of its image and one of the outcome or treatment. Complete the columns."
    lacking = []
    if not acquired:
        lacking.append("when the images were taken (a column such as acquisition_date)")
    if not others:
        lacking.append("when the outcome was known or treatment began (diagnosis_date, treatment_date)")
    return f"The table does not say {' nor '.join(lacking)}, so nobody can say whether images came too late."
