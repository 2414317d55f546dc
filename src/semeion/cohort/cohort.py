"""What the outside world becomes: one table of cases, one target, and an account of who was left out."""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from semeion.artefacts import whole_file
from semeion.cohort.roles import ImageRole
from semeion.errors import InputError

if TYPE_CHECKING:
    import pandas as pd

Task = Literal["binary", "multiclass", "multilabel", "ordinal", "regression", "segmentation"]
SPLITS = ("train", "val", "test")


@dataclass(frozen=True)
class Target:
    """What is to be diagnosed.

    Attributes
    ----------
    name
        Column of the table; for several columns their names joined by ``,``.
    task
        Binary, multi-class, multi-label, ordinal grade, regression or segmentation.
    classes
        Names in a fixed order: binary ``(negative, positive)``; ordinal from lowest to highest; multi-label the names
        of the labels, each of which is absent or present; segmentation the names of the labels but the background;
        empty for regression.
    positive
        The positive class of a binary target, else None.
    why
        One sentence: how the task, the order and the positive class were found.
    values
        Of a segmentation the whole numbers in the mask that `classes` name, in the same order; 0 is the background.
        Both are empty until the masks were read when nothing names the labels.
    unit
        Of a regression whose values carry one, such as ``ml``.
    """

    name: str
    task: Task
    classes: tuple[str, ...] = ()
    positive: str | None = None
    why: str = ""
    values: tuple[int, ...] = ()
    unit: str | None = None

    @property
    def columns(self) -> tuple[str, ...]:
        """Columns of the cohort table that hold the reference standard.

        ``y`` (class index as a float, or the measured value), or ``y.<label>`` for each label of a multi-label target
        (0.0 absent, 1.0 present, NaN unknown). None for a segmentation: its reference standard is the masks that the
        column `name` refers to.
        """
        if self.task == "segmentation":
            return ()
        return tuple(f"y.{name}" for name in self.classes) if self.task == "multilabel" else ("y",)


@dataclass(frozen=True)
class Flow:
    """One step of the flow of cases: what it did and how many remained."""

    step: str
    n_cases: int
    n_patients: int
    reason: str = ""


@dataclass(frozen=True)
class Cohort:
    """Cases that entered, in the order of the source.

    Attributes
    ----------
    table
        One row a case, a plain 0..n-1 index, with the columns ``case_id patient_id site split image`` (text; ``site``
        and ``split`` may be missing values), the columns of ``target.columns`` (float64), and every other column of the
        source unchanged. ``image`` is an absolute path, or ``<absolute path>.npz#<array>[<row>]``, or another reference
        that :func:`semeion.cohort.volumes.read.read_volume` takes; of several images a case it is the first, and all
        stand in ``image.<name>``. Masks stand in ``mask``, ``mask.<name>`` or the target's column. Without patient ids
        every case is its own patient and `has_patients` is False. ``split`` is all given (train, val, test) or all
        missing.
    target
        The question asked.
    flow
        From the source to these rows.
    covariates
        Columns that the user named as inputs.
    unused
        Columns of the source that are neither input nor target nor known by name.
    has_patients
        Whether patients (or another group) were named.
    notes
        Sentences that the check page and the report must show, for example the guessed encoding.
    source
        What a person would call the data: the table's file name, or ``breastmnist``. Never an absolute path.
    synthetic
        Whether the images were generated.
    images
        Whether they are pictures or volumes, and what several images of a case are to one another.
    structures
        Of a diagnosis from measurements: what the masks show, name to whole number, in the order asked for.
    weight
        Column that says how much each case counts while members learn; None: all the same.
    raters
        Columns of the votes of raters, whose shares members are taught.
    drawn
        Whether the columns of :mod:`semeion.plan.joint` say who is on which side of which fold, as where several
        targets share their folds.
    """

    table: pd.DataFrame
    target: Target
    flow: tuple[Flow, ...] = ()
    covariates: tuple[str, ...] = ()
    unused: tuple[str, ...] = ()
    has_patients: bool = True
    notes: tuple[str, ...] = ()
    source: str = ""
    synthetic: bool = False
    images: ImageRole = field(default_factory=ImageRole)
    structures: dict[str, int] = field(default_factory=dict)
    weight: str | None = None
    raters: tuple[str, ...] = ()
    drawn: bool = False

    @property
    def has_split(self) -> bool:
        """Whether the user gave a split."""
        return bool(self.table["split"].notna().all()) and len(self.table) > 0

    def without(self, case_ids: set[str], step: str, reason: str) -> Cohort:
        """Return the cohort less `case_ids`, with one more step in its flow."""
        table = self.table[~self.table["case_id"].isin(case_ids)].reset_index(drop=True)
        flow = Flow(step, len(table), int(table["patient_id"].nunique()), reason)
        return replace(self, table=table, flow=(*self.flow, flow))


