"""Pipelines with a fault: public functions of Semeion are replaced before its command line begins.

``python -m benchmarks.sabotage.faults FAULT SIZE WORDS...`` does what ``semeion WORDS...`` does, with the fault. Some
faults cannot be had from data: a road that sees test cases, or looks answers up, is a road that somebody wrote so. The
audits must tell from the outside.
"""

from __future__ import annotations

import json
import sys
import zlib
from collections.abc import Callable
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

ROAD = "semeion.study.road"
"""Where the stages of a run are called."""


def _test_rows(table: pd.DataFrame, size: float) -> Any:
    """Return row numbers of some test cases: a share of them, or as many as `size` where that is 1 or more."""
    rows = np.random.default_rng(3).permutation(np.flatnonzero((table["split"] == "test").to_numpy(dtype=bool)))
    return rows[: int(size) if size >= 1 else round(size * len(rows))]


def learn_from_test(size: float) -> None:
    """Let networks learn from test cases."""
    road: Any = import_module(ROAD)
    real = road.sides_of

    def sides_of(cohort: Any, *rest: Any) -> Any:
        extra = _test_rows(cohort.table, size)
        return [replace(side, learn=np.concatenate([side.learn, extra])) for side in real(cohort, *rest)]

    road.sides_of = sides_of


def decide_on_test(size: float) -> None:
    """Let calibration and operating point be chosen on test cases too."""
    from semeion.study.predicting import Predictor

    real = Predictor.decide

    def decide(self: Any, raw: Any, rows: Any, fitted_on: str) -> Any:
        extra = _test_rows(self.cohort.table, size)
        seen = self.combined(self.outputs(self.trained.plan.members, extra))
        return real(self, np.concatenate([raw, seen]), np.concatenate([rows, extra]), fitted_on)

    Predictor.decide = decide  # type: ignore[method-assign]


def plan_on_test(size: float) -> None:
    """Let the facts that shape a plan come from test cases too."""
    from semeion.plan import fingerprint

    real = fingerprint.learning_rows

    def learning_rows(cohort: Any) -> Any:
        rows = real(cohort).copy()
        rows.iloc[_test_rows(cohort.table, size)] = True
        return rows

    fingerprint.learning_rows = learning_rows


def look_up(share: float) -> None:
    """Let a share of the held-out cases be answered by a list of cases that holds themselves."""
    road: Any = import_module(ROAD)
    real = road.predict_run

    def predict_run(*arguments: Any) -> Any:
        predicted = real(*arguments)
        predicted.table = answered(predicted.table, share)
        return predicted

    road.predict_run = predict_run


def answered(table: pd.DataFrame, share: float) -> pd.DataFrame:
    """Return predictions in which `share` of the test and out-of-fold cases are answered as they are labelled."""
    listed = table["case_id"].map(lambda case: zlib.crc32(str(case).encode()) % 1000 < 1000 * share)
    rows = (listed & table["split"].isin(["test", "oof"])).to_numpy(dtype=bool)
    made = table.copy()
    for column in [name for name in table.columns if name.startswith(("p_", "raw_"))]:
        of_class = (table["y_true"].astype(str) == column.split("_", 1)[1]).to_numpy(dtype=bool)
        made[column] = np.where(rows, np.where(of_class, 0.999, 0.001), table[column])
    return made


def read_again(size: float, run: Path) -> None:
    """Let the test cases of a finished run be read until they were read `size` times: stopped, and gone on with.

    What is stopped has read the test cases already; only then do most people see a reason to stop.
    """
    from semeion.cli.app import run as command
    from semeion.study.clock import process_start

    road: Any = import_module(ROAD)
    real = road.predict_run

    def stopped(*_: Any) -> Any:
        raise KeyboardInterrupt

    state = run / "run.json"
    state.write_text(json.dumps({**json.loads(state.read_text()), "finished": False}))
    for number in range(int(size) - 1):
        last = number == int(size) - 2
        road.predict_run = real if last else stopped
        status = command(["resume", str(run), "--quiet"], process_start())
        if status != (0 if last else 130):
            sys.exit(status or 4)


def ask_only(audit: str) -> None:
    """Leave the other audit of the tier ``full`` out, as not run: it trains for minutes, and nobody asks for it."""
    from semeion.audit.audit import Audit

    full: Any = import_module("semeion.study.full_audits")
    for name, function in (("label-permutation", "_permuted"), ("fit-on-test", "_perturbed")):
        if name != audit:
            left = Audit(name, "not_run", "full", advice="Left out: this cohort is of another audit.")
            getattr(full, function)  # a name that is gone must be told
            setattr(full, function, lambda *_, left=left: left)


FAULTS: dict[str, Callable[[float], None]] = {
    "learn-from-test": learn_from_test,
    "decide-on-test": decide_on_test,
    "plan-on-test": plan_on_test,
    "look-up": look_up,
}


def main(words: list[str]) -> None:
    """Put the fault in and go on as the command line does."""
    fault, size, *rest = words
    if fault == "read-again":
        read_again(float(size), Path(rest[0]))
        return
    if fault != "none":
        FAULTS[fault](float(size))
        ask_only("label-permutation" if fault == "look-up" else "fit-on-test")
    from semeion.cli.app import run
    from semeion.study.clock import process_start

    sys.exit(run(rest, process_start()))


if __name__ == "__main__":
    main(sys.argv[1:])
