"""What explanations take of a model, and what an explanation of the place is."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
import numpy.typing as npt

from semeion.errors import InputError
from semeion.model.combine import Floats
from semeion.model.linear import LinearMember
from semeion.model.manifest import Manifest
from semeion.prepare.case import case_shape
from semeion.prepare.covariates import Values

if TYPE_CHECKING:
    from semeion.model.runtime import Model

Method = Literal["activation", "occlusion"]
LAYERS = ("stride4", "stride8", "stride16", "stride32", "head")
"""Of a network with frozen features, those whose maps its graph may give."""
WANTED = frozenset(
    ["maps", "weights", "features", *(f"map_{layer}{axis}" for layer in LAYERS for axis in ("", "rows", "columns"))]
)
"""Further outputs of the graphs that :func:`semeion.explain.where.explain_where` looks for in
:attr:`semeion.model.observing.Seen.extras`."""


@dataclass(frozen=True)
class Where:
    """What each place of an image speaks for or against a class.

    Attributes
    ----------
    map
        float32 on the model's input grid, ``(rows, columns)`` or ``(slices, rows, columns)``; of several frames or
        views ``(groups, ...)``, one each in their order. Above 0: for `target`.
    method
        ``activation``: the exact contributions of the places to the scores of the networks named in `members`; with
        what does not depend on the place they sum to the score. ``occlusion``: how much the score of the whole model
        falls where a patch hides the place.
    target
        The class or label that is explained; of ordered grades the highest, towards which the score rises; of a
        measured value the target's name.
    unit
        Of the map: ``logit``, ``score`` (ordered grades), or the unit of the measured value.
    members
        Names of the members that the map is of.
    share
        Of the ensemble that those are, 0 to 1.
    parts
        Of volumes, frames and views: what each slice of each group adds or takes, float32 ``(groups, slices)`` with
        one slice for pictures; None of a single picture.
    weights
        How much the networks' attention rests on each part, float32 ``(groups, slices)`` (``(groups, 1)`` where only
        groups have shares), summing to 1; None without attention.
    """

    map: npt.NDArray[np.float32]
    method: Method
    target: str
    unit: str
    members: tuple[str, ...]
    share: float = 1.0
    parts: npt.NDArray[np.float32] | None = None
    weights: npt.NDArray[np.float32] | None = None


Combined = Callable[[npt.NDArray[np.uint8], Mapping[str, Values]], Floats]


@dataclass(frozen=True)
class ModelView:
    """What of a loaded model is needed to say where.

    Attributes
    ----------
    manifest
        What ``model.json`` says.
    heads
        Linear heads of the members on frozen features, by the member's name.
    combined
        From prepared cases and their covariates to combined probabilities (values) before calibration, ``(N, K)``.
    """

    manifest: Manifest
    heads: Mapping[str, LinearMember]
    combined: Combined

    @property
    def groups(self) -> int:
        """Frames or views of a case, each with a map of its own."""
        return self.manifest.inputs.groups

    @property
    def size(self) -> tuple[int, ...]:
        """Of the model's input grid: (slices,) rows, columns."""
        inputs = self.manifest.inputs
        return case_shape(self.manifest.preparation, inputs.images, inputs.groups)[1:]

    @property
    def shares(self) -> dict[str, float]:
        """Share of each member in the ensemble by its name; they sum to 1."""
        members = self.manifest.members
        weights = self.manifest.weights or tuple(1 / len(members) for _ in members)
        return {member.name: weight for member, weight in zip(members, weights, strict=True)}

    @property
    def unit(self) -> str:
        """Of a map."""
        if self.manifest.task == "regression":
            return self.manifest.unit or self.manifest.target
        return "score" if self.manifest.task == "ordinal" else "logit"


def view_of(model: Model) -> ModelView:
    """Return what is needed of a model; its graphs are opened.

    Raises
    ------
    InputError
        When the model outlines, so that its masks say where.
    ModelRefused
        When a file of the model cannot be opened.
    """
    if model.manifest.outlines:
        raise InputError(
            "the model outlines what it finds, and its masks say where",
            where=str(model.path),
            fix="look at the masks: semeion predict --masks",
        )
    return ModelView(model.manifest, model.heads(), model.combined)
