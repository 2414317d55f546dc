"""How many cases an interval of a wanted width would need, and how wide the present one is.

After Riley et al., Statistics in Medicine 40:4230 (2021): the size of a validation follows from how exact its figures
are to be. There and here the standard error of an area is that of Hanley and McNeil, Radiology 143:29 (1982), with
Newcombe's mean class size (Statistics in Medicine 25:559, 2006, method 4).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from semeion.evidence.intervals.proportions import wilson

_Z = 1.959963984540054
MOST_CASES = 10_000_000


@dataclass(frozen=True)
class Wanted:
    """Cases that an interval of a width needs.

    Attributes
    ----------
    figure
        Of which figure.
    value
        That is expected: the present one.
    low, high, width
        Of the interval that the cases there are would give by the same formula.
    cases
        There are, by class (or ``all``), and of the class that the figure is of alone.
    needed
        In the same classes; None where no number does.
    n, n_needed
        All cases, in the mix of classes that there is.
    method
        Formula and source.
    reason
        Why something is missing.
    """

    figure: str
    value: float
    low: float
    high: float
    width: float
    cases: dict[str, int]
    needed: dict[str, int] | None
    n: int
    n_needed: int | None
    method: str
    reason: str = ""

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return asdict(self)


def area_variance(area: float, positives: float, negatives: float) -> float:
    """Return the variance of an area under the ROC curve (Hanley and McNeil 1982; Newcombe 2006, method 4).

    Parameters
    ----------
    area
        0 to 1.
    positives, negatives
        Cases of each class, above 0.
    """
    spare = (positives + negatives) / 2 - 1
    return area * (1 - area) * (1 + spare * ((1 - area) / (2 - area) + area / (1 + area))) / (positives * negatives)


def logit_interval(area: float, variance: float) -> tuple[float, float]:
    """Return the 95 % interval of an area, normal about its logit (Pepe 2003, section 5.2)."""
    if not 0 < area < 1:
        return area, area
    middle, half = math.log(area / (1 - area)), _Z * math.sqrt(variance) / (area * (1 - area))
    return 1 / (1 + math.exp(min(half - middle, 700.0))), 1 / (1 + math.exp(max(-half - middle, -700.0)))


def wanted_area(
    area: float, observed: float | None, classes: tuple[str, str], counts: tuple[int, int], width: float
) -> Wanted:
    """Return the cases that an interval of the AUROC of a width needs.

    The formula knows areas of one shape of curve and cases that are each a patient. Where the variance was observed,
    the formula is multiplied by how far it lay off, and so carries shape and clustering on to other numbers.

    Parameters
    ----------
    area
        Expected, 0 to 1.
    observed
        Variance of the area on the present cases; None where there is none.
    classes, counts
        Names and numbers of positive and negative cases.
    width
        Wanted, from low to high end.
    """
    # An area of 1 has no variance by any formula; half a pair that is lost stands for what was not seen.
    expected = min(max(area, 0.5 / (counts[0] * counts[1])), 1 - 0.5 / (counts[0] * counts[1]))
    formula = area_variance(expected, *counts)
    factor = observed / formula if observed and observed > 0 else 1.0
    share = counts[0] / sum(counts)

    def ends(n: float) -> tuple[float, float]:
        return logit_interval(expected, factor * area_variance(expected, max(n * share, 1), max(n * (1 - share), 1)))

    low, high = ends(sum(counts))
    needed = _fewest(lambda n: _width(ends(n)), width)
    split = None if needed is None else _shared(needed, classes, share)
    method = "Hanley and McNeil 1982 with Newcombe 2006 as in Riley et al. 2021, interval about the logit"
    if observed:
        method += f"; variance times {factor:.2f}, as observed"
    return Wanted(
        "auroc", area, low, high, high - low, dict(zip(classes, counts, strict=True)), split, sum(counts),
        None if split is None else sum(split.values()), method, _reason(needed, width),
    )  # fmt: skip


def wanted_share(figure: str, share: float, of: str, cases: int, effective: float, n: int, width: float) -> Wanted:
    """Return the cases that a Wilson interval of a share (sensitivity, specificity, accuracy) of a width needs.

    Parameters
    ----------
    figure, share
        Its name, and the share that is expected.
    of, cases, effective
        The class that the share is of, its cases, and how many independent ones they count as.
    n
        All cases: more of them have more of the class in the same mix.
    width
        Wanted, from low to high end.
    """
    design = max(cases / effective, 1.0) if effective > 0 else 1.0

    def ends(count: float) -> tuple[float, float]:
        independent = count / design
        low, high = wilson(np.array([share * independent]), np.array([independent]))
        return float(low[0]), float(high[0])

    low, high = ends(cases)
    needed = _fewest(lambda count: _width(ends(count)), width)
    method = "Wilson 1927"
    if design > 1.005:
        method += f", {cases} cases counting as {effective:.1f} as patients have several"
    total = None if needed is None else math.ceil(needed * n / cases)
    return Wanted(
        figure, share, low, high, high - low, {of: cases}, None if needed is None else {of: needed}, n, total,
        method, _reason(needed, width),
    )  # fmt: skip


def wanted_root(figure: str, value: float, low: float, high: float, n: int, width: float) -> Wanted:
    """Return the cases that the interval of any other figure needs: its width falls with the root of the cases.

    Parameters
    ----------
    figure, value, low, high, n
        The present figure, its 95 % interval over patients, and its cases.
    width
        Wanted, from low to high end.
    """
    present = high - low
    needed = math.ceil(n * (present / width) ** 2) if present > 0 else n
    kept = needed if needed <= MOST_CASES else None
    method = "present bootstrap interval over patients, its width falling with the root of the cases"
    return Wanted(
        figure, value, low, high, present, {"all": n}, None if kept is None else {"all": kept}, n, kept, method,
        _reason(kept, width),
    )  # fmt: skip


def _width(ends: tuple[float, float]) -> float:
    return ends[1] - ends[0]


def _fewest(width_of: Callable[[float], float], width: float) -> int | None:
    """Return the smallest whole number whose width is at most the wanted one; None beyond `MOST_CASES`."""
    if width_of(MOST_CASES) > width:
        return None
    low, high = 1, MOST_CASES
    while low < high:
        middle = (low + high) // 2
        if width_of(middle) <= width:
            high = middle
        else:
            low = middle + 1
    return low


def _shared(n: int, classes: tuple[str, str], share: float) -> dict[str, int]:
    return {classes[0]: max(1, math.ceil(n * share)), classes[1]: max(1, math.ceil(n * (1 - share)))}


def _reason(needed: int | None, width: float) -> str:
    return "" if needed is not None else f"no number of cases up to {MOST_CASES:,} gives a width of {width:g}"
