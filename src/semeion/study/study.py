"""The public face: a study is checked, planned and trained; a run is what training leaves."""

from __future__ import annotations

import re
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, get_args

from semeion.artefacts import read_json
from semeion.cohort.cohort import CohortOptions, Task
from semeion.cohort.several import given_tasks, targets_of
from semeion.errors import InputError
from semeion.model.runtime import Model
from semeion.model.several_targets import SeveralModel, load_model
from semeion.plan.schema import Plan
from semeion.progress import Progress, Silent
from semeion.study.checking import check_source
from semeion.study.evaluating import evaluate_model
from semeion.study.folder import read_run_state
from semeion.study.options import RunOptions, parse_duration, parse_measured, source_path
from semeion.study.planning import AnyPlan, plan_source
from semeion.study.several_plans import plan_targets


class Run:
    """A finished run folder.

    Parameters
    ----------
    path
        What :meth:`Study.train` or ``semeion train -o`` wrote.

    Raises
    ------
    InputError
        When the folder holds no finished run.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path).absolute()
        if not read_run_state(self.path)["finished"]:
            raise InputError(
                "the run is not finished", where=str(path), fix=f"continue it with `semeion resume {path}`"
            )

    def __repr__(self) -> str:
        return f"Run({str(self.path)!r})"

    @cached_property
    def evidence(self) -> dict[str, Any]:
        """``evidence.json``: every figure with its interval."""
        evidence: dict[str, Any] = read_json(self.path / "evidence.json")
        return evidence

    @cached_property
    def model(self) -> Model | SeveralModel:
        """The shipped model."""
        return load_model(self.path / "model")

    def evaluate(
        self,
        table: str | Path,
        *,
        output: str | Path,
        target: str | None = None,
        labels: dict[str, str] | None = None,
        group: str | None = None,
        split: str | None = None,
        no_split: bool = False,
        delimiter: str = ";",
        skip_bad: bool = False,
        jobs: int | None = None,
    ) -> dict[str, Any]:
        """Weigh the shipped model on another table and return the evidence (split ``external``).

        The options are those of :class:`Study`; of a table with a split only the test cases are weighed.
        """
        options = CohortOptions(
            target, labels=dict(labels or {}), group=group, split=split, no_split=no_split, delimiter=delimiter
        )
        source = source_path(table)
        own = None if self.evidence["task"] == "segmentation" else self.path
        return evaluate_model(
            self.path / "model", source, Path(output), options, skip_bad=skip_bad, jobs=jobs, progress=Silent(), run=own
        )


class Study:
    """A question asked of a cohort.

    Parameters
    ----------
    table
        A table of cases (CSV, TSV, XLSX, Parquet), a folder of class folders, a MedMNIST ``.npz``, or a Decathlon or
        nnU-Net ``dataset.json``.
    target
        Column to diagnose; several joined by ``,`` are the labels of one multi-label question where all hold 0 and 1,
        else targets of their own. Not needed for class folders and MedMNIST files. A column of masks is segmented.
    task
        ``binary``, ``multiclass``, ``multilabel``, ``ordinal``, ``regression`` or ``segmentation``; inferred when None.
        Of several targets, those of some by their names: ``{"type": "multiclass", "grade": "ordinal"}``.
    positive
        Positive class of a binary target; inferred when None. Of several targets ``type=malignant``, ``,`` between.
    labels
        Names of codes in the target column, for example ``{"0": "malignant", "1": "benign"}``.
    order
        Grades of an ordinal target, lowest first. Of several targets ``("grade=low", "mid", "high")``.
    group
        Column whose rows must stay together, when it is not ``patient_id``.
    split
        Column that holds the split, when it is not ``split``.
    no_split
        Ignore a split column.
    delimiter
        Between labels of a multi-label column.
    covariates
        Columns that are inputs.
    channels, frames, views
        What several images of a case are: names of their columns ``image.<name>``, or ``("*",)`` for all of them.
    structures
        Diagnose from measurements: names of the numbers in the masks, for example ``{"1": "rv", "2": "myocardium",
        "3": "lv"}``.
    weight
        Column of how much each case counts while members learn, a number above 0; figures count every case once.
    raters
        Columns of the votes of raters: members are taught the share of each class, and are weighed by `target`.
    with_images
        With `structures`: average the diagnosis from measurements with networks that see the images themselves.
    measure
        With `structures`: ``("intensity",)`` or ``("intensity", "texture")`` to be measured besides size and shape.
    operating_point
        ``youden``, ``accuracy``, ``sensitivity=0.95``, ``specificity=0.95`` or ``cost=FN:FP``.
    skip_bad
        Leave out cases whose image is missing or unreadable.
    accept
        Names of audits whose void verdict is accepted.
    intended_use
        A YAML file of what only a person can say of the study; the report shows it, and a run keeps a copy.
    by
        Column, usually ``site``, whose values are held out one after another (leave-one-site-out).
    sets
        Share of patients whose sets of classes are to hold the truth, 0.9 when None; 0 makes no sets.
    ship
        ``single``: the smallest member that is about as good as the best ships and is weighed, instead of all.
        ``distilled``: one network that learned from all of them does.
    ship_neighbours
        Whether features, ids and reference standard of training cases ship, so that the nearest can be shown; the model
        then holds patient data.
    unlabelled
        Folder of images without labels, of the same kind, that networks first learn from; copies of cases are left out.
    seed
        The one source of randomness.
    jobs
        Threads that read images; all cores when None.
    progress
        Told what happens; silent when None.

    Raises
    ------
    InputError
        When there is no such table or an option is wrong.

    Examples
    --------
    >>> study = Study("cohort.csv", target="finding", group="patient_id")  # doctest: +SKIP
    >>> run = study.train(budget="15m", output="runs/finding")  # doctest: +SKIP
    """

    def __init__(
        self,
        table: str | Path,
        target: str | None = None,
        *,
        task: Task | dict[str, Task] | None = None,
        positive: str | None = None,
        labels: dict[str, str] | None = None,
        order: tuple[str, ...] | list[str] = (),
        group: str | None = None,
        split: str | None = None,
        no_split: bool = False,
        delimiter: str = ";",
        covariates: tuple[str, ...] | list[str] = (),
        channels: tuple[str, ...] | list[str] = (),
        frames: tuple[str, ...] | list[str] = (),
        views: tuple[str, ...] | list[str] = (),
        structures: dict[str, str] | None = None,
        weight: str | None = None,
        raters: tuple[str, ...] | list[str] = (),
        operating_point: str = "youden",
        with_images: bool = False,
        measure: tuple[str, ...] | list[str] = (),
        skip_bad: bool = False,
        accept: tuple[str, ...] | list[str] = (),
        intended_use: str | Path | None = None,
        by: str | None = None,
        sets: float | None = None,
        ship: Literal["ensemble", "single", "distilled"] = "ensemble",
        ship_neighbours: bool = False,
        unlabelled: str | Path | None = None,
        seed: int = 0,
        jobs: int | None = None,
        cluster: str | None = None,
        progress: Progress | None = None,
    ) -> None:
        tasks = dict(task) if isinstance(task, dict) else {}
        given_tasks(tasks, get_args(Task))
        if not isinstance(task, dict) and task is not None and task not in get_args(Task):
            raise InputError(f"unknown task {task!r}", where="task", fix=f"use one of {', '.join(get_args(Task))}")
        if not 0 <= seed < 2**31:
            raise InputError(f"seed is {seed}", where="seed", fix="give a whole number from 0 to 2147483647")
        self.source = source_path(table)
        self.progress = progress or Silent()
        cohort = CohortOptions(
            target=target,
            task=None if isinstance(task, dict) else task,
            tasks=tasks,
            positive=positive,
            labels=dict(labels or {}),
            order=tuple(order),
            group=group,
            split=split,
            no_split=no_split,
            delimiter=delimiter,
            covariates=tuple(covariates),
            channels=tuple(channels),
            structures=dict(structures or {}),
            weight=weight,
            raters=tuple(raters),
            frames=tuple(frames),
            views=tuple(views),
        )
        self.options = RunOptions(
            cohort,
            None,
            seed,
            operating_point,
            skip_bad,
            tuple(accept),
            jobs=jobs,
            cluster=cluster,
            with_images=with_images,
            measure=parse_measured(measure if isinstance(measure, str) else ",".join(measure), where="measure"),
            intended_use=None if intended_use is None else str(source_path(intended_use)),
            by=by,
            sets=sets,
            ship=ship,
            ship_neighbours=ship_neighbours,
            unlabelled=None if unlabelled is None else str(Path(unlabelled).expanduser().absolute()),
        )

    def __repr__(self) -> str:
        return f"Study({self.source.name!r}, target={self.options.cohort.target!r})"

    def check(self, output: str | Path | None = None) -> dict[str, Any]:
        """Read everything and return ``check.json``; with `output`, also write it there with ``check.html``."""
        folder = None if output is None else Path(output)
        return check_source(self.source, self.options, folder, self.progress)

    def plan(self, budget: str | float | None = None) -> AnyPlan | dict[str, Plan]:
        """Return the plan that :meth:`train` would follow, with its reasons; images are read, nothing is written.

        Of several targets it is one plan each, by the target's name.
        """
        options = replace(self.options, budget=parse_duration(budget, where="budget"))
        if targets_of(self.source, options.cohort):
            return plan_targets(self.source, options, self.progress)[1]
        return plan_source(self.source, options, self.progress)[1]

    def curve(
        self,
        budget: str | float | None = None,
        *,
        output: str | Path,
        metric: str | None = None,
        want_width: float | None = None,
        full: bool = False,
    ) -> dict[str, Any]:
        """Draw a learning curve, write ``curve.json`` and ``curve.html`` into `output`, and return the former.

        Parameters
        ----------
        budget
            ``3m`` or seconds for everything; 3 minutes when None, an hour with `full`.
        output
            A new or empty folder; with `full` also one of the same curve that was stopped.
        metric
            The figure of the curve; the task's first when None, for example ``auroc``.
        want_width
            Of a 95 % interval, from end to end, whose test cases are reckoned; 0.1 when None.
        full
            Learn the whole plan for every set of patients, in place of a head on frozen features.

        Raises
        ------
        InputError
            When the input or an option is refused; nothing is written.
        """
        from semeion.study.curve import curve_source

        options = replace(self.options, budget=parse_duration(budget, where="budget"))
        return curve_source(
            self.source, options, Path(output), self.progress, metric=metric, width=want_width, full=full
        )

    def train(
        self,
        budget: str | float | None = None,
        *,
        output: str | Path | None = None,
        plan: str | Path | None = None,
        started: float | None = None,
    ) -> Run:
        """Go the whole road and return the run.

        Parameters
        ----------
        budget
            ``15m``, ``1h30m`` or seconds, for everything up to the written report; when None the plan's, or 15 minutes,
            and 45 for what outlines.
        output
            The run folder; new or empty. When None, ``runs/`` and the target's name.
        plan
            A plan file to follow.
        started
            :func:`time.monotonic` at which the budget began; now when None.

        Raises
        ------
        InputError
            When the input, an option or the plan is refused.
        Interrupted
            After Ctrl-C; :meth:`resume` continues.
        MachineError
            When disk or memory do not suffice.
        """
        from semeion.study.road import start_run

        options = replace(
            self.options,
            budget=parse_duration(budget, where="budget"),
            plan=None if plan is None else str(source_path(plan)),
        )
        folder = Path("runs", re.sub(r"[^A-Za-z0-9_-]+", "-", self.options.cohort.target or self.source.stem))
        return Run(start_run(self.source, options, folder if output is None else Path(output), self.progress, started))

    @staticmethod
    def resume(path: str | Path, *, progress: Progress | None = None, started: float | None = None) -> Run:
        """Continue an interrupted run."""
        from semeion.study.road import resume_run

        return Run(resume_run(Path(path), progress or Silent(), started))
