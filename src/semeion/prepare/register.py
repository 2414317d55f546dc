"""Whether the channels of a case lie on one another, and how they are brought there."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from semeion.cohort.volume import Grid, Volume
from semeion.errors import ImageError
from semeion.prepare.geometry import resample, smoothed

LEAST_OVERLAP = 0.25
"""Share of the first channel's extent that another must cover to be resampled onto it."""
SHIFT_MM = 3.0
"""How far channels on one grid are shifted to see whether they would fit better."""
_NUMBERS = ("shift", "angle", "before", "after")
_NOTE = re.compile(
    r"registered: (?P<name>.*) by (?P<shift>[\d.]+) mm and (?P<angle>[\d.]+) degrees, mutual information "
    r"(?P<before>-?[\d.]+) to (?P<after>-?[\d.]+)",
    re.DOTALL,
)
_BINS = 32
_SEED = 20240
_LARGE = 2_000_000
_POINTS = 100_000
"""Voxels that the metric looks at, at each resolution."""


@dataclass(frozen=True)
class Rigid:
    """How one channel was moved onto another.

    Attributes
    ----------
    translation_mm
        Of the moved volume's centre, LPS.
    rotation_deg
        Angle about one axis, the axis of the whole rotation.
    before, after
        Mutual information in nats on the fixed grid (32 bins): larger is better.
    """

    translation_mm: tuple[float, float, float]
    rotation_deg: float
    before: float
    after: float

    def note(self, name: str) -> str:
        """Return the note of moving the channel `name`, which :func:`registered` reads again."""
        shift = float(np.linalg.norm(self.translation_mm))
        return (
            f"registered: {name} by {shift:.2f} mm and {self.rotation_deg:.2f} degrees, mutual information "
            f"{self.before:.3f} to {self.after:.3f}"
        )


def align(
    planes: Sequence[Volume], names: Sequence[str], how: Literal["check", "rigid"], *, fill: float | None = None
) -> tuple[list[Volume], list[str]]:
    """Bring the channels of a case onto the first one's grid.

    ``check``: on one grid they are taken as aligned, and a note says when two share hardly any information; on others
    they are resampled linearly by the patient's coordinates. ``rigid``: moved by mutual information first. Where a
    channel was not seen stands `fill`, or its least value.

    Returns
    -------
    tuple
        One volume a channel, all on one grid, and coded notes.

    Raises
    ------
    ImageError
        When a channel covers too little of the first one's extent to lie on it.
    """
    fixed = planes[0]
    out, notes = [fixed], []
    for name, moving in zip(names[1:], planes[1:], strict=True):
        covered = overlap(fixed.grid, moving.grid)
        if covered < LEAST_OVERLAP:
            raise ImageError(
                f"channel {name!r} covers {covered:.0%} of the extent of channel {names[0]!r}",
                fix="give channels of one patient and one examination, in the same coordinates",
            )
        if how == "rigid":
            moved, found = register_rigid(fixed, moving, fill=fill)
            notes.append(found.note(name))
            out.append(moved)
        elif moving.grid.same_as(fixed.grid):
            out.append(replace(moving, grid=fixed.grid))
            notes += doubts(fixed, moving, name)
        else:
            notes.append(f"resampled: {name} onto {names[0]}")
            out.append(resample(moving, fixed.grid, "linear", fill=fill))
    return out, notes


def registered(notes: Sequence[Sequence[str]]) -> list[dict[str, Any]]:
    """Sum up how channels were registered, from the notes of each prepared case.

    Returns
    -------
    list of dict
        One a channel, in the order in which they come: ``channel``, ``cases``, ``aligned`` (cases in which no movement
        was better than the headers), ``moved``, ``largest_mm`` and ``largest_degrees`` (of the movements), and
        ``information_before`` and ``information_after``, medians of mutual information in nats. Empty where none was.
    """
    found: dict[str, list[tuple[float, ...]]] = {}
    for match in (_NOTE.fullmatch(note) for own in notes for note in own):
        if match is not None:
            found.setdefault(match["name"], []).append(tuple(float(match[key]) for key in _NUMBERS))
    rows = []
    for name, each in found.items():
        shift, angle, before, after = np.array(each).T
        # Kept where it lay: the metric is then the same, to the digits of the note, and nothing moved.
        still = (shift == 0) & (angle == 0) & (before == after)
        rows.append(
            {
                "channel": name,
                "cases": len(each),
                "aligned": int(still.sum()),
                "moved": int((~still).sum()),
                "largest_mm": float(shift.max()),
                "largest_degrees": float(angle.max()),
                "information_before": float(np.median(before)),
                "information_after": float(np.median(after)),
            }
        )
    return rows


