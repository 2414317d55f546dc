"""The plan of a diagnosis from measurements: networks that outline, what is measured, and who classifies."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from semeion.measure.spec import Measurements
from semeion.plan.schema import BudgetPlan, OperatingPointPlan, Section, TargetPlan
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
    operating_point: OperatingPointPlan = Field(default_factory=OperatingPointPlan)
    budget: BudgetPlan = Field(default_factory=BudgetPlan)

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
        return self
