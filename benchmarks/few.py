"""Few labelled cases of PneumoniaMNIST: 25 or 10 of each class, five draws, weighed on the official test split.

The draws are of training cases. With ten of a class all other training images are given without their labels.
"""

from __future__ import annotations

import csv
import tempfile
from collections.abc import Callable
from pathlib import Path
from statistics import mean, stdev
from typing import Any

import numpy as np

from benchmarks.accuracy import train
from benchmarks.record import data, newest, record

DRAWS = range(5)
SIZES = {"few-25": (25, False), "few-10-unlabelled": (10, True)}
BUDGET, SECONDS = "5m", 300.0


def make_cohort(folder: Path, each: int, draw: int, *, unlabelled: bool) -> Path:
    """Write the drawn training cases, the test cases and, when asked, the rest of the images; return the table."""
    import cv2

    archive = np.load(data() / "pneumoniamnist" / "pneumoniamnist.npz")
    labels = archive["train_labels"][:, 0]
    rng = np.random.default_rng([2718, each, draw])
    drawn = np.concatenate([rng.permutation(np.flatnonzero(labels == k))[:each] for k in (0, 1)])
    rows = [
        *((f"train-{row}", archive["train_images"][row], int(labels[row]), "train") for row in drawn),
        *(
            (f"test-{row}", image, int(label), "test")
            for row, (image, label) in enumerate(zip(archive["test_images"], archive["test_labels"][:, 0], strict=True))
        ),
    ]
    table = folder / "cases.csv"
    with table.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["case_id", "image", "finding", "split"])
        for name, image, label, split in rows:
            cv2.imwrite(str(folder / f"{name}.png"), image)
            writer.writerow([name, f"{name}.png", ("normal", "pneumonia")[label], split])
    if unlabelled:
        rest = folder / "unlabelled"
        rest.mkdir()
        for row in np.setdiff1d(np.arange(len(labels)), drawn):
            cv2.imwrite(str(rest / f"{row}.png"), archive["train_images"][row])
    return table


def few_row(name: str, draw: int) -> None:
    """Learn from one draw."""
    each, unlabelled = SIZES[name]
    with tempfile.TemporaryDirectory() as place:
        table = make_cohort(Path(place), each, draw, unlabelled=unlabelled)
        options = ["--target", "finding", "--positive", "pneumonia"]
        if unlabelled:
            options += ["--unlabelled", str(table.parent / "unlabelled")]
        figures = train(table, BUDGET, SECONDS, draw, options=options)
    rest = " --unlabelled REST" if unlabelled else ""
    record(f"{name}-draw{draw}", f"semeion train DRAW.csv --target finding{rest} --budget {BUDGET}", figures, seed=draw)
    found = [newest(f"{name}-draw{other}") for other in DRAWS]
    if all(found):
        values = [entry["test"]["auroc"]["value"] for entry in found if entry]
        summary: dict[str, Any] = {"draws": len(values), "values": [round(value, 4) for value in values]}
        summary |= {"mean": round(mean(values), 4), "sd": round(stdev(values), 4)}
        record(name, f"semeion train DRAW.csv --target finding{rest} --budget {BUDGET} (draws 0 to 4)", summary)


ROWS: dict[str, Callable[[], None]] = {
    f"{name}-draw{draw}": (lambda name=name, draw=draw: few_row(name, draw)) for name in SIZES for draw in DRAWS
}
