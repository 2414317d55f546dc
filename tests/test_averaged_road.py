"""A diagnosis from measurements averaged with networks that see the images, end to end: small hearts, few steps."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import accuracy_score, roc_auc_score

from evidence import plain
from report.recomputed import FACTS, check
from report.recomputed_measured import LEARNED, read_measured
from report.test_recomputed import told_of
from semeion.artefacts import read_json
from semeion.calibration.maps import map_from_json
from semeion.cohort.cohort import CohortOptions
from semeion.errors import InputError, Interrupted, ModelRefused
from semeion.evidence.calibration.choice import choose_by_size
from semeion.model.combine import calibrate
from semeion.model.runtime import load_model
from semeion.plan.crossfit import CrossFit
from semeion.plan.files import read_plan_as, write_plan
from semeion.plan.measure_schema import MeasuredPlan
from semeion.prepare.store import open_store
from semeion.progress import Silent
from semeion.study import measure_road
from semeion.study.members import task
from semeion.study.members.outputs import run_graph
from semeion.study.options import RunOptions
from semeion.study.road import resume_run, start_run
from support.core_environment import make_core_environment
from support.hearts import (
    FAILING,
    HEALTHY,
    STRUCTURES,
    image_networks,
    make_hearts,
    measured_plan,
    train_hearts,
    with_another_patient,
)
from support.spheres import write_volume

pytestmark = pytest.mark.usefixtures("few_trees")

PATIENTS, TEST = 18, 6
COLUMNS = {"audits/rows/[^/]+/figures": "audits see images and other columns too, see tests/audit"}
P = f"p_{FAILING}"


@pytest.fixture(scope="module", name="table")
def _table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_hearts(tmp_path_factory.mktemp("hearts"), patients=PATIENTS, test=TEST)


@pytest.fixture(scope="module", name="fits")
def _fits() -> list[CrossFit]:
    """The folds of the run, kept as it makes them."""
    return []


@pytest.fixture(scope="module", name="run")
def _run(table: Path, fits: list[CrossFit], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The finished run that most tests look at; it is interrupted in its second image network and resumed."""
    real, begun = measure_road.folds_of, []
    train = task.learn_network
    run = tmp_path_factory.mktemp("run") / "run"

    def interrupted(*given: Any) -> None:
        begun.append(given)
        if len(begun) == 2:
            raise KeyboardInterrupt
        train(*given)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(measure_road, "folds_of", lambda *given: fits.append(real(*given)) or fits[-1])
        patch.setattr(task, "learn_network", interrupted)
        with pytest.raises(Interrupted, match="semeion resume"):
            train_hearts(table, measured_plan(seen=image_networks()), run)
    first = run / "images" / "members" / "fold0-seed0" / "member.json"
    kept = first.stat().st_mtime_ns
    resume_run(run, Silent())
    assert first.stat().st_mtime_ns == kept
    return run


def predictions_of(run: Path, member: str = "ensemble") -> pd.DataFrame:
    return pd.read_parquet(run / "predictions.parquet").query("member == @member").set_index("case_id")


def test_probabilities_are_the_mean_of_both_parts(run: Path) -> None:
    both, measured, seen = (predictions_of(run, name) for name in ("ensemble", "measurements", "images"))
    assert both["split"].value_counts().to_dict() == {"oof": PATIENTS, "test": TEST}
    for name in (f"p_{FAILING}", f"p_{HEALTHY}", f"raw_{FAILING}"):
        np.testing.assert_allclose(both[name], (measured[name] + seen[name]) / 2, atol=1e-12)
    # Both parts say something of their own.
    assert measured[P].std() > 0.05
    assert seen[P].std() > 0.001
    assert (measured[P] - seen[P]).abs().max() > 0.05


