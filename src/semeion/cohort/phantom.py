"""Synthetic breast-ultrasound phantoms: speckle, layers of tissue, smooth benign and irregular malignant lesions.

They let the whole road run without real data; a figure reached on them says nothing about patients. Speckle is the
envelope of a band-limited complex Gaussian field, Rayleigh distributed where the tissue is uniform (Wagner et al., IEEE
Trans. Sonics Ultrason. 30(3):156, 1983). What tells the lesions apart follows the BI-RADS ultrasound lexicon: shape,
margin, orientation and posterior acoustics.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from semeion.artefacts import whole_file
from semeion.errors import InputError

MALIGNANT, BENIGN = 0, 1
"""Codes of the labels, as in BreastMNIST."""

SPLIT_COUNTS = {"train": 546, "val": 78, "test": 156}
"""Cases of each split, as in BreastMNIST."""

MALIGNANT_SHARE = 0.27
"""Share of malignant cases, as in BreastMNIST."""

_SEPARATION = 0.6
"""Distance of each of four signs from the middle, in standard deviations, up for malignant and down for benign. Four
signs at 0.6 would let an observer who saw them without speckle reach an AUROC of 0.955; speckle and small size cost the
rest."""

_DYNAMIC_RANGE_DB = 48.0
_FINER = 2

Field = npt.NDArray[np.float64]


def make_phantoms(
    n: int, seed: int, size: tuple[int, int] = (64, 64), malignant_share: float = MALIGNANT_SHARE
) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8]]:
    """Make phantoms.

    Parameters
    ----------
    n
        How many.
    seed
        The same seed, number, size and share give the same phantoms.
    size
        Rows and columns, each from 28 to 512.
    malignant_share
        Share of malignant lesions.

    Returns
    -------
    images
        Array ``(n, rows, columns)``, uint8.
    labels
        Array ``(n,)``: 0 malignant, 1 benign.

    Raises
    ------
    InputError
        An argument out of range.
    """
    if n < 0 or seed < 0:
        raise InputError(f"n is {n} and seed is {seed}", where="make_phantoms", fix="give numbers from 0 on")
    if not all(28 <= side <= 512 for side in size):
        raise InputError(f"size is {size}", where="make_phantoms", fix="give rows and columns from 28 to 512")
    if not 0 <= malignant_share <= 1:
        raise InputError(f"malignant_share is {malignant_share}", where="make_phantoms", fix="give a share from 0 to 1")
    labels = np.full(n, BENIGN, np.uint8)
    labels[: round(n * malignant_share)] = MALIGNANT
    np.random.default_rng([seed, 0]).shuffle(labels)
    images = np.empty((n, *size), np.uint8)
    for index, label in enumerate(labels):
        images[index] = _phantom(np.random.default_rng([seed, 1, index]), int(label) == MALIGNANT, size)
    return images, labels


def write_phantoms(path: Path, seed: int = 0, size: tuple[int, int] = (64, 64)) -> None:
    """Write phantoms as an archive in MedMNIST's layout, with splits of BreastMNIST's sizes.

    Raises
    ------
    MachineError
        When the disk is full or the folder cannot be written.
    """
    arrays: dict[str, Any] = {}
    for position, (split, count) in enumerate(SPLIT_COUNTS.items()):
        images, labels = make_phantoms(count, seed * len(SPLIT_COUNTS) + position, size)
        arrays[f"{split}_images"], arrays[f"{split}_labels"] = images, labels[:, np.newaxis]
    # An open file, because numpy adds a suffix to names.
    with whole_file(path) as temporary, temporary.open("wb") as file:
        np.savez_compressed(file, **arrays)


def _phantom(rng: np.random.Generator, malignant: bool, size: tuple[int, int]) -> npt.NDArray[np.uint8]:
    """Make one phantom."""
    # Each sign leans to its class and overlaps with the other: irregular, taller than wide, shadowing, ill-defined.
    irregular, tall, shadowing, blurred = rng.normal(_SEPARATION if malignant else -_SEPARATION, 1.0, 4)
    # Drawn finer than asked and averaged down, as a scanner's picture is when it is made small.
    rows, cols = (side * _FINER for side in size)
    depth, across = np.mgrid[0:rows, 0:cols].astype(np.float64) / np.array([rows, cols]).reshape(2, 1, 1)
    power = _tissue(rng, depth, across)
    inside, distance, beneath = _lesion(rng, depth, across, rows / cols, irregular, tall)
    softness = 0.02 + 0.05 * _squash(blurred)
    edge = 1 / (1 + np.exp(np.clip(distance / softness, -30, 30)))
    echo = rng.uniform(0.03, 0.1)
    power = power * (1 - edge) + (power * 0.3 + 0.35) * echo * edge
    # Fluid lets sound through and brightens what lies below; fibrous tumour swallows it.
    gain = np.exp(-1.6 * shadowing * 0.6 * beneath * (1 - inside))
    attenuation = np.exp(-rng.uniform(0.3, 1.2) * depth)
    envelope = _speckle(rng, (rows, cols), min(rows, cols) / 128) * np.sqrt(power * gain * attenuation)
    decibel = 20 * np.log10(envelope / np.percentile(envelope, 99.5) + 1e-6)
    grey = np.clip(1 + decibel / _DYNAMIC_RANGE_DB, 0, 1) * rng.uniform(215, 255)
    small = cv2.resize(grey, (size[1], size[0]), interpolation=cv2.INTER_AREA)
    return np.asarray(np.rint(small), np.uint8)


def _squash(value: float) -> float:
    """Map a sign in standard deviations to 0..1."""
    return float(1 / (1 + np.exp(-1.3 * value)))


def _wave(rng: np.random.Generator, across: Field, height: float) -> Field:
    """Return a slowly waving offset."""
    phase, turns = rng.uniform(0, 2 * np.pi), rng.uniform(0.5, 1.5)
    return height * np.sin(2 * np.pi * turns * across + phase)


def _tissue(rng: np.random.Generator, depth: Field, across: Field) -> Field:
    """Return backscattered power of skin, fat, gland and muscle, with their waving borders."""
    skin = rng.uniform(0.03, 0.07)
    fat = skin + rng.uniform(0.08, 0.2) + _wave(rng, across, 0.03)
    gland = rng.uniform(0.7, 0.9) + _wave(rng, across, 0.04)
    power = np.where(depth < skin, 1.2, np.where(depth < fat, 0.3, np.where(depth < gland, 0.8, 0.35)))
    streaks = 0.35 * np.sin(2 * np.pi * (rng.uniform(6, 12) * depth + _wave(rng, across, 0.4))) ** 2
    patches = cv2.resize(rng.normal(0, 0.35, (6, 6)), depth.shape[::-1], interpolation=cv2.INTER_CUBIC)
    return np.asarray((power + streaks * (depth > gland)) * np.exp(patches))


def _lesion(
    rng: np.random.Generator, depth: Field, across: Field, aspect: float, irregular: float, tall: float
) -> tuple[Field, Field, Field]:
    """Return the lesion (0 or 1), the signed distance to its border, and how much it covers what lies beneath it."""
    row, col = rng.uniform(0.38, 0.58), rng.uniform(0.32, 0.68)
    radius = rng.uniform(0.12, 0.22)
    stretch = np.exp(0.28 * tall + rng.normal(0, 0.1))
    y, x = (depth - row) * aspect / stretch**0.5, (across - col) * stretch**0.5
    turn = rng.normal(0, 0.25)
    y, x = y * np.cos(turn) - x * np.sin(turn), y * np.sin(turn) + x * np.cos(turn)
    angle = np.arctan2(y, x)
    border = np.full_like(depth, radius)
    rough = _squash(irregular)
    for order in range(2, 5):
        border += radius * 0.05 * rng.normal() * np.cos(order * angle + rng.uniform(0, 2 * np.pi))
    for order in range(5, 12):
        border += radius * 0.13 * rough * rng.normal() * np.cos(order * angle + rng.uniform(0, 2 * np.pi))
    # Spicules: narrow rays that reach into the tissue.
    for _ in range(rng.poisson(6 * rough**2)):
        off = np.angle(np.exp(1j * (angle - rng.uniform(-np.pi, np.pi))))
        border += radius * rng.uniform(0.2, 0.7) * np.exp(-((off / 0.13) ** 2))
    distance = np.hypot(y, x) - border
    inside = (distance < 0).astype(np.float64)
    beneath = np.maximum.accumulate(inside, axis=0)
    return inside, distance, np.asarray(cv2.GaussianBlur(beneath, (0, 0), max(depth.shape) / 40))


def _speckle(rng: np.random.Generator, size: tuple[int, int], scale: float) -> Field:
    """Return a Rayleigh envelope of unit mean power; resolution is finer along the beam than across it."""
    rows, cols = size
    parts = [
        cv2.GaussianBlur(rng.normal(size=(rows, cols)), (0, 0), sigmaX=1.1 * scale, sigmaY=0.6 * scale)
        for _ in range(2)
    ]
    envelope = np.hypot(*parts)
    return np.asarray(envelope / np.sqrt(np.mean(envelope**2)))
