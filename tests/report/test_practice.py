from __future__ import annotations

from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from semeion.report.page import write_report
from semeion.report.practice import useful_words


def figure(value: float, low: float | None = None, high: float | None = None) -> dict[str, Any]:
    return {"value": value, "low": low, "high": high, "n": 40, "n_patients": 40, "method": "m"}


USE: dict[str, Any] = {
    "reliability": {
        "test": {
            "figures": {"ici": figure(0.022, 0.0, 0.058), "ece_adaptive": figure(0.054, 0.0, 0.1)},
            "curve": {"x": [0.1, 0.5, 0.9], "y": [0.12, 0.55, 0.85], "low": [0.0, 0.3, 0.6], "high": [0.3, 0.7, 1.0]},
            "bins": {"x": [0.2, 0.8], "y": [0.25, 0.75], "n": [20, 20]},
            "ece_by_chance": 0.041,
        }
    },
    "utility": {
        "test": {
            "curve": {
                "threshold": [0.1, 0.5, 0.9],
                "model": [0.3, 0.1, None],
                "low": [0.2, 0.0, None],
                "high": [0.4, 0.2, None],
                "treat_all": [0.25, -0.4, -6.0],
            },
            "useful": [[0.02, 0.3], [0.32, 0.6], [0.9, 0.91]],
            "net_benefit": figure(0.123, 0.1, 0.15),
            "predictive_values": [
                {"prevalence": 0.05, "ppv": figure(0.216, 0.17, 0.28), "npv": figure(0.98, 0.97, 0.99)}
            ],
        }
    },
    "abstaining": {
        "test": {
            "curve": {"coverage": [0.5, 1.0], "risk": [0.05, 0.2], "low": [0.0, 0.1], "high": [0.1, 0.3]},
            "at": [{"coverage": 0.8, "error": figure(0.141, 0.1, 0.18)}],
        }
    },
}


def page(folder: Path) -> str:
    return write_report(folder).read_text(encoding="utf-8")


def test_calibration_usefulness_and_abstaining_are_shown(build: ModuleType, tmp_path: Path) -> None:
    text = page(build.write_run(tmp_path / "run", build.binary() | USE))
    assert '<section id="practice">' in text
    for name in ("smooth-0", "decision-0", "abstain-0"):
        assert f'id="{name}-title"' in text
    assert "0.022" in text
    assert "chance alone would make 0.041" in text
    assert "from a risk of 2 to 60" in text
    assert "At the operating point the net benefit is 0.123 (0.100 to 0.150)." in text
    # The smooth curve takes the place of the picture of bins.
    assert 'id="calibration-0-title"' not in text


def test_evidence_without_it_has_no_such_section(build: ModuleType, tmp_path: Path) -> None:
    text = page(build.write_run(tmp_path / "run", build.binary()))
    assert 'id="practice"' not in text
    assert 'id="calibration-0-title"' in text


@pytest.mark.parametrize(
    ("runs", "says"),
    [
        ([], "At no threshold"),
        ([[0.5, 0.52]], "At no threshold"),
        ([[0.1, 0.3]], "10 to 30\u00a0%"),
        ([[0.1, 0.3], [0.33, 0.5], [0.7, 0.9]], "10 to 50\u00a0% and 70 to 90\u00a0%"),
    ],
)
def test_where_it_is_of_use_in_words(runs: list[list[float]], says: str) -> None:
    assert says in useful_words(runs)


def test_figures_with_another_balance_stand_beside(build: ModuleType, tmp_path: Path) -> None:
    adjusted = {"test": {"auroc": figure(0.91, 0.88, 0.94), "brier": figure(0.1, 0.08, 0.12)}}
    text = page(build.write_run(tmp_path / "run", build.binary() | USE | {"adjusted": adjusted}))
    assert "With another class balance" in text
    assert "0.910" in text


STATUSES: dict[str, Any] = {
    "set_rule": {
        "coverage": 0.9,
        "kind": "marginal",
        "thresholds": [0.4, 0.4],
        "n_patients": [60, 60],
        "why": "12 calibration patients have malignant",
        "calibration": {"split": "calibration", "n": 60, "n_patients": 60},
        "promise": "The set holds the truth.",
    },
    "statuses": {
        "test": {
            "coverage": 0.9,
            "kind": "marginal",
            "promise": "The set holds the truth.",
            **{key: figure(0.8, 0.7, 0.9) for key in ("called", "held", "patient_held")},
            "set": figure(0.15, 0.1, 0.2),
            "unsure": figure(0.05, 0.0, 0.1),
            "error_called": figure(0.061, 0.02, 0.1),
            "error_all": figure(0.118, 0.05, 0.2),
            "by_class": {
                name: {key: figure(0.333, 0.2, 0.4) for key in ("called", "set", "unsure", "wrong")}
                for name in ("benign", "malignant")
            },
        }
    },
}


def test_what_abstaining_costs_has_its_own_section(build: ModuleType, tmp_path: Path) -> None:
    row = {"coverage": 0.8, "error": figure(0.141, 0.1, 0.18), "ratio": figure(0.521, 0.3, 0.8)}
    abstaining = {
        "test": {**USE["abstaining"]["test"], "at": [row | {"recall": figure(0.9), "specificity": figure(0.8)}]}
    }
    abstaining["test"]["area"] = figure(0.0456, 0.03, 0.06)
    text = page(build.write_run(tmp_path / "run", build.binary() | USE | STATUSES | {"abstaining": abstaining}))
    section = text.split('<section id="abstain">')[1].split("</section>")[0]
    assert 'href="#abstain"' in text
    assert 'id="abstain-0-title"' in section
    for words in (
        "0.521",
        "0.046",
        "Against all",
        "Sensitivity",
        "What findings would be",
        "The promise: The set holds",
    ):
        assert words in section
    assert "names every class that it cannot rule out at 90\u00a0%, for all patients together." in section
    assert "Not for each class: 12 calibration patients have malignant." in section
    assert (
        "it would call 80\u00a0% of the cases, of which 6.1\u00a0% wrongly, and leave 20\u00a0% to a reader" in section
    )
    assert "malignant" in section.split("By the class that a case is of")[1]
    assert "abstain-0-title" not in text.split('<section id="practice">')[1].split("</section>")[0]


def test_a_model_without_thresholds_says_why(build: ModuleType, tmp_path: Path) -> None:
    rule = {"set_rule": {"coverage": 0.9, "reason": "12 patients calibrate sets of classes, and it takes 49."}}
    text = page(build.write_run(tmp_path / "run", build.binary() | USE | rule))
    section = text.split('<section id="abstain">')[1].split("</section>")[0]
    assert "ships with no thresholds of sets of classes" in section
    assert "12 patients calibrate sets of classes, and it takes 49." in section
