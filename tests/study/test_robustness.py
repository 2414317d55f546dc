"""Test images made worse, read by a shipped model: the whole way on small runs."""

from __future__ import annotations

import shutil
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from semeion.artefacts import read_json, write_json
from semeion.audit.degrade import Seen, degradations
from semeion.cohort.cohort import Cohort, read_cohort
from semeion.errors import InputError
from semeion.evidence.use.operating import OperatingPoints
from semeion.evidence.use.robustness import UNDEGRADED, robustness
from semeion.progress import Silent
from semeion.report.page import write_report
from semeion.study import audit_run as audit_module
from semeion.study import robustness as module
from semeion.study.degrading import Reader
from semeion.study.folder import RunFolder
from semeion.study.robustness import (
    FILE,
    draw_patients,
    measure_robustness,
    measure_within_budget,
    question_of,
    seen_of,
)
from support.spheres import make_spheres
from support.tiny import TinyRun, make_cohort, save_plan, train_tiny

Table = dict[str, Any]


@pytest.fixture
def run(tiny_run: TinyRun, tmp_path: Path) -> RunFolder:
    """A copy of the finished run on 80 pictures, 20 of them test cases of 10 patients."""
    return RunFolder(Path(shutil.copytree(tiny_run.path, tmp_path / "run")))


def parts(run: RunFolder) -> tuple[Cohort, pd.DataFrame, Table, OperatingPoints | None]:
    evidence = read_json(run / "evidence.json")
    points = audit_module.points_of(evidence)
    return read_cohort(run / "cohort.parquet"), pd.read_parquet(run / "scan.parquet"), evidence, points


