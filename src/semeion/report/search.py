"""The search for how to learn: what was tried, what to expect of the best, what mattered, and its pictures."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from semeion.report.members import way
from semeion.report.search_figures import history, importance, settings
from semeion.report.words import duration, percent, plural

MOST_SETTINGS = 16
"""Settings whose pictures are shown, the weightiest first."""


def search_content(told: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """Return what the page says of the search; None where there was none.

    Returns
    -------
    dict or None
        ``sentences``, ``loss_name``, ``folds`` with a row each and their trials, and ``ways`` with what was searched
        around each recipe and what mattered.
    """
    if not told:
        return None
    folds = [_fold(row) for row in told["folds"]]
    ways = [_way(one, [row for row in folds if row["way"] == one["way"]]) for one in told["ways"]]
    return {
        "sentences": _sentences(told),
        "loss_name": told["loss_name"],
        "trials": told["trials"],
        "folds": folds,
        "ways": ways,
    }


def search_pictures(content: Mapping[str, Any] | None) -> dict[str, str]:
    """Return the inline SVG of every picture of the search by its name."""
    if not content or not any(row["tried"] for row in content["folds"]):
        return {}
    loss = str(content["loss_name"])
    found = {"search-history": history("search-history", content["folds"], loss)}
    for place, one in enumerate(content["ways"]):
        folds = [row for row in content["folds"] if row["way"] == one["way"]]
        if one["mattered"]:
            found[f"search-mattered-{place}"] = importance(f"search-mattered-{place}", one["mattered"], one["title"])
        if one["settings"] and any(row["tried"] for row in folds):
            found[f"search-settings-{place}"] = settings(f"search-settings-{place}", one["settings"], folds, loss)
    return found


def _sentences(told: Mapping[str, Any]) -> list[str]:
    trials, pruned, failed = told["trials"], told["pruned"], told["failed"]
    if not trials:
        return ["How to learn better was to be searched, and no trial fitted into its time."]
    share = percent(told["trial_share"], 1)
    text = (
        f"{plural(trials, 'trial')}, each a member of {share} of the planned steps, took {duration(told['seconds'])}."
    )
    if pruned:
        were = "was ended early, since it was" if pruned == 1 else "were ended early, since they were"
        text += f" {pruned} {were} behind the others."
    if failed:
        text += f" {failed} could not learn."
    return [text, "Trials are no members and never ship: what ships is learned anew by the settings that were found."]


def _fold(row: Mapping[str, Any]) -> dict[str, Any]:
    corrected = row["corrected"] or {}
    reason = str(row["reason"])
    return {
        "fold": row["fold"],
        "place": "All" if row["fold"] < 0 else f"Fold {row['fold']}",
        "way": row["way"],
        "around": way(row["way"]),
        "trials": row["trials"],
        "pruned": row["pruned"],
        "planned_loss": row["planned_loss"],
        "best_loss": row["best_loss"],
        "best_trial": row["best_trial"],
        "corrected": {name: corrected.get(name) for name in ("value", "low", "high")},
        "gain": {name: corrected.get(key) for name, key in zip(*_GAIN, strict=True)},
        "n": corrected.get("n"),
        "n_patients": corrected.get("n_patients"),
        "words": f"{reason[:1].upper()}{reason[1:]}.",
        "tried": [{name: one[name] for name in ("number", "state", "loss", "params", "note")} for one in row["tried"]],
    }


_GAIN = (("value", "low", "high"), ("gain", "gain_low", "gain_high"))


def _way(one: Mapping[str, Any], folds: list[dict[str, Any]]) -> dict[str, Any]:
    knobs, mattered = one["knobs"], one["mattered"]
    weight = {name: mattered.get(name, 0.0) for name in knobs}
    order = sorted(knobs, key=lambda name: -weight[name])
    return {
        "way": one["way"],
        "title": way(one["way"]),
        "mattered": [
            {"name": name, "title": knobs[name]["title"], "share": mattered[name]} for name in order if name in mattered
        ],
        "reason": one["mattered_reason"],
        "settings": [{"name": name, **knobs[name]} for name in order[:MOST_SETTINGS]],
        "best": [
            {"place": row["place"], "values": _values(row, order, knobs)}
            for row in folds
            if row["best_trial"] not in (None, 0)
        ],
    }


def _values(row: Mapping[str, Any], order: list[str], knobs: Mapping[str, Any]) -> list[dict[str, str]]:
    params = next(one["params"] for one in row["tried"] if one["number"] == row["best_trial"])
    return [
        {"title": knobs[name]["title"], "found": said(params[name]), "planned": said(knobs[name]["planned"])}
        for name in order
        if name in params
    ]


def said(value: Any) -> str:
    """Return a setting in words: three digits are enough of a number."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    return str(value) if isinstance(value, int) else f"{value:.3g}"
