"""The road of several targets: one reading, one set of folds, one store; a whole run, model and report for each."""

from __future__ import annotations

import itertools
import json
import pkgutil
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import semeion
from semeion.artefacts import read_json
from semeion.cohort.cohort import CohortOptions, read_cohort
from semeion.errors import InputError, Interrupted, ModelRefused
from semeion.model.several_targets import SeveralModel
from semeion.plan.files import read_plan, write_plan
from semeion.plan.joint import joint_sides
from semeion.plan.recipes import FrozenRecipe
from semeion.progress import Silent
from semeion.study.audit_run import audit_run
from semeion.study.evaluating import evaluate_model
from semeion.study.folder import RunFolder
from semeion.study.inspect import labels
from semeion.study.options import RunOptions
from semeion.study.road import resume_run, start_run
from semeion.study.several import hand_on_features
from support.tiny import MALIGNANT, Tiny, TinyRun, make_cohort, make_plan, save_plan, train_tiny, weights_of

LACKING = (3, 4, 5, 17, 30, 31)
"""Rows without a finding: two patients wholly, and two with one case of two; the first is a test case."""


def several_cohort(folder: Path, n: int = 64) -> Tiny:
    """Write a cohort with a binary finding that some cases lack, and a diameter in mm."""
    tiny = make_cohort(folder, n=n, split="test")
    truth = (tiny.rows["finding"] == MALIGNANT).to_numpy()
    size = np.round(10 + 20 * truth + np.random.default_rng(1).uniform(0, 9, n), 1)
    finding = tiny.rows["finding"].mask(tiny.rows.index.isin(LACKING))
    return tiny.rewrite(finding=finding, diameter=[f"{one} mm" for one in size])


def several_plans(folder: Path, **choices: object) -> Path:
    """Write fixed plans of both targets."""
    folder.mkdir(parents=True, exist_ok=True)
    write_plan(make_plan("binary", **choices), folder / "finding.yaml")  # type: ignore[arg-type]
    write_plan(make_plan("regression", **choices), folder / "diameter.yaml")  # type: ignore[arg-type]
    return folder


ASKED = {"target": "finding,diameter", "task": None}


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> TinyRun:
    """Return a run of two targets, one of which some cases lack."""
    folder = tmp_path_factory.mktemp("several")
    tiny = several_cohort(folder / "data")
    return train_tiny(tiny, several_plans(folder / "plans"), folder / "run", cohort=ASKED)


@pytest.fixture(scope="module")
def told(run: TinyRun) -> pd.DataFrame:
    table = pd.read_parquet(run.path / "predictions.parquet")
    return table[table["member"] == "ensemble"]


def test_a_case_is_held_out_by_the_same_fold_for_every_target(run: TinyRun, told: pd.DataFrame) -> None:
    folds = told.pivot(index="case_id", columns="target", values="fold")
    known = folds.dropna()
    assert len(known) == 64 - len(LACKING)
    assert (known["finding"] == known["diameter"]).all()
    patients = told.groupby("patient_id")["fold"].nunique()
    assert (patients == 1).all()
    sides = {}
    for name in ("finding", "diameter"):
        cohort = read_cohort(run.path / "targets" / name / "cohort.parquet")
        for side in joint_sides(cohort.table, labels(cohort), cohort.target.task, cohort.target.classes):
            for what in ("learn", "validate", "held_out"):
                for row in getattr(side, what):
                    key = (side.fold, cohort.table["patient_id"][row])
                    assert sides.setdefault(key, what) == what, "a patient is on one side for every target"


def test_there_is_a_row_for_each_case_and_target(told: pd.DataFrame) -> None:
    assert told["target"].value_counts().to_dict() == {"diameter": 64, "finding": 64 - len(LACKING)}
    assert not told.duplicated(["case_id", "target", "split"]).any()
    finding, size = told[told["target"] == "finding"], told[told["target"] == "diameter"]
    assert finding[["p_malignant", "p_benign"]].notna().all(axis=None) and finding["y_pred"].isna().all()
    assert size["p_malignant"].isna().all() and size["y_pred"].notna().all()
    assert size["y_true"].astype(float).between(10, 40).all()


