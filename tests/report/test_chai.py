"""The applied model card as XML: in the order that its schema asks for, with nothing invented."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ET
from collections.abc import Callable
from pathlib import Path

import pytest

from semeion.report.chai import ABSENT, NAME, NAMESPACE, faults
from semeion.report.page import write_report
from semeion.report.stated import FILE
from support.told import told_run

NS = {"m": NAMESPACE}


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("card")
    told_run(folder)
    (folder / FILE).write_text("developer: A <b>group</b> & friends\nrisk: moderate\nusers: radiologists\n")
    write_report(folder)
    return folder


def root(folder: Path) -> ET.Element:
    return ET.parse(folder / NAME).getroot()


def text(folder: Path, path: str) -> str:
    found = root(folder).find("/".join(f"m:{part}" for part in path.split("/")), NS)
    assert found is not None, path
    return found.text or ""


def test_the_card_has_the_elements_of_the_schema_in_their_order(run: Path) -> None:
    assert faults(root(run)) == []
    assert [child.tag.partition("}")[2] for child in root(run)] == [
        *("BasicInfo", "ReleaseInfo", "ModelSummary", "UsesAndDirections", "Warnings"),
        *("TrustIngredients", "KeyMetrics", "Resources", "Bibliography"),
    ]


def change(folder: Path, how: Callable[[ET.Element], None]) -> list[str]:
    card = root(folder)
    how(card)
    return faults(card)


def test_what_the_schema_does_not_allow_is_found(run: Path) -> None:
    def drop(card: ET.Element) -> None:
        card.remove(card[0])

    def swap(card: ET.Element) -> None:
        card[0], card[1] = card[1], card[0]

    def twice(card: ET.Element) -> None:
        card[0].insert(1, card[0][0])

    def stranger(card: ET.Element) -> None:
        ET.SubElement(card[0], f"{{{NAMESPACE}}}Nickname")

    def empty(card: ET.Element) -> None:
        results = card.find("m:KeyMetrics/m:FairnessEquity/m:Results", NS)
        assert results is not None
        results.clear()

    assert change(run, drop) == ["AppliedModelCard lacks BasicInfo"]
    assert "AppliedModelCard lacks BasicInfo" in change(run, swap)
    assert change(run, twice) == ["AppliedModelCard/BasicInfo has ModelName 2 times"]
    assert len(change(run, stranger)) == 1
    assert change(run, empty) == ["AppliedModelCard/KeyMetrics/FairnessEquity/Results lacks MetricResult"]
    assert faults(ET.Element("card")) == ["the root is card"]


def test_figures_are_those_of_the_evidence_with_their_intervals(run: Path) -> None:
    metrics = json.loads((run / "evidence.json").read_text())["metrics"]["test"]
    results = root(run).find("m:KeyMetrics/m:UsefulnessUsabilityEfficacy/m:Results", NS)
    assert results is not None
    rows = {str(one[0].text): json.loads(str(one[1].text)) for one in results}
    auroc = metrics["auroc"]
    assert rows["Area under the ROC curve"] == {
        "kind": "estimate_ci", "estimate": auroc["value"], "lower": auroc["low"], "upper": auroc["high"], "level": 95,
    }  # fmt: skip
    assert len(rows) == 4


def test_what_nobody_said_is_not_provided_and_what_was_said_stays_words(run: Path) -> None:
    assert text(run, "BasicInfo/DeveloperContact") == ABSENT
    assert text(run, "TrustIngredients/TransparencyInformation/FundingSource") == ABSENT
    assert text(run, "BasicInfo/ModelDeveloper") == "A \\<b\\>group\\</b\\> & friends"
    assert text(run, "Warnings/ClinicalRiskLevel") == "moderate"
    assert text(run, "UsesAndDirections/PrimaryIntendedUsers") == "radiologists"
    assert text(run, "ReleaseInfo/ReleaseStage") == "Research use only. Not a medical device."
    assert root(run).find("m:ReleaseInfo/m:RegulatoryApproval", NS) is None


def test_no_card_without_a_model_or_of_an_evaluation(tmp_path: Path) -> None:
    for key, folder in (("model", tmp_path / "a"), ("plan", tmp_path / "b")):
        evidence = told_run(folder)
        if key == "plan":
            (folder / "plan.yaml").unlink()
            evidence = {**evidence, "weighed": {"own": False}}
        else:
            evidence.pop("model")
        (folder / "evidence.json").write_text(json.dumps(evidence))
        write_report(folder)
        assert not (folder / NAME).exists()
