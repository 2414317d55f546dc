"""Networks worth measuring for these images, best first."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal

SIZES = (224, 160, 128, 96, 64)
LAST_MAP = 8
"""Stages are added until the last map is at most this many pixels wide."""


@dataclass(frozen=True)
class Candidate:
    """A network with its input size.

    Attributes
    ----------
    size
        Height and width of the input in pixels.
    fit
        Whether images are padded or stretched to it.
    widths, stem_stride
        As in :class:`semeion.plan.schema.NetworkPlan`.
    batch
        Images a step.
    wants_members
        Members of full length that must be affordable (of three) before this candidate is chosen.
    """

    size: tuple[int, int]
    fit: Literal["pad", "stretch"]
    widths: tuple[int, ...]
    stem_stride: Literal[1, 2]
    batch: int
    wants_members: float

    def describe(self) -> str:
        """Return a short phrase, for example ``28 x 28 pixels, widths 24-48-96``."""
        return f"{self.size[0]} x {self.size[1]} pixels, widths {'-'.join(map(str, self.widths))}"


def candidates(facts: dict[str, Any]) -> list[Candidate]:
    """Return the ladder of candidates for a fingerprint: from the largest to the cheapest.

    Images up to 64 pixels keep their size. Larger ones are tried at fixed sizes up to 224, never enlarged. Sides keep
    the proportion of the images when these agree within 5 %, else the input is square and images are padded.
    """
    training = facts["training"]
    rows, cols, aspect = training["rows"], training["cols"], training["aspect"]
    uniform = aspect["p95"] <= 1.05 * aspect["p05"]
    longest = max(rows["median"], cols["median"])
    kept = aspect["median"] if uniform else None
    ladder = []
    if longest <= SIZES[-1]:
        side = max(12, math.ceil(longest / 4) * 4)
        for width, members in ((32, 8.0), (24, 1.5), (16, 1.5), (8, 1.0)):
            ladder.append(_candidate(side, kept, width, members))
        return ladder
    for side in SIZES:
        if side <= longest or side == SIZES[-1]:
            members = 3.0 if side > 128 else 2.0
            ladder += [_candidate(side, kept, width, members) for width in (24, 16)]
    ladder.append(_candidate(SIZES[-1], kept, 8, 1.0))
    return ladder


def _candidate(side: int, aspect: float | None, width: int, members: float) -> Candidate:
    height = width_ = side
    if aspect is not None and aspect < 1:
        height = max(8, round(side * aspect / 4) * 4)
    elif aspect is not None:
        width_ = max(8, round(side / aspect / 4) * 4)
    stem: Literal[1, 2] = 1 if side < 48 else 2
    stages = 1 + max(0, math.ceil(math.log2(side / stem / LAST_MAP)))
    widths = tuple(min(width * 2**stage, 256) for stage in range(min(stages, 6)))
    return Candidate(
        (height, width_), "stretch" if aspect is not None else "pad", widths, stem, 64 if side <= 96 else 32, members
    )
