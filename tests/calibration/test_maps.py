"""The maps as they are applied and written down: what is fitted is tested with the evidence."""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from semeion.calibration import apply_temperature
from semeion.calibration.maps import (
    LARGEST,
    TILT,
    Beta,
    Identity,
    Isotonic,
    Platt,
    Temperature,
    apply_to_classes,
    map_from_json,
)
from semeion.errors import InputError

SOME = [Identity(), Temperature(1.7), Platt(0.6, -0.4), Beta(0.8, 0.3, 0.1), Isotonic((0.2, 0.4, 0.9), (0.1, 0.1, 0.7))]


def test_beta_with_equal_slopes_is_platt_and_the_identity_is_in_both() -> None:
    p = np.linspace(0, 1, 101)
    np.testing.assert_allclose(Beta(0.7, 0.7, 0.2).apply(p), Platt(0.7, 0.2).apply(p), atol=1e-12)
    for same in (Beta(1, 1, 0), Platt(1, 0), Temperature(1), Isotonic((0, 1), (0, 1)), Identity()):
        np.testing.assert_allclose(same.apply(p), p, atol=1e-6)


@pytest.mark.parametrize("one", SOME, ids=lambda one: one.kind)
def test_a_map_comes_back_from_its_text_and_keeps_the_order(one: object) -> None:
    assert map_from_json(json.loads(json.dumps(one.to_json()))) == one
    p = np.linspace(1e-6, 1 - 1e-6, 4001)
    assert (np.diff(one.apply(p)) > 0).all()


def test_isotonic_moves_by_a_trace_so_that_no_cases_become_equal() -> None:
    steps, p = Isotonic((0.3, 0.7), (0.2, 0.2)), np.linspace(0, 1, 11)
    values = steps.apply(p)
    np.testing.assert_allclose(values, (1 - TILT) * 0.2 + TILT * p, atol=1e-15)
    assert len(np.unique(values)) == 11


@given(
    st.sampled_from([-LARGEST, -1.0, 0.0, 1.0, LARGEST]),
    st.sampled_from([1 / LARGEST, 1.0, LARGEST]),
    st.sampled_from(["temperature", "platt", "beta"]),
)
def test_no_map_that_may_be_written_leaves_zero_to_one(any_size: float, positive: float, kind: str) -> None:
    one = {
        "temperature": lambda: Temperature(positive),
        "platt": lambda: Platt(positive, any_size),
        "beta": lambda: Beta(positive, max(any_size, 0), any_size),
    }[kind]()
    values = one.apply(np.array([0, 1e-300, 1e-7, 0.5, 1 - 1e-7, 1]))
    assert ((values >= 0) & (values <= 1)).all()


@pytest.mark.parametrize("one", SOME, ids=lambda one: one.kind)
def test_of_two_classes_the_second_is_mapped(one: object) -> None:
    p = np.array([0.1, 0.5, 0.93])
    both = apply_to_classes(np.column_stack([1 - p, p]), one)
    np.testing.assert_allclose(both[:, 1], one.apply(p), atol=1e-12)
    np.testing.assert_allclose(both.sum(axis=1), 1, atol=1e-15)


def test_of_several_classes_only_a_temperature_speaks() -> None:
    raw = np.array([[0.2, 0.3, 0.5]])
    np.testing.assert_array_equal(apply_to_classes(raw, Temperature(2.0)), apply_temperature(raw, 2.0))
    np.testing.assert_array_equal(apply_to_classes(raw, Identity()), raw)
    with pytest.raises(ValueError, match="the map platt takes the probability of one class, and there are 3"):
        apply_to_classes(raw, Platt(1.0, 0.0))


def test_maps_are_applied_without_scipy() -> None:
    code = (
        "import sys; from semeion.calibration.maps import map_from_json as m; import numpy as np;"
        "m({'kind': 'isotonic', 'x': [0, 1], 'y': [0.2, 0.9]}).apply(np.array([0.5]));"
        "assert not {'scipy', 'sklearn', 'torch', 'pandas'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize(
    ("written", "message"),
    [
        (
            {"kind": "plat"},
            "recalibration: unknown map 'plat', did you mean 'platt'?; use one of identity, temperature",
        ),
        ({}, "unknown map None"),
        ({"kind": "platt", "slope": 1}, "map platt: missing or unknown: intercept; write the map with to_json"),
        ({"kind": "identity", "value": 1}, "map identity: missing or unknown: value"),
        ({"kind": "temperature", "value": "hot"}, "map temperature: a value is not a number"),
        ({"kind": "temperature", "value": 0}, "map temperature: value is 0.0; give a finite number above 0"),
        ({"kind": "platt", "slope": -1, "intercept": 0}, "map platt: slope is -1.0; give a finite number above 0"),
        ({"kind": "platt", "slope": 1, "intercept": float("nan")}, "intercept is nan; give a finite number"),
        ({"kind": "beta", "a": -1, "b": 1, "c": 0}, "map beta: a is -1.0; give a number of 0 or more"),
        ({"kind": "beta", "a": 0, "b": 0, "c": 0}, "map beta: a + b is 0.0; give a finite number above 0"),
        ({"kind": "isotonic", "x": [0.5, 0.5], "y": [0, 1]}, "map isotonic: the points are not rising"),
        ({"kind": "isotonic", "x": [0, 1], "y": [1, 0]}, "the points are not rising"),
        ({"kind": "isotonic", "x": [], "y": []}, "the points are not rising"),
        ({"kind": "isotonic", "x": 3, "y": [1]}, "map isotonic: a value is not a number"),
        ({"kind": "isotonic", "x": [[0], [1]], "y": [0, 1]}, "map isotonic: a value is not a number"),
        ({"kind": "platt", "slope": [1], "intercept": 0}, "map platt: a value is not a number"),
        ({"kind": "platt", "slope": True, "intercept": 0}, "map platt: a value is not a number"),
        ({"kind": "platt", "slope": 10**400, "intercept": 0}, "map platt: a value is not a number"),
        ({"kind": ["platt"]}, "unknown map ['platt']"),
        ({"kind": "platt", "slope": 1e300, "intercept": 0}, "slope is 1e+300; give a number of at most 1e+06 in size"),
        ({"kind": "beta", "a": 1, "b": 1e7, "c": 0}, "b is 10000000.0; give a number of at most 1e+06 in size"),
        ({"kind": "temperature", "value": 1e-300}, "value is 1e-300; give a number of at least 1e-06"),
        (
            {"kind": "isotonic", "x": np.linspace(0, 1, 10_001).tolist(), "y": np.linspace(0, 1, 10_001).tolist()},
            "map isotonic: 10001 points; give at most 10000",
        ),
    ],
)
def test_what_is_no_map_is_refused(written: dict[str, object], message: str) -> None:
    with pytest.raises(InputError) as caught:
        map_from_json(written)
    assert message in str(caught.value)
