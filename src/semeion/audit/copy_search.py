"""Copies of pictures among many: exact ones by their hash, changed ones laid on each other and confirmed."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from semeion.audit.confirm import LEAST_SIDE, Look, Match, compare, look_at
from semeion.audit.groups import Rows, exact_groups, joined_groups, near_pairs
from semeion.audit.lookalike import MOST_SEARCHED, Candidates, find_candidates
from semeion.cohort.cohort import Cohort
from semeion.cohort.reading import read_image
from semeion.cohort.roles import image_columns
from semeion.errors import InputError
from semeion.parallel import ordered_map
from semeion.prepare.thumb import grey_bytes, unpacked
from semeion.progress import Progress, Silent

MOST_REGISTERED = 4_000
"""Pairs that are read again and registered, the likeliest first and those across the test set before others..."""
MOST_SMALL = 50_000
"""...and pairs with a picture too small for that, which are compared pixel for pixel."""
_BONUS = 0.1
"""Likeness by which a pair across the test set comes before others."""
_BY_HASH = 0.9
"""Likeness of a pair that only its perceptual hashes name."""
_TOGETHER = 256
_KEPT = 3_000
"""Pictures kept for comparison at a time: 74 kB each at most."""

_TURNS = (
    "",
    "turned",
    "turned",
    "turned",
    "mirrored",
    "mirrored and turned",
    "mirrored and turned",
    "mirrored and turned",
)


@dataclass(frozen=True)
class Confirmed:
    """One pair of cases that show one picture: row numbers, how they were verified, and in which orientation."""

    rows: tuple[int, int]
    match: Match
    turn: int

    def __str__(self) -> str:
        turn = f"{_TURNS[self.turn]}, " if self.turn else ""
        if self.match.how == "levels":
            return f"{turn}pixel for pixel up to a change of grey levels"
        return f"{turn}registered, detail {self.match.detail:.3f}"


@dataclass(frozen=True)
class Copies:
    """Copies among the cases of a cohort.

    Attributes
    ----------
    exact
        Row numbers of each group of exactly equal pixels.
    groups
        The same with the confirmed copies, followed through.
    confirmed
        Pairs of changed pictures that are one.
    alike
        Pairs ``(pairs, 2)`` whose perceptual hashes nearly agree and that were not confirmed.
    figures
        What was looked at and what was left.
    """

    exact: list[Rows]
    groups: list[Rows]
    confirmed: tuple[Confirmed, ...]
    alike: Rows
    figures: dict[str, Any]


def find_copies(
    cohort: Cohort, facts: pd.DataFrame, *, jobs: int | None = None, progress: Progress | None = None
) -> Copies:
    """Find the same picture in several cases.

    Exactly equal pixels by their hash. The same picture encoded again, resized, cropped, turned, mirrored or with other
    grey levels: candidates are the nearest neighbours of the thumbnails (:mod:`semeion.audit.lookalike`) and pairs of
    near perceptual hashes; both pictures are read again and compared (:mod:`semeion.audit.confirm`). Of several
    pictures a case all must agree. Cases of one patient on one side of the split are not compared: they stay together
    anyway, and the next slice is no copy. Volumes are compared by their exact voxels alone.

    Parameters
    ----------
    cohort, facts
        The cases and their scan.
    jobs
        Threads; all cores by default. The result does not depend on it.
    progress
        Told of every pair.
    """
    exact = exact_groups(facts)
    near, compared = near_pairs(facts)
    found = Candidates.none()
    searched = "exact pixels only"
    usable = ((facts["status"] == "ok") & ~facts["blank"]).to_numpy() & ~facts["pixel_hash"].duplicated().to_numpy()
    if "thumb" in facts.columns and cohort.images.kind == "picture":
        thumbs, known = unpacked(facts["thumb"])
        rows = np.flatnonzero(usable & known)
        searched = "equal perceptual hashes only"
        if len(rows) <= MOST_SEARCHED and thumbs.shape[1] == 1:
            searched = "all pictures, whole in eight orientations and cropped"
            found = find_candidates(thumbs[rows, 0], rows)
    wanted = _wanted(_with_hashed(found, near), cohort)
    small, large = by_size(wanted, facts)
    chosen = [small[:MOST_SMALL], large[:MOST_REGISTERED]]
    checked = wanted.at(np.sort(np.concatenate(chosen)))
    matches = compared_pairs(checked, cohort, jobs, progress or Silent())
    confirmed = tuple(
        Confirmed((int(pair[0]), int(pair[1])), match, int(turn))
        for pair, match, turn in zip(checked.pairs, matches, checked.turn, strict=True)
        if match is not None and match.confirmed
    )
    groups = joined_groups([*exact, *(np.array(one.rows) for one in confirmed)], len(facts))
    figures = {
        "searched": searched,
        "perceptual_hashes_compared": compared,
        "candidate_pairs": len(wanted.pairs),
        "pairs_registered": len(chosen[1]),
        "pairs_compared_pixel_for_pixel": len(chosen[0]),
        "pairs_left_unchecked": len(wanted.pairs) - len(checked.pairs),
        "pairs_not_read_again": sum(match is None for match in matches),
        "pairs_confirmed": len(confirmed),
    }
    return Copies(exact, groups, confirmed, apart(near, groups, len(facts)), figures)


def copies_among(copies: Copies, rows: Rows, n: int) -> Copies:
    """Return the copies among some of the cases that were searched; what was looked at stays as it was told.

    Parameters
    ----------
    copies
        Among all `n` cases.
    rows
        Those kept, in the order of the kept cohort.
    n
        Cases that were searched.
    """
    place = np.full(n, -1, dtype=np.int64)
    place[rows] = np.arange(len(rows))

    def kept(groups: list[Rows]) -> list[Rows]:
        moved = [place[group][place[group] >= 0] for group in groups]
        return [group for group in moved if len(group) > 1]

    confirmed = tuple(
        replace(one, rows=(int(place[one.rows[0]]), int(place[one.rows[1]])))
        for one in copies.confirmed
        if min(place[list(one.rows)]) >= 0
    )
    alike = place[copies.alike].reshape(-1, 2)
    return Copies(kept(copies.exact), kept(copies.groups), confirmed, alike[(alike >= 0).all(axis=1)], copies.figures)


def apart(pairs: Rows, groups: Iterable[Rows], n: int) -> Rows:
    """Return the pairs ``(pairs, 2)`` of rows below `n` that no group holds both of."""
    code = np.arange(n)
    for rows in groups:
        code[rows] = rows[0]
    return pairs[code[pairs[:, 0]] != code[pairs[:, 1]]] if len(pairs) else pairs


def _with_hashed(found: Candidates, near: Rows) -> Candidates:
    """Return the candidates with those pairs of near hashes that are not among them."""
    have = {(min(pair), max(pair)) for pair in found.pairs.tolist()}
    more = np.array([pair for pair in near.tolist() if (pair[0], pair[1]) not in have], dtype=np.int64).reshape(-1, 2)
    n = len(more)
    return Candidates(
        np.concatenate([found.pairs, more]),
        np.concatenate([found.likeness, np.full(n, _BY_HASH)]),
        np.concatenate([found.turn, np.zeros(n, dtype=np.int64)]),
        np.concatenate([found.start, np.tile(np.eye(3), (n, 1, 1))]),
    )


def _wanted(found: Candidates, cohort: Cohort) -> Candidates:
    """Return the pairs worth a look, the likeliest first, those across the test set before others."""
    first, second = found.pairs[:, 0], found.pairs[:, 1]
    apart = np.zeros(len(first), dtype=np.bool_)
    across = apart.copy()
    if cohort.has_split:
        split = cohort.table["split"].to_numpy(dtype=object)
        apart = split[first] != split[second]
        across = (split[first] == "test") != (split[second] == "test")
    keep = np.ones(len(first), dtype=np.bool_)
    if cohort.has_patients:
        patient = pd.factorize(cohort.table["patient_id"], use_na_sentinel=False)[0]
        keep = (patient[first] != patient[second]) | apart
    order = np.lexsort((second, first, -(found.likeness + _BONUS * across)))
    return found.at(order[keep[order]])


def by_size(found: Candidates, facts: pd.DataFrame) -> tuple[Rows, Rows]:
    """Return the places of pairs with a small picture, and of large ones; unknown sizes count as large."""
    if "rows" in facts.columns and "cols" in facts.columns:
        area = facts["rows"].to_numpy(dtype=np.float64, na_value=np.inf)
        area = area * facts["cols"].to_numpy(dtype=np.float64, na_value=np.inf)
    else:
        area = np.full(len(facts), np.inf)
    tiny = (area < LEAST_SIDE**2)[found.pairs]
    return np.flatnonzero(tiny.any(axis=1)), np.flatnonzero(~tiny.any(axis=1))


def compared_pairs(checked: Candidates, cohort: Cohort, jobs: int | None, progress: Progress) -> list[Match | None]:
    """Return how each pair compares; None where a picture cannot be read again."""
    references = [cohort.table[column].astype(str).to_numpy() for column in image_columns(cohort)]
    kept: dict[str, Look | None] = {}
    matches: list[Match | None] = []

    def match(place: int) -> Match | None:
        first, second = (int(row) for row in checked.pairs[place])
        found: list[Match] = []
        for of_case in references:
            a, b = kept[of_case[first]], kept[of_case[second]]
            if a is None or b is None:
                return None
            found.append(compare(a, b, int(checked.turn[place]), checked.start[place]))
            if not found[-1].confirmed:
                break
        return min(found, key=lambda one: (one.confirmed, one.detail))

    if not len(checked.pairs):
        return matches
    progress.start("comparing pictures that look alike", len(checked.pairs))
    try:
        for start in range(0, len(checked.pairs), _TOGETHER):
            places = range(start, min(start + _TOGETHER, len(checked.pairs)))
            used = np.unique(checked.pairs[start : places.stop])
            needed = {str(of_case[row]) for of_case in references for row in used}
            if len(kept) + len(needed - kept.keys()) > _KEPT:
                kept = {name: look for name, look in kept.items() if name in needed}
            fresh = sorted(needed - kept.keys())
            kept.update(zip(fresh, ordered_map(_look, fresh, jobs=jobs), strict=True))
            matches += ordered_map(match, places, jobs=jobs)
            progress.advance(len(places))
    finally:
        progress.finish()
    return matches


def _look(reference: str) -> Look | None:
    """Return a picture as it is compared; None when it cannot be read (it was moved since it was scanned)."""
    try:
        return look_at(grey_bytes(read_image(reference)))
    except InputError:  # the pair is counted as not read again
        return None


def told(confirmed: Iterable[Confirmed], ids: npt.NDArray[Any], most: int) -> list[str]:
    """Return sentences on how pairs were verified, at most `most`."""
    said: list[str] = []
    for one in confirmed:
        if len(said) >= most:
            break
        said.append(f"{ids[one.rows[0]]} and {ids[one.rows[1]]}: {one}")
    return said
