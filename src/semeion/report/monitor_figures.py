"""Pictures of a model in service: evidence of change case by case, and figures period by period."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from semeion.report.monitor_words import statistic_name, stream_name
from semeion.report.svg import COLOURS, HAIR, MUTED, STYLES, canvas, label, to_svg

MOST_LINES = 6
MOST_GROUPS = 7


def evidence_picture(name: str, stream: Mapping[str, Any]) -> str:
    """Return how the evidence of a change grew with the cases, of the statistics with most of it."""
    rows = sorted(stream["statistics"], key=lambda row: -max(row["line"]["evidence"], default=0.0))[:MOST_LINES]
    rows = [row for row in rows if row["line"]["after"]]
    with canvas(7.4, 4.2, fitted=True) as (figure, axes):
        for number, row in enumerate(rows):
            axes.plot(
                row["line"]["after"],
                row["line"]["evidence"],
                color=COLOURS[number % len(COLOURS)],
                linestyle=STYLES[number % len(STYLES)],
                linewidth=1.5,
                label=label(statistic_name(row["statistic"]), 38),
            )
        axes.axhline(stream["limit"], color=MUTED, linewidth=1.0, linestyle=(0, (1, 2)), label="alarm")
        axes.set(xlabel="Cases", ylabel="Evidence of a change (log10)")
        axes.grid(color=HAIR, linewidth=0.6, axis="y")
        _legend(axes)
        told = "; ".join(f"{statistic_name(row['statistic'])} {row['evidence']:.2f}" for row in rows)
        whose = stream_name(stream["name"], stream["kind"])
        words = (
            f"Evidence of a change in {whose} after each case; an alarm above {stream['limit']:.2f}. At last: {told}."
        )
        return to_svg(figure, name, "Evidence of a change", words)


def lines_picture(
    name: str, title: str, axis: str, periods: Sequence[str], lines: Sequence[Mapping[str, Any]], trained: float | None
) -> str:
    """Return figures period by period.

    Parameters
    ----------
    name, title, axis
        Of the picture.
    periods
        In order.
    lines
        ``name``, and ``points``: by period ``value``, perhaps ``low`` and ``high``, perhaps ``limit``.
    trained
        The figure of the training cases.
    """
    place = {period: number for number, period in enumerate(periods)}
    with canvas(7.4, 3.7, fitted=True) as (figure, axes):
        for number, line in enumerate(lines):
            # A little beside one another, so that no interval hides another.
            aside = 0.06 * (number - (len(lines) - 1) / 2)
            at = [place[period] + aside for period in line["points"]]
            points = list(line["points"].values())
            style: dict[str, Any] = {"color": COLOURS[number % len(COLOURS)], "linewidth": 1.4}
            axes.plot(
                at,
                [one["value"] for one in points],
                marker="o",
                markersize=3.5,
                linestyle=STYLES[number % len(STYLES)],
                label=label(line["name"], 40),
                **style,
            )
            for x, one in zip(at, points, strict=True):
                if one.get("low") is not None and one.get("high") is not None:
                    axes.plot([x, x], [one["low"], one["high"]], alpha=0.6, **style)
            if number == 0 and all(one.get("limit") is not None for one in points):
                axes.plot(
                    at,
                    [one["limit"] for one in points],
                    color=MUTED,
                    linewidth=1.0,
                    linestyle=(0, (1, 2)),
                    label="95 of 100 are below, of all cases, without change",
                )
        if trained is not None:
            axes.axhline(trained, color=MUTED, linewidth=1.0, label="training cases")
        step = max(1, -(-len(periods) // 8))
        axes.set_xticks(list(range(0, len(periods), step)), _short(periods)[::step])
        axes.set(ylabel=axis)
        axes.grid(color=HAIR, linewidth=0.6, axis="y")
        _legend(axes)
        told = "; ".join(
            f"{line['name']}: " + ", ".join(f"{period} {one['value']:.3g}" for period, one in line["points"].items())
            for line in lines
        )
        return to_svg(figure, name, title, f"{title} by period. {told}.")


def _short(periods: Sequence[str]) -> list[str]:
    """Return periods as an axis has room for them: without the year where it is the same, else without its century."""
    same = len({one[:4] for one in periods}) == 1
    return [one[5:] if same else one[2:] for one in periods]


def _legend(axes: Any) -> None:
    """Put the legend below, so that long names leave the picture its width."""
    axes.legend(frameon=False, loc="upper left", bbox_to_anchor=(0, -0.17), ncols=2)


def by_stream(rows: Sequence[Mapping[str, Any]], value: str = "value") -> list[dict[str, Any]]:
    """Return rows of ``stream of period`` as lines of :func:`lines_picture`, the largest streams first."""
    lines: dict[tuple[str, str], dict[str, Any]] = {}
    sizes: dict[tuple[str, str], int] = {}
    for row in rows:
        if row[value] is None:
            continue
        key = (row["of"], row["stream"])
        line = lines.setdefault(key, {"name": stream_name(row["stream"], row["of"]), "points": {}})
        kept = {end: row.get(end) for end in ("low", "high", "limit")}
        line["points"][row["period"]] = {"value": row[value], **kept}
        sizes[key] = sizes.get(key, 0) + row["n"]
    order = sorted(lines, key=lambda key: (key[0] != "all", -sizes[key], key))
    return [lines[key] for key in order[:MOST_GROUPS]]
