"""Black borders and collimation: how much of an image's edge carries no picture."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from semeion.prepare.levels import Pixels, seen_range

MARGIN = 0.01
"""Share of a side's length that is kept of a dark border, at least one pixel, since tissue may fade into it."""
_DARK = 0.05
"""A dark border stays within this share of the seen range above its darkest value (compression noise, scatter)."""
_EVEN = 0.01
"""A border that is not dark (a collimator's edge, a white frame) stays within this share of the seen range."""
_STEP = 0.2
"""The picture must rise above the border by this share of the seen range within a short reach, or nothing is cut."""
_SIDES = ("top", "bottom", "left", "right")
_SMALLEST = 8
"""No side of the picture is cut below this many pixels."""


class Box(NamedTuple):
    """Rows ``top`` to ``bottom`` and columns ``left`` to ``right``, the ends exclusive."""

    top: int
    bottom: int
    left: int
    right: int

    @property
    def area(self) -> int:
        """Pixels inside."""
        return (self.bottom - self.top) * (self.right - self.left)

    def of(self, pixels: Pixels) -> Pixels:
        """Return the part of `pixels` inside the box, as a view."""
        return pixels[self.top : self.bottom, self.left : self.right]


class _Lines(NamedTuple):
    """Per line of one orientation: smallest and largest value a channel, arrays ``(lines, channels)``."""

    low: npt.NDArray[Any]
    high: npt.NDArray[Any]

    def reversed(self) -> _Lines:
        """Return the lines from the other side."""
        return _Lines(self.low[::-1], self.high[::-1])


def find_borders(pixels: Pixels) -> Box:
    """Return the box of the picture within its border.

    A line belongs to a dark border when *every* pixel of it is at most 5 % of the seen range above the darkest
    value, and to another border (a collimator, a white frame) when every pixel of it is within 1 % of that border's
    value. So no pixel above the border's level is ever cut, a shadow that fades is not taken for a border (the picture
    must rise by 20 % of the seen range within 2 % of the side), and a margin of 1 % of the side is kept of a dark
    border. Frames within frames are followed four deep.

    Parameters
    ----------
    pixels
        Array ``(rows, columns, channels)``, finite.

    Returns
    -------
    Box
        The whole image when there is no border, or when less than 8 pixels of a side would be left.
    """
    rows, cols = pixels.shape[:2]
    whole = Box(0, rows, 0, cols)
    low, high = seen_range(pixels)
    span = high - low
    if not span > 0:
        return whole
    floor = float(pixels.min())
    if low - floor > _DARK * span:  # a few outliers (pepper, padding) do not define black
        floor = low
    # numpy reduces contiguous planes an order of magnitude faster than interleaved channels.
    planes = [np.ascontiguousarray(pixels[..., channel]) for channel in range(pixels.shape[2])]
    box = whole
    dark = dict.fromkeys(_SIDES, 0)  # lines of the dark border that lies next to the picture
    for _ in range(4):
        parts = [box.of(plane) for plane in planes]
        by_row, by_col = _lines(parts, 1), _lines(parts, 0)
        cuts: dict[str, tuple[int, bool]] = {}
        for side in _SIDES:
            lines = by_row if side in ("top", "bottom") else by_col
            cuts[side] = _border(lines.reversed() if side in ("bottom", "right") else lines, floor, span)
        cut = {side: width for side, (width, _) in cuts.items()}
        smaller = Box(
            box.top + cut["top"], box.bottom - cut["bottom"], box.left + cut["left"], box.right - cut["right"]
        )
        if smaller == box or min(smaller.bottom - smaller.top, smaller.right - smaller.left) < _SMALLEST:
            break
        box = smaller
        for side, (width, is_dark) in cuts.items():
            if width:
                dark[side] = dark[side] + width if is_dark else 0
    keep = {
        side: min(dark[side], max(1, round(MARGIN * (rows if side in ("top", "bottom") else cols)))) for side in dark
    }
    return Box(box.top - keep["top"], box.bottom + keep["bottom"], box.left - keep["left"], box.right + keep["right"])


def border_fraction(pixels: Pixels) -> float:
    """Return the share of the area that :func:`find_borders` leaves out, 0 to 1."""
    return 1.0 - find_borders(pixels).area / int(pixels.shape[0] * pixels.shape[1])


def _lines(planes: list[Pixels], axis: int) -> _Lines:
    """Return the extremes of every line across `axis`."""
    low = np.stack([plane.min(axis=axis) for plane in planes], axis=1)
    return _Lines(low, np.stack([plane.max(axis=axis) for plane in planes], axis=1))


def _border(lines: _Lines, floor: float, span: float) -> tuple[int, bool]:
    """Return how many lines from the first on are border, and whether it is a dark one."""
    low, high = lines.low.astype(np.float64), lines.high.astype(np.float64)
    count = len(low)
    reach = max(2, round(0.02 * count))
    dark = high.max(axis=1) <= floor + _DARK * span
    if dark[0]:
        width = _run(dark)
        # An even dark field and a shadow differ in how soon the picture begins behind them.
        rise = float(high[width : width + reach].max()) - floor if width < count else 0.0
        return (width, True) if rise >= _STEP * span else (0, True)
    same = ((high <= low[0] + _EVEN * span) & (low >= high[0] - _EVEN * span)).all(axis=1)
    width = _run(same) if same[0] else 0
    if width == count or width < max(2, 0.005 * count):
        return 0, False
    beyond = slice(width, width + reach)
    step = max(float(np.abs(high[beyond] - low[0]).max()), float(np.abs(low[beyond] - low[0]).max()))
    return (width, False) if step >= _STEP * span else (0, False)


def _run(flags: npt.NDArray[np.bool_]) -> int:
    """Return how many entries from the first on are true."""
    return len(flags) if flags.all() else int(np.argmin(flags))
