"""How good the reference standard is: do those who made it agree?"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from semeion.audit.audit import Audit, Verdict
from semeion.audit.columns import tokens
from semeion.cohort.cohort import Cohort
from semeion.cohort.words import is_missing, presence
from semeion.evidence.raters import Kind, Statistic, agreement_of, majority, pairs, weigh_agreement

FEWEST_CASES = 10
"""With fewer cases read twice nothing can be said of agreement."""
LIMITS = {"kappa": (0.6, 0.4), "icc": (0.75, 0.5)}
"""Agreement below the first is noted, below the second warned of; kappa and alpha also when their whole interval lies
below the first, where agreement is inadequate (McHugh, Biochem Med 22:276, 2012). Kappa and alpha: "substantial" begins
above 0.6, "moderate" above 0.4 (Landis and Koch, Biometrics 33:159, 1977); ICC: "good" from 0.75, "moderate" from 0.5
(Koo and Li, J Chiropr Med 15:155, 2016)."""
MOST_PAIRS = 15
"""Pairs of readers whose agreement is written out, the worst first."""
READERS = frozenset(
    (
        *("rater", "reader", "annotator", "observer", "grader", "reviewer", "radiologist", "pathologist", "expert"),
        *("physician", "clinician", "doctor", "specialist", "assessor", "labeler", "labeller"),
    )
)
"""Words that make a column one reader's own."""
_SHORT = re.compile(r"r|rad|obs|ann")
"""Short for a reader, when a number follows."""


@dataclass(frozen=True)
class _Readings:
    """What several readers said of one question: values are ``(cases, readers)``, the truth is the target's."""

    about: str
    columns: tuple[str, ...]
    values: npt.NDArray[np.float64]
    kind: Kind
    truth: npt.NDArray[np.float64]
    unknown: int


def reader_columns(cohort: Cohort) -> dict[str, tuple[str, ...]]:
    """Return the columns of single readers for each question (the target, or each label of a multi-label target).

    A column is one reader's when its name is that of the question with a reader's word before or after it
    (``finding_rater1``, ``reader_2_finding``, ``finding_radiologist_a``), with a short one and a number
    (``finding_r1``), or, where there is one question alone, is a reader's word and a number or letter (``rater1``,
    ``reader_b``). Columns that the user named as raters always are. Two such columns make an audit. A target that is a
    reader's column itself counts as one; covariates, being inputs, never do.
    """
    questions = cohort.target.classes if cohort.target.task == "multilabel" else (cohort.target.name,)
    found: dict[str, list[str]] = {name: [] for name in questions}
    for column in cohort.unused:
        if column not in cohort.table.columns:
            continue
        words = tokens(column)
        homes = [name for name in questions if _reader_of(words, tokens(name))]
        if homes:
            # The longest question: "mass benign" is no reader of "mass".
            found[max(homes, key=lambda name: len(tokens(name)))].append(column)
        elif len(questions) == 1 and _is_reader(words, alone=True):
            found[questions[0]].append(column)
    target = cohort.target.name
    if len(questions) == 1:
        found[questions[0]] += [name for name in cohort.raters if name != target]
    if len(questions) == 1 and _is_reader(tokens(target), alone=True) and target in cohort.table.columns:
        found[questions[0]].insert(0, target)
    return {name: tuple(columns) for name, columns in found.items() if len(columns) > 1}


def rater_agreement(cohort: Cohort, *, resamples: int = 1000, seed: int = 0) -> Audit:
    """Measure how well several readers agree, and how often the target is what most of them said.

    Which columns are readers: :func:`reader_columns`. Which measure: :func:`semeion.evidence.raters.agreement_of`.
    The verdict follows the question that is agreed on least (:data:`LIMITS`).
    """
    columns = reader_columns(cohort)
    if not columns or cohort.target.task == "segmentation":
        return Audit(
            "rater-agreement",
            "not_run",
            advice="No columns of several readers were found, so how good the reference standard is stays unknown. "
            f"Bring each reader's answer in a column of its own, for example {cohort.target.name}_rater1 and "
            f"{cohort.target.name}_rater2.",
        )
    figures: dict[str, Any] = {}
    ids = cohort.table["case_id"].astype(str).to_numpy()
    said, verdicts = [], []
    apart = np.zeros(len(ids))
    for about, names in columns.items():
        readings = _readings(cohort, about, names)
        key = f"{about}_" if len(columns) > 1 or cohort.target.task == "multilabel" else ""
        found, sentence, verdict = _weighed(readings, cohort, resamples, seed)
        figures |= {f"{key}{name}": value for name, value in found.items()}
        verdicts.append(verdict)
        said.append((f"{about}: " if key else "") + sentence)
        apart = np.maximum(apart, _spread(readings))
    order = np.argsort(-apart, kind="stable")
    cases = tuple(str(ids[row]) for row in order if apart[row] > 0)
    figures["cases_with_different_readings"] = len(cases)
    ranked: tuple[Verdict, ...] = ("warn", "note", "not_run", "clear")
    verdict = next(one for one in ranked if one in verdicts)
    todo = {
        "warn": " A model cannot be shown to be better than its reference standard: have these cases read again, by "
        "consensus or by a further reader, before it is trained or tested.",
        "note": " Settle the cases on which readers differ, by consensus or a further reader, at least those of the "
        "test set.",
    }
    return Audit(
        "rater-agreement", verdict, figures=figures, cases=cases, advice=" ".join(said) + todo.get(verdict, "")
    )


