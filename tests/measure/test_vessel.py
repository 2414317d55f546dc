from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from scipy import ndimage
from scipy.spatial import cKDTree

from semeion.cohort.volume import Grid, Volume
from semeion.errors import InputError
from semeion.measure.vessel import DEFINITIONS, euler_number, measure_stenosis

Curve = Callable[[np.ndarray], np.ndarray]
LENGTH, RADIUS = 50.0, 3.0


def straight(t: np.ndarray) -> np.ndarray:
    return np.stack([0 * t, 0 * t, LENGTH * t], axis=1)


def oblique(t: np.ndarray) -> np.ndarray:
    return LENGTH * t[:, None] * np.array([0.48, 0.6, 0.64])


def curved(t: np.ndarray) -> np.ndarray:
    angle = LENGTH / 25 * t
    return np.stack([25 * np.cos(angle), 6 * np.sin(angle), 25 * np.sin(angle)], axis=1)


def tube(
    curve: Curve, narrowings=(), *, spacing=(0.6, 0.6, 0.6), radius=RADIUS, margin=4.0, taper=0.0, turn=None
) -> Volume:
    """Voxels nearer to a curve than its radius; a narrowing is (share of length, half length in mm, share of diameter).

    Ends are round. The grid is turned by `turn`, a rotation matrix, and has an origin.
    """
    t = np.linspace(0, 1, 801)
    line = curve(t)
    along = np.concatenate([[0], np.cumsum(np.linalg.norm(np.diff(line, axis=0), axis=1))])
    r = radius * (1 - taper * t)
    for place, half, degree in narrowings:
        away = np.clip(np.abs(along - place * along[-1]) / half, 0, 1)
        r = r * (1 - degree * 0.5 * (1 + np.cos(np.pi * away)))
    matrix = np.eye(3) if turn is None else turn
    seen = line @ matrix
    low, high = seen.min(axis=0) - radius - margin, seen.max(axis=0) + radius + margin
    size = tuple(int(n) for n in np.ceil((high - low) / spacing))
    grid = Grid(size, spacing, tuple(matrix @ low), tuple(matrix.ravel()))
    places = grid.place(np.stack(np.meshgrid(*[np.arange(n) for n in size], indexing="ij"), axis=-1).reshape(-1, 3))
    away, nearest = cKDTree(line).query(places, distance_upper_bound=radius * 1.01)
    inside = away < np.append(r, 0)[nearest]
    return Volume(inside.reshape(size).transpose(2, 1, 0).astype(np.uint8)[None], grid)


@pytest.mark.parametrize("curve", [straight, oblique, curved])
@pytest.mark.parametrize(
    ("degree", "spacing"),
    [(0.3, (0.6, 0.6, 0.6)), (0.5, (0.6, 0.6, 0.6)), (0.7, (0.6, 0.6, 0.6)), (0.7, (0.5, 0.5, 1.0))],
)
def test_known_narrowings_are_found_within_five_points(curve: Curve, degree: float, spacing):
    found = measure_stenosis(tube(curve, [(0.4, 6.0, degree)], spacing=spacing), flow=(0, 0, 1))
    assert found.percent == pytest.approx(100 * degree, abs=5)
    assert found.area_percent == pytest.approx(100 * (1 - (1 - degree) ** 2), abs=6)
    assert found.minor_percent == pytest.approx(100 * degree, abs=7)
    assert found.normal_mm == pytest.approx(2 * RADIUS, rel=0.04)
    assert found.reference == "distal"
    assert found.place == pytest.approx(tuple(curve(np.array([0.4]))[0]), abs=1.5)
    # The ends are round, so that the line is up to a radius longer at each.
    assert found.at_mm == pytest.approx(0.4 * LENGTH_OF[curve] + RADIUS, abs=2)


LENGTH_OF = {
    curve: float(np.linalg.norm(np.diff(curve(np.linspace(0, 1, 801)), axis=0), axis=1).sum())
    for curve in (straight, oblique, curved)
}


