"""The road of a diagnosis from measurements, end to end: small hearts and balls, networks of a few dozen steps."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import SimpleITK as sitk

from report.recomputed import FACTS, check
from report.recomputed_measured import LEARNED, read_measured
from report.test_recomputed import told_of
from semeion.artefacts import read_json, write_json
from semeion.cohort.cohort import CohortOptions
from semeion.errors import InputError, Interrupted
from semeion.measure.features import feature_definitions
from semeion.measure.spec import Measurements
from semeion.model.runtime import load_model
from semeion.plan.crossfit import CrossFit
from semeion.plan.files import read_plan_as, write_plan
from semeion.plan.measure_schema import MeasuredPlan
from semeion.progress import Silent
from semeion.study import measure_road, measuring
from semeion.study.options import RunOptions
from semeion.study.road import resume_run, start_run
from support.core_environment import make_core_environment
from support.hearts import FAILING, HEALTHY, make_hearts, measured_plan, train_hearts, with_another_patient
from support.spheres import write_volume

pytestmark = pytest.mark.usefixtures("few_trees")

PATIENTS, TEST = 18, 6
COLUMNS = {"audits/rows/[^/]+/figures": "audits see images and other columns too, see tests/audit"}


@pytest.fixture(scope="module", name="table")
def _table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_hearts(tmp_path_factory.mktemp("hearts"), patients=PATIENTS, test=TEST)


@pytest.fixture(scope="module", name="fits")
def _fits() -> list[CrossFit]:
    """The folds of the run, kept as it makes them."""
    return []


@pytest.fixture(scope="module", name="run")
def _run(table: Path, fits: list[CrossFit], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The finished run that most tests look at."""
    real = measure_road.folds_of
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(measure_road, "folds_of", lambda *given: fits.append(real(*given)) or fits[-1])
        return train_hearts(table, measured_plan(), tmp_path_factory.mktemp("run") / "run")


def test_every_number_of_the_page_is_made_anew(run: Path, table: Path) -> None:
    told = read_measured(run, table, told_of(run, read_json(run / "evidence.json")))
    seen = check(read_json(run / "report.json"), told, FACTS | LEARNED | COLUMNS)
    assert seen["measured/structures/(\\d+)/rows/(\\d+)"] == 2 * 3 * 5
    assert seen["measured/agreement/(\\d+)/rows/(\\d+)"] and seen["measured/cases/(\\d+)/drivers/(\\d+)"]


def predictions_of(run: Path) -> pd.DataFrame:
    return pd.read_parquet(run / "predictions.parquet").set_index("case_id")


def weights_of(run: Path) -> dict[str, bytes]:
    return {file.parent.name: file.read_bytes() for file in sorted(run.glob("members/*/weights.safetensors"))}


def test_every_case_is_diagnosed_out_of_fold_or_as_a_test_case(run: Path) -> None:
    table = predictions_of(run)
    assert table["split"].value_counts().to_dict() == {"oof": PATIENTS, "test": TEST}
    assert not table.index.duplicated().any()
    evidence = read_json(run / "evidence.json")
    assert evidence["metrics"]["oof"]["accuracy"]["value"] > 0.85
    assert evidence["metrics"]["test"]["accuracy"]["value"] > 0.8
    for name in ("plan.yaml", "plan.executed.yaml", "fingerprint.json", "report.html", "report.json", "log.jsonl"):
        assert (run / name).stat().st_size > 0
    assert read_json(run / "run.json")["finished"]
    # Every image has a mask, on its own grid.
    assert len(list((run / "masks").iterdir())) == 2 * (PATIENTS + TEST)
    assert read_plan_as(run / "plan.executed.yaml", MeasuredPlan).segmentation.use.mirror == []


