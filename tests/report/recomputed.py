"""Every number of a report's JSON, made anew: values from predictions alone, intervals by drawing the same patients.

:data:`RULES` says, place by place, how its numbers are made anew, and :data:`FACTS` which places hold facts of the run
that no prediction tells. A number in neither place is one that nobody recomputed: :func:`check` fails and names it. A
new section of the page needs a line in one of them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from typing import Any

import numpy as np
import pandas as pd
import pytest

from evidence import plain
from semeion.evidence.calibration.choice import Choice, choose_by_size, compare_calibration
from semeion.evidence.question import Question
from semeion.evidence.use.operating import OperatingPoints
from semeion.naming import encode_class
from semeion.study.baseline import SIDES
from semeion.study.beside import weigh_beside

EXACT = 1e-9
Json = Any

FACTS = {
    "schema": "version of the page",
    "flow_diagram/steps": "cases of the table that was read, see test_flow.py",
    "flow_diagram/unplaced": "the same",
    "patients/flow": "the same",
    "patients/images": "images that were read",
    "demographics": "columns of the cohort, see test_demographics.py",
    "first/disjoint": "sides of the cohort, see test_first_page.py",
    "audits/counts": "verdicts, counted",
    "audits/rows/[^/]+/n_cases": "cases that an audit names",
    "audits/shown/copies": "the same, see test_audit_pictures.py",
    "members": "training",
    "combination": "inner validation predictions, see study/members/test_told.py",
    "further": "figures of further targets, made anew in their own runs, see test_several_road.py",
    "search": "inner validation predictions, see study/members/test_searching.py and evidence/test_chosen.py",
    "budget": "seconds",
    "cost": "seconds and memory",
    "plan": "decisions before training",
    "fingerprint": "the images",
    "gallery": "which cases are shown",
    "performance/classic/(?:networks|epochs)": "training",
    "covariates/pushed": "what members added, see study/test_covariate_road.py",
    "gate": "what images look like to the networks, see study/test_reference_fit.py and study/test_abstained.py",
    "robustness": "test images made worse and read again, see evidence/use/test_robustness.py",
}
"""What is no figure of predictions, and where else it is looked at."""


@dataclass(frozen=True, eq=False)
class Cases:
    """The cases of one question in one split: class index or value, probabilities, calls, who."""

    y: np.ndarray
    p: np.ndarray
    call: np.ndarray
    patient: np.ndarray
    point: np.ndarray
    task: str
    names: tuple[str, ...]

    @property
    def positive(self) -> np.ndarray:
        return self.y == 1

    @property
    def size(self) -> dict[str, int]:
        return {"n": len(self.y), "n_patients": len(set(self.patient.tolist()))}

    @cache  # noqa: B019
    def values(self) -> dict[str, float]:
        return plain.figures(self.y, self.p, self.call, [encoded(n) for n in self.names], self.task)


@dataclass(frozen=True, eq=False)
class Told:
    """Predictions, what was asked of them, and the evidence that they give when they are weighed again.

    `again` gives the ends of intervals and of bands, and what audits say: both hang on the draws of patients, which are
    the same for the same seed. `cohort` has the training cases of a run, which nothing predicts, and the order of the
    patients in which folds were dealt out.
    """

    table: pd.DataFrame
    evidence: Mapping[str, Any]
    again: Mapping[str, Any]
    columns: pd.DataFrame = field(default_factory=pd.DataFrame)
    cohort: pd.DataFrame = field(default_factory=pd.DataFrame)

    @property
    def patients(self) -> dict[str, int]:
        return {name: k for k, name in enumerate(self.cohort["patient_id"].drop_duplicates())}

    @property
    def task(self) -> str:
        return str(self.evidence["task"])

    @property
    def labels(self) -> list[str | None]:
        return list(self.evidence["classes"]) if self.task == "multilabel" else [None]

    def rows(self, split: str, label: str | None = None) -> pd.DataFrame:
        rows = self.table[(self.table["member"] == "ensemble") & (self.table["split"] == split)]
        rows = rows[rows["y_true"].notna()]
        return rows if label is None else rows[rows["target"] == label]

    def classes(self, label: str | None) -> tuple[str, ...]:
        found = ("absent", "present") if label is not None else tuple(self.evidence["classes"])
        assert self.task != "binary" or self.evidence["positive"] == found[1]
        return found

    def point(self, label: str | None, split: str, fold: np.ndarray) -> np.ndarray:
        stated = (
            self.evidence["operating_point"] if label is None else self.evidence["targets"][label]["operating_point"]
        )
        if split == "oof" and stated.get("by_fold"):
            return np.array([stated["by_fold"][str(k)] for k in fold])
        return np.full(len(fold), stated["value"])

    def given_point(self, label: str | None) -> float:
        """Return an operating point that no case of these chose: given by the user, or 0.5, a fact."""
        return float(stated(self, label)["value"])

    def choosing(self, split: str, label: str | None = None) -> pd.DataFrame:
        """Return the rows whose uncalibrated probabilities chose the calibration."""
        return self.rows(split, label)

    def as_shipped(self, split: str, label: str | None) -> np.ndarray:
        """Return the probability of the positive class by the map that ships, of cases that chose it."""
        slope, intercept = map_of(self, split, label)
        raw = self.rows(split, label)[[f"raw_{encode_class(name)}" for name in self.classes(label)]].to_numpy(float)
        return np.asarray(1 / (1 + np.exp(-(intercept + slope * np.log(raw[:, 1] / raw[:, 0])))))

    @cache  # noqa: B019
    def cases(self, split: str, label: str | None = None, column: str = "", level: str = "") -> Cases:
        rows = self.rows(split, label)
        if column:
            known = self.columns.set_index("case_id")[column]
            rows = rows[rows["case_id"].map(known).astype(str) == level]
        patient = rows["patient_id"].to_numpy(str)
        if self.task == "regression":
            y, p = rows["y_true"].to_numpy(float), rows["y_pred"].to_numpy(float)
            return Cases(y, p, y, patient, y, self.task, ())
        names = self.classes(label)
        y = rows["y_true"].map({name: k for k, name in enumerate(names)}).to_numpy(int)
        p = rows[[f"p_{encode_class(name)}" for name in names]].to_numpy(float)
        if len(names) > 2 or self.task in ("multiclass", "ordinal"):
            return Cases(y, p, p.argmax(axis=1), patient, y * np.nan, self.task, names)
        point = self.point(label, split, rows["fold"].to_numpy())
        return Cases(y, p, (p[:, 1] >= point).astype(int), patient, point, "binary", names)

    def figure(self, split: str, key: str, label: str | None = None, column: str = "", level: str = "") -> Json:
        """Return ``{value, low, high, n, n_patients}`` of a figure."""
        place = self.again
        if label is not None:
            place = place["targets"][label]
        if column:
            place = place["strata"][column][level]
        ends = {name: place["metrics"][split][key][name] for name in ("low", "high")}
        parts = [self.cases(split, each, column, level) for each in ([label] if label else self.labels)]
        whole = self.rows(split)
        if column:
            whole = whole[whole["case_id"].map(self.columns.set_index("case_id")[column]).astype(str) == level]
        size = {"n": whole["case_id"].nunique(), "n_patients": whole["patient_id"].nunique()}
        size = parts[0].size if len(parts) == 1 else size
        if column and (
            size["n"] < 10 or (self.task != "regression" and all(len(set(c.y.tolist())) < 2 for c in parts))
        ):
            return {"value": None, "low": None, "high": None, **size}
        return {"value": mean_of(parts, key), **ends, **size}


def mean_of(parts: list[Cases], key: str) -> float | None:
    """Return the figure, or its mean over the labels that have it; never called counts as precision 0 in a mean."""
    values = [part.values()[key] for part in parts]
    if len(parts) > 1 and key == "precision":
        values = [
            0.0 if np.isnan(v) and not np.isnan(c.values()["recall"]) else v for v, c in zip(values, parts, strict=True)
        ]
    known = [value for value in values if not np.isnan(value)]
    return float(np.mean(known)) if known else None


Rule = Callable[..., Json]
RULES: list[tuple[re.Pattern[str], Rule]] = []


def rule(pattern: str) -> Callable[[Rule], Rule]:
    """Name the place that a function makes anew; it takes `Told`, the report and what the groups matched."""

    def put(function: Rule) -> Rule:
        RULES.append((re.compile(pattern), function))
        return function

    return put


# The first page


@rule(r"headline/figures/(\d+)")
def _(told: Told, report: Json, k: str) -> Json:
    return told.figure(report["headline"]["split"], report["headline"]["figures"][int(k)]["key"])


@rule(r"headline/(n|n_patients)")
def _(told: Told, report: Json, name: str) -> Json:
    rows = told.rows(report["headline"]["split"])
    return int(rows["case_id" if name == "n" else "patient_id"].nunique())


@rule(r"first/calibration/figures/(\d+)")
def _(told: Told, report: Json, k: str) -> Json:
    return told.figure(report["headline"]["split"], report["first"]["calibration"]["figures"][int(k)]["key"])


@rule(r"(?:first|performance)/calibration/value")
def _(told: Told, report: Json) -> Json:
    return temperature_of(told, report["first"]["calibration"]["fitted_on"], None)


@rule(r"first/operating_point/value")
def _(told: Told, report: Json) -> Json:
    return chosen(told, report["first"]["operating_point"]["chosen_on"], None)["value"]


@rule(r"first/operating_point/chosen_n")
def _(told: Told, report: Json) -> Json:
    return int(told.rows(report["first"]["operating_point"]["chosen_on"])["case_id"].nunique())


@rule(r"first/operating_point/by_target/(.+)")
def _(told: Told, report: Json, label: str) -> Json:
    return chosen(told, report["first"]["operating_point"]["chosen_on"], label)["value"]


@rule(r"first/people/weighed")
def _(told: Told, report: Json) -> Json:
    split = report["headline"]["split"]
    facts = named(told, split_facts(told, split))
    sites = {"n_sites": int(told.rows(split)["site"].nunique()) or None}
    return facts | sites | {"events": events(facts["class_counts"], report["question"]["positive"])}


@rule(r"first/people/(n_cases|n_patients|n_sites)")
def _(told: Told, report: Json, name: str) -> Json:
    column = {"n_cases": "case_id", "n_patients": "patient_id", "n_sites": "site"}[name]
    return int(told.table[column].nunique())


@rule(r"first/people/events")
def _(told: Told, report: Json) -> Json:
    each = [split_facts(told, split)["class_counts"] for split in told.table["split"].unique()]
    found = [events(one, report["question"]["positive"]) for one in each]
    return {name: sum(one[name] for one in found) for name in found[0]}


@rule(r"patients/splits/(\d+)")
def _(told: Told, report: Json, k: str) -> Json:
    return split_facts(told, report["patients"]["splits"][int(k)]["split"])


@rule(r"flow_diagram/parts/(\d+)")
def _(told: Told, report: Json, k: str) -> Json:
    facts = named(told, split_facts(told, report["flow_diagram"]["parts"][int(k)]["split"]))
    return facts | {"events": events(facts["class_counts"], report["question"]["positive"])}


# Figures


@rule(r"metrics/(\d+)/rows/(\d+)")
def _(told: Told, report: Json, k: str, row: str) -> Json:
    table = report["metrics"][int(k)]
    return told.figure(table["split"], table["rows"][int(row)]["key"], table["target"])


@rule(r"strata/(\d+)/rows/(\d+)/figures/([^/]+)")
def _(told: Told, report: Json, k: str, row: str, key: str) -> Json:
    section = report["strata"][int(k)]
    level = section["rows"][int(row)]["level"]
    return told.figure(report["headline"]["split"], key, None, section["column"], level)


@rule(r"strata/(\d+)/rows/(\d+)/n")
def _(told: Told, report: Json, k: str, row: str) -> Json:
    section = report["strata"][int(k)]
    split, level = report["headline"]["split"], section["rows"][int(row)]["level"]
    return told.figure(split, section["keys"][0], None, section["column"], level)["n"]


@rule(r"adjusted/rows/(\d+)")
def _(told: Told, report: Json, k: str) -> Json:
    key = report["adjusted"]["rows"][int(k)]["key"]
    again = told.again["adjusted"]
    parts = [
        adjusted_cases(told, label) if label in again.get("targets", [None]) else told.cases("test", label)
        for label in told.labels
    ]
    rows = told.rows("test")
    size = {"n": rows["case_id"].nunique(), "n_patients": rows["patient_id"].nunique()}
    return {"value": mean_of(parts, key), **ends(again["test"][key]), **size}


@rule(r"audits/rows/(\d+)/figures")
def _(told: Told, report: Json, k: str) -> Json:
    return told.again["audits"][report["audits"]["rows"][int(k)]["name"]]["figures"]


@rule(r"audits/shown/labels")
def _(told: Told, report: Json) -> Json:
    figures = told.again["audits"]["label-errors"]["figures"]
    total = sum(found for key, found in figures.items() if re.fullmatch(r"(.*: )?suspects", key))
    cases = []
    for one in report["audits"]["shown"]["labels"]["cases"]:
        rows = told.rows(report["headline"]["split"], one["target"])
        [row] = rows[rows["case_id"] == one["case_id"]].to_dict("records")
        others = {name: row[f"p_{encode_class(name)}"] for name in told.classes(one["target"]) if name != row["y_true"]}
        assert (one["given"], one["suggested"]) == (row["y_true"], max(others, key=lambda name: others[name]))
        cases.append({"probability": others[one["suggested"]]})
    return {"total": total, "cases": cases}


# Performance


@rule(r"performance/parts/(\d+)/figures/([^/]+)")
def _(told: Told, report: Json, k: str, key: str) -> Json:
    return told.figure(report["performance"]["split"], key, report["performance"]["parts"][int(k)]["target"])


@rule(r"performance/parts/(\d+)/confusion")
def _(told: Told, report: Json, k: str) -> Json:
    cases = part(told, report, k)
    return {"counts": plain.counts(cases.y, cases.call, 2)}


@rule(r"performance/parts/(\d+)/counts")
def _(told: Told, report: Json, k: str) -> Json:
    cases = part(told, report, k)
    return plain.four(cases.positive, cases.call == 1)


@rule(r"performance/parts/(\d+)/curves")
def _(told: Told, report: Json, k: str) -> Json:
    cases = part(told, report, k)
    return curves(cases.positive, cases.p[:, 1], report["performance"]["parts"][int(k)]["curves"])


@rule(r"performance/parts/(\d+)/operating")
def _(told: Told, report: Json, k: str) -> Json:
    shown, cases = report["performance"]["parts"][int(k)]["operating"], part(told, report, k)
    at = [plain.four(cases.positive, cases.p[:, 1] >= t) for t in shown["threshold"]]
    assert shown["threshold"] == sorted(set(shown["threshold"]))
    found = chosen(told, shown["chosen_on"], report["performance"]["parts"][int(k)]["target"])
    nearest = min(range(len(at)), key=lambda i: abs(shown["threshold"][i] - shown["value"]))
    counted = {name: [one[name] for one in at] for name in ("tp", "fp", "tn", "fn")}
    return {**counted, **found, "threshold": shown["threshold"], "start": nearest}


@rule(r"performance/per_class/(\d+)/figures/([^/]+)")
def _(told: Told, report: Json, k: str, kind: str) -> Json:
    name = report["performance"]["per_class"][int(k)]["class"]
    return told.figure(report["performance"]["split"], f"{kind}_{encoded(name)}")


@rule(r"performance/per_class/(\d+)/n")
def _(told: Told, report: Json, k: str) -> Json:
    cases = told.cases(report["performance"]["split"])
    return int((cases.y == cases.names.index(report["performance"]["per_class"][int(k)]["class"])).sum())


@rule(r"performance/per_target/rows/(\d+)/figures/([^/]+)")
def _(told: Told, report: Json, k: str, key: str) -> Json:
    row = report["performance"]["per_target"]["rows"][int(k)]
    return told.figure(report["performance"]["split"], key, row["target"])


@rule(r"performance/per_target/rows/(\d+)/n_positive")
def _(told: Told, report: Json, k: str) -> Json:
    row = report["performance"]["per_target"]["rows"][int(k)]
    return int(told.cases(report["performance"]["split"], row["target"]).positive.sum())


@rule(r"performance/classic/rows/(\d+)")
def _(told: Told, report: Json, k: str) -> Json:
    split, key = report["performance"]["split"], report["performance"]["classic"]["rows"][int(k)]["key"]
    other, again = classic_of(told)
    own, beside = told.figure(split, key), mean_of([other.cases(split, label) for label in told.labels], key)
    size = {name: own[name] for name in ("n", "n_patients")}
    gain = None if own["value"] is None or beside is None else own["value"] - beside
    return {
        "model": own,
        "classic": {"value": beside, **ends(again["metrics"][split][key]), **size},
        "difference": {"value": gain, **ends(again["difference"][split][key]), **size},
    }


@rule(r"distillation/rows/(\d+)")
def _(told: Told, report: Json, k: str) -> Json:
    split, key = report["headline"]["split"], report["distillation"]["rows"][int(k)]["key"]
    rows = told.table[told.table["member"] == "teacher"].assign(member="ensemble")
    other, again = beside(told, rows, told.evidence["distillation"], ("teacher", "student"))
    own, value = told.figure(split, key), mean_of([other.cases(split, label) for label in told.labels], key)
    size = {name: own[name] for name in ("n", "n_patients")}
    gain = None if own["value"] is None or value is None else own["value"] - value
    return {
        "model": own,
        "teacher": {"value": value, **ends(again["metrics"][split][key]), **size},
        "difference": {"value": gain, **ends(again["difference"][split][key]), **size},
    }


@rule(r"covariates/rows/(\d+)")
def _(told: Told, report: Json, k: str) -> Json:
    split, key = report["covariates"]["split"], report["covariates"]["rows"][int(k)]["key"]
    own, found = told.figure(split, key), {}
    size = {name: own[name] for name in ("n", "n_patients")}
    for name in ("images", "covariates"):
        other, again = part_alone(told, name)
        value = mean_of([other.cases(split, label) for label in told.labels], key)
        found[name] = {"value": value, **ends(again["metrics"][split][key]), **size}
        if name == "images":
            gain = None if own["value"] is None or value is None else own["value"] - value
            found["difference"] = {"value": gain, **ends(again["difference"][split][key]), **size}
    return {"both": own, **found}


@rule(r"performance/confusion")
def _(told: Told, report: Json) -> Json:
    cases = told.cases(report["performance"]["split"])
    return {"counts": plain.counts(cases.y, cases.call, len(cases.names))}


@rule(r"performance/curves/([^/]+)")
def _(told: Told, report: Json, name: str) -> Json:
    cases = told.cases(report["performance"]["split"])
    code = cases.names.index(name)
    return curves(cases.y == code, cases.p[:, code], report["performance"]["curves"][name])


@rule(r"performance/scatter")
def _(told: Told, report: Json) -> Json:
    cases, shown = told.cases(report["performance"]["split"]), report["performance"]["scatter"]
    pairs = sorted(zip(cases.y.tolist(), cases.p.tolist(), strict=True))
    assert len(pairs) <= 201, "beyond, only some are shown"
    return {"truth": [a for a, _ in pairs], "pred": [b for _, b in pairs]} | {
        k: v for k, v in shown.items() if k == "n"
    }


@rule(r"performance/agreement/([^/]+)")
def _(told: Told, report: Json, key: str) -> Json:
    return told.figure(report["performance"]["split"], key)


@rule(r"performance/intervals/(stated|rows/(\d+))")
def _(told: Told, report: Json, what: str, row: str | None) -> Json:
    if row is None:
        return 0.9
    shown, split = report["performance"]["intervals"]["rows"][int(row)], report["performance"]["split"]
    cases, again = told.cases(split), told.again["intervals"][split]
    low, high = ends_of(told, split, cross=shown["name"] == "CV+")
    held, kept, place = (cases.y >= low) & (cases.y <= high), np.ones(len(cases.y), dtype=bool), again
    if shown["name"] == "CV+":
        place = again["cross"]
    elif shown["words"] not in ("", "patients"):
        column = shown["words"].replace(" ", "_")
        place = again["groups"][column][shown["name"]]
        known = told.rows(split)["case_id"].map(told.columns.set_index("case_id")[column])
        kept = (known.astype(str) == shown["name"]).to_numpy()
    people = sorted(set(cases.patient[kept].tolist()))
    value = held[kept].mean()
    size, key = {"n": int(kept.sum()), "n_patients": len(people)}, "coverage"
    if shown["words"] == "patients":
        value = np.mean([held[cases.patient == who].all() for who in people])
        size, key = dict.fromkeys(size, len(people)), "patient_coverage"
    return {"coverage": {"value": float(value), **ends(place[key]), **size}, "width": float((high - low)[kept].mean())}


def ends_of(told: Told, split: str, *, cross: bool) -> tuple[np.ndarray, np.ndarray]:
    """Make the ends of intervals anew: one half-width of those who calibrate, of each fold of the others, or CV+."""

    def largest(cases: Cases) -> dict[str, float]:
        errors = np.abs(cases.y - cases.p)
        return {who: float(errors[cases.patient == who].max()) for who in set(cases.patient.tolist())}

    def half(errors: dict[str, float]) -> float:
        return sorted(errors.values())[int(np.ceil((len(errors) + 1) * 0.9 - 1e-9)) - 1]

    cases = told.cases(split)
    if (told.table["split"] == "calibration").any():
        own = half(largest(told.cases("calibration")))
        return cases.p - own, cases.p + own
    fold = dict(zip(told.rows("oof")["patient_id"].astype(str), told.rows("oof")["fold"], strict=True))
    errors = largest(told.cases("oof"))
    if cross:
        members = told.table[~told.table["member"].isin(["ensemble", "classic", "images", "covariates"])]
        of_member = members[members["split"] == "oof"].groupby("member")["fold"].first()
        asked, order = members[members["split"] == split], told.rows(split)["case_id"]
        new = {
            number: weighted_mean(asked[asked["member"].map(of_member) == number], ["y_pred"]).loc[order, "y_pred"]
            for number in set(of_member)
        }
        rank = int(np.ceil((len(errors) + 1) * 0.9 - 1e-9))
        above = np.sort([new[fold[who]].to_numpy() + error for who, error in errors.items()], axis=0)
        below = np.sort([new[fold[who]].to_numpy() - error for who, error in errors.items()], axis=0)
        return below[len(errors) - rank], above[rank - 1]
    if split != "oof":
        return cases.p - half(errors), cases.p + half(errors)
    by_fold = {k: half({who: e for who, e in errors.items() if fold[who] != k}) for k in set(fold.values())}
    own_half = np.array([by_fold[fold[who]] for who in cases.patient])
    return cases.p - own_half, cases.p + own_half


@rule(r"performance/distances/(\d+)")
def _(told: Told, report: Json, k: str) -> Json:
    key = "accuracy" if k == "0" else f"off_by_{k}"
    return {"grades": int(k), "figure": told.figure(report["performance"]["split"], key)}


# In use


@rule(r"practice/(\d+)/(calibration|bins|by_chance|errors)")
def _(told: Told, report: Json, k: str, name: str) -> Json:
    shown, (cases, again) = report["practice"][int(k)], used(told, report, k)
    y, p, told_again = cases.positive.astype(float), cases.p[:, 1], again["reliability"]
    if name == "by_chance":
        return plain.error_by_chance(y, p)
    if name == "bins":
        return plain.reliability_bins(cases.positive, p, max(1, min(15, len(y) // 10))) | ends(told_again["bins"])
    x = shown["calibration"]["x"]
    assert x == pytest.approx(plain.grid(p), rel=0, abs=EXACT)
    curve = plain.smooth(y, p, x)
    if name == "calibration":
        return {"x": x, "y": curve, **ends(told_again["curve"])}
    values = plain.calibration_errors(y, p, x, curve)
    rows = [(row["key"], ends(told_again["figures"][row["key"]])) for row in shown["errors"]]
    return [{"value": values[key], **both, **cases.size} for key, both in rows]


@rule(r"practice/(\d+)/decision")
def _(told: Told, report: Json, k: str) -> Json:
    cases, again = used(told, report, k)
    bands = {name: values for name, values in again["utility"]["curve"].items() if name.endswith(("low", "high"))}
    return plain.decision(cases.positive, cases.p[:, 1]) | bands


@rule(r"practice/(\d+)/net_benefit")
def _(told: Told, report: Json, k: str) -> Json:
    cases, again = used(told, report, k)
    point = stated(told, report["practice"][int(k)]["target"])["value"]
    model = plain.net_benefit(cases.positive, cases.call == 1, point)
    treat_all = plain.net_benefit(cases.positive, cases.call >= 0, point)
    values = {"net_benefit": model, "net_benefit_treat_all": treat_all, "net_benefit_gain": model - max(treat_all, 0)}
    return {name: {"value": v, **ends(again["utility"][name]), **cases.size} for name, v in values.items()}


@rule(r"practice/(\d+)/predictive_values/(\d+)")
def _(told: Told, report: Json, k: str, row: str) -> Json:
    cases, again = used(told, report, k)
    share = (0.01, 0.05, 0.1, 0.2, 0.5)[int(row)]
    values = plain.predictive_values(cases.positive, cases.call == 1, share)
    both = again["utility"]["predictive_values"][int(row)]
    found = {
        name: {"value": v, **ends(both[name]), **cases.size} for name, v in zip(("ppv", "npv"), values, strict=True)
    }
    return {"prevalence": share, **found}


@rule(r"practice/(\d+)/abstaining")
def _(told: Told, report: Json, k: str) -> Json:
    cases, again = used(told, report, k)
    sure, wrong = confidence(cases), cases.call != cases.y
    grid = [c / 100 for c in range(1, 101)]
    kept = [plain.answered(sure, c) for c in grid]
    risk, least = [float(wrong[one].mean()) for one in kept], [float(sure[one].min()) for one in kept]
    return {"coverage": grid, "risk": risk, "confidence": least, **ends(again["abstaining"]["curve"])}


@rule(r"practice/(\d+)/at_coverage/(\d+)")
def _(told: Told, report: Json, k: str, row: str) -> Json:
    cases, again = used(told, report, k)
    share = (0.5, 0.7, 0.8, 0.9, 1.0)[int(row)]
    kept, wrong = plain.answered(confidence(cases), share), cases.call != cases.y
    made = again["abstaining"]["at"][int(row)]

    def of(hit: np.ndarray, among: np.ndarray, key: str) -> Json:
        size = {"n": int(among.sum()), "n_patients": len(set(cases.patient[among].tolist()))}
        return {"value": float(hit[among].mean()) if among.any() else None, **ends(made[key]), **size}

    every = float(wrong.mean())
    ratio = {"value": float(wrong[kept].mean()) / every if every else None, **ends(made["ratio"]), **cases.size}
    found = {"coverage": share, "error": of(wrong, kept, "error"), "ratio": ratio}
    if cases.task != "binary":
        return found
    sides = {"recall": cases.positive, "specificity": ~np.asarray(cases.positive, dtype=bool)}
    return found | {key: of(~wrong, kept & np.asarray(side, dtype=bool), key) for key, side in sides.items()}


@rule(r"practice/(\d+)/area")
def _(told: Told, report: Json, k: str) -> Json:
    cases, again = used(told, report, k)
    sure, wrong = confidence(cases), cases.call != cases.y
    area = float(np.mean([wrong[sure >= level].mean() for level in sure]))
    return {"value": area, **ends(again["abstaining"]["area"]), **cases.size}


# What findings would be


@rule(r"practice/(\d+)/statuses/rows/(\d+)/figure")
def _(told: Told, report: Json, k: str, row: str) -> Json:
    name = ("called", "set", "unsure", "error_called", "error_all", "held")[int(row)]
    return status_figure(told, report, k, name, None)


@rule(r"practice/(\d+)/statuses/by_class/(\d+)")
def _(told: Told, report: Json, k: str, row: str) -> Json:
    name = report["practice"][int(k)]["statuses"]["by_class"][int(row)]["name"]
    return {key: status_figure(told, report, k, key, name) for key in ("called", "set", "unsure", "wrong")}


def status_figure(told: Told, report: Json, k: str, key: str, name: str | None) -> Json:
    """Make a share of statuses anew, of all cases or of those that are of the class `name`."""
    split, label = report["headline"]["split"], report["practice"][int(k)]["target"]
    place = (told.again if label is None else told.again["targets"][label])["statuses"][split]
    cases, among = told.cases(split, label), named_by(told, split, label)
    size, wrong = among.sum(axis=1), cases.call != cases.y
    everyone = np.ones(len(cases.y), dtype=bool)
    of = {"called": size == 1, "set": size > 1, "unsure": size == 0}
    of |= {"error_all": wrong, "held": among[np.arange(len(cases.y)), cases.y], "wrong": wrong & of["called"]}
    hit, kept = of.get(key, wrong), everyone
    if key == "error_called":
        kept = of["called"]
    if name is not None:
        place, kept = place["by_class"][name], cases.y == cases.names.index(name)
    count = {"n": int(kept.sum()), "n_patients": len(set(cases.patient[kept].tolist()))}
    return {"value": float(hit[kept].mean()) if kept.any() else None, **ends(place[key]), **count}


def named_by(told: Told, split: str, label: str | None) -> np.ndarray:
    """Name classes anew: the thresholds of calibration cases, or of the other folds, five patients to each."""
    names, cases = told.classes(label), told.cases(split, label)
    of = (told.evidence if label is None else told.evidence["targets"][label])["set_rule"]

    def parts(which: str, kind: str) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        rows = told.rows(which, label)
        y = rows["y_true"].map({name: k for k, name in enumerate(names)}).to_numpy(int)
        p = rows[[f"{kind}_{encode_class(name)}" for name in names]].to_numpy(float)
        return y, p, rows["patient_id"].to_numpy(str), rows["fold"].to_numpy(int)

    def limits(y: np.ndarray, p: np.ndarray, patient: np.ndarray) -> list[float]:
        score = pd.DataFrame({"who": patient, "y": y, "s": 1 - p[np.arange(len(y)), y]})
        each = [
            plain.shared(score[score["y"] == k].groupby("who")["s"].max(), of["coverage"]) for k in range(len(names))
        ]
        if None in each:
            each = [plain.shared(score.groupby("who")["s"].max(), of["coverage"])] * len(names)
        return each

    if split == "oof":
        y, p, patient, fold = parts("oof", of["scored"])
        sets = np.zeros(p.shape, dtype=bool)
        for number in set(fold.tolist()):
            rest = fold != number
            sets[~rest] = 1 - p[~rest] <= np.array(limits(y[rest], p[rest], patient[rest]))
    else:
        y, p, patient, _ = parts(of["calibration"]["split"], of["scored"])
        sets = 1 - parts(split, of["scored"])[1] <= np.array(limits(y, p, patient))
    for row, call in enumerate(cases.call):
        if sets[row].any():
            sets[row, int(call)] = True
            if told.evidence["task"] == "ordinal":
                held = np.flatnonzero(sets[row])
                sets[row, held[0] : held[-1] + 1] = True
    return sets


# Before and after calibration


@rule(r"calibrated/(tried/\d+|folds)")
def _(told: Told, report: Json, which: str) -> Json:
    choice = chosen_map(told)
    return choice.folds if which == "folds" else choice.candidates[int(which.split("/")[1])]


@rule(r"calibrated/tables/(\d+)")
def _(told: Told, report: Json, k: str) -> Json:
    split, table = report["calibrated"]["of"][int(k)][0], report["calibrated"]["tables"][int(k)]
    chose = split == "validation"
    made = (told.evidence["calibration"] if chose else told.evidence["calibrated"])[split][told.evidence["target"]]
    y, raw, p, patient = before_and_after(told, split)
    resamples = int(re.findall(r"(\d+) resamples", made["before"]["brier"]["method"])[0])
    again = compare_calibration(
        y, raw, p, patient, resamples=resamples, seed=told.evidence["bootstrap"]["seed"], jobs=1
    )
    before, after = plain.recalibrated(y, raw), plain.recalibrated(y, p)
    values = {"before": before, "after": after, "difference": {key: after[key] - before[key] for key in before}}
    size = {"n": len(y), "n_patients": len(set(patient.tolist()))}
    assert len(table["rows"]) == len(before)
    rows = [
        {
            part: {"value": None if np.isnan(v[key]) else v[key], **ends(again[part][key]), **size}
            for part, v in values.items()
        }
        for key in before
    ]
    return {"rows": rows, "n": len(y)}


def before_and_after(told: Told, split: str) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return truth, probability before and after, and patient; of the cases that chose as maps without them have it."""
    chose = split == "validation"
    rows = told.choosing(told.evidence["calibration"]["fitted_on"]) if chose else told.rows(split)
    _, positive = told.classes(None)
    y, raw = (rows["y_true"] == positive).to_numpy(int), rows[f"raw_{encode_class(positive)}"].to_numpy(float)
    after = chosen_map(told).held_out if split == "validation" else rows[f"p_{encode_class(positive)}"].to_numpy(float)
    patient = rows["patient_id"].map(told.patients) if split == "validation" else rows["patient_id"]
    return y, raw, after, patient.to_numpy()


