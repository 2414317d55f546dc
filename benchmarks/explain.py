"""Where a breast-ultrasound classifier looks that saw no masks, against the lesions; and what explaining costs.

``explain-busi`` reads every benign and malignant case with the members of the fold that held it out, by the code that
explains at use, on the pictures' own pixels. Masks choose nothing but the fixed point that maps are compared with.
``python -m benchmarks.explain ROW BUDGET`` reads a row with another budget and records nothing; ``python -m
benchmarks.explain ROW --run RUN`` reads and records it from a finished run, with the command that trained it.
"""

from __future__ import annotations

import atexit
import json
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from benchmarks.processes import run as run_command
from benchmarks.record import data, record

BUDGET, SEED = "15m", 0
CASES, PAIRS = 60, 5
"""Pictures that are read to see what explaining costs, and pairs of readings."""
GRID = 64
"""Side at which lesions of pictures of all sizes lie on one another."""
LESIONS = ("benign", "malignant")
IN_VIEW = (0, 1)
"""Folds whose masks were in view when it was decided that the last stages of a pretrained network learn alone."""


ALL = "all"
"""All members of a fold together, beside each way of learning alone."""


@dataclass(frozen=True)
class Read:
    """One case: whose it is, what its maps are worth on the picture's own pixels, by the way, and its lesion there."""

    case: str
    group: int
    fold: int
    finding: str
    called: str
    values: dict[str, dict[str, float]]
    lesion: npt.NDArray[np.bool_]


def busi(budget: str = BUDGET, *, keep: bool = True, run: Path | None = None) -> dict[str, Any]:
    """Train on BUSI without its masks, or take such a run, and measure where maps of held-out cases point."""
    with trained(budget, run) as output:
        reads = list(_reads(output))
        evidence = json.loads((output / "evidence.json").read_text())
    figures = _figures(reads)
    figures["called_right"] = _told([one for one in reads if one.finding == one.called])
    for finding in LESIONS:
        figures[finding] = _told([one for one in reads if one.finding == finding])
    figures["not_in_view"] = _figures([one for one in reads if one.fold not in IN_VIEW])
    ways = dict.fromkeys(way for one in reads for way in one.values if way != ALL)
    figures["ways"] = {way: _told([one for one in reads if way in one.values], way) for way in ways}
    figures["run"] = {
        **{name: _short(evidence["metrics"]["oof"][name]) for name in ("auroc", "accuracy")},
        "used_seconds": evidence["budget"]["used_seconds"],
        "explanations": {
            method: {"verdict": told["verdict"], "reason": told["reason"], "n": told.get("n")}
            | {name: _short(one) for name, one in told["figures"].items()}
            for method, told in evidence["explanations"].items()
        },
    }
    figures["trials"] = _trials(output)
    if keep:
        record("explain-busi", _command(output), figures, seed=SEED)
    return figures


def cost(budget: str = BUDGET, *, keep: bool = True, run: Path | None = None) -> dict[str, Any]:
    """Measure what `predict --explain` takes over `predict`, in turn, each a process of its own."""
    with trained(budget, run) as output, tempfile.TemporaryDirectory() as place:
        table = pd.read_csv(data() / "busi" / "cases.csv").head(CASES)
        images = [str(data() / "busi" / name) for name in table["image"]]
        seconds: dict[str, list[float]] = {"plain": [], "explained": []}
        for pair in range(PAIRS):
            for how in ("plain", "explained") if pair % 2 == 0 else ("explained", "plain"):
                more = ["--explain", str(Path(place) / f"why{pair}")] if how == "explained" else []
                findings = str(Path(place) / "findings.csv")
                words = ["predict", str(output / "model"), *images, "-o", findings, *more]
                done = run_command([sys.executable, "-m", "semeion", *words])
                if done.status not in (0, 1):
                    sys.exit(f"predict failed with {done.status}:\n{done.output}")
                seconds[how].append(done.seconds)
    ratios = [b / a for a, b in zip(seconds["plain"], seconds["explained"], strict=True)]
    figures = {
        "cases": CASES,
        "pairs": PAIRS,
        "plain_seconds": round(median(seconds["plain"]), 3),
        "explained_seconds": round(median(seconds["explained"]), 3),
        "ratio": round(median(ratios), 3),
        "ratios": [round(ratio, 3) for ratio in ratios],
    }
    if keep:
        record("explain-cost", "semeion predict MODEL IMAGES... -o FINDINGS [--explain DIR]", figures, seed=SEED)
    return figures


@contextmanager
def trained(budget: str, run: Path | None = None) -> Iterator[Path]:
    """Yield a run trained on BUSI without masks, kept for other rows of this process; or `run` where it is given."""
    if run is not None:
        from semeion.cohort.cohort import read_cohort
        from semeion.study.lesions import has_lesions

        if has_lesions(read_cohort(run / "cohort.parquet")):
            sys.exit(f"{run} knows the masks, and the row is of a model that saw none")
        yield run
        return
    if budget not in _RUNS:
        place = Path(tempfile.mkdtemp(prefix="explain-"))
        table = pd.read_csv(data() / "busi" / "cases.csv").drop(columns=["mask", "n_lesions"])
        table["image"] = [str(data() / "busi" / name) for name in table["image"]]
        table.to_csv(place / "cases.csv", index=False)
        words = ["train", str(place / "cases.csv"), "--target", "finding", "--budget", budget, "--seed", str(SEED)]
        done = run_command([sys.executable, "-m", "semeion", *words, "--quiet", "-o", str(place / "run")], every=0.5)
        if done.status not in (0, 1):
            shutil.rmtree(place)
            sys.exit(f"training failed with {done.status}:\n{done.output}")
        _RUNS[budget] = place
    yield _RUNS[budget] / "run"


