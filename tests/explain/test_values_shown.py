"""Models that rest on measurements and covariates: outlines and sentences where there is no map."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import SimpleITK as sitk

from semeion.errors import InputError
from semeion.explain.asking import How
from semeion.explain.content import case_content
from semeion.explain.run import explained_findings
from semeion.model.findings import Finding
from semeion.model.package import write_model
from semeion.model.several_targets import load_model
from semeion.prepare.covariates import Encoding, Number
from support.pictured import pictured_graph, spotted
from support.stump import write_stump


@pytest.fixture
def measuring(tmp_path: Path) -> Path:
    """Return a model that says by the core's volume at the second of two times whether it has grown."""
    return write_stump(tmp_path / "model")


def ball(path: Path) -> str:
    """Write a ball of value 2 in a shell of value 1; return its path."""
    k, j, i = np.indices((14, 18, 20))
    away = np.sqrt(((k - 6.5) * 2.5) ** 2 + ((j - 8.5) * 1.2) ** 2 + (i - 9.5) ** 2)
    image = sitk.GetImageFromArray(np.where(away < 5, 2.0, np.where(away < 8, 1.0, 0.0)).astype(np.float32))
    image.SetSpacing((1.0, 1.2, 2.5))
    sitk.WriteImage(image, str(path))
    return str(path)


def told(folder: Path, name: str = "1") -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / f"{name}.json").read_text())
    return found


def test_a_diagnosis_from_measurements_shows_outlines_and_sentences(measuring: Path, tmp_path: Path) -> None:
    image = ball(tmp_path / "ball.nii.gz")
    rows = [("a", image, image), ("b", image, str(tmp_path / "gone.nii.gz"))]
    table = pd.DataFrame(rows, columns=["case_id", "image.before", "image.after"])
    model = load_model(measuring, threads=1)
    plain = list(model.findings(table))
    found = list(explained_findings(model, table, tmp_path / "why"))
    assert [replace(one, explanation="", mask="") for one in found] == [replace(one, explanation="") for one in plain]
    names = {path.name for path in (tmp_path / "why").iterdir()}
    masks = {"a.before.nii.gz", "a.after.nii.gz"}
    assert names == {"a.json", "b.json", "explain.json", "a.before.png", "a.after.png"} | masks
    [one] = told(tmp_path / "why", "a")["explained"]
    assert (one["method"], one["class"]) == ("measurements", "grown")
    assert one["pictures"] == ["a.before.png", "a.after.png"]
    assert set(one["maps"]) == masks
    assert any("volume" in value["sentence"] for value in one["values"])
    mask = sitk.GetArrayFromImage(sitk.ReadImage(str(tmp_path / "why" / "a.after.nii.gz")))
    assert mask.shape == (14, 18, 20)
    assert (mask[6, 8, 9], mask[0, 0, 0]) == (7, 0)
    lost = told(tmp_path / "why", "b")
    assert lost["explained"] == []
    assert "missing-file" in lost["why_no_map"]
    assert found[1].explanation == str(tmp_path / "why" / "b.json")


def test_masks_may_go_elsewhere(measuring: Path, tmp_path: Path) -> None:
    image = ball(tmp_path / "ball.nii.gz")
    table = pd.DataFrame([("a", image, image)], columns=["case_id", "image.before", "image.after"])
    model = load_model(measuring, threads=1)
    list(explained_findings(model, table, tmp_path / "why", masks=tmp_path / "masks", mask_format="nrrd"))
    assert {path.name for path in (tmp_path / "masks").iterdir()} == {"a.before.nrrd", "a.after.nrrd"}
    assert told(tmp_path / "why", "a")["explained"][0]["maps"] == []


def test_a_map_is_not_asked_of_measurements(measuring: Path, tmp_path: Path) -> None:
    with pytest.raises(
        InputError, match="the model has no maps: what it rests on is said in sentences; leave --method"
    ):
        explained_findings(load_model(measuring), ["x.nii.gz"], tmp_path / "why", How(method="occlusion"))
    assert not (tmp_path / "why").exists()


