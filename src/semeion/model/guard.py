"""Looks at what the networks saw of cases: which lie far from the training cases, and which divide the members."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from semeion.errors import ModelRefused
from semeion.model.engine import Engine
from semeion.model.findings import reason
from semeion.model.manifest import Manifest
from semeion.model.observing import Look
from semeion.model.pixel_statistics import statistics_of
from semeion.model.reference import Distances, Features, Reference, disagreeing, far_reasons

FEATURES = "features"


class Guard:
    """What a model's reference of its training cases says of new ones.

    Parameters
    ----------
    reference, manifest
        Of the model.
    engines
        By the path of the graph.

    Raises
    ------
    ModelRefused
        When the graph that distances are taken of gives other features, or none.
    """

    def __init__(self, reference: Reference, manifest: Manifest, engines: Mapping[str, Engine]) -> None:
        self.reference, self.manifest = reference, manifest
        self.pixels = None if reference.pixels is None else Distances(reference.pixels)
        self.distances: Distances | None = None
        self._engine: Engine | None = None
        self._own = False
        if reference.space is not None:
            self.distances = Distances(reference.space)
            file = reference.space.graph
            self._engine = engines[file]
            self._own = any(member.output == FEATURES for member in manifest.members if member.file == file)
            width = self._engine.n_outputs if self._own else reference.space.width
            if width != reference.space.width or not (self._own or FEATURES in self._engine.extras):
                raise ModelRefused(
                    f"the graph {file!r} does not give the {reference.space.width} features of the reference",
                    where=manifest.reference or "reference",
                    fix="get the model from its source again",
                )

    @property
    def wants(self) -> frozenset[str]:
        """Names of the further outputs that are looked at."""
        return frozenset() if self.distances is None else frozenset((FEATURES,))

    def reasons(self, look: Look, arrays: Sequence[npt.NDArray[np.uint8]]) -> list[tuple[str, ...]]:
        """Return for each case the coded reasons that it gives; `arrays` are the cases as the networks see them."""
        found: list[tuple[str, ...]] = [()] * len(arrays)
        if self.distances is not None:
            features = look.extras[self.distances.space.graph][FEATURES]
            found = far_reasons(self.distances, features, arrays, self._again)
        if self.pixels is not None:
            own = far_reasons(self.pixels, statistics_of(arrays), arrays, statistics_of, "pixels")
            found = [(*one, *other) for one, other in zip(found, own, strict=True)]
        if self.reference.disagreement is not None:
            members = [member.name for member in self.manifest.members]
            more = disagreeing(self.reference.disagreement, members, look.said, self.manifest.task)
            found = [(*one, *other) for one, other in zip(found, more, strict=True)]
        return [tuple(reason(*text.split(": ", 1)) for text in one) for one in found]

    def _again(self, batch: npt.NDArray[np.uint8]) -> Features:
        if self._engine is None:
            raise ValueError("there is nothing to look at again")
        return self._engine.run(batch) if self._own else self._engine.look(batch, (FEATURES,))[FEATURES]
