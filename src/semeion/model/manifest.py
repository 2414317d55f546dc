"""The manifest of a model folder: ``model.json``, schema 1, read as hostile input."""

from __future__ import annotations

import json
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field, Tag, ValidationError, field_validator, model_validator

from semeion.errors import ModelRefused
from semeion.model.manifest_parts import (
    MAX_CLASSES,
    MAX_FILE,
    MAX_MEMBERS,
    MAX_SIDE,
    Calibration,
    Figure,
    Figures,
    Inputs,
    Intensity,
    ListedFile,
    Measured,
    Member,
    Name,
    OperatingPoint,
    Part,
    Segmentation,
    SizeSeen,
    Task,
    VolumesSeen,
    check_path,
)
from semeion.naming import encode_class
from semeion.prepare.spec import Preparation
from semeion.prepare.volume_spec import VolumePreparation

__all__ = [
    "HASH",
    "MANIFEST",
    "MAX_FILE",
    "MAX_SIDE",
    "MAX_VOXELS",
    "SCHEMA",
    "Calibration",
    "Figure",
    "Inputs",
    "Intensity",
    "ListedFile",
    "Manifest",
    "Measured",
    "Member",
    "OperatingPoint",
    "Segmentation",
    "SizeSeen",
    "Task",
    "VolumesSeen",
    "explain",
    "manifest_json",
    "parse_manifest",
    "semeion_version",
]

SCHEMA = 1
MANIFEST = "model.json"
HASH = "model.sha256"
MAX_MANIFEST = 4 << 20
"""Largest ``model.json`` that is read, in bytes."""
MAX_FILES = 1000
MAX_VOXELS = 1 << 27
"""Most voxels of one channel of a network's input."""

MIGRATIONS: dict[int, Callable[[dict[str, Any]], dict[str, Any]]] = {}
"""From an older schema to the one after it; empty while there is only one."""


def _of_volumes(value: Any) -> str:
    """Tell the two preparations apart: volumes name their channels, pictures count them."""
    channels = value.get("channels") if isinstance(value, dict) else getattr(value, "channels", None)
    return "volumes" if isinstance(channels, list | tuple) else "pictures"