@cache
def chosen_map(told: Told) -> Choice:
    """Choose the map again; folds are dealt out in the order of the patients in the cohort."""
    rows = told.choosing(told.evidence["calibration"]["fitted_on"])
    _, positive = told.classes(None)
    y, raw = (rows["y_true"] == positive).to_numpy(int), rows[f"raw_{encode_class(positive)}"].to_numpy(float)
    patient = rows["patient_id"].map(told.patients).to_numpy(int)
    return choose_by_size(y, raw, patient, seed=told.evidence["bootstrap"]["seed"])


# Sets of classes


@rule(r"practice/(\d+)/sets/stated")
def _(told: Told, report: Json, k: str) -> Json:
    return 0.9


@rule(r"practice/(\d+)/sets/(sizes|coverage)/(\d+)/cells/(\d+)")
def _(told: Told, report: Json, k: str, kind: str, row: str, cell: str) -> Json:
    shown = report["practice"][int(k)]["sets"]
    names = ("singletons", "right_among_singletons", "several", "empty", "size")
    key = names[int(row)] if kind == "sizes" else shown["coverage"][int(row)]
    return set_figure(told, report, k, key, shown["columns"][int(cell)])


@rule(r"practice/(\d+)/sets/picture/(\d+)")
def _(told: Told, report: Json, k: str, row: str) -> Json:
    shown = report["practice"][int(k)]["sets"]
    key = [one for one in shown["coverage"] if one["words"] != "patients"][int(row)]
    return [None, set_figure(told, report, k, key, shown["columns"][-1])]


