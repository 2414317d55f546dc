"""The parts of a manifest, each read as hostile input: files, members, decisions, figures."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, field_validator

from semeion.calibration.maps import LARGEST, MOST_POINTS, Map, map_from_json
from semeion.calibration.maps import Temperature as TemperatureMap
from semeion.errors import InputError
from semeion.measure.spec import Measurements
from semeion.prepare.postprocess import check_rule
from semeion.prepare.volume_spec import VolumePreparation

if TYPE_CHECKING:
    from semeion.model.manifest_inputs import Inputs

MAX_FILE = 2 << 30
"""Largest listed file in bytes; an ONNX file cannot be larger (a limit of protobuf)."""
MAX_CLASSES = 1000
MAX_IMAGES = 64
"""Images a case: channels, frames or views."""

_PART = r"[A-Za-z0-9_]([A-Za-z0-9_.-]*[A-Za-z0-9_-])?"
_PATH = re.compile(rf"{_PART}(/{_PART}){{0,4}}")
_DEVICE = re.compile(r"(^|/)(con|prn|aux|nul|com\d|lpt\d)(\.|/|$)", re.IGNORECASE)
"""Names that Windows keeps for devices, whatever their suffix."""

Task = Literal["binary", "multiclass", "multilabel", "ordinal", "regression", "segmentation"]
Text = Annotated[str, Field(max_length=20_000)]
Name = Annotated[str, Field(min_length=1, max_length=200)]
Count = Annotated[int, Field(ge=0, le=10**12)]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Temperature = Annotated[float, Field(ge=1 / LARGEST, le=LARGEST)]
MAX_MEMBERS = 64
MAX_SIDE = 1024


def check_path(path: str) -> str:
    """Return `path` when it is a plain relative name inside the folder; raise ValueError otherwise."""
    if len(path) > 200 or not _PATH.fullmatch(path) or _DEVICE.search(path):
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
    """One member of the ensemble: its name, its graph's path in the folder, and the graph's output."""

    name: Name
    kind: Literal["network", "frozen", "covariates"] = "network"
    """``frozen``: the graph gives features, and a linear head in `head` judges them. ``covariates``: there is no graph,
    and `file` is the JSON of :class:`semeion.model.covariates.CovariateHead`, which gives probabilities."""
    file: str
    output: Literal["logits", "features", "probabilities"] = "logits"
    head: str | None = None
    """Path of the JSON of a linear head (:class:`semeion.model.linear.Linear`)."""
    weight: Annotated[float, Field(ge=0, le=1)] | None = None
    """Share of the member in the ensemble, 0 of one that only another member goes by; None: all have equal ones."""
    mirror: Annotated[list[Annotated[int, Field(ge=0, le=2)]], Field(max_length=3)] = []
    """Of a segmentation: axes of the network's window along which it also looks mirrored."""

    fast: str | None = None
    """Path of the same network written so that ONNX Runtime runs it faster; other engines take `file`."""

    _inside = field_validator("file")(check_path)

    @field_validator("fast", "head")
    @classmethod
    def _also_inside(cls, path: str | None) -> str | None:
        return None if path is None else check_path(path)

    def problems(self) -> list[str]:
        """Return what contradicts itself."""
        frozen = self.kind == "frozen"
        if frozen != (self.head is not None) or frozen != (self.output == "features"):
            return [f"member {self.name}: a head belongs to a graph that gives features, and to no other"]
        covariates = self.kind == "covariates"
        if covariates != (self.output == "probabilities") or (covariates and (self.fast or self.mirror)):
            return [f"member {self.name}: probabilities come from a member of covariates, which has no graph"]
        return []


