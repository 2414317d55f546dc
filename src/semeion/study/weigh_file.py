"""Weigh a table of predictions, ours or another tool's, and write the account."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd

from semeion.artefacts import whole_file, write_json
from semeion.audit.audit import Audit, Verdict, counted
from semeion.audit.checks import NAMES as AUDITS
from semeion.evidence.foreign.columns import Named
from semeion.evidence.table import ENSEMBLE
from semeion.evidence.use.sets import SetsAsked
from semeion.evidence.weigh import weigh
from semeion.report.page import write_report
from semeion.study.adjusting import adjusted_figures
from semeion.study.auditing import prediction_audits
from semeion.study.folder import refuse_taken
from semeion.study.predictions_file import Loaded, load_predictions
from semeion.study.set_words import no_promise
from semeion.study.statements import EFFECT, NO_PATIENTS, made

NOT_RUN = {
    "verdict": "not_run",
    "tier": "check",
    "figures": {},
    "cases": [],
    "advice": "A table of predictions holds neither images nor training cases.",
}
UNKNOWN = (
    "Nothing is known of how the model was trained: whether it has seen these cases, or their patients, cannot be told."
)
_ROLES = {
    "external": f"The table names no split, or calls it external. {UNKNOWN}",
    "test": f"The table calls these test cases. {UNKNOWN}",
    "oof": "The table gives them a fold; that each was read by a model trained without it is the table's word. "
    "Nothing more is known of how the models were trained.",
    "val": f"The table calls these validation cases, which may have chosen. {UNKNOWN}",
    "train": "The table calls these training cases: they are counted, and not weighed.",
    "calibration": "The table calls these calibration cases. They set the thresholds of sets of classes and are not "
    "weighed; that they served nothing else is the table's word.",
}
_OWN_ROLE = (
    "The predictions are Semeion's own; how the model was trained stands in the report of its run, not on this page."
)
_LEFT_OUT = {"train": "training cases", "calibration": "cases that calibrate sets of classes"}
_WORDS = {"external": "cases (split external)"}
"""What the cases of a split are called; the other splits have their usual names."""


def weigh_file(
    path: Path,
    output: Path,
    named: Named,
    *,
    rule: str | None = None,
    threshold: float | None = None,
    seed: int = 0,
    resamples: int = 2000,
    jobs: int | None = None,
) -> dict[str, Any]:
    """Weigh predictions and write ``predictions.parquet``, ``evidence.json``, ``weigh.json`` and ``weigh.html``.

    Parameters
    ----------
    path
        The table, or a folder with ``predictions.parquet``.
    output
        A new or empty folder.
    named
        What the user said of the columns.
    rule, threshold
        See :func:`semeion.study.predictions_file.load_predictions`.
    seed, resamples, jobs
        Of the bootstrap.

    Returns
    -------
    dict
        The evidence.

    Raises
    ------
    InputError
        When the table cannot be understood, or `output` is not empty; nothing is written.
    """
    refuse_taken(output)
    loaded = load_predictions(path, named, rule=rule, threshold=threshold)
    evidence = file_evidence(loaded, seed=seed, resamples=resamples, jobs=jobs)
    with whole_file(output / "predictions.parquet") as temporary:
        _storable(loaded).to_parquet(temporary, index=False)
    write_json(output / "evidence.json", evidence)
    write_report(output, name="weigh")
    return evidence


def file_evidence(loaded: Loaded, *, seed: int = 0, resamples: int = 2000, jobs: int | None = None) -> dict[str, Any]:
    """Return ``evidence.json`` of a table of predictions; nothing is written.

    Parameters
    ----------
    loaded
        The table as it was understood.
    seed, resamples, jobs
        Of the bootstrap.
    """
    question, found = loaded.question, loaded.found
    weighed = weigh(
        found.predictions,
        question,
        points=loaded.points,
        seed=seed,
        resamples=resamples,
        strata=found.strata,
        jobs=jobs,
        sets=SetsAsked(folds=no_promise(loaded.by)),
    )
    asked = found.predictions, question, loaded.points
    audits = prediction_audits(*asked, weighed, found.strata, seed=seed)
    adjusted = adjusted_figures(*asked, seed=seed)
    notes = [*loaded.notes, *weighed["notes"], *_upside_down(loaded, weighed)]
    if not loaded.has_patients:
        notes.append(NO_PATIENTS)
    ensemble = found.predictions[found.predictions["member"].astype(str) == ENSEMBLE]
    cases = ensemble.drop_duplicates(["case_id", "split"])
    split = cases["split"].astype(str)
    roles = {name: _OWN_ROLE if loaded.own else _ROLES[name] for name in split.unique()}
    counts = [(int((split == name).sum()), words) for name, words in _LEFT_OUT.items()]
    left = " and ".join(f"{count} {words}" for count, words in counts if count)
    # They are splits of their own beside those that are weighed, so that the sum is that of the table.
    flow = [_step("table", cases, f"rows of {loaded.source}" + (f"; {left} are not weighed" if left else ""))]
    return {
        **made(),
        "target": question.target,
        "task": question.task,
        "positive": question.positive,
        "classes": list(question.classes),
        "why": found.why,
        "source": loaded.source,
        "synthetic": loaded.synthetic,
        "has_patients": loaded.has_patients,
        "weighed": {
            "own": loaded.own,
            **({} if loaded.by is None else {"by": loaded.by}),
            "columns": dict(found.columns),
            "guessed": list(found.guessed),
            "roles": roles,
            "split_words": {name: words for name, words in _WORDS.items() if name in roles},
        },
        "operating_point": loaded.point,
        "calibration": None,
        **{key: value for key, value in weighed.items() if key != "notes"},
        "flow": flow,
        **({} if adjusted is None else {"adjusted": adjusted}),
        "audits": {
            **dict.fromkeys(AUDITS, NOT_RUN),
            "patient-overlap": overlap(cases, loaded.has_patients).to_json(),
            **audits,
        },
        "accepted": [],
        "members": [],
        "notes": notes,
        "not_validated": [
            _OWN_ROLE if loaded.own else UNKNOWN,
            "Other patients, sites and scanners than those of this table.",
            EFFECT,
        ],
    }


def overlap(cases: pd.DataFrame, has_patients: bool) -> Audit:
    """Look for a patient (without patients, a case) on two sides of the table's splits, or in two of its folds.

    Parameters
    ----------
    cases
        ``case_id patient_id split fold``, a row for each case and split.
    has_patients
        Whether patients were named.

    Returns
    -------
    Audit
        ``clear`` only where training cases stand in the table: else nobody can say whether a patient was among them.
    """
    name, thing = "patient-overlap", "patient" if has_patients else "case"
    side = cases["split"].astype(str)
    side = side.mask(side == "oof", "fold " + cases["fold"].astype(str))
    sides = side.groupby(cases["patient_id"].astype(str), sort=False).nunique()
    across = sides.index[sides > 1]
    both = cases["patient_id"].astype(str).isin(across)
    groups = cases.loc[both, "case_id"].astype(str).groupby(cases.loc[both, "patient_id"].astype(str), sort=False)
    figures = {f"{thing}s": len(sides), f"{thing}s_across": len(across)}
    listed = tuple(tuple(dict.fromkeys(ids)) for _, ids in groups)
    if len(across):
        where = set(side[both])
        # Two held-out sets may share a patient: no model learned from either.
        inside = where <= {"train", "val", "calibration"}
        verdict: Verdict = "warn" if inside else "note" if where <= {"test", "external"} else "void"
        advice = (
            f"{counted(len(across), f'{thing} is', f'{thing}s are')} in several splits or folds of the table, so the "
            "figures may measure recognition of patients. Give each one split, and predict anew."
        )
        return Audit(name, verdict, figures=figures, cases=listed, advice=advice)
    if (side == "train").any() and has_patients:
        return Audit(name, "clear", figures=figures, advice="No patient is on two sides of the table's splits.")
    reason = "names no patients" if not has_patients else "holds no training cases"
    advice = f"The table {reason}, so nobody can say from it whether the model learned from a patient who is weighed."
    return Audit(name, "not_run", figures=figures, advice=advice)


def _upside_down(loaded: Loaded, weighed: dict[str, Any]) -> list[str]:
    """Return a sentence where the ranking is worse than chance, as the probability of the other class would be."""
    if loaded.question.task != "binary":
        return []
    worse = [
        split
        for split, metrics in weighed["metrics"].items()
        if metrics["auroc"]["high"] is not None and metrics["auroc"]["high"] < 0.5
    ]
    if not worse:
        return []
    note = (
        f"The cases of {' and '.join(worse)} are ranked worse than by chance: was the probability of another class "
        f"than {loaded.question.positive!r} given? --positive names the class of the probability."
    )
    return [note]


def _step(name: str, cases: pd.DataFrame, reason: str) -> dict[str, Any]:
    patients = int(cases["patient_id"].astype(str).nunique())
    return {"step": name, "n_cases": len(cases), "n_patients": patients, "reason": reason}


def _storable(loaded: Loaded) -> pd.DataFrame:
    """Return predictions with identifiers as text and the rest as numbers, since Parquet has one type a column."""
    plain = loaded.found.predictions.copy()
    measured = loaded.question.task == "regression"
    for name in plain.columns:
        is_number = name.startswith(("p_", "raw_")) or name in ("y_pred", "fold") or (name == "y_true" and measured)
        plain[name] = pd.to_numeric(plain[name]) if is_number else plain[name].astype("str")
    return plain