def set_figure(told: Told, report: Json, k: str, key: Any, title: str) -> Json:
    """Make a figure of sets anew; `key` is its name, or a row of the table of coverage."""
    split, label = report["headline"]["split"], report["practice"][int(k)]["target"]
    of = "per_class" if "each class" in title else "marginal"
    place = (told.again if label is None else told.again["targets"][label])["sets"][split][of]
    cases, sets = told.cases(split, label), sets_of(told, split, label, of)
    kept = np.ones(len(cases.y), dtype=bool)
    if isinstance(key, dict):
        name, words = key["name"], key["words"]
        key = "patient_coverage" if words == "patients" else "coverage"
        if words == "class":
            place, kept = place["by_class"][name], cases.y == cases.names.index(name)
        elif words not in ("patients", ""):
            place = place["groups"][words.replace(" ", "_")][name]
            known = told.columns.set_index("case_id")[words.replace(" ", "_")]
            kept = (told.rows(split, label)["case_id"].map(known).astype(str) == name).to_numpy()
    value, n, n_patients = plain.of_sets(cases.y, cases.patient, sets, kept)[key]
    return {"value": None if np.isnan(value) else value, **ends(place[key]), "n": n, "n_patients": n_patients}


def sets_of(told: Told, split: str, label: str | None, of: str) -> np.ndarray:
    """Make sets anew: thresholds from calibration cases, else from the other folds, else across the folds' models."""
    names, per_class = told.classes(label), of == "per_class"

    def parts(which: str, kind: str) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        rows = told.rows(which, label)
        y = rows["y_true"].map({name: k for k, name in enumerate(names)}).to_numpy(int)
        p = rows[[f"{kind}_{encode_class(name)}" for name in names]].to_numpy(float)
        return y, p, rows["patient_id"].to_numpy(str), rows["fold"].to_numpy(int)

    if (told.table["split"] == "calibration").any():
        y, p, patient, _ = parts("calibration", "p")
        return plain.sets_by_threshold(y, p, patient, parts(split, "p")[1], 0.9, per_class=per_class)
    kind = "raw" if f"raw_{encode_class(names[0])}" in told.table else "p"
    y, p, patient, fold = parts("oof", kind)
    if split == "oof":
        sets = np.zeros(p.shape, dtype=bool)
        for number in set(fold.tolist()):
            rest, own = fold != number, fold == number
            made = plain.sets_by_threshold(y[rest], p[rest], patient[rest], p[own], 0.9, per_class=per_class)
            sets[own] = made
        return sets
    columns = [f"raw_{encode_class(name)}" for name in names]
    members = told.table[~told.table["member"].isin(["ensemble", "classic", "images", "covariates"])]
    of_member = members[members["split"] == "oof"].groupby("member")["fold"].first()
    order, asked = told.rows(split, label)["case_id"], members[members["split"] == split]
    new = {
        int(number): weighted_mean(asked[asked["member"].map(of_member) == number], columns).loc[order].to_numpy()
        for number in set(of_member)
    }
    return plain.sets_across(y, p, patient, fold, new, 0.9, per_class=per_class)


