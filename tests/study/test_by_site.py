"""Leave-one-site-out training: who is held out, what the evidence says of each site, and what is refused."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml

import semeion
from semeion.artefacts import read_json, write_json
from semeion.errors import InputError
from semeion.evidence.foreign.columns import Named
from semeion.plan.networks import Candidate
from semeion.plan.rules import Machine, Measured
from semeion.progress import Silent
from semeion.study.options import RunOptions
from semeion.study.predictions_file import load_predictions
from semeion.study.road import resume_run
from semeion.study.weigh_file import file_evidence
from support.tiny import SIDE, Tiny, TinyRun, make_cohort, save_plan, train_tiny


def three_sites(folder: Path) -> Tiny:
    """72 cases of 36 patients at three sites; at the last all are benign or all cases would be balanced."""
    tiny = make_cohort(folder, n=72, seed=5)
    return tiny.rewrite(site=np.array(["east", "north", "south"])[np.arange(72) // 2 % 3])


def by_site(plan: Path, folds: int = 3, by: str = "site") -> Path:
    raw = yaml.safe_load(plan.read_text())
    raw["validation"] |= {"by": by, "folds": folds}
    plan.write_text(yaml.safe_dump(raw))
    return plan


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> TinyRun:
    folder = tmp_path_factory.mktemp("by-site")
    plan = by_site(save_plan(folder, folds=3, steps=6))
    return train_tiny(three_sites(folder / "cohort"), plan, folder / "run", by="site")


def test_each_site_is_read_by_networks_of_the_others_and_has_figures(run: TinyRun) -> None:
    table = pd.read_parquet(run.path / "predictions.parquet")
    table = table[table["member"] == "ensemble"]
    assert set(table["split"]) == {"oof"}
    assert len(table) == 72
    assert table.groupby("fold")["site"].nunique().tolist() == [1, 1, 1]
    assert run.evidence["validation"] == {
        "scheme": "leave-one-site-out",
        "by": "site",
        "n": 3,
        "held_out": {"0": "east", "1": "north", "2": "south"},
    }
    assert any("planned once, with its cases too" in note for note in run.evidence["notes"])
    assert run.evidence["metrics"]["oof"]["auroc"]["n"] == 72
    for site in ("east", "north", "south"):
        assert run.evidence["strata"]["site"][site]["metrics"]["oof"]["auroc"]["n"] == 24


def test_the_page_calls_it_internal_external_and_never_external(run: TinyRun) -> None:
    first = read_json(run.path / "report.json")["first"]["external"]
    assert first["value"] is False
    assert first["sentence"].startswith("No external validation: ")
    assert "leave-one-site-out (3 sites), internal-external validation" in first["sentence"]
    page = (run.path / "report.html").read_text()
    assert "leave-one-site-out (3 sites)" in page


def test_a_resumed_run_holds_out_the_same_sites(run: TinyRun, tmp_path: Path) -> None:
    copy = tmp_path / "run"
    shutil.copytree(run.path, copy)
    state = read_json(copy / "run.json")
    assert RunOptions.from_json(state["options"]).by == "site"
    write_json(copy / "run.json", {**state, "finished": False})
    for name in ("predictions.parquet", "evidence.json", "report.html"):
        (copy / name).unlink()
    shutil.rmtree(copy / "model")
    resume_run(copy, Silent())
    again = read_json(copy / "evidence.json")
    assert again["metrics"] == run.evidence["metrics"]
    assert again["validation"] == run.evidence["validation"]


def test_planning_makes_a_fold_of_each_site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from semeion.learn import throughput

    candidate = Candidate((SIDE, SIDE), "stretch", (8, 16), 1, 16, 1.0)
    known = Machine(1, 8.0, "cpu", [Measured(candidate, {"float32": 0.002})], {"peak_gib": 0.5})
    monkeypatch.setattr(throughput, "measure_machine", lambda *_, **__: known)
    tiny = three_sites(tmp_path)
    plan = semeion.Study(tiny.table, "finding", by="site").plan(budget="2m")
    assert (plan.validation.scheme, plan.validation.folds, plan.validation.by) == ("folds", 3, "site")
    assert {member.fold for member in plan.members} == {0, 1, 2}
    assert "leave-one-site-out" in plan.validation.why["scheme"]
    with pytest.raises(InputError, match=r"no column 'sites'.*site"):
        semeion.Study(tiny.table, "finding", by="sites").plan(budget="2m")
    one_patient = tiny.rows["patient_id"].where(np.arange(72) != 2, tiny.rows["patient_id"][0])
    moved = tiny.rewrite(patient_id=one_patient)
    with pytest.raises(InputError, match="several values of site"):
        semeion.Study(moved.table, "finding", by="site").plan(budget="2m")


@pytest.mark.parametrize(
    ("sites", "folds", "asked", "message"),
    [
        (None, 3, "site", "no case has a site"),
        (["north"] * 72, 3, "site", "all cases are of 'north'"),
        (["a", "b"] * 36, 3, "site", "several values of site"),
        (["a"] * 36 + ["b"] * 36, 3, "site", r"holds out 3 values of 'site', and the table has 2 \(a, b\)"),
        (["a"] * 36 + ["b"] * 36, 2, "scanner", "--by asks for 'scanner'"),
        ([""] + ["a"] * 35 + ["b"] * 36, 2, "site", "1 of 72 cases have no site"),
    ],
)
def test_sites_that_cannot_be_held_out_are_refused_without_a_trace(
    tmp_path: Path, sites: list[str] | None, folds: int, asked: str, message: str
) -> None:
    tiny = make_cohort(tmp_path / "cohort", n=72, seed=5).rewrite(scanner=["x"] * 72)
    tiny = tiny.rewrite(site=sites) if sites else tiny.rewrite(site=[None] * 72)
    with pytest.raises(InputError, match=message):
        train_tiny(tiny, by_site(save_plan(tmp_path, folds=folds), folds), tmp_path / "run", by=asked)
    assert not (tmp_path / "run").exists()


def test_a_plan_that_draws_its_folds_is_not_called_by_site(tmp_path: Path) -> None:
    tiny = three_sites(tmp_path / "cohort")
    with pytest.raises(InputError, match="the plan draws its folds, and --by asks for 'site'"):
        train_tiny(tiny, save_plan(tmp_path, folds=2), tmp_path / "run", by="site")


def test_weighed_again_the_sets_of_sites_still_promise_nothing(run: TinyRun) -> None:
    loaded = load_predictions(run.path, Named())
    assert loaded.by == "site"
    again = file_evidence(loaded, resamples=20, jobs=1)
    assert again["weighed"]["by"] == "site"
    for name in ("marginal", "per_class"):
        assert run.evidence["sets"]["oof"][name]["promise"] == again["sets"]["oof"][name]["promise"]
    # Test cases beside them get no sets from folds that are sites.
    table = loaded.found.predictions
    test = table.assign(split="test", fold=-1, case_id="t" + table["case_id"], patient_id="t" + table["patient_id"])
    more = replace(loaded, found=replace(loaded.found, predictions=pd.concat([table, test], ignore_index=True)))
    assert file_evidence(more, resamples=20, jobs=1)["sets"]["test"]["reason"].startswith("Each fold is one site")
