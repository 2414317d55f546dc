"""A file or folder of predictions, from whatever tool, with the question and the operating points to weigh it by."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from semeion.artefacts import read_json
from semeion.cohort.table import TABLES, read_table
from semeion.cohort.words import MISSING, SPLIT_WORDS, presence, sense
from semeion.errors import InputError, nearest
from semeion.evidence.foreign.classes import Vocabulary
from semeion.evidence.foreign.columns import Named
from semeion.evidence.foreign.reading import Foreign, understand
from semeion.evidence.question import PRESENT, Question
from semeion.evidence.table import ENSEMBLE, probability_columns
from semeion.evidence.use.operating import OPTION, OperatingPoints, choose_point, parse_rule
from semeion.study.folder import refuse_several_targets

GIVEN = "given, not chosen on these cases"
"""The rule of an operating point that no validation case of the table chose."""
DEFAULT_POINT = 0.5
_WEIGHED = ("test", "external", "oof")
VOCABULARY = Vocabulary(sense, presence, SPLIT_WORDS, MISSING)


@dataclass(frozen=True)
class Loaded:
    """Predictions that can be weighed.

    Attributes
    ----------
    found
        The canonical predictions and how they were understood.
    points, point
        Operating points, and how the evidence states them; None where none is needed.
    source
        What a person would call the file; never an absolute path.
    has_patients
        Whether patients were named.
    has_cases
        Whether a column said which case each row is; else the rows are numbered.
    own
        Whether the evidence beside the predictions says that Semeion made them.
    by
        The column whose values were the folds, where the evidence beside the predictions says so.
    synthetic
        Whether the evidence beside the predictions says that the data were generated.
    notes
        Sentences for the reader.
    """

    found: Foreign
    points: OperatingPoints | None
    point: dict[str, Any] | None
    source: str
    has_patients: bool
    has_cases: bool
    own: bool
    synthetic: bool
    notes: tuple[str, ...]
    by: str | None = None

    @property
    def question(self) -> Question:
        """The target."""
        return self.found.question


def load_predictions(path: Path, named: Named, *, rule: str | None = None, threshold: float | None = None) -> Loaded:
    """Read and understand predictions.

    Parameters
    ----------
    path
        A CSV, TSV, XLSX or Parquet table, or a folder with ``predictions.parquet``.
    named
        What the user said of its columns.
    rule
        By which the operating point is chosen on the table's validation cases.
    threshold
        The operating point, given.

    Raises
    ------
    InputError
        When the file cannot be read or understood, or no operating point can be had as asked for.
    """
    _check_asked(rule, threshold)
    file, source = _file_of(path)
    if file.name == "predictions.parquet":
        refuse_several_targets(file.parent)
    table, notes = _read(file)
    beside = _beside(file) if file.name == "predictions.parquet" else {}
    found = understand(table, named, VOCABULARY, known=_question_of(beside), where=source)
    if not found.own or found.question != _question_of(beside):
        beside = {}
    points, point, said = _points(found, beside, rule, threshold)
    weighed = beside.get("weighed") or {}
    foreign = bool(weighed) and not weighed.get("own")
    return Loaded(
        found,
        points,
        point,
        source,
        has_patients=bool(beside.get("has_patients", found.has_patients)),
        has_cases=found.has_cases and not (foreign and "case" not in (weighed.get("columns") or {})),
        own=bool(beside) and not foreign,
        synthetic=bool(beside.get("synthetic")),
        notes=(*notes, *found.notes, *said),
        by=(beside.get("validation") or weighed).get("by"),
    )


def _check_asked(rule: str | None, threshold: float | None) -> None:
    if rule is not None and threshold is not None:
        raise InputError(
            f"--threshold {threshold:g} and {OPTION} {rule} are two answers to one question",
            fix=f"give one of them: a number, or a rule that chooses on validation cases ({OPTION})",
        )
    if rule is not None:
        parse_rule(rule)
    if threshold is not None and not 0 <= threshold <= 1:
        raise InputError(f"{threshold:g} is no probability", where="--threshold", fix="give a number from 0 to 1")


def _file_of(path: Path) -> tuple[Path, str]:
    """Return the file to read, and what to call it."""
    if path.is_dir():
        file = path / "predictions.parquet"
        if not file.is_file():
            raise InputError(
                "holds no predictions.parquet",
                where=str(path),
                fix="give a file of predictions, or the folder of `semeion train`, `evaluate` or `weigh`",
            )
        return file, f"{path.absolute().name}/{file.name}"
    if not path.exists():
        siblings = [other.name for other in path.parent.iterdir()] if path.parent.is_dir() else []
        raise InputError(f"does not exist{nearest(path.name, siblings)}", where=str(path), fix="correct the path")
    if path.suffix.lower() not in TABLES:
        raise InputError(
            f"is no table of predictions that can be read (suffix {path.suffix or 'none'!r})",
            where=str(path),
            fix=f"give a table ({', '.join(TABLES)}), or a folder with predictions.parquet",
        )
    name = path.name if path.name != "predictions.parquet" else f"{path.absolute().parent.name}/{path.name}"
    return path, name


def _read(file: Path) -> tuple[pd.DataFrame, tuple[str, ...]]:
    """Read a table; a Parquet file keeps its numbers, which are many times smaller than their text."""
    if file.suffix.lower() != ".parquet":
        return read_table(file)
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        table = pq.read_table(file)
    except (pa.ArrowException, OSError, ValueError) as error:
        raise InputError(f"is no Parquet that can be read ({error})", where=str(file), fix="write it again") from error
    plain = [
        field.name
        for field in table.schema
        if not (pa.types.is_nested(field.type) or pa.types.is_binary(field.type)) and field.name != "__index_level_0__"
    ]
    twice = sorted({name for name in plain if plain.count(name) > 1})
    if twice:
        raise InputError(f"two columns are called {twice[0]!r}", where=file.name, fix="give every column its own name")
    frame = table.select(plain).to_pandas(ignore_metadata=True)
    return frame.set_index(pd.RangeIndex(1, len(frame) + 1, name="row")), ()


def _beside(file: Path) -> dict[str, Any]:
    """Return what the evidence beside Semeion's own predictions says; empty where there is none that can be read."""
    path = file.parent / "evidence.json"
    if not path.is_file():
        return {}
    try:
        evidence = read_json(path)
    except (OSError, ValueError):
        return {}
    return evidence if isinstance(evidence, dict) else {}


