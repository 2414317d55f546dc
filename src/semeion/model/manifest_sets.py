"""The part of a manifest that says which classes a finding names: thresholds of sets, read as hostile input."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from semeion.model.manifest_parts import MAX_CLASSES, Count, Name, Part, Task, Text

Threshold = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
FEWEST = 5
"""Patients who share a threshold at least, so that none is the score of one of them."""


class CalibratedBy(Part):
    """Which cases the thresholds come from: a split, and how many."""

    split: Literal["calibration", "oof"]
    n: Count
    n_patients: Count


class SetRule(Part):
    """Thresholds for the classes of one question.

    Attributes
    ----------
    kind
        ``per_class``: the coverage is stated for each class by itself; ``marginal``: for all patients together.
    thresholds
        One a class, in the order of the probabilities (multi-label: absent, present). A class is in the set when one
        less its probability is at most that.
    n_patients
        Calibration patients behind each.
    calibration
        Whose they are.
    promise
        What is promised, in a sentence.
    """

    kind: Literal["per_class", "marginal"]
    thresholds: Annotated[list[Threshold], Field(min_length=2, max_length=MAX_CLASSES)]
    n_patients: Annotated[list[Annotated[int, Field(ge=FEWEST)]], Field(min_length=2, max_length=MAX_CLASSES)]
    calibration: CalibratedBy
    promise: Text

    def problems(self, classes: int) -> list[str]:
        """Return what does not fit so many classes, or contradicts itself."""
        if len(self.thresholds) != classes or len(self.n_patients) != classes:
            return [f"sets of classes have {len(self.thresholds)} thresholds, and there are {classes} classes"]
        if self.kind == "marginal" and len(set(self.thresholds)) > 1:
            return ["sets of classes for all patients together have one threshold, and theirs differ"]
        return []


class ClassSets(Part):
    """How a finding comes to name one class, several, or none.

    Attributes
    ----------
    coverage
        Stated share of patients whose set holds the truth.
    scored
        Which probabilities are compared with the thresholds: ``p`` after calibration, ``raw`` before it.
    method
        How the thresholds were found.
    whole, by_target
        The rule of the one question, or of the labels of a multi-label model that have one.
    """

    coverage: Annotated[float, Field(gt=0, lt=1)]
    scored: Literal["p", "raw"]
    method: Text
    whole: SetRule | None = None
    by_target: Annotated[dict[Name, SetRule], Field(min_length=1, max_length=MAX_CLASSES)] | None = None

    def problems(self, task: Task, classes: list[str]) -> list[str]:
        """Return what does not fit the question, or contradicts itself."""
        if task in ("regression", "segmentation"):
            return ["sets of classes belong to a question with classes"]
        if task == "multilabel":
            if self.whole is not None or not self.by_target or not set(self.by_target) <= set(classes):
                return ["sets of classes are of each label of a multi-label model, and of no other"]
            return [problem for rule in self.by_target.values() for problem in rule.problems(2)]
        if self.whole is None or self.by_target is not None:
            return ["sets of classes have one rule for the one question"]
        return self.whole.problems(len(classes))

    def rule(self, target: str) -> SetRule | None:
        """Return the rule of the question, or of the label `target`; None where it has none."""
        return self.whole if self.by_target is None else self.by_target.get(target)
