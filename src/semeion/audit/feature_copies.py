"""Copies across the sides of a split that a trained network sees, and thumbnails do not show.

A network learns to see past what its augmentation changes, so that a picture and its altered copy lie side by side in
its features. Neighbours there are candidates and nothing more: what counts is whether one picture can be laid on the
other (:mod:`semeion.audit.confirm`). The features may come from one member that learned from some of the cases: nothing
is measured by them, and a memory of cases learned from does not make two pictures one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from time import monotonic
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from semeion.audit.audit import Audit, Verdict, counted
from semeion.audit.copies import KEPT_TOGETHER, MOST_TOLD, VOID_COUNT, VOID_SHARE, label_conflicts, near_duplicates
from semeion.audit.copy_search import Confirmed, Copies, apart, by_size, compared_pairs, told
from semeion.audit.groups import Rows, exact_groups, joined_groups, near_pairs
from semeion.audit.judged import ORDER
from semeion.audit.lookalike import Candidates, laid
from semeion.cohort.cohort import Cohort
from semeion.prepare.thumb import unpacked
from semeion.progress import Progress, Silent

Floats = npt.NDArray[np.float32]

NEIGHBOURS = 2
"""Nearest cases of other sides, of each case, that become candidates."""
LEAST_COSINE = 0.3
"""Cosine of two whitened features from which a pair is a candidate: altered copies reach 0.3 to 0.8 (BreastMNIST)."""
KEPT = 64
"""Principal components of the features that are compared at most..."""
CASES_A_COMPONENT = 8
"""...one for so many cases, as with as many components as cases whitening sets all equally far apart..."""
LEAST_SPREAD = 1e-3
"""...and only those whose standard deviation is more than this share of the largest."""
MOST_REGISTERED = 600
"""Candidates that are read again and registered at most, the likeliest first..."""
MOST_SMALL = 2_000
"""...and of pictures too small for that, which are compared pixel for pixel."""
_BLOCK = 512
_TOGETHER = 50
FOLD = "fold "
"""How the name of a side begins that is a fold, held out from networks that learned from the other folds."""


@dataclass(frozen=True)
class FeatureCopies:
    """What the neighbours in a network's features came to.

    Attributes
    ----------
    confirmed
        Pairs across sides that are one picture, and that were not known to be.
    figures
        ``feature_search`` in words, and how many pairs were named by features, compared, confirmed, and left.
    """

    confirmed: tuple[Confirmed, ...] = ()
    figures: dict[str, Any] = field(default_factory=dict)


def not_searched(why: str) -> FeatureCopies:
    """Return that no features were looked at, and why."""
    return FeatureCopies(figures={"feature_search": f"none: {why}"})


def find_feature_copies(
    cohort: Cohort,
    facts: pd.DataFrame,
    features: Floats,
    sides: npt.NDArray[np.object_],
    *,
    seconds: float | None = None,
    jobs: int | None = None,
    progress: Progress | None = None,
) -> FeatureCopies:
    """Look for copies across sides among the nearest neighbours in a network's features.

    Parameters
    ----------
    cohort, facts
        The cases, and their scan in the same order; groups of copies that are known (``copy_group``) are left out.
    features
        ``(cases, width)``; a row that is not finite takes no part.
    sides
        Side of each case: its split, or ``fold 0`` and on; empty for a case on no side.
    seconds
        After which no further pairs are compared; those left are counted.
    jobs, progress
        Threads, and told of every pair.
    """
    began = monotonic()
    groups = known_groups(facts)
    pairs, cosines = across_sides(features, sides, usable_rows(facts), groups)
    searched = f"nearest {NEIGHBOURS} of other sides by the cosine of whitened features"
    figures: dict[str, Any] = {"feature_search": searched, "feature_pairs": len(pairs)}
    thumbs, known = unpacked(facts["thumb"])
    keep = known[pairs].all(axis=1) if len(pairs) else np.zeros(0, dtype=np.bool_)
    found = laid(thumbs[:, 0], pairs[keep], cosines[keep])
    small, large = by_size(found, facts)
    chosen = found.at(np.sort(np.concatenate([small[:MOST_SMALL], large[:MOST_REGISTERED]])))
    confirmed, compared, unread = _confirmed(chosen, cohort, began, seconds, jobs, progress or Silent())
    figures |= {
        "feature_pairs_compared": compared,
        "feature_pairs_confirmed": len(confirmed),
        "feature_pairs_left_unchecked": len(pairs) - compared,
        "feature_pairs_not_read_again": unread,
    }
    return FeatureCopies(tuple(confirmed), figures)


def _confirmed(
    chosen: Candidates, cohort: Cohort, began: float, seconds: float | None, jobs: int | None, progress: Progress
) -> tuple[list[Confirmed], int, int]:
    """Return the pairs that are one picture, how many were compared, and of how many a picture could not be read."""
    confirmed: list[Confirmed] = []
    compared = unread = 0
    for start in range(0, len(chosen.pairs), _TOGETHER):
        if seconds is not None and monotonic() - began > seconds:
            break
        part = chosen.at(np.arange(start, min(start + _TOGETHER, len(chosen.pairs)), dtype=np.int64))
        for pair, match, turn in zip(part.pairs, compared_pairs(part, cohort, jobs, progress), part.turn, strict=True):
            unread += match is None
            if match is not None and match.confirmed:
                confirmed.append(Confirmed((int(pair[0]), int(pair[1])), match, int(turn)))
        compared += len(part.pairs)
    return confirmed, compared, unread


def known_groups(facts: pd.DataFrame) -> list[Rows]:
    """Return the groups of copies that the scan's facts know, exact ones and those confirmed before."""
    groups = exact_groups(facts)
    if "copy_group" in facts.columns:
        codes = facts["copy_group"].to_numpy(dtype=np.int64)
        groups += [np.flatnonzero(codes == code) for code in np.unique(codes[codes >= 0])]
    return joined_groups(groups, len(facts))


