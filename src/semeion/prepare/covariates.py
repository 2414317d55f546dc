"""What is known of a patient besides images (age, sex, laboratory values) as numbers, alike in training and in use.

An :class:`Encoding` is fitted on learning cases, ships as JSON and is evaluated with numpy alone. It holds rounded
quantiles and the names of levels that at least five patients share, and so nothing of any single patient.
"""

from __future__ import annotations

import re
from collections.abc import Container, Mapping, Sequence
from typing import Annotated, Any, Literal

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field, model_validator

from semeion.cohort.words import MISSING, presence
from semeion.errors import InputError

Floats = npt.NDArray[np.float64]
Kind = Literal["number", "yes-no", "levels"]
Values = Sequence[Any]
"""One column: a value a case, as the table has it."""

MAX_COLUMNS = 100
MAX_LEVELS = 30
LEAST_PATIENTS = 5
"""Levels of fewer training patients are not named, so that no name leads to one of them."""
FAR = 0.5
"""A number is far when it lies this share of the usual range (5th to 95th percentile) outside it; there it is cut."""
FAR_FROM_ONE = 2.0
"""The same where the usual range has no width: times the fifth largest distance from it (of fewer than ten patients,
the median distance)."""
SHOWN = 40
"""Letters of a value that a reason shows."""

_NUMBER = re.compile(r"[+-]?(\d{1,15}(\.\d*)?|\.\d+)([eE][+-]?\d{1,2})?")

Name = Annotated[str, Field(min_length=1, max_length=100)]
Level = Annotated[str, Field(min_length=1, max_length=80)]


def text_of(value: Any) -> str | None:
    """Return what a cell says, without spaces around it and numbers written one way; None when it is missing."""
    if value is None:
        return None
    if isinstance(value, bool | np.bool_):
        return "yes" if value else "no"
    if isinstance(value, int | float | np.integer | np.floating):
        try:
            number = float(value)
        except OverflowError:  # a whole number beyond any measurement
            return None
        return f"{number:.15g}" if np.isfinite(number) else None
    text = " ".join(str(value).split())
    if text.lower() in MISSING or text == "NaT":
        return None
    return f"{float(text):.15g}" if _NUMBER.fullmatch(text) else text


def number_of(value: Any) -> float | None:
    """Return the number that a cell holds; NaN when it is missing, None when it is no number."""
    if isinstance(value, bool | np.bool_):
        return float(value)
    text = text_of(value)
    if text is None:
        return float("nan")
    return float(text) if _NUMBER.fullmatch(text) else None


def same(text: str) -> str:
    """Return what levels are compared by: their text without case."""
    return text.casefold()


