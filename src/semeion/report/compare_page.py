"""``compare.html`` and ``compare.json``: two models on the same cases, in sentences, a table and pictures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from semeion.artefacts import write_bytes, write_json
from semeion.report.figures import roc
from semeion.report.performance import rule_words
from semeion.report.render import render
from semeion.report.svg import COLOURS, HAIR, MUTED, canvas, label, to_svg
from semeion.report.words import (
    HEADLINE,
    NAMES,
    SHORT,
    TASKS,
    TERMS,
    figure_text,
    metric_meaning,
    metric_name,
    number,
    plural,
    significant,
)

_IN_UNITS = ("mae", "rmse", "bias", "limit_low", "limit_high")
_SHOWN: dict[str, tuple[str, ...]] = {
    "binary": ("auroc", "auprc", "accuracy", "recall", "specificity", "precision", "f1", "brier"),
    "multiclass": ("auroc", "balanced_accuracy", "accuracy", "f1_macro", "brier"),
    "ordinal": ("kappa_quadratic", "balanced_accuracy", "accuracy", "auroc", "brier"),
    "multilabel": ("auroc", "auprc", "recall", "specificity", "precision", "brier"),
    "regression": ("mae", "rmse", "bias"),
}
"""Figures in the picture of differences: of one unit each."""
_MOST_CURVES = 6
_SPLITS = {
    "test": "test cases",
    "external": "cases of the split external",
    "oof": "out-of-fold cases",
    "val": "validation cases",
}
_TERMS = ("95 % interval", "Operating point", "ROC curve", "Out-of-fold", "Test cases")


def write_comparison(folder: Path, comparison: dict[str, Any]) -> None:
    """Write ``compare.json`` and ``compare.html`` into `folder`, each whole or not at all.

    Parameters
    ----------
    folder
        Made when absent.
    comparison
        The content of ``compare.json``; ``sentences`` is added to it.

    Raises
    ------
    MachineError
        When the folder cannot be written.
    """
    comparison["sentences"] = sentences(comparison)
    page = render("compare.html.j2", script=None, pictures=pictures(comparison), **comparison_content(comparison))
    write_json(folder / "compare.json", comparison)
    write_bytes(folder / "compare.html", page)


def sentences(comparison: Mapping[str, Any]) -> list[str]:
    """Return a sentence for each headline figure, the first one with the cases and patients."""
    figures = comparison["figures"]
    keys = [key for key in HEADLINE[comparison["task"]] if key in figures]
    on = f" on {plural(comparison['n'], 'case')}, {_patients(comparison)}"
    return [f"{difference_words(key, figures[key])}{on if key == keys[0] else ''}." for key in keys]


def difference_words(key: str, figure: Mapping[str, Any]) -> str:
    """Return what a difference says, without a full stop; never that two models are equal, which no interval shows."""
    name, gain = _within(SHORT.get(key, metric_name(key))), figure["difference"]
    if gain["value"] is None:
        return f"In {name} there is no difference to state: {gain.get('reason') or 'it is not defined'}"
    sign = -1 if figure["better"] == "lower" else 1
    if figure["verdict"] == "b":
        return f"B is better by {_amount(key, gain, sign)} in {name}"
    if figure["verdict"] == "a":
        return f"A is better by {_amount(key, gain, -sign)} in {name}"
    if figure["verdict"] == "differs":
        return f"In {name} the models differ: B less A is {_amount(key, gain, 1)}"
    if figure["verdict"] == "none":
        return f"No difference is shown in {name}: B less A is {_amount(key, gain, 1)}"
    why = gain.get("reason") or "no interval"
    shown = f"{_plain(key, gain['value'])}, without an interval" if gain["low"] is None else _amount(key, gain, 1)
    return f"Of {name} nothing can be said: B less A is {shown} ({why})"


def comparison_content(comparison: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the page shows, from the content of ``compare.json``."""
    figures = comparison["figures"]
    known = [key for key in NAMES if key in figures]
    order = [*known, *(key for key in figures if key not in NAMES)]
    headline = [key for key in HEADLINE[comparison["task"]] if key in figures]
    shown = [key for key in _SHOWN[comparison["task"]] if key in figures]
    main = [*headline, *(key for key in shown if key not in headline)]
    split = comparison["b" if comparison["a"]["split"] == "external" else "a"]["split"]
    return {
        "semeion": comparison["semeion"],
        "created": comparison["created"],
        "synthetic": comparison["synthetic"],
        "target": comparison["target"],
        "task": comparison["task"],
        "task_words": TASKS[comparison["task"]],
        "positive": comparison["positive"],
        "models": [_model(side, comparison[side]) for side in ("a", "b")],
        "sentences": comparison.get("sentences") or sentences(comparison),
        "lead": f"On {plural(comparison['n'], _SPLITS[split].replace('cases', 'case', 1), _SPLITS[split])}, "
        f"{_patients(comparison)}",
        "optimistic": "val" in (comparison["a"]["split"], comparison["b"]["split"]),
        "n": comparison["n"],
        "main": [_row(key, figures[key]) for key in main],
        "rest": [_row(key, figures[key]) for key in order if key not in main],
        "compared": len(figures),
        "targets": _targets(comparison),
        "calls": comparison["calls"],
        "curves": list(comparison["curves"])[:_MOST_CURVES],
        "curves_left_out": max(0, len(comparison["curves"]) - _MOST_CURVES),
        "method": next(
            (row["difference"]["method"] for row in figures.values() if row["difference"]["low"] is not None), ""
        ),
        "notes": comparison["notes"],
        "terms": [
            *({"term": term, "meaning": TERMS[term]} for term in _TERMS),
            *(
                {"term": NAMES[key], "meaning": words}
                for key in known
                if (words := metric_meaning(key, comparison["task"]))
            ),
        ],
    }


