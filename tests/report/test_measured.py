"""The section of a report that tells of masks, measurements, classifiers and what drove each finding."""

from __future__ import annotations

import json
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from semeion.errors import InputError
from semeion.report.measured import MOST_CASES, bars, chosen_cases, measured_content, read_drivers
from semeion.report.page import write_report


@pytest.fixture(scope="module", name="run")
def _run(build: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> Path:
    evidence = build.measured()
    folder: Path = build.write_run(tmp_path_factory.mktemp("measured") / "run", evidence, gallery=0)
    build.write_drivers(folder, evidence)
    write_report(folder)
    return folder


def section(run: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((run / "report.json").read_text())["measured"]
    return found


def test_figures_are_those_of_the_evidence(run: Path) -> None:
    evidence, shown = json.loads((run / "evidence.json").read_text())["measured"], section(run)
    (part,) = shown["agreement"]
    assert [row["name"] for row in part["rows"]] == list(evidence["agreement"]["oof"])
    for row in part["rows"]:
        for name in ("mae", "bias", "limit_low", "limit_high"):
            assert row[name]["value"] == evidence["agreement"]["oof"][row["name"]][name]["value"]
    (masks,) = shown["structures"]
    assert {row["structure"]: row["value"] for row in masks["rows"]} == {"rv": 0.86, "lv": 0.93, "wall x": 0.85}
    assert [row["share"] for row in shown["importance"]] == [0.41, 0.27, 0.17, 0.11, 0.04]
    assert shown["classifiers"]["by_fold"][:2] == ["random forest", "gradient boosting"]
    assert shown["networks"] == {"trained": 10, "shipped": 5}
    assert shown["unmeasured"] == 1


def test_the_page_says_what_drove_cases_wrong_ones_first(run: Path) -> None:
    cases = section(run)["cases"]
    assert len(cases) == MOST_CASES
    wrong = [case["truth"] != case["called"] for case in cases]
    assert wrong == sorted(wrong, reverse=True)
    assert sum(wrong) == MOST_CASES // 2
    assert {case["called"] for case in cases if case["truth"] == case["called"]} >= {"oedema", "no finding"}
    page = (run / "report.html").read_text()
    assert 'href="#measurements"' in page
    assert "1 case could not be measured" in page
    assert "could not be taken" in page
    assert "no case has both values" in page
    assert "limits of agreement" in page
    assert "Lower limit" in page
    for name in ("measured-importance", "measured-masks-0"):
        assert f'id="{name}-title"' in page
    assert "outlines structures in volumes" in page
    # Titles come from an artefact: they are shown as text, and patients nowhere.
    assert "<i>at end-diastole</i>" not in page
    assert "secret" not in page + (run / "report.json").read_text()


def test_the_same_artefacts_give_the_same_page(run: Path) -> None:
    before = (run / "report.html").read_bytes()
    write_report(run)
    assert (run / "report.html").read_bytes() == before


def test_other_runs_have_no_such_section(build: ModuleType, tmp_path: Path) -> None:
    run = build.write_run(tmp_path / "run", build.binary(), gallery=0)
    write_report(run)
    assert section(run) is None
    assert "#measurements" not in (run / "report.html").read_text()
    assert measured_content(None, []) is None


VALUES = {"measurements": 0.8, "images": 0.6, "average": 0.83, "difference": 0.03}


@pytest.fixture(scope="module", name="averaged")
def _averaged(build: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run whose diagnosis is averaged with networks that see the images."""
    evidence = build.measured()
    parts = {name: {key: build.figure(v, 0.05, 70) for key in ("accuracy", "auroc")} for name, v in VALUES.items()}
    evidence["measured"]["parts"] = {"oof": parts}
    run: Path = build.write_run(tmp_path_factory.mktemp("averaged") / "run", evidence, gallery=0)
    build.write_drivers(run, evidence)
    write_report(run)
    return run


def test_what_the_images_add_is_a_small_table(averaged: Path) -> None:
    (part,) = section(averaged)["parts"]
    assert [(row["part"], row["auroc"]["value"]) for row in part["rows"]] == list(VALUES.items())
    page = (averaged / "report.html").read_text()
    assert "What the images add" in page
    assert "Average less measurements" in page
    assert "not what the image networks saw" in page
    assert "from these numbers alone" not in page


@pytest.mark.parametrize("width", [400, 1280])
def test_that_table_fits_the_width(averaged: Path, width: int, browser: Any) -> None:
    browser.open(averaged / "report.html", width)
    assert browser.run("document.documentElement.scrollWidth") <= width
    assert browser.run("document.querySelector('.parts').scrollWidth") <= width


def test_measurements_alone_have_no_such_table(run: Path) -> None:
    assert "parts" not in section(run)
    page = (run / "report.html").read_text()
    assert "What the images add" not in page
    assert "from these numbers alone" in page


def test_a_run_without_drivers_shows_the_rest(build: ModuleType, tmp_path: Path) -> None:
    run = build.write_run(tmp_path / "run", build.measured(), gallery=0)
    write_report(run)
    assert section(run)["cases"] == []
    assert "What drove some findings" not in (run / "report.html").read_text()


@pytest.mark.parametrize("broken", ["drivers.parquet", "predictions.parquet"])
def test_a_damaged_table_is_refused(build: ModuleType, tmp_path: Path, broken: str) -> None:
    evidence = build.measured()
    run = build.write_run(tmp_path / "run", evidence, gallery=0)
    build.write_drivers(run, evidence, n=3)
    (run / broken).write_bytes(b"PAR1 nothing")
    with pytest.raises(InputError, match=rf"{broken}: is damaged, or lacks one of the columns case_id"):
        write_report(run)
    (run / "predictions.parquet").unlink()
    if broken == "predictions.parquet":
        with pytest.raises(InputError, match=r"predictions\.parquet: is missing"):
            read_drivers(run)


def test_a_test_split_is_preferred_and_unknown_truth_is_no_error() -> None:
    given = [("oof", "b"), ("test", "a"), ("test", None), ("test", "b")]
    cases = [
        {"case_id": str(n), "split": split, "called": "a", "truth": truth, "drivers": []}
        for n, (split, truth) in enumerate(given)
    ]
    assert [case["case_id"] for case in chosen_cases(cases)] == ["3", "1"]
    assert chosen_cases([]) == []


def test_a_bar_a_measurement_with_its_share_in_words() -> None:
    picture = bars("b", [("Left ventricular ejection fraction", 0.6), ("x" * 200, 0.4)])
    assert "Left ventricular ejection fraction 60 %" in picture
    assert "x" * 100 not in picture


@pytest.mark.parametrize("width", [400, 1280])
def test_the_page_fits_its_width(run: Path, width: int, browser: Any) -> None:
    browser.open(run / "report.html", width)
    assert browser.run("document.documentElement.scrollWidth") <= width
    smallest = """Math.min(...[...document.querySelectorAll('#measurements svg text')].map(text => {
      const svg = text.ownerSVGElement;
      return parseFloat(getComputedStyle(text).fontSize) * svg.clientWidth / svg.viewBox.baseVal.width;
    }))"""
    assert browser.run(smallest) >= 9
    # No word of a picture is cut off at its edge.
    outside = """[...document.querySelectorAll('#measurements svg text')].filter(text => {
      const a = text.getBoundingClientRect(), b = text.ownerSVGElement.getBoundingClientRect();
      return a.left < b.left - 1 || a.right > b.right + 1 || a.top < b.top - 1 || a.bottom > b.bottom + 1;
    }).map(text => text.textContent)"""
    assert browser.run(outside) == []
