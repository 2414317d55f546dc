"""The label told by where and how the picture was taken, stored or written, and not by what it shows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from semeion.audit.audit import Audit, Verdict, counted
from semeion.audit.groups import drawn_groups, duplicate_groups
from semeion.audit.metadata import CONTENT, Metadata, Question, columns_of, metadata, questions
from semeion.audit.probe import FEWEST_CASES, Probe, probe
from semeion.cohort.cohort import Cohort
from semeion.cohort.problems import listed
from semeion.evidence.association import Association, associations, holm

SIGNIFICANT = 0.01
"""Adjusted p-values below are taken for more than chance."""
MATTERS = 0.6
"""AUROC of a model on metadata alone from which on it can be warned of..."""
AT_LEAST = 0.5
"""...when its whole interval lies above chance..."""
MATTERS_V = 0.3
"""...and Cramér's V, where there are too few cases for a model."""
MOST_CASES = 10_000
"""Of more cases about so many are drawn, whole groups: associations that matter show in them."""
MOST_SHUFFLES = 40_000
LISTED = 15
"""Associations that are written out, the surest first."""
_NAMES = {
    "image_rows": "the image's height",
    "image_columns": "the image's width",
    "aspect": "the image's aspect ratio",
    "how_it_was_read": "how the file is stored",
    "acquired": "the image's date",
    CONTENT: "the file's size a pixel",
}


@dataclass(frozen=True)
class _Found:
    """An association with one question, its p-value adjusted for all of them."""

    about: str
    one: Association
    adjusted: float

    @property
    def sure(self) -> bool:
        return self.adjusted < SIGNIFICANT

    @property
    def large(self) -> bool:
        return self.one.low > (MATTERS if self.one.measure == "auroc" else MATTERS_V)

    @property
    def strength(self) -> float:
        return 2 * self.one.value - 1 if self.one.measure == "auroc" else self.one.value


def site_confounding(
    cohort: Cohort, facts: pd.DataFrame, *, shuffles: int = 200, resamples: int = 1000, seed: int = 0
) -> Audit:
    """Ask whether the label can be told without looking at the picture.

    Each fact beside the picture's content (:func:`semeion.audit.metadata.metadata`) is compared with the target:
    categories by Cramér's V, numbers by AUROC, with p-values of a permutation test between patients that are adjusted
    for their number (Holm). A linear model on all of them together is weighed on patients left out. The file's size a
    pixel is compared but enters neither the model nor a warning: pictures of other structure pack otherwise.

    ``warn`` when an adjusted p-value is below 0.01 and the model's AUROC is 0.6 or more, its whole interval above 0.5
    (where there are too few cases for a model: a fact's own AUROC above 0.6, or Cramér's V above 0.3, with the whole
    interval); ``note`` for any other association with such a p-value; ``not_run`` when nothing varies, there are no
    classes or too few cases of them. Of a measured value it is asked whether it lies above its median, of several
    labels each one.

    Parameters
    ----------
    cohort, facts
        The cases and their scan, with the columns of :func:`semeion.cohort.origin.read_origins` where they are known.
    shuffles
        A permutation test may use so many times the number of comparisons, so that adjusted p-values can be small.
    resamples, seed
        Of the intervals, and where random streams begin.
    """
    asked = [question for question in questions(cohort) if _enough(question)]
    known = metadata(cohort, facts)
    figures: dict[str, Any] = {"cases": len(cohort.table), "facts_that_vary": len(known.factors)}
    reason = _cannot(cohort, asked, known)
    if reason:
        return Audit("site-confounding", "not_run", figures=figures, advice=reason + _unread(known))
    groups = duplicate_groups(cohort, facts).to_numpy()
    rows = drawn_groups(groups, MOST_CASES, seed)
    figures["cases_compared"] = int(rows.sum())
    found = _associated(asked, known, groups, rows, shuffles, resamples, seed)
    models = {question.about: _model(question, known, groups, rows, seed) for question in asked}
    for about, model in models.items():
        figures |= _model_figures(f"{about}_" if about else "", model)
    figures["associations"] = [_entry(one) for one in found[:LISTED]]
    sure = [one for one in found if one.sure]
    warned = [about for about, model in models.items() if _matters(model, [one for one in sure if one.about == about])]
    verdict: Verdict = "warn" if warned else "note" if sure else "clear"
    advice = _advice(verdict, sure, {about: models[about] for about in warned or models}, known)
    advice = advice.replace("patients left out", "cases left out") if not cohort.has_patients else advice
    if not cohort.has_patients and sure:
        advice += " Without patient ids the intervals may be too narrow."
    return Audit("site-confounding", verdict, figures=figures, advice=advice + _unread(known))


def _enough(question: Question) -> bool:
    """Tell whether two classes have cases enough to be compared."""
    counts = np.sort(np.bincount(question.y[question.known], minlength=2))
    return bool(counts[-2] >= FEWEST_CASES)


