from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from semeion.cohort.volume import Grid, Volume
from semeion.cohort.volumes.read import read_volume
from semeion.errors import InputError, MachineError
from semeion.model.cases import Case
from semeion.model.masks import LONGEST_NAME, mask_name, mask_paths, prepare_folder, write_mask


@given(case=st.text(max_size=60))
def test_a_name_is_one_plain_file_and_tells_cases_apart(case):
    if not case or len(case.encode()) > 60:
        return
    name = mask_name(case)
    assert "/" not in name
    assert not name.startswith(".")
    assert name.endswith(".nii.gz")
    assert name.isascii()
    assert mask_name(case + "x") != name


@pytest.mark.parametrize("case", ["", "x" * (LONGEST_NAME + 1)])
def test_a_case_id_that_cannot_name_a_file_is_refused(case):
    with pytest.raises(InputError, match="cannot name a file"):
        mask_name(case)


@pytest.mark.parametrize("suffix", ["nii.gz", "nrrd"])
@settings(max_examples=30, deadline=None)
@given(turn=st.floats(-3, 3), tilt=st.floats(-3, 3), spacing=st.tuples(*[st.floats(0.2, 6)] * 3))
def test_any_geometry_comes_back(tmp_path_factory, suffix, turn, tilt, spacing):
    a, b = np.array([[np.cos(turn), -np.sin(turn), 0], [np.sin(turn), np.cos(turn), 0], [0, 0, 1]]), np.eye(3)
    b[1:, 1:] = [[np.cos(tilt), -np.sin(tilt)], [np.sin(tilt), np.cos(tilt)]]
    grid = Grid((3, 4, 5), spacing, (-12.5, 80.25, 3.0), tuple(float(v) for v in (a @ b).ravel()))
    mask = np.random.default_rng(0).integers(0, 256, (1, 5, 4, 3)).astype(np.uint8)
    path = tmp_path_factory.mktemp("mask") / f"m.{suffix}"
    write_mask(path, Volume(mask, grid))
    read = read_volume(str(path))
    assert read.grid.same_as(grid, 1e-3)
    np.testing.assert_array_equal(read.voxels, mask)


def test_a_mask_replaces_another_and_leaves_nothing_beside(tmp_path):
    grid = Grid((3, 4, 5), (1, 1, 1))
    for value in (1, 2):
        write_mask(tmp_path / "m.nii.gz", Volume(np.full((1, 5, 4, 3), value, np.uint8), grid))
    assert [path.name for path in tmp_path.iterdir()] == ["m.nii.gz"]
    assert read_volume(str(tmp_path / "m.nii.gz")).plane.max() == 2


def test_another_suffix_or_place_is_refused(tmp_path):
    mask = Volume(np.zeros((1, 2, 2, 2), np.uint8), Grid((2, 2, 2), (1, 1, 1)))
    with pytest.raises(InputError, match=r"masks are written as .nii.gz or .nrrd"):
        write_mask(tmp_path / "m.mha", mask)
    (tmp_path / "file").write_text("x")
    with pytest.raises(InputError, match="is a file; give a folder for the masks"):
        prepare_folder(tmp_path / "file")
    with pytest.raises(MachineError, match="a file stands where a folder is needed; choose another folder with -o"):
        prepare_folder(tmp_path / "file" / "inside")


def cases(*ids, sources=()):
    return [Case(one, "x.nii", source) for one, source in zip(ids, sources or ["x.nii"] * len(ids), strict=True)]


def test_masks_of_several_images_are_named_after_case_and_image(tmp_path):
    assert mask_paths(tmp_path, cases("a/1", "b"), ("ED", "ES"), "nrrd") == [
        (tmp_path / "a%2F1.ED.nrrd", tmp_path / "a%2F1.ES.nrrd"),
        (tmp_path / "b.ED.nrrd", tmp_path / "b.ES.nrrd"),
    ]
    assert mask_paths(tmp_path, cases("a", "a.ED")) == [(tmp_path / "a.nii.gz",), (tmp_path / "a.ED.nii.gz",)]


@given(ids=st.sets(st.sampled_from(["a", "A", "a.ED", "a.x", "b", "a.x.ED"]), min_size=1))
@settings(max_examples=60, deadline=None)
def test_masks_are_told_apart_or_refused(tmp_path_factory, ids):
    folder = tmp_path_factory.getbasetemp()
    try:
        found = [str(path).casefold() for own in mask_paths(folder, cases(*ids), ("ED", "x.ED")) for path in own]
    except InputError as error:
        assert {"a", "A"} <= ids or {"a", "a.x"} <= ids or {"A", "a.x"} <= ids, str(error)
    else:
        assert len(set(found)) == len(found)


def test_masks_that_would_be_one_file_are_refused(tmp_path):
    with pytest.raises(InputError, match=r"the masks of case 'P1' and of case 'p1' would be one file, p1.nii.gz"):
        mask_paths(tmp_path, cases("P1", "p1"))
    said = r"the masks of case 'a', image 'x.ED' and of case 'a.x', image 'ED' would be one file, a.x.ED.nii.gz"
    with pytest.raises(InputError, match=said):
        mask_paths(tmp_path, cases("a", "a.x"), ("ED", "x.ED"))


@pytest.mark.parametrize("given", ["a.nii.gz", "a.nii.gz#0"])
def test_a_mask_never_replaces_an_image_that_is_given(tmp_path, given):
    (tmp_path / "link").symlink_to(tmp_path, target_is_directory=True)
    with pytest.raises(InputError, match=r"the mask of case 'a' would replace an image .*write the masks to another"):
        mask_paths(tmp_path, cases("a", sources=[str(tmp_path / "link" / given)]))


def test_a_folder_whose_name_holds_a_number_sign_is_seen_too(tmp_path):
    folder = tmp_path / "set#2"
    folder.mkdir()
    with pytest.raises(InputError, match="would replace an image that is given"):
        mask_paths(folder, cases("a", sources=[str(folder / "a.nii.gz")]))
    with pytest.raises(InputError, match="would replace an image that is given"):
        mask_paths(folder, cases("a", sources=[str(folder / "A.nii.gz")]))