_RUNS: dict[str, Path] = {}


@atexit.register
def _forget() -> None:
    for place in _RUNS.values():
        shutil.rmtree(place, ignore_errors=True)
    _RUNS.clear()


def _reads(output: Path) -> Iterator[Read]:
    """Yield every benign and malignant case as the members of the fold that held it out see it."""
    from semeion.cohort.reading import read_image
    from semeion.prepare.back import map_to_picture, placement
    from semeion.study.explained_run import opened_run

    opened = opened_run(output)
    masks = pd.read_csv(data() / "busi" / "cases.csv").set_index("case_id")["mask"]
    cases = opened.cohort.table
    spec = opened.trained.plan.preparation.spec()
    folds = {row: part.fold for part in opened.parts for row in part.held_out.tolist()}
    ways = {member.name: str(member.recipe or "network") for member in opened.trained.plan.members}
    for side, sight in opened.sights():
        for row in side.rows:
            case, finding = str(cases["case_id"].iloc[row]), opened.cohort.target.classes[int(opened.y[row])]
            if finding not in LESIONS:
                continue
            pictures = opened.store.take(np.array([row]))
            look = sight.look(pictures)
            targets = sight.targets(sight.said(look))
            image = read_image(str(cases["image"].iloc[row]))
            where = placement(image, spec)
            lesion = read_image(str(data() / "busi" / str(masks[case]))).pixels.max(axis=2) > 0
            members = {ways[one.name]: one.name for one in side.members if sight.tells(one)}
            values = {}
            for way, member in {ALL: None, **members}.items():
                found = sight.maps(pictures, look, targets, "activation", member=member)[0, 0]
                values[way] = _worth(map_to_picture(found, where), lesion)
            yield Read(case, int(opened.groups[row]), folds[row], finding, str(targets[0]), values, lesion)


def _worth(found: npt.NDArray[np.float32], lesion: npt.NDArray[np.bool_]) -> dict[str, float]:
    """Return what a map is worth beside its lesion, both on the picture's own pixels."""
    from semeion.explain.trial.pointing import covered, dice_at_equal_area, energy_inside, hits

    maps, lesions = found[None], lesion[None]
    return {
        "pointing": float(hits(maps, lesions)[0]),
        "energy": float(energy_inside(maps, lesions)[0]),
        "covered": float(covered(lesions)[0]),
        "dice": float(dice_at_equal_area(maps, lesions)[0]),
    }


def _figures(reads: list[Read]) -> dict[str, Any]:
    """Return the figures of all cases, the best fixed point among them."""
    figures = _told(reads)
    figures["fixed_point"] = _fixed(reads)
    return figures


def _told(reads: list[Read], way: str = ALL) -> dict[str, Any]:
    """Return pointing, energy and overlap with intervals over groups of pictures."""
    from semeion.study.explained_figures import figures

    if not reads:
        return {"n": 0}
    groups = np.array([one.group for one in reads])
    each = {name: np.array([one.values[way][name] for one in reads]) for name in reads[0].values[way]}
    return {"n": len(reads), **{name: _short(one) for name, one in figures(each, groups, "", SEED).items()}}


def _fixed(reads: list[Read]) -> dict[str, Any]:
    """Return the best single place, in parts of the picture's sides, for these very lesions."""
    import cv2

    from semeion.explain.trial.pointing import best_fixed_point
    from semeion.study.explained_figures import figure

    size = (GRID, GRID)
    lesions = np.stack([cv2.resize(one.lesion.astype(np.float32), size, interpolation=cv2.INTER_AREA) for one in reads])
    inside = lesions >= 0.5
    point, _ = best_fixed_point(inside)
    struck = inside[(slice(None), *point)].astype(np.float64)
    groups = np.array([one.group for one in reads])
    return {"at": [round((place + 0.5) / GRID, 3) for place in point], **_short(figure(struck, groups, "", SEED))}


def _command(output: Path) -> str:
    """Return the command that trained a run, with its budget and seed as its plan has them."""
    from semeion.plan.files import read_plan

    plan = read_plan(output / "plan.yaml")  # what was executed repeats without a budget
    budget = "" if plan.budget.seconds is None else f" --budget {plan.budget.seconds / 60:g}m"
    return f"semeion train CASES.csv --target {plan.target.name}{budget} --seed {plan.seed} -o RUN"


def _trials(output: Path) -> dict[str, Any]:
    """Return the trials of the run's maps on a hundred held-out cases, however long they take."""
    from semeion.study.explained_run import opened_run

    told = opened_run(output).trials(seed=SEED)
    return {
        method: {"verdict": own["verdict"], "reason": own["reason"], "seconds": own.get("seconds"), "n": own.get("n")}
        | {name: _short(one) for name, one in own["figures"].items()}
        for method, own in told.items()
    }


def _short(one: dict[str, Any]) -> dict[str, Any]:
    return {
        key: round(value, 4) if isinstance(value := one.get(key), float) else value
        for key in ("value", "low", "high", "n", "n_patients")
    }


ROWS: dict[str, Callable[[], Any]] = {"explain-busi": busi, "explain-cost": cost}

if __name__ == "__main__":
    row, *rest = sys.argv[1:]
    measure = {"explain-busi": busi, "explain-cost": cost}[row]
    if rest[:1] == ["--run"]:
        measure(run=Path(rest[1]))
    else:
        print(json.dumps(measure(rest[0] if rest else BUDGET, keep=False), indent=1))