def test_what_is_found_does_not_depend_on_how_the_grid_lies():
    a = np.radians(30)
    turn = np.array([[np.cos(a), -np.sin(a), 0], [np.sin(a), np.cos(a), 0], [0, 0, 1]])
    turn = turn @ np.array([[1, 0, 0], [0, 0, -1], [0, 1, 0]])
    found = measure_stenosis(tube(curved, [(0.4, 6.0, 0.5)], turn=turn), flow=(0, 0, 1))
    assert found.percent == pytest.approx(50, abs=5)
    assert found.place == pytest.approx(tuple(curved(np.array([0.4]))[0]), abs=1.5)


def test_flow_decides_which_side_is_normal_and_where_the_line_begins():
    # Two calibres: 6 mm below and 4.8 mm above the narrowing.
    vessel = tube(straight, [(0.5, 6.0, 0.5)], taper=0.2)
    up = measure_stenosis(vessel, flow=(0, 0, 1))
    down = measure_stenosis(vessel, flow=(0, 0, -1))
    unknown = measure_stenosis(vessel)
    assert up.normal_mm < unknown.normal_mm < down.normal_mm
    assert unknown.normal_mm == pytest.approx((up.normal_mm + down.normal_mm) / 2)
    assert (up.reference, down.reference, unknown.reference) == ("distal", "distal", "both")
    assert up.smallest_mm == pytest.approx(down.smallest_mm, abs=0.05)
    assert up.at_mm + down.at_mm == pytest.approx(up.sections.along[-1], abs=1.0)


def test_the_tightest_of_two_narrowings_counts():
    found = measure_stenosis(tube(straight, [(0.25, 4.0, 0.4), (0.6, 4.0, 0.65)]), flow=(0, 0, 1))
    assert found.percent == pytest.approx(65, abs=5)
    assert found.place[2] == pytest.approx(0.6 * LENGTH, abs=1)


@pytest.mark.parametrize("curve", [straight, curved])
def test_a_normal_vessel_is_not_narrowed(curve: Curve):
    found = measure_stenosis(tube(curve))
    assert found.reference == "whole"
    assert 0 <= found.percent < 5
    assert found.normal_mm == pytest.approx(6, rel=0.03)


def test_a_flat_lumen_counts_by_its_area_and_by_its_shorter_axis():
    """An ellipse of 6 x 6 that becomes one of 6 x 2 mm: a third of the area, 42 % less diameter, 67 % less width."""
    spacing = (0.4, 0.4, 0.6)
    z, y, x = np.mgrid[:90, :30, :30].astype(float)
    z, y, x = z * spacing[2] - 4, (y - 14.5) * spacing[1], (x - 14.5) * spacing[0]
    flat = 1 - np.exp(-(((z - 20) / 5) ** 4)) * 2 / 3
    inside = ((x / 3) ** 2 + (y / (3 * flat)) ** 2 < 1) & (z > 0) & (z < 45)
    found = measure_stenosis(Volume(inside.astype(np.uint8)[None], Grid((30, 30, 90), spacing)))
    assert found.percent == pytest.approx(100 * (1 - np.sqrt(1 / 3)), abs=4)
    assert found.area_percent == pytest.approx(66.7, abs=5)
    assert found.minor_percent == pytest.approx(66.7, abs=6)


def test_measurements_have_the_defined_names():
    found = measure_stenosis(tube(straight, [(0.5, 6.0, 0.5)]))
    values = found.measurements()
    assert list(values) == [one.name for one in DEFINITIONS]
    assert values["stenosis_percent"] == found.percent
    assert all(np.isfinite(value) for value in values.values())


def test_specks_are_set_aside_and_said():
    vessel = tube(straight, [(0.5, 6.0, 0.5)])
    with_speck = vessel.voxels.copy()
    with_speck[0, 1:3, 1:3, 1:3] = 1
    found = measure_stenosis(Volume(with_speck, vessel.grid))
    assert found.ignored_ml == pytest.approx(8 * vessel.grid.voxel_ml)
    assert found.percent == pytest.approx(measure_stenosis(vessel).percent)