def weighted_mean(rows: pd.DataFrame, columns: list[str]) -> pd.DataFrame:
    """Return what the members of a fold say together, case by case."""
    return pd.DataFrame(
        {case: np.average(own[columns], axis=0, weights=own["share"]) for case, own in rows.groupby("case_id")},
        index=columns,
    ).T


@cache
def classic_of(told: Told) -> tuple[Told, dict[str, Any]]:
    """Return the classic network's rows as if they were the ensemble's, and both weighed again on the same draws."""
    rows = told.table[told.table["member"] == "classic"].assign(member="ensemble")
    return beside(told, rows, told.evidence["baseline"]["classic"], SIDES)


@cache
def part_alone(told: Told, name: str) -> tuple[Told, dict[str, Any]]:
    """Return the rows of images or covariates alone as if they were the ensemble's, and both weighed again."""
    rows = told.table[told.table["member"] == name].assign(member="ensemble")
    return beside(told, rows, told.evidence["covariates"]["parts"][name], (name, "both"))


def beside(told: Told, rows: pd.DataFrame, stated: Mapping[str, Any], sides: Any) -> tuple[Told, dict[str, Any]]:
    """Return other rows as if they were the ensemble's, with their own points, and both weighed on the same draws."""
    question = Question(*(told.evidence[name] for name in ("target", "task")), tuple(told.evidence["classes"]))
    labels = told.evidence["classes"] if told.task == "multilabel" else []

    def points(place: Mapping[str, Any]) -> OperatingPoints | None:
        def one(point: Mapping[str, Any]) -> OperatingPoints:
            by_fold = {int(fold): value for fold, value in (point.get("by_fold") or {}).items()}
            return OperatingPoints(point["rule"], point["value"], by_fold)

        if labels:
            by_target = {label: one(place["targets"][label]["operating_point"]) for label in labels}
            return OperatingPoints(place["operating_point"]["rule"], by_target=by_target)
        return one(place["operating_point"]) if told.task == "binary" else None

    ensemble = told.table[told.table["member"] == "ensemble"]
    again = weigh_beside(
        ensemble,
        rows,
        question,
        points(told.evidence),
        points(stated),
        title=sides[0],
        sides=sides,
        **told.evidence["bootstrap"],
    )
    evidence = {**told.evidence, **{name: stated.get(name, {}) for name in ("operating_point", "targets")}}
    return replace(told, table=rows, evidence=evidence), again


