"""Occlusion: what falls where a patch hides a place, of models whose answer is known."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from semeion.explain.occlusion import MOST_RUNS, cells_of, occlusion_map, patches
from semeion.explain.view import view_of
from semeion.explain.where import explain_where
from semeion.model.cases import Case
from semeion.model.observing import Seen
from semeion.model.runtime import load_model
from semeion.plan.recipes import NetworkPlan
from support.mapped import network_graph, noise, write_mapped


@pytest.fixture(scope="module")
def views(tmp_path_factory):
    """Views of models by task and shape; what they answer is put in by each test."""
    made = {}

    def view(task, shape, groups=(), **more):
        key = (task, shape, groups)
        if key not in made:
            folder = tmp_path_factory.mktemp("model") / "m"
            kind = "residual" if len(shape) == 3 else "residual3d"
            graph = network_graph(
                NetworkPlan(kind=kind, widths=[2]), shape, task, groups=max(1, len(groups)), bare=True
            )
            made[key] = view_of(load_model(write_mapped(folder, {"s": graph}, shape, task, groups=groups), threads=1))
        return replace(made[key], **more)

    return view


def case_of(view, array):
    return Seen(Case("1", "", None), (), array, (), view.combined(array[np.newaxis], {})[np.newaxis, 0], {})


def mean_of(*place):
    """Return a model of a measured value that is the mean of one part of the input."""
    return lambda batch, rows: batch[(slice(None), *place)].reshape(len(batch), -1).mean(1, keepdims=True) / 10.0


def expected(array, place, spans):
    """Return what patches alone explain of the mean over `place`, by hand."""
    fill = np.rint(array.mean())
    total, covered = np.zeros(array.shape[1:]), np.zeros(array.shape[1:])
    inside = np.zeros(array.shape[1:], bool)
    inside[place] = True
    for span in spans:
        patch = np.zeros_like(inside)
        patch[span] = True
        fall = (array[0][patch & inside].astype(float) - fill).sum() / inside.sum() / 10
        total[span] += fall
        covered[span] += 1
    return total / covered


@pytest.mark.parametrize("patch", [1, 2])
def test_the_mean_of_a_quadrant_falls_where_it_is_hidden(views, patch):
    shape = (1, 32, 32)
    quadrant = (slice(16, 32), slice(0, 16))
    view = views("regression", shape, combined=mean_of(0, *quadrant))
    array = noise(1, *shape)[0]
    array[0][quadrant] = np.maximum(array[0][quadrant], 180)
    found = occlusion_map(view, case_of(view, array), patch=patch)
    assert (found.method, found.unit, found.target, found.share) == ("occlusion", "mm", "finding", 1.0)
    assert found.members == ("s",)
    spans = patches((32, 32), cells_of((32, 32), 1, patch), patch)
    np.testing.assert_allclose(found.map, expected(array, quadrant, spans), atol=1e-4)
    outside = np.ones((32, 32), bool)
    reach = 0 if patch == 1 else 3
    outside[16 - reach :, : 16 + reach] = False
    assert not found.map[outside].any()
    assert (found.map[19:, :13] > 0).all()


def test_what_does_not_look_has_no_place(views):
    shape = (3, 24, 24)
    view = views("multiclass", shape, combined=lambda batch, rows: np.tile([0.2, 0.5, 0.3], (len(batch), 1)))
    array = noise(1, *shape)[0]
    found = occlusion_map(view, case_of(view, array), "cyst")
    assert not found.map.any()
    assert found.unit == "logit"
    assert found.parts is None
    # Colours are hidden together, each by its own mean.
    seen = []
    view = views(
        "multiclass", shape, combined=lambda batch, rows: (seen.append(batch), np.full((len(batch), 3), 1 / 3))[1]
    )
    case = case_of(view, array)
    seen.clear()
    occlusion_map(view, case, "cyst")
    batch = np.concatenate(seen)
    changed = (batch != array).reshape(len(batch), 3, -1)
    assert len(batch) <= MOST_RUNS + 1
    last = batch[-1][:, -1, -1]
    assert last.tolist() == np.rint(array.mean((1, 2))).tolist()
    assert not changed[0].any() and changed[1:].any((1, 2)).all()


def test_volumes_have_voxels_and_slices(views):
    shape = (1, 8, 16, 16)
    view = views("regression", shape, combined=mean_of(0, slice(4, 5)))
    array = np.full(shape, 50, np.uint8)
    array[0, 4] = 210
    found = explain_where(view, case_of(view, array))
    assert found.method == "occlusion"
    assert found.map.shape == (8, 16, 16)
    assert found.map[4].min() > found.map[0].max()
    assert found.parts.shape == (1, 8)
    fill = np.rint(array.mean())
    wanted = np.zeros(8)
    wanted[4] = (210 - fill) / 10
    np.testing.assert_allclose(found.parts[0], wanted, atol=1e-4)


def test_views_are_hidden_one_by_one(views):
    shape, groups = (2, 16, 16), ("cc", "mlo")
    view = views("binary", shape, groups)

    def combined(batch, rows):
        p = 0.1 + 0.8 * batch[:, 1].reshape(len(batch), -1).mean(1) / 255
        return np.stack([1 - p, p], 1)

    array = noise(1, *shape)[0]
    array[1, :8] = 250
    view = replace(view, combined=combined)
    found = occlusion_map(view, case_of(view, array), "malignant")
    assert found.map.shape == (2, 16, 16)
    assert not found.map[0].any() and found.map[1, :8].min() > 0 > found.map[1, 12:].max()
    assert found.parts.shape == (2, 1)
    assert found.parts[0] == 0
    other = occlusion_map(view, case_of(view, array), "benign")
    np.testing.assert_allclose(other.map, -found.map, atol=1e-5)


def test_grades_fall_by_grades(views):
    def combined(batch, rows):
        p = batch.reshape(len(batch), -1).mean(1) / 255
        return np.stack([1 - p, np.zeros(len(p)), p], 1)

    view = views("ordinal", (1, 16, 16), combined=combined)
    array = noise(1, 1, 16, 16)[0]
    found = occlusion_map(view, case_of(view, array))
    assert found.unit == "grades"
    assert found.target == "grade 3"
    assert np.abs(found.map).max() < 2


def test_covariates_are_told_to_the_model(views):
    told = []
    view = views("binary", (1, 16, 16))

    def combined(batch, rows):
        told.append(rows)
        return np.full((len(batch), 2), 0.5)

    inputs = view.manifest.inputs.model_copy(update={"covariates": [type("Column", (), {"name": "age"})()]})
    view = replace(view, combined=combined, manifest=view.manifest.model_copy(update={"inputs": inputs}))
    array = noise(1, 1, 16, 16)[0]
    seen = replace(case_of(view, array), case=Case("1", "", None, (), {"age": 61}))
    told.clear()
    occlusion_map(view, seen, "malignant")
    assert {tuple(rows) for rows in told} == {("age",)}
    assert {value for rows in told for value in rows["age"]} == {61}


@settings(deadline=None)
@given(st.lists(st.integers(1, 300), min_size=2, max_size=3), st.integers(1, 6), st.sampled_from([1, 2, 3]))
def test_patches_cover_every_place_and_are_bounded(size, groups, patch):
    cells = cells_of(size, groups, patch)
    spans = patches(size, cells, patch)
    assert groups * len(spans) <= MOST_RUNS or cells == tuple(1 for _ in size)
    covered = np.zeros(size, np.int32) if np.prod(size) < 10**6 else None
    if covered is not None:
        for span in spans:
            covered[span] += 1
        assert (covered == patch ** len(size)).all()
