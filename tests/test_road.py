"""The whole road, end to end: splits stay honest, a run repeats bit for bit, and what ships is what was weighed."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml

import semeion
from semeion.artefacts import read_json
from semeion.naming import encode_class
from semeion.plan.files import read_plan, write_plan
from semeion.plan.networks import Candidate
from semeion.plan.rules import Machine, Measured
from support.core_environment import make_core_environment
from support.tiny import (
    PATIENT,
    SIDE,
    TARGETS,
    TASKS,
    TinyRun,
    contents_of,
    make_cohort,
    save_plan,
    train_tiny,
    weights_of,
    write_picture,
)

SAME = 1e-12
FREQUENT = (
    "import sys; import semeion.learn.standing as standing; standing.CHECKPOINT_SECONDS = 0.15; "
    "from semeion.cli import main; main()"
)
"""The command line with a checkpoint every few steps, so that a kill falls between two of them."""


def start(
    *arguments: str | Path, code: str | None = None, python: Path | str = sys.executable
) -> subprocess.Popen[str]:
    entry = ["-m", "semeion"] if code is None else ["-c", code]
    command = [str(python), *entry, *map(str, arguments)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def finish(process: subprocess.Popen[str]) -> tuple[int, str, str]:
    out, err = process.communicate(timeout=300)
    return process.returncode, out, err


def predictions_of(run: Path) -> pd.DataFrame:
    return pd.read_parquet(run / "predictions.parquet")


@pytest.fixture(scope="module")
def task_run(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], TinyRun]:
    """A function that returns the finished run of a task; tasks take the two kinds of split in turn."""
    made: dict[str, TinyRun] = {}

    def run(task: str) -> TinyRun:
        if task not in made:
            home = tmp_path_factory.mktemp(task)
            scheme = "given" if TASKS.index(task) % 2 == 0 else "folds"
            cohort = make_cohort(home / "source", task=task, split="given" if scheme == "given" else "test")
            made[task] = train_tiny(cohort, save_plan(home, task=task, scheme=scheme), home / "run")
        return made[task]

    return run


# Every task goes the whole road.


@pytest.mark.parametrize("task", TASKS)
def test_every_task_goes_the_whole_road(task_run: Callable[[str], TinyRun], task: str) -> None:
    run = task_run(task)
    evidence = run.evidence
    assert evidence["task"] == TARGETS[task]["task"]
    assert evidence["classes"] == TARGETS[task]["classes"]
    expected = {
        "binary": {"auroc", "recall", "specificity", "precision", "f1", "brier", "ece", "calibration_slope"},
        "multiclass": {"auroc", "recall_macro", "recall_cyst", "f1_macro"},
        "ordinal": {"auroc", "kappa_quadratic"},
        "multilabel": {"auroc"},
        "delimited": {"auroc"},
        "regression": {"mae", "rmse", "r2"},
    }[task]
    assert expected <= set(evidence["metrics"]["test"])
    for name in ("report.html", "report.json", "model/model.json", "plan.executed.yaml", "fingerprint.json"):
        assert (run.path / name).stat().st_size > 0
    table = predictions_of(run.path)
    assert not table.duplicated(["case_id", "target", "split", "member"]).any()
    labels = {"edema", "nodule"} if TARGETS[task]["task"] == "multilabel" else {TARGETS[task]["name"]}
    assert set(table["target"]) == labels


@pytest.mark.parametrize("task", TASKS)
def test_predict_says_exactly_what_was_weighed(task_run: Callable[[str], TinyRun], task: str) -> None:
    run = task_run(task)
    table = predictions_of(run.path)
    weighed = table[(table["split"] == "test") & (table["member"] == "ensemble")]
    weighed = weighed.set_index(["case_id", "target"]).sort_index()
    rows = run.cohort.rows
    asked = rows.loc[rows["split"] == "test", ["case_id", "image"]]
    asked = asked.assign(image=[str(run.cohort.table.parent / name) for name in asked["image"]])
    found = semeion.load_model(run.model).predict(asked).set_index(["case_id", "target"]).sort_index()
    assert list(found.index) == list(weighed.index)
    if task == "regression":
        np.testing.assert_allclose(found["call"], weighed["y_pred"], rtol=0, atol=SAME)
        return
    names = [name for name in weighed.columns if name.startswith("p_") and weighed[name].notna().all()]
    assert len(names) == (2 if TARGETS[task]["task"] == "multilabel" else len(TARGETS[task]["classes"]))
    np.testing.assert_allclose(found[names], weighed[names], rtol=0, atol=SAME)
    assert (found["status"] == "called").all()


def test_predict_of_the_command_line_says_the_same_in_every_file_format(tiny_run: TinyRun, tmp_path: Path) -> None:
    from semeion.cli.app import run

    table = predictions_of(tiny_run.path)
    weighed = table[(table["split"] == "test") & (table["member"] == "ensemble")].set_index("case_id")
    for name in ("f.csv", "f.parquet", "f.json"):
        assert (
            run(["predict", str(tiny_run.model), str(tiny_run.cohort.table), "-o", str(tmp_path / name), "-q"], 0) == 0
        )
    frames = [
        pd.read_csv(tmp_path / "f.csv"),
        pd.read_parquet(tmp_path / "f.parquet"),
        pd.read_json(tmp_path / "f.json"),
    ]
    for found in frames:
        found = found.set_index("case_id").loc[weighed.index]
        np.testing.assert_allclose(found["p_malignant"], weighed["p_malignant"], rtol=0, atol=SAME)
        point = tiny_run.evidence["operating_point"]["value"]
        assert (found["call"] == np.where(found["p_malignant"] >= point, "malignant", "benign")).all()


# Honest splits.


@pytest.fixture(scope="module")
def noise_run(tmp_path_factory: pytest.TempPathFactory) -> TinyRun:
    """Labels that have nothing to do with the pictures, from check to report; some patients share a picture."""
    from semeion.learn import throughput

    def measured(candidates: list[Candidate], *_: Any, **__: Any) -> Machine:
        costs = [4e-8 * c.batch * c.size[0] * c.size[1] * c.widths[0] ** 2 for c in candidates]
        times = [Measured(c, {"float32": cost}) for c, cost in zip(candidates, costs, strict=True)]
        return Machine(1, 8.0, "cpu", times, {"peak_gib": 0.5})

    home = tmp_path_factory.mktemp("noise")
    cohort = make_cohort(home / "source", n=100, noise=True, seed=11)
    # A copy joins patients 0 and 30, and patients 5 and 31: four patients, two groups.
    for copy, of in ((60, 0), (62, 10)):
        cohort.image(copy).write_bytes(cohort.image(of).read_bytes())
    study = semeion.Study(cohort.table, target="finding", seed=4, jobs=1)
    assert study.check()["audits"]["near-duplicates"]["verdict"] == "warn"
    with pytest.MonkeyPatch.context() as patched:
        # The machine is pinned, since its speed would choose the network and so the figure; the planner is not.
        patched.setattr(throughput, "measure_machine", measured)
        plan = study.plan(budget="2m")
    # What was searched for and chosen stays; only the length is cut.
    per_fold = {member.fold: member.model_copy(update={"steps": 40}) for member in reversed(plan.members)}
    plan.members, plan.budget.seconds = [per_fold[fold] for fold in sorted(per_fold)], None
    write_plan(plan, home / "plan.yaml")
    run = study.train(output=home / "run", plan=home / "plan.yaml")
    return TinyRun(run.path, cohort, home / "plan.yaml", run.evidence)


def test_labels_of_pure_noise_give_no_auroc(noise_run: TinyRun) -> None:
    auroc = noise_run.evidence["metrics"]["oof"]["auroc"]
    assert auroc["n"] == 100
    assert auroc["low"] < 0.5 < auroc["high"]


def test_no_patient_and_no_copy_is_on_two_sides(noise_run: TinyRun, tiny_run: TinyRun) -> None:
    table = predictions_of(noise_run.path)
    oof = table[(table["split"] == "oof") & (table["member"] == "ensemble")]
    assert sorted(oof["case_id"]) == sorted(noise_run.cohort.rows["case_id"]), "every case is held out once"
    fold = oof.groupby("patient_id")["fold"]
    assert (fold.nunique() == 1).all()
    of = fold.first()
    assert of[f"{PATIENT}000"] == of[f"{PATIENT}030"], "patients who share a picture share a fold"
    assert of[f"{PATIENT}005"] == of[f"{PATIENT}031"]
    # A member says nothing of a case from which it learned: fold k's cases are predicted by fold k's members only.
    members = table[(table["split"] == "oof") & ~table["member"].isin(["ensemble", "classic"])]
    assert (members["member"].str.extract(r"^fold(\d+)-", expand=False).astype(int) == members["fold"]).all()
    table = predictions_of(tiny_run.path)
    patients = table.groupby("split")["patient_id"].agg(set)
    assert not patients["oof"] & patients["test"]


@pytest.mark.parametrize("split", ["given", "test"])
def test_test_cases_influence_nothing(
    split: str, tiny_run: TinyRun, task_run: Callable[[str], TinyRun], tmp_path: Path
) -> None:
    honest = tiny_run if split == "test" else task_run("binary")
    spoiled = make_cohort(tmp_path / "source", split=split)
    rng = np.random.default_rng(99)
    tested = np.flatnonzero(spoiled.rows["split"] == "test")
    for row in tested:
        write_picture(spoiled.image(row), rng.integers(0, 256, (SIDE, SIDE), dtype=np.uint8))
    # Their labels say something else, too.
    labels = spoiled.rows["finding"].to_numpy(dtype=object)
    labels[tested] = rng.permutation(labels[tested])
    run = train_tiny(spoiled.rewrite(finding=labels), honest.plan, tmp_path / "run")
    assert weights_of(run.path) == weights_of(honest.path)
    for part in ("calibration", "operating_point"):
        assert run.evidence[part] == honest.evidence[part]
    graphs = contents_of(run.model / "members"), contents_of(honest.model / "members")
    assert graphs[0] == graphs[1]
    manifest, other = read_json(run.model / "model.json"), read_json(honest.model / "model.json")
    for one in (manifest, other):  # what it came from is the same; what it was weighed on is not
        del one["provenance"]["predictions"], one["provenance"]["evidence"]
    assert {k: v for k, v in manifest.items() if k not in ("evidence", "files")} == {
        k: v for k, v in other.items() if k not in ("evidence", "files")
    }
    split_name = "val" if split == "given" else "oof"
    assert run.evidence["metrics"][split_name] == honest.evidence["metrics"][split_name]
    assert run.evidence["metrics"]["test"] != honest.evidence["metrics"]["test"]


# Repeatable, and resumable after anything.


@dataclass(frozen=True)
class Interrupted:
    """A run that was stopped many times, beside one that was not."""

    whole: TinyRun
    stopped: Path
    killed: dict[str, int]
    by_hand: tuple[int, str, str]
    last: tuple[int, str, str]


@pytest.fixture(scope="module")
def interrupted(tmp_path_factory: pytest.TempPathFactory) -> Interrupted:
    """Kill a run with SIGKILL at several moments and with Ctrl-C once, and resume it each time."""
    home = tmp_path_factory.mktemp("interrupted")
    cohort = make_cohort(home / "source", split="test", seed=5)
    plan = save_plan(home, steps=150)
    whole = train_tiny(cohort, plan, home / "whole")
    stopped, moment = home / "stopped", random.Random(17)

    def reached(process: subprocess.Popen[str], name: str, newer_than: float = 0.0) -> bool:
        file, until = stopped / name, time.monotonic() + 120
        while process.poll() is None and time.monotonic() < until:
            try:
                if file.stat().st_mtime > newer_than:
                    return True
            except FileNotFoundError:
                pass
            time.sleep(0.005)
        return False

    def stop(process: subprocess.Popen[str], name: str, number: int, delay: float = 0.2) -> tuple[int, str, str]:
        file = stopped / name
        before = file.stat().st_mtime if file.exists() else 0.0
        assert reached(process, name, before), finish(process)
        time.sleep(moment.uniform(0, delay))
        process.send_signal(number)
        return finish(process)

    first, second = (f"members/fold{fold}-seed0/checkpoint.safetensors" for fold in (0, 1))
    asked = ("train", cohort.table, "--target", "finding", "--plan", plan, "-o", stopped, "--jobs", "1", "-q")
    killed = {"while preparing": stop(start(*asked), "scan.parquet", signal.SIGKILL, 0.02)[0]}
    for name, file in (("first member", first), ("second member", second)):
        killed[name] = stop(start("resume", stopped, "-q", code=FREQUENT), file, signal.SIGKILL)[0]
    by_hand = stop(start("resume", stopped, "-q", code=FREQUENT), second, signal.SIGINT)
    killed["while weighing"] = stop(start("resume", stopped, "-q"), "plan.executed.yaml", signal.SIGKILL, 0.3)[0]
    return Interrupted(whole, stopped, killed, by_hand, finish(start("resume", stopped)))


def test_kill_9_at_any_moment_changes_nothing(interrupted: Interrupted) -> None:
    assert set(interrupted.killed.values()) == {-signal.SIGKILL}, "every kill found the run at work"
    assert interrupted.last[0] == 0, interrupted.last[2]
    whole, stopped = interrupted.whole.path, interrupted.stopped
    assert weights_of(stopped) == weights_of(whole)
    assert contents_of(stopped / "model" / "members") == contents_of(whole / "model" / "members")
    pd.testing.assert_frame_equal(predictions_of(stopped), predictions_of(whole), check_exact=True)
    evidence = read_json(stopped / "evidence.json")
    for part in ("metrics", "calibration", "operating_point", "confusion"):
        assert evidence[part] == interrupted.whole.evidence[part]
    assert read_plan(stopped / "plan.executed.yaml") == read_plan(whole / "plan.executed.yaml")
    assert evidence["budget"]["used_seconds"] > 0
    assert not list(stopped.rglob("*.part")), "nothing half-written is left"


def test_control_c_stops_cleanly_and_says_how_to_go_on(interrupted: Interrupted) -> None:
    status, _, err = interrupted.by_hand
    assert status == 130
    assert "Traceback" not in err
    assert "stopped by the user; continue with `semeion resume " in err


def test_a_finished_run_is_not_resumed_again(interrupted: Interrupted) -> None:
    from semeion.progress import Silent

    before = contents_of(interrupted.stopped)
    said: list[str] = []

    class Told(Silent):
        def say(self, line: str) -> None:
            said.append(line)

    run = semeion.Study.resume(interrupted.stopped, progress=Told())
    assert said == [f"{interrupted.stopped} is finished; nothing to resume."]
    assert run.path == interrupted.stopped
    assert contents_of(interrupted.stopped) == before


def test_the_executed_plan_of_a_budgeted_run_repeats_its_weights(tmp_path: Path) -> None:
    cohort = make_cohort(tmp_path / "source", split="given", seed=6)
    plan = save_plan(tmp_path, scheme="given", repeats=2, steps=150)
    asked = read_plan(plan)
    asked.members[1].steps = 100_000  # never fits, so it is shortened while it learns
    asked.budget.seconds = 8.0
    write_plan(asked, plan)
    budgeted = train_tiny(cohort, plan, tmp_path / "budgeted")
    budget = budgeted.evidence["budget"]
    assert budget["asked_seconds"] == 8.0
    assert budget["ended"] in ("budget", "no further improvement")
    executed = read_plan(budgeted.path / "plan.executed.yaml")
    assert executed.budget.seconds is None
    assert any(member.shortened for member in executed.members)
    repeated = train_tiny(cohort, budgeted.path / "plan.executed.yaml", tmp_path / "repeated")
    assert weights_of(repeated.path) == weights_of(budgeted.path)
    assert len(weights_of(repeated.path)) == len(executed.members)
    pd.testing.assert_frame_equal(predictions_of(repeated.path), predictions_of(budgeted.path), check_exact=True)


# What ships.


@pytest.fixture(scope="module")
def core_python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_core_environment(tmp_path_factory.mktemp("core") / "venv")


def test_reading_weighing_and_telling_need_no_torch(tiny_run: TinyRun, core_python: Path, tmp_path: Path) -> None:
    table, model = tiny_run.cohort.table, tiny_run.model
    page = tiny_run.path / "report.html"
    before = page.read_bytes()
    page.unlink()
    wanted = {
        "predict": ("predict", model, table, "-o", tmp_path / "findings.csv"),
        "evaluate": ("evaluate", model, table, "-o", tmp_path / "external"),
        "report": ("report", tiny_run.path),
        "check": ("check", table, "--target", "finding", "-o", tmp_path / "check"),
    }
    for name, arguments in wanted.items():
        status, _, err = finish(start(*arguments, python=core_python))
        assert status == 0, f"{name}: {err}"
    assert len(pd.read_csv(tmp_path / "findings.csv")) == 80
    assert read_json(tmp_path / "external" / "evidence.json")["metrics"]["external"]["auroc"]["n"] == 20
    assert (tmp_path / "external" / "evaluate.html").exists()
    assert (tmp_path / "check" / "check.html").exists()
    assert page.read_bytes() == before, "the same artefacts give the same page"


def test_learning_without_torch_says_what_to_install(tiny_run: TinyRun, core_python: Path, tmp_path: Path) -> None:
    asked = ("train", tiny_run.cohort.table, "--target", "finding", "-o", tmp_path / "run")
    status, _, err = finish(start(*asked, python=core_python))
    assert status == 2
    assert err == "semeion: torch: learning needs packages that are not installed; run pip install 'semeion[train]'\n"
    assert not (tmp_path / "run").exists()


def test_the_model_holds_no_patient_no_case_and_no_place(tiny_run: TinyRun) -> None:
    assert PATIENT.encode() in (tiny_run.path / "cohort.parquet").read_bytes(), "the canary is where patients are"
    files = contents_of(tiny_run.model)
    assert set(files) == {
        "model.json",
        "model.sha256",
        "CARD.md",
        "golden.json",
        "members/fold0-seed0.onnx",
        "members/fold1-seed0.onnx",
    }
    rows = tiny_run.cohort.rows
    forbidden = [
        PATIENT,
        str(tiny_run.cohort.table.parent),
        str(tiny_run.path.parent),
        str(Path.home()),
        str(Path.cwd()),
    ]
    forbidden += ["images/000.png", *rows["case_id"]]
    for name, data in files.items():
        for text in forbidden:
            assert text.encode() not in data, f"{text!r} in {name}"
            assert text.encode("utf-16-le") not in data


def test_no_message_or_log_names_a_patient(tiny_run: TinyRun, tmp_path: Path) -> None:
    assert PATIENT.encode() not in (tiny_run.path / "log.jsonl").read_bytes()
    for name in ("report.html", "report.json", "plan.yaml", "fingerprint.json", "evidence.json"):
        assert PATIENT.encode() not in (tiny_run.path / name).read_bytes(), name


# From Python.


def test_importing_semeion_prints_nothing_and_stays_light() -> None:
    code = (
        "import sys, semeion; semeion.SemeionError; semeion.load_model; "
        "print([name for name in ('pandas', 'torch', 'scipy', 'sklearn', 'matplotlib') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120)
    assert (done.stdout, done.stderr) == ("[]\n", "")


def test_the_road_from_python(tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: Any) -> None:
    cohort = make_cohort(tmp_path / "source", n=40)
    plan = save_plan(tmp_path, steps=4)
    monkeypatch.chdir(tmp_path)
    study = semeion.Study("source/cohort.csv", target="finding", positive="benign", group="patient_id")
    assert repr(study) == "Study('cohort.csv', target='finding')"
    edited = yaml.safe_load(plan.read_text())
    edited["target"] |= {"classes": ["malignant", "benign"], "positive": "benign"}
    plan.write_text(yaml.safe_dump(edited))
    run = study.train(output="runs/one", plan="fixed.yaml")
    assert isinstance(run, semeion.Run)
    assert run.path == tmp_path / "runs" / "one"
    assert run.evidence["positive"] == "benign"
    assert run.evidence["metrics"]["oof"]["auroc"]["n"] == 40
    assert isinstance(run.model, semeion.Model)
    findings = run.model.predict([cohort.image(0), cohort.image(1)])
    names = ["case_id", "image", "target", "status", "call", "p_malignant", "p_benign"]
    names += ["mask", "explanation", "reasons", "model"]
    assert list(findings.columns) == names
    assert [f"p_{encode_class(name)}" for name in run.model.classes] == names[5:7]
    assert semeion.load_model("runs/one/model").hash == run.model.hash == findings["model"][0]
    external = run.evaluate("source/cohort.csv", output="runs/external")
    assert external["metrics"]["external"]["auroc"]["n"] == 40
    assert capfd.readouterr() == ("", ""), "a library prints nothing"
    with pytest.raises(semeion.SemeionError, match="already holds a finished run"):
        study.train(output="runs/one", plan="fixed.yaml")
