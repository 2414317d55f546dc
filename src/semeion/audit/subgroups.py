"""Subgroups that fare worse than the other cases."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from semeion.audit.audit import Audit, counted
from semeion.audit.columns import metadata_kind, tokens
from semeion.audit.judged import Floats, Judged
from semeion.audit.levels import FEWEST_CASES, FEWEST_OF_A_CLASS, Level, levels_of
from semeion.evidence.association import holm
from semeion.evidence.bootstrap import case_weights, resample
from semeion.evidence.ranking import areas

RESAMPLES = 1000
GAP = 0.05
"""A difference that is smaller is not warned of, however sure."""
SURE = 0.05
"""P-value below which a difference is taken for more than chance."""
PEOPLE = frozenset(("age", "sex", "gender", "ethnicity", "race", "ancestry", "bmi", "weight", "pregnant", "menopause"))
"""Words of columns that say who the patients are."""


def subgroup_gap(judged: Judged) -> Audit:
    """Compare each subgroup with all other cases: AUROC, and sensitivity and specificity or accuracy.

    Subgroups are the covariates, and columns that say who the patients are (age, sex) or where they were imaged (site,
    scanner); other columns may be answers, and a model fares differently over answers.

    Differences are of the same draws of patients; p-values are two-sided from the difference over its bootstrap
    standard error, and adjusted over all comparisons (Holm, Scand J Stat 6:65, 1979). A warning needs an adjusted p
    below 0.05 and a difference of 0.05 or more.
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
    from scipy.stats import norm

    y = judged.y
    right = 1 - judged.wrong()
    codes, patients = pd.factorize(judged.cases.patient)
    patient, n = np.asarray(codes, dtype=np.int64), len(patients)
    binary = judged.question.task == "binary"
    one = judged.question.positive_index if binary else -1
    for level in levels:
        sides = (level.rows, ~level.rows)
        enough = all(min((y[rows] == code).sum() for code in np.unique(y)) >= FEWEST_OF_A_CLASS for rows in sides)
        if not enough:
            continue
        ranks = [[(areas(truth[rows], score[rows]), rows) for truth, score in judged.scores()] for rows in sides]
        masks = {"sensitivity": y == one, "specificity": y != one} if binary else {"accuracy": np.ones(len(y), bool)}

        def compute(counts: Floats, sides: Any = sides, ranks: Any = ranks, masks: Any = masks) -> Floats:
            weights = case_weights(counts, patient)
            columns = [np.mean([rank(weights[:, rows])[:, 0] for rank, rows in side], axis=0) for side in ranks]
            with np.errstate(invalid="ignore", divide="ignore"):
                for mask in masks.values():
                    for rows in sides:
                        part = weights * (mask & rows)
                        columns.append(part @ right / part.sum(axis=1))
            return np.stack(columns, axis=1)

        whole = compute(np.ones((1, n)))[0]
        drawn = resample(compute, n, len(y), resamples=RESAMPLES, seed=judged.seed)
        for number, figure in enumerate(("AUROC", *masks)):
            here, there = whole[2 * number], whole[2 * number + 1]
            spread = drawn[:, 2 * number] - drawn[:, 2 * number + 1]
            spread = spread[np.isfinite(spread)]
            if len(spread) < RESAMPLES // 2 or not np.isfinite(here - there):
                continue
            low, high = np.quantile(spread, (0.025, 0.975))
            error = float(spread.std())
            # Where nothing varies, nothing can be told.
            p = float(2 * norm.sf(abs(here - there) / error)) if error > 0 else 1.0
            yield _Compared(level, figure, float(here), float(there), float(here - there), float(low), float(high), p)
