"""``monitor.html`` and ``monitor.json``: a model in service against what it was trained on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from semeion.artefacts import write_bytes, write_json
from semeion.report.monitor_figures import by_stream, evidence_picture, lines_picture
from semeion.report.monitor_words import (
    FAMILIES,
    sentences,
    statistic_name,
    stream_name,
    test_name,
)
from semeion.report.render import render
from semeion.report.words import figure_text, metric_name, percent, significant

_PICTURED_STREAMS = 6
_PICTURED_STATISTICS = 14
_PICTURED_COMPARISONS = 5
_LATEST = 12
"""Periods whose rows the page has; the earlier ones are in the pictures and in ``monitor.json``."""
_STANDS_OUT = 0.05
_ASIDE = "Share of cases set aside as unlike the training cases"
_KEPT = ("auroc", "auprc", "accuracy", "recall", "specificity", "brier", "calibration_slope", "calibration_intercept")
_MEASURED = ("mae", "rmse", "r2")
_STATUSES = ("called", "set", "unsure", "not_applicable", "failed")


def write_monitor(folder: Path, found: Mapping[str, Any]) -> None:
    """Write ``monitor.json`` and ``monitor.html`` into `folder`, each whole or not at all.

    Parameters
    ----------
    folder
        Made when absent.
    found
        The content of ``monitor.json``.

    Raises
    ------
    MachineError
        When the folder cannot be written.
    """
    page = render("monitor.html.j2", script=None, pictures=monitor_pictures(found), **monitor_content(found))
    write_json(folder / "monitor.json", dict(found))
    write_bytes(folder / "monitor.html", page)


def monitor_pictures(found: Mapping[str, Any]) -> dict[str, str]:
    """Return the pictures of the page by their names, in the order in which they are shown."""
    drawn = {}
    told = [stream for stream in found["streams"] if not stream["reason"]]
    for number, stream in enumerate(told[:_PICTURED_STREAMS]):
        drawn[f"evidence-{number}"] = evidence_picture(f"evidence-{number}", stream)
    periods = [look["period"] for look in found["looks"]]
    for number, test in enumerate(("psi", "ks", "mmd")):
        for place, (name, rows) in enumerate(_comparisons(found, test).items()):
            key = f"{test}-{place}"
            title = f"{test_name(test)[0].upper()}{test_name(test)[1:]}: {statistic_name(name)}"
            axis = ("PSI", "KS", "MMD squared")[number]
            drawn[key] = lines_picture(key, title, axis, periods, by_stream(rows), None)
    for place, (name, rows) in enumerate(_middles(found).items()):
        key = f"middle-{place}"
        trained = rows[0]["middle_trained"]
        drawn[key] = lines_picture(key, statistic_name(name), "Median or share", periods, by_stream(rows), trained)
    for place, (name, rows) in enumerate(_classes(found).items()):
        key = f"prevalence-{place}"
        title = f"Estimated share of {name}"
        drawn[key] = lines_picture(key, title, "Share", periods, by_stream(rows), rows[0]["trained"])
    rows = [{**row, **row["aside"]} for row in found["abstained"]]
    if any(row["value"] is not None for row in rows):
        drawn["abstained"] = lines_picture("abstained", _ASIDE, "Share", periods, by_stream(rows), rows[0]["trained"])
    return drawn


def _comparisons(found: Mapping[str, Any], test: str) -> dict[str, list[dict[str, Any]]]:
    """Return the comparisons of one kind by statistic, those that differ most first."""
    rows: dict[str, list[dict[str, Any]]] = {}
    for look in found["looks"]:
        for one in look["comparisons"]:
            if one["test"] == test:
                rows.setdefault(one["statistic"], []).append({**one, "period": look["period"]})
    order = sorted(rows, key=lambda name: min(one["p"] for one in rows[name]))
    return {name: rows[name] for name in order[:_PICTURED_COMPARISONS]}


def _middles(found: Mapping[str, Any]) -> dict[str, list[dict[str, Any]]]:
    """Return the rows by statistic, those with most evidence of a change first, and none that never varies."""
    rows: dict[str, list[dict[str, Any]]] = {}
    for one in found["middles"]:
        quartiles, trained = one.get("quartiles"), one["trained"]
        ends = {"low": quartiles[0], "high": quartiles[2]} if quartiles else {}
        middle = trained[len(trained) // 2] if trained else None
        value = quartiles[1] if quartiles else one["share"]
        rows.setdefault(one["statistic"], []).append({**one, "value": value, **ends, "middle_trained": middle})
    evidence: dict[str, float] = {}
    for stream in found["streams"]:
        for one in stream["statistics"]:
            highest = max(one["line"]["evidence"], default=0.0)
            evidence[one["statistic"]] = max(evidence.get(one["statistic"], 0.0), highest)
    varies = [
        name
        for name, own in rows.items()
        if len({row[end] for row in own for end in ("low", "value", "high") if end in row} - {None}) > 1
        or own[0]["value"] != own[0]["middle_trained"]
    ]
    order = sorted(varies, key=lambda name: -evidence.get(name, 0.0))
    return {name: rows[name] for name in order[:_PICTURED_STATISTICS]}


def _classes(found: Mapping[str, Any]) -> dict[str, list[dict[str, Any]]]:
    rows: dict[str, list[dict[str, Any]]] = {}
    for one in found["prevalence"]:
        for name, entry in one["classes"].items():
            if found["task"] != "binary" or name == found["positive"]:
                rows.setdefault(name, []).append({**one, **entry})
    return dict(list(rows.items())[:_PICTURED_STATISTICS])


def monitor_content(found: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the page shows, from the content of ``monitor.json``."""
    titles = monitor_titles(found)
    latest = {look["period"] for look in found["looks"][-_LATEST:]}
    return {
        "semeion": found["semeion"],
        "created": found["created"],
        "synthetic": found["synthetic"],
        "target": found["target"],
        "positive": found["positive"],
        "model": found["model"],
        "by": found["by"],
        "sentences": sentences(found),
        "rate": percent(found["false_alarms"]["rate"], 1),
        "fewest": found["fewest"],
        "n": found["n"],
        "alarms": _alarms(found),
        "earlier": max(0, len(found["looks"]) - _LATEST),
        "streams": [
            {
                "name": stream_name(stream["name"], stream["kind"]),
                "n": stream["n"],
                "reason": stream["reason"],
                "alarm": any(row["alarm_after"] is not None for row in stream["statistics"]),
            }
            for stream in found["streams"]
        ],
        "titles": titles,
        "looks": [_look(look) for look in found["looks"][-_LATEST:]],
        "statuses": _STATUSES,
        "abstained": [
            {
                **row,
                "whose": stream_name(row["stream"], row["of"]),
                "share": _share(row),
                "aside": _share(row["aside"]),
            }
            for row in _latest(found["abstained"], latest)
        ],
        "prevalence": [
            {
                "period": one["period"],
                "whose": stream_name(one["stream"], one["of"]),
                "n": one["n"],
                "reason": one["reason"],
                "classes": {
                    name: f"{_share(entry)}; {percent(entry['trained'], 1)} in training"
                    for name, entry in one["classes"].items()
                    if found["task"] != "binary" or name == found["positive"]
                },
            }
            for one in _latest(found["prevalence"], latest)
        ],
        "labels": _labels(found),
        "cases": found["baseline"]["cases"],
        "statistics": [
            {"name": statistic_name(name), "n": count} for name, count in found["baseline"]["statistics"].items()
        ],
        "notes": found["notes"],
        "unwatched": [statistic_name(name) for name in found["unwatched"]],
        "families": FAMILIES,
    }


