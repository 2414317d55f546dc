from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path

import numpy as np
import pytest

from semeion.calibration.maps import Platt
from semeion.errors import InputError, ModelRefused
from semeion.model.opening import open_folder, read_listed
from semeion.model.package import write_model
from semeion.model.runtime import load_model

PLATT = Platt(0.6, -0.4).to_json()


def rewrite(folder: Path, change) -> None:
    """Change model.json and make model.sha256 agree, as an attacker would."""
    value = json.loads((folder / "model.json").read_text())
    change(value)
    replace_manifest(folder, json.dumps(value).encode())


def replace_manifest(folder: Path, data: bytes) -> None:
    (folder / "model.json").write_bytes(data)
    (folder / "model.sha256").write_text(hashlib.sha256(data).hexdigest() + "  model.json\n")


def refusal(folder: Path) -> str:
    with pytest.raises(ModelRefused) as caught:
        open_folder(folder)
    assert caught.value.exit_status == 3
    assert caught.value.fix
    return str(caught.value)


def test_what_is_written_is_whole_and_verified(make_model):
    folder = make_model("binary", 2)
    names = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    assert names == ["CARD.md", "golden.json", "members/m0.onnx", "members/m1.onnx", "model.json", "model.sha256"]
    manifest, digest = open_folder(folder)
    assert digest == hashlib.sha256((folder / "model.json").read_bytes()).hexdigest()
    assert (folder / "model.sha256").read_text() == f"{digest}  model.json\n"
    assert [member.name for member in manifest.members] == ["m0", "m1"]
    assert manifest.classes == ["normal or benign", "malignant"]
    assert manifest.files["CARD.md"].size == 7
    written = json.loads((folder / "model.json").read_text())
    assert written["schema"] == 1
    assert written["operating_point"] == {"rule": "youden", "value": 0.4, "by_target": None}
    assert written["members"][0] == {"name": "m0", "file": "members/m0.onnx", "output": "logits"}


def test_writing_again_replaces_the_folder(make_model):
    folder = make_model(members=2)
    before = open_folder(folder)[1]
    assert make_model(members=1) == folder
    assert open_folder(folder)[1] != before
    assert not (folder / "members" / "m1.onnx").exists()
    assert [path.name for path in folder.parent.iterdir()] == ["model"]


def test_the_same_parts_give_the_same_hash(tmp_path, parts, tiny_graph):
    fields = parts() | {"created": "2026-01-01"}
    hashes = {write_model(tmp_path / name, fields, {"m": tiny_graph()}, "card") for name in "ab"}
    assert len(hashes) == 1


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"classes": ["one"]}, "a binary model cannot have 1 classes"),
        ({"positive": "absent"}, "the positive class 'absent' is not among the classes"),
        ({"positive": None}, "a positive class belongs to a binary model"),
        ({"operating_point": None}, "the operating point is missing"),
        ({"operating_point": {"rule": "argmax"}}, "operating point of a binary model is one value"),
        ({"calibration": {"by_target": {"x": 1.0}}}, "the calibration is one temperature"),
        ({"calibration": {"value": 0.0}}, "calibration.value"),
        ({"calibration": {"value": float("nan")}}, "calibration.value"),
        ({"calibration": {"value": 1e-300}}, "calibration.value"),
        ({"calibration": {"value": 1.0, "map": PLATT}}, "by temperature and holds something else"),
        ({"calibration": {"method": "map", "value": 1.0}}, "by map and holds something else"),
        ({"calibration": {"method": "map"}}, "the calibration is one temperature or one map"),
        ({"calibration": {"method": "map", "maps": {"x": PLATT}}}, "the calibration is one temperature or one map"),
        ({"calibration": {"method": "platt", "map": PLATT}}, "calibration.method"),
        ({"calibration": {"method": "map", "map": PLATT | {"slope": -1.0}}}, "calibration.map: slope is -1.0"),
        ({"calibration": {"method": "map", "map": PLATT | {"slope": 1e9}}}, "calibration.map: slope is 1000000000"),
        ({"calibration": {"method": "map", "map": PLATT | {"slope": "1"}}}, "calibration.map: a value is not a number"),
        ({"calibration": {"method": "map", "map": {"kind": "spline"}}}, "calibration.map: unknown map 'spline'"),
        ({"calibration": {"method": "map", "map": PLATT | {"code": "x"}}}, "calibration.map: missing or unknown: code"),
        (
            {"calibration": {"method": "map", "map": {"kind": "isotonic", "x": [0.0] * 10_001, "y": [0.0]}}},
            "at most 10000 items",
        ),
        (
            {"calibration": {"method": "map", "map": {"kind": "isotonic", "x": [0.5, 0.1], "y": [0.1, 0.2]}}},
            "calibration.map: the points are not rising",
        ),
        ({"patients": ["p1"]}, "patients: Extra inputs are not permitted"),
        ({"preparation": {"size": (8, 5000)}}, "outside 8 to 1024"),
        ({"preparation": {"intensity": "window"}}, "window does not fit"),
    ],
)
def test_parts_that_are_no_model_are_refused_and_nothing_is_written(tmp_path, parts, tiny_graph, change, message):
    with pytest.raises(InputError, match=message):
        write_model(tmp_path / "model", parts() | change, {"m": tiny_graph()}, "card")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("task", ["multiclass", "ordinal"])
