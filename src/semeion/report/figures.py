"""The pictures of a report. Each function takes plain values and returns one inline SVG element."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from semeion.report.svg import COLOURS, HAIR, INK, MUTED, STYLES, canvas, label, to_svg
from semeion.report.words import figure_text, metric_name, number

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MOST_CURVES = 8
"""Curves in one picture; more cannot be told apart."""


def unit_square(axes: Axes, across: str, up: str) -> None:
    """Make the axes a square from 0 to 1 with a quiet grid."""
    axes.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02), xlabel=across, ylabel=up, aspect="equal")
    ticks = [0, 0.2, 0.4, 0.6, 0.8, 1]
    axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
    axes.set_yticks(ticks, [f"{tick:g}" for tick in ticks])
    axes.grid(color=HAIR, linewidth=0.6)
    axes.set_axisbelow(True)


def _line(index: int) -> dict[str, Any]:
    # Eight colours times one style each; the style changes too, so that a grey print still tells curves apart.
    return {"color": COLOURS[index % len(COLOURS)], "linestyle": STYLES[index % len(STYLES)], "linewidth": 2}


def _points(curve: Mapping[str, Any], x: str = "x", y: str = "y") -> tuple[list[float], list[float]]:
    pairs = [
        (a, b) for a, b in zip(curve.get(x, []), curve.get(y, []), strict=False) if a is not None and b is not None
    ]
    return [a for a, _ in pairs], [b for _, b in pairs]


def _band(axes: Axes, curve: Mapping[str, Any], colour: str) -> None:
    rows = zip(curve.get("x", []), curve.get("low") or [], curve.get("high") or [], strict=False)
    kept = [row for row in rows if None not in row]
    if kept:
        x, low, high = zip(*kept, strict=True)
        axes.fill_between(x, low, high, color=colour, alpha=0.15, linewidth=0)


def roc(
    name: str, curves: Mapping[str, Mapping[str, Any]], *, shipped: tuple[float, float] | None, area: str = ""
) -> str:
    """Return the ROC curves; `shipped` is (1 - specificity, sensitivity) at the operating point."""
    with canvas() as (figure, axes):
        unit_square(axes, "1 − specificity (false alarms)", "Sensitivity")
        axes.plot([0, 1], [0, 1], color=MUTED, linewidth=0.9, linestyle=(0, (3, 3)))
        for index, (title, curve) in enumerate(curves.items()):
            x, y = _points(curve)
            axes.plot(x, y, label=label(title), **_line(index))
            _band(axes, curve, COLOURS[index % len(COLOURS)])
        if shipped:
            axes.plot(*shipped, "o", ms=8, mfc="white", mec=COLOURS[0], mew=2, label="operating point", zorder=5)
        if len(curves) > 1 or shipped:
            _legend(axes, "lower right", single=len(curves) == 1)
        words = f"Sensitivity against false alarms for {_listed(curves)}{area}."
        if shipped:
            words += f" At the operating point: sensitivity {shipped[1]:.2f}, false alarms {shipped[0]:.2f}."
        return to_svg(figure, name, "ROC curve", words, mark=axes if len(curves) == 1 else None)


def precision_recall(
    name: str,
    curves: Mapping[str, Mapping[str, Any]],
    *,
    shipped: tuple[float, float] | None = None,
    base: float | None = None,
) -> str:
    """Return the precision-recall curves; `base` is the share of positive cases, `shipped` (recall, precision)."""
    with canvas() as (figure, axes):
        unit_square(axes, "Sensitivity (recall)", "Positive predictive value (precision)")
        if base is not None:
            axes.axhline(base, color=MUTED, linewidth=0.9, linestyle=(0, (3, 3)), label=f"chance, {number(base, 2)}")
        for index, (title, curve) in enumerate(curves.items()):
            x, y = _points(curve)
            axes.plot(x, y, label=label(title), **_line(index))
            _band(axes, curve, COLOURS[index % len(COLOURS)])
        if shipped:
            axes.plot(*shipped, "o", ms=8, mfc="white", mec=COLOURS[0], mew=2, label="operating point", zorder=5)
        if len(curves) > 1 or shipped or base is not None:
            _legend(axes, "lower left", single=len(curves) == 1)
        words = f"Positive predictive value against sensitivity for {_listed(curves)}."
        return to_svg(figure, name, "Precision-recall curve", words)


def calibration(name: str, curves: Mapping[str, Mapping[str, Any]]) -> str:
    """Return observed frequency against predicted probability, with intervals where there are some."""
    with canvas() as (figure, axes):
        unit_square(axes, "Predicted probability", "Observed frequency")
        axes.plot([0, 1], [0, 1], color=MUTED, linewidth=0.9, linestyle=(0, (3, 3)))
        for index, (title, curve) in enumerate(curves.items()):
            x, y = _points(curve)
            style = _line(index)
            if len(curves) == 1:
                for at, low, high in zip(
                    curve.get("x", []), curve.get("low") or [], curve.get("high") or [], strict=False
                ):
                    if None not in (at, low, high):
                        axes.plot([at, at], [low, high], color=style["color"], linewidth=1.4)
            axes.plot(x, y, marker="o", ms=5.5, label=label(title), **{**style, "linewidth": 1.4})
        if len(curves) == 1:
            _bars(axes, next(iter(curves.values())))
        else:
            _legend(axes, "upper left")
        words = f"Observed frequency against predicted probability for {_listed(curves)}; the diagonal is perfect."
        return to_svg(figure, name, "Calibration", words)


def _bars(axes: Axes, curve: Mapping[str, Any]) -> None:
    """Bars in a strip below the unit square: how many cases lie at each probability."""
    axes.set_ylim(-0.2, 1.02)
    rows = [(x, n) for x, n in zip(curve.get("x", []), curve.get("n") or [], strict=False) if x is not None and n]
    most = max((n for _, n in rows), default=0)
    for x, n in rows:
        axes.plot([x, x], [-0.2, -0.2 + 0.15 * n / most], color="#9db4c8", linewidth=7, solid_capstyle="butt")


def confusion(name: str, classes: Sequence[str], counts: Sequence[Sequence[int]]) -> str:
    """Return the confusion matrix: counts, and their share of the true class as shade and text."""
    k = len(classes)
    side = min(max(4.3, 0.55 * k + 2.0), 8.5)
    with canvas(side + 0.3, side, fitted=True) as (figure, axes):
        from matplotlib.colors import LinearSegmentedColormap
        from matplotlib.patches import Rectangle

        shades = LinearSegmentedColormap.from_list("shade", ["#ffffff", "#0b5394"])
        size = 13 if k <= 3 else max(12 - 0.3 * k, 6.5)
        for row, line in enumerate(counts):
            total = sum(line)
            for column, cases in enumerate(line):
                share = cases / total if total else 0.0
                box = Rectangle((column, row), 1, 1, facecolor=shades(0.92 * share), edgecolor="white", linewidth=2)
                axes.add_patch(box)
                ink = "white" if share > 0.5 else INK
                middle: dict[str, Any] = {"ha": "center", "va": "center", "color": ink}
                if k <= 5:
                    axes.text(column + 0.5, row + 0.38, str(cases), fontsize=size, **middle)
                    axes.text(column + 0.5, row + 0.68, f"{share:.0%}", fontsize=max(size - 2.5, 8), **middle)
                else:
                    axes.text(column + 0.5, row + 0.5, str(cases), fontsize=size, **middle)
        names = [label(one, 16 if k <= 6 else 12) for one in classes]
        at = [index + 0.5 for index in range(k)]
        turned = k > 3 or max(map(len, names), default=0) > 12 * 3 / max(k, 1)
        axes.set_xticks(at, names, rotation=40 if turned else 0, ha="right" if turned else "center")
        upright = k <= 3
        axes.set_yticks(at, names, rotation=90 if upright else 0, va="center")
        axes.set(xlim=(0, k), ylim=(k, 0), xlabel="Call of the model", ylabel="Truth", aspect="equal")
        axes.tick_params(length=0)
        axes.spines[:].set_visible(False)
        rows = "; ".join(
            f"of {sum(line)} {label(classes[row])}: "
            + ", ".join(f"{n} called {label(classes[column])}" for column, n in enumerate(line))
            for row, line in enumerate(counts[:8])
        )
        return to_svg(figure, name, "Confusion matrix", f"Cases by truth and call: {rows}.")


def scatter(name: str, truth: Sequence[float], predicted: Sequence[float], target: str) -> str:
    """Return predicted against measured values, with the line of identity."""
    with canvas(fitted=True) as (figure, axes):
        low, high = _range([*truth, *predicted])
        axes.plot([low, high], [low, high], color=MUTED, linewidth=0.9, linestyle=(0, (3, 3)))
        axes.plot(truth, predicted, "o", ms=4.5, color=COLOURS[0], alpha=0.45, mew=0)
        short = label(target, 20)
        axes.set(xlim=(low, high), ylim=(low, high), aspect="equal")
        axes.set(xlabel=f"Measured {short}", ylabel=f"Predicted {short}")
        axes.grid(color=HAIR, linewidth=0.6)
        axes.set_axisbelow(True)
        words = f"{len(truth)} cases: predicted against measured {label(target)}; the diagonal is perfect."
        return to_svg(figure, name, "Predicted against measured", words)


def residuals(
    name: str,
    truth: Sequence[float],
    predicted: Sequence[float],
    target: str,
    agreement: Mapping[str, Mapping[str, Any]] | None = None,
) -> str:
    """Return the difference, predicted less measured, against the measured value, with bias and limits of agreement.

    Bland and Altman, Lancet 327:307 (1986). Against the measured value and not the mean of both, as one of them is the
    reference (Krouwer, Stat Med 27:778, 2008). `agreement` holds the figures ``bias limit_low limit_high``.
    """
    lines = {key: entry for key, entry in (agreement or {}).items() if entry.get("value") is not None}
    with canvas(fitted=True) as (figure, axes):
        low, high = _range(truth)
        differences = [b - a for a, b in zip(truth, predicted, strict=True)]
        ends = [entry[end] for entry in lines.values() for end in ("low", "value", "high") if entry[end] is not None]
        widest = max((abs(value) for value in [*differences, *ends]), default=1.0) * 1.1 or 1.0
        axes.axhline(0, color=MUTED, linewidth=0.9, linestyle=(0, (3, 3)))
        for key, entry in lines.items():
            if entry["low"] is not None and entry["high"] is not None:
                axes.axhspan(entry["low"], entry["high"], color=COLOURS[1], alpha=0.15, linewidth=0)
            style = "-" if key == "bias" else (0, (6, 3))
            axes.axhline(entry["value"], color=COLOURS[1], linewidth=1.6, linestyle=style)
            said = {"bias": "bias", "limit_low": "lower limit", "limit_high": "upper limit"}[key]
            axes.text(1.01, entry["value"], said, transform=axes.get_yaxis_transform(), va="center", fontsize=9)
        axes.plot(truth, differences, "o", ms=4.5, color=COLOURS[0], alpha=0.45, mew=0)
        axes.set(xlim=(low, high), ylim=(-widest, widest))
        axes.set(xlabel=f"Measured {label(target, 20)}", ylabel="Predicted − measured")
        axes.grid(color=HAIR, linewidth=0.6)
        axes.set_axisbelow(True)
        words = "Difference of prediction and measurement against the measured value; above zero is too high."
        if lines:
            told = [f"{metric_name(key)} {figure_text(key, dict(entry))}" for key, entry in lines.items()]
            words += f" {'; '.join(told)}."
        return to_svg(figure, name, "Where the prediction is too high or too low", words)


def forest(name: str, rows: Sequence[tuple[str, Mapping[str, Any]]], across: str, *, unit: bool) -> str:
    """Return one dot with its interval per row, the first row on top. `unit` bounds the axis to at most 0..1."""
    kept = [(title, figure) for title, figure in rows if figure.get("value") is not None]
    with canvas(4.6, 0.9 + 0.36 * max(len(kept), 1), fitted=True) as (figure, axes):
        values: list[float] = []
        for index, (_, row) in enumerate(kept):
            low, high = row.get("low"), row.get("high")
            if low is not None and high is not None:
                axes.plot([low, high], [index, index], color=COLOURS[0], linewidth=1.6, clip_on=False)
                values += [low, high]
            axes.plot(row["value"], index, "s", ms=6, color=COLOURS[0], clip_on=False)
            values.append(row["value"])
        axes.set_yticks(range(len(kept)), [label(title, 18) for title, _ in kept])
        low, high = _range(values)
        if unit:
            low, high = max(min(low, 0.9), 0.0 if min(values, default=0) >= 0 else -1.0), 1.0
        axes.set(ylim=(len(kept) - 0.4, -0.6), xlim=(low, high), xlabel=across)
        axes.locator_params(axis="x", nbins=6)
        axes.grid(color=HAIR, linewidth=0.6, axis="x")
        axes.set_axisbelow(True)
        axes.tick_params(axis="y", length=0)
        axes.spines["left"].set_visible(False)
        words = "; ".join(f"{label(title)} {number(row['value'], 2)}" for title, row in kept[:30])
        return to_svg(figure, name, across, f"{across}: {words}.")


def _range(values: Sequence[float]) -> tuple[float, float]:
    low, high = min(values, default=0.0), max(values, default=1.0)
    margin = 0.05 * (high - low) or 0.5
    return low - margin, high + margin


def _listed(curves: Mapping[str, Any]) -> str:
    return ", ".join(label(title) for title in curves)


def _legend(axes: Axes, place: Any, *, single: bool = False) -> None:
    handles, titles = axes.get_legend_handles_labels()
    if single:  # the one curve needs no name
        kept = [
            pair for pair in zip(handles, titles, strict=True) if pair[1] == "operating point" or "chance," in pair[1]
        ]
        handles, titles = [pair[0] for pair in kept], [pair[1] for pair in kept]
    if handles:
        axes.legend(handles, titles, loc=place, frameon=True, framealpha=0.9, edgecolor="none", handlelength=2.2)
