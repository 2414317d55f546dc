"""The answer in the margins: markers, text, collimation."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from semeion.audit.audit import Audit, Verdict
from semeion.audit.marks import Mark, find_marks
from semeion.audit.metadata import Question, questions
from semeion.audit.probe import Floats, Probe, difference, probe
from semeion.audit.regions import (
    MOST_QUESTIONS,
    Interval,
    Pictures,
    cases_of,
    class_difference,
    pictures,
    probe_figures,
    spoken,
    whole,
)
from semeion.cohort.cohort import Cohort
from semeion.cohort.problems import listed
from semeion.prepare.levels import Bytes

NAME = "border-shortcut"
MARGIN = 0.125
"""Width of the border, a share of the side."""
MATTERS = 0.6
"""AUROC of the border alone above which, with its whole interval, it can be warned of."""
MORE = 0.02
"""By so much, with its whole interval, the border must tell more than the centre..."""
MUCH_MORE = 0.1
"""...or by so much where it is clearly worse than the whole picture..."""
MORE_OF_ONE = 0.05
"""...and by so much for one class of several, since there are several to find it in by chance."""
ENOUGH = 0.95
"""AUROC of the border above which, with its whole interval, it alone is an answer."""
ALONE = 0.7
"""AUROC of the black border or of the burned-in text, measured by the scan, above which it is warned of."""
_DEFECTS = {"border_fraction": "black border", "text_fraction": "burned-in text"}
_VIEW_SIDE = 16
"""Side of each view of a volume in the probes: three views have three times the pixels."""
_SIDES = {0: ("top", "left"), 1: ("bottom", "right")}
_VIEWS = ("axial slice", "coronal slice", "sagittal slice")


def border_shortcut(cohort: Cohort, facts: pd.DataFrame, *, seed: int = 0) -> Audit:
    """Ask whether the border of the picture tells the class, and whether one class bears a mark.

    Linear probes (:func:`semeion.audit.probe.probe`), on training and validation cases alone and weighed on patients
    left out, see thumbnails of 32 x 32 pixels (of a volume the three middle slices at 16 x 16): the whole, the border
    (an eighth of the side; the centre masked), the centre, the four corners, and the whole at 8 x 8. Marks are looked
    for as :mod:`semeion.audit.marks` says.

    ``warn`` when

    - the AUROC of the border, or of the corners, lies above 0.6 and it tells clearly more than the centre: by more than
      0.02 where it is not clearly worse than the whole, by more than 0.1 where it is; for one class of several against
      the rest (the border alone) by more than 0.05 instead of 0.02. That the border is as good as the whole is not
      enough: in tight crops anatomy reaches the border, and a linear model on a whole ultrasound is hardly better than
      on its rim. But where the lesion lies, the centre should tell as much as the rim.
    - the border's AUROC lies above 0.95 and it is not clearly worse than the whole: it is an answer of its own.
    - the share of the picture that is black border, or burned-in text, as the scan measures them, tells the class with
      an AUROC above 0.7.
    - a mark is found.

    Each is judged by the whole 95 % interval.

    ``note`` when the border alone, or one of these shares, is better than chance; ``not_run`` without classes or with
    too few cases.

    Parameters
    ----------
    cohort, facts
        The cases and their scan.
    seed
        Where random streams begin.
    """
    shown = pictures(cohort, facts, seed)
    if isinstance(shown, str):
        return Audit(NAME, "not_run", advice=f"Not looked at: {shown}.")
    figures: dict[str, Any] = {"cases": len(shown.rows), "border": MARGIN}
    warned, noted, reasons, cases = [], [], [], []
    looked = 0
    for question in questions(cohort)[:MOST_QUESTIONS]:
        about = f"{question.about!r}: " if question.about else ""
        prefix = f"{question.about}_" if question.about else ""
        places, y, reason = cases_of(question, shown)
        if reason:
            reasons.append(f"{about}{reason}")
            continue
        looked += 1
        part = shown.at(places)
        found = _probed(part, y, seed)
        figures |= {f"{prefix}cases": len(y)} | probe_figures(prefix, found[0], found[1])
        why, better = _judged(*found, y, part.groups, cohort.target.classes if not question.about else ())
        warned += [f"{about}{one}" for one in why]
        noted += [f"{about}{better}"] if better else []
        for name, one in _defects(facts, part, y, seed).items():
            figures |= probe_figures(prefix, {name: one}, {})
            told = f"{about}how much of it is {_DEFECTS[name]} tells the class with an AUROC of {spoken(whole(one))}"
            (warned if one.low > ALONE else noted if one.low > 0.5 else []).append(told)
        for mark in find_marks(part.pixels, y, part.groups, seed):
            name = _class_name(question, mark.code, cohort)
            told = _told(mark, name, part.pixels.shape)
            warned.append(told)
            figures.setdefault("marks", []).append(told)
            bearers = cohort.table["case_id"].astype(str).to_numpy(dtype=object)[part.rows[mark.bearers]]
            cases.append(tuple(str(one) for one in bearers))
    if not looked:
        return Audit(NAME, "not_run", figures=figures, advice=f"Not looked at: {listed(dict.fromkeys(reasons))}.")
    figures["marks_found"] = len(cases)
    verdict: Verdict = "warn" if warned else "note" if noted else "clear"
    return Audit(NAME, verdict, figures=figures, cases=tuple(cases), advice=_advice(verdict, warned, noted))


def border_of(side: int) -> npt.NDArray[np.bool_]:
    """Return which pixels of a square of `side` pixels are its border."""
    width = max(1, round(MARGIN * side))
    inside = np.zeros((side, side), dtype=np.bool_)
    inside[width : side - width, width : side - width] = True
    return ~inside


def parts_of(pixels: Bytes) -> dict[str, Floats]:
    """Return the features of each part of thumbnails ``(cases, views, side, side)``, ``(cases, numbers)`` each."""
    values = pixels.astype(np.float64) / 255
    if values.shape[1] > 1:
        values = _reduced(values, _VIEW_SIDE)
    n, _, side, _ = values.shape
    border = border_of(side)
    corner = np.zeros(side, dtype=np.bool_)
    corner[: side // 4] = corner[-(side // 4) :] = True
    return {
        "whole": values.reshape(n, -1),
        "border": values[:, :, border].reshape(n, -1),
        "centre": values[:, :, ~border].reshape(n, -1),
        "corners": values[:, :, np.outer(corner, corner)].reshape(n, -1),
        "low_pass": _reduced(values, 8).reshape(n, -1),
    }


def _reduced(values: Floats, side: int) -> Floats:
    """Return pictures at `side` x `side` pixels, areas averaged."""
    n, views, rows, cols = values.shape
    return np.asarray(values.reshape(n, views, side, rows // side, side, cols // side).mean(axis=(3, 5)))


def _probed(part: Pictures, y: npt.NDArray[np.int64], seed: int) -> tuple[dict[str, Probe], dict[str, Interval]]:
    """Return the probe of each part, and how the border compares."""
    probes = {name: probe(values, y, part.groups, seed=seed) for name, values in parts_of(part.pixels).items()}
    beside = {
        f"{rim}_less_{name}": difference(probes[rim], probes[name], y, part.groups)
        for rim in ("border", "corners")
        for name in ("whole", "centre")
    }
    return probes, beside


def _defects(facts: pd.DataFrame, part: Pictures, y: npt.NDArray[np.int64], seed: int) -> dict[str, Probe]:
    """Return the probe of each defect that the scan measures and that varies."""
    found = {}
    for name in _DEFECTS:
        if name in facts.columns:
            share = facts[name].to_numpy(dtype=np.float64)[part.rows]
            if np.nanmax(share, initial=0) > np.nanmin(share, initial=0):
                found[name] = probe(np.column_stack([share > 0.01, np.sqrt(share)]), y, part.groups, seed=seed)
    return found


def _judged(
    probes: dict[str, Probe],
    beside: dict[str, Interval],
    y: npt.NDArray[np.int64],
    groups: npt.NDArray[np.int64],
    names: tuple[str, ...],
) -> tuple[list[str], str]:
    """Return what to warn of, and what to note."""
    border = probes["border"]
    told = {
        name: f"{words} alone tells the class with an AUROC of {spoken(whole(probes[name]))}"
        for name, words in (("border", "the border"), ("corners", "what is in the corners"))
    }
    compared = f", the whole picture with {probes['whole'].auroc:.2f}, the centre with {probes['centre'].auroc:.2f}"
    warned = []
    for name in ("border", "corners"):
        as_good, more = beside[f"{name}_less_whole"][2] >= 0, beside[f"{name}_less_centre"][1]
        shortcut = probes[name].low > MATTERS and more > (MORE if as_good else MUCH_MORE)
        if shortcut or (name == "border" and as_good and border.low > ENOUGH):
            warned.append(told[name] + compared)
    if not warned and len(np.unique(y)) > 2:
        for code in (int(one) for one in np.unique(y)):
            to_whole = class_difference(border, probes["whole"], y, groups, code)
            to_centre = class_difference(border, probes["centre"], y, groups, code)
            above_chance = class_difference(border, None, y, groups, code)[1]
            least = MORE_OF_ONE if to_whole[2] >= 0 else MUCH_MORE
            if above_chance > MATTERS - 0.5 and to_centre[1] > least:
                name = repr(names[code]) if code < len(names) else str(code)
                warned.append(
                    f"the border tells {name} from the rest better than the centre, by an AUROC of {spoken(to_centre)}"
                )
    return warned, told["border"] + compared if border.low > 0.5 and not warned else ""


def _class_name(question: Question, code: int, cohort: Cohort) -> str:
    """Return how a class is called."""
    if question.about:
        return repr(question.about) if code else f"absence of {question.about!r}"
    classes = cohort.target.classes
    return repr(classes[code]) if code < len(classes) else str(code)


def _told(mark: Mark, name: str, shape: tuple[int, ...]) -> str:
    """Return a mark as a person reads it."""
    side = shape[2]
    vertical = _SIDES[int(mark.row >= side / 2)][0]
    horizontal = _SIDES[int(mark.col >= side / 2)][1]
    where = (
        f"{100 * (mark.row + 0.5) / side:.0f} % from the top and {100 * (mark.col + 0.5) / side:.0f} % from the left"
    )
    view = f" of the {_VIEWS[mark.view]}" if shape[1] == len(_VIEWS) else ""
    return (
        f"{100 * mark.share:.0f} % of {name} bear the same {'bright' if mark.bright else 'dark'} mark at the "
        f"{vertical} {horizontal}{view} ({where}), and {100 * mark.elsewhere:.1f} % of the others"
    )


def _advice(verdict: Verdict, warned: list[str], noted: list[str]) -> str:
    """Return what was found and what to do."""
    if verdict == "clear":
        return "The border alone tells no class, and no class bears a mark."
    text = "; ".join(dict.fromkeys(warned or noted))
    text = f"{text[:1].upper()}{text[1:]}."
    if verdict == "note":
        return f"{text} In tight crops that may be anatomy: look at what the network looks at."
    return (
        f"{text} A network may learn markers, text or collimation instead of the disease: look at such pictures side "
        "by side, crop or mask their margins in all classes alike, or bring pictures without."
    )