def usable_rows(facts: pd.DataFrame) -> npt.NDArray[np.bool_]:
    """Return which cases have a picture that shows anything."""
    return np.asarray(((facts["status"] == "ok") & ~facts["blank"]).to_numpy(), dtype=np.bool_)


def across_sides(
    features: Floats, sides: npt.NDArray[np.object_], usable: npt.NDArray[np.bool_], groups: list[Rows]
) -> tuple[Rows, npt.NDArray[np.float64]]:
    """Return pairs of cases on different sides that are near in the features, the nearest first, and their cosines.

    Features are centred and whitened first: the few directions that tell the classes apart would else make all cases of
    a class neighbours.
    """
    none = np.empty((0, 2), dtype=np.int64), np.empty(0)
    side = pd.factorize(sides)[0]
    rows = np.flatnonzero(usable & (sides != "") & np.isfinite(features).all(axis=1))
    if len(rows) < 2 or len(np.unique(side[rows])) < 2:
        return none
    placed = whitened(features[rows])
    if not placed.shape[1]:
        return none
    code = np.arange(len(features))
    for group in groups:
        code[group] = group[0]
    near = min(NEIGHBOURS, len(rows) - 1)
    found: dict[tuple[int, int], float] = {}
    for start in range(0, len(rows), _BLOCK):
        own = rows[start : start + _BLOCK]
        cosine = placed[start : start + _BLOCK] @ placed.T
        cosine[(side[own][:, None] == side[rows][None]) | (code[own][:, None] == code[rows][None])] = -1.0
        nearest = np.argpartition(-cosine, near - 1, axis=1)[:, :near]
        values = np.take_along_axis(cosine, nearest, axis=1)
        for row, place in zip(*np.nonzero(values >= LEAST_COSINE), strict=True):
            pair = sorted((int(own[row]), int(rows[nearest[row, place]])))
            found[pair[0], pair[1]] = float(values[row, place])
    if not found:
        return none
    pairs, cosines = np.array([*found], dtype=np.int64), np.array([*found.values()])
    order = np.lexsort((pairs[:, 1], pairs[:, 0], -cosines))
    return pairs[order], cosines[order]


