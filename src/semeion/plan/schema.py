"""The plan: every decision of a run with its reason, small enough to read and to edit by hand."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag, model_validator

from semeion.plan.fitting import refuse_starts, refuse_students
from semeion.plan.inputs import ImagesPlan, PreparationPlan, VolumePreparationPlan, of_volumes
from semeion.plan.recipes import (
    AugmentationPlan,
    CovariateKind,
    CovariatesRecipe,
    FrozenRecipe,
    NetworkPlan,
    NetworkRecipe,
    OwnNetworkPlan,
    Recipe,
    RecipeName,
    Section,
    TaughtPlan,
    TrainingPlan,
)

SCHEMA = 1
MOST_PLANNED = 64
"""Members of a plan at most, as of a model that ships."""


class TargetPlan(Section):
    """What is diagnosed, as in :class:`semeion.cohort.cohort.Target`."""

    name: str
    task: Literal["binary", "multiclass", "multilabel", "ordinal", "regression"]
    classes: list[str] = Field(default_factory=list)
    positive: str | None = None


def _whose(value: Any) -> str:
    """Tell the user's network from those of Semeion, which need not say their kind."""
    kind = value.get("kind") if isinstance(value, dict) else getattr(value, "kind", None)
    return "own" if kind == "own" else "semeion"


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
    """One member of the ensemble."""

    model_config = ConfigDict(extra="forbid")

    name: str = Field(pattern=r"^[A-Za-z0-9_-]{1,64}$")
    recipe: str | None = None
    """How it learns, one of the plan's `recipes`; None: by the plan's `network` and `training`."""
    fold: int = -1
    """Fold that is held out, or -1 for the given split."""
    seed: int = Field(ge=0, lt=2**31)
    steps: int = Field(ge=0)
    """Steps by gradient; 0 of a member that learns otherwise."""
    shortened: list[Shortened] = Field(default_factory=list)


class CombinationPlan(Section):
    """How members become one ensemble: by weights that the validation cases of each fold choose.

    A weight belongs to a recipe and is shared by its members. Only weights that do better on patients left out are
    taken, and equal ones otherwise.
    """

    method: Literal["chosen", "equal"] = "chosen"
    ship: Literal["ensemble", "single", "distilled"] = "ensemble"
    """``single``: one small member is shipped and weighed instead of all. ``distilled``: one network that learned from
    all of them, by the plan's `distillation`."""
    neighbours: bool = False
    """Whether features, ids and reference standard of training cases ship: the model then holds patient data."""


class PretrainingPlan(Section):
    """What the body of a network learns from images without labels, before it sees a label: to know an image again
    among others, however it was changed; see :mod:`semeion.learn.selfsup`.
    """

    images: int = Field(ge=2)
    """Images that it was planned for: those of ``--unlabelled``, and with a given split the train cases."""
    steps: int = Field(ge=1)
    batch: int = Field(default=128, ge=2, le=4096)
    """Images a step; each is seen twice, changed differently."""
    learning_rate: float = Field(default=3e-3, gt=0, le=1)
    """Peak of the one-cycle schedule."""
    temperature: float = Field(default=0.2, gt=0, le=10)
    """Of the similarities that are told apart."""
    seed: int = Field(ge=0, lt=2**31)
    augmentation: AugmentationPlan = Field(default_factory=AugmentationPlan)
    seconds: float = Field(default=0.0, ge=0)
    """What it should take on the measured machine; with a budget it takes no more."""
    shortened: list[Shortened] = Field(default_factory=list)
    sha256: str | None = Field(default=None, pattern=r"^[0-9a-f]{64}$")
    """Of the weights, in an executed plan: whether they repeated is told."""


class DistillationPlan(Section):
    """What one compact network learns from the ensemble when its members have learned; see
    :mod:`semeion.study.distilling`.

    Each fold has a student of its own, which only the members of that fold teach.
    """

    share: float = Field(gt=0, le=0.5)
    """Of the budget without its reserve, for the students of all folds together."""
    seconds: float = Field(default=0.0, ge=0)
    """What they should take on the measured machine."""
    trust: float = Field(default=0.7, ge=0, le=1)
    """Weight of the ensemble's words in what a student is taught; the rest is the reference standard."""
    soften: bool = True
    """Whether words about cases that the members learned from are softened by a temperature, until they are as unsure
    as those about validation cases."""
    images: int = Field(default=0, ge=0)
    """Images of ``--unlabelled`` that are taught too, by the ensemble's words alone."""
    sha256: str | None = Field(default=None, pattern=r"^[0-9a-f]{64}$")
    """Of which images these were drawn from, in an executed plan: whether they are the same again is told."""
    students: list[MemberPlan] = Field(min_length=1, max_length=20)
    """One a fold; their recipe is among the plan's."""


class ClassicPlan(Section):
    """The classic small network of the textbooks, a named baseline that every report compares with; never a member.

    All else of it is fixed: see :mod:`semeion.learn.classic`.
    """

    epochs: int = Field(default=10, ge=1, le=1000)
    seconds: float = Field(default=0.0, ge=0)
    """What it should take on the measured machine, all folds together."""


