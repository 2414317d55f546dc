"""Pictures of a search: losses with the best so far, what mattered, and each setting against loss."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from semeion.report.svg import COLOURS, HAIR, INK, MUTED, STYLES, canvas, label, to_svg

COLUMNS = 3
Folds = Sequence[Mapping[str, Any]]


def history(name: str, folds: Folds, loss: str) -> str:
    """Return the loss of every trial in turn, with the best so far as a line.

    Of several folds each loss is taken less that of the planned settings, since cases of one fold are harder than those
    of another.

    Parameters
    ----------
    name
        Prefixes ids.
    folds
        Rows of :func:`semeion.report.search.search_content`.
    loss
        What the loss is called.
    """
    several = len(folds) > 1
    from matplotlib.ticker import MaxNLocator

    with canvas(6.2, 3.6, fitted=True) as (figure, axes):
        told, ends, behind = [], [], []
        for place, row in enumerate(folds):
            colour, style = COLOURS[place % len(COLOURS)], STYLES[place % len(STYLES)]
            base = _base(row) if several else 0.0
            whole, early = _points(row, "complete", base), _points(row, "pruned", base)
            _mark(axes, early, colour, hollow=True)
            _mark(axes, whole, colour, hollow=False)
            best = np.minimum.accumulate([value for _, value in whole]) if whole else np.empty(0)
            if len(best):
                last = max(one["number"] for one in row["tried"]) + 1
                at = [number + 1 for number, _ in whole]
                axes.step(
                    [*at, last], [*best, best[-1]], where="post", color=colour, linestyle=style, linewidth=1.8,
                    label=row["place"] if several else "best so far",
                )  # fmt: skip
                told.append(f"{row['place']}: best {best[-1]:.3g} after {last} trials")
            ends += [value for _, value in whole]
            behind += [value for _, value in early]
        planned = 0.0 if several else _base(folds[0])
        axes.axhline(planned, color=MUTED, linewidth=1.0, linestyle=(0, (1, 2)), label="planned settings")
        _limits(axes, [*ends, planned], behind)
        title = f"{loss} less that of the planned settings" if several else loss[:1].upper() + loss[1:]
        axes.set(xlabel="Trial", ylabel=title[:1].upper() + title[1:])
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.grid(axis="y", color=HAIR, linewidth=0.6)
        axes.set_axisbelow(True)
        axes.legend(frameon=False, loc="lower right", bbox_to_anchor=(1.0, 1.0), borderaxespad=0.2, ncols=3)
        words = f"{title} of each trial, with the best so far. {'; '.join(told)}."
        return to_svg(figure, name, "Trials in turn", words)


def importance(name: str, mattered: Sequence[Mapping[str, Any]], title: str) -> str:
    """Return bars of each setting's share in how the losses differ, the weightiest on top."""
    rows = list(mattered)[::-1]
    with canvas(6.2, 0.7 + 0.28 * len(rows), fitted=True) as (figure, axes):
        shares = [row["share"] for row in rows]
        axes.barh(range(len(rows)), shares, color=COLOURS[0], height=0.62)
        axes.set_yticks(range(len(rows)), [label(row["title"], 34) for row in rows])
        for place, share in enumerate(shares):
            axes.text(share + 0.01, place, f"{share:.0%}", va="center", fontsize=9.5, color=INK)
        axes.set(xlim=(0, max(shares) * 1.15 + 0.02), xlabel="Share in how the losses differ")
        axes.xaxis.set_major_formatter(lambda value, _: f"{value:.0%}")
        axes.tick_params(axis="y", length=0)
        told = "; ".join(f"{row['title']} {row['share']:.0%}" for row in mattered)
        return to_svg(figure, name, f"What mattered: {title}", f"Share in how the losses differ. {told}.")


