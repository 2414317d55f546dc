"""What is removed from an image before a network sees it: borders, burned-in text, salt noise, poor contrast.

One module a defect (:mod:`~semeion.prepare.borders`, :mod:`~semeion.prepare.text`, :mod:`~semeion.prepare.salt`), each
with a detector that rather misses than invents, and a remover. Here they are put in order. All functions take
and return arrays ``(rows, columns, channels)`` of 1 or 3 channels, are deterministic, share nothing between calls and
may be called from several threads.
"""

from __future__ import annotations

import cv2
import numpy as np

from semeion.prepare.borders import Box, border_fraction, find_borders
from semeion.prepare.levels import Bytes, Pixels
from semeion.prepare.salt import find_salt, remove_salt, salt_fraction
from semeion.prepare.spec import Cleaning
from semeion.prepare.text import find_text, remove_text

__all__ = [
    "Box",
    "border_fraction",
    "clean_pixels",
    "equalise",
    "find_borders",
    "find_salt",
    "find_text",
    "remove_salt",
    "remove_text",
    "salt_fraction",
    "text_fraction",
]

CLIP_LIMIT = 2.0
"""CLAHE: the slope of the grey-level mapping never exceeds this many times that of the identity."""
SMALLEST_TILE = 16
"""CLAHE: a tile's histogram comes from at least this many pixels a side; smaller tiles would equalise noise."""


def clean_pixels(pixels: Pixels, cleaning: Cleaning) -> tuple[Pixels, list[str]]:
    """Remove salt noise, then text, then borders; equalisation is left to :func:`equalise` on the 8-bit image.

    The order matters: a grain of noise or a letter in a black margin would otherwise keep the margin from being cut,
    and grains would blunt the edges by which letters are known.

    Parameters
    ----------
    pixels
        Array ``(rows, columns, channels)``, finite: uint8, uint16, int16 or floating.
    cleaning
        Which steps to do.

    Returns
    -------
    tuple
        The cleaned array (`pixels` itself when nothing was found) and a phrase for each step that changed something.
    """
    done: list[str] = []
    if cleaning.salt:
        grains = find_salt(pixels)
        if grains.any():
            pixels = remove_salt(pixels, grains)
            done.append(f"salt noise removed ({100 * float(grains.any(axis=2).mean()):.2f} % of the pixels)")
    if cleaning.text:
        text = find_text(pixels)
        if text.any():
            pixels = remove_text(pixels, text)
            done.append(f"text painted over ({100 * float(text.mean()):.2f} % of the area)")
    if cleaning.borders:
        box = find_borders(pixels)
        if box.area < pixels.shape[0] * pixels.shape[1]:
            share = 1 - box.area / (pixels.shape[0] * pixels.shape[1])
            pixels = box.of(pixels)
            done.append(f"borders cut ({100 * share:.1f} % of the area)")
    return pixels, done


def text_fraction(pixels: Pixels) -> float:
    """Return the share of the area that :func:`find_text` marks, 0 to 1."""
    return float(find_text(pixels).mean())


def equalise(image: Bytes) -> Bytes:
    """Equalise contrast locally and with a limit (CLAHE: Zuiderveld, Graphics Gems IV, 1994, 474-485).

    Eight tiles a side, fewer where a tile would be less than 16 pixels. Of a colour image the lightness (CIE L*a*b*)
    is equalised and the colour kept.

    Parameters
    ----------
    image
        uint8 array ``(rows, columns, channels)``.

    Returns
    -------
    numpy.ndarray
        uint8 array of the same shape. A constant image is returned unchanged.
    """
    if image.size == 0 or image.min() == image.max():
        return image
    rows, cols = image.shape[:2]
    tiles = tuple(max(1, min(8, length // SMALLEST_TILE)) for length in (cols, rows))
    # Made anew each time: a CLAHE object keeps buffers and must not be shared between threads.
    clahe = cv2.createCLAHE(CLIP_LIMIT, tiles)
    if image.shape[2] == 1:
        return np.asarray(clahe.apply(np.ascontiguousarray(image[..., 0])), dtype=np.uint8)[..., None]
    lab = cv2.cvtColor(image, cv2.COLOR_RGB2LAB)
    lab[..., 0] = clahe.apply(np.ascontiguousarray(lab[..., 0]))
    return np.asarray(cv2.cvtColor(lab, cv2.COLOR_LAB2RGB), dtype=np.uint8)