class SearchPlan(Section):
    """How to learn better is searched, in each fold on its own validation cases.

    A trial is a short member; the best one becomes a recipe that competes with the planned ones. A plan that was
    executed has the recipe and no search.
    """

    share: float = Field(gt=0, le=0.5)
    """Of the budget without its reserve, for the trials of all folds together."""
    trials: int = Field(default=40, ge=2, le=1000)
    """At most, of each fold."""
    steps: float = Field(default=0.25, gt=0, le=1)
    """Of a trial, as a share of the planned member's."""
    looks: int = Field(default=6, ge=2, le=100)
    """How often a trial is validated. After a third of them, and at each doubling, only the better half goes on."""
    startup: int = Field(default=6, ge=1)
    """Trials at random before the sampler learns from earlier ones; the first takes the planned settings."""
    searched: list[Literal["structure", "learning", "strategy"]] = Field(
        default=["structure", "learning", "strategy"], min_length=1
    )
    """Width, blocks and dropout; rates, decays and batch; augmentation, mixup, cutmix and label smoothing."""


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


class TeachingPlan(Section):
    """What members are taught besides the reference standard; see :class:`semeion.plan.teaching.Teaching`.

    It is of learning alone: validation, calibration, operating point and figures count every case once, by the target.
    """

    weight: str | None = Field(default=None, min_length=1)
    """Column of the table that says how much each case counts."""
    raters: list[Annotated[str, Field(min_length=1)]] = Field(default_factory=list, max_length=100)
    """Columns of votes, whose shares are taught in the place of one class."""


class OperatingPointPlan(Section):
    """How the threshold of a binary finding is chosen on validation cases."""

    rule: str = "youden"


class ParallelPlan(Section):
    """How many members learn at once on one machine, each in a process of its own with ``training.threads`` threads.

    It decides how long learning takes and nothing else: a member's weights do not depend on who learns beside it.
    """

    processes: int = Field(default=1, ge=1, le=256)


class TrialsPlan(Section):
    """How explanations are tried in a run that no clock shortens; of an executed plan: how they were."""

    cases: int = Field(ge=0, le=1000)
    """Held-out cases that time allowed; fewer where there are no more, and 0 tries nothing."""
    labels: bool = True
    """Whether a head on frozen features learns again from labels exchanged at random."""


