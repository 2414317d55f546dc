"""The manifest of a model folder: ``model.json``, schema 1, read as hostile input."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from semeion.errors import ModelRefused
from semeion.naming import encode_class
from semeion.prepare.spec import Preparation

SCHEMA = 1
MANIFEST = "model.json"
HASH = "model.sha256"
MAX_MANIFEST = 4 << 20
"""Largest ``model.json`` that is read, in bytes."""
MAX_FILE = 2 << 30
"""Largest listed file in bytes; an ONNX file cannot be larger (a limit of protobuf)."""
MAX_FILES = 1000
MAX_CLASSES = 1000
MAX_MEMBERS = 64
MAX_SIDE = 1024

MIGRATIONS: dict[int, Callable[[dict[str, Any]], dict[str, Any]]] = {}
"""From an older schema to the one after it; empty while there is only one."""

_PART = r"[A-Za-z0-9_]([A-Za-z0-9_.-]*[A-Za-z0-9_-])?"
_PATH = re.compile(rf"{_PART}(/{_PART}){{0,4}}")

Task = Literal["binary", "multiclass", "multilabel", "ordinal", "regression"]
Text = Annotated[str, Field(max_length=20_000)]
Name = Annotated[str, Field(min_length=1, max_length=200)]
Count = Annotated[int, Field(ge=0, le=10**12)]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Temperature = Annotated[float, Field(gt=0)]


def check_path(path: str) -> str:
    """Return `path` when it is a plain relative name inside the folder; raise ValueError otherwise."""
    if len(path) > 200 or not _PATH.fullmatch(path):
        raise ValueError(f"the file name {path[:80]!r} could lead out of the model folder or is not portable")
    return path


class Part(BaseModel):
    """What every part of the manifest shares: unknown keys, NaN and infinities are refused; values do not change."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False, populate_by_name=True)


class ListedFile(Part):
    """Size in bytes and sha256 of one file of the folder."""

    size: Annotated[int, Field(ge=0, le=MAX_FILE)]
    sha256: Sha256


class Member(Part):
    """One trained network: its name, its graph's path in the folder, and the graph's output."""

    name: Name
    file: str
    output: Literal["logits"] = "logits"

    _inside = field_validator("file")(check_path)


class Intensity(Part):
    """Brightness of the training images after preparation, as a fraction (0 black, 1 white).

    `low` and `high` are the darkest and brightest usual pixel; `mean_low` and `mean_high` span the usual image means.
    """

    low: float
    high: float
    mean_low: float
    mean_high: float


class SizeSeen(Part):
    """Smallest and largest number of rows and columns among the training images, in pixels, before preparation."""

    rows: tuple[Count, Count]
    cols: tuple[Count, Count]


class Inputs(Part):
    """What the training images were: the facts that the warnings about a new image stand on."""

    images: Literal[1] = 1
    photometry: Literal["grey", "colour"]
    modality: Annotated[list[Name], Field(max_length=50)] = []
    unit: Name | None = None
    intensity: Intensity | None = None
    size_seen: SizeSeen | None = None
    covariates: Annotated[list[Name], Field(max_length=0)] = []


class Calibration(Part):
    """Temperature scaling: one `value`, or one for each label of a multi-label model (`by_target`)."""

    method: Literal["temperature"] = "temperature"
    value: Temperature | None = None
    by_target: Annotated[dict[Name, Temperature], Field(max_length=MAX_CLASSES)] | None = None


class OperatingPoint(Part):
    """How probabilities become a call.

    Binary: positive when its probability is at least `value`. Multi-label: the same for each label with `by_target`.
    Several classes: ``rule`` is ``argmax``.
    """

    rule: Name
    value: float | None = None
    by_target: Annotated[dict[Name, float], Field(max_length=MAX_CLASSES)] | None = None


class Figure(Part):
    """One figure of the evidence with its 95 % interval."""

    value: float | None = None
    low: float | None = None
    high: float | None = None
    n: Count | None = None
    n_patients: Count | None = None
    method: Text | None = None
    reason: Text | None = None


