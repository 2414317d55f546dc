"""The target in disguise among the columns."""

from __future__ import annotations

import itertools
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pandas as pd

from semeion.audit.audit import Audit, Verdict
from semeion.cohort.cohort import Cohort

NEAR_PERFECT = 0.75
"""Share of the target's entropy that is too good to be true: of two equal classes 96 of 100 cases are told."""
NEAR_MEASURED = 0.98
"""The same of measured values, as a rank correlation."""
NAMED = 0.1
"""Share of the cases whose file name, or case id, gives their class away from which on it is warned of."""
SURE = 0.001
"""Probability by chance, times the number of names, below which a name of one class alone gives that away."""
FEWEST_CASES = 10
"""With fewer cases chance makes recodings, and nothing is said."""
CASES_A_LEVEL = 5
"""A text column tells the target only if its levels have this many cases on average: an identifier tells everything."""

_ASK = "Ask whether the value is known before the diagnosis; if not, leave it out of --covariates."
_RENAME = (
    "No name enters the model; but show such names to no reader or other program, give the files names that say "
    "nothing, and ask whether the classes come from the same place."
)

Kind = Literal["recoding", "determines", "near", "none"]


@dataclass(frozen=True)
class Link:
    """How a column relates to the target: what it is, and the association from 0 to 1."""

    kind: Kind
    association: float


def target_leak(cohort: Cohort) -> Audit:
    """Compare every column with the target.

    A covariate that is the target, a one-to-one recoding of it (other names, other order, other numbers, missing in
    exactly one class) or a finer coding that leaves no doubt about it voids the result. One that nearly does (three
    quarters of the target's entropy; of a measured value a rank correlation of 0.98) is warned of, and so are case ids
    and file names of which a tenth or more give the class away: nothing of a name enters a model, but readers and other
    programs see it, and files that were named by class often come from different places. Columns that are no inputs are
    noted.
    """
    table, target = cohort.table, cohort.target
    truths = {name: table[name].to_numpy(dtype=np.float64) for name in target.columns}
    if not truths:
        return Audit("target-leak", "clear", advice="Masks are no column that another could tell.")
    names = set(target.name.split(",")) | {target.name}
    figures: dict[str, Any] = {"covariates": len(cohort.covariates), "columns_compared": 0}
    voids, warns, notes = [], [], []
    others = [name for name in (*cohort.unused, "site") if name in table.columns and name not in cohort.covariates]
    for column in (*cohort.covariates, *others):
        is_input = column in cohort.covariates
        if column not in table.columns:
            if column in names:
                voids.append(f"covariate {column!r} is the target")
            continue
        if column in names and not is_input:
            continue
        figures["columns_compared"] += 1
        link, truth = strongest(table[column], truths, target.task)
        if is_input or link.kind != "none":
            figures[f"association_{column}"] = round(link.association, 4)
        about = f"{column!r}" + (f" (label {truth.removeprefix('y.')!r})" if target.task == "multilabel" else "")
        if is_input and (link.kind in ("recoding", "determines") or column in names):
            how = (
                "is the target or a recoding of it" if link.kind != "determines" else "leaves no doubt about the target"
            )
            voids.append(f"covariate {about} {how}")
        elif is_input and link.kind == "near":
            warns.append(f"covariate {about} nearly determines the target (association {link.association:.3f})")
        elif link.kind in ("recoding", "determines"):
            notes.append(f"column {about}, which is not an input, tells the target")
    told, shares = _telling_names(cohort, truths)
    figures |= shares
    inputs_warned = bool(warns)
    warns += told
    verdict: Verdict = "void" if voids else "warn" if warns else "note" if notes else "clear"
    figures |= {"void": len(voids), "warn": len(warns), "note": len(notes)}
    if verdict == "clear":
        used = "No covariate tells" if cohort.covariates else "The images are the only input, and no column tells"
        return Audit("target-leak", verdict, figures=figures, advice=f"{used} the target.")
    text = "; ".join(voids + warns + notes)
    todo = {
        "void": "Leave such columns out of --covariates.",
        "warn": " ".join([_ASK] * inputs_warned + [_RENAME] * bool(told)),
        "note": "Nothing of this enters the model; never name such a column in --covariates.",
    }[verdict]
    return Audit("target-leak", verdict, figures=figures, advice=f"{text[0].upper()}{text[1:]}. {todo}")


