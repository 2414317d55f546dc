"""The plan of a segmentation: every decision of a run with its reason, readable and editable by hand."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from semeion.plan.recipes import Section
from semeion.plan.schema import BudgetPlan, MemberPlan
from semeion.prepare.volume_spec import VolumePreparation

SCHEMA = 1
SUPERVISION = "deep supervision"
"""The question whether coarser levels are supervised, as it is named in decisions."""

Rule = Annotated[str, Field(pattern=r"^(largest|fill):(union|[1-9][0-9]{0,2})$")]
"""Of :mod:`semeion.prepare.postprocess`."""
Sides = list[Annotated[int, Field(ge=1, le=1024)]]


class SegmentTargetPlan(Section):
    """What is outlined, as in :class:`semeion.cohort.cohort.Target`."""

    name: str
    task: Literal["segmentation"] = "segmentation"
    classes: list[str] = Field(min_length=1)
    """Names of the labels; background has none."""
    values: list[int] = Field(min_length=1)
    """Their integers in the masks, in the same order."""
    lesions: list[str] = Field(default_factory=list)
    """Labels whose connected parts are lesions: they are also found, missed and counted one by one."""

    @model_validator(mode="after")
    def _matched(self) -> SegmentTargetPlan:
        if len(self.classes) != len(self.values):
            raise ValueError(f"{len(self.classes)} classes and {len(self.values)} values")
        if len(set(self.classes)) != len(self.classes) or len(set(self.values)) != len(self.values):
            raise ValueError("two labels share a name or a value")
        if 0 in self.values:
            raise ValueError("0 is background and no label")
        unknown = [name for name in self.lesions if name not in self.classes]
        if unknown:
            raise ValueError(f"the lesion {unknown[0]!r} is not among the classes {', '.join(self.classes)}")
        if len(set(self.lesions)) != len(self.lesions):
            raise ValueError("a lesion is named twice")
        return self


class VolumePreparationPlan(VolumePreparation):
    """The preparation steps with their reasons."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    why: dict[str, str] = Field(default_factory=dict)

    def spec(self) -> VolumePreparation:
        """Return the steps without the reasons, as the shipped model holds them."""
        return VolumePreparation.model_validate(self.model_dump(exclude={"why"}))


class UNetPlan(Section):
    """A U-Net: one width, kernel and stride a level, the first level at full resolution."""

    dims: Literal[2, 3]
    patch: Sides
    """The window: ``(D, H, W)``, or ``(H, W)`` in two dimensions."""
    widths: list[Annotated[int, Field(ge=4, le=1024)]] = Field(min_length=2, max_length=8)
    kernels: list[Sides]
    strides: list[Sides]
    """Of the step into a level; all 1 for the first."""
    residual: bool = False
    norm: Literal["instance", "batch"] = "batch"
    deep_supervision: int = Field(default=2, ge=0, le=6)
    """Coarser levels whose outlines are also learned; their outputs do not ship."""

    @model_validator(mode="after")
    def _consistent(self) -> UNetPlan:
        levels = len(self.widths)
        if len(self.kernels) != levels or len(self.strides) != levels:
            raise ValueError(f"{levels} widths need as many kernels and strides")
        for sides in (self.patch, *self.kernels, *self.strides):
            if len(sides) != self.dims:
                raise ValueError(f"patch, kernels and strides have {self.dims} numbers each")
        if any(size % 2 == 0 for kernel in self.kernels for size in kernel):
            raise ValueError("the sides of a kernel are odd")
        if set(self.strides[0]) != {1}:
            raise ValueError("the first stride is 1: outlines have the resolution of the image")
        for axis, side in enumerate(self.patch):
            total = 1
            for stride in self.strides:
                total *= stride[axis]
            if side % total or side < 2 * total:
                raise ValueError(f"side {side} of the patch must be a multiple of {total}, at least {2 * total}")
        if self.deep_supervision >= levels - 1 and self.deep_supervision:
            raise ValueError(f"at most {max(levels - 2, 0)} coarser levels can be supervised")
        return self


class ArmPlan(Section):
    """A network with what suits it; several are tried where that pays, and one is chosen."""

    name: str = Field(pattern=r"^[A-Za-z0-9_-]{1,32}$")
    network: UNetPlan
    batch: int = Field(ge=1, le=1024)
    precision: Literal["float32", "bfloat16"] = "float32"
    channels_last: bool = True
    learning_rate: float = Field(default=2e-3, gt=0, le=1)
    step_seconds: float | None = Field(default=None, gt=0)
    """Of one training step as measured: arms are compared after equal time."""