def _weighed(readings: _Readings, cohort: Cohort, resamples: int, seed: int) -> tuple[dict[str, Any], str, Verdict]:
    """Return the figures of one question, a sentence and the verdict."""
    patients = cohort.table["patient_id"].astype(str).to_numpy()
    whole = weigh_agreement(agreement_of(readings.values, readings.kind), patients, resamples=resamples, seed=seed)
    figures: dict[str, Any] = {"readers": len(readings.columns), "agreement": whole}
    if readings.unknown:
        figures["readings_not_understood"] = readings.unknown
    table = [
        {"readers": [readings.columns[a], readings.columns[b]], **_pair(readings, a, b, statistic)}
        for a, b, statistic in pairs(readings.values, readings.kind)
    ]
    table.sort(key=lambda row: np.inf if row["value"] is None else row["value"])
    figures["pairs"] = table[:MOST_PAIRS]
    figures |= _against_truth(readings)
    if whole["value"] is None or whole["n"] < FEWEST_CASES:
        why = whole.get("reason") if whole["value"] is None else f"only {whole['n']} cases were read by several"
        return figures, f"The readers' agreement is not known: {why}.", "not_run"
    note, warn = LIMITS["icc" if readings.kind == "measured" else "kappa"]
    value = whole["value"]
    surely = readings.kind != "measured" and whole["high"] is not None and whole["high"] < note
    verdict: Verdict = "warn" if value < warn or surely else "note" if value < note else "clear"
    how = "poorly" if value < warn else "moderately" if value < note else "well"
    span = f" (95 % interval {whole['low']:.2f} to {whole['high']:.2f})" if whole["low"] is not None else ""
    sentence = (
        f"{len(readings.columns)} readers agree {how} on {whole['n']} cases: {_NAMES[whole['measure']]} "
        f"{value:.2f}{span}."
    )
    share = figures.get("target_is_majority_share")
    if share is not None:
        sentence += f" The target is what most readers said in {100 * share:.0f} % of the cases that have a majority."
    return figures, sentence, verdict


_NAMES = {
    "kappa": "Cohen's kappa",
    "kappa_quadratic": "quadratic kappa",
    "kappa_fleiss": "Fleiss' kappa",
    "alpha": "Krippendorff's alpha",
    "alpha_squared": "Krippendorff's alpha with squared differences",
    "icc_2_1": "ICC(2,1)",
}


def _pair(readings: _Readings, a: int, b: int, statistic: Statistic) -> dict[str, Any]:
    """Return the agreement of two readers, and how often they say the same or how far apart they are."""
    value = statistic.value
    row: dict[str, Any] = {"measure": statistic.name, "value": value if np.isfinite(value) else None}
    one, two = readings.values[statistic.rows, a], readings.values[statistic.rows, b]
    row["n"] = len(one)
    if readings.kind == "measured":
        row["mean_difference"] = float(np.mean(one - two)) if len(one) else None
    else:
        row["same"] = float(np.mean(one == two)) if len(one) else None
    return row


def _against_truth(readings: _Readings) -> dict[str, Any]:
    """Return how the target compares with what most readers said."""
    if readings.kind == "measured":
        several = np.isfinite(readings.values).sum(axis=1) >= 2
        several &= np.isfinite(readings.truth)
        if not several.any():
            return {}
        mean = np.nanmean(readings.values[several], axis=1)
        return {"target_less_mean_reading": float(np.mean(readings.truth[several] - mean))}
    most = majority(readings.values)
    several = np.isfinite(readings.values).sum(axis=1) >= 2
    tied = int((several & ~np.isfinite(most)).sum())
    both = several & np.isfinite(most) & np.isfinite(readings.truth)
    same = int((most[both] == readings.truth[both]).sum())
    return {
        "cases_with_a_majority": int(both.sum()),
        "cases_without_a_majority": tied,
        "target_is_majority": same,
        "target_is_majority_share": same / int(both.sum()) if both.any() else None,
    }


