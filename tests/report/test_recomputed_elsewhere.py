"""Every number of an evaluation's page is made anew from predictions, tables and pictures, to 1e-9."""

from __future__ import annotations

import copy
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from report.recomputed import FACTS, Told, check
from report.recomputed_elsewhere import Elsewhere, pictures
from report.test_recomputed import predictions, told_of
from semeion.artefacts import read_json, write_json
from semeion.cohort.cohort import CohortOptions
from semeion.evidence.external.drop import drop_of
from semeion.evidence.foreign.columns import Named
from semeion.evidence.pairs.pairing import Side
from semeion.model.manifest import Manifest
from semeion.progress import Silent
from semeion.report.elsewhere import elsewhere
from semeion.report.evidence import Evidence
from semeion.report.page import write_report
from semeion.study.elsewhere import adjusted_json, drop_json, recalibration_json
from semeion.study.evaluating import evaluate_model
from semeion.study.origin import Origin, read_origin
from semeion.study.predictions_file import load_predictions
from support.tiny import BENIGN, MALIGNANT, TinyRun, make_cohort

COLUMNS = {"audits/rows/[^/]+/figures": "audits see other columns and the run's cases too, see tests/audit"}


def rarer_here(folder: Path) -> Path:
    """Write a cohort in which fewer are malignant, some wrongly called so, and one of the two sites is new."""
    made = make_cohort(folder, n=200, task="regression", seed=50, prefix="x")
    turned = np.random.default_rng(1).random(200) < 0.04
    malignant = (made.rows["diameter"].to_numpy() > 32) ^ turned
    kept = np.flatnonzero(~malignant | (np.cumsum(malignant) <= 30))
    rows = made.rows.loc[kept, ["case_id", "image"]].assign(
        finding=np.where(malignant[kept], MALIGNANT, BENIGN),
        # Two cases each of the first patients, one each of the others.
        patient_id=[f"W{max(row // 2, row - 30)}" for row in range(len(kept))],
        site=["north" if row % 3 else "west" for row in range(len(kept))],
        age=[40 + row // 4 for row in range(len(kept))],
    )
    rows.to_csv(folder / "rarer.csv", index=False)
    return folder / "rarer.csv"


def again_of(out: Path, origin: Origin | None, manifest: Manifest, evidence: dict[str, Any]) -> dict[str, Any]:
    """Make again what tells of another place, for the ends of its intervals."""
    loaded = load_predictions(out, Named())
    given = (loaded.found.predictions, loaded.question)
    return {
        "drop": drop_json(*given, loaded.points, evidence, manifest, origin, jobs=1),
        "recalibration": recalibration_json(*given, jobs=1),
        "adjusted": adjusted_json(*given, loaded.points, origin),
    }


@pytest.fixture(scope="module")
def evaluated(tiny_run: TinyRun, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Elsewhere]:
    """An evaluation beside the run that made the model, and all that its page tells of."""
    folder = tmp_path_factory.mktemp("evaluated")
    table, out = rarer_here(folder / "cohort"), folder / "out"
    options = CohortOptions()
    evidence = evaluate_model(
        tiny_run.model, table, out, options, skip_bad=False, jobs=1, progress=Silent(), run=tiny_run.path
    )
    manifest = Manifest.model_validate(read_json(tiny_run.model / "model.json"))
    # No figure of the run is printed with its interval, so that it need not be weighed again.
    inside = Told(pd.read_parquet(tiny_run.path / "predictions.parquet"), tiny_run.evidence, {})
    own = pictures(tiny_run.cohort.table, "finding")
    origin = read_origin(tiny_run.path, evidence["model"])
    told = Elsewhere(
        **vars(told_of(out, evidence)),
        inside=inside,
        here=pictures(table, "finding"),
        there=own[own["split"] != "test"],
        ends=again_of(out, origin, manifest, evidence),
    )
    return out, told


def test_every_number_of_an_evaluation_is_that_of_its_cases(evaluated: tuple[Path, Elsewhere]) -> None:
    out, told = evaluated
    report = read_json(out / "evaluate.json")
    seen = check(report, told, FACTS | COLUMNS)
    assert seen["elsewhere/mix/groups/(\\d+)/rows/(\\d+)/values"] > 50
    assert seen["elsewhere/drop/parts/(\\d+)/rows/(\\d+)/values"] > 40
    assert seen["elsewhere/recalibration/parts/0/rows/(\\d+)/(figures/\\d+/figure|gain)"] > 100
    assert seen["elsewhere/recalibration/parts/0/tried/(\\d+)"]
    assert len(report["elsewhere"]["adjusted"]["ways"]) == 2
    assert seen["elsewhere/adjusted/ways/(\\d+)/rows/(\\d+)/figure"] == 2 * 6 * 5


@pytest.mark.parametrize(
    "path",
    [
        ("mix", "groups", 1, "rows", 0, "values", "difference"),
        ("drop", "parts", 0, "rows", 0, "values", "difference", "high"),
        ("recalibration", "parts", 0, "rows", 1, "gain", "value"),
        ("adjusted", "ways", 1, "values", "value"),
    ],
)
def test_a_wrong_number_of_an_evaluation_is_named(path: tuple[Any, ...], evaluated: tuple[Path, Elsewhere]) -> None:
    out, told = evaluated
    report = read_json(out / "evaluate.json")
    wrong = copy.deepcopy({"elsewhere": {path[0]: report["elsewhere"][path[0]]}})
    *way, last = path
    place = wrong["elsewhere"]
    for key in way:
        place = place[key]
    place[last] += 2e-9
    where = "/".join(map(str, path))
    with pytest.raises(AssertionError, match=f"1 numbers that predictions do not give: .*elsewhere/{where} is"):
        check(wrong, told)


def test_without_the_run_differences_are_of_what_the_model_folder_states(
    evaluated: tuple[Path, Elsewhere], tiny_run: TinyRun, tmp_path: Path
) -> None:
    out, told = evaluated
    manifest = Manifest.model_validate(read_json(tiny_run.model / "model.json"))
    loaded, evidence = load_predictions(out, Named()), read_json(out / "evidence.json")
    alone = drop_json(loaded.found.predictions, loaded.question, loaded.points, evidence, manifest, None, jobs=1)
    shutil.copytree(out, tmp_path / "out")
    write_json(tmp_path / "out" / "evidence.json", {**evidence, "drop": alone})
    write_report(tmp_path / "out", name="evaluate")
    shown = read_json(tmp_path / "out" / "evaluate.json")["elsewhere"]["drop"]
    assert shown["source"] == "model"
    stated = {key: figure.model_dump() for key, figure in manifest.evidence["test"].items()}
    seen = check({"elsewhere": {"drop": shown}}, replace(told, stated=stated))
    assert seen == {"elsewhere/drop/parts/(\\d+)/rows/(\\d+)/values": sum(len(p["rows"]) for p in shown["parts"]) * 5}


@pytest.mark.parametrize("task", ["multiclass", "ordinal", "multilabel", "regression"])
def test_what_was_lost_is_made_anew_for_every_task(task: str, tmp_path: Path) -> None:
    named, sides, told = Named(task="ordinal") if task == "ordinal" else Named(), [], []
    for splits in (("val", "test"), ("external",)):
        predictions(task, splits, n=150).to_parquet(tmp_path / "given.parquet", index=False)
        one = load_predictions(tmp_path / "given.parquet", named)
        asked = one.question
        sides.append(Side("side", one.found.predictions, asked, one.points, splits[-1]))
        labels = asked.targets if task == "multilabel" else ()
        called = {name: {"operating_point": {"value": one.points.of(name).shipped}} for name in labels if one.points}
        evidence = {"schema": 1, "semeion": "0", "target": asked.target, "task": task, "classes": list(asked.classes)}
        told.append(Told(one.found.predictions, {**evidence, "targets": called}, {}))
    found = {"source": "run", "split": "test", "targets": drop_of(*sides, resamples=20, jobs=1)}
    evidence = {**told[1].evidence, "drop": found}
    shown = elsewhere(Evidence.model_validate(evidence))
    assert shown is not None
    here = Elsewhere(told[1].table, evidence, {}, inside=told[0], ends={"drop": found})
    # Each row has seven numbers, but where a figure is defined on neither side.
    [(place, count)] = check({"elsewhere": shown}, here).items()
    assert place == "elsewhere/drop/parts/(\\d+)/rows/(\\d+)/values"
    assert count > 3 * sum(len(part["rows"]) for part in shown["drop"]["parts"])
