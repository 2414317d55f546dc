"""Models that classify volumes, and cases of several images."""

from __future__ import annotations

import json

import cv2
import numpy as np
import pytest

from model.conftest import linear_graph, manifest_parts, member_weights
from semeion.errors import InputError, ModelRefused
from semeion.model.package import write_model
from semeion.model.runtime import load_model

SIZE = (6, 8, 10)


def volume_model(folder, names=(), role="single", channels=1, **changes):
    weights, bias = member_weights("binary", 0, channels)
    planes = {"kind": "fixed", "low": 0.0, "high": 2.0, "mean": 0.0, "std": 1.0}
    own = list(names) if role == "channels" else ["image"]
    steps = {"channels": own, "intensity": [planes], "size": SIZE, "size_mode": "stretch"}
    inputs = {"images": max(len(names), 1), "names": list(names), "role": role}
    parts = manifest_parts() | {"preparation": steps, "inputs": inputs} | changes
    graph = linear_graph(weights, bias, shape=["N", channels, *SIZE])
    write_model(folder, parts, {"m": graph}, "# card\n")
    return folder


def test_volumes_are_classified(make_volume, tmp_path):
    path, _ = make_volume()
    bright, _ = make_volume("bright.nii.gz", scale=2.0)
    model = load_model(volume_model(tmp_path / "m"), threads=1)
    table = model.predict([str(path), str(bright), str(tmp_path / "absent.nii.gz")])
    assert table["status"].tolist() == ["called", "called", "failed"]
    assert table["p_malignant"][1] > table["p_malignant"][0]
    assert table["reasons"][2].startswith("missing-file")


@pytest.mark.parametrize("role", ["channels", "frames", "views"])
def test_several_volumes_a_case_are_read_in_the_order_of_their_names(make_volume, tmp_path, role):
    (a, _), (b, _) = make_volume("a.nii.gz"), make_volume("b.nii.gz", scale=0.2)
    model = load_model(volume_model(tmp_path / "m", ("A", "B"), role, 2), threads=1)
    table = tmp_path / "t.csv"
    table.write_text("image.B,image.A,case_id\nb.nii.gz,a.nii.gz,x\na.nii.gz,b.nii.gz,y\n,a.nii.gz,z\n")
    found = model.predict(str(table))
    assert found["status"].tolist() == ["called", "called", "failed"]
    assert found["p_malignant"][0] != found["p_malignant"][1]
    assert found["reasons"][2] == "missing-file: the table names no image 'B' for this case"
    assert found["image"][0] == "a.nii.gz"
    assert model.predict([str(a), str(b)])["p_malignant"][0] == pytest.approx(found["p_malignant"][0])


def test_several_pictures_a_case(tmp_path):
    weights, bias = member_weights("binary", 0, 2)
    parts = manifest_parts() | {"inputs": {"photometry": "grey", "images": 2, "names": ["cc", "mlo"], "role": "views"}}
    write_model(tmp_path / "m", parts, {"m": linear_graph(weights, bias, shape=["N", 2, 8, 8])}, "# card\n")
    for name, value in (("a.png", 40), ("b.png", 200)):
        noise = np.random.default_rng(value).integers(0, 30, (8, 8))
        assert cv2.imwrite(str(tmp_path / name), (noise + value).astype(np.uint8))
    model = load_model(tmp_path / "m", threads=1)
    (tmp_path / "t.csv").write_text("image.cc,image.mlo\na.png,b.png\nb.png,b.png\n")
    found = model.predict(str(tmp_path / "t.csv"))
    assert found["status"].tolist() == ["called", "called"]
    assert found["p_malignant"][1] > found["p_malignant"][0]


def test_a_model_of_one_picture_is_written_as_before(make_model):
    written = json.loads((make_model() / "model.json").read_text())
    assert set(written["inputs"]) & {"names", "role", "volumes_seen"} == set()
    assert "segmentation" not in written
    assert set(written["members"][0]) == {"name", "file", "output"}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"inputs": {"images": 2, "names": ["A"], "role": "channels"}}, "2 images a case have 1 names"),
        ({"inputs": {"images": 2, "names": ["A", "A"], "role": "views"}}, "two images of a case have the same name"),
        ({"preparation": {"channels": ["image"]}}, "volumes that are classified need a size"),
        ({"inputs": {"images": 2, "names": ["A", "B"], "role": "channels"}}, "2 channels are named and 1 prepared"),
    ],
)
def test_a_manifest_of_volumes_that_contradicts_itself_is_refused(tmp_path, change, message):
    with pytest.raises(InputError) as caught:
        volume_model(tmp_path / "m", **change)
    assert message in str(caught.value)


def test_a_graph_of_another_size_is_refused(tmp_path):
    with pytest.raises(ModelRefused, match="the graph takes 2 channels of 6 x 8 x 10 voxels, but images are prepared"):
        volume_model(tmp_path / "m", channels=2)
