import json

import numpy as np
import pytest

from semeion.errors import ModelRefused
from semeion.model.covariates import CovariateHead, CovariateMember, image_features, open_head
from semeion.prepare.covariates import Encoding, Number, YesNo

ENCODING = Encoding(columns=[Number(name="age", fill=60, low=40, high=80, margin=20), YesNo(name="smoker")])
FEATURES = list(ENCODING.features)
LINEAR = {
    "features": FEATURES,
    "mean": [60.0, 0, 0, 0, 0],
    "scale": [10.0, 1, 1, 1, 1],
    "coefficients": [[-0.5, 0, -0.25, 0, 0], [0.5, 0, 0.25, 0, 0]],
    "intercepts": [0.0, 0.0],
    "link": "softmax",
}
HEAD = {"task": "binary", "outputs": 2, "encoding": ENCODING.model_dump(by_alias=True), "linear": LINEAR}
STUMP = {
    "features": FEATURES,
    "fill": [0.0] * 5,
    "outputs": 1,
    "link": "identity",
    "base": [50.0],
    "roots": [0],
    "feature": [0, -1, -1],
    "threshold": [60.0, 0.0, 0.0],
    "left": [1, 0, 0],
    "right": [2, 0, 0],
    "value": [[0.0], [-5.0], [5.0]],
}
VALUE = {"task": "regression", "outputs": 1, "encoding": HEAD["encoding"], "trees": [STUMP]}


def opened(**changes):
    return open_head(json.dumps({**HEAD, **changes}).encode(), where="member.json")


def test_a_finding_by_hand():
    member = CovariateMember(opened())
    rows = {"age": [70, None], "smoker": ["yes", "no"]}
    p = member.outputs(rows)
    assert np.allclose(p[:, 1], [1 / (1 + np.exp(-1.5)), 0.5])
    assert {name: added[:, 0].tolist() for name, added in member.contributions(rows).items()} == {
        "age": [1.0, 0.0],
        "smoker": [0.5, 0.0],
    }


def test_a_value_by_hand():
    member = CovariateMember(CovariateHead.model_validate(VALUE))
    assert member.outputs({"age": [70, 50], "smoker": [1, 0]}).tolist() == [[55.0], [45.0]]


def test_what_is_said_of_images_by_hand():
    assert np.allclose(image_features([[0.2, 0.8]], "binary"), np.log(4))
    assert np.allclose(image_features([[0.2, 0.8]], "multilabel"), [[-np.log(4), np.log(4)]])
    assert np.allclose(np.exp(image_features([[0.2, 0.3, 0.5]], "ordinal")), [[0.2, 0.3, 0.5]])
    assert image_features([[7.0]], "regression").tolist() == [[7.0]]
    assert np.isfinite(image_features([[0.0, 1.0]], "binary")).all()


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"linear": None}, "either trees or a linear model must be given"),
        ({"trees": [STUMP]}, "either trees or a linear model must be given"),
        ({"after": ["net"]}, "features of the linear model are not those"),
        ({"task": "multilabel"}, "does not answer a multilabel question"),
        ({"outputs": 3}, "does not answer a binary question"),
        ({"linear": None, "trees": [STUMP]}, "trees of a value belong to a regression"),
        ({**VALUE, "linear": None, "trees": [STUMP, STUMP]}, "2 models of trees do not answer"),
        ({**VALUE, "linear": None, "trees": [{**STUMP, "features": list("abcde")}]}, "not those of the encoding"),
        ({**VALUE, "linear": None, "trees": [{**STUMP, "left": [0, 0, 0]}]}, "node 0 leads nowhere"),
        ({"code": "x"}, "Extra inputs"),
        ({"schema": 2}, "Input should be 1"),
    ],
)
def test_a_damaged_file_is_refused(changes, says):
    with pytest.raises(ModelRefused, match=says):
        opened(**changes)


def test_what_is_no_json_or_too_large_is_refused(monkeypatch):
    with pytest.raises(ModelRefused, match="no member of covariates"):
        open_head(b"{", where="member.json")
    monkeypatch.setattr("semeion.model.covariates.MAX_FILE", 10)
    with pytest.raises(ModelRefused, match="larger than"):
        opened()
