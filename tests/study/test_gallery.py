"""Pictures of right, wrong and unsure cases."""

from __future__ import annotations

import cv2
import numpy as np
import pandas as pd

from semeion.artefacts import read_json
from semeion.evidence.question import Question
from semeion.study.gallery import _choose, _judge, to_png
from support.tiny import TinyRun


def test_a_runs_gallery_agrees_with_its_predictions(tiny_run: TinyRun) -> None:
    cases = read_json(tiny_run.path / "gallery" / "gallery.json")["cases"]
    table = pd.read_parquet(tiny_run.path / "predictions.parquet")
    rows = table[(table["split"] == "test") & (table["member"] == "ensemble")].set_index("case_id")
    point = tiny_run.evidence["operating_point"]["value"]
    assert cases
    assert len({case["case_id"] for case in cases}) == len(cases)
    for case in cases:
        assert set(case) == {"case_id", "file", "truth", "call", "p", "kind", "split", "target"}
        assert case["split"] == "test", "the most honest split there is"
        row = rows.loc[case["case_id"]]
        assert case["truth"] == row["y_true"]
        assert case["call"] == ("malignant" if row["p_malignant"] >= point else "benign")
        assert case["p"] == row[f"p_{case['call']}"], "the probability of what was called"
        if case["kind"] != "unsure":
            assert case["kind"] == ("right" if case["call"] == case["truth"] else "wrong")
        picture = cv2.imread(str(tiny_run.path / "gallery" / case["file"]), cv2.IMREAD_UNCHANGED)
        assert min(picture.shape[:2]) >= 168
    unsure = [abs(rows.loc[case["case_id"], "p_malignant"] - point) for case in cases if case["kind"] == "unsure"]
    assert max(unsure) <= sorted(abs(rows["p_malignant"] - point))[len(unsure) - 1] + 1e-12


def test_each_class_takes_its_turn_among_the_right_ones() -> None:
    rows = pd.DataFrame(
        {
            "case_id": [f"c{k}" for k in range(40)],
            "y_true": ["a"] * 30 + ["b"] * 10,
            "fold": -1,
            "p_a": [0.999 - k / 1000 for k in range(30)] + [0.2 - k / 100 for k in range(10)],
        }
    )
    rows["p_b"] = 1 - rows["p_a"]
    question = Question("t", "multiclass", ("a", "b"))
    chosen = _choose(_judge(rows, question, None, "test"), question, 6)
    right = [case["truth"] for case in chosen if case["kind"] == "right"]
    assert right == ["a", "b"] * 3


def test_measured_values_show_the_nearest_and_the_farthest() -> None:
    error = np.arange(20.0)
    rows = pd.DataFrame({"case_id": [f"c{k}" for k in range(20)], "y_true": 50.0, "y_pred": 50 + error, "fold": -1})
    question = Question("t", "regression")
    chosen = _choose(_judge(rows, question, None, "oof"), question, 6)
    kinds = {
        kind: [case["case_id"] for case in chosen if case["kind"] == kind] for kind in ("right", "wrong", "unsure")
    }
    assert kinds["wrong"][0] == "c19"
    assert kinds["right"][0] == "c0"
    assert kinds["unsure"] == []
    assert all(case["p"] is None for case in chosen)
    assert chosen[0]["truth"] == 50.0


def test_small_pictures_are_enlarged_by_whole_pixels() -> None:
    colour = np.zeros((3, 24, 30), np.uint8)
    colour[0] = 200
    shown = cv2.imdecode(np.frombuffer(to_png(colour), np.uint8), cv2.IMREAD_UNCHANGED)
    assert shown.shape == (168, 210, 3)
    assert shown[0, 0].tolist() == [0, 0, 200], "red stays red"
    assert cv2.imdecode(np.frombuffer(to_png(np.zeros((1, 300, 200), np.uint8)), np.uint8), -1).shape == (300, 200)
