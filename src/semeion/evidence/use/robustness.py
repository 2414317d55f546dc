"""How figures fall when the same images are made worse: each strength paired with the images as they are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from semeion.errors import InputError
from semeion.evidence.intervals.bootstrap import Spread, Strata, case_weights, draw, outcome_strata
from semeion.evidence.intervals.entry import entries
from semeion.evidence.intervals.weights import Array
from semeion.evidence.measuring import Answer, distinct
from semeion.evidence.metrics import Account, Share
from semeion.evidence.question import Question
from semeion.evidence.table import split_cases, validate_predictions
from semeion.evidence.use.operating import OperatingPoints
from semeion.evidence.weigh import answer_of

UNDEGRADED = "none"
"""Stands in the column ``degradation`` of the rows of images as they are."""
FIGURES = {
    "binary": ("auroc", "recall", "specificity", "balanced_accuracy"),
    "multilabel": ("auroc", "recall", "specificity"),
    "multiclass": ("auroc", "balanced_accuracy"),
    "ordinal": ("auroc", "balanced_accuracy", "kappa_quadratic"),
    "regression": ("mae",),
}
"""Figures of each task; the first is the one that is said to fall."""
CHANGED, SHIFT = "changed", "shift"
"""Share of calls that are other than on the images as they are; of a measured value, how far it moves in the mean."""
_SAME = 1e-12
_WORDS = {CHANGED: "share of calls that differ from those on the images as they are", SHIFT: "mean absolute change"}

Spreads = dict[str, Spread]
Entries = dict[str, dict[str, Any]]


@dataclass(frozen=True)
class _Variant:
    """The answers on one version of the images, one a label, with what changed against the images as they are."""

    name: str
    strength: float
    answers: tuple[Answer, ...]
    moved: tuple[Array, ...]


def robustness(
    predictions: pd.DataFrame,
    question: Question,
    points: OperatingPoints | None,
    *,
    resamples: int = 2000,
    seed: int = 0,
    jobs: int | None = None,
) -> dict[str, Any]:
    """Return the figures at each strength of each degradation, and their differences to the images as they are.

    Parameters
    ----------
    predictions
        As :func:`semeion.evidence.weigh.weigh` takes them, of one split, with the columns ``degradation`` and
        ``strength``. The rows of `UNDEGRADED` are of the images as they are; every other version has the same cases.
    question, points, resamples, seed, jobs
        As ``weigh`` takes them: calls are made at the same operating points.

    Returns
    -------
    dict
        ``n``, ``n_patients``; ``undegraded`` are figures as in ``weigh``; ``curves.<degradation>`` is a list, in the
        order of the table, of ``{strength, metrics, difference}``: figures, among them ``changed`` (of a measured value
        ``shift``), and those less those of the images as they are. Of a multi-label target they are means over labels.

    Raises
    ------
    InputError
        When the table has no rows of images as they are, or a version has other cases.

    Notes
    -----
    All versions of a degradation are weighed on the same draws of patients, with all their cases, so what makes the
    cases of a draw hard leaves the difference (Efron and Tibshirani, An Introduction to the Bootstrap, 1993, chapter
    8). Figures that are conditional on the class are drawn within strata of outcome. Each interval stands for itself:
    of many strengths some are below by chance.
    """
    versions = _versions(predictions, question, points)
    base = versions[0]
    first = base.answers[0].cases
    n, n_patients = distinct([each.cases for each in base.answers]), first.n_patients
    names = FIGURES[question.task]
    found: dict[str, Any] = {"n": n, "n_patients": n_patients, "undegraded": {}, "curves": {}}
    given = (resamples, seed, jobs)
    for name in dict.fromkeys(one.name for one in versions[1:]):
        worse = [one for one in versions if one.name == name]
        spreads = _spreads([base, *worse], names, question, given)
        found["undegraded"], _ = _entries(base, base, spreads[0], names, question, n, n_patients)
        curve = []
        for one, own in zip(worse, spreads[1:], strict=True):
            metrics, difference = _entries(one, base, own, names, question, n, n_patients)
            curve.append({"strength": one.strength, "metrics": metrics, "difference": difference})
        found["curves"][name] = curve
    return found


def falls_first(curves: Mapping[str, Sequence[Mapping[str, Any]]], figure: str) -> dict[str, Any] | None:
    """Return where a figure first falls beyond its interval: the mildest strength from which on it never recovers.

    Parameters
    ----------
    curves
        As :func:`robustness` returns, the mildest strength of each degradation first.
    figure
        Its name; an error (``mae``) falls by rising.

    Returns
    -------
    dict or None
        ``degradation``, ``strength``, ``step`` (0 is the mildest) and ``figure``; of several at the same step the one
        that falls the farthest there. None where no interval of the difference lies wholly on the worse side at a
        strength and at all stronger ones.
    """
    sign = 1 if figure in ("mae", "rmse") else -1
    best: tuple[int, float, dict[str, Any]] | None = None
    for name, curve in curves.items():
        worse = [_is_worse(entry["difference"].get(figure, {}), sign) for entry in curve]
        steps = [step for step in range(len(curve)) if all(worse[step:])]
        if not steps:
            continue
        step = steps[0]
        rank = step, -sign * float(curve[step]["difference"][figure]["value"])
        if best is None or rank < best[:2]:
            place = {"degradation": name, "strength": curve[step]["strength"], "step": step, "figure": figure}
            best = (*rank, place)
    return best[2] if best else None


def _is_worse(difference: Mapping[str, Any], sign: int) -> bool:
    low, high = difference.get("low"), difference.get("high")
    return low is not None and high is not None and (low > 0 if sign > 0 else high < 0)


def _versions(predictions: pd.DataFrame, question: Question, points: OperatingPoints | None) -> list[_Variant]:
    """Return the versions of the images, those as they are first."""
    for column in ("degradation", "strength"):
        if column not in predictions.columns:
            raise InputError(f"no column {column!r}", where="predictions", fix="say which version each row is of")
    groups = {
        (str(name), float(str(strength))): rows
        for (name, strength), rows in predictions.groupby(["degradation", "strength"], sort=False)
    }
    as_they_are = [key for key in groups if key[0] == UNDEGRADED]
    if len(as_they_are) != 1:
        raise InputError(
            f"{len(as_they_are)} versions of the images as they are ({UNDEGRADED!r})",
            where="predictions",
            fix="give the predictions of the images as they are once",
        )
    order = [*as_they_are, *(key for key in groups if key[0] != UNDEGRADED)]
    made: list[_Variant] = []
    for name, strength in order:
        answers = _answers(groups[name, strength], question, points)
        base = made[0].answers if made else answers
        if [list(each.cases.case_id) for each in answers] != [list(each.cases.case_id) for each in base]:
            raise InputError(
                f"{name} at {strength:g} has other cases than the images as they are",
                where="predictions",
                fix="give every version of every case",
            )
        made.append(_Variant(name, strength, answers, tuple(map(_moved, answers, base))))
    return made


def _answers(rows: pd.DataFrame, question: Question, points: OperatingPoints | None) -> tuple[Answer, ...]:
    table = validate_predictions(rows, question).sort_values(["patient_id", "case_id"], kind="stable")
    splits = list(split_cases(table, question))
    if len(splits) != 1:
        raise InputError(f"{len(splits)} splits with labels", where="predictions", fix="give the rows of one split")
    return tuple(answer_of(each, question, points) for each in splits[0])


def _moved(one: Answer, base: Answer) -> Array:
    """Return how far each case moved: 0 or 1 for a call, the distance of a measured value."""
    if one.question.task == "regression":
        return np.asarray(np.abs(one.cases.p - base.cases.p), dtype=np.float64)
    return np.asarray(one.call != base.call, dtype=np.float64)


def _spreads(
    versions: Sequence[_Variant], names: Sequence[str], question: Question, given: tuple[int, int, int | None]
) -> list[Spreads]:
    """Return the draws of each version: figures, what moved, and differences (``-auroc``) to the first version."""
    resamples, seed, jobs = given
    base = versions[0].answers
    extra = SHIFT if question.task == "regression" else CHANGED
    seen = {name: _defined(versions, name) for name in names}
    conditional = base[0].figures.conditional

    def of(version: _Variant, counts: Array, asked: Sequence[str]) -> dict[str, Array]:
        weights = [case_weights(counts, each.cases.patient) for each in version.answers]
        figures = [name for name in asked if name != extra]
        each = [one.figures.values(weight, figures) for one, weight in zip(version.answers, weights, strict=True)]
        found = {name: _mean([values[name] for values in each], seen[name]) for name in figures}
        if extra in asked:
            shares = [w @ moved / w.sum(axis=1) for w, moved in zip(weights, version.moved, strict=True)]
            found[extra] = _mean(shares, np.ones(len(shares), dtype=np.bool_))
        return found

    def compute(counts: Array, asked: Sequence[str]) -> Array:
        columns: list[Array] = []
        whole = None
        for version in versions:
            values = of(version, counts, asked)
            whole = whole or values
            for name in asked:
                gain = values[name] - whole[name]
                columns += [values[name], np.where(np.abs(gain) < _SAME, 0.0, gain)]
        return np.stack(columns, axis=1)

    spreads: list[Spreads] = [{} for _ in versions]
    for within in (False, True):
        asked = [name for name in (*names, extra) if (name in conditional) == within]
        if not asked:
            continue
        drawn = iter(
            draw(
                partial(compute, asked=asked),
                base[0].cases.n_patients,
                max(len(each.cases) for each in base),
                resamples=resamples,
                seed=seed,
                jobs=jobs,
                strata=_strata(base) if within else (),
            )
        )
        for place in spreads:
            for name in asked:
                place[name], place[f"-{name}"] = next(drawn), next(drawn)
    return spreads


def _defined(versions: Sequence[_Variant], name: str) -> NDArray[np.bool_]:
    """Return for which labels a figure is defined in every version, so that the same labels are averaged in all."""
    whole = [
        [each.figures.values(np.ones((1, len(each.cases))), [name])[name][0] for each in version.answers]
        for version in versions
    ]
    return np.asarray(np.isfinite(np.array(whole, dtype=np.float64)).all(axis=0))


def _mean(values: Sequence[Array], kept: NDArray[np.bool_]) -> Array:
    if len(values) == 1:
        return values[0]
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(np.where(kept[:, None], np.stack(values), 0).sum(axis=0) / kept.sum())


def _strata(answers: Sequence[Answer]) -> Strata:
    """Return the patients by the outcomes among their cases, over all labels."""
    width = max(len(each.question.classes) for each in answers)
    outcome = [width * number + each.cases.y.astype(np.int64) for number, each in enumerate(answers)]
    patient = np.concatenate([each.cases.patient for each in answers])
    return outcome_strata(patient, np.concatenate(outcome), answers[0].cases.n_patients)


def _entries(
    one: _Variant,
    base: _Variant,
    spreads: Spreads,
    names: Sequence[str],
    question: Question,
    n: int,
    n_patients: int,
) -> tuple[Entries, Entries]:
    """Return the figures of a version, and what they are less than on the images as they are."""
    extra = SHIFT if question.task == "regression" else CHANGED
    several = len(one.answers) > 1 or question.task == "multilabel"
    answer = one.answers[0]
    patient = None if several else answer.cases.patient
    shown = names if one is base else (*names, extra)
    account: Account = _mean_account(one, names) if several else answer.figures
    shares = dict(account.shares)
    if extra == CHANGED and not several:
        shares[extra] = Share(one.moved[0] > 0, np.ones(len(answer.cases), dtype=np.bool_))
    words = account.methods | {extra: _WORDS[extra]}
    account = replace(account, names=tuple(shown), methods=words, shares=shares)
    metrics = entries(account, spreads, patient, n=n, n_patients=n_patients)
    undefined = {name: account.undefined.get(name, "undefined on these cases") for name in names}
    gain = Account(
        names=tuple(names),
        methods={name: "; ".join(filter(None, ["the same draws for both", words.get(name)])) for name in names},
        undefined=undefined,
    )
    difference = entries(gain, {name: spreads[f"-{name}"] for name in names}, None, n=n, n_patients=n_patients)
    for name in names:
        # A difference is no surer than the figure that it is of.
        doubt = metrics[name].get("reason", "")
        if "unreliable" in doubt and "unreliable" not in difference[name].get("reason", ""):
            difference[name]["reason"] = "; ".join(filter(None, [difference[name].get("reason", ""), doubt]))
    return metrics, difference


def _mean_account(one: _Variant, names: Sequence[str]) -> Account:
    first = one.answers[0].figures
    return Account(
        names=tuple(names),
        methods={name: "; ".join(filter(None, ["mean over labels", first.methods.get(name)])) for name in names},
        undefined=dict.fromkeys(names, "undefined for every label"),
        conditional=first.conditional,
    )
