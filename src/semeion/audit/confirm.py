"""Whether two pictures are one: laid on each other, then compared in their fine detail, place by place.

Two films of the chest, or two neighbouring slices of a head, agree in the large and differ in the small. A copy that
was encoded again, resized, cropped, turned or made brighter agrees in the small as well, nearly everywhere. So pictures
are registered first, and what decides is the correlation of what lies between 1.5 and 5 pixels in size, in the worst
tenth of the places that hold any detail. Below some 90 pixels a side there is too little detail for that, and pictures
are one only when the grey levels of one tell those of the other, pixel for pixel; of two sizes after the larger picture
was laid on the smaller and brought to its pixels (:mod:`semeion.audit.scaled`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import cv2
import numpy as np
import numpy.typing as npt

from semeion.audit.scaled import brought_to, placings
from semeion.prepare.levels import Bytes
from semeion.prepare.transform import resize

Floats = npt.NDArray[np.float32]
Affine = npt.NDArray[np.float64]

SIDE = 192
"""Side in pixels at which pictures are compared at most."""
LEAST_SIDE = 90
"""Side (root of rows times columns) below which registration proves nothing: neighbouring slices agree as well."""
DETAIL_AT_SIDE = 0.95
"""Correlation of detail that the worst tenth of the places must reach at `SIDE` pixels..."""
DETAIL_PER_PIXEL = 0.00026
"""...and how much more for every pixel less: neighbouring 1 mm slices of a head reach 0.93 at 192, 0.97 at 96."""
MEDIAN_DETAIL = 0.97
"""Correlation of detail that half of the places must reach."""
OVERLAP = 0.55
"""Share of either picture's area that must lie on the other: a crop of 15 % a side leaves 0.72."""
LEAST_CELLS = 12
"""Places with detail that a comparison needs, of `CELLS` x `CELLS`."""
CELLS = 12
LEVEL_ERROR = 1.2
"""Root mean square in grey levels, little more than rounding, by which one picture's levels may miss the other's..."""
LEVEL_SHARE = 0.025
"""...or this share of the other's standard deviation, where that is more: a correlation of 0.9997."""
SCALED_SHARE = 0.1
"""The same of two sizes, a correlation of 0.995, as programs make pictures smaller in different ways: copies of tissue
reach 0.00 to 0.09, neighbouring slices and other pictures that look alike 0.18 at 28 pixels and 0.26 at 56."""
_QUALITIES = range(5, 41)
"""Of JPEG, all that are so coarse that they take detail away: what one leaves tells little of what another does."""
_WORTH_ENCODING = 0.85
"""Correlation of detail in half of the places from which on it is asked whether compression took the rest."""
_BAND = (1.5, 5.0)
_LOST = 0.6
"""Correlation below which a coarse registration has failed, and a finer one is not tried."""
_GAMMAS = np.logspace(-0.4, 0.4, 17)


@dataclass(frozen=True)
class Look:
    """What is kept of a picture for comparisons.

    Attributes
    ----------
    square
        At `SIDE` x `SIDE` pixels, whatever its shape.
    pixels
        As it is where that has no more pixels than `square`, else `square`.
    size
        Root of rows times columns.
    """

    square: Bytes
    pixels: Bytes
    size: float

    @property
    def small(self) -> bool:
        """Whether there is too little detail to register by."""
        return self.size < LEAST_SIDE


@dataclass(frozen=True)
class Match:
    """How well two pictures agree.

    Attributes
    ----------
    confirmed
        Whether they are one picture.
    how
        ``levels``: pixel for pixel up to a change of grey levels; ``registered``: by their detail; empty: neither was
        possible or good enough.
    detail, median
        Correlation of detail in the worst tenth and in half of the places; 0 where registration failed.
    overlap
        Smaller share of either picture's area that lies on the other.
    """

    confirmed: bool = False
    how: Literal["", "levels", "registered"] = ""
    detail: float = 0.0
    median: float = 0.0
    overlap: float = 0.0