def strongest(column: pd.Series, truths: dict[str, npt.NDArray[np.float64]], task: str) -> tuple[Link, str]:
    """Return the strongest link of `column` with any of `truths`, and the name of that truth."""
    rank = {"none": 0, "near": 1, "determines": 2, "recoding": 3}
    links = [(link_of(column, y, measured=task == "regression"), name) for name, y in truths.items()]
    return max(links, key=lambda found: (rank[found[0].kind], found[0].association))


def link_of(column: pd.Series, y: npt.NDArray[np.float64], *, measured: bool) -> Link:
    """Return how `column` relates to the target `y` (class numbers, or values when `measured`).

    Categories: mutual information over the target's entropy (Theil, Int J Sociol 1:38, 1970), over the levels
    of the column, missing being one. Numbers: the same over the best of up to 64 cuts into quantiles; for a measured
    target, Spearman's rank correlation.
    """
    known = np.isfinite(y)
    y, column = y[known], column[known]
    if len(y) < FEWEST_CASES or len(np.unique(y)) < 2:
        return Link("none", 0.0)
    numbers = _as_numbers(column)
    if measured:
        return _measured_link(numbers, y)
    levels = _levels(column)
    truth = np.unique(y, return_inverse=True)[1]
    pairs = len(np.unique(np.stack([levels, truth]), axis=1).T)
    n_levels, n_truth = int(levels.max()) + 1, int(truth.max()) + 1
    if pairs == n_levels == n_truth:
        return Link("recoding", 1.0)
    absent = _levels(column.isna())
    if absent.any() and n_truth == 2 and len(np.unique(np.stack([absent, truth]), axis=1).T) == 2:
        return Link("recoding", 1.0)
    best = 0.0
    if n_levels * CASES_A_LEVEL <= len(y):
        best = _explained(levels, truth)
        if pairs == n_levels and n_levels > 1:
            return Link("determines", 1.0)
    if numbers is not None:
        best = max(best, _threshold_association(numbers, truth))
    return Link("near" if best >= NEAR_PERFECT else "none", best)


def _measured_link(numbers: npt.NDArray[np.float64] | None, y: npt.NDArray[np.float64]) -> Link:
    """Return the link of a numeric column with a measured target."""
    if numbers is None:
        return Link("none", 0.0)
    both = np.isfinite(numbers)
    if both.sum() < max(FEWEST_CASES, 0.5 * len(y)) or len(np.unique(numbers[both])) < 3:
        return Link("none", 0.0)
    from scipy.stats import rankdata

    x, y = rankdata(numbers[both]), rankdata(y[both])
    if x.std() == 0 or y.std() == 0:
        return Link("none", 0.0)
    rho = float(abs(np.corrcoef(x, y)[0, 1]))
    if rho >= 1 - 1e-9:
        return Link("recoding", rho)
    return Link("near" if rho >= NEAR_MEASURED else "none", rho)


def _as_numbers(column: pd.Series) -> npt.NDArray[np.float64] | None:
    """Return the column as numbers, NaN where missing; None when some value is no number."""
    present = column.notna()
    parsed = pd.to_numeric(column, errors="coerce")
    if not present.any() or bool((parsed.isna() & present).any()):
        return None
    return np.asarray(parsed.to_numpy(dtype=np.float64, na_value=np.nan))


def _levels(column: pd.Series) -> npt.NDArray[np.int64]:
    """Return a level number a row; texts that differ in case or spaces alone are one level, missing is one too."""
    if column.dtype.kind in "biuf":
        return np.asarray(pd.factorize(column, use_na_sentinel=False)[0])
    text = column.astype("str").str.strip().str.casefold()
    return np.asarray(pd.factorize(text, use_na_sentinel=False)[0])


def _entropy(counts: npt.NDArray[np.int64]) -> float:
    shares = counts[counts > 0] / counts.sum()
    return float(-(shares * np.log(shares)).sum())


