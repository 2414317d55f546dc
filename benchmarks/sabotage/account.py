"""Counts what was caught and writes the published tables."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from benchmarks.sabotage.drafts import LEVELS, Half
from benchmarks.sabotage.running import Told


def figures(told: Sequence[Told], half: Half) -> dict[str, Any]:
    """Return what is recorded of a half.

    Returns
    -------
    dict
        ``cohorts`` and ``clean`` (everything that was told, cohort by cohort), ``weakest`` (per kind, the faintest
        strength that was caught together with all stronger ones, or null), ``warns_of_clean`` (of an audit that is
        among them a catch may be chance), and counts against the goals.
    """
    spoiled = [one for one in told if one.audit is not None]
    clean = [one for one in told if one.audit is None]
    warnings = [len(one.warn) for one in clean]
    return {
        "half": half,
        "spoiled": len(spoiled),
        "caught": sum(one.caught for one in spoiled),
        "audits_asked": sorted({one.audit for one in spoiled if one.audit}),
        "caught_by_level": {level: _counted(spoiled, level) for level in LEVELS},
        "refused": [f"{one.kind}, {one.strength}: {one.message[-300:]}" for one in told if one.message],
        "missed": [f"{one.kind}, {one.strength}: {one.audit} is {one.verdict}" for one in spoiled if not one.caught],
        "clean_cohorts": len(clean),
        "clean_with_void": sum(bool(one.void) for one in clean),
        "clean_refused": [one.kind for one in clean if one.message],
        "most_warnings_of_a_clean_one": max(warnings, default=0),
        "clean_with_more_than_one_warning": [one.kind for one in clean if len(one.warn) > 1],
        "weakest": weakest(spoiled),
        "warns_of_clean": warns_of_clean(clean),
        "seconds": round(sum(one.seconds for one in told), 1),
        "cohorts": [_plain(one) for one in spoiled],
        "clean": [_plain(one) for one in clean],
    }


def _counted(spoiled: Sequence[Told], level: str) -> list[int]:
    """Return how many cohorts of a strength were caught, and how many there are."""
    asked = [one for one in spoiled if one.level == level]
    return [sum(one.caught for one in asked), len(asked)]


def _plain(one: Told) -> dict[str, Any]:
    return {name: value for name, value in asdict(one).items() if value != "" and name != "said"}


def warns_of_clean(clean: Sequence[Told]) -> dict[str, list[str]]:
    """Return the clean cohorts that each audit warned of."""
    found: dict[str, list[str]] = {}
    for one in clean:
        for name in (*one.void, *one.warn):
            found.setdefault(name, []).append(one.kind)
    return found


def weakest(spoiled: Sequence[Told]) -> dict[str, str | None]:
    """Return the faintest strength of each kind that was caught with all that are stronger."""
    found: dict[str, str | None] = {}
    going: dict[str, bool] = {}
    for one in sorted(spoiled, key=lambda each: LEVELS.index(each.level)):
        found.setdefault(one.kind, None)
        going[one.kind] = going.get(one.kind, True) and one.caught
        if going[one.kind]:
            found[one.kind] = one.strength
    return {one.kind: found[one.kind] for one in spoiled}


def markdown(recorded: dict[str, Any]) -> str:
    """Return the published tables of what :func:`figures` recorded.

    One line a kind: the verdict of the audit that must catch it at each strength, in bold where that was too little,
    the weakest strength still caught, and what else was void or warned at the strongest.
    """
    spoiled, clean = f"{recorded['caught']} of {recorded['spoiled']}", recorded["clean_cohorts"]
    most = recorded["most_warnings_of_a_clean_one"]
    by_level = ", ".join(f"{caught} of {n} {level}" for level, (caught, n) in recorded["caught_by_level"].items() if n)
    lines = [
        f"{spoiled} spoiled cohorts were caught by the audit named: {by_level} ones.",
        f"Of {clean} clean ones, {recorded['clean_with_void']} had a void verdict; most warnings of one: {most}.",
        "",
        "| audit | what was done | strong | middle | weak | weakest caught | others, strong | warns of clean |",
        "|---|---|---|---|---|---|---|---|",
    ]
    kinds: dict[str, dict[str, dict[str, Any]]] = {}
    for one in recorded["cohorts"]:
        kinds.setdefault(one["kind"], {})[one["level"]] = one
    for kind, levels in sorted(kinds.items(), key=lambda item: next(iter(item[1].values()))["audit"]):
        strong = levels[min(levels, key=LEVELS.index)]
        cells = [_cell(levels.get(level)) for level in LEVELS]
        others = [name for name in (*strong["void"], *strong["warn"]) if name != strong["audit"]]
        caught = recorded["weakest"][kind] or "none"
        wrongly = len(recorded["warns_of_clean"].get(strong["audit"], []))
        named = [f"`{strong['audit']}`", strong["how"], *cells, caught, ", ".join(others) or "none"]
        named.append(f"{wrongly} of {clean}" if wrongly else "no")
        lines.append(f"| {' | '.join(named)} |")
    lines += ["", "| clean cohort | read by | void | warnings |", "|---|---|---|---|"]
    for one in recorded["clean"]:
        void = "refused" if "message" in one else ", ".join(one["void"]) or "none"
        named = [one["how"], f"`{one['road']}`", void, ", ".join(one["warn"]) or "none"]
        lines.append(f"| {' | '.join(named)} |")
    missed = recorded["missed"]
    lines += ["", f"Missed: {'; '.join(missed) or 'none'}."]
    lines += [f"Not read: {one}" for one in recorded["refused"]]
    return "\n".join(lines)


def _cell(one: dict[str, Any] | None) -> str:
    if one is None:
        return ""
    verdict = one["verdict"] if one["caught"] else f"**{one['verdict']}**"
    found = f" ({one['found']} of {one['planted']} cases)" if one["planted"] and one["found"] else ""
    return f"{one['strength']}: {verdict}{found}"
