"""The reference of a model: distances in closed form, reasons in words, and files that strangers may have made."""

from __future__ import annotations

import json
from typing import Any

import cv2
import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from semeion.errors import ModelRefused
from semeion.model.manifest import Manifest
from semeion.model.package import write_model
from semeion.model.pixel_statistics import PIXELS, WIDTH, statistics_of
from semeion.model.reference import (
    REFERENCE,
    Distances,
    Reference,
    Space,
    disagreeing,
    disagreement,
    far_reasons,
    measured_reasons,
    open_reference,
    turns,
)
from semeion.model.runtime import load_model

GRAPH = "members/m0.onnx"
SPACE: dict[str, Any] = {
    "graph": GRAPH,
    "width": 4,
    "columns": [0, 1, 2, 3],
    "mean": [0.0, 0.0, 0.0, 0.0],
    "scale": [1.0, 1.0, 1.0, 1.0],
    "projection": [[1.0, 0.0, 0.0, 0.0], [0.0, 1.0, 0.0, 0.0]],
    "means": [[0.0, 0.0], [10.0, 0.0]],
    "covariance": [[4.0, 0.0], [0.0, 1.0]],
    "location": [0.0, 0.0],
    "spread": [1.0, 1.0],
    "limit": 1.0,
    "far": 2.0,
    "rate": 0.025,
    "cases": 100,
    "patients": 100,
}


def written(**change: Any) -> bytes:
    return json.dumps({"schema": 1, "space": {**SPACE, **change}, "patients": 100}).encode()


def space(**change: Any) -> Space:
    return Space.model_validate({**SPACE, **change})


def test_distances_in_closed_form():
    measure = Distances(space())
    x = np.array([[4.0, 0, 0, 0], [0, 3.0, 0, 0], [12.0, 0, 0, 0], [0, 0, 3.0, 4.0], [0.0, 5.0, 0, 2.0]])
    # Two, three, one standard deviations from the nearest mean; five beside; the larger of five and two.
    np.testing.assert_allclose(measure.scores(x), np.log([2, 3, 1, 5, 5]))
    np.testing.assert_allclose(measure.project(x)[0], [4.0, 0.0])
    shifted = Distances(space(mean=[1.0, 0.0, 0.0, 0.0], scale=[2.0, 1.0, 1.0, 1.0]))
    np.testing.assert_allclose(shifted.scores([[9.0, 0, 0, 0]]), np.log([2.0]))
    assert measure.scores(np.full((1, 4), np.inf))[0] == np.inf
    with pytest.raises(ValueError, match=r"features must be \(N, 4\)"):
        measure.scores(np.zeros((1, 5)))


def test_how_far_members_disagree():
    same = np.array([[[0.7, 0.3]], [[0.7, 0.3]], [[0.2, 0.8]]])
    assert disagreement(same, [[0, 1]], "binary")[0] == pytest.approx(0, abs=1e-12)
    apart = np.array([[[1.0, 0.0]], [[0.0, 1.0]]])
    assert disagreement(apart, [[0, 1]], "binary")[0] == pytest.approx(np.log(2))
    assert disagreement(np.array([[[1.0]], [[3.0]]]), [[0, 1]], "regression")[0] == pytest.approx(1.0)
    labels = np.array([[[0.5, 1.0]], [[0.5, 0.0]]])
    assert disagreement(labels, [[0, 1]], "multilabel")[0] == pytest.approx(np.log(2))
    known = Reference.model_validate(
        {"disagreement": {"groups": [["a", "b"]], "limit": 0.3, "rate": 0.01}}
    ).disagreement
    assert known is not None
    assert disagreeing(known, ["a", "b"], apart, "binary")[0][0].startswith("members-disagree: 0.693, and at most 0.3")
    assert disagreeing(known, ["a", "b"], same[:2], "binary") == [()]


@settings(deadline=None)
@given(st.integers(2, 5), st.integers(1, 4), st.integers(0, 2**31))
def test_disagreement_is_never_negative_and_at_most_the_entropy_of_the_classes(members, cases, seed):
    said = np.random.default_rng(seed).dirichlet(np.ones(3), (members, cases))
    found = disagreement(said, [range(members)], "multiclass")
    assert (found >= 0).all() and (found <= np.log(3) + 1e-9).all()