def test_the_evidence_tells_how_masks_and_measurements_agree(run: Path) -> None:
    measured = read_json(run / "evidence.json")["measured"]
    assert measured["kind"] == "heart"
    assert measured["networks"] == {"trained": 3, "shipped": 3}
    assert len(measured["classifiers"]["by_fold"]) == 3
    for split, n in (("oof", PATIENTS), ("test", TEST)):
        fraction = measured["agreement"][split]["lv_ef_percent"]
        assert fraction["mae"]["n"] == n
        assert fraction["unit"] == "%"
        assert fraction["mae"]["value"] < 8
        assert fraction["limit_low"]["value"] <= fraction["bias"]["value"] <= fraction["limit_high"]["value"]
        assert measured["masks"][split]["dice_lv"]["value"] > 0.8
        assert measured["unmeasured"][split] == []
    assert sum(measured["importance"].values()) == pytest.approx(1)
    # The groups differ in how far the ventricle empties, and in nothing at ED.
    assert measured["importance"]["lv_edv_ml"] < max(measured["importance"].values())


def test_drivers_push_towards_what_each_case_is_called(run: Path) -> None:
    drivers = pd.read_parquet(run / "drivers.parquet")
    assert set(drivers["case_id"]) == set(predictions_of(run).index)
    first = drivers[drivers["rank"] == 1]
    assert (first["added"] > 0).all()
    evidence, table = read_json(run / "evidence.json"), predictions_of(run)
    for case in first.itertuples():
        row, point = table.loc[case.case_id], evidence["operating_point"]
        limit = point["value"] if row["split"] == "test" else point["by_fold"][str(row["fold"])]
        assert case[first.columns.get_loc("class") + 1] == (FAILING if row["p_failing"] >= limit else HEALTHY)


