"""Discrimination on the official test splits, or out of fold where there are none, within a budget.

The test cases are read once a run.
"""

from __future__ import annotations

import json
import shutil
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import mean, stdev
from typing import Any

from benchmarks.processes import run
from benchmarks.record import data, newest, record

SEEDS = (0, 1, 2)
SETS = {
    "pneumonia": ("pneumoniamnist/pneumoniamnist.npz", "15m", 900.0, ()),
    "breast": ("breastmnist/breastmnist.npz", "5m", 300.0, ()),
    "longer-breast": ("breastmnist/breastmnist.npz", "10m", 600.0, ()),
    "busi": ("busi/cases.csv", "30m", 1800.0, ("--target", "finding")),
}
"""Row to the source, the budget in words and seconds, and further options."""


def train_row(name: str, seed: int) -> None:
    """Train one seed from the command line and record test figures and time."""
    source, budget, seconds, options = SETS[name]
    figures = train(data() / source, budget, seconds, seed, options=options)
    record(f"{name}-seed{seed}", command(source, budget, seed, options), figures, seed=seed)
    summarise(name)


def command(source: str, budget: str, seed: int, options: Sequence[str] = ()) -> str:
    """Return what a person would type."""
    words = " ".join(["", *options])
    return f"semeion train $SEMEION_DATA/{source}{words} --budget {budget} --seed {seed} -o RUN"


def train(
    source: Path,
    budget: str,
    seconds: float,
    seed: int,
    keep: Path | None = None,
    options: Sequence[str] = (),
) -> dict[str, Any]:
    """Train and return the figures of a run; `keep` takes the run folder."""
    with tempfile.TemporaryDirectory() as folder:
        output = Path(folder) / "run"
        words = ["train", str(source), *options, "--budget", budget, "--seed", str(seed), "--quiet", "-o", str(output)]
        done = run([sys.executable, "-m", "semeion", *words], every=0.5)
        # 1: done, and some audit is void or some case failed.
        if done.status not in (0, 1):
            sys.exit(f"training failed with {done.status}:\n{done.output}")
        evidence = json.loads((output / "evidence.json").read_text())
        if keep is not None:
            shutil.rmtree(keep, ignore_errors=True)
            shutil.move(str(output), keep)
    split = "test" if "test" in evidence["metrics"] else "oof"
    held_out = evidence["metrics"][split]
    point = evidence["operating_point"] or {}
    return {
        split: {name: {k: held_out[name][k] for k in ("value", "low", "high", "n")} for name in ("auroc", "accuracy")},
        "operating_point": point.get("value"),
        "members": len(evidence["members"]),
        "ways": {row["recipe"]: row for row in (evidence.get("combination") or {}).get("recipes", [])},
        "steps": sum(member["steps"] for member in evidence["members"]),
        "ended": evidence["budget"]["ended"],
        "budget_seconds": seconds,
        "wall_seconds": round(done.seconds, 1),
        "over_budget": round(done.seconds / seconds - 1, 4),
        "peak_mib": round(done.peak_mib, 1),
    }


def summarise(name: str) -> None:
    """Record mean and spread once every seed has been read."""
    found = [newest(f"{name}-seed{seed}") for seed in SEEDS]
    if not all(found):
        return
    figures: dict[str, Any] = {"seeds": len(SEEDS)}
    for metric in ("auroc", "accuracy"):
        values = [(entry.get("test") or entry["oof"])[metric]["value"] for entry in found if entry]
        figures[metric] = {
            "mean": round(mean(values), 4),
            "sd": round(stdev(values), 4),
            "values": [round(value, 4) for value in values],
        }
    figures["over_budget"] = [entry["over_budget"] for entry in found if entry]
    source, budget, _, options = SETS[name]
    record(name, command(source, budget, SEEDS[0], options) + " (seeds 0 to 2)", figures)


def budget_row(budget: str, seconds: float) -> None:
    """Record wall time against a budget on BreastMNIST."""
    figures = train(data() / "breastmnist" / "breastmnist.npz", budget, seconds, 0)
    kept = {name: figures[name] for name in ("budget_seconds", "wall_seconds", "over_budget", "members", "ended")}
    record(f"budget-{budget}", command("breastmnist/breastmnist.npz", budget, 0), kept, seed=0)


ROWS: dict[str, Callable[[], None]] = {
    **{f"{name}-seed{seed}": (lambda name=name, seed=seed: train_row(name, seed)) for name in SETS for seed in SEEDS},
    "budget-2m": lambda: budget_row("2m", 120.0),
    "budget-10m": lambda: budget_row("10m", 600.0),
}
