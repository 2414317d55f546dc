"""The plan: every decision of a run with its reason, small enough to read and to edit by hand."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag, model_validator

from semeion.prepare.spec import Preparation
from semeion.prepare.volume_spec import VolumePreparation

SCHEMA = 1
Why = dict[str, str]


class Section(BaseModel):
    """A part of the plan; `why` gives the reason of each decision by its key."""

    model_config = ConfigDict(extra="forbid")

    why: Why = Field(default_factory=dict)


class TargetPlan(Section):
    """What is diagnosed, as in :class:`semeion.cohort.cohort.Target`."""

    name: str
    task: Literal["binary", "multiclass", "multilabel", "ordinal", "regression"]
    classes: list[str] = Field(default_factory=list)
    positive: str | None = None


class PreparationPlan(Preparation):
    """The preparation steps with their reasons."""

    why: Why = Field(default_factory=dict)

    @model_validator(mode="after")
    def _possible(self) -> PreparationPlan:
        if not all(8 <= side <= 1024 for side in self.size):
            raise ValueError("each side of size must be from 8 to 1024 pixels")
        if self.intensity == "window" and self.window is None:
            raise ValueError("intensity 'window' needs window: [low, high]")
        if self.window is not None and not self.window[0] < self.window[1]:
            raise ValueError("the first value of window must be below the second")
        return self

    def spec(self) -> Preparation:
        """Return the steps without the reasons, as the shipped model holds them."""
        return Preparation.model_validate(self.model_dump(exclude={"why"}))


class VolumePreparationPlan(VolumePreparation):
    """The preparation steps of volumes with their reasons; every case becomes an array of `size`."""

    why: Why = Field(default_factory=dict)

    @model_validator(mode="after")
    def _possible(self) -> VolumePreparationPlan:
        if self.size is None or not all(1 <= side <= 512 for side in self.size) or min(self.size[1:]) < 8:
            raise ValueError("size must be [slices, rows, columns], rows and columns from 8 and none above 512")
        return self

    def spec(self) -> VolumePreparation:
        """Return the steps without the reasons, as the shipped model holds them."""
        return VolumePreparation.model_validate(self.model_dump(exclude={"why"}))


def _of_volumes(value: Any) -> str:
    """Tell the two preparations apart: volumes name their channels, pictures count them."""
    channels = value.get("channels") if isinstance(value, dict) else getattr(value, "channels", None)
    return "volume" if isinstance(channels, list | tuple) else "picture"


class ImagesPlan(Section):
    """What the images of a case are, as in :class:`semeion.cohort.roles.ImageRole`."""

    kind: Literal["picture", "volume"] = "picture"
    role: Literal["single", "channels", "frames", "views"] = "single"
    names: list[str] = Field(default_factory=list, max_length=64)

    @property
    def groups(self) -> int:
        """Images that are encoded each for itself and then pooled: frames and views; channels are stacked."""
        return len(self.names) if self.role in ("frames", "views") else 1


class NetworkPlan(Section):
    """A compact residual network.

    A stem, then one stage of residual blocks a width, each after the first halving the map; global average pooling,
    dropout, one linear layer. ``residual`` sees pictures, ``residual3d`` whole volumes, and ``slices`` the slices of a
    volume with one shared two-dimensional body whose features are pooled over the slices.
    """

    kind: Literal["residual", "residual3d", "slices"] = "residual"
    widths: list[Annotated[int, Field(ge=1, le=2048)]] = Field(min_length=1, max_length=6)
    blocks: int = Field(default=1, ge=1, le=4)
    """Residual blocks (two 3 x 3 convolutions each) a stage."""
    stem_stride: Literal[1, 2] = 1
    pooling: Literal["mean", "attention", "gru", "lstm"] = "mean"
    """Of the slices of ``slices``: their mean, a mean weighted by learned attention, or the last state of a recurrent
    network that reads them in order, from both ends."""
    group_pooling: Literal["mean", "attention", "gru", "lstm"] = "mean"
    """Of frames or views, after each was encoded."""
    shared: bool = True
    """Whether frames or views have one encoder, or each its own."""
    dropout: float = Field(default=0.2, ge=0, lt=1)


class AugmentationPlan(Section):
    """Random changes of a training image; every one is drawn uniformly and independently for each image."""

    rotation: float = Field(default=10.0, ge=0, le=180)
    """Largest angle in degrees, either way."""
    scale: float = Field(default=0.12, ge=0, lt=1)
    """Largest relative change of size."""
    shift: float = Field(default=0.1, ge=0, lt=1)
    """Largest displacement as a share of the side."""
    flip_horizontal: bool = False
    flip_vertical: bool = False
    tilt: float = Field(default=0.0, ge=0, le=180)
    """Of volumes: largest angle in degrees about the two axes within the slices."""
    flip_slices: bool = False
    """Of volumes: reverse the order of the slices."""
    brightness: float = Field(default=0.2, ge=0, le=1)
    contrast: float = Field(default=0.2, ge=0, lt=1)
    noise: float = Field(default=0.0, ge=0, le=1)
    """Largest standard deviation of added Gaussian noise, in units of the image's own standard deviation."""


