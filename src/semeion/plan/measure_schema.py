"""The plan of a diagnosis from measurements: networks that outline, what is measured, and who classifies."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, SerializerFunctionWrapHandler, model_serializer, model_validator

from semeion.measure.spec import Measurements
from semeion.plan.recipes import Section
from semeion.plan.schema import BudgetPlan, OperatingPointPlan, Plan, TargetPlan
from semeion.plan.segment_schema import SegmentationPlan

SCHEMA = 1


class MeasurementsPlan(Section):
    """What is measured, and which measurements the classifier sees."""

    take: Measurements
    features: list[str] = Field(min_length=1)
    """Names of the measurements that are classified; all are kept in ``measured/``."""


class ClassifierPlan(Section):
    """Small classifiers that are tried; the one with the least log loss on inner folds is taken, in every fold anew."""

    kinds: list[Literal["forest", "extra-trees", "boosting"]] = Field(min_length=1)


class PairsPlan(Section):
    """Folds, of which every pair is left out by one network."""

    folds: int = Field(ge=3, le=6)
    inner_share: float = Field(default=0.12, gt=0, lt=0.5)
    """Share of a network's learning cases, by patient, that validates instead."""


class AveragedPlan(Section):
    """Networks that see the images themselves, and how what they say is averaged with what the measurements say."""

    share: float = Field(default=0.25, gt=0, lt=1)
    """Of the budget for these networks; those that outline have the rest."""
    seconds: float | None = Field(default=None, ge=0)
    """What that share came to, part of the reserve of ``segmentation.budget``; None: the share of its seconds."""
    weights: Literal["equal"] = "equal"
    networks: Plan


class MeasuredPlan(BaseModel):
    """Everything that decides what the run does. The same plan on the same machine gives the same model."""

    model_config = ConfigDict(extra="forbid")

    schema_version: int = Field(default=SCHEMA, alias="schema")
    kind: Literal["measurements"] = "measurements"
    seed: int = Field(default=0, ge=0, lt=2**31)
    target: TargetPlan
    measurements: MeasurementsPlan
    classifier: ClassifierPlan
    validation: PairsPlan
    segmentation: SegmentationPlan
    images: AveragedPlan | None = None
    operating_point: OperatingPointPlan = Field(default_factory=OperatingPointPlan)
    budget: BudgetPlan = Field(default_factory=BudgetPlan)

    @model_serializer(mode="wrap")
    def _as_used(self, write: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Leave the section of image networks out where there are none, as before there could be any."""
        values: dict[str, Any] = write(self)
        if self.images is None:
            del values["images"]
        return values

    @model_validator(mode="after")
    def _consistent(self) -> MeasuredPlan:
        pairs = self.validation.folds * (self.validation.folds - 1) // 2
        if self.segmentation.validation.folds != pairs:
            raise ValueError(
                f"{self.validation.folds} folds have {pairs} pairs, and segmentation.validation.folds differs"
            )
        if self.segmentation.validation.scheme != "folds":
            raise ValueError("segmentation.validation.scheme must be folds: one network leaves each pair out")
        lacking = set(range(pairs)) - {member.fold for member in self.segmentation.members}
        if lacking:
            raise ValueError(f"no member of segmentation has the fold {min(lacking)}: each pair needs a network")
        target = self.segmentation.target
        if dict(zip(target.classes, target.values, strict=True)) != dict(self.measurements.take.structures):
            raise ValueError("the structures that are outlined and those that are measured differ")
        if self.segmentation.choice.arm is None or self.segmentation.use.mirror_tried:
            raise ValueError(
                "arm and mirroring must be fixed: a choice on validation cases reads cases that are weighed"
            )
        if self.segmentation.use.postprocess_tried:
            raise ValueError("post-processing must be fixed, for the same reason as mirroring")
        if len(set(self.measurements.features)) != len(self.measurements.features):
            raise ValueError("a measurement is classified twice")
        if self.budget.seconds != self.segmentation.budget.seconds:
            raise ValueError("budget.seconds and segmentation.budget.seconds differ")
        if self.images is not None:
            self._refuse_other_images(self.images.networks)
        return self

    def _refuse_other_images(self, networks: Plan) -> None:
        """Refuse image networks that answer another question, or are held out otherwise than the measurements."""
        for name, own, other in (
            ("target.name", self.target.name, networks.target.name),
            ("target.task", self.target.task, networks.target.task),
            ("target.classes", self.target.classes, networks.target.classes),
            ("target.positive", self.target.positive, networks.target.positive),
            ("operating_point.rule", self.operating_point.rule, networks.operating_point.rule),
            ("budget.seconds", self.budget.seconds, networks.budget.seconds),
            ("validation.folds", self.validation.folds, networks.validation.folds),
        ):
            if own != other:
                raise ValueError(f"{name} is {own!r}, and images.networks.{name} is {other!r}")
        if networks.validation.scheme != "folds":
            raise ValueError("images.networks.validation.scheme must be folds: those that the measurements have")
        lacking = set(range(self.validation.folds)) - {member.fold for member in networks.members}
        if lacking:
            raise ValueError(f"no member of images.networks has the fold {min(lacking)}")
