"""The page of a comparison: its sentences, that words cannot become code, and that it fits."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from semeion.report.compare_page import difference_words, sentences, write_comparison


def entry(value: float | None, low: float | None = None, high: float | None = None, **more: Any) -> dict[str, Any]:
    return {"value": value, "low": low, "high": high, "n": 156, "n_patients": 150, "method": "95 % made up", **more}


def figure(gain: dict[str, Any], verdict: str, better: str | None = "higher") -> dict[str, Any]:
    return {
        "a": entry(0.9, 0.85, 0.95),
        "b": entry(0.921, 0.87, 0.96),
        "difference": gain,
        "better": better,
        "verdict": verdict,
    }


def comparison(**changed: Any) -> dict[str, Any]:
    roc = {"x": [0, 0, 1], "y": [0, 0.8, 1], "threshold": [None, 0.5, 0.1]}
    model = {"split": "test", "operating_point": {"rule": "youden", "value": 0.41}, "left_out": 0}
    return {
        "schema": 1,
        "semeion": "0.1.0",
        "created": "2026-01-02",
        "target": "finding",
        "task": "binary",
        "positive": "malignant",
        "classes": ["benign", "malignant"],
        "synthetic": False,
        "a": {"source": "one/predictions.parquet", **model},
        "b": {"source": "two/predictions.parquet", **model, "left_out": 3},
        "n": 156,
        "n_patients": 150,
        "has_patients": True,
        "figures": {
            "auroc": figure(entry(0.021, 0.004, 0.040, delong={"low": 0.003, "high": 0.039}), "b"),
            "recall": figure(entry(-0.01, -0.05, 0.03), "none"),
            "specificity": figure(entry(-0.02, -0.03, -0.01), "a"),
            "precision": figure(entry(None, reason="no case was called"), "unknown"),
            "brier": figure(entry(-0.012, -0.02, -0.004), "b", "lower"),
            "calibration_slope": figure(entry(0.3, 0.1, 0.5), "differs", None),
        },
        "targets": {},
        "calls": {"both_right": 130, "only_a_right": 4, "only_b_right": 9, "both_wrong": 13},
        "curves": {"malignant": {"a": roc, "b": roc}},
        "notes": ["3 cases of B left out: A has no prediction of them."],
        **changed,
    }


def text_of(page: Path) -> str:
    bare = re.sub(r"<(style|svg).*?</\1>", " ", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    return " ".join(re.sub(r"<[^>]+>", " ", bare).split())


def test_the_sentences_name_the_better_one_and_never_call_two_models_equal() -> None:
    found = sentences(comparison())
    assert found == [
        "B is better by 0.021 (0.004 to 0.040) in AUROC on 156 cases, 150 patients.",
        "No difference is shown in sensitivity: B less A is −0.010 (−0.050 to 0.030).",
        "A is better by 0.020 (0.010 to 0.030) in specificity.",
        "In positive predictive value there is no difference to state: no case was called.",
    ]
    assert sentences(comparison(has_patients=False))[0].endswith("on 156 cases, no patients named.")
    assert "equal" not in " ".join(found)


@pytest.mark.parametrize(
    ("key", "given", "words"),
    [
        ("brier", figure(entry(-0.012, -0.02, -0.004), "b", "lower"), "B is better by 0.012 (0.004 to 0.020) in Brier"),
        ("mae", figure(entry(1.5, 0.5, 2.5), "a", "lower"), "A is better by 1.50 (0.500 to 2.50) in mean absolute"),
        ("calibration_slope", figure(entry(0.3, 0.1, 0.5), "differs", None), "the models differ: B less A is 0.300"),
        ("r2", figure(entry(0.1, reason="one patient"), "unknown"), "Of R² nothing can be said: B less A is 0.100"),
    ],
)
def test_each_figure_is_turned_to_its_better_end(key: str, given: dict[str, Any], words: str) -> None:
    assert words in difference_words(key, given)


def test_the_page_tells_it_all(tmp_path: Path) -> None:
    given = comparison()
    write_comparison(tmp_path, given)
    page = text_of(tmp_path / "compare.html")
    for words in (
        "Research use only. Not a medical device.",
        "A is one/predictions.parquet, split test; B is two/predictions.parquet, split test",
        "On 156 test cases, 150 patients",
        "B is better by 0.021 (0.004 to 0.040) in AUROC on 156 cases, 150 patients.",
        "+0.021 (+0.004 to +0.040)",
        "DeLong: +0.003 to +0.039",
        "no difference shown",
        "3 cases of B left out",
        "0.410, the largest sum of sensitivity and specificity (Youden)",
        "which does not mean that there is none",
    ):
        assert words in page, words
    assert "Optimistic" not in page
    written = json.loads((tmp_path / "compare.json").read_text())
    assert written == given
    assert written["sentences"] == sentences(given)
    html = (tmp_path / "compare.html").read_text()
    assert 'id="roc-0-title"' in html
    assert 'id="differences-title"' in html


def test_validation_cases_are_called_optimistic(tmp_path: Path) -> None:
    given = comparison()
    given["a"]["split"] = given["b"]["split"] = "val"
    write_comparison(tmp_path, given)
    assert "Optimistic." in text_of(tmp_path / "compare.html")


def test_other_tasks_have_their_tables(tmp_path: Path) -> None:
    labels = {"edema": {"figures": comparison()["figures"] | {"auprc": comparison()["figures"]["auroc"]}, "calls": {}}}
    given = comparison(task="multilabel", targets=labels, calls={}, curves={}, positive=None)
    given["figures"]["auprc"] = given["figures"]["auroc"]
    write_comparison(tmp_path / "labels", given)
    assert "By label" in text_of(tmp_path / "labels" / "compare.html")
    values = {name: figure(entry(0.1, -0.1, 0.3), "none", "lower") for name in ("mae", "rmse", "r2")}
    write_comparison(tmp_path / "values", comparison(task="regression", figures=values, calls={}, curves={}))
    assert "Mean absolute error" in text_of(tmp_path / "values" / "compare.html")


def test_words_cannot_become_code(tmp_path: Path) -> None:
    bad = "<script>alert(1)</script>"
    given = comparison(target=bad, positive=bad, notes=[bad], curves={bad: comparison()["curves"]["malignant"]})
    given["a"]["source"] = bad
    write_comparison(tmp_path, given)
    html = (tmp_path / "compare.html").read_text()
    assert bad not in html
    assert "&lt;script&gt;" in html


@pytest.mark.parametrize("width", [400, 1280])
def test_the_page_fits_its_width(width: int, browser: Any, tmp_path: Path) -> None:
    write_comparison(tmp_path, comparison(target="t" * 90))
    browser.open(tmp_path / "compare.html", width)
    assert browser.run("document.documentElement.scrollWidth") <= width
    smallest = """Math.min(...[...document.querySelectorAll('svg text')].map(text => {
      const svg = text.ownerSVGElement;
      return parseFloat(getComputedStyle(text).fontSize) * svg.clientWidth / svg.viewBox.baseVal.width;
    }))"""
    assert browser.run(smallest) >= 9