class Segmentation(Part):
    """How labels of voxels are found and written.

    Attributes
    ----------
    values
        Integer of each class in the masks, in the order of the classes; 0 is the background.
    overlap
        Of neighbouring windows, as a share.
    postprocess
        Rules of :mod:`semeion.prepare.postprocess`, in order; labels are class indices from 1.
    lesions
        Classes whose connected parts are lesions.
    """

    values: Annotated[list[Annotated[int, Field(ge=1, le=255)]], Field(min_length=1, max_length=255)]
    overlap: Annotated[float, Field(ge=0, le=0.9)] = 0.5
    postprocess: Annotated[list[Name], Field(max_length=100)] = []
    lesions: Annotated[list[Name], Field(max_length=255)] = []

    def problems(self, classes: list[str]) -> list[str]:
        """Return what does not fit the classes."""
        found = []
        if len(self.values) != len(classes) or len(set(self.values)) != len(self.values):
            found.append(f"{len(classes)} classes need as many distinct values in the mask")
        if not set(self.lesions) <= set(classes):
            found.append("a lesion is not among the classes")
        for rule in self.postprocess:
            try:
                check_rule(rule, len(classes))
            except ValueError as error:
                found.append(str(error))
        return found


def _is_map(written: dict[str, Any]) -> dict[str, Any]:
    try:
        map_from_json(written)
    except InputError as error:
        raise ValueError(error.what) from error
    return written


WrittenMap = Annotated[
    dict[Name, Name | float | Annotated[list[float], Field(max_length=MOST_POINTS)]],
    Field(max_length=4),
    AfterValidator(_is_map),
]
"""A map as :func:`semeion.calibration.maps.map_from_json` reads it: its kind and its numbers."""


class Calibration(Part):
    """What makes the probabilities honest: of the one question, or of each label of a multi-label model.

    Attributes
    ----------
    method
        ``temperature`` where temperatures are all there is, which every version reads; else ``map``.
    value, by_target
        The temperature, or that of each label; 1 changes nothing.
    map, maps
        A map of another kind, or that of each label. Of two classes it takes the probability of the second.
    """

    method: Literal["temperature", "map"] = "temperature"
    value: Temperature | None = None
    by_target: Annotated[dict[Name, Temperature], Field(max_length=MAX_CLASSES)] | None = None
    map: WrittenMap | None = None
    maps: Annotated[dict[Name, WrittenMap], Field(max_length=MAX_CLASSES)] | None = None

    @property
    def whole(self) -> Map | None:
        """The map of the one question."""
        if self.map is not None:
            return map_from_json(self.map)
        return None if self.value is None else TemperatureMap(self.value)

    @property
    def by_label(self) -> dict[str, Map] | None:
        """The map of each label."""
        if self.maps is not None:
            return {name: map_from_json(written) for name, written in self.maps.items()}
        return None if self.by_target is None else {name: TemperatureMap(t) for name, t in self.by_target.items()}

    def problems(self, task: Task, classes: list[str]) -> list[str]:
        """Return what does not fit the question, or contradicts itself."""
        temperatures, maps = (self.value, self.by_target), (self.map, self.maps)
        unused = maps if self.method == "temperature" else temperatures
        if any(part is not None for part in unused):
            return [f"the calibration is by {self.method} and holds something else"]
        whole, by_label = self.whole, self.by_label
        if task == "multilabel":
            named = set(by_label or ()) == set(classes) and whole is None
            return [] if named else ["the calibration must name every label"]
        if whole is None or by_label:
            return ["the calibration is one temperature or one map"]
        if task != "binary" and whole.kind not in ("identity", "temperature"):
            return [f"the map {whole.kind} takes the probability of one class, and there are {len(classes)}"]
        return []


class Adopted(Part):
    """Where a network comes from that was trained elsewhere.

    Attributes
    ----------
    sha256, producer, opset
        Of the file that was given: its hash, what wrote it (None when it does not say), its version of the operators.
    gives
        What its answers are; None in models of before this was kept.
    learned_from
        What the user states that it learned from; None where nothing is known.
    sentence
        The same in words, for people.
    """

    sha256: Sha256
    producer: Name | None = None
    opset: Annotated[int, Field(ge=1, le=1000)]
    gives: Literal["logits", "probabilities", "value"] | None = None
    learned_from: Text | None = None
    sentence: Text


