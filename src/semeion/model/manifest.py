"""The manifest of a model folder: ``model.json``, schema 1, read as hostile input."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field, Tag, field_validator, model_validator

from semeion.model.manifest_inputs import Inputs, Intensity, Looks, SizeSeen, VolumesSeen
from semeion.model.manifest_parts import (
    MAX_CLASSES,
    MAX_FILE,
    MAX_MEMBERS,
    MAX_SIDE,
    Adopted,
    Calibration,
    Explained,
    Figure,
    Figures,
    Interval,
    ListedFile,
    Measured,
    Member,
    Name,
    OperatingPoint,
    Part,
    Provenance,
    Segmentation,
    Task,
    check_path,
)
from semeion.model.manifest_sets import ClassSets
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
    "SIGNATURE",
    "Calibration",
    "Explained",
    "Figure",
    "Inputs",
    "Intensity",
    "Interval",
    "ListedFile",
    "Looks",
    "Manifest",
    "Measured",
    "Member",
    "OperatingPoint",
    "Segmentation",
    "SizeSeen",
    "Task",
    "VolumesSeen",
]

SCHEMA = 1
MANIFEST = "model.json"
HASH = "model.sha256"
SIGNATURE = "model.sig"
"""Lies beside the manifest where the model is signed, and is not listed: it is over the manifest."""
MAX_FILES = 1000
MAX_VOXELS = 1 << 27
"""Most voxels of one channel of a network's input."""


def _of_volumes(value: Any) -> str:
    """Tell the two preparations apart: volumes name their channels, pictures count them."""
    channels = value.get("channels") if isinstance(value, dict) else getattr(value, "channels", None)
    return "volumes" if isinstance(channels, list | tuple) else "pictures"


TAGS = ("pictures", "volumes")
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
    adopted
        Of a network that was trained elsewhere: where it comes from. None: Semeion trained it.
    members, combination
        The mean of the members' probabilities (or values) is taken, ``weighted`` by the members' weights.
    calibration, operating_point
        Applied after the combination, in this order. None where there is nothing to apply.
    interval
        Of a measured value: what is added and taken away for the ends that findings give.
    sets
        Which classes a finding names, where more than one cannot be ruled out; None: the class at the operating point.
    evidence
        Headline figures: split -> name -> figure.
    provenance
        Hashes of what it came from; None where nobody stated them.
    explained
        Of each way to explain that was tried, how it came out; None: none was.
    card
        Path of the model card.
    golden
        Path of the golden cases (:class:`semeion.model.golden.Golden`); None: the model has none.
    reference
        Path of what the training cases look like (:class:`semeion.model.reference.Reference`); None: it
        is not known.
    monitor
        Path of what it is watched by in service (:class:`semeion.monitor.baseline.Baseline`); None: it cannot be.
    values
        Path of what values the training cases have (:class:`semeion.model.values.ValueReference`); None: it is not
        known, or the model takes none.
    neighbours
        Path of the training cases' features and ids (:class:`semeion.model.neighbours.Neighbours`), which only ships
        where it was asked for; None: it holds none.
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
    adopted: Adopted | None = None
    members: Annotated[list[Member], Field(min_length=1, max_length=MAX_MEMBERS)]
    combination: Literal["mean", "weighted"] = "mean"
    calibration: Calibration | None = None
    operating_point: OperatingPoint | None = None
    interval: Interval | None = None
    sets: ClassSets | None = None
    evidence: Annotated[dict[Name, Figures], Field(max_length=10)] = Field(default_factory=dict)
    provenance: Provenance | None = None
    explained: dict[Literal["activation", "occlusion"], Explained] | None = None
    card: str = "CARD.md"
    golden: str | None = None
    reference: str | None = None
    monitor: str | None = None
    values: str | None = None
    neighbours: str | None = None
    files: Annotated[dict[str, ListedFile], Field(max_length=MAX_FILES)]

    _inside = field_validator("card")(check_path)

    @field_validator("golden", "reference", "monitor", "values", "neighbours")
    @classmethod
    def _also_inside(cls, path: str | None) -> str | None:
        return None if path is None else check_path(path)

    @property
    def _optional(self) -> tuple[str | None, ...]:
        return (self.golden, self.reference, self.monitor, self.values, self.neighbours)

    @property
    def n_outputs(self) -> int:
        """Width K of every member's output: classes, labels, 1 for a measured value; of voxels the background too."""
        if self.measured is not None:
            return len(self.measured.structures) + 1
        if self.task == "segmentation":
            return len(self.classes) + 1
        return len(self.classes) if self.task != "regression" else 1

    @property
    def weights(self) -> tuple[float, ...] | None:
        """The members' shares in the ensemble, of those that have one; None where none has."""
        return tuple(m.weight for m in self.members if m.weight is not None) or None

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
        names = {path.casefold() for path in files}
        if len(names | {MANIFEST, HASH, SIGNATURE}) != len(files) + 3:
            raise ValueError("two of the listed files have the same name, or one is listed that must not be")
        if any(name.rsplit("/", depth)[0] in names for name in names for depth in range(1, name.count("/") + 1)):
            raise ValueError("one of the listed files is a folder of another")
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
        if self.interval is not None and self.task != "regression":
            problems.append("an interval belongs to a measured value, and to no other")
        if self.sets is not None:
            problems += self.sets.problems(self.task, self.classes)
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
        named += [path for path in self._optional if path is not None]
        if self.measured is not None:
            named += self.measured.used_files
        named += [member.head for member in self.members if member.head is not None]
        problems = [f"{path!r} is used but not listed in files" for path in named if path not in self.files]
        if len({member.name for member in self.members}) != len(self.members):
            problems.append("two members have the same name")
        return problems + self._member_problems()

    def _member_problems(self) -> list[str]:
        problems = [problem for member in self.members for problem in member.problems()]
        weights = self.weights
        if self.combination == "mean":
            if weights is not None:
                problems.append("members have weights, and their plain mean is taken")
        elif weights is None or len(weights) != len(self.members) or abs(sum(weights) - 1) > 1e-6:
            problems.append("the weights of the members do not sum to 1")
        if self.outlines and any(member.kind != "network" for member in self.members):
            problems.append("only networks outline")
        if self.outlines and weights is not None:
            problems.append("what members outline counts the same, and they have weights")
        if any(member.kind == "covariates" for member in self.members) and not self.inputs.covariates:
            problems.append("a member judges covariates, and none is among the inputs")
        return problems