def _question_of(evidence: dict[str, Any]) -> Question | None:
    if evidence.get("task") in (None, "segmentation"):
        return None
    try:
        return Question(
            str(evidence["target"]),
            str(evidence["task"]),
            tuple(str(name) for name in evidence.get("classes") or ()),
            evidence.get("positive"),
        )
    except (KeyError, TypeError, InputError):
        return None


def _points(
    found: Foreign, beside: dict[str, Any], rule: str | None, threshold: float | None
) -> tuple[OperatingPoints | None, dict[str, Any] | None, list[str]]:
    """Return the operating points, how the evidence states them, and sentences."""
    question = found.question
    if question.task not in ("binary", "multilabel"):
        if threshold is not None or rule is not None:
            what = f"--threshold {threshold:g}" if threshold is not None else f"{OPTION} {rule}"
            said = (
                "a measured value is not called" if question.task == "regression" else "the likeliest class is called"
            )
            raise InputError(f"{what} has no meaning for the task {question.task}: {said}", fix="leave it out")
        return None, None if question.task == "regression" else {"rule": "argmax"}, []
    rows = found.predictions[(found.predictions["member"] == ENSEMBLE) & found.predictions["y_true"].notna()]
    numbered = pd.to_numeric(rows.loc[rows["split"] == "oof", "fold"], errors="coerce").fillna(-1)
    folds = {int(fold): 0.0 for fold in numbered.unique()}
    if rule is None and threshold is None and beside.get("operating_point"):
        stated = _stated(beside, question, folds)
        if stated is not None:
            return stated, beside["operating_point"], ["The operating point is that of the evidence beside the table."]
    chooses = (rows["split"] == "val").to_numpy() & bool(rows["split"].isin(_WEIGHED).any())
    if rule is not None and not chooses.any():
        only = bool((rows["split"] == "val").any())
        raise InputError(
            "the validation cases are all that would be weighed" if only else "there are no validation cases",
            where=f"{OPTION} {rule}",
            fix="give rows of the split val beside those that are weighed, or a point of your own with --threshold: "
            "one chosen on the cases it is weighed on would flatter",
        )
    if chooses.any() and threshold is None:
        return _chosen(rows[chooses], question, folds, rule)
    value = DEFAULT_POINT if threshold is None else threshold
    points = OperatingPoints(GIVEN, value, dict.fromkeys(folds, value))
    how = "by default" if threshold is None else "by --threshold"
    note = f"The operating point {value:g} was {GIVEN} ({how})."
    if question.task == "multilabel":
        each = dict.fromkeys(question.classes, points)
        shown: dict[str, Any] = {"by_target": dict.fromkeys(question.classes, value)}
        return OperatingPoints(GIVEN, by_target=each), {"rule": GIVEN, **shown}, [note]
    return points, {"rule": GIVEN, "value": value, "by_fold": _said(points)}, [note]


