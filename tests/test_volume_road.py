"""The whole road with volumes and with several images a case: small spheres, plans of a dozen steps."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from semeion.artefacts import read_json
from semeion.cohort.cohort import CohortOptions
from semeion.errors import InputError
from semeion.model.runtime import load_model
from semeion.plan.files import read_plan, write_plan
from semeion.plan.schema import Plan
from semeion.prepare.store import open_store
from semeion.progress import Silent
from semeion.study.checking import check_source
from semeion.study.evaluating import evaluate_model
from semeion.study.options import RunOptions
from semeion.study.road import start_run
from support.spheres import BENIGN, MALIGNANT, make_spheres, sphere, write_volume
from support.tiny import picture, write_picture

SIZE = [10, 16, 16]
PERCENTILES = {"kind": "percentiles", "foreground": "nonzero", "clip": [0.005, 0.995]}


def plan_of(images: dict[str, Any], network: dict[str, Any], preparation: dict[str, Any], steps: int = 30) -> Plan:
    """A plan of one tiny member with the given split and fixed steps."""
    return Plan.model_validate(
        {
            "schema": 1,
            "seed": 3,
            "target": {
                "name": "finding",
                "task": "binary",
                "classes": [BENIGN, MALIGNANT],
                "positive": MALIGNANT,
            },
            "images": images,
            "preparation": preparation,
            "network": {"widths": [4, 8], "dropout": 0.0, **network},
            "training": {
                "batch": 8,
                "learning_rate": 0.02,
                "threads": 1,
                "evaluations": 3,
                "averaging": 0.5,
                "augmentation": {"brightness": 0.0, "contrast": 0.0},
            },
            "validation": {"scheme": "given"},
            "members": [{"name": "seed0", "seed": 1, "steps": steps}],
        }
    )


def volume_plan(images: dict[str, Any] | None = None, network: dict[str, Any] | None = None, **steps: Any) -> Plan:
    preparation = {"channels": ["image"], "size": SIZE, "interpolation": "linear", "intensity": [PERCENTILES], **steps}
    return plan_of({"kind": "volume", **(images or {})}, {"kind": "slices", **(network or {})}, preparation)


def go(table: Path, plan: Plan, output: Path, **cohort: Any) -> Path:
    """Train on `table` by `plan` and return the run folder."""
    write_plan(plan, output.parent / f"{output.name}.yaml")
    options = CohortOptions(target="finding", **cohort)
    return start_run(table, RunOptions(options, plan=f"{output}.yaml", jobs=1), output, Silent())


def auroc(run: Path) -> float:
    return float(read_json(run / "evidence.json")["metrics"]["test"]["auroc"]["value"])


def assert_shipped_as_weighed(run: Path, table: Path) -> None:
    """The shipped model, reading the same files, says what the evidence stands on."""
    weighed = pd.read_parquet(run / "predictions.parquet").query("member == 'ensemble' and split == 'test'")
    findings = load_model(run / "model").predict(table).set_index("case_id").loc[weighed["case_id"]]
    np.testing.assert_allclose(findings["p_malignant"], weighed["p_malignant"], atol=1e-6)


@pytest.fixture(scope="module", name="spheres")
def _spheres(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_spheres(tmp_path_factory.mktemp("spheres"), n=32)


@pytest.mark.parametrize(
    "network",
    [
        {"pooling": "attention"},
        {"pooling": "gru"},
        {"kind": "residual3d"},
        {"kind": "residual3d", "side": 12, "depth": 8},
    ],
    ids=["attention", "gru", "residual3d", "smaller"],
)
def test_volumes_are_learned(spheres: Path, tmp_path: Path, network: dict[str, Any]) -> None:
    run = go(spheres, volume_plan(network=network), tmp_path / "run")
    assert auroc(run) > 0.8
    assert open_store(run / "store").shape == (1, *SIZE)
    assert read_json(run / "model" / "model.json")["inputs"]["volumes_seen"]["spacing"] == [[1, 1], [1, 1], [1.5, 1.5]]
    assert read_json(run / "gallery" / "gallery.json")["cases"]
    assert (run / "report.html").stat().st_size > 10_000
    assert_shipped_as_weighed(run, spheres)
    # An archive of volumes is read row by row.
    rng = np.random.default_rng(0)
    np.savez(tmp_path / "new.npz", test_images=np.stack([sphere(rng, value)[0] for value in (0.0, 1.0)]))
    findings = load_model(run / "model").predict(tmp_path / "new.npz")
    assert findings["status"].tolist() == ["called", "called"]
    assert findings["p_malignant"].is_monotonic_increasing


def test_the_same_plan_repeats_the_weights(spheres: Path, tmp_path: Path) -> None:
    plan = volume_plan(network={"kind": "residual3d"})
    one, two = (go(spheres, plan, tmp_path / name) / "members" / "seed0" / "weights.safetensors" for name in "ab")
    assert one.read_bytes() == two.read_bytes()


@pytest.mark.parametrize(
    ("names", "role", "network", "options"),
    [
        (("FLAIR", "T1"), "channels", {}, {}),
        (("ED", "ES"), "frames", {"group_pooling": "gru"}, {}),
        (("axial", "coronal"), "views", {"shared": False, "group_pooling": "attention"}, {"views": ("*",)}),
    ],
)
def test_several_volumes_a_case(
    tmp_path: Path, names: tuple[str, ...], role: str, network: dict[str, Any], options: dict[str, Any]
) -> None:
    table = make_spheres(tmp_path, n=32, images=names)
    channels = {"channels": list(names)} if role == "channels" else {}
    plan = volume_plan({"role": role, "names": list(names)}, network, **channels)
    run = go(table, plan, tmp_path / "run", **options)
    assert open_store(run / "store").shape == (2, *SIZE)
    assert auroc(run) > 0.8
    inputs = read_json(run / "model" / "model.json")["inputs"]
    assert (inputs["images"], inputs["names"], inputs["role"]) == (2, list(names), role)
    assert_shipped_as_weighed(run, table)
    evaluated = evaluate_model(
        run / "model", table, tmp_path / "ev", CohortOptions(), skip_bad=False, jobs=1, progress=Silent()
    )
    assert evaluated["metrics"]["external"]["auroc"]["value"] == pytest.approx(auroc(run))
    # A missing image is told by its name, and the other cases are read.
    rows = pd.read_csv(table)
    rows.loc[0, f"image.{names[1]}"] = "volumes/gone.nii.gz"
    rows.to_csv(table, index=False)
    findings = load_model(run / "model").predict(table)
    assert findings["status"].tolist() == ["failed"] + ["called"] * 31
    assert f"image {names[1]!r} does not exist" in findings["reasons"][0]
    rows.drop(columns=f"image.{names[1]}").to_csv(table, index=False)
    with pytest.raises(InputError, match=f"image.{names[1]}"):
        load_model(run / "model").predict(table)


def test_frozen_features_of_slices_ship_as_they_were_weighed(tmp_path: Path) -> None:
    table = make_spheres(tmp_path, n=32, images=("ED", "ES"))
    told = volume_plan({"role": "frames", "names": ["ED", "ES"]}).model_dump(by_alias=True)
    look = {"along": ["slices", "columns"], "slices": 5, "apart": ["images", "axes"]}
    told["recipes"] = {"frozen": {"kind": "frozen", "side": 32, "layers": ["stride8", "stride16"], **look}}
    told["members"] = [{"name": "frozen-seed0", "recipe": "frozen", "seed": 1, "steps": 0}]
    run = go(table, Plan.model_validate(told), tmp_path / "run")
    assert auroc(run) > 0.7
    (member,) = read_json(run / "model" / "model.json")["members"]
    assert (member["kind"], member["output"]) == ("frozen", "features")
    assert_shipped_as_weighed(run, table)


def test_views_of_pictures_are_never_stacked(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    truth = rng.permutation(np.linspace(0, 1, 32))
    rows = []
    for case, value in enumerate(truth):
        row: dict[str, Any] = {"finding": MALIGNANT if value > 0.5 else BENIGN, "patient_id": f"p{case // 2}"}
        row["split"] = ["train", "test", "train", "val"][case // 2 % 4]
        for name, side in (("CC", 24), ("MLO", 28)):
            row[f"image.{name}"] = f"{case}{name}.png"
            write_picture(tmp_path / row[f"image.{name}"], picture(rng, float(value), size=side))
        rows.append(row)
    pd.DataFrame(rows).to_csv(tmp_path / "c.csv", index=False)
    images = {"kind": "picture", "role": "views", "names": ["CC", "MLO"]}
    run = go(tmp_path / "c.csv", plan_of(images, {}, {"size": [24, 24], "fit": "stretch"}), tmp_path / "run")
    assert open_store(run / "store").shape == (2, 24, 24)
    assert auroc(run) > 0.8


def test_the_plan_follows_the_facts_and_keeps_the_budget(spheres: Path, tmp_path: Path) -> None:
    # Measuring the machine takes 15 s of it where others work beside, and the reserve 11.
    options = RunOptions(CohortOptions(target="finding"), budget=50.0, jobs=1)
    run = start_run(spheres, options, tmp_path / "run", Silent())
    plan = read_plan(run / "plan.yaml")
    assert (plan.images.kind, plan.network.kind in ("slices", "residual3d")) == ("volume", True)
    assert {"kind", "widths"} <= set(plan.network.why)
    assert plan.preparation.size is not None
    evidence = read_json(run / "evidence.json")
    assert evidence["budget"]["used_seconds"] < 75
    assert auroc(run) > 0.6


def test_bad_volumes_are_told_by_their_case(tmp_path: Path) -> None:
    table = make_spheres(tmp_path, n=32)
    folder = tmp_path / "volumes"
    write_picture(folder / "picture.png", np.zeros((16, 14), np.uint8))
    (folder / "picture.png").rename(folder / "003.nii.gz")
    (folder / "005.nii.gz").write_bytes((folder / "005.nii.gz").read_bytes()[:200])
    (folder / "006.nii.gz").unlink()
    write_volume(folder / "008.nii.gz", np.full((10, 16, 14), 7, np.int16))
    options = RunOptions(CohortOptions(target="finding"), jobs=1)
    check = check_source(table, options, tmp_path / "check", Silent())
    assert (check["kind"], check["images"]["missing"], check["images"]["unreadable"]) == ("volume", 1, 2)
    assert check["audits"]["unreadable-images"]["cases"] == ["case-003", "case-005", "case-006"]
    assert check["audits"]["blank-images"]["cases"] == ["case-008"]
    assert (tmp_path / "check" / "check.html").exists()
    with pytest.raises(InputError) as caught:
        start_run(table, options, tmp_path / "run", Silent())
    lines = str(caught.value).splitlines()
    assert lines[0].startswith("cohort.csv: 3 of 32 images cannot be read")
    assert any("case case-003" in line and ("picture" in line or "2-D" in line) for line in lines)
    assert not (tmp_path / "run").exists()


def test_copies_of_volumes_are_found_by_their_voxels(tmp_path: Path) -> None:
    table = make_spheres(tmp_path, n=32)
    data = (tmp_path / "volumes" / "000.nii.gz").read_bytes()
    (tmp_path / "volumes" / "002.nii.gz").write_bytes(data)
    options = RunOptions(CohortOptions(target="finding"), jobs=1)
    audit = check_source(table, options, None, Silent())["audits"]["near-duplicates"]
    assert audit["figures"]["test_cases_with_a_copy_elsewhere"] == 1
    assert audit["cases"][0] == ["case-000", "case-002"]