class VolumeAugmentationPlan(Section):
    """Random changes of a patch. Sizes are drawn uniformly; `share` of the patches has each change of intensity."""

    rotation: float = Field(default=15.0, ge=0, le=180)
    """Largest angle in degrees, either way, in the plane of the slices."""
    tilt: float = Field(default=15.0, ge=0, le=180)
    """The same about the two axes that lie in the slices; 0 where slices are thick."""
    scale: float = Field(default=0.2, ge=0, lt=1)
    """Largest relative change of size, in the plane; along the slices too unless `tilt` is 0."""
    stretch: float = Field(default=0.0, ge=0, lt=1)
    """Largest further relative change of one axis on its own."""
    elastic: float = Field(default=0.0, ge=0, le=20)
    """Standard deviation in voxels of smooth random displacements."""
    flip: list[Annotated[int, Field(ge=0, le=2)]] = Field(default_factory=list)
    """Axes of (D, H, W) along which half of the patches are mirrored."""
    brightness: float = Field(default=0.2, ge=0, le=2)
    """Largest shift, in standard deviations of the prepared image."""
    contrast: float = Field(default=0.25, ge=0, lt=1)
    gamma: float = Field(default=0.3, ge=0, lt=1)
    """Largest relative change of the exponent on the patch's own range."""
    noise: float = Field(default=0.15, ge=0, le=2)
    coarse: float = Field(default=0.5, ge=0, lt=1)
    """Smallest relative resolution down to which a patch is coarsened and brought back is 1 less this."""
    share: float = Field(default=0.3, ge=0, le=1)


class SegmentTrainingPlan(Section):
    """How one member learns."""

    weight_decay: float = Field(default=0.01, ge=0, allow_inf_nan=False)
    averaging: float = Field(default=0.99, ge=0, lt=1)
    """Decay of the moving average of the weights, which is what is validated and shipped."""
    foreground: float = Field(default=0.5, ge=0, le=1)
    """Share of the patches of a batch that are centred near a labelled voxel, labels taken in turn."""
    dice: float = Field(default=1.0, ge=0, le=10)
    cross_entropy: float = Field(default=1.0, ge=0, le=10)
    batch_dice: bool = True
    """Dice of all patches of a batch together, so that a patch without a label cannot upset it."""
    schedule: Literal["polynomial", "cosine"] = "polynomial"
    warm_up: float = Field(default=0.03, ge=0, lt=1)
    device: Literal["cpu", "cuda"] = "cpu"
    threads: int = Field(ge=1, le=256)
    evaluations: int = Field(default=15, ge=1)
    validation_cases: int = Field(default=16, ge=1)
    """Cases that validate while a member learns, spread evenly; all of them decide the choices."""
    augmentation: VolumeAugmentationPlan = Field(default_factory=VolumeAugmentationPlan)

    @model_validator(mode="after")
    def _something_to_learn(self) -> SegmentTrainingPlan:
        if self.dice == 0 and self.cross_entropy == 0:
            raise ValueError("dice and cross_entropy are both 0: nothing would be learned")
        return self


class SegmentValidationPlan(Section):
    """Which cases choose, and which are only predicted."""

    scheme: Literal["given", "holdout", "folds"]
    """``given``: the table's val cases. ``holdout``: a part of the training cases, by patient. ``folds``:
    patient-grouped folds, so that every training case gets a mask from networks that never saw its patient."""
    folds: int = Field(default=0, ge=0, le=20)
    inner_share: float = Field(default=0.15, gt=0, lt=0.5)
    """Share of the learning cases, by patient, that validates instead (``holdout`` and ``folds``)."""

    @model_validator(mode="after")
    def _folds_fit(self) -> SegmentValidationPlan:
        if self.scheme == "folds" and self.folds < 2:
            raise ValueError("folds must be 2 or more when scheme is 'folds'")
        return self


class SegmentMemberPlan(MemberPlan):
    """One network of the ensemble, of one arm."""

    arm: str
    first: int | None = Field(default=None, ge=1)
    """Steps of a first round of the schedule, down to a rate of 0, after which arms are compared; the member then goes
    on in a second round up to `steps`. None: one round only."""

    @model_validator(mode="after")
    def _second_round(self) -> SegmentMemberPlan:
        if self.first is not None and self.first >= self.steps:
            raise ValueError(f"a first round of {self.first} steps leaves nothing of {self.steps}")
        return self


class Decision(BaseModel):
    """A choice made on validation cases, with the figures that made it."""

    model_config = ConfigDict(extra="forbid")

    question: str
    options: dict[str, float]
    """Mean Dice over validation cases of each option."""
    difference: float
    """Dice of the chosen option less that of the other named in `against`."""
    low: float
    high: float
    """95 % bootstrap interval of the difference over patients."""
    n: int
    chosen: str
    against: str
    why: str


