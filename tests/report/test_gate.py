"""The section on what keeps the model from calling."""

from __future__ import annotations

import json
from pathlib import Path
from types import ModuleType
from typing import Any

from semeion.model.card_gate import gate_lines
from semeion.model.codes import CODES
from semeion.report.gate import LIMITS, STATUSES
from semeion.report.page import write_report


def figure(value: float, low: float, high: float, n: int) -> dict[str, Any]:
    return {"value": value, "low": low, "high": high, "n": n, "n_patients": n, "method": "95 % Wilson score interval"}


TRAINED = {
    "rate": 0.025,
    "limits": ["features", "looks"],
    "reason": None,
    "cases": 400,
    "patients": 390,
    "marked": {"looks": 0.004, "features": 0.0215, "together": 0.024},
    "together": figure(0.024, 0.013, 0.044, 400),
    "held_back": figure(0.031, 0.013, 0.07, 160),
}


def page_of(build: ModuleType, folder: Path, gate: dict[str, Any] | None) -> tuple[str, Any]:
    run = build.write_run(folder, {**build.binary(), **({} if gate is None else {"gate": gate})})
    write_report(run)
    page = (run / "report.html").read_text().replace("\u00a0", " ")
    return page, json.loads((run / "report.json").read_text())["gate"]


def test_limits_stand_with_their_codes_and_what_they_mark(build: ModuleType, tmp_path: Path) -> None:
    page, content = page_of(build, tmp_path, TRAINED)
    assert '<section id="gate">' in page and 'href="#gate"' in page
    assert "set to mark 2.5 % of cases like the training cases, on 400 cases of 390 patients" in page
    assert [row["key"] for row in content["limits"]] == ["features", "looks"]
    assert "<code>features-outside</code>" in page and "members-disagree" not in page
    assert "0.021" in page and "0.004" in page and "0.024" in page
    assert "Of 160 test cases, which set no limit, these limits mark" in page


def test_what_could_not_be_set_says_why(build: ModuleType, tmp_path: Path) -> None:
    none = {"rate": 0.025, "limits": [], "reason": "fewer than 40 patients", "cases": 0, "patients": 0, "marked": {}}
    page, content = page_of(build, tmp_path, none)
    assert "No limit could be set" in page and "fewer than 40 patients" in page and content["limits"] == []


def test_an_evaluation_shows_what_was_kept_from_calling_and_why(build: ModuleType, tmp_path: Path) -> None:
    gate = {
        "statuses": {"called": 30, "unsure": 8, "not_applicable": 2},
        "reasons": {"features-far": 9, "modality-differs": 2},
        "meanings": {"features-far": "farther than others", "modality-differs": "another modality"},
        "marked": figure(0.25, 0.14, 0.4, 40),
        "metrics": {},
    }
    page, content = page_of(build, tmp_path, gate)
    assert [(row["code"], row["n"]) for row in content["reasons"]] == [("features-far", 9), ("modality-differs", 2)]
    assert "called 30, unsure 8, not applicable 2" in page and "farther than others" in page


def test_older_evidence_has_no_such_section(build: ModuleType, tmp_path: Path) -> None:
    page, content = page_of(build, tmp_path, None)
    assert content is None and 'id="gate"' not in page and 'href="#gate"' not in page


def test_words_name_codes_and_statuses_that_there_are() -> None:
    assert {code for _, codes in LIMITS.values() for code in codes} <= set(CODES)
    assert set(STATUSES) == {"called", "set", "unsure", "not_applicable", "failed"}


def test_the_card_says_what_test_cases_gave() -> None:
    text = " ".join(gate_lines({"gate": TRAINED}))
    assert "Of 160 test cases, which set none, they mark 3.1 % (1.3 to 7.0)." in text
    assert "test cases" not in " ".join(gate_lines({"gate": {**TRAINED, "held_back": None}}))
