"""A breast-ultrasound model and images that are none: how many it keeps from calling, and how many of its own.

The model learns BUSI with a fifth of the cases held back, or is given: ``python -m benchmarks.outside --model RUN/model
--held CASES.csv``. Caught is what is ``not_applicable`` or ``unsure``. Nothing of the other images is seen by training,
and every limit is set before any of them is read.
"""

from __future__ import annotations

import argparse
import csv
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from benchmarks.processes import run
from benchmarks.record import data, record
from semeion.audit.groups import duplicate_groups
from semeion.cohort.cohort import CohortOptions
from semeion.evidence.intervals.proportions import clustered_wilson
from semeion.model.codes import code_of, effect_of
from semeion.model.findings import Finding
from semeion.model.runtime import Model, load_model
from semeion.progress import Silent
from semeion.study.inspect import inspect
from semeion.study.options import RunOptions

ROW, SEED, BUDGET = "outside-busi", 0, "5m"
HELD, VALIDATED = 0.2, 0.16
SIDE = 256
CAUGHT = ("not_applicable", "unsure")


def read() -> None:
    """Train, show it other images, and write the row."""
    with tempfile.TemporaryDirectory() as folder:
        table, held = split_table(Path(folder))
        given = ["--target", "finding", "--budget", BUDGET, "--seed", str(SEED), "--quiet", "-o", f"{folder}/run"]
        done = run([sys.executable, "-m", "semeion", "train", str(table), *given])
        if done.status not in (0, 1):
            sys.exit(done.output)
        measure(load_model(Path(folder) / "run" / "model"), held, Path(folder), f"train --budget {BUDGET}")


def measure(model: Model, held: Path, folder: Path, command: str) -> None:
    """Show a model other images and its own held-back cases, and write the row."""
    own = told(list(model.findings(held)), None)
    found = {"own": own}
    for name, make in OUTSIDE.items():
        images, sources = make(folder / name)
        if not images:
            found[name] = {"caught": None, "why": "no such pictures are installed"}
            continue
        found[name] = told(list(model.findings(images)), sources)
    others = [one for name, one in found.items() if name != "own" and one["caught"] is not None]
    caught = sum(one["caught"] * one["n"] for one in others) / sum(one["n"] for one in others)
    record(ROW, command, {"caught": caught, "own_marked": own["caught"], "each": found}, seed=SEED)


def told(findings: Sequence[Finding], sources: Sequence[int] | None) -> dict[str, Any]:
    """Return the share that is not applicable or unsure with its interval, statuses, and why."""
    whose = list(range(len(findings))) if sources is None else list(sources)
    kept = [place for place, one in enumerate(findings) if one.status != "failed"]
    read_ones = [findings[place] for place in kept]
    hit = np.array([one.status in CAUGHT for one in read_ones])
    share = clustered_wilson(hit, np.array([whose[place] for place in kept]))
    why = Counter(
        code for one in read_ones for code in {code_of(text) for text in one.reasons} if effect_of(code) in CAUGHT
    )
    return {
        "caught": float(hit.mean()),
        "low": share.low,
        "high": share.high,
        "n": len(hit),
        "statuses": dict(Counter(one.status for one in findings)),
        "why": dict(why.most_common(6)),
    }


def split_table(folder: Path) -> tuple[Path, Path]:
    """Write BUSI's table with a split, and that of the held-back cases alone; return their paths.

    Copies, of which BUSI has many, stay on one side together, a class at a time.
    """
    base = data() / "busi"
    rows = list(csv.DictReader((base / "cases.csv").open()))
    whole = [{"case_id": row["case_id"], "image": str(base / row["image"]), "finding": row["finding"]} for row in rows]
    plain = write_table(folder / "plain.csv", whole)
    seen = inspect(plain, RunOptions(cohort=CohortOptions(target="finding")), Silent())
    place = {str(case): row for row, case in enumerate(seen.cohort.table["case_id"])}
    groups = duplicate_groups(seen.cohort, seen.facts).to_numpy()
    group = np.array([groups[place[row["case_id"]]] for row in whole])
    first = {int(one): whole[int(np.flatnonzero(group == one)[0])]["finding"] for one in np.unique(group)}
    random, side = np.random.default_rng(SEED), {}
    for name in sorted(set(first.values())):
        own = random.permutation([one for one, label in first.items() if label == name])
        for number, one in enumerate(own):
            share = number / len(own)
            side[int(one)] = "test" if share < HELD else "val" if share < HELD + VALIDATED else "train"
    split = [{**row, "split": side[int(one)]} for row, one in zip(whole, group, strict=True)]
    held = [row for row in split if row["split"] == "test"]
    return write_table(folder / "cases.csv", split), write_table(folder / "held.csv", held)


