"""A store of little pictures and a plan for it, and the members that a crew makes of them."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from semeion.plan.schema import Plan
from semeion.plan.splits import Sides
from semeion.prepare.store import Store
from semeion.progress import Silent
from semeion.study.clock import Clock
from semeion.study.folder import RunFolder
from semeion.study.learning import Trained, train_members
from support.tiny import SIDE, make_plan

CASES = 48
Y = (np.arange(CASES) % 2).astype(np.float64)
GROUPS = np.arange(CASES, dtype=np.int64)


def sides_of() -> list[Sides]:
    rows = np.arange(CASES, dtype=np.int64)
    return [Sides(fold, rows[rows % 4 > 1], rows[rows % 4 == fold], rows[rows % 4 == 1 - fold]) for fold in (0, 1)]


def store_of(folder: Path) -> Store:
    rng = np.random.default_rng(0)
    pixels = rng.normal(90, 20, (CASES, 1, SIDE, SIDE)) + 60 * Y[:, None, None, None]
    folder.mkdir(parents=True)
    (folder / "shard-0000.bin").write_bytes(np.clip(pixels, 0, 255).astype(np.uint8).tobytes())
    return Store(folder, CASES, (1, SIDE, SIDE), CASES)


def plan_of(processes: int = 1, steps: int = 80, **choices: Any) -> Plan:
    plan = make_plan(steps=steps, repeats=2, batch=8, evaluations=2, **choices)
    plan.parallel.processes = processes
    return plan


def learn(
    folder: Path, plan: Plan, stop: Callable[[], bool] = lambda: False, *, cluster: str | None = None
) -> tuple[Trained, RunFolder]:
    run = RunFolder(folder)
    store = (
        store_of(run / "store") if not (run / "store").exists() else Store(run / "store", CASES, (1, SIDE, SIDE), CASES)
    )
    clock = Clock(plan.budget.seconds)
    return train_members(run, plan, store, Y, GROUPS, sides_of(), clock, Silent(), stop, cluster=cluster), run


def sums_of(run: RunFolder) -> dict[str, str]:
    files = sorted(run.path.glob("members/*/weights.safetensors"))
    return {file.parent.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in files}