def test_the_evidence_has_the_first_target_on_top_and_the_others_whole(run: TinyRun) -> None:
    evidence = run.evidence
    assert evidence["several"] == ["finding", "diameter"]
    assert evidence["target"] == "finding" and evidence["metrics"]["oof"]["auroc"]["n"] == 48 - 5
    assert evidence["metrics"]["test"]["auroc"]["n"] == 16 - 1
    further = evidence["targets"]["diameter"]
    assert further["task"] == "regression" and further["metrics"]["oof"]["mae"]["n"] == 48
    assert further["metrics"]["test"]["mae"]["n"] == 16
    assert "Every value is in mm." in further["why"]
    assert evidence["audits"]["unmatched-files"]["verdict"] == "clear", "the images of others are no forgotten files"
    lacking = [step for step in evidence["flow"] if step["step"] == "with finding"]
    assert "6 cases without finding serve the other target alone (diameter)." in evidence["notes"]
    assert lacking[0]["reason"] == "6 cases without finding serve the other target alone (diameter)"
    assert not [step for step in further["flow"] if step["step"].startswith("with ")]
    own = read_json(run.path / "targets" / "diameter" / "evidence.json")
    assert {key: value for key, value in further.items() if key != "folder"} == own


def test_images_are_prepared_once_and_shared(run: TinyRun) -> None:
    shards = {name: run.path / name / "store" / "shard-0000.bin" for name in (".", "targets/diameter")}
    assert shards["."].stat().st_ino == shards["targets/diameter"].stat().st_ino
    whole = np.fromfile(shards["."], dtype=np.uint8).reshape(64, -1)
    own = np.fromfile(run.path / "targets/finding/store/shard-0000.bin", dtype=np.uint8).reshape(58, -1)
    assert (own == np.delete(whole, LACKING, axis=0)).all()


def test_the_report_names_and_shows_every_target(run: TinyRun) -> None:
    page = (run.path / "report.html").read_text()
    assert "It has 2 targets" in page and 'id="further-0"' in page
    assert "6 cases without finding" in page
    assert (run.path / "targets/diameter/report.html").is_file() and 'href="targets/diameter/report.html"' in page
    content = read_json(run.path / "report.json")["further"]
    assert content["names"] == ["finding", "diameter"]
    shown = {row["key"]: row["value"] for row in content["targets"][0]["figures"]}
    metrics = run.evidence["targets"]["diameter"]["metrics"]["test"]
    assert shown == {key: metrics[key]["value"] for key in shown} and "mae" in shown
    own = read_json(run.path / "targets/diameter/report.json")
    assert own["further"] is None
    assert shown == {row["key"]: row["value"] for row in own["headline"]["figures"]}


def test_the_model_says_a_row_a_case_and_target(run: TinyRun, tmp_path: Path) -> None:
    model = semeion.load_model(run.model)
    assert isinstance(model, SeveralModel)
    images = [str(run.cohort.image(row)) for row in range(3)]
    found = model.predict(images)
    assert found["target"].tolist() == ["finding", "diameter"] * 3
    assert list(found["case_id"]) == ["1", "1", "2", "2", "3", "3"]
    assert set(found["model"]) == {run.evidence["model"]} == {model.hash}
    assert found.loc[found["target"] == "diameter", "p_malignant"].isna().all()
    for name, one in model.models.items():
        alone, own = one.predict(images), found[found["target"] == name]
        assert alone["call"].astype(str).tolist() == own["call"].tolist()
    from semeion.model.findings import write_findings

    for suffix in (".csv", ".json", ".parquet"):
        file = tmp_path / f"findings{suffix}"
        counts = write_findings(model.findings(images), file, model.probability_names, interval=model.has_interval)
        assert counts == {"called": 6}


def test_the_shipped_model_says_of_test_cases_what_was_weighed(run: TinyRun, told: pd.DataFrame) -> None:
    test, place = told[told["split"] == "test"], {name: row for row, name in enumerate(run.cohort.rows["case_id"])}
    found = semeion.load_model(run.model)
    for name, column in (("finding", "p_malignant"), ("diameter", "y_pred")):
        weighed = test[test["target"] == name]
        said = found.predict([str(run.cohort.image(place[case])) for case in weighed["case_id"]])
        said = said[said["target"] == name]
        own = said["call"].astype(float) if name == "diameter" else said[column]
        assert np.allclose(own.to_numpy(), weighed[column].to_numpy(), atol=1e-6)