def test_a_far_case_says_how_far_and_whether_it_is_turned():
    measure = Distances(space())
    up, plain, away = (np.zeros((1, 8, 8), np.uint8) for _ in range(3))
    up[0, :4], plain[0, 4:], away[:] = 200, 200, 90

    def features(batch: np.ndarray) -> np.ndarray:
        rows = batch[:, 0].astype(np.float64)
        top, whole = rows[:, :4].mean(axis=(1, 2)), rows.mean(axis=(1, 2))
        away = np.isclose(whole, 90) * 50.0
        return np.stack([top / 20, away, 0 * top, 0 * top], axis=1).astype(np.float32)

    batch = np.stack([up, plain, away])
    measure = Distances(space(means=[[0.0, 0.0]]))
    turned, near, far = far_reasons(measure, features(batch), list(batch), features)
    assert near == ()
    assert [text.split(":")[0] for text in turned] == ["features-far", "rotated"]
    assert turned[1].startswith("rotated: turned upside down it would be") or "mirrored" in turned[1]
    assert [text.split(":")[0] for text in far] == ["features-outside"]
    assert "at most 1 in all but 2.5% of cases held out" in far[0]
    # Of volumes nothing is looked at again.
    [volume] = far_reasons(measure, features(batch[:1]), [np.zeros((1, 2, 8, 8), np.uint8)], features)
    assert len(volume) == 1


def test_pictures_are_turned_by_quarters_only_where_they_are_square():
    square, wide = np.arange(16, dtype=np.uint8).reshape(1, 4, 4), np.arange(8, dtype=np.uint8).reshape(1, 2, 4)
    assert len(turns(square)) == 4 and len(turns(wide)) == 2
    assert all(one.shape == square.shape and not np.array_equal(one, square) for one in turns(square).values())
    np.testing.assert_array_equal(turns(wide)["turned upside down"][0], [[7, 6, 5, 4], [3, 2, 1, 0]])


def test_measurements_far_beyond_the_usual():
    reference = {"measurements": {"features": ["a", "b"], "low": [0.0, 0.0], "high": [1.0, 1.0], "limit": 0.5}}
    known = Reference.model_validate(reference).measurements
    assert known is not None
    assert measured_reasons(known, {"a": 0.5, "b": 9.0, "c": 99.0}) == ()
    assert measured_reasons(known, {"a": -5.0, "b": float("nan")})[0].startswith("measurements-far: 100% beyond")


@pytest.fixture
def manifest(make_model: Any) -> Manifest:
    return load_model(make_model()).manifest


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "its JSON cannot be read"),
        (b"{", "its JSON cannot be read"),
        (b"[]", "not a reference of training cases"),
        (written(other=1), "not a reference of training cases"),
        (written(graph="../outside.onnx"), "could lead out of the model folder"),
        (written(graph="members/m9.onnx"), "no member has the graph 'members/m9.onnx'"),
        (written(columns=[0, 1, 1, 3]), "the columns do not rise"),
        (written(columns=[0, 1, 2, 9]), "there is none of that number"),
        (written(mean=[0.0]), "one number a column"),
        (written(scale=[1.0, 0.0, 1.0, 1.0]), "not a reference of training cases"),
        (written(projection=[[1.0, 0.0]]), "one number a column"),
        (written(means=[[0.0]]), "one number a direction"),
        (written(covariance=[[1.0, 2.0], [2.0, 1.0]]), "not positive definite"),
        (written(far=0.5), "far outside is not farther than far"),
        (written(cases=0), "not a reference of training cases"),
        (written(mean=[float("nan"), 0.0, 0.0, 0.0]), "its JSON cannot be read"),
        (written(limit=1e300), "not a reference of training cases"),
        (json.dumps({"pixels": SPACE}).encode(), "statistics of pixels are"),
        (b'{"schema": 2}', "not a reference of training cases"),
        (b'{"disagreement": {"groups": [["m0", "m7"]], "limit": 1.0, "rate": 0.01}}', "there is no member 'm7'"),
        (
            json.dumps({"disagreement": {"groups": [["m0", "m0"]] * 200_000, "limit": 1.0, "rate": 0.01}}).encode(),
            "not a reference of training cases",
        ),
        (
            b'{"measurements": {"features": ["a"], "low": [0.0], "high": [1.0], "limit": 0.5}}',
            "ranges of measurements, and the model takes none",
        ),
    ],
)
def test_a_reference_that_is_none_is_refused(manifest: Manifest, data: bytes, words: str):
    with pytest.raises(ModelRefused, match=words) as caught:
        open_reference(data, manifest, where="reference.json")
    assert caught.value.where == "reference.json"