# What they stand on


def encoded(name: str) -> str:
    return "%6Dacro" if name == "macro" else encode_class(name)


def ends(entry: Mapping[str, Any]) -> dict[str, Any]:
    return {name: entry[name] for name in ("low", "high")}


def part(told: Told, report: Json, k: str) -> Cases:
    return told.cases(report["performance"]["split"], report["performance"]["parts"][int(k)]["target"])


def used(told: Told, report: Json, k: str) -> tuple[Cases, dict[str, Any]]:
    """Return the cases of a part of the section on use, and what weighing them again says of them."""
    split, label = report["headline"]["split"], report["practice"][int(k)]["target"]
    place = told.again if label is None else told.again["targets"][label]
    return told.cases(split, label), {key: place[key].get(split) for key in ("reliability", "utility", "abstaining")}


def confidence(cases: Cases) -> np.ndarray:
    return np.asarray(np.round([row[int(k)] for row, k in zip(cases.p, cases.call, strict=True)], 9))


def curves(positive: np.ndarray, p: np.ndarray, shown: Json) -> Json:
    """Make the printed points of the curves anew; every threshold is a probability of some case."""
    there = set(p.tolist())
    assert all(t is None or t in there for name in ("roc", "pr") for t in shown[name]["threshold"])
    found = {
        "roc": plain.roc(positive, p, shown["roc"]["threshold"]),
        "pr": plain.precision_recall(positive, p, shown["pr"]["threshold"]),
        "calibration": plain.reliability_bins(positive, p, 10),
    }
    return {name: {**found[name], "threshold": shown[name].get("threshold")} for name in found}


