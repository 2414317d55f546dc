"""Five-group diagnosis of hearts from measurements of predicted masks, out of fold, within a budget."""

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

BUDGET, SECONDS = "90m", 5400.0
SHOWN = ("lv_ef_percent", "lv_edv_ml", "lv_esv_ml", "rv_ef_percent")


def acdc(seed: int) -> None:
    """Train one seed from the command line and record the out-of-fold figures of all 70 patients."""
    with tempfile.TemporaryDirectory() as folder:
        table = tables.acdc_patients(Path(folder))
        output = Path(folder) / "run"
        words = ["train", str(table), "--target", "group", "--frames", "ED,ES"]
        words += ["--structures", "1=rv,2=myocardium,3=lv", "--budget", BUDGET, "--seed", str(seed)]
        done = run([sys.executable, "-m", "semeion", *words, "--quiet", "-o", str(output)], every=0.5)
        if done.status:
            sys.exit(f"training failed with {done.status}:\n{done.output}")
        evidence = json.loads((output / "evidence.json").read_text())
    measured = evidence["measured"]
    figures: dict[str, Any] = {
        "oof": {name: _short(evidence["metrics"]["oof"][name]) for name in ("accuracy", "auroc")},
        "measured": {name: _short(measured["agreement"]["oof"][name]["mae"]) for name in SHOWN},
        "masks": {name: _short(entry) for name, entry in measured["masks"]["oof"].items() if name.startswith("dice")},
        "unmeasured": measured.get("unmeasured"),
        "classifiers": measured["classifiers"],
        "budget_seconds": SECONDS,
        "wall_seconds": round(done.seconds, 1),
        "over_budget": round(done.seconds / SECONDS - 1, 4),
        "peak_mib": round(done.peak_mib, 1),
    }
    shown = f"semeion {' '.join(words).replace(str(table), table.name)} -o RUN"
    record(f"diagnose-acdc-seed{seed}", shown, figures, seed=seed)


def _short(figure: dict[str, Any]) -> dict[str, Any]:
    return {key: figure.get(key) for key in ("value", "low", "high", "n", "n_patients")}


ROWS: dict[str, Callable[[], None]] = {f"diagnose-acdc-seed{seed}": (lambda seed=seed: acdc(seed)) for seed in range(3)}
