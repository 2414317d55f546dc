"""The rules for what only an evaluation on other cases prints: case mix, what was lost, recalibration, adjustment.

To import it is to add them to :data:`report.recomputed.RULES`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas as pd
import pytest

from evidence import plain, plain_elsewhere
from report.recomputed import Cases, Json, Told, at, chosen, ends, rule
from semeion.evidence.calibration.choice import held_out
from semeion.evidence.external.recalibrate import TRIED, drawn_folds
from semeion.evidence.intervals.drawing import checked_cases
from semeion.naming import encode_class

COLUMNS = {"Age": "age", "Site": "site", "Rows": "rows", "Columns": "cols", "Mean intensity": "mean"} | {
    "File format": "format",
    "Bits a pixel": "bits",
}
"""The columns of :func:`pictures` by the titles that the page gives them."""
BY_TITLE = {"Estimated without labels": "estimated", "By the labels of these cases": "by_labels"}


@dataclass(frozen=True, eq=False)
class Elsewhere(Told):
    """An evaluation: beside its predictions those of the run that made the model, and both tables with their images.

    `inside` is the run. `here` and `there` have a row a case, from :func:`pictures`; `there` without the test cases,
    of which the model was not built. `stated` are the figures of the model folder, where the run is not at hand. `ends`
    holds ``drop``, ``recalibration`` and ``adjusted`` as the package makes them again: ends of intervals are taken from
    there, and no value is.
    """

    inside: Told | None = None
    here: pd.DataFrame = field(default_factory=pd.DataFrame)
    there: pd.DataFrame = field(default_factory=pd.DataFrame)
    stated: Any = None
    ends: Any = None

    def given_point(self, label: str | None) -> float:
        """Return the operating point that ships, chosen anew on the cases of the run that chose it."""
        assert label is None
        shipped = super().given_point(label)
        if self.inside is None:
            return shipped
        found = float(chosen(self.inside, self.inside.evidence["operating_point"]["chosen_on"], None)["value"])
        assert shipped == pytest.approx(found, rel=0, abs=1e-9)
        return found


def pictures(table: Path, target: str) -> pd.DataFrame:
    """Return the rows of a cohort with what its 8-bit pictures are, each read by itself."""
    rows = pd.read_csv(table)
    read = [cv2.imread(str(table.parent / name), cv2.IMREAD_UNCHANGED) for name in rows["image"]]
    seen = {"rows": [one.shape[0] for one in read], "cols": [one.shape[1] for one in read]}
    seen |= {"mean": [float(one.mean()) for one in read], "format": "png", "bits": [8 * one.itemsize for one in read]}
    return rows.assign(**seen, truth=rows[target])


def inside_of(told: Told) -> Told:
    assert isinstance(told, Elsewhere) and told.inside is not None
    return told.inside


# Who these cases are


def sides_of(told: Told, unit: str) -> dict[str, pd.DataFrame]:
    """Return both groups, a row a case or the first of each patient."""
    assert isinstance(told, Elsewhere)
    both = {"internal": told.there, "external": told.here}
    return {name: rows if unit == "cases" else rows[~rows["patient_id"].duplicated()] for name, rows in both.items()}


@rule(r"elsewhere/mix/groups/(\d+)/(internal|external)")
def _(told: Told, report: Json, k: str, side: str) -> Json:
    return len(sides_of(told, report["elsewhere"]["mix"]["groups"][int(k)]["unit"])[side])


@rule(r"elsewhere/mix/groups/(\d+)/rows/(\d+)/values")
def _(told: Told, report: Json, k: str, row: str) -> Json:
    group = report["elsewhere"]["mix"]["groups"][int(k)]
    title = group["rows"][int(row)]["title"]
    column = "truth" if title.startswith("Class (") else COLUMNS[title]
    sides = {
        name: rows[column].tolist() if column in rows else None for name, rows in sides_of(told, group["unit"]).items()
    }
    number = column in ("age", "rows", "cols", "mean")
    describe = plain_elsewhere.of_numbers if number else plain_elsewhere.of_levels
    known = [values for values in sides.values() if values is not None]
    levels = sorted({str(value) for values in known for value in values})
    made: Json = {
        name: None if values is None else describe(values) if number else describe(values, levels)
        for name, values in sides.items()
    }
    if len(known) < 2:
        return {**made, "difference": None}
    far = plain_elsewhere.numbers_apart if number else plain_elsewhere.levels_apart
    return {**made, "difference": far(*sides.values())}


# What was lost


def value_of(cases: Cases, key: str) -> float:
    if key != "ici":
        return cases.values()[key]
    y, p = cases.positive.astype(float), cases.p[:, 1]
    x = plain.grid(p)
    return plain.calibration_errors(y, p, x, plain.smooth(y, p, x))["ici"]


@rule(r"elsewhere/drop/parts/(\d+)/rows/(\d+)/values")
def _(told: Told, report: Json, k: str, row: str) -> Json:
    assert isinstance(told, Elsewhere)
    shown = report["elsewhere"]["drop"]
    part, target = shown["parts"][int(k)], told.evidence["target"]
    label = part["target"] if told.task == "multilabel" else None
    key, here = part["rows"][int(row)]["key"], told.cases("external", label)
    if shown["source"] == "model":
        one, other = told.stated[key], told.figure("external", key)
        low, high = plain_elsewhere.ends_of_difference(one, other)
        values = {"internal": one["value"], "external": value_of(here, key)}
        gap = {"value": values["external"] - values["internal"], "low": low, "high": high}
        return {**values, "difference": {**gap, "n": None, "n_patients": None}}
    there = inside_of(told).cases(told.evidence["drop"]["split"], label)
    one, other = (None if np.isnan(value) else value for value in (value_of(there, key), value_of(here, key)))
    size = {name: there.size[name] + here.size[name] for name in ("n", "n_patients")}
    gap = told.ends["drop"]["targets"][target if label is None else label][key]["difference"]
    value = None if one is None or other is None else other - one
    return {"internal": one, "external": other, "difference": {"value": value, **ends(gap), **size}}


# What recalibrating would bring


@cache
def sorted_cases(told: Told) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return truth, probability and patient in the order of patients and cases, in which they are dealt out."""
    rows = told.rows("external").sort_values(["patient_id", "case_id"], kind="stable")
    _, positive = told.classes(None)
    p = rows[f"p_{encode_class(positive)}"].to_numpy(float)
    return (rows["y_true"] == positive).to_numpy(int), p, rows["patient_id"].to_numpy(str)


