"""Features and ids of training cases, which ship only where the user asked for it: the model then holds patient data.

Features are those of one graph in the directions of :class:`semeion.model.reference.Space`, so that what is near is
near in what the model's own limits look at.
"""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass
from typing import Annotated, Literal

import numpy as np
import numpy.typing as npt
from pydantic import Field, ValidationError, model_validator

from semeion.errors import InputError, ModelRefused
from semeion.model.combine import Floats
from semeion.model.manifest import Manifest
from semeion.model.manifest_file import explain
from semeion.model.manifest_parts import Name, Part, check_path
from semeion.model.reference import MAX_DIMS, Distances, Reference
from semeion.model.strict_json import read_strict

NEIGHBOURS = "neighbours.json"
MAX_NEIGHBOURS = 64 << 20
"""Largest file that is read, in bytes."""
MAX_CASES = 20_000
NEAREST = 5
WARNING = (
    "This model holds patient data: features, case ids and the reference standard of {n} training cases, as it was "
    "asked for. Keep it as the images are kept."
)
_AGAIN = "get the model from its source again"

Distance = Annotated[float, Field(ge=0, le=1e30)]


class Neighbours(Part):
    """What ships as ``neighbours.json``.

    Attributes
    ----------
    graph, dims
        The graph whose features these are, and their number after projection.
    cases, standards
        Id and reference standard of each training case.
    places
        Base64 of float32, little endian, ``(cases, dims)``, rows as `cases`.
    usual, far
        Of cases that are held out, how far the nearest training case of another patient is: about the median and the
        95th percentile, each shared by five patients; None where too few are held out.
    """

    schema_version: Literal[1] = Field(default=1, alias="schema")
    graph: str
    dims: Annotated[int, Field(ge=1, le=MAX_DIMS)]
    cases: Annotated[list[Name], Field(min_length=1, max_length=MAX_CASES)]
    standards: Annotated[list[Name], Field(min_length=1, max_length=MAX_CASES)]
    places: Annotated[str, Field(max_length=MAX_NEIGHBOURS)]
    usual: Distance | None = None
    far: Distance | None = None

    @model_validator(mode="after")
    def _sound(self) -> Neighbours:
        check_path(self.graph)
        if len(set(self.cases)) != len(self.cases) or len(self.standards) != len(self.cases):
            raise ValueError("a case is named twice, or has no reference standard")
        # In this order: nothing is decoded that is not of the size that is stated.
        if len(self.places) != 4 * -(-4 * self.dims * len(self.cases) // 3):
            raise ValueError("the features are not those of so many cases")
        try:
            places = self.array()
        except (binascii.Error, ValueError) as error:
            raise ValueError("the features cannot be read") from error
        if places.shape != (len(self.cases), self.dims) or not np.isfinite(places).all():
            raise ValueError("the features are not finite numbers of so many cases")
        return self

    def array(self) -> npt.NDArray[np.float32]:
        """Return the features, float32 ``(cases, dims)``."""
        return np.frombuffer(base64.b64decode(self.places, validate=True), "<f4").reshape(-1, self.dims)

    def to_json(self) -> bytes:
        """Return the file's bytes."""
        return self.model_dump_json(by_alias=True).encode()


def as_text(places: npt.NDArray[np.float32]) -> str:
    """Return features as :attr:`Neighbours.places`."""
    return base64.b64encode(np.ascontiguousarray(places, dtype="<f4").tobytes()).decode("ascii")


def open_neighbours(data: bytes, manifest: Manifest, reference: Reference | None, *, where: str) -> Neighbours:
    """Read the file of a model as hostile input.

    Raises
    ------
    ModelRefused
        When it is too large or no such JSON, or its features are not those that the model's reference projects.
    """
    if len(data) > MAX_NEIGHBOURS:
        what = f"the neighbours are larger than {MAX_NEIGHBOURS >> 20} MiB"
        raise ModelRefused(what, where=where, fix=_AGAIN)
    try:
        read_strict(data, MAX_NEIGHBOURS)
        found = Neighbours.model_validate_json(data, strict=True)
    except ValidationError as error:
        raise ModelRefused(f"no neighbours ({explain(error)})", where=where, fix=_AGAIN) from error
    except ValueError as error:
        raise ModelRefused("no neighbours: the JSON cannot be read", where=where, fix=_AGAIN) from error
    space = None if reference is None else reference.space
    if space is None or space.graph != found.graph or len(space.projection) != found.dims:
        raise ModelRefused("the neighbours are of another model", where=where, fix=_AGAIN)
    if manifest.classes and manifest.task != "multilabel" and (odd := set(found.standards) - set(manifest.classes)):
        raise ModelRefused(
            f"a neighbour is of the class {sorted(odd)[0]!r}, which there is not", where=where, fix=_AGAIN
        )
    return found


@dataclass(frozen=True)
class Near:
    """A training case, its reference standard, and how far it is."""

    case: str
    standard: str
    distance: float


def nearest(neighbours: Neighbours, distances: Distances, features: npt.ArrayLike, most: int = NEAREST) -> list[Near]:
    """Return the training cases nearest to a case, by Euclid's distance of projected features, the nearest first.

    Parameters
    ----------
    neighbours, distances
        Of one model.
    features
        Of one case as the graph gives them, ``(width,)``.

    Raises
    ------
    InputError
        When a feature is no finite number.
    """
    own = distances.project(np.asarray(features, dtype=np.float64)[None])[0]
    if not np.isfinite(own).all():
        raise InputError("the features of the case are no numbers", where="features", fix="look at the image")
    apart = lengths(own[None], neighbours.array().astype(np.float64))[0]
    order = np.argsort(apart, kind="stable")[:most]
    return [Near(neighbours.cases[at], neighbours.standards[at], float(apart[at])) for at in order]


def lengths(first: Floats, second: Floats) -> Floats:
    """Return the distances ``(N, M)`` of places ``(N, D)`` from others ``(M, D)``."""
    squares = np.square(first).sum(axis=1)[:, None] + np.square(second).sum(axis=1)[None] - 2 * first @ second.T
    return np.asarray(np.sqrt(np.maximum(squares, 0.0)))
