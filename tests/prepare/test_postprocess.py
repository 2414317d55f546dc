from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from semeion.prepare.postprocess import check_rule, largest_part, postprocess

RULES = ["largest:1", "largest:2", "largest:union", "fill:1", "fill:2", "fill:union"]


def empty(shape=(7, 9, 9)):
    return np.zeros(shape, np.uint8)


def test_the_largest_part_of_one_label_stays():
    labels = empty()
    labels[1:3, 1:3, 1:3] = 1
    labels[5, 5, 5] = 1
    labels[5, 5, 7] = 2
    found = postprocess(labels, ["largest:1"])
    assert (found == 1).sum() == 8
    assert found[5, 5, 7] == 2
    assert labels[5, 5, 5] == 1  # what was given is not changed


def test_the_largest_part_of_all_labels_stays():
    labels = empty()
    labels[1:3, 1:3, 1:3] = 1
    labels[3, 1, 1] = 2
    labels[5, 5, 5] = 1
    labels[6, 8, 8] = 2
    found = postprocess(labels, ["largest:union"])
    assert ((found == 1).sum(), (found == 2).sum()) == (8, 1)


def test_parts_that_touch_over_an_edge_are_two():
    labels = empty()
    labels[1, 1, 1:3] = 1
    labels[2, 2, 1] = 1
    assert (postprocess(labels, ["largest:1"]) > 0).sum() == 2


def test_a_hole_is_filled_and_a_bay_is_not():
    labels = empty()
    labels[1:6, 1:6, 1:6] = 1
    labels[3, 3, 3] = 0
    labels[1, 3, 3] = 0
    found = postprocess(labels, ["fill:1"])
    assert found[3, 3, 3] == 1
    assert found[1, 3, 3] == 0


def test_another_label_inside_is_no_hole():
    labels = empty()
    labels[1:6, 1:6, 1:6] = 1
    labels[3, 3, 3] = 2
    assert postprocess(labels, ["fill:1"])[3, 3, 3] == 2


def test_a_hole_between_labels_goes_to_the_nearest():
    labels = empty((9, 9, 9))
    labels[1:8, 1:8, 1:8] = 1
    labels[1:8, 1:8, 5:8] = 2
    labels[4, 4, 3:5] = 0
    assert postprocess(labels, ["fill:1", "fill:2"])[4, 4, 4] == 0  # reaches the other label, so no hole of either
    found = postprocess(labels, ["fill:union"])
    assert found[4, 4].tolist() == [0, 1, 1, 1, 1, 2, 2, 2, 0] or found[4, 4].tolist() == [0, 1, 1, 1, 2, 2, 2, 2, 0]


def test_a_single_slice_is_filled_in_its_plane():
    labels = empty((1, 6, 6))
    labels[0, 1:5, 1:5] = 1
    labels[0, 2, 2] = 0
    assert postprocess(labels, ["fill:1"])[0, 2, 2] == 1


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    density=st.floats(0, 0.9),
    rules=st.lists(st.sampled_from(RULES), max_size=4),
    shape=st.tuples(*[st.integers(1, 7)] * 3),
)
def test_it_drops_with_largest_adds_with_fill_and_is_idempotent(seed, density, rules, shape):
    random = np.random.default_rng(seed)
    labels = (random.integers(1, 3, shape) * (random.random(shape) < density)).astype(np.uint8)
    for rule in rules:
        once = postprocess(labels, [rule])
        if rule.startswith("largest"):
            assert (once[once > 0] == labels[once > 0]).all()
        else:
            assert (once[labels > 0] == labels[labels > 0]).all()
        np.testing.assert_array_equal(postprocess(once, [rule]), once)
    whole = postprocess(labels, rules)
    one_by_one = labels
    for rule in rules:
        one_by_one = postprocess(one_by_one, [rule])
    np.testing.assert_array_equal(whole, one_by_one)


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), density=st.floats(0, 0.9))
def test_the_box_makes_no_difference(seed, density):
    random = np.random.default_rng(seed)
    mask = random.random((5, 6, 7)) < density
    labels = mask.astype(np.uint8)
    np.testing.assert_array_equal(postprocess(labels, ["fill:1"]) > 0, ndimage.binary_fill_holes(mask))
    np.testing.assert_array_equal(postprocess(labels, ["largest:1"]) > 0, largest_part(mask))


@pytest.mark.parametrize("rule", ["largest", "largest:0", "largest:3", "fill:x", "open:1", "largest:1;fill:1", ""])
def test_what_is_no_rule_is_refused(rule):
    with pytest.raises(ValueError, match="is no rule of post-processing"):
        check_rule(rule, 2)
    assert [check_rule(known, 2) for known in RULES] == RULES
    if rule != "largest:3":
        with pytest.raises(ValueError, match="is no rule of post-processing"):
            postprocess(empty(), ["largest:1", rule])
