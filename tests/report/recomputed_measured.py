"""The rules for a diagnosis from measurements: what its parts are worth, agreement, masks, and what drove cases.

To import it is to add them to :data:`report.recomputed.RULES`.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import SimpleITK as sitk
from sklearn.metrics import roc_auc_score

from evidence import plain_elsewhere
from report.recomputed import Json, Told, ends, rule
from semeion.artefacts import read_json
from semeion.evidence.masks.agreement import agreement
from semeion.evidence.masks.segmentation import weigh_segmentation
from semeion.evidence.parts import Verdict, weigh_parts
from semeion.evidence.question import Question
from semeion.naming import encode_class

LEARNED = {
    "measured/networks": "training",
    "measured/classifiers": "log loss on inner folds, see tests/learn/test_tabular.py",
    "measured/importance": "what trees added, see tests/study/test_diagnosing.py",
}
"""What is no figure of predictions, and where else it is looked at."""
MEMBERS = {"measurements": "measurements", "images": "images", "average": "ensemble"}


@dataclass(frozen=True, eq=False)
class Measured(Told):
    """A run of hearts: beside its predictions the folder, whose measurements, masks and drivers are read.

    `source` is the table that it learned from, `frames` the images of a case in order, and `numbers` the number of each
    structure in the masks.
    """

    run: Path = Path()
    source: Path = Path()
    frames: tuple[str, ...] = ("ED", "ES")
    numbers: tuple[tuple[str, int], ...] = (("rv", 1), ("myocardium", 2), ("lv", 3))
    seed: int = 5

    @property
    def averaged(self) -> bool:
        """Whether networks that see the images have a part in the verdict."""
        return "parts" in self.evidence["measured"]

    def choosing(self, split: str, label: str | None = None) -> pd.DataFrame:
        """Return the rows that chose the calibration: that of the run is the one of the measurements."""
        return self.of("measurements", split) if self.averaged else super().choosing(split, label)

    def as_shipped(self, split: str, label: str | None) -> np.ndarray:
        """Return the mean of what both parts say by their own maps."""
        if not self.averaged:
            return super().as_shipped(split, label)
        return np.mean([self.part_as_shipped(part, split) for part in ("measurements", "images")], axis=0)

    def of(self, part: str, split: str) -> pd.DataFrame:
        return self.table[(self.table["member"] == MEMBERS[part]) & (self.table["split"] == split)]

    def part_as_shipped(self, part: str, split: str) -> np.ndarray:
        """Return what one part says of the cases that chose its map, fitted to them again."""
        rows, (_, positive) = self.of(part, split), self.classes(None)
        place = self.evidence if part == "measurements" else self.evidence["measured"]["images"]
        kind = place["calibration"]["map"]["kind"]
        y, raw = (rows["y_true"] == positive).to_numpy(int), rows[f"raw_{encode_class(positive)}"].to_numpy(float)
        return raw if kind == "identity" else plain_elsewhere.MAPS[kind](y, raw)(raw)

    @property
    def order(self) -> pd.DataFrame:
        """The rows of the table with the split of their predictions, whether or not they have one."""
        rows = pd.read_csv(self.source)
        return rows.assign(split=np.where(rows["split"] == "test", "test", "oof"))


def run_of(told: Told) -> Measured:
    assert isinstance(told, Measured)
    return told


# The parts of an averaged verdict


@cache
def part_cases(told: Told, split: str, part: str) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return truth, probability, call and patient of each case of a split, as one part of the verdict has it."""
    rows, names = run_of(told).of(part, split), told.classes(None)
    place = told.evidence if part == "average" else told.evidence["measured"]["points"][part]
    stated = place["operating_point"] if part == "average" else place
    p = rows[f"p_{encode_class(names[1])}"].to_numpy(float)
    point = [stated["by_fold"][str(fold)] if split == "oof" else stated["value"] for fold in rows["fold"]]
    y = (rows["y_true"] == names[1]).to_numpy(int)
    return y, p, np.array([int(a >= b) for a, b in zip(p, point, strict=True)]), rows["patient_id"].to_numpy(str)


@cache
def parts_again(told: Told, split: str) -> Json:
    """Weigh the parts again, for the ends of their intervals."""
    y, _, _, patient = part_cases(told, split, "average")
    verdicts = {}
    for part in MEMBERS:
        _, p, call, _ = part_cases(told, split, part)
        verdicts[part] = Verdict(np.column_stack([1 - p, p]), call)
    question = Question(told.evidence["target"], "binary", told.classes(None), told.classes(None)[1])
    given = {"whole": "average", "without": "measurements", "seed": run_of(told).seed}
    return weigh_parts(verdicts, y, patient, question, **given)


