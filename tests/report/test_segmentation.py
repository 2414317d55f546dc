from __future__ import annotations

import json
import math
import shutil
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas as pd
import pytest

from semeion.artefacts import write_json
from semeion.errors import InputError
from semeion.evidence.masks.segmentation import weigh_segmentation
from semeion.report.page import write_report
from semeion.report.words import significant

LABELS = ["anterior", "<b>tail</b>"]


def measurements(n: int = 14) -> pd.DataFrame:
    random = np.random.default_rng(0)
    rows = []
    for case in range(n):
        for label in LABELS:
            dice = float(random.uniform(0.6, 0.95)) if case else 0.0
            rows.append(
                {
                    "case_id": f"case {case}",
                    "patient_id": f"secret{case}",
                    "split": "test",
                    "site": "A" if case % 2 else "B",
                    "label": label,
                    "dice": dice,
                    "hd95_mm": 4 - 3 * dice if case else math.inf,
                    "assd_mm": 1 - dice if case else math.inf,
                    "reference_ml": 10.0 + case,
                    "predicted_ml": 10.0 + case + float(random.normal()),
                }
            )
    return pd.DataFrame(rows)


def write_run(run: Path, **changes: Any) -> Path:
    run.mkdir(parents=True)
    table = measurements()
    sites = table.drop_duplicates("case_id")[["case_id", "site"]]
    weighed = weigh_segmentation(table, LABELS, resamples=100, strata=sites)
    evidence = {
        "schema": 1,
        "semeion": "0.1",
        "created": "2026-01-02",
        "target": "mask",
        "task": "segmentation",
        "classes": LABELS,
        "source": "a cohort",
        "has_patients": True,
        **weighed,
        "flow": [],
        "audits": {"patient-overlap": {"verdict": "clear", "tier": "check"}},
        "choice": [
            {
                "question": "2-D or 3-D",
                "options": {"2-D": 0.81, "3-D": 0.86},
                "difference": 0.05,
                "low": 0.02,
                "high": 0.08,
                "n": 9,
                "chosen": "3-D",
                "against": "2-D",
                "why": "the interval excludes 0",
            }
        ],
        "members": [],
        "not_validated": ["Other scanners."],
        "budget": {"asked_seconds": 60, "used_seconds": 50, "ended": "budget"},
    } | changes
    write_json(run / "evidence.json", evidence)
    (run / "plan.yaml").write_text("schema: 1\ntask: segmentation\narms: []\nchoice: {arm: x}\n")
    table.to_parquet(run / "predictions.parquet")
    (run / "gallery").mkdir()
    picture = cv2.imencode(".png", np.random.default_rng(0).integers(0, 255, (90, 300, 3), dtype=np.uint8))[1].tobytes()
    cases = []
    for kind, case in weighed["ranking"]["test"].items():
        (run / "gallery" / f"{kind}.png").write_bytes(picture)
        labels = [{"label": LABELS[0], "dice": 0.9, "hd95_mm": "infinite" if kind == "worst" else 2.5}]
        cases.append({"kind": kind, "case_id": case, "file": f"{kind}.png", "dice": 0.8, "labels": labels})
    write_json(run / "gallery" / "gallery.json", {"cases": cases})
    return run


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = write_run(tmp_path_factory.mktemp("segmentation") / "run")
    write_report(folder)
    return folder


def page(folder: Path) -> str:
    return (folder / "report.html").read_text(encoding="utf-8")


def test_every_section_is_there(run: Path) -> None:
    text = page(run)
    for section in ("patients", "performance", "strata", "outlines", "choices", "limits", "audits", "metrics", "plan"):
        assert f'id="{section}"' in text, section
    assert "Research use only. Not a medical device." in text
    assert "Outlining anterior and" in text
    assert text.count("data:image/png") == 3
    for words in ("Best", "Median", "Worst", "distance infinite", "infinite in 1 case(s)", "the interval excludes 0"):
        assert words in text, words
    assert 'id="gallery"' not in text


