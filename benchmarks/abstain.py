"""Sets with a stated coverage, and the error on the rest when the least sure abstain, on predictions of held-out cases.

Three cohorts are learned from by folds, so that every case is predicted by members that did not see it. For the
coverage their patients are split again 100 times: one half gives the thresholds as they ship, the other half is
measured. Official test splits come from elsewhere than what was learned from, and are reported without a target.

``python -m benchmarks.abstain [--budget 3m] [--runs busi=RUN,...] [ROW...]`` takes runs that are there already.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from benchmarks.processes import run
from benchmarks.record import data, record
from benchmarks.tasks import busi_grades
from semeion.artefacts import read_json
from semeion.calibration import logit
from semeion.calibration.sets import held_classes
from semeion.evidence.intervals.drawing import checked_cases, draw_together
from semeion.evidence.question import Question
from semeion.evidence.table import Cases
from semeion.evidence.use.abstain import abstaining_piece, confidence_of
from semeion.evidence.use.calibrating import by_split, raw_table, sorted_table, taken
from semeion.evidence.use.shipped_sets import fit_shipped

SPLITS, SEED, COVERAGE = 100, 6, 0.9
BUDGET = "3m"
ANSWERED = 0.8


@dataclass(frozen=True)
class Source:
    """A cohort: how its table is had, and the options of ``train`` that make folds of it."""

    table: Callable[[Path], Path]
    options: tuple[str, ...]


COHORTS = {
    "busi": Source(busi_grades, ("--target", "finding", "--task", "multiclass")),
    "breastmnist": Source(lambda _: data() / "breastmnist" / "breastmnist.npz", ("--no-split",)),
    "pneumoniamnist": Source(lambda _: data() / "pneumoniamnist" / "pneumoniamnist.npz", ("--no-split",)),
}
OFFICIAL = {name: Source(COHORTS[name].table, ()) for name in ("breastmnist", "pneumoniamnist")}
"""The same with their official split."""


def learned(source: Source, budget: str, folder: Path) -> Path:
    """Learn from a cohort and return the run folder."""
    output = folder / "run"
    words = ["train", str(source.table(folder)), *source.options, "--budget", budget, "--quiet", "-o", str(output)]
    done = run([sys.executable, "-m", "semeion", *words], every=0.5)
    if done.status not in (0, 1):  # 1: done, and some audit is void or some case failed
        sys.exit(f"training failed with {done.status}:\n{done.output}")
    return output


def held_out(folder: Path, split: str, *, raw: bool) -> tuple[Cases, Question, dict[str, Any]]:
    """Return the cases of a split of a run, scored before calibration or after it, its question and its evidence."""
    evidence = read_json(folder / "evidence.json")
    question = Question(evidence["target"], evidence["task"], tuple(evidence["classes"]), evidence["positive"])
    table = pd.read_parquet(folder / "predictions.parquet")
    rows = raw_table(table, question) if raw else sorted_table(table, question)
    if rows is None:
        sys.exit(f"{folder}: no probabilities before calibration")
    return by_split(rows, question)[split][question.target], question, evidence


def resplit(cases: Cases, classes: tuple[str, ...], *, splits: int = SPLITS, seed: int = SEED) -> dict[str, Any]:
    """Return how often sets held the truth when half of the patients calibrate and the others are measured.

    Each figure is the mean over the splits; ``spread`` is the standard deviation of the coverage over them.
    """
    patients = np.unique(cases.patient)
    rng = np.random.default_rng(seed)
    rows, kinds = [], []
    for _ in range(splits):
        first = rng.permutation(patients)[: len(patients) // 2]
        calibrates = np.isin(cases.patient, first)
        rule = fit_shipped(taken(cases, calibrates), COVERAGE, classes)
        if "reason" in rule:
            sys.exit(rule["reason"])
        p, y = cases.p[~calibrates], cases.y[~calibrates].astype(np.int64)
        sets = held_classes(p, rule["thresholds"])
        size = sets.sum(axis=1)
        kinds.append(rule["kind"])
        held = sets[np.arange(len(y)), y]
        of_class = [float(held[y == k].mean()) if (y == k).any() else np.nan for k in range(len(classes))]
        rows.append([held.mean(), size.mean(), (size == 1).mean(), (size == 0).mean(), *of_class])
    table = np.array(rows)
    means = np.nanmean(table, axis=0)
    return {
        "coverage": round(float(means[0]), 4),
        "spread": round(float(table[:, 0].std(ddof=1)), 4) if splits > 1 else None,
        "size": round(float(means[1]), 3),
        "one_class": round(float(means[2]), 3),
        "no_class": round(float(means[3]), 3),
        "by_class": {name: round(float(value), 4) for name, value in zip(classes, means[4:], strict=True)},
        "kind": {kind: kinds.count(kind) for kind in sorted(set(kinds))},
        "cases": len(cases),
        "patients": len(patients),
        "splits": splits,
    }


def orderings(
    cases: Cases, question: Question, call: np.ndarray, limits: Any, members: pd.Series | None
) -> dict[str, np.ndarray]:
    """Return by name how sure each case is: as the report orders them, and in other ways to compare with."""
    found = {"called": confidence_of(cases.p, call)}
    found["largest"] = cases.p.max(axis=1)
    ordered = np.sort(cases.p, axis=1)
    found["margin_to_next"] = ordered[:, -1] - ordered[:, -2]
    if question.task == "binary":
        found["margin_to_point"] = np.abs(logit(cases.p[:, question.positive_index]) - logit(limits))
    kept = np.clip(cases.p, 1e-12, 1)
    found["entropy"] = (kept * np.log(kept)).sum(axis=1)
    if members is not None:
        found["agreement"] = -members.reindex(cases.case_id).to_numpy(np.float64)
    return found


def disagreement(folder: Path, split: str) -> pd.Series | None:
    """Return the spread of the members' probabilities of each case; None where a case has one member."""
    table = pd.read_parquet(folder / "predictions.parquet")
    columns = [name for name in table.columns if name.startswith("raw_")]
    rows = table[(table["split"] == split) & ~table["member"].isin(["ensemble", "classic", "images", "covariates"])]
    spread = rows.groupby(rows["case_id"].astype(str))[columns].std().mean(axis=1)
    return None if not len(spread) or spread.isna().any() else spread