_TAGS = ("pictures", "volumes")
"""What pydantic puts into the place of a problem; the file has no such keys."""
AnyPreparation = Annotated[
    Annotated[Preparation, Tag("pictures")] | Annotated[VolumePreparation, Tag("volumes")],
    Discriminator(_of_volumes),
]


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
        What images it expects, pictures or volumes, and how they become its input.
    segmentation
        How labels of voxels are found: of a segmentation, whose `classes` are the foreground labels, and of a diagnosis
        from measurements, whose labels are named in `measured`.
    measured
        Of a diagnosis from measurements: the members outline, and trees classify what is measured in the masks.
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
    classes: Annotated[list[Name], Field(max_length=MAX_CLASSES)] = Field(default_factory=list)
    positive: Name | None = None
    unit: Name | None = None
    labels: Annotated[dict[Name, Name], Field(max_length=MAX_CLASSES)] = Field(default_factory=dict)
    inputs: Inputs
    preparation: AnyPreparation
    segmentation: Segmentation | None = None
    measured: Measured | None = None
    members: Annotated[list[Member], Field(min_length=1, max_length=MAX_MEMBERS)]
    combination: Literal["mean"] = "mean"
    calibration: Calibration | None = None
    operating_point: OperatingPoint | None = None
    evidence: Annotated[dict[Name, Figures], Field(max_length=10)] = Field(default_factory=dict)
    card: str = "CARD.md"
    files: Annotated[dict[str, ListedFile], Field(max_length=MAX_FILES)]

    _inside = field_validator("card")(check_path)

    @property
    def n_outputs(self) -> int:
        """Width K of every member's output: classes, labels, 1 for a measured value; of voxels the background too."""
        if self.measured is not None:
            return len(self.measured.structures) + 1
        if self.task == "segmentation":
            return len(self.classes) + 1
        return len(self.classes) if self.task != "regression" else 1

    @property
    def outlines(self) -> bool:
        """Whether the members say of every voxel what it is: of a segmentation, and where masks are measured."""
        return self.task == "segmentation" or self.measured is not None

    @property
    def volumes(self) -> bool:
        """Whether the images are volumes."""
        return isinstance(self.preparation, VolumePreparation)

    @property
    def probability_names(self) -> tuple[str, ...]:
        """Names behind the columns ``p_<name>``: the classes; absent and present for each label; none for a value."""
        if self.task in ("regression", "segmentation"):
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
        wanted = {
            "binary": (2, 2),
            "regression": (0, 0),
            "multilabel": (1, MAX_CLASSES),
            "segmentation": (1, 255),
        }
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
        return [*problems, *self.inputs.problems(), *self._preparation_problems()]

    def _preparation_problems(self) -> list[str]:
        steps, size = self.preparation, self.preparation.size
        problems = []
        if (self.segmentation is not None) != self.outlines:
            problems.append("how labels are found belongs to what outlines, and to no other")
        elif self.segmentation is not None:
            problems += self.segmentation.problems(self.measured.structures if self.measured else self.classes)
        problems += self._measured_problems()
        if isinstance(steps, VolumePreparation):
            if not self.outlines and (size is None or not all(1 <= side <= MAX_SIDE for side in size)):
                problems.append(f"volumes that are classified need a size of 1 to {MAX_SIDE} voxels a side")
            if self.inputs.role == "channels" and len(steps.channels) != self.inputs.images:
                problems.append(f"{self.inputs.images} channels are named and {len(steps.channels)} prepared")
            return problems
        if self.outlines:
            problems.append("outlines need volumes")
        if self.inputs.photometry is None:
            problems.append("pictures are grey or colour, and neither is said")
        if size is None or not all(8 <= side <= MAX_SIDE for side in size):
            problems.append(f"an input of {steps.size[0]} x {steps.size[1]} is outside 8 to {MAX_SIDE} pixels a side")
        if (steps.window is None) == (steps.intensity == "window"):
            problems.append("the preparation's window does not fit its intensity")
        return problems

    def _measured_problems(self) -> list[str]:
        if self.measured is None:
            return []
        problems = []
        if self.task not in ("binary", "multiclass", "ordinal"):
            problems.append(f"measurements diagnose classes, and the task is {self.task}")
        take, structures = self.measured.measurements, self.measured.structures
        values = self.segmentation.values if self.segmentation is not None else []
        if dict(zip(structures, values, strict=False)) != dict(take.structures):
            problems.append("the structures that are outlined and those that are measured differ")
        if len(take.images) != self.inputs.groups:
            problems.append(f"{len(take.images)} images are measured, and a case has {self.inputs.groups}")
        channels = self.inputs.names if self.inputs.role == "channels" else []
        if take.intensity and take.channels != channels:
            problems.append(f"intensity is measured in {take.channels}, and an image's channels are {channels}")
        if self.measured.images is not None:
            problems += self.measured.images.problems(self.inputs)
        return problems

    def _decision_problems(self) -> list[str]:
        problems = []
        point, calibration = self.operating_point, self.calibration
        if self.task in ("regression", "segmentation"):
            if point or calibration:
                what = "a measured value" if self.task == "regression" else "a mask"
                problems.append(f"{what} has neither calibration nor operating point")
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
            problems += calibration.problems(self.task, self.classes)
        if self.measured is not None and self.measured.images is not None:
            seen = self.measured.images.calibration
            if seen is not None:
                problems += [f"image networks: {text}" for text in seen.problems(self.task, self.classes)]
        return problems

    def _file_problems(self) -> list[str]:
        fast = [member.fast for member in self.members if member.fast is not None]
        named = [*(member.file for member in self.members), *fast, self.card]
        if self.measured is not None:
            named += self.measured.used_files
        problems = [f"{path!r} is used but not listed in files" for path in named if path not in self.files]
        if len({member.name for member in self.members}) != len(self.members):
            problems.append("two members have the same name")
        return problems


def manifest_json(manifest: Manifest) -> str:
    """Return the text of ``model.json``.

    What belongs to volumes, masks or several images only is left out where it is not used, so that an earlier version
    reads the models that it could make.
    """
    unused: dict[str, Any] = {"inputs": set(), "members": {"__all__": set()}}
    if manifest.measured is None:
        unused["measured"] = True
    else:
        images: Any = True
        if manifest.measured.images is not None:
            images = {"members": {"__all__": {"mirror", "fast"}}}
            if _by_temperature(manifest.measured.images.calibration):
                images["calibration"] = {"map", "maps"}
        unused["measured"] = {"images": images}
    if _by_temperature(manifest.calibration):
        unused["calibration"] = {"map", "maps"}
    if manifest.segmentation is None:
        unused["segmentation"] = True
        unused["members"]["__all__"].add("mirror")
    if all(member.fast is None for member in manifest.members):
        unused["members"]["__all__"].add("fast")
    if not manifest.volumes and manifest.inputs.role == "single":
        unused["inputs"] |= {"names", "role", "volumes_seen"}
    return manifest.model_dump_json(by_alias=True, indent=1, exclude=unused) + "\n"


def _by_temperature(calibration: Calibration | None) -> bool:
    return calibration is not None and calibration.method == "temperature"


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
    problems = []
    for item in error.errors(include_url=False, include_input=False, include_context=False):
        place = ".".join(str(part) for part in item["loc"] if part not in _TAGS)
        problems.append(f"{place or 'model.json'}: {item['msg'].removeprefix('Value error, ')}")
    more = f" and {len(problems) - 3} more" if len(problems) > 3 else ""
    return _short("; ".join(problems[:3]), 600) + more


def _short(text: str, length: int = 120) -> str:
    plain = "".join(letter if letter.isprintable() else "?" for letter in text)
    return plain if len(plain) <= length else plain[: length - 3] + "..."