def test_figures_are_those_of_the_evidence(run: Path) -> None:
    evidence = json.loads((run / "evidence.json").read_text())["metrics"]["test"]
    content = json.loads((run / "report.json").read_text())
    assert content["headline"]["figures"][0]["value"] == evidence["dice"]["value"]
    row = content["labels"]["rows"][0]
    for kind in ("dice", "hd95_mm", "assd_mm", "volume_error_ml"):
        for key in ("value", "low", "high", "n"):
            assert row["figures"][kind][key] == evidence[f"{kind}_anterior"][key]
    assert f"{evidence['dice']['value']:.3f}" in page(run)
    assert content["choices"][0]["low"] == 0.02


def test_pictures_say_what_they_show(run: Path) -> None:
    text = page(run)
    assert text.count("<svg") == 4  # the spread, volumes of two labels, one stratum
    assert "limits of agreement" in text
    bias = json.loads((run / "evidence.json").read_text())["agreement"]["test"]["anterior"]["bias"]
    row = next(line for line in text.splitlines() if 'data-label="Bias"' in line)
    assert f"{significant(bias['low'])} to {significant(bias['high'])}" in row
    assert "One dot a case" in text


def test_nothing_leaks_and_nothing_runs(run: Path) -> None:
    text = page(run)
    assert "secret" not in text
    assert "<b>tail</b>" not in text
    assert "&lt;b&gt;tail" in text
    assert "<script" not in text
    assert "secret" not in (run / "report.json").read_text()


def test_the_same_artefacts_give_the_same_bytes(run: Path, tmp_path: Path) -> None:
    shutil.copytree(run, tmp_path / "again")
    write_report(tmp_path / "again")
    assert (tmp_path / "again" / "report.html").read_bytes() == (run / "report.html").read_bytes()


def test_without_pictures_no_case_is_shown(run: Path, tmp_path: Path) -> None:
    shutil.copytree(run, tmp_path / "bare")
    write_report(tmp_path / "bare", pictures=False)
    assert "data:image" not in page(tmp_path / "bare")


def test_an_evaluation_has_no_plan_and_no_choices(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "e", choice=[])
    evidence = json.loads((folder / "evidence.json").read_text())
    for key in ("metrics", "agreement", "splits"):
        evidence[key] = {"external": evidence[key]["test"]}
    write_json(folder / "evidence.json", evidence)
    pd.read_parquet(folder / "predictions.parquet").assign(split="external").to_parquet(folder / "predictions.parquet")
    (folder / "plan.yaml").unlink()
    assert write_report(folder, name="evaluate").name == "evaluate.html"
    assert "stated as external, not verified" in (folder / "evaluate.html").read_text()


def test_a_run_without_figures_says_so(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "none", metrics={}, agreement={}, strata={})
    write_report(folder)
    assert "No figures could be computed" in page(folder)


def test_a_missing_or_foreign_table_is_refused(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "t")
    pd.DataFrame({"split": ["test"]}).to_parquet(folder / "predictions.parquet")
    with pytest.raises(InputError, match="holds no measurements of masks"):
        write_report(folder)
    (folder / "predictions.parquet").write_bytes(b"PAR1 broken")
    with pytest.raises(InputError, match="is damaged"):
        write_report(folder)
    (folder / "predictions.parquet").unlink()
    with pytest.raises(InputError, match="there is no table of measurements"):
        write_report(folder)


def test_what_registration_found_is_shown(tmp_path: Path, run: Path) -> None:
    moved = {"channel": "T1 <x>", "cases": 9, "aligned": 3, "moved": 6, "largest_mm": 4.25, "largest_degrees": 1.5}
    folder = write_run(tmp_path / "run", registration=[moved | {"information_before": 0.4, "information_after": 0.625}])
    write_report(folder)
    row = next(line for line in page(folder).splitlines() if "T1 &lt;x&gt;" in line)
    for shown in ("9", "3", "6", "4.25 mm, 1.50 degrees", "0.400 to 0.625"):
        assert f">{shown}<" in row
    assert "How channels were registered" not in page(run)