def test_a_huge_one_is_refused_before_it_is_read(manifest: Manifest, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("semeion.model.reference.MAX_REFERENCE", 100)
    with pytest.raises(ModelRefused, match="is larger than"):
        open_reference(written(), manifest, where="reference.json")


def quarters(with_features: bool = True) -> bytes:
    """A graph whose features are the means of the four quarters of an 8 x 8 picture, and whose logits lean on them."""
    image = helper.make_tensor_value_info("image", TensorProto.UINT8, ["N", 1, 8, 8])
    outputs = [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["N", 2])]
    outputs += [helper.make_tensor_value_info("features", TensorProto.FLOAT, ["N", 4])] if with_features else []
    nodes = [
        helper.make_node("Cast", ["image"], ["x"], to=TensorProto.FLOAT),
        helper.make_node("AveragePool", ["x"], ["means"], kernel_shape=[4, 4], strides=[4, 4]),
        helper.make_node("Flatten", ["means"], ["features"], axis=1),
        helper.make_node("Gemm", ["features", "w", "b"], ["logits"]),
    ]
    constants = [
        numpy_helper.from_array(np.array([[0.0, 0.01]] * 4, np.float32), "w"),
        numpy_helper.from_array(np.array([0.0, -3.0], np.float32), "b"),
    ]
    graph = helper.make_graph(nodes, "quarters", [image], outputs, constants)
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    onnx.checker.check_model(made)
    return bytes(made.SerializeToString())


@pytest.fixture
def guarded(parts: Any, tmp_path: Any) -> Any:
    """A model whose training pictures were bright above and dark below."""
    known = {"mean": [200.0, 200.0, 20.0, 20.0], "scale": [10.0] * 4, "means": [[0.0, 0.0]]}

    def make(graph: bytes, name: str = "model", **change: Any) -> Any:
        files = {REFERENCE: written(**{**known, **change})}
        write_model(tmp_path / name, parts("binary") | {"reference": REFERENCE}, {"m0": graph}, "# card\n", files=files)
        return load_model(tmp_path / name, threads=1)

    return make


def test_a_model_knows_when_it_is_not_addressed(guarded: Any, tmp_path: Any):
    upright = np.vstack([np.full((4, 8), 201, np.uint8), np.full((4, 8), 20, np.uint8)])
    upright[0, 0] = 190
    given = {"like": upright, "turned": upright[::-1], "other": np.full((8, 8), 250, np.uint8)}
    given["other"][:4, :4] = 5
    for name, pixels in given.items():
        cv2.imwrite(str(tmp_path / f"{name}.png"), pixels)
    model = guarded(quarters())
    images = [str(tmp_path / f"{name}.png") for name in given]
    table = model.predict(images)
    assert table["status"].tolist() == ["called", "unsure", "not_applicable"]
    assert table["call"].isna().tolist() == [False, True, True]
    assert table["p_malignant"].isna().tolist() == [False, False, True]
    assert "rotated: " in table["reasons"][1] and table["reasons"][2].startswith("features-outside: ")
    # In memory the numbers stay, for evaluation; studies may have the calls.
    found = list(model.findings(images))
    assert all(len(one.p) == 2 and len(one.raw) == 2 for one in found)
    called = list(model.findings(images, abstain=False))
    assert [one.status for one in called] == ["called"] * 3
    assert [one.reasons for one in called] == [one.reasons for one in found]
    assert [one.p for one in called] == [one.p for one in found]


def test_statistics_of_pixels_alone_tell_kinds_apart(parts: Any, tmp_path: Any, make_model: Any):
    """As of an adopted network, which gives no features."""
    random = np.random.default_rng(0)

    def kind(high: int, n: int) -> np.ndarray:
        return random.integers(0, 40, (n, 1, 8, 8), dtype=np.uint8) + np.uint8(high) * (np.arange(8) > 3).astype(
            np.uint8
        )

    from semeion.study.reference_fit import Known, columns_of, fit_space

    trained = kind(150, 120)
    known = Known(statistics_of(trained), np.zeros(120, dtype=np.int64), np.arange(120))
    pixels, _, _ = fit_space(known, PIXELS, WIDTH, columns_of(WIDTH), seed=0)
    plain = make_model()
    graphs = {f"m{k}": (plain / "members" / f"m{k}.onnx").read_bytes() for k in range(2)}
    files = {REFERENCE: Reference(pixels=pixels).model_dump_json(by_alias=True, exclude_none=True).encode()}
    write_model(tmp_path / "pixels", parts("binary") | {"reference": REFERENCE}, graphs, "# card\n", files=files)
    model = load_model(tmp_path / "pixels", threads=1)
    like, other = model.predict(kind(150, 60)[:, 0]), model.predict(random.integers(0, 256, (30, 8, 8), dtype=np.uint8))
    assert (like["status"] == "called").mean() >= 0.9
    assert other["status"].isin(["unsure", "not_applicable"]).mean() >= 0.9
    assert other["reasons"].str.contains("pixels-").any()


def test_a_reference_of_features_that_no_graph_gives_is_refused(guarded: Any):
    images = np.zeros((1, 8, 8), np.uint8)
    with pytest.raises(ModelRefused, match="does not give the 4 features of the reference"):
        guarded(quarters(with_features=False)).predict(images)


def test_a_model_without_a_reference_calls(make_model: Any, pictures: Any):
    model = load_model(make_model())
    assert model.manifest.reference is None
    assert set(model.predict(pictures(3))["status"]) == {"called"}