Figures = Annotated[dict[Name, Figure], Field(max_length=5000)]


class Manifest(Part):
    """Everything that is needed to run the model, and nothing about any patient.

    Attributes
    ----------
    schema_version
        ``schema`` in the file.
    semeion, created, synthetic
        Version of Semeion that wrote the model, ISO date, and whether it was trained on generated images.
    task, target, classes, positive, unit
        The question. `classes` in the order of the probabilities (multi-label: the labels); empty for regression, whose
        measured value has `unit`.
    labels
        Codes of the training table and the class that each means.
    inputs, preparation
        What images it expects and how they become its input.
    members, combination
        Networks; the mean of their probabilities (or values) is taken.
    calibration, operating_point
        Applied after the combination, in this order. None where there is nothing to apply.
    evidence
        Headline figures: split -> name -> figure.
    card
        Path of the model card.
    files
        Every other file of the folder.
    """

    schema_version: Literal[1] = Field(default=1, alias="schema")
    semeion: Name
    created: Name
    synthetic: bool = False
    task: Task
    target: Annotated[str, Field(min_length=1, max_length=20_000)]
    classes: Annotated[list[Name], Field(max_length=MAX_CLASSES)] = []
    positive: Name | None = None
    unit: Name | None = None
    labels: Annotated[dict[Name, Name], Field(max_length=MAX_CLASSES)] = {}
    inputs: Inputs
    preparation: Preparation
    members: Annotated[list[Member], Field(min_length=1, max_length=MAX_MEMBERS)]
    combination: Literal["mean"] = "mean"
    calibration: Calibration | None = None
    operating_point: OperatingPoint | None = None
    evidence: Annotated[dict[Name, Figures], Field(max_length=10)] = {}
    card: str = "CARD.md"
    files: Annotated[dict[str, ListedFile], Field(max_length=MAX_FILES)]

    _inside = field_validator("card")(check_path)

    @property
    def n_outputs(self) -> int:
        """Width K of every member's output: classes, labels, or 1 for a measured value."""
        return len(self.classes) if self.task != "regression" else 1

    @property
    def probability_names(self) -> tuple[str, ...]:
        """Names behind the columns ``p_<name>``: the classes; absent and present for each label; none for a value."""
        if self.task == "regression":
            return ()
        return ("absent", "present") if self.task == "multilabel" else tuple(self.classes)

    @field_validator("files")
    @classmethod
    def _portable(cls, files: dict[str, ListedFile]) -> dict[str, ListedFile]:
        for path in files:
            check_path(path)
        if len({path.casefold() for path in files} | {MANIFEST, HASH}) != len(files) + 2:
            raise ValueError("two of the listed files have the same name, or one is listed that must not be")
        return files

    @model_validator(mode="after")
    def _consistent(self) -> Manifest:
        problems = [*self._question_problems(), *self._decision_problems(), *self._file_problems()]
        if problems:
            raise ValueError("; ".join(problems))
        return self

    def _question_problems(self) -> list[str]:
        wanted = {"binary": (2, 2), "regression": (0, 0), "multilabel": (1, MAX_CLASSES)}
        low, high = wanted.get(self.task, (2, MAX_CLASSES))
        problems = []
        if not low <= len(self.classes) <= high:
            problems.append(f"a {self.task} model cannot have {len(self.classes)} classes")
        if len({encode_class(name) for name in self.classes}) != len(self.classes):
            problems.append("two classes have the same name")
        if (self.positive is not None) != (self.task == "binary"):
            problems.append("a positive class belongs to a binary model, and to no other")
        elif self.positive is not None and self.positive not in self.classes:
            problems.append(f"the positive class {self.positive!r} is not among the classes")
        size = self.preparation.size
        if not all(8 <= side <= MAX_SIDE for side in size):
            problems.append(f"an input of {size[0]} x {size[1]} is outside 8 to {MAX_SIDE} pixels a side")
        if (self.preparation.window is None) == (self.preparation.intensity == "window"):
            problems.append("the preparation's window does not fit its intensity")
        return problems

    def _decision_problems(self) -> list[str]:
        problems = []
        point, calibration = self.operating_point, self.calibration
        if self.task == "regression":
            if point or calibration:
                problems.append("a measured value has neither calibration nor operating point")
            return problems
        if point is None:
            return ["the operating point is missing"]
        if self.task == "binary" and (point.value is None or point.by_target):
            problems.append("the operating point of a binary model is one value")
        if self.task in ("multiclass", "ordinal") and (point.rule != "argmax" or point.value is not None):
            problems.append("several classes are called by argmax")
        if self.task == "multilabel" and set(point.by_target or ()) != set(self.classes):
            problems.append("the operating point must name every label")
        if calibration is not None:
            if self.task == "multilabel":
                if set(calibration.by_target or ()) != set(self.classes):
                    problems.append("the calibration must name every label")
            elif calibration.value is None or calibration.by_target:
                problems.append("the calibration is one temperature")
        return problems

    def _file_problems(self) -> list[str]:
        named = [*(member.file for member in self.members), self.card]
        problems = [f"{path!r} is used but not listed in files" for path in named if path not in self.files]
        if len({member.name for member in self.members}) != len(self.members):
            problems.append("two members have the same name")
        return problems


