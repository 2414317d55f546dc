"""A figure of the model beside the same figure of something else: what every such table says of the difference."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from semeion.report.evidence import Evidence, Metric
from semeion.report.words import HEADLINE, SHORT, metric_name


def rows_beside(
    evidence: Evidence,
    split: str | None,
    other: Mapping[str, Any],
    differences: Mapping[str, Any],
    verdicts: Mapping[str, str],
) -> Iterator[tuple[Metric, Metric, Metric, dict[str, Any]]]:
    """Yield each headline figure that both have and whose difference is known.

    Parameters
    ----------
    evidence
        Of the model.
    split
        Of the figures.
    other, differences
        The other's figures, and the differences, by key.
    verdicts
        What the verdict of a difference means here, in words.

    Yields
    ------
    tuple
        The model's figure, the other's, their difference, and ``{key, name, difference, verdict, words}``.
    """
    own = evidence.metrics.get(split or "", {})
    for key in HEADLINE[evidence.task]:
        if key not in own or key not in other or key not in differences:
            continue
        verdict, gain = str(differences[key].get("verdict", "unknown")), Metric.model_validate(differences[key])
        words = verdicts.get(verdict, verdict)
        told = {
            "key": key,
            "name": SHORT.get(key, metric_name(key)),
            "difference": gain.model_dump(),
            "verdict": verdict,
            "words": f"{words} ({gain.reason})" if verdict == "unknown" and gain.reason else words,
        }
        yield own[key], Metric.model_validate(other[key]), gain, told
