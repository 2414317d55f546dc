"""What a model is asked, as far as watching it needs to know: a manifest says it, and before it ships its parts do."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from semeion.model.manifest import OperatingPoint, Task


class Asks(Protocol):
    """A manifest, or what will be one."""

    @property
    def task(self) -> Task:
        """Binary, multiclass, multilabel, ordinal or regression."""

    @property
    def classes(self) -> Sequence[str]:
        """In the order of the probabilities; the labels of a multi-label model; empty for regression."""

    @property
    def positive(self) -> str | None:
        """The positive class of a binary model."""

    @property
    def operating_point(self) -> OperatingPoint | None:
        """By which it calls."""


@dataclass(frozen=True)
class Question:
    """The same as plain values."""

    task: Task
    classes: tuple[str, ...]
    positive: str | None
    operating_point: OperatingPoint | None
