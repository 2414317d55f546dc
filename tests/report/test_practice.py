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
