"""The picture of a learning curve: points with intervals, the law with its band, dashed where it is a guess."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from semeion.report.svg import COLOURS, HAIR, MUTED, canvas, to_svg
from semeion.report.words import SHORT, count, figure_text, metric_name


def learning_curve(name: str, curve: Mapping[str, Any]) -> str:
    """Return the figure against the patients that were learned from, on a log scale.

    Parameters
    ----------
    name
        Unique on the page.
    curve
        The content of ``curve.json``.
    """
    law, points = curve["law"], curve["points"]
    short = SHORT.get(curve["metric"], metric_name(curve["metric"]))
    with canvas(6.2, 4.2, fitted=True) as (figure, axes):
        last = law["measured_to"]
        inside = [place for place, at in enumerate(law["at"]) if at <= last]
        beyond = [place for place, at in enumerate(law["at"]) if at >= last]
        carried = bool(curve["beyond"]["points"])
        if not curve["beyond"]["reason"]:
            _part(axes, law, inside, style="solid", alpha=0.16)
        if carried:
            axes.axvline(last, color=MUTED, linewidth=0.9, linestyle=(0, (1, 2)))
            _part(axes, law, beyond, style=(0, (5, 3)), alpha=0.07)
            axes.annotate(
                "a guess →", (last, 1.0), xycoords=("data", "axes fraction"), xytext=(5, -4),
                textcoords="offset points", va="top", fontsize=9.5, color=MUTED,
            )  # fmt: skip
        at = [row["patients"] for row in points]
        for row in points:
            axes.plot([row["patients"]] * 2, [row["low"], row["high"]], color=COLOURS[0], linewidth=1.4)
        axes.plot(at, [row["value"] for row in points], "s", ms=6, color=COLOURS[0])
        most = law["at"][-1] if carried else last
        axes.set_xscale("log")
        ticks = _apart([*at, *(row["patients"] for row in curve["beyond"]["points"] if row["times"] in (2.0, 4.0))])
        axes.set_xticks(ticks, [count(one) for one in ticks])
        axes.set_xticks([], minor=True)
        axes.set(xlim=(0.9 * at[0], 1.1 * most), xlabel="Patients learned from", ylabel=short)
        axes.grid(color=HAIR, linewidth=0.6, axis="y")
        axes.set_axisbelow(True)
        return to_svg(figure, name, "Learning curve", _words(curve))


def _part(axes: Any, law: Mapping[str, Any], places: Sequence[int], *, style: Any, alpha: float) -> None:
    at = [law["at"][place] for place in places]
    axes.fill_between(
        at, [law["low"][k] for k in places], [law["high"][k] for k in places],
        color=COLOURS[0], alpha=alpha, linewidth=0,
    )  # fmt: skip
    axes.plot(at, [law["value"][k] for k in places], color=COLOURS[0], linewidth=1.8, linestyle=style)


def _apart(sizes: Sequence[int]) -> list[int]:
    """Return the sizes whose numbers do not run into one another."""
    kept: list[int] = []
    for one in sorted(set(sizes)):
        if not kept or one >= 1.3 * kept[-1]:
            kept.append(one)
    return kept


def _words(curve: Mapping[str, Any]) -> str:
    key = curve["metric"]
    told = "; ".join(f"{row['patients']} patients {figure_text(key, row)}" for row in curve["points"])
    words = f"{SHORT.get(key, metric_name(key))} against patients learned from, each with its 95 % interval: {told}."
    guessed = curve["beyond"]["points"]
    if guessed:
        last = guessed[-1]
        words += f" Dashed, a guess by the power law: {last['patients']} patients {figure_text(key, last)}."
    return words
