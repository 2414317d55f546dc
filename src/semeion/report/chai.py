"""The model card of a run as an XML file: the applied model card of the Coalition for Health AI (CHAI).

Names, order and number of elements are those of CHAI's XML schema, version 0.2, a draft
(https://mc.chai.org/v0.2/schema.xsd); the forms of ``ValueJson``, which the schema leaves open, are those of the cards
that CHAI published with it. What a run does not know and nobody stated says NOT PROVIDED.
"""

from __future__ import annotations

import json
import xml.etree.ElementTree as ET
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from semeion.artefacts import write_bytes
from semeion.report.account import Account
from semeion.report.facts import run_facts
from semeion.report.first_page import CALIBRATION
from semeion.report.headline import question, split_role, split_words
from semeion.report.svg import clean
from semeion.report.words import HEADLINE, SHORT, metric_name

NAME = "model_card.xml"
NAMESPACE = "https://mc.chai.org/v0.2/schema.xsd"
ABSENT = "NOT PROVIDED"

_METRIC = (
    ("MetricGoal", "1", ()),
    ("Results", "1", (("MetricResult", "+", (("Label", "1", ()), ("ValueJson", "1", ()))),)),
    *((name, "1", ()) for name in ("Interpretation", "TestType", "TestingDataDescription")),
    ("ValidationProcessAndJustification", "1", ()),
)
_FACTS = (
    *((name, "1", ()) for name in ("OutcomesAndOutputs", "ModelType")),
    ("FoundationModels", "?", ()),
    *((name, "1", ()) for name in ("InputDataSource", "OutputAndInputDataTypes", "DevelopmentDataCharacterization")),
    *((name, "1", ()) for name in ("BiasMitigationApproaches", "OngoingMaintenance")),
    *((name, "?", ()) for name in ("Security", "Transparency")),
)
STRUCTURE: tuple[Any, ...] = (
    ("BasicInfo", "1", tuple((name, "1", ()) for name in ("ModelName", "ModelDeveloper", "DeveloperContact"))),
    (
        "ReleaseInfo",
        "1",
        (
            *((name, "1", ()) for name in ("ReleaseStage", "ReleaseDate", "ReleaseVersion", "GlobalAvailability")),
            ("RegulatoryApproval", "?", ()),
        ),
    ),
    ("ModelSummary", "1", (("Summary", "1", ()), ("Keywords", "1", (("Keyword", "*", ()),)))),
    (
        "UsesAndDirections",
        "1",
        (
            *((name, "1", ()) for name in ("IntendedUseAndWorkflow", "PrimaryIntendedUsers", "HowToUse")),
            *((name, "1", ()) for name in ("TargetedPatientPopulation", "CautionedOutOfScopeSettings")),
        ),
    ),
    (
        "Warnings",
        "1",
        (
            *((name, "1", ()) for name in ("KnownRisksAndLimitations", "KnownBiasesOrEthicalConsiderations")),
            ("ClinicalRiskLevel", "1", ()),
        ),
    ),
    (
        "TrustIngredients",
        "1",
        (
            ("AISystemFacts", "1", _FACTS),
            (
                "TransparencyInformation",
                "1",
                (("FundingSource", "1", ()), ("ThirdPartyInformation", "?", ()), ("StakeholdersConsulted", "1", ())),
            ),
        ),
    ),
    (
        "KeyMetrics",
        "1",
        tuple((name, "1", _METRIC) for name in ("UsefulnessUsabilityEfficacy", "FairnessEquity", "SafetyReliability")),
    ),
    (
        "Resources",
        "1",
        (
            *((name, "?", ()) for name in ("EvaluationReferences", "ClinicalTrial")),
            ("PeerReviewedPublications", "1", ()),
            ("ReimbursementStatus", "?", ()),
            ("PatientConsentOrDisclosure", "1", ()),
        ),
    ),
    ("Bibliography", "1", ()),
)
"""Elements below the root: name; how often (``1``, ``?``, ``*``, ``+``); its own elements, none where it holds text."""