def test_the_model_repeats_what_was_weighed_without_the_training_stack(run: Path, table: Path, tmp_path: Path) -> None:
    rows = pd.read_csv(table).tail(TEST)
    for column in [name for name in rows if name.startswith("image")]:
        rows[column] = [str(table.parent / file) for file in rows[column]]
    rows.to_csv(tmp_path / "new.csv", index=False)
    python = make_core_environment(tmp_path / "core")
    arguments = [
        "predict",
        run / "model",
        tmp_path / "new.csv",
        "-o",
        tmp_path / "found.csv",
        "--masks",
        tmp_path / "m",
    ]
    done = subprocess.run(
        [str(python), "-m", "semeion", *map(str, arguments)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    found = pd.read_csv(tmp_path / "found.csv").set_index("case_id")
    weighed = predictions_of(run).query("split == 'test'").loc[found.index]
    np.testing.assert_allclose(found["p_failing"], weighed["p_failing"], atol=1e-6)
    assert found["explanation"].str.contains("ejection fraction|volume|mass", regex=True).all()
    pushed = r"(?:speaks (?:for|against) .+|matters little) \([+-]\d\.\d\d on the (?:probability|logit)\)"
    assert found["explanation"].str.contains(pushed, regex=True).all()
    # One mask an image, the same as those that were weighed.
    assert len(list((tmp_path / "m").iterdir())) == 2 * TEST
    for case in (0, TEST - 1):
        for at, frame in enumerate(("ED", "ES")):
            ours = sitk.ReadImage(str(tmp_path / "m" / f"heart-{PATIENTS + case}.{frame}.nii.gz"))
            theirs = sitk.ReadImage(str(run / "masks" / f"{2 * (PATIENTS + case) + at:06d}.nii.gz"))
            np.testing.assert_array_equal(sitk.GetArrayFromImage(ours), sitk.GetArrayFromImage(theirs))
            assert ours.GetSpacing() == pytest.approx((1.5, 1.5, 8.0))


def test_nothing_about_a_held_out_patient_reaches_what_weighs_it(
    run: Path, table: Path, fits: list[CrossFit], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Other images, masks and label of one patient change nothing that says anything of the cases of its fold.

    The second run is also interrupted while it measures, and resumed.
    """
    fit, row = fits[0], 4
    fold = int(fit.fold[row])
    changed = with_another_patient(table, row, tmp_path)
    # A label helps to spread classes over folds; here only what comes after the division is looked at.
    monkeypatch.setattr(measure_road, "folds_of", lambda *_given: fit)
    done, real = [], measuring._measure_one

    def interrupted(*given: Any, **named: Any) -> dict[str, Any]:
        if len(done) == 3:
            raise KeyboardInterrupt
        done.append(given)
        return real(*given, **named)

    monkeypatch.setattr(measuring, "_measure_one", interrupted)
    with pytest.raises(Interrupted, match="semeion resume"):
        train_hearts(changed, measured_plan(), tmp_path / "again")
    kept = {file: file.stat().st_mtime_ns for file in (tmp_path / "again" / "measured").iterdir()}
    assert len(kept) == 3
    monkeypatch.setattr(measuring, "_measure_one", real)
    again = resume_run(tmp_path / "again", Silent())
    assert {file: file.stat().st_mtime_ns for file in kept} == kept
    assert read_json(again / "run.json")["finished"]

    before, after = weights_of(run), weights_of(again)
    for number, pair in enumerate(fit.pairs):
        same = before[f"fold{number}-seed0"] == after[f"fold{number}-seed0"]
        assert same == (fold in pair), f"networks without the folds {pair}, patient of fold {fold}"
    others = [f"heart-{n:02d}" for n in fit.rows(fold) if n != row]
    pd.testing.assert_frame_equal(predictions_of(run).loc[others], predictions_of(again).loc[others])
    drivers = [pd.read_parquet(path / "drivers.parquet").set_index("case_id").loc[others] for path in (run, again)]
    pd.testing.assert_frame_equal(*drivers)


def test_test_cases_shape_neither_folds_nor_networks_nor_the_model(run: Path, fits: list[CrossFit]) -> None:
    assert (fits[0].fold[PATIENTS:] == -1).all()
    assert (fits[0].fold[:PATIENTS] >= 0).all()
    for side in fits[0].sides:
        assert max([*side.learn, *side.validate, *side.held_out]) < PATIENTS
    measured = [read_json(run / "measured" / f"{row:06d}.json") for row in range(PATIENTS + TEST)]
    for row, one in enumerate(measured):
        fold = int(fits[0].fold[row])
        looking = [f"fold{n}-seed0" for n in (fits[0].without(fold) if fold >= 0 else range(3))]
        assert one["networks"] == looking
        assert set(one["alone"]) == {name[4] for name in looking} if fold >= 0 else not one["alone"]


@pytest.fixture(scope="module", name="balls")
def _balls(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A table of 18 cases of 9 patients with one image each: a ball that is large or small."""
    folder = tmp_path_factory.mktemp("balls")
    rng = np.random.default_rng(1)
    rows = []
    for number in range(18):
        large = (number // 2) % 2 == 0
        k, j, i = np.mgrid[:8, :16, :16] - np.array([3.5, 7.5, 7.5]).reshape(3, 1, 1, 1)
        inside = k**2 + j**2 + i**2 < (5.5 if large else 3.5) ** 2
        voxels = rng.normal(300, 40, inside.shape) + 700 * inside
        image = write_volume(folder / f"{number}.nii.gz", voxels.astype(np.int16))
        mask = write_volume(folder / f"{number}-mask.nii.gz", inside.astype(np.uint8))
        rows.append(
            {
                "case_id": f"ball {number}",
                "patient_id": f"P{number // 2}",
                "image": image.name,
                "mask": mask.name,
                "group": "large" if large else "small",
            }
        )
    pd.DataFrame(rows).to_csv(folder / "cohort.csv", index=False)
    return folder / "cohort.csv"


def ball_plan(**changes: Any) -> MeasuredPlan:
    given = {
        "steps": 25,
        "images": ("",),
        "structures": ("ball",),
        "kind": "regions",
        "features": ["ball_volume_ml", "ball_sphericity"],
        "target": ("group", "large", "small"),
        "patch": (16, 16),
    }
    return measured_plan(**(given | changes))


def test_one_image_a_case_is_measured_by_regions(balls: Path, tmp_path: Path) -> None:
    run = train_hearts(balls, ball_plan(), tmp_path / "run", {"1": "ball"})
    evidence, table = read_json(run / "evidence.json"), predictions_of(run)
    assert set(table["split"]) == {"oof"}
    assert len(table) == 18
    assert (table.groupby("patient_id")["fold"].nunique() == 1).all()
    assert evidence["metrics"]["oof"]["accuracy"]["value"] > 0.85
    assert evidence["measured"]["agreement"]["oof"]["ball_volume_ml"]["mae"]["n"] == 18
    assert next(iter(evidence["measured"]["importance"])) == "ball_volume_ml"
    found = load_model(run / "model").predict([str(balls.parent / "0.nii.gz"), str(balls.parent / "gone.nii.gz")])
    assert found["status"].tolist() == ["called", "failed"]
    assert found["call"].iloc[0] == "large"
    assert "ball: volume" in found["explanation"].iloc[0].lower()
    assert "does not exist" in found["reasons"].iloc[1] or "missing-file" in found["reasons"].iloc[1]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"structures": ("egg",)}, r"the structures \['egg'\], and the table has \['ball'\]"),
        ({"target": ("group", "large", "tiny")}, r"the classes \['large', 'tiny'\], and the table has"),
        ({"features": ["ball_volume_m"]}, r"names 'ball_volume_m', which is not measured, did you mean"),
    ],
)
def test_a_plan_for_something_else_is_refused(
    balls: Path, tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        train_hearts(balls, ball_plan(**changes), tmp_path / "run", {"1": "ball"})
    assert not (tmp_path / "run").exists()


def test_a_class_of_too_few_patients_is_refused_before_learning(balls: Path, tmp_path: Path) -> None:
    rows = pd.read_csv(balls)
    rows["group"] = np.where(rows["patient_id"].isin(["P0", "P1"]), "small", "large")
    rows["image"], rows["mask"] = (rows[name].map(lambda file: str(balls.parent / file)) for name in ("image", "mask"))
    rows.to_csv(tmp_path / "few.csv", index=False)
    with pytest.raises(InputError, match=r"class 'small' leaves [01] patients to learn from when a fold is held out"):
        train_hearts(tmp_path / "few.csv", ball_plan(), tmp_path / "run", {"1": "ball"})
    assert not (tmp_path / "run").exists()


def test_volumes_without_a_scale_are_refused(balls: Path, tmp_path: Path) -> None:
    images = np.stack([sitk.GetArrayFromImage(sitk.ReadImage(str(balls.parent / f"{n}.nii.gz"))) for n in range(18)])
    masks = np.stack(
        [sitk.GetArrayFromImage(sitk.ReadImage(str(balls.parent / f"{n}-mask.nii.gz"))) for n in range(18)]
    )
    np.savez(tmp_path / "balls.npz", train_images=images, train_masks=masks)
    rows = pd.read_csv(balls)
    rows["image"] = [f"{tmp_path}/balls.npz#train_images[{n}]" for n in range(18)]
    rows["mask"] = [f"{tmp_path}/balls.npz#train_masks[{n}]" for n in range(18)]
    rows.to_csv(tmp_path / "voxels.csv", index=False)
    with pytest.raises(InputError, match="18 of 18 volumes do not say how large a voxel is"):
        train_hearts(tmp_path / "voxels.csv", ball_plan(), tmp_path / "run", {"1": "ball"})


@pytest.fixture(scope="module", name="textured")
def _textured(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A table of 18 patients and 4 test cases, channels t1 and t2: balls of one size, smooth or rough in t2 alone."""
    folder = tmp_path_factory.mktemp("textured")
    rng = np.random.default_rng(2)
    rows = []
    k, j, i = np.mgrid[:8, :16, :16] - np.array([3.5, 7.5, 7.5]).reshape(3, 1, 1, 1)
    inside = k**2 + j**2 + i**2 < 4.5**2
    for number in range(22):
        # Another gain for each image, as of scanners: intensities say nothing until they are scaled.
        gain, rough = rng.uniform(0.5, 2.0), number % 2 == 1
        row = {"case_id": f"ball {number}", "patient_id": f"P{number}", "group": "rough" if rough else "smooth"}
        for name, spread in (("t1", 30), ("t2", 160 if rough else 30)):
            voxels = rng.normal(300, 40, inside.shape) * ~inside + rng.normal(1000, spread, inside.shape) * inside
            row[f"image.{name}"] = write_volume(
                folder / f"{number}.{name}.nii.gz", (gain * voxels).clip(1, 4000).astype(np.int16)
            ).name
        row["mask"] = write_volume(folder / f"{number}-mask.nii.gz", inside.astype(np.uint8)).name
        row["split"] = "test" if number >= 18 else "train"
        rows.append(row)
    pd.DataFrame(rows).to_csv(folder / "cohort.csv", index=False)
    return folder / "cohort.csv"


def textured_plan() -> MeasuredPlan:
    """Return a plan that measures intensity and texture of the ball in both channels."""
    plan = ball_plan(target=("group", "rough", "smooth")).model_dump(by_alias=True)
    take = plan["measurements"]["take"]
    take |= {"intensity": True, "texture": True, "channels": ["t1", "t2"]}
    plan["measurements"]["features"] = list(feature_definitions(Measurements(**take)))
    preparation = plan["segmentation"]["preparation"]
    preparation |= {"channels": ["t1", "t2"], "intensity": preparation["intensity"] * 2}
    return MeasuredPlan.model_validate(plan)


@pytest.fixture(scope="module", name="textured_run")
def _textured_run(textured: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The finished run of these measurements, for reading and copying only."""
    home = tmp_path_factory.mktemp("textured")
    write_plan(textured_plan(), home / "plan.yaml")
    cohort = CohortOptions(target="group", structures={"1": "ball"}, channels=("*",))
    return start_run(textured, RunOptions(cohort, plan=str(home / "plan.yaml"), jobs=1), home / "run", Silent())


def test_intensity_and_texture_are_measured_in_each_channel_and_ship(textured: Path, textured_run: Path) -> None:
    run = textured_run
    evidence, table = read_json(run / "evidence.json"), predictions_of(run)
    assert evidence["metrics"]["oof"]["accuracy"]["value"] > 0.85
    # Only what is seen in t2 tells the groups.
    assert next(iter(evidence["measured"]["importance"])).startswith("t2_ball_")
    # As the network sees it, since the images have no unit: the gain of a scanner is gone.
    means = [read_json(file)["joint"]["t1_ball_intensity_mean"] for file in sorted((run / "measured").glob("*.json"))]
    assert np.std(means) / np.mean(means) < 0.05
    rows = pd.read_csv(textured)
    for name in ("image.t1", "image.t2"):
        rows[name] = [str(textured.parent / file) for file in rows[name]]
    found = load_model(run / "model", threads=1).predict(rows[["case_id", "image.t1", "image.t2"]])
    assert found["status"].eq("called").all()
    assert (found["call"] == rows["group"]).mean() > 0.85
    assert found["explanation"].str.contains("ball in t").all()
    tested = table[table["split"] == "test"]
    assert len(tested) == 4
    again = found.set_index("case_id").loc[tested.index]
    np.testing.assert_allclose(again["p_rough"], tested["p_rough"], atol=1e-12)


def test_what_was_measured_otherwise_is_measured_again(textured_run: Path, tmp_path: Path) -> None:
    run = shutil.copytree(textured_run, tmp_path / "run")
    file = sorted((run / "measured").glob("*.json"))[3]
    right = read_json(file)
    wrong = {**right, "measurements": {**right["measurements"], "texture": False}, "joint": None}
    write_json(file, wrong)
    write_json(run / "run.json", {**read_json(run / "run.json"), "finished": False})
    kept = sorted((run / "measured").glob("*.json"))[4].stat().st_mtime_ns
    resume_run(run, Silent())
    assert read_json(file) == right
    assert sorted((run / "measured").glob("*.json"))[4].stat().st_mtime_ns == kept


def test_more_to_measure_than_the_plan_says_is_refused(textured: Path, tmp_path: Path) -> None:
    write_plan(textured_plan(), tmp_path / "plan.yaml")
    cohort = CohortOptions(target="group", structures={"1": "ball"}, channels=("*",))
    options = RunOptions(cohort, plan=str(tmp_path / "plan.yaml"), jobs=1, measure=("intensity",))
    with pytest.raises(InputError, match="what is measured stands in the plan"):
        start_run(textured, options, tmp_path / "run", Silent())
    other = textured_plan().model_dump(by_alias=True)
    other["measurements"]["take"]["channels"] = ["t2"]
    other["measurements"]["features"] = ["ball_volume_ml"]
    write_plan(MeasuredPlan.model_validate(other), tmp_path / "plan.yaml")
    with pytest.raises(InputError, match=r"the channels to be measured \['t2'\], and the table has \['t1', 't2'\]"):
        start_run(textured, replace(options, measure=()), tmp_path / "run", Silent())