class UsePlan(Section):
    """How the network looks at a volume; decided on validation cases."""

    overlap: float = Field(default=0.5, ge=0, lt=1)
    mirror: list[Annotated[int, Field(ge=0, le=2)]] = Field(default_factory=list)
    """Axes of the patch along which windows are also mirrored."""
    mirror_tried: list[Annotated[int, Field(ge=0, le=2)]] = Field(default_factory=list)
    """Axes for which mirroring is tried: those along which training patches were."""
    postprocess: list[Rule] = Field(default_factory=list)
    """Rules of :mod:`semeion.prepare.postprocess` in order, for example ``largest:1``, ``fill:union``."""
    postprocess_tried: list[Rule] = Field(default_factory=list)


class ChoicePlan(Section):
    """How the arm is chosen, and every choice that was made."""

    trial_share: float = Field(default=0.1, gt=0, le=0.5)
    """Share of the learning time that each network learns before it is compared with others."""
    arm: str | None = None
    """The arm that was chosen; None while several are open."""
    supervision_tried: bool = False
    """Whether the chosen arm is also tried without deep supervision."""
    decisions: list[Decision] = Field(default_factory=list)

    def supervision_open(self) -> bool:
        """Tell whether deep supervision is still to be decided by a trial."""
        return self.supervision_tried and all(decision.question != SUPERVISION for decision in self.decisions)


class SegmentationPlan(BaseModel):
    """Everything that decides what a segmentation run does. With fixed steps the same plan gives the same weights."""

    model_config = ConfigDict(extra="forbid")

    schema_version: int = Field(default=SCHEMA, alias="schema")
    task: Literal["segmentation"] = "segmentation"
    seed: int = Field(default=0, ge=0, lt=2**31)
    target: SegmentTargetPlan
    preparation: VolumePreparationPlan
    arms: list[ArmPlan] = Field(min_length=1, max_length=6)
    training: SegmentTrainingPlan
    validation: SegmentValidationPlan
    members: list[SegmentMemberPlan] = Field(min_length=1, max_length=64)
    choice: ChoicePlan = Field(default_factory=ChoicePlan)
    use: UsePlan = Field(default_factory=UsePlan)
    budget: BudgetPlan = Field(default_factory=BudgetPlan)

    @model_validator(mode="after")
    def _consistent(self) -> SegmentationPlan:
        arms = [arm.name for arm in self.arms]
        names = [member.name for member in self.members]
        if len(set(names)) != len(names) or len(set(arms)) != len(arms):
            raise ValueError("two members or two arms have the same name")
        unknown = {member.arm for member in self.members} - set(arms)
        if self.choice.arm is not None:
            unknown |= {self.choice.arm} - set(arms)
        if unknown:
            raise ValueError(f"arm {sorted(unknown)[0]!r} is not among {', '.join(arms)}")
        folds = {member.fold for member in self.members}
        if self.validation.scheme == "folds":
            if folds - set(range(self.validation.folds)):
                raise ValueError(f"a member's fold is not among 0 to {self.validation.folds - 1}")
            open_arm = len(self.arms) > 1 and self.choice.arm is None
            if self.use.mirror_tried or self.use.postprocess_tried or self.choice.supervision_tried or open_arm:
                raise ValueError(
                    "with folds nothing is tried on validation cases, which other folds hold out: name the arm in "
                    "choice.arm, write mirror and postprocess in use, empty mirror_tried and postprocess_tried, and "
                    "set supervision_tried to false"
                )
        elif folds != {-1}:
            raise ValueError("without folds a member's fold is -1")
        for rule in (*self.use.postprocess, *self.use.postprocess_tried):
            label = rule.split(":")[1]
            if label != "union" and int(label) > len(self.target.classes):
                raise ValueError(f"rule {rule!r} names a label above {len(self.target.classes)}")
        if len(self.arms) > 1 and self.choice.arm is None and self.budget.seconds is None:
            raise ValueError("with fixed steps the arm must be named in choice.arm")
        others = [member.arm for member in self.members if member.arm != self.choice.arm]
        if self.choice.arm is not None and others:
            raise ValueError(f"choice.arm is {self.choice.arm!r}, and a member's arm is {others[0]!r}: write the same")
        if self.choice.supervision_open():
            self._supervision_can_be_tried()
        return self

    def _supervision_can_be_tried(self) -> None:
        if self.budget.seconds is None:
            raise ValueError("with fixed steps nothing is tried: set choice.supervision_tried to false")
        if all(arm.network.deep_supervision == 0 for arm in self.open_arms()):
            raise ValueError("no arm supervises a coarser level: set choice.supervision_tried to false")
        trials = len(self.open_arms()) + 1
        if trials * self.choice.trial_share >= 1:
            raise ValueError(f"{trials} trials of {self.choice.trial_share} each leave no time: lower trial_share")

    def open_arms(self) -> list[ArmPlan]:
        """Return the arms that may still become the first member's: all, or the one that it has."""
        return list(self.arms) if self.choice.arm is None else [self.arm(self.members[0].arm)]

    def arm(self, name: str) -> ArmPlan:
        """Return the arm called `name`."""
        return next(arm for arm in self.arms if arm.name == name)
