"""External validation of a segmentation."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import SimpleITK as sitk

from semeion.artefacts import read_json
from semeion.cohort.cohort import CohortOptions
from semeion.errors import InputError
from semeion.model.runtime import load_model
from semeion.progress import Silent
from semeion.study.evaluating import evaluate_model
from support.outlined import OutlinedRun, train_outlines
from support.spheres import PATIENT, make_spheres


@pytest.fixture(scope="module", name="outlined")
def _outlined(tmp_path_factory: pytest.TempPathFactory) -> OutlinedRun:
    return train_outlines(tmp_path_factory.mktemp("outlined"))


@pytest.fixture
def elsewhere(tmp_path: Path) -> Path:
    """Six cases of three patients of another hospital, without a split."""
    return make_spheres(tmp_path / "elsewhere", n=6, masks=True, split=False, seed=9)


def evaluate(model: Path, table: Path, output: Path, *, skip_bad: bool = False, **options: Any) -> dict[str, Any]:
    return evaluate_model(model, table, output, CohortOptions(**options), skip_bad=skip_bad, jobs=1, progress=Silent())


def voxels(path: Path) -> np.ndarray:
    return sitk.GetArrayFromImage(sitk.ReadImage(str(path)))


def test_figures_are_those_of_a_direct_computation(outlined: OutlinedRun, elsewhere: Path, tmp_path: Path) -> None:
    evidence = evaluate(outlined.model, elsewhere, tmp_path / "out")
    model = load_model(outlined.model, threads=1)
    dice, errors = [], []
    for row in pd.read_csv(elsewhere).itertuples():
        found = model.segment(elsewhere.parent / row.image).plane > 0
        true = voxels(elsewhere.parent / row.mask) > 0
        dice.append(2 * (found & true).sum() / (found.sum() + true.sum()))
        errors.append(abs(int(found.sum()) - int(true.sum())) * 1.5 / 1000)
    assert set(evidence["metrics"]) == {"external"}
    figures = evidence["metrics"]["external"]
    assert figures["dice"]["value"] == pytest.approx(np.mean(dice), abs=1e-12)
    assert figures["volume_error_ml_lesion"]["value"] == pytest.approx(np.mean(errors), abs=1e-6)
    assert (figures["dice"]["n"], figures["dice"]["n_patients"]) == (6, 3)
    assert figures["lesion_sensitivity_lesion"]["value"] is not None
    assert evidence["model"] == outlined.evidence["model"]
    assert {audit["verdict"] for audit in evidence["audits"].values()} == {"not_run"}
    assert [step["n_cases"] for step in evidence["flow"]] == [6, 6]
    out = tmp_path / "out"
    assert {path.name for path in out.iterdir()} == {
        *("predictions.parquet", "evidence.json", "evaluate.html", "evaluate.json", "gallery", "masks"),
        *("crosswalk.html", "crosswalk.json"),
    }
    table = pd.read_parquet(out / "predictions.parquet")
    assert set(table["split"]) == {"external"}
    assert table["dice"].tolist() == pytest.approx(dice)
    assert [case["kind"] for case in read_json(out / "gallery" / "gallery.json")["cases"]] == [
        "best",
        "median",
        "worst",
    ]
    page = (out / "evaluate.html").read_text()
    assert PATIENT not in page
    assert "Lesions found" in page


def test_of_a_table_with_a_split_only_the_test_cases_are_weighed(outlined: OutlinedRun, tmp_path: Path) -> None:
    evidence = evaluate(outlined.model, outlined.table, tmp_path / "out")
    assert evidence["splits"]["external"]["n"] == 4
    ours, theirs = outlined.evidence["metrics"]["test"], evidence["metrics"]["external"]
    assert theirs["dice"]["value"] == pytest.approx(ours["dice"]["value"], abs=1e-12)
    whole = evaluate(outlined.model, outlined.table, tmp_path / "whole", no_split=True)
    assert whole["splits"]["external"]["n"] == 16


def test_bad_images_and_masks_stop_it_with_the_whole_list_or_are_left_out(
    outlined: OutlinedRun, elsewhere: Path, tmp_path: Path
) -> None:
    folder = elsewhere.parent
    (folder / "volumes" / "001.nii.gz").unlink()
    wrong = sitk.GetImageFromArray(voxels(folder / "masks" / "003.nii.gz") * 5)
    wrong.CopyInformation(sitk.ReadImage(str(folder / "masks" / "003.nii.gz")))
    sitk.WriteImage(wrong, str(folder / "masks" / "003.nii.gz"))
    sitk.WriteImage(sitk.GetImageFromArray(np.zeros((4, 5, 6), np.uint8)), str(folder / "masks" / "004.nii.gz"))
    with pytest.raises(InputError) as caught:
        evaluate(outlined.model, elsewhere, tmp_path / "out")
    message, *lines = str(caught.value).split("\n")
    assert message.startswith("cohort.csv: 3 of 6 images cannot be read; correct these, or leave")
    assert [line.split(":")[0].strip() for line in lines] == ["case case-001", "case case-003", "case case-004"]
    assert "5" in lines[1]
    assert not (tmp_path / "out").exists()
    evidence = evaluate(outlined.model, elsewhere, tmp_path / "out", skip_bad=True)
    assert evidence["metrics"]["external"]["dice"]["n"] == 3
    assert [step["n_cases"] for step in evidence["flow"]] == [6, 3, 3]


def test_a_case_that_fails_while_outlining_leaves_nothing_or_is_left_out(
    outlined: OutlinedRun, elsewhere: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from semeion.model import mask_findings

    real = mask_findings.read_volumes

    def read(images: Any, manifest: Any) -> Any:
        if str(images[0]).endswith("002.nii.gz"):
            raise MemoryError
        return real(images, manifest)

    monkeypatch.setattr(mask_findings, "read_volumes", read)
    with pytest.raises(InputError, match=r"1 of 6 images cannot be read(.|\n)*case case-002: too-large"):
        evaluate(outlined.model, elsewhere, tmp_path / "out")
    assert not (tmp_path / "out").exists()
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="1 of 6 images cannot be read"):
        evaluate(outlined.model, elsewhere, tmp_path / "empty")
    assert list((tmp_path / "empty").iterdir()) == []
    evidence = evaluate(outlined.model, elsewhere, tmp_path / "out", skip_bad=True)
    assert evidence["splits"]["external"]["n"] == 5


def test_cases_without_a_reference_mask_are_refused(outlined: OutlinedRun, elsewhere: Path, tmp_path: Path) -> None:
    rows = pd.read_csv(elsewhere)
    rows.loc[[0, 4], "mask"] = None
    rows.to_csv(elsewhere, index=False)
    with pytest.raises(InputError, match=r"cohort.csv: no mask in rows 2, 6; fill in its path, or remove the row"):
        evaluate(outlined.model, elsewhere, tmp_path / "out")
    rows.drop(columns="mask").to_csv(elsewhere, index=False)
    with pytest.raises(InputError, match=r"no column 'mask' \(--target\)"):
        evaluate(outlined.model, elsewhere, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_other_labels_are_refused_with_both_said(outlined: OutlinedRun, elsewhere: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        evaluate(outlined.model, elsewhere, tmp_path / "out", labels={"1": "spleen"})
    assert str(caught.value) == (
        "--labels: its masks hold 1=spleen, and the model outlines 1=lesion; where the masks mean the same, give "
        "--labels 1=lesion; else write masks with the model's numbers"
    )
    assert evaluate(outlined.model, elsewhere, tmp_path / "out", labels={"0": "background", "1": "lesion"})


def test_a_data_set_says_what_its_masks_hold(outlined: OutlinedRun, elsewhere: Path, tmp_path: Path) -> None:
    home = tmp_path / "Task99_Balls"
    for part, name in (("imagesTr", "volumes"), ("labelsTr", "masks")):
        shutil.copytree(elsewhere.parent / name, home / part)
    training = [{"image": f"./imagesTr/{n:03d}.nii.gz", "label": f"./labelsTr/{n:03d}.nii.gz"} for n in range(6)]
    said: dict[str, Any] = {"name": "Balls", "modality": {"0": "MR"}, "training": training, "test": []}
    for organ in ("spleen", "lesion"):
        said["labels"] = {"0": "background", "1": organ}
        (home / "dataset.json").write_text(json.dumps(said))
        if organ == "spleen":
            with pytest.raises(InputError, match="its masks hold 1=spleen, and the model outlines 1=lesion"):
                evaluate(outlined.model, home, tmp_path / "out")
        else:
            evidence = evaluate(outlined.model, home, tmp_path / "out", no_split=True)
            assert evidence["splits"]["external"]["n"] == 6


@pytest.mark.parametrize("kind", ["archive", "folder"])
def test_what_has_no_masks_is_refused(outlined: OutlinedRun, tmp_path: Path, kind: str) -> None:
    source = tmp_path / ("pictures.npz" if kind == "archive" else "pictures")
    if kind == "archive":
        np.savez(source, test_images=np.zeros((2, 8, 8), np.uint8), test_labels=np.zeros((2, 1), np.uint8))
    else:
        (source / "benign").mkdir(parents=True)
    with pytest.raises(InputError, match=r"holds no masks, and the model outlines; give a table with columns image"):
        evaluate(outlined.model, source, tmp_path / "out")


def test_a_run_beside_masks_is_refused() -> None:
    from semeion.study.evaluating import refuse_run

    refuse_run(None)
    with pytest.raises(InputError, match="--run: masks are not yet compared"):
        refuse_run(Path("runs/lesions"))
