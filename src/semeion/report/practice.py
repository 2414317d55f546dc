"""What figures mean in use: calibration as a curve, net benefit, predictive values elsewhere, abstaining."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from semeion.report import practice_figures
from semeion.report.class_sets import class_sets
from semeion.report.evidence import Evidence, Part
from semeion.report.statuses import class_statuses

MOST_PARTS = 12
"""Labels of a multi-label target that get pictures of their own."""
_ERRORS = {
    "ici": ("Mean distance of probability and observed frequency", "ICI: over cases, by the smooth curve"),
    "e90": ("That nine in ten cases stay below", "E90: 90th percentile of the same distance"),
    "ece_adaptive": ("The same in bins", "expected calibration error in bins of equally many cases"),
    "brier": ("Brier score", "mean squared distance of probability and truth"),
    "brier_reliability": ("of which miscalibration", "reliability, lower is better"),
    "brier_resolution": ("less what is told apart", "resolution, higher is better"),
    "brier_uncertainty": ("plus what the class balance alone gives", "uncertainty"),
}


def practice(evidence: Evidence, split: str | None) -> list[dict[str, Any]]:
    """Return what each question's figures mean in use, empty where the evidence has nothing."""
    split = split or ""
    if evidence.task in ("binary", "multiclass", "ordinal"):
        parts = [_part(evidence, split, None, evidence.positive, evidence.classes)]
    else:
        parts = [_part(part, split, target, target, ("absent", "present")) for target, part in evidence.targets.items()]
    for part in parts:
        # Of a table of predictions there is no model that could ship without thresholds.
        if part and evidence.weighed is not None and part["statuses"] and not part["statuses"]["rows"]:
            part["statuses"] = None
    return [part for part in parts if part]


def _part(part: Part, split: str, target: str | None, positive: str | None, classes: Sequence[str]) -> dict[str, Any]:
    reliability, utility = part.reliability.get(split, {}), part.utility.get(split, {})
    abstaining = part.abstaining.get(split, {})
    if not (reliability or utility or abstaining or part.sets.get(split)):
        return {}
    figures = reliability.get("figures", {})
    return {
        "target": target,
        "positive": positive or "positive",
        "calibration": reliability.get("curve"),
        "bins": reliability.get("bins"),
        "errors": [
            {"key": key, "name": name, "words": words, **figures[key]}
            for key, (name, words) in _ERRORS.items()
            if key in figures
        ],
        "by_chance": reliability.get("ece_by_chance"),
        "decision": utility.get("curve"),
        "useful": useful_words(utility.get("useful", [])) if utility else "",
        "net_benefit": {
            key: utility[key] for key in ("net_benefit", "net_benefit_treat_all", "net_benefit_gain") if key in utility
        },
        "predictive_values": utility.get("predictive_values", []),
        "abstaining": abstaining.get("curve"),
        "at_coverage": abstaining.get("at", []),
        "area": abstaining.get("area"),
        "statuses": class_statuses(part.statuses.get(split, {}), part.set_rule, classes),
        "sets": class_sets(part.sets.get(split, {}), classes),
    }


def useful_words(runs: list[list[float]]) -> str:
    """Return in a sentence at which thresholds the model is shown to be of use; short runs are joined over gaps."""
    kept: list[list[float]] = []
    for low, high in runs:
        if kept and low - kept[-1][1] <= 0.0301:
            kept[-1][1] = high
        else:
            kept.append([low, high])
    kept = [run for run in kept if run[1] - run[0] >= 0.0499]
    if not kept:
        return "At no threshold is the model shown to be better than treating all or none."
    told = " and ".join(f"{100 * low:.0f} to {100 * high:.0f}\u00a0%" for low, high in kept)
    return f"Shown to be better than treating all and than treating none where one would act from a risk of {told} on."


def practice_pictures(content: Mapping[str, Any]) -> dict[str, str]:
    """Return the pictures of the section by name: ``smooth-0``, ``decision-0``, ``abstain-0``, ``sets-0`` and on."""
    pictures: dict[str, str] = {}
    for index, part in enumerate(content["practice"][:MOST_PARTS]):
        if part["calibration"]:
            name = f"smooth-{index}"
            pictures[name] = practice_figures.smooth_calibration(name, part["calibration"], part["bins"] or {})
        if part["decision"]:
            name = f"decision-{index}"
            pictures[name] = practice_figures.decision_curve(name, part["decision"])
        if part["abstaining"]:
            name = f"abstain-{index}"
            pictures[name] = practice_figures.risk_coverage(name, part["abstaining"])
        if part["sets"] and part["sets"]["columns"]:
            name = f"sets-{index}"
            pictures[name] = practice_figures.coverage_of_sets(name, part["sets"]["picture"], part["sets"]["stated"])
    return pictures
