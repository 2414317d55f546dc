"""The answer beside what was outlined: how well the class is told with the anatomy or the lesion masked out."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import pandas as pd

from semeion.audit.audit import Audit, Verdict
from semeion.audit.groups import Rows
from semeion.audit.metadata import questions
from semeion.audit.probe import Floats, difference, probe
from semeion.audit.regions import MOST_QUESTIONS, Pictures, cases_of, pictures, probe_figures, spoken, whole
from semeion.cohort.cohort import Cohort
from semeion.cohort.problems import listed
from semeion.cohort.reading import read_image
from semeion.cohort.roles import mask_columns, mask_references
from semeion.errors import InputError
from semeion.parallel import ordered_map
from semeion.prepare.levels import Bytes
from semeion.prepare.thumb import SIDE, grey_bytes, thumbnail, unpacked

NAME = "background-signal"
MATTERS = 0.6
"""AUROC of the background alone above which, with its whole interval, it can be warned of."""
MUCH = 0.75
"""Of what the whole picture tells over chance: so much of it makes the finding unneeded, surely less or not."""
MORE = 0.02
"""By so much, with its whole interval, the background must tell more than what was outlined to be clearly better."""
MOST_MASKS = 5_000
"""Masks of pictures that are read; of more cases so many are drawn."""
_COVERED = 5
"""Level of 255 from which a pixel of a mask's thumbnail is part of the hole: 2 % of its area."""
_CUT = 16
"""Side at which what was outlined is shown to its probe."""
_LEAST_LEFT = 0.05
"""Share of the picture that must be left beside the hole."""


def background_signal(cohort: Cohort, facts: pd.DataFrame, *, seed: int = 0, jobs: int | None = None) -> Audit:
    """Ask whether the class can be told with what was outlined masked out.

    Where cases have masks (column ``mask`` or ``mask.<name>``; those of a segmentation's target do not count), three
    linear probes (:func:`semeion.audit.probe.probe`) on training and validation cases are weighed on patients left out:
    on the whole thumbnail; on the background, where the mask and a pixel around it are taken as the mean of the other
    cases, which a linear classifier does not see as a hole; and on what was outlined, cut out to one size, with its
    shape, size and place. Cases whose mask is empty, fills the picture or is not of the image's size take no part.

    ``warn`` when the background's AUROC lies above 0.6, and it is not clearly worse than the whole picture (both by the
    whole 95 % interval) or is over chance by three quarters as much: a model needs not see the finding then. That what
    was outlined tells more does not mend this, since a network learns what it likes of both; the advice says where the
    background tells more, by more than 0.02. Where grey levels are those of a window of the image's own (volumes,
    deeper pictures), what was outlined moves the levels beside it, and there the background must tell so much more to
    be warned of.
    ``note`` when it is better than chance alone; ``not_run`` without masks or classes, or with too few cases.

    Parameters
    ----------
    cohort, facts
        The cases and their scan.
    seed
        Where random streams begin.
    jobs
        Threads that read masks; all cores by default.
    """
    if cohort.target.task not in ("regression", "segmentation") and not mask_columns(cohort):
        return Audit(NAME, "not_run", advice="Not looked at: the cohort has no masks of what is shown.")
    shown = pictures(cohort, facts, seed)
    if isinstance(shown, str):
        return Audit(NAME, "not_run", advice=f"Not looked at: {shown}.")
    shown, masks, figures = _with_masks(cohort, facts, shown, seed, jobs)
    warned, noted, reasons = [], [], []
    looked, better = 0, False
    windowed = cohort.images.kind == "volume" or bool((facts["maximum"].iloc[shown.rows] > 255).any())
    for question in questions(cohort)[:MOST_QUESTIONS]:
        about = f"{question.about!r}: " if question.about else ""
        prefix = f"{question.about}_" if question.about else ""
        places, y, reason = cases_of(question, shown)
        if reason:
            reasons.append(f"{about}{reason}, with a mask that can be used")
            continue
        looked += 1
        part, holes = shown.at(places), masks[places]
        features = {
            "whole": part.pixels.reshape(len(y), -1) / 255,
            "background": background_of(part.pixels, holes),
            "outlined": outlined_of(part.pixels, holes),
        }
        probes = {name: probe(values, y, part.groups, seed=seed) for name, values in features.items()}
        beside = {
            f"background_less_{name}": difference(probes["background"], probes[name], y, part.groups)
            for name in ("whole", "outlined")
        }
        figures |= {f"{prefix}cases": len(y)} | probe_figures(prefix, probes, beside)
        told = (
            f"{about}with what was outlined masked out the class is told with an AUROC of "
            f"{spoken(whole(probes['background']))}, by the whole picture with {probes['whole'].auroc:.2f}, by what "
            f"was outlined with {probes['outlined'].auroc:.2f}"
        )
        low = probes["background"].low
        more = beside["background_less_outlined"][1] > MORE
        over_chance = max(probes["whole"].auroc - 0.5, 1e-9)
        much = beside["background_less_whole"][2] >= 0 or probes["background"].auroc - 0.5 >= MUCH * over_chance
        if low > MATTERS and much and (more or not windowed):
            warned.append(told)
            better = better or more
        elif low > 0.5:
            noted.append(told)
    if not looked:
        return Audit(NAME, "not_run", figures=figures, advice=f"Not looked at: {listed(dict.fromkeys(reasons))}.")
    verdict: Verdict = "warn" if warned else "note" if noted else "clear"
    return Audit(NAME, verdict, figures=figures, advice=_advice(verdict, warned, noted, better))


