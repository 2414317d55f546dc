"""Recalibration maps of probabilities: what makes them honest, as small values that can be written down.

All of the binary ones are fitted towards Platt's targets, ``(n1 + 1) / (n1 + 2)`` and ``1 / (n0 + 2)`` instead of 1 and
0, so that finitely many cases never make a map certain and separated classes have a finite fit (Platt, Advances in
Large Margin Classifiers, 1999). No map turns the order of two cases round; only isotonic regression makes some equal.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, ClassVar, Protocol, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from semeion.calibration import apply_temperature, apply_temperatures, log_probability, logit
from semeion.errors import InputError, nearest

Array = NDArray[np.float64]
FEWEST_CASES = 20
"""With fewer cases nothing is fitted, as for the temperature."""
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

    @classmethod
    def fit(cls, y: ArrayLike, p: ArrayLike) -> Self:  # noqa: ARG003
        """Return the map; there is nothing to fit."""
        return cls()

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

    @classmethod
    def fit(cls, y: ArrayLike, p: ArrayLike) -> Self:
        """Return the map by :func:`semeion.evidence.calibrate.fit_temperature`.

        Raises
        ------
        InputError
            Where that function leaves the temperature at 1 and says why.
        """
        from semeion.evidence.calibration.temperature import fit_temperature

        values = np.asarray(p, dtype=np.float64)
        fitted = fit_temperature(y, values if values.ndim == 2 else np.column_stack([1 - values, values]))
        if fitted.reason and fitted.value == 1:
            raise InputError(fitted.reason, where=_WHERE, fix="leave the probabilities as they are")
        return cls(fitted.value)

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

    @classmethod
    def fit(cls, y: ArrayLike, p: ArrayLike) -> Self:
        """Return the map of greatest likelihood for Platt's targets.

        Raises
        ------
        InputError
            With fewer than 20 cases, one class, probabilities that do not vary or that rank the classes the wrong way.
        """
        target, values = _fit_input(y, p)
        slope, intercept = _logistic(np.column_stack([logit(values), np.ones_like(values)]), target)
        _refuse_reversed(slope)
        return cls(slope, intercept)

    def apply(self, p: ArrayLike) -> Array:
        """Return the recalibrated probability of the positive class."""
        return _sigmoid(self.slope * logit(p) + self.intercept)


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
            if not (math.isfinite(getattr(self, name)) and getattr(self, name) >= 0):
                raise InputError(f"{name} is {getattr(self, name)}", where="map beta", fix="give a number of 0 or more")
        _above(self.a + self.b, 0, "beta", "a + b")
        _above(self.c, -math.inf, "beta", "c")

    @classmethod
    def fit(cls, y: ArrayLike, p: ArrayLike) -> Self:
        """Return the map of greatest likelihood for Platt's targets; a slope that would be below 0 is 0.

        Raises
        ------
        InputError
            With fewer than 20 cases, one class, probabilities that do not vary or that rank the classes the wrong way.
        """
        target, values = _fit_input(y, p)
        rise, fall, one = log_probability(values), -log_probability(1 - values), np.ones_like(values)
        a, b, c = _logistic(np.column_stack([rise, fall, one]), target)
        # The likelihood is concave, so where one slope alone is below 0 the best map allowed has it at 0.
        if a < 0 <= b:
            a, (b, c) = 0.0, _logistic(np.column_stack([fall, one]), target)
        elif b < 0 <= a:
            b, (a, c) = 0.0, _logistic(np.column_stack([rise, one]), target)
        _refuse_reversed(min(a, b) if min(a, b) < 0 else a + b)
        return cls(a, b, c)

    def apply(self, p: ArrayLike) -> Array:
        """Return the recalibrated probability of the positive class."""
        values = np.asarray(p, dtype=np.float64)
        return _sigmoid(self.a * log_probability(values) - self.b * log_probability(1 - values) + self.c)


@dataclass(frozen=True)
class Isotonic(_Written):
    """Straight lines between the points `x`, `y`, level beyond the outermost, ``(cases,)``.

    Source: Zadrozny and Elkan, KDD 2002; the points are the first and last probability of each pooled block.
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

    @classmethod
    def fit(cls, y: ArrayLike, p: ArrayLike) -> Self:
        """Return the monotone map with the least squared distance to Platt's targets, by pooling adjacent violators.

        Pooling commutes with shifting and scaling the truth, so this is the usual isotonic regression drawn in to
        Platt's targets. Equal probabilities are pooled first.

        Raises
        ------
        InputError
            With fewer than 20 cases, one class, probabilities that do not vary or that rank the classes the wrong way.
        """
        from scipy.optimize import isotonic_regression

        target, values = _fit_input(y, p)
        x, group, n = np.unique(values, return_inverse=True, return_counts=True)
        mean = np.bincount(group.reshape(-1), weights=target) / n
        fitted = np.asarray(isotonic_regression(mean, weights=n.astype(np.float64)).x, dtype=np.float64)
        if fitted[0] == fitted[-1]:
            _refuse_reversed(0.0)
        step = np.diff(fitted) > 0
        kept = np.append(True, step) | np.append(step, True)
        return cls(tuple(x[kept].tolist()), tuple(fitted[kept].tolist()))

    def apply(self, p: ArrayLike) -> Array:
        """Return the recalibrated probability of the positive class."""
        return np.asarray(np.interp(np.asarray(p, dtype=np.float64), self.x, self.y), dtype=np.float64)


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
    if kind not in MAPS:
        raise InputError(
            f"unknown map {kind!r}{nearest(str(kind), MAPS)}", where=_WHERE, fix=f"use one of {', '.join(MAPS)}"
        )
    names = {field.name for field in fields(MAPS[kind])}
    given = set(written) - {"kind"}
    if names != given:
        wrong = ", ".join(sorted(names ^ given))
        raise InputError(f"missing or unknown: {wrong}", where=f"map {kind}", fix="write the map with to_json")
    try:
        values = {
            name: tuple(float(v) for v in written[name]) if kind == "isotonic" else float(written[name])
            for name in names
        }
    except (TypeError, ValueError) as error:
        raise InputError("a value is not a number", where=f"map {kind}", fix="write the map with to_json") from error
    return MAPS[kind](**values)  # type: ignore[arg-type]