def settings(name: str, knobs: Sequence[Mapping[str, Any]], folds: Folds, loss: str) -> str:
    """Return small pictures, one a setting: its value against the loss of each trial; a dotted line is the plan's."""
    several = len(folds) > 1
    columns = min(COLUMNS, len(knobs))
    rows = math.ceil(len(knobs) / columns)
    with canvas(6.9, 1.95 * rows + 0.2, fitted=True) as (figure, first):
        first.remove()
        grid = figure.subplots(rows, columns, sharey=True, squeeze=False)
        ends, behind = (
            [value for row in folds for _, value in _points(row, state, _base(row) if several else 0.0)]
            for state in ("complete", "pruned")
        )
        for place, axes in enumerate(grid.ravel()):
            if place >= len(knobs):
                axes.remove()
                continue
            _setting(axes, knobs[place], folds, several=several)
            _limits(axes, ends, behind)
        wanted = f"{loss}, less planned" if several else loss
        figure.supylabel(wanted[:1].upper() + wanted[1:], fontsize=10.5, color=INK)
        told = ", ".join(str(knob["title"]) for knob in knobs)
        words = f"{wanted} of each trial against each setting: {told}."
        return to_svg(figure, name, "Each setting against the loss", words)


def _setting(axes: Any, knob: Mapping[str, Any], folds: Folds, *, several: bool) -> None:
    choices, key = list(knob["choices"]), knob["name"]

    def at(value: Any) -> float:
        return float(choices.index(value)) if choices else float(value)

    axes.axvline(at(knob["planned"]), color=MUTED, linewidth=1.0, linestyle=(0, (1, 2)))
    for place, row in enumerate(folds):
        colour, base = COLOURS[place % len(COLOURS)], _base(row) if several else 0.0
        for state in ("pruned", "complete"):
            values = dict(_points(row, state, base))
            points = [
                (at(one["params"][key]), values[one["number"]]) for one in row["tried"] if one["number"] in values
            ]
            _mark(axes, [(x, y) for x, y in points], colour, hollow=state == "pruned", shift=0.0)
    if choices:
        words = ["yes" if one is True else "no" if one is False else f"{one:g}" for one in choices]
        axes.set_xticks(range(len(choices)), words)
        axes.set_xlim(-0.5, len(choices) - 0.5)
    elif knob["log"]:
        axes.set_xscale("log")
        ends = [knob["low"], math.sqrt(knob["low"] * knob["high"]), knob["high"]]
        axes.set_xticks(ends, [f"{one:.2g}" for one in ends])
        axes.set_xticks([], minor=True)
    elif isinstance(knob["low"], int):
        axes.set_xticks(range(knob["low"], knob["high"] + 1))
    axes.set_title(label(knob["title"], 30), fontsize=9.5, color=INK, loc="left")
    axes.grid(axis="y", color=HAIR, linewidth=0.6)
    axes.set_axisbelow(True)
    axes.tick_params(labelsize=8.5)


def _base(row: Mapping[str, Any]) -> float:
    return float(row["planned_loss"]) if row["planned_loss"] is not None else 0.0


def _points(row: Mapping[str, Any], state: str, base: float) -> list[tuple[int, float]]:
    return [
        (one["number"], one["loss"] - base) for one in row["tried"] if one["state"] == state and one["loss"] is not None
    ]


def _mark(axes: Any, points: Sequence[tuple[float, float]], colour: str, *, hollow: bool, shift: float = 1.0) -> None:
    if points:
        x, y = [at + shift for at, _ in points], [value for _, value in points]
        face = "none" if hollow else colour
        axes.scatter(x, y, s=16, facecolors=face, edgecolors=colour, linewidths=0.9, alpha=0.65 if hollow else 0.95)


def _limits(axes: Any, values: Sequence[float], behind: Sequence[float]) -> None:
    """Show all that was finished, and three quarters of what was ended early, at losses of early looks."""
    if len(values):
        low, high = min(values), max([*values, *([float(np.percentile(behind, 75))] if len(behind) else [])])
        room = 0.08 * (high - low) or 0.05 * abs(high) or 0.05
        axes.set_ylim(low - room, high + room)
