"""What the page says of the classic small network: its figures, the difference, or why there are none."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from semeion.report.classic import classic
from semeion.report.evidence import Evidence
from semeion.report.page import write_report

HEAD = "Beside the classic small network"


def entry(value: float | None, low: float | None = None, high: float | None = None, **more: Any) -> dict[str, Any]:
    return {"value": value, "low": low, "high": high, "n": 156, "n_patients": 147, "method": "bootstrap", **more}


def told(verdict: str = "ensemble", **difference: Any) -> dict[str, Any]:
    gain = {**entry(0.041, 0.008, 0.079), "better": "higher", "verdict": verdict, **difference}
    keys = ("auroc", "recall", "specificity", "precision")
    figures = {key: entry(0.8 + 0.01 * place, 0.7, 0.9) for place, key in enumerate(keys)}
    found = {"networks": 1, "epochs": 10, "seconds": 9.1, "parameters": 3_937_409}
    return {"classic": {**found, "metrics": {"test": figures}, "difference": {"test": dict.fromkeys(keys, gain)}}}


def section(build: ModuleType, folder: Path, baseline: dict[str, Any] | None) -> str:
    evidence = build.binary()
    if baseline is not None:
        evidence["baseline"] = baseline
    text = write_report(build.write_run(folder / "run", evidence)).read_text(encoding="utf-8")
    return text[text.index('<section id="performance">') :].split("</section>")[0]


def content(build: ModuleType, baseline: dict[str, Any]) -> dict[str, Any]:
    found = classic(Evidence.model_validate({**build.binary(), "baseline": baseline}), "test")
    assert found is not None
    return found


def test_the_page_compares_with_it_by_name(build: ModuleType, tmp_path: Path) -> None:
    page = section(build, tmp_path, told())
    assert HEAD in page
    assert "The classic small network: AUROC 0.800 (0.70 to 0.90); this model: " in page
    assert "Difference +0.041 (0.008 to 0.079): the model is better." in page
    assert page.count('<td data-label="In words" class="words">the model is better</td>') == 4
    assert "10 rounds through the training cases" in page
    assert "no part of the model" in page


@pytest.mark.parametrize(
    ("verdict", "words"),
    [
        ("classic", "the classic network is better"),
        ("none", "no difference shown"),
        ("differs", "they differ"),
        ("unknown", "nothing can be said"),
    ],
)
def test_it_says_what_the_interval_says(verdict: str, words: str, build: ModuleType) -> None:
    assert {row["words"] for row in content(build, told(verdict))["rows"]} == {words}


def test_a_difference_that_is_not_known_is_said_with_its_reason(build: ModuleType) -> None:
    found = content(build, told("unknown", reason="interval unreliable: 9 patients"))
    assert found["rows"][0]["words"] == "nothing can be said (interval unreliable: 9 patients)"
    found = content(build, told("unknown", value=None, low=None, high=None, reason="one class only"))
    assert found["sentence"].endswith("There is no difference to state: one class only.")
    lower = content(build, told("classic", value=-0.02, low=-0.04, high=-0.001))
    assert "Difference −0.020 (−0.040 to −0.001): the classic network is better." in lower["sentence"]


def test_one_network_a_fold_is_said(build: ModuleType) -> None:
    baseline = told()
    baseline["classic"]["networks"] = 5
    assert "5 of them, one a fold, averaged here" in content(build, baseline)["how"]


def test_where_there_is_none_the_page_says_why(build: ModuleType, tmp_path: Path) -> None:
    page = section(build, tmp_path, {"classic": {"reason": "it would take about 80 s, more than 8% of 600 s"}})
    assert HEAD in page
    assert "was not trained: it would take about 80 s, more than 8% of 600 s." in page


def test_evidence_from_before_it_has_no_such_part(build: ModuleType, tmp_path: Path) -> None:
    assert HEAD not in section(build, tmp_path, None)
    assert classic(Evidence.model_validate(build.binary()), "test") is None
    only_val = told()
    only_val["classic"]["metrics"] = {"val": {}}
    assert classic(Evidence.model_validate({**build.binary(), "baseline": only_val}), "test") is None