@dataclass(frozen=True)
class CohortOptions:
    """How to understand a source; every field is the command-line option of the same name."""

    target: str | None = None
    task: Task | None = None
    positive: str | None = None
    labels: dict[str, str] = field(default_factory=dict)
    order: tuple[str, ...] = ()
    group: str | None = None
    split: str | None = None
    no_split: bool = False
    delimiter: str = ";"
    covariates: tuple[str, ...] = ()
    channels: tuple[str, ...] = ()
    """Names of the ``image.<name>`` columns that are channels of one grid; ``("*",)`` for all, as for the next two."""
    frames: tuple[str, ...] = ()
    views: tuple[str, ...] = ()
    structures: dict[str, str] = field(default_factory=dict)
    """Number in the masks (as text) to the name of the structure that is outlined and measured for a diagnosis."""
    weight: str | None = None
    """Column of how much each case counts while members learn."""
    raters: tuple[str, ...] = ()
    """Columns of the votes of single raters."""
    tasks: dict[str, Task] = field(default_factory=dict)
    """The task of a target by its name, where there are several: see :mod:`semeion.cohort.several`."""
    beside: tuple[str, ...] = ()
    """Other targets of the same run: a case that has one of them may lack this one."""


def write_cohort(cohort: Cohort, path: Path) -> None:
    """Write ``cohort.parquet``; everything but the table travels in the file's schema metadata under ``semeion``."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    facts: dict[str, Any] = {
        "schema": 1,
        "target": {
            "name": cohort.target.name,
            "task": cohort.target.task,
            "classes": list(cohort.target.classes),
            "positive": cohort.target.positive,
            "why": cohort.target.why,
            "values": list(cohort.target.values),
            **({} if cohort.target.unit is None else {"unit": cohort.target.unit}),
        },
        "flow": [vars(step) for step in cohort.flow],
        "covariates": list(cohort.covariates),
        "unused": list(cohort.unused),
        "has_patients": cohort.has_patients,
        "notes": list(cohort.notes),
        "source": cohort.source,
        "synthetic": cohort.synthetic,
        "images": {"kind": cohort.images.kind, "role": cohort.images.role, "names": list(cohort.images.names)},
        "structures": cohort.structures,
        "weight": cohort.weight,
        "raters": list(cohort.raters),
        **({"drawn": True} if cohort.drawn else {}),
    }
    table = pa.Table.from_pandas(cohort.table, preserve_index=False)
    metadata = {**(table.schema.metadata or {}), b"semeion": json.dumps(facts).encode()}
    with whole_file(path) as temporary:
        pq.write_table(table.replace_schema_metadata(metadata), temporary)


def read_cohort(path: Path) -> Cohort:
    """Read what :func:`write_cohort` wrote.

    Raises
    ------
    InputError
        When the file was not written by Semeion or by a newer version.
    """
    import pyarrow.parquet as pq

    table = pq.read_table(path)
    raw = (table.schema.metadata or {}).get(b"semeion")
    if raw is None:
        raise InputError(
            "not a cohort written by Semeion", where=str(path), fix="give the run folder of `semeion train`"
        )
    facts = json.loads(raw)
    if facts.get("schema") != 1:
        raise InputError(
            f"cohort schema {facts.get('schema')} is not known to this version", where=str(path), fix="upgrade Semeion"
        )
    lists = {"classes": tuple(facts["target"]["classes"]), "values": tuple(facts["target"].get("values", ()))}
    target = Target(**{**facts["target"], **lists})
    # A cohort of an earlier version has pictures, one a case.
    images = facts.get("images", {"kind": "picture", "role": "single", "names": []})
    return Cohort(
        table=table.to_pandas(),
        target=target,
        flow=tuple(Flow(**step) for step in facts["flow"]),
        covariates=tuple(facts["covariates"]),
        unused=tuple(facts["unused"]),
        has_patients=facts["has_patients"],
        notes=tuple(facts["notes"]),
        source=facts["source"],
        synthetic=facts["synthetic"],
        images=ImageRole(images["kind"], images["role"], tuple(images["names"])),
        structures=dict(facts.get("structures", {})),
        weight=facts.get("weight"),
        raters=tuple(facts.get("raters", ())),
        drawn=bool(facts.get("drawn", False)),
    )