def write_table(path: Path, rows: Sequence[dict[str, str]]) -> Path:
    """Write a table and return its path."""
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return path


Made = tuple[list[str], list[int]]


def written(folder: Path, pictures: Sequence[np.ndarray], sources: Sequence[int] | None = None) -> Made:
    """Write pictures as PNG; return their paths, and which of them have one source."""
    folder.mkdir(exist_ok=True)
    paths = [folder / f"{number:04d}.png" for number in range(len(pictures))]
    for path, pixels in zip(paths, pictures, strict=True):
        cv2.imwrite(str(path), pixels)
    return [str(path) for path in paths], list(sources if sources is not None else range(len(paths)))


def _chests() -> np.ndarray:
    with np.load(data() / "pneumoniamnist" / "pneumoniamnist.npz") as arrays:
        return np.asarray(arrays["test_images"])


def chests(folder: Path) -> Made:
    """Chest X-rays, enlarged to the size of the ultrasound images."""
    return written(folder, [cv2.resize(one, (SIDE, SIDE), interpolation=cv2.INTER_CUBIC) for one in _chests()])


def chests_npz(folder: Path) -> Made:
    """The same as they are, in one npz file."""
    folder.mkdir(exist_ok=True)
    labels = np.zeros((len(_chests()), 1), np.uint8)
    np.savez(folder / "chests.npz", test_images=_chests(), test_labels=labels)
    return [str(folder / "chests.npz")], list(range(len(labels)))


def brains(_: Path) -> Made:
    """Brain MR slices from the web."""
    files = sorted(file for part in ("yes", "no") for file in (data() / "brain_tumor_yesno" / part).iterdir())
    return [str(file) for file in files], list(range(len(files)))


def hippocampi(folder: Path) -> Made:
    """Middle slices of T1 MR crops about the hippocampus, enlarged."""
    from semeion.cohort.volumes.read import read_volume

    pictures = []
    for file in sorted((data() / "hippocampus" / "imagesTr").glob("*.nii.gz")):
        voxels = read_volume(str(file)).plane.astype(np.float64)
        plane = voxels[len(voxels) // 2]
        low, high = np.percentile(plane, (0.5, 99.5))
        grey = (np.clip((plane - low) / max(high - low, 1e-9), 0, 1) * 255).astype(np.uint8)
        pictures.append(cv2.resize(grey, (SIDE, SIDE), interpolation=cv2.INTER_CUBIC))
    return written(folder, pictures)


def photographs(folder: Path) -> Made:
    """Grey crops of the photographs that come with installed packages; crops of one are one source."""
    found = []
    for package, parts in (("sklearn", "datasets/images"), ("matplotlib", "mpl-data/sample_data"), ("skimage", "data")):
        try:
            place = Path(__import__(package).__path__[0]) / parts
        except ImportError:
            continue
        found += sorted(place.glob("*.jpg")) if place.is_dir() else []
    random = np.random.default_rng(SEED)
    pictures, sources = [], []
    for source, file in enumerate(found):
        grey = cv2.imread(str(file), cv2.IMREAD_GRAYSCALE)
        for _ in range(30):
            side = int(random.uniform(0.3, 1) * min(grey.shape))
            top, left = (int(random.integers(0, whole - side + 1)) for whole in grey.shape)
            pictures.append(grey[top : top + side, left : left + side])
            sources.append(source)
    return written(folder, pictures, sources)


def noise(folder: Path) -> Made:
    """White noise, and noise that was blurred more and more."""
    random = np.random.default_rng(SEED)
    pictures = [random.integers(0, 256, (SIDE, SIDE), dtype=np.uint8) for _ in range(50)]
    for width in np.geomspace(1, 20, 50):
        soft = cv2.GaussianBlur(random.normal(size=(SIDE, SIDE)), (0, 0), float(width))
        pictures.append(cv2.normalize(soft, None, 0, 255, cv2.NORM_MINMAX).astype(np.uint8))
    return written(folder, pictures)


OUTSIDE: dict[str, Callable[[Path], Made]] = {
    "chest-x-rays": chests,
    "chest-x-rays-npz": chests_npz,
    "brain-mr": brains,
    "hippocampus-slices": hippocampi,
    "photographs": photographs,
    "noise": noise,
}
ROWS = {ROW: read}


def main() -> None:
    """Measure a model that is there already."""
    asked = argparse.ArgumentParser(description=main.__doc__)
    asked.add_argument("--model", type=Path, required=True)
    asked.add_argument("--held", type=Path, required=True, help="table of its held-back cases")
    given = asked.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        measure(load_model(given.model), given.held, Path(folder), "a given model")


if __name__ == "__main__":
    main()