def semeion_version() -> str:
    """Return the version of Semeion that runs."""
    try:
        return version("semeion")
    except PackageNotFoundError:  # run from a source tree that was never installed
        return "unknown"


def _no_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key occurs twice")
    return found


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is not a number of JSON")


def parse_manifest(data: bytes, *, where: str) -> Manifest:
    """Read the bytes of a ``model.json``.

    Parameters
    ----------
    data
        The file's bytes.
    where
        The file's path, for messages.

    Raises
    ------
    ModelRefused
        Too large, not JSON, of a newer schema, or not what the schema says.
    """
    if len(data) > MAX_MANIFEST:
        raise ModelRefused(
            f"the manifest is larger than {MAX_MANIFEST >> 20} MiB",
            where=where,
            fix="get the model from its source again",
        )
    try:
        value = json.loads(data.decode("utf-8"), object_pairs_hook=_no_duplicates, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise ModelRefused(
            f"not valid JSON ({_short(str(error))})", where=where, fix="get the model from its source again"
        ) from error
    schema = value.get("schema") if isinstance(value, dict) else None
    if not isinstance(schema, int) or isinstance(schema, bool) or schema < 1:
        raise ModelRefused(
            "not the manifest of a Semeion model: it has no schema number",
            where=where,
            fix="give the model folder that `semeion train` wrote",
        )
    if schema > SCHEMA:
        writer = value.get("semeion")
        by = f", written by Semeion {_short(writer)}" if isinstance(writer, str) else ""
        raise ModelRefused(
            f"the model has schema {schema}{by}; this is Semeion {semeion_version()}, which reads schema {SCHEMA}",
            where=where,
            fix="upgrade Semeion, or export the model again with this version",
        )
    while schema < SCHEMA:
        value = MIGRATIONS[schema](value)
        schema += 1
    try:
        return Manifest.model_validate_json(json.dumps(value), strict=True)
    except ValidationError as error:
        raise ModelRefused(
            f"the manifest is not what schema {SCHEMA} says ({explain(error)})",
            where=where,
            fix="get the model from its source again",
        ) from error


def explain(error: ValidationError) -> str:
    """Return the first problems of a failed validation as one short text, without the values that were given."""
    problems = [
        f"{'.'.join(str(part) for part in item['loc']) or 'model.json'}: {item['msg'].removeprefix('Value error, ')}"
        for item in error.errors(include_url=False, include_input=False, include_context=False)
    ]
    more = f" and {len(problems) - 3} more" if len(problems) > 3 else ""
    return _short("; ".join(problems[:3]), 600) + more


def _short(text: str, length: int = 120) -> str:
    plain = "".join(letter if letter.isprintable() else "?" for letter in text)
    return plain if len(plain) <= length else plain[: length - 3] + "..."
