"""The page of a learning curve: its sentences, its picture, and that words cannot become code."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from semeion.report.curve_page import sentences, write_curve


def gain(value: float, low: float, high: float) -> dict[str, float]:
    return {"value": value, "low": low, "high": high}


def curve(**changed: Any) -> dict[str, Any]:
    sizes = (25, 50, 100, 200)
    at = [25, 50, 100, 200, 400, 800]
    values = [0.7, 0.76, 0.81, 0.85, 0.87, 0.885]
    ends = [{"value": v, "low": v - 0.05, "high": v + 0.04} for v in values]
    return {
        "schema": 1,
        "semeion": "0.1.0",
        "code": "ab",
        "created": "2026-01-02",
        "source": "cohort",
        "synthetic": False,
        "target": "finding",
        "task": "binary",
        "classes": ["benign", "malignant"],
        "positive": "malignant",
        "has_patients": True,
        "seed": 0,
        "test_cases_put_aside": 156,
        "metric": "auroc",
        "better": "higher",
        "learner": {"name": "quick", "words": "a linear head"},
        "scored": {"scheme": "given", "folds": 0, "n": 78, "n_patients": 70, "of_class": {}},
        "draws": 20,
        "resamples": 1000,
        "points": [
            {"patients": n, "cases": n + 3, "draws": 20, "between": 0.0213, **end}
            for n, end in zip(sizes, ends, strict=False)
        ],
        "gained": {"from": 25, "to": 200, **gain(0.15, 0.09, 0.2)},
        "law": {
            "formula": "error(n) = a + b n^-c",
            "error": "1 less the figure",
            "a": 0.05,
            "b": 0.9,
            "c": 0.41,
            "at": at,
            "value": values,
            "low": [end["low"] for end in ends],
            "high": [end["high"] for end in ends],
            "measured_to": 200,
        },
        "beyond": {
            "reach": 4.0,
            "reason": "",
            "from": {"patients": 200, **ends[3]},
            "points": [
                {"times": 2.0, "patients": 400, **ends[4], "gain": gain(0.02, 0.008, 0.034)},
                {"times": 4.0, "patients": 800, **ends[5], "gain": gain(0.035, 0.01, 0.06)},
            ],
        },
        "wanted": {
            "width": 0.08,
            "asked": True,
            "threshold": 0.27,
            "figures": [
                {
                    "figure": "auroc",
                    **ends[3],
                    "width": 0.09,
                    "cases": {"malignant": 21, "benign": 57},
                    "needed": {"malignant": 220, "benign": 598},
                    "n": 78,
                    "n_needed": 818,
                    "method": "Hanley",
                    "reason": "",
                },
                {
                    "figure": "recall",
                    **ends[3],
                    "width": 0.36,
                    "cases": {"malignant": 21},
                    "needed": None,
                    "n": 78,
                    "n_needed": None,
                    "method": "Wilson 1927",
                    "reason": "no number of cases does",
                },
            ],
        },
        "budget": {"asked_seconds": 180.0, "used_seconds": 15.6},
        "notes": ["A note."],
        **changed,
    }


def test_the_sentences_say_what_doubling_brings_and_what_an_interval_needs() -> None:
    first, second, third = sentences(curve())
    assert (
        first == "Learned from 200 patients, the AUROC is 0.850 (0.80 to 0.89) on 78 cases that were not learned from."
    )
    assert second == (
        "Doubling the training patients from 200 to 400 is expected to raise the AUROC along the fitted curve from "
        "0.850 to 0.870 (0.82 to 0.91): a change of +0.020 (+0.008 to +0.034). This is a guess from the shape of the "
        "curve."
    )
    assert third == (
        "For an interval of the AUROC no wider than 0.08, about 818 cases must be tested (220 (27\u00a0%) malignant, "
        "598 (73\u00a0%) benign); these 78 cases give one 0.09 wide."
    )


def test_a_curve_that_is_not_carried_on_says_why_in_words_and_draws_no_dashes(tmp_path: Path) -> None:
    made = curve(beyond={"reach": 1.0, "reason": "there are 3 sizes", "from": {}, "points": []})
    made["law"] = {**made["law"], "at": made["law"]["at"][:4]}
    assert sentences(made)[1] == "What more patients would bring cannot be said: there are 3 sizes."
    write_curve(tmp_path, made)
    page = (tmp_path / "curve.html").read_text()
    assert "Nothing is said beyond the patients there are:" in page
    assert "a guess →" not in page


def test_a_curve_that_is_level_is_not_said_to_rise() -> None:
    made = curve()
    made["beyond"]["points"][0]["gain"] = gain(0.0001, 0.0, 0.002)
    assert "is not expected to change the AUROC, along the fitted curve 0.870 (0.82 to 0.91) then" in sentences(made)[1]


def test_an_error_is_lowered() -> None:
    assert "is expected to lower the mean absolute error" in sentences(curve(metric="mae", better="lower"))[1]


def test_the_page_is_whole_and_holds_every_point(tmp_path: Path) -> None:
    write_curve(tmp_path, curve())
    page = (tmp_path / "curve.html").read_text()
    text = re.sub(r"<[^>]+>", " ", page)
    for words in (
        "Research use only",
        "0.700",
        "156 test cases",
        "a guess",
        "no number of cases does",
        "0.27",
        "A note.",
    ):
        assert words in text, words
    assert page.count("<caption") == page.count("<table") == 3
    assert re.search(r'<svg[^>]+role="img"[^>]+aria-labelledby="curve-title curve-desc"', page)
    assert "25 patients 0.700 (0.65 to 0.74)" in page
    assert "http://" not in page.replace("http://www.w3.org", "")
    assert json.loads((tmp_path / "curve.json").read_text())["sentences"] == sentences(curve())


@pytest.mark.parametrize("place", ["target", "source", "positive"])
def test_words_do_not_become_code(tmp_path: Path, place: str) -> None:
    write_curve(tmp_path, curve(**{place: "<script>alert(1)</script>"}))
    page = (tmp_path / "curve.html").read_text()
    assert "<script>alert" not in page
    assert "&lt;script&gt;" in page


def test_folds_are_told(tmp_path: Path) -> None:
    scored = {"scheme": "folds", "folds": 5, "n": 100, "n_patients": 50, "of_class": {}}
    write_curve(tmp_path, curve(scored=scored, test_cases_put_aside=0))
    text = (tmp_path / "curve.html").read_text()
    assert "the 100 cases of 50 patients of 5 folds, each by what was learned from the other folds" in text
    assert "this table names none" in text
