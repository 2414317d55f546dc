"""What an evaluation on other cases tells, and that external and not external are never mixed up."""

from __future__ import annotations

import html
import re
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from semeion.artefacts import read_json
from semeion.report.page import write_report


def number(value: float | None, low: float | None = None, high: float | None = None, **more: Any) -> dict[str, Any]:
    return {"value": value, "low": low, "high": high, "n": 156, "n_patients": 140, "method": "bootstrap", **more}


def lost(internal: float | None, external: float | None, gap: dict[str, Any], verdict: str) -> dict[str, Any]:
    told = {"internal": internal, "external": external, "difference": gap, "better": "higher"}
    return {**told, "verdict": verdict}


def trait(title: str, kind: str, internal: Any, external: Any, difference: float | None, reason: str = "") -> Any:
    notable = None if difference is None else abs(difference) > 0.1
    known = {"internal": internal, "external": external, "difference": difference, "notable": notable}
    return {"column": title, "title": title, "kind": kind, "unit": "", **known, "reason": reason}


def figures(brier: float) -> dict[str, Any]:
    names = ("log_loss", "brier", "calibration_slope", "calibration_intercept", "ici")
    return {name: number(brier, brier - 0.01, brier + 0.01) for name in names}


@pytest.fixture
def told() -> dict[str, Any]:
    """The keys that only an evaluation has."""
    age = {"n": 140, "missing": 2, "mean": 60.0, "sd": 9.0, "median": 61.0, "low": 50.0, "high": 70.0}
    sex = {"n": 140, "missing": 0, "levels": {"f": 105, "m": 35}}
    people = {"unit": "patients", "internal": None, "external": 140}
    cases = {"unit": "cases", "internal": None, "external": 156}
    mix = {
        "source": "model",
        "people": {
            **people,
            "rows": [
                trait("Age", "number", None, age, None, "not known of the cases the model was built on"),
                trait("Sex", "levels", {**sex, "levels": {"f": 100, "x": 40}}, sex, 0.35),
            ],
        },
        "cases": {
            **cases,
            "rows": [trait("Rows", "number", {"range": [28.0, 64.0]}, {**age, "missing": 0}, None, "the range alone")],
        },
    }
    drop = {
        "source": "run",
        "split": "test",
        "targets": {
            "finding": {
                "auroc": lost(0.91, 0.8, number(-0.11, -0.2, -0.02), "worse"),
                "ici": lost(0.03, 0.05, number(0.02, -0.01, 0.06), "none"),
                "calibration_slope": lost(None, 0.7, number(None, reason="no finite slope fits"), "unknown"),
            }
        },
    }
    mended = {
        "n": 156,
        "n_patients": 140,
        "folds": 5,
        "applied": False,
        "before": figures(0.2),
        "maps": {
            "intercept": {
                "map": {"kind": "intercept", "value": 0.4},
                "after": figures(0.15),
                "difference": {"log_loss": number(-0.05, -0.08, -0.02)},
            },
            "isotonic": {"reason": "without fold 2 of 5: one class only among the cases"},
        },
        "best": "intercept",
        "reason": "intercept has the least log loss on patients left out",
        "needed": {"kind": "intercept", "draws": 100, "tried": [{"patients": 25, "helped": 0.97}], "patients": 25},
    }
    return {"case_mix": mix, "drop": drop, "recalibration": {"applied": False, "targets": {"finding": mended}}}


def outside(status: str | None, **more: Any) -> dict[str, Any]:
    if status is None:
        return {}
    checked = {"sites": 0, "patients": 0, "images": 0}
    known = {"status": status, "n": 156, "n_patients": 140, "n_sites": 2, "checked": checked, "shared_sites": []}
    return {"external": {**known, "reason": "A reason.", **more}}


def written(build: ModuleType, folder: Path, keys: dict[str, Any]) -> tuple[dict[str, Any], str]:
    evidence = build.binary("external") | {"members": []} | keys
    write_report(build.write_run(folder, evidence, plan=False, gallery=0))
    text = re.sub(r"<[^>]+>", " ", (folder / "report.html").read_text().split("<main>")[1])
    return read_json(folder / "report.json"), html.unescape(re.sub(r"\s+", " ", text))


