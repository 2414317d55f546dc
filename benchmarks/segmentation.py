"""Segmentation within a budget: the held-out cases are read once a run, through the shipped model's own code."""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks import tables
from benchmarks.processes import run
from benchmarks.record import record

SETS: dict[str, tuple[Callable[[Path], Path], str]] = {
    "hippocampus": (tables.hippocampus, "1=anterior,2=posterior"),
    "acdc": (tables.acdc_volumes, "1=rv,2=myocardium,3=lv"),
}
BUDGET, SECONDS = "45m", 2700.0
SEEDS = (0, 1, 2)


def segment_row(name: str, seed: int) -> None:
    """Train one seed from the command line and record the figures of the held-out cases."""
    write, labels = SETS[name]
    with tempfile.TemporaryDirectory() as folder:
        table = write(Path(folder))
        output = Path(folder) / "run"
        words = ["train", str(table), "--target", "mask", "--task", "segmentation", "--split", "split"]
        words += ["--labels", labels, "--budget", BUDGET, "--seed", str(seed)]
        done = run([sys.executable, "-m", "semeion", *words, "--quiet", "-o", str(output)], every=0.5)
        if done.status:
            sys.exit(f"training failed with {done.status}:\n{done.output}")
        evidence = json.loads((output / "evidence.json").read_text())
    test = evidence["metrics"]["test"]
    kept = {key: _short(figure) for key, figure in test.items() if not key.startswith("lesion")}
    figures: dict[str, Any] = {
        "test": kept,
        "val_dice": evidence["metrics"].get("val", {}).get("dice", {}).get("value"),
        "members": evidence["members"],
        "choice": evidence.get("choice"),
        "budget_seconds": SECONDS,
        "wall_seconds": round(done.seconds, 1),
        "over_budget": round(done.seconds / SECONDS - 1, 4),
        "peak_mib": round(done.peak_mib, 1),
    }
    shown = f"semeion {' '.join(words).replace(str(table), table.name)} -o RUN"
    record(f"segment-{name}-seed{seed}", shown, figures, seed=seed)


def _short(figure: dict[str, Any]) -> dict[str, Any]:
    return {key: figure.get(key) for key in ("value", "low", "high", "n", "n_patients")}


ROWS: dict[str, Callable[[], None]] = {
    f"segment-{name}-seed{seed}": (lambda name=name, seed=seed: segment_row(name, seed))
    for name in SETS
    for seed in SEEDS
}
