"""A shipped model that needs more than images: tables, refusals, warnings, and the same numbers as by hand."""

import json

import numpy as np
import pandas as pd
import pytest

from semeion.errors import InputError, ModelRefused
from semeion.model.combine import from_logits
from semeion.model.opening import open_folder
from semeion.model.package import write_model
from semeion.model.runtime import load_model
from semeion.prepare.covariates import Encoding, Levels, Number, YesNo

COLUMNS = [
    Number(name="age", fill=60, low=40, high=80, margin=20),
    Levels(name="sex", levels=["f", "m"]),
    YesNo(name="smoker"),
]
ENCODING = Encoding(columns=COLUMNS)


def head(after=(), task="binary", slope=1.0):
    features = [*ENCODING.features, *(["(images 1)"] if after else [])]
    weights = [0.0] * len(features)
    weights[0] = slope
    if after:
        weights[-1] = 1.0
    linear = {
        "features": features,
        "mean": [60.0, *[0.0] * (len(features) - 1)],
        "scale": [10.0, *[1.0] * (len(features) - 1)],
        "coefficients": [[-w / 2 for w in weights], [w / 2 for w in weights]],
        "intercepts": [0.0, 0.0],
        "link": "softmax",
    }
    value = {"task": task, "outputs": 2, "encoding": ENCODING.model_dump(by_alias=True), "linear": linear}
    return json.dumps({**value, "after": list(after)}).encode()


@pytest.fixture
def ship(tmp_path, parts, tiny_graph):
    def make(members=None, weights=None, **changes):
        chosen = parts() | {"calibration": None} | changes
        chosen["inputs"] = {**chosen["inputs"], "covariates": [column.model_dump() for column in COLUMNS]}
        folder = tmp_path / "model"
        given = {"covariates-fold0": head()} if members is None else members
        write_model(folder, chosen, {"net": tiny_graph()}, "# card\n", covariates=given, weights=weights)
        return load_model(folder)

    return make


@pytest.fixture
def table(pictures, tmp_path):
    def make(**changes):
        rows = {
            "image": pictures(4),
            "age": ["70", "", "500", "60"],
            "sex": ["F", "m", "x", "f"],
            "smoker": list("ynyn"),
        }
        frame = pd.DataFrame({**rows, **changes})
        frame = frame[[name for name in frame if frame[name].notna().any()]]
        frame.to_csv(tmp_path / "new.csv", index=False)
        return tmp_path / "new.csv"

    return make


def by_hand(model, table):
    batch = np.stack([model.read_case(path)[1] for path in pd.read_csv(table)["image"]])
    net = model._classifier()
    seen = from_logits(net.engines[0].run(batch), "binary")
    told = 1 / (1 + np.exp(-np.array([1.0, 0.0, 4.0, 0.0])))
    return seen[:, 1], told


def test_findings_are_the_weighted_mean_and_say_what_is_odd(ship, table):
    model = ship(weights={"net": 0.25, "covariates-fold0": 0.75})
    assert model.covariates == ("age", "sex", "smoker")
    path = table()
    found = model.predict(path)
    seen, told = by_hand(model, path)
    assert np.allclose(found["p_malignant"], 0.25 * seen + 0.75 * told)
    assert (found["status"] == "called").all()
    reasons = found["reasons"].fillna("").tolist()
    assert "covariate-" not in reasons[0] + reasons[3]
    assert "covariate-missing: age, the median stands in" in reasons[1]
    assert "covariate-far: age 500, trained on 40 to 80;covariate-unseen: sex 'x', trained on f, m" in reasons[2]
    assert list(model.columns) == list(found.columns)


def test_a_data_frame_is_as_good_as_a_file(ship, table):
    model = ship()
    path = table()
    frame = pd.read_csv(path).astype({"age": "Float64"})
    assert np.allclose(model.predict(frame)["p_malignant"], model.predict(path)["p_malignant"])


def test_a_member_may_go_by_what_others_say_of_the_images(ship, table):
    model = ship({"fused": head(["net"])}, weights={"net": 1e-9, "fused": 1 - 1e-9})
    path = table()
    seen, told = by_hand(model, path)
    odds = seen / (1 - seen) * told / (1 - told)
    assert np.allclose(model.predict(path)["p_malignant"], odds / (1 + odds), atol=1e-6)


def test_images_alone_are_refused_and_the_columns_named(ship, pictures, tmp_path):
    model = ship()
    for given in (pictures(2), str(tmp_path / "pictures"), np.zeros((2, 8, 8), np.uint8)):
        with pytest.raises(InputError) as refused:
            model.predict(given)
        assert (
            "the model needs the covariates age, sex, smoker, and images alone have none; give a table with the"
            in str(refused.value)
        )
    with pytest.raises(InputError, match="the model needs the covariates age, sex, smoker; give"):
        model.raw(np.zeros((1, 1, 8, 8), np.uint8))


def test_a_table_without_a_column_or_of_another_type_is_refused(ship, table):
    model = ship()
    with pytest.raises(InputError, match=r"new.csv: the model needs the covariates age, smoker; give a table with"):
        model.predict(table(age=None, smoker=None))
    with pytest.raises(InputError, match=r"'age' was a number in training, and no value here is \(first: 'old'\)"):
        model.predict(table(age=["old", "young", "", "old"]))


def test_a_case_without_an_image_still_fails_alone(ship, table, pictures):
    found = ship().predict(table(image=[*pictures(3), "nowhere.png"]))
    assert found["status"].tolist() == ["called"] * 3 + ["failed"]


@pytest.mark.parametrize(
    ("member", "says"),
    [
        (head(task="ordinal"), "answers a ordinal question with 2 outputs, not binary"),
        (head(["other"]), "goes by a member that sees no image"),
        (b"{}", "no member of covariates"),
    ],
)
def test_a_member_that_does_not_fit_is_refused(ship, member, says):
    with pytest.raises(ModelRefused, match=says):
        ship({"one": member})


def test_covariates_must_be_among_the_inputs(tmp_path, parts, tiny_graph):
    with pytest.raises(InputError, match="a member judges covariates, and none is among the inputs"):
        write_model(tmp_path / "m", parts(), {"net": tiny_graph()}, "", covariates={"one": head()})


def test_a_model_of_images_alone_has_the_manifest_it_had(make_model, ship):
    assert json.loads((make_model(name="plain") / "model.json").read_text())["inputs"]["covariates"] == []
    manifest, _ = open_folder(ship().path)
    assert [column.name for column in manifest.inputs.covariates] == ["age", "sex", "smoker"]
    assert [(member.name, member.kind) for member in manifest.members] == [
        ("net", "network"),
        ("covariates-fold0", "covariates"),
    ]
