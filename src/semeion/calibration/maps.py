"""Recalibration maps as they are applied: small values that can be written down, the same for weighing and in use.

They are fitted in :mod:`semeion.evidence.calibration.maps`. No map turns the order of two cases round, and none makes
two cases equal but beyond the resolution of a network's output: figures of ranking are the same before and after.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, ClassVar, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from semeion.calibration import apply_temperature, apply_temperatures, log_probability, logit
from semeion.errors import InputError, nearest

Array = NDArray[np.float64]
LARGEST = 1e6
"""Largest size of a number of a map: beyond, its sums could leave what a float holds."""
MOST_POINTS = 10_000
"""Points of an isotonic map."""
TILT = 1e-3
"""Share of the uncalibrated probability in an isotonic map: it keeps apart what regression makes equal."""
_WHERE = "recalibration"


class Map(Protocol):
    """Probabilities in, probabilities out."""

    kind: ClassVar[str]

    def apply(self, p: ArrayLike) -> Array:
        """Return the recalibrated probabilities, of the same shape."""
        ...

    def to_json(self) -> dict[str, Any]:
        """Return what :func:`map_from_json` reads."""
        ...


class _Written:
    kind: ClassVar[str]

    def to_json(self) -> dict[str, Any]:
        """Return ``{kind, ...}``, plain numbers and lists."""
        values = {name: list(value) if isinstance(value, tuple) else value for name, value in vars(self).items()}
        return {"kind": self.kind, **values}


@dataclass(frozen=True)
class Identity(_Written):
    """The probabilities as they are: ``(cases,)`` or ``(cases, classes)``."""

    kind: ClassVar[str] = "identity"

    def apply(self, p: ArrayLike) -> Array:
        """Return a copy."""
        return np.array(p, dtype=np.float64)


@dataclass(frozen=True)
class Temperature(_Written):
    """``sigmoid(logit(p) / value)``; of ``(cases, classes)`` ``softmax(log(p) / value)`` (Guo et al., ICML 2017)."""

    kind: ClassVar[str] = "temperature"
    value: float

    def __post_init__(self) -> None:
        _above(self.value, 0, "temperature", "value")
        if self.value < 1 / LARGEST:
            raise InputError(
                f"value is {self.value}", where="map temperature", fix=f"give a number of at least {1 / LARGEST:g}"
            )

    def apply(self, p: ArrayLike) -> Array:
        """Return the probabilities at this temperature."""
        values = np.asarray(p, dtype=np.float64)
        if values.ndim == 2:
            return apply_temperature(values, self.value)
        return apply_temperatures(values, self.value)


@dataclass(frozen=True)
class Platt(_Written):
    """``sigmoid(slope * logit(p) + intercept)``, ``(cases,)`` (Platt 1999, on the logit of a probability)."""

    kind: ClassVar[str] = "platt"
    slope: float
    intercept: float

    def __post_init__(self) -> None:
        _above(self.slope, 0, "platt", "slope")
        _above(self.intercept, -math.inf, "platt", "intercept")

    def apply(self, p: ArrayLike) -> Array:
        """Return the recalibrated probability of the positive class."""
        return sigmoid(self.slope * logit(p) + self.intercept)


@dataclass(frozen=True)
class Beta(_Written):
    """``sigmoid(a * log(p) - b * log(1 - p) + c)`` with a and b of 0 or more, not both 0, ``(cases,)``.

    Source: Kull, Silva Filho and Flach, AISTATS 2017. With ``a = b`` it is Platt's map on the logit.
    """

    kind: ClassVar[str] = "beta"
    a: float
    b: float
    c: float

    def __post_init__(self) -> None:
        for name in ("a", "b"):
            if not getattr(self, name) >= 0:
                raise InputError(f"{name} is {getattr(self, name)}", where="map beta", fix="give a number of 0 or more")
            _above(getattr(self, name), -math.inf, "beta", name)
        if self.a + self.b == 0:
            raise InputError("a + b is 0.0", where="map beta", fix="give a finite number above 0")
        _above(self.c, -math.inf, "beta", "c")

    def apply(self, p: ArrayLike) -> Array:
        """Return the recalibrated probability of the positive class."""
        values = np.asarray(p, dtype=np.float64)
        return sigmoid(self.a * log_probability(values) - self.b * log_probability(1 - values) + self.c)


@dataclass(frozen=True)
class Isotonic(_Written):
    """Straight lines between the points `x`, `y`, level beyond the outermost, and a trace of `p` itself, ``(cases,)``.

    Source: Zadrozny and Elkan, KDD 2002; the points are the first and last probability of each pooled block. Pooled
    cases would be equal, which changes every figure of ranking, so that :data:`TILT` of the uncalibrated probability is
    kept: it moves no probability by more than that.
    """

    kind: ClassVar[str] = "isotonic"
    x: tuple[float, ...]
    y: tuple[float, ...]

    def __post_init__(self) -> None:
        x, y = np.array(self.x, dtype=np.float64), np.array(self.y, dtype=np.float64)
        inside = len(x) == len(y) > 0 and bool(((x >= 0) & (x <= 1)).all() and ((y >= 0) & (y <= 1)).all())
        if not (inside and bool((np.diff(x) > 0).all() and (np.diff(y) >= 0).all())):
            raise InputError(
                "the points are not rising from 0 to 1", where="map isotonic", fix="give x and y of equal length"
            )
        if len(x) > MOST_POINTS:
            raise InputError(f"{len(x)} points", where="map isotonic", fix=f"give at most {MOST_POINTS}")

    def apply(self, p: ArrayLike) -> Array:
        """Return the recalibrated probability of the positive class."""
        values = np.asarray(p, dtype=np.float64)
        return np.asarray((1 - TILT) * np.interp(values, self.x, self.y) + TILT * values, dtype=np.float64)


MAPS: dict[str, type[Identity] | type[Temperature] | type[Platt] | type[Beta] | type[Isotonic]] = {
    each.kind: each for each in (Identity, Temperature, Platt, Beta, Isotonic)
}
"""By kind, from the simplest to the most flexible."""


def map_from_json(written: Mapping[str, Any]) -> Map:
    """Return the map that `to_json` wrote.

    Raises
    ------
    InputError
        For an unknown kind, missing or further keys, and numbers that are no map.
    """
    kind = written.get("kind")
    if not isinstance(kind, str) or kind not in MAPS:
        raise InputError(
            f"unknown map {kind!r}{nearest(str(kind), MAPS)}", where=_WHERE, fix=f"use one of {', '.join(MAPS)}"
        )
    names = {field.name for field in fields(MAPS[kind])}
    given = set(written) - {"kind"}
    if names != given:
        wrong = ", ".join(sorted(names ^ given))
        raise InputError(f"missing or unknown: {wrong}", where=f"map {kind}", fix="write the map with to_json")
    values: dict[str, Any] = {}
    for name in names:
        several = kind == "isotonic" and isinstance(written[name], list | tuple)
        numbers = written[name] if several else [written[name]]
        if (kind == "isotonic") != several or not all(_is_number(value) for value in numbers):
            raise InputError("a value is not a number", where=f"map {kind}", fix="write the map with to_json")
        values[name] = tuple(map(float, numbers)) if several else float(numbers[0])
    return MAPS[kind](**values)


def apply_to_classes(p: ArrayLike, by: Map) -> Array:
    """Return the recalibrated probabilities of all classes, ``(cases, classes)``.

    Of two classes a map speaks of the second, and the first has the rest.
    """
    values = np.asarray(p, dtype=np.float64)
    if isinstance(by, Identity | Temperature):
        return by.apply(values)
    if values.shape[1] != 2:
        raise ValueError(f"the map {by.kind} takes the probability of one class, and there are {values.shape[1]}")
    second = by.apply(values[:, 1])
    return np.column_stack([1 - second, second])


def _is_number(value: Any) -> bool:
    whole = isinstance(value, int) and not isinstance(value, bool) and abs(value) < 10**300
    return whole or isinstance(value, float)


def _above(value: float, bound: float, kind: str, name: str) -> None:
    if not (math.isfinite(value) and value > bound and abs(value) <= LARGEST):
        what = "a finite number" if bound == -math.inf else f"a finite number above {bound:g}"
        if math.isfinite(value) and abs(value) > LARGEST:
            what = f"a number of at most {LARGEST:g} in size"
        raise InputError(f"{name} is {value}", where=f"map {kind}", fix=f"give {what}")


def sigmoid(x: Array) -> Array:
    """Return ``1 / (1 + exp(-x))`` without overflow."""
    return np.asarray(np.exp(-np.logaddexp(0, -x)), dtype=np.float64)
