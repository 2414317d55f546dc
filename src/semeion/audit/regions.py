"""Thumbnails of the cases from which may be learned, and linear probes on parts of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from semeion.audit.groups import Rows, drawn_groups, duplicate_groups
from semeion.audit.metadata import Question
from semeion.audit.probe import FEWEST_CASES, FEWEST_GROUPS, Floats, Probe, difference
from semeion.cohort.cohort import Cohort
from semeion.prepare.levels import Bytes
from semeion.prepare.thumb import unpacked

MOST_CASES = 10_000
"""Of more cases about so many are drawn, whole groups: what matters shows in them."""
MOST_QUESTIONS = 20
"""Labels of a multi-label target that are looked at, in their order."""

Interval = tuple[float, float, float]
"""Value, low and high."""


@dataclass(frozen=True)
class Pictures:
    """Thumbnails of the cases that may be looked at.

    Attributes
    ----------
    pixels
        uint8 ``(cases, views, side, side)``.
    rows
        Row number of each case in the cohort.
    groups
        What each case belongs to: its patient and its copies.
    """

    pixels: Bytes
    rows: Rows
    groups: Rows

    def at(self, places: Rows) -> Pictures:
        """Return the cases at `places`."""
        return Pictures(self.pixels[places], self.rows[places], self.groups[places])


def pictures(cohort: Cohort, facts: pd.DataFrame, seed: int = 0) -> Pictures | str:
    """Return the thumbnails of training and validation cases (all without a split), or why there are none.

    Blank and unreadable images take no part.
    """
    if cohort.target.task in ("regression", "segmentation"):
        return f"a {cohort.target.task} has no classes to tell apart"
    if "thumb" not in facts.columns:
        return "the scan kept no thumbnails (it is of an earlier version): scan the images again"
    pixels, known = unpacked(facts["thumb"])
    known = known & (facts["status"] == "ok").to_numpy() & ~facts["blank"].to_numpy(dtype=np.bool_)
    if cohort.has_split:
        known &= (cohort.table["split"] != "test").to_numpy()
    groups = duplicate_groups(cohort, facts).to_numpy()
    known &= drawn_groups(groups, MOST_CASES, seed, known)
    rows = np.flatnonzero(known)
    if not len(rows):
        return "no image could be read"
    return Pictures(pixels[rows], rows, groups[rows])


def cases_of(question: Question, shown: Pictures) -> tuple[Rows, Rows, str]:
    """Return the places of the cases of known class, their classes from 0, and why that is not enough, or nothing.

    Classes with too few cases or groups to be probed are left out.
    """
    places = np.flatnonzero(question.known[shown.rows])
    y = question.y[shown.rows[places]]
    enough = [
        code
        for code in np.unique(y)
        if (y == code).sum() >= FEWEST_CASES and len(np.unique(shown.groups[places[y == code]])) >= FEWEST_GROUPS
    ]
    if len(enough) < 2:
        return places, y, f"fewer than two classes have {FEWEST_CASES} cases of {FEWEST_GROUPS} patients to learn from"
    kept = np.isin(y, enough)
    return places[kept], y[kept], ""


def class_difference(a: Probe, b: Probe | None, y: Rows, groups: Rows, code: int) -> Interval:
    """Return by how much the AUROC of one class against the rest differs between two probes, with its interval.

    Without a second probe, by how much it differs from chance.
    """

    def alone(one: Probe | None) -> Probe:
        score: Floats = np.zeros(len(y)) if one is None else one.scores[:, code]
        return replace(a if one is None else one, scores=np.column_stack([-score, score]))

    return difference(alone(a), alone(b), (y == code).astype(np.int64), groups)


def probe_figures(prefix: str, probes: Mapping[str, Probe], differences: Mapping[str, Interval]) -> dict[str, Any]:
    """Return AUROCs and their differences with intervals as figures; None where undefined."""
    found: dict[str, Any] = {}
    for name, one in probes.items():
        found |= _three(f"{prefix}{name}_auroc", (one.auroc, one.low, one.high))
    for name, three in differences.items():
        found |= _three(f"{prefix}{name}", three)
    return found


def spoken(three: Interval) -> str:
    """Return ``0.81 (95 % interval 0.77 to 0.85)``."""
    value, low, high = three
    return f"{value:.2f} (95 % interval {low:.2f} to {high:.2f})"


def whole(one: Probe) -> Interval:
    """Return the AUROC of a probe with its interval."""
    return one.auroc, one.low, one.high


def _three(name: str, values: Interval) -> dict[str, Any]:
    names = (name, f"{name}_low", f"{name}_high")
    return {key: round(value, 4) if np.isfinite(value) else None for key, value in zip(names, values, strict=True)}
