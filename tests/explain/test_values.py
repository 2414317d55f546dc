"""What covariates did to a finding, by hand: linear heads, members that go by images, weights, labels and values."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas as pd
import pytest

from model.conftest import linear_graph, manifest_parts, member_weights
from semeion.errors import InputError, ModelRefused
from semeion.explain.values import ValueExplainer, values_json
from semeion.model.observing import Seen
from semeion.model.package import write_model
from semeion.model.runtime import Model, load_model
from semeion.model.values import VALUES, ValueReference
from semeion.prepare.covariates import Encoding, Levels, Number, YesNo

COLUMNS = [
    Number(name="age", fill=60, low=40, high=80, margin=20),
    Levels(name="sex", levels=["f", "m"]),
    YesNo(name="smoker"),
]
ENCODING = Encoding(columns=COLUMNS)
NORMAL = "normal or benign"
QUANTILES = {"10": 45.0, "25": 50.0, "50": 55.0, "75": 60.0, "90": 65.0}
REFERENCE = {
    "groups": [NORMAL, "malignant"],
    "columns": [
        {"name": "age", "title": "age", "numbers": {NORMAL: {"n": 40, "quantiles": QUANTILES}}},
        {"name": "sex", "title": "sex", "shares": {"malignant": {"n": 30, "shares": {"f": 0.6}}}},
    ],
}


class Kept:
    """Keeps what it is shown."""

    wants: frozenset[str] = frozenset()
    keeps_images = False

    def __init__(self) -> None:
        self.seen: list[Seen] = []

    def see(self, seen: Seen) -> str:
        self.seen.append(seen)
        return ""


def head(weights: dict[str, float], after: tuple[str, ...] = (), task: str = "binary", outputs: int = 2) -> bytes:
    features = [*ENCODING.features, *(["(images 1)"] if after else [])]
    row = [weights.get(name, 0.0) for name in features]
    rows = [[-w / 2 for w in row], [w / 2 for w in row]] if task == "binary" else [row] * outputs
    link = {"binary": "softmax", "multilabel": "sigmoid", "regression": "identity"}[task]
    linear = {
        "features": features,
        "mean": [60.0, *[0.0] * (len(features) - 1)],
        "scale": [10.0, *[1.0] * (len(features) - 1)],
        "coefficients": rows,
        "intercepts": [0.0] * len(rows),
        "link": link,
    }
    about = {"task": task, "outputs": outputs, "encoding": ENCODING.model_dump(by_alias=True), "after": list(after)}
    return json.dumps({**about, "linear": linear}).encode()


def shipped(
    folder: Path, members: dict[str, bytes], weights: Any = None, task: str = "binary", values: Any = REFERENCE
) -> Model:
    parts = manifest_parts(task) | {"calibration": None}
    parts["inputs"] = {**parts["inputs"], "covariates": [column.model_dump() for column in COLUMNS]}
    files = {}
    if values is not None:
        parts["values"], files[VALUES] = VALUES, ValueReference.model_validate(values).to_json()
    graphs = {"net": linear_graph(*member_weights(task, 0))}
    write_model(folder, parts, graphs, "# card\n", covariates=members, weights=weights, files=files)
    return load_model(folder, threads=1)


def seen_of(model: Model, folder: Path, **values: Any) -> Seen:
    cv2.imwrite(str(folder / "a.png"), np.full((8, 8), 120, np.uint8))
    kept = Kept()
    rows = {"image": [str(folder / "a.png")], **{name: [value] for name, value in values.items()}}
    list(model.findings(pd.DataFrame(rows), observers=[kept], jobs=1))
    return kept.seen[0]


WEIGHTS = {"age": 1.0, "sex: f": 0.5, "sex: m": -0.5, "smoker": 0.25}
TWO = {"net": 0.5, "cov": 0.5}


def test_a_linear_member_by_hand(tmp_path: Path) -> None:
    model = shipped(tmp_path / "model", {"cov": head(WEIGHTS)}, TWO)
    told = ValueExplainer(model).explain(seen_of(model, tmp_path, age="80", sex="F", smoker="yes"), "malignant")
    assert [(one.name, one.contribution) for one in told] == [
        ("age", pytest.approx(2.0)),
        ("sex", pytest.approx(0.5)),
        ("smoker", pytest.approx(0.25)),
        ("(others)", None),
    ]
    assert told[0].sentence == (
        "age 80, above 90 % of normal or benign cases (n = 40): speaks for malignant (+2.00 on the logit)."
    )
    assert told[1].sentence == "sex F, 60 % of malignant cases (n = 30): speaks for malignant (+0.50 on the logit)."
    assert told[3].sentence == "Members that see the images alone have 50 % of the say; the rest is explained here."
    against = ValueExplainer(model).explain(seen_of(model, tmp_path, age="80", sex="F", smoker="yes"), NORMAL)
    assert [one.contribution for one in against[:3]] == pytest.approx([-2.0, -0.5, -0.25])
    assert json.loads(json.dumps(values_json(told)))[0]["scale"] == "logit"


def test_what_is_missing_says_so(tmp_path: Path) -> None:
    model = shipped(tmp_path / "model", {"cov": head({**WEIGHTS, "age: (missing)": 0.7})}, TWO)
    told = {
        one.name: one for one in ValueExplainer(model).explain(seen_of(model, tmp_path, age="", sex="x", smoker=None))
    }
    assert told["age"].value is None
    assert told["age"].sentence.startswith("age not given, the training cases' median stands in: speaks")
    assert abs(told["age"].contribution or 0) == pytest.approx(0.7)
    assert told["smoker"].sentence.startswith("smoker not given, counted as missing, as in training: ")
    assert told["sex"].value is None
    assert told["sex"].sentence.startswith("sex of a level that the model has no name for, counted as other, as in ")
    odd = ValueExplainer(model).explain(seen_of(model, tmp_path, age="old", sex="f", smoker="often"))
    assert any(one.sentence.startswith("age no number, the training cases' median stands in") for one in odd)
    assert any(one.sentence.startswith("smoker neither yes nor no, counted as other, as in training: ") for one in odd)
    (own,) = [
        one
        for one in ValueExplainer(model).explain(seen_of(model, tmp_path, age="60", sex="f", smoker=1))
        if one.name == "smoker"
    ]
    assert (own.value, own.sentence[:10]) == ("yes", "smoker yes")


def test_members_count_by_their_shares_and_the_images_are_told_apart(tmp_path: Path) -> None:
    fused = head({"age": 1.0, "(images 1)": 2.0}, after=("net",))
    members, shares = {"alone": head({"age": 3.0}), "fused": fused}, {"net": 0.0, "alone": 0.25, "fused": 0.75}
    model = shipped(tmp_path / "model", members, shares)
    seen = seen_of(model, tmp_path, age="70", sex="f", smoker="no")
    told = {one.name: one for one in ValueExplainer(model).explain(seen, "malignant")}
    assert told["age"].contribution == pytest.approx(0.25 * 3 + 0.75 * 1)
    assert seen.said is not None
    p = seen.said[0]
    assert told["(images)"].contribution == pytest.approx(0.75 * 2 * np.log(p[1] / p[0]))
    assert "(others)" not in told


def test_labels_and_values_have_their_own_words(tmp_path: Path) -> None:
    labels = head(WEIGHTS, task="multilabel", outputs=2)
    model = shipped(tmp_path / "labels", {"cov": labels}, TWO, "multilabel", None)
    (first, *_) = ValueExplainer(model).explain(seen_of(model, tmp_path, age="80", sex="f", smoker="no"), "nodule")
    assert first.sentence == "age 80: speaks for nodule (+2.00 on the logit)."
    value = head(WEIGHTS, task="regression", outputs=1)
    model = shipped(tmp_path / "value", {"cov": value}, TWO, "regression", None)
    (first, *_) = ValueExplainer(model).explain(seen_of(model, tmp_path, age="50", sex="f", smoker="no"))
    assert first.sentence == "age 50: lowers the value by 1 years."


def test_members_on_different_scales_of_grades_are_not_added_up(tmp_path: Path) -> None:
    placed, apart = json.loads(head(WEIGHTS, task="regression", outputs=1)), json.loads(head(WEIGHTS))
    for one, link in ((placed, "ordered"), (apart, "softmax")):
        one |= {"task": "ordinal", "outputs": 3}
        one["linear"]["link"] = link
    placed["linear"]["intercepts"] = [-1.0, 1.0]
    row = apart["linear"]["coefficients"][1]
    apart["linear"] |= {"coefficients": [[0.0] * len(row), row, row], "intercepts": [0.0] * 3}
    members = {name: json.dumps(one).encode() for name, one in (("placed", placed), ("apart", apart))}
    for more, scale, left in (("placed", "grades", 20), ("apart", "logit", 20)):
        shares = {"net": 0.2, "placed": 0.2, "apart": 0.2} | {more: 0.6}
        model = shipped(tmp_path / more, members, shares, "ordinal", None)
        told = ValueExplainer(model).explain(seen_of(model, tmp_path, age="80", sex="f", smoker="no"))
        assert {one.scale for one in told} == {scale}
        said = [one.sentence for one in told if one.name == "(others)"]
        assert said == [
            "Members that see the images alone have 20 % of the say; they are not explained here.",
            f"Members that judge the values on another scale have {left} % of the say; they are not explained here.",
        ]
        assert abs(told[0].contribution or 0) == pytest.approx(2.0 if scale == "grades" else 1 / 3, abs=0.4)


def test_images_alone_and_failed_cases_have_nothing_to_tell(tmp_path: Path) -> None:
    model = shipped(tmp_path / "model", {"cov": head(WEIGHTS)}, TWO)
    kept = Kept()
    table = pd.DataFrame({"image": ["gone.png"], "age": [1], "sex": ["f"], "smoker": ["y"]})
    list(model.findings(table, observers=[kept], jobs=1))
    assert ValueExplainer(model).explain(kept.seen[0]) == []
    write_model(tmp_path / "plain", manifest_parts(), {"net": linear_graph(*member_weights("binary", 0))}, "# card\n")
    plain = ValueExplainer(load_model(tmp_path / "plain"))
    assert not plain.tells
    assert plain.explain(kept.seen[0]) == []


def test_values_of_another_model_are_refused(tmp_path: Path) -> None:
    model = shipped(tmp_path / "model", {"cov": head(WEIGHTS)}, TWO, values={"groups": ["a", "b"], "columns": []})
    with pytest.raises(ModelRefused, match="the values are of another model"):
        ValueExplainer(model)


def test_a_file_of_values_that_is_not_listed_is_refused(tmp_path: Path) -> None:
    shipped(tmp_path / "model", {"cov": head(WEIGHTS)}, TWO, values=None)
    (tmp_path / "model" / VALUES).write_bytes(ValueReference.model_validate(REFERENCE).to_json())
    with pytest.raises(ModelRefused, match=r"'values.json' is not listed"):
        load_model(tmp_path / "model")
    parts = manifest_parts() | {"values": VALUES}
    with pytest.raises(InputError, match=r"'values.json' is used but not listed in files"):
        write_model(tmp_path / "other", parts, {"net": linear_graph(*member_weights("binary", 0))}, "# card\n")