def write_card(account: Account) -> Path | None:
    """Write ``model_card.xml`` into a run that shipped a model; do nothing for predictions and evaluations.

    Raises
    ------
    MachineError
        When the folder cannot be written.
    """
    if account.found.evidence.model is None or account.found.plan is None:
        return None
    write_bytes(account.run / NAME, card(account))
    return account.run / NAME


def card(account: Account) -> bytes:
    """Return the card as UTF-8 XML. It lists no cases."""
    ET.register_namespace("", NAMESPACE)
    root = ET.Element(_tag("AppliedModelCard"))
    _fill(root, _content(account), STRUCTURE)
    ET.indent(root, " ")
    body = ET.tostring(root, encoding="unicode")
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{body}\n'.encode("utf-8", errors="replace")


def faults(root: ET.Element) -> list[str]:
    """Return what an AppliedModelCard has that the schema does not allow, or lacks; empty for a valid card."""
    if root.tag != _tag("AppliedModelCard"):
        return [f"the root is {root.tag}"]
    return _faults(root, STRUCTURE, "AppliedModelCard")


def _faults(element: ET.Element, wanted: Sequence[Any], where: str) -> list[str]:
    found, children = [], list(element)
    for name, often, inside in wanted:
        same = []
        while children and children[0].tag == _tag(name):
            same.append(children.pop(0))
        if not same and often in "1+":
            found.append(f"{where} lacks {name}")
        if len(same) > 1 and often in "1?":
            found.append(f"{where} has {name} {len(same)} times")
        for one in same:
            found += _faults(one, inside, f"{where}/{name}")
    if wanted and (element.text or "").strip():
        found.append(f"{where} holds text")
    return [*found, *(f"{where} has {child.tag} where it does not belong" for child in children)]


def _fill(element: ET.Element, values: Mapping[str, Any], wanted: Sequence[Any]) -> None:
    for name, often, inside in wanted:
        given = values.get(name)
        for value in given if isinstance(given, list) else [given]:
            if value is None and often in "?*":
                continue
            child = ET.SubElement(element, _tag(name))
            if inside:
                _fill(child, value or {}, inside)
            else:
                child.text = ABSENT if value is None else clean(str(value))


def _tag(name: str) -> str:
    return f"{{{NAMESPACE}}}{name}"


def _content(account: Account) -> dict[str, Any]:
    """Return the texts of the card by the names of its elements; None where nothing is known."""
    facts = {name: fact.value if fact else None for name, fact in run_facts(account).items()}
    stated, evidence = account.stated, account.found.evidence
    asked = question(account.found, account.split)

    def said(key: str) -> str | None:
        return _markdown(stated[key]) if key in stated else None

    def known(*names: str) -> str | None:
        told = [_markdown(value) for name in names if (value := facts.get(name))]
        return ". ".join(part.rstrip(".") for part in told) + "." if told else None

    limits = [*(row["text"] for row in account.first["failures"]), *evidence.not_validated]
    return {
        "BasicInfo": {
            "ModelName": said("title") or _markdown(asked["title"]),
            "ModelDeveloper": said("developer"),
            "DeveloperContact": said("contact"),
        },
        "ReleaseInfo": {
            "ReleaseStage": said("release_stage") or "Research use only. Not a medical device.",
            "ReleaseDate": evidence.created or None,
            "ReleaseVersion": f"Semeion {evidence.semeion}, model.json sha256 {evidence.model}",
            "GlobalAvailability": said("model_access"),
            "RegulatoryApproval": said("regulatory"),
        },
        "ModelSummary": {
            "Summary": f"{_markdown(asked['title'])}. {known('question', 'output') or ''}".strip(),
            "Keywords": {"Keyword": [_markdown(name) for name in (asked["target"], *asked["classes"])]},
        },
        "UsesAndDirections": {
            "IntendedUseAndWorkflow": _joined(said("intended_use"), said("setting")),
            "PrimaryIntendedUsers": said("users"),
            "HowToUse": _joined("`semeion predict MODEL IMAGE -o findings.csv`", said("interaction")),
            "TargetedPatientPopulation": said("population"),
            "CautionedOutOfScopeSettings": said("not_for"),
        },
        "Warnings": {
            "KnownRisksAndLimitations": _joined(*map(_markdown, limits), said("limitations")),
            "KnownBiasesOrEthicalConsiderations": _joined(known("fairness_audit", "subgroups"), said("fairness")),
            "ClinicalRiskLevel": said("risk"),
        },
        "TrustIngredients": {
            "AISystemFacts": {
                "OutcomesAndOutputs": known("output", "operating_point"),
                "ModelType": known("technology", "architecture", "ensemble"),
                "InputDataSource": known("source", "sites"),
                "OutputAndInputDataTypes": known("inputs", "output"),
                "DevelopmentDataCharacterization": _joined(
                    _markdown((evidence.adopted or {}).get("sentence", "")),
                    known("events", "partitions", "demographics"),
                ),
                "BiasMitigationApproaches": _joined(known("imbalance"), said("fairness")),
                "OngoingMaintenance": said("maintenance"),
            },
            "TransparencyInformation": {"FundingSource": said("funding"), "StakeholdersConsulted": said("involvement")},
        },
        "KeyMetrics": _metrics(account, known),
        "Resources": {
            "EvaluationReferences": "report.html and crosswalk.html of the run",
            "ClinicalTrial": said("registration"),
            "PatientConsentOrDisclosure": said("ethics"),
        },
        "Bibliography": "",
    }


