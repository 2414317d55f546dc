"""Every number of an averaged diagnosis is made anew where its parts have calibrations and points of their own."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from evidence import plain
from report.recomputed import FACTS, check
from report.recomputed_measured import LEARNED, Measured
from report.test_recomputed import told_of
from semeion.artefacts import read_json, write_json
from semeion.evidence.question import Question
from semeion.evidence.use.sets import SetsAsked
from semeion.plan.files import write_plan
from semeion.report.page import write_report
from semeion.study.averaging import averaged
from semeion.study.weighing import Asked, Audited, run_evidence
from study.test_averaging import case, plan_of, seen_of
from study.test_diagnosing import cohort_of
from support.hearts import FAILING

ELSEWHERE = {
    "audits/rows/[^/]+/figures": "audits see other columns too, see tests/audit",
    "measured/agreement": "of made-up measurements, see tests/test_averaged_road.py",
    "measured/cases": "the same",
}


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Measured]:
    """A finished diagnosis from made-up measurements and made-up image networks, with its page."""
    folder = tmp_path_factory.mktemp("averaged")
    y, groups, fit, found, p = case(test=20)
    cohort, plan = cohort_of(y), plan_of()
    found = averaged(plan, cohort, y, found, seen_of(y, groups, fit, p**0.4 / (p**0.4 + (1 - p) ** 0.4)))
    target = plan.target
    question = Question(target.name, target.task, tuple(target.classes), target.positive)
    asked = Asked(question, plan.operating_point.rule, plan.seed, given_split=False, sets=SetsAsked())
    evidence = run_evidence(asked, [], found.predicted, cohort, Audited({}, [], {}))
    evidence["measured"] = found.evidence
    found.predicted.table.to_parquet(folder / "predictions.parquet", index=False)
    found.drivers.to_parquet(folder / "drivers.parquet", index=False)
    write_json(folder / "evidence.json", evidence)
    write_plan(plan, folder / "plan.yaml")
    write_report(folder)
    cohort.table.assign(split=["oof" if k < 70 else "test" for k in range(90)]).to_csv(folder / "c.csv", index=False)
    told = replace(told_of(folder, read_json(folder / "evidence.json")), cohort=cohort.table)
    return folder, Measured(**vars(told), run=folder, source=folder / "c.csv", seed=plan.seed)


def test_every_number_is_that_of_predictions_and_stated_points(run: tuple[Path, Measured]) -> None:
    folder, told = run
    kinds = [place["calibration"]["map"]["kind"] for place in (told.evidence, told.evidence["measured"]["images"])]
    assert kinds != ["identity", "identity"], "there would be little to make anew"
    seen = check(read_json(folder / "report.json"), told, FACTS | LEARNED | ELSEWHERE)
    assert seen["measured/parts/(\\d+)/rows/(\\d+)/(accuracy|auroc)"] == 2 * 4 * 2 * 5
    assert seen["first/operating_point/value"] == 1 and seen["calibrated/tables/(\\d+)"] > 100


@pytest.mark.parametrize("part", ["measurements", "images"])
def test_what_ships_calls_each_part_at_the_point_that_its_own_cases_chose(
    part: str, run: tuple[Path, Measured]
) -> None:
    _, told = run
    y = (told.of(part, "oof")["y_true"] == FAILING).to_numpy(int)
    stated = told.evidence["measured"]["points"][part]
    assert stated["value"] == pytest.approx(plain.youden(y, told.part_as_shipped(part, "oof")), abs=1e-9)
    assert set(stated["by_fold"]) == {"0", "1", "2"}


def test_points_are_stated_where_there_are_any(run: tuple[Path, Measured]) -> None:
    _, told = run
    table: pd.DataFrame = told.of("average", "oof")
    point: dict[str, Any] = told.evidence["operating_point"]
    assert set(point["by_fold"]) == {str(fold) for fold in table["fold"]}
