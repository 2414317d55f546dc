"""Linear models that ship as plain arrays and are evaluated in numpy, with what each feature added to a finding.

One weight a feature and output: a shipped model needs no training package, and a person can read every weight.
"""

from __future__ import annotations

from typing import Annotated, Literal

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field, model_validator

from semeion.errors import InputError
from semeion.model.combine import Floats, from_logits

ROWS = 512
"""Cases that are judged together."""
MAX_FEATURES = 40_000
MAX_OUTPUTS = 1_000
MAX_WEIGHTS = 5_000_000

Name = Annotated[str, Field(min_length=1, max_length=200)]
# With these bounds no file and no float32 feature can make a score overflow.
Number = Annotated[float, Field(ge=-1e30, le=1e30)]
Scale = Annotated[float, Field(ge=1e-30, le=1e30)]
Row = Annotated[list[Number], Field(min_length=1, max_length=MAX_FEATURES)]
Link = Literal["softmax", "sigmoid", "identity", "ordered"]


class Linear(BaseModel):
    """A linear model of F features.

    A score is ``intercept + sum(coefficient * (feature - mean) / scale)``.

    Attributes
    ----------
    features
        Names of the features in the order of the columns, or only how many there are.
    mean, scale
        Of each feature, F numbers: what is subtracted, and what the rest is divided by.
    coefficients
        S rows of F numbers, one row a score.
    intercepts
        One a score. For ``ordered`` the K - 1 rising thresholds between the K grades.
    link
        ``softmax``: S = K scores are logits of classes. ``sigmoid``: each of S = K scores is the logit of a label.
        ``identity``: the score is the measured value. ``ordered``: one score (S = 1) on which the grades lie in order,
        ``P(grade <= k) = sigmoid(intercepts[k] - score)`` (proportional odds; McCullagh, 1980, "Regression models for
        ordinal data").
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    schema_version: Literal[1] = Field(default=1, alias="schema")
    features: (
        Annotated[list[Name], Field(min_length=1, max_length=MAX_FEATURES)]
        | Annotated[int, Field(ge=1, le=MAX_FEATURES)]
    )
    mean: Row
    scale: Annotated[list[Scale], Field(min_length=1, max_length=MAX_FEATURES)]
    coefficients: Annotated[list[Row], Field(min_length=1, max_length=MAX_OUTPUTS)]
    intercepts: Annotated[list[Number], Field(min_length=1, max_length=MAX_OUTPUTS)]
    link: Link

    @model_validator(mode="after")
    def _sound(self) -> Linear:
        width, rows = self.width, len(self.coefficients)
        if isinstance(self.features, list) and len(set(self.features)) != width:
            raise ValueError("a feature is named twice")
        if len(self.mean) != width or len(self.scale) != width:
            raise ValueError("mean and scale must hold one number a feature")
        if any(len(row) != width for row in self.coefficients):
            raise ValueError("coefficients must hold one number a feature in every row")
        if rows * width > MAX_WEIGHTS:
            raise ValueError(f"more than {MAX_WEIGHTS} coefficients")
        if self.link == "ordered":
            if rows != 1:
                raise ValueError("ordered grades have one row of coefficients")
            if any(b <= a for a, b in zip(self.intercepts, self.intercepts[1:], strict=False)):
                raise ValueError("the thresholds between ordered grades must rise")
        elif len(self.intercepts) != rows:
            raise ValueError("intercepts must hold one number a row of coefficients")
        if self.link == "softmax" and rows < 2:
            raise ValueError("softmax needs two rows of coefficients or more")
        return self

    @property
    def width(self) -> int:
        """Number of features F."""
        return self.features if isinstance(self.features, int) else len(self.features)

    @property
    def outputs(self) -> int:
        """Number of classes, grades, labels or values K."""
        return len(self.intercepts) + (self.link == "ordered")

    def to_json(self) -> str:
        """Return the file's text, without spaces: features may be thousands."""
        return self.model_dump_json(by_alias=True)