def stated(told: Told, label: str | None) -> Mapping[str, Any]:
    place = told.evidence if label is None else told.evidence["targets"][label]
    return place["operating_point"]  # type: ignore[no-any-return]


def chosen(told: Told, on: str, label: str | None) -> dict[str, Any]:
    """Choose the operating point on the cases that chose it: probabilities as the shipped calibration has them."""
    if not on or on == "the model's own":
        return {"value": told.given_point(label)}
    assert stated(told, label)["rule"] == "youden"
    rows = told.rows(on, label)
    names = told.classes(label)
    y = (rows["y_true"] == names[1]).to_numpy(int)
    p = rows[f"p_{encode_class(names[1])}"].to_numpy(float)
    if on == "oof":
        p = told.as_shipped(on, label)
    n = told.rows(on)["case_id"].nunique()
    return {"value": plain.youden(y, p), "chosen_n": int(n)}


def map_of(told: Told, on: str, label: str | None) -> tuple[float, float]:
    """Fit the map that ships to the cases that chose it: slope and intercept on the logit."""
    place = told.evidence["calibration"]
    written = (place if label is None else place["by_target"][label])["map"]
    if written["kind"] == "identity":
        return 1.0, 0.0
    if written["kind"] == "temperature":
        return 1 / temperature_of(told, on, label), 0.0
    assert written["kind"] == "platt", "made anew for other runs: see tests/evidence/calibration/test_maps.py"
    rows, names = told.choosing(on, label), told.classes(label)
    y, raw = (rows["y_true"] == names[1]).to_numpy(int), rows[f"raw_{encode_class(names[1])}"].to_numpy(float)
    slope, intercept = plain.platt(y, raw)
    assert (written["slope"], written["intercept"]) == pytest.approx((slope, intercept), rel=1e-7)
    return slope, intercept


