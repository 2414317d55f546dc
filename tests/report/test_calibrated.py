from __future__ import annotations

from pathlib import Path
from types import ModuleType
from typing import Any

from semeion.report.calibrated import calibrated
from semeion.report.evidence import Evidence
from semeion.report.page import write_report


def figure(value: float | None, low: float | None = None, high: float | None = None, n: int = 156) -> dict[str, Any]:
    found = {"value": value, "low": low, "high": high, "n": n, "n_patients": n, "method": "m"}
    return found if value is not None else {**found, "reason": "one class only"}


def compared(before: float, after: float, n: int = 156) -> dict[str, Any]:
    return {
        "before": {"log_loss": figure(before, n=n), "brier": figure(before / 3, 0.1, 0.2, n), "ici": figure(0.081)},
        "after": {"log_loss": figure(after, n=n), "brier": figure(after / 3, 0.05, 0.15, n), "ici": figure(None)},
        "difference": {"log_loss": figure(after - before), "brier": figure(-0.01, -0.02, -0.005), "ici": figure(None)},
    }


def made(method: str = "platt", **more: Any) -> dict[str, Any]:
    tried = [
        {"kind": "identity", "loss": 0.5231, "excess": 0.1021, "se": 0.02},
        {"kind": "temperature", "loss": None, "excess": None, "se": None, "reason": "no temperature is best"},
        {"kind": "platt", "loss": 0.4244, "excess": 0.0034, "se": 0.004},
        {"kind": "beta", "loss": 0.421, "excess": 0.0, "se": 0.0},
    ]
    return {
        "method": method,
        "map": {"kind": method},
        "tried": tried,
        "folds": 5,
        "reason": "beta has the least",
        "fitted_on": "val",
        "n": 78,
        "n_patients": 70,
        "by_fold": {},
        "validation": {"label": compared(0.9, 0.6, 78)},
        **more,
    }


def page(build: ModuleType, folder: Path, evidence: dict[str, Any]) -> str:
    text = write_report(build.write_run(folder / "run", evidence)).read_text(encoding="utf-8")
    return text[text.index('<section id="calibrated">') :].split("</section>")[0]


def of(build: ModuleType, calibration: dict[str, Any], split: str = "test", **told: Any) -> dict[str, Any]:
    evidence = build.binary()
    calibration["validation"] = {evidence["target"]: calibration["validation"]["label"]}
    told = told or compared(0.96, 0.63)
    return evidence | {"calibration": calibration, "calibrated": {split: {evidence["target"]: told}}}


def test_before_and_after_stand_side_by_side_with_the_reason(build: ModuleType, tmp_path: Path) -> None:
    text = page(build, tmp_path, of(build, made()))
    assert "calibrated by Platt&#39;s slope and intercept, fitted on 78 validation cases." in text
    assert "A beta map had the least log loss on patients left out, but this one is simpler" in text
    assert "The order of cases, and so AUROC, is the same before and after." in text
    for told in ("Test cases: 156 cases", "0.960", "0.630", "−0.330", "−0.010", "(−0.020 to −0.005)", "one class only"):
        assert told in text, told
    assert "The cases that chose, each by a map fitted without it: 78 cases" in text
    assert "No case below is judged by a calibration that was fitted on it. The cases that chose did choose" in text
    assert "no temperature is best" in text
    assert "<b>Platt&#39;s slope and intercept</b>" in text
    assert text.count("<caption") == 3


def test_unchanged_probabilities_are_told_once(build: ModuleType, tmp_path: Path) -> None:
    same = compared(0.9, 0.9)
    same["after"] = same["before"]
    text = page(build, tmp_path, of(build, made("identity", validation={"label": same}), **same))
    assert "left as they are, as 78 validation cases advise" in text
    assert "Before and after" in text
    assert 'data-label="Change"' not in text


def test_probabilities_that_could_not_be_calibrated_are_not_said_to_be_good(build: ModuleType, tmp_path: Path) -> None:
    reason = "only 12 labelled cases, fewer than 20: not calibrated"
    few = made("identity", tried=[], folds=0, n=12, reason=reason)
    text = page(build, tmp_path, of(build, few))
    assert "were left as they are. Only 12 labelled cases, fewer than 20: not calibrated." in text
    assert "advise" not in text
    assert "did choose its kind" not in text


def test_of_an_average_it_is_said_what_was_calibrated_and_nothing_of_the_order(build: ModuleType) -> None:
    part = {name: {"auroc": figure(0.9)} for name in ("measurements", "images", "average", "difference")}
    evidence = of(build, made()) | {"measured": {"parts": {"test": part}}}
    content = calibrated(Evidence.model_validate(evidence))
    assert content is not None
    assert content["lead"].startswith("The probabilities that come from measurements were calibrated by Platt")
    # An average of two calibrated parts need not rank cases as that of the uncalibrated ones.
    assert "AUROC" not in content["lead"]
    titles = [table["title"] for table in content["tables"]]
    assert titles[0] == "Test cases; the average of measurements and image networks"
    assert titles[1].endswith("fitted without it; measurements alone")


def test_with_folds_the_order_may_change_and_few_cases_say_why(build: ModuleType, tmp_path: Path) -> None:
    none = {"label": {"reason": "not compared, since no case was held out"}}
    few = made("temperature", value=1.31, tried=[], folds=0, reason="temperature alone: few patients", fitted_on="oof")
    text = page(build, tmp_path, of(build, few | {"validation": none}, "oof"))
    assert "calibrated by a temperature of 1.31, fitted on 78 out-of-fold cases." in text
    assert "Temperature alone: few patients." in text
    assert "cases of different folds may change places" in text
    assert "not compared, since no case was held out." in text


def test_labels_stand_in_a_row_each(build: ModuleType, tmp_path: Path) -> None:
    evidence = build.multilabel()
    names = list(evidence["targets"])
    calibration = {
        "method": "by label",
        "by_target": {name: made("beta" if k else "identity") for k, name in enumerate(names)},
        "fitted_on": "val",
        "n": 78,
        "by_fold": {},
        "validation": {name: compared(0.9, 0.6) for name in names},
    }
    test = {name: compared(0.96, 0.63) if k else {"reason": "none"} for k, name in enumerate(names)}
    text = page(build, tmp_path, evidence | {"calibration": calibration, "calibrated": {"test": test}})
    assert "Each label has a calibration of its own, fitted on validation cases." in text
    assert text.count("<tr>") == len(names) + 1
    assert "a beta map" in text
    assert "0.960" in text
    # A label without figures of test cases has none: those of the cases that chose are not shown for them.
    assert "0.900" not in text


def test_older_evidence_keeps_its_sentence(build: ModuleType, tmp_path: Path) -> None:
    text = write_report(build.write_run(tmp_path / "run", build.binary())).read_text(encoding="utf-8")
    assert '<section id="calibrated">' not in text
    assert "Probabilities were calibrated by temperature (1.31, fitted on validation cases)." in text