def _spread(readings: _Readings) -> npt.NDArray[np.float64]:
    """Return how far apart the readings of each case are: the share of readers that differ from most, or the range."""
    x = readings.values
    out = np.zeros(len(x))
    for row in np.flatnonzero(np.isfinite(x).sum(axis=1) >= 2):
        known = x[row][np.isfinite(x[row])]
        if readings.kind == "nominal":
            out[row] = 1 - np.bincount(known.astype(np.int64)).max() / len(known)
        else:
            out[row] = known.max() - known.min()
    return out


def _readings(cohort: Cohort, about: str, columns: tuple[str, ...]) -> _Readings:
    """Return readings as class numbers, grades or values, in the target's own coding."""
    task, table = cohort.target.task, cohort.table
    if task == "regression":
        return _measurements(cohort, about, columns)
    if task == "multilabel":
        truth, n_classes = table[f"y.{about}"].to_numpy(dtype=np.float64), 2
        codes: dict[str, float] = {"absent": 0.0, "present": 1.0}
    else:
        truth, n_classes = table["y"].to_numpy(dtype=np.float64), len(cohort.target.classes)
        codes = {_plain(name): float(number) for number, name in enumerate(cohort.target.classes)}
        if cohort.target.name in table.columns:  # as the table writes the classes, where they were renamed
            written = zip(table[cohort.target.name].map(_plain), truth, strict=True)
            codes |= {text: float(y) for text, y in written if not is_missing(text) and np.isfinite(y)}
    binary = task in ("binary", "multilabel")
    foreign: dict[str, float] = {}
    values = np.full((len(table), len(columns)), np.nan)
    unknown = 0
    for place, column in enumerate(columns):
        for row, text in enumerate(table[column].map(_plain)):
            if is_missing(text):
                continue
            if text in codes:
                values[row, place] = codes[text]
            elif binary and (said := presence(text)) is not None:
                values[row, place] = codes[text] = _meant(said, cohort)
            else:
                unknown += 1
                # An answer that is no class ("unsure") is one of its own, but has no place among grades.
                if task != "ordinal":
                    values[row, place] = foreign.setdefault(text, float(n_classes + len(foreign)))
    return _Readings(about, columns, values, "ordinal" if task == "ordinal" else "nominal", truth, unknown)


def class_readings(cohort: Cohort, columns: tuple[str, ...]) -> npt.NDArray[np.float64]:
    """Return what readers said as class numbers ``(cases, readers)``: NaN where one did not read.

    Answers that are no class of the target have numbers of their own, from the number of classes on.
    """
    target = cohort.target
    asked = replace(target, task="multiclass") if target.task == "ordinal" else target
    return _readings(replace(cohort, target=asked), target.name, columns).values


def _measurements(cohort: Cohort, about: str, columns: tuple[str, ...]) -> _Readings:
    """Return measured readings."""
    texts = [cohort.table[name].map(_plain) for name in columns]
    numbers = [pd.to_numeric(text, errors="coerce").to_numpy(dtype=np.float64) for text in texts]
    values = np.column_stack([np.where(np.isfinite(one), one, np.nan) for one in numbers])
    given = np.column_stack([~text.map(is_missing).to_numpy(dtype=np.bool_) for text in texts])
    unknown = int((given & np.isnan(values)).sum())
    return _Readings(about, columns, values, "measured", cohort.table["y"].to_numpy(dtype=np.float64), unknown)


def _meant(said: float, cohort: Cohort) -> float:
    """Return the class number of a yes or a no: a yes is the positive class."""
    if cohort.target.task == "multilabel" or cohort.target.positive is None:
        return said
    positive = cohort.target.classes.index(cohort.target.positive)
    return float(positive if said else 1 - positive)


def _plain(value: object) -> str:
    """Return a reading as lower-case text; 1 and 1.0 are the same, what is missing is empty."""
    if isinstance(value, (bool, np.bool_)):
        return str(bool(value)).lower()
    if isinstance(value, (int, float, np.integer, np.floating)):
        return f"{float(value):.15g}" if np.isfinite(value) else ""
    return value.strip().casefold() if isinstance(value, str) else ""


def _reader_of(words: list[str], question: list[str]) -> bool:
    """Tell whether a column's words are those of a question with a reader's before or after them."""
    n = len(question)
    if not question or len(words) <= n:
        return False
    return (words[:n] == question and _is_reader(words[n:])) or (words[-n:] == question and _is_reader(words[:-n]))


def _is_reader(words: list[str], *, alone: bool = False) -> bool:
    """Tell whether words name a reader; `alone`, without a question, a number or a letter must follow."""
    if not words:
        return False
    numbered = len(words) == 2 and (words[1].isdigit() or len(words[1]) == 1)
    if words[0] in READERS:
        return numbered if alone else len(words) <= 3
    return not alone and numbered and words[1].isdigit() and _SHORT.fullmatch(words[0]) is not None