def _metrics(account: Account, known: Any) -> dict[str, Any]:
    evidence, split = account.found.evidence, account.split or ""
    metrics = evidence.metrics.get(split, {})
    words = split_words(evidence, split)
    key = HEADLINE[evidence.task][0]
    groups = [
        (f"{SHORT.get(key, metric_name(key))}, {column} {level}", part.metrics[split][key])
        for column, levels in evidence.strata.items()
        for level, part in levels.items()
        if key in part.metrics.get(split, {})
    ]
    shared = {
        "TestType": account.first["external"]["sentence"],
        "TestingDataDescription": f"{words}: {known('sample', 'events') or ABSENT}",
        "ValidationProcessAndJustification": _joined(known("partitions", "uncertainty"), split_role(evidence, split)),
    }

    def of(names: Sequence[str]) -> list[tuple[str, Any]]:
        return [(metric_name(name), metrics[name]) for name in names if name in metrics]

    return {
        "UsefulnessUsabilityEfficacy": {
            "MetricGoal": "Discrimination, and calls at the shipped operating point",
            "Results": _results(of(HEADLINE[evidence.task])),
            "Interpretation": known("crosstab"),
            **shared,
        },
        "FairnessEquity": {
            "MetricGoal": "The same discrimination in every subgroup that the table tells",
            "Results": _results(groups),
            "Interpretation": known("fairness_audit"),
            **shared,
        },
        "SafetyReliability": {
            "MetricGoal": "Probabilities that can be taken at their word",
            "Results": _results(of(CALIBRATION)),
            "Interpretation": known("calibration_method"),
            **shared,
        },
    }


def _results(rows: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    """Return results with their intervals. The schema asks for one at least, so that none is said to be absent."""
    results = []
    for label, figure in rows:
        value: dict[str, Any] = {"kind": "single", "value": figure.value}
        if figure.value is not None and figure.low is not None and figure.high is not None:
            ends = {"lower": figure.low, "upper": figure.high, "level": 95}
            value = {"kind": "estimate_ci", "estimate": figure.value, **ends}
        results.append({"Label": _markdown(label), "ValueJson": json.dumps(value)})
    return {"MetricResult": results or [{"Label": ABSENT, "ValueJson": json.dumps({"kind": "single", "value": None})}]}


def _joined(*parts: str | None) -> str | None:
    return " ".join(part for part in parts if part) or None


def _markdown(value: Any) -> str:
    """Return text in which Markdown and HTML mean nothing; names come from the tables of others."""
    text = " ".join(str(value).split())
    for letter in "\\`*[]<>|":
        text = text.replace(letter, f"\\{letter}")
    return text
