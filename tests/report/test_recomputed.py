"""Every number of ``report.json`` is made anew from ``predictions.parquet``, to 1e-9; none slips in unnoticed."""

from __future__ import annotations

import copy
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from report.recomputed import FACTS, Told, check
from semeion.artefacts import read_json
from semeion.evidence.foreign.columns import Named
from semeion.naming import encode_class
from semeion.study.predictions_file import load_predictions
from semeion.study.weigh_file import file_evidence, weigh_file

RESAMPLES = 40
CLASSES = {
    "binary": ("benign", "malignant"),
    "multiclass": ("a b", "macro", "c"),
    "ordinal": ("0", "1", "2", "3"),
    "multilabel": ("edema", "nodule"),
    "regression": (),
}


def predictions(task: str, splits: tuple[str, ...], n: int = 210) -> pd.DataFrame:
    """Return predictions with another balance of classes in test, two cases a patient, three sites, some ties."""
    rng = np.random.default_rng(0)
    rows: list[dict[str, Any]] = []
    for case in range(n):
        split = splits[0] if case < 90 else splits[-1]
        place = {"case_id": f"c{case}", "patient_id": f"p{case // 2}", "site": "ABC"[case // 2 % 3]}
        place |= {"split": split, "fold": case // 2 % 3 if split == "oof" else -1, "member": "ensemble"}
        if task == "regression":
            truth = rng.normal(20, 5)
            rows.append({**place, "target": "size", "y_true": truth, "y_pred": truth + rng.normal(0.4)})
            continue
        names = ("absent", "present") if task == "multilabel" else CLASSES[task]
        for target in CLASSES[task] if task == "multilabel" else ("finding",):
            shifts = split == "test" and target != "nodule"
            rare = 0.15 if shifts else 1 / len(names)
            code = rng.choice(len(names), p=[1 - rare * (len(names) - 1), *[rare] * (len(names) - 1)])
            score = rng.normal(size=len(names)).round(1)
            score[code] += 2
            # Rounded, so that a tie is one to the last bit, however it is computed with.
            p = (np.exp(score) / np.exp(score).sum()).round(6)
            p[0] = 1 - p[1:].sum()
            rows.append(
                {**place, "target": target, "y_true": names[code]}
                | {f"p_{encode_class(name)}": p[j] for j, name in enumerate(names)}
            )
    return pd.DataFrame(rows)


def told_of(folder: Path, evidence: dict[str, Any]) -> Told:
    """Weigh the predictions of a folder again, with the seed and the resamples that its evidence states."""
    again = file_evidence(load_predictions(folder, Named()), jobs=1, **evidence["bootstrap"])
    table = pd.read_parquet(folder / "predictions.parquet")
    return Told(table, evidence, again, table.drop_duplicates("case_id")[["case_id", "site"]])


@pytest.fixture(scope="module")
def weighed(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A function that returns the report and the predictions of a task, weighed once."""
    made: dict[tuple[str, tuple[str, ...]], tuple[dict[str, Any], Told]] = {}

    def run(task: str, splits: tuple[str, ...]) -> tuple[dict[str, Any], Told]:
        if (task, splits) not in made:
            folder = tmp_path_factory.mktemp(task)
            # No picture of more than 200 cases shows all of them.
            n = 180 if (task, splits) == ("regression", ("oof",)) else 210
            predictions(task, splits, n).to_parquet(folder / "given.parquet", index=False)
            named = {
                "binary": Named(positive="malignant"),
                "ordinal": Named(task="ordinal"),
            }.get(task, Named())
            evidence = weigh_file(folder / "given.parquet", folder / "out", named, seed=5, resamples=RESAMPLES, jobs=1)
            assert evidence["bootstrap"] == {"resamples": RESAMPLES, "seed": 5}
            made[task, splits] = read_json(folder / "out" / "weigh.json"), told_of(folder / "out", evidence)
        return made[task, splits]

    return run


@pytest.mark.parametrize(
    ("task", "splits"),
    [
        *((task, ("val", "test")) for task in CLASSES),
        ("binary", ("oof",)),
        ("multiclass", ("external",)),
        ("binary", ("calibration", "test")),
        ("regression", ("calibration", "test")),
        ("regression", ("oof",)),
    ],
)
def test_every_number_of_a_page_is_that_of_its_predictions(task: str, splits: tuple[str, ...], weighed: Any) -> None:
    report, told = weighed(task, splits)
    seen = check(report, told)
    assert seen["headline/figures/(\\d+)"] and seen["metrics/(\\d+)/rows/(\\d+)"] > 15
    if task == "regression" and "val" not in splits:
        assert seen["performance/intervals/(stated|rows/(\\d+))"] > 25
    elif "calibration" in splits:
        assert seen["practice/(\\d+)/sets/(sizes|coverage)/(\\d+)/cells/(\\d+)"] > 50
    if task in ("binary", "multilabel") and splits == ("val", "test"):
        assert seen["adjusted/rows/(\\d+)"] and seen["practice/(\\d+)/decision"] > 500


def test_a_number_that_nobody_recomputed_is_named(weighed: Any) -> None:
    report, told = weighed("binary", ("val", "test"))
    more = copy.deepcopy(report)
    more["practice"][0]["novelty"] = {"value": 0.5}
    more["headline"]["figures"][0]["width"] = 0.1
    with pytest.raises(
        AssertionError, match=r"2 numbers that nobody recomputed: .*headline/figures/0/width.*novelty/value"
    ):
        check(more, told)


@pytest.mark.parametrize("path", ["value", "low", "n"])
def test_a_number_that_is_wrong_or_lost_is_named(path: str, weighed: Any) -> None:
    report, told = weighed("binary", ("val", "test"))
    for wrong in (report["metrics"][0]["rows"][3][path] + 2e-9, None):
        less = copy.deepcopy(report)
        less["metrics"][0]["rows"][3][path] = wrong
        with pytest.raises(
            AssertionError, match=f"1 numbers that predictions do not give: .*metrics/0/rows/3/{path} is"
        ):
            check(less, told)


def test_every_number_of_a_trained_run_is_that_of_its_predictions(tiny_run: Any) -> None:
    report = read_json(tiny_run.path / "report.json")
    cohort = pd.read_parquet(tiny_run.path / "cohort.parquet")
    told = replace(told_of(tiny_run.path, tiny_run.evidence), cohort=cohort)
    images = {"audits/rows/[^/]+/figures": "audits see images and training cases too, see tests/audit"}
    seen = check(report, told, FACTS | images)
    assert seen["first/operating_point/value"] == 1 and seen["calibrated/tables/(\\d+)"] > 100
