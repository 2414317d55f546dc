"""External validation of a diagnosis from measurements: masks are drawn, measured and classified anew."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import accuracy_score, roc_auc_score

from semeion.artefacts import read_json
from semeion.cohort.cohort import CohortOptions
from semeion.errors import InputError
from semeion.model.runtime import load_model
from semeion.plan.files import write_plan
from semeion.progress import Silent
from semeion.study.evaluating import evaluate_model
from semeion.study.options import RunOptions
from semeion.study.road import start_run
from support.hearts import FAILING, PATIENT, STRUCTURES, make_hearts, measured_plan

pytestmark = pytest.mark.usefixtures("few_trees")


@pytest.fixture(scope="module", name="model")
def _model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("hearts")
    table = make_hearts(home / "source", patients=12, test=4)
    write_plan(measured_plan(steps=40), home / "plan.yaml")
    cohort = CohortOptions(target="group", structures=STRUCTURES)
    return start_run(table, RunOptions(cohort, plan=str(home / "plan.yaml"), jobs=1), home / "run", Silent()) / "model"


@pytest.fixture
def elsewhere(tmp_path: Path) -> Path:
    """Hearts of another hospital, without reference masks and without a split."""
    table = make_hearts(tmp_path / "elsewhere", patients=8, test=0, seed=4)
    rows = pd.read_csv(table)
    rows.drop(columns=[name for name in rows if name.startswith(("mask", "split"))]).to_csv(table, index=False)
    return table


def evaluate(model: Path, table: Path, output: Path, *, skip_bad: bool = False, **options: Any) -> dict[str, Any]:
    return evaluate_model(model, table, output, CohortOptions(**options), skip_bad=skip_bad, jobs=1, progress=Silent())


def test_figures_are_those_of_the_shipped_model(model: Path, elsewhere: Path, tmp_path: Path) -> None:
    evidence = evaluate(model, elsewhere, tmp_path / "out")
    figures = {name: entry["value"] for name, entry in evidence["metrics"]["external"].items()}
    found = load_model(model, threads=1).predict(elsewhere)
    truth = pd.read_csv(elsewhere)["group"] == FAILING
    p = found[f"p_{FAILING}"]
    assert figures["auroc"] == pytest.approx(roc_auc_score(truth, p), abs=1e-12)
    assert figures["accuracy"] == pytest.approx(accuracy_score(truth, found["call"] == FAILING), abs=1e-12)
    table = pd.read_parquet(tmp_path / "out" / "predictions.parquet")
    np.testing.assert_array_equal(table[f"p_{FAILING}"], p)
    assert set(table["split"]) == {"external"}
    stated = read_json(model / "model.json")["operating_point"]
    assert evidence["operating_point"]["value"] == stated["value"]
    page = (tmp_path / "out" / "evaluate.html").read_text()
    assert page
    assert PATIENT not in page


def test_a_frame_that_cannot_be_read_stops_it_or_is_left_out(model: Path, elsewhere: Path, tmp_path: Path) -> None:
    rows = pd.read_csv(elsewhere)
    (elsewhere.parent / rows["image.ES"][3]).unlink()
    with pytest.raises(InputError, match=r"1 of 8 images cannot be read(.|\n)*missing-file"):
        evaluate(model, elsewhere, tmp_path / "out")
    assert not (tmp_path / "out").exists()
    evidence = evaluate(model, elsewhere, tmp_path / "out", skip_bad=True)
    assert evidence["splits"]["external"]["n"] == 7
    rows.drop(columns="image.ES").to_csv(elsewhere, index=False)
    with pytest.raises(InputError, match=r"image.ES"):
        evaluate(model, elsewhere, tmp_path / "none")