def look_at(grey: Bytes) -> Look:
    """Return what is kept of a grey picture ``(rows, columns)``."""
    rows, cols = grey.shape
    size = float(np.sqrt(rows * cols))
    square = resize(np.ascontiguousarray(grey[..., None]), SIDE, SIDE)[..., 0]
    square = np.ascontiguousarray(square)
    return Look(square, np.ascontiguousarray(grey) if size < SIDE else square, size)


def turned(picture: Bytes, turn: int) -> Bytes:
    """Return a picture in one of its eight orientations: mirrored left to right for 4 to 7, then turned by quarters."""
    if turn >= 4:
        picture = picture[:, ::-1]
    return np.ascontiguousarray(np.rot90(picture, turn % 4))


def compare(first: Look, second: Look, turn: int, start: Affine) -> Match:
    """Compare two pictures.

    Parameters
    ----------
    first, second
        The pictures.
    turn
        Orientation, as in :func:`turned`, in which the second is compared.
    start
        Affine ``(3, 3)`` from places in the first picture to places in the turned second one, both in units of the
        side about the centre (-0.5 to 0.5), columns before rows: where registration begins.
    """
    if first.small or second.small:
        other = turned(second.pixels, turn)
        match = same_levels(first.pixels, other) if first.small and second.small else Match()
        if match.confirmed or first.pixels.shape == other.shape:
            return match
        return _same_when_scaled(first.pixels, other, start)
    side = int(min(first.size, second.size, SIDE)) // CELLS * CELLS
    other = turned(second.square, turn)
    place = start
    for step in (*(size for size in (48, 96) if size < side), side):
        found = _aligned(_even(_at(first.square, step)), _even(_at(other, step)), place)
        if found is None:
            return Match()
        place = found
    match = _judge(_at(first.square, side), _at(other, side), place)
    whole = turn == 0 and first.pixels.shape == second.pixels.shape and max(first.size, second.size) < SIDE
    if not match.confirmed and whole and match.median >= _WORTH_ENCODING and _same_when_encoded(first, second):
        return Match(True, "levels", match.detail, match.median, match.overlap)
    return match


def _same_when_encoded(first: Look, second: Look) -> bool:
    """Tell whether one picture becomes the other when it is stored as JPEG, at some quality.

    Coarse compression takes the detail away by which pictures are told apart. But it takes the same from the same.
    """
    for source, made in ((first.pixels, second.pixels), (second.pixels, first.pixels)):
        for quality in _QUALITIES:
            done, data = cv2.imencode(".jpg", source, [cv2.IMWRITE_JPEG_QUALITY, quality])
            lossy = cv2.imdecode(data, cv2.IMREAD_GRAYSCALE) if done else None
            if lossy is not None and _levels_tell(np.asarray(lossy, dtype=np.uint8), made, SCALED_SHARE):
                return True
    return False


def same_levels(first: Bytes, second: Bytes) -> Match:
    """Compare pixel for pixel: one picture when the levels of one, whatever they became, tell those of the other.

    For each grey level of one picture the other's pixels there must vary by little more than rounding, and brighter
    must stay brighter. Pictures that merely look alike vary by many levels. Of two sizes the smaller may be a crop of
    the larger.
    """
    overlap = 1.0
    if first.shape != second.shape:
        first, second, overlap = _cut_out(first, second)
        if overlap < OVERLAP:
            return Match(overlap=overlap)
    return Match(True, "levels", 1.0, 1.0, overlap) if _levels_tell(first, second) else Match(overlap=overlap)


def _same_when_scaled(first: Bytes, second: Bytes, start: Affine) -> Match:
    """Compare two sizes pixel for pixel, after the larger was laid on the smaller and brought to its pixels."""
    coarse, fine, place = first, second, start
    if first.size > second.size:
        coarse, fine, place = second, first, np.asarray(np.linalg.inv(start), dtype=np.float64)
    seen = 0.0
    for found in placings(coarse, fine, place):
        inside, overlap, ways = brought_to(coarse, fine, found)
        seen = max(seen, overlap)
        if overlap >= OVERLAP and any(_levels_tell(coarse[inside], way[inside], SCALED_SHARE) for way in ways):
            return Match(True, "levels", 1.0, 1.0, overlap)
    return Match(overlap=seen)


