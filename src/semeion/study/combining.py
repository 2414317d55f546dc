"""Chooses what each member counts in the ensemble: equal shares, unless others do better on patients left out."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from semeion.errors import InputError
from semeion.folds import grouped_folds
from semeion.plan.splits import strata
from semeion.study.weight_rules import RULES, WORTH, Codes, Floats, Told, equal_shares, paired

FOLDS = 5
MOST_REPEATS = 3
PATIENTS = 600
"""Patients from whom on one drawing of the folds suffices."""
FEWEST_PATIENTS = 20
"""With fewer, no weights are chosen: what a fold holds out is then too little to tell anything."""
CAUTION = 1.0
"""Standard errors over patients by which weights must do better than equal ones to be taken."""
FLOOR = 1e-3
"""Share of a probability that is spread evenly before its logarithm: one sure error must not decide, since calibration
follows."""

EQUAL = "equal"
WORDS = {
    EQUAL: "every member counts the same",
    "recipes": "every recipe counts the same",
    "dropped": "recipes that make the mean worse are left out, the others count the same",
    "single": "the best recipe alone",
    "least": "shares of least loss",
    "greedy": "shares by greedy selection",
}


@dataclass(frozen=True)
class Candidate:
    """One way to weight, judged on patients that its weights were not learned from.

    Attributes
    ----------
    loss
        Mean held-out loss: log loss after a recalibration that was learned with the weights, or absolute error in the
        target's unit.
    gain, error
        How much less than that of equal weights, and the standard error of the difference over patients.
    """

    loss: float
    gain: float
    error: float


@dataclass(frozen=True)
class Combination:
    """What each member counts, and why.

    Attributes
    ----------
    weights
        Member to its share; none is negative and they sum to 1. Members of one recipe share evenly.
    method, reason
        A key of `WORDS`, and the choice in a sentence or two.
    losses
        Of each member alone on the validation cases: log loss after a recalibration of its own (else the sharper of two
        would pass for the better, and calibration follows anyway), or absolute error.
    loss_equal, loss_chosen
        Of equal weights, and of the way that was chosen, on patients left out.
    gain, low, high
        The difference of both, and its 95 % interval over patients (normal approximation; cross-validated, and
        somewhat flattering since the best of several ways was chosen). All 0 for equal weights.
    candidates
        Every way that was judged.
    n, n_patients
        Validation cases and patients.
    seconds
        Of the processor, that each way cost.
    """

    weights: dict[str, float]
    method: str
    reason: str
    losses: dict[str, float]
    loss_equal: float
    loss_chosen: float
    gain: float
    low: float
    high: float
    candidates: dict[str, Candidate]
    n: int
    n_patients: int
    seconds: dict[str, float] = field(default_factory=dict, compare=False)

    def to_json(self) -> dict[str, Any]:
        """Return all of it for JSON."""
        return asdict(self)


@dataclass(frozen=True)
class Single:
    """The member that would ship alone: its name, why, and the loss of each."""

    name: str
    reason: str
    losses: dict[str, float]


def choose_weights(
    validation: Mapping[str, npt.ArrayLike],
    y: npt.ArrayLike,
    patient: npt.ArrayLike,
    task: str,
    *,
    kinds: Mapping[str, str] | None = None,
    seed: int,
) -> Combination:
    """Choose the members' weights on validation cases.

    Ways to weight are equal shares of members or of recipes, leaving out what makes the mean worse, the best alone,
    greedy selection with replacement (Caruana et al., 2004, "Ensemble selection from libraries of models", bagged over
    patients) and the shares of least loss. Each is cross-validated: its weights are learned from some patients and
    judged on others. One that does better than equal shares by more than a standard error over patients is taken, the
    best of several; otherwise the shares stay equal.

    Parameters
    ----------
    validation
        Member name to its probabilities or values ``(N, K)``, of cases that it did not learn from.
    y
        Class or grade index ``(N,)``, or each class's share ``(N, K)``; 0, 1 or NaN ``(N, K)`` (multi-label); the value
        ``(N,)`` (regression).
    patient
        Patient of each case ``(N,)``.
    task
        ``binary``, ``multiclass``, ``multilabel``, ``ordinal`` or ``regression``.
    kinds
        Member name to its recipe: weights belong to recipes and are shared by their members (seeds). None: every member
        is a recipe of its own.
    seed
        Of the folds and of the bags.

    Raises
    ------
    InputError
        When a prediction or a target is missing.
    """
    names, table = _checked(validation, task)
    told = _told(table, y, patient, task)
    losses = {name: told.mean(told.fitted(one)) for name, one in zip(names, np.eye(len(names)), strict=True)}
    recipes = [kinds.get(name, name) if kinds else name for name in names]
    distinct = sorted(set(recipes))
    belongs = np.array([[recipe == one for recipe in recipes] for one in distinct], dtype=np.float64)
    size = belongs.sum(axis=1)
    grouped = told.grouped(belongs / size[:, None])
    everyone = equal_shares(size)
    same = WORDS[EQUAL]
    loss_equal = grouped.mean(grouped.fitted(everyone))

    def made(method: str, weights: Floats, reason: str, **more: Any) -> Combination:
        each = (weights / size) @ belongs
        values: dict[str, Any] = {"loss_equal": loss_equal, "loss_chosen": loss_equal, "candidates": {}}
        values |= dict.fromkeys(("gain", "low", "high"), 0.0) | more
        return Combination(
            {name: float(share) for name, share in zip(names, each / each.sum(), strict=True)},
            method,
            reason,
            losses,
            n=told.cases,
            n_patients=told.patients,
            **values,
        )

    if len(distinct) < 2:
        return made(EQUAL, everyone, "there is one recipe, and its members count the same")
    if told.patients < FEWEST_PATIENTS:
        return made(
            EQUAL,
            everyone,
            f"{told.patients} validation patients are too few to choose weights: {same}",
        )
    if told.constant:
        return made(EQUAL, everyone, f"the members say the same of every validation case: {same}")
    rules = {name: rule for name, rule in RULES.items() if name != "recipes" or len(set(size)) > 1}
    held, seconds = _held_out(grouped, size, rules, _stratum(y, task), seed)
    candidates = {
        name: Candidate(grouped.mean(loss), *paired(grouped, held[EQUAL], loss)) for name, loss in held.items()
    }
    loss_equal = candidates[EQUAL].loss
    better = [name for name, one in candidates.items() if one.gain > max(CAUTION * one.error, WORTH * loss_equal)]
    if not better:
        others = {name: one for name, one in candidates.items() if one.error > 0}
        closest = max(others, key=lambda name: others[name].gain) if others else ""
        told_apart = f" (closest: {WORDS[closest]}, {_words(others[closest])})" if others else ""
        return made(
            EQUAL,
            everyone,
            f"{same}: on patients left out no other way did better by a standard error{told_apart}",
            candidates=candidates,
            seconds=seconds,
        )
    method = max(better, key=lambda name: candidates[name].gain)
    chosen = candidates[method]
    weights = RULES[method](grouped, size, np.random.default_rng(seed))
    if np.allclose(weights, everyone):
        reason = f"{same}: learned from all validation cases, other shares are these"
        return made(EQUAL, everyone, reason, candidates=candidates, seconds=seconds)
    return made(
        method,
        weights,
        f"{WORDS[method]}: on patients left out {_words(chosen)} than where {same}",
        loss_chosen=chosen.loss,
        gain=chosen.gain,
        low=chosen.gain - 1.96 * chosen.error,
        high=chosen.gain + 1.96 * chosen.error,
        candidates=candidates,
        seconds=seconds,
    )


def choose_single(
    validation: Mapping[str, npt.ArrayLike],
    y: npt.ArrayLike,
    patient: npt.ArrayLike,
    task: str,
    *,
    cost: Mapping[str, float],
) -> Single:
    """Choose the member that ships alone: the smallest that is not worse than the best by more than a standard error.

    Parameters
    ----------
    validation, y, patient, task
        As for :func:`choose_weights`.
    cost
        Size of each member, in whatever unit: bytes, or seconds a case.
    """
    names, table = _checked(validation, task)
    if missing := [name for name in names if name not in cost]:
        raise ValueError(f"the size of {missing[0]} is not given")
    told = _told(table, y, patient, task)
    each = [told.fitted(one) for one in np.eye(len(names))]
    losses = {name: told.mean(loss) for name, loss in zip(names, each, strict=True)}
    best = min(range(len(names)), key=lambda index: (losses[names[index]], cost[names[index]], names[index]))
    close = []
    for index in range(len(names)):
        gain, error = paired(told, each[best], each[index])
        if -gain <= CAUTION * error:
            close.append(names[index])
    name = min(close, key=lambda one: (cost[one], losses[one], one))
    if name == names[best]:
        reason = f"{name} has the least loss on validation cases, and no smaller member comes within a standard error"
    else:
        reason = f"{name} is smaller than {names[best]}, which is the best, and within a standard error of it"
    return Single(name, reason, losses)


def _words(one: Candidate) -> str:
    less = "less" if one.gain >= 0 else "more"
    return f"{abs(one.gain):.2g} {less} loss (standard error {one.error:.2g})"


def _checked(validation: Mapping[str, npt.ArrayLike], task: str) -> tuple[list[str], Floats]:
    """Return the names in order and ``(M, N, K)``."""
    if not validation:
        raise ValueError("no member to combine")
    names = sorted(validation)
    tables = [np.asarray(validation[name], dtype=np.float64) for name in names]
    for name, table in zip(names, tables, strict=True):
        if table.ndim != 2 or table.shape != tables[0].shape:
            raise ValueError(f"predictions of {name} have shape {table.shape}, and {names[0]} {tables[0].shape}")
        if not np.isfinite(table).all():
            raise InputError("a validation prediction is missing", where=name, fix="leave the member out")
        if task != "regression" and (table.min(initial=0) < -1e-9 or table.max(initial=0) > 1 + 1e-9):
            raise ValueError(f"predictions of {name} are no probabilities")
    return names, np.stack(tables)


def _told(table: Floats, y: npt.ArrayLike, patient: npt.ArrayLike, task: str) -> Told:
    """Return what each member said of what was seen."""
    truth, cases, outputs = np.asarray(y, dtype=np.float64), table.shape[1], table.shape[2]
    codes = np.unique(np.asarray(patient).astype(str), return_inverse=True)[1].reshape(-1).astype(np.int64)
    if len(truth) != cases or len(codes) != cases:
        raise ValueError(f"{len(truth)} targets and {len(codes)} patients for {cases} cases")
    if task != "multilabel" and not np.isfinite(truth).all():
        raise InputError("a target is missing", where="validation cases", fix="leave out unlabelled cases")
    if task == "regression":
        none = np.zeros(cases, dtype=np.int64)
        return Told(table - truth.reshape(1, cases, 1), none, codes, np.arange(cases), np.ones(cases), False)
    if task == "multilabel":
        if truth.shape != (cases, outputs):
            raise ValueError(f"targets of shape {truth.shape} do not fit {outputs} labels of {cases} cases")
        row, column = np.nonzero(np.isfinite(truth))
        if len(row) == 0:
            raise InputError("no label of any case is known", where="validation cases", fix="bring labelled cases")
        said = table[:, row, column]
        seen = truth[row, column].astype(np.int64)
        return Told(_floored(np.stack([1 - said, said], axis=2)), seen, codes[row], row, np.ones(len(row)), True)
    if truth.ndim == 1:
        index = truth.astype(np.int64)
        if (index != truth).any() or index.min(initial=0) < 0 or index.max(initial=0) >= outputs:
            raise ValueError(f"a class is no index from 0 to {outputs - 1}")
        return Told(_floored(table), index, codes, np.arange(cases), np.ones(cases), True)
    row, column = np.nonzero(truth)
    return Told(_floored(table[:, row]), column, codes[row], row, truth[row, column], True)


def _floored(p: Floats) -> Floats:
    return np.asarray((1 - FLOOR) * np.clip(p, 0, 1) + FLOOR / p.shape[2], dtype=np.float64)


def _stratum(y: npt.ArrayLike, task: str) -> Codes:
    truth = np.asarray(y, dtype=np.float64)
    if task == "regression":
        truth = truth.reshape(len(truth))
    elif task != "multilabel" and truth.ndim == 2:
        return np.asarray(truth.argmax(axis=1), dtype=np.int64)
    return strata(truth, task)


def _held_out(
    told: Told, size: Floats, rules: Mapping[str, Any], stratum: Codes, seed: int
) -> tuple[dict[str, Floats], dict[str, float]]:
    """Return the held-out loss of each way, a number an entry of `told`, the mean over drawings of the folds."""
    repeats = max(1, min(MOST_REPEATS, PATIENTS // told.patients))
    total = {name: np.zeros(len(told.mass)) for name in rules}
    seconds = dict.fromkeys(rules, 0.0)
    patients, place = np.unique(told.patient, return_inverse=True)
    for repeat in range(repeats):
        fold = grouped_folds(
            stratum[told.case], place.reshape(-1).astype(np.int64), min(FOLDS, len(patients)), seed + repeat
        )
        for number in range(int(fold.max()) + 1):
            out = fold == number
            if not out.any() or out.all():
                continue
            learned, judged = told.rows(~out), told.rows(out)
            for name, rule in rules.items():
                begun = time.process_time()
                weights = rule(learned, size, np.random.default_rng(seed + repeat))
                seconds[name] += time.process_time() - begun
                total[name][out] += judged.recalibrated(weights, learned.remedy(weights))
    return {name: loss / repeats for name, loss in total.items()}, seconds