def test_the_manifest_lists_every_file_of_every_target(run: TinyRun, tmp_path: Path) -> None:
    manifest = read_json(run.model / "model.json")
    assert [one["target"] for one in manifest["targets"]] == ["finding", "diameter"]
    assert read_json(run.model / "targets/diameter/model.json")["unit"] == "mm"
    broken = tmp_path / "model"
    shutil.copytree(run.model, broken)
    (broken / "targets/diameter/CARD.md").write_text("other")
    with pytest.raises(ModelRefused, match="changed or damaged"):
        semeion.load_model(broken)
    shutil.rmtree(broken)
    shutil.copytree(run.model, broken)
    (broken / "targets/finding/extra.txt").write_text("x")
    with pytest.raises(ModelRefused, match=r"'targets/finding/extra.txt' is not listed"):
        semeion.load_model(broken)
    (broken / "targets/finding/extra.txt").unlink()
    raw = json.loads((broken / "model.json").read_text())
    raw["targets"][0]["folder"] = "../elsewhere"
    (broken / "model.json").write_text(json.dumps(raw))
    with pytest.raises(ModelRefused, match="could lead out"):
        semeion.load_model(broken)


def test_a_model_of_one_target_is_asked_for_where_it_is_needed(run: TinyRun) -> None:
    from semeion.model.runtime import load_model

    with pytest.raises(ModelRefused, match=r"model of several targets, and the model of one is needed"):
        load_model(run.model)
    assert load_model(run.model / "targets/finding").task == "binary"


def test_other_cases_weigh_each_target_where_it_is_known(run: TinyRun, tmp_path: Path) -> None:
    tiny = make_cohort(tmp_path / "other", n=24, seed=9, prefix="other")
    size = [None if row in (2, 3) else f"{10 + row} mm" for row in range(24)]
    tiny = tiny.rewrite(diameter=size)
    options = CohortOptions()
    done = evaluate_model(
        run.model, tiny.table, tmp_path / "out", options, skip_bad=False, jobs=1, progress=Silent(), run=run.path
    )
    assert done["metrics"]["external"]["auroc"]["n"] == 24
    assert done["targets"]["diameter"]["metrics"]["external"]["mae"]["n"] == 22
    told = pd.read_parquet(tmp_path / "out" / "predictions.parquet")
    assert told["target"].value_counts().to_dict() == {"finding": 24, "diameter": 22}
    assert "It has 2 targets" in (tmp_path / "out" / "evaluate.html").read_text()
    # Of the targets by name, some suffice; a wrong unit is told.
    inch = tiny.rewrite(diameter=[f"{row} cm" for row in range(24)])
    with pytest.raises(InputError, match=r"values of diameter are in 'cm', and the model measures in 'mm'"):
        evaluate_model(
            run.model,
            inch.table,
            tmp_path / "cm",
            CohortOptions(target="diameter"),
            skip_bad=False,
            jobs=1,
            progress=Silent(),
        )
    assert not (tmp_path / "cm").exists()
    with pytest.raises(InputError, match="does not say which columns hold the model's 2 targets"):
        evaluate_model(
            run.model,
            tiny.table,
            tmp_path / "x",
            CohortOptions(target="size"),
            skip_bad=False,
            jobs=1,
            progress=Silent(),
        )


def test_what_is_of_one_target_names_their_folders(run: TinyRun, tmp_path: Path) -> None:
    from semeion.study.comparing import compare_files

    with pytest.raises(InputError, match=r"holds 2 targets \(finding, diameter\)") as refused:
        audit_run(run.path, tmp_path / "audit", full=False, seconds=None, jobs=1, progress=Silent())
    assert "targets/finding" in str(refused.value)
    with pytest.raises(InputError, match="holds 2 targets"):
        compare_files(run.path, run.path, tmp_path / "compare")
    with pytest.raises(InputError, match="one of several targets of a run"):
        resume_run(run.path / "targets" / "finding", Silent())