def _cannot(cohort: Cohort, asked: Sequence[Question], known: Metadata) -> str:
    """Return why there is nothing to compare, or nothing."""
    if not cohort.target.columns:
        return "Masks have no class that could be told without the picture."
    if not known.factors:
        return (
            "Nothing beside the pictures' content is known to vary: no site, scanner or date is given, and size and "
            "type are those of every image. Bring such columns if there are any."
        )
    if not asked:
        return f"No two classes have {FEWEST_CASES} cases, which are needed to compare them with anything."
    return ""


def _associated(
    asked: Sequence[Question],
    known: Metadata,
    groups: npt.NDArray[np.int64],
    rows: npt.NDArray[np.bool_],
    shuffles: int,
    resamples: int,
    seed: int,
) -> list[_Found]:
    """Return every association, the surest first."""
    most = min(max(1999, shuffles * len(asked) * len(known.factors) - 1), MOST_SHUFFLES)
    tried: list[tuple[str, Association]] = []
    for question in asked:
        used = rows & question.known
        factors = [factor.at(used) for factor in known.factors]
        ones = associations(factors, question.y[used], groups[used], permutations=most, resamples=resamples, seed=seed)
        tried += [(question.about, one) for one in ones if np.isfinite(one.value) and np.isfinite(one.p)]
    adjusted = holm([one.p for _, one in tried])
    found = [_Found(about, one, float(p)) for (about, one), p in zip(tried, adjusted, strict=True)]
    return sorted(found, key=lambda one: (one.adjusted, -one.strength))


def _model(
    question: Question, known: Metadata, groups: npt.NDArray[np.int64], rows: npt.NDArray[np.bool_], seed: int
) -> Probe | None:
    """Return what a linear model on all metadata tells of patients left out; None without any but the file's size."""
    factors = tuple(factor for factor in known.factors if factor.name != CONTENT)
    if not factors:
        return None
    used = rows & question.known
    return probe(columns_of(factors)[used], question.y[used], groups[used], seed=seed)


def _matters(model: Probe | None, sure: Sequence[_Found]) -> bool:
    """Tell whether what is surely associated with a question is large enough to be warned of."""
    telling = [one for one in sure if one.one.name != CONTENT]
    if not telling:
        return False
    if model is not None and model.usable:
        return model.auroc >= MATTERS and model.low > AT_LEAST
    return any(one.large for one in telling)


def _model_figures(prefix: str, model: Probe | None) -> dict[str, Any]:
    if model is None or not model.usable:
        why = "only the file's size varies" if model is None else model.reason
        return {f"{prefix}model_auroc": None, f"{prefix}model_reason": why}
    values = {"model_auroc": model.auroc, "model_auroc_low": model.low, "model_auroc_high": model.high}
    return {f"{prefix}{name}": round(value, 4) if np.isfinite(value) else None for name, value in values.items()}


def _entry(found: _Found) -> dict[str, Any]:
    one = found.one
    entry: dict[str, Any] = {"label": found.about} if found.about else {}
    numbers = {"value": one.value, "low": one.low, "high": one.high, "p": one.p, "p_adjusted": found.adjusted}
    rounded = {name: round(value, 6) if np.isfinite(value) else None for name, value in numbers.items()}
    return entry | {"fact": one.name, "measure": one.measure, **rounded}


def _advice(verdict: Verdict, sure: Sequence[_Found], models: dict[str, Probe | None], known: Metadata) -> str:
    """Return what was found and what to do."""
    number = counted(len(known.factors), "fact", "facts")
    if verdict == "clear":
        return f"None of {number} beside the pictures' content (size, type, site, scanner, date) goes with the label."
    told = listed(_told(one) for one in sure[:4])
    usable = {about: model for about, model in models.items() if model is not None and model.usable}
    best = max(usable, key=lambda about: usable[about].low, default=None)
    reached = ""
    if best is not None:
        model = usable[best]
        reached = (
            f" A model on them alone{f' tells {best!r}' if best else ''} with an AUROC of {model.auroc:.2f} (95 % "
            f"interval {model.low:.2f} to {model.high:.2f}) on patients left out."
        )
    if verdict == "warn":
        return (
            f"The label can be told without looking at what the picture shows: it goes with {told}.{reached} A network "
            "may learn this instead of the disease. Balance the classes over sites, scanners and ways of storing, "
            "bring all images to one size and type, and read the figures of each site."
        )
    if all(one.one.name == CONTENT for one in sure):
        return f"The label goes with {told}: that follows what the pictures show, but also how they are stored."
    return (
        f"The label goes with {told}, more than chance explains but too little to make a diagnosis.{reached} Read the "
        "figures of each site or scanner beside those of all."
    )


def _told(found: _Found) -> str:
    """Return one association as a person reads it."""
    one = found.one
    size = f"AUROC {one.value:.2f}" if one.measure == "auroc" else f"Cramér's V {one.value:.2f}"
    about = f"{found.about!r} with " if found.about else ""
    return f"{about}{_NAMES.get(one.name, one.name.replace('_', ' '))} ({size})"


def _unread(known: Metadata) -> str:
    return f" Not compared: {'; '.join(known.unread)}." if known.unread else ""
