"""A small run of a segmentation: balls in noise that are called lesions, a tiny U-Net, the given split."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from semeion.artefacts import read_json
from semeion.cohort.cohort import CohortOptions
from semeion.plan.files import write_plan
from semeion.plan.segment_schema import SegmentationPlan
from semeion.progress import Silent
from semeion.study.options import RunOptions
from semeion.study.road import start_run
from support.spheres import make_spheres


@dataclass(frozen=True)
class OutlinedRun:
    """A finished run, its table and what it wrote."""

    table: Path
    path: Path
    evidence: dict[str, Any]

    @property
    def model(self) -> Path:
        return self.path / "model"


def outline_plan(steps: int = 40) -> SegmentationPlan:
    """Return a plan of one member with nothing left to choose."""
    network = {
        "dims": 3,
        "patch": [8, 16, 16],
        "widths": [8, 12],
        "kernels": [[3, 3, 3], [3, 3, 3]],
        "strides": [[1, 1, 1], [1, 2, 2]],
        "deep_supervision": 0,
    }
    arm = {"name": "3d", "network": network, "batch": 2, "learning_rate": 2e-2, "channels_last": False}
    return SegmentationPlan.model_validate(
        {
            "schema": 1,
            "seed": 3,
            "target": {"name": "mask", "classes": ["lesion"], "values": [1], "lesions": ["lesion"]},
            "preparation": {},
            "arms": [arm],
            "training": {"threads": 1, "averaging": 0.9, "evaluations": 2},
            "validation": {"scheme": "given"},
            "members": [{"name": "seed0", "seed": 1, "steps": steps, "arm": "3d"}],
            "choice": {"arm": "3d"},
        }
    )


def train_outlines(folder: Path) -> OutlinedRun:
    """Make a cohort of 16 cases in `folder` and go the whole road."""
    table = make_spheres(folder / "source", n=16, masks=True)
    write_plan(outline_plan(), folder / "plan.yaml")
    cohort = CohortOptions(target="mask", task="segmentation", labels={"1": "lesion"})
    options = RunOptions(cohort, plan=str(folder / "plan.yaml"), jobs=1)
    run = start_run(table, options, folder / "run", Silent())
    return OutlinedRun(table, run, read_json(run / "evidence.json"))
