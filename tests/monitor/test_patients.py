"""One case of each patient is compared, and what was chosen stays as a log grows."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from semeion.cli.app import run
from semeion.monitor.logfile import LOG, Log, read_log
from semeion.monitor.patients import compared_lines
from semeion.monitor.watch import joined
from support.watched import log_of, watched


def grouped(log: Log, groups: list[str]) -> Log:
    log.texts["group"][:] = groups
    return log


def repeated(log: Log, times: int, prefix: str = "g") -> Log:
    """Return a log in which every case stands so many times, as that many images of one patient."""
    many = log.take(np.repeat(np.arange(len(log)), times))
    many.texts["entry"][:] = [f"{entry}/{row}" for row, entry in enumerate(many.texts["entry"])]
    return grouped(many, [f"{prefix}{row // times}" for row in range(len(many))])


def test_many_images_of_a_patient_raise_no_alarm() -> None:
    """Fifteen images each of few patients look like a change when they are taken for many patients."""
    raised = {"each": 0, "one": 0}
    for seed in range(20):
        log = repeated(log_of(60, seed, days=0.5), 15)
        raised["each"] += bool(watched(log)["alarms"])
        both = joined([log])
        assert (len(both.whole), len(both.compared)) == (900, 60)
        raised["one"] += bool(watched(both.compared)["alarms"])
    assert raised["one"] <= 2
    assert raised["each"] >= 10


def test_lines_without_a_group_all_count() -> None:
    log = grouped(log_of(6, 0), ["", "a", "", "a", "b", ""])
    rows = compared_lines(log)
    assert {0, 2, 4, 5} < set(rows.tolist())
    assert len(rows) == 5
    assert (rows == np.sort(rows)).all()


def test_which_line_counts_goes_by_chance_and_not_by_order() -> None:
    entries = np.random.default_rng(0).permutation(4 * 500)
    log = repeated(log_of(500, 0), 4)
    log.texts["entry"][:] = [f"{entry:032x}" for entry in entries]
    share = np.bincount(compared_lines(log) % 4, minlength=4) / 500
    assert share.min() > 0.18 and share.max() < 0.32


def test_an_image_that_was_read_counts_before_one_that_was_not() -> None:
    log = grouped(log_of(4, 0), ["a", "a", "a", "b"])
    log.texts["status"][[0, 2, 3]] = "failed"
    assert compared_lines(log).tolist() == [1, 3]


def test_a_patient_who_comes_again_with_a_known_case_is_no_news() -> None:
    first = grouped(log_of(4, 1), ["a", "a", "b", ""])
    later = grouped(log_of(6, 2), ["c", "c", "d", "e", "e", "d"])
    later.time[:] = first.time[-1] + np.timedelta64(1, "D")
    later.texts["entry"][1] = first.texts["entry"][0]  # of patient a, so that c is a
    later.texts["entry"][4] = first.texts["entry"][3]  # a case without a patient
    both = joined([first, later])
    assert (len(both.whole), both.again) == (8, 2)
    assert both.compared.texts["group"].tolist() == ["a", "b", "", "d"]
    # The same log given twice is the same.
    twice = joined([first, first])
    assert twice.compared.texts["entry"].tolist() == joined([first]).compared.texts["entry"].tolist()


def test_what_was_chosen_stays_as_the_log_grows() -> None:
    random = np.random.default_rng(3)
    logs = []
    for call in range(8):
        log = grouped(log_of(20, 100 + call), [f"{call}-{one}" for one in random.integers(0, 6, 20)])
        log.time[:] = np.datetime64("2026-01-05", "s") + np.timedelta64(call, "D")
        log.texts["entry"][:] = [f"{one:04d}" for one in random.permutation(60)[:20]]
        logs.append(log)
    before: list[str] = []
    for count in range(1, 9):
        now = joined(logs[:count]).compared
        own = [f"{time} {entry}" for time, entry in zip(now.time, now.texts["entry"], strict=True)]
        assert own[: len(before)] == before
        before = own


def predict(model: Path, table: Path, log: Path) -> None:
    words = ["predict", str(model), str(table), "-o", str(log.parent / f"{log.name}.csv"), "--log", str(log), "--quiet"]
    assert run(words, 0.0) == 0


def test_predict_numbers_the_patients_of_a_call(
    make_model: Callable[..., Path], make_table: Any, tmp_path: Path
) -> None:
    model, table = make_model(), make_table("a", 6)
    rows = pd.read_csv(table)
    rows["patient_id"] = "canary-" + rows["patient_id"]
    rows.to_csv(table, index=False)
    predict(model, table, tmp_path / "log")
    first = read_log(tmp_path / "log").texts["group"].tolist()
    assert [first.index(name) for name in first] == [0, 0, 2, 2, 4, 4]
    rows["case_id"] = "x" + rows["case_id"]
    rows.loc[4:, "patient_id"] = None
    rows.to_csv(table, index=False)
    predict(model, table, tmp_path / "log")
    again = read_log(tmp_path / "log").texts["group"].tolist()[6:]
    assert again[4:] == ["", ""]
    assert not set(again) & set(first), "the same patients are not known in the next call"
    assert "canary" not in pd.read_parquet(tmp_path / "log" / LOG).to_csv()
    for file in (tmp_path / "log").iterdir():
        assert b"canary" not in file.read_bytes()


def test_the_account_says_what_was_left_out(make_model: Callable[..., Path], make_table: Any, tmp_path: Path) -> None:
    model, table = make_model(), make_table("a", 60)
    predict(model, table, tmp_path / "log")
    run(["monitor", str(model), str(tmp_path / "log"), "-o", str(tmp_path / "page"), "--labels", str(table)], 0.0)
    found = json.loads((tmp_path / "page" / "monitor.json").read_text())
    assert (found["n"], found["compared"], found["labels"]["n"]) == (60, 30, 60)
    assert any("30 further cases of patients" in note for note in found["notes"])


@pytest.mark.parametrize("planted", [0, 60])
def test_what_is_not_applicable_is_in_no_prevalence(planted: int) -> None:
    """Images of another kind, all of which the model takes for bright."""
    log = log_of(200, 5, days=0.01)
    log.numbers["p_bright"][:planted], log.numbers["p_dark"][:planted] = 0.999, 0.001
    log.texts["status"][:60] = "not_applicable"
    log.texts["reasons"][:60] = "features-outside"
    [row] = [one for one in watched(log)["prevalence"] if one["of"] == "all"]
    assert (row["n"], row["not_applicable"]) == (140, 60)
    plain = log_of(200, 5, days=0.01).take(np.arange(60, 200))
    [alone] = [one for one in watched(plain)["prevalence"] if one["of"] == "all"]
    assert row["classes"] == alone["classes"]


def test_what_is_not_applicable_is_weighed_with_no_label(
    make_model: Callable[..., Path], make_table: Any, tmp_path: Path
) -> None:
    import cv2

    # A model that knows small pictures of one unit refuses blank ones.
    model, table = make_model(), make_table("a", 40)
    for number in range(10):
        cv2.imwrite(str(table.parent / f"{number}.png"), np.full((16, 16), 200, np.uint8))
    predict(model, table, tmp_path / "log")
    log = read_log(tmp_path / "log")
    assert (log.texts["status"] == "not_applicable").sum() == 10
    assert np.isfinite(log.numbers["p_bright"]).all(), "the probabilities stay in the log: drift needs them"
    words = ["monitor", str(model), str(tmp_path / "log"), "--labels", str(table), "-o", str(tmp_path / "page")]
    run(words, 0.0)
    found = json.loads((tmp_path / "page" / "monitor.json").read_text())["labels"]
    assert (found["n"], found["not_applicable"], found["unanswered"]) == (30, 10, 0)
    assert found["metrics"]["auroc"]["n"] == 30
    page = (tmp_path / "page" / "monitor.html").read_text()
    assert "10 labelled cases it found not applicable" in page
    rows = pd.read_csv(table).iloc[:10]
    rows.to_csv(tmp_path / "blank.csv", index=False)
    assert run([*words[:4], str(tmp_path / "blank.csv"), "-o", str(tmp_path / "none")], 0.0) == 2