def test_a_map_of_one_class_does_not_calibrate_several(tmp_path, parts, tiny_graph, task):
    fields = parts(task) | {"calibration": {"method": "map", "map": PLATT}}
    with pytest.raises(InputError, match="the map platt takes the probability of one class, and there are 3"):
        write_model(tmp_path / "model", fields, {"m": tiny_graph(task)}, "card")


def test_a_manifest_names_maps_only_where_they_are_needed(tmp_path, parts, tiny_graph):
    """A temperature is written as ever, so that earlier versions read it; another map they refuse."""
    for name, calibration in (
        ("warm", {"value": 1.5}),
        ("mapped", {"method": "map", "map": PLATT}),
    ):
        write_model(tmp_path / name, parts() | {"calibration": calibration}, {"m": tiny_graph()}, "card")
    warm, mapped = (json.loads((tmp_path / name / "model.json").read_text()) for name in ("warm", "mapped"))
    assert warm["calibration"] == {"method": "temperature", "value": 1.5, "by_target": None}
    assert mapped["calibration"]["map"] == PLATT
    assert (warm["schema"], mapped["schema"]) == (1, 1)
    model = load_model(tmp_path / "mapped")
    np.testing.assert_allclose(model.calibrated([[0.3, 0.7]])[:, 1], Platt(0.6, -0.4).apply([0.7]))


def test_a_graph_that_does_not_fit_the_manifest_is_not_shipped(tmp_path, parts, tiny_graph):
    with pytest.raises(ModelRefused, match=r"member m: the graph takes 1 channels of 16 x 16 pixels, but images are"):
        write_model(tmp_path / "model", parts(), {"m": tiny_graph(size=(16, 16))}, "card")
    with pytest.raises(ModelRefused, match="the graph has 3 outputs, but the binary model needs 2"):
        write_model(tmp_path / "model", parts(), {"m": tiny_graph("multiclass")}, "card")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["../evil", "a b", "", "..", "x/../../y"])
def test_a_member_name_cannot_leave_the_folder(tmp_path, parts, tiny_graph, name):
    with pytest.raises(InputError, match=r"could lead out of the model folder|at least 1 character"):
        write_model(tmp_path / "model", parts(), {name: tiny_graph()}, "card")
    assert list(tmp_path.iterdir()) == []


def test_a_hostile_map_is_refused_on_opening(make_model):
    folder = make_model()
    rewrite(folder, lambda value: value.update(calibration={"method": "map", "map": {**PLATT, "slope": -2}}))
    assert "calibration.map: slope is -2.0" in refusal(folder)


