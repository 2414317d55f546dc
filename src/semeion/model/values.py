"""Where the values of the training cases lie, class by class: what a person reads a value against.

The file holds means of five patients' values around quantiles, shares of levels and numbers of patients: nothing of any
single one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Annotated, Literal, get_args

from pydantic import Field, ValidationError, model_validator

from semeion.errors import ModelRefused
from semeion.model.manifest import Manifest
from semeion.model.manifest_file import explain
from semeion.model.manifest_parts import MAX_CLASSES, Name, Part
from semeion.model.strict_json import read_strict

VALUES = "values.json"
MAX_VALUES = 32 << 20
"""Largest file that is read, in bytes."""
Share = Literal["1", "2.5", "5", "10", "25", "50", "75", "90", "95", "97.5", "99"]
SHARES: tuple[Share, ...] = get_args(Share)
"""Per cent of the patients that lie below each quantile."""
ALL = "all"
"""The one group of cases that have no classes."""
LEAST_PATIENTS = 10
"""Patients of a group of which anything is told."""
MAX_COLUMNS = 5000
MAX_GROUPS = 2 * MAX_CLASSES
_OUTSIDE = 10.0
"""Per cent at each end beyond which a value is not usual, where there is such a quantile."""
_AGAIN = "get the model from its source again"

Number = Annotated[float, Field(ge=-1e30, le=1e30)]
Group = Annotated[str, Field(min_length=1, max_length=202)]
"""A class, or a label with ``=1`` or ``=0`` behind it."""
Patients = Annotated[int, Field(ge=LEAST_PATIENTS, le=10**12)]


class Numbers(Part):
    """Of one group: how many patients, and the quantiles that so many have, by per cent."""

    n: Patients
    quantiles: Annotated[dict[Share, Number], Field(min_length=1, max_length=11)]

    @model_validator(mode="after")
    def _rising(self) -> Numbers:
        values = [self.quantiles[share] for share in SHARES if share in self.quantiles]
        if any(after < before for before, after in pairwise(values)):
            raise ValueError("the quantiles do not rise")
        return self


class Shares(Part):
    """Of one group: how many patients, and which share of them has each level that at least five have."""

    n: Patients
    shares: Annotated[dict[Name, Annotated[float, Field(ge=0, le=1)]], Field(max_length=100)]


class ValueColumn(Part):
    """A covariate or measurement.

    Attributes
    ----------
    name, title, unit
        Its name, and what a person reads.
    numbers, shares
        By group; numbers of what is a number, shares of what has levels. A group of few patients is left out.
    """

    name: Name
    title: Name
    unit: Annotated[str, Field(max_length=40)] = ""
    numbers: Annotated[dict[Group, Numbers], Field(max_length=MAX_GROUPS)] = Field(default_factory=dict)
    shares: Annotated[dict[Group, Shares], Field(max_length=MAX_GROUPS)] = Field(default_factory=dict)


class ValueReference(Part):
    """What ships as ``values.json``; `groups` as :func:`group_names` gives them."""

    schema_version: Literal[1] = Field(default=1, alias="schema")
    groups: Annotated[list[Group], Field(min_length=1, max_length=MAX_GROUPS)]
    columns: Annotated[list[ValueColumn], Field(max_length=MAX_COLUMNS)]

    @model_validator(mode="after")
    def _sound(self) -> ValueReference:
        if len({column.name for column in self.columns}) != len(self.columns):
            raise ValueError("a value is named twice")
        known = set(self.groups)
        if any(not {*column.numbers, *column.shares} <= known for column in self.columns):
            raise ValueError("a value is told of a group that there is not")
        return self

    def to_json(self) -> bytes:
        """Return the file's bytes."""
        return self.model_dump_json(by_alias=True, exclude_defaults=True).encode()

    def column(self, name: str) -> ValueColumn | None:
        """Return what is known of a value; None when nothing is."""
        return next((column for column in self.columns if column.name == name), None)


@dataclass(frozen=True)
class Place:
    """Where a value lies in a group.

    Attributes
    ----------
    side
        ``below`` or ``above`` `share` per cent of the group's patients, or ``usual``.
    share, n
        Per cent of the patients, and how many there are.
    """

    side: Literal["below", "above", "usual"]
    share: float
    n: int


def group_names(task: str, classes: Sequence[str]) -> list[str]:
    """Return the groups that values are told of: classes; with and without each label; one where there are no classes.

    Of the label ``effusion`` they are ``effusion=1`` and ``effusion=0``.
    """
    if task == "multilabel":
        return [f"{label}={present}" for label in classes for present in (1, 0)]
    return list(classes) if classes else [ALL]


def place_of(value: float, numbers: Numbers) -> Place:
    """Return where a value lies among those of a group, by the outermost quantile that it is beyond.

    A value within the middle 80 per cent is usual; of few patients, of whom only quartiles are known, within the middle
    half.
    """
    known = {float(share): limit for share, limit in numbers.quantiles.items()}
    for side, shares in (("below", sorted(known)), ("above", sorted(known, reverse=True))):
        outer = [share if side == "below" else 100 - share for share in shares]
        for share, beyond in zip(shares, outer, strict=True):
            outside = value < known[share] if side == "below" else value > known[share]
            widest = beyond <= _OUTSIDE or (beyond < 50 and beyond == min(outer))
            if outside and widest:
                return Place("below" if side == "below" else "above", 100 - beyond, numbers.n)
    return Place("usual", 100.0, numbers.n)


def open_values(data: bytes, manifest: Manifest, *, where: str) -> ValueReference:
    """Read the file of a model as hostile input.

    Raises
    ------
    ModelRefused
        When it is too large or no such JSON, or is of another question, or tells of a value that the model does not
        take.
    """
    if len(data) > MAX_VALUES:
        raise ModelRefused(f"the values are larger than {MAX_VALUES >> 20} MiB", where=where, fix=_AGAIN)
    try:
        read_strict(data, MAX_VALUES)
        found = ValueReference.model_validate_json(data, strict=True)
    except ValidationError as error:
        raise ModelRefused(f"not the values of training cases ({explain(error)})", where=where, fix=_AGAIN) from error
    except ValueError as error:
        what = "not the values of training cases: the JSON cannot be read"
        raise ModelRefused(what, where=where, fix=_AGAIN) from error
    groups = group_names(manifest.task, manifest.classes)
    if found.groups != groups:
        raise ModelRefused(
            f"the values are of another model: they are told of {', '.join(found.groups[:5])}, and this one tells "
            f"{', '.join(groups[:5])} apart",
            where=where,
            fix=_AGAIN,
        )
    if unknown := sorted({column.name for column in found.columns} - set(taken(manifest))):
        raise ModelRefused(f"the value {unknown[0]!r} is not taken", where=where, fix=_AGAIN)
    return found


def taken(manifest: Manifest) -> Mapping[str, tuple[str, str]]:
    """Return title and unit of every value that a model takes besides images: covariates and measurements."""
    found = {column.name: (column.name, "") for column in manifest.inputs.covariates}
    if manifest.measured is not None:
        from semeion.measure.features import feature_definitions
        from semeion.prepare.volume_spec import VolumePreparation

        steps = manifest.preparation
        units = steps.units if isinstance(steps, VolumePreparation) else None
        for name, one in feature_definitions(manifest.measured.measurements, units).items():
            found[name] = (one.title, one.unit or "")
    return found
