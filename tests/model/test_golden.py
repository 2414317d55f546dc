from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from semeion.errors import ModelRefused
from semeion.model import opened_members
from semeion.model.golden import difference, golden_json, phantom, read_golden, run_phantom
from semeion.model.package import write_model
from semeion.model.runtime import load_model
from support.hostile import put


def test_a_phantom_is_the_same_everywhere() -> None:
    """Stored answers are of these very values: they must be the same in later versions."""
    flat, solid = phantom((3, 16, 12), "uint8"), phantom((2, 9, 8, 7), "float32", seed=3)
    assert (flat.shape, flat.dtype, solid.shape, solid.dtype) == ((1, 3, 16, 12), np.uint8, (1, 2, 9, 8, 7), np.float32)
    assert hashlib.sha256(flat.tobytes()).hexdigest()[:16] == "40bfff61e7e7bb02"
    assert hashlib.sha256(solid.astype("<f4").tobytes()).hexdigest()[:16] == "63ea5c9afef0c25b"
    assert len(np.unique(flat)) > 40, "an image, not a constant"
    assert not np.array_equal(flat[:, 0], flat[:, 1])
    assert not np.array_equal(phantom((1, 8, 8), "uint8", 0), phantom((1, 8, 8), "uint8", 1))


@pytest.mark.parametrize("task", ["binary", "multiclass", "ordinal", "multilabel", "regression"])
def test_every_network_answers_its_golden_case(make_model: Any, reference: Any, task: str) -> None:
    folder = make_model(task)
    stored = json.loads((folder / "golden.json").read_text())["answers"]
    assert sorted(stored) == ["members/m0.onnx", "members/m1.onnx"]
    model = load_model(folder, threads=1)
    raw = model.raw(phantom((1, 8, 8), "uint8"))
    for member, path in enumerate(sorted(stored)):
        np.testing.assert_allclose(stored[path], raw[member, 0], rtol=1e-5, atol=1e-6)
    assert model.try_out().startswith("Golden cases: 2 answered as where the model was made, at most ")


class Wrong:
    """An engine whose numbers are a little off."""

    def __init__(self, engine: Any, off: float) -> None:
        self.engine, self.off = engine, off

    def __getattr__(self, name: str) -> Any:
        return getattr(self.engine, name)

    def run(self, batch: Any) -> Any:
        answer = self.engine.run(batch)
        answer[:, -1] += self.off
        return answer


@pytest.mark.parametrize(("off", "refused"), [(1e-6, False), (0.3, True), (float("nan"), True)])
@pytest.mark.parametrize("kind", ["picture", "voxels"])
def test_a_runtime_that_computes_wrongly_is_noticed_before_any_image(
    make_model: Any,
    make_segmenter: Any,
    pictures: Any,
    monkeypatch: pytest.MonkeyPatch,
    kind: str,
    off: float,
    refused: bool,
) -> None:
    folder = make_model() if kind == "picture" else make_segmenter()
    real = opened_members.open_engine
    monkeypatch.setattr(opened_members, "open_engine", lambda *given, **named: Wrong(real(*given, **named), off))
    model = load_model(folder, threads=1)
    if not refused:
        assert "answered as where the model was made" in model.try_out()
        return
    with pytest.raises(ModelRefused, match="is broken; install ONNX Runtime again") as caught:
        model.try_out()
    assert caught.value.exit_status == 3
    assert "member m0: a golden case is answered otherwise here" in str(caught.value)
    with pytest.raises(ModelRefused, match="a golden case is answered otherwise here"):
        model.findings(pictures(1))


def test_a_head_is_tried_with_its_graph(parts: Any, tiny_graph: Any, tmp_path: Path) -> None:
    head = {"schema": 1, "features": 2, "mean": [0, 0], "scale": [1, 1], "coefficients": [[-1, 2], [1, -2]]}
    text = json.dumps(head | {"intercepts": [0.1, -0.1], "link": "softmax"}).replace("0,", "0.0,").encode()
    write_model(tmp_path / "m", parts(), {"m0": tiny_graph()}, "card", heads={"m0": text})
    assert list(json.loads((tmp_path / "m" / "golden.json").read_text())["answers"]) == ["members/m0.json"]
    assert "1 answered" in load_model(tmp_path / "m").try_out()


def test_a_faster_graph_has_an_answer_of_its_own(make_segmenter: Any, tmp_path: Path) -> None:
    folder = make_segmenter()
    plain = (folder / "members" / "m0.onnx").read_bytes()
    fields = load_model(folder).manifest.model_dump(exclude={"schema_version", "members", "card", "files"})
    write_model(tmp_path / "fast", fields, {"m0": plain}, "card", fast={"m0": plain})
    answers = json.loads((tmp_path / "fast" / "golden.json").read_text())["answers"]
    assert list(answers) == ["members/m0.onnx", "members/m0.fast.onnx"]
    assert len(answers["members/m0.onnx"]) == 64 * 3, "64 voxels of background and two labels"


def test_what_is_no_number_is_not_stored_and_not_compared() -> None:
    golden = read_golden(golden_json({"a": np.array([np.nan, 1.0]), "b": np.array([0.25, 0.75])}), where="golden.json")
    assert list(golden.answers) == ["b"]
    assert difference(golden, "a", np.array([0.0, 1.0]), where="member a") is None
    assert difference(golden, "b", np.array([0.25, 0.75 + 5e-5]), where="member b") == pytest.approx(5e-5)
    with pytest.raises(ModelRefused, match="a golden case has 2 numbers, and the network answers 3"):
        difference(golden, "b", np.zeros(3), where="member b")


def test_measured_values_are_compared_by_their_size() -> None:
    golden = read_golden(golden_json({"a": np.array([5000.0])}), where="golden.json")
    assert difference(golden, "a", np.array([5000.2]), where="member a") == pytest.approx(4e-5)
    with pytest.raises(ModelRefused, match=r"0\.0002 apart, and 0\.0001 is allowed"):
        difference(golden, "a", np.array([5001.0]), where="member a")


def test_the_engine_that_answered_is_the_one_that_is_named() -> None:
    golden = read_golden(golden_json({"a": np.array([0.25, 0.75])}), where="golden.json")
    with pytest.raises(ModelRefused, match=r"or OpenVINO \d.* is broken; install OpenVINO again"):
        difference(golden, "a", np.array([0.3, 0.7]), where="member a", kind="openvino")


def test_a_network_without_a_golden_case_is_counted(make_model: Any) -> None:
    folder = make_model()
    golden = json.loads((folder / "golden.json").read_text())
    del golden["answers"]["members/m1.onnx"]
    put(folder, "golden.json", json.dumps(golden).encode())
    assert load_model(folder).try_out().endswith("apart. 1 of the networks have none.")


def test_an_input_that_no_memory_holds_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    class Large:
        channels, size = 64, (512, 512, 512)

        def run(self, batch: Any) -> Any:
            raise AssertionError("it was made")

    def full(*_: Any) -> Any:
        raise MemoryError

    monkeypatch.setattr(np, "empty", full)
    with pytest.raises(ModelRefused, match="not enough memory for one input of 64 x 512 x 512 x 512"):
        run_phantom(Large(), "float32")


def test_a_model_without_golden_cases_says_so(make_model: Any) -> None:
    folder = make_model()
    put(folder, "golden.json", b'{"schema": 1, "answers": {}}')
    assert "holds no golden cases: whether this machine computes rightly was not tried" in load_model(folder).try_out()