@rule(r"measured/parts/(\d+)/rows/(\d+)/(accuracy|auroc)")
def _(told: Told, report: Json, k: str, row: str, key: str) -> Json:
    shown = report["measured"]["parts"][int(k)]
    split, part = shown["split"], shown["rows"][int(row)]["part"]

    def value(part: str) -> float:
        y, p, call, _ = part_cases(told, split, part)
        return float(roc_auc_score(y, p)) if key == "auroc" else sum(y == call) / len(y)

    y, _, _, patient = part_cases(told, split, "average")
    made = value("average") - value("measurements") if part == "difference" else value(part)
    again = parts_again(told, split)[part][key]
    return {"value": made, **ends(again), "n": len(y), "n_patients": len(set(patient.tolist()))}


# Measurements and masks


@rule(r"measured/unmeasured")
def _(told: Told, report: Json) -> Json:
    return len(set(run_of(told).order["case_id"]) - set(told.table["case_id"]))


@cache
def measured_by(told: Told) -> list[Json]:
    run = run_of(told)
    return [read_json(run.run / "measured" / f"{row:06d}.json") for row in range(len(run.order))]


@rule(r"measured/agreement/(\d+)/rows/(\d+)")
def _(told: Told, report: Json, k: str, row: str) -> Json:
    shown, order = report["measured"]["agreement"][int(k)], run_of(told).order
    name, here = shown["rows"][int(row)]["name"], (order["split"] == shown["split"]).to_numpy()
    records = [record for record, mine in zip(measured_by(told), here, strict=True) if mine]
    pairs = [[(record[side] or {}).get(name) for side in ("joint", "reference")] for record in records]
    found, true = np.array(pairs, dtype=float).T
    patient = order["patient_id"].to_numpy(str)[here]
    both = np.isfinite(found) & np.isfinite(true)
    apart = [a - b for a, b in zip(found[both], true[both], strict=True)]
    bias, spread = float(np.mean(apart)), float(np.std(apart, ddof=1))
    values = {"mae": float(np.mean(np.abs(apart))), "bias": bias}
    values |= {"limit_low": bias - 1.96 * spread, "limit_high": bias + 1.96 * spread}
    again = agreement(found, true, patient, seed=run_of(told).seed)
    size = {"n": len(apart), "n_patients": len(set(patient[both].tolist()))}
    return {key: {"value": value, **ends(again[key]), **size} for key, value in values.items()}


@cache
def dice(told: Told, split: str) -> pd.DataFrame:
    """Return the overlap of each predicted mask with its reference, voxel by voxel."""
    run, rows = run_of(told), []
    for number, case in enumerate(run.order.itertuples()):
        if case.split != split:
            continue
        for place, frame in enumerate(run.frames):
            at = len(run.frames) * number + place
            files = run.run / f"masks/{at:06d}.nii.gz", run.source.parent / f"mask/{number:02d}.{frame}.nii.gz"
            drawn, true = (sitk.GetArrayFromImage(sitk.ReadImage(str(file))) for file in files)
            for name, code in run.numbers:
                inside, wanted = drawn == code, true == code
                both = 2 * int((inside & wanted).sum()) / (int(inside.sum()) + int(wanted.sum()))
                rows.append({"patient_id": str(case.patient_id), "structure": name, "dice": both})
    return pd.DataFrame(rows)


@cache
def masks_again(told: Told) -> Json:
    """Weigh the overlap again, for the ends of intervals; distances, which the page does not print, stay out."""
    run = run_of(told)
    rows = [
        {**one, "case_id": str(one["row"]), "patient_id": str(case.patient_id), "split": case.split}
        for record, case in zip(measured_by(told), run.order.itertuples(), strict=True)
        for one in record["overlap"]
    ]
    return weigh_segmentation(pd.DataFrame(rows), [name for name, _ in run.numbers], seed=run.seed)["metrics"]


@rule(r"measured/structures/(\d+)/rows/(\d+)")
def _(told: Told, report: Json, k: str, row: str) -> Json:
    shown = report["measured"]["structures"][int(k)]
    name = shown["rows"][int(row)]["structure"]
    mine = dice(told, shown["split"]).query("structure == @name")
    again = masks_again(told)[shown["split"]][f"dice_{encode_class(name)}"]
    size = {"n": len(mine), "n_patients": int(mine["patient_id"].nunique())}
    return {"value": float(np.mean(mine["dice"])), **ends(again), **size}


@rule(r"measured/cases/(\d+)/drivers/(\d+)")
def _(told: Told, report: Json, k: str, row: str) -> Json:
    shown, run = report["measured"]["cases"][int(k)], run_of(told)
    drivers = pd.read_parquet(run.run / "drivers.parquet")
    mine = drivers[(drivers["case_id"] == shown["case_id"]) & (drivers["split"] == shown["split"])].sort_values("rank")
    one = mine.iloc[int(row)]
    number = run.order["case_id"].tolist().index(shown["case_id"])
    assert one["value"] == measured_by(told)[number]["joint"][one["measurement"]]
    return {"value": one["value"], "added": one["added"]}


def read_measured(run: Path, source: Path, told: Told, **more: Any) -> Measured:
    """Return what is told of a run, with its folder and the table that it learned from."""
    return Measured(**{**vars(told), "cohort": pd.read_parquet(run / "cohort.parquet")}, run=run, source=source, **more)
