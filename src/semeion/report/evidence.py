"""What ``evidence.json`` holds, as far as pages tell of it."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field


class Metric(BaseModel):
    """One figure with its interval. All null, with a reason, when it is not defined."""

    model_config = ConfigDict(extra="ignore")

    value: float | None = None
    low: float | None = None
    high: float | None = None
    n: int | None = None
    n_patients: int | None = None
    method: str | None = None
    reason: str | None = None


Metrics = dict[str, dict[str, Metric]]


class Confusion(BaseModel):
    """Counts of cases: rows are the truth, columns the call, both in the order of `classes`."""

    model_config = ConfigDict(extra="ignore")

    classes: list[str]
    counts: list[list[int]]


class Part(BaseModel):
    """The figures of one question: the whole evidence, or one label of a multi-label target."""

    model_config = ConfigDict(extra="ignore")

    metrics: Metrics = Field(default_factory=dict)
    confusion: dict[str, Confusion] = Field(default_factory=dict)
    curves: dict[str, dict[str, Any]] = Field(default_factory=dict)
    operating_point: dict[str, Any] | None = None
    reliability: dict[str, dict[str, Any]] = Field(default_factory=dict)
    utility: dict[str, dict[str, Any]] = Field(default_factory=dict)
    abstaining: dict[str, dict[str, Any]] = Field(default_factory=dict)
    sets: dict[str, dict[str, Any]] = Field(default_factory=dict)
    set_rule: dict[str, Any] | None = None
    statuses: dict[str, dict[str, Any]] = Field(default_factory=dict)


class SplitFacts(BaseModel):
    """Who is in a split."""

    model_config = ConfigDict(extra="ignore")

    n: int
    n_patients: int | None = None
    class_counts: dict[str, int | dict[str, int]] | None = None
    """Cases of each class; of a multi-label target ``{label: {absent, present}}``."""


class Choice(BaseModel):
    """A decision by validation cases, with the difference that made it and its interval."""

    model_config = ConfigDict(extra="ignore")

    question: str
    options: dict[str, float | None] = Field(default_factory=dict)
    difference: float | None = None
    low: float | None = None
    high: float | None = None
    n: int | None = None
    chosen: str = ""
    against: str = ""
    why: str = ""


class Registration(BaseModel):
    """How one channel was moved onto the first, over all prepared cases."""

    model_config = ConfigDict(extra="ignore")

    channel: str
    cases: int
    aligned: int
    moved: int
    largest_mm: float
    largest_degrees: float
    information_before: float
    information_after: float


class Agreement(BaseModel):
    """How one measurement of predicted masks agrees with that of reference masks."""

    model_config = ConfigDict(extra="ignore")

    title: str = ""
    unit: str = ""
    mae: Metric
    bias: Metric
    limit_low: Metric
    limit_high: Metric


class Classifiers(BaseModel):
    """The kind of classifier of measurements that was chosen in each fold and for the model."""

    model_config = ConfigDict(extra="ignore")

    by_fold: list[str] = Field(default_factory=list)
    shipped: str = ""
    losses: dict[str, float] = Field(default_factory=dict)


class MeasuredEvidence(BaseModel):
    """What the evidence of a diagnosis from measurements says of masks, measurements and classifiers."""

    model_config = ConfigDict(extra="ignore")

    kind: str = "regions"
    importance: dict[str, float] = Field(default_factory=dict)
    titles: dict[str, str] = Field(default_factory=dict)
    classifiers: Classifiers = Field(default_factory=Classifiers)
    agreement: dict[str, dict[str, Agreement]] = Field(default_factory=dict)
    masks: Metrics = Field(default_factory=dict)
    networks: dict[str, int] = Field(default_factory=dict)
    unmeasured: dict[str, list[str]] = Field(default_factory=dict)
    parts: dict[str, dict[str, dict[str, Metric]]] = Field(default_factory=dict)
    """Figures of measurements alone, of image networks alone, of their average, and what it gains; by split."""


class Weighed(BaseModel):
    """That the figures are of a table of predictions, and what the table says of its splits."""

    model_config = ConfigDict(extra="ignore")

    own: bool = False
    columns: dict[str, str] = Field(default_factory=dict)
    roles: dict[str, str] = Field(default_factory=dict)
    split_words: dict[str, str] = Field(default_factory=dict)


class Evidence(Part):
    """What a page needs of ``evidence.json``. Unknown keys are passed over: later versions may add some."""

    schema_: Literal[1] = Field(alias="schema")
    semeion: str
    code: str = ""
    """Hash of the code that made the figures; empty in runs of before it was kept."""
    target: str
    task: Literal["binary", "multiclass", "multilabel", "ordinal", "regression", "segmentation"]
    positive: str | None = None
    classes: list[str] = Field(default_factory=list)
    why: str = ""
    source: str = ""
    synthetic: bool = False
    created: str = ""
    has_patients: bool | None = None
    model: str | None = None
    """The hash of the model that made the predictions."""
    calibration: dict[str, Any] | None = None
    calibrated: dict[str, dict[str, Any]] = Field(default_factory=dict)
    """Figures before and after calibration, by split and target."""
    interval: dict[str, Any] | None = None
    """Of a measured value: what a model adds and takes away for the ends of its interval."""
    intervals: dict[str, dict[str, Any]] = Field(default_factory=dict)
    """Of a measured value: how often the truth was within, by split."""
    targets: dict[str, Part] = Field(default_factory=dict)
    """Of a multi-label target, the figures of each label."""
    several: list[str] = Field(default_factory=list)
    """The names of several targets of one run, the first of which this evidence is of; empty where there is one."""
    further: dict[str, Evidence] = Field(default_factory=dict)
    """The evidence of the others; in the file it stands under ``targets``."""
    folder: str = ""
    """Of one of several targets, the folder of its own run or evaluation, relative to the joined one."""
    strata: dict[str, dict[str, Part]] = Field(default_factory=dict)
    splits: dict[str, SplitFacts] = Field(default_factory=dict)
    flow: list[dict[str, Any]] = Field(default_factory=list)
    audits: dict[str, dict[str, Any]] = Field(default_factory=dict)
    baseline: dict[str, Any] | None = None
    """The classic small network: its figures and the difference to the ensemble's, or why there are none."""
    covariates: dict[str, Any] | None = None
    """Where models see more than images: what is known besides, what each part is worth, and what pushed."""
    adjusted: dict[str, Any] | None = None
    """Figures with probabilities corrected for the class balance at use."""
    accepted: list[str] = Field(default_factory=list)
    without_accepted: dict[str, Any] | None = None
    members: list[dict[str, Any]] = Field(default_factory=list)
    combination: dict[str, Any] | None = None
    """Where there are several ways to learn: what each cost and adds, and how they were combined."""
    pretraining: dict[str, Any] | None = None
    """Where a network first learned from images without labels: whose, how long, and what became of the others."""
    distillation: dict[str, Any] | None = None
    """Where one network learned from the ensemble and ships: how, and the ensemble's figures beside its own."""
    taught: dict[str, Any] | None = None
    """Where frozen features taught a network about images without labels: by whom, how much it counts, of which."""
    search: dict[str, Any] | None = None
    """Where how to learn was searched: its trials, and what to expect of the best."""
    cost: dict[str, Any] | None = None
    budget: dict[str, Any] | None = None
    notes: list[str] = Field(default_factory=list)
    not_validated: list[str] = Field(default_factory=list)
    agreement: dict[str, dict[str, Agreement]] = Field(default_factory=dict)
    """Of a segmentation: error, bias and limits of agreement of volumes, by split and label."""
    choice: list[Choice] = Field(default_factory=list)
    """Of a segmentation: what validation decided."""
    registration: list[Registration] = Field(default_factory=list)
    """Where channels are registered: what was found."""
    measured: MeasuredEvidence | None = None
    """Of a diagnosis from measurements."""
    weighed: Weighed | None = None
    """Of predictions that were weighed without their run."""
    adopted: dict[str, Any] | None = None
    """Of a network that was trained elsewhere: its file's hash, what wrote it, and what is known of its learning."""
    neighbours: dict[str, Any] | None = None
    gate: dict[str, Any] | None = None
    """What keeps the model from calling: the limits that ship, or of an evaluation what they did."""
    explanations: dict[str, dict[str, Any]] = Field(default_factory=dict)
    """Of each way to explain: whether it passed its trials, their figures, and why it is not shown or was not tried."""
    robustness: dict[str, Any] | None = None
    """Figures on test images made worse, or why there are none."""
    validation: dict[str, Any] | None = None
    """Where one site was held out after another: the column, and what each fold held out."""
    external: dict[str, Any] | None = None
    """Of an evaluation of a finished model: whether the cases are external, and what was looked at."""
    case_mix: dict[str, Any] | None = None
    drop: dict[str, Any] | None = None
    recalibration: dict[str, Any] | None = None