def test_open_ends_are_allowed_on_request_and_only_at_the_ends():
    vessel = tube(straight, [(0.5, 6.0, 0.5)])
    ends = Volume(
        vessel.voxels[:, 20:-16], Grid((*vessel.grid.size[:2], vessel.grid.size[2] - 36), vessel.grid.spacing)
    )
    with pytest.raises(InputError, match=r"touches the border of the volume with \d+ voxels; segment a larger volume"):
        measure_stenosis(ends)
    assert measure_stenosis(ends, open_ends=True).percent == pytest.approx(50, abs=5)
    half = vessel.grid.size[0] // 2
    split = Volume(
        vessel.voxels[..., half:], Grid((vessel.grid.size[0] - half, *vessel.grid.size[1:]), vessel.grid.spacing)
    )
    with pytest.raises(InputError, match=r"cut by the border of the volume \d+\.\d mm along its line"):
        measure_stenosis(split, open_ends=True)


def ring() -> Volume:
    t = np.linspace(0, 1, 801)
    line = np.stack([20 * np.cos(2 * np.pi * t), 0 * t, 20 * np.sin(2 * np.pi * t)], axis=1)
    return tube(lambda _: line[np.linspace(0, 800, 801).astype(int)])


def branched() -> Volume:
    main = tube(straight, margin=24.0)
    voxels = main.voxels.copy()
    k, j, i = (n // 2 for n in main.voxels.shape[1:])
    voxels[0, k - 4 : k + 4, j - 4 : j + 4, i : i + 30] = 1
    return Volume(voxels, main.grid)


def test_vessels_that_cannot_be_measured_are_refused():
    whole = tube(straight, [(0.5, 6.0, 0.5)])
    gap = whole.voxels.copy()
    gap[0, 40:60] = 0
    with pytest.raises(InputError, match=r"case7: the lumen is in 2 pieces: several vessels, or one that is closed"):
        measure_stenosis(Volume(gap, whole.grid), where="case7")
    with pytest.raises(InputError, match="the lumen forms a loop: .* lies beside its centre line"):  # noqa: RUF043
        measure_stenosis(ring())
    with pytest.raises(InputError, match=r"the lumen has a branch: \d+ % of it .* give one unbranched vessel"):
        measure_stenosis(branched())
    with pytest.raises(
        InputError, match=r"the vessel is \d+\.\d mm long and \d\.\d mm wide; give at least 5 diameters"
    ):
        measure_stenosis(tube(lambda t: straight(t) * 0.3))
    with pytest.raises(InputError, match="lumen mask: the size of a voxel is not known"):
        measure_stenosis(Volume(whole.voxels, whole.grid, notes=("no-spacing",)))
    with pytest.raises(InputError, match="the lumen is empty; check the mask and its label"):
        measure_stenosis(whole, 2)
    with pytest.raises(InputError, match=r"a flow of \(0, 0, 0\); give a direction of three numbers"):
        measure_stenosis(whole, flow=(0, 0, 0))
    with pytest.raises(InputError, match="the vessel runs across the given direction of flow"):
        measure_stenosis(whole, flow=(1, 0, 0))
    late = tube(straight, [(0.93, 8.0, 0.6)])
    with pytest.raises(InputError, match="no normal vessel is seen beyond the narrowing"):
        measure_stenosis(late, flow=(0, 0, 1))
    assert measure_stenosis(late).reference == "one"


def test_euler_number_counts_pieces_tunnels_and_cavities():
    solid = np.ones((5, 5, 5), bool)
    assert euler_number(solid) == 1
    tunnel = solid.copy()
    tunnel[:, 2, 2] = False
    assert euler_number(tunnel) == 0
    cavity = solid.copy()
    cavity[2, 2, 2] = False
    assert euler_number(cavity) == 2
    corner = np.zeros((4, 4, 4), bool)
    corner[0, 0, 0] = corner[1, 1, 1] = corner[3, 3, 3] = True
    assert euler_number(corner) == 2
    random = ndimage.gaussian_filter(np.random.default_rng(1).normal(size=(12, 12, 12)), 1) > 0.3
    parts = ndimage.label(random, structure=np.ones((3, 3, 3)))[1]
    assert euler_number(random) <= parts + ndimage.label(~np.pad(random, 1))[1] - 1