def overlap(fixed: Grid, moving: Grid) -> float:
    """Return the share of points of `fixed`'s extent that lie within `moving`'s, from a lattice of 11 x 11 x 11."""
    steps = [np.linspace(-0.5, n - 0.5, 13)[1:-1] for n in fixed.size]
    points = np.stack(np.meshgrid(*steps, indexing="ij"), axis=-1)
    index = moving.index(fixed.place(points))
    inside = (index >= -0.5) & (index <= np.array(moving.size) - 0.5)
    return float(inside.all(axis=-1).mean())


def mutual_information(first: npt.NDArray[Any], second: npt.NDArray[Any]) -> float:
    """Return the mutual information, in nats, of two arrays of one shape on 32 x 32 bins.

    Bins reach from the 0.5 to the 99.5 percentile of each; what lies outside counts in the first and last.
    """
    indices = []
    for values in (first, second):
        flat = np.asarray(values, dtype=np.float64).ravel()
        low, high = np.quantile(flat, (0.005, 0.995))
        if not high > low:
            low, high = float(flat.min()), float(flat.max())
        width = (high - low) or 1.0
        indices.append(np.clip((flat - low) / width * _BINS, 0, _BINS - 1).astype(np.int64))
    counts = np.bincount(indices[0] * _BINS + indices[1], minlength=_BINS * _BINS).reshape(_BINS, _BINS)
    joint = counts / counts.sum()
    apart = joint.sum(axis=1, keepdims=True) * joint.sum(axis=0, keepdims=True)
    held = joint > 0
    return float((joint[held] * np.log(joint[held] / apart[held])).sum())


def doubts(fixed: Volume, moving: Volume, name: str) -> list[str]:
    """Return a note when two volumes on one grid fit better with one of them shifted by about 3 mm along an axis.

    About 200,000 voxels are looked at. Anatomy that lies on itself has most mutual information unshifted.
    """
    wanted = [max(1, round(SHIFT_MM / spacing)) for spacing in fixed.grid.spacing[::-1]]
    shifts = [shift if n >= 4 * shift else 0 for n, shift in zip(fixed.grid.shape, wanted, strict=True)]
    inner = [n - 2 * shift for n, shift in zip(fixed.grid.shape, shifts, strict=True)]
    stride = max(1, math.ceil((math.prod(inner) / 200_000) ** (1 / 3)))

    def part(plane: npt.NDArray[Any], move: tuple[int, ...]) -> npt.NDArray[Any]:
        ends = zip(shifts, move, inner, strict=True)
        values: npt.NDArray[Any] = plane[tuple(slice(s + m, s + m + n, stride) for s, m, n in ends)]
        return values

    still = part(fixed.plane, (0, 0, 0))
    here = mutual_information(still, part(moving.plane, (0, 0, 0)))
    best, where = here * 1.02, ""
    for axis in range(3):
        for sign in (-1, 1) if shifts[axis] else ():
            move = tuple(sign * shifts[axis] if number == axis else 0 for number in range(3))
            there = mutual_information(still, part(moving.plane, move))
            if there > best:
                best, where = there, f"{shifts[axis] * fixed.grid.spacing[2 - axis]:.1f} mm along {'kji'[axis]}"
    if not where:
        return []
    return [f"misaligned: {name} fits better shifted by {where} (mutual information {here:.3f} to {best:.3f})"]


