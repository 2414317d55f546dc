"""A map over the picture it explains: colour where the finding is supported or spoken against, and a scale beside it.

The picture stays grey and as bright as it is, and the map is painted on it, the more opaque the stronger it is.
Vermilion speaks for the class and blue against it: both are told apart in all common kinds of colour blindness (Okabe
and Ito, Color Universal Design, 2008), and each grows in one direction of lightness, so that more looks like more
(Crameri, Shephard and Heron, Nature Communications 11:5444, 2020).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache, lru_cache

import cv2
import numpy as np
import numpy.typing as npt

from semeion.cohort.image import Image

Bytes = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float32]

TOWARDS = ((244, 222, 160), (230, 140, 40), (200, 60, 0))
"""From weak to strong in favour of the class: sand, orange, vermilion."""
AGAINST = ((190, 222, 242), (86, 160, 220), (0, 90, 170))
"""From weak to strong against it: pale to dark blue."""
OPAQUE = 0.72
"""Share of the colour where the map is strongest; the picture shows through it."""
LEAST = 0.06
"""Share of the strongest below which nothing is painted: a veil of colour over everything says nothing."""
LEVEL = 0.5
"""Share of the strongest in favour of the class that the contour runs at."""
STEPS = 127
"""Steps of strength to either side of nothing."""
LONGEST, SHORTEST = 2048, 192
"""Longest side of a written picture, and the shortest that small pictures are enlarged to, in pixels."""
USUAL = (0.5, 99.5)
"""Percentiles of the values that become black and white where an image has other than 256 steps."""
BAR = 96
"""Width of the scale in pixels."""
_BAR_TOP = 34
"""Rows above the bar of the scale, and below it."""
_FONT, _LETTER, _BASE = cv2.FONT_HERSHEY_SIMPLEX, 0.4, 13
_MOST_SEEN = 1 << 18
"""Values that percentiles are taken of; more are taken every so many."""


@dataclass(frozen=True)
class Scale:
    """What full colour means.

    Attributes
    ----------
    most
        Strength of full colour, above 0.
    unit
        What the numbers are, for example ``logit``; ASCII.
    signed
        Whether the map also speaks against the class.
    level
        Share of `most` that the contour runs at.
    times
        What the written numbers are multiplied by, where `unit` is another one than that of the map.
    """

    most: float
    unit: str
    signed: bool = True
    level: float = LEVEL
    times: float = 1.0


def scale_of(values: npt.ArrayLike, unit: str, times: float = 1.0) -> Scale:
    """Return a scale that ends at the strongest value of a map; a map of nothing but 0 has one that ends at 1."""
    array = np.asarray(values, dtype=np.float64)
    most = float(np.abs(array).max(initial=0.0))
    return Scale(most if most > 0 else 1.0, unit, bool(array.min(initial=0.0) < 0), times=times)


def backdrop(image: Image) -> Bytes:
    """Return a picture in grey, uint8 ``(rows, columns)``: 256 steps as stored, all else by its own percentiles."""
    pixels = image.pixels
    if pixels.shape[2] == 3:
        whole = pixels if pixels.dtype == np.uint8 else windowed(pixels)
        return np.asarray(cv2.cvtColor(np.ascontiguousarray(whole), cv2.COLOR_RGB2GRAY), dtype=np.uint8)
    plane = pixels[..., 0]
    return np.ascontiguousarray(plane, dtype=np.uint8) if plane.dtype == np.uint8 else windowed(plane)


def windowed(values: npt.NDArray[np.generic]) -> Bytes:
    """Return values in 256 steps, black and white at their :data:`USUAL` percentiles; not finite ones are black."""
    array = np.asarray(values, dtype=np.float32)
    seen = array.ravel()[:: max(1, array.size // _MOST_SEEN)]
    seen = seen[np.isfinite(seen)]
    low, high = np.percentile(seen, USUAL) if seen.size else (0.0, 1.0)
    if high <= low:
        low, high = (float(seen.min()), float(seen.max())) if seen.size else (0.0, 1.0)
    with np.errstate(invalid="ignore"):
        scaled = (array - np.float32(low)) * np.float32(255.0 / max(float(high - low), 1e-12))
        return np.asarray(np.clip(np.nan_to_num(scaled, nan=0.0, posinf=255.0, neginf=0.0), 0, 255).astype(np.uint8))


def overlay(grey: Bytes, values: npt.ArrayLike, scale: Scale) -> Bytes:
    """Return a map painted over a picture.

    Parameters
    ----------
    grey
        The picture, uint8 ``(rows, columns)``.
    values
        The map on the same grid, ``(rows, columns)``; positive for the class. Not finite: nothing is painted.
    scale
        What full colour means; stronger values have it too.

    Returns
    -------
    numpy.ndarray
        uint8 ``(rows, columns, 3)``, red first, of the picture's size.

    Raises
    ------
    ValueError
        When map and picture have other sizes.
    """
    array = np.asarray(values, dtype=np.float32)
    if array.shape != grey.shape:
        raise ValueError(f"a map of {array.shape} for a picture of {grey.shape}")
    strength = np.nan_to_num(array, nan=0.0, posinf=0.0, neginf=0.0) * np.float32(STEPS / scale.most)
    step = np.rint(np.clip(strength, -STEPS, STEPS)).astype(np.int32) + STEPS
    # Four bytes are fetched at once: a third of the time that three one by one take.
    painted = np.take(_paint(), step * 256 + grey).view(np.uint8).reshape(*array.shape, 4)
    return np.asarray(cv2.cvtColor(painted, cv2.COLOR_RGBA2RGB), dtype=np.uint8)


def outlined(picture: Bytes, values: npt.ArrayLike, scale: Scale) -> Bytes:
    """Return a picture with a contour around what speaks for the class at `scale.level` of the strongest and more."""
    array = np.nan_to_num(np.asarray(values, dtype=np.float32))
    return contoured(picture, array >= np.float32(scale.level * scale.most), (255, 255, 255))


def contoured(picture: Bytes, chosen: npt.NDArray[np.bool_], colour: tuple[int, int, int]) -> Bytes:
    """Return a picture ``(rows, columns, 3)`` with a contour of one colour, edged in black, around what is chosen."""
    drawn = np.ascontiguousarray(picture)
    if not chosen.any():
        return drawn
    found = cv2.findContours(chosen.astype(np.uint8), cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE)[0]
    drawn = drawn.copy()
    cv2.drawContours(drawn, found, -1, (0, 0, 0), 3)
    cv2.drawContours(drawn, found, -1, colour, 1)
    return drawn


def shown_size(rows: int, columns: int) -> tuple[int, int]:
    """Return the size that a picture is written at: its own, a whole multiple when small, a part when large."""
    longest, shortest = max(rows, columns), min(rows, columns)
    if longest > LONGEST:
        part = LONGEST / longest
        return max(1, round(rows * part)), max(1, round(columns * part))
    factor = max(1, min(-(-SHORTEST // shortest), LONGEST // longest))
    return rows * factor, columns * factor


def explained_picture(grey: Bytes, values: npt.ArrayLike, scale: Scale) -> Bytes:
    """Return the picture with the map, its contour and the scale to the right of it, uint8 ``(rows, columns, 3)``.

    Small pictures are enlarged by a whole factor, each pixel a square; the map between them is linear.
    """
    rows, columns = shown_size(*grey.shape)
    array = np.nan_to_num(np.asarray(values, dtype=np.float32))
    if (rows, columns) != grey.shape:
        how = cv2.INTER_NEAREST if rows > grey.shape[0] else cv2.INTER_AREA
        grey = np.asarray(cv2.resize(grey, (columns, rows), interpolation=how), dtype=np.uint8)
        how = cv2.INTER_LINEAR if rows > array.shape[0] else cv2.INTER_AREA
        array = np.asarray(cv2.resize(array, (columns, rows), interpolation=how), dtype=np.float32)
    painted = outlined(overlay(grey, array, scale), array, scale)
    return beside(painted, scale_bar(rows, scale))


def scale_bar(rows: int, scale: Scale) -> Bytes:
    """Return the scale with its numbers and unit, uint8 ``(rows or more, BAR, 3)`` on white."""
    high = max(rows, 160)
    bar = _empty_bar(high, scale.unit[:14], scale.signed, scale.level).copy()
    top, bottom = _BAR_TOP, high - _BAR_TOP
    for share in (1.0, scale.level, 0.0, *([-1.0] if scale.signed else [])):
        at = _on_bar(share, top, bottom, signed=scale.signed)
        write(bar, number(share * scale.most * scale.times, signed=scale.signed), (31, at + 4))
    return bar


@lru_cache(maxsize=64)
def _empty_bar(high: int, unit: str, signed: bool, level: float) -> Bytes:
    """Return a scale without its numbers: all that does not change from one picture to the next."""
    bar: Bytes = np.full((high, BAR, 3), 255, np.uint8)
    top, bottom = _BAR_TOP, high - _BAR_TOP
    ends = np.linspace(1.0, -1.0 if signed else 0.0, bottom - top, dtype=np.float32)
    column = np.repeat(ends[:, None], 16, axis=1)
    bar[top:bottom, 8:24] = overlay(np.full(column.shape, 110, np.uint8), column, Scale(1.0, unit, signed))
    cv2.rectangle(bar, (7, top - 1), (24, bottom), (60, 60, 60), 1)
    for share in (1.0, level, 0.0, *([-1.0] if signed else [])):
        at = _on_bar(share, top, bottom, signed=signed)
        cv2.line(bar, (24, at), (28, at), (60, 60, 60), 1)
    contour = _on_bar(level, top, bottom, signed=signed)
    cv2.line(bar, (7, contour), (24, contour), (0, 0, 0), 3)
    cv2.line(bar, (7, contour), (24, contour), (255, 255, 255), 1)
    write(bar, "for", (8, 26))
    write(bar, "against" if signed else "", (8, high - 18))
    write(bar, unit, (8, 12))
    return bar


def _on_bar(share: float, top: int, bottom: int, *, signed: bool) -> int:
    """Return the row of a share of the strongest, from 1 down to -1 or 0."""
    return round(top + (1 - share) / (2 if signed else 1) * (bottom - top - 1))


def number(value: float, *, signed: bool = False) -> str:
    """Return a number in three digits, with its sign where there are two directions."""
    if value == 0:
        return "0"
    size = math.floor(math.log10(abs(value)))
    if -3 <= size < 4:
        text = f"{value:+.{max(0, 2 - size)}f}"
        text = text.rstrip("0").rstrip(".") if "." in text else text
    else:
        text = f"{value:+.2g}"
    return text if signed else text.removeprefix("+")


def write(picture: Bytes, text: str, place: tuple[int, int], colour: tuple[int, int, int] = (30, 30, 30)) -> None:
    """Write ASCII text into a picture, in place; `place` is the lower left corner, column first."""
    x, y = place
    for letter in text:
        cover = _glyph(letter if " " <= letter <= "~" else "?")
        inside = picture[max(0, y - _BASE) : y - _BASE + len(cover), x : x + cover.shape[1]]
        shown = cover[max(0, _BASE - y) :][: inside.shape[0], : inside.shape[1], None].astype(np.uint16)
        inside[...] = (inside * (255 - shown) + np.array(colour, np.uint16) * shown + 127) // 255
        x += cover.shape[1]


@cache
def _glyph(letter: str) -> Bytes:
    """Return how much a letter covers of each pixel, drawn once: OpenCV takes a millisecond for a word."""
    (wide, _), _ = cv2.getTextSize(letter, _FONT, _LETTER, 1)
    cover: Bytes = np.zeros((_BASE + 5, max(wide, 3)), np.uint8)
    cv2.putText(cover, letter, (0, _BASE), _FONT, _LETTER, 255, 1, cv2.LINE_AA)
    return cover


def letters(picture: Bytes, left: str, right: str, top: str, bottom: str) -> Bytes:
    """Return a picture with a letter at each side, in white on black, so that left and right are known."""
    drawn = picture.copy()
    rows, columns = drawn.shape[:2]
    places = ((left, (3, rows // 2 + 4)), (right, (columns - 12, rows // 2 + 4)))
    for letter, (x, y) in (*places, (top, (columns // 2 - 4, 13)), (bottom, (columns // 2 - 4, rows - 4))):
        if letter:
            cv2.putText(drawn, letter, (x, y), _FONT, _LETTER, (0, 0, 0), 3, cv2.LINE_AA)
            cv2.putText(drawn, letter, (x, y), _FONT, _LETTER, (255, 255, 255), 1, cv2.LINE_AA)
    return drawn


def beside(*pictures: Bytes, gap: int = 0, ground: int = 255) -> Bytes:
    """Return pictures ``(rows, columns, 3)`` side by side, the lower ones filled up with `ground` below."""
    high = max(len(one) for one in pictures)
    parts: list[Bytes] = []
    for place, one in enumerate(pictures):
        if place and gap:
            parts.append(np.full((high, gap, 3), ground, np.uint8))
        below = np.full((high - len(one), one.shape[1], 3), ground, np.uint8)
        parts.append(np.concatenate([one, below]))
    return np.concatenate(parts, axis=1)


def above(*pictures: Bytes, gap: int = 0, ground: int = 255) -> Bytes:
    """Return pictures ``(rows, columns, 3)`` one below the other, the narrower ones filled up to the right."""
    turned = [np.ascontiguousarray(one.transpose(1, 0, 2)) for one in pictures]
    return np.ascontiguousarray(beside(*turned, gap=gap, ground=ground).transpose(1, 0, 2))


def to_png(picture: Bytes) -> bytes:
    """Return a picture ``(rows, columns, 3)``, red first, as PNG: pixels and nothing else."""
    # Half the time of the default, for files a fifth larger (measured on ultrasound).
    how = [cv2.IMWRITE_PNG_COMPRESSION, 1, cv2.IMWRITE_PNG_STRATEGY, cv2.IMWRITE_PNG_STRATEGY_RLE]
    how += [cv2.IMWRITE_PNG_FILTER, cv2.IMWRITE_PNG_FILTER_UP]
    done, data = cv2.imencode(".png", cv2.cvtColor(picture, cv2.COLOR_RGB2BGR), how)
    if not done:
        raise RuntimeError("OpenCV could not encode a PNG")
    return data.tobytes()


def to_jpeg(picture: Bytes) -> bytes:
    """Return a picture ``(rows, columns, 3)``, red first, as JPEG, for pages that show many."""
    done, data = cv2.imencode(".jpg", cv2.cvtColor(picture, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, 88])
    if not done:
        raise RuntimeError("OpenCV could not encode a JPEG")
    return data.tobytes()


@cache
def _paint() -> npt.NDArray[np.uint32]:
    """Return what each step of strength makes of each grey, ``((2 * STEPS + 1) * 256,)``: red, green, blue and 0."""
    strength = np.linspace(-1, 1, 2 * STEPS + 1)
    size = np.abs(strength)
    along = [0.0, 0.5, 1.0]
    colours = np.empty((len(strength), 3))
    for channel in range(3):
        colours[:, channel] = np.where(
            strength > 0,
            np.interp(size, along, [colour[channel] for colour in TOWARDS]),
            np.interp(size, along, [colour[channel] for colour in AGAINST]),
        )
    cover = (np.where(size < LEAST, 0.0, OPAQUE * size))[:, None, None]
    grey = np.arange(256.0)[None, :, None]
    mixed = grey * (1 - cover) + colours[:, None, :] * cover
    table: Bytes = np.zeros((len(strength) * 256, 4), np.uint8)
    table[:, :3] = np.rint(mixed).reshape(-1, 3)
    return table.view(np.uint32).ravel()
