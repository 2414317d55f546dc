"""Kinds of spoiling: something besides the disease tells the class; in the columns, the files, or the pixels."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import cv2
import numpy as np
import numpy.typing as npt
import pandas as pd

from benchmarks.sabotage import sources
from benchmarks.sabotage.bases import (
    breast_cohort,
    chest_cohort,
    draw,
    heart_cohort,
    lesion_cohort,
    phantom_cohort,
    resized,
)
from benchmarks.sabotage.drafts import Draft, Half, Kind, Picture, Rng, Strength, strengths

Share = tuple[float, float]
"""Of the positive and of the negative cases that have something."""


def tied(first: float, second: float, third: float) -> tuple[Strength, ...]:
    """Return strengths of a thing that so many positive cases have, and one less that many of the others."""
    return tuple(
        Strength(f"{share:.0%} of the positive, {1 - share:.0%} of the others", (share, 1 - share))
        for share in (first, second, third)
    )


def chosen(draft: Draft, share: Share, rng: Rng) -> npt.NDArray[np.bool_]:
    """Return which cases have the thing: exactly the asked shares of each class."""
    has = np.zeros(len(draft), dtype=bool)
    for positive, part in zip((True, False), share, strict=True):
        rows = rng.permutation(draft.rows(positive=positive))
        has[rows[: round(part * len(rows))]] = True
    return has


def _changed(draft: Draft, has: npt.NDArray[np.bool_], change: Callable[[Picture], Picture]) -> Draft:
    return draft.with_pictures({int(row): change(draft.pictures[row]) for row in np.flatnonzero(has)})


def _by_site(draft: Draft, share: Share, rng: Rng) -> Draft:
    return draft.with_columns(site=np.where(chosen(draft, share, rng), "south", "north"))


def _by_scanner(draft: Draft, share: Share, rng: Rng) -> Draft:
    return draft.with_columns(scanner=np.where(chosen(draft, share, rng), "Aurora 5", "Lumen X"))


def _by_size(draft: Draft, share: Share, rng: Rng) -> Draft:
    return _changed(draft, chosen(draft, share, rng), lambda picture: resized(picture, 1.25))


def _by_depth(draft: Draft, share: Share, rng: Rng) -> Draft:
    return _changed(draft, chosen(draft, share, rng), lambda picture: picture.astype(np.uint16) * 257)


def _by_format(draft: Draft, share: Share, rng: Rng) -> Draft:
    rows = np.flatnonzero(chosen(draft, share, rng))
    return draft.with_pictures({}, {int(row): "jpg:90" for row in rows})


def _by_date(draft: Draft, share: Share, rng: Rng) -> Draft:
    late = chosen(draft, share, rng)
    start = np.where(late, np.datetime64("2021-01-04"), np.datetime64("2017-01-02"))
    days = start + rng.integers(0, 1400, len(draft)).astype("timedelta64[D]")
    return draft.with_columns(acquisition_date=days.astype(str))


def three_findings(half: Half, rng: Rng) -> Draft:
    """Draw breast ultrasound of three classes, as many of each."""
    lesions, normal = sources.breasts(half), sources.breasts(half, "normal")
    n = min(len(normal.pictures), int(lesions.positive.sum()), int((~lesions.positive).sum()))
    two = draw(lesions, rng, (n, n), split=False)
    third = draw(normal, rng, (n, 0), split=False)
    table = pd.concat([two.table, third.table.assign(finding="normal")], ignore_index=True)
    order = rng.permutation(len(table))
    table = table.iloc[order].reset_index(drop=True)
    table = table.assign(
        case_id=[f"c{number:04d}" for number in range(len(table))],
        patient_id=[f"p{number:04d}" for number in range(len(table))],
    )
    pictures = (*two.pictures, *third.pictures)
    return Draft(table, tuple(pictures[row] for row in order), "normal", ("png",) * len(order))


def by_source(draft: Draft, share: float, rng: Rng) -> Draft:
    """Take `share` of the normal cases from a source of their own, and all others from two mixed ones."""
    others = rng.choice(["archive", "clinic"], len(draft))
    return draft.with_columns(source=np.where(chosen(draft, (share, 0.0), rng), "screening", others))


def _token(draft: Draft, share: float, rng: Rng) -> Draft:
    """Write a side marker into the upper left corner."""

    def marked(picture: Picture) -> Picture:
        made = picture.copy()
        side = round(0.09 * min(picture.shape))
        place = (max(1, side // 4), side + max(1, side // 4))
        cv2.putText(made, "R", place, cv2.FONT_HERSHEY_SIMPLEX, side / 22, 255, 1, cv2.LINE_AA)
        return made

    return _changed(draft, chosen(draft, (share, 0.0), rng), marked)


def _tag(draft: Draft, side: int, rng: Rng) -> Draft:
    """Put a small bright square into the lower right corner of every positive picture."""

    def marked(picture: Picture) -> Picture:
        made = picture.copy()
        made[-side - 1 : -1, -side - 1 : -1] = 230
        return made

    return _changed(draft, chosen(draft, (1.0, 0.0), rng), marked)


def _collimated(draft: Draft, width: float, rng: Rng) -> Draft:
    """Blacken a frame of nine tenths of the positive pictures and of a tenth of the others."""

    def framed(picture: Picture) -> Picture:
        made = np.zeros_like(picture)
        rows, cols = (max(1, round(width * side)) for side in picture.shape)
        made[rows:-rows, cols:-cols] = picture[rows:-rows, cols:-cols]
        return made

    return _changed(draft, chosen(draft, (0.9, 0.1), rng), framed)


def _background(draft: Draft, gain: float, rng: Rng) -> Draft:
    """Brighten everything but the lesion in nine tenths of the positive pictures and in a tenth of the others."""
    made = {}
    for row in np.flatnonzero(chosen(draft, (0.9, 0.1), rng)):
        picture = draft.pictures[row]
        bright = np.clip(np.rint(picture * gain), 0, 255).astype(picture.dtype)
        made[int(row)] = np.where(draft.masks[row] > 0, picture, bright)
    return draft.with_pictures(made)


def _named(draft: Draft, share: float, rng: Rng) -> Draft:
    """Write the class into `share` of the file names."""
    shown = rng.permutation(len(draft)) < round(share * len(draft))
    stems = tuple(
        f"{finding}_{number:04d}" if one else f"scan_{number:04d}"
        for number, (finding, one) in enumerate(zip(draft.table["finding"], shown, strict=True))
    )
    return replace(draft, stems=stems)


def _recoded(draft: Draft, wrong: float, rng: Rng) -> Draft:
    """Give a covariate that codes the class, with `wrong` of its cells of the other class."""
    code = draft.is_positive.copy()
    rows = rng.permutation(len(draft))[: round(wrong * len(draft))]
    code[rows] = ~code[rows]
    made = draft.with_columns(pathway=np.where(code, "B2", "A1"))
    return replace(made, options=("--covariates", "age,pathway"))


KINDS = (
    Kind(
        "site-tied",
        "one site has the positive cases",
        "site-confounding",
        phantom_cohort,
        tied(0.95, 0.8, 0.65),
        _by_site,
    ),
    Kind(
        "scanner-tied",
        "a scanner is tied to the label",
        "site-confounding",
        heart_cohort,
        tied(0.95, 0.8, 0.65),
        _by_scanner,
    ),
    Kind(
        "size-tied",
        "pictures a quarter larger are tied to the label",
        "site-confounding",
        breast_cohort,
        tied(0.95, 0.8, 0.65),
        _by_size,
    ),
    Kind(
        "depth-tied",
        "16 bit instead of 8 are tied to the label",
        "site-confounding",
        chest_cohort,
        tied(0.95, 0.8, 0.65),
        _by_depth,
    ),
    Kind(
        "jpeg-tied",
        "one class is re-encoded as JPEG",
        "site-confounding",
        phantom_cohort,
        (
            Strength("all of one class, none of the other", (1.0, 0.0)),
            Strength("80% of one class, 20% of the other", (0.8, 0.2)),
            Strength("65% of one class, 35% of the other", (0.65, 0.35)),
        ),
        _by_format,
    ),
    Kind(
        "date-tied",
        "the years of acquisition are tied to the label",
        "site-confounding",
        breast_cohort,
        tied(0.95, 0.8, 0.65),
        _by_date,
    ),
    Kind(
        "source-of-a-class",
        "one of three classes comes from a source that has no other",
        "source-class",
        three_findings,
        strengths("{:.0%} of the class", (1.0, 0.95, 0.85)),
        by_source,
    ),
    Kind(
        "marker-in-corner",
        "a letter in a corner of positive pictures",
        "border-shortcut",
        phantom_cohort,
        strengths("in {:.0%} of the class", (1.0, 0.6, 0.3)),
        _token,
    ),
    Kind(
        "tag-in-corner",
        "a bright square in a corner of every positive picture of 160 pixels",
        "border-shortcut",
        breast_cohort,
        strengths("{} pixels", (12, 6, 3)),
        _tag,
    ),
    Kind(
        "collimation",
        "a black frame around 90% of the positive, 10% of the other pictures",
        "border-shortcut",
        heart_cohort,
        strengths("{:.0%} of the side wide", (0.1, 0.05, 0.02)),
        _collimated,
    ),
    Kind(
        "background-brighter",
        "tissue around the lesion brighter in 90% of the positive, 10% of the other pictures",
        "background-signal",
        lesion_cohort,
        strengths("gain {:g}", (3.0, 2.0, 1.5)),
        _background,
    ),
    Kind(
        "class-in-file-name",
        "file names hold the class",
        "target-leak",
        chest_cohort,
        strengths("{:.0%} of the names", (1.0, 0.8, 0.5)),
        _named,
    ),
    Kind(
        "target-recoded",
        "a covariate is the target in other words",
        "target-leak",
        phantom_cohort,
        (
            Strength("in every case", 0.0, "void"),
            Strength("but for 0.7% of the cases", 0.007),
            Strength("but for 3% of the cases", 0.03),
        ),
        _recoded,
    ),
)
