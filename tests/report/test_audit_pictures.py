"""Copies side by side and likely wrong labels: who is shown, in which order and words, and what without pictures."""

from __future__ import annotations

import html
import json
import re
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from semeion.artefacts import read_json
from semeion.report import audit_pictures as shown
from semeion.report.audit_pictures import (
    MOST_GROUPS,
    MOST_LABELS,
    MOST_OF_A_GROUP,
    Seen,
    audit_images,
    named_cases,
    run_cases,
    seen_cases,
    shown_content,
    thumb_png,
)
from semeion.report.check_page import write_check
from semeion.report.page import write_report
from support.told import CLASSES, told_run

BINARY = {"task": "binary", "classes": ["benign", "malignant"]}


def copies(*groups: list[str], **figures: Any) -> dict[str, Any]:
    audit = {"verdict": "warn", "tier": "check", "advice": "", "cases": [list(group) for group in groups]}
    return {shown.COPIES: {**audit, "figures": {"groups": len(groups), **figures}}}


def suspects(*rows: tuple[str, str, str, float], before: str = "", total: int | None = None) -> dict[str, Any]:
    listed = [dict(zip(("case", "given", "suggested", "probability"), row, strict=True)) for row in rows]
    figures = {f"{before}suspects": len(rows) if total is None else total, f"{before}likeliest": listed}
    return {shown.LABELS: {"verdict": "note", "tier": "train", "advice": "", "figures": figures, "cases": []}}


def seen(**of: str) -> dict[str, Seen]:
    return {name: Seen(*told.split("/")) for name, told in of.items()}


def text_of(page: Path) -> str:
    text = re.sub(r"<(style|script)[^>]*>.*?</\1>", "", page.read_text(), flags=re.DOTALL)
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", text)).split())


def test_groups_across_the_test_set_come_first_then_those_with_two_labels() -> None:
    cases = seen(a="train/x", b="train/x", c="train/x", d="val/x", e="train/x", f="test/x", g="train/x", h="train/y")
    found = shown_content(copies(["a", "b"], ["g", "h"], ["c", "d"], ["e", "f"]), cases)["copies"]
    assert [group["cases"][0]["case_id"] for group in found["groups"]] == ["e", "c", "g", "a"]
    assert [group["splits"] for group in found["groups"]] == [["train", "test"], ["train", "val"], ["train"], ["train"]]
    assert [group["two_labels"] for group in found["groups"]] == [False, False, True, False]
    assert found["confirmed"] and found["total"] == 4


def test_copies_across_folds_count_as_across() -> None:
    cases = {"a": Seen("fold 0"), "b": Seen("fold 1"), "c": Seen("fold 1"), "d": Seen("fold 1")}
    first, second = shown_content(copies(["c", "d"], ["a", "b"]), cases)["copies"]["groups"]
    assert first["across_test"] and first["splits"] == ["fold 0", "fold 1"] and not second["across"]


def test_no_more_groups_and_cases_are_shown_than_stated_and_the_rest_is_counted() -> None:
    many = [[f"{k}-{j}" for j in range(9)] for k in range(20)]
    found = shown_content(copies(*many, groups=1300), {})["copies"]
    assert len(found["groups"]) == MOST_GROUPS and found["total"] == 1300
    assert [len(group["cases"]) for group in found["groups"]] == [MOST_OF_A_GROUP] * MOST_GROUPS
    assert all(group["n"] == 9 and group["more"] == 3 for group in found["groups"])


def test_of_a_large_group_each_side_and_label_is_shown() -> None:
    cases = {f"t{k}": Seen("train", "x") for k in range(8)} | {"u": Seen("train", "y"), "v": Seen("test", "x")}
    (group,) = shown_content(copies([*cases]), cases)["copies"]["groups"]
    assert [one["case_id"] for one in group["cases"]] == ["t0", "t1", "t2", "t3", "u", "v"]


def test_pairs_that_only_look_alike_are_not_called_copies() -> None:
    found = shown_content(copies(["a", "b"], groups=0, near_pairs=123), {})["copies"]
    assert not found["confirmed"] and found["total"] == 123


def test_labels_are_shown_in_the_order_of_the_audit_and_no_more_than_stated() -> None:
    rows = [(f"c{k}", "benign", "malignant", 0.99 - k / 100) for k in range(20)]
    found = shown_content(suspects(*rows, total=44), seen(c0="test/benign"))["labels"]
    assert [one["case_id"] for one in found["cases"]] == [f"c{k}" for k in range(MOST_LABELS)]
    assert found["cases"][0] == {
        "case_id": "c0", "split": "test", "target": None, "given": "benign", "suggested": "malignant",
        "probability": 0.99,
    }  # fmt: skip
    assert found["total"] == 44