def _levels_tell(first: Bytes, second: Bytes, share: float = LEVEL_SHARE) -> bool:
    """Tell whether the levels of one picture, whatever they became, tell those of the other, pixel for pixel."""
    for source, made in ((first, second), (second, first)):
        a, b = source.ravel(), made.ravel().astype(np.float64)
        counts = np.bincount(a, minlength=256)
        held = counts > 0
        free = a.size - int(held.sum())
        means = np.bincount(a, b, minlength=256)[held] / counts[held]
        spread = float((np.bincount(a, b * b, minlength=256)[held] - counts[held] * means**2).sum())
        told = float(np.average((means - b.mean()) ** 2, weights=counts[held]))
        rises = np.diff(means) >= -1.0
        error = max(LEVEL_ERROR, share * float(b.std()))
        if free >= 200 and held.sum() >= 16 and told > 25 and spread / free <= error**2 and rises.mean() > 0.95:
            return True
    return False


def _cut_out(first: Bytes, second: Bytes) -> tuple[Bytes, Bytes, float]:
    """Return the part of the larger picture that the smaller fits best, the smaller, and their share of the larger."""
    large, small = (first, second) if first.size >= second.size else (second, first)
    if small.shape[0] > large.shape[0] or small.shape[1] > large.shape[1]:
        return large, small, 0.0
    _, _, _, (left, top) = cv2.minMaxLoc(cv2.matchTemplate(large, small, cv2.TM_CCOEFF_NORMED))
    cut = large[top : top + small.shape[0], left : left + small.shape[1]]
    return np.ascontiguousarray(cut), small, small.size / large.size


def detail_needed(side: int) -> float:
    """Return the correlation of detail that the worst tenth of the places must reach at `side` pixels."""
    return DETAIL_AT_SIDE + DETAIL_PER_PIXEL * (SIDE - side)


def _at(square: Bytes, side: int) -> Floats:
    if side == len(square):
        return square.astype(np.float32)
    return np.asarray(cv2.resize(square, (side, side), interpolation=cv2.INTER_AREA), dtype=np.float32)


def _even(picture: Floats) -> Floats:
    """Return a picture with light and contrast evened out, so that registration looks at structure everywhere."""
    wide = len(picture) / 8
    smooth = cv2.GaussianBlur(picture, (0, 0), 1.0)
    rest = smooth - cv2.GaussianBlur(smooth, (0, 0), wide)
    return np.asarray(rest / (np.sqrt(cv2.GaussianBlur(rest * rest, (0, 0), wide)) + 3.0), dtype=np.float32)


def _in_pixels(place: Affine, side: int) -> Floats:
    """Return an affine of unit places as OpenCV's ``(2, 3)`` of pixels, whose centres are whole numbers."""
    scale = np.array([[side, 0, (side - 1) / 2], [0, side, (side - 1) / 2], [0, 0, 1]])
    return np.asarray((scale @ place @ np.linalg.inv(scale))[:2], dtype=np.float32)


def _aligned(first: Floats, second: Floats, place: Affine) -> Affine | None:
    """Refine `place` by maximising the correlation (Evangelidis and Psarakis, IEEE TPAMI 30:1858, 2008); None: lost."""
    side = len(first)
    stop = (cv2.TERM_CRITERIA_EPS | cv2.TERM_CRITERIA_COUNT, 60 if side < 100 else 30, 1e-4)
    try:
        # OpenCV takes None for no mask; its stub of this overload does not.
        rho, found = cv2.findTransformECC(  # type: ignore[call-overload]
            first, second, _in_pixels(place, side), cv2.MOTION_AFFINE, stop, None, 3
        )
    except cv2.error:
        return None  # it does not converge, or the pictures slid off each other
    if rho < _LOST:
        return None
    scale = np.array([[side, 0, (side - 1) / 2], [0, side, (side - 1) / 2], [0, 0, 1]])
    return np.asarray(np.linalg.inv(scale) @ np.vstack([found.astype(np.float64), [0, 0, 1]]) @ scale)


