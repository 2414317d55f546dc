"""The average of what measurements and image networks say, and what each of them is worth alone."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from semeion.cohort.cohort import Cohort
from semeion.evidence.parts import Verdict, weigh_parts
from semeion.evidence.question import Question
from semeion.model.averaged import average
from semeion.model.combine import calibrate
from semeion.plan.measure_schema import MeasuredPlan
from semeion.study.calibrating import decided_calibration
from semeion.study.diagnosing import Diagnosed, Judged, called_at, called_by, drivers_of, frame_of, ids
from semeion.study.measure_images import Seen
from semeion.study.members.told import members_json
from semeion.study.predicting import NO_POINT, Decision, Predicted, point_or_half

Floats = npt.NDArray[np.float64]
PARTS = ("measurements", "images", "average")
AVERAGED = (
    "Probabilities are the mean, with equal weights that were fixed beforehand, of those from measurements of "
    "predicted masks and those of networks that see the images. Both are calibrated without the held-out fold, where "
    "its inner cases are enough for that. The measurements that are said to have driven a case explain the first part "
    "only."
)


def averaged(plan: MeasuredPlan, cohort: Cohort, y: Floats, found: Diagnosed, seen: Seen) -> Diagnosed:
    """Return the diagnosis whose probabilities are the average, with equal weights, of both calibrated ones.

    Cases without measurements have no finding, as before. Drivers still tell which measurements spoke for the class
    that is now called; of what the image networks saw they say nothing.

    Parameters
    ----------
    plan
        As it was executed.
    cohort, y
        Cases and their class index.
    found
        The diagnosis from measurements alone.
    seen
        What the image networks say.
    """
    final = _final(plan, y, found, seen)
    by_fold: dict[int, Decision] = {}
    frames: list[pd.DataFrame] = []
    drivers: list[pd.DataFrame] = []
    parts: dict[str, list[tuple[Judged, dict[str, Verdict]]]] = {}
    for one in found.judged:
        decision = final
        if one.fold >= 0:
            decision = by_fold[one.fold] = _of_fold(plan, y, one, seen)
        other = seen.decision(one.fold)
        raws = {"measurements": one.raw, "images": seen.raw[one.rows]}
        ps = {
            "measurements": calibrate(one.raw, plan.target.task, one.decision.maps),
            "images": calibrate(seen.raw[one.rows], plan.target.task, other.maps),
        }
        raws["average"], ps["average"] = average(*raws.values()), average(*ps.values())
        calls = {
            "measurements": called_by(one.decision, one.raw, plan),
            "images": called_by(other, seen.raw[one.rows], plan),
            "average": called_at(decision, ps["average"], plan),
        }
        for name in ("average", "measurements", "images"):
            member = "ensemble" if name == "average" else name
            frames.append(frame_of(plan, cohort, y, one.rows, raws[name], ps[name], one.split, one.fold, member))
        drivers.append(drivers_of(one.member, one.x, calls["average"], ids(cohort, one.rows), plan, one.split))
        parts.setdefault(one.split, []).append((one, {name: Verdict(ps[name], calls[name]) for name in PARTS}))
    evidence = {
        **found.evidence,
        "parts": {split: _weighed(plan, cohort, y, each) for split, each in parts.items()},
        "points": points_json(plan, found, seen),
        "images": _images_json(seen),
    }
    notes = [
        AVERAGED,
        *(note.replace("Findings rest on measurements of predicted masks alone. ", "") for note in found.notes),
    ]
    return replace(
        found,
        predicted=Predicted(pd.concat(frames, ignore_index=True), final, by_fold),
        drivers=pd.concat(drivers, ignore_index=True),
        evidence=evidence,
        notes=notes,
    )


def _of_fold(plan: MeasuredPlan, y: Floats, one: Judged, seen: Seen) -> Decision:
    """Return the decision of a fold: its point is chosen on cases it learned from, each said without its patient.

    They are the inner validation cases of the fold's image networks, of which the measurements speak out of inner
    folds.
    """
    rows, raw = seen.inner[one.fold]
    place = {int(row): at for at, row in enumerate(one.inner_rows)}
    both = np.array([int(row) in place for row in rows], dtype=bool)
    chosen = rows[both]
    inner = one.inner[[place[int(row)] for row in chosen]]
    task = plan.target.task
    p = average(calibrate(inner, task, one.decision.maps), calibrate(raw[both], task, seen.by_fold[one.fold].maps))
    return _decision(plan, y[chosen], p, one.decision, seen.by_fold[one.fold], "inner validation cases")


def _final(plan: MeasuredPlan, y: Floats, found: Diagnosed, seen: Seen) -> Decision:
    """Return the decision that ships: the point is chosen on all held-out cases."""
    held = [one for one in found.judged if one.fold >= 0]
    rows = np.concatenate([one.rows for one in held])
    raw = np.concatenate([one.raw for one in held])
    task, own = plan.target.task, found.predicted.shipped
    p = average(calibrate(raw, task, own.maps), calibrate(seen.raw[rows], task, seen.shipped.maps))
    return _decision(plan, y[rows], p, own, seen.shipped, "oof")


def _decision(
    plan: MeasuredPlan, y: Floats, p: Floats, measured: Decision, images: Decision, fitted_on: str
) -> Decision:
    """Return the calibration of the measurements with the point of the average; that of the images stands apart."""
    # Each part has a calibration of its own, and its point decides nothing here.
    parts = {"measurements": measured.remarks, "images": images.remarks}
    remarks = tuple(f"{name}: {text}" for name, said in parts.items() for text in said if not text.startswith(NO_POINT))
    if plan.target.task != "binary":
        return Decision(measured.maps, None, fitted_on, len(y), remarks, measured.choices)
    positive = plan.target.classes.index(str(plan.target.positive))
    point, more = point_or_half((y == positive).astype(np.float64), p[:, positive], plan.operating_point.rule)
    return Decision(measured.maps, point, fitted_on, len(y), (*remarks, *more), measured.choices)


def _weighed(
    plan: MeasuredPlan, cohort: Cohort, y: Floats, each: list[tuple[Judged, dict[str, Verdict]]]
) -> dict[str, Any]:
    """Return the figures of a split: of each part alone, of the average, and of their paired difference."""
    target = plan.target
    rows = np.concatenate([one.rows for one, _ in each])
    verdicts = {
        name: Verdict(
            np.concatenate([said[name].p for _, said in each]), np.concatenate([said[name].call for _, said in each])
        )
        for name in PARTS
    }
    return weigh_parts(
        verdicts,
        y[rows],
        cohort.table["patient_id"].to_numpy(dtype=object)[rows],
        Question(target.name, target.task, tuple(target.classes), target.positive),
        whole="average",
        without="measurements",
        seed=plan.seed,
    )


def points_json(plan: MeasuredPlan, found: Diagnosed, seen: Seen) -> dict[str, Any]:
    """Return the operating points of each part alone, ``{part: {value, by_fold}}``; that of the average stands above.

    Their accuracies rest on them, and nobody could repeat those without. Empty where findings are the likeliest class.
    """
    if plan.target.task != "binary":
        return {}
    parts: dict[str, Predicted | Seen] = {"measurements": found.predicted, "images": seen}
    return {
        name: {
            "value": part.shipped.point,
            "by_fold": {str(fold): decision.point for fold, decision in part.by_fold.items()},
        }
        for name, part in parts.items()
    }


def _images_json(seen: Seen) -> dict[str, Any]:
    """Return what the evidence says of the image networks: members, calibration, why no more was learned."""
    return {
        "networks": len(seen.trained.plan.members),
        "members": members_json(seen.trained),
        "calibration": decided_calibration(seen.shipped, seen.by_fold),
        "weights": {"measurements": 0.5, "images": 0.5},
        "ended": seen.trained.ended,
    }
