"""Tasks beyond plain classes, each on real data and out of fold: grades, several labels, measured values.

What is measured in masks (volumes, ejection fraction) is the target here and never an input: networks see images alone.
"""

from __future__ import annotations

import csv
import json
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from statistics import mean, stdev
from typing import Any

import numpy as np

from benchmarks import tables
from benchmarks.processes import run
from benchmarks.record import data, newest, record

SEEDS = (0, 1, 2)
BUDGET, SECONDS = "5m", 300.0


@dataclass(frozen=True)
class Task:
    """A row: how its table is made, the options of ``train``, and the figures that are kept."""

    table: Callable[[Path], Path]
    options: tuple[str, ...]
    figures: tuple[str, ...]


def busi_grades(folder: Path) -> Path:
    """Write ``busi-grades.csv``: the finding of each picture, to be read as grades from normal to malignant."""
    return _written(folder / "busi-grades.csv", [{**_picture(case), "finding": case["finding"]} for case in _busi()])


def busi_labels(folder: Path) -> Path:
    """Write ``busi-labels.csv``: 0 or 1 for a benign and a malignant lesion, and for several lesions.

    A normal picture has one empty mask, which ``n_lesions`` counts.
    """
    rows = [
        {
            **_picture(case),
            "benign": int(case["finding"] == "benign"),
            "malignant": int(case["finding"] == "malignant"),
            "several": int(case["finding"] != "normal" and int(case["n_lesions"]) > 1),
        }
        for case in _busi()
    ]
    return _written(folder / "busi-labels.csv", rows)


def hippocampus_volume(folder: Path) -> Path:
    """Write ``hippocampus-volume.csv``: the volume of both parts in ml, from the voxels of the reference mask."""
    from semeion.cohort.volumes.read import read_volume

    root = data() / "hippocampus"
    rows = []
    for image in sorted((root / "imagesTr").glob("hippocampus_*.nii.gz")):
        mask = read_volume(str(root / "labelsTr" / image.name))
        volume = float(np.count_nonzero(mask.voxels) * np.prod(mask.grid.spacing)) / 1000
        rows.append({"case_id": image.name.removesuffix(".nii.gz"), "image": image, "volume_ml": round(volume, 4)})
    return _written(folder / "hippocampus-volume.csv", rows)


def acdc_fraction(folder: Path) -> Path:
    """Write ``acdc-fraction.csv``: one row a patient, the volumes at both phases and the ejection fraction."""
    with tables.acdc_patients(folder).open(newline="") as file:
        cases = list(csv.DictReader(file))
    kept = ("case_id", "patient_id", "image.ED", "image.ES", "lv_ef")
    return _written(folder / "acdc-fraction.csv", [{name: case[name] for name in kept} for case in cases])


TASKS = {
    "ordinal-busi": Task(
        busi_grades,
        ("--target", "finding", "--task", "ordinal", "--order", "normal,benign,malignant"),
        ("kappa_quadratic", "grade_distance", "accuracy", "auroc"),
    ),
    "multilabel-busi": Task(
        busi_labels, ("--target", "benign,malignant,several", "--task", "multilabel"), ("auroc", "auprc", "brier")
    ),
    "regression-hippocampus": Task(
        hippocampus_volume, ("--target", "volume_ml", "--task", "regression"), ("mae", "rmse", "r2", "bias")
    ),
    "regression-acdc": Task(
        acdc_fraction,
        ("--target", "lv_ef", "--task", "regression", "--frames", "ED,ES"),
        ("mae", "rmse", "r2", "bias"),
    ),
}


def train_row(name: str, seed: int) -> None:
    """Train one seed from the command line and record out-of-fold figures, how intervals held, and time."""
    task = TASKS[name]
    with tempfile.TemporaryDirectory() as folder:
        table, output = task.table(Path(folder)), Path(folder) / "run"
        asked = [*task.options, "--budget", BUDGET, "--seed", str(seed)]
        words = ["train", str(table), *asked, "--quiet", "-o", str(output)]
        done = run([sys.executable, "-m", "semeion", *words], every=0.5)
        # 1: done, and some audit is void or some case failed.
        if done.status not in (0, 1):
            sys.exit(f"training failed with {done.status}:\n{done.output}")
        evidence = json.loads((output / "evidence.json").read_text())
    figures = {
        **figures_of(evidence, task.figures),
        "wall_seconds": round(done.seconds, 1),
        "over_budget": round(done.seconds / SECONDS - 1, 4),
        "peak_mib": round(done.peak_mib, 1),
    }
    record(f"{name}-seed{seed}", command(name, seed), figures, seed=seed)
    summarise(name)


def command(name: str, seed: int) -> str:
    """Return what a person would type."""
    words = " ".join(TASKS[name].options)
    return f"semeion train TABLE {words} --budget {BUDGET} --seed {seed} -o RUN"


def figures_of(evidence: dict[str, Any], names: tuple[str, ...]) -> dict[str, Any]:
    """Return the out-of-fold figures, those of each label, and how often sets or intervals held the truth."""
    kept = ("value", "low", "high", "n")
    own = evidence["metrics"]["oof"]
    found: dict[str, Any] = {"oof": {name: {k: own[name][k] for k in kept} for name in names}}
    for label, part in (evidence.get("targets") or {}).items():
        found.setdefault("labels", {})[label] = {k: part["metrics"]["oof"]["auroc"][k] for k in kept}
    ends = (evidence.get("intervals") or {}).get("oof", {})
    if "coverage" in ends:
        found["interval"] = {"stated": ends["stated"], "width": ends["width"]}
        found["interval"]["coverage"] = {k: ends["coverage"][k] for k in kept}
        found["interval"]["half_width"] = evidence["interval"]["half_width"]
    return {
        **found,
        "members": len(evidence["members"]),
        "ways": {row["recipe"]: row for row in (evidence.get("combination") or {}).get("recipes", [])},
        "ended": evidence["budget"]["ended"],
        "budget_seconds": SECONDS,
    }


def summarise(name: str) -> None:
    """Record mean and spread once every seed has been read."""
    found = [entry for entry in (newest(f"{name}-seed{seed}") for seed in SEEDS) if entry]
    if len(found) < len(SEEDS):
        return
    figures: dict[str, Any] = {"seeds": len(SEEDS)}
    for metric in TASKS[name].figures:
        values = [entry["oof"][metric]["value"] for entry in found]
        if None in values:
            continue
        figures[metric] = {
            "mean": round(mean(values), 4),
            "sd": round(stdev(values), 4),
            "values": [round(value, 4) for value in values],
        }
    figures["over_budget"] = [entry["over_budget"] for entry in found]
    record(name, command(name, SEEDS[0]) + " (seeds 0 to 2)", figures)


def _busi() -> list[dict[str, str]]:
    with (data() / "busi" / "cases.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def _picture(case: dict[str, str]) -> dict[str, Any]:
    return {"case_id": case["case_id"], "image": data() / "busi" / case["image"]}


def _written(path: Path, rows: list[dict[str, Any]]) -> Path:
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return path


ROWS: dict[str, Callable[[], None]] = {
    f"{name}-seed{seed}": (lambda name=name, seed=seed: train_row(name, seed)) for name in TASKS for seed in SEEDS
}
