"""Figures of the targets of one split with their intervals, and of several labels their means."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from semeion.evidence.intervals.bootstrap import Spread, case_weights, draw, outcome_strata
from semeion.evidence.intervals.entry import entries
from semeion.evidence.intervals.weights import Array, distinct_codes
from semeion.evidence.metrics import Account, Figures, figure_names
from semeion.evidence.question import Question
from semeion.evidence.table import Cases

Values = dict[str, Array]
_Mean = Callable[[Sequence[Values], Collection[str]], Values]


@dataclass(frozen=True)
class Drawing:
    """How patients are drawn: how often, from which seed, on how many threads."""

    resamples: int
    seed: int
    jobs: int | None


@dataclass(frozen=True)
class Answer:
    """One target's cases in one split, with their calls and figures; `question` is binary for a multi-label label."""

    question: Question
    cases: Cases
    call: NDArray[np.int64]
    figures: Figures

    @property
    def n_patients(self) -> int:
        """Patients of these very cases."""
        return distinct_codes(self.cases.patient)


def measured(
    answers: Sequence[Answer], question: Question, drawing: Drawing
) -> tuple[list[dict[str, Any]], dict[str, Any] | None]:
    """Return the figures of each answer and, for a multi-label target, their means over labels.

    Figures that are conditional on the class come from patients drawn within strata of outcome, the others from
    patients drawn from all; those of a split's labels from the same draws.
    """
    n_patients = answers[0].cases.n_patients
    account, mean = _means(answers, question) if question.task == "multilabel" else (None, None)
    conditional = answers[0].figures.conditional
    strata = _strata(answers, n_patients) if conditional else ()
    spreads: list[dict[str, Spread]] = [{} for _ in range(len(answers) + (mean is not None))]
    for within in (False, True):
        names = [
            [name for name in each.names if (name in conditional) == within]
            for each in [*(answer.figures for answer in answers), *([account] if account else [])]
        ]
        if not any(names):
            continue
        drawn = iter(
            draw(
                partial(_computed, answers, mean, names),
                n_patients,
                max(len(answer.cases) for answer in answers),
                resamples=drawing.resamples,
                seed=drawing.seed,
                jobs=drawing.jobs,
                strata=strata if within else (),
            )
        )
        for place, own in zip(spreads, names, strict=True):
            place |= {name: next(drawn) for name in own}
    each = [
        entries(answer.figures, own, answer.cases.patient, n=len(answer.cases), n_patients=answer.n_patients)
        for answer, own in zip(answers, spreads, strict=False)
    ]
    if account is None:
        return each, None
    n = distinct([answer.cases for answer in answers])
    return each, entries(account, spreads[-1], None, n=n, n_patients=n_patients)


def _computed(answers: Sequence[Answer], mean: _Mean | None, names: Sequence[Sequence[str]], counts: Array) -> Array:
    """Return the named figures of each answer, then of their means, side by side."""
    found = [
        answer.figures.values(case_weights(counts, answer.cases.patient), own)
        for answer, own in zip(answers, names, strict=False)
    ]
    if mean is not None:
        found.append(mean(found, names[-1]))
    return np.stack([one[name] for one, own in zip(found, names, strict=True) for name in own], axis=1)


def _strata(answers: Sequence[Answer], n_patients: int) -> tuple[NDArray[np.int64], ...]:
    """Return the patients by the outcomes among their cases, over all labels."""
    width = max(len(answer.question.classes) for answer in answers)
    outcome = [width * number + answer.cases.y.astype(np.int64) for number, answer in enumerate(answers)]
    patient = [answer.cases.patient for answer in answers]
    return outcome_strata(np.concatenate(patient), np.concatenate(outcome), n_patients)


def _means(answers: Sequence[Answer], question: Question) -> tuple[Account, _Mean]:
    """Return the means over labels: what they are, and a function of the labels' own values.

    A label whose figure is undefined on the cases as they are is left out of that mean. A label that is never called
    has precision 0 there, as in scikit-learn.
    """
    names = figure_names(question)

    def of(name: str, values: Sequence[Values]) -> Array:
        stack = np.stack([each[name] for each in values])
        if name != "precision":
            return stack
        lost = np.isnan(np.stack([each["recall"] for each in values]))
        return np.where(lost, np.nan, np.nan_to_num(stack))

    own = [each.figures.values(np.ones((1, len(each.cases))), names) for each in answers]
    seen = {name: np.isfinite(of(name, own)) for name in names}

    def mean(values: Sequence[Values], asked: Collection[str]) -> Values:
        with np.errstate(invalid="ignore"):
            return {name: np.where(seen[name], of(name, values), 0).sum(axis=0) / seen[name].sum() for name in asked}

    unknown = left_out(answers, question)
    remarks = {}
    for name in names:
        left = unknown + [each.cases.target for k, each in enumerate(answers) if not seen[name][k, 0]]
        if left:
            remarks[name] = f"left out, undefined: {', '.join(left)}"
    silent = [each.cases.target for each in answers if not (each.call == each.question.positive_index).any()]
    if silent:
        said = f"never called, precision counts as 0: {', '.join(silent)}"
        remarks["precision"] = f"{remarks['precision']}; {said}" if "precision" in remarks else said
    first: Mapping[str, str] = answers[0].figures.methods
    account = Account(
        names=names,
        methods={name: "; ".join(filter(None, ["mean over labels", first.get(name)])) for name in names},
        undefined=dict.fromkeys(names, "undefined for every label"),
        remarks=remarks,
        conditional=answers[0].figures.conditional,
    )
    return account, mean


def left_out(answers: Sequence[Answer], question: Question) -> list[str]:
    """Return the labels that have no answer."""
    answered = {answer.cases.target for answer in answers}
    return [label for label in question.classes if label not in answered]


def distinct(cases: Sequence[Cases]) -> int:
    """Return the number of distinct cases over the labels."""
    return len(set().union(*(each.case_id.tolist() for each in cases)))