def temperature_of(told: Told, on: str, label: str | None) -> float:
    rows, names = told.choosing(on, label), told.classes(label)
    y = rows["y_true"].map({name: k for k, name in enumerate(names)}).to_numpy(int)
    return plain.temperature(y, rows[[f"raw_{encode_class(name)}" for name in names]].to_numpy(float))


def split_facts(told: Told, split: str) -> dict[str, Any]:
    if split == "train" and len(told.cohort):
        rows = told.cohort[told.cohort["split"] == "train"]
        found = {name: int((rows["y"] == code).sum()) for code, name in enumerate(told.classes(None))}
        return {"n": len(rows), "n_patients": int(rows["patient_id"].nunique()), "class_counts": found}
    rows = told.rows(split)
    size = {"n": int(rows["case_id"].nunique()), "n_patients": int(rows["patient_id"].nunique())}
    if told.task == "regression":
        return {**size, "class_counts": {}}

    def count(label: str | None) -> dict[str, int]:
        return {name: int((told.rows(split, label)["y_true"] == name).sum()) for name in told.classes(label)}

    counted = {label: count(label) for label in told.labels} if told.task == "multilabel" else count(None)
    return {**size, "class_counts": counted}


def named(told: Told, facts: dict[str, Any]) -> dict[str, Any]:
    """Return the facts without a number of patients where these were not named."""
    return facts if told.evidence["has_patients"] else facts | {"n_patients": None}


