"""CT-like volumes of a contrast-filled vessel whose narrowing is known by construction.

A vessel of even calibre runs through soft tissue from the bottom to the top of the volume; it narrows like a cosine in
one place (and less in a second one in some cases), to one side or evenly. Beside it lie what a carotid CT angiogram
shows: fat, muscle, a fainter vein, bone and calcified plaque. The border of the lumen has partial volume, and the whole
the scanner's blur and correlated noise. Hounsfield units follow Bushberg et al., The Essential Physics of Medical
Imaging (2012); a figure reached on phantoms says nothing about patients.
"""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import SimpleITK as sitk
from scipy import ndimage
from scipy.spatial import cKDTree

from semeion.cohort.volume import Grid, Volume

Floats = npt.NDArray[np.float64]

SIZE, SPACING = (64, 64, 72), (0.6, 0.6, 0.7)
"""About 38 x 38 x 50 mm."""
FLOW = (0.0, 0.0, 1.0)
"""Blood flows upwards: the normal vessel is above the narrowing."""
BLUR_MM = 0.4
"""Standard deviation of the scanner's point spread."""
FINER = 4
"""Points along each side of a voxel that the border of the lumen crosses."""
FAT, MUSCLE, VEIN, BONE, PLAQUE = -90.0, 55.0, 130.0, 600.0, 900.0


@dataclass(frozen=True)
class VesselPhantom:
    """One phantom and the truth about it.

    Attributes
    ----------
    image
        Hounsfield units, int16.
    mask
        Voxels of which at least half is lumen.
    stenosis_percent
        Loss of diameter at the narrowest place, NASCET.
    place
        LPS millimetres of the narrowest place.
    normal_mm
        Diameter of the normal vessel.
    """

    image: Volume
    mask: Volume
    stenosis_percent: float
    place: tuple[float, float, float]
    normal_mm: float

    @property
    def area_percent(self) -> float:
        """Loss of area at the narrowest place."""
        return 100 * (1 - (1 - self.stenosis_percent / 100) ** 2)


def make_vessel(seed: int, stenosis_percent: float | None = None) -> VesselPhantom:
    """Make one phantom; the same seed and degree give the same one.

    Parameters
    ----------
    seed
        Of everything else: course, calibre, tissue, noise.
    stenosis_percent
        Degree from 0 to 80; drawn evenly from 25 to 75 when None.
    """
    rng = np.random.default_rng([seed, 20])
    degree = float(rng.uniform(25, 75)) if stenosis_percent is None else float(stenosis_percent)
    if not 0 <= degree <= 80:
        raise ValueError(f"a degree of {degree} is not from 0 to 80")
    grid = Grid(SIZE, SPACING, tuple(float(v) for v in rng.uniform(-80, 80, 3)))
    extent = np.array(SIZE) * SPACING
    line, radius, narrowest = _course(rng, extent, degree / 100)
    index = np.stack(np.meshgrid(*[np.arange(n) for n in SIZE], indexing="ij"), axis=-1).reshape(-1, 3)
    places = index * np.array(SPACING)
    away, nearest = cKDTree(line).query(places)
    filled = _filled(places, away, nearest, line, radius)
    field = _tissue(rng, places, away, nearest, line, radius, narrowest)
    lumen = rng.uniform(280, 420)
    hounsfield = (field * (1 - filled) + lumen * filled).reshape(SIZE).transpose(2, 1, 0)
    spacing_kji = np.array(SPACING[::-1])
    hounsfield = ndimage.gaussian_filter(hounsfield, BLUR_MM / spacing_kji)
    grain = ndimage.gaussian_filter(rng.normal(size=hounsfield.shape), 0.45 / spacing_kji)
    hounsfield = hounsfield + grain / grain.std() * rng.uniform(12, 22)
    image = np.clip(np.round(hounsfield), -1024, 3071).astype(np.int16)
    mask = (filled.reshape(SIZE).transpose(2, 1, 0) >= 0.5).astype(np.uint8)
    x, y, z = (float(v) for v in line[narrowest] + np.array(grid.origin))
    return VesselPhantom(
        Volume(image[None], grid, unit="HU", modality="CT"),
        Volume(mask[None], grid),
        degree,
        (x, y, z),
        2 * float(radius.max()),
    )


