"""Options that several commands share, declared once."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer

from semeion.cohort.cohort import CohortOptions
from semeion.errors import InputError

Source = Annotated[
    Path,
    typer.Argument(
        metavar="TABLE",
        help="Table (CSV, TSV, XLSX, Parquet), folder of class folders, MedMNIST .npz, or Decathlon dataset.json.",
    ),
]
Target = Annotated[
    str | None,
    typer.Option("--target", "-t", help="Column to diagnose, several as a,b,c, or column of masks."),
]
Task = Annotated[
    str | None,
    typer.Option(
        help="binary, multiclass, multilabel, ordinal, regression or segmentation; inferred. Of several a=ordinal,b=..."
    ),
]
Positive = Annotated[str | None, typer.Option(help="Positive class; inferred. Of several targets TARGET=CLASS.")]
Labels = Annotated[str | None, typer.Option(help="Names of codes, for example 0=malignant,1=benign.")]
Order = Annotated[str | None, typer.Option(help="Grades of an ordinal target, lowest first: low,middle,high.")]
Group = Annotated[str | None, typer.Option(help="Column of the patient, when it is not patient_id.")]
Split = Annotated[str | None, typer.Option(help="Column of the split, when it is not split.")]
NoSplit = Annotated[bool, typer.Option("--no-split", help="Ignore the split column.")]
Delimiter = Annotated[str, typer.Option(help="Between labels of a multi-label column.")]
Channels = Annotated[
    str | None,
    typer.Option(help="Columns image.NAME that are contrasts on one grid, for example FLAIR,T1; all for every one."),
]
Frames = Annotated[
    str | None, typer.Option(help="Columns image.NAME that are times of one anatomy, for example ED,ES; or all.")
]
Views = Annotated[
    str | None, typer.Option(help="Columns image.NAME that are other planes, for example axial,coronal; or all.")
]
Structures = Annotated[
    str | None,
    typer.Option(help="Diagnose from measurements of what the masks show, for example 1=rv,2=myocardium,3=lv."),
]
Covariates = Annotated[
    str | None, typer.Option(help="Columns that are inputs besides the images: age,sex (audited by check).")
]

Weight = Annotated[
    str | None,
    typer.Option(metavar="COLUMN", help="How much each case counts while members learn; figures count each once."),
]
Raters = Annotated[
    str | None,
    typer.Option(help="Columns of the votes of raters, a,b,c: their shares are taught, and the target is weighed by."),
]


class ShipWhat(StrEnum):
    """What of a run ships."""

    ensemble = "ensemble"
    single = "single"
    distilled = "distilled"


Budget = Annotated[str | None, typer.Option(help="Time for everything, for example 15m or 1h30m.")]
Seed = Annotated[int, typer.Option(min=0, max=2**31 - 1, help="The one source of randomness.")]
OperatingPoint = Annotated[
    str,
    typer.Option(help="youden, accuracy, sensitivity=0.95, specificity=0.95 or cost=FN:FP."),
]
Sets = Annotated[
    float | None,
    typer.Option(
        "--sets",
        metavar="COVERAGE",
        help="Share of patients whose sets of classes are to hold the truth, 0.9 unless given; 0 makes none.",
    ),
]
Ship = Annotated[
    ShipWhat,
    typer.Option(
        help="What ships and is weighed: all members that help, the smallest that is about as good, or one network "
        "that learned from all."
    ),
]
ShipNeighbours = Annotated[
    bool,
    typer.Option(
        "--ship-neighbours",
        help="Put features, ids and reference standard of training cases into the model, so that `explain` shows the "
        "nearest; the model then holds patient data.",
    ),
]
SkipBad = Annotated[bool, typer.Option("--skip-bad", help="Leave out cases whose image is missing or unreadable.")]
Accept = Annotated[
    list[str] | None,
    typer.Option(help="Go on although this audit is void; the report says so."),
]
IntendedUse = Annotated[
    Path | None,
    typer.Option(
        "--intended-use",
        metavar="FILE",
        help="YAML with what only a person can say: intended_use, population, setting, users and more.",
    ),
]
Network = Annotated[
    str | None,
    typer.Option(
        "--network",
        metavar="PACKAGE.MODULE:FACTORY",
        help="Your own network, by import path: a function of (planes, size, outputs) that returns a PyTorch module.",
    ),
]
Unlabelled = Annotated[
    Path | None,
    typer.Option(
        "--unlabelled",
        metavar="FOLDER",
        help="Images without labels, of the same kind, that networks first learn from; copies of cases are left out.",
    ),
]
By = Annotated[
    str | None,
    typer.Option("--by", metavar="COLUMN", help="Hold out one site after another: the column, usually site."),
]
Jobs = Annotated[
    int | None, typer.Option(min=1, help="Threads that read images, and members that learn at once at most; all cores.")
]
Cluster = Annotated[
    str | None,
    typer.Option(
        "--cluster",
        metavar="auto|ADDRESS",
        help="Learn on the nodes of a running Ray cluster that share the run folder's file system.",
    ),
]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="No progress.")]
Cohort = CohortOptions
"""What stands in a command for the options of :func:`cohort_options`; see :func:`takes_cohort`."""

Answer = TypeVar("Answer")


def names(text: str | None) -> tuple[str, ...]:
    """Return the parts of ``a,b,c``."""
    return tuple(part.strip() for part in text.split(",") if part.strip()) if text else ()


def with_bare_roles(arguments: list[str]) -> list[str]:
    """Return a command line in which ``--channels``, ``--frames`` or ``--views`` without names says ``all``."""
    out: list[str] = []
    for place, argument in enumerate(arguments):
        out.append(argument)
        following = arguments[place + 1] if place + 1 < len(arguments) else "-"
        if argument in ("--channels", "--frames", "--views") and following.startswith("-"):
            out.append("all")
    return out


def image_names(text: str | None) -> tuple[str, ...]:
    """Return the parts of ``FLAIR,T1``, or what stands for all of ``all``."""
    from semeion.cohort.roles import ALL

    found = names(text)
    return (ALL,) if found == ("all",) else found


def code_names(
    text: str | None, option: str = "--labels", form: str = "CODE=NAME", example: str = "0=malignant,1=benign"
) -> dict[str, str]:
    """Return ``{"0": "malignant", "1": "benign"}`` of ``0=malignant,1=benign``.

    Raises
    ------
    InputError
        When a part has no ``=``, or a code is named twice.
    """
    found: dict[str, str] = {}
    for part in names(text):
        code, equals, name = part.partition("=")
        if not equals or not code.strip() or not name.strip():
            raise InputError(f"{part!r} is not {form}", where=option, fix=f"write for example {example}")
        if code.strip() in found:
            kind = form.partition("=")[0].lower()
            raise InputError(f"the {kind} {code.strip()!r} is named twice", where=option, fix="name it once")
        found[code.strip()] = name.strip()
    return found


def takes_cohort(command: Callable[..., Answer]) -> Callable[..., Answer]:
    """Let a command with a parameter `cohort` take the options of :func:`cohort_options` in its place.

    An option that the command has itself, such as the target before its output, stays where it stands there, and its
    value is part of `cohort` only when the command puts it there.

    Parameters
    ----------
    command
        Its keyword ``cohort`` is given a :class:`~semeion.cohort.cohort.CohortOptions`.
    """
    signature = inspect.signature(command, eval_str=True)
    own = signature.parameters
    shared = [
        parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY)
        for name, parameter in inspect.signature(cohort_options, eval_str=True).parameters.items()
        if name not in own
    ]
    listed = [one for name, held in own.items() for one in (shared if name == "cohort" else [held])]

    @functools.wraps(command)
    def asked(*given: Any, **options: Any) -> Answer:
        known = {one.name: options.pop(one.name) for one in shared if one.name in options}
        return command(*given, cohort=cohort_options(**known), **options)

    asked.__signature__ = signature.replace(parameters=listed)  # type: ignore[attr-defined]  # as PEP 362 has it
    asked.__annotations__ = {one.name: one.annotation for one in listed}
    return asked


def cohort_options(
    target: Target = None,
    task: Task = None,
    positive: Positive = None,
    labels: Labels = None,
    order: Order = None,
    group: Group = None,
    split: Split = None,
    no_split: NoSplit = False,
    delimiter: Delimiter = ";",
    covariates: Covariates = None,
    channels: Channels = None,
    frames: Frames = None,
    views: Views = None,
    structures: Structures = None,
    weight: Weight = None,
    raters: Raters = None,
) -> CohortOptions:
    """Collect the options that say what a cohort is, in the order in which a command lists them.

    Raises
    ------
    InputError
        When the task is unknown or ``--labels`` cannot be read.
    """
    from typing import get_args

    from semeion.cohort import cohort
    from semeion.cohort.several import given_tasks
    from semeion.errors import nearest

    tasks: dict[str, cohort.Task] = {one: one for one in get_args(cohort.Task)}
    named = task if task is not None and "=" in task else None
    of_each = given_tasks(code_names(named, "--task", "TARGET=TASK", "type=multiclass,grade=ordinal"), tasks)
    if of_each:
        task = None
    if task is not None and task not in tasks:
        raise InputError(
            f"unknown task {task!r}{nearest(task, tasks)}", where="--task", fix=f"use one of {', '.join(tasks)}"
        )
    return CohortOptions(
        target=target,
        task=None if task is None else tasks[task],
        positive=positive,
        labels=code_names(labels),
        order=names(order),
        group=group,
        split=split,
        no_split=no_split,
        delimiter=delimiter,
        covariates=names(covariates),
        channels=image_names(channels),
        frames=image_names(frames),
        views=image_names(views),
        structures=code_names(structures, "--structures"),
        weight=weight,
        raters=names(raters),
        tasks={name: tasks[one] for name, one in of_each.items()},
    )