def test_headline_figures_are_those_of_the_average_and_each_part_has_its_own(run: Path) -> None:
    evidence = read_json(run / "evidence.json")
    for split, n in (("oof", PATIENTS), ("test", TEST)):
        parts = evidence["measured"]["parts"][split]
        assert set(parts) == {"measurements", "images", "average", "difference"}
        for figure in ("accuracy", "auroc"):
            assert parts["average"][figure]["value"] == evidence["metrics"][split][figure]["value"]
            gain = parts["average"][figure]["value"] - parts["measurements"][figure]["value"]
            assert parts["difference"][figure]["value"] == pytest.approx(gain)
            assert parts["images"][figure]["n"] == n
        for name, member in (("measurements", "measurements"), ("images", "images"), ("average", "ensemble")):
            table = predictions_of(run, member).query("split == @split")
            auroc = roc_auc_score(table["y_true"] == FAILING, table[P])
            assert parts[name]["auroc"]["value"] == pytest.approx(auroc)
    table = predictions_of(run).query("split == 'test'")
    called = table[P] >= evidence["operating_point"]["value"]
    accuracy = evidence["measured"]["parts"]["test"]["average"]["accuracy"]["value"]
    assert accuracy == accuracy_score(table["y_true"] == FAILING, called)
    assert any("equal weights that were fixed beforehand" in note for note in evidence["notes"])
    assert any("explain the first part" in note for note in evidence["notes"])
    assert evidence["measured"]["images"]["networks"] == 3
    page = (run / "report.html").read_text()
    assert "What the images add" in page
    assert "with equal weights" in (run / "model" / "CARD.md").read_text()


def test_every_number_of_the_page_is_made_anew(run: Path, table: Path) -> None:
    told = read_measured(run, table, told_of(run, read_json(run / "evidence.json")))
    seen = check(read_json(run / "report.json"), told, FACTS | LEARNED | COLUMNS)
    assert seen["measured/parts/(\\d+)/rows/(\\d+)/(accuracy|auroc)"] == 2 * 4 * 2 * 5
    assert seen["measured/agreement/(\\d+)/rows/(\\d+)"] and seen["measured/structures/(\\d+)/rows/(\\d+)"] == 2 * 3 * 5
    assert seen["measured/cases/(\\d+)/drivers/(\\d+)"]


def test_the_points_of_the_parts_are_chosen_on_the_cases_that_may_choose(run: Path) -> None:
    """Each part is called at a point of its own, without which nobody could repeat its accuracy."""
    points = read_json(run / "evidence.json")["measured"]["points"]
    assert set(points) == {"measurements", "images"}
    for part, stated in points.items():
        assert set(stated["by_fold"]) == {"0", "1", "2"}
        held = predictions_of(run, part).query("split == 'oof'")
        # So few cases leave the probabilities as they are, for the folds and for what ships.
        y, p = (held["y_true"] == FAILING).to_numpy(int), held[f"raw_{FAILING}"].to_numpy(float)
        assert stated["value"] == pytest.approx(plain.youden(y, p), abs=1e-12)


def test_drivers_speak_for_the_class_that_the_average_calls(run: Path) -> None:
    drivers, table = pd.read_parquet(run / "drivers.parquet"), predictions_of(run)
    point = read_json(run / "evidence.json")["operating_point"]
    assert set(drivers["case_id"]) == set(table.index)
    for case, given in drivers.groupby("case_id")["class"]:
        row = table.loc[case]
        limit = point["value"] if row["split"] == "test" else point["by_fold"][str(row["fold"])]
        assert set(given) == {FAILING if row[P] >= limit else HEALTHY}


def test_image_networks_are_held_out_and_calibrated_on_the_same_folds(run: Path, fits: list[CrossFit]) -> None:
    """Everything said of a fold by its networks is repeated here from the exported graphs and the store."""
    fit, seen = fits[0], predictions_of(run, "images")
    plan = read_plan_as(run / "plan.executed.yaml", MeasuredPlan)
    assert plan.images is not None
    store = open_store(run / "images" / "store")
    case_of = [f"heart-{row:02d}" for row in range(PATIENTS + TEST)]
    stated = read_json(run / "evidence.json")["measured"]["images"]["calibration"]
    pooled = np.full((PATIENTS, 2), np.nan)
    for fold in range(3):
        rows = fit.rows(fold)
        graph = run / "images" / "members" / f"fold{fold}-seed0" / "graph.onnx"
        raw = run_graph(graph, "binary", store, rows, 1)
        pooled[rows] = raw
        p = calibrate(raw, "binary", map_from_json(stated["by_fold"][str(fold)]["map"]))
        found = seen.loc[[case_of[row] for row in rows]]
        assert (found["fold"] == fold).all()
        np.testing.assert_allclose(found[P], p[:, 1], atol=1e-9)
    y = np.array([row % 2 for row in range(PATIENTS)], dtype=float)
    chosen = choose_by_size(y, pooled[:, 1], np.arange(PATIENTS)).chosen
    assert stated["map"] == chosen.to_json()