class TrainingPlan(Section):
    """How one member learns."""

    batch: int = Field(ge=2, le=4096)
    learning_rate: float = Field(gt=0, le=1)
    """Peak of the one-cycle schedule."""
    weight_decay: float = Field(default=0.05, ge=0, allow_inf_nan=False)
    label_smoothing: float = Field(default=0.05, ge=0, lt=0.5)
    averaging: float = Field(default=0.99, ge=0, lt=1)
    """Decay of the exponential moving average of the weights, which is what is validated and shipped."""
    class_weights: list[Annotated[float, Field(gt=0, allow_inf_nan=False)]] = Field(default_factory=list)
    """Weights of the classes (multi-label: of presence) in the loss; their effect on the probabilities is undone in the
    shipped graph."""
    precision: Literal["float32", "bfloat16"] = "float32"
    device: Literal["cpu", "cuda"] = "cpu"
    channels_last: bool = True
    threads: int = Field(ge=1, le=256)
    evaluations: int = Field(default=20, ge=1)
    """How often a member is validated while it learns."""
    patience: int = Field(default=8, ge=1)
    """Evaluations without a better validation loss after which a member stops, once its learning rate is falling."""
    augmentation: AugmentationPlan = Field(default_factory=AugmentationPlan)


class ValidationPlan(Section):
    """Which cases choose, and which are only predicted."""

    scheme: Literal["given", "folds"]
    """``given``: the table's train and val cases. ``folds``: patient-grouped stratified folds of all training cases."""
    folds: int = Field(default=0, ge=0, le=20)
    by: str | None = Field(default=None, min_length=1)
    """Of ``folds``: a column of the table whose values are the folds, in the order of their names, so that each is held
    out as a whole; None: folds are drawn."""
    inner_share: float = Field(default=0.15, gt=0, lt=0.5)
    """Share of a fold's learning cases, by patient, that validates instead."""

    @model_validator(mode="after")
    def _folds_fit(self) -> ValidationPlan:
        if self.scheme == "folds" and self.folds < 2:
            raise ValueError("folds must be 2 or more when scheme is 'folds'")
        if self.scheme == "given" and self.by is not None:
            raise ValueError("'by' names what the folds are, and the given split has none")
        return self


class Shortened(BaseModel):
    """The member's total of steps was changed while it learned, since the machine was slower (or fast again)."""

    model_config = ConfigDict(extra="forbid")

    at: int = Field(ge=0)
    to: int = Field(ge=1)


class MemberPlan(BaseModel):
    """One network of the ensemble."""

    model_config = ConfigDict(extra="forbid")

    name: str = Field(pattern=r"^[A-Za-z0-9_-]{1,64}$")
    fold: int = -1
    """Fold that is held out, or -1 for the given split."""
    seed: int = Field(ge=0, lt=2**31)
    steps: int = Field(ge=1)
    shortened: list[Shortened] = Field(default_factory=list)