def test_of_several_labels_each_has_its_turn() -> None:
    both = suspects(("a", "absent", "present", 0.9), ("b", "present", "absent", 0.8), before="edema: ")
    more = suspects(("a", "present", "absent", 0.7), before="nodule: ", total=5)
    both[shown.LABELS]["figures"] |= more[shown.LABELS]["figures"]
    found = shown_content(both, {})["labels"]
    assert [(one["target"], one["case_id"]) for one in found["cases"]] == [
        ("edema", "a"), ("nodule", "a"), ("edema", "b"),
    ]  # fmt: skip
    assert found["total"] == 7
    assert named_cases(both) == {"a", "b"}


def test_nothing_named_shows_nothing() -> None:
    for audits in ({}, copies(), {shown.LABELS: {"figures": {"suspects": 0}, "cases": []}}):
        assert shown_content(audits, {}) == {"copies": None, "labels": None}
        assert named_cases(audits) == set()


def test_a_thumbnail_becomes_a_picture_of_the_same_pixels() -> None:
    grey = np.random.default_rng(0).integers(0, 256, (3, 32, 32), dtype=np.uint8)
    for views in (1, 3):
        made = cv2.imdecode(np.frombuffer(thumb_png(grey[:views].tobytes()), np.uint8), cv2.IMREAD_GRAYSCALE)
        assert np.array_equal(made, np.concatenate(list(grey[:views]), axis=1))
    for bad in (b"", b"12", None, float("nan")):
        assert thumb_png(bad) is None


@pytest.mark.parametrize(
    ("rows", "cols", "ratio", "small"),
    [(28, 28, 1.0, True), (512, 256, 0.5, False), (100, 900, 3.0, False), (pd.NA, pd.NA, 1.0, True)],
)
def test_a_picture_keeps_its_shape(rows: Any, cols: Any, ratio: float, small: bool) -> None:
    facts = pd.DataFrame({"case_id": ["a"], "thumb": [bytes(1024)], "rows": [rows], "cols": [cols]})
    table = pd.DataFrame({"case_id": ["a"], "split": [None], "y": [1.0]})
    one = seen_cases(table, facts, BINARY, {"a"})["a"]
    assert (one.ratio, one.small, one.label, one.split) == (ratio, small, "malignant", "")
    assert one.png is not None