@cache
def recalibrated(told: Told, kind: str) -> np.ndarray:
    """Return the probabilities of each case by a map of this kind, fitted by itself without the patient's fold."""
    y, p, patient = sorted_cases(told)
    cases = checked_cases(y, p, patient)
    fold = drawn_folds(cases, 5, 0)
    assert all(len(set(fold[patient == who].tolist())) == 1 for who in set(patient.tolist()))
    made = np.full(len(y), np.nan)
    for number in range(5):
        out = fold == number
        made[out] = plain_elsewhere.MAPS[kind](y[~out], p[~out])(p[out])
    np.testing.assert_allclose(held_out(kind, cases, fold, 5, TRIED), made, rtol=0, atol=1e-9)
    return made


@cache
def summary(told: Told, kind: str | None) -> dict[str, float]:
    """Return the figures of the probabilities as they are, or by a map of this kind."""
    y, p, _ = sorted_cases(told)
    return plain.recalibrated(y, p if kind is None else recalibrated(told, kind))


def kinds_of(told: Told) -> list[str | None]:
    """Return what each row of the table is of: the probabilities as they are, then the maps."""
    return [None, *told.evidence["recalibration"]["targets"][told.evidence["target"]]["maps"]]


@rule(r"elsewhere/recalibration/parts/0/(n|n_patients|folds)")
def _(told: Told, report: Json, name: str) -> Json:
    return 5 if name == "folds" else told.cases("external").size[name]


@rule(r"elsewhere/recalibration/parts/0/rows/(\d+)/(figures/\d+/figure|gain)")
def _(told: Told, report: Json, row: str, what: str) -> Json:
    assert isinstance(told, Elsewhere)
    kind, again = kinds_of(told)[int(row)], told.ends["recalibration"]["targets"][told.evidence["target"]]
    before, after = summary(told, None), summary(told, kind)
    size = told.cases("external").size
    if what == "gain":
        gap = again["maps"][kind]["difference"]["log_loss"]
        return {"value": after["log_loss"] - before["log_loss"], **ends(gap), **size}
    key = at(report, f"elsewhere/recalibration/parts/0/rows/{row}/{what.removesuffix('/figure')}/key")
    entry = again["before"][key] if kind is None else again["maps"][kind]["after"][key]
    return {"value": None if np.isnan(after[key]) else after[key], **ends(entry), **size}


@rule(r"elsewhere/recalibration/parts/0/tried/(\d+)")
def _(told: Told, report: Json, k: str) -> Json:
    return tries(told, report)[int(k)]


