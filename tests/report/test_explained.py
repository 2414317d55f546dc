"""The section on explanations: what was tested, how it came out, and what is not shown."""

from __future__ import annotations

import json
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from semeion.model.card_explained import explained_lines
from semeion.report.explained import explained_pictures
from semeion.report.page import write_report

SHARES = [0.0, 0.1, 0.25, 0.5, 0.75, 1.0]


def figure(value: float, low: float, high: float) -> dict[str, Any]:
    return {"value": value, "low": low, "high": high, "n": 40, "n_patients": 20, "cases": "held-out", "method": "m"}


def line(first: float, last: float) -> list[dict[str, Any]]:
    return [figure(first + (last - first) * share, 0.1, 0.9) for share in SHARES]


def told(verdict: str, reason: str = "") -> dict[str, Any]:
    return {
        "verdict": verdict,
        "reason": reason,
        "cases": "held-out cases of each fold",
        "n": 40,
        "n_patients": 20,
        "members": "two members",
        "labels": "not tried: time",
        "figures": {
            "randomised": figure(0.04, -0.02, 0.11),
            "noise": figure(0.98, 0.97, 0.99),
            "removal_gain": figure(-0.01, -0.04, 0.02),
            "pointing": figure(0.62, 0.55, 0.69),
            "fixed_point": figure(0.36, 0.31, 0.42),
        },
        "rules": [
            {"figure": "randomised", "limit": 0.3, "below": True, "why": "Must be another.", "kept": True},
            {"figure": "removal_gain", "limit": 0.0, "below": False, "why": "Must matter.", "kept": False},
        ],
        "cascade": [{"share": share, **figure(0.5 - share / 2, 0.0, 0.6)} for share in (0, 1 / 3, 2 / 3, 1)],
        "curves": {
            "shares": SHARES,
            "deletion": line(0.9, 0.3),
            "insertion": line(0.3, 0.9),
            "deletion_by_chance": line(0.9, 0.3),
            "insertion_by_chance": line(0.3, 0.9),
        },
    }


def page_of(build: ModuleType, folder: Path, explanations: dict[str, Any]) -> tuple[str, Any]:
    run = build.write_run(folder, {**build.binary(), "explanations": explanations})
    write_report(run)
    return (run / "report.html").read_text(), json.loads((run / "report.json").read_text())["explained"]


def test_what_passed_stands_with_its_figures_limits_and_pictures(build: ModuleType, tmp_path: Path) -> None:
    page, content = page_of(build, tmp_path, {"activation": told("passed")})
    assert "Activation maps: passed" in page
    assert "Not shown" not in page
    assert "40 cases of 20 patients: held-out cases of each fold. No test case was read for it." in page
    assert "0.04" in page
    assert "−0.02 to 0.11" in page
    (one,) = content
    rows = {row["key"]: row for row in [*one["trust"], *one["lesion"]]}
    assert rows["randomised"]["rule"] == "below 0.3: kept"
    assert rows["removal_gain"]["rule"] == "above 0: not kept"
    assert rows["noise"]["rule"] == ""
    assert [row["key"] for row in one["lesion"]] == ["pointing", "fixed_point"]
    for name in ("cascade", "removal"):
        assert f'id="explained-activation-{name}-title"' in page
    assert '<a href="#explained">Explanations</a>' in page


def test_what_failed_is_named_as_not_shown_with_its_reason(build: ModuleType, tmp_path: Path) -> None:
    page, _ = page_of(build, tmp_path, {"activation": told("failed", "it hardly depends <on> anything")})
    assert "<b>Not shown.</b> Activation maps of this model failed: it hardly depends &lt;on&gt; anything" in page


def test_what_was_not_tested_says_why(build: ModuleType, tmp_path: Path) -> None:
    untried = {"verdict": "not_run", "reason": "nothing was left of the budget", "figures": {}}
    page, _ = page_of(build, tmp_path, {"occlusion": untried})
    assert "Occlusion maps: not tested" in page
    assert "nothing was left of the budget" in page
    assert "explained-occlusion-cascade" not in page


def test_a_run_of_before_has_no_section(build: ModuleType, tmp_path: Path) -> None:
    page, content = page_of(build, tmp_path, {})
    assert content is None
    assert "tested before they are shown" not in page
    assert explained_pictures(None) == {}
    assert explained_lines({}) == []


@pytest.mark.parametrize(
    ("verdict", "words"),
    [
        ("passed", "Activation maps passed their tests."),
        ("failed", "Activation maps are not shown, since they failed a test: why."),
        ("not_run", "Activation maps were not tested (why)"),
    ],
)
def test_the_card_says_it_in_lines(verdict: str, words: str) -> None:
    text = "\n".join(explained_lines({"explanations": {"activation": told(verdict, "why")}}))
    assert words in text
    assert ("| Highest place inside the lesion, share of cases | 0.62 | 0.55 to 0.69 | 40 |" in text) == (
        verdict != "not_run"
    )