def _course(rng: np.random.Generator, extent: Floats, degree: float) -> tuple[Floats, Floats, int]:
    """Return the vessel's line (mm from the first voxel), its radius along it, and the point where it is narrowest."""
    t = np.linspace(-0.15, 1.15, 521)
    sway = rng.uniform(2.0, 4.5, 2) * rng.choice([-1, 1], 2)
    phase, turns = rng.uniform(0, 2 * np.pi, 2), rng.uniform(0.3, 0.6, 2)
    lean = rng.uniform(-5, 5, 2)
    centre = extent[:2] / 2 + rng.uniform(-3, 3, 2)
    across = centre + lean * (t[:, None] - 0.5) + sway * np.sin(2 * np.pi * turns * t[:, None] + phase)
    line = np.concatenate([across, (t * extent[2])[:, None]], axis=1)
    along = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(line, axis=0), axis=1))])
    normal = rng.uniform(2.5, 3.3)
    radius = np.full(len(t), normal)
    at = int(np.argmin(np.abs(t - rng.uniform(0.38, 0.52))))
    half = rng.uniform(5.0, 8.0)
    radius *= 1 - degree * _cosine((along - along[at]) / half)
    if rng.random() < 0.3:
        # A second, lesser narrowing below the first, apart from it.
        radius *= 1 - 0.5 * degree * _cosine((along - along[at] + half + 4.5) / 4.0)
    # A plaque on one side pushes the middle of the lumen away; the section stays a circle.
    side = rng.uniform(0, 2 * np.pi)
    push = rng.uniform(0, 0.7) * (normal - radius)
    line[:, :2] += push[:, None] * np.array([np.cos(side), np.sin(side)])
    return line, radius, at


def _cosine(x: Floats) -> Floats:
    return np.asarray(0.5 * (1 + np.cos(np.pi * np.clip(x, -1, 1))))


def _filled(places: Floats, away: Floats, nearest: Floats, line: Floats, radius: Floats) -> Floats:
    """Return the share of each voxel that is lumen; `away` is its distance from the line's `nearest` point."""
    depth = radius[nearest] - away
    filled = (depth > 0).astype(np.float64)
    edge = np.flatnonzero(np.abs(depth) < np.linalg.norm(SPACING) / 2 + 0.1)
    ticks = (np.arange(FINER) + 0.5) / FINER - 0.5
    fine = np.stack(np.meshgrid(ticks, ticks, ticks, indexing="ij"), axis=-1).reshape(-1, 3) * SPACING
    away, nearest = cKDTree(line).query((places[edge, None] + fine).reshape(-1, 3))
    filled[edge] = (away < radius[nearest]).reshape(len(edge), -1).mean(axis=1)
    return filled


def _tissue(
    rng: np.random.Generator,
    places: Floats,
    away: Floats,
    nearest: Floats,
    line: Floats,
    radius: Floats,
    narrowest: int,
) -> Floats:
    """Return Hounsfield units of everything but the lumen."""
    smooth = ndimage.gaussian_filter(rng.normal(size=SIZE), 6).ravel()
    field = np.where(smooth > np.quantile(smooth, 0.6), FAT, MUSCLE)
    normal = float(radius.max())
    # The vessel's wall, where plaque takes the place of the lumen.
    field = np.where(away < normal + 1.0, MUSCLE + 10, field)
    angle = rng.uniform(0, 2 * np.pi)
    aside = line + 11 * np.array([np.cos(angle), np.sin(angle), 0.0])
    field = np.where(cKDTree(aside).query(places, distance_upper_bound=3.0)[0] < 3.0, VEIN, field)
    bone = line[len(line) // 2] + 17 * np.array([np.cos(angle + 2.5), np.sin(angle + 2.5), 0.0])
    field = np.where(np.linalg.norm((places - bone)[:, :2], axis=1) < 6.0, BONE, field)
    if rng.random() < 0.5 and radius[narrowest] < 0.8 * normal:
        # Calcified plaque in the wall, with a fibrous layer towards the lumen.
        turn = rng.uniform(0, 2 * np.pi)
        spot = line[narrowest] + (normal + 0.8) * np.array([np.cos(turn), np.sin(turn), 0.0])
        near = np.linalg.norm(places - spot, axis=1) < 1.4
        field = np.where(near & (away > radius[nearest] + 0.9), PLAQUE, field)
    return np.asarray(field)


def write_cohort(folder: Path, *, train: int, test: int, seed: int = 0) -> Path:
    """Save phantoms as NIfTI with ``cohort.csv``: case_id, patient_id, image, mask, split, stenosis_percent.

    The degrees of the test cases are spread evenly over 30 to 70 %, those of the training cases drawn from 25 to 75.
    """
    folder.mkdir(parents=True, exist_ok=True)
    rows = []
    for number in range(train + test):
        held_out = number >= train
        degree = 30 + 40 * (number - train) / max(test - 1, 1) if held_out else None
        phantom = make_vessel(1000 * seed + number, degree)
        name = f"vessel{number:03d}"
        save(phantom.image, folder / f"{name}.nii.gz")
        save(phantom.mask, folder / f"{name}-lumen.nii.gz")
        split = "test" if held_out else "train"
        files = [f"{name}.nii.gz", f"{name}-lumen.nii.gz"]
        rows.append([name, f"p{number:03d}", *files, split, f"{phantom.stenosis_percent:.3f}"])
    table = folder / "cohort.csv"
    with table.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["case_id", "patient_id", "image", "mask", "split", "stenosis_percent"])
        writer.writerows(rows)
    return table


def save(volume: Volume, path: Path) -> None:
    """Write a volume of one plane in the format that the name says."""
    image = sitk.GetImageFromArray(volume.plane)
    image.SetSpacing(volume.grid.spacing)
    image.SetOrigin(volume.grid.origin)
    image.SetDirection(volume.grid.direction)
    sitk.WriteImage(image, str(path), useCompression=True)
