"""NRRD: headers written by hand; what they may say, and that no path in one is followed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from semeion.cohort.volumes.read import read_volume
from semeion.errors import ImageError

VOXELS = np.arange(120).reshape(4, 5, 6)
HEADER = {
    "type": "short",
    "dimension": "3",
    "space": "left-posterior-superior",
    "sizes": "6 5 4",
    "space directions": "(1,0,0) (0,2,0) (0,0,3)",
    "kinds": "domain domain domain",
    "endian": "little",
    "encoding": "raw",
    "space origin": "(1,2,3)",
}


def write(path: Path, data: bytes | None = None, **fields: str | None) -> str:
    """Write an NRRD file by hand; a field that is None is left out, and ``_`` in names stands for a space."""
    header: dict[str, str | None] = HEADER | {name.replace("_", " "): value for name, value in fields.items()}
    lines = [f"{name}: {value}" for name, value in header.items() if value is not None]
    voxels = VOXELS.astype("<i2").tobytes() if data is None else data
    path.write_bytes("\n".join(["NRRD0004", "# made by hand", *lines, "", ""]).encode() + voxels)
    return str(path)


def message(ref: str, several: Any = None) -> str:
    with pytest.raises(ImageError) as caught:
        read_volume(ref, several=several)
    return str(caught.value)


@pytest.mark.parametrize(
    ("space", "signs"),
    [
        ("left-posterior-superior", (1, 1, 1)),
        ("LPS", (1, 1, 1)),
        ("right-anterior-superior", (-1, -1, 1)),
        ("RAS", (-1, -1, 1)),
        ("left-anterior-superior", (1, -1, 1)),
    ],
)
def test_every_anatomical_space_becomes_lps(tmp_path: Path, space: str, signs: tuple[int, ...]) -> None:
    volume = read_volume(write(tmp_path / "a.nrrd", space=space))
    np.testing.assert_allclose(volume.grid.origin, np.array([1, 2, 3]) * signs)
    np.testing.assert_allclose(volume.grid.affine[:3, :3], np.diag([1, 2, 3]) * np.array(signs)[:, np.newaxis])
    np.testing.assert_array_equal(volume.plane, VOXELS)
    assert volume.notes == ("units-assumed-mm",)


@pytest.mark.parametrize(
    ("sizes", "directions", "kinds"),
    [
        ("2 6 5 4", "none (1,0,0) (0,2,0) (0,0,3)", "vector domain domain domain"),
        ("6 5 4 2", "(1,0,0) (0,2,0) (0,0,3) none", "domain domain domain list"),
    ],
)
def test_an_axis_outside_space_is_the_channels_wherever_it_stands(
    tmp_path: Path, sizes: str, directions: str, kinds: str
) -> None:
    planes = np.stack([VOXELS, VOXELS * 10])
    stored = np.moveaxis(planes, 0, -1) if sizes.startswith("2") else planes
    data = np.ascontiguousarray(stored).astype("<i2").tobytes()
    path = write(tmp_path / "a.nrrd", data, dimension="4", sizes=sizes, space_directions=directions, kinds=kinds)
    np.testing.assert_array_equal(read_volume(path, several="channel").voxels, planes)
    assert "holds 2 volumes" in message(path)
    assert "--channels or --frames" in message(path)
    timed = write(
        tmp_path / "b.nrrd",
        data,
        dimension="4",
        sizes=sizes,
        space_directions=directions,
        kinds=kinds.replace("vector", "time").replace("list", "time"),
    )
    assert read_volume(timed).axis == "time"


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"data_file": "/etc/passwd"}, "is a detached header that names another file, and such paths are not followed"),
        ({"datafile": "a.raw"}, "is a detached header"),
        ({"byte_skip": "-1"}, "asks for a byte skip of -1"),
        ({"space": None}, "does not say where its voxels are in the patient (space is 'absent')"),
        (
            {"space_directions": None},
            "(space directions; space is 'left-posterior-superior'), and an identity is",
        ),
        ({"space_origin": None}, "does not say where its voxels are"),
        ({"space": "scanner-xyz"}, "space is 'scanner-xyz'"),
        ({"space_directions": "(1,0,0) (0,2,0) (0.5,0,3)"}, "the axes are not perpendicular unit vectors"),
        ({"space_directions": "(1,0,0) (0,2,0) (0,0,0)"}, "the affine is singular"),
        ({"space_directions": "(1,0,0) (0,2,x) (0,0,3)"}, "has a vector that cannot be read"),
        ({"space_directions": "(1,0,0) (0,2,0) none"}, "has 2 axes in space (6 x 5 x 4) and is no volume"),
        ({"space_units": '"inch" "inch" "inch"'}, "has space units inch"),
        ({"encoding": "bzip2"}, "has encoding 'bzip2'"),
        ({"endian": None}, "does not say its byte order (endian)"),
        ({"type": "block"}, "holds voxels of type 'block'"),
        ({"sizes": "6 5"}, "has sizes '6 5' for dimension '3'"),
        ({"sizes": "6 5 -4"}, "declares an empty volume of -4 x 5 x 6"),
        ({"sizes": "60000 50000 40"}, "declares 40 x 50000 x 60000 voxels, more than the"),
        ({"sizes": "6 5 5"}, "the file is cut short: the header declares 300 bytes of voxels and 240 bytes cannot"),
    ],
)
def test_a_header_that_cannot_be_is_refused_by_name(tmp_path: Path, fields: dict[str, Any], expected: str) -> None:
    assert expected in message(write(tmp_path / "a.nrrd", **fields))


def test_units_are_converted(tmp_path: Path) -> None:
    volume = read_volume(write(tmp_path / "a.nrrd", space_units='"cm" "cm" "cm"'))
    np.testing.assert_allclose(volume.grid.spacing, (10, 20, 30))
    assert volume.notes == ("units-converted: 10 mm",)
