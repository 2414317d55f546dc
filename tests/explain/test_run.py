"""Reading with explanations: every file a clinician opens, on the image's own grid, and findings that do not change."""

from __future__ import annotations

import gzip
import json
import zlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import SimpleITK as sitk

from semeion.errors import InputError
from semeion.explain.asking import How
from semeion.explain.overlay import BAR, shown_size
from semeion.explain.run import explained_findings
from semeion.model import runtime
from semeion.model.package import write_model
from semeion.model.several_targets import load_model, write_several
from semeion.report.explain_page import write_explain_page
from support.pictured import GAIN, pictured_graph, pictured_model, spotted


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return pictured_model(tmp_path_factory.mktemp("binary") / "model")


@pytest.fixture(scope="module")
def picture(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return spotted(tmp_path_factory.mktemp("pictures") / "a.png")


def explain(model: Path, images: Any, folder: Path, **how: Any) -> list[Any]:
    return list(explained_findings(load_model(model), images, folder, How(**how), jobs=1))


def said(folder: Path, name: str = "1") -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / f"{name}.json").read_text())
    return found


def names(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def test_a_picture_is_explained_where_it_is_bright(model: Path, picture: Path, tmp_path: Path) -> None:
    [finding] = explain(model, [picture], tmp_path / "why", target="malignant")
    assert finding.explanation == str(tmp_path / "why" / "1.png")
    assert names(tmp_path / "why") == {"1.png", "1.json", "explain.json"}
    shown = cv2.cvtColor(cv2.imread(finding.explanation), cv2.COLOR_BGR2RGB).astype(int)
    high, wide = shown_size(64, 96)
    assert shown.shape == (high, wide + BAR, 3)
    redness = shown[:, :wide, 0] - shown[:, :wide, 2]
    rows, columns = np.nonzero(redness > 0.8 * redness.max())
    assert rows.mean() / high * 64 == pytest.approx(24, abs=3)
    assert columns.mean() / wide * 96 == pytest.approx(70, abs=5)
    [one] = said(tmp_path / "why")["explained"]
    assert (one["class"], one["method"], one["unit"], one["share"]) == ("malignant", "activation", "logit", 1.0)
    assert one["members"] == [{"name": "m0", "share": 0.5}, {"name": "m1", "share": 0.5}]
    assert "m0, m1" in one["sentence"]
    [image] = one["images"]
    assert image["size"] == [64, 96]
    row, column = image["most_for"]["at"]
    assert abs(row - 24) <= 8
    assert abs(column - 70) <= 12
    assert one["scale"]["most"] == pytest.approx(image["most_for"]["value"])
    assert one["scale"]["contour"] == pytest.approx(one["scale"]["most"] / 2, rel=1e-5)
    assert said(tmp_path / "why")["use"].startswith("Research use only")


def test_findings_are_bit_for_bit_the_same_with_and_without(model: Path, picture: Path, tmp_path: Path) -> None:
    pictures = [picture, spotted(tmp_path / "b.png", bright=90), tmp_path / "none.png"]
    plain = list(load_model(model).findings(pictures))
    for method in ("auto", "occlusion"):
        found = explain(model, pictures, tmp_path / method, method=method)
        assert [replace(one, explanation="") for one in found] == plain
        assert all(one.explanation and Path(one.explanation).is_file() for one in found)


def test_the_called_class_is_explained_unless_another_is_named(model: Path, picture: Path, tmp_path: Path) -> None:
    [finding] = explain(model, [picture], tmp_path / "own")
    assert said(tmp_path / "own")["explained"][0]["class"] == finding.call
    other = "malignant" if finding.call == "benign" else "benign"
    explain(model, [picture], tmp_path / "other", target=other)
    own, turned = (said(tmp_path / name)["explained"][0] for name in ("own", "other"))
    assert turned["class"] == other
    for one, other in ((own, turned), (turned, own)):
        assert one["images"][0]["most_for"] == _against(other["images"][0]["most_against"])


def _against(place: dict[str, Any] | None) -> dict[str, Any] | None:
    return None if place is None else place | {"value": -place["value"]}


def test_a_model_without_maps_is_explained_by_occlusion_and_refuses_activation(picture: Path, tmp_path: Path) -> None:
    old = pictured_model(tmp_path / "old", maps=False)
    explain(old, [picture], tmp_path / "why", target="malignant")
    [one] = said(tmp_path / "why")["explained"]
    assert one["method"] == "occlusion"
    row, column = one["images"][0]["most_for"]["at"]
    assert abs(row - 24) <= 16
    assert abs(column - 70) <= 24
    with pytest.raises(InputError, match="no network of the model gives activation maps; explain by occlusion"):
        explain(old, [picture], tmp_path / "refused", method="activation")
    assert not (tmp_path / "refused").exists()


def test_a_case_that_failed_has_a_file_that_says_why_and_no_map(model: Path, picture: Path, tmp_path: Path) -> None:
    lost, found = explain(model, [tmp_path / "none.png", picture], tmp_path / "why")
    assert (lost.status, found.status) == ("failed", "called")
    assert lost.explanation == str(tmp_path / "why" / "1.json")
    assert names(tmp_path / "why") == {"1.json", "2.json", "2.png", "explain.json"}
    about = said(tmp_path / "why")
    assert about["explained"] == []
    assert "failed" in about["why_no_map"]
    assert "missing-file" in about["why_no_map"]
    account = json.loads((tmp_path / "why" / "explain.json").read_text())
    assert account["cases"] == ["1.json", "2.json"]
    assert account["statuses"] == {"failed": 1, "called": 1}


def test_every_label_that_is_present_has_a_picture_of_its_own(picture: Path, tmp_path: Path) -> None:
    labels = pictured_model(tmp_path / "labels", "multilabel")
    point = {"rule": "youden", "by_target": {"effusion": 0.1, "nodule": 0.01}}
    both = pictured_model(tmp_path / "both", "multilabel", operating_point=point)
    findings = explain(both, [picture], tmp_path / "why")
    assert [one.call for one in findings] == ["present", "present"]
    assert names(tmp_path / "why") == {"1.effusion.png", "1.nodule.png", "1.json", "explain.json"}
    assert {one.explanation for one in findings} == {str(tmp_path / "why" / "1.json")}
    explain(labels, [picture], tmp_path / "one", target="nodule")
    assert names(tmp_path / "one") == {"1.png", "1.json", "explain.json"}


@pytest.mark.parametrize("task", ["ordinal", "regression"])
def test_one_score_is_explained_without_a_class(task: str, picture: Path, tmp_path: Path) -> None:
    one_score = pictured_model(tmp_path / "model", task)
    explain(one_score, [picture], tmp_path / "why")
    [one] = said(tmp_path / "why")["explained"]
    assert one["unit"] == {"ordinal": "score", "regression": "years"}[task]
    with pytest.raises(InputError, match="leave --class out"):
        explain(one_score, [picture], tmp_path / "refused", target="grade 3")


def turned_volume(path: Path) -> Any:
    """Write a volume with a bright block, turned in space; return the SimpleITK image."""
    values = np.full((10, 24, 20), 20, np.uint8)
    values[6:8, 4:10, 12:18] = 255
    image = sitk.GetImageFromArray(values.astype(np.int16))
    image.SetSpacing((1.1, 0.9, 2.5))
    image.SetOrigin((-20.0, 30.5, 7.25))
    c, s = np.cos(0.3), np.sin(0.3)
    image.SetDirection((c, -s, 0, s, c, 0, 0, 0, 1))
    sitk.WriteImage(image, str(path))
    return image


@pytest.mark.parametrize("suffix", ["nii.gz", "nrrd"])
def test_the_map_of_a_volume_lies_on_its_grid(suffix: str, tmp_path: Path) -> None:
    volumes = pictured_model(tmp_path / "model", size=(8, 16, 16), members=1)
    image = turned_volume(tmp_path / "case.nii.gz")
    [finding] = explain(volumes, [tmp_path / "case.nii.gz"], tmp_path / "why", target="malignant", suffix=suffix)
    assert names(tmp_path / "why") == {"1.png", f"1.{suffix}", "1.json", "explain.json"}
    assert finding.explanation.endswith("1.png")
    back = sitk.ReadImage(str(tmp_path / "why" / f"1.{suffix}"))
    assert back.GetSize() == image.GetSize()
    assert back.GetSpacing() == pytest.approx(image.GetSpacing(), abs=1e-5)
    assert back.GetOrigin() == pytest.approx(image.GetOrigin(), abs=1e-4)
    assert back.GetDirection() == pytest.approx(image.GetDirection(), abs=1e-5)
    values = sitk.GetArrayFromImage(back)
    assert values.dtype == np.float32
    k, j, i = np.unravel_index(values.argmax(), values.shape)
    assert 5 <= k <= 8
    assert 3 <= j <= 11
    assert 11 <= i <= 18
    # The middle of the block is white, so that a place of the map has its whole share of the score.
    assert values[6:8, 7, 15].max() <= GAIN
    assert values[6:8, 7, 15].mean() > 2 * values[1, 20, 3] > 0
    [one] = said(tmp_path / "why")["explained"]
    [about] = one["images"]
    assert about["slices"] == pytest.approx(values.sum(axis=(1, 2)), rel=1e-4)
    assert int(np.argmax(about["slices"])) in (6, 7)
    for key in back.GetMetaDataKeys():
        assert "case" not in back.GetMetaData(key)


@pytest.mark.parametrize(
    "case_id", ["../out", "a/b", "..", ".hidden", "C:\\x", "päivä", "x" * 60, "a\nb", "-rf", "%2e%2e", "a b;c"]
)
def test_a_hostile_case_id_names_a_file_inside_the_folder(
    case_id: str, model: Path, picture: Path, tmp_path: Path
) -> None:
    import pandas as pd

    table = pd.DataFrame({"case_id": [case_id], "image": [str(picture)]})
    before = set(tmp_path.rglob("*"))
    [finding] = explain(model, table, tmp_path / "why" / "deep")
    written = {path for path in tmp_path.rglob("*") if path.is_file()} - before
    assert {path.parent for path in written} == {tmp_path / "why" / "deep"}
    assert len(written) == 3
    assert not any(path.name.startswith((".", "..")) for path in written)
    assert Path(finding.explanation) in written


@pytest.mark.parametrize(
    ("case_ids", "message"),
    [
        (["x" * 300], "a case id of 300 letters cannot name a file"),
        (["A", "a"], "the explanations of case 'A' and of case 'a' would be one file"),
        (["explain"], "the explanation of case 'explain' and the account of all cases would be one file"),
        (["Findings"], "would be one file; rename the case"),
    ],
)
def test_case_ids_that_cannot_be_told_apart_are_refused_before_anything_is_written(
    case_ids: list[str], message: str, model: Path, picture: Path, tmp_path: Path
) -> None:
    import pandas as pd

    table = pd.DataFrame({"case_id": case_ids, "image": [str(picture)] * len(case_ids)})
    with pytest.raises(InputError, match=message):
        explain(model, table, tmp_path / "why")
    assert not (tmp_path / "why").exists()


def test_a_folder_that_holds_other_things_is_left_alone(model: Path, picture: Path, tmp_path: Path) -> None:
    (tmp_path / "why").mkdir()
    (tmp_path / "why" / "notes.txt").write_text("mine")
    with pytest.raises(InputError, match="the folder holds other things already; give a new or empty folder"):
        explain(model, [picture], tmp_path / "why")
    assert names(tmp_path / "why") == {"notes.txt"}
    with pytest.raises(InputError, match="is a file"):
        explain(model, [picture], picture)


def test_an_unknown_class_is_refused_with_those_there_are(model: Path, picture: Path, tmp_path: Path) -> None:
    with pytest.raises(
        InputError, match=r"no class 'malignent', did you mean 'malignant'.*give one of benign, malignant"
    ):
        explain(model, [picture], tmp_path / "why", target="malignent")
    assert not (tmp_path / "why").exists()


def test_each_of_several_targets_has_a_folder_of_its_own(picture: Path, tmp_path: Path) -> None:
    parts = {
        "finding": ("finding", pictured_model(tmp_path / "a")),
        "age/years": ("age", pictured_model(tmp_path / "b", "regression", target="age/years")),
    }
    write_several(tmp_path / "several", parts)
    plain = list(load_model(tmp_path / "several").findings([picture]))
    found = explain(tmp_path / "several", [picture], tmp_path / "why", target="malignant")
    assert [replace(one, explanation="") for one in found] == plain
    assert names(tmp_path / "why") == {
        f"{folder}/{name}" for folder in ("finding", "age%2Fyears") for name in ("1.png", "1.json", "explain.json")
    }
    assert said(tmp_path / "why" / "finding")["explained"][0]["class"] == "malignant"
    with pytest.raises(InputError, match="no target of the model has a class 'x'; give one of benign, malignant"):
        explain(tmp_path / "several", [picture], tmp_path / "none", target="x")
    assert not (tmp_path / "none").exists()


def test_what_cannot_be_written_ends_the_reading(
    model: Path, picture: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from semeion.errors import MachineError
    from semeion.explain import files

    def full(path: Path, data: bytes) -> None:
        raise MachineError("the disk is full", where=str(path))

    monkeypatch.setattr(files, "write_bytes", full)
    with pytest.raises(MachineError, match="the disk is full"):
        explain(model, [picture] * 1, tmp_path / "why")
    assert not (tmp_path / "why" / "explain.json").exists()


def test_reading_that_stops_half_way_leaves_no_account(model: Path, picture: Path, tmp_path: Path) -> None:
    stream = explained_findings(runtime.load_model(model), [picture] * 1, tmp_path / "why", jobs=1)
    next(stream)
    stream.close()
    assert not (tmp_path / "why" / "explain.json").exists()


def test_each_of_several_views_has_a_picture_on_its_own_grid(tmp_path: Path) -> None:
    import pandas as pd

    inputs = {"photometry": "grey", "role": "views", "names": ["front", "side"], "images": 2}
    graphs = {"m0": pictured_graph(np.array([0.0, GAIN]), np.array([0.0, -2.0]), maps=False, channels=2)}
    parts = {
        "task": "binary",
        "target": "finding",
        "classes": ["benign", "malignant"],
        "positive": "malignant",
        "inputs": inputs,
        "preparation": {"channels": 1, "size": (16, 16), "fit": "stretch"},
        "operating_point": {"rule": "youden", "value": 0.5},
    }
    write_model(tmp_path / "model", parts, graphs, "# card\n")
    front, side = spotted(tmp_path / "f.png"), spotted(tmp_path / "s.png", (150, 30), (200, 120))
    table = pd.DataFrame({"case_id": ["x"], "image.front": [str(front)], "image.side": [str(side)]})
    [finding] = explain(tmp_path / "model", table, tmp_path / "why", target="malignant")
    assert names(tmp_path / "why") == {"x.front.png", "x.side.png", "x.json", "explain.json"}
    assert finding.explanation == str(tmp_path / "why" / "x.json")
    [one] = said(tmp_path / "why", "x")["explained"]
    assert [image["name"] for image in one["images"]] == ["front", "side"]
    assert [image["size"] for image in one["images"]] == [[64, 96], [200, 120]]
    for image, (row, column), away in zip(one["images"], ((24, 70), (150, 30)), ((8, 12), (26, 16)), strict=True):
        at = image["most_for"]["at"]
        assert abs(at[0] - row) <= away[0]
        assert abs(at[1] - column) <= away[1]
    assert np.array(one["parts"]).shape == (2, 1)


def test_a_map_that_finds_no_place_keeps_its_finding(
    model: Path, picture: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from semeion.explain import explainer

    def nowhere(*_: Any) -> None:
        raise InputError("the axes are not perpendicular", where="image")

    monkeypatch.setattr(explainer, "placed", nowhere)
    [finding] = explain(model, [picture], tmp_path / "why")
    assert (finding.status, finding.explanation) == ("called", str(tmp_path / "why" / "1.json"))
    [one] = said(tmp_path / "why")["explained"]
    assert one["remark"] == "The map could not be brought to the image (the axes are not perpendicular)."
    assert one["pictures"] == []


def test_a_map_that_is_no_number_keeps_its_finding(
    model: Path, picture: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from semeion.explain import explainer

    whole = explainer.explain_where

    def broken(*given: Any) -> Any:
        found = whole(*given)
        found.map[0, 0] = np.inf
        return found

    monkeypatch.setattr(explainer, "explain_where", broken)
    [finding] = explain(model, [picture], tmp_path / "why")
    assert finding.status == "called"
    [one] = said(tmp_path / "why")["explained"]
    assert one["remark"] == "The map could not be brought to the image (it holds values that are no numbers)."
    assert one["pictures"] == []


def test_the_page_escapes_names_says_the_operating_point_and_leads_to_every_case(picture: Path, tmp_path: Path) -> None:
    classes = ["benign", "<script>x</script>"]
    point = {"rule": "youden", "value": 0.25}
    hostile = pictured_model(tmp_path / "m", classes=classes, positive=classes[1], operating_point=point)
    explain(hostile, [picture, tmp_path / "none.png"], tmp_path / "why")
    page = write_explain_page(tmp_path / "why").read_text()
    assert "<script>x" not in page
    assert "A case is called &lt;script&gt;x&lt;/script&gt; where its probability is at least 0.250" in page
    assert 'href="1.json"' in page
    assert 'href="2.json"' in page  # of the case that failed too


CANARY = b"ZQXPERSON"
FIELDS = {4: 10, 14: 18, 148: 80, 228: 24, 328: 16}
"""Texts of a NIfTI-1 header and their lengths: data_type, db_name, descrip, aux_file, intent_name (nifti1.h)."""


def test_what_a_header_says_of_a_patient_stays_in_it(tmp_path: Path) -> None:
    volumes = pictured_model(tmp_path / "model", size=(8, 16, 16), members=1)
    turned_volume(tmp_path / "case.nii.gz")
    data = bytearray(gzip.decompress((tmp_path / "case.nii.gz").read_bytes()))
    for at, length in FIELDS.items():
        data[at : at + length] = CANARY[: length - 1].ljust(length, b"\0")
    (tmp_path / "case.nii.gz").write_bytes(gzip.compress(bytes(data)))
    explain(volumes, [tmp_path / "case.nii.gz"], tmp_path / "why", target="malignant")
    write_explain_page(tmp_path / "why")
    assert CANARY in bytes(data)
    for path in (tmp_path / "why").iterdir():
        text = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
        assert CANARY not in text, path.name


def test_what_a_pictures_chunks_say_of_a_patient_stays_in_it(model: Path, picture: Path, tmp_path: Path) -> None:
    chunk = b"tEXt" + b"Author\0" + CANARY
    data = picture.read_bytes()
    text = (len(chunk) - 4).to_bytes(4, "big") + chunk + zlib.crc32(chunk).to_bytes(4, "big")
    (tmp_path / "a.png").write_bytes(data[:33] + text + data[33:])
    [finding] = explain(model, [tmp_path / "a.png"], tmp_path / "why")
    assert finding.status == "called"
    for path in (tmp_path / "why").iterdir():
        assert CANARY not in path.read_bytes(), path.name


def test_a_model_of_an_earlier_version_is_explained_by_occlusion(picture: Path, tmp_path: Path) -> None:
    old = Path(__file__).parents[1] / "model" / "fixtures" / "schema1"
    [finding] = explain(old, [picture], tmp_path / "why")
    assert finding.status != "failed"
    [one] = said(tmp_path / "why")["explained"]
    assert (one["method"], one["tested"]) == ("occlusion", None)
    assert one["remark"] == "The method was not tested on this model."
    assert (tmp_path / "why" / "1.png").is_file()


def test_of_several_classes_the_sentence_says_against_what(picture: Path, tmp_path: Path) -> None:
    explain(pictured_model(tmp_path / "model", "multiclass"), [picture], tmp_path / "why", target="b")
    [one] = said(tmp_path / "why")["explained"]
    assert "the logit of 'b' less the mean of the others' in the members m0, m1" in one["sentence"]
    assert one["scale"]["shown_in"] == "logit/1%"
    assert one["scale"]["times"] == 16 * 16 / 100