def _latest(rows: Sequence[Mapping[str, Any]], latest: set[str]) -> list[Mapping[str, Any]]:
    """Return the rows of all cases in the latest periods, and of each site and scanner the last one."""
    last = {(row["of"], row["stream"]): row["period"] for row in rows}
    return [
        row
        for row in rows
        if (row["of"] == "all" and row["period"] in latest)
        or (row["of"] != "all" and last[row["of"], row["stream"]] == row["period"])
    ]


def monitor_titles(found: Mapping[str, Any]) -> dict[str, str]:
    """Return what each picture shows, by its name, in order, without drawing it."""
    told = [stream for stream in found["streams"] if not stream["reason"]]
    titles = {
        f"evidence-{number}": f"Evidence of a change: {stream_name(stream['name'], stream['kind'])}"
        for number, stream in enumerate(told[:_PICTURED_STREAMS])
    }
    for test in ("psi", "ks", "mmd"):
        for place, name in enumerate(_comparisons(found, test)):
            titles[f"{test}-{place}"] = f"{_upper(statistic_name(name))}: {test_name(test)}"
    for place, (name, rows) in enumerate(_middles(found).items()):
        titles[f"middle-{place}"] = _upper(statistic_name(name)) + (
            ": median and quartiles" if rows[0].get("quartiles") else ""
        )
    titles |= {f"prevalence-{place}": f"Estimated share of {name}" for place, name in enumerate(_classes(found))}
    return titles | {"abstained": _ASIDE}


