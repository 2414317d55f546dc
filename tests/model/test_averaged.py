"""The part of a model folder that holds networks which see the images, beside measurements: read as hostile input."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from model.conftest import voxel_graph
from semeion.errors import InputError, ModelRefused
from semeion.model.averaged import average, image_manifest
from semeion.model.manifest import Manifest
from semeion.model.package import write_model
from support.stump import FILE, STUMP, stump_parts

GRAPH = "members/images-a.onnx"
IMAGES = {
    "preparation": {"channels": ["image"], "size": [4, 8, 8], "intensity": [{"kind": "percentiles"}]},
    "members": [{"name": "images-a", "file": GRAPH}],
    "calibration": {"value": 2.0},
}


def manifest_of(**changes: Any) -> Manifest:
    parts = stump_parts()
    parts["measured"]["images"] = IMAGES | changes
    listed = {"size": 1, "sha256": "0" * 64}
    return Manifest.model_validate(
        parts
        | {
            "schema": 1,
            "semeion": "0",
            "created": "2026-01-01",
            "members": [{"name": "m0", "file": "members/m0.onnx"}],
            "files": dict.fromkeys(["members/m0.onnx", GRAPH, FILE, "CARD.md"], listed),
        }
    )


def test_the_image_networks_are_seen_as_a_model_that_classifies_volumes() -> None:
    manifest = manifest_of()
    own = image_manifest(manifest)
    assert own is not None
    assert (own.outlines, own.volumes, own.n_outputs) == (False, True, 2)
    assert own.inputs == manifest.inputs
    assert own.calibration is not None
    assert own.calibration.value == 2.0
    assert [member.file for member in own.members] == [GRAPH]
    Manifest.model_validate(own.model_dump(by_alias=True) | {"operating_point": {"rule": "x", "value": 0.5}})
    assert image_manifest(own) is None


def test_a_model_of_measurements_alone_has_none_and_its_manifest_says_nothing_of_them(tmp_path: Path) -> None:
    graphs = {"m0": voxel_graph(1, 2, (8, 8, 8), 0.0)}
    write_model(tmp_path / "model", stump_parts(), graphs, "# card\n", files={FILE: json.dumps(STUMP).encode()})
    raw = json.loads((tmp_path / "model" / "model.json").read_text())
    assert set(raw["measured"]) == {"structures", "measurements", "file"}
    assert image_manifest(Manifest.model_validate(raw)) is None


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"preparation": {**IMAGES["preparation"], "size": None}}, "volumes that are classified need a size"),
        ({"preparation": {**IMAGES["preparation"], "size": [4, 8, 9999]}}, "volumes that are classified need a size"),
        (
            {"preparation": {"channels": ["a", "b"], "size": [4, 8, 8], "intensity": [{"kind": "percentiles"}]}},
            "image networks see 2 channels, and an image has 1",
        ),
        ({"members": []}, "at least 1 item"),
        ({"members": IMAGES["members"] * 2}, "two image networks have the same name"),
        ({"members": [{"name": "a", "file": "../a.onnx"}]}, "could lead out of the model folder"),
        ({"members": [{"name": "a", "file": "members/other.onnx"}]}, "'members/other.onnx' is used but not listed"),
        (
            {"members": [{**IMAGES["members"][0], "fast": "members/f.onnx"}]},
            "neither a faster graph nor mirrored",
        ),
        ({"members": [{**IMAGES["members"][0], "mirror": [1]}]}, "neither a faster graph nor mirrored"),
        (
            {
                "members": [
                    {**IMAGES["members"][0], "kind": "frozen", "output": "features", "head": "members/gone.json"}
                ]
            },
            "an image network gives logits, and has neither a head nor a weight",
        ),
        ({"members": [{**IMAGES["members"][0], "weight": 1.0}]}, "has neither a head nor a weight"),
        ({"members": [{**IMAGES["members"][0], "kind": "covariates", "output": "probabilities"}]}, "gives logits"),
        ({"calibration": {"by_target": {"grown": 1.0}}}, "the calibration of image networks is one temperature"),
        ({"weights": [0.1, 0.9]}, "Extra inputs are not permitted"),
    ],
)
def test_what_does_not_fit_is_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        manifest_of(**changes)


def test_members_that_outline_count_the_same() -> None:
    raw = manifest_of().model_dump(by_alias=True)
    raw["members"][0]["weight"], raw["combination"] = 1.0, "weighted"
    with pytest.raises(ValueError, match="what members outline counts the same, and they have weights"):
        Manifest.model_validate(raw)


def test_a_graph_that_outlines_is_no_image_network(tmp_path: Path) -> None:
    parts = stump_parts()
    parts["measured"]["images"] = IMAGES
    graph = voxel_graph(1, 2, (8, 8, 8), 0.0)
    files = {FILE: json.dumps(STUMP).encode(), GRAPH: graph}
    with pytest.raises(ModelRefused, match="images-a"):
        write_model(tmp_path / "model", parts, {"m0": graph}, "# card\n", files=files)
    assert not (tmp_path / "model").exists()
    with pytest.raises(InputError, match="used but not listed"):
        write_model(tmp_path / "model", parts, {"m0": graph}, "# card\n", files={FILE: files[FILE]})


@given(st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1)), min_size=1, max_size=9))
def test_the_average_lies_between_both_and_sums_to_one(given: list[tuple[float, float]]) -> None:
    one, other = (np.array([[1 - pair[n], pair[n]] for pair in given]) for n in (0, 1))
    p = average(one, other)
    assert (p >= np.minimum(one, other)).all()
    assert (p <= np.maximum(one, other)).all()
    np.testing.assert_allclose(p.sum(axis=1), 1)
    np.testing.assert_array_equal(p, average(other, one))
