"""The audits that train again, on runs of a dozen steps."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from semeion.artefacts import read_json
from semeion.errors import InputError
from semeion.progress import Silent
from semeion.study import road
from semeion.study.audit_run import audit_run
from semeion.study.full_audits import perturbed_cases
from support.tiny import TinyRun, make_cohort, save_plan, train_tiny


def made(folder: Path, split: str, **choices: Any) -> TinyRun:
    tiny = make_cohort(folder / "source", split=split)
    plan = save_plan(folder, scheme="given" if split else "folds", **choices)
    return train_tiny(tiny, plan, folder / "run")


def audited(run: TinyRun, *, full: bool = True) -> dict[str, Any]:
    return audit_run(run.path, None, full=full, seconds=None, jobs=1, progress=Silent())


@pytest.fixture(scope="module")
def given(tmp_path_factory: pytest.TempPathFactory) -> TinyRun:
    return made(tmp_path_factory.mktemp("given"), "given")


def test_an_honest_run_is_clear_of_both(given: TinyRun) -> None:
    account = audited(given)
    fit, permuted = account["audits"]["fit-on-test"], account["audits"]["label-permutation"]
    assert fit["verdict"] == "clear"
    assert "the weights of seed0" in fit["advice"]
    assert fit["figures"] == {"artefacts": 4, "changed": 0, "perturbed_cases": 20}
    assert permuted["verdict"] == "clear"
    assert permuted["figures"]["permutations"] == 5
    # The run's own evidence and report say so from now on, and so does the account.
    assert read_json(given.path / "evidence.json")["audits"] == account["audits"]
    assert read_json(given.path / "audit" / "audit.json")["audits"] == account["audits"]
    assert "label permutation" in (given.path / "report.html").read_text()
    assert "Nothing voids the result" in (given.path / "audit" / "audit.html").read_text()


def test_folds_are_looked_at_one_by_one(tmp_path: Path) -> None:
    account = audited(made(tmp_path, ""))
    fit = account["audits"]["fit-on-test"]
    assert fit["verdict"] == "clear", fit["advice"]
    assert "the held-out cases of one fold" in fit["advice"]
    assert "the weights of fold0-seed0" in fit["advice"]
    assert account["audits"]["test-reuse"]["verdict"] == "not_run"


def test_learning_from_test_cases_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A fault in the road itself: the test cases are among those that are learned from."""
    real = road.sides_of

    def leaky(*arguments: Any) -> Any:
        held = np.flatnonzero((arguments[0].table["split"] == "test").to_numpy())
        return [replace(side, learn=np.concatenate([side.learn, held])) for side in real(*arguments)]

    monkeypatch.setattr(road, "sides_of", leaky)
    account = audited(made(tmp_path, "given"))
    fit = account["audits"]["fit-on-test"]
    assert fit["verdict"] == "warn"
    assert "the weights of seed0" in fit["advice"]
    assert (tmp_path / "run" / "audit" / "again" / "run.json").exists()  # the control was trained before blaming


def test_without_full_what_trains_is_not_run(tmp_path: Path) -> None:
    run = made(tmp_path, "given")
    account = audited(run, full=False)
    assert account["audits"]["label-permutation"]["verdict"] == "not_run"
    assert "semeion audit --full" in account["audits"]["fit-on-test"]["advice"]
    assert account["audits"]["test-reuse"]["figures"] == {"readings": 1}
    assert account["audits"]["unreadable-images"]["verdict"] == "clear"


def test_an_unfinished_run_is_refused(tmp_path: Path) -> None:
    from semeion.cohort.cohort import CohortOptions
    from semeion.study.folder import RunFolder
    from semeion.study.options import RunOptions

    RunFolder(tmp_path / "run").begin(tmp_path, RunOptions(CohortOptions()))
    with pytest.raises(InputError, match="is not finished; finish it with `semeion resume"):
        audit_run(tmp_path / "run", None, full=False, seconds=None, jobs=1, progress=Silent())


def test_every_held_out_image_is_perturbed_and_no_other(given: TinyRun) -> None:
    from semeion.cohort.cohort import read_cohort

    cohort, facts = read_cohort(given.path / "cohort.parquet"), pd.read_parquet(given.path / "scan.parquet")
    held = (cohort.table["split"] == "test").to_numpy(dtype=bool)
    other, seen = perturbed_cases(cohort, facts, held, labels_too=True)
    assert ((other.table["image"] != cohort.table["image"]).to_numpy() == held).all()
    assert sorted(other.table["y"][held]) == sorted(cohort.table["y"][held])
    assert (other.table["y"][~held] == cohort.table["y"][~held]).all()
    assert (seen["case_id"] == facts["case_id"]).all()
    assert (seen["pixel_hash"] == facts["pixel_hash"]).all()
    assert (seen["thumb"][held] != facts["thumb"][held]).all()
    assert list(seen.dtypes) == list(facts.dtypes)