def _upper(text: str) -> str:
    return text[:1].upper() + text[1:]


def _alarms(found: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return a row for each figure of each site or scanner that raised an alarm, the first to be seen first."""
    rows: dict[tuple[str, str, str], dict[str, Any]] = {}
    for alarm in found["alarms"]:
        key = (alarm["of"], alarm["stream"], alarm["statistic"])
        row = rows.setdefault(
            key,
            {
                "family": FAMILIES[alarm["family"]],
                "whose": stream_name(alarm["stream"], alarm["of"]),
                "what": statistic_name(alarm["statistic"]),
                "day": alarm["time"][:10],
                "after": alarm["after"],
                "period": alarm["period"],
                "how": [],
                "now": _now(found, key),
            },
        )
        if (how := test_name(alarm["kind"])) not in row["how"]:
            row["how"].append(how)
    return list(rows.values())


def _now(found: Mapping[str, Any], key: tuple[str, str, str]) -> str:
    """Return what a figure was of late, and among the training cases; nothing where neither is a single number."""
    rows = [one for one in found["middles"] if (one["of"], one["stream"], one["statistic"]) == key]
    if not rows or not rows[-1]["trained"]:
        return ""
    last = rows[-1]
    trained = last["trained"][len(last["trained"]) // 2]
    if "share" in last:
        return f"{percent(last['share'], 1)} in {last['period']}; {percent(trained, 1)} in training"
    return f"median {significant(last['quartiles'][1])} in {last['period']}; {significant(trained)} in training"


def _look(look: Mapping[str, Any]) -> dict[str, Any]:
    differ = sorted((row for row in look["comparisons"] if row["adjusted"] <= _STANDS_OUT), key=lambda row: row["p"])
    return {
        "period": look["period"],
        "n": look["n"],
        "finished": look["finished"],
        "compared": len(look["comparisons"]),
        "level": significant(look["level"]),
        "too_few": [
            f"{stream_name(one['stream'], one['of'])}: {one['n']} cases, {one['needed']} needed"
            for one in look["too_few"]
        ],
        "differ": [
            f"{statistic_name(row['statistic'])} of {stream_name(row['stream'], row['of'])}: "
            f"{row['test'].upper()} {significant(row['value'])}, adjusted p {significant(row['adjusted'])}"
            for row in differ[:5]
        ],
        "more": max(0, len(differ) - 5),
    }


def _share(row: Mapping[str, Any]) -> str:
    if row["value"] is None:
        return "none was read"
    return f"{percent(row['value'], 1)} ({percent(row['low'], 1)} to {percent(row['high'], 1)})"


def _labels(found: Mapping[str, Any]) -> dict[str, Any] | None:
    labels = found["labels"]
    if labels is None:
        return None
    of_task: tuple[str, ...] = _MEASURED if found["task"] == "regression" else _KEPT
    names = [name for name in of_task if name in labels["metrics"]]
    columns = [("model's own", labels["before"]), ("in service", labels["metrics"])]
    columns += list(labels["periods"].items())[-_LATEST:]
    return {
        "n": labels["n"],
        "n_patients": labels["n_patients"],
        "unlabelled": labels["unlabelled"],
        "unanswered": labels["unanswered"],
        "not_applicable": labels["not_applicable"],
        "split": labels["split"],
        "columns": [name for name, _ in columns],
        "rows": [
            {
                "name": metric_name(name),
                "cells": [_figure(name, figures.get(name)) for _, figures in columns],
            }
            for name in names
        ],
        "notes": labels["notes"],
    }


def _figure(name: str, figure: Mapping[str, Any] | None) -> str:
    if figure is None:
        return "–"
    if figure.get("value") is None:
        return str(figure.get("reason") or "not defined")
    return figure_text(name, dict(figure))