def _chosen(
    rows: pd.DataFrame, question: Question, folds: dict[int, float], rule: str | None
) -> tuple[OperatingPoints, dict[str, Any], list[str]]:
    """Choose the points on validation rows; where these allow none and none was asked for, 0.5 stands."""
    notes: list[str] = []
    wanted = rule or "youden"

    def choose(part: pd.DataFrame, column: str, yes: str, about: str) -> OperatingPoints:
        y = (part["y_true"].astype(str) == yes).to_numpy(dtype=np.float64)
        p = pd.to_numeric(part[column]).to_numpy(dtype=np.float64)
        try:
            value = choose_point(y, p, wanted)
        except InputError as error:
            if rule is not None:
                raise
            value = DEFAULT_POINT
            notes.append(f"{about}No operating point could be chosen ({error.what}), so {value:g} stands.")
        return OperatingPoints(wanted, value, dict.fromkeys(folds, value))

    common: dict[str, Any] = {"rule": wanted, "chosen_on": "val", "n": int(rows["case_id"].nunique())}
    if question.task == "binary":
        column = probability_columns(question)[question.positive_index]
        point = choose(rows, column, question.classes[question.positive_index], "")
        return point, {**common, "value": point.shipped, "by_fold": _said(point)}, notes
    each = {
        label: choose(rows[rows["target"].astype(str) == label], f"p_{PRESENT}", PRESENT, f"{label}: ")
        for label in question.classes
    }
    shown = {label: point.shipped for label, point in each.items()}
    return OperatingPoints(wanted, by_target=each), {**common, "by_target": shown}, notes


def _said(points: OperatingPoints) -> dict[str, float]:
    return {str(fold): value for fold, value in points.by_fold.items()}


def _stated(evidence: dict[str, Any], question: Question, folds: dict[int, float]) -> OperatingPoints | None:
    """Return the operating points that the evidence beside the predictions states, where it has them all.

    A table of predictions that was weighed has one point for all folds, chosen elsewhere.
    """
    point = evidence["operating_point"]

    def of(entry: dict[str, Any]) -> OperatingPoints:
        by_fold = {int(fold): float(value) for fold, value in (entry.get("by_fold") or {}).items()}
        value = float(entry["value"])
        if not by_fold and evidence.get("weighed"):
            by_fold = dict.fromkeys(folds, value)
        return OperatingPoints(str(point.get("rule", GIVEN)), value, by_fold)

    try:
        if question.task == "binary":
            return of(point)
        labels = {name: of(evidence["targets"][name]["operating_point"]) for name in question.classes}
    except (KeyError, TypeError, ValueError):
        return None
    return OperatingPoints(str(point.get("rule", GIVEN)), by_target=labels)