def _above(value: float, bound: float, kind: str, name: str) -> None:
    if not (math.isfinite(value) and value > bound):
        what = "a finite number" if bound == -math.inf else f"a finite number above {bound:g}"
        raise InputError(f"{name} is {value}", where=f"map {kind}", fix=f"give {what}")


def _refuse_reversed(slope: float) -> None:
    if slope <= 0:
        raise InputError(
            "the probabilities do not rank these cases the right way",
            where=_WHERE,
            fix="leave the probabilities as they are: a map would have to turn them round",
        )


def _fit_input(y: ArrayLike, p: ArrayLike) -> tuple[Array, Array]:
    """Return Platt's targets and the probabilities, checked."""
    truth, values = np.asarray(y, dtype=np.float64), np.asarray(p, dtype=np.float64)
    if values.ndim != 1 or truth.shape != values.shape:
        raise InputError(
            f"{truth.shape} labels for probabilities of shape {values.shape}",
            where=_WHERE,
            fix="give one label and one probability of the positive class a case",
        )
    if not np.isin(truth, (0, 1)).all():
        raise InputError("a label is neither 0 nor 1", where=_WHERE, fix="leave out cases without a label")
    if not ((values >= 0) & (values <= 1)).all():
        raise InputError("a probability is not between 0 and 1", where=_WHERE, fix="leave out failed cases")
    n, positives = len(truth), int(truth.sum())
    left = "leave the probabilities as they are"
    if n < FEWEST_CASES:
        raise InputError(f"only {n} cases, fewer than {FEWEST_CASES}", where=_WHERE, fix=left)
    if positives in (0, n):
        raise InputError("one class only among the cases", where=_WHERE, fix=left)
    if logit(values).max() - logit(values).min() < 1e-12:
        raise InputError("every case has the same probability", where=_WHERE, fix=left)
    return np.where(truth == 1, (positives + 1) / (positives + 2), 1 / (n - positives + 2)), values


def _logistic(design: Array, target: Array) -> tuple[float, ...]:
    """Return the coefficients of greatest likelihood for targets strictly between 0 and 1, by Newton with halving.

    Such targets make the loss strictly convex with a finite minimum wherever the columns differ. A trace of damping
    carries the steps over columns that are nearly the same; it does not move the minimum.
    """
    scale = np.abs(design).max(axis=0)
    scaled = design / np.where(scale > 0, scale, 1)
    at = np.zeros(design.shape[1])
    eta = scaled @ at

    def loss(eta: Array) -> float:
        return float((np.logaddexp(0, eta) - target * eta).sum())

    now = loss(eta)
    for _ in range(200):
        chance = _sigmoid(eta)
        gradient = scaled.T @ (target - chance)
        hessian = (scaled * (chance * (1 - chance))[:, None]).T @ scaled
        hessian.flat[:: len(at) + 1] += 1e-13 * np.trace(hessian) + 1e-300
        step = np.linalg.solve(hessian, gradient)
        while np.abs(step).max() > 1e-12 and not loss(scaled @ (at + step)) <= now:
            step = step / 2
        at = at + step
        eta = scaled @ at
        now = loss(eta)
        if np.abs(step).max() <= 1e-10 * max(1.0, float(np.abs(at).max())):
            break
    return tuple(float(value) for value in at / np.where(scale > 0, scale, 1))


def _sigmoid(x: Array) -> Array:
    return np.asarray(np.exp(-np.logaddexp(0, -x)), dtype=np.float64)
