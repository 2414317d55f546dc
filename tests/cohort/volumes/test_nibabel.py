"""Files that nibabel ships for its own tests, read here and there: NIfTI, a Siemens mosaic, a Philips enhanced MR."""

from __future__ import annotations

import gzip
import warnings
from pathlib import Path

import nibabel
import numpy as np
import pytest

from semeion.cohort.volume import Grid
from semeion.cohort.volumes.read import read_volume
from semeion.errors import ImageError

HOME = Path(nibabel.__file__).parent
NIFTI, DICOM = HOME / "tests" / "data", HOME / "nicom" / "tests" / "data"


def affine(grid: Grid) -> np.ndarray:
    """Return the matrix from (i, j, k) to LPS millimetres."""
    found = np.eye(4)
    found[:3, :3] = np.asarray(grid.matrix) * grid.spacing
    found[:3, 3] = grid.origin
    return found


def unpacked(name: str, folder: Path) -> Path:
    """Unpack one of the DICOM files; their pixels were zeroed by nibabel, their headers are a scanner's."""
    path = folder / name
    path.write_bytes(gzip.decompress((DICOM / f"{name}.gz").read_bytes()))
    return path


@pytest.mark.parametrize("name", ["anatomical.nii", "reoriented_anat_moved.nii", "standard.nii.gz"])
def test_nifti_agrees(name: str) -> None:
    volume, other = read_volume(str(NIFTI / name)), nibabel.load(NIFTI / name)
    lps = np.diag([-1.0, -1.0, 1.0, 1.0]) @ other.affine
    np.testing.assert_allclose(affine(volume.grid), lps, atol=1e-4)
    np.testing.assert_array_equal(volume.plane.transpose(2, 1, 0), np.asarray(other.dataobj))


@pytest.mark.parametrize("name", ["siemens_dwi_0.dcm", "siemens_dwi_1000.dcm", "philips_mprage.dcm"])
def test_scanners_files_have_the_same_geometry(name: str, tmp_path: Path) -> None:
    path = unpacked(name, tmp_path)
    with warnings.catch_warnings():
        # nibabel calls its DICOM readers highly experimental, and tells of a Philips scale factor that is not there.
        warnings.simplefilter("ignore")
        from nibabel.nicom.dicomwrappers import wrapper_from_file

        other = wrapper_from_file(path)
        shape, lps = other.image_shape, other.affine
    grid = read_volume(str(path)).grid
    columns, rows, slices = grid.size
    assert (rows, columns, slices) == tuple(shape)
    # nibabel counts (row, column, slice) and may run through the slices the other way: every corner is compared.
    last = np.array([columns - 1, rows - 1, slices - 1])
    theirs = [lps @ [*(np.array(corner) * last[[1, 0, 2]]), 1] for corner in np.ndindex(2, 2, 2)]
    for corner in np.ndindex(2, 2, 2):
        place = affine(grid) @ [*(np.array(corner) * last), 1]
        # The furthest of 176 slices: nibabel multiplies a rounded spacing, positions are measured here.
        assert min(np.abs(place - one).max() for one in theirs) < 2e-3


def test_files_that_are_no_volume_say_what_they_are() -> None:
    for name, words in (
        ("analyze.hdr", "Analyze 7.5 header, which does not say where its voxels are"),
        ("nifti1.hdr", "one half of a NIfTI pair"),
        ("resampled_anat_moved.nii", "153 voxels that are not finite"),
        ("functional.nii", "holds 20 volumes"),
        ("minc2_4d.mnc", "looks like an HDF5 file"),
    ):
        with pytest.raises(ImageError, match=words):
            read_volume(str(NIFTI / name))