def test_a_changed_file_is_named(make_model):
    folder = make_model()
    graph = folder / "members" / "m1.onnx"
    data = bytearray(graph.read_bytes())
    data[-1] ^= 1
    graph.write_bytes(data)
    message = refusal(folder)
    assert "members/m1.onnx: the file was changed or damaged: sha256 is" in message
    assert "get the model from its source again" in message


def test_a_file_of_another_size_is_named(make_model):
    folder = make_model()
    with (folder / "CARD.md").open("a") as file:
        file.write("better than it is")
    assert "CARD.md: the file was changed or damaged: it has 24 bytes, model.json lists 7" in refusal(folder)


def test_a_missing_file_is_named(make_model):
    folder = make_model()
    (folder / "members" / "m0.onnx").unlink()
    assert "members/m0.onnx: a file of the model is missing" in refusal(folder)


@pytest.mark.parametrize("name", ["notes.txt", "members/m9.onnx", ".DS_Store", "members/deep/x"])
def test_an_unlisted_file_is_named(make_model, name):
    folder = make_model()
    (folder / name).parent.mkdir(exist_ok=True)
    (folder / name).write_text("x")
    top = "members/deep" if "deep" in name else name
    assert f"'{top}' is not listed in model.json; delete it if you put it there" in refusal(folder)


def test_an_empty_unlisted_folder_is_refused(make_model):
    folder = make_model()
    (folder / "extra").mkdir()
    assert "'extra' is not listed" in refusal(folder)


@pytest.mark.parametrize("name", ["members/m0.onnx", "model.json", "model.sha256", "CARD.md"])
def test_a_link_is_refused_even_to_the_same_bytes(make_model, tmp_path, name):
    folder = make_model()
    outside = tmp_path / "outside"
    (folder / name).rename(outside)
    (folder / name).symlink_to(outside)
    assert "is a link; a model folder holds its files itself" in refusal(folder)


def test_a_linked_folder_inside_is_refused(make_model, tmp_path):
    folder = make_model()
    (folder / "members").rename(tmp_path / "outside")
    (folder / "members").symlink_to(tmp_path / "outside")
    assert "is a link" in refusal(folder)


def test_a_pipe_in_place_of_a_file_is_refused(make_model):
    folder = make_model()
    (folder / "CARD.md").unlink()
    os.mkfifo(folder / "CARD.md")
    assert "not a regular file" in refusal(folder)


def test_a_newer_schema_names_both_versions(make_model):
    folder = make_model()
    rewrite(folder, lambda value: value.update(schema=7, semeion="9.9.1", something_new=[1]))
    message = refusal(folder)
    assert "the model has schema 7, written by Semeion 9.9.1; this is Semeion" in message
    assert "which reads schema 1; upgrade Semeion" in message


@pytest.mark.parametrize("name", ["model.json", "model.sha256"])
def test_manifest_and_hash_must_agree(make_model, name):
    folder = make_model()
    data = (folder / name).read_bytes()
    (folder / name).write_bytes(data.replace(b"finding", b"FINDING") if name == "model.json" else b"0" * 64 + data[64:])
    assert "model.json was changed or damaged: its sha256 is" in refusal(folder)


def test_an_empty_hash_file_is_refused(make_model):
    folder = make_model()
    (folder / "model.sha256").write_bytes(b"")
    assert "but model.sha256 says nothing" in refusal(folder)
    (folder / "model.sha256").unlink()
    assert "the file model.sha256 is missing" in refusal(folder)


