"""`report` as a user types it: what a person stated is kept, a PDF is printed, and a refusal writes nothing."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from semeion.study.options import RunOptions
from support.tiny import Tiny
from support.told import told_run

Command = Callable[..., Any]
Refuse = Callable[..., str]


def stated(path: Path, text: str = "intended_use: A second look\nusers: radiologists\n") -> Path:
    path.write_text(text)
    return path


def test_what_a_person_stated_is_kept_and_shown(command: Command, tmp_path: Path) -> None:
    run = tmp_path / "run"
    told_run(run)
    done = command("report", run, "--intended-use", stated(tmp_path / "use.yaml"))
    assert (done.status, done.out) == (0, f"{run / 'report.html'}\n")
    assert (run / "intended_use.yaml").read_text() == (tmp_path / "use.yaml").read_text()
    assert "A second look" in (run / "report.html").read_text()
    # Kept: the next report needs no option.
    assert command("report", run).status == 0
    rows = json.loads((run / "report.json").read_text())["first"]["intended_use"]["rows"]
    assert [row["value"] for row in rows if row["value"]] == ["A second look", "radiologists"]


@pytest.mark.parametrize(
    ("text", "message"),
    [("usesr: x\n", "'usesr' is no known key, did you mean 'users'?"), ("users: {a: b}\n", "is no text")],
)
def test_a_file_that_cannot_be_used_is_refused(text: str, message: str, refuse: Refuse, tmp_path: Path) -> None:
    told_run(tmp_path / "run")
    assert message in refuse("report", tmp_path / "run", "--intended-use", stated(tmp_path / "use.yaml", text))


def test_nothing_is_kept_in_what_is_no_run(refuse: Refuse, tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    said = refuse("report", tmp_path / "run", "--intended-use", stated(tmp_path / "use.yaml"))
    assert "there is no evidence.json" in said


def test_pages_are_printed(command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told_run(tmp_path)
    monkeypatch.setattr("semeion.report.pdf.write_pdf", lambda page: page.with_suffix(".pdf"))
    done = command("report", tmp_path, "--pdf")
    assert done.status == 0, done.err
    assert done.out.split() == [str(tmp_path / name) for name in ("report.html", "report.pdf", "crosswalk.pdf")]


def test_without_weasyprint_nothing_is_written(refuse: Refuse, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told_run(tmp_path / "run")
    monkeypatch.setitem(sys.modules, "weasyprint", None)
    said = refuse("report", tmp_path / "run", "--pdf", "--intended-use", stated(tmp_path / "use.yaml"))
    assert said.startswith("--pdf: a PDF needs WeasyPrint, which is not installed; install it with")


def test_train_refuses_a_bad_statement_before_it_begins(refuse: Refuse, cohort: Tiny, tmp_path: Path) -> None:
    use = stated(tmp_path / "use.yaml", "usesr: x\n")
    options = ("--target", "finding", "--intended-use", use, "-o", tmp_path / "run", "-q")
    assert "did you mean 'users'?" in refuse("train", cohort.table, *options)
    options = ("--target", "finding", "--intended-use", tmp_path / "none.yaml", "-o", tmp_path / "run", "-q")
    assert "no such file" in refuse("train", cohort.table, *options)


def test_a_run_remembers_the_file_only_where_one_was_given() -> None:
    options = RunOptions(intended_use="/data/use.yaml")
    assert RunOptions.from_json(json.loads(json.dumps(options.to_json()))) == options
    assert "intended_use" not in RunOptions().to_json()
