"""Where the pictures come from: real ones and phantoms, each source divided in two halves that share nothing."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import SimpleITK as sitk

from benchmarks.record import data
from benchmarks.sabotage.drafts import HALVES, Half, Picture
from semeion.cohort.phantom import MALIGNANT, make_phantoms

PHANTOM_SEEDS: dict[Half, int] = {"set": 4100, "publish": 5200}
PHANTOMS, PHANTOM_SIDE = 400, 96
BREAST_SIDE, HEART_SIDE, QUARTER_SIDE = 160, 128, 96
HEART_SLICES = (0.35, 0.65)
"""Places of the slices that are taken of a heart, as shares of its stack."""
THUMB = 24


@dataclass(frozen=True)
class Pool:
    """Pictures to draw cohorts from.

    Attributes
    ----------
    pictures
        Grey, uint8.
    positive
        Which have the positive class.
    names
        The negative and the positive class.
    patients
        Whose each is; empty where nobody knows, and every picture then counts as a patient.
    masks
        What is outlined in each; empty where nothing is.
    """

    pictures: tuple[Picture, ...]
    positive: npt.NDArray[np.bool_]
    names: tuple[str, str]
    patients: tuple[str, ...] = ()
    masks: tuple[Picture, ...] = ()


@lru_cache
def phantoms(half: Half) -> Pool:
    """Return generated breast ultrasound; no two pictures have anything in common."""
    images, labels = make_phantoms(PHANTOMS, PHANTOM_SEEDS[half], (PHANTOM_SIDE, PHANTOM_SIDE), malignant_share=0.45)
    return Pool(tuple(images), labels == MALIGNANT, ("benign", "malignant"))


@lru_cache
def chests(half: Half, part: int = 0) -> Pool:
    """Return chest radiographs of 28 pixels from the official training split (the test split has another mix).

    Parameters
    ----------
    half
        Of the corpus.
    part
        0 or 1: two parts of the half that share nothing, to learn from and to be evaluated on.
    """
    archive = np.load(data() / "pneumoniamnist" / "pneumoniamnist.npz")
    order = np.random.default_rng(11).permutation(len(archive["train_images"]))[2 * part + HALVES.index(half) :: 4]
    images, labels = archive["train_images"][order], archive["train_labels"][order].ravel()
    kept = distinct(list(images), 0.985)
    return Pool(tuple(images[kept]), labels[kept] == 1, ("normal", "pneumonia"))


@lru_cache
def small_breasts(half: Half) -> Pool:
    """Return breast ultrasound of 28 pixels."""
    archive = np.load(data() / "breastmnist" / "breastmnist.npz")
    images = np.concatenate([archive[f"{split}_images"] for split in ("train", "val")])
    labels = np.concatenate([archive[f"{split}_labels"] for split in ("train", "val")]).ravel()
    order = np.random.default_rng(12).permutation(len(images))[HALVES.index(half) :: 2]
    kept = order[distinct([images[row] for row in order], 0.95)]
    return Pool(tuple(images[kept]), labels[kept] == 0, ("benign", "malignant"))


@lru_cache
def breasts(half: Half, finding: str = "") -> Pool:
    """Return breast ultrasound, squares of 160 pixels from the middle, without pictures that look like another.

    Parameters
    ----------
    half
        Of the corpus.
    finding
        ``normal`` for pictures without a lesion, none of them positive; else the benign and the malignant ones.
    """
    root = data() / "busi"
    with (root / "cases.csv").open(newline="") as file:
        cases = [case for case in csv.DictReader(file) if (case["finding"] == "normal") == (finding == "normal")]
    pictures = [_square(read_grey(root / case["image"]), BREAST_SIDE) for case in cases]
    # Copies are looked for before the halves are drawn, so that none lies across them either.
    kept = distinct(pictures, 0.9)
    kept = kept[without_parts([pictures[row] for row in kept], 0.975)]
    kept = np.random.default_rng(13).permutation(kept)[HALVES.index(half) :: 2]
    positive = np.array([cases[row]["finding"] == "malignant" for row in kept])
    return Pool(tuple(pictures[row] for row in kept), positive, ("benign", "malignant"))


@lru_cache
def hearts(half: Half) -> Pool:
    """Return slices of cine MR, two of each phase a patient: nothing but the heart differs between the classes."""
    root = data() / "acdc" / "images"
    patients = sorted({file.name.split("_")[0] for file in root.glob("patient*_ED.nii.gz")})
    pictures: list[Picture] = []
    systole: list[bool] = []
    owners: list[str] = []
    for patient in np.random.default_rng(14).permutation(patients)[HALVES.index(half) :: 2]:
        for phase in ("ED", "ES"):
            stack = sitk.GetArrayFromImage(sitk.ReadImage(str(root / f"{patient}_{phase}.nii.gz")))
            for place in HEART_SLICES:
                pictures.append(_window(_middle(stack[round(place * (len(stack) - 1))], HEART_SIDE)))
                systole.append(phase == "ES")
                owners.append(str(patient))
    return Pool(tuple(pictures), np.array(systole), ("diastole", "systole"), tuple(owners))


@lru_cache
def quarters(half: Half) -> Pool:
    """Return quarters of ultrasound pictures without a lesion, as backgrounds to draw lesions into."""
    pictures, owners = [], []
    for number, whole in enumerate(breasts(half, "normal").pictures):
        side = BREAST_SIDE // 2
        for top in (0, side):
            for left in (0, side):
                part = whole[top : top + side, left : left + side]
                pictures.append(cv2.resize(part, (QUARTER_SIDE, QUARTER_SIDE), interpolation=cv2.INTER_CUBIC))
                owners.append(f"{number:03d}")
    return Pool(tuple(pictures), np.zeros(len(pictures), dtype=bool), ("benign", "malignant"), tuple(owners))


def distinct(pictures: list[Picture], limit: float) -> npt.NDArray[np.int64]:
    """Return row numbers of pictures whose thumbnail correlates by less than `limit` with that of each kept before.

    A public source holds copies of its own. What is planted must be the only thing that is wrong, and what audits make
    of copies must not be asked: so this is a plain correlation, mirrored pictures included.
    """
    small: Picture = np.stack([cv2.resize(one, (THUMB, THUMB), interpolation=cv2.INTER_AREA) for one in pictures])

    def standard(images: Picture) -> Picture:
        flat = images.reshape(len(images), -1).astype(np.float32)
        flat -= flat.mean(axis=1, keepdims=True)
        return np.asarray(flat / (np.linalg.norm(flat, axis=1, keepdims=True) + 1e-6))

    plain = standard(small)
    alike = np.maximum(plain @ plain.T, plain @ standard(small[:, :, ::-1]).T)
    kept: list[int] = []
    for row in range(len(pictures)):
        if not kept or alike[row, kept].max() < limit:
            kept.append(row)
    return np.array(kept, dtype=np.int64)


def without_parts(pictures: list[Picture], limit: float) -> npt.NDArray[np.int64]:
    """Return row numbers of pictures whose middle lies in no other kept before, nor the other way round.

    Copies that were cut otherwise are not seen by :func:`distinct`. In breast ultrasound two pairs reach 0.99, and all
    others stay below 0.965.
    """
    small = [cv2.resize(one, (40, 40), interpolation=cv2.INTER_AREA) for one in pictures]
    middles = [one[7:33, 7:33] for one in small]

    def holds(whole: Picture, part: Picture) -> bool:
        ways = (part, np.ascontiguousarray(part[:, ::-1]))
        return any(float(cv2.matchTemplate(whole, way, cv2.TM_CCOEFF_NORMED).max()) >= limit for way in ways)

    kept: list[int] = []
    for row in range(len(pictures)):
        if not any(holds(small[row], middles[one]) or holds(small[one], middles[row]) for one in kept):
            kept.append(row)
    return np.array(kept, dtype=np.int64)


def read_grey(path: Path) -> Picture:
    """Return a real picture as grey.

    Raises
    ------
    ValueError
        When it cannot be read.
    """
    picture = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)
    if picture is None:
        raise ValueError(f"{path} cannot be read")
    return picture


def _square(picture: Picture, side: int) -> Picture:
    """Return the square in the middle of a picture, `side` pixels a side."""
    rows, cols = picture.shape
    edge = min(rows, cols)
    top, left = (rows - edge) // 2, (cols - edge) // 2
    return cv2.resize(picture[top : top + edge, left : left + edge], (side, side), interpolation=cv2.INTER_AREA)


def _middle(plane: Picture, side: int) -> Picture:
    """Return the middle of a plane, `side` pixels a side, padded with its least value where it is smaller."""
    grow = [max(0, side - n) for n in plane.shape]
    padded = np.pad(plane, [(n // 2, n - n // 2) for n in grow], constant_values=plane.min())
    top, left = ((n - side) // 2 for n in padded.shape)
    return padded[top : top + side, left : left + side]


def _window(plane: Picture) -> Picture:
    low, high = np.percentile(plane, [1, 99])
    return np.asarray(np.clip(np.rint((plane - low) / max(high - low, 1e-9) * 255), 0, 255), np.uint8)
