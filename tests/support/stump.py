"""A model that diagnoses from measurements: by hand, with a stump over one volume."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from model.conftest import segmentation_parts, voxel_graph
from semeion.model.package import write_model

STRUCTURES = {"rim": 3, "core": 7}
FILE = "members/measurements.json"
STUMP: dict[str, Any] = {
    "schema": 1,
    "features": ["after_core_volume_ml", "after_core_sphericity"],
    "fill": [1.0, 0.9],
    "outputs": 2,
    "link": "mean",
    "roots": [0],
    "feature": [0, -1, -1],
    "threshold": [0.3, 0.0, 0.0],
    "left": [1, 0, 0],
    "right": [2, 0, 0],
    "value": [[0.5, 0.5], [0.9, 0.1], [0.2, 0.8]],
}


def stump_parts() -> dict[str, Any]:
    """Return the manifest of a model that says by the core's volume afterwards whether it has grown."""
    parts = segmentation_parts()
    parts["inputs"] |= {"role": "frames", "names": ["before", "after"], "images": 2}
    return parts | {
        "task": "binary",
        "target": "course",
        "classes": ["shrunk", "grown"],
        "positive": "grown",
        "measured": {
            "structures": list(STRUCTURES),
            "measurements": {"kind": "regions", "images": ["before", "after"], "structures": STRUCTURES},
            "file": FILE,
        },
        "operating_point": {"rule": "youden", "value": 0.5},
        "calibration": {"value": 1.0},
    }


def write_stump(folder: Path, trees: dict[str, Any] | bytes = STUMP, **changes: Any) -> Path:
    """Write the model, with `changes` of its manifest; return its folder."""
    data = trees if isinstance(trees, bytes) else json.dumps(trees).encode()
    graphs = {"m0": voxel_graph(1, 2, (8, 8, 8), 0.0)}
    write_model(folder, stump_parts() | changes, graphs, "# card\n", files={FILE: data})
    return folder
