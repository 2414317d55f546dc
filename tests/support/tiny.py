"""Cohorts of 24-pixel pictures and plans of a dozen steps: the whole road in seconds."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import pandas as pd

from semeion.plan.files import write_plan
from semeion.plan.schema import Plan
from semeion.study.options import RunOptions
from semeion.study.road import start_run

SIDE = 24
PATIENT = "MRN-7300"
"""How every patient id begins: nothing else in the world does."""
BENIGN, MALIGNANT = "benign", "malignant"

TASKS = ("binary", "multiclass", "ordinal", "multilabel", "delimited", "regression")
"""The tasks, multi-label twice: by columns of 0 and 1, and by one delimited column."""

TARGETS: dict[str, dict[str, Any]] = {
    "binary": {"name": "finding", "task": "binary", "classes": [BENIGN, MALIGNANT], "positive": MALIGNANT},
    "multiclass": {"name": "kind", "task": "multiclass", "classes": ["cyst", "mass", "scar"], "positive": None},
    "ordinal": {"name": "grade", "task": "ordinal", "classes": ["grade 1", "grade 2", "grade 3"], "positive": None},
    "multilabel": {"name": "edema,nodule", "task": "multilabel", "classes": ["edema", "nodule"], "positive": None},
    "delimited": {"name": "signs", "task": "multilabel", "classes": ["edema", "nodule"], "positive": None},
    "regression": {"name": "diameter", "task": "regression", "classes": [], "positive": None},
}


@dataclass(frozen=True)
class Tiny:
    """A table on disk with its pictures.

    Attributes
    ----------
    table
        The CSV.
    rows
        The same as a data frame, ``image`` relative to the table.
    """

    table: Path
    rows: pd.DataFrame
    task: str = "binary"

    @property
    def target(self) -> str:
        """What ``--target`` takes."""
        return str(TARGETS[self.task]["name"])

    def image(self, row: int) -> Path:
        """Return the path of one picture."""
        return self.table.parent / str(self.rows["image"][row])

    def rewrite(self, **columns: Any) -> Tiny:
        """Write the table again with changed columns (None removes one)."""
        rows = self.rows.assign(**{name: values for name, values in columns.items() if values is not None})
        rows = rows.drop(columns=[name for name, values in columns.items() if values is None and name in rows])
        rows.to_csv(self.table, index=False)
        return Tiny(self.table, rows, self.task)


@dataclass(frozen=True)
class TinyRun:
    """A finished run with what it was made of."""

    path: Path
    cohort: Tiny
    plan: Path
    evidence: dict[str, Any] = field(default_factory=dict)

    @property
    def model(self) -> Path:
        """The shipped model."""
        return self.path / "model"


def picture(rng: np.random.Generator, brightness: float, *, size: int = SIDE) -> npt.NDArray[np.uint8]:
    """Return a grey picture of noise with a disc, whose brightness (0 to 1) is what can be learned."""
    rows, cols = np.mgrid[:size, :size]
    middle = size / 2 + rng.uniform(-size / 10, size / 10, 2)
    disc = (rows - middle[0]) ** 2 + (cols - middle[1]) ** 2 < (size / 4) ** 2
    values = rng.normal(90, 20, (size, size)) + disc * (20 + 90 * brightness)
    return np.clip(values, 0, 255).astype(np.uint8)


def write_picture(path: Path, pixels: npt.NDArray[Any]) -> Path:
    """Write RGB or grey pixels by the path's suffix."""
    path.parent.mkdir(parents=True, exist_ok=True)
    stored = pixels[..., ::-1] if pixels.ndim == 3 else pixels
    assert cv2.imwrite(str(path), np.ascontiguousarray(stored))
    return path


