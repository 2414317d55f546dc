"""What check.html and check.json say."""

from __future__ import annotations

import json
from html import unescape
from pathlib import Path
from types import ModuleType

from semeion.report.check_page import check_content, write_check


def test_check_page_tells_everything(build: ModuleType, tmp_path: Path) -> None:
    check, pictures = build.check()
    write_check(tmp_path / "new" / "check", check, pictures)
    assert json.loads((tmp_path / "new/check/check.json").read_text()) == check
    assert sorted(file.name for file in (tmp_path / "new/check").iterdir()) == ["check.html", "check.json"]
    page = (tmp_path / "new/check/check.html").read_text()
    for words in (
        "780 cases of 633 patients",
        "the positive class is <b>malignant</b>",
        "malignant is a disease word, so it is positive.",
        "Nothing voids a result on these data; 1 of the audits warns. 1 could not be run.",
        "warn</span>",
        "not run</span>",
        "12 = 644",
        "Not used: age, operator.",
        "minimum 0",
        "99.5th percentile 251.4",
        "dicom: 80",
        "Burned-in text and markers",
        "Text was found in 31 % of the images.",
        "before and after: text removed",
        "Research use only. Not a medical device.",
    ):
        assert words in page, words
    assert page.count("data:image/png;base64,") == 8
    assert "script-src 'none'" in unescape(page) and "<script" not in page


def test_void_is_said_in_words(build: ModuleType) -> None:
    check, _ = build.check()
    check["audits"]["patient-overlap"]["verdict"] = "void"
    content = check_content(check)
    assert content["result"].startswith("1 of the audits would void a result on these data.")
    assert content["rows"][0]["name"] == "patient-overlap"


def test_hostile_words_stay_words(build: ModuleType, tmp_path: Path) -> None:
    check, pictures = build.check()
    check |= {"source": build.HOSTILE, "why": build.HOSTILE, "unused": [build.HOSTILE], "notes": [build.HOSTILE]}
    check["classes"], check["images"]["modality"] = [build.HOSTILE], {build.HOSTILE: 3}
    check["examples"][0] |= {"case_id": build.HOSTILE, "steps": [build.HOSTILE], "label": build.HOSTILE}
    write_check(tmp_path, check, list(pictures.items()))
    page = (tmp_path / "check.html").read_text()
    assert "<script" not in page
    assert page.count("&lt;script&gt;alert") >= 7


def test_synthetic_cohort_is_named_first(build: ModuleType, tmp_path: Path) -> None:
    check, _ = build.check()
    write_check(tmp_path, {**check, "synthetic": True})
    body = (tmp_path / "check.html").read_text().split("<body>")[1]
    assert body.strip().startswith('<p class="synthetic" role="note">The data are synthetic.</p>')


def test_bare_check_is_enough(tmp_path: Path) -> None:
    write_check(tmp_path, {"schema": 1, "target": "finding", "task": "regression", "n_cases": 1, "n_patients": 1})
    page = (tmp_path / "check.html").read_text()
    assert "1 case" in page and "No picture needed cleaning." in page


def test_multilabel_counts_show_what_is_present(build: ModuleType, tmp_path: Path) -> None:
    check, _ = build.check()
    check["splits"] = {"train": {"n": 50, "n_patients": 40, "class_counts": {"nodule": {"absent": 31, "present": 19}}}}
    check["classes"] = ["nodule"]
    write_check(tmp_path, check)
    assert "19 <span" in (tmp_path / "check.html").read_text()


def test_too_many_pictures_are_left_out(build: ModuleType, tmp_path: Path) -> None:
    check, pictures = build.check()
    heavy = {name: data + b"\0" * 900_000 for name, data in pictures.items()}
    write_check(tmp_path, check, heavy)
    assert (tmp_path / "check.html").stat().st_size < 5_000_000
    assert "more pictures left out" in (tmp_path / "check.html").read_text()
