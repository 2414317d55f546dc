"""``baseline.json``: what the training cases were like, so that a model in service is watched without any of them."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

import numpy as np
from pydantic import Field, ValidationError, model_validator

from semeion.errors import InputError, ModelRefused
from semeion.model.manifest_file import explain
from semeion.model.manifest_parts import Name, Part, Text
from semeion.model.strict_json import read_strict
from semeion.monitor.bins import Bins
from semeion.monitor.kernel import COSINES, PARTS, Kernel
from semeion.prepare.covariates import LEAST_PATIENTS

SCHEMA = 1
MONITOR = "baseline.json"
MAX_MONITOR = 4 << 20
FEWEST_PATIENTS = 50
"""Patients below which no baseline ships: bins would be two or three, and the mean of their features tell of them."""
_AGAIN = "get the model from its source again"

Family = Literal["inputs", "features", "probabilities", "prevalence", "abstained"]
FAMILIES: tuple[Family, ...] = ("inputs", "features", "probabilities", "prevalence", "abstained")
Number = Annotated[float, Field(ge=-1e300, le=1e300)]
Usual = Annotated[float, Field(ge=-1e12, le=1e12)]
Count = Annotated[int, Field(ge=0, le=9_000_000)]
"""Of patients: numpy deals out fewer than a thousand million, and a statistic has a hundred counts at most."""


class Counted(Part):
    """Counts of patients between edges (:class:`semeion.monitor.bins.Bins`)."""

    edges: Annotated[list[Number], Field(max_length=100)]
    counts: Annotated[list[Count], Field(min_length=2, max_length=102)]

    @model_validator(mode="after")
    def _sound(self) -> Self:
        if len(self.counts) != len(self.edges) + 2:
            raise ValueError(f"{len(self.edges)} edges have {len(self.edges) + 2} counts")
        if any(low >= high for low, high in zip(self.edges, self.edges[1:], strict=False)):
            raise ValueError("the edges do not increase")
        if any(0 < count < LEAST_PATIENTS for count in self.counts):
            raise ValueError(f"a bin of fewer than {LEAST_PATIENTS} patients")
        return self

    @property
    def bins(self) -> Bins:
        """The same for computing."""
        return Bins(np.array(self.edges, dtype=np.float64), np.array(self.counts, dtype=np.int64))


class Statistic(Counted):
    """One statistic of the training cases."""

    name: Annotated[str, Field(min_length=1, max_length=2000)]
    family: Family


class Embedding(Part):
    """The features under a kernel (:class:`semeion.monitor.kernel.Kernel`)."""

    frequencies: Annotated[
        list[Annotated[list[Usual], Field(min_length=1, max_length=512)]],
        Field(min_length=COSINES, max_length=COSINES),
    ]
    phases: Annotated[list[Usual], Field(min_length=COSINES, max_length=COSINES)]
    mean: Annotated[list[Usual], Field(min_length=COSINES, max_length=COSINES)]
    directions: Annotated[
        list[Annotated[list[Usual], Field(min_length=COSINES, max_length=COSINES)]],
        Field(min_length=1, max_length=PARTS),
    ]
    parts: Annotated[list[Counted], Field(min_length=1, max_length=PARTS)]
    n: Annotated[int, Field(ge=FEWEST_PATIENTS, le=10**9)]

    @model_validator(mode="after")
    def _consistent(self) -> Embedding:
        if len({len(row) for row in self.frequencies}) != 1:
            raise ValueError("the frequencies are of several widths")
        if len(self.directions) != len(self.parts):
            raise ValueError("the directions and their counts do not fit")
        if not all(sum(part.counts) for part in self.parts):
            raise ValueError("no patient is counted along a direction")
        return self

    @property
    def kernel(self) -> Kernel:
        """The same for computing."""
        return Kernel(
            np.array(self.frequencies),
            np.array(self.phases),
            np.array(self.mean),
            np.array(self.directions),
            tuple(part.bins for part in self.parts),
            self.n,
        )


def embedding_of(kernel: Kernel) -> Embedding:
    """Return an embedding as it ships."""
    return Embedding(
        frequencies=kernel.frequencies.tolist(),
        phases=kernel.phases.tolist(),
        mean=kernel.mean.tolist(),
        directions=kernel.directions.tolist(),
        parts=[Counted(edges=part.edges.tolist(), counts=part.counts.tolist()) for part in kernel.parts],
        n=kernel.n,
    )


class Baseline(Part):
    """What the training cases were like: one case a patient, and nothing that fewer than five patients share.

    Attributes
    ----------
    cases
        Which cases they are, in words.
    statistics
        In the order in which they are told.
    embedding
        Of the projected features; None of a model without them.
    prevalence
        Patients of each class among the cases that the probabilities were calibrated on; of a multi-label model those
        in whom each label is present. Empty for a measured value.
    known
        Of a multi-label model: patients whose label is known, by label.
    """

    schema_version: Literal[1] = Field(default=1, alias="schema")
    cases: Text
    statistics: Annotated[list[Statistic], Field(max_length=500)]
    embedding: Embedding | None = None
    prevalence: Annotated[dict[Name, Count], Field(max_length=1000)] = Field(default_factory=dict)
    known: Annotated[dict[Name, Count], Field(max_length=1000)] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _consistent(self) -> Baseline:
        if len({one.name for one in self.statistics}) != len(self.statistics):
            raise ValueError("two statistics have the same name")
        return self


def baseline_json(baseline: Baseline) -> bytes:
    """Return the file's bytes."""
    return (baseline.model_dump_json(by_alias=True, indent=1) + "\n").encode()


def read_baseline(data: bytes, *, where: str) -> Baseline:
    """Read a baseline as hostile input.

    Raises
    ------
    ModelRefused
        When it is none, or is newer than this version.
    InputError
        When it holds no case: nothing can be compared with it.
    """
    try:
        value = read_strict(data, MAX_MONITOR)
        _refuse_newer(value, where)
        found = Baseline.model_validate_json(data, strict=True)
    except ValidationError as error:
        raise ModelRefused(f"no baseline of a model ({explain(error)})", where=where, fix=_AGAIN) from error
    except ValueError as error:
        raise ModelRefused("no baseline of a model: the JSON cannot be read", where=where, fix=_AGAIN) from error
    if not any(sum(one.counts) for one in found.statistics):
        raise InputError(
            "the training distribution is empty: no statistic holds a case",
            where=where,
            fix="train the model again with this version, on more patients",
        )
    return found


def _refuse_newer(value: Any, where: str) -> None:
    schema = value.get("schema") if isinstance(value, dict) else None
    if isinstance(schema, int) and schema > SCHEMA:
        raise ModelRefused(
            f"the baseline is of schema {schema}, newer than {SCHEMA}, which this version reads",
            where=where,
            fix="use a newer version of Semeion",
        )