class SetsPlan(Section):
    """Sets of classes that hold the truth with a stated coverage, and who calibrates them.

    Out-of-fold predictions do where there are folds. Of a given split a share of the val patients is set aside for
    nothing else: the others choose.
    """

    coverage: float | None = Field(default=0.9, gt=0, lt=1)
    """Of the patients, the share whose sets are to hold the truth; null makes no sets."""
    share: float = Field(default=0.0, ge=0, le=0.5)
    """Share of the val cases of a given split, by patient, that calibrates the sets alone; 0 sets none aside."""

    @model_validator(mode="after")
    def _of_use(self) -> SetsPlan:
        if self.coverage is None and self.share:
            raise ValueError("share sets cases aside for sets, and without a coverage none are made")
        return self


class OperatingPointPlan(Section):
    """How the threshold of a binary finding is chosen on validation cases."""

    rule: str = "youden"


class BudgetPlan(Section):
    """What the run may take; `seconds` None is a plan with fixed steps, which repeats exactly."""

    seconds: float | None = Field(default=None, gt=0)
    reserve: float = Field(default=0.0, ge=0)
    """Seconds kept for export, prediction, evidence and report."""
    expected_seconds: float = 0.0
    """What the whole run should take on the measured machine."""
    expected_gib: float = 0.0
    """Largest memory that the run should need."""


class Plan(BaseModel):
    """Everything that decides what a run does. The same plan on the same machine gives the same weights."""

    model_config = ConfigDict(extra="forbid")

    schema_version: int = Field(default=SCHEMA, alias="schema")
    seed: int = Field(default=0, ge=0, lt=2**31)
    target: TargetPlan
    images: ImagesPlan = Field(default_factory=ImagesPlan)
    preparation: Annotated[
        Annotated[PreparationPlan, Tag("picture")] | Annotated[VolumePreparationPlan, Tag("volume")],
        Discriminator(_of_volumes),
    ]
    network: NetworkPlan
    training: TrainingPlan
    validation: ValidationPlan
    members: list[MemberPlan] = Field(min_length=1, max_length=64)
    operating_point: OperatingPointPlan = Field(default_factory=OperatingPointPlan)
    sets: SetsPlan = Field(default_factory=SetsPlan)
    budget: BudgetPlan = Field(default_factory=BudgetPlan)

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of one prepared case: planes of all its images, then (slices,) rows and columns."""
        images = len(self.images.names) if self.images.role != "single" else 1
        size = self.preparation.size or ()
        if isinstance(self.preparation, VolumePreparationPlan):
            return (self.images.groups * len(self.preparation.channels), *size)
        return (images * self.preparation.channels, *size)

    @model_validator(mode="after")
    def _consistent(self) -> Plan:
        volume = isinstance(self.preparation, VolumePreparationPlan)
        if volume != (self.images.kind == "volume"):
            raise ValueError(f"images.kind is {self.images.kind!r}, and the preparation is of the other kind")
        if volume == (self.network.kind == "residual"):
            raise ValueError(f"network.kind {self.network.kind!r} does not see images of kind {self.images.kind!r}")
        names = [member.name for member in self.members]
        if len(set(names)) != len(names):
            raise ValueError("two members have the same name")
        if self.validation.scheme == "folds" and {m.fold for m in self.members} - set(range(self.validation.folds)):
            raise ValueError(f"a member's fold is not among 0 to {self.validation.folds - 1}")
        if self.validation.scheme == "folds" and self.sets.share:
            raise ValueError("sets.share sets val cases of a given split aside, and with folds there are none")
        if self.validation.scheme == "given" and any(member.fold != -1 for member in self.members):
            raise ValueError("with the given split a member's fold is -1")
        weights, classes = self.training.class_weights, self.target.classes
        if weights and len(weights) != len(classes):
            raise ValueError(f"training.class_weights has {len(weights)} weights for {len(classes)} classes")
        return self