def pictures(comparison: Mapping[str, Any]) -> dict[str, str]:
    """Return the inline SVG: ``roc-0`` ... of each class or label, and ``differences``."""
    drawn: dict[str, str] = {}
    for index, curve in enumerate(list(comparison["curves"].values())[:_MOST_CURVES]):
        name = f"roc-{index}"
        drawn[name] = roc(name, {"A": curve["a"], "B": curve["b"]}, shipped=None)
    figures = comparison["figures"]
    rows = [(key, figures[key]) for key in _SHOWN[comparison["task"]] if key in figures]
    kept = [(key, figure) for key, figure in rows if figure["difference"]["value"] is not None]
    if kept:
        drawn["differences"] = forest_of_differences("differences", kept)
    return drawn


def forest_of_differences(name: str, rows: Sequence[tuple[str, Mapping[str, Any]]]) -> str:
    """Return one dot with its interval per figure, turned so that what lies right of the line is in favour of B.

    Parameters
    ----------
    name
        Unique on the page.
    rows
        Key and figure, whose difference has a value.
    """
    with canvas(5.0, 1.2 + 0.36 * len(rows), fitted=True) as (figure, axes):
        axes.axvline(0, color=MUTED, linewidth=1)
        words, reach = [], 0.0
        for index, (key, row) in enumerate(rows):
            gain, sign = row["difference"], -1 if row["better"] == "lower" else 1
            colour = COLOURS[0] if row["verdict"] in ("a", "b") else MUTED
            value = sign * gain["value"]
            reach = max(reach, abs(value))
            if gain["low"] is not None and gain["high"] is not None:
                low, high = sorted((sign * gain["low"], sign * gain["high"]))
                axes.plot([low, high], [index, index], color=colour, linewidth=1.8)
                reach = max(reach, abs(low), abs(high))
            axes.plot(value, index, "s", ms=6, color=colour)
            words.append(f"{SHORT.get(key, key)} {_amount(key, gain, 1)}")
        axes.set_yticks(range(len(rows)), [label(SHORT.get(key, metric_name(key)), 26) for key, _ in rows])
        reach = 1.08 * reach or 0.1
        axes.set(
            ylim=(len(rows) - 0.4, -0.6), xlim=(-reach, reach), xlabel="←  A better      difference      B better  →"
        )
        axes.locator_params(axis="x", nbins=6)
        axes.grid(color=HAIR, linewidth=0.6, axis="x")
        axes.set_axisbelow(True)
        axes.tick_params(axis="y", length=0)
        axes.spines["left"].set_visible(False)
        return to_svg(figure, name, "Differences", f"B less A with 95 % intervals: {'; '.join(words)}.")


def _row(key: str, figure: Mapping[str, Any]) -> dict[str, Any]:
    gain = figure["difference"]
    reasons = [gain.get("reason") or ""]
    if gain.get("delong") and gain["delong"]["low"] is not None:
        reasons.append(f"DeLong: {_signed(key, gain['delong']['low'])} to {_signed(key, gain['delong']['high'])}")
    return {
        "key": key,
        "name": metric_name(key),
        "a": figure_text(key, figure["a"]),
        "b": figure_text(key, figure["b"]),
        "difference": _signed(key, gain["value"]) if gain["value"] is not None else "not defined",
        "interval": "" if gain["low"] is None else f"{_signed(key, gain['low'])} to {_signed(key, gain['high'])}",
        "better": figure["better"],
        "verdict": figure["verdict"],
        "words": {
            "a": "A is better",
            "b": "B is better",
            "differs": "differs",
            "none": "no difference shown",
            "unknown": "nothing can be said",
        }[figure["verdict"]],
        "remark": "; ".join(filter(None, reasons)),
    }


def _targets(comparison: Mapping[str, Any]) -> dict[str, Any]:
    """Return the headline figures of each label of a multi-label target."""
    keys = HEADLINE[comparison["task"]]
    rows = [
        {"target": name, "figures": [_row(key, part["figures"][key]) for key in keys]}
        for name, part in comparison["targets"].items()
    ]
    return {"names": [SHORT.get(key, metric_name(key)) for key in keys], "rows": rows}


def _model(side: str, model: Mapping[str, Any]) -> dict[str, Any]:
    point = model.get("operating_point") or {}
    return {
        "letter": side.upper(),
        "source": model["source"],
        "split": model["split"],
        "left_out": model["left_out"],
        "point": number(point["value"]) if isinstance(point.get("value"), (int, float)) else "",
        "rule": rule_words(point),
    }


def _within(name: str) -> str:
    """Return a figure's name as it stands within a sentence; abbreviations and persons keep their capital."""
    return name[0].lower() + name[1:] if name[1:2].islower() and not name.startswith("Brier") else name


def _patients(comparison: Mapping[str, Any]) -> str:
    if not comparison["has_patients"]:
        return "no patients named"
    return plural(comparison["n_patients"], "patient")


def _plain(key: str, value: float) -> str:
    return significant(value) if key in _IN_UNITS else number(value)


def _signed(key: str, value: float) -> str:
    text = _plain(key, value)
    return f"+{text}" if value > 0 and text.strip("0.") else text


def _amount(key: str, gain: Mapping[str, Any], sign: int) -> str:
    """Return ``0.021 (0.004 to 0.040)``, turned by `sign`."""
    value = _plain(key, sign * gain["value"])
    if gain["low"] is None or gain["high"] is None:
        return value
    low, high = sorted((sign * gain["low"], sign * gain["high"]))
    return f"{value} ({_plain(key, low)} to {_plain(key, high)})"