@pytest.mark.parametrize(
    ("target", "row", "label"),
    [
        (BINARY, {"y": 0.0}, "benign"),
        (BINARY, {"y": np.nan}, None),
        ({"task": "regression", "classes": []}, {"y": 12.5}, "12.5"),
        ({"task": "multilabel", "classes": ["p", "q"]}, {"y.p": 1.0, "y.q": 1.0}, "p; q"),
        ({"task": "multilabel", "classes": ["p", "q"]}, {"y.p": 0.0, "y.q": np.nan}, "none"),
        ({"task": "multilabel", "classes": ["p", "q"]}, {"y.p": np.nan, "y.q": np.nan}, None),
        ({"task": "segmentation", "classes": ["liver"]}, {}, None),
    ],
)
def test_labels_are_words(target: dict[str, Any], row: dict[str, Any], label: str | None) -> None:
    table = pd.DataFrame([{"case_id": "a", **row}])
    assert seen_cases(table, None, target, {"a"})["a"].label == label


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A finished run with two groups of copies, two suspects and thumbnails of all cases."""
    told_run(tmp_path)
    cohort = pq.read_table(tmp_path / "cohort.parquet").to_pandas()
    stream = np.random.default_rng(1)
    thumbs = [stream.integers(0, 256, 1024, dtype=np.uint8).tobytes() for _ in range(len(cohort))]
    facts = pd.DataFrame({"case_id": cohort["case_id"], "thumb": thumbs, "rows": 400, "cols": 300})
    facts.to_parquet(tmp_path / "scan.parquet")
    evidence = read_json(tmp_path / "evidence.json")
    ids = {side: cohort["case_id"][cohort["split"] == side].tolist() for side in ("train", "test")}
    evidence["audits"] |= copies([ids["train"][0], ids["train"][1]], [ids["train"][2], ids["test"][0]])
    told = pd.read_parquet(tmp_path / "predictions.parquet").set_index("case_id")
    rows = []
    for case in ids["test"][1:3]:
        given = str(told.loc[case, "y_true"])
        other = next(name for name in CLASSES if name != given)
        rows.append((case, given, other, float(told.loc[case, f"p_{other}"])))
    evidence["audits"] |= suspects(*rows)
    (tmp_path / "evidence.json").write_text(json.dumps(evidence))
    return tmp_path


def test_the_report_shows_each_case_with_picture_split_and_label(run: Path) -> None:
    write_report(run)
    told, page = read_json(run / "report.json"), (run / "report.html").read_text()
    words = text_of(run / "report.html")
    content = told["audits"]["shown"]
    assert page.count("data:image/png;base64,") == 6
    assert words.index("Copies, side by side 2 groups.") < words.index("Labels that may be wrong, the likeliest first")
    cohort = pq.read_table(run / "cohort.parquet").to_pandas().set_index("case_id")
    for group in content["copies"]["groups"]:
        for case in group["cases"]:
            assert case["split"] == cohort.loc[case["case_id"], "split"]
            assert case["label"] == CLASSES[int(cohort.loc[case["case_id"], "y"])]
            assert f'alt="Case {case["case_id"]}, {case["split"]}, {case["label"]}"' in page
    for place, case in enumerate(content["labels"]["cases"], 1):
        told_words = f"{place}. {case['case_id']} test Given: {case['given']} Suggested: {case['suggested']}"
        assert f"{told_words} Its probability: {case['probability']:.2f}" in words
    assert "aspect-ratio: 0.75" in page
    # The ranked list is shown as pictures, and not once more among the figures.
    assert "likeliest:" not in words


def test_without_pictures_the_cases_stay_and_no_picture_does(run: Path) -> None:
    write_report(run, pictures=False)
    page, words = (run / "report.html").read_text(), text_of(run / "report.html")
    assert "data:image" not in page
    assert "Copies, side by side 2 groups." in words and "32 pixels" not in words
    for case in read_json(run / "report.json")["audits"]["shown"]["labels"]["cases"]:
        assert f"{case['case_id']} test Given: {case['given']}" in words


def test_a_run_without_thumbnails_shows_words_alone(run: Path) -> None:
    (run / "scan.parquet").unlink()
    write_report(run)
    assert "data:image" not in (run / "report.html").read_text()
    assert "Copies, side by side" in text_of(run / "report.html")


def test_more_groups_than_are_shown_are_told(run: Path) -> None:
    evidence = read_json(run / "evidence.json")
    cases = pq.read_table(run / "cohort.parquet").to_pandas()["case_id"].tolist()
    evidence["audits"] |= copies(*([cases[2 * k], cases[2 * k + 1]] for k in range(20)))
    (run / "evidence.json").write_text(json.dumps(evidence))
    write_report(run)
    words = text_of(run / "report.html")
    assert "12 of 20 groups, the gravest first; 8 more are named in evidence.json under near-duplicates." in words


def test_of_folds_the_one_that_held_a_case_out_is_named(tmp_path: Path) -> None:
    told_run(tmp_path, scheme="folds")
    told = pd.read_parquet(tmp_path / "predictions.parquet").set_index("case_id")
    cases = run_cases(tmp_path, BINARY, {"c0", "c1"}, pictures=True)
    assert {name: one.split for name, one in cases.items()} == {
        name: f"fold {told.loc[name, 'fold']}" for name in ("c0", "c1")
    }


def test_the_check_page_shows_them_too(build: Any, tmp_path: Path) -> None:
    check, _ = build.check()
    check["audits"] = copies(["12", "644"], ["88", build.HOSTILE])
    png = thumb_png(bytes(range(256)) * 4)
    cases = {"12": Seen("train", "benign", png), "644": Seen("test", "malignant", png)}
    cases |= {"88": Seen("val", build.HOSTILE, png), build.HOSTILE: Seen(build.HOSTILE, "benign", None)}
    write_check(tmp_path, check, {}, cases)
    page, words = (tmp_path / "check.html").read_text(), text_of(tmp_path / "check.html")
    assert page.count("data:image/png;base64,") == 3 and "<script" not in page
    assert "2 cases in train, test benign, malignant: one picture, different labels" in words
    assert json.loads((tmp_path / "check.json").read_text()) == check


def test_pictures_are_those_of_the_cases_that_are_shown() -> None:
    cases = {f"c{k}": Seen("train", png=bytes([137, 80, k])) for k in range(9)}
    content = shown_content(copies(["c1", "c2"]) | suspects(("c2", "x", "y", 0.5), ("c7", "x", "y", 0.4)), cases)
    assert list(audit_images(content, cases)) == ["c1", "c2", "c7"]
