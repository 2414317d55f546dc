"""What the networks saw of a case, for those who look on: explanations and the log of a model in service.

The rooms of explaining and monitoring stand on this one, so what they add to a reading is handed in, and every case is
run through the networks once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Protocol

import numpy as np
import numpy.typing as npt

from semeion.model.combine import Floats

if TYPE_CHECKING:
    from semeion.cohort.image import Image
    from semeion.cohort.volume import Volume
    from semeion.model.cases import Case
    from semeion.model.findings import Finding

Extras = Mapping[str, npt.NDArray[np.float32]]
"""Further outputs of a graph by their name, of one case without the axis of cases."""


@dataclass(frozen=True)
class Look:
    """What the networks of a model gave for a batch.

    Attributes
    ----------
    said
        Each member's probabilities (values), float64 ``(M, N, K)``, in the order of the manifest.
    extras
        By the path of a graph in the model folder, its further outputs that were asked for, float32 ``(N, ...)``; of a
        graph whose own output is features, that output too, as ``features``.
    """

    said: Floats
    extras: Mapping[str, Extras] = field(default_factory=dict)


@dataclass(frozen=True)
class Seen:
    """One case that was read, and what the networks saw of it.

    Attributes
    ----------
    case
        The case.
    findings
        What is said of it, one a label of a multi-label model.
    array
        The networks' input, uint8 ``(C, H, W)`` or ``(C, D, H, W)``; None where the case failed before them, and of a
        model that outlines.
    images
        The images as they were read, where the observer keeps them.
    said
        Each member's probabilities (values), float64 ``(M, K)``; None where the case failed, and of a model that
        outlines.
    extras
        As of :class:`Look`, of this case alone.
    """

    case: Case
    findings: Sequence[Finding]
    array: npt.NDArray[np.uint8] | None
    images: Sequence[Image | Volume]
    said: Floats | None
    extras: Mapping[str, Extras]


class Observer(Protocol):
    """Who looks on while cases are read."""

    @property
    def wants(self) -> frozenset[str]:
        """Names of further outputs of the graphs; what a graph does not give is left out."""

    @property
    def keeps_images(self) -> bool:
        """Whether :attr:`Seen.images` is needed."""

    def see(self, seen: Seen) -> str:
        """Look at a case; the path of an explanation that was written of it, or nothing."""


def show(observers: Sequence[Observer], seen: Seen) -> list[Finding]:
    """Show a case to observers, and return its findings with the path of the explanation that was written, if any."""
    paths = [path for observer in observers if (path := observer.see(seen))]
    return [replace(finding, explanation=paths[0]) for finding in seen.findings] if paths else list(seen.findings)
