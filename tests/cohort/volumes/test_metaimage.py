"""MetaImage: headers written by hand; what they may say, and that no path in one is followed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import SimpleITK as sitk

from semeion.cohort.volumes.read import read_volume
from semeion.errors import ImageError

VOXELS = np.arange(120).reshape(4, 5, 6)
HEADER = {
    "ObjectType": "Image",
    "NDims": "3",
    "BinaryData": "True",
    "BinaryDataByteOrderMSB": "False",
    "CompressedData": "False",
    "TransformMatrix": "1 0 0 0 1 0 0 0 1",
    "Offset": "1 2 3",
    "ElementSpacing": "1 2 3",
    "DimSize": "6 5 4",
    "ElementType": "MET_SHORT",
    "ElementDataFile": "LOCAL",
}


def write(path: Path, **fields: str | None) -> str:
    header: dict[str, str | None] = HEADER | fields
    order = ">i2" if header["BinaryDataByteOrderMSB"] == "True" else "<i2"
    header["ElementDataFile"] = header.pop("ElementDataFile")  # the last, whatever was added
    lines = [f"{name} = {value}" for name, value in header.items() if value is not None]
    path.write_bytes("\n".join([*lines, ""]).encode() + VOXELS.astype(order).tobytes())
    return str(path)


def message(ref: str, several: Any = None) -> str:
    with pytest.raises(ImageError) as caught:
        read_volume(ref, several=several)
    return str(caught.value)


def test_channels_and_frames_are_told_apart_by_who_asks(tmp_path: Path) -> None:
    planes = [sitk.GetImageFromArray((VOXELS * n).astype(np.int16)) for n in (1, 2)]
    wanted = np.stack([VOXELS, VOXELS * 2])
    for name, image in (("a.mha", sitk.Compose(planes)), ("b.mha", sitk.JoinSeries(planes))):
        sitk.WriteImage(image, str(tmp_path / name))
        assert "holds 2 volumes" in message(str(tmp_path / name))
        np.testing.assert_array_equal(read_volume(str(tmp_path / name), several="channel").voxels, wanted)
        assert read_volume(str(tmp_path / name), several="time").axis == "time"


def test_big_endian_is_read(tmp_path: Path) -> None:
    path = write(tmp_path / "a.mha", BinaryDataByteOrderMSB="True")
    np.testing.assert_array_equal(read_volume(path).plane, VOXELS)


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"ElementDataFile": "/etc/passwd"}, "names another file for its voxels (ElementDataFile), and such paths are"),
        ({"ElementDataFile": "LIST"}, "names another file for its voxels"),
        (
            {"TransformMatrix": None},
            "does not say where its voxels are (TransformMatrix is absent), and an identity",
        ),
        ({"Offset": None}, "(Offset is absent)"),
        ({"ElementSpacing": None}, "(ElementSpacing is absent)"),
        ({"ElementSpacing": "1 0 3"}, "has ElementSpacing 1 0 3"),
        ({"ElementSpacing": "1 1"}, "has a geometry that does not fit 3 dimensions"),
        ({"TransformMatrix": "1 0 0 0.5 1 0 0 0 1"}, "the axes are not perpendicular unit vectors"),
        ({"BinaryData": "False"}, "holds its voxels as text (BinaryData)"),
        ({"HeaderSize": "-1"}, "has HeaderSize -1"),
        ({"ElementType": "MET_STRING"}, "holds voxels of type MET_STRING"),
        ({"NDims": "2", "DimSize": "6 20"}, "has 2 dimensions (DimSize '6 20')"),
        ({"NDims": "x"}, "has NDims = 'x', which are no numbers"),
        ({"DimSize": "60000 50000 40"}, "declares 40 x 50000 x 60000 voxels, more than the"),
        ({"DimSize": "6 5 5"}, "the file is cut short: the header declares 300 bytes of voxels"),
    ],
)
def test_a_header_that_cannot_be_is_refused_by_name(tmp_path: Path, fields: dict[str, Any], expected: str) -> None:
    assert expected in message(write(tmp_path / "a.mha", **fields))