def holes_of(masks: Bytes) -> npt.NDArray[np.bool_]:
    """Return which pixels of mask thumbnails are masked out: those touched, and one more around; of the same shape.

    A pixel of the thumbnail beside the mask's edge holds some of what was outlined.
    """
    around = np.ones((3, 3), np.uint8)
    touched = (masks >= _COVERED).astype(np.uint8)
    return np.array([[cv2.dilate(view, around) > 0 for view in case] for case in touched], dtype=np.bool_).reshape(
        masks.shape
    )


def background_of(pixels: Bytes, masks: Bytes) -> Floats:
    """Return the pixels beside what was outlined, ``(cases, numbers)``, NaN within."""
    return np.where(holes_of(masks), np.nan, pixels / 255).reshape(len(pixels), -1)


def outlined_of(pixels: Bytes, masks: Bytes) -> Floats:
    """Return what was outlined as features: cut out and brought to one size, its shape, size and place.

    A view in which nothing is outlined has no values (NaN).
    """
    views = []
    for view in range(pixels.shape[1]):
        rows = [_outlined(picture, mask) for picture, mask in zip(pixels[:, view], masks[:, view], strict=True)]
        views.append(np.array(rows).reshape(len(rows), -1))
    return np.concatenate(views, axis=1)


def _outlined(picture: Bytes, mask: Bytes) -> Floats:
    size = _CUT * _CUT
    inside = np.argwhere(mask >= _COVERED)
    if not len(inside):
        return np.full(2 * size + 6, np.nan)
    (top, left), (bottom, right) = inside.min(axis=0), inside.max(axis=0) + 1
    cuts = [
        cv2.resize(one[top:bottom, left:right].astype(np.float32), (_CUT, _CUT), interpolation=cv2.INTER_LINEAR)
        for one in (picture, mask)
    ]
    share = float(mask.mean()) / 255
    side = mask.shape[0]
    numbers = [share, np.sqrt(share), *((bottom - top) / side, (right - left) / side)]
    numbers += [(top + bottom) / (2 * side), (left + right) / (2 * side)]
    return np.concatenate([cuts[0].ravel() / 255, cuts[1].ravel() / 255, numbers]).astype(np.float64)


def _with_masks(
    cohort: Cohort, facts: pd.DataFrame, shown: Pictures, seed: int, jobs: int | None
) -> tuple[Pictures, Bytes, dict[str, Any]]:
    """Return the cases whose mask can be used, the thumbnails of their masks, and how many there are of each kind."""
    if cohort.images.kind == "volume":
        column = facts["mask_thumb"] if "mask_thumb" in facts.columns else pd.Series([b""] * len(facts))
        masks, known = unpacked(column.iloc[shown.rows])
        if masks.shape[1] != shown.pixels.shape[1]:
            known[:] = False
    else:
        if len(shown.rows) > MOST_MASKS:
            shown = shown.at(np.sort(np.random.default_rng(seed).permutation(len(shown.rows))[:MOST_MASKS]))
        masks, known = _read_masks(cohort, facts, shown.rows, jobs)
    inside = (masks >= _COVERED).any(axis=(1, 2, 3))
    usable = known & inside
    usable[usable] &= (~holes_of(masks[usable])).mean(axis=(1, 2, 3)) >= _LEAST_LEFT
    figures = {
        "cases_with_a_mask": int(known.sum()),
        "masks_empty_in_what_is_shown": int((known & ~inside).sum()),
        "masks_that_fill_the_picture": int((known & inside & ~usable).sum()),
        "masks_missing_or_unusable": int((~known).sum()),
    }
    places = np.flatnonzero(usable)
    return shown.at(places), masks[places], figures


def _read_masks(
    cohort: Cohort, facts: pd.DataFrame, rows: Rows, jobs: int | None
) -> tuple[Bytes, npt.NDArray[np.bool_]]:
    """Return thumbnails of the pictures' masks, and which could be read and are of the image's size."""
    references = mask_references(cohort)
    sizes = None
    if "rows" in facts.columns and "cols" in facts.columns:
        sizes = facts[["rows", "cols"]].to_numpy(dtype=np.float64, na_value=np.nan)

    def read(row: int) -> bytes:
        named = references[row][0] if references[row] else None
        if named is None:
            return b""
        try:
            inside = grey_bytes(read_image(named), (0, 1)) > 0
        except InputError:  # a mask that cannot be read leaves its case out; which is said
            return b""
        if sizes is not None and inside.shape != tuple(sizes[row]):
            return b""
        return thumbnail(inside.astype(np.uint8) * 255)

    packed = list(ordered_map(read, (int(row) for row in rows), jobs=jobs))
    known = np.array([len(one) > 0 for one in packed], dtype=np.bool_)
    masks = np.zeros((len(packed), 1, SIDE, SIDE), dtype=np.uint8)
    for place in np.flatnonzero(known):
        masks[place, 0] = np.frombuffer(packed[place], dtype=np.uint8).reshape(SIDE, SIDE)
    return masks, known


def _advice(verdict: Verdict, warned: list[str], noted: list[str], better: bool) -> str:
    """Return what was found and what to do."""
    if verdict == "clear":
        return "With what was outlined masked out the class is told no better than by chance."
    text = "; ".join(dict.fromkeys(warned or noted))
    text = f"{text[:1].upper()}{text[1:]}."
    if verdict == "note":
        return f"{text} What lies around it may change with the disease: look at what the network looks at."
    if better:
        return (
            f"{text} The class is told by what is beside the finding: markers, the scanner, how it was framed. Compare "
            "pictures of the classes, and crop to what was outlined or bring pictures from one source."
        )
    return (
        f"{text} A model needs not see the finding: either the disease shows around it, or markers, the scanner or how "
        "it was framed do. Compare pictures of the classes, look at what the network looks at, and try pictures that "
        "are cropped to what was outlined."
    )
