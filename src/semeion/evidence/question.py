"""What was asked of the model, as plain values."""

from __future__ import annotations

from dataclasses import dataclass

from semeion.errors import InputError
from semeion.naming import encode_class

TASKS = ("binary", "multiclass", "multilabel", "ordinal", "regression")
ABSENT, PRESENT = "absent", "present"


@dataclass(frozen=True)
class Question:
    """The target that predictions answer.

    Attributes
    ----------
    target
        Value of the predictions' column ``target``; for a multi-label target the labels' names stand there instead.
    task
        ``binary``, ``multiclass``, ``multilabel``, ``ordinal`` or ``regression``.
    classes
        Names in the order of the model's outputs: ordinal from lowest to highest; multi-label the labels; empty for
        regression.
    positive
        The positive class of a binary target; the second class when None.

    Raises
    ------
    InputError
        When the task is unknown or the classes do not fit it.
    """

    target: str
    task: str
    classes: tuple[str, ...] = ()
    positive: str | None = None

    def __post_init__(self) -> None:
        where = f"target {self.target!r}"
        if self.task not in TASKS:
            raise InputError(f"unknown task {self.task!r}", where=where, fix=f"use one of {', '.join(TASKS)}")
        if len(set(self.classes)) < len(self.classes):
            raise InputError("a class is named twice", where=where, fix="give every class its own name")
        least = {"regression": 0, "multilabel": 1}.get(self.task, 2)
        if len(self.classes) < least or (self.task == "binary" and len(self.classes) != 2):
            needed = "exactly 2" if self.task == "binary" else f"at least {least}"
            raise InputError(
                f"{len(self.classes)} classes for the task {self.task}", where=where, fix=f"name {needed} of them"
            )
        if self.task == "binary" and self.positive is not None and self.positive not in self.classes:
            raise InputError(
                f"the positive class {self.positive!r} is not among the classes",
                where=where,
                fix=f"use one of {', '.join(self.classes)}",
            )

    @property
    def positive_index(self) -> int:
        """Index of the positive class of a binary target."""
        return self.classes.index(self.positive) if self.positive is not None else 1

    @property
    def targets(self) -> tuple[str, ...]:
        """Values of the predictions' column ``target``."""
        return self.classes if self.task == "multilabel" else (self.target,)

    def label(self, name: str) -> Question:
        """Return the binary question of one label of a multi-label target."""
        return Question(name, "binary", (ABSENT, PRESENT), PRESENT)


def figure_class(name: str) -> str:
    """Return a class name as it stands in a figure's name: percent-encoded, and never the word ``macro``."""
    return "%6Dacro" if name == "macro" else encode_class(name)
