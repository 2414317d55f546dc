"""NIfTI: voxels and geometry as SimpleITK reads them, and a refusal where a header does not say or contradicts."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import SimpleITK as sitk
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from semeion.cohort.limits import ReadLimits
from semeion.cohort.volume import Volume
from semeion.cohort.volumes.read import is_volume, read_grid, read_volume
from semeion.errors import ImageError
from support.volumes import AFFINE, nifti1, nifti2, save_nifti

VOXELS = np.arange(4 * 5 * 6, dtype=np.int16).reshape(4, 5, 6)
QUICK = settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def message(path: Path | str, several: Any = None, limits: ReadLimits | None = None) -> str:
    with pytest.raises(ImageError) as caught:
        read_volume(str(path), several=several, limits=limits or ReadLimits())
    assert str(path) in str(caught.value)
    return str(caught.value)


def compare(volume: Volume, path: str) -> None:
    """Hold a volume to what SimpleITK reads."""
    image = sitk.ReadImage(path)
    wanted = sitk.GetArrayFromImage(image)
    np.testing.assert_array_equal(volume.voxels, wanted if wanted.ndim == 4 else wanted[np.newaxis])
    n = image.GetDimension()
    np.testing.assert_allclose(volume.grid.origin, image.GetOrigin()[:3], atol=1e-4)
    np.testing.assert_allclose(volume.grid.spacing, image.GetSpacing()[:3], atol=1e-5)
    np.testing.assert_allclose(volume.grid.matrix, np.reshape(image.GetDirection(), (n, n))[:3, :3], atol=1e-6)


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("kind", ["u1", "i1", "i2", "u2", "i4", "u4", "f4", "f8"])
@pytest.mark.parametrize("name", ["a.nii", "a.nii.gz"])
def test_every_number_type_and_byte_order_is_read_as_simpleitk_reads_it(
    tmp_path: Path, order: str, kind: str, name: str
) -> None:
    path = save_nifti(tmp_path / name, VOXELS.astype(kind), order=order)
    volume = read_volume(path)
    assert volume.voxels.dtype == (np.float32 if kind == "f8" else np.dtype(kind))
    assert volume.voxels.dtype.isnative
    assert (volume.source_format, volume.names, volume.notes) == ("nifti", ("",), ())
    compare(volume, path)
    assert read_grid(path) == volume.grid
    assert is_volume(path)


@pytest.mark.parametrize("order", ["<", ">"])
def test_nifti_2_is_read_too(tmp_path: Path, order: str) -> None:
    path = tmp_path / "a.nii"
    path.write_bytes(nifti2(VOXELS, order=order))
    volume = read_volume(str(path))
    # SimpleITK does not read this version: held to its older twin.
    twin = read_volume(save_nifti(tmp_path / "b.nii", VOXELS, order=order))
    np.testing.assert_array_equal(volume.voxels, twin.voxels)
    assert volume.grid == twin.grid
    path.write_bytes(path.read_bytes()[:400])
    assert "cut short" in message(path)


def test_ras_becomes_lps(tmp_path: Path) -> None:
    grid = read_volume(save_nifti(tmp_path / "a.nii", VOXELS)).grid
    assert grid.size == (6, 5, 4)
    assert grid.origin == (-40.0, -30.0, -20.0)
    np.testing.assert_allclose(grid.matrix, np.diag([1.0, 1.0, 1.0]))


@QUICK
@given(
    st.tuples(*[st.floats(-1, 1) for _ in range(4)]).filter(lambda q: sum(x * x for x in q) > 0.01),
    st.tuples(*[st.floats(0.1, 9) for _ in range(3)]),
    st.tuples(*[st.floats(-300, 300) for _ in range(3)]),
    st.sampled_from([-1.0, 1.0]),
)
def test_a_quaternion_gives_the_geometry_that_simpleitk_finds(
    tmp_path: Path, q: tuple[float, ...], spacing: tuple[float, ...], origin: tuple[float, ...], hand: float
) -> None:
    unit = np.array(q) / np.linalg.norm(q) * np.sign(q[0] or 1)
    path = save_nifti(
        tmp_path / "q.nii",
        VOXELS,
        sform_code=0,
        qform_code=1,
        qform=(*unit[1:], *origin),
        pixdim=(hand, *spacing, 0, 0, 0, 0),
    )
    volume = read_volume(path)
    image = sitk.ReadImage(path)
    corner = [n - 1 for n in volume.grid.size]
    np.testing.assert_allclose(volume.grid.place(corner), image.TransformIndexToPhysicalPoint(corner), atol=2e-2)
    np.testing.assert_allclose(volume.grid.origin, image.GetOrigin(), atol=1e-3)


def test_both_forms_that_agree_are_the_sform(tmp_path: Path) -> None:
    volume = read_volume(save_nifti(tmp_path / "a.nii", VOXELS, qform_code=1))
    assert volume.notes == ()
    assert volume.grid.origin == (-40.0, -30.0, -20.0)


def test_both_forms_of_one_space_that_differ_are_refused_with_the_distance(tmp_path: Path) -> None:
    moved = AFFINE.copy()
    moved[0, 3] += 7.5
    text = message(save_nifti(tmp_path / "a.nii", VOXELS, srow=moved, qform_code=1))
    assert "two geometries that differ by up to 7.50 mm (qform code 1, sform code 1)" in text
    assert "set the other's code to 0" in text


@pytest.mark.parametrize("code", [2, 4])
def test_an_sform_into_another_space_leaves_the_scanners_qform(tmp_path: Path, code: int) -> None:
    atlas = AFFINE * 1.3
    volume = read_volume(save_nifti(tmp_path / "a.nii", VOXELS, srow=atlas, sform_code=code, qform_code=1))
    np.testing.assert_allclose(volume.grid.spacing, (1.5, 1.25, 4.0))
    assert volume.notes[0].startswith("qform-used: the sform is")


def test_without_any_form_no_identity_is_invented(tmp_path: Path) -> None:
    text = message(save_nifti(tmp_path / "a.nii.gz", VOXELS, sform_code=0, qform_code=0))
    assert "qform_code and sform_code are both 0, and an identity is never assumed" in text
    assert "write the true orientation into the header" in text


def test_a_sheared_sform_is_refused_and_a_good_qform_beside_it_taken(tmp_path: Path) -> None:
    sheared = AFFINE.copy()
    sheared[0, 2] = 0.9
    assert "its sform is sheared: the axes are off perpendicular by 0.2" in message(
        save_nifti(tmp_path / "a.nii", VOXELS, srow=sheared)
    )
    slightly = AFFINE.copy()
    slightly[0, 2] = 0.01
    volume = read_volume(save_nifti(tmp_path / "b.nii", VOXELS, srow=slightly, qform_code=1))
    assert volume.notes == ("qform-used: the sform is sheared by 0.0025",)


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"srow": np.zeros((3, 4))}, "its sform (code 1) is not finite or singular"),
        ({"srow": np.full((3, 4), np.nan)}, "its sform (code 1) is not finite or singular"),
        ({"srow": np.array([[1, 1, 0, 0], [1, 1, 0, 0], [0, 0, 1, 0]])}, "its sform (code 1) is singular"),
        ({"sform_code": 0, "qform_code": 1, "qform": (1, 1, 1, 0, 0, 0)}, "its qform (code 1) is no rotation"),
        (
            {"sform_code": 0, "qform_code": 1, "pixdim": (1, 1, 0, 1, 0, 0, 0, 0)},
            "has spacing (1.0, 0.0, 1.0) (pixdim)",
        ),
        ({"units": 5}, "declares unit 5 of length (xyzt_units)"),
        ({"datatype": 128, "bitpix": 24}, "holds voxels that are colour (datatype 128)"),
        ({"datatype": 32, "bitpix": 64}, "holds voxels that are complex (datatype 32)"),
        ({"bitpix": 8}, "declares 8 bits a voxel (bitpix) for datatype 4 of 16"),
        ({"offset": 12.0}, "voxels start at byte 12 (vox_offset), and they start from 352 on"),
        ({"offset": float("nan")}, "voxels start at byte nan"),
        ({"slope": float("inf")}, "scaling that is not finite (scl_slope inf"),
        ({"dim": (2, 6, 20)}, "holds one picture of 6 x 20 and no volume (dim[0] is 2)"),
        ({"dim": (9, 6, 5, 4)}, "declares 9 dimensions (dim[0])"),
        ({"dim": (3, 6, 0, 4)}, "declares an empty volume of 6 x 0 x 4 voxels"),
        ({"dim": (3, 6, -5, 4)}, "declares an empty volume of 6 x -5 x 4 voxels"),
        ({"magic": b"ni1\0"}, "is one half of a NIfTI pair (.hdr and .img), and a header is not followed"),
        ({"magic": b"\0\0\0\0"}, "Analyze 7.5 header, which does not say where its voxels are"),
        ({"dim": (5, 3, 5, 2, 2, 2)}, "has 5 dimensions (3 x 5 x 2 x 2 x 2)"),
    ],
)
def test_a_header_that_cannot_be_is_refused_by_name(tmp_path: Path, fields: dict[str, Any], expected: str) -> None:
    assert expected in message(save_nifti(tmp_path / "a.nii", VOXELS, **fields))


@pytest.mark.parametrize(("units", "factor", "note"), [(1, 1000.0, "units-converted"), (3, 0.001, "units-converted")])
def test_other_units_are_converted(tmp_path: Path, units: int, factor: float, note: str) -> None:
    volume = read_volume(save_nifti(tmp_path / "a.nii", VOXELS, units=units))
    np.testing.assert_allclose(volume.grid.spacing, np.array([1.5, 1.25, 4.0]) * factor)
    np.testing.assert_allclose(volume.grid.origin, np.array([-40, -30, -20]) * factor)
    assert volume.notes[0].startswith(note)


def test_units_that_are_absent_are_millimetres_with_a_note(tmp_path: Path) -> None:
    volume = read_volume(save_nifti(tmp_path / "a.nii", VOXELS, units=0))
    assert volume.notes == ("units-assumed-mm",)
    assert volume.grid.spacing == (1.5, 1.25, 4.0)


def test_a_spacing_that_the_sform_overrides_is_noted(tmp_path: Path) -> None:
    volume = read_volume(save_nifti(tmp_path / "a.nii", VOXELS, pixdim=(1, 1, 1, 1, 0, 0, 0, 0)))
    assert volume.notes == ("pixdim-differs: the sform's spacing is used",)
    assert volume.grid.spacing == (1.5, 1.25, 4.0)


@pytest.mark.parametrize(
    ("slope", "intercept", "expected"),
    [(0.0, 5.0, 1.0), (float("nan"), float("nan"), 1.0), (2.5, -10.0, -7.5), (1.0, 0.0, 1.0), (-1.0, 0.0, -1.0)],
)
def test_scaling_is_applied_once(tmp_path: Path, slope: float, intercept: float, expected: float) -> None:
    volume = read_volume(save_nifti(tmp_path / "a.nii", VOXELS, slope=slope, intercept=intercept))
    assert volume.plane[0, 0, 1] == expected
    assert volume.voxels.dtype == (np.int16 if expected == 1.0 else np.float32)


@pytest.mark.parametrize("value", [np.nan, np.inf, 1e300])
def test_values_that_are_no_numbers_are_refused(tmp_path: Path, value: float) -> None:
    voxels = VOXELS.astype(np.float64)
    voxels[1, 2, 3] = value
    text = message(save_nifti(tmp_path / "a.nii.gz", voxels))
    assert ("holds 1 voxels that are not finite" in text) or ("too large for float32" in text)


def test_four_dimensions_are_refused_where_three_are_meant(tmp_path: Path) -> None:
    cine = np.stack([VOXELS, VOXELS + 1, VOXELS + 2])
    fields: dict[str, Any] = {"pixdim": (1, 1.5, 1.25, 4, 40, 0, 0, 0), "units": 2 | 16}
    path = save_nifti(tmp_path / "a.nii.gz", cine, **fields)
    text = message(path)
    assert "holds 3 volumes (6 x 5 x 4 x 3) where one is meant" in text
    assert "--channels or --frames" in text
    frames = read_volume(path, several="time")
    assert (frames.axis, frames.times, frames.names) == ("time", (0.0, 40.0, 80.0), ("0", "1", "2"))
    compare(frames, path)
    channels = read_volume(path, several="channel")
    assert (channels.axis, channels.times) == ("channel", ())
    single = save_nifti(tmp_path / "b.nii", VOXELS[np.newaxis])
    assert read_volume(single).voxels.shape == (1, 4, 5, 6)


@QUICK
@given(st.integers(0, 352 + VOXELS.nbytes - 1))
def test_a_file_cut_anywhere_is_refused(tmp_path: Path, length: int) -> None:
    path = tmp_path / "a.nii"
    path.write_bytes(nifti1(VOXELS)[:length])
    text = message(path)
    assert any(word in text for word in ("cut short", "is empty", "looks like", "Analyze"))


@QUICK
@given(st.data())
def test_compressed_data_cut_anywhere_is_refused(tmp_path: Path, data: st.DataObject) -> None:
    whole = gzip.compress(nifti1(VOXELS))
    path = tmp_path / "a.nii.gz"
    path.write_bytes(whole[: data.draw(st.integers(1, len(whole) - 1))])
    assert "cut short" in message(path) or "no NIfTI volume" in message(path) or "looks like" in message(path)


@QUICK
@given(st.data())
def test_a_damaged_byte_never_gives_other_voxels_silently(tmp_path: Path, data: st.DataObject) -> None:
    whole = bytearray(gzip.compress(nifti1(VOXELS)))
    # The ten bytes of the gzip header hold a time and a system, which concern nobody.
    at = data.draw(st.integers(10, len(whole) - 1))
    whole[at] ^= data.draw(st.integers(1, 255))
    path = tmp_path / "a.nii.gz"
    path.write_bytes(bytes(whole))
    try:
        volume = read_volume(str(path))
    except ImageError:
        return
    np.testing.assert_array_equal(volume.plane, VOXELS)


def test_a_declared_size_is_refused_before_memory_is_asked_for(tmp_path: Path) -> None:
    path = save_nifti(tmp_path / "a.nii.gz", VOXELS, dim=(3, 4000, 4000, 3400))
    assert "declares 1 x 3400 x 4000 x 4000 voxels, more than the" in message(path)
    far = tmp_path / "b.nii"
    far.write_bytes(nifti2(VOXELS, dim=(3, 1 << 40, 1 << 40, 1 << 40)))
    assert "more than the" in message(far)
    wide = save_nifti(tmp_path / "c.nii", VOXELS.astype("f8"), dim=(3, 1000, 1000, 1000))
    assert "GiB, more than the 4.0 GiB that are read" in message(wide)
    lies = save_nifti(tmp_path / "d.nii.gz", VOXELS, dim=(3, 512, 512, 512))
    assert "cut short: the header declares 268,435,456 bytes of voxels" in message(lies)


def test_data_that_inflates_beyond_its_header_is_refused(tmp_path: Path) -> None:
    path = save_nifti(tmp_path / "a.nii.gz", VOXELS, tail=bytes(3 << 20))
    assert "holds far more than the 240 bytes of voxels that its header declares" in message(path)
    near = read_volume(save_nifti(tmp_path / "b.nii.gz", VOXELS, tail=b"abc"))
    assert near.notes == ("trailing-bytes",)
    assert "bytes, more than the 100 that are read" in message(path, limits=ReadLimits(max_bytes=100))


@pytest.mark.real_data
@pytest.mark.parametrize(
    "pattern", ["hippocampus/imagesTr/*_0*.nii.gz", "acdc/images/patient00*_ED.nii.gz", "dicom/qa_nih/Ref/*.nii"]
)
def test_real_files_are_read_as_simpleitk_reads_them(data: Path, pattern: str) -> None:
    paths = sorted(data.glob(pattern))[:8]
    assert paths
    for path in paths:
        compare(read_volume(str(path), several="time"), str(path))


@pytest.mark.real_data
def test_the_qa_reference_lies_where_its_header_says(data: Path) -> None:
    """The quaternion and the matrix that dcm2niix writes are two routes to one affine, within 1e-3 mm."""
    from semeion.cohort.volumes.nifti import _qform, _sform
    from semeion.cohort.volumes.nifti_header import HEADER, nifti_header

    for path in sorted(data.glob("dicom/qa_nih/Ref/*.nii")):
        header = nifti_header(path.read_bytes()[:HEADER], path.name)
        np.testing.assert_allclose(_qform(header, 1.0, "").affine, _sform(header, 1.0, "").affine, atol=1e-3)


@pytest.mark.parametrize("size", [700, 5000, 30_000])
def test_a_stream_of_several_gzip_members_is_read_as_one(tmp_path: Path, size: int) -> None:
    data = nifti1(np.random.default_rng(0).integers(0, 900, (20, 30, 40), dtype=np.int16))
    members = [gzip.compress(data[at : at + size]) for at in range(0, len(data), size)]
    path = tmp_path / "blocks.nii.gz"
    path.write_bytes(b"".join([*members, gzip.compress(b"")]))
    (tmp_path / "plain.nii").write_bytes(data)
    found, plain = read_volume(str(path)), read_volume(str(tmp_path / "plain.nii"))
    assert np.array_equal(found.voxels, plain.voxels)
    assert found.notes == plain.notes
    path.write_bytes(b"".join(members)[:-9])
    with pytest.raises(ImageError, match="cut short"):
        read_volume(str(path))
    path.write_bytes(b"".join(members[:-1]))
    with pytest.raises(ImageError, match="cut short"):
        read_volume(str(path))
