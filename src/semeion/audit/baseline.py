"""Whether the model is better than what is trivial: the prevalence, covariates, or the classic small network."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pandas as pd

from semeion.audit.audit import Audit, Verdict
from semeion.audit.judged import Floats, Judged
from semeion.audit.probe import probe
from semeion.evidence.intervals.bootstrap import case_weights, interval, resample
from semeion.evidence.ranking import areas

NAME = "trivial-baseline"
RESAMPLES = 1000
CLASSIC_NAME = "the classic small network"
NOT_COMPARED = "not compared"
MOST_LEVELS = 12
"""A text column of more levels is a name, and no covariate."""


def trivial_baseline(judged: Judged) -> Audit:
    """Compare the model with the class balance, a linear model of age, sex and what else is known, and the classic
    small network.

    *Prevalence*: the Brier skill, one less the Brier score over that of always saying the share of each class among
    these cases, and the AUROC against 0.5. *Covariates*: a ridge classifier on the patients' covariates, out of fold
    over these very cases, by patient; its AUROC is compared on the same draws of patients. For a measured value, R2.
    *Classic network*: the AUROC (R2) of both on the same draws of patients.

    The first two need no image, so a model that is not shown to be better than they is warned of. The classic network
    sees the images, and to equal it is no fault where the task is easy: that is a note, and only a model that is shown
    to be worse is warned of.
    """
    if judged.question.task == "regression":
        return _regression(judged)
    if len(np.unique(judged.y)) < 2:
        return Audit(NAME, "not_run", "train", advice="Only one class is among the cases: there is nothing to compare.")
    figures: dict[str, Any] = {"cases": len(judged.y)}
    skill, auroc = _skill(judged), _auroc(judged)
    figures |= _named("brier_skill", _spread(skill, judged)) | _named("auroc", _spread(auroc, judged))
    problems = []
    if not figures["auroc_low"] > 0.5:
        problems.append(f"the AUROC's interval reaches down to {figures['auroc_low']:.3f}: no better than chance")
    if not figures["brier_skill_low"] > 0:
        problems.append("its probabilities are not shown to be better than the share of each class")
    features = covariate_features(judged.columns, judged.covariates)
    figures["covariates"] = ", ".join(features[0]) if features else ""
    compared = ["the class balance"]
    if features:
        names, values = features
        found = probe(values, judged.y, judged.cases.patient, seed=judged.seed)
        if found.usable:
            figures |= {"covariates_auroc": found.auroc, "covariates_low": found.low, "covariates_high": found.high}
            other = _macro([(judged.y == code, found.scores[:, code]) for code in _codes(judged)])

            def gain(weights: Floats) -> Floats:
                return np.asarray(auroc(weights) - other(weights))

            figures |= _named("gain_over_covariates", _spread(gain, judged))
            compared += names
            if not figures["gain_over_covariates_low"] > 0:
                problems.append(
                    f"it is not shown to tell more than {' and '.join(names)} (AUROC {found.auroc:.3f}; the model's "
                    f"is {figures['gain_over_covariates']:+.3f}, interval from "
                    f"{figures['gain_over_covariates_low']:+.3f})"
                )
        else:
            figures["covariates_reason"] = found.reason
    classic = _classic(judged)
    if classic is None:
        figures["classic_network"] = NOT_COMPARED
    else:
        other = _macro([(judged.y == code, classic[:, code]) for code in _codes(judged)])
        figures |= _against_classic("auroc", auroc, other, judged)
    if problems:
        text = "; ".join(problems)
        advice = (
            f"{text[0].upper()}{text[1:]}. The images have not been shown to add anything: bring more cases, or doubt "
            "that they hold the answer."
        )
        return Audit(NAME, "warn", "train", figures, (), advice)
    verdict, advice = _beside_classic("AUROC", "auroc", figures, compared)
    return Audit(NAME, verdict, "train", figures, (), advice)


def _classic(judged: Judged) -> Floats | None:
    """Return what the classic network says of the judged cases, in their order; None where it did not see them all."""
    if judged.classic is None:
        return None
    place = {case: row for row, case in enumerate(judged.classic.case_id.tolist())}
    rows = [place.get(case, -1) for case in judged.ids.tolist()]
    return None if -1 in rows else np.asarray(judged.classic.p[rows], dtype=np.float64)


def _against_classic(
    name: str, own: Callable[[Floats], Floats], other: Callable[[Floats], Floats], judged: Judged
) -> dict[str, Any]:
    """Return the figure of the classic network, and how much more the model has on the same draws of patients."""
    gain = _spread(lambda weights: np.asarray(own(weights) - other(weights)), judged)
    told = _named(f"classic_{name}", _spread(other, judged)) | _named("gain_over_classic", gain)
    return {"classic_network": "compared", **told}


def _beside_classic(title: str, name: str, figures: dict[str, Any], compared: list[str]) -> tuple[Verdict, str]:
    """Return the verdict on a model that is better than all that was `compared`, and what to do."""
    better = f"The model is better than {_listed(compared)}"
    if "gain_over_classic" not in figures:
        return "clear", f"{better}."
    gain, low, high = (figures[f"gain_over_classic{end}"] for end in ("", "_low", "_high"))
    if low > 0:
        return "clear", f"The model is better than {_listed([*compared, CLASSIC_NAME])}."
    told = f"({title} {figures[f'classic_{name}']:.3f}; the model's is {figures[name]:.3f}, a difference of "
    told += f"{gain:+.3f}, interval {low:+.3f} to {high:+.3f})"
    if high < 0:
        return "warn", (
            f"{better}, but {CLASSIC_NAME} is better than the model {told}: what was planned does not suit these "
            "cases. Train with a larger budget or another seed before the model is used."
        )
    return "note", (
        f"{better}, but not shown to be better than {CLASSIC_NAME} {told}: either the task is easy enough for it, or "
        "there are too few cases to tell them apart."
    )


def _listed(names: list[str]) -> str:
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)


def covariate_features(columns: pd.DataFrame, names: tuple[str, ...]) -> tuple[list[str], Floats] | None:
    """Return the names and values ``(cases, features)`` of covariates: numbers as they are, few levels one-hot.

    Columns that vary not, or are names (text of many levels), are left out; None when nothing is left.
    """
    used: list[str] = []
    parts: list[Floats] = []
    for name in names:
        if name not in columns:
            continue
        column = columns[name]
        numbers = pd.to_numeric(column, errors="coerce").to_numpy(dtype=np.float64)
        if column.notna().any() and np.isfinite(numbers)[column.notna().to_numpy()].all():
            if len(np.unique(numbers[np.isfinite(numbers)])) > 1:
                used.append(str(name))
                parts.append(numbers[:, None])
            continue
        codes, levels = pd.factorize(column.astype("str").where(column.notna()))
        if 1 < len(levels) <= MOST_LEVELS:
            used.append(str(name))
            parts.append((codes[:, None] == np.arange(len(levels))).astype(np.float64))
    return (used, np.concatenate(parts, axis=1)) if used else None


def _codes(judged: Judged) -> list[int]:
    if judged.question.task == "binary":
        return [judged.question.positive_index]
    return [int(code) for code in np.unique(judged.y)]


def _auroc(judged: Judged) -> Callable[[Floats], Floats]:
    return _macro(judged.scores())


def _macro(scores: list[tuple[Any, Floats]]) -> Callable[[Floats], Floats]:
    ranks = [areas(truth, score) for truth, score in scores]
    return lambda weights: np.asarray(np.mean([rank(weights)[:, 0] for rank in ranks], axis=0))


def _skill(judged: Judged) -> Callable[[Floats], Floats]:
    """Return weights to Brier skill: against the share of each class under the same weights."""
    hot = (judged.y[:, None] == np.arange(judged.cases.p.shape[1])).astype(np.float64)
    squares = ((judged.cases.p - hot) ** 2).sum(axis=1)

    def compute(weights: Floats) -> Floats:
        total = weights.sum(axis=1)
        shares = weights @ hot / total[:, None]
        trivial = 1 - (shares**2).sum(axis=1)
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.asarray(np.where(trivial > 0, 1 - (weights @ squares / total) / trivial, np.nan))

    return compute


def _spread(compute: Callable[[Floats], Floats], judged: Judged) -> tuple[float, float, float]:
    """Return a figure with its 95 % interval over patients."""
    codes, patients = pd.factorize(judged.cases.patient)
    n, patient = len(patients), np.asarray(codes, dtype=np.int64)
    value = float(compute(np.ones((1, len(patient))))[0])
    if n < 2:
        return value, math.nan, math.nan
    drawn = resample(
        lambda counts: compute(case_weights(counts, patient))[:, None],
        n,
        len(patient),
        resamples=RESAMPLES,
        seed=judged.seed,
    )
    span = interval(drawn[:, 0], n)
    return value, span.low, span.high


def _named(name: str, found: tuple[float, float, float]) -> dict[str, float]:
    return {name: found[0], f"{name}_low": found[1], f"{name}_high": found[2]}


def _regression(judged: Judged) -> Audit:
    y = judged.cases.y.astype(np.float64)

    def r2(p: Floats, weights: Floats) -> Floats:
        total = weights.sum(axis=1)
        mean = weights @ y / total
        variation = weights @ y**2 - total * mean**2
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.asarray(np.where(variation > 0, 1 - (weights @ (p - y) ** 2) / variation, np.nan))

    figures: dict[str, Any] = {"cases": len(y), **_named("r2", _spread(partial(r2, judged.cases.p), judged))}
    classic = _classic(judged)
    if classic is None:
        figures["classic_network"] = NOT_COMPARED
    else:
        figures |= _against_classic("r2", partial(r2, judged.cases.p), partial(r2, classic), judged)
    if not figures["r2_low"] > 0:
        advice = "The model is not shown to be better than the mean of these cases: its R2 may be 0 or less."
        return Audit(NAME, "warn", "train", figures, (), advice)
    verdict, advice = _beside_classic("R2", "r2", figures, ["the mean of these cases"])
    return Audit(NAME, verdict, "train", figures, (), advice)
