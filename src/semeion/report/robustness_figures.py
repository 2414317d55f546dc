"""Small pictures of robustness, one a degradation and all on one scale, each one inline SVG element."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from semeion.report.svg import COLOURS, HAIR, MUTED, canvas, to_svg
from semeion.report.words import figure_text


def curve(
    name: str, part: Mapping[str, Any], main: Mapping[str, str], whole: Mapping[str, Any], span: tuple[float, float]
) -> str:
    """Return a figure with its band against strength, evenly spaced; the dashed line is of the images as they are.

    Parameters
    ----------
    name
        Prefixes ids.
    part
        ``title unit rows``; a row has ``label`` and ``figures``.
    main
        ``key`` and ``name`` of the figure that is drawn.
    whole
        The figure on the images as they are.
    span
        Of the axis, the same for all.
    """
    key = main["key"]
    figures = [whole, *(row["figures"][key] for row in part["rows"])]
    labels = ["as is", *(row["label"] for row in part["rows"])]
    with canvas(3.1, 2.5, fitted=True) as (figure, axes):
        if whole["value"] is not None:
            axes.axhline(whole["value"], color=MUTED, linewidth=1.1, linestyle=(0, (4, 3)))
        ends = [(n, one["low"], one["high"]) for n, one in enumerate(figures)]
        banded = [one for one in ends if None not in one]
        if banded:
            x, low, high = zip(*banded, strict=True)
            axes.fill_between(x, low, high, color=COLOURS[0], alpha=0.15, linewidth=0)
        known = [(n, one["value"]) for n, one in enumerate(figures) if one["value"] is not None]
        places, values = [n for n, _ in known], [value for _, value in known]
        axes.plot(places, values, color=COLOURS[0], linewidth=2, marker="o", ms=4.5)
        axes.set(xlim=(-0.25, len(figures) - 0.75), ylim=span, xlabel=part["unit"], ylabel=main["name"])
        axes.set_xticks(range(len(labels)), labels)
        axes.grid(axis="y", color=HAIR, linewidth=0.6)
        axes.set_axisbelow(True)
        told = "; ".join(f"{label}: {figure_text(key, one)}" for label, one in zip(labels, figures, strict=True))
        words = f"{main['name']} by strength ({part['unit']}), with a 95 % band. {told}."
        return to_svg(figure, name, part["title"], words)
