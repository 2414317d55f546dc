"""Degree of stenosis: from reference masks of phantoms, and the whole way from a CT-like volume through a model."""

from __future__ import annotations

import csv
import sys
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.phantoms import FLOW, make_vessel, write_cohort
from benchmarks.processes import run
from benchmarks.record import record
from semeion.cohort.volume import Volume
from semeion.cohort.volumes.read import read_volume
from semeion.errors import InputError
from semeion.measure.vessel import measure_stenosis

TRAIN, TEST, SEED, BUDGET = 40, 12, 7, "20m"
POINTS = 5.0
"""The error, in percentage points, that a degree must stay under."""
DEGREES = np.linspace(0, 75, 31)
"""Degrees of the phantoms whose reference masks are measured."""


def reference() -> None:
    """Measure the reference masks of phantoms that no model reads: the error of measuring alone."""
    cases = ((float(degree), make_vessel(9_000 + n, float(degree)).mask) for n, degree in enumerate(DEGREES))
    record("stenosis-reference", "python -m benchmarks stenosis-reference", weigh(cases), seed=9_000)


def whole_way() -> None:
    """Train on phantoms from the command line, segment held-out ones with the shipped model, and measure its masks."""
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        table = write_cohort(home / "phantoms", train=TRAIN, test=TEST, seed=SEED)
        words = ["train", str(table), "--target", "mask", "--task", "segmentation", "--split", "split"]
        words += ["--labels", "1=lumen", "--budget", BUDGET]
        _semeion([*words, "--quiet", "-o", str(home / "run")])
        with table.open(newline="") as file:
            held_out = [row for row in csv.DictReader(file) if row["split"] == "test"]
        images = [str(table.parent / row["image"]) for row in held_out]
        findings = home / "findings.csv"
        model = home / "run" / "model"
        _semeion(["predict", str(model), *images, "--masks", str(home / "masks"), "--quiet", "-o", str(findings)])
        with findings.open(newline="") as file:
            found = {Path(row["image"]).name: row["mask"] for row in csv.DictReader(file)}
        cases = (
            (float(row["stenosis_percent"]), read_volume(str(_beside(found[row["image"]], home)))) for row in held_out
        )
        figures = {"train": TRAIN, "budget": BUDGET, **weigh(cases)}
    shown = f"semeion {' '.join(words).replace(str(table), table.name)} -o RUN; semeion predict RUN/model --masks DIR"
    record("stenosis", shown, figures, seed=SEED)


def weigh(cases: Iterable[tuple[float, Volume]]) -> dict[str, Any]:
    """Measure masks and set them against the known degrees; a refused mask is counted, with the reason.

    Parameters
    ----------
    cases
        The true degree in percent and the lumen's mask, for each case.
    """
    errors, by_area, refused = [], [], []
    shown = []
    for truth, mask in cases:
        try:
            found = measure_stenosis(mask, flow=FLOW, open_ends=True)
        except InputError as error:
            refused.append(error.what)
            continue
        errors.append(found.percent - truth)
        by_area.append(found.area_percent - 100 * (1 - (1 - truth / 100) ** 2))
        shown.append([round(truth, 1), round(found.percent, 1)])
    points, area = np.array(errors), np.array(by_area)
    if not len(points):
        return {"cases": len(refused), "refused": refused}
    return {
        "cases": len(points) + len(refused),
        "refused": refused,
        "mean_absolute_error": round(float(np.abs(points).mean()), 2),
        "bias": round(float(points.mean()), 2),
        "largest_error": round(float(np.abs(points).max()), 2),
        "within_points": {"points": POINTS, "cases": int((np.abs(points) < POINTS).sum())},
        "area_mean_absolute_error": round(float(np.abs(area).mean()), 2),
        "truth_and_found": shown,
    }


def _beside(name: str, home: Path) -> Path:
    """Return the path of a mask that the findings name: absolute, or from the findings' folder or that of masks."""
    return next((path for path in (home / name, home / "masks" / name) if path.exists()), Path(name))


def _semeion(words: list[str]) -> None:
    done = run([sys.executable, "-m", "semeion", *words], every=0.5)
    if done.status:
        sys.exit(f"semeion {words[0]} failed with {done.status}:\n{done.output}")


ROWS: dict[str, Callable[[], None]] = {"stenosis-reference": reference, "stenosis": whole_way}