def abstained(folder: Path, split: str) -> dict[str, Any]:
    """Return the error on the 80 % surest against the error on all, in each order, with intervals over patients."""
    cases, question, evidence = held_out(folder, split, raw=False)
    point = (evidence.get("operating_point") or {}).get("value")
    own = {int(fold): value for fold, value in (evidence["operating_point"].get("by_fold") or {}).items()}
    y = cases.y.astype(np.int64)
    if question.task == "binary":
        one = question.positive_index
        limits = np.array([own.get(int(fold), point) for fold in cases.fold]) if split == "oof" else point
        call = np.where(cases.p[:, one] >= limits, one, 1 - one)
    else:
        limits, call = None, cases.p.argmax(axis=1)
    checked = checked_cases(y, cases.p, cases.patient)
    kinds = orderings(cases, question, call, limits, disagreement(folder, split))
    pieces = [
        abstaining_piece(checked, call, confidence=np.round(sure, 9), coverages=(ANSWERED, 1.0))
        for sure in kinds.values()
    ]
    found = draw_together(pieces, checked, seed=SEED)
    kept = ("value", "low", "high")
    told: dict[str, Any] = {"cases": len(cases), "error_all": {key: found[0]["at"][1]["error"][key] for key in kept}}
    for name, one in zip(kinds, found, strict=True):
        told[name] = {key: {end: one["at"][0][key][end] for end in kept} for key in ("error", "ratio")}
        told[name]["area"] = one["area"]["value"]
    return told


def each_run(runs: Mapping[str, Path], budget: str, work: Callable[[Path, str], dict[str, Any]]) -> dict[str, Any]:
    """Return what `work` finds in a run of each cohort, and of those with an official split."""
    found: dict[str, Any] = {}
    wanted = {(name, "oof"): source for name, source in COHORTS.items()}
    wanted |= {(name, "test"): source for name, source in OFFICIAL.items()}
    for (name, split), source in wanted.items():
        key = name if split == "oof" else f"{name}-official"
        with tempfile.TemporaryDirectory() as folder:
            if runs and key not in runs:
                continue
            found[key] = work(runs[key] if key in runs else learned(source, budget, Path(folder)), split)
    return found


def coverage_row(runs: Mapping[str, Path] | None = None, budget: str = BUDGET) -> None:
    """Split held-out cases again and record how often sets held the truth."""

    def work(folder: Path, split: str) -> dict[str, Any]:
        cases, question, evidence = held_out(folder, split, raw=split == "oof")
        if split == "oof":
            return resplit(cases, question.classes)
        told = evidence.get("statuses", {}).get("test", {})
        kept = ("value", "low", "high", "n")
        return {key: {end: told[key][end] for end in kept} for key in ("held", "called", "error_called") if key in told}

    found = each_run(runs or {}, budget, work)
    record("sets-coverage", _command("sets-coverage", budget), {"stated": COVERAGE, **found}, seed=SEED)


def fifth_row(runs: Mapping[str, Path] | None = None, budget: str = BUDGET) -> None:
    """Record the error without the least sure fifth."""
    found = each_run(runs or {}, budget, abstained)
    record("abstain-fifth", _command("abstain-fifth", budget), {"answered": ANSWERED, **found}, seed=SEED)


def _command(row: str, budget: str) -> str:
    return f"python -m benchmarks.abstain --budget {budget} {row}"


ROWS: dict[str, Callable[[], None]] = {"sets-coverage": partial(coverage_row), "abstain-fifth": partial(fifth_row)}


def main() -> None:
    """Read the rows that are named, or both."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.abstain")
    parser.add_argument("rows", nargs="*", help="both by default")
    parser.add_argument("--budget", default=BUDGET, help="of each training")
    parser.add_argument("--runs", default="", help="busi=RUN,breastmnist=RUN,breastmnist-official=RUN: learn nothing")
    asked = parser.parse_args()
    runs = {name: Path(path) for name, path in (one.split("=", 1) for one in asked.runs.split(",") if one)}
    with tempfile.TemporaryDirectory() as folder:
        if not runs:  # each cohort is learned from once, for both rows
            each = {**COHORTS, **{f"{name}-official": source for name, source in OFFICIAL.items()}}
            for name, source in each.items():
                (Path(folder) / name).mkdir()
                runs[name] = learned(source, asked.budget, Path(folder) / name)
        for row, work in (("sets-coverage", coverage_row), ("abstain-fifth", fifth_row)):
            if not asked.rows or row in asked.rows:
                work(runs, asked.budget)


if __name__ == "__main__":
    main()
