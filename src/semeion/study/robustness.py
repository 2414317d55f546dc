"""How the shipped model does on its test images made worse: the robustness curves of a run.

It is done when all is locked, with the runtime that `predict` uses, and nothing is chosen from it: it belongs to the
reading of the test cases that weighs the model, and ``readings.json`` does not count it again.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from time import monotonic
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import pandas as pd

from semeion.artefacts import read_json, whole_file, write_json
from semeion.audit.degrade import Seen, degradations
from semeion.cohort.cohort import Cohort
from semeion.cohort.roles import image_references
from semeion.cohort.volume import knows_spacing
from semeion.errors import InputError, ModelRefused
from semeion.evidence.question import Question
from semeion.evidence.use.operating import OperatingPoints
from semeion.evidence.use.robustness import FIGURES, UNDEGRADED, falls_first, robustness
from semeion.model.runtime import load_model
from semeion.plan.rules import WORSE
from semeion.progress import Progress, Silent
from semeion.study.covariates import known_of
from semeion.study.degrading import Reader, write_strips
from semeion.study.folder import RunFolder, read_run_state
from semeion.study.inspect import labels
from semeion.study.options import RunOptions
from semeion.study.rows import prediction_rows

MOST_PATIENTS = 400
"""Of a larger test split as many are drawn."""
FEWEST_PATIENTS = 100
"""`train` measures with no fewer, unless there are no more; with fewer the curves would say little."""
WEIGHED = 0.3
"""Share of the time given that is kept for the intervals."""
CHUNK = 16
"""Patients between two looks at the clock."""
EVERY = 20.0
"""Seconds after which what was read is written, so that an interrupted reading goes on."""
FILE, KEY = "audit/robustness.parquet", "audit/robustness.json"
SPLIT = "test"
_ORDER = 5

Rows = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Drawn:
    """Test patients in an order drawn with the seed, and each one's rows of the cohort.

    Attributes
    ----------
    rows
        One array a patient.
    of_patients
        Patients of the whole split.
    """

    rows: tuple[Rows, ...]
    of_patients: int


class TooLittleTime(Exception):
    """Says what it would take."""


def measure_robustness(
    run: RunFolder,
    cohort: Cohort,
    facts: pd.DataFrame,
    evidence: dict[str, Any],
    points: OperatingPoints | None,
    *,
    seed: int,
    jobs: int | None,
    progress: Progress,
    seconds: float | None = None,
) -> dict[str, Any]:
    """Read the test images made worse with the shipped model, and return what ``evidence.json`` says of it.

    Parameters
    ----------
    run
        With its ``model/`` and ``predictions.parquet``. ``audit/robustness.parquet`` is written into it, and what is
        there of the same model is not read again; ``gallery/`` gets a strip of pictures for each degradation.
    cohort, facts
        The cases, and their scan in the same order.
    evidence
        Of the run: the question, and the model's hash.
    points
        At which calls are made.
    seed
        Draws patients, noise and resamples.
    jobs, progress
        Threads that read, and the bar.
    seconds
        That it may take; then fewer patients are read, or none when they would be too few. As long as it takes when
        None.

    Returns
    -------
    dict
        ``about`` says whether it was measured, of whom, what was done, what was not and why; ``test.<degradation>`` is
        a list of ``{strength, unit, metrics, difference}``, the mildest first. See
        :func:`semeion.evidence.use.robustness.robustness`.
    """
    began = monotonic()
    why = _unable(run, cohort, evidence)
    if why:
        return not_measured(why, again=False)
    try:
        model = load_model(run / "model", threads=None)
    except ModelRefused as error:
        return not_measured(f"the shipped model cannot be read: {error.what}")
    if model.hash != evidence.get("model"):
        return not_measured("model/ is not the model that the figures were made with", again=False)
    drawn = draw_patients(cohort, seed)
    seen = seen_of(cohort, facts, np.concatenate(drawn.rows))
    found, reasons = degradations(seen)
    reader = Reader(model, found, seed, known_of(cohort, model.covariates))
    left = None if seconds is None else seconds * (1 - WEIGHED) - (monotonic() - began)
    try:
        table, n_patients = _predictions(run, cohort, reader, drawn, left, jobs, progress)
        weighed = robustness(table, question_of(evidence), points, seed=seed, jobs=jobs)
        write_strips(run, reader, str(cohort.table["case_id"].iloc[drawn.rows[0][0]]), _references(cohort, drawn))
    except TooLittleTime as error:
        return not_measured(str(error))
    except InputError as error:
        return not_measured(f"{error.where}: {error.what}" if error.where else error.what)
    except (RuntimeError, ValueError, MemoryError, cv2.error) as error:  # one odd image must not lose a whole run
        return not_measured(str(error) or "memory ran out")
    run.log("robustness", patients=n_patients, versions=len(reader.versions), seconds=round(monotonic() - began, 1))
    told = {one.name: {"unit": one.unit, "identity": one.identity, "how": one.how} for one in found}
    curves = {
        name: [{"unit": told[name]["unit"], **entry} for entry in curve] for name, curve in weighed["curves"].items()
    }
    about = {
        "measured": True,
        "reason": "",
        "model": model.hash,
        "seed": seed,
        "n": weighed["n"],
        "n_patients": weighed["n_patients"],
        "of_patients": drawn.of_patients,
        "undegraded": weighed["undegraded"],
        "degradations": told,
        "not_applicable": reasons,
        "falls_first": falls_first(weighed["curves"], FIGURES[evidence["task"]][0]),
        "largest_deviation": _deviation(run, table, question_of(evidence)),
    }
    return {"about": about, SPLIT: curves}


def not_measured(reason: str, *, again: bool = True) -> dict[str, Any]:
    """Return what the evidence says where nothing was measured; `again` where ``semeion audit --full`` would do it."""
    return {"about": {"measured": False, "reason": reason, "command": "semeion audit RUN --full" if again else None}}


def measure_within_budget(
    run: RunFolder,
    cohort: Cohort,
    facts: pd.DataFrame,
    evidence: dict[str, Any],
    points: OperatingPoints | None,
    *,
    budget: float | None,
    left: float | None,
    reserve: float,
) -> dict[str, Any]:
    """Return what :func:`measure_robustness` does where it fits into what is left of a run's budget.

    It takes a twentieth of the budget at most, which the plan kept for it, and leaves half of the rest of the reserve
    for the report. A run without a budget follows a plan of fixed steps, which no clock may change, and measures
    nothing.
    """
    from semeion.study.retraining import KEY as RETRAINED  # which imports the road, which imports this

    if (run / RETRAINED).exists():
        return not_measured("the run was trained for an audit", again=False)
    if budget is None or left is None:
        return not_measured(_unable(run, cohort, evidence) or "the run had no budget, and so no time set aside for it")
    given = WORSE * budget
    seconds = min(given, left - max(0.0, reserve - given) / 2)
    if seconds <= 0:
        return not_measured(_unable(run, cohort, evidence) or "nothing was left of the budget")
    options = RunOptions.from_json(read_run_state(run.path)["options"])
    return measure_robustness(
        run, cohort, facts, evidence, points, seed=options.seed, jobs=options.jobs, progress=Silent(), seconds=seconds
    )


def question_of(evidence: dict[str, Any]) -> Question:
    """Return the question that the evidence answers."""
    return Question(evidence["target"], evidence["task"], tuple(evidence["classes"]), evidence["positive"])


def draw_patients(cohort: Cohort, seed: int) -> Drawn:
    """Return at most `MOST_PATIENTS` test patients in a drawn order; a shorter reading is the beginning of a longer."""
    rows = np.flatnonzero((cohort.table["split"] == SPLIT).to_numpy(dtype=bool))
    patients = cohort.table["patient_id"].to_numpy(dtype=object)[rows].astype(str)
    names = np.unique(patients)
    chosen = np.random.default_rng([seed, _ORDER]).permutation(names)[:MOST_PATIENTS]
    return Drawn(tuple(rows[patients == name] for name in chosen), len(names))


def seen_of(cohort: Cohort, facts: pd.DataFrame, rows: Rows) -> Seen:
    """Return what the images of `rows` are."""
    part = facts.iloc[rows]
    texts = {name: frozenset(part[name].fillna("").astype(str)) for name in ("unit", "modality")}
    if cohort.images.kind == "volume":
        sized = all(knows_spacing(str(notes).split(";")) for notes in part["notes"].fillna(""))
        return Seen(True, texts["unit"], texts["modality"], sized=sized)
    bits = frozenset(int(value) for value in part["bits"].dropna())
    return Seen(False, texts["unit"], texts["modality"], bits)


def _unable(run: RunFolder, cohort: Cohort, evidence: dict[str, Any]) -> str:
    """Return why nothing can be measured, or nothing."""
    if evidence["task"] == "segmentation":
        return "masks of images made worse are not weighed by this version"
    if cohort.structures:
        return "a diagnosis from measurements is not read from images made worse by this version"
    if not cohort.has_split or not bool((cohort.table["split"] == SPLIT).any()):
        return "there are no test cases"
    if not (run / "model" / "model.json").exists():
        return "the run has no model"
    return ""


def _references(cohort: Cohort, drawn: Drawn) -> tuple[str, ...]:
    return image_references(cohort)[int(drawn.rows[0][0])]


def _predictions(
    run: RunFolder,
    cohort: Cohort,
    reader: Reader,
    drawn: Drawn,
    seconds: float | None,
    jobs: int | None,
    progress: Progress,
) -> tuple[pd.DataFrame, int]:
    """Return the predictions of every version of every drawn case, and of how many patients.

    Raises
    ------
    TooLittleTime
        When too few patients could be read.
    """
    kept = _kept(run, reader)
    known = np.array([] if kept is None else kept["case_id"].unique(), dtype=object)
    frames = [] if kept is None else [kept]
    ids, references, y = cohort.table["case_id"].to_numpy(dtype=object), image_references(cohort), labels(cohort)
    fewest = min(FEWEST_PATIENTS, len(drawn.rows))
    began = written = monotonic()
    each, patients = 0.0, 0
    progress.start("robustness", len(drawn.rows))
    try:
        while patients < len(drawn.rows):
            chunk = drawn.rows[patients : patients + (CHUNK if patients >= CHUNK else max(1, 3 * patients))]
            rows = np.concatenate([part[~np.isin(ids[part].astype(str), known)] for part in chunk])
            if len(rows):
                now = monotonic()
                wanted = sum(map(len, drawn.rows[patients : max(fewest, patients + len(chunk))]))
                # The first case opens graphs and imports packages: it tells of the others only when it took long.
                told = seconds is not None and (patients > 1 or (patients == 1 and now - began > seconds / 5))
                if seconds is not None and told and now - began + each * wanted > seconds:
                    break
                combined = reader.read([str(case) for case in ids[rows]], [references[row] for row in rows], jobs)
                each = (monotonic() - now) / len(rows)
                frames.append(_frame(cohort, reader, rows, y[rows], combined))
            patients += len(chunk)
            progress.advance(len(chunk))
            if monotonic() - written > EVERY:
                _keep(run, reader, frames)
                written = monotonic()
    finally:
        progress.finish()
        if frames:
            _keep(run, reader, frames)
    if patients < fewest:
        need = each * sum(map(len, drawn.rows[:fewest]))
        raise TooLittleTime(
            f"reading {fewest} patients in {len(reader.versions)} versions takes about {need:.0f} s, more than was left"
        )
    table = pd.concat(frames, ignore_index=True)
    chosen = {str(case) for part in drawn.rows[:patients] for case in ids[part]}
    return table[table["case_id"].isin(chosen)], patients


def _frame(
    cohort: Cohort, reader: Reader, rows: Rows, y: npt.NDArray[np.float64], combined: npt.NDArray[np.float64]
) -> pd.DataFrame:
    """Return prediction rows ``(cases, versions)`` of `combined` probabilities ``(cases, versions, outputs)``."""
    cases, target = cohort.table.iloc[rows], cohort.target
    base = pd.DataFrame(
        {
            **{name: cases[name].to_numpy() for name in ("case_id", "patient_id", "site")},
            "split": SPLIT,
            "fold": -1,
            "member": "ensemble",
        }
    ).astype({"case_id": str, "patient_id": str})
    made = []
    for number, version in enumerate(reader.versions):
        raw = combined[:, number]
        p = reader.model.calibrated(raw)
        frame = prediction_rows(base, target.name, target.task, list(target.classes), y, raw, p)
        made.append(frame.assign(degradation=version.name, strength=float(version.strength)))
    return pd.concat(made, ignore_index=True)


def _kept(run: RunFolder, reader: Reader) -> pd.DataFrame | None:
    """Return what an earlier reading of the same model with the same degradations and seed wrote."""
    key, file = run / KEY, run / FILE
    if not key.exists() or not file.exists() or read_json(key) != _key(reader):
        return None
    table = pd.read_parquet(file)
    # A case counts as read when every version of it is there.
    whole = table.groupby("case_id")["strength"].transform("size") >= len(reader.versions)
    return table[whole] if bool(whole.any()) else None


def _keep(run: RunFolder, reader: Reader, frames: list[pd.DataFrame]) -> None:
    (run / FILE).parent.mkdir(parents=True, exist_ok=True)
    (run / KEY).unlink(missing_ok=True)
    with whole_file(run / FILE) as temporary:
        pd.concat(frames, ignore_index=True).to_parquet(temporary, index=False)
    write_json(run / KEY, _key(reader))


def _key(reader: Reader) -> dict[str, Any]:
    """Return what decides every row of the table."""
    how = [{**asdict(one), "strengths": list(one.strengths)} for one in reader.degradations]
    return {"schema": 1, "model": reader.model.hash, "seed": reader.seed, "degradations": how}


def _deviation(run: RunFolder, table: pd.DataFrame, question: Question) -> float | None:
    """Return how far the images as they are were read from ``predictions.parquet``: other files would show."""
    key = ["case_id", "target"]
    before = pd.read_parquet(run / "predictions.parquet")
    before = before[(before["split"] == SPLIT) & (before["member"] == "ensemble")].astype({"case_id": str})
    both = table[table["degradation"] == UNDEGRADED].merge(before, on=key, suffixes=("", "_before"))
    columns = ["y_pred"] if question.task == "regression" else [c for c in table.columns if str(c).startswith("p_")]
    gaps = [np.abs(both[name] - both[f"{name}_before"]).max() for name in columns]
    return float(max(gaps)) if len(both) else None
