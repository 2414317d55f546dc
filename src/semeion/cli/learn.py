"""Commands that need a cohort: demo, check, plan, train, resume."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from semeion.cli import options as o
from semeion.cli.words import print_check, print_plan, print_run
from semeion.progress import for_terminal

if TYPE_CHECKING:
    from semeion.study import Run

WithImages = Annotated[
    bool,
    typer.Option("--with-images", help="With --structures: average with networks that see the images themselves."),
]

Measure = Annotated[
    str | None,
    typer.Option(
        "--measure", help="With --structures: intensity, or intensity,texture, measured besides size and shape."
    ),
]


def demo(
    context: typer.Context,
    data: Annotated[
        Path | None, typer.Option(help="A MedMNIST .npz, for example breastmnist.npz; else the cache or a download.")
    ] = None,
    synthetic: Annotated[bool, typer.Option("--synthetic", help="Use generated phantoms, not real images.")] = False,
    output: Annotated[Path, typer.Option("--output", "-o", help="Run folder.")] = Path("runs/demo"),
    budget: o.Budget = "3m",
    seed: o.Seed = 0,
    quiet: o.Quiet = False,
) -> None:
    """Go the whole road on real breast ultrasound.

    Without --data the images come from the cache, else from the official download (BreastMNIST, 0.6 MB), else, without
    a network, from a generator; the report then says so. An earlier demonstration in the same folder is replaced.

    Example: semeion demo -o runs/demo
    """
    from semeion.study.demonstrate import demonstrate

    run = demonstrate(data, synthetic, output, budget, seed, for_terminal(quiet=quiet), context.obj)
    print_run(run)


@o.takes_cohort
def check(
    table: o.Source,
    target: o.Target = None,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="Folder for check.json and check.html.")] = None,
    *,
    cohort: o.Cohort,
    seed: o.Seed = 0,
    jobs: o.Jobs = None,
    quiet: o.Quiet = False,
) -> int:
    """Read everything and say what is wrong with it.

    The exit status is 1 when a result would be void or an image cannot be read.

    Example: semeion check cohort.csv --target finding -o check/
    """
    from semeion.cohort.several import folder_names
    from semeion.study.checking import check_source
    from semeion.study.options import RunOptions, source_path

    options = RunOptions(replace(cohort, target=target), seed=seed, jobs=jobs)
    found = check_source(source_path(table), options, output, for_terminal(quiet=quiet))
    each = found.get("targets") if "several" in found else None
    folders = folder_names(list(each)) if each else {}
    status = 0
    for name, one in (each or {"": found}).items():
        if name:
            print(f"\n{name}\n{'=' * len(name)}")
        print_check(one, output if output is None or not name else output / folders[name])
        void = any(audit["verdict"] == "void" for audit in one["audits"].values())
        status |= int(void or one["images"]["missing"] + one["images"]["unreadable"] > 0)
    return status


@o.takes_cohort
def plan(
    table: o.Source,
    target: o.Target = None,
    output: Annotated[
        Path,
        typer.Option("--output", "-o", help="Plan file; fingerprint.json goes beside it. Of several targets a folder."),
    ] = Path("plan.yaml"),
    *,
    cohort: o.Cohort,
    budget: o.Budget = None,
    seed: o.Seed = 0,
    operating_point: o.OperatingPoint = "youden",
    by: o.By = None,
    sets: o.Sets = None,
    ship: o.Ship = o.ShipWhat.ensemble,
    ship_neighbours: o.ShipNeighbours = False,
    network: o.Network = None,
    unlabelled: o.Unlabelled = None,
    with_images: WithImages = False,
    measure: Measure = None,
    skip_bad: o.SkipBad = False,
    accept: o.Accept = None,
    jobs: o.Jobs = None,
    quiet: o.Quiet = False,
) -> None:
    """Write the plan, with its reasons, before spending an hour.

    Example: semeion plan cohort.csv --target finding --budget 15m -o plan.yaml
    """
    from semeion.study.options import RunOptions, parse_duration, parse_measured, source_path
    from semeion.study.several_plans import write_plans

    options = RunOptions(
        replace(cohort, target=target),
        parse_duration(budget),
        seed,
        operating_point,
        skip_bad,
        tuple(accept or ()),
        jobs=jobs,
        with_images=with_images,
        measure=parse_measured(measure),
        by=by,
        sets=sets,
        ship=ship.value,
        ship_neighbours=ship_neighbours,
        network=network,
        unlabelled=None if unlabelled is None else str(unlabelled.expanduser().absolute()),
    )
    for file, made in write_plans(source_path(table), options, output, for_terminal(quiet=quiet)).items():
        print_plan(made, file)


@o.takes_cohort
def train(
    context: typer.Context,
    table: o.Source,
    output: Annotated[Path, typer.Option("--output", "-o", help="Run folder; new or empty.")],
    target: o.Target = None,
    *,
    cohort: o.Cohort,
    budget: o.Budget = None,
    plan_file: Annotated[
        Path | None, typer.Option("--plan", help="Follow this plan instead of planning; of several targets a folder.")
    ] = None,
    seed: o.Seed = 0,
    operating_point: o.OperatingPoint = "youden",
    by: o.By = None,
    sets: o.Sets = None,
    ship: o.Ship = o.ShipWhat.ensemble,
    ship_neighbours: o.ShipNeighbours = False,
    network: o.Network = None,
    unlabelled: o.Unlabelled = None,
    with_images: WithImages = False,
    measure: Measure = None,
    skip_bad: o.SkipBad = False,
    accept: o.Accept = None,
    intended_use: o.IntendedUse = None,
    jobs: o.Jobs = None,
    cluster: o.Cluster = None,
    quiet: o.Quiet = False,
) -> int:
    """Train, weigh, ship and report within a budget.

    Ctrl-C stops cleanly; `semeion resume RUN` goes on.

    Example: semeion train cohort.csv --target finding --group patient_id --budget 15m -o runs/finding
    """
    from semeion.study import Run
    from semeion.study.options import RunOptions, parse_duration, parse_measured, source_path
    from semeion.study.road import start_run

    options = RunOptions(
        replace(cohort, target=target),
        parse_duration(budget),
        seed,
        operating_point,
        skip_bad,
        tuple(accept or ()),
        None if plan_file is None else str(source_path(plan_file)),
        jobs,
        with_images=with_images,
        measure=parse_measured(measure),
        intended_use=None if intended_use is None else str(source_path(intended_use)),
        by=by,
        sets=sets,
        ship=ship.value,
        ship_neighbours=ship_neighbours,
        network=network,
        cluster=cluster,
        unlabelled=None if unlabelled is None else str(unlabelled.expanduser().absolute()),
    )
    return _told(Run(start_run(source_path(table), options, output, for_terminal(quiet=quiet), context.obj)))


def resume(
    context: typer.Context,
    run: Annotated[Path, typer.Argument(metavar="RUN", help="Folder of an interrupted run.")],
    quiet: o.Quiet = False,
) -> int:
    """Go on with an interrupted run.

    Example: semeion resume runs/finding
    """
    from semeion.study import Run
    from semeion.study.road import resume_run

    return _told(Run(resume_run(run, for_terminal(quiet=quiet), context.obj)))


def _told(run: Run) -> int:
    """Print a finished run; 1 when it was finished although an audit is void."""
    print_run(run)
    further = run.evidence["targets"].values() if "several" in run.evidence else ()
    audits = [audit for one in (run.evidence, *further) for audit in one["audits"].values()]
    void = any(audit["verdict"] == "void" for audit in audits)
    return int(void or bool(run.evidence["accepted"]))


COMMANDS = (demo, check, plan, train, resume)
