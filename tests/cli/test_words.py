"""What commands print on standard output."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from plan.made import of_ways
from plan.outlined import plan_of
from semeion.cli.app import run
from semeion.cli.words import figure, print_findings, print_metrics, print_plan, print_run
from semeion.model.findings import Tally
from semeion.plan.scratch import without_scratch
from semeion.study import Run
from support.tiny import PATIENT, TinyRun

Said = pytest.CaptureFixture[str]


def test_a_finished_run_in_words(tiny_run: TinyRun, capsys: Said, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tiny_run.path.parent)
    print_run(Run(tiny_run.path))
    text = capsys.readouterr().out
    metrics = tiny_run.evidence["metrics"]["test"]
    assert text.startswith("finding (binary, positive class 'malignant') on 20 test cases, 10 patients:\n")
    auroc = metrics["auroc"]
    assert f"AUROC                  {auroc['value']:.3f} ({auroc['low']:.3f} to {auroc['high']:.3f})" in text
    assert "sensitivity (recall)" in text
    assert f"from a probability of {tiny_run.evidence['operating_point']['value']:.3f} on (youden)" in text
    assert "Research use only" in text
    assert "learning ended: fixed plan" in text
    assert text.endswith("Report: run/report.html\nModel:  run/model\n")
    assert PATIENT not in text


@pytest.mark.parametrize(
    ("entry", "text"),
    [
        ({"value": 0.91234, "low": 0.85, "high": 0.9604}, "0.912 (0.850 to 0.960)"),
        ({"value": None, "low": None, "high": None, "reason": "one class only"}, "undefined: one class only"),
        ({"value": 1.0, "low": None, "high": None, "reason": "one patient"}, "1.000 (no interval: one patient)"),
    ],
)
def test_figures_in_words(entry: dict[str, object], text: str) -> None:
    assert figure(entry) == text


def test_reasons_that_are_as_frequent_stand_in_one_order(capsys: Said) -> None:
    reasons = [("unsure", "rotated"), ("unsure", "features-far"), ("unsure", "blurred"), ("unsure", "grainy")]
    shown = []
    for order in (reasons, reasons[::-1]):
        print_findings({"unsure": 1}, Path("f.csv"), Tally(Counter(dict.fromkeys(order, 1))))
        shown.append(capsys.readouterr().out)
    assert shown[0] == shown[1]
    assert [line.rsplit("(", 1)[1] for line in shown[0].splitlines()[1:]] == [
        "blurred)",
        "features-far)",
        "grainy)",
        "rotated)",
    ]


def test_no_figures_are_said(capsys: Said) -> None:
    print_metrics({"metrics": {}})
    assert capsys.readouterr().out == "There are no figures: no labelled case outside the training split.\n"


def test_findings_in_words(capsys: Said) -> None:
    print_findings({"called": 3, "failed": 1}, Path("f.csv"))
    print_findings({}, Path("f.csv"))
    assert capsys.readouterr().out == "3 called, 1 failed: f.csv\nno case: f.csv\n"


def test_check_prints_every_audit_and_writes_nothing_without_o(tiny_run: TinyRun, capsys: Said) -> None:
    before = sorted(tiny_run.cohort.table.parent.rglob("*"))
    assert run(["check", str(tiny_run.cohort.table), "--target", "finding", "-q"], 0.0) == 0
    text = capsys.readouterr().out
    assert text.startswith("cohort.csv: 80 cases, 40 patients\ntarget 'finding': binary.")
    assert "'malignant' is the positive class" in text
    for name, audit in tiny_run.evidence["audits"].items():
        assert (f" {name}" in text) == (audit["tier"] == "check")
    assert PATIENT not in text
    assert sorted(tiny_run.cohort.table.parent.rglob("*")) == before


def test_a_report_is_written_anew(tiny_run: TinyRun, capsys: Said, tmp_path: Path) -> None:
    import shutil

    copy = shutil.copytree(tiny_run.path, tmp_path / "run")
    (copy / "report.html").unlink()
    assert run(["report", str(copy), "--no-pictures"], 0.0) == 0
    assert capsys.readouterr().out.strip() == str(copy / "report.html")
    plain = (copy / "report.html").stat().st_size
    assert run(["report", str(copy)], 0.0) == 0
    assert (copy / "report.html").stat().st_size > plain


def test_a_plan_of_outlines_says_what_is_tried(capsys: Said, tmp_path: Path) -> None:
    print_plan(plan_of(split=["train"] * 48 + ["test"] * 12, speed=4e6), tmp_path / "plan.yaml")
    shown = capsys.readouterr().out
    assert "arm 3d: U-Net" in shown
    assert "each arm learns for trial_share of the time" in shown
    assert "deep supervision: the arm and its twin without deep supervision learn equally long" in shown


def test_a_plan_of_pretrained_networks_alone_names_no_network_from_scratch(capsys: Said, tmp_path: Path) -> None:
    print_plan(without_scratch(of_ways(), 500.0), tmp_path / "plan.yaml")
    shown = capsys.readouterr().out
    assert "frozen, tuned" in shown
    assert "network: left out: 500 learning cases" in shown
    assert "residual network" not in shown
    assert "2 members, 9 steps" in shown
    print_plan(of_ways(), tmp_path / "plan.yaml")
    assert "residual network" in capsys.readouterr().out