class ImageMembers(Part):
    """Networks that see the images of a diagnosis from measurements themselves.

    The mean of their probabilities is calibrated, and then averaged with the calibrated probabilities of the
    measurements, with equal weights. A case has the same images for both.

    Attributes
    ----------
    preparation
        How the images become the networks' input.
    members
        The networks.
    calibration
        Of the mean of their probabilities.
    """

    preparation: VolumePreparation
    members: Annotated[list[Member], Field(min_length=1, max_length=MAX_MEMBERS)]
    calibration: Calibration | None = None

    def problems(self, inputs: Inputs) -> list[str]:
        """Return what does not fit the images of a case, or contradicts itself."""
        found, size = [], self.preparation.size
        if size is None or not all(1 <= side <= MAX_SIDE for side in size):
            found.append(f"volumes that are classified need a size of 1 to {MAX_SIDE} voxels a side")
        channels = inputs.images if inputs.role == "channels" else 1
        if len(self.preparation.channels) != channels:
            found.append(f"image networks see {len(self.preparation.channels)} channels, and an image has {channels}")
        if len({member.name for member in self.members}) != len(self.members):
            found.append("two image networks have the same name")
        if any(member.fast is not None or member.mirror for member in self.members):
            found.append("an image network has neither a faster graph nor mirrored looks")
        if any(m.kind != "network" or m.output != "logits" or (m.head, m.weight) != (None, None) for m in self.members):
            found.append("an image network gives logits, and has neither a head nor a weight")
        if self.calibration is not None and (self.calibration.whole is None or self.calibration.by_label):
            found.append("the calibration of image networks is one temperature or one map")
        return found


class Measured(Part):
    """How a diagnosis is made of masks: what is measured in them, and who classifies the measurements.

    Attributes
    ----------
    structures
        Names of the labels that the networks outline, in the order of ``segmentation.values``.
    measurements
        What is measured of each.
    file
        Path of the trees (:class:`semeion.model.trees.Trees`) in the folder.
    images
        Networks that see the images themselves, whose verdict is averaged with that of the measurements.
    """

    structures: Annotated[list[Name], Field(min_length=1, max_length=255)]
    measurements: Measurements
    file: str
    images: ImageMembers | None = None

    _inside = field_validator("file")(check_path)

    @property
    def used_files(self) -> list[str]:
        """Return the paths of all files that this part names."""
        return [self.file, *(member.file for member in (self.images.members if self.images else ()))]


class Provenance(Part):
    """What the model came from, as sha256: it names nothing, and whoever keeps the run can show that they belong.

    Attributes
    ----------
    code
        Of the source of Semeion that made it (:func:`semeion.provenance.code_hash`).
    data
        Over the pixels of the cases that were learned from, without ids.
    plan
        Of ``plan.executed.yaml`` (adopted: ``plan.yaml``).
    predictions
        Of ``predictions.parquet``.
    evidence
        Of the ``metrics`` in ``evidence.json``, as JSON with sorted keys and without spaces.
    """

    code: Sha256
    data: Sha256 | None = None
    plan: Sha256 | None = None
    predictions: Sha256 | None = None
    evidence: Sha256 | None = None


class OperatingPoint(Part):
    """How probabilities become a call.

    Binary: positive when its probability is at least `value`. Multi-label: the same for each label with `by_target`.
    Several classes: ``rule`` is ``argmax``.
    """

    rule: Name
    value: float | None = None
    by_target: Annotated[dict[Name, float], Field(max_length=MAX_CLASSES)] | None = None


class Interval(Part):
    """Ends around a measured value: so much less and more, with the coverage that was stated for them."""

    coverage: Annotated[float, Field(gt=0, lt=1)]
    half_width: Annotated[float, Field(ge=0, allow_inf_nan=False)]


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


class Explained(Part):
    """How a way to explain came out of its trials, before the model was written.

    Attributes
    ----------
    verdict
        A method that ``failed`` is not shown; of one that was ``not_run`` it is said that it was not tried.
    reason
        Why it failed or was not tried.
    cases
        On which cases it was tried, in words.
    figures
        What was measured (:mod:`semeion.explain.trial`).
    """

    verdict: Literal["passed", "failed", "not_run"]
    reason: Text | None = None
    cases: Text | None = None
    figures: Annotated[dict[Name, Figure], Field(max_length=100)] = Field(default_factory=dict)
