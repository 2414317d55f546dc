"""A model in service whose images or patients change: how soon that is seen, and how often it is seen where it is not.

PneumoniaMNIST's own test split differs from its training split, which is a change of its own. So train and val cases
are pooled, exact copies left out, and divided anew at random: some are held out as test cases, are read by the shipped
model through `predict`, and are replayed in random order.
"""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import pandas as pd

from benchmarks.processes import run
from benchmarks.record import data, record
from semeion.model.runtime import load_model
from semeion.monitor.log import logging
from semeion.monitor.logfile import Log, read_log
from semeion.monitor.watch import Asked, watch
from semeion.study.monitoring import open_watched

BUDGET = "3m"
HELD_OUT, VALIDATE = 1000, 700
REPLAYS, PLANTED = 500, 100
LENGTHS = (200, 500)
WITHIN = 200
CONTRAST = 0.7
PREVALENCE = (0.26, 0.60)
"""Share of normal radiographs in PneumoniaMNIST, and what is planted in its place."""
RATE = 0.05
DAY = np.timedelta64(8 * 3600, "s")
"""Of a replay: three cases a day, so that weeks end within it and are compared too."""


def drift_row(budget: str = BUDGET, replays: int = REPLAYS, planted: int = PLANTED) -> None:
    """Train, replay, and record the rates."""
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        rows = write_cohort(home)
        model = train(home, budget)
        figures = measure(model, home, rows, replays, planted)
    record("drift", f"python -m benchmarks drift (semeion train --budget {budget}, predict --log)", figures, seed=0)


def write_cohort(home: Path, seed: int = 0) -> pd.DataFrame:
    """Write the pooled cases as pictures with a new division, and the held-out ones with less contrast too."""
    random = np.random.default_rng(seed)
    with np.load(data() / "pneumoniamnist" / "pneumoniamnist.npz") as arrays:
        images = np.concatenate([arrays["train_images"], arrays["val_images"]])
        labels = np.concatenate([arrays["train_labels"], arrays["val_labels"]]).ravel()
    kept = np.sort(np.unique(images.reshape(len(images), -1), axis=0, return_index=True)[1])
    images, labels = images[kept], labels[kept]
    order = random.permutation(len(images))
    split = np.full(len(images), "train", dtype=object)
    split[order[:HELD_OUT]], split[order[HELD_OUT : HELD_OUT + VALIDATE]] = "test", "val"
    (home / "images").mkdir()
    rows = []
    for number, image in enumerate(images):
        cv2.imwrite(str(home / f"images/{number}.png"), image)
        if split[number] == "test":
            cv2.imwrite(str(home / f"images/{number}-contrast.png"), less_contrast(image))
        finding = ("normal", "pneumonia")[labels[number]]
        rows.append(
            {"case_id": f"c{number}", "image": f"images/{number}.png", "finding": finding, "split": split[number]}
        )
    table = pd.DataFrame(rows)
    table.to_csv(home / "cohort.csv", index=False)
    held = table[table["split"] == "test"].drop(columns="split")
    held.to_csv(home / "held.csv", index=False)
    other = [name.replace(".png", "-contrast.png") for name in held["image"]]
    held.assign(image=other).to_csv(home / "contrast.csv", index=False)
    return held.reset_index(drop=True)


def less_contrast(image: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """Return an image as a scanner with seven tenths of the contrast would show it, about its own mean."""
    mean = float(image.mean())
    return np.clip(np.round(mean + CONTRAST * (image - mean)), 0, 255).astype(np.uint8)


def train(home: Path, budget: str) -> Path:
    """Train from the command line and return the model."""
    words = ["train", str(home / "cohort.csv"), "--target", "finding", "--budget", budget, "--quiet"]
    done = run([sys.executable, "-m", "semeion", *words, "-o", str(home / "run")], every=0.5)
    if done.status not in (0, 1):
        sys.exit(f"training failed with {done.status}:\n{done.output}")
    return home / "run" / "model"


def logged(model: Path, table: Path, folder: Path) -> Log:
    """Read a table through the road of `predict --log`, and return its log in the order of the table."""
    loaded = load_model(model)
    with logging(loaded, folder) as observers:
        for _ in loaded.findings(str(table), observers=observers[loaded.manifest.target]):
            pass
    return read_log(folder)


def measure(model: Path, home: Path, rows: pd.DataFrame, replays: int, planted: int) -> dict[str, Any]:
    """Return how often replays raise an alarm, without and with what is planted."""
    manifest, _, baseline = open_watched(model)
    plain = logged(model, home / "held.csv", home / "log")
    contrast = logged(model, home / "contrast.csv", home / "log-contrast")
    truth = (rows["finding"] == "normal").to_numpy()
    random = np.random.default_rng(0)

    def first(log: Log, chosen: npt.NDArray[np.int64], seed: int) -> int | None:
        found = watch(replayed(log, chosen), baseline, manifest, Asked(rate=RATE, seed=seed))
        return min((alarm["cases"] for alarm in found["alarms"]), default=None)

    quiet = []
    for number in range(replays):
        length = int(random.integers(LENGTHS[0], LENGTHS[1] + 1))
        quiet.append(first(plain, random.permutation(len(plain))[:length], number))
    moved = [first(contrast, random.permutation(len(contrast))[:300], 10_000 + number) for number in range(planted)]
    mixed = [first(plain, with_share(truth, PREVALENCE[1], 300, random), 20_000 + n) for n in range(planted)]
    return {
        "patients": {one.name: sum(one.counts) for one in baseline.statistics},
        "held_out": len(plain),
        "share_normal": round(float(truth.mean()), 4),
        "without_change": rate_of(sum(one is not None for one in quiet), replays),
        "contrast": told(moved),
        "prevalence": told(mixed),
        "test": json.loads((home / "run" / "evidence.json").read_text())["metrics"]["test"]["auroc"],
    }


def replayed(log: Log, chosen: npt.NDArray[np.int64]) -> Log:
    """Return lines of a log in another order, three a day."""
    taken = log.take(chosen)
    time = np.datetime64("2026-01-05T08:00:00", "s") + np.arange(len(chosen)) * DAY
    return Log(taken.model, time, taken.texts, taken.numbers)


def with_share(truth: npt.NDArray[np.bool_], share: float, length: int, random: np.random.Generator) -> Any:
    """Return cases in random order of which `share` are normal, each at most once as far as there are enough."""
    hits = int(random.binomial(length, share))
    yes, no = np.flatnonzero(truth), np.flatnonzero(~truth)
    chosen = [random.choice(side, n, replace=n > len(side)) for side, n in ((yes, hits), (no, length - hits))]
    return random.permutation(np.concatenate(chosen))


def rate_of(hits: int, n: int) -> dict[str, Any]:
    """Return a share with its exact 95 % interval (Clopper and Pearson 1934)."""
    from scipy.stats import binomtest

    interval = binomtest(hits, n).proportion_ci(0.95)
    return {"hits": hits, "n": n, "value": hits / n, "low": round(interval.low, 4), "high": round(interval.high, 4)}


def told(after: list[int | None]) -> dict[str, Any]:
    """Return how soon alarms came."""
    known = [one for one in after if one is not None]
    spread = [float(one) for one in np.percentile(known, [5, 50, 95])] if known else []
    return {"within_200": rate_of(sum(one <= WITHIN for one in known), len(after)), "cases_5_50_95": spread}


ROWS: dict[str, Callable[[], None]] = {"drift": drift_row}
