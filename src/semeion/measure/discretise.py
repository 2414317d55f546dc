"""Intensities to grey levels before texture is measured, by the IBSI reference manual, chapter 2.7."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from semeion.errors import InputError

MOST_LEVELS = 1024
"""More grey levels than this say nothing about texture and cost memory by their square."""


@dataclass(frozen=True)
class Discretisation:
    """How intensities become grey levels from 1 on.

    Attributes
    ----------
    kind
        ``number``: so many bins of equal width between the region's least and largest intensity, for images without a
        scale (MR, ultrasound). ``size``: bins of a fixed width from a fixed lower bound, for physical units (CT, SUV).
    value
        The number of bins, a whole number, or the width of a bin in the image's unit.
    minimum
        Lower bound of the first bin for ``size``; None takes the region's least intensity, and then levels of different
        regions do not mean the same intensity.

    Raises
    ------
    InputError
        When the number or width makes no bins.
    """

    kind: Literal["number", "size"] = "number"
    value: float = 32
    minimum: float | None = None

    def __post_init__(self) -> None:
        if self.kind not in ("number", "size"):
            raise InputError(f"{self.kind!r} is no way to make bins", fix="take 'number' or 'size'")
        if self.kind == "number":
            if self.value != int(self.value) or not 2 <= self.value <= MOST_LEVELS:
                raise InputError(
                    f"{self.value:g} bins cannot be made", fix=f"take a whole number from 2 to {MOST_LEVELS}"
                )
            if self.minimum is not None:
                raise InputError(
                    "a fixed number of bins has no lower bound of its own", fix="leave the minimum away or fix the size"
                )
        elif not (np.isfinite(self.value) and self.value > 0):
            raise InputError(f"a bin cannot be {self.value:g} wide", fix="take a positive width in the image's unit")


@dataclass(frozen=True)
class Levels:
    """Grey levels of a region.

    Attributes
    ----------
    levels
        Of each intensity, in its order; int64 from 1.
    number
        Levels that could occur (N_g of the manual): the number of bins, or the highest level for a fixed bin size.
    """

    levels: npt.NDArray[np.int64]
    number: int


def discretise(values: npt.ArrayLike, how: Discretisation) -> Levels:
    """Return the grey levels of a region's intensities.

    Parameters
    ----------
    values
        Finite intensities, at least one.
    how
        Kind and size of the bins.

    Raises
    ------
    InputError
        When an intensity lies below the first bin, or the bins are more than `MOST_LEVELS`.
    """
    x = np.asarray(values, dtype=np.float64).ravel()
    least, most = float(x.min()), float(x.max())
    if how.kind == "number":
        bins = int(how.value)
        if most == least:
            return Levels(np.ones(x.shape, dtype=np.int64), bins)
        # The largest intensity belongs to the last bin, not to one of its own.
        levels = np.minimum(np.floor(bins * ((x - least) / (most - least))).astype(np.int64) + 1, bins)
        return Levels(levels, bins)
    start = least if how.minimum is None else how.minimum
    if least < start:
        raise InputError(
            f"an intensity of {least:g} lies below the first bin at {start:g}",
            fix="lower the minimum of the bins, or limit the mask to intensities above it",
        )
    count = np.floor((most - start) / how.value) + 1
    if count > MOST_LEVELS:
        raise InputError(
            f"bins of {how.value:g} from {start:g} to {most:g} make {count:.0f} grey levels, more than {MOST_LEVELS}",
            fix="take wider bins or a higher minimum",
        )
    return Levels(np.floor((x - start) / how.value).astype(np.int64) + 1, int(count))
