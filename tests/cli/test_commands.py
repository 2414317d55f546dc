"""Commands as a user types them, from plan to evaluation."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from semeion.artefacts import read_json, write_json
from semeion.plan.files import read_plan
from semeion.plan.networks import Candidate
from semeion.plan.rules import Machine, Measured
from support.tiny import SIDE, Tiny, TinyRun, make_cohort, save_plan

Command = Callable[..., Any]


def test_plan_writes_the_plan_and_the_facts(
    command: Command, cohort: Tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from semeion.learn import throughput

    candidate = Candidate((SIDE, SIDE), "stretch", (8, 16), 1, 16, 1.0)
    machine = Machine(1, 8.0, "cpu", [Measured(candidate, {"float32": 0.002})], {"peak_gib": 0.5})
    monkeypatch.setattr(throughput, "measure_machine", lambda *_, **__: machine)
    out = tmp_path / "plans" / "plan.yaml"
    done = command("plan", cohort.table, "--target", "finding", "--budget", "2m", "-o", out, "-q")
    assert done.status == 0, done.err
    plan = read_plan(out)
    assert plan.budget.seconds == 120
    assert read_json(out.parent / "fingerprint.json")["training"]["cases"] == 80
    assert done.out.startswith("target 'finding': binary, 2 classes\ninput 24 x 24 x 1; residual network [8, 16]\n")
    assert "members" in done.out
    assert "edit it, then `semeion train --plan`" in done.out


def test_train_prints_figures_and_places(command: Command, tmp_path: Path) -> None:
    cohort = make_cohort(tmp_path / "source", n=40, task="ordinal")
    plan = save_plan(tmp_path, task="ordinal", steps=3)
    asked = ("--target", "grade", "--task", "ordinal", "--order", "grade 1,grade 2,grade 3", "--plan", plan)
    done = command("train", cohort.table, *asked, "-o", tmp_path / "run", "-q")
    assert done.status == 0, done.err
    assert done.err == ""
    assert done.out.startswith("grade (ordinal) on 40 held-out cases of every fold, 20 patients:\n")
    assert "kappa quadratic" in done.out
    assert f"Report: {tmp_path / 'run' / 'report.html'}" in done.out
    again = command("resume", tmp_path / "run", "-q")
    assert again.status == 0
    assert again.out == done.out
    # An audit that runs after training may void the result.
    evidence = read_json(tmp_path / "run" / "evidence.json")
    evidence["audits"]["near-duplicates"]["verdict"] = "void"
    write_json(tmp_path / "run" / "evidence.json", evidence)
    assert command("resume", tmp_path / "run", "-q").status == 1


def test_progress_goes_to_standard_error_in_plain_lines(command: Command, cohort: Tiny, tmp_path: Path) -> None:
    plan = save_plan(tmp_path, steps=3)
    done = command("train", cohort.table, "--target", "finding", "--plan", plan, "-o", tmp_path / "run")
    assert done.status == 0
    for work in ("learning ...", "weighing ...", "learning: done in"):
        assert work in done.err
    assert "\x1b" not in done.err
    assert "learning ..." not in done.out


def test_evaluate_prints_figures_and_the_page(command: Command, tiny_run: TinyRun, tmp_path: Path) -> None:
    out = tmp_path / "external"
    done = command("evaluate", tiny_run.model, tiny_run.cohort.table, "--target", "finding", "-o", out, "-q")
    assert done.status == 0, done.err
    assert done.out.startswith("finding (binary, positive class 'malignant') on 20 cases, 10 patients:\n")
    assert "Stated as external, not verified. The model folder holds nothing of the cases" in done.out
    page = done.out.rstrip().rsplit(" ", 1)[-1]
    assert Path(page).is_file()


def test_evaluate_beside_the_run_says_whether_cases_are_external(
    command: Command, tiny_run: TinyRun, tmp_path: Path
) -> None:
    asked = ("evaluate", tiny_run.model, tiny_run.cohort.table, "--target", "finding", "--run", tiny_run.path)
    done = command(*asked, "-o", tmp_path / "own", "-q")
    assert done.status == 0, done.err
    assert "on 20 cases, 10 patients" in done.out
    assert "No external validation. 20 of the images are among those of the run" in done.out
    refused = command(*asked[:-1], tmp_path, "-o", tmp_path / "none", "-q")
    assert refused.status == 2
    assert not (tmp_path / "none").exists()


def test_predict_reads_folders_and_tables(command: Command, tiny_run: TinyRun, tmp_path: Path) -> None:
    for source in (tiny_run.cohort.table, tiny_run.cohort.table.parent / "images"):
        done = command("predict", tiny_run.model, source, "-o", tmp_path / "f.parquet", "-q")
        assert (done.status, done.out) == (0, f"80 called: {tmp_path / 'f.parquet'}\n")


def test_class_folders_need_no_target(command: Command, tmp_path: Path) -> None:
    made = make_cohort(tmp_path / "made", n=40)
    for row, label in enumerate(made.rows["finding"]):
        home = tmp_path / "tree" / label
        home.mkdir(parents=True, exist_ok=True)
        made.image(row).rename(home / f"{row}.png")
    done = command("check", tmp_path / "tree", "-q")
    assert done.status == 0
    assert "'malignant' is the positive class" in done.out
    assert "no patient ids" in done.out


def test_demo_replaces_an_earlier_demonstration_and_says_what_it_is_made_of(
    command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from semeion.cohort.demo import DemoSource
    from semeion.errors import InputError
    from semeion.study import demonstrate

    source = DemoSource(tmp_path / "phantoms.npz", True, "The data are synthetic phantoms.")
    monkeypatch.setattr(demonstrate, "demo_source", lambda data, cache, synthetic: source)
    asked: list[tuple[Any, ...]] = []

    def start(*arguments: Any) -> Path:
        asked.append(arguments)
        raise InputError("enough")

    monkeypatch.setattr(demonstrate, "start_run", start)
    out = tmp_path / "demo"
    out.mkdir()
    (out / "run.json").write_text('{"schema": 1, "semeion": "0.1.0", "finished": true}')
    (out / "report.html").write_text("yesterday's")
    done = command("demo", "--synthetic", "-o", out, "--budget", "90s", "--seed", "3")
    assert done.status == 2
    assert "synthetic" in done.err
    given, options, output, *_ = asked[0]
    assert not (out / "report.html").exists()
    assert (output, options.budget, options.seed, options.synthetic) == (out, 90.0, 3, True)
    assert given == source.source
    assert options.remarks == (source.note,)
