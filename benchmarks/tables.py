"""Cohort tables of the real volumes, as a user would write them: paths into SEMEION_DATA, nothing copied."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

from benchmarks.record import data


def hippocampus(folder: Path) -> Path:
    """Write ``hippocampus.csv``: a case's number that leaves 1 on division by 5 holds it out."""
    root = data() / "hippocampus"
    rows = []
    for image in sorted((root / "imagesTr").glob("hippocampus_*.nii.gz")):
        name = image.name.removesuffix(".nii.gz")
        number = int(name.split("_")[1])
        split = "test" if number % 5 == 1 else "train"
        rows.append({"case_id": name, "image": image, "mask": root / "labelsTr" / image.name, "split": split})
    return _write(folder / "hippocampus.csv", rows)


def acdc_volumes(folder: Path) -> Path:
    """Write ``acdc-volumes.csv``: one row a volume; patients whose number is a multiple of 5 are held out."""
    rows = [
        {
            "case_id": f"{case['patient_id']}_{phase}",
            "patient_id": case["patient_id"],
            "image": case[f"image.{phase}"],
            "mask": case[f"mask.{phase}"],
            "split": "test" if int(case["patient_id"].removeprefix("patient")) % 5 == 0 else "train",
        }
        for case in _acdc()
        for phase in ("ED", "ES")
    ]
    return _write(folder / "acdc-volumes.csv", rows)


def acdc_patients(folder: Path) -> Path:
    """Write ``acdc.csv``: one row a patient, with both phases, both masks, the group and the measured volumes."""
    return _write(folder / "acdc.csv", [{"case_id": case["patient_id"], **case} for case in _acdc()])


def _acdc() -> list[dict[str, Any]]:
    root = data() / "acdc"
    with (root / "cases.csv").open(newline="") as file:
        cases = list(csv.DictReader(file))
    made = []
    for case in cases:
        patient = case["patient_id"]
        paths = {
            f"{kind}.{phase}": root / f"{kind}s" / f"{patient}_{phase}.nii.gz"
            for kind in ("image", "mask")
            for phase in ("ED", "ES")
        }
        rest = {name: case[name] for name in ("group", "lv_edv_ml", "lv_esv_ml", "lv_ef")}
        made.append({"patient_id": patient, **paths, **rest})
    return made


def _write(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return path
