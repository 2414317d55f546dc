"""The road of a segmentation: what is weighed is what ships, and lesions are weighed one by one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from semeion.artefacts import read_json
from semeion.cohort.volumes.read import read_volume
from semeion.model.runtime import load_model
from semeion.plan.files import read_plan_as
from semeion.plan.segment_schema import SegmentationPlan
from semeion.study import segment_road
from semeion.study.folder import RunFolder
from semeion.study.segment_graphs import shipped_graphs
from support.outlined import OutlinedRun, train_outlines


@pytest.fixture(scope="module", name="outlined")
def _outlined(tmp_path_factory: pytest.TempPathFactory) -> OutlinedRun:
    return train_outlines(tmp_path_factory.mktemp("outlined"))


def test_the_model_says_what_was_weighed(outlined: OutlinedRun) -> None:
    weighed = pd.read_parquet(outlined.path / "predictions.parquet").query("split == 'test'")
    assert len(weighed) == 4
    rows = pd.read_csv(outlined.table).set_index("case_id")
    model = load_model(outlined.model, threads=1)
    for case, name in zip(weighed["case_id"], weighed["mask"], strict=True):
        mask = model.segment(outlined.table.parent / rows.loc[case, "image"])
        np.testing.assert_array_equal(mask.plane, read_volume(str(outlined.path / "masks" / name)).plane)


def test_a_faster_graph_is_weighed_and_ships_beside_the_plain_one(outlined: OutlinedRun) -> None:
    member = outlined.path / "members" / "seed0"
    plain, fast = (member / name for name in ("graph.onnx", "graph.fast.onnx"))
    assert fast.read_bytes() != plain.read_bytes()
    assert (outlined.model / "members" / "seed0.fast.onnx").read_bytes() == fast.read_bytes()
    assert (outlined.model / "members" / "seed0.onnx").read_bytes() == plain.read_bytes()
    assert read_json(member / "member.json")["fast_graph_difference"] < 1e-4
    (stated,) = read_json(outlined.model / "model.json")["members"]
    assert stated["fast"] == "members/seed0.fast.onnx"


def test_a_member_of_an_earlier_version_is_run_and_shipped_without_it(
    outlined: OutlinedRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = read_plan_as(outlined.path / "plan.executed.yaml", SegmentationPlan)
    opened: list[str] = []
    real = segment_road.open_engine

    def noted(path: Path, *given: Any, **named: Any) -> Any:
        opened.append(path.name)
        return real(path, *given, **named)

    monkeypatch.setattr(segment_road, "open_engine", noted)
    segment_road.segmenter_of_run(RunFolder(outlined.path), plan, plan.members)
    old = RunFolder(tmp_path)
    (tmp_path / "members" / "seed0").mkdir(parents=True)
    data = (outlined.path / "members" / "seed0" / "graph.onnx").read_bytes()
    (tmp_path / "members" / "seed0" / "graph.onnx").write_bytes(data)
    segment_road.segmenter_of_run(old, plan, plan.members)
    assert opened == ["graph.fast.onnx", "graph.onnx"]
    assert shipped_graphs(old, ["seed0"]) == ({"seed0": data}, {})


def test_lesions_are_counted_in_table_evidence_report_and_model(outlined: OutlinedRun) -> None:
    table = pd.read_parquet(outlined.path / "predictions.parquet").query("split == 'test'")
    assert table["lesions_reference"].tolist() == [1] * 4
    figures = outlined.evidence["metrics"]["test"]
    for name in ("lesion_sensitivity_lesion", "lesion_precision_lesion", "lesion_f1_lesion"):
        assert 0 <= figures[name]["value"] <= 1
    assert figures["lesion_sensitivity_lesion"]["value"] == table["lesions_found"].sum() / 4
    counted = (table["lesions_predicted"] - table["lesions_reference"]).abs().mean()
    assert figures["lesion_count_error_lesion"]["value"] == counted
    manifest = read_json(outlined.model / "model.json")
    assert manifest["segmentation"]["lesions"] == ["lesion"]
    assert "lesion_f1_lesion" in manifest["evidence"]["test"]
    kinds = read_json(outlined.path / "report.json")["labels"]["kinds"]
    assert {"lesion_sensitivity", "lesion_precision", "lesion_f1", "lesion_count_error"} <= set(kinds)
    assert "Lesions found" in (outlined.path / "report.html").read_text()


def test_every_case_is_counted_on_one_side(outlined: OutlinedRun) -> None:
    splits = outlined.evidence["splits"]
    assert splits["train"]["n"] + splits["val"]["n"] + splits["test"]["n"] == len(pd.read_csv(outlined.table))
    assert min(one["n"] for one in splits.values()) > 0
