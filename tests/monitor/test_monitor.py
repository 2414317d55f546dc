"""`semeion monitor`: the whole road from pictures to the page, and what it refuses."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from semeion.cli.app import run
from semeion.monitor.logfile import KEY, LOG
from support.watched import p_of, pixels


def predict(model: Path, table: Path, log: Path) -> None:
    words = ["predict", str(model), str(table), "-o", str(log.parent / f"{log.name}.csv"), "--log", str(log), "--quiet"]
    assert run(words, 0.0) == 0


def monitor(model: Path, output: Path, *words: str | Path) -> int:
    return run(["monitor", str(model), *map(str, words), "-o", str(output)], 0.0)


@pytest.fixture
def served(make_model: Callable[..., Path], make_table: Any, tmp_path: Path) -> tuple[Path, Path, Path]:
    """A model, the folder of its log, and the table that it read."""
    model, table = make_model(), make_table("new", 80)
    predict(model, table, tmp_path / "log")
    return model, tmp_path / "log", table


def test_nothing_changed(served: tuple[Path, Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model, log, _ = served
    assert monitor(model, tmp_path / "page", log) == 0
    assert "No alarm." in capsys.readouterr().out
    found = json.loads((tmp_path / "page" / "monitor.json").read_text())
    assert (found["n"], found["alarms"], found["labels"]) == (80, [], None)
    page = (tmp_path / "page" / "monitor.html").read_text()
    assert page.count("<svg") >= 5
    assert "Research use only" in page
    assert not re.search(r"(src|href)=.https?:", page)


def test_another_contrast_is_an_alarm_and_exit_status_1(
    served: tuple[Path, Path, Path], make_table: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model, log, _ = served
    predict(model, make_table("other", 80, 1, prefix="d", site="south", contrast=0.6), log)
    assert monitor(model, tmp_path / "page", log) == 1
    assert "ALARM: " in capsys.readouterr().out
    page = (tmp_path / "page" / "monitor.html").read_text()
    assert "contrast (standard deviation of grey values)" in page
    assert "What to do" in page
    assert page.count("<figcaption>") == page.count("<svg"), "every picture says what it shows"
    rows = re.findall(r'<tr><th scope="row">(contrast[^<]*) <span.*?data-label="Whose">([^<]*)<', page)
    assert len(rows) == len(set(rows)) > 0, "a row for each figure, however often it raised an alarm"
    assert "site south" in page


def test_labels_that_come_later(served: tuple[Path, Path, Path], tmp_path: Path) -> None:
    from sklearn.metrics import roc_auc_score

    model, log, table = served
    labels = tmp_path / "labels.csv"
    rows = pd.read_csv(table)[["case_id", "patient_id", "finding"]]
    rows["finding"] = rows["finding"].replace({"bright": "1"}).where(rows.index != 3)
    rows.to_csv(labels, index=False)
    monitor(model, tmp_path / "page", log, "--labels", labels)
    found = json.loads((tmp_path / "page" / "monitor.json").read_text())["labels"]
    images, bright = pixels(80, 0)
    kept = np.arange(80) != 3
    assert (found["n"], found["n_patients"], found["unlabelled"]) == (79, 40, 1)
    auroc = found["metrics"]["auroc"]
    assert auroc["value"] == pytest.approx(roc_auc_score(bright[kept], p_of(images)[kept]), abs=1e-6)
    assert auroc["low"] <= auroc["value"] <= auroc["high"]
    assert found["before"]["auroc"]["value"] == 0.99
    [period] = found["periods"].values()
    assert period["auroc"]["value"] == auroc["value"]
    assert "in service" in (tmp_path / "page" / "monitor.html").read_text()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda rows: rows.assign(case_id="x" + rows["case_id"]), "80 of 80 case ids are in none of the logs: xc0"),
        (lambda rows: rows.drop(columns="case_id"), "the table has no column 'case_id'"),
        (lambda rows: rows.drop(columns="finding"), "the table has no column 'finding'"),
        (lambda rows: rows.assign(finding="grey"), "'grey' in 'finding' is no label of this model"),
        (lambda rows: rows.assign(finding=None), "no case of the table has both a label and an answer"),
        (lambda rows: pd.concat([rows, rows]), "a case_id stands twice"),
    ],
)
def test_labels_that_do_not_belong(
    served: tuple[Path, Path, Path],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    change: Callable[[pd.DataFrame], pd.DataFrame],
    said: str,
) -> None:
    model, log, table = served
    change(pd.read_csv(table)).to_csv(tmp_path / "labels.csv", index=False)
    assert monitor(model, tmp_path / "page", log, "--labels", tmp_path / "labels.csv") == 2
    assert said in capsys.readouterr().err
    assert not (tmp_path / "page").exists()


def test_labels_without_the_key(
    served: tuple[Path, Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model, log, table = served
    (log / KEY).unlink()
    assert monitor(model, tmp_path / "page", log, "--labels", table) == 2
    assert "labels cannot be matched without it" in capsys.readouterr().err
    assert monitor(model, tmp_path / "page", log / LOG) == 0


def test_the_log_of_another_model(
    served: tuple[Path, Path, Path],
    make_model: Callable[..., Path],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    _, log, _ = served
    assert monitor(make_model(name="other", positive="dark"), tmp_path / "page", log) == 2
    assert "is the log of another model" in capsys.readouterr().err
    assert not (tmp_path / "page").exists()


def test_a_model_without_a_baseline(
    served: tuple[Path, Path, Path],
    make_model: Callable[..., Path],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert monitor(make_model(None, name="old"), tmp_path / "page", served[1]) == 2
    assert "the model ships no baseline to compare with: it was made by an earlier version" in capsys.readouterr().err
    adopted = {"sha256": "0" * 64, "opset": 18, "sentence": "From elsewhere."}
    assert monitor(make_model(None, name="adopted", adopted=adopted), tmp_path / "page", served[1]) == 2
    assert "it was trained elsewhere and adopted" in capsys.readouterr().err


def test_an_empty_training_distribution(
    make_model: Callable[..., Path],
    served: tuple[Path, Path, Path],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    empty = make_model(b'{"schema": 1, "cases": "none", "statistics": []}', name="empty")
    assert monitor(empty, tmp_path / "page", served[1]) == 2
    assert "the training distribution is empty" in capsys.readouterr().err


@pytest.mark.parametrize("rate", ["0", "0.9"])
def test_a_rate_that_is_none(
    served: tuple[Path, Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str], rate: str
) -> None:
    assert monitor(served[0], tmp_path / "page", served[1], "--false-alarms", rate) == 2
    assert "a false-alarm rate of" in capsys.readouterr().err


def test_too_few_cases_are_told(
    make_model: Callable[..., Path], make_table: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = make_model()
    predict(model, make_table("new", 7), tmp_path / "log")
    assert monitor(model, tmp_path / "page", tmp_path / "log", "--by", "month") == 0
    assert "Too few to say anything: at least 20 are needed, 13 more." in capsys.readouterr().out
    assert "at least 20 are needed" in (tmp_path / "page" / "monitor.html").read_text()
