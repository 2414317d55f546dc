"""How much of a result is luck: of the seed or fold, and of having looked at the test cases more than once."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import numpy as np

from semeion.audit.audit import Audit, Verdict, counted
from semeion.audit.judged import Judged
from semeion.evidence.ranking import areas
from semeion.evidence.table import Cases

FEWEST = 3
"""Seeds or folds from which a spread can be told."""
FEWEST_OF_A_CLASS = 5
"""Cases of each class that a fold must have to count."""
_NAMED = re.compile(r"(?:(.+)-)??(?:fold\d+-)?seed\d+")
OFTEN = 3
"""Readings of the test cases from which on the figures count as chosen."""


def seed_luck(judged: Judged) -> Audit:
    """Compare the spread of single networks, or of folds, with what the ensemble gains over chance.

    Networks of one recipe that predicted the same cases differ by seed alone; members of other recipes differ by more
    than luck, and are not compared with them. Where each fold has its own networks, their cases differ too, so that the
    spread is an upper bound and says so.
    """
    name = "seed-luck"
    if judged.question.task == "regression":
        return Audit(name, "not_run", "train", advice="Measured values are not compared over seeds.")
    every = set(judged.ids.tolist())
    full = _alike({one: cases for one, cases in judged.members.items() if set(cases.case_id.tolist()) == every})
    if len(full) >= FEWEST:
        kind = "networks"
        values = [
            _auroc(judged, cases.y.astype(np.int64), cases.p, np.ones(len(cases), bool)) for cases in full.values()
        ]
    else:
        kind = "folds"
        folds = judged.cases.fold
        values = [_auroc(judged, judged.y, judged.cases.p, folds == fold) for fold in np.unique(folds[folds >= 0])]
    found = np.array([value for value in values if value is not None])
    if len(found) < FEWEST:
        return Audit(
            name,
            "not_run",
            "train",
            advice=f"{counted(len(found), 'network or fold', 'networks or folds')} can be compared, and {FEWEST} are "
            "needed: give a larger budget, or folds instead of a split.",
        )
    whole = _auroc(judged, judged.y, judged.cases.p, np.ones(len(judged.y), bool))
    gain = (whole if whole is not None else float(found.mean())) - 0.5
    spread = float(found.max() - found.min())
    figures: dict[str, Any] = {
        "compared": kind,
        "number": len(found),
        "auroc_mean": float(found.mean()),
        "auroc_sd": float(found.std(ddof=1)),
        "auroc_min": float(found.min()),
        "auroc_max": float(found.max()),
        "gain_over_chance": gain,
    }
    told = f"AUROC of single {kind}: {found.min():.3f} to {found.max():.3f} over {len(found)}"
    if kind == "folds":
        told += " (their cases differ too)"
    verdict: Verdict = "clear"
    todo = ""
    if spread >= max(gain, 0):
        verdict, todo = "warn", " That is as much as is gained over chance: the result may be luck. Bring more cases."
    elif spread >= gain / 2:
        verdict, todo = "note", " Compare other methods with the mean, not with the best."
    return Audit(name, verdict, "train", figures, (), f"{told}.{todo}")


def _alike(members: Mapping[str, Cases]) -> dict[str, Cases]:
    """Return the members of the recipe that has most: a run names them ``[recipe-][fold<k>-]seed<k>``.

    Of members that are not so named nothing is known, and they count as one recipe.
    """
    by_recipe: dict[str, dict[str, Cases]] = {}
    for name, cases in members.items():
        found = _NAMED.fullmatch(name)
        by_recipe.setdefault((found[1] or "") if found else "", {})[name] = cases
    return max(by_recipe.values(), key=len, default={})


def readings_of_test(readings: int | None, split: str = "test") -> Audit:
    """Tell how often the test cases of this run have been read.

    Parameters
    ----------
    readings
        As the run counts them; None where nothing counts (a table of predictions).
    split
        Whose figures are shown.
    """
    name = "test-reuse"
    if split == "oof":
        return Audit(name, "not_run", "train", advice="There is no test set: each case was held out by one fold.")
    if readings is None:
        advice = "Nobody counted how often these cases were looked at before: ask who made the predictions."
        return Audit(name, "not_run", "train", advice=advice)
    figures = {"readings": readings}
    if readings > OFTEN:
        advice = (
            f"The test cases were read {readings} times: what was changed in between was chosen on them, and the "
            "figures are optimistic. Validate on new cases."
        )
        return Audit(name, "warn", "train", figures, (), advice)
    if readings > 1:
        advice = f"The test cases were read {readings} times. Say so where you report the figures."
        return Audit(name, "note", "train", figures, (), advice)
    return Audit(
        name, "clear", "train", figures, (), "This run has read its test cases once; other runs may have, too."
    )


def _auroc(judged: Judged, y: Any, p: Any, rows: Any) -> float | None:
    """Return the AUROC of some cases as the question asks for it, or None with too few of a class."""
    truth, score = y[rows], p[rows]
    codes = (
        [judged.question.positive_index]
        if judged.question.task == "binary"
        else [int(code) for code in np.unique(judged.y)]
    )
    values = []
    for code in codes:
        positive = truth == code
        if min(int(positive.sum()), int((~positive).sum())) < FEWEST_OF_A_CLASS:
            return None
        values.append(float(areas(positive, score[:, code])(np.ones((1, len(truth))))[0, 0]))
    return float(np.mean(values))