def whitened(features: Floats) -> Floats:
    """Return features ``(cases, components)`` of equal spread in every direction that is kept, each of length one."""
    from scipy.linalg import eigh

    wide = features.astype(np.float64)
    wide -= wide.mean(axis=0)
    most = min(KEPT, max(2, len(wide) // CASES_A_COMPONENT), wide.shape[1])
    # Of thousands of directions the largest are wanted: all of them would take several times the time and the memory.
    largest = (wide.shape[1] - most, wide.shape[1] - 1)
    covariance = wide.T @ wide
    covariance /= len(wide)
    values, vectors = eigh(covariance, subset_by_index=largest, overwrite_a=True, check_finite=False)
    spread = np.sqrt(np.maximum(values[::-1], 0.0))
    kept = spread > LEAST_SPREAD * max(float(spread[0]), 1e-12)
    placed = (wide @ vectors[:, ::-1][:, kept]) / spread[kept]
    # A picture and its altered copy are among each other's two nearest about twice as often as with centring alone.
    return np.asarray(placed / np.maximum(np.linalg.norm(placed, axis=1, keepdims=True), 1e-9), dtype=np.float32)


def with_features(
    before: Mapping[str, Mapping[str, Any]],
    cohort: Cohort,
    facts: pd.DataFrame,
    sides: npt.NDArray[np.object_],
    found: FeatureCopies,
) -> tuple[dict[str, dict[str, Any]], frozenset[str]]:
    """Return ``near-duplicates``, and ``label-conflicts`` where it changes, with what features found.

    With them come the ids of the cases whose figures are too good, where ``near-duplicates`` is void.

    Nothing confirmed changes no verdict. A confirmed pair of a given split is judged as all copies are. Without one,
    copies that were found only now lay in different folds: the networks that read one learned from the other, and the
    same limits decide.

    Parameters
    ----------
    before
        The audits of the tier ``check`` as JSON.
    cohort, facts, sides, found
        As for :func:`find_feature_copies`, and what it returned.
    """
    old = before["near-duplicates"]
    if not found.confirmed:
        advice = str(old["advice"])
        if found.figures.get("feature_pairs_compared"):
            lost = found.figures["feature_pairs_not_read_again"]
            pairs = counted(found.figures["feature_pairs_compared"] - lost, "pair")
            advice = f"{advice.rstrip('.')}. {pairs} near in the network's features: no further copy."
            if lost:
                advice = f"{advice.rstrip('.')}; {counted(lost, 'pair')} could not be read again."
        return {
            "near-duplicates": {**old, "figures": {**old["figures"], **found.figures}, "advice": advice}
        }, frozenset()
    n = len(facts)
    groups = joined_groups([*known_groups(facts), *(np.array(one.rows) for one in found.confirmed)], n)
    counts = {name: old["figures"].get(name, 0) for name in _KEPT}
    counts["pairs_confirmed"] += len(found.confirmed)
    alike = apart(near_pairs(facts)[0], groups, n)
    copies = Copies(exact_groups(facts), groups, found.confirmed, alike, counts)
    audit = near_duplicates(cohort, facts, copies)
    ids = cohort.table["case_id"].astype(str).to_numpy(dtype=object)
    said = [*old["figures"].get("verified", []), *told(found.confirmed, ids, MOST_TOLD)]
    audit = replace(audit, figures={**audit.figures, "verified": said, **found.figures})
    audit = _across_folds(audit, groups, sides, ids)
    pairs = counted(len(found.confirmed), "of these was", "of these were")
    advice = f"{audit.advice.rstrip('.')}. {pairs} found by the network's features, across sides, after training."
    changed = {audit.name: replace(audit, advice=advice).to_json()}
    conflicts = label_conflicts(cohort, facts, copies).to_json()
    if conflicts["figures"]["groups_in_conflict"] > _conflicts(before.get("label-conflicts")):
        changed["label-conflicts"] = conflicts
    return changed, audit.affected


_KEPT = (
    *("searched", "perceptual_hashes_compared", "candidate_pairs", "pairs_registered"),
    *("pairs_compared_pixel_for_pixel", "pairs_left_unchecked", "pairs_not_read_again", "pairs_confirmed"),
)
"""Figures of the search before training, which stay."""


def _conflicts(audit: Mapping[str, Any] | None) -> int:
    return int(((audit or {}).get("figures") or {}).get("groups_in_conflict", 0))


def _across_folds(
    audit: Audit, groups: list[Rows], sides: npt.NDArray[np.object_], ids: npt.NDArray[np.object_]
) -> Audit:
    """Return the audit with the cases whose copy lay in another fold; groups known before were kept together."""
    held = np.array([str(side).startswith(FOLD) for side in sides], dtype=np.bool_)
    if not held.any():
        return audit
    spread = [rows[held[rows]] for rows in groups if len({str(side) for side in sides[rows[held[rows]]]}) > 1]
    count, of = sum(len(rows) for rows in spread), int(held.sum())
    figures = {**audit.figures, "cases_held_out": of, "cases_with_a_copy_in_another_fold": count}
    if not count:
        return replace(audit, figures=figures)
    worse: Verdict = "void" if count > VOID_SHARE * of or count >= VOID_COUNT else "warn"
    advice = (
        f"{counted(count, 'case has', 'cases have')} a copy in another fold, of {of} held out: their networks learned "
        "from it, and the figures are too good. Leave the copies out, or give those of one picture the same value in a "
        "column, name it with --group, and train again"
    )
    known = audit.advice.replace(f"; {KEPT_TOGETHER}", ", those known before training kept in one fold.")
    verdict: Verdict = min((audit.verdict, worse), key=ORDER.index)
    affected = audit.affected
    if worse == "void":
        affected |= {str(ids[row]) for rows in spread for row in rows}
    return replace(audit, verdict=verdict, figures=figures, advice=f"{known.rstrip('.')}. {advice}.", affected=affected)