def make_cohort(
    folder: Path,
    *,
    n: int = 80,
    task: str = "binary",
    split: str = "",
    noise: bool = False,
    seed: int = 0,
    prefix: str = "case",
) -> Tiny:
    """Write `n` pictures of ``n / 2`` patients and their table ``cohort.csv``.

    Parameters
    ----------
    folder
        A new folder.
    n, task, seed
        Cases (two a patient), a key of `TARGETS`, randomness.
    split
        ``given``: half of the patients train, a quarter val, a quarter test. ``test``: three quarters train, a quarter
        test. Empty: no such column.
    noise
        The labels have nothing to do with the pictures.
    prefix
        Of the case ids.
    """
    rng = np.random.default_rng(seed)
    truth = rng.uniform(0, 1, n)
    shown = rng.uniform(0, 1, n) if noise else truth
    columns = label_columns(task, truth, rng)
    names = []
    for row in range(n):
        names.append(f"images/{row:03d}.png")
        write_picture(folder / names[-1], picture(rng, float(shown[row])))
    rows = pd.DataFrame(
        {
            "case_id": [f"{prefix}-{row:03d}" for row in range(n)],
            "patient_id": [f"{PATIENT}{row // 2:03d}" for row in range(n)],
            "image": names,
            "site": np.array(["north", "south"])[np.arange(n) // 2 % 2],
            **columns,
        }
    )
    if split:
        turns = {"given": ["train", "test", "train", "val"], "test": ["train", "test", "train", "train"]}[split]
        rows["split"] = np.array(turns)[np.arange(n) // 2 % 4]
    table = folder / "cohort.csv"
    rows.to_csv(table, index=False)
    return Tiny(table, rows, task)


def label_columns(task: str, truth: npt.NDArray[np.float64], rng: np.random.Generator) -> dict[str, Any]:
    """Return the target's columns for brightnesses from 0 to 1."""
    third = np.minimum((truth * 3).astype(int), 2)
    if task == "binary":
        return {"finding": np.where(truth > 0.5, MALIGNANT, BENIGN)}
    if task in ("multiclass", "ordinal"):
        target = TARGETS[task]
        return {str(target["name"]): np.array(target["classes"])[third]}
    if task == "regression":
        return {"diameter": np.round(10 + 40 * truth, 3)}
    edema, nodule = (truth > 0.5).astype(int), (rng.uniform(0, 1, len(truth)) > 0.5).astype(int)
    if task == "multilabel":
        return {"edema": edema, "nodule": nodule}
    signs = {"edema": edema, "nodule": nodule}
    cells = [";".join(name for name, has in signs.items() if has[row]) or "none" for row in range(len(truth))]
    return {"signs": cells}


def make_plan(
    task: str = "binary",
    *,
    scheme: str = "folds",
    folds: int = 2,
    repeats: int = 1,
    steps: int = 12,
    seconds: float | None = None,
    **training: Any,
) -> Plan:
    """Return a plan of tiny members with fixed steps, one thread and no budget unless `seconds`."""
    places = [(fold if scheme == "folds" else -1, repeat) for repeat in range(repeats) for fold in range(folds)]
    if scheme == "given":
        places = [(-1, repeat) for repeat in range(repeats)]
    return Plan.model_validate(
        {
            "schema": 1,
            "seed": 3,
            "target": TARGETS[task],
            "preparation": {"size": [SIDE, SIDE], "fit": "stretch"},
            "network": {"widths": [4, 8]},
            "training": {"batch": 16, "learning_rate": 0.01, "threads": 1, "evaluations": 3, **training},
            "validation": {"scheme": scheme, "folds": folds if scheme == "folds" else 0, "inner_share": 0.25},
            "members": [
                {
                    "name": f"fold{fold}-seed{repeat}" if fold >= 0 else f"seed{repeat}",
                    "fold": fold,
                    "seed": 100 * repeat + fold + 1,
                    "steps": steps,
                }
                for fold, repeat in places
            ],
            "budget": {"seconds": seconds, "reserve": 2.0 if seconds else 0.0},
        }
    )


def save_plan(folder: Path, **choices: Any) -> Path:
    """Write :func:`make_plan` as ``fixed.yaml`` in `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    write_plan(make_plan(**choices), folder / "fixed.yaml")
    return folder / "fixed.yaml"


def train_tiny(tiny: Tiny, plan: Path, output: Path, **options: Any) -> TinyRun:
    """Go the whole road in this process, silently."""
    from semeion.artefacts import read_json
    from semeion.cohort.cohort import CohortOptions
    from semeion.progress import Silent

    asked = {"target": tiny.target, "task": TARGETS[tiny.task]["task"], **options.pop("cohort", {})}
    choices = RunOptions(CohortOptions(**asked), plan=str(plan), jobs=1, **options)
    path = start_run(tiny.table, choices, output, Silent())
    return TinyRun(path, tiny, plan, read_json(path / "evidence.json"))


def weights_of(run: Path) -> dict[str, bytes]:
    """Return the bytes of every member's weights, by the member's name."""
    return {file.parent.name: file.read_bytes() for file in sorted(run.glob("members/*/weights.safetensors"))}


def contents_of(folder: Path) -> dict[str, bytes]:
    """Return the bytes of every file below `folder` by its relative path."""
    return {str(file.relative_to(folder)): file.read_bytes() for file in sorted(folder.rglob("*")) if file.is_file()}
