"""Explanations that were tested before they are shown: what was tried, how it came out, and what is not shown."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from semeion.report.evidence import Evidence
from semeion.report.svg import COLOURS, HAIR, MUTED, STYLES, canvas, to_svg
from semeion.report.words import number

METHODS = {"activation": "Activation maps", "occlusion": "Occlusion maps"}
VERDICTS = {"passed": "passed", "failed": "failed: not shown", "not_run": "not tested"}
ROWS = {
    "randomised": ("All weights drawn anew", "Rank correlation with the original map; like chance: 0."),
    "randomised_absolute": (
        "The same, whichever way a place pushes",
        "Rank correlation of absolute values: what of a map comes from the picture and any network alike.",
    ),
    "random_labels": ("Learned again on labels exchanged at random", "Rank correlation with the original map."),
    "noise": ("Noise of two grey levels", "Rank correlation with the original map; unchanged: 1."),
    "mirrored": ("Mirrored picture", "Rank correlation of the map turned back. A network may tell left from right."),
    "members": ("Another member of the ensemble", "Rank correlation of the maps of two members."),
    "members_over_randomised": (
        "Members against weights drawn anew",
        "By how much two members agree more than a map does with that of weights drawn anew, paired.",
    ),
    "deletion_gain": ("Deletion", "By how much sooner the answer falls than with places at random (area); none: 0."),
    "insertion_gain": ("Insertion", "By how much sooner the answer rises than with places at random (area); none: 0."),
    "removal_gain": ("Deletion and insertion", "The mean of both."),
    "pointing": ("Highest place inside the lesion", "Share of the cases with a mask (pointing game)."),
    "fixed_point": ("One place inside the lesion", "The best single place for lesions of learning cases, on these."),
    "fixed_point_of_these": ("Best one place for these very lesions", "Chosen on these cases, so it is optimistic."),
    "pointing_over_fixed": ("Pointing against the best one place", "Difference of the shares, paired."),
    "energy": ("Positive part of the map inside the lesion", "Share of the map, mean over cases."),
    "covered": ("Share of the picture that lesions cover", "What the share inside would be by chance."),
    "dice": ("Overlap with the lesion", "Dice of as many highest places as the lesion has."),
}
"""Figures in the order of the table: name, and what it is."""
LESION = ("pointing", "fixed_point", "fixed_point_of_these", "pointing_over_fixed", "energy", "covered", "dice")


def explained_content(evidence: Evidence) -> list[dict[str, Any]] | None:
    """Return the section's content, one entry a method; None where nothing is said of explanations."""
    if not evidence.explanations:
        return None
    return [_method(name, told) for name, told in evidence.explanations.items()]


def _method(name: str, told: Mapping[str, Any]) -> dict[str, Any]:
    figures = told.get("figures") or {}
    rules = {rule["figure"]: rule for rule in told.get("rules") or ()}
    rows = [
        {
            "key": key,
            "name": title,
            "means": means,
            "value": number(figures[key].get("value"), 2),
            "interval": _interval(figures[key]),
            "n": figures[key].get("n"),
            "n_patients": figures[key].get("n_patients"),
            "reason": figures[key].get("reason") or "",
            "rule": _rule(rules.get(key)),
            "cases": figures[key].get("cases") or "",
        }
        for key, (title, means) in ROWS.items()
        if key in figures
    ]
    return {
        "name": name,
        "title": METHODS.get(name, name),
        "verdict": told["verdict"],
        "verdict_words": VERDICTS[told["verdict"]],
        "reason": told.get("reason") or "",
        "cases": told.get("cases") or "",
        "n": told.get("n"),
        "n_patients": told.get("n_patients"),
        "members": told.get("members") or "",
        "labels": told.get("labels") or "",
        "trust": [row for row in rows if row["key"] not in LESION],
        "lesion": [row for row in rows if row["key"] in LESION],
        "rules": [rule["why"] for rule in told.get("rules") or ()],
        "cascade": [_point(one) for one in told.get("cascade") or ()],
        "curves": told.get("curves") or {},
    }


