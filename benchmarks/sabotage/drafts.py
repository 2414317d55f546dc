"""A cohort before it is written: a table, its pictures, and what was done to it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pandas as pd

Picture = npt.NDArray[Any]
Rng = np.random.Generator
Half = Literal["set", "publish"]
Road = Literal["check", "evaluate", "train", "reread", "full"]
Must = Literal["void", "warn"]

HALVES: tuple[Half, ...] = ("set", "publish")
LEVELS = ("strong", "middle", "weak")
"""From the most blatant to the faintest."""


@dataclass(frozen=True)
class Draft:
    """A cohort that is not on disk yet; row k of the table has picture k.

    Attributes
    ----------
    table
        ``case_id patient_id finding`` and other columns, without ``image`` and ``mask``.
    pictures
        Grey, ``(rows, columns)``, uint8 or uint16.
    positive
        The positive class.
    formats
        How each is stored: ``png``, ``jpg:QUALITY``, ``dcm:STUDY_UID`` or ``broken:HOW``.
    masks
        Uint8, 0 or 255, of the same sizes; none, or one a picture.
    stems
        Names of the files without suffix; running numbers when empty.
    strays
        Pictures that lie beside the others and that no row names.
    planted
        Ids of the cases that were tampered with one by one: an audit that lists cases should list these.
    options
        Further words for the command line.
    """

    table: pd.DataFrame
    pictures: tuple[Picture, ...]
    positive: str
    formats: tuple[str, ...]
    masks: tuple[Picture, ...] = ()
    stems: tuple[str, ...] = ()
    strays: tuple[Picture, ...] = ()
    planted: frozenset[str] = frozenset()
    options: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.table)

    @property
    def is_positive(self) -> npt.NDArray[np.bool_]:
        """Which cases have the positive class."""
        return (self.table["finding"] == self.positive).to_numpy(dtype=bool)

    def rows(self, split: str | None = None, *, positive: bool | None = None) -> npt.NDArray[np.int64]:
        """Return row numbers of a split (all without one) and of a class (both without one)."""
        chosen = np.ones(len(self), dtype=bool)
        if split is not None and "split" in self.table:
            chosen &= (self.table["split"] == split).to_numpy(dtype=bool)
        if positive is not None:
            chosen &= self.is_positive == positive
        return np.flatnonzero(chosen)

    def ids(self, rows: npt.NDArray[np.int64]) -> list[str]:
        """Return the case ids of `rows`."""
        return self.table["case_id"].iloc[rows].astype(str).tolist()

    def with_columns(self, **columns: Any) -> Draft:
        """Return the draft with new or other columns."""
        return replace(self, table=self.table.assign(**columns))

    def with_pictures(self, pictures: Mapping[int, Picture], formats: Mapping[int, str] | None = None) -> Draft:
        """Return the draft with other pictures, and formats, in some rows."""
        new, stored = list(self.pictures), list(self.formats)
        for row, picture in pictures.items():
            new[row] = picture
        for row, name in (formats or {}).items():
            stored[row] = name
        return replace(self, pictures=tuple(new), formats=tuple(stored))

    def taking(self, rows: npt.NDArray[np.int64]) -> Draft:
        """Return the draft of these rows alone, in their order and with new case ids."""
        table = self.table.iloc[rows].reset_index(drop=True)
        table["case_id"] = [f"c{number:04d}" for number in range(len(rows))]
        if self.planted or self.stems:
            raise ValueError("rows are taken before anything else is done")
        return replace(
            self,
            table=table,
            pictures=tuple(self.pictures[row] for row in rows),
            formats=tuple(self.formats[row] for row in rows),
            masks=tuple(self.masks[row] for row in rows) if self.masks else (),
        )

    def planting(self, rows: npt.NDArray[np.int64]) -> Draft:
        """Return the draft with `rows` named as tampered with."""
        return replace(self, planted=self.planted | set(self.ids(rows)))


@dataclass(frozen=True)
class Strength:
    """How much is spoiled.

    Attributes
    ----------
    words
        For the published table.
    value
        For the function that spoils.
    must
        The least verdict that counts as caught; ``void`` where INTERFACES says void.
    """

    words: str
    value: Any = None
    must: Must = "warn"


def strengths(words: str, values: Sequence[Any], must: Must = "warn", *, one: str = "") -> tuple[Strength, ...]:
    """Return a strength for each value, which `words` have a place for; `one` are the words of the value 1."""
    return tuple(Strength(one if one and value == 1 else words.format(value), value, must) for value in values)


def as_it_is(draft: Draft, _value: Any, _rng: Rng) -> Draft:
    """Spoil nothing."""
    return draft


@dataclass(frozen=True)
class Kind:
    """One way to spoil a cohort.

    Attributes
    ----------
    name
        Of the kind.
    how
        What is done, in words.
    audit
        The audit that must catch it; None of a clean cohort.
    base
        Makes the cohort before it is spoiled, from the half and a random stream.
    spoil
        Spoils it; given the draft, a strength's value and a random stream.
    strengths
        From the most blatant to the faintest.
    road
        Which commands read it: ``check``; ``evaluate``, by a model of clean cases; ``train``; ``reread``, a run whose
        test cases are read again; ``full``, a run and ``audit --full``.
    fault
        Of the roads ``reread`` and ``full``: the pipeline's fault, by its name in :mod:`benchmarks.sabotage.faults`.
    plan
        Of the roads that train: how many members learn how long, for :func:`benchmarks.sabotage.plans.make_plan`.
    """

    name: str
    how: str
    audit: str | None
    base: Callable[[Half, Rng], Draft]
    strengths: tuple[Strength, ...]
    spoil: Callable[[Draft, Any, Rng], Draft] = as_it_is
    road: Road = "check"
    fault: str = ""
    plan: Mapping[str, Any] = field(default_factory=dict)