def events(class_counts: Mapping[str, Any], positive: str | None) -> dict[str, int]:
    flat = {name: c["present"] if isinstance(c, dict) else c for name, c in class_counts.items()}
    return {name: c for name, c in flat.items() if positive is None or name == positive}


@cache
def adjusted_cases(told: Told, label: str | None = None) -> Cases:
    """Return the test cases with probabilities corrected for the balance that they have without their labels."""
    val, test = told.cases("val", label), told.cases("test", label)
    prior = np.bincount(val.y, minlength=len(val.names)) / len(val.y)
    at_use = plain.shares_at_use(test.p, prior)
    p = plain.reweighed(test.p, prior, at_use)
    call, point = p.argmax(axis=1), test.point
    if test.task == "binary":
        point = np.array([plain.moved_point(one, prior[1], at_use[1]) for one in test.point])
        call = (p[:, 1] >= point).astype(int)
    return Cases(test.y, p, call, test.patient, point, test.task, test.names)


# The walk


def numbers(node: Json, path: str = "") -> Iterator[tuple[str, float]]:
    """Yield the path and the value of every number."""
    items = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    for key, value in items:
        yield from numbers(value, f"{path}/{key}" if path else str(key))
    if isinstance(node, (int, float)) and not isinstance(node, bool):
        yield path, node


def at(node: Json, path: str) -> Json:
    """Return what stands at a path below a node; ``...`` where nothing does."""
    for key in path.split("/") if path else []:
        if isinstance(node, list) and key.isdigit() and int(key) < len(node):
            node = node[int(key)]
        elif isinstance(node, Mapping) and key in node:
            node = node[key]
        else:
            return ...
    return node


def check(report: Json, told: Told, facts: Mapping[str, str] = FACTS) -> dict[str, int]:
    """Make every number of a report anew, or fail with those that differ and those that nobody recomputed.

    Returns how many numbers each rule and each fact stood for.
    """
    made: dict[tuple[str, ...], Json] = {}
    places: dict[tuple[str, ...], str] = {}
    wrong: list[str] = []
    unknown: list[str] = []
    seen: dict[str, int] = {}
    for path, value in numbers(report):
        fact = next((name for name in facts if re.match(rf"{name}(?:/|$)", path)), None)
        if fact is not None:
            seen[fact] = seen.get(fact, 0) + 1
            continue
        rules = ((re.match(rf"(?:{pattern.pattern})(?=/|$)", path), pattern, made) for pattern, made in RULES)
        found, pattern, function = next((one for one in rules if one[0]), (None, None, None))
        if found is None or pattern is None or function is None:
            unknown.append(path)
            continue
        key = (pattern.pattern, *found.groups())
        if key not in made:
            places[key] = path[: found.end()]
            made[key] = function(told, report, *found.groups())
        seen[pattern.pattern] = seen.get(pattern.pattern, 0) + 1
        wanted = at(made[key], path[found.end() :].lstrip("/"))
        if wanted is ...:
            unknown.append(path)
        elif wanted is None or value != pytest.approx(wanted, rel=0, abs=EXACT):
            wrong.append(f"{path} is {value!r} and not {wanted!r}")
    for made_key, wanted in made.items():
        place = places[made_key]
        lost = [path for path, _ in numbers(wanted) if at(report, f"{place}/{path}".strip("/")) is None]
        wrong += [f"{place}/{path} is nothing, and predictions give {at(wanted, path)!r}" for path in lost]
    assert not unknown, f"{len(unknown)} numbers that nobody recomputed: {unknown[:12]}"
    assert not wrong, f"{len(wrong)} numbers that predictions do not give: {wrong[:12]}"
    return seen