def register_rigid(fixed: Volume, moving: Volume, *, fill: float | None = None) -> tuple[Volume, Rigid]:
    """Move one volume of one plane onto another by rotation and translation.

    Mattes' mutual information, three resolutions, gradient descent with steps that adapt, a fixed seed. The result is
    kept only when it is better than where the headers put the volume. On one thread, so that it repeats exactly.
    Where the moving volume was not seen stands `fill`, or its least value.

    Returns
    -------
    tuple
        The moved volume on the fixed grid (linear), and what was done.
    """
    from semeion.prepare.itk import from_itk, one_thread, sampled, sitk, to_itk

    still, other = (to_itk(one.plane.astype(np.float32), one.grid) for one in (fixed, moving))
    start = sitk.CenteredTransformInitializer(
        still, other, sitk.Euler3DTransform(), sitk.CenteredTransformInitializerFilter.GEOMETRY
    )
    # Headers place the volume; only the centre of rotation is wanted from the initialiser.
    euler = sitk.Euler3DTransform(start)
    euler.SetTranslation((0.0, 0.0, 0.0))
    euler.SetRotation(0.0, 0.0, 0.0)
    method = sitk.ImageRegistrationMethod()
    method.SetMetricAsMattesMutualInformation(_BINS)
    method.SetMetricSamplingStrategy(method.REGULAR)
    method.SetInterpolator(sitk.sitkLinear)
    method.SetOptimizerAsRegularStepGradientDescent(
        learningRate=1.0, minStep=1e-3, numberOfIterations=100, relaxationFactor=0.5
    )
    method.SetOptimizerScalesFromPhysicalShift()
    # Thin stacks are not shrunk to nothing; of large ones half the resolution tells a tenth of a voxel.
    least, large = min(fixed.grid.size), math.prod(fixed.grid.size) > _LARGE
    factors = [factor for factor in (4, 2, 1) if least // factor >= 8 and not (large and factor == 1)] or [1]
    method.SetShrinkFactorsPerLevel(factors)
    shares = [min(1.0, _POINTS * factor**3 / math.prod(fixed.grid.size)) for factor in factors]
    method.SetMetricSamplingPercentagePerLevel(shares, _SEED)
    method.SetSmoothingSigmasPerLevel([float(factor - 1) for factor in factors])
    method.SmoothingSigmasAreSpecifiedInPhysicalUnitsOff()
    method.SetInitialTransform(euler, inPlace=True)
    outside = float(moving.plane.min())
    as_placed = resample(moving, fixed.grid, "linear").plane
    before = mutual_information(fixed.plane, as_placed)
    placed = as_placed if fill is None else resample(moving, fixed.grid, "linear", fill=fill).plane
    kept = replace(moving, voxels=placed[np.newaxis], grid=fixed.grid), Rigid((0.0, 0.0, 0.0), 0.0, before, before)
    if before <= 1e-9 and (np.ptp(fixed.plane) == 0 or np.ptp(moving.plane) == 0):
        return kept  # a constant volume tells nothing
    try:
        # Sums over threads are rounded in the order in which they end; the metric takes their number when it begins.
        with one_thread():
            method.Execute(still, other)
    except RuntimeError as error:
        raise ImageError(
            f"the channels cannot be registered ({' '.join(str(error).split())[-160:]})",
            fix="register them beforehand, or plan `registration: check`",
        ) from error
    smooth = to_itk(smoothed(moving.plane.astype(np.float32), moving.grid, fixed.grid), moving.grid)
    moved = from_itk(sampled(smooth, fixed.grid, "linear", outside, euler))
    after = mutual_information(fixed.plane, moved)
    if after <= before:
        return kept
    if fill is not None:
        moved = from_itk(sampled(smooth, fixed.grid, "linear", fill, euler))
    matrix = np.array(euler.GetMatrix()).reshape(3, 3)
    angle = float(np.degrees(np.arccos(np.clip((np.trace(matrix) - 1) / 2, -1, 1))))
    # The transform leads from the fixed to the moving volume; the moved one went the other way.
    x, y, z = (-float(one) for one in euler.GetTranslation())
    return replace(moving, voxels=moved[np.newaxis], grid=fixed.grid), Rigid((x, y, z), angle, before, after)
