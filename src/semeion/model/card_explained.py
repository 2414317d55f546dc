"""What the card says of explanations: what was tested before they are shown, how it came out, and what is not shown."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_METHODS = {"activation": "Activation maps", "occlusion": "Occlusion maps"}
_FIGURES = {
    "randomised": "Rank correlation with the map of weights drawn anew",
    "random_labels": "Rank correlation after learning from labels exchanged at random",
    "noise": "Rank correlation under noise of two grey levels",
    "members": "Rank correlation of two members' maps",
    "removal_gain": "Deletion and insertion against places at random, gain in area",
    "pointing": "Highest place inside the lesion, share of cases",
    "fixed_point": "One place, best for learning cases, inside the lesion, share of cases",
    "fixed_point_of_these": "Best one place for these very lesions, share of cases",
    "energy": "Positive part of the map inside the lesion",
}


def explained_lines(evidence: Mapping[str, Any]) -> list[str]:
    """Return the section on explanations, from ``explanations`` of the evidence; nothing of older evidence."""
    told = evidence.get("explanations")
    if not told:
        return []
    lines = ["## Explanations", ""]
    for method, one in told.items():
        name = _METHODS.get(method, method)
        if one["verdict"] == "not_run":
            lines += [f"{name} were not tested ({one['reason']}); `semeion explain` says so where it shows them.", ""]
            continue
        if one["verdict"] == "failed":
            lines += [f"{name} are not shown, since they failed a test: {one['reason']}.", ""]
        else:
            lines += [
                f"{name} passed their tests. They show what the networks went by, and not whether it is right.",
                "",
            ]
        lines += [
            f"Tested on {one['n']} cases of {one['n_patients']} patients: {one['cases']}.",
            "",
            "| figure | value | 95 % interval | cases |",
            "|---|---|---|---|",
        ]
        figures = one["figures"]
        lines += [_row(title, figures[key]) for key, title in _FIGURES.items() if key in figures]
        lines.append("")
    return lines[:-1]


def _row(title: str, figure: Mapping[str, Any]) -> str:
    value, low, high = (figure.get(key) for key in ("value", "low", "high"))
    shown = "undefined" if value is None else f"{value:.2f}"
    interval = "none" if low is None or high is None else f"{low:.2f} to {high:.2f}"
    return f"| {title} | {shown} | {interval} | {figure.get('n') or ''} |"
