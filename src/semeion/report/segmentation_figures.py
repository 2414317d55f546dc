"""Pictures of a segmentation's report: how Dice is spread, and how volumes agree."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from semeion.report.svg import COLOURS, HAIR, MUTED, canvas, label, to_svg
from semeion.report.words import number, significant

MOST_LABELS = 12


def dice_spread(name: str, values: Mapping[str, Sequence[float]]) -> str:
    """Return one row a label: a dot for each case, and a bar at the median.

    Dots are moved apart downwards by their rank, the same for the same values.
    """
    kept = {title: [v for v in dots if v is not None] for title, dots in list(values.items())[:MOST_LABELS]}
    with canvas(4.6, 1.0 + 0.55 * max(len(kept), 1), fitted=True) as (figure, axes):
        for index, dots in enumerate(kept.values()):
            ordered = sorted(dots)
            apart = [index + 0.24 * ((rank * 0.618034) % 1 - 0.5) for rank in range(len(ordered))]
            axes.plot(ordered, apart, "o", ms=4, alpha=0.65, color=COLOURS[index % len(COLOURS)], mew=0, clip_on=False)
            if ordered:
                middle = _median(ordered)
                axes.plot([middle, middle], [index - 0.3, index + 0.3], color=MUTED, linewidth=2)
        axes.set_yticks(range(len(kept)), [label(title, 18) for title in kept])
        low = min([0.9, *(v for dots in kept.values() for v in dots)])
        axes.set(xlim=(max(0.0, low - 0.03), 1.0), ylim=(len(kept) - 0.4, -0.6), xlabel="Dice")
        axes.locator_params(axis="x", nbins=6)
        axes.grid(color=HAIR, linewidth=0.6, axis="x")
        axes.set_axisbelow(True)
        axes.tick_params(axis="y", length=0)
        axes.spines["left"].set_visible(False)
        words = "; ".join(
            f"{label(title)}: median {number(_median(sorted(dots)), 2)}, lowest {number(min(dots), 2)}"
            for title, dots in kept.items()
            if dots
        )
        return to_svg(figure, name, "Dice of each case", f"One dot a case. {words}.")


def bland_altman(
    name: str, title: str, reference: Sequence[float], predicted: Sequence[float], agreement: Mapping[str, Any]
) -> str:
    """Return the difference of volumes against their mean, with bias and limits of agreement."""
    means = [(a + b) / 2 for a, b in zip(reference, predicted, strict=True)]
    differences = [b - a for a, b in zip(reference, predicted, strict=True)]
    bias, low, high = (agreement[key]["value"] for key in ("bias", "limit_low", "limit_high"))
    with canvas(fitted=True) as (figure, axes):
        axes.plot(means, differences, "o", ms=4.5, alpha=0.7, color=COLOURS[0], mew=0)
        for value, style, words in (
            (0.0, (0, (3, 3)), ""),
            (bias, "solid", "bias"),
            (low, (0, (6, 2)), "95 % limits"),
            (high, (0, (6, 2)), ""),
        ):
            if value is not None:
                colour = MUTED if value == 0.0 and not words else COLOURS[1]
                axes.axhline(value, color=colour, linewidth=1.2, linestyle=style, label=words or None)
        axes.set(xlabel="Mean of both volumes (ml)", ylabel="Predicted minus reference (ml)")
        axes.grid(color=HAIR, linewidth=0.6)
        axes.set_axisbelow(True)
        if bias is not None:
            axes.legend(loc="best", frameon=True, framealpha=0.9, edgecolor="none")
        words = f"Volumes of {label(title)}: bias {significant(bias)} ml"
        if low is not None and high is not None:
            words += f", limits of agreement {significant(low)} to {significant(high)} ml"
        return to_svg(figure, name, f"Agreement of volumes, {label(title)}", f"{words}.")


def _median(ordered: Sequence[float]) -> float:
    n = len(ordered)
    return ordered[n // 2] if n % 2 else (ordered[n // 2 - 1] + ordered[n // 2]) / 2
