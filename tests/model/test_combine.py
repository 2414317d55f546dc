from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from semeion.calibration.maps import Identity, Platt, Temperature
from semeion.model.combine import calibrate, called, combine_members, from_logits, shipped_maps
from semeion.model.manifest import Calibration, OperatingPoint

TASKS = ("binary", "multiclass", "ordinal", "multilabel", "regression")


@settings(max_examples=100, deadline=None)
@given(logits=arrays(np.float32, (3, 4, 3), elements=st.floats(-80, 80, width=32)))
def test_classes_sum_to_one_and_keep_their_order(logits):
    p = from_logits(logits, "multiclass")
    assert p.dtype == np.float64
    np.testing.assert_allclose(p.sum(axis=-1), 1)
    combined = combine_members(p, "multiclass")
    np.testing.assert_allclose(combined, p.mean(axis=0))
    for temperature in (0.3, 1.0, 4.0):
        calibrated = calibrate(combined, "multiclass", Temperature(temperature))
        np.testing.assert_allclose(calibrated.sum(axis=-1), 1)
        top = np.take_along_axis(combined, calibrated.argmax(axis=1)[:, None], axis=1)[:, 0]
        np.testing.assert_allclose(top, combined.max(axis=1), atol=1e-6)


def test_huge_logits_do_not_overflow():
    with np.errstate(all="raise", under="ignore"):
        np.testing.assert_allclose(from_logits([[1e4, -1e4]], "binary"), [[1, 0]])
        np.testing.assert_allclose(from_logits([[1e4, -1e4, 0]], "multilabel"), [[1, 0, 0.5]])


def test_temperature_by_hand():
    # softmax(log p / T): odds are raised to 1 / T
    np.testing.assert_allclose(calibrate([[0.2, 0.8]], "binary", Temperature(2.0)), [[1 / 3, 2 / 3]])
    each = [Temperature(2.0), Temperature(0.5)]
    np.testing.assert_allclose(calibrate([[0.8, 0.2]], "multilabel", each), [[2 / 3, 1 / 17]])


def test_another_map_by_hand():
    # sigmoid(slope * logit + intercept): odds of 4 become 4 ** 0.5 * e
    odds = 2 * np.e
    np.testing.assert_allclose(
        calibrate([[0.2, 0.8]], "binary", Platt(0.5, 1.0)), [[1 / (1 + odds), odds / (1 + odds)]]
    )
    np.testing.assert_allclose(
        calibrate([[0.8, 0.25]], "multilabel", [Platt(0.5, 1.0), Identity()]), [[odds / (1 + odds), 0.25]]
    )


@pytest.mark.parametrize("task", TASKS)
def test_none_changes_nothing(task):
    values = np.array([[0.25, 0.75]]) if task != "regression" else np.array([[63.5]])
    np.testing.assert_array_equal(calibrate(values, task, None), values)
    np.testing.assert_array_equal(combine_members(values[None], task), values)


def test_a_measured_value_is_averaged_and_never_scaled():
    combined = combine_members([[[60.0], [10.0]], [[64.0], [20.0]]], "regression")
    np.testing.assert_array_equal(calibrate(combined, "regression", Temperature(3.0)), [[62.0], [15.0]])


def test_shapes_are_checked():
    with pytest.raises(ValueError, match=r"raw must be \(members, cases, outputs\)"):
        combine_members([[0.5, 0.5]], "binary")
    with pytest.raises(ValueError, match="one value a case"):
        combine_members([[[0.5, 0.5]]], "regression")
    with pytest.raises(ValueError, match="3 maps for 2 labels"):
        calibrate([[0.5, 0.5]], "multilabel", [Identity()] * 3)
    for task, maps in (("binary", [Identity()]), ("multilabel", Identity())):
        with pytest.raises(ValueError, match="a multi-label model has a map for each label"):
            calibrate([[0.5, 0.5]], task, maps)


def test_calls_at_the_operating_point_include_the_point():
    point = OperatingPoint(rule="youden", value=0.4)
    p = [[0.61, 0.39], [0.6, 0.4], [0.1, 0.9]]
    assert called(p, "binary", ["no", "yes"], "yes", point).tolist() == [0, 1, 1]
    assert called(p, "binary", ["yes", "no"], "yes", point).tolist() == [0, 0, 1]
    assert called([[0.3, 0.3, 0.4]], "ordinal", ["a", "b", "c"], None, OperatingPoint(rule="argmax")).tolist() == [2]
    by_label = OperatingPoint(rule="youden", by_target={"y": 0.9, "x": 0.1})
    assert called([[0.5, 0.5]], "multilabel", ["x", "y"], None, by_label).tolist() == [[1, 0]]
    with pytest.raises(ValueError, match="not called"):
        called([[1.0]], "regression", [], None, None)


def test_maps_follow_the_order_of_the_labels():
    by_label = Calibration(by_target={"y": 2.0, "x": 1.0})
    assert shipped_maps(by_label, ["x", "y"]) == [Temperature(1.0), Temperature(2.0)]
    assert shipped_maps(Calibration(value=1.5), ["a", "b"]) == Temperature(1.5)
    platt = Platt(0.5, 1.0)
    assert shipped_maps(Calibration(method="map", map=platt.to_json()), ["a", "b"]) == platt
    maps = {"y": platt.to_json(), "x": {"kind": "identity"}}
    assert shipped_maps(Calibration(method="map", maps=maps), ["x", "y"]) == [Identity(), platt]
    assert shipped_maps(None, ["a", "b"]) is None