def test_the_model_repeats_what_was_weighed_without_the_training_stack(run: Path, table: Path, tmp_path: Path) -> None:
    rows = pd.read_csv(table).tail(TEST)
    for column in [name for name in rows if name.startswith("image")]:
        rows[column] = [str(table.parent / file) for file in rows[column]]
    rows.to_csv(tmp_path / "new.csv", index=False)
    python = make_core_environment(tmp_path / "core")
    done = subprocess.run(
        [str(python), "-m", "semeion", "predict", run / "model", tmp_path / "new.csv", "-o", tmp_path / "found.csv"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found = pd.read_csv(tmp_path / "found.csv").set_index("case_id")
    weighed = predictions_of(run).query("split == 'test'").loc[found.index]
    np.testing.assert_allclose(found[P], weighed[P], atol=1e-6)
    alone = predictions_of(run, "measurements").query("split == 'test'").loc[found.index]
    assert (found[P] - alone[P]).abs().max() > 1e-3
    pushed = r"(?:speaks (?:for|against) .+|matters little) \([+-]\d\.\d\d on the (?:probability|logit)\)"
    assert found["explanation"].str.contains(pushed, regex=True).all()


def test_a_case_that_either_part_cannot_take_fails_with_its_reason(
    run: Path, table: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    noise = np.random.default_rng(0).integers(1, 9, (4, 24, 24)).astype(np.int16)
    empty = str(write_volume(tmp_path / "empty.nii.gz", noise, (1.5, 1.5, 8.0)))
    good = [str(table.parent / f"image/00.{frame}.nii.gz") for frame in ("ED", "ES")]
    given = pd.DataFrame({"case_id": ["a", "b"], "image.ED": [good[0], empty], "image.ES": [good[1], empty]})
    model = load_model(run / "model", threads=1)
    found = model.predict(given).set_index("case_id")
    assert found.loc["a", "status"] == "called"
    assert found.loc["b", "status"] == "failed"
    assert found.loc["b", "reasons"].startswith("not-measured: ")
    monkeypatch.setattr(
        "semeion.model.classifier.prepare_case", lambda *_given, **_named: np.zeros((1, 4, 24, 24), np.uint8)
    )
    refused = model.predict(given).set_index("case_id")
    assert refused["status"].tolist() == ["failed", "failed"]
    assert refused[P].isna().all()
    assert refused.loc["a", "reasons"].split(":")[0] in ("not-an-image", "not-prepared", "unreadable")
    assert "2 images were given" in refused.loc["a", "reasons"]


def test_a_damaged_image_network_is_refused(run: Path, tmp_path: Path) -> None:
    import shutil

    folder = tmp_path / "model"
    shutil.copytree(run / "model", folder)
    graph = folder / "members" / "images-fold1-seed0.onnx"
    graph.write_bytes(graph.read_bytes()[:-1])
    with pytest.raises(ModelRefused, match="images-fold1-seed0"):
        load_model(folder)


def test_nothing_about_a_held_out_patient_reaches_what_weighs_it(
    run: Path, table: Path, fits: list[CrossFit], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Other images, masks and label of one patient change nothing that says anything of the cases of its fold."""
    fit, row = fits[0], 4
    fold = int(fit.fold[row])
    changed = with_another_patient(table, row, tmp_path)
    monkeypatch.setattr(measure_road, "folds_of", lambda *_given: fit)
    again = train_hearts(changed, measured_plan(seen=image_networks()), tmp_path / "again")
    for number in range(3):
        weights = [
            (path / "images" / "members" / f"fold{number}-seed0" / "weights.safetensors").read_bytes()
            for path in (run, again)
        ]
        assert (weights[0] == weights[1]) == (number == fold)
    others = [f"heart-{n:02d}" for n in fit.rows(fold) if n != row]
    for member in ("ensemble", "images", "measurements"):
        pd.testing.assert_frame_equal(
            predictions_of(run, member).loc[others], predictions_of(again, member).loc[others]
        )


def test_image_networks_are_asked_for_beside_measurements_only(table: Path, tmp_path: Path) -> None:
    cohort = CohortOptions(target="group", frames=("ED", "ES"))
    with pytest.raises(InputError, match="nothing is to be measured"):
        start_run(table, RunOptions(cohort, with_images=True), tmp_path / "run", Silent())
    assert not (tmp_path / "run").exists()
    write_plan(measured_plan(), tmp_path / "plan.yaml")
    options = RunOptions(
        CohortOptions(target="group", structures=STRUCTURES),
        plan=str(tmp_path / "plan.yaml"),
        with_images=True,
        jobs=1,
    )
    with pytest.raises(InputError, match="the plan has no networks that see the images"):
        start_run(table, options, tmp_path / "run", Silent())
