"""One network learns from an ensemble and ships alone: it is what is weighed, and never saw whom it is scored on."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import semeion
from report.recomputed import FACTS, Told, check
from semeion.artefacts import read_json
from semeion.cohort.cohort import read_cohort
from semeion.errors import InputError, Interrupted, TrainingFailed
from semeion.evidence.foreign.columns import Named
from semeion.learn.member import train_member
from semeion.plan.files import read_plan, write_plan
from semeion.plan.schema import Plan
from semeion.prepare.store import open_store
from semeion.progress import Silent
from semeion.report.members import ensemble
from semeion.study import distilling
from semeion.study.clock import Clock
from semeion.study.folder import RunFolder
from semeion.study.full_audits import artefact_hashes, short_plan
from semeion.study.inspect import labels
from semeion.study.learning import train_members
from semeion.study.options import RunOptions
from semeion.study.predictions_file import load_predictions
from semeion.study.road import groups_of, resume_run, sides_of
from semeion.study.softening import unsureness
from semeion.study.taught import OTHER_IMAGES
from semeion.study.weigh_file import file_evidence
from support.tiny import TARGETS, TinyRun, make_cohort, make_plan, picture, train_tiny, weights_of, write_picture

IMAGES = 10
STUDENT = {"given": "student-seed0", "folds": "student-fold0-seed0"}


def fixed(scheme: str, task: str = "binary", images: int = 0, **section: Any) -> Plan:
    """Return a plan of two members a fold, and a student of each."""
    fields = make_plan(task, scheme=scheme, repeats=2, steps=6).model_dump(by_alias=True)
    training = {**fields["training"], "label_smoothing": 0.0}
    fields["recipes"] = {"student": {"kind": "network", "network": fields["network"], "training": training}}
    folds = (0, 1) if scheme == "folds" else (-1,)
    students = [
        {
            "name": f"student-fold{fold}-seed0" if fold >= 0 else "student-seed0",
            "recipe": "student",
            "fold": fold,
            "seed": 70 + fold,
            "steps": 8,
        }
        for fold in folds
    ]
    fields["distillation"] = {"share": 0.2, "images": images, "students": students, **section}
    fields["combination"] = {"method": "chosen", "ship": "distilled"}
    return Plan.model_validate(fields)


def run_of(home: Path, plan: Plan, name: str = "run", **options: Any) -> TinyRun:
    task = next(key for key, target in TARGETS.items() if target["name"] == plan.target.name)
    split = "given" if plan.validation.scheme == "given" else "test"
    if not (home / "source").exists():
        make_cohort(home / "source", task=task, split=split)
    tiny = make_cohort(home / "source", task=task, split=split)
    write_plan(plan, home / f"{name}.yaml")
    return train_tiny(tiny, home / f"{name}.yaml", home / name, **options)


@pytest.fixture(scope="module")
def given(tmp_path_factory: pytest.TempPathFactory) -> TinyRun:
    return run_of(tmp_path_factory.mktemp("given"), fixed("given"))


@pytest.fixture(scope="module")
def folds(tmp_path_factory: pytest.TempPathFactory) -> TinyRun:
    return run_of(tmp_path_factory.mktemp("folds"), fixed("folds"))


def again(finished: TinyRun, home: Path, y: Any) -> dict[str, bytes]:
    """Learn ensemble and students anew from other labels, with the sides that the true ones gave; return weights."""
    cohort, facts = read_cohort(finished.path / "cohort.parquet"), pd.read_parquet(finished.path / "scan.parquet")
    plan, run, store = read_plan(finished.path / "plan.yaml"), RunFolder(home), open_store(finished.path / "store")
    parts, groups, clock = sides_of(cohort, facts, plan), groups_of(cohort, facts), Clock()
    trained = train_members(run, plan, store, y, groups, parts, clock, Silent(), lambda: False, jobs=1)
    distilling.distil(run, plan, trained, store, y, parts, None, RunOptions(), clock, Silent(), lambda: False)
    return weights_of(home)


@pytest.mark.parametrize("scheme", ["given", "folds"])
def test_labels_of_whom_a_student_is_scored_on_never_reach_it(
    scheme: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    finished: TinyRun = request.getfixturevalue(scheme)
    cohort, facts = read_cohort(finished.path / "cohort.parquet"), pd.read_parquet(finished.path / "scan.parquet")
    y = labels(cohort)
    absurd = y.copy()
    held = sides_of(cohort, facts, read_plan(finished.path / "plan.yaml"))[0].held_out
    if scheme == "given":
        held = np.flatnonzero(cohort.table["split"] == "test")
    assert len(held) > 5
    absurd[held] = 1 - y[held]
    before, after = weights_of(finished.path), again(finished, tmp_path / "other", absurd)
    assert after[STUDENT[scheme]] == before[STUDENT[scheme]]
    if scheme == "folds":
        assert after["student-fold1-seed0"] != before["student-fold1-seed0"], "who does learn from them notices"


def test_it_is_taught_by_its_own_folds_members_about_learning_cases_alone(
    folds: TinyRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: dict[str, Any] = {}
    real = train_member

    def watched(plan: Plan, member: Any, store: Any, y: Any, sides: Any, *rest: Any) -> Any:
        seen[member.name] = (sides, rest[3])
        return real(plan, member, store, y, sides, *rest)

    monkeypatch.setattr("semeion.learn.member.train_member", watched)
    cohort = read_cohort(folds.path / "cohort.parquet")
    again(folds, tmp_path / "other", labels(cohort))
    side, taught = seen["student-fold0-seed0"]
    known = ~np.isnan(taught.shares).any(axis=1)
    assert set(np.flatnonzero(known)) == set(side.learn)
    np.testing.assert_allclose(taught.shares[side.learn].sum(axis=1), 1)
    assert not set(side.learn) & {*side.held_out, *side.validate}
    assert seen["fold0-seed0"][1] is None, "members are taught the reference standard"


@pytest.mark.parametrize("scheme", ["given", "folds"])
def test_the_model_is_one_graph_that_says_what_was_weighed(scheme: str, request: pytest.FixtureRequest) -> None:
    run: TinyRun = request.getfixturevalue(scheme)
    model = semeion.load_model(run.model)
    ships = run.evidence["distillation"]["ships"]
    assert [member.name for member in model.manifest.members] == [ships]
    assert len(list(run.model.rglob("*.onnx"))) == 1
    rows = run.cohort.rows
    asked = rows.loc[rows["split"] == "test", ["case_id", "image"]]
    asked = asked.assign(image=[str(run.cohort.table.parent / name) for name in asked["image"]])
    found = model.predict(asked).set_index("case_id")
    table = pd.read_parquet(run.path / "predictions.parquet")
    test = table[table["split"] == "test"]
    weighed = test[test["member"] == "ensemble"].set_index("case_id").loc[found.index]
    np.testing.assert_allclose(found["p_malignant"], weighed["p_malignant"], rtol=0, atol=1e-12)
    own = test[test["member"] == ships].set_index("case_id").loc[found.index]
    np.testing.assert_array_equal(own["raw_malignant"], weighed["raw_malignant"])
    shares = test[~test["member"].isin(["ensemble", "teacher"])].groupby("member")["share"].first()
    assert shares[ships] == 1
    assert shares.sum() == 1


@pytest.mark.parametrize("scheme", ["given", "folds"])
def test_the_evidence_says_whose_figures_they_are(scheme: str, request: pytest.FixtureRequest) -> None:
    run: TinyRun = request.getfixturevalue(scheme)
    told, split = run.evidence["distillation"], "test"
    gain = told["difference"][split]["auroc"]
    own, teacher = run.evidence["metrics"][split]["auroc"], told["metrics"][split]["auroc"]
    assert gain["value"] == pytest.approx(own["value"] - teacher["value"])
    assert gain["low"] <= gain["value"] <= gain["high"]
    assert gain["verdict"] in {"student", "teacher", "none", "unknown"}
    assert told["networks"]["teacher"] > told["networks"]["student"] == 1
    assert told["bytes"]["teacher"] > told["bytes"]["student"] > 0
    members = {one["name"]: one["share"] for one in run.evidence["members"]}
    assert {name for name, share in members.items() if share} == {told["ships"]}
    for one in told["students"]:
        assert one["temperature"] >= 1
        assert one["unsure"]["taught"] >= one["unsure"]["learned"] - 1e-12
    notes = " ".join(run.evidence["notes"])
    assert ("describe the procedure. student-fold" in notes) == (scheme == "folds")
    page = (run.path / "report.html").read_text()
    assert "<dt>Whose figures</dt><dd><p>One network: it learned from an ensemble of " in page
    assert ("Its figures are its own, and those out of fold are of such networks of all folds" in page) == (
        scheme == "folds"
    )
    assert "Beside the ensemble that taught it" in page
    card = next(run.model.glob("*.md")).read_text()
    assert "one network ships alone, and figures are of what ships" in card


def test_every_number_of_the_report_is_that_of_its_predictions(folds: TinyRun) -> None:
    report, cohort = read_json(folds.path / "report.json"), pd.read_parquet(folds.path / "cohort.parquet")
    known = cohort[["case_id", "site"]]
    loaded = load_predictions(folds.path, Named())
    loaded = replace(loaded, found=replace(loaded.found, strata=known))
    weighed = file_evidence(loaded, jobs=1, **folds.evidence["bootstrap"])
    figures = Told(pd.read_parquet(folds.path / "predictions.parquet"), folds.evidence, weighed, known, cohort)
    images = {"audits/rows/[^/]+/figures": "audits see images and training cases too, see tests/audit"}
    assert check(report, figures, FACTS | images)["distillation/rows/(\\d+)"] > 20


def test_the_executed_plan_repeats_it_bit_for_bit(folds: TinyRun, tmp_path: Path) -> None:
    executed = read_plan(folds.path / "plan.executed.yaml")
    assert executed.distillation is not None
    repeated = run_of(tmp_path, executed)
    assert weights_of(repeated.path) == weights_of(folds.path)
    assert repeated.evidence["metrics"] == folds.evidence["metrics"]


def test_stopped_while_it_learns_the_ensemble_ships_and_a_resume_learns_the_same(
    folds: TinyRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = distilling.learn_network

    def stopped(plan: Plan, student: Any, *rest: Any) -> None:
        if student.fold == 1:
            raise Interrupted("stopped by the user")
        real(plan, student, *rest)

    monkeypatch.setattr(distilling, "learn_network", stopped)
    with pytest.raises(Interrupted, match="weighed and shipped"):
        run_of(tmp_path, fixed("folds"))
    evidence = json.loads((tmp_path / "run" / "evidence.json").read_text())
    assert distilling.INSTEAD in evidence["notes"]
    assert "distillation" not in evidence
    assert len(semeion.load_model(tmp_path / "run" / "model").manifest.members) == 4
    executed = read_plan(tmp_path / "run" / "plan.executed.yaml")
    assert (executed.distillation, executed.combination.ship) == (None, "ensemble")
    monkeypatch.setattr(distilling, "learn_network", real)
    resume_run(tmp_path / "run", Silent())
    assert weights_of(tmp_path / "run") == weights_of(folds.path)


def test_where_a_student_cannot_learn_the_ensemble_ships_and_the_page_says_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(_plan: Plan, student: Any, *_rest: Any) -> None:
        raise TrainingFailed("the training loss is not a finite number", where=f"member {student.name}", fix="lower it")

    monkeypatch.setattr(distilling, "learn_network", failing)
    run = run_of(tmp_path, fixed("given"))
    (note,) = [one for one in run.evidence["notes"] if "so the ensemble itself ships and is weighed" in one]
    assert "(member student-seed0: the training loss is not a finite number)" in note
    assert note in (run.path / "report.html").read_text()
    assert "distillation" not in run.evidence
    assert {member.name for member in semeion.load_model(run.model).manifest.members} == {"seed0", "seed1"}
    assert read_plan(run.path / "plan.executed.yaml").combination.why["ship"] == note


def test_where_memory_runs_out_a_student_learns_with_half_the_batch(
    given: TinyRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = distilling.learn_network

    def scarce(plan: Plan, student: Any, *rest: Any) -> None:
        recipe = plan.recipe_of(student)
        if recipe.training.batch > 8:  # type: ignore[union-attr]
            raise MemoryError
        if not (tmp_path / "killed").exists():
            (tmp_path / "killed").touch()
            raise KeyboardInterrupt
        real(plan, student, *rest)

    monkeypatch.setattr(distilling, "learn_network", scarce)
    with pytest.raises(Interrupted):
        run_of(tmp_path, fixed("given"))
    resume_run(tmp_path / "run", Silent())
    evidence = json.loads((tmp_path / "run" / "evidence.json").read_text())
    assert len([one for one in evidence["notes"] if "student-seed0" in one and "batches of 8" in one]) == 1
    executed = read_plan(tmp_path / "run" / "plan.executed.yaml")
    assert executed.distillation is not None
    (student,) = executed.distillation.students
    assert (student.recipe, student.steps) == ("student-b8", 16), "it sees as many images"
    assert "one network ships alone" in next((tmp_path / "run" / "model").glob("*.md")).read_text()
    assert ensemble(evidence["members"]) == "2 members that taught a network, which ships alone"
    before, after = weights_of(given.path), weights_of(tmp_path / "run")
    assert after["seed0"] == before["seed0"]
    monkeypatch.setattr(distilling, "learn_network", real)
    assert weights_of(run_of(tmp_path, executed, "again").path) == after


@pytest.mark.parametrize("task", ["ordinal", "multilabel", "regression"])
def test_every_task_is_distilled(task: str, tmp_path: Path) -> None:
    run = run_of(tmp_path, fixed("given", task))
    told = run.evidence["distillation"]
    name = "mae" if task == "regression" else "auroc"
    assert told["difference"]["test"][name]["value"] is not None
    assert (told["students"][0]["unsure"] == {}) == (task == "regression")
    if task == "multilabel":
        assert set(told["targets"]) == {"edema", "nodule"}


def test_images_without_labels_are_taught_by_the_ensembles_words_alone(
    given: TinyRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rng = np.random.default_rng(50)
    for number in range(IMAGES + 2):
        write_picture(tmp_path / "images" / f"{number}.png", picture(rng, float(rng.uniform())))
    words: list[Any] = []
    real = distilling.words_about_images
    monkeypatch.setattr(distilling, "words_about_images", lambda *a: words.append(real(*a)) or words[-1])
    run = run_of(tmp_path, fixed("given", images=IMAGES), unlabelled=str(tmp_path / "images"))
    assert words[0].shape == (IMAGES, 2)
    assert unsureness(words[0], "binary") > 0
    assert run.evidence["distillation"]["images"] == IMAGES
    before, after = weights_of(given.path), weights_of(run.path)
    assert after["seed0"] == before["seed0"], "the ensemble does not learn from them"
    assert after["student-seed0"] != before["student-seed0"]
    executed = read_plan(run.path / "plan.executed.yaml")
    assert executed.distillation is not None and executed.distillation.sha256
    assert OTHER_IMAGES not in run.evidence["notes"]
    executed.distillation.sha256 = "0" * 64
    other = run_of(tmp_path, executed, "other", unlabelled=str(tmp_path / "images"))
    assert OTHER_IMAGES in other.evidence["notes"]
    assert weights_of(other.path) == after
    with pytest.raises(InputError, match="teaches one network of images without labels, and none are given"):
        run_of(tmp_path, fixed("given", images=IMAGES), "without")


def test_the_full_audit_looks_at_students_too(folds: TinyRun) -> None:
    executed = read_plan(folds.path / "plan.executed.yaml")
    short = short_plan(executed)
    assert short.distillation is not None
    assert short.distillation.images == 0
    assert len(short.members) == 2
    Plan.model_validate(short.model_dump(by_alias=True))
    cohort, facts = read_cohort(folds.path / "cohort.parquet"), pd.read_parquet(folds.path / "scan.parquet")
    names = artefact_hashes(folds.path, executed, cohort, facts)
    assert "the weights of student-fold0-seed0" in names
    assert "the weights of student-fold1-seed0" not in names, "who learned from fold 0's held-out cases"
    executed.distillation.students[0].name = "not-learned"  # type: ignore[union-attr]
    assert names.items() - artefact_hashes(folds.path, executed, cohort, facts).items() == {
        ("the weights of student-fold0-seed0", names["the weights of student-fold0-seed0"])
    }


def test_a_plan_that_has_no_student_and_the_option_do_not_fit(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="the plan ships the ensemble, and has no student"):
        run_of(tmp_path, make_plan(), ship="distilled")
