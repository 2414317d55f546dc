"""Subgroups that fare worse than the other cases."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from semeion.audit.audit import Audit, counted
from semeion.audit.columns import metadata_kind, tokens
from semeion.audit.judged import Judged
from semeion.audit.levels import FEWEST_CASES, FEWEST_OF_A_CLASS, Level, levels_of
from semeion.evidence.association import holm
from semeion.evidence.intervals.proportions import area_interval, clustered_wilson
from semeion.evidence.ranking import areas

GAP = 0.05
"""A difference that is smaller is not warned of, however sure."""
_Z = 1.959963984540054
SURE = 0.05
"""P-value below which a difference is taken for more than chance."""
PEOPLE = frozenset(("age", "sex", "gender", "ethnicity", "race", "ancestry", "bmi", "weight", "pregnant", "menopause"))
"""Words of columns that say who the patients are."""


def subgroup_gap(judged: Judged) -> Audit:
    """Compare each subgroup with all other cases: AUROC, and sensitivity and specificity or accuracy.

    Subgroups are the covariates, and columns that say who the patients are (age, sex) or where they were imaged (site,
    scanner); other columns may be answers, and a model fares differently over answers.

    Intervals of differences are made from score intervals of both sides, patients for cases; p-values are two-sided
    and adjusted over all comparisons (Holm, Scand J Stat 6:65, 1979). A warning needs an adjusted p below 0.05 and a
    difference of 0.05 or more.
    """
    name = "subgroup-gap"
    if judged.question.task == "regression":
        return Audit(name, "not_run", "train", advice="Measured values are not compared over subgroups.")
    chosen = [name for name in judged.columns if str(name) in judged.covariates or parts_people(str(name))]
    compared = list(_comparisons(judged, levels_of(judged.columns[chosen])))
    if not compared:
        return Audit(
            name,
            "not_run",
            "train",
            advice=f"No column parts these cases into subgroups of {FEWEST_CASES} cases or more with "
            f"{FEWEST_OF_A_CLASS} of each class. Bring sex, age, site or scanner.",
        )
    adjusted = holm([one.p for one in compared])
    figures: dict[str, Any] = {"comparisons": len(compared), "adjusted_for": len(compared)}
    gaps, doubts = [], []
    order = np.argsort(adjusted, kind="stable")
    for index in order:
        one, p = compared[index], adjusted[index]
        if index in order[:20]:
            figures[f"{one.level.column}={one.level.name}: {one.figure}"] = {
                "here": one.here,
                "elsewhere": one.elsewhere,
                "difference": one.difference,
                "low": one.low,
                "high": one.high,
                "p_adjusted": p,
                "cases": int(one.level.rows.sum()),
            }
        told = (
            f"{one.figure} {one.here:.3f} where {one.level.column} is {one.level.name} "
            f"({counted(int(one.level.rows.sum()), 'case')}), {one.elsewhere:.3f} elsewhere"
        )
        if p < SURE and abs(one.difference) >= GAP:
            gaps.append(told)
        elif one.p < SURE and abs(one.difference) >= GAP:
            doubts.append(told)
    if gaps:
        more = f"; and {len(gaps) - 3} more" if len(gaps) > 3 else ""
        advice = (
            f"{'; '.join(gaps[:3])}{more}. Say so wherever the model is described, and bring more cases of the worse "
            "group."
        )
        return Audit(name, "warn", "train", figures, (), advice[0].upper() + advice[1:])
    if doubts:
        advice = f"{doubts[0]}; among {len(compared)} comparisons that may be chance. Look again with more cases."
        return Audit(name, "note", "train", figures, (), advice[0].upper() + advice[1:])
    return Audit(name, "clear", "train", figures, (), "No subgroup was shown to fare worse or better than the others.")


def parts_people(name: str) -> bool:
    """Tell whether a column says who patients are or where they were imaged, by its name."""
    return bool(PEOPLE & set(tokens(name))) or metadata_kind(name) in ("site", "scanner")


@dataclass(frozen=True)
class _Compared:
    level: Level
    figure: str
    here: float
    elsewhere: float
    difference: float
    low: float
    high: float
    p: float


def _comparisons(judged: Judged, levels: Sequence[Level]) -> Iterator[_Compared]:
    """Yield each figure of each level against all other cases."""
    y, right, patient = judged.y, judged.wrong() == 0, judged.cases.patient
    binary = judged.question.task == "binary"
    one = judged.question.positive_index if binary else -1
    shares = {"sensitivity": y == one, "specificity": y != one} if binary else {"accuracy": np.ones(len(y), bool)}
    for level in levels:
        sides = (level.rows, ~level.rows)
        if any(min((y[rows] == code).sum() for code in np.unique(y)) < FEWEST_OF_A_CLASS for rows in sides):
            continue
        yield _compared(level, "AUROC", *(_area(judged, rows) for rows in sides))
        for figure, mask in shares.items():
            yield _compared(level, figure, *(_share(right, patient, mask & rows) for rows in sides))


Ends = tuple[float, float, float]
"""A figure and its interval."""


def _share(right: npt.NDArray[np.bool_], patient: npt.NDArray[np.int64], rows: npt.NDArray[np.bool_]) -> Ends:
    found = clustered_wilson(right[rows], patient[rows])
    return float(right[rows].mean()), found.low, found.high


def _area(judged: Judged, rows: npt.NDArray[np.bool_]) -> Ends:
    """Return an AUROC with its score interval, patients for cases; of several classes the means of all three."""
    found = []
    for truth, score in judged.scores():
        positive = truth[rows]
        area = float(areas(positive, score[rows])(np.ones((1, int(rows.sum()))))[0, 0])
        counts = [len(np.unique(judged.cases.patient[rows][side])) for side in (positive, ~positive)]
        found.append((area, *area_interval(area, float(counts[0]), float(counts[1]))))
    value, low, high = np.mean(found, axis=0)
    return float(value), float(low), float(high)


def _compared(level: Level, figure: str, here: Ends, there: Ends) -> _Compared:
    """Return the difference of two figures with the interval that their own intervals give.

    Newcombe, Statistics in Medicine 17:873 (1998), method 10, for shares of which all or none are hits too, where a
    bootstrap has no width; Zou and Donner, Statistics in Medicine 27:1693 (2008), for any two figures. Cases of one
    patient on both sides make it too wide at most.
    """
    from scipy.stats import norm

    difference = here[0] - there[0]
    down = math.hypot(here[0] - here[1], there[2] - there[0])
    up = math.hypot(here[2] - here[0], there[0] - there[1])
    # What stands between the difference and 0 decides how sure it is.
    towards = down if difference > 0 else up
    p = float(2 * norm.sf(abs(difference) / (towards / _Z))) if towards > 0 and difference else 1.0
    return _Compared(level, figure, here[0], there[0], difference, difference - down, difference + up, p)
