"""Burned-in text and markers: rows of small, sharp, equally bright glyphs, found and painted over.

Only bright writing is looked for. The limits were set by eye on breast ultrasound with annotations (256 pixels a side,
glyphs of 6 to 9 pixels) and on brain slices from the web (200 to 1300 pixels), where pairs of gyri imitate letters:
hence the demand for equal height, equal brightness and edges one or two pixels wide, stricter for two glyphs than for
three.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from semeion.prepare.levels import Bytes, Mask, Pixels, brightest_channel, seen_range, to_bytes

SMALLEST_SIDE = 96
"""Below this a glyph is four pixels high or less and cannot be told from anatomy: nothing is found there."""
SEARCH_SIDE = 768
"""The search runs on a copy of at most this many pixels a side; wider strokes survive the reduction."""
_CONTRAST = 60
"""Grey levels (of 255) by which a stroke rises above what surrounds it."""
_LEVEL = 150
"""Smallest grey level (of 255) of a stroke."""
_FEWEST_PIXELS = 20
"""Two letters have more bright pixels than this."""
_MOST_CANDIDATES = 300
"""An image with more candidates is a texture, and nothing in it is called text."""


@dataclass(frozen=True)
class _Glyphs:
    """Connected strokes that could be letters: boxes in pixels, and grey levels of 255."""

    boxes: npt.NDArray[np.int64]
    """Array ``(n, 4)``: left, top, right, bottom; the last two exclusive."""
    level: npt.NDArray[np.float64]
    behind: npt.NDArray[np.float64]
    spread_behind: npt.NDArray[np.float64]
    label: npt.NDArray[np.int64]

    @property
    def width(self) -> npt.NDArray[np.int64]:
        return np.asarray(self.boxes[:, 2] - self.boxes[:, 0])

    @property
    def height(self) -> npt.NDArray[np.int64]:
        return np.asarray(self.boxes[:, 3] - self.boxes[:, 1])


def find_text(pixels: Pixels) -> Mask:
    """Return where burned-in text stands.

    Parameters
    ----------
    pixels
        Array ``(rows, columns, channels)``, finite.

    Returns
    -------
    numpy.ndarray
        Boolean array ``(rows, columns)``: glyphs and the halo around them. All false when none was found and for images
        of less than 96 pixels on their shorter side.
    """
    rows, cols = pixels.shape[:2]
    nothing = np.zeros((rows, cols), dtype=np.bool_)
    if min(rows, cols) < SMALLEST_SIDE:
        return nothing
    grey = brightest_channel(pixels)
    scale = min(1.0, SEARCH_SIDE / max(rows, cols))
    if scale < 1:
        if grey.dtype == np.float64:
            grey = grey.astype(np.float32)
        size = (max(1, round(cols * scale)), max(1, round(rows * scale)))
        grey = cv2.resize(grey, size, interpolation=cv2.INTER_AREA)
    low = seen_range(grey[..., None])[0]
    small = _search(np.ascontiguousarray(to_bytes(grey, low, float(grey.max()))))
    if small is None:
        return nothing
    if scale < 1:
        small = np.asarray(cv2.resize(small, (cols, rows), interpolation=cv2.INTER_NEAREST), dtype=np.uint8)
    return np.asarray(small, dtype=np.bool_)


def remove_text(pixels: Pixels, mask: Mask) -> Pixels:
    """Paint over `mask` from its surroundings (Telea, J Graphics Tools 9(1):23, 2004).

    Parameters
    ----------
    pixels
        Array ``(rows, columns, channels)``.
    mask
        As :func:`find_text` returns.

    Returns
    -------
    numpy.ndarray
        A new array of the same shape and type; pixels outside `mask` are unchanged.
    """
    if not mask.any():
        return pixels
    painted = pixels.copy()
    where = mask.astype(np.uint8)
    # Only the neighbourhood of each line of text is given to OpenCV, whose cost grows with the area of the whole image.
    joined = cv2.dilate(where, np.ones((17, 17), np.uint8))
    count, _, boxes, _ = cv2.connectedComponentsWithStats(joined, connectivity=8)
    for left, top, width, height, _ in boxes[1:count]:
        part = (slice(top, top + height), slice(left, left + width))
        hole = np.ascontiguousarray(where[part])
        for channel in range(pixels.shape[2]):
            source = pixels[(*part, channel)]
            seen = source[hole == 0]
            if not seen.size:  # nothing to paint with
                continue
            low, high = float(seen.min()), float(seen.max())
            span = high - low or 1.0
            # OpenCV paints whole numbers well and overshoots on floating ones, so other types travel as 16 bits.
            exact = source.dtype in (np.uint8, np.uint16)
            scaled = np.clip((source.astype(np.float64) - low) * (65535 / span), 0, 65535)
            given = np.ascontiguousarray(source if exact else np.rint(scaled).astype(np.uint16))
            filled = np.asarray(cv2.inpaint(given, hole, 3, cv2.INPAINT_TELEA), dtype=np.float64)
            filled = np.clip(filled if exact else filled * (span / 65535) + low, low, high)
            target = painted[(*part, channel)]
            target[hole > 0] = (filled if pixels.dtype.kind == "f" else np.rint(filled))[hole > 0].astype(pixels.dtype)
    return painted


def _search(grey: Bytes) -> Bytes | None:
    """Return 1 where text stands in an 8-bit image, or None."""
    side = max(grey.shape)
    stroke = max(5, int(side / 50) | 1)
    # A white top-hat keeps what is brighter than its surroundings and narrower than the kernel: strokes, not organs.
    hat = cv2.morphologyEx(grey, cv2.MORPH_TOPHAT, np.ones((stroke, stroke), np.uint8))
    bright = cv2.bitwise_and(
        cv2.threshold(hat, _CONTRAST - 1, 1, cv2.THRESH_BINARY)[1],
        cv2.threshold(grey, _LEVEL - 1, 1, cv2.THRESH_BINARY)[1],
    )
    if cv2.countNonZero(bright) < _FEWEST_PIXELS:
        return None
    _, components, measures, _ = cv2.connectedComponentsWithStats(bright, connectivity=8)
    labels, stats = np.asarray(components, dtype=np.int32), np.asarray(measures, dtype=np.int32)
    glyphs = _candidates(grey, labels, stats[1:], side)
    if glyphs is None:
        return None
    mask = np.zeros(grey.shape, np.uint8)
    for line in _lines(glyphs):
        if _is_text(grey, glyphs, line):
            _paint(mask, labels, stats[1:], glyphs, line)
    for index in range(len(glyphs.label)):
        if _is_marker(grey, labels, glyphs, index):
            _paint(mask, labels, stats[1:], glyphs, [index])
    return mask if mask.any() else None


def _candidates(grey: Bytes, labels: npt.NDArray[np.int32], stats: npt.NDArray[np.int32], side: int) -> _Glyphs | None:
    """Return the components that have the size, shape and contrast of a letter, and a neighbour in line or a margin."""
    left, top, width, height, area = (column.astype(np.int64) for column in stats.T)
    smallest, largest = max(5.0, 0.01 * side), max(7.0, 0.08 * side)
    fill = area / (width * height)
    fits = (height >= smallest) & (height <= largest) & (width >= 2) & (width <= 2.2 * height)
    chosen = np.flatnonzero(fits & (width >= 0.12 * height) & (fill >= 0.2) & (fill <= 0.97))
    if not 0 < len(chosen) <= _MOST_CANDIDATES:
        return None
    boxes = np.stack([left, top, left + width, top + height], axis=1)
    chosen = chosen[_in_line(boxes[chosen]).any(axis=1) | (height[chosen] >= _marker_height(side))]
    level, behind, spread = (np.zeros(len(chosen)) for _ in range(3))
    for place, index in enumerate(chosen):
        x, y, right, bottom = (int(value) for value in boxes[index])
        part = (slice(max(0, y - 2), bottom + 2), slice(max(0, x - 2), right + 2))
        own = labels[part] == index + 1
        around = grey[part][cv2.dilate(own.astype(np.uint8), np.ones((3, 3), np.uint8)) == 0]
        level[place] = _ranked(grey[part][own], 0.8)
        behind[place] = _ranked(around, 0.75) if around.size else 255
        spread[place] = around.std() if around.size else 255
    return _Glyphs(boxes[chosen], level, behind, spread, chosen + 1)


def _ranked(values: Bytes, share: float) -> int:
    """Return the value that stands at `share` of the sorted values (numpy.percentile costs six times as much here)."""
    return int(np.sort(values)[int(share * (len(values) - 1))])


def _marker_height(side: int) -> float:
    """Return the least height of a side marker in pixels."""
    return max(10.0, 0.025 * side)


def _in_line(boxes: npt.NDArray[np.int64]) -> Mask:
    """Return ``(n, n)``: whether two boxes share top and bottom line and follow each other closely."""
    left, top, right, bottom = boxes.T
    tall = np.maximum((bottom - top)[:, None], (bottom - top)[None, :])
    gap = left[None, :] - right[:, None]
    off = np.maximum(1.0, 0.15 * tall)
    follows = (gap >= -1) & (gap <= 1.2 * tall) & (left[None, :] > left[:, None])
    follows &= np.abs(top[:, None] - top[None, :]) <= off
    follows &= np.abs(bottom[:, None] - bottom[None, :]) <= off
    return np.asarray(follows | follows.T)


def _lines(glyphs: _Glyphs) -> list[list[int]]:
    """Return groups of two or more glyphs of one height, baseline and brightness that follow each other closely."""
    left = glyphs.boxes[:, 0]
    linked = _in_line(glyphs.boxes) & (np.abs(glyphs.level[:, None] - glyphs.level[None, :]) <= 30)
    waiting = set(np.flatnonzero(linked.any(axis=1)).tolist())
    lines: list[list[int]] = []
    while waiting:
        line = [waiting.pop()]
        for index in line:
            fresh = waiting & set(np.flatnonzero(linked[index]).tolist())
            waiting -= fresh
            line += sorted(fresh)
        lines.append(sorted(line, key=lambda index: int(left[index])))
    return lines


def _is_text(grey: Bytes, glyphs: _Glyphs, line: list[int]) -> bool:
    """Return whether a line of glyphs is written and not grown."""
    boxes = glyphs.boxes[line]
    left, top, right, bottom = boxes[:, 0].min(), boxes[:, 1].min(), boxes[:, 2].max(), boxes[:, 3].max()
    height = float(glyphs.height[line].mean())
    contrast = float((glyphs.level[line] - glyphs.behind[line]).mean())
    if height < 5.5 or contrast < 50:
        return False
    steps = np.abs(np.diff(grey[top:bottom, left:right].astype(np.int16), axis=1))
    # A drawn edge falls by most of its contrast from one pixel to the next; an anatomical one spreads over several. The
    # larger the letters, the smaller the share of their pixels that are edge.
    edges = 10 * min(1.0, 8 / height)
    if np.percentile(steps, 100 - edges) < 0.65 * contrast:
        return False
    if len(line) >= 3:
        return True
    rows, cols = grey.shape
    from_edge = min(left, top, cols - right, rows - bottom) / max(rows, cols)
    shape = glyphs.width[line] / glyphs.height[line]
    alike = float(np.ptp(glyphs.level[line])) <= 15 and float(shape.max()) <= 1.4 and float(shape.min()) >= 0.3
    return bool(contrast >= 80 and alike and from_edge <= 0.2)


def _is_marker(grey: Bytes, labels: npt.NDArray[np.int32], glyphs: _Glyphs, index: int) -> bool:
    """Return whether one glyph alone is a side marker: saturated, flat, thin, near a margin, on an even ground."""
    rows, cols = grey.shape
    left, top, right, bottom = (int(value) for value in glyphs.boxes[index])
    side = max(rows, cols)
    if min(left, top, cols - right, rows - bottom) > 0.12 * side or bottom - top < _marker_height(side):
        return False
    if min(left, top, cols - right, rows - bottom) < 1 or right - left < 0.4 * (bottom - top):
        return False
    if glyphs.level[index] < 245 or glyphs.behind[index] > 120 or glyphs.spread_behind[index] > 12:
        return False
    own = labels[top:bottom, left:right] == glyphs.label[index]
    flat = float((grey[top:bottom, left:right][own] >= 240).mean())
    thick = 2 * float(cv2.distanceTransform(np.pad(own, 1).astype(np.uint8), cv2.DIST_L2, 3).max()) / (bottom - top)
    return flat >= 0.75 and thick <= 0.4 and float(own.mean()) <= 0.75


def _paint(
    mask: Bytes, labels: npt.NDArray[np.int32], stats: npt.NDArray[np.int32], glyphs: _Glyphs, line: list[int]
) -> None:
    """Set `mask` at a confirmed line: its glyphs, strokes between and beside them, and their halo."""
    left, top, width, height = (column.astype(np.int64) for column in stats.T[:4])
    boxes = glyphs.boxes[line]
    tall = int(boxes[:, 3].max() - boxes[:, 1].min())
    first, last = int(boxes[:, 0].min()), int(boxes[:, 2].max())
    upper, lower = int(boxes[:, 1].min()) - 0.35 * tall, int(boxes[:, 3].max()) + 0.35 * tall
    # Letters that run together, dots and dashes are no candidates of their own but stand in the same band.
    in_band = (top >= upper) & (top + height <= lower) & (width <= 8 * tall)
    chosen = np.zeros(len(stats), dtype=np.bool_)
    chosen[glyphs.label[line] - 1] = True
    while len(line) >= 3 or (len(line) == 2 and float(glyphs.behind[line].max()) <= 60):
        near = in_band & (left <= last + 0.8 * tall) & (left + width >= first - 0.8 * tall) & ~chosen
        if not near.any():
            break
        chosen |= near
        first, last = min(first, int(left[near].min())), max(last, int((left + width)[near].max()))
    reach = 1 if tall < 14 else 2
    closing = round(0.45 * tall) | 1
    pad = reach + closing
    y, x = max(0, int(top[chosen].min()) - pad), max(0, first - pad)
    part = (slice(y, int((top + height)[chosen].max()) + pad), slice(x, last + pad))
    own = np.isin(labels[part], np.flatnonzero(chosen) + 1).astype(np.uint8)
    own = np.asarray(cv2.dilate(own, np.ones((2 * reach + 1, 2 * reach + 1), np.uint8)), dtype=np.uint8)
    # The grey insides of narrow letters belong to the writing.
    mask[part] |= np.asarray(cv2.morphologyEx(own, cv2.MORPH_CLOSE, np.ones((closing, closing), np.uint8)), np.uint8)