def _explained(levels: npt.NDArray[np.int64], truth: npt.NDArray[np.int64]) -> float:
    """Return the share of the target's entropy that the levels explain, 0 to 1."""
    joint = levels * (int(truth.max()) + 1) + truth
    information = _entropy(np.bincount(levels)) + _entropy(np.bincount(truth)) - _entropy(np.bincount(joint))
    return float(np.clip(information / _entropy(np.bincount(truth)), 0, 1))


def _threshold_association(numbers: npt.NDArray[np.float64], truth: npt.NDArray[np.int64]) -> float:
    """Return what the best monotone cutting of `numbers` into as many parts as there are classes explains."""
    n_truth = int(truth.max()) + 1
    known = np.isfinite(numbers)
    if known.sum() < len(numbers) * 0.5:
        return 0.0
    means = np.array([np.nanmedian(numbers[truth == k]) if known[truth == k].any() else np.nan for k in range(n_truth)])
    if not np.isfinite(means).all():
        return 0.0
    order = np.argsort(means)
    cuts = []
    for lower, upper in itertools.pairwise(order):
        below, above = np.sort(numbers[known & (truth == lower)]), np.sort(numbers[known & (truth == upper)])
        places = np.unique(np.concatenate([below, above]))
        wrong = (len(below) - np.searchsorted(below, places, "left")) + np.searchsorted(above, places, "left")
        cuts.append(float(places[int(np.argmin(wrong))]))
    parts = np.where(known, np.digitize(numbers, np.sort(np.array(cuts))), len(cuts) + 1)
    return _explained(parts.astype(np.int64), truth)


def _telling_names(cohort: Cohort, truths: dict[str, npt.NDArray[np.float64]]) -> tuple[list[str], dict[str, float]]:
    """Return what to warn of case ids and file names that tell the target once their digits are left out.

    And the share of the cases that are told, as figures.
    """
    if cohort.target.task in ("regression", "multilabel") or len(cohort.table) < FEWEST_CASES:
        return [], {}
    warns, figures = [], {}
    files = cohort.table["image"].astype(str).map(lambda name: Path(name).stem)
    is_array = cohort.table["image"].astype(str).str.lower().str.contains(".npz#", regex=False)
    owners = cohort.table["patient_id"] if cohort.has_patients else cohort.table["case_id"]
    for what, names in (("case ids", cohort.table["case_id"].astype(str)), ("file names", files)):
        if what == "file names" and bool(is_array.any()):
            continue
        stems = names.map(lambda name: re.sub(r"[\W\d_]+", " ", name).strip())
        if stems.nunique() < 2:
            continue
        share = given_away(stems, truths["y"], owners)
        figures[f"share_told_by_{what.replace(' ', '_')}"] = share
        if link_of(stems, truths["y"], measured=False).kind in ("recoding", "determines"):
            warns.append(f"the {what} tell the target (their text without digits is enough)")
        elif share >= NAMED:
            warns.append(f"the {what} of {share:.0%} of the cases give their class away (by their text without digits)")
    return warns, figures


def given_away(levels: pd.Series, y: npt.NDArray[np.float64], owners: pd.Series) -> float:
    """Return the share of the cases that are of a level which has one class alone, more surely than by chance.

    Parameters
    ----------
    levels
        Level of each case.
    y
        Class of each case; NaN is unknown.
    owners
        Whose each case is: a patient's cases count once.
    """
    known = np.isfinite(y)
    table = pd.DataFrame({"level": levels.to_numpy()[known], "y": y[known], "owner": owners.to_numpy()[known]})
    if not len(table) or table["level"].nunique() * CASES_A_LEVEL > len(table):
        return 0.0
    common = table.drop_duplicates(["owner", "y"])["y"].value_counts(normalize=True)
    told = 0
    for _, cases in table.groupby("level"):
        if cases["y"].nunique() == 1:
            chance = float(common[cases["y"].iloc[0]]) ** cases["owner"].nunique()
            told += len(cases) if chance * table["level"].nunique() < SURE else 0
    return told / len(table)
