"""Pictures of what figures mean in use. Each function takes plain values and returns one inline SVG element."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from semeion.report.figures import unit_square
from semeion.report.svg import COLOURS, HAIR, MUTED, canvas, label, to_svg
from semeion.report.words import number

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_BAR = "#9db4c8"


def smooth_calibration(name: str, curve: Mapping[str, Any], bins: Mapping[str, Any]) -> str:
    """Return the smooth calibration curve with its band over the bins' shares, and where the cases lie."""
    with canvas() as (figure, axes):
        unit_square(axes, "Predicted probability", "Observed frequency")
        axes.plot([0, 1], [0, 1], color=MUTED, linewidth=0.9, linestyle=(0, (3, 3)))
        _band(axes, curve["x"], curve.get("low"), curve.get("high"))
        x, y = _finite(curve["x"], curve["y"])
        axes.plot(x, y, color=COLOURS[0], linewidth=2, marker="o" if len(x) == 1 else "")
        axes.plot(*_finite(bins.get("x", []), bins.get("y", [])), "o", ms=5, mfc="white", mec=COLOURS[0], mew=1.4)
        axes.set_ylim(-0.2, 1.02)
        most = max(bins.get("n") or [0])
        for at, n in zip(bins.get("x", []), bins.get("n") or [], strict=False):
            if at is not None and most:
                axes.plot([at, at], [-0.2, -0.2 + 0.15 * n / most], color=_BAR, linewidth=6, solid_capstyle="butt")
        words = "Observed frequency against predicted probability, smoothed, with a 95 % band; the diagonal is perfect."
        return to_svg(figure, name, "Calibration", words)


def decision_curve(name: str, curve: Mapping[str, Any]) -> str:
    """Return net benefit against the threshold probability: the model with its band, treating all, treating none."""
    with canvas(fitted=True) as (figure, axes):
        thresholds = curve["threshold"]
        _band(axes, thresholds, curve.get("low"), curve.get("high"))
        axes.plot(*_finite(thresholds, curve["model"]), color=COLOURS[0], linewidth=2, label="model")
        x, y = _finite(thresholds, curve["treat_all"])
        axes.plot(x, y, color=COLOURS[1], linewidth=1.6, linestyle=(0, (6, 2)), label="treat all")
        axes.axhline(0, color=MUTED, linewidth=1.4, linestyle=(0, (1, 2)), label="treat none")
        top = max([value for value in (*curve["model"], *(curve.get("high") or [])) if value is not None], default=0.1)
        top = max(top, 0.02)
        axes.set(
            xlim=(-0.02, 1.02),
            ylim=(-0.25 * top, 1.1 * top),
            xlabel="Risk from which one would act",
            ylabel="Net benefit",
        )
        axes.grid(color=HAIR, linewidth=0.6)
        axes.set_axisbelow(True)
        axes.legend(loc="upper right", frameon=True, framealpha=0.9, edgecolor="none", handlelength=2.2)
        words = "Net benefit of the model, of treating all and of treating none, against the risk from which one acts."
        return to_svg(figure, name, "Decision curve", words)


def risk_coverage(name: str, curve: Mapping[str, Any]) -> str:
    """Return the share of wrong calls against the share of cases that are answered, the surest first."""
    with canvas(fitted=True) as (figure, axes):
        _band(axes, curve["coverage"], curve.get("low"), curve.get("high"))
        axes.plot(*_finite(curve["coverage"], curve["risk"]), color=COLOURS[0], linewidth=2)
        values = [value for value in (*curve["risk"], *(curve.get("high") or [])) if value is not None]
        axes.set(xlim=(-0.02, 1.02), ylim=(0, max(0.05, min(1.0, 1.1 * max(values, default=0.05)))))
        axes.set(xlabel="Share of cases answered, the surest first", ylabel="Wrong among those answered")
        axes.grid(color=HAIR, linewidth=0.6)
        axes.set_axisbelow(True)
        words = "Share of wrong calls among the cases that are answered, against how many are answered."
        return to_svg(figure, name, "What abstaining would bring", words)


def coverage_of_sets(name: str, rows: Sequence[tuple[str, Mapping[str, Any]]], stated: float) -> str:
    """Return how often the truth was in the set, a dot with its interval per row, beside the stated share."""
    kept = [(title, row) for title, row in rows if row is not None and row.get("value") is not None]
    with canvas(4.6, 1.0 + 0.34 * max(len(kept), 1), fitted=True) as (figure, axes):
        axes.axvline(stated, color=MUTED, linewidth=1.2, linestyle=(0, (3, 3)))
        ends = [stated]
        for index, (_, row) in enumerate(kept):
            low, high = row.get("low"), row.get("high")
            if low is not None and high is not None:
                axes.plot([low, high], [index, index], color=COLOURS[0], linewidth=1.6, clip_on=False)
                ends.append(low)
            axes.plot(row["value"], index, "o", ms=6, color=COLOURS[0], clip_on=False)
            ends.append(row["value"])
        axes.set_yticks(range(len(kept)), [label(title, 18) for title, _ in kept])
        axes.set(ylim=(len(kept) - 0.4, -0.6), xlim=(max(0.0, min(0.8, min(ends) - 0.03)), 1.0))
        axes.set_xlabel("Share of cases whose set holds the truth")
        axes.locator_params(axis="x", nbins=5)
        axes.grid(color=HAIR, linewidth=0.6, axis="x")
        axes.set_axisbelow(True)
        axes.tick_params(axis="y", length=0)
        axes.spines["left"].set_visible(False)
        told = "; ".join(f"{label(title)} {number(row['value'], 2)}" for title, row in kept)
        words = f"Share of cases whose set of classes holds the truth, beside the stated {number(stated, 2)}: {told}."
        return to_svg(figure, name, "Sets of classes", words)


def _finite(x: Sequence[float | None], y: Sequence[float | None]) -> tuple[list[float], list[float]]:
    pairs = [(a, b) for a, b in zip(x, y, strict=False) if a is not None and b is not None]
    return [a for a, _ in pairs], [b for _, b in pairs]


def _band(
    axes: Axes, x: Sequence[float], low: Sequence[float | None] | None, high: Sequence[float | None] | None
) -> None:
    rows = [row for row in zip(x, low or [], high or [], strict=False) if None not in row]
    if rows:
        across, down, up = zip(*rows, strict=True)
        axes.fill_between(across, down, up, color=COLOURS[0], alpha=0.15, linewidth=0)
