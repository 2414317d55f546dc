import numpy as np
import pytest
from pydantic import ValidationError

from semeion.model.trees import TreeMember, Trees

# One split: a case with ef of at most 35 goes left, to 80 % 'failing'.
STUMP = {
    "features": ["ef"],
    "fill": [50.0],
    "outputs": 2,
    "link": "mean",
    "roots": [0],
    "feature": [0, -1, -1],
    "threshold": [35.0, 0.0, 0.0],
    "left": [1, 0, 0],
    "right": [2, 0, 0],
    "value": [[0.5, 0.5], [0.2, 0.8], [0.9, 0.1]],
}


def stump(**changes):
    return Trees.model_validate({**STUMP, **changes})


def test_a_stump_by_hand():
    member = TreeMember(stump())
    assert member.probabilities([[30.0], [35.0], [36.0], [np.nan]]).tolist() == [
        [0.2, 0.8],
        [0.2, 0.8],
        [0.9, 0.1],
        [0.9, 0.1],
    ]
    start, added = member.contributions([[30.0]])
    assert start.tolist() == [0.5, 0.5]
    assert np.allclose(added, [[[-0.3, 0.3]]])


def test_boosted_stumps_by_hand():
    logits = [[0.0, 0.0], [0.0, 1.0], [0.0, -1.0]]
    member = TreeMember(stump(link="softmax", base=[0.0, 0.5], value=logits))
    assert np.allclose(member.probabilities([[30.0]])[0, 1], 1 / (1 + np.exp(-1.5)))


def test_json_round_trip():
    trees = stump()
    assert Trees.model_validate_json(trees.model_dump_json(by_alias=True)) == trees


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"left": [0, 0, 0]}, "node 0 leads nowhere"),
        ({"right": [9, 0, 0]}, "node 0 leads nowhere"),
        ({"feature": [1, -1, -1]}, "node 0 leads nowhere"),
        ({"roots": [3]}, "a root or a value is out of range"),
        ({"value": [[0.5], [0.2], [0.9]]}, "a root or a value is out of range"),
        ({"threshold": [35.0]}, "the lists of nodes differ in length"),
        ({"fill": []}, "features and fill do not fit"),
        ({"link": "softmax"}, "base must hold one logit an output"),
        ({"fill": [float("nan")]}, "finite number"),
        ({"code": "import os"}, "Extra inputs are not permitted"),
    ],
)
def test_a_damaged_file_is_refused(changes, says):
    with pytest.raises(ValidationError, match=says):
        stump(**changes)


def test_measurements_of_another_number_are_refused():
    with pytest.raises(ValueError, match="do not fit 1 features"):
        TreeMember(stump()).probabilities([[1.0, 2.0]])
