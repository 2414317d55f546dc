"""Peak memory of `check` and `train` on thousands of pictures of 512 x 512: it must not grow with their number."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np

from benchmarks.processes import run
from benchmarks.record import record

SIDE = 512


def write_cohort(folder: Path, n: int) -> Path:
    """Write `n` speckled pictures of two classes, six to a patient, and their table."""
    rng = np.random.default_rng(0)
    noise = rng.integers(0, 256, (32, SIDE, SIDE), dtype=np.uint8)
    # Smoothed to the grain of real speckle: pure pixel noise is like no medical image.
    textures = np.stack(
        [cv2.normalize(cv2.GaussianBlur(one, (0, 0), 2.5), None, 30, 220, cv2.NORM_MINMAX) for one in noise]
    )
    rows = ["case_id,patient_id,image,finding"]
    y, x = np.mgrid[:SIDE, :SIDE]
    for number in range(n):
        positive = number // 6 % 3 == 0
        pixels = np.roll(textures[number % 32], int(rng.integers(SIDE)), axis=0)
        centre, radius = rng.integers(150, 360, 2), 40 + 30 * positive
        pixels = np.where((y - centre[0]) ** 2 + (x - centre[1]) ** 2 < radius**2, pixels // 3, pixels).astype(np.uint8)
        cv2.imwrite(str(folder / f"{number:05d}.png"), pixels, [cv2.IMWRITE_PNG_COMPRESSION, 1])
        rows.append(f"c{number},p{number // 6},{number:05d}.png,{'malignant' if positive else 'benign'}")
    table = folder / "cohort.csv"
    table.write_text("\n".join(rows) + "\n")
    return table


def row(n: int, budget: str) -> None:
    """Measure both commands in processes of their own."""
    with tempfile.TemporaryDirectory() as folder:
        table = write_cohort(Path(folder), n)
        common = [sys.executable, "-m", "semeion"]
        options = [str(table), "--target", "finding", "--quiet"]
        check = run([*common, "check", *options, "-o", str(Path(folder) / "check")], every=1.0)
        train = run([*common, "train", *options, "--budget", budget, "-o", str(Path(folder) / "run")], every=1.0)
        for done in (check, train):
            if done.status:
                sys.exit(done.output)
    figures = {
        "pictures": n,
        "check": {"peak_mib": round(check.peak_mib, 1), "seconds": round(check.seconds, 1)},
        "train": {"peak_mib": round(train.peak_mib, 1), "seconds": round(train.seconds, 1), "budget": budget},
    }
    record(f"memory-{n}", f"semeion check and semeion train --budget {budget} on {n} PNG of 512 x 512", figures)


ROWS: dict[str, Callable[[], None]] = {
    "memory-5000": lambda: row(5000, "4m"),
    "memory-20000": lambda: row(20000, "8m"),
}