class LinearMember:
    """A linear model ready to judge; see :class:`Linear`."""

    def __init__(self, linear: Linear) -> None:
        self.linear = linear
        self._mean = np.array(linear.mean, dtype=np.float64)
        self._scale = np.array(linear.scale, dtype=np.float64)
        self._coefficients = np.array(linear.coefficients, dtype=np.float64)
        self._intercepts = np.array(linear.intercepts, dtype=np.float64)

    @property
    def slopes(self) -> Floats:
        """What one more of each feature adds to each score, float64 ``(S, F)``."""
        return np.asarray(self._coefficients / self._scale, dtype=np.float64)

    @property
    def usual(self) -> Floats:
        """The mean of each feature that is subtracted, float64 ``(F,)``."""
        return self._mean.copy()

    def scores(self, x: npt.ArrayLike) -> Floats:
        """Return the scores ``(N, S)`` of features ``(N, F)``, in float64: logits, values, or the place of a case on
        the scale of ordered grades.

        Raises
        ------
        ValueError
            When the features are not F.
        InputError
            When a feature is not a finite number.
        """
        table = np.asarray(x)
        if table.ndim == 2 and len(table) > ROWS:
            # In float64 thousands of features of thousands of cases would be several times the table.
            parts = (self._standard(table[first : first + ROWS], first) for first in range(0, len(table), ROWS))
            return np.concatenate([part @ self._coefficients.T + self._start() for part in parts])
        return np.asarray(self._standard(x) @ self._coefficients.T + self._start(), dtype=np.float64)

    def outputs(self, x: npt.ArrayLike) -> Floats:
        """Return probabilities or values ``(N, K)`` of features ``(N, F)``; raises as :meth:`scores`."""
        scores = self.scores(x)
        link = self.linear.link
        if link == "identity":
            return scores
        if link == "softmax":
            return from_logits(scores, "multiclass")
        if link == "sigmoid":
            return from_logits(scores, "multilabel")
        return ordered_probabilities(scores[:, 0], self._intercepts)

    def contributions(self, x: npt.ArrayLike) -> tuple[Floats, Floats]:
        """Say what each feature added to each score.

        Returns
        -------
        start
            ``(S,)``: the score of a case whose features are all at their mean.
        added
            ``(N, F, S)``: with `start` they sum to :meth:`scores` exactly.
        """
        return self._start(), self._standard(x)[:, :, None] * self._coefficients.T[None]

    def _start(self) -> Floats:
        return np.zeros(1) if self.linear.link == "ordered" else self._intercepts.copy()

    def _standard(self, x: npt.ArrayLike, before: int = 0) -> Floats:
        """Return the features standardised; `before` is how many rows of the table come before these."""
        table = np.asarray(x, dtype=np.float64)
        if table.ndim != 2 or table.shape[1] != len(self._mean):
            raise ValueError(f"features of shape {table.shape} do not fit {len(self._mean)} features")
        if not (known := np.isfinite(table)).all():
            row, column = (int(index) for index in np.argwhere(~known)[0])
            named = self.linear.features
            name = f"feature {column}" if isinstance(named, int) else f"feature {named[column]!r}"
            raise InputError(
                f"{name} is not a finite number in row {before + row}",
                where="features",
                fix="fill in what is missing first",
            )
        return np.asarray((table - self._mean) / self._scale, dtype=np.float64)


def ordered_probabilities(score: npt.ArrayLike, thresholds: npt.ArrayLike) -> Floats:
    """Return the probability of each grade ``(N, K)`` by proportional odds (McCullagh, 1980).

    Parameters
    ----------
    score
        Place of each case on the scale, ``(N,)``.
    thresholds
        The K - 1 rising thresholds.
    """
    limits = np.asarray(thresholds, dtype=np.float64)[None] - np.asarray(score, dtype=np.float64)[:, None]
    edge = np.full((len(limits), 1), np.inf)
    low, high = np.hstack([-edge, limits]), np.hstack([limits, edge])
    # sigmoid(high) - sigmoid(low), written so that it loses no digits where both are near one.
    p = _sigmoid(high) * _sigmoid(-low) * -np.expm1(low - high)
    return np.asarray(p / p.sum(axis=1, keepdims=True), dtype=np.float64)


def _sigmoid(values: Floats) -> Floats:
    small = np.exp(-np.abs(values))
    return np.asarray(np.where(values >= 0, 1.0, small) / (1.0 + small), dtype=np.float64)