@pytest.mark.parametrize(
    ("status", "value", "begins", "cases"),
    [
        ("external", True, "External validation: yes, 140 patients of 2 sites not used in", "the external validation"),
        ("not_external", False, "No external validation: A reason.", "cases that are not external"),
        ("not_verified", None, "Stated as external by the user, not verified: ", "cases stated as external"),
        (None, None, "Stated as external by the user, not verified: ", "cases stated as external"),
        ("nonsense", None, "Stated as external by the user, not verified: ", "cases stated as external"),
    ],
)
def test_three_answers_that_no_page_mixes_up(
    build: ModuleType, tmp_path: Path, status: str | None, value: bool | None, begins: str, cases: str
) -> None:
    content, _ = written(build, tmp_path, outside(status))
    told = content["first"]["external"]
    assert told["value"] is value
    assert told["sentence"].startswith(begins)
    assert cases in content["headline"]["split_words"]
    page = (tmp_path / "report.html").read_text()
    crosswalk = (tmp_path / "crosswalk.html").read_text()
    said = re.sub(r"<[^>]+>", "", page)
    assert ("External validation: yes" in said) == (value is True)
    assert ("cases of the external validation" in page) == (value is True)
    assert ("No external validation" in said) == (value is False)
    assert ("External validation of a model" in crosswalk) == (value is True)


def test_the_same_site_is_said_in_so_many_words(build: ModuleType, tmp_path: Path) -> None:
    content, _ = written(build, tmp_path, outside("not_external", shared_sites=["north"], reason="Same site: north."))
    assert "same site: this is not external" in content["first"]["external"]["sentence"]


def test_a_run_is_never_external_whatever_its_evidence_says(build: ModuleType, tmp_path: Path) -> None:
    evidence = build.binary() | outside("external")
    write_report(build.write_run(tmp_path, evidence))
    told = read_json(tmp_path / "report.json")["first"]["external"]
    assert told["value"] is False
    assert told["sentence"].startswith("No external validation: ")


def test_the_section_says_what_is_known_and_what_is_not(
    build: ModuleType, tmp_path: Path, told: dict[str, Any]
) -> None:
    content, text = written(build, tmp_path, told | outside("external"))
    rows = {row["title"]: row for part in content["elsewhere"]["mix"]["groups"] for row in part["rows"]}
    assert rows["Age"]["lines"] == [{"level": "", "internal": "not known", "external": "61 (50 to 70); 2 not recorded"}]
    assert [line["level"] for line in rows["Sex"]["lines"]] == ["f", "x", "m"]
    assert rows["Sex"]["lines"][1]["external"].startswith("0 (")
    assert rows["Rows"]["lines"][0]["internal"] == "from 28 to 64"
    assert content["elsewhere"]["mix"]["notable"] == ["Sex"]
    assert "Worse here than on the model's own held-out cases, beyond chance: AUROC." in text
    assert "\N{MINUS SIGN}0.110 (\N{MINUS SIGN}0.200 to \N{MINUS SIGN}0.020)" in text
    assert "not known; no finite slope fits" in text
    assert "Nothing was changed." in text
    assert "the simplest map that is as good as any is: intercept alone." in text
    assert "Fitted on 25 patients of these or more, it helped the half left out in at least 95" in text
    assert "without fold 2 of 5: one class only among the cases" in text


def test_every_table_of_the_section_has_a_caption_and_headers(
    build: ModuleType, tmp_path: Path, told: dict[str, Any]
) -> None:
    written(build, tmp_path, told | outside("external"))
    section = (tmp_path / "report.html").read_text().split('<section id="elsewhere">')[1].split("</section>")[0]
    tables = re.findall(r"<table.*?</table>", section, flags=re.DOTALL)
    assert len(tables) == 4
    assert all("<caption" in table and 'scope="col"' in table and 'scope="row' in table for table in tables)


def test_nothing_to_compare_is_said_with_its_reason(build: ModuleType, tmp_path: Path, told: dict[str, Any]) -> None:
    none = {"source": None, "split": None, "targets": {}, "reason": "the run has no held-out case"}
    few = {"n": 9, "n_patients": 9, "folds": 0, "before": {}, "maps": {}, "best": None, "needed": None}
    few["reason"] = "not tried: the second commonest class has 3 patients, fewer than 5 folds"
    keys = told | {"drop": none, "recalibration": {"applied": False, "targets": {"finding": few}}}
    _, text = written(build, tmp_path, keys | outside("not_verified"))
    assert "Not computed: the run has no held-out case." in text
    assert "It was not tried: the second commonest class has 3 patients" in text


def test_a_run_has_no_such_section(build: ModuleType, tmp_path: Path) -> None:
    write_report(build.write_run(tmp_path, build.binary()))
    assert read_json(tmp_path / "report.json")["elsewhere"] is None
    assert 'id="elsewhere"' not in (tmp_path / "report.html").read_text()
