"""Sets of classes for the cases of every split: who calibrates them, what is promised, and what was measured.

Cases of the split ``calibration`` served nothing else, and calibrate what is then measured on test cases (split
conformal). Without them out-of-fold predictions do: each case was scored by a model that saw it in no choice. Where
neither is there no set is made, and the reason is told.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from semeion.calibration.sets import held_classes
from semeion.errors import InputError
from semeion.evidence.intervals.drawing import checked_cases, draw_together
from semeion.evidence.measuring import Drawing
from semeion.evidence.question import Question
from semeion.evidence.table import (
    UNWEIGHED,
    Cases,
    probability_columns,
)
from semeion.evidence.use.calibrating import (
    by_split,
    folds_refused,
    levels_of,
    of_folds,
    patients_of,
    raw_table,
    sorted_table,
    taken,
)
from semeion.evidence.use.conformal import Sets, cross_sets, expected_coverage, fit_sets
from semeion.evidence.use.coverage import sets_piece

CALIBRATION = "calibration"
NOBODY = (
    "No case calibrates sets of classes: the table has neither rows of the split calibration, which chose nothing, nor "
    "out-of-fold predictions."
)
CHOSE = "Validation cases are there to choose by, so the coverage of sets is not measured on them."
_SPLIT = "split conformal: thresholds from calibration cases that served nothing else"
_CROSS = "cross-conformal (CV+): each out-of-fold patient against the new case, by the model that saw neither"
_LEFT_OUT = "each fold left out in turn: thresholds from the out-of-fold predictions of the other folds"
_NO_PROMISE = (
    "None for this measurement, which describes the procedure: the models behind the thresholds learned from the fold "
    "that is left out."
)


OWN = "the thresholds that the model ships with"
PROMISE_OWN = "None: these cases are of another source than those that calibrated."


@dataclass(frozen=True)
class ShippedRule:
    """Thresholds of sets of classes that a model ships with.

    Attributes
    ----------
    coverage
        What was stated for them.
    kind
        ``per_class``: of each class by itself; ``marginal``: of all patients together.
    scored
        ``p``: probabilities after calibration; ``raw``: before it.
    thresholds
        One a class, in their order; a class is in the set where one less its probability is at most that.
    """

    coverage: float
    kind: str
    scored: str
    thresholds: tuple[float, ...]


@dataclass(frozen=True)
class SetsAsked:
    """What is asked of sets of classes.

    Attributes
    ----------
    coverage
        What is to be promised.
    reason
        Why no case calibrates, told where none does.
    folds
        Why folds promise nothing for new cases, as where each is a site; empty where they were drawn at random.
    half_width
        Of a measured value: what the model that is weighed adds and takes away by itself; None: it is found here.
    shipped
        By target, the rules of sets of classes that the model that is weighed brings; None: they are made here.
    """

    coverage: float = 0.9
    reason: str = NOBODY
    folds: str = ""
    half_width: float | None = None
    shipped: Mapping[str, ShippedRule] | None = None


def weigh_all_sets(
    predictions: pd.DataFrame,
    question: Question,
    asked: SetsAsked,
    drawing: Drawing,
    strata: pd.DataFrame | None = None,
) -> dict[str, dict[str, Any]]:
    """Return the account of the sets of each target and split.

    Parameters
    ----------
    predictions
        As :func:`semeion.evidence.weigh.weigh` takes them; where out-of-fold cases calibrate and ``raw_`` columns are
        there, these are scored, since each fold calibrated its probabilities by itself.
    question
        The target; a measured value has no classes and no sets.
    asked, drawing
        What is promised, and how patients are drawn.
    strata
        ``case_id`` and the columns in whose levels coverage is measured.

    Returns
    -------
    dict
        By target and split, all but ``train`` and ``calibration``: ``stated`` (the coverage), ``method``, ``scored``
        (``p`` or ``raw``), ``calibration`` (``split``, ``n``, ``n_patients``, ``patients_of_class``), and for each of
        ``marginal`` and ``per_class``: ``promise``, ``worst`` (of CV+), ``thresholds``, ``expected`` (the range of
        ``patient_coverage`` in 95 of 100 repetitions), ``sizes`` (``{classes, n, share}``), and all that
        :func:`semeion.evidence.use.coverage.sets_piece` tells, ``by_class`` by name. ``reason`` stands where there
        are no sets, or no figures.

    Raises
    ------
    InputError
        When the predictions cannot be used, or the coverage is not between 0 and 1.
    """
    if not 0 < asked.coverage < 1:
        raise InputError(f"a coverage of {asked.coverage}", where="sets", fix="give a number below 1, such as 0.9")
    if question.task == "regression":
        return {}
    table = sorted_table(predictions, question)
    plain = by_split(table, question)
    calibrated = CALIBRATION in plain or "oof" not in plain
    if asked.shipped is not None:
        calibrated = all(rule.scored == "p" for rule in asked.shipped.values())
    raw = None if calibrated else raw_table(predictions, question)
    scored = plain if raw is None else by_split(raw, question)
    patients = {str(name): set(rows["patient_id"]) for name, rows in table.groupby("split")}
    found: dict[str, dict[str, Any]] = {}
    for target in question.targets:
        classes = (question.label(target) if question.task == "multilabel" else question).classes
        maker = _Maker(asked.coverage, classes)
        found[target] = {}
        for split in (name for name in plain if name not in UNWEIGHED and target in plain[name]):
            cases, out = scored[split][target], scored.get("oof", {}).get(target)
            calibrating = plain.get(CALIBRATION, {}).get(target)
            made: _Made | str
            if asked.shipped is not None:
                made = _brought(asked.shipped.get(target), asked.reason, cases)
            elif calibrating is not None:
                shared = len(patients[CALIBRATION] & patients[split])
                made = f"{shared} patients calibrate sets and are among these." if shared else ""
                made = made or maker.split(calibrating, cases)
            elif out is None or split == "val":
                made = asked.reason if out is None else CHOSE
            else:
                made = folds_refused(out)
                made = made or (maker.left_out(out) if split == "oof" else asked.folds)
                made = made or maker.cross(out, of_folds(raw, out, cases, list(probability_columns(question))))
            told: dict[str, Any] = {"stated": asked.coverage}
            if isinstance(made, str):
                told["reason"] = made
            elif split == "val":
                alone = set(plain) <= {"val", *UNWEIGHED}
                reason = f"{CHOSE} There are no test cases to measure it on." if alone else CHOSE
                told |= {**made.facts, **{name: rule.told for name, rule in made.rules.items()}, "reason": reason}
            else:
                told |= {**made.facts, **_measured(made, cases, asked.coverage, classes, strata, drawing)}
            if "method" in told:
                told["scored"] = "p" if raw is None else "raw"
            found[target][split] = told
    return found


@dataclass(frozen=True)
class _Rule:
    """Sets of the cases of a split and what is told of how they came; no sets, and the reason, where none could be.

    `n_patients` calibrated each class, where the coverage has a known distribution.
    """

    told: dict[str, Any]
    sets: Sets | None = None
    n_patients: tuple[int, ...] = ()


@dataclass(frozen=True)
class _Made:
    facts: dict[str, Any]
    rules: dict[str, _Rule] = field(default_factory=dict)


def _brought(rule: ShippedRule | None, reason: str, cases: Cases) -> _Made | str:
    """Return the sets that a model makes by the thresholds it ships with, or why it makes none."""
    if rule is None:
        return reason
    told = {"promise": PROMISE_OWN, "thresholds": list(rule.thresholds)}
    return _Made({"method": OWN}, {rule.kind: _Rule(told, held_classes(cases.p, rule.thresholds))})


@dataclass(frozen=True)
class _Maker:
    """Makes sets of `classes` with a stated coverage, in each of three ways."""

    coverage: float
    classes: tuple[str, ...]

    def split(self, calibrating: Cases, cases: Cases) -> _Made | str:
        """Return sets by thresholds from cases that served nothing else."""

        def fit(per_class: bool) -> _Rule:
            rule = fit_sets(
                calibrating.y, calibrating.p, calibrating.patient, coverage=self.coverage, per_class=per_class
            )
            promise = f"{_capital(rule.promise)}, if that patient is drawn as the calibration patients were."
            return _Rule({"promise": promise, "thresholds": list(rule.thresholds)}, rule.sets(cases.p), rule.n_patients)

        return self._rules(_SPLIT, calibrating, [calibrating], fit)

    def left_out(self, out: Cases) -> _Made | str:
        """Return sets of out-of-fold cases, those of each fold by thresholds from the other folds."""
        folds = np.unique(out.fold).tolist()
        rests = {number: taken(out, out.fold != number) for number in folds}

        def fit(per_class: bool) -> _Rule:
            sets = np.zeros(out.p.shape, dtype=np.bool_)
            thresholds = {}
            for number, rest in rests.items():
                rule = fit_sets(rest.y, rest.p, rest.patient, coverage=self.coverage, per_class=per_class)
                sets[out.fold == number] = rule.sets(out.p[out.fold == number])
                thresholds[str(number)] = list(rule.thresholds)
            return _Rule({"promise": _NO_PROMISE, "thresholds": thresholds}, sets)

        return self._rules(_LEFT_OUT, out, rests.values(), fit)

    def cross(self, out: Cases, new: dict[int, NDArray[np.float64]] | str) -> _Made | str:
        """Return sets of new cases by the models of all folds."""
        if isinstance(new, str):
            return f"The models of the folds would be needed one by one to make sets for these cases, and {new}."

        def fit(per_class: bool) -> _Rule:
            made = cross_sets(out.y, out.p, out.patient, out.fold, new, coverage=self.coverage, per_class=per_class)
            drawn = "if they are drawn as the out-of-fold patients were, and the folds hold equally many of these"
            return _Rule({"promise": f"{_capital(made.promise)}, {drawn}.", "worst": made.promised}, made.sets)

        return self._rules(_CROSS, out, [out], fit)

    def _rules(
        self, method: str, calibrating: Cases, each: Iterable[Cases], fit: Callable[[bool], _Rule]
    ) -> _Made | str:
        """Make the sets that the patients in `each` group that calibrates allow, or say that they are too few."""
        each = list(each)
        need = math.ceil(self.coverage / (1 - self.coverage) - 1e-9)
        fewest = min(patients_of(one) for one in each)
        if fewest < need:
            return f"{fewest} patients calibrate, and a stated coverage of {self.coverage:g} takes {need}."
        of_class = {name: min(patients_of(one, index) for one in each) for index, name in enumerate(self.classes)}
        name, fewest = min(of_class.items(), key=lambda item: item[1])
        why = f"{fewest} patients with {name} calibrate, and promising {self.coverage:g} for each class takes {need}."
        facts = {
            "split": calibrating.split,
            "n": len(calibrating),
            "n_patients": patients_of(calibrating),
            "patients_of_class": {name: patients_of(calibrating, index) for index, name in enumerate(self.classes)},
        }
        rules = {"marginal": fit(False), "per_class": fit(True) if fewest >= need else _Rule({"reason": why})}
        return _Made({"method": method, "calibration": facts}, rules)


def _measured(
    made: _Made, cases: Cases, coverage: float, classes: tuple[str, ...], strata: pd.DataFrame | None, drawing: Drawing
) -> dict[str, Any]:
    """Return what is told and measured of each rule, from the same draws of patients."""
    checked = checked_cases(cases.y, cases.p, cases.patient, where="sets of classes")
    groups = levels_of(cases, strata)
    having = {name: (rule, rule.sets) for name, rule in made.rules.items() if rule.sets is not None}
    pieces = [sets_piece(checked, sets, groups=groups) for _, sets in having.values()]
    drawn = draw_together(pieces, checked, resamples=drawing.resamples, seed=drawing.seed, jobs=drawing.jobs)
    found: dict[str, Any] = {name: rule.told for name, rule in made.rules.items()}
    for (name, (rule, sets)), figures in zip(having.items(), drawn, strict=True):
        by_class = dict(zip(classes, figures["by_class"], strict=True))
        found[name] = {**rule.told, **figures, "by_class": by_class, "sizes": _sizes(sets)}
        if not rule.n_patients:
            continue
        if name == "marginal":
            found[name]["expected"] = _range(rule.n_patients[0], checked.n_patients, coverage)
            continue
        for index, (one, n) in enumerate(zip(classes, rule.n_patients, strict=True)):
            own = checked.patient[checked.y == index]
            # Of a patient with several such cases it is promised that all are held, and no figure here is of that.
            if len(own) and len(np.unique(own)) == len(own):
                by_class[one]["expected"] = _range(n, len(own), coverage)
    return found


def _range(n: int, new: int, coverage: float) -> dict[str, float]:
    low, high = expected_coverage(n, new, coverage)
    return {"low": low, "high": high}


def _sizes(sets: Sets) -> list[dict[str, Any]]:
    """Return how many cases have a set of each size."""
    counts = np.bincount(sets.sum(axis=1), minlength=sets.shape[1] + 1)
    return [{"classes": k, "n": int(n), "share": float(n / len(sets))} for k, n in enumerate(counts)]


def _capital(sentence: str) -> str:
    return sentence[:1].upper() + sentence[1:]
