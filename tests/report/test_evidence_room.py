"""The page takes what the evidence room really writes, for every task."""

from __future__ import annotations

import json
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pandas as pd
import pytest

from semeion.artefacts import write_json
from semeion.evidence.question import Question
from semeion.evidence.use.operating import OperatingPoints
from semeion.evidence.weigh import weigh
from semeion.naming import encode_class
from semeion.report.page import write_report

CLASSES = {
    "binary": ("normal or benign", "malignant"),
    "multiclass": ("a b", "macro", "c<d"),
    "ordinal": ("0", "1", "2"),
    "multilabel": ("nodule", "effusion"),
    "regression": (),
}


def predictions(task: str, n: int = 80) -> pd.DataFrame:
    rng = np.random.default_rng(0)
    rows: list[dict[str, Any]] = []
    for case in range(n):
        place = {"case_id": str(case), "patient_id": f"p{case // 2}", "site": "AB"[case % 2]}
        place |= {"split": "test", "fold": -1, "member": "ensemble"}
        if task == "regression":
            truth = rng.normal()
            rows.append({**place, "target": "finding", "y_true": truth, "y_pred": truth + 0.3 * rng.normal()})
            continue
        names = ("absent", "present") if task == "multilabel" else CLASSES[task]
        for target in CLASSES[task] if task == "multilabel" else ("finding",):
            truth = int(rng.integers(len(names)))
            score = rng.normal(size=len(names))
            score[truth] += 1.5
            p = np.exp(score) / np.exp(score).sum()
            columns = {f"{kind}_{encode_class(name)}": p[j] for kind in ("p", "raw") for j, name in enumerate(names)}
            rows.append({**place, "target": target, "y_true": names[truth], **columns})
    return pd.DataFrame(rows)


@pytest.mark.parametrize("task", list(CLASSES))
def test_weighed_evidence_makes_a_page(task: str, build: ModuleType, tmp_path: Path) -> None:
    question = Question("finding", task, CLASSES[task], "malignant" if task == "binary" else None)
    points = OperatingPoints("youden", 0.43) if task == "binary" else None
    if task == "multilabel":
        points = OperatingPoints(by_target={name: OperatingPoints("youden", 0.4) for name in CLASSES[task]})
    table = predictions(task)
    levels = table.drop_duplicates("case_id")[["case_id", "site"]]
    weighed = weigh(table, question, points=points, resamples=30, strata=levels)
    evidence = build.base(task, list(CLASSES[task]), "test", 80) | weighed | {"positive": question.positive}
    shipped = {"rule": "youden", "value": 0.43, "chosen_on": "val", "n": 50}
    evidence["operating_point"] = shipped if task == "binary" else None if task == "regression" else {"rule": "argmax"}
    run = build.write_run(tmp_path, evidence, gallery=0)
    write_json(run / "evidence.json", evidence)
    text = write_report(run).read_text()
    report = json.loads((run / "report.json").read_text())
    assert report["headline"]["figures"] and all(row["value"] is not None for row in report["headline"]["figures"])
    assert "30 resamples" in text
    if task == "multiclass":
        assert [set(row["figures"]) for row in report["performance"]["per_class"]] == [
            {"recall", "precision", "f1"}
        ] * 3
    if task == "ordinal":
        rows = report["performance"]["distances"]
        assert [row["key"] for row in rows] == ["accuracy", "off_by_1", "off_by_2"]
        assert sum(row["figure"]["value"] for row in rows) == pytest.approx(1)
        assert "How far off the calls are" in text and "2 grades off" in text
        assert report["headline"]["figures"][1]["key"] == "grade_distance"
    if task == "regression":
        assert set(report["performance"]["agreement"]) == {"bias", "limit_low", "limit_high"}
        assert "Differences (Bland and Altman)" in text and "Lower limit of agreement" in text
        assert "upper limit" in text, "the lines are named in the picture"
    if task in ("binary", "multilabel"):
        part = report["performance"]["parts"][0]
        start = part["operating"]["start"]
        assert part["operating"]["exact"]
        assert {name: part["operating"][name][start] for name in part["counts"]} == part["counts"]
