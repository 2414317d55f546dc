"""Like whom: the training cases nearest to a case, with their reference standard, where the model ships them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from semeion.errors import InputError
from semeion.model.guard import FEATURES
from semeion.model.neighbours import NEAREST, Near, Neighbours, nearest, open_neighbours
from semeion.model.observing import Seen
from semeion.model.opened_members import read_reference
from semeion.model.opening import place, read_listed
from semeion.model.reference import Distances

if TYPE_CHECKING:
    from semeion.model.runtime import Model

WANTS = frozenset({FEATURES})
"""What an observer must ask of the graphs."""


class Likeness:
    """Finds the nearest training cases.

    Parameters
    ----------
    model
        One that ships neighbours.

    Raises
    ------
    InputError
        When the model ships none.
    ModelRefused
        When its file does not fit it.
    """

    def __init__(self, model: Model) -> None:
        manifest, file = model.manifest, model.manifest.neighbours
        if file is None:
            raise InputError(
                "the model ships no training cases, so that none can be shown",
                where=str(model.path),
                fix="train with --ship-neighbours, which puts features and case ids of patients into the model",
            )
        reference = read_reference(model.path, manifest)
        data = read_listed(model.path, file, manifest.files[file])
        self.neighbours: Neighbours = open_neighbours(data, manifest, reference, where=place(model.path, file))
        if reference is None or reference.space is None:
            raise ValueError("neighbours without a space are refused when they are opened")
        self.distances = Distances(reference.space)

    def find(self, seen: Seen, most: int = NEAREST) -> list[Near]:
        """Return the training cases nearest to a case, the nearest first; none of a case that failed.

        Raises
        ------
        InputError
            When the graph was not asked for its features, see :data:`WANTS`.
        """
        if seen.said is None:
            return []
        given = seen.extras.get(self.neighbours.graph, {})
        if FEATURES not in given:
            raise InputError(
                "the graph did not give its features", where=self.neighbours.graph, fix="ask for them: WANTS"
            )
        return nearest(self.neighbours, self.distances, given[FEATURES], most)

    def sentence(self, near: list[Near]) -> str:
        """Return the nearest cases in words, and whether they are near."""
        if not near:
            return ""
        told = ", ".join(f"{one.case} ({one.standard}, distance {one.distance:.3g})" for one in near)
        usual, far = self.neighbours.usual, self.neighbours.far
        if usual is None or far is None:
            return f"Nearest training cases: {told}."
        where = "none is near: " if near[0].distance > far else ""
        return (
            f"Nearest training cases: {told}; {where}of cases held out the nearest is usually {usual:.3g} away, and in "
            f"95 % less than {far:.3g}."
        )

    def content(self, near: list[Near]) -> Mapping[str, Any]:
        """Return all of it as plain JSON values."""
        cases = [{"case_id": one.case, "reference_standard": one.standard, "distance": one.distance} for one in near]
        usual, far = self.neighbours.usual, self.neighbours.far
        return {"nearest": cases, "usual_distance": usual, "far_distance": far, "sentence": self.sentence(near)}