@pytest.mark.parametrize(
    "path",
    ["../evil.onnx", "/etc/passwd", "members/../../x", "a\\b", "C:x", "members//m", ".hidden", "a\x00b", "x" * 300],
)
def test_a_path_out_of_the_folder_is_refused(make_model, path):
    folder = make_model()

    def change(value):
        value["files"][path] = value["files"].pop("members/m0.onnx")
        value["members"][0]["file"] = path

    rewrite(folder, change)
    assert "could lead out of the model folder" in refusal(folder)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda v: v.update(surprise=1), "surprise: Extra inputs are not permitted"),
        (lambda v: v["preparation"].update(code="import os"), "preparation.code: Extra inputs"),
        (lambda v: v.pop("task"), "task: Field required"),
        (lambda v: v.update(classes=["a"] * 5000), "classes: List should have at most 1000"),
        (lambda v: v.update(target="x" * 20_001), "target: String should have at most 20000"),
        (lambda v: v.update(classes=["malignant", "malignant"]), "two classes have the same name"),
        (lambda v: v.update(members=v["members"] * 2), "two members have the same name"),
        (lambda v: v.update(members=[]), "members: List should have at least 1"),
        (lambda v: v["files"].pop("CARD.md"), "'CARD.md' is used but not listed"),
        (lambda v: v["files"]["CARD.md"].update(size=1 << 40), "files.CARD.md.size"),
        (lambda v: v["files"]["CARD.md"].update(sha256="zz"), "files.CARD.md.sha256"),
        (lambda v: v["files"].update({"card.md": v["files"]["CARD.md"]}), "same name"),
        (lambda v: v["files"].update({"model.json": v["files"]["CARD.md"]}), "must not be"),
        (lambda v: v["operating_point"].update(value="0.4"), "operating_point.value"),
        (lambda v: v.update(schema="1"), "it has no schema number"),
        (lambda v: v.update(schema=True), "it has no schema number"),
        (lambda v: v.pop("schema"), "it has no schema number"),
        (lambda v: v["preparation"].update(size=[100_000, 100_000]), "outside 8 to 1024"),
        (lambda v: v["inputs"].update(images=2), "a single image a case has no other images"),
        (lambda v: v["inputs"].update(images=65), "inputs.images"),
    ],
)
def test_a_manifest_that_is_not_the_schema_is_refused(make_model, change, message):
    folder = make_model()
    rewrite(folder, change)
    text = refusal(folder)
    assert message in text
    assert len(text) < 1500


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"not json", "not valid JSON"),
        (b"", "not valid JSON"),
        (b"\x80\x04K\x01.", "not valid JSON"),
        (b'{"schema": 1, "schema": 1}', "a key occurs twice"),
        (b'{"schema": 1, "x": NaN}', "NaN is not a number of JSON"),
        (b"[" * 200_000, "not valid JSON"),
        (b'{"schema": ' + b"9" * 10_000 + b"}", "not valid JSON"),
        (b"[1]", "no schema number"),
        (b"null", "no schema number"),
    ],
)
def test_bytes_that_are_no_manifest_are_refused(make_model, data, message):
    folder = make_model()
    replace_manifest(folder, data)
    assert message in refusal(folder)


def test_an_oversized_manifest_is_refused(make_model):
    folder = make_model()
    replace_manifest(folder, b" " * ((4 << 20) + 2) + (folder / "model.json").read_bytes())
    assert "the manifest is larger than 4 MiB" in refusal(folder)


def test_what_is_no_model_folder_says_what_to_give(make_model, tmp_path):
    assert "there is no such model folder" in refusal(tmp_path / "nowhere")
    file = tmp_path / "file"
    file.write_text("")
    assert "a model is a folder or a .semeion file, and this is neither" in refusal(file)
    run = tmp_path / "run"
    run.mkdir()
    assert "it has no model.json; give the model folder of a run: RUN/model" in refusal(run)
    make_model().rename(run / "model")
    assert f"give {run / 'model'}" in refusal(run)


def test_a_file_changed_after_opening_is_noticed(make_model):
    folder = make_model()
    manifest, _ = open_folder(folder)
    (folder / "CARD.md").write_text("# CARD\n")
    with pytest.raises(ModelRefused, match="changed since the model was opened"):
        read_listed(folder, "CARD.md", manifest.files["CARD.md"])
