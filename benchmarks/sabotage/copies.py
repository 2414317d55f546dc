"""Kinds of spoiling: the same picture, or the same patient, again."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from benchmarks.sabotage.bases import breast_cohort, chest_cohort, heart_cohort, phantom_cohort, resized
from benchmarks.sabotage.drafts import Draft, Kind, Picture, Rng, Strength, strengths
from benchmarks.sabotage.writing import through_jpeg

Rows = npt.NDArray[np.int64]
COPIES = 12
"""Copies where what differs is how they were changed: ten or more across test are void."""


def counts(things: str, many: int = COPIES) -> tuple[Strength, ...]:
    """Return three numbers of copies or patients: ten or more are void, fewer of less than 5 % of the test are not."""
    return (
        Strength(f"{many} {things}", many, "void"),
        Strength(f"3 {things}", 3),
        Strength(f"1 {things.removesuffix('ies')}y", 1),
    )


def pairs(
    draft: Draft, n: int, rng: Rng, *, across: bool, same_class: bool = True, patients_once: bool = False
) -> tuple[Rows, Rows]:
    """Return rows to copy from and rows to copy over, of different patients and each once.

    Parameters
    ----------
    draft, n, rng
        Of what, how many.
    across
        Whether originals are train and copies test cases; else both are train cases.
    same_class
        Whether a copy has the label of its original.
    patients_once
        Whether each patient is in one pair at most.
    """
    patient = draft.table["patient_id"].to_numpy(dtype=object)
    taken: set[Any] = set()
    used: set[int] = set()
    originals: list[int] = []
    copies: list[int] = []
    sources = list(rng.permutation(draft.rows("train")))
    for copy in rng.permutation(draft.rows("test" if across else "train")):
        if len(copies) == n:
            break
        fits = (
            row
            for row in sources
            if patient[row] != patient[copy]
            and not {row, copy} & used
            and not {patient[row], patient[copy]} & taken
            and (draft.is_positive[row] == draft.is_positive[copy]) == same_class
        )
        if (source := next(fits, None)) is not None:
            originals.append(int(source))
            copies.append(int(copy))
            used |= {int(source), int(copy)}
            taken |= {patient[source], patient[copy]} if patients_once else set()
    if len(copies) < n:
        raise ValueError(f"{n} copies are asked for, and the cohort has room for {len(copies)}")
    return np.array(originals), np.array(copies)


def copied(
    draft: Draft,
    n: int,
    rng: Rng,
    change: Callable[[Picture], Picture] = np.copy,
    *,
    stored: str = "",
    across: bool = True,
    same_class: bool = True,
) -> Draft:
    """Put changed pictures of train cases in the place of those of other cases."""
    originals, copies = pairs(draft, n, rng, across=across, same_class=same_class)
    made = {int(to): change(draft.pictures[source]) for source, to in zip(originals, copies, strict=True)}
    new = draft.with_pictures(made, dict.fromkeys(made, stored) if stored else None)
    return new.planting(originals).planting(copies)


def _jpeg(draft: Draft, quality: int, rng: Rng) -> Draft:
    return copied(draft, COPIES, rng, stored=f"jpg:{quality}")


def _smaller(draft: Draft, factor: float, rng: Rng) -> Draft:
    return copied(draft, COPIES, rng, lambda picture: resized(picture, factor))


def _cropped(draft: Draft, keep: float, rng: Rng) -> Draft:
    def crop(picture: Picture) -> Picture:
        rows, cols = (round(keep * side) for side in picture.shape)
        top = int(rng.integers(picture.shape[0] - rows + 1))
        left = int(rng.integers(picture.shape[1] - cols + 1))
        return picture[top : top + rows, left : left + cols].copy()

    return copied(draft, COPIES, rng, crop)


def _flipped(draft: Draft, n: int, rng: Rng) -> Draft:
    return copied(draft, n, rng, lambda picture: np.ascontiguousarray(picture[:, ::-1]))


def _brightness(draft: Draft, curve: tuple[float, float, float], rng: Rng) -> Draft:
    return copied(draft, COPIES, rng, lambda picture: brighter(picture, curve))


def brighter(picture: Picture, curve: tuple[float, float, float]) -> Picture:
    """Return a picture with a gain, an offset in grey levels and a gamma."""
    gain, offset, gamma = curve
    grey = np.clip(picture * gain + offset, 0, 255) / 255
    return np.rint(255 * grey**gamma).astype(np.uint8)


def _relabelled(draft: Draft, n: int, rng: Rng) -> Draft:
    def change(picture: Picture) -> Picture:
        return through_jpeg(brighter(picture, (1.1, 5, 1)), 60)

    return copied(draft, n, rng, change, across=False, same_class=False)


def _conflicting(draft: Draft, n: int, rng: Rng) -> Draft:
    return copied(draft, n, rng, across=False, same_class=False)


def _on_two_sides(draft: Draft, n: int, rng: Rng) -> Draft:
    """Give test cases to patients of the training side."""
    originals, others = pairs(draft, n, rng, across=True, patients_once=True)
    names = draft.table["patient_id"].to_numpy(dtype=object).copy()
    names[others] = names[originals]
    return draft.with_columns(patient_id=names).planting(originals).planting(others)


def _by_study(draft: Draft, n: int, rng: Rng) -> Draft:
    """Store everything as DICOM; pairs of cases under two patients, on two sides, are of one study."""
    originals, others = pairs(draft, n, rng, across=True, patients_once=True)
    studies = [f"1.2.826.0.1.3680043.8.498.{rng.integers(10**12)}.{row}" for row in range(len(draft))]
    for source, other in zip(originals, others, strict=True):
        studies[other] = studies[source]
    return replace(draft.planting(originals).planting(others), formats=tuple(f"dcm:{uid}" for uid in studies))


def _by_pixels(draft: Draft, n: int, rng: Rng) -> Draft:
    """Cases that are on two sides under two patients have the same pixels: who they are was registered twice."""
    return copied(draft, n, rng)


KINDS = (
    Kind(
        "copies-exact",
        "pictures of train cases again in test, pixel for pixel",
        "near-duplicates",
        phantom_cohort,
        counts("copies"),
        _by_pixels,
    ),
    Kind(
        "copies-jpeg",
        f"{COPIES} pictures of train cases again in test, re-encoded as JPEG",
        "near-duplicates",
        breast_cohort,
        strengths("quality {}", (85, 40, 12), "void"),
        _jpeg,
    ),
    Kind(
        "copies-resized",
        f"{COPIES} pictures of train cases again in test, made smaller",
        "near-duplicates",
        phantom_cohort,
        strengths("{:.0%} of the side", (0.8, 0.5, 0.3), "void"),
        _smaller,
    ),
    Kind(
        "copies-cropped",
        f"{COPIES} pictures of train cases again in test, cropped",
        "near-duplicates",
        breast_cohort,
        strengths("{:.0%} of the side kept", (0.95, 0.85, 0.7), "void"),
        _cropped,
    ),
    Kind(
        "copies-flipped",
        "pictures of train cases again in test, mirrored",
        "near-duplicates",
        breast_cohort,
        counts("copies"),
        _flipped,
    ),
    Kind(
        "copies-brightness",
        f"{COPIES} pictures of train cases again in test, with another brightness",
        "near-duplicates",
        heart_cohort,
        (
            Strength("gain 1.1, +5", (1.1, 5.0, 1.0), "void"),
            Strength("gain 1.4, +20", (1.4, 20.0, 1.0), "void"),
            Strength("gain 0.6, gamma 1.8", (0.6, 0.0, 1.8), "void"),
        ),
        _brightness,
    ),
    Kind(
        "copies-relabelled",
        "pictures of train cases again in train, brighter and re-encoded, with the other label",
        "near-duplicates",
        phantom_cohort,
        strengths("{} pairs", (COPIES, 3, 1), one="1 pair"),
        _relabelled,
    ),
    Kind(
        "labels-conflicting",
        "the same pixels twice in train, with two labels",
        "label-conflicts",
        breast_cohort,
        strengths("{} pairs", (COPIES, 3, 1), one="1 pair"),
        _conflicting,
    ),
    Kind(
        "patients-across",
        "patients with cases in train and in test",
        "patient-overlap",
        phantom_cohort,
        strengths("{} patients", (COPIES, 3, 1), "void", one="1 patient"),
        _on_two_sides,
    ),
    Kind(
        "patients-renamed-study",
        "one DICOM study divided among two patients, one in train and one in test",
        "patient-overlap",
        phantom_cohort,
        strengths("{} studies", (COPIES, 3, 1), one="1 study"),
        _by_study,
    ),
    Kind(
        "patients-renamed-pixels",
        "one picture under two patients, one in train and one in test",
        "patient-overlap",
        chest_cohort,
        strengths("{} patients", (COPIES, 3, 1), one="1 patient"),
        _by_pixels,
    ),
)
