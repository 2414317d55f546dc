"""The nearest training cases of a model that ships them, and what is no such file."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from explain.test_values import Kept
from model.conftest import linear_graph, manifest_parts, member_weights
from semeion.errors import InputError, ModelRefused
from semeion.explain.asking import How
from semeion.explain.like import WANTS, Likeness
from semeion.explain.run import explained_findings
from semeion.model import neighbours as module
from semeion.model.neighbours import NEIGHBOURS, Neighbours, as_text, lengths
from semeion.model.package import write_model
from semeion.model.reference import REFERENCE, Reference
from semeion.model.runtime import Model, load_model

NORMAL = "normal or benign"
SPACE = {
    "graph": "members/net.onnx",
    "width": 1,
    "columns": [0],
    "mean": [100.0],
    "scale": [10.0],
    "projection": [[1.0]],
    "means": [[0.0]],
    "covariance": [[1.0]],
    "location": [0.0, 0.0],
    "spread": [1.0, 1.0],
    "limit": 1e6,
    "far": 1e7,
    "rate": 0.025,
    "cases": 50,
    "patients": 50,
}
PLACES = np.array([[0.0], [1.0], [2.0], [5.0], [-4.0], [9.0]], np.float32)
FILE: dict[str, Any] = {
    "schema": 1,
    "graph": "members/net.onnx",
    "dims": 1,
    "cases": list("abcdef"),
    "standards": ["malignant", NORMAL] * 3,
    "places": as_text(PLACES),
    "usual": 0.5,
    "far": 2.5,
}


class Asking(Kept):
    wants = WANTS


def graph() -> bytes:
    """Return a tiny graph that gives the mean of the pixels as its one feature."""
    model = onnx.load_from_string(linear_graph(*member_weights("binary", 0)))
    model.graph.node.append(helper.make_node("Identity", ["flat"], ["features"]))
    model.graph.output.append(helper.make_tensor_value_info("features", TensorProto.FLOAT, ["N", 1]))
    return bytes(model.SerializeToString())


def shipped(folder: Path, given: Any = None, reference: Any = SPACE) -> Model:
    parts, files = manifest_parts(), {}
    if reference is not None:
        files[REFERENCE] = Reference.model_validate({"space": reference}).model_dump_json(by_alias=True).encode()
        parts["reference"] = REFERENCE
    files[NEIGHBOURS] = json.dumps({**FILE, **(given or {})}).encode()
    parts["neighbours"] = NEIGHBOURS
    write_model(folder, parts, {"net": graph()}, "# card\n", files=files)
    return load_model(folder, threads=1)


def looked(model: Model, folder: Path, grey: int, observer: Kept) -> Any:
    cv2.imwrite(str(folder / "a.png"), np.full((8, 8), grey, np.uint8))
    list(model.findings([folder / "a.png"], observers=[observer], jobs=1))
    return observer.seen[-1]


def test_the_nearest_come_first_with_their_reference_standard(tmp_path: Path) -> None:
    model = shipped(tmp_path / "model")
    like = Likeness(model)
    near = like.find(looked(model, tmp_path, 112, Asking()))
    assert [(one.case, one.standard, round(one.distance, 5)) for one in near] == [
        ("b", NORMAL, 0.2),
        ("c", "malignant", 0.8),
        ("a", "malignant", 1.2),
        ("d", NORMAL, 3.8),
        ("e", "malignant", 5.2),
    ]
    assert like.sentence(near[:1]) == (
        "Nearest training cases: b (normal or benign, distance 0.2); of cases held out the nearest is usually 0.5 "
        "away, and in 95 % less than 2.5."
    )
    content = json.loads(json.dumps(like.content(near)))
    assert content["nearest"][0] == {"case_id": "b", "reference_standard": NORMAL, "distance": pytest.approx(0.2)}
    far = like.find(looked(model, tmp_path, 230, Asking()))
    assert "; none is near: of cases held out" in like.sentence(far)
    assert like.sentence([]) == ""


def test_features_that_were_not_asked_for_are_missed(tmp_path: Path) -> None:
    model = shipped(tmp_path / "model")
    with pytest.raises(InputError, match="the graph did not give its features"):
        Likeness(model).find(replace(looked(model, tmp_path, 112, Kept()), extras={}))


def test_a_model_that_ships_no_cases_says_how_to_make_one(tmp_path: Path) -> None:
    write_model(tmp_path / "model", manifest_parts(), {"net": graph()}, "# card\n")
    with pytest.raises(InputError, match=r"ships no training cases.*--ship-neighbours"):
        Likeness(load_model(tmp_path / "model"))


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"schema": 2}, "Input should be 1"),
        ({"code": "x"}, "Extra inputs"),
        ({"graph": "../net.onnx"}, "could lead out of the model folder"),
        ({"graph": "members/other.onnx"}, "the neighbours are of another model"),
        ({"dims": 2, "places": as_text(np.zeros((6, 2), np.float32))}, "the neighbours are of another model"),
        ({"cases": list("abcdee")}, "named twice"),
        ({"standards": ["malignant"]}, "named twice, or has no reference standard"),
        ({"standards": ["scar"] * 6}, "of the class 'scar', which there is not"),
        ({"places": as_text(PLACES[:3])}, "not those of so many cases"),
        ({"places": "!" * 32}, "the features cannot be read"),
        ({"places": as_text(np.full((6, 1), np.inf, np.float32))}, "not finite numbers"),
        ({"usual": -1.0}, "greater than or equal to 0"),
    ],
)
def test_a_damaged_or_foreign_file_is_refused(tmp_path: Path, given: dict[str, Any], says: str) -> None:
    with pytest.raises(ModelRefused, match=says):
        Likeness(shipped(tmp_path / "model", given))


def test_neighbours_without_a_space_and_too_large_files_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(ModelRefused, match="of another model"):
        Likeness(shipped(tmp_path / "model", reference=None))
    model = shipped(tmp_path / "other")
    monkeypatch.setattr(module, "MAX_NEIGHBOURS", 10)
    with pytest.raises(ModelRefused, match="larger than"):
        Likeness(model)


def test_features_come_back_bit_for_bit_and_distances_are_euclids() -> None:
    places = np.random.default_rng(0).normal(size=(7, 5)).astype(np.float32)
    made = Neighbours(graph="g.onnx", dims=5, cases=list("abcdefg"), standards=["x"] * 7, places=as_text(places))
    again = Neighbours.model_validate_json(made.to_json())
    assert again.array().tobytes() == places.tobytes()
    whole = places.astype(float)
    assert np.allclose(lengths(whole, whole), np.linalg.norm(whole[:, None] - whole[None], axis=2), atol=1e-6)


def test_explain_writes_whom_a_case_is_like(tmp_path: Path) -> None:
    model = shipped(tmp_path / "model")
    cv2.imwrite(str(tmp_path / "a.png"), np.arange(80.0, 144.0).reshape(8, 8).astype(np.uint8))
    list(explained_findings(model, [tmp_path / "a.png"], tmp_path / "why", How(method="occlusion"), jobs=1))
    like = json.loads((tmp_path / "why" / "1.json").read_text())["like"]
    assert like["nearest"][0]["case_id"] == "b"
    assert like["sentence"].startswith("Nearest training cases: b (normal or benign, distance 0.15)")