@pytest.fixture(autouse=True)
def quick(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Spare resamples and degradations where nothing hangs on them."""
    if request.node.name in ("test_the_table_gives_every_figure", "test_volumes_are_made_worse_on_their_own_grid"):
        return
    monkeypatch.setattr(module, "robustness", partial(robustness, resamples=50))

    def two(seen: Seen) -> Any:
        found, reasons = degradations(seen)
        return tuple(one for one in found if one.name in ("noise", "jpeg")), reasons

    monkeypatch.setattr(module, "degradations", two)


def measure(run: RunFolder, **choices: Any) -> Table:
    return measure_robustness(run, *parts(run), **{"seed": 0, "jobs": 1, "progress": Silent(), **choices})


def no_reading(*_: Any) -> Any:
    raise AssertionError("what was read is read again")


def test_the_table_gives_every_figure(run: RunFolder) -> None:
    evidence = read_json(run / "evidence.json")
    found = measure(run)
    about = found["about"]
    assert about["measured"]
    assert (about["n"], about["n_patients"], about["of_patients"]) == (20, 10, 10)
    assert about["model"] == evidence["model"]
    assert about["largest_deviation"] < 1e-12
    for name, figure in about["undegraded"].items():
        assert figure["value"] == evidence["metrics"]["test"][name]["value"]
        assert figure["low"] == evidence["metrics"]["test"][name]["low"]
    assert set(found["test"]) == {"noise", "blur", "contrast", "crop", "rotation", "jpeg"}
    assert set(about["not_applicable"]) == {"low_dose"}
    for name, curve in found["test"].items():
        assert [set(entry) for entry in curve] == [{"unit", "strength", "metrics", "difference"}] * 4, name
        assert {entry["unit"] for entry in curve} == {about["degradations"][name]["unit"]}
    table = pd.read_parquet(run / FILE)
    assert len(table) == 20 * (1 + 6 * 4)
    again = robustness(table, question_of(evidence), parts(run)[3], seed=0)
    for name, curve in again["curves"].items():
        for one, other in zip(curve, found["test"][name], strict=True):
            assert one["metrics"] == other["metrics"]
            assert one["difference"] == other["difference"]
    # A disc of a brightness: without contrast nothing is left of it.
    gone = found["test"]["contrast"][-1]["metrics"]["changed"]["value"]
    assert gone > found["test"]["jpeg"][0]["metrics"]["changed"]["value"]
    strips = read_json(run / "gallery" / "robustness.json")
    assert strips["case_id"] in set(table["case_id"])
    assert all((run / "gallery" / strip["file"]).read_bytes().startswith(b"\x89PNG") for strip in strips["strips"])
    # The test cases were read for nothing that is chosen: the reading of the weighing counts, and no other.
    assert read_json(run / "readings.json") == {"test": 1}


def test_what_was_read_is_not_read_again_whatever_the_threads(run: RunFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    first = measure(run)
    table = pd.read_parquet(run / FILE)
    with monkeypatch.context() as patch:
        patch.setattr(Reader, "read", no_reading)
        assert measure(run) == first
    shutil.rmtree(run / "audit")
    assert measure(run, jobs=3) == first
    pd.testing.assert_frame_equal(pd.read_parquet(run / FILE), table)
    assert measure(run, seed=1)["about"]["seed"] == 1
    assert not pd.read_parquet(run / FILE).equals(table)


def test_an_interrupted_reading_goes_on(run: RunFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = measure(run)
    shutil.rmtree(run / "audit")
    real, calls = Reader.read, []

    def stopping(self: Reader, cases: Any, *rest: Any) -> Any:
        calls.append(len(cases))
        if len(calls) == 2:
            raise KeyboardInterrupt
        return real(self, cases, *rest)

    monkeypatch.setattr(Reader, "read", stopping)
    with pytest.raises(KeyboardInterrupt):
        measure(run)
    assert pd.read_parquet(run / FILE)["case_id"].nunique() == calls[0] == 2
    assert measure(run) == whole
    assert sum(calls) - calls[1] == 20


def test_too_little_time_is_said_and_a_short_reading_is_the_beginning_of_a_long_one(
    run: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    short = measure(run, seconds=1e-9)
    assert short["about"]["measured"] is False
    assert "reading 10 patients in 9 versions takes about" in short["about"]["reason"]
    assert short["about"]["command"] == "semeion audit RUN --full"
    assert "test" not in short
    monkeypatch.setattr(module, "FEWEST_PATIENTS", 1)
    few = measure(run, seconds=1e-9)
    assert few["about"]["measured"]
    assert few["about"]["n_patients"] < few["about"]["of_patients"] == 10
    first = draw_patients(parts(run)[0], 0).rows[0]
    cases = set(parts(run)[0].table["case_id"].iloc[first])
    assert cases <= set(pd.read_parquet(run / FILE)["case_id"])
    assert measure(run)["about"]["n_patients"] == 10


def test_of_many_patients_some_are_drawn(run: RunFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_PATIENTS", 6)
    about = measure(run)["about"]
    assert (about["n_patients"], about["of_patients"], about["n"]) == (6, 10, 12)
    drawn = [tuple(rows) for rows in draw_patients(parts(run)[0], 0).rows]
    assert len(set(drawn)) == 6
    assert drawn != [tuple(rows) for rows in draw_patients(parts(run)[0], 1).rows]


def test_why_nothing_is_measured_is_said(run: RunFolder, tiny_run: TinyRun) -> None:
    cohort, facts, evidence, points = parts(run)

    def why(cohort: Cohort = cohort, **changed: Any) -> Table:
        asked = {"seed": 0, "jobs": 1, "progress": Silent()}
        told = measure_robustness(run, cohort, facts, {**evidence, **changed}, points, **asked)["about"]
        assert told["measured"] is False
        return dict(told)

    table = cohort.table.assign(split=cohort.table["split"].replace("test", "val"))
    assert why(replace(cohort, table=table)) == {
        "measured": False,
        "reason": "there are no test cases",
        "command": None,
    }
    assert "masks" in why(task="segmentation")["reason"]
    assert "is not the model" in why(model="0" * 64)["reason"]
    lost = cohort.table.assign(image=cohort.table["image"] + ".lost")
    told = why(replace(cohort, table=lost))
    assert "does not exist" in told["reason"]
    assert told["reason"].startswith("case ")
    assert ".lost" not in told["reason"]  # The reason stands on the page, and a file's name may be a patient's.
    assert told["command"] == "semeion audit RUN --full"
    graph = next((run / "model" / "members").iterdir())
    graph.write_bytes(graph.read_bytes() + b"x")
    assert "the shipped model cannot be read" in why()["reason"]
    shutil.rmtree(run / "model")
    assert why()["reason"] == "the run has no model"


def test_a_run_without_a_budget_measures_nothing_and_says_how_to(run: RunFolder, tiny_run: TinyRun) -> None:
    about = tiny_run.evidence["robustness"]["about"]
    assert about["measured"] is False
    assert "no budget" in about["reason"]
    page = (tiny_run.path / "report.html").read_text(encoding="utf-8")
    assert "<code>semeion audit RUN --full</code> measures how" in page
    assert not (tiny_run.path / FILE).exists()
    given = parts(run)
    none = measure_within_budget(run, *given, budget=100.0, left=1.0, reserve=8.0)["about"]
    assert none["reason"] == "nothing was left of the budget"
    found = measure_within_budget(run, *given, budget=20000.0, left=20000.0, reserve=4.0)["about"]
    assert found["measured"]
    (run / "retrained.json").write_text("{}", encoding="utf-8")
    audited = measure_within_budget(run, *given, budget=20000.0, left=20000.0, reserve=4.0)["about"]
    assert "for an audit" in audited["reason"]


def test_the_full_audit_measures_and_the_report_tells(run: RunFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(audit_module, "run_full_audits", lambda *_: {})
    asked: Table = {"seconds": None, "jobs": 1, "progress": Silent()}
    audit_module.audit_run(run.path, None, full=True, **asked)
    evidence = read_json(run / "evidence.json")
    assert evidence["robustness"]["about"]["measured"]
    page = (run / "report.html").read_text(encoding="utf-8")
    assert '<section id="robustness">' in page
    assert 'id="robust-jpeg-title"' in page
    assert "as the network sees it: as it is, noise of 2" in page
    # Without --full the curves stay, and so they do where images are gone.
    audit_module.audit_run(run.path, None, full=False, **asked)
    assert read_json(run / "evidence.json")["robustness"] == evidence["robustness"]
    shutil.rmtree(run / "audit")
    evidence["robustness"]["about"]["n"] = 19
    write_json(run / "evidence.json", evidence)
    monkeypatch.setattr(Reader, "read", lambda *_: (_ for _ in ()).throw(InputError("is gone", where="x", fix="y")))
    audit_module.audit_run(run.path, None, full=True, **asked)
    assert read_json(run / "evidence.json")["robustness"]["about"]["n"] == 19


@pytest.mark.parametrize("task", ["multilabel", "regression"])
def test_labels_and_measured_values(task: str, tmp_path: Path) -> None:
    made = train_tiny(
        make_cohort(tmp_path / "source", task=task, split="given"),
        save_plan(tmp_path, task=task, scheme="given", steps=3),
        tmp_path / "run",
    )
    found = measure(RunFolder(made.path))
    assert found["about"]["measured"], found["about"]
    figures = found["test"]["noise"][-1]["metrics"]
    assert set(figures) == ({"mae", "shift"} if task == "regression" else {"auroc", "recall", "specificity", "changed"})
    own = made.evidence["metrics"]["test"]
    for name, figure in found["about"]["undegraded"].items():
        assert figure["value"] == pytest.approx(own[name]["value"], abs=1e-9)
    if task == "regression":
        write_json(made.path / "evidence.json", {**made.evidence, "robustness": found})
        page = write_report(made.path).read_text(encoding="utf-8")
        assert "Mean absolute error by strength" in page


def test_volumes_are_made_worse_on_their_own_grid(tmp_path: Path) -> None:
    from semeion.cohort.cohort import CohortOptions
    from semeion.plan.files import write_plan
    from semeion.plan.schema import Plan
    from semeion.study.options import RunOptions
    from semeion.study.road import start_run

    table = make_spheres(tmp_path / "source", n=24)
    plan = Plan.model_validate(
        {
            "schema": 1,
            "seed": 3,
            "target": {
                "name": "finding",
                "task": "binary",
                "classes": ["benign", "malignant"],
                "positive": "malignant",
            },
            "images": {"kind": "volume"},
            "preparation": {
                "channels": ["image"],
                "size": [10, 16, 16],
                "interpolation": "linear",
                "intensity": [{"kind": "percentiles", "foreground": "nonzero", "clip": [0.005, 0.995]}],
            },
            "network": {"kind": "slices", "widths": [4, 8], "dropout": 0.0},
            "training": {"batch": 8, "learning_rate": 0.02, "threads": 1, "evaluations": 3},
            "validation": {"scheme": "given"},
            "members": [{"name": "seed0", "seed": 1, "steps": 4}],
        }
    )
    write_plan(plan, tmp_path / "plan.yaml")
    options = RunOptions(CohortOptions(target="finding"), plan=str(tmp_path / "plan.yaml"), jobs=1)
    run = RunFolder(start_run(table, options, tmp_path / "run", Silent()))
    cohort, facts, _, _ = parts(run)
    assert seen_of(cohort, facts, np.arange(4)).sized
    found = measure(run)
    assert found["about"]["measured"], found["about"]
    assert set(found["test"]) == {"noise", "blur", "contrast", "rotation"}
    assert set(found["about"]["not_applicable"]) == {"crop", "jpeg", "low_dose"}
    assert {entry["unit"] for entry in found["test"]["blur"]} == {"mm"}
    assert found["about"]["largest_deviation"] < 1e-6
    table_of = pd.read_parquet(run / FILE)
    whole = table_of[table_of["degradation"] == UNDEGRADED].set_index("case_id")["raw_malignant"]
    blurred = table_of[(table_of["degradation"] == "blur") & (table_of["strength"] == 4)].set_index("case_id")
    assert (blurred["raw_malignant"] - whole).abs().max() > 0
    assert (run / "gallery" / "robustness-blur.png").exists()