class BudgetPlan(Section):
    """What the run may take; `seconds` None is a plan with fixed steps, which repeats exactly."""

    seconds: float | None = Field(default=None, gt=0)
    reserve: float = Field(default=0.0, ge=0)
    """Seconds kept for export, prediction, evidence and report."""
    reading: float = Field(default=0.0, ge=0)
    """Those of them in which members look at test and held-out cases; more members keep more."""
    step_seconds: dict[str, float] = Field(default_factory=dict)
    """What a step of each recipe took when it was measured, in seconds; ``network`` is the plan's own."""
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
        Discriminator(of_volumes),
    ]
    network: Annotated[
        Annotated[NetworkPlan, Tag("semeion")] | Annotated[OwnNetworkPlan, Tag("own")], Discriminator(_whose)
    ]
    training: TrainingPlan
    recipes: dict[RecipeName, Recipe] = Field(default_factory=dict)
    """Further ways to learn, beside `network` and `training`."""
    pretraining: PretrainingPlan | None = None
    """What recipes with ``start: pretraining`` begin with; None: nothing is learned from images alone."""
    validation: ValidationPlan
    members: list[MemberPlan] = Field(min_length=1, max_length=MOST_PLANNED)
    combination: CombinationPlan = Field(default_factory=lambda: CombinationPlan(method="equal"))
    distillation: DistillationPlan | None = None
    """One network that learns from the ensemble and ships alone; None distils nothing."""
    baseline: ClassicPlan | None = None
    """The classic small network; None trains none."""
    search: SearchPlan | None = None
    """None searches nothing."""
    teaching: TeachingPlan | None = None
    """Weights of cases and votes of raters; None: every case counts once, and its class is taught."""
    operating_point: OperatingPointPlan = Field(default_factory=OperatingPointPlan)
    sets: SetsPlan = Field(default_factory=SetsPlan)
    explanations: TrialsPlan | None = None
    """Trials of explanations in a run without a budget; None tries nothing there. With a budget time decides."""
    parallel: ParallelPlan = Field(default_factory=ParallelPlan)
    budget: BudgetPlan = Field(default_factory=BudgetPlan)

    @property
    def threads(self) -> int:
        """Threads of work that is done while no member learns: those of all members that learn at once."""
        return self.training.threads * self.parallel.processes

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of one prepared case: planes of all its images, then (slices,) rows and columns."""
        images = len(self.images.names) if self.images.role != "single" else 1
        size = self.preparation.size or ()
        if isinstance(self.preparation, VolumePreparationPlan):
            return (self.images.groups * len(self.preparation.channels), *size)
        return (images * self.preparation.channels, *size)

    def recipe_of(self, member: MemberPlan) -> Recipe:
        """Return how a member learns."""
        if member.recipe is None:
            return NetworkRecipe(network=self.network, training=self.training)
        return self.recipes[member.recipe]

    @model_validator(mode="after")
    def _consistent(self) -> Plan:
        volume = isinstance(self.preparation, VolumePreparationPlan)
        if volume != (self.images.kind == "volume"):
            raise ValueError(f"images.kind is {self.images.kind!r}, and the preparation is of the other kind")
        if self.network.kind != "own" and volume == (self.network.kind == "residual"):
            raise ValueError(f"network.kind {self.network.kind!r} does not see images of kind {self.images.kind!r}")
        names = [member.name for member in self.members]
        names += [student.name for student in self.distillation.students] if self.distillation else []
        if len(set(names)) != len(names):
            raise ValueError("two members have the same name")
        if taken := sorted({"ensemble", "classic", "images", "covariates", "teacher"} & set(names)):
            raise ValueError(f"a member is called {taken[0]!r}, which names other rows of the predictions")
        if self.validation.scheme == "folds" and {m.fold for m in self.members} - set(range(self.validation.folds)):
            raise ValueError(f"a member's fold is not among 0 to {self.validation.folds - 1}")
        if self.validation.scheme == "folds" and self.sets.share:
            raise ValueError("sets.share sets val cases of a given split aside, and with folds there are none")
        if self.validation.scheme == "given" and any(member.fold != -1 for member in self.members):
            raise ValueError("with the given split a member's fold is -1")
        self._recipes_fit()
        refuse_students(self)
        return self

    @property
    def covariates(self) -> dict[str, CovariateKind]:
        """What each covariate that the plan learns from holds, by its column; empty where images are all."""
        found = [recipe.columns for recipe in self.recipes.values() if isinstance(recipe, CovariatesRecipe)]
        return dict(found[0]) if found else {}

    def _images_known(self, member: MemberPlan, images: str) -> None:
        """Refuse a member that is to know what others say of the images, where no such member comes before it."""
        place = self.members.index(member)
        own = [n for n, one in enumerate(self.members) if one.recipe == images and one.fold == member.fold]
        # None is there in an executed plan where it could not learn, and then this one could not either.
        if own and min(own) > place:
            raise ValueError(f"member {member.name} goes by the recipe {images!r}, and no member of its fold before it")
        if not isinstance(self.recipes.get(images), FrozenRecipe):
            raise ValueError(f"member {member.name} goes by {images!r}, which has no frozen features")

    @property
    def starting(self) -> NetworkRecipe | None:
        """The recipe whose body is pretrained on images alone; None where none is."""
        started = (one for one in self.recipes.values() if isinstance(one, NetworkRecipe))
        return next((one for one in started if one.start == "pretraining"), None)

    @property
    def taught(self) -> dict[str, TaughtPlan]:
        """What recipes of members are taught of images without labels, by the recipe's name; empty where none is."""
        used = {member.recipe for member in self.members}
        networks = {name: one for name, one in self.recipes.items() if name in used and isinstance(one, NetworkRecipe)}
        return {name: one.taught for name, one in networks.items() if one.taught is not None}

    def _recipes_fit(self) -> None:
        refuse_starts(self)
        columns = [recipe.columns for recipe in self.recipes.values() if isinstance(recipe, CovariatesRecipe)]
        if any(one != columns[0] for one in columns):
            raise ValueError("two recipes learn from different covariates")
        classes = self.target.classes
        trainings = {"training": self.training}
        for name, recipe in self.recipes.items():
            if isinstance(recipe, NetworkRecipe):
                trainings[f"recipes.{name}.training"] = recipe.training
        for place, training in trainings.items():
            if training.class_weights and len(training.class_weights) != len(classes):
                raise ValueError(
                    f"{place}.class_weights has {len(training.class_weights)} weights for {len(classes)} classes"
                )
        for member in self.members:
            if member.recipe is not None and member.recipe not in self.recipes:
                known = ", ".join(self.recipes) or "none"
                raise ValueError(f"member {member.name} has the recipe {member.recipe!r}; the plan has {known}")
            recipe = self.recipe_of(member)
            if isinstance(recipe, CovariatesRecipe) and recipe.images is not None:
                self._images_known(member, recipe.images)
            if isinstance(recipe, NetworkRecipe) and recipe.taught is not None:
                self._images_known(member, recipe.taught.teacher)
                if self.images.role != "single":
                    raise ValueError(f"recipes.{member.recipe} is taught of single images, and a case has several")
            by_steps = isinstance(recipe, NetworkRecipe)
            if by_steps != (member.steps > 0):
                how = "learns by steps, and has none" if by_steps else "does not learn by steps, and has some"
                raise ValueError(f"member {member.name} {how}")
