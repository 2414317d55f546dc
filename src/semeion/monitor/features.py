"""What is noted of the networks' features: a few directions of the training cases, never the features themselves."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from semeion.model.observing import Extras
from semeion.model.opening import place, read_listed
from semeion.model.reference import Distances, Reference, open_reference

if TYPE_CHECKING:
    from semeion.model.runtime import Model

Floats = npt.NDArray[np.float64]

DIRECTIONS = 16
DISTANCE = "feature_distance"
"""Column of the score by which the model itself knows a case that is far from the training cases."""


@dataclass(frozen=True)
class Projection:
    """How features are brought to a few numbers.

    Attributes
    ----------
    names
        Of the numbers; none of a model without a reference of its features.
    graph
        Path of the graph that gives the features.
    project
        Features ``(N, F)`` to ``(N, names)``.
    """

    names: tuple[str, ...]
    graph: str
    project: Callable[[npt.ArrayLike], Floats]

    @property
    def wants(self) -> frozenset[str]:
        """Outputs of the graphs that are needed."""
        return frozenset({"features"}) if self.names else frozenset()

    def of(self, extras: Mapping[str, Extras]) -> dict[str, float]:
        """Return the numbers of a case from its further outputs, by graph; nothing where the graph gave none."""
        features = extras.get(self.graph, {}).get("features") if self.names else None
        if features is None:
            return {}
        return dict(zip(self.names, self.project(features[None])[0].tolist(), strict=True))


def projection_of(reference: Reference | None) -> Projection:
    """Return the projection of a model by what it ships of its training cases: their first directions and distance."""
    if reference is None or reference.space is None:
        return Projection((), "", lambda _: np.zeros((0, 0)))
    distances = Distances(reference.space)
    kept = min(DIRECTIONS, len(reference.space.projection))

    def project(features: npt.ArrayLike) -> Floats:
        placed = distances.project(features)[:, :kept]
        return np.concatenate([placed, distances.scores(features)[:, None]], axis=1)

    names = (*(f"feature_{number}" for number in range(kept)), DISTANCE)
    return Projection(names, reference.space.graph, project)


def shipped_projection(model: Model) -> Projection:
    """Return the projection of a model; raises :class:`semeion.errors.ModelRefused` as its reference does."""
    file = model.manifest.reference
    if file is None:
        return projection_of(None)
    data = read_listed(model.path, file, model.manifest.files[file])
    return projection_of(open_reference(data, model.manifest, where=place(model.path, file)))