def _rule(rule: Mapping[str, Any] | None) -> str:
    """Return ``below 0.3: kept``; nothing of a figure that decides nothing."""
    if rule is None:
        return ""
    side = "below" if rule["below"] else "above"
    return f"{side} {rule['limit']:g}: {'kept' if rule['kept'] else 'not kept'}"


def _interval(figure: Mapping[str, Any]) -> str:
    low, high = figure.get("low"), figure.get("high")
    return "" if low is None or high is None else f"{number(low, 2)} to {number(high, 2)}"


def _point(one: Mapping[str, Any]) -> dict[str, Any]:
    return {key: one.get(key) for key in ("share", "value", "low", "high")}


def explained_pictures(content: list[dict[str, Any]] | None) -> dict[str, str]:
    """Return two pictures a method: ``explained-<method>-cascade`` and ``explained-<method>-removal``."""
    found = {}
    for one in content or ():
        if one["cascade"]:
            name = f"explained-{one['name']}-cascade"
            found[name] = cascade(name, one["cascade"])
        if one["curves"]:
            name = f"explained-{one['name']}-removal"
            found[name] = removal(name, one["curves"])
    return found


def cascade(name: str, points: list[dict[str, Any]]) -> str:
    """Return similarity to the original map against the share of the layers that are drawn anew."""
    shares, values = [0.0, *(_place(one) for one in points)], [1.0, *(one["value"] for one in points)]
    with canvas(3.4, 2.6, fitted=True) as (figure, axes):
        axes.axhline(0.3, color=MUTED, linewidth=1.1, linestyle=(0, (4, 3)))
        ends = [(_place(one), one["low"], one["high"]) for one in points if one["low"] is not None]
        if ends:
            x, low, high = zip(*ends, strict=True)
            axes.fill_between(x, low, high, color=COLOURS[0], alpha=0.15, linewidth=0)
        axes.plot(shares, values, color=COLOURS[0], linewidth=2, marker="o", ms=4.5)
        axes.set(xlim=(-0.04, 1.04), ylim=(min(-0.2, *values) - 0.03, 1.05))
        axes.set(xlabel="layers drawn anew, from the last", ylabel="rank correlation")
        axes.set_xticks(shares, ["none", "last", *(f"{100 * one['share']:.0f} %" for one in points[1:])])
        axes.grid(axis="y", color=HAIR, linewidth=0.6)
        axes.set_axisbelow(True)
        told = "; ".join(f"{100 * one['share']:.0f} % of the layers: {number(one['value'], 2)}" for one in points)
        words = f"Rank correlation of maps with the original, with a 95 % band; must end below 0.3 (dashed). {told}."
        return to_svg(figure, name, "Weights drawn anew", words)


def _place(one: Mapping[str, Any]) -> float:
    """Return where a step of the cascade stands: the last layer alone a little beside none."""
    return max(0.16, float(one["share"]))


def removal(name: str, curves: Mapping[str, Any]) -> str:
    """Return what the model says while places are taken away and brought back, in the map's order and at random."""
    shares = curves["shares"]
    lines = (
        ("deletion", "taken away", COLOURS[1], STYLES[0]),
        ("deletion_by_chance", "at random", COLOURS[1], STYLES[1]),
        ("insertion", "brought back", COLOURS[0], STYLES[0]),
        ("insertion_by_chance", "at random", COLOURS[0], STYLES[1]),
    )
    told = []
    with canvas(3.4, 3.0, fitted=True) as (figure, axes):
        for key, words, colour, style in lines:
            values = [one["value"] for one in curves[key]]
            axes.plot(shares, values, color=colour, linestyle=style, linewidth=2, label=words)
            told.append(f"{key.replace('_', ' ')}: {', '.join(number(value, 2) for value in values)}")
        axes.set(xlim=(0, 1), xlabel="share of the picture", ylabel="what the model says")
        axes.grid(axis="y", color=HAIR, linewidth=0.6)
        axes.set_axisbelow(True)
        # Above: the curves cross the whole picture.
        axes.legend(
            frameon=False, loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=2, handlelength=2.6, columnspacing=1.6
        )
        at = ", ".join(f"{share:g}" for share in shares)
        words = f"Mean of the explained score at shares {at}. {'; '.join(told)}."
        return to_svg(figure, name, "Places taken away and brought back", words)