def test_a_stopped_run_goes_on_in_the_target_that_was_under_way(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Stopped when the second target begins; the first is not learned again, and the result is the same."""
    tiny, plans = several_cohort(tmp_path / "data", n=32), several_plans(tmp_path / "plans", steps=4)
    from semeion.study import road

    learn = road.learn_images

    def stopped(own: object, plan: object, *rest: object) -> None:
        if plan.target.name == "diameter":  # type: ignore[attr-defined]
            raise Interrupted("stopped by the user")
        learn(own, plan, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(road, "learn_images", stopped)
    told = "stopped by the user; of 2 targets these are weighed and shipped so far, in targets/: finding"
    with pytest.raises(Interrupted, match=told) as raised:
        train_tiny(tiny, plans, tmp_path / "run", cohort=ASKED)
    assert str(raised.value.fix).endswith("run`") and not (tmp_path / "run" / "evidence.json").exists()
    first = tmp_path / "run" / "targets" / "finding" / "members"
    before = {file: file.stat().st_mtime_ns for file in first.rglob("member.json")}
    monkeypatch.setattr(road, "learn_images", learn)
    resume_run(tmp_path / "run", Silent())
    assert {file: file.stat().st_mtime_ns for file in first.rglob("member.json")} == before
    assert read_json(tmp_path / "run" / "evidence.json")["several"] == ["finding", "diameter"]
    assert read_json(tmp_path / "run" / "run.json")["finished"]
    assert read_plan(tmp_path / "run" / "targets/diameter/plan.executed.yaml").target.name == "diameter"


class Killed(BaseException):
    """What nothing catches, as a kill is caught by nothing."""


TURNS = [
    *[("several_plans.write_plan", 2), ("several.prepared_cases", 1), ("road._finish", 1), ("road.write_report", 1)],
    *[("several.own_store", 2), ("road.train_members", 1), ("several_join.write_several", 1)],
    ("several_join.write_report", 1),
]
"""Where the run is killed, in turn: between the plans, in the first target, between, in the second, joining."""


def test_a_run_killed_at_every_turn_ends_as_one_that_was_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tiny, plans = several_cohort(tmp_path / "data", n=32), several_plans(tmp_path / "plans", steps=4)
    whole = train_tiny(tiny, plans, tmp_path / "whole", cohort=ASKED).path
    run = tmp_path / "run"
    for number, (place, call) in enumerate(TURNS):
        with monkeypatch.context() as patched, pytest.raises(Killed):
            name = f"semeion.study.{place}"
            patched.setattr(name, killing(pkgutil.resolve_name(name), call))
            if number:
                resume_run(run, Silent())
            else:
                train_tiny(tiny, plans, run, cohort=ASKED)
    resume_run(run, Silent())
    for name in ("finding", "diameter"):
        assert weights_of(run / "targets" / name) == weights_of(whole / "targets" / name) != {}
    pd.testing.assert_frame_equal(
        pd.read_parquet(run / "predictions.parquet"), pd.read_parquet(whole / "predictions.parquet")
    )
    assert semeion.load_model(run / "model").hash == read_json(run / "evidence.json")["model"]
    assert not [left for left in run.rglob(".*") if left.suffix in (".part", ".old")]


def killing(called: Callable[..., object], call: int) -> Callable[..., object]:
    """Return a function that is killed when it is called for the `call`-th time."""
    calls = itertools.count(1)

    def killed(*given: object, **named: object) -> object:
        if next(calls) == call:
            raise Killed
        return called(*given, **named)

    return killed


def test_frozen_features_of_one_target_serve_the_next(run: TinyRun, tmp_path: Path) -> None:
    done, own = (RunFolder(tmp_path / name) for name in ("finding", "diameter"))
    for folder in (done, own):
        shutil.copytree(run.path / "targets" / folder.path.name, folder.path)
        plan = read_plan(folder / "plan.yaml")
        plan.recipes["frozen"] = FrozenRecipe(backbone="lite0", side=64)
        write_plan(plan, folder / "plan.yaml")
    (done / "features").mkdir()
    (done / "features" / "frozen.onnx").write_bytes(b"graph")
    (done / "features" / "frozen.layers.json").write_text("{}")
    taken = np.arange(58, dtype=np.float32)[:, None] + np.zeros((1, 3), dtype=np.float32)
    np.save(done / "features" / "frozen.npy", taken)
    hand_on_features(done, own)
    found = np.load(own / "features" / "frozen.npy")
    assert np.isnan(found[list(LACKING)]).all() and (own / "features" / "frozen.layers.json").exists()
    assert (np.delete(found, LACKING, axis=0) == taken).all()
    shutil.rmtree(own / "features")
    plan = read_plan(own / "plan.yaml")
    plan.recipes["frozen"] = FrozenRecipe(backbone="lite0", side=96)
    write_plan(plan, own / "plan.yaml")
    hand_on_features(done, own)
    assert not (own / "features").exists(), "features at another size are others"


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"by": "site"}, "--by is of one target, and 2 are named"),
        ({"cluster": "auto"}, "--cluster is of one target"),
        ({"unlabelled": "x"}, "--unlabelled is of one target"),
        ({"ship": "distilled"}, "--ship distilled is of one target"),
        ({"network": "a:b"}, "--network is of one target"),
        ({"plan": "plan.yaml"}, r"several targets \(finding, diameter\) have a plan each"),
    ],
)
def test_what_one_target_alone_can_have_is_refused(tmp_path: Path, options: dict[str, str], said: str) -> None:
    tiny = several_cohort(tmp_path / "data", n=8)
    asked = RunOptions(CohortOptions(target="finding,diameter"), **options)  # type: ignore[arg-type]
    with pytest.raises(InputError, match=said) as refused:
        start_run(tiny.table, asked, tmp_path / "run", Silent())
    assert refused.value.fix
    assert not (tmp_path / "run").exists()


def test_plans_that_differ_in_what_is_shared_are_refused(tmp_path: Path) -> None:
    tiny, plans = several_cohort(tmp_path / "data", n=32), several_plans(tmp_path / "plans")
    save_plan(tmp_path / "other", task="regression", folds=3)
    shutil.copy(tmp_path / "other" / "fixed.yaml", plans / "diameter.yaml")
    with pytest.raises(InputError, match=r"validation.folds differs from that of the plan of finding"):
        train_tiny(tiny, plans, tmp_path / "run", cohort=ASKED)
    assert not (tmp_path / "run").exists()


def test_a_seed_beside_plans_of_another_is_refused(tmp_path: Path) -> None:
    tiny, plans = several_cohort(tmp_path / "data", n=32), several_plans(tmp_path / "plans")
    asked = RunOptions(CohortOptions(target="finding,diameter"), plan=str(plans), seed=9)
    with pytest.raises(InputError, match="the plan holds another seed or operating point"):
        start_run(tiny.table, asked, tmp_path / "run", Silent())
    assert not (tmp_path / "run").exists()


def test_a_patient_whose_targets_are_on_two_sides_of_a_given_split_is_found(tmp_path: Path) -> None:
    """Each target has the patient on one side alone, and the run has him on both."""
    tiny = several_cohort(tmp_path / "data", n=32)
    patient = tiny.rows["patient_id"].value_counts().index[0]
    train, test = tiny.rows.index[tiny.rows["patient_id"] == patient][:2]
    tiny = tiny.rewrite(
        split=tiny.rows["split"].where(tiny.rows.index != test, "test").where(tiny.rows.index != train, "train"),
        finding=tiny.rows["finding"].where(tiny.rows.index != test),
        diameter=tiny.rows["diameter"].where(tiny.rows.index != train),
    )
    with pytest.raises(InputError, match=r"target 'finding': the result would be void") as refused:
        start_run(tiny.table, RunOptions(CohortOptions(target="finding,diameter")), tmp_path / "run", Silent())
    assert "patient-overlap" in str(refused.value.fix)


def test_an_image_left_out_of_the_second_target_alone_is_told_by_the_status(run: TinyRun, tmp_path: Path) -> None:
    from semeion.cli.app import run as command

    tiny = make_cohort(tmp_path / "other", n=24, seed=9, prefix="other")
    image, finding = tiny.rows["image"].mask(tiny.rows.index == 3, "gone.png"), tiny.rows["finding"]
    tiny = tiny.rewrite(
        image=image, finding=finding.mask(tiny.rows.index == 3), diameter=[10 + row for row in range(24)]
    )
    asked = ["evaluate", str(run.model), str(tiny.table), "--skip-bad", "--quiet", "-o", str(tmp_path / "out")]
    assert command(asked, 0.0) == 1
    evidence = read_json(tmp_path / "out" / "evidence.json")
    assert evidence["metrics"]["external"]["auroc"]["n"] == 23
    assert evidence["targets"]["diameter"]["metrics"]["external"]["mae"]["n"] == 23


def test_a_case_without_any_target_is_refused(tmp_path: Path) -> None:
    tiny = several_cohort(tmp_path / "data", n=32)
    tiny = tiny.rewrite(diameter=tiny.rows["diameter"].mask(tiny.rows.index == 4))
    with pytest.raises(InputError, match="no finding or diameter in row 6"):
        train_tiny(tiny, several_plans(tmp_path / "plans"), tmp_path / "run", cohort=ASKED)