@pytest.fixture
def ageing(tmp_path: Path) -> Callable[[float], Path]:
    """Make a model of a network with a share, and of the age of the patient with the rest."""

    def make(share: float) -> Path:
        age = Number(name="age", fill=60, low=40, high=80, margin=20)
        encoding = Encoding(columns=[age])
        width = len(encoding.features)
        weights = [1.0] + [0.0] * (width - 1)
        linear = {
            "features": list(encoding.features),
            "mean": [60.0] + [0.0] * (width - 1),
            "scale": [10.0] + [1.0] * (width - 1),
            "coefficients": [[-w / 2 for w in weights], [w / 2 for w in weights]],
            "intercepts": [0.0, 0.0],
            "link": "softmax",
        }
        head = {"task": "binary", "outputs": 2, "encoding": encoding.model_dump(by_alias=True), "linear": linear}
        parts = {
            "task": "binary",
            "target": "finding",
            "classes": ["benign", "malignant"],
            "positive": "malignant",
            "inputs": {"photometry": "grey", "covariates": [age.model_dump()]},
            "preparation": {"channels": 1, "size": (16, 16), "fit": "stretch"},
            "operating_point": {"rule": "youden", "value": 0.5},
        }
        write_model(
            tmp_path / "model",
            parts,
            {"net": pictured_graph(np.array([0.0, 12.0]), np.array([0.0, -2.0]))},
            "# card\n",
            covariates={"age": json.dumps({**head, "after": []}).encode()},
            weights={"net": share, "age": 1 - share},
        )
        return tmp_path / "model"

    return make


def test_a_model_of_covariates_alone_has_sentences_and_no_map(ageing: Any, tmp_path: Path) -> None:
    table = pd.DataFrame({"case_id": ["a"], "image": [str(spotted(tmp_path / "a.png"))], "age": [80]})
    model = load_model(ageing(0.0))
    [finding] = explained_findings(model, table, tmp_path / "why")
    assert finding.explanation == str(tmp_path / "why" / "a.json")
    assert {path.name for path in (tmp_path / "why").iterdir()} == {"a.json", "explain.json"}
    about = told(tmp_path / "why", "a")
    assert about["why_no_map"] == "No member of the model that has a say looks at the images."
    [one] = about["explained"]
    assert (one["method"], one["pictures"]) == (None, [])
    assert "age 80" in one["values"][0]["sentence"]
    with pytest.raises(InputError, match="no member of the model that has a say looks at the images"):
        explained_findings(model, table, tmp_path / "map", How(method="occlusion"))


def test_a_model_of_images_and_covariates_has_both(ageing: Any, tmp_path: Path) -> None:
    table = pd.DataFrame({"case_id": ["a"], "image": [str(spotted(tmp_path / "a.png"))], "age": [80]})
    [finding] = explained_findings(load_model(ageing(0.25)), table, tmp_path / "why")
    assert finding.explanation == str(tmp_path / "why" / "a.png")
    [one] = told(tmp_path / "why", "a")["explained"]
    assert (one["method"], one["share"], [member["name"] for member in one["members"]]) == ("activation", 0.25, ["net"])
    assert "which counts 25 % of the model" in one["sentence"]
    assert "age 80" in one["values"][0]["sentence"]


def test_probabilities_that_mean_nothing_are_not_written(measuring: Path) -> None:
    manifest = load_model(measuring, threads=1).manifest
    found = Finding("1", "a", "course", "not_applicable", None, (0.2, 0.8), ("modality-differs",), "0" * 64)
    said = case_content(manifest, [found, replace(found, status="unsure")])["findings"]
    assert [one["p"] for one in said] == [None, {"shrunk": 0.2, "grown": 0.8}]