def _judge(first: Floats, second: Floats, place: Affine) -> Match:
    """Compare the detail of two registered pictures."""
    side = len(first)
    warp = _in_pixels(place, side)
    how = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    moved: Floats = np.asarray(
        cv2.warpAffine(second, warp, (side, side), flags=how, borderMode=cv2.BORDER_REPLICATE), dtype=np.float32
    )
    inside = cv2.warpAffine(np.ones((side, side), np.float32), warp, (side, side), flags=how) > 0.99
    covered = float(inside.mean())
    overlap = min(covered, covered * abs(float(np.linalg.det(place[:2, :2]))))
    if overlap < OVERLAP:
        return Match(overlap=overlap)
    margin = np.ones((9, 9), np.uint8)
    inside = cv2.erode(inside.astype(np.uint8), margin, borderType=cv2.BORDER_REPLICATE) > 0
    values = _correlations(_detail(first), _detail(_same_gamma(first, moved, inside)), inside)
    if len(values) < LEAST_CELLS:
        return Match(overlap=overlap)
    detail, median = (float(value) for value in np.quantile(values, [0.1, 0.5]))
    good = detail >= detail_needed(side) and median >= MEDIAN_DETAIL
    return Match(good, "registered" if good else "", detail, median, overlap)


def _same_gamma(first: Floats, second: Floats, inside: npt.NDArray[np.bool_]) -> Floats:
    """Return the second picture with the gamma that makes it correlate best with the first."""
    small = (slice(None, None, 4), slice(None, None, 4))
    chosen = inside[small]
    a = cv2.GaussianBlur(first, (0, 0), 2.0)[small][chosen]
    b = np.clip(cv2.GaussianBlur(second, (0, 0), 2.0)[small][chosen], 0, 255) / 255
    if a.size < 16 or a.std() == 0 or b.std() == 0:
        return second
    found = [float(np.corrcoef(a, b**gamma)[0, 1]) for gamma in _GAMMAS]
    gamma = float(_GAMMAS[int(np.argmax(found))])
    return np.asarray(255 * (np.clip(second, 0, 255) / 255) ** gamma, dtype=np.float32)


def _detail(picture: Floats) -> Floats:
    narrow, wide = _BAND
    return np.asarray(cv2.GaussianBlur(picture, (0, 0), narrow) - cv2.GaussianBlur(picture, (0, 0), wide))


def _correlations(first: Floats, second: Floats, inside: npt.NDArray[np.bool_]) -> npt.NDArray[np.float64]:
    """Return the correlation of detail in each of `CELLS` x `CELLS` places that hold any."""
    size = len(first) // CELLS

    def summed(values: npt.NDArray[np.generic]) -> npt.NDArray[np.float64]:
        return np.asarray(values.reshape(CELLS, size, CELLS, size).astype(np.float64).sum(axis=(1, 3)))

    seen = summed(inside)
    number = np.maximum(seen, 1)
    a, b = first * inside, second * inside
    mean_a, mean_b = summed(a) / number, summed(b) / number
    of_a = np.maximum(summed(a * a) / number - mean_a**2, 0)
    of_b = np.maximum(summed(b * b) / number - mean_b**2, 0)
    both = summed(a * b) / number - mean_a * mean_b
    strength = np.sqrt(np.maximum(of_a, of_b))
    usual = np.sqrt(max(float((a * a).sum()), float((b * b).sum())) / max(float(seen.sum()), 1.0))
    telling = (seen > 0.5 * size * size) & (strength > max(1.0, 0.3 * usual))
    return np.asarray((both / np.sqrt(np.maximum(of_a * of_b, 1e-9)))[telling])