class Part(BaseModel):
    """Read as hostile input: unknown keys, NaN and infinities are refused; values do not change."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False, populate_by_name=True)


class Number(Part):
    """A number in the unit that the table has.

    Attributes
    ----------
    fill
        About the median, which stands for a missing value.
    low, high
        About the 5th and 95th percentile: the usual range. All three are rounded to numbers that at least five patients
        share, see :func:`semeion.prepare.covariate_fit.shared_quantile`.
    margin
        How far outside the usual range a number is far; there it is cut.
    """

    kind: Literal["number"] = "number"
    name: Name
    fill: float
    low: float
    high: float
    margin: Annotated[float, Field(ge=0)]

    @property
    def features(self) -> tuple[str, ...]:
        """Names of its features: the number, and whether it is missing."""
        return (self.name, f"{self.name}: (missing)")

    def encode(self, values: Values) -> Floats:
        """Return ``(N, 2)``; what is no number counts as missing."""
        numbers = np.array([number_of(value) for value in values], dtype=np.float64).reshape(len(values))
        absent = np.isnan(numbers)
        cut = np.clip(numbers, self.low - self.margin, self.high + self.margin)
        return np.stack([np.where(absent, self.fill, cut), absent.astype(np.float64)], axis=1)

    def remark(self, value: Any) -> str | None:
        """Return the coded warning about one value."""
        number = number_of(value)
        if number is None:
            return f"covariate-missing: {self.name} {_shown(value)} is no number, the median stands in"
        if np.isnan(number):
            return f"covariate-missing: {self.name}, the median stands in"
        if not self.low - self.margin <= number <= self.high + self.margin:
            return f"covariate-far: {self.name} {number:.6g}, trained on {self.low:.4g} to {self.high:.4g}"
        return None


class YesNo(Part):
    """A yes or a no, in whatever words the tables say it (yes, true, 1, positive, present)."""

    kind: Literal["yes-no"] = "yes-no"
    name: Name

    @property
    def features(self) -> tuple[str, ...]:
        """Names of its features: yes, missing, neither."""
        return (self.name, f"{self.name}: (missing)", f"{self.name}: (other)")

    def encode(self, values: Values) -> Floats:
        """Return ``(N, 3)``: 1 for yes, and 0.5 with its mark when it is missing or says neither."""
        out = np.zeros((len(values), 3))
        for row, value in enumerate(values):
            text = text_of(value)
            said = None if text is None else presence(text)
            if said is None:
                out[row] = (0.5, text is None, text is not None)
            else:
                out[row, 0] = said
        return out

    def remark(self, value: Any) -> str | None:
        """Return the coded warning about one value."""
        text = text_of(value)
        if text is None:
            return f"covariate-missing: {self.name}"
        return None if presence(text) is not None else f"covariate-unseen: {self.name} {_shown(text)} is no yes or no"


class Levels(Part):
    """One of several levels.

    Attributes
    ----------
    levels
        Those of at least five training patients, compared without case. All others are one level, ``(other)``:
        whether one of them was seen in training cannot be told.
    """

    kind: Literal["levels"] = "levels"
    name: Name
    levels: Annotated[list[Level], Field(max_length=MAX_LEVELS)]

    @property
    def features(self) -> tuple[str, ...]:
        """Names of its features: one a level, then missing and other."""
        return tuple(f"{self.name}: {level}" for level in (*self.levels, "(missing)", "(other)"))

    def encode(self, values: Values) -> Floats:
        """Return ``(N, levels + 2)``: a one in the column of the level, of missing or of other."""
        place = {same(level): at for at, level in enumerate(self.levels)}
        out = np.zeros((len(values), len(self.levels) + 2))
        for row, value in enumerate(values):
            text = text_of(value)
            out[row, len(place) if text is None else place.get(same(text), len(place) + 1)] = 1.0
        return out

    def remark(self, value: Any) -> str | None:
        """Return the coded warning about one value."""
        text = text_of(value)
        if text is None:
            return f"covariate-missing: {self.name}"
        if same(text) in {same(level) for level in self.levels}:
            return None
        return f"covariate-unseen: {self.name} {_shown(text)}, trained on {', '.join(self.levels) or 'none by name'}"


AnyColumn = Number | YesNo | Levels
Column = Annotated[AnyColumn, Field(discriminator="kind")]


class Encoding(Part):
    """Covariates as features of a learner.

    Attributes
    ----------
    columns
        How each column of the table becomes features, in order.
    """

    schema_version: Literal[1] = Field(default=1, alias="schema")
    columns: Annotated[list[Column], Field(min_length=1, max_length=MAX_COLUMNS)]

    @model_validator(mode="after")
    def _apart(self) -> Encoding:
        if len({column.name for column in self.columns}) != len(self.columns):
            raise ValueError("a covariate is named twice")
        if len(set(self.features)) != len(self.features):
            raise ValueError("two features have the same name")
        return self

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the columns."""
        return tuple(column.name for column in self.columns)

    @property
    def features(self) -> tuple[str, ...]:
        """Names of the features, in the order of :meth:`encode`."""
        return tuple(feature for column in self.columns for feature in column.features)

    @property
    def owner(self) -> npt.NDArray[np.int64]:
        """Number of the column that each feature belongs to, ``(F,)``."""
        return np.repeat(np.arange(len(self.columns)), [len(column.features) for column in self.columns])

    def encode(self, rows: Mapping[str, Values]) -> Floats:
        """Return the features of cases.

        Parameters
        ----------
        rows
            The values of each column by its name, one a case, as the table has them: numbers, texts, None or NaN.

        Returns
        -------
        numpy.ndarray
            float64 ``(N, F)``, never NaN.

        Raises
        ------
        InputError
            When a column is missing; the message names it.
        """
        refuse_absent(self.names, rows)
        return np.concatenate([column.encode(rows[column.name]) for column in self.columns], axis=1)

    def by_column(self, added: Floats) -> Floats:
        """Return what each column added, ``(N, columns, K)``, from what each feature added, ``(N, F, K)``."""
        out = np.zeros((added.shape[0], len(self.columns), added.shape[2]))
        for feature, column in enumerate(self.owner):
            out[:, column] += added[:, feature]
        return out


def refuse_absent(names: Sequence[str], rows: Container[str], where: str = "the table") -> None:
    """Refuse rows that lack a covariate.

    Raises
    ------
    InputError
        Naming every one that is missing.
    """
    absent = [name for name in names if name not in rows]
    if absent:
        raise InputError(
            f"the model needs the covariate{'s' * (len(absent) > 1)} {', '.join(absent)}",
            where=where,
            fix=f"give a table with the columns {', '.join(names)}; single values may be missing",
        )


def refuse_unread(columns: Sequence[AnyColumn], rows: Mapping[str, Values], where: str) -> None:
    """Refuse a column of numbers in which nothing is a number, and one of yes and no that says neither anywhere.

    A single such value is a warning of its case, also where that case comes alone; a whole column of them is another
    column of the same name.

    Raises
    ------
    InputError
        Naming the column.
    """
    for column in columns:
        known = [value for value in rows[column.name] if text_of(value) is not None]
        read: list[Any] = []
        if column.kind == "number":
            read = [value for value in known if number_of(value) is not None]
        elif column.kind == "yes-no":
            read = [value for value in known if presence(str(text_of(value))) is not None]
        if len(rows[column.name]) > 1 and known and not read and column.kind != "levels":
            what = "a number" if column.kind == "number" else "yes or no"
            raise InputError(
                f"the covariate {column.name!r} was {what} in training, and no value here is (first: "
                f"{_shown(known[0])})",
                where=where,
                fix="give it as the training table had it",
            )


def covariate_remarks(columns: Sequence[AnyColumn], row: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the coded warnings about the covariates of one case, each ``code: text``."""
    said = (column.remark(row.get(column.name)) for column in columns)
    return tuple(text for text in said if text is not None)


def _shown(value: Any) -> str:
    text = str(value)
    return repr(text if len(text) <= SHOWN else text[: SHOWN - 3] + "...")