@rule(r"elsewhere/recalibration/parts/0/patients_needed")
def _(told: Told, report: Json) -> Json:
    # The least size from which on at least 95 of 100 draws were helped.
    helped = [(one["patients"], one["helped"]) for one in tries(told, report)]
    sizes = [size for k, (size, _) in enumerate(helped) if all(share >= 0.95 for _, share in helped[k:])]
    return sizes[0] if sizes else None


@cache
def _tries(told: Told, kind: str) -> list[dict[str, float]]:
    y, p, patient = sorted_cases(told)
    names = sorted(set(patient.tolist()))
    half = len(names) // 2
    stream = np.random.default_rng(np.random.SeedSequence(0, spawn_key=(7,)))
    found = []
    for size in (size for size in (25, 50, 100, 200, 400) if size <= len(names) - half):
        orders, gains = [stream.permutation(len(names)) for _ in range(100)], []
        for order in orders:
            fitted_on = np.isin(patient, [names[k] for k in order[half : half + size]])
            left = np.isin(patient, [names[k] for k in order[:half]])
            try:
                after = plain_elsewhere.MAPS[kind](y[fitted_on], p[fitted_on])(p[left])
            except plain_elsewhere.NoMap:
                continue
            gains.append(plain_elsewhere.log_loss(y[left], p[left]) - plain_elsewhere.log_loss(y[left], after))
        helped = sum(gain > 0 for gain in gains) / 100
        found.append({"patients": size, "helped": helped, "gain": float(np.mean(gains))})
    return found


def tries(told: Told, report: Json) -> list[dict[str, float]]:
    rows = report["elsewhere"]["recalibration"]["parts"][0]["rows"]
    kind = kinds_of(told)[[row["best"] for row in rows].index(True)]
    assert kind is not None
    return _tries(told, kind)


# With another class balance


def shares_of(told: Told, how: str) -> tuple[np.ndarray, np.ndarray]:
    """Return the share of each class among the cases that calibrated the model and among these."""
    run, here = inside_of(told), told.cases("external")
    chose = run.cases("val" if (run.table["split"] == "val").any() else "oof")
    prior = np.bincount(chose.y, minlength=len(here.names)) / len(chose.y)
    counted = np.bincount(here.y, minlength=len(here.names)) / len(here.y)
    return prior, counted if how == "by_labels" else plain.shares_at_use(here.p, prior)


@rule(r"elsewhere/adjusted/shares/(\d+)/values")
def _(told: Told, report: Json, k: str) -> Json:
    assert isinstance(told, Elsewhere)
    prior, here = shares_of(told, "by_labels")
    made = {"chosen": prior[int(k)], "here": here[int(k)], "estimated": None, "low": None, "high": None}
    if "prevalence" not in told.evidence["adjusted"]:
        return made
    again = told.ends["adjusted"]["prevalence"]["at_use"][int(k)]
    return {**made, "estimated": shares_of(told, "estimated")[1][int(k)], **ends(again)}


@rule(r"elsewhere/adjusted/before/(\d+)/figure")
def _(told: Told, report: Json, k: str) -> Json:
    return told.figure("external", report["elsewhere"]["adjusted"]["before"][int(k)]["key"])


@rule(r"elsewhere/adjusted/ways/(\d+)/rows/(\d+)/figure")
def _(told: Told, report: Json, k: str, row: str) -> Json:
    assert isinstance(told, Elsewhere)
    way = report["elsewhere"]["adjusted"]["ways"][int(k)]
    how, key = BY_TITLE[way["title"]], way["rows"][int(row)]["key"]
    again = told.ends["adjusted"] if how == "estimated" else told.ends["adjusted"]["by_labels"]
    cases = corrected(told, how)
    value = cases.values()[key]
    return {"value": None if np.isnan(value) else value, **ends(again["external"][key]), **cases.size}


@rule(r"elsewhere/adjusted/ways/(\d+)/values")
def _(told: Told, report: Json, k: str) -> Json:
    how = BY_TITLE[report["elsewhere"]["adjusted"]["ways"][int(k)]["title"]]
    prior, at_use = shares_of(told, how)
    point = told.given_point(None)
    return {"value": plain.moved_point(point, prior[1], at_use[1]), "unadjusted": point}


def corrected(told: Told, how: str) -> Cases:
    """Return the cases with probabilities and point for another class balance."""
    here = told.cases("external")
    prior, at_use = shares_of(told, how)
    p = plain.reweighed(here.p, prior, at_use)
    point = np.full(len(p), plain.moved_point(told.given_point(None), prior[1], at_use[1]))
    return Cases(here.y, p, (p[:, 1] >= point).astype(int), here.patient, point, here.task, here.names)
