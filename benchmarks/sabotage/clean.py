"""Cohorts that nobody spoiled, and two public collections as they were found."""

from __future__ import annotations

import csv
from dataclasses import replace

import pandas as pd

from benchmarks.record import data
from benchmarks.sabotage.bases import (
    Base,
    breast_cohort,
    chest_cohort,
    heart_cohort,
    learning_cohort,
    learning_folds,
    lesion_cohort,
    mixed_hospital,
    other_hospital,
    phantom_cohort,
    phantom_folds,
    small_breast_folds,
)
from benchmarks.sabotage.confounders import by_source, three_findings
from benchmarks.sabotage.drafts import Draft, Half, Kind, Picture, Rng, Road, Strength
from benchmarks.sabotage.findings import FOLDS, site_mix
from benchmarks.sabotage.records import dated_after, with_raters
from benchmarks.sabotage.sources import read_grey

_AS_IS = (Strength("as it is"),)


def _clean(name: str, base: Base, how: str, road: Road = "check", **plan: int) -> Kind:
    return Kind(f"clean-{name}", how, None, base, _AS_IS, road=road, fault="none" if road == "full" else "", plan=plan)


def recorded_breasts(half: Half, rng: Rng) -> Draft:
    """Breast ultrasound with all that may be recorded of a case: dates in order, raters, scanners, sources."""
    draft = replace(with_raters(dated_after(breast_cohort(half, rng), 0.0, rng), 0.02, rng), planted=frozenset())
    return draft.with_columns(
        scanner=rng.choice(["Aurora 5", "Lumen X"], len(draft)), source=rng.choice(["archive", "clinic"], len(draft))
    )


def mixed_findings(half: Half, rng: Rng) -> Draft:
    """Breast ultrasound of three classes, each from both sources."""
    return by_source(three_findings(half, rng), 0.0, rng)


def mixed_sites(half: Half, rng: Rng) -> Draft:
    """Two sites, each with half of the cases positive."""
    return site_mix(mixed_hospital(half, rng), 0.5, rng)


def found_tumours(_half: Half, rng: Rng) -> Draft:
    """Brain MR slices from the web, whole: halves would part the copies."""
    root = data() / "brain_tumor_yesno"
    read = [(read_grey(file), label) for label in ("no", "yes") for file in sorted((root / label).iterdir())]
    return _found(read, "yes", rng)


def found_breasts(_half: Half, rng: Rng) -> Draft:
    """Breast ultrasound, benign and malignant, whole."""
    root = data() / "busi"
    with (root / "cases.csv").open(newline="") as file:
        cases = [case for case in csv.DictReader(file) if case["finding"] != "normal"]
    read = [(read_grey(root / case["image"]), case["finding"]) for case in cases]
    return _found(read, "malignant", rng)


def _found(pictures: list[tuple[Picture, str]], positive: str, rng: Rng) -> Draft:
    order = rng.permutation(len(pictures))
    table = pd.DataFrame(
        {"case_id": [f"c{n:04d}" for n in range(len(order))], "finding": [pictures[row][1] for row in order]}
    )
    return Draft(table, tuple(pictures[row][0] for row in order), positive, ("png",) * len(order))


KINDS = (
    _clean("phantoms", phantom_cohort, "generated ultrasound, 300 cases, split"),
    _clean("phantom-folds", phantom_folds, "generated ultrasound, 240 cases of 160 patients, no split"),
    _clean("chests", chest_cohort, "chest radiographs of 28 pixels, 300 cases, split"),
    _clean("small-breasts", small_breast_folds, "breast ultrasound of 28 pixels, no split"),
    _clean("breasts", breast_cohort, "breast ultrasound of 160 pixels, split"),
    _clean("hearts", heart_cohort, "slices of cine MR, 4 of each of 35 patients, split"),
    _clean("lesions", lesion_cohort, "lesions drawn into real tissue, with masks, split"),
    _clean("recorded", recorded_breasts, "breast ultrasound of 160 pixels, dates in order, raters who agree, split"),
    _clean("findings", mixed_findings, "breast ultrasound of three classes, no split"),
    _clean("sites", mixed_sites, "a model on two sites of its own source", "evaluate"),
    _clean("evaluated", other_hospital, "a model on 280 cases of its own source", "evaluate"),
    _clean("folds-trained", learning_folds, "five folds trained on 500 chest radiographs", "train", **FOLDS),
    _clean("audited", learning_cohort, "a run of 560 chest radiographs, audited in full", "full", steps=300),
)

FOUND = (
    Kind(
        "found-tumours",
        "public brain MR slices as found, with groups of exact copies (the same in both halves)",
        "near-duplicates",
        found_tumours,
        (Strength("as found"),),
    ),
    Kind(
        "found-breasts",
        "public breast ultrasound as found, with one picture under two labels (the same in both halves)",
        "label-conflicts",
        found_breasts,
        (Strength("as found"),),
    ),
)
