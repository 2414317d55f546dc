"""The command that takes in a network that was trained elsewhere."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from semeion.cli import options as o
from semeion.cli.words import print_metrics
from semeion.progress import for_terminal

_Text = str | None


@o.takes_cohort
def adopt(
    context: typer.Context,
    model: Annotated[Path, typer.Argument(metavar="MODEL.onnx", help="Network as an ONNX file.")],
    table: o.Source,
    output: Annotated[Path, typer.Option("--output", "-o", help="Run folder; new or empty.")],
    target: o.Target = None,
    *,
    cohort: o.Cohort,
    scale: Annotated[
        _Text,
        typer.Option(
            metavar="LOW..HIGH",
            help="What black and white pixels become: 0..1, -1..1 or 0..255. Needed unless the graph takes uint8.",
        ),
    ] = None,
    mean: Annotated[_Text, typer.Option(help="Taken off then: a number, or one a channel, 0.485,0.456,0.406.")] = None,
    std: Annotated[_Text, typer.Option(help="Divided by then: a number, or one a channel, 0.229,0.224,0.225.")] = None,
    classes: Annotated[
        _Text, typer.Option(help="Class of each output in order: benign,malignant; of one output those of 0 and 1.")
    ] = None,
    layout: Annotated[_Text, typer.Option(help="nchw or nhwc; read from the input's shape where it tells.")] = None,
    blue_first: Annotated[bool, typer.Option("--blue-first", help="Blue comes first, as in OpenCV.")] = False,
    fit: Annotated[_Text, typer.Option(help="pad or stretch; needed where pictures have other proportions.")] = None,
    window: Annotated[
        _Text, typer.Option(help="LOW,HIGH, stored or percentiles; needed where pictures have more than 256 steps.")
    ] = None,
    gives: Annotated[_Text, typer.Option(help="logits or probabilities; found on images where sure.")] = None,
    output_name: Annotated[_Text, typer.Option("--output-name", help="Which output, of several.")] = None,
    learned_from: Annotated[
        _Text, typer.Option("--learned-from", metavar="TEXT", help="What it learned from, as the report shall say it.")
    ] = None,
    seed: o.Seed = 0,
    operating_point: o.OperatingPoint = "youden",
    sets: o.Sets = None,
    skip_bad: o.SkipBad = False,
    accept: o.Accept = None,
    intended_use: o.IntendedUse = None,
    jobs: o.Jobs = None,
    quiet: o.Quiet = False,
) -> int:
    """Weigh, calibrate and ship a network that was trained elsewhere.

    Val cases of a split choose calibration and operating point, test cases are read once, train cases not at all;
    without a split both are chosen over folds. Nothing is trained, and nothing of the file is run but its graph.

    Example: semeion adopt model.onnx cohort.csv -t finding --scale 0..1 --classes benign,malignant -o runs/adopted
    """
    from semeion.study import Run
    from semeion.study.adopt_plan import AdoptOptions
    from semeion.study.adopting import adopt_network
    from semeion.study.options import RunOptions, source_path

    options = RunOptions(
        replace(cohort, target=target),
        seed=seed,
        operating_point=operating_point,
        skip_bad=skip_bad,
        accept=tuple(accept or ()),
        jobs=jobs,
        intended_use=None if intended_use is None else str(source_path(intended_use)),
        sets=sets,
    )
    asked = AdoptOptions(
        scale=scale,
        mean=mean,
        std=std,
        layout=layout,
        blue_first=blue_first,
        fit=fit,
        window=window,
        gives=gives,
        classes=o.names(classes),
        output_name=output_name,
        learned_from=learned_from,
    )
    path = adopt_network(model, source_path(table), options, asked, output, for_terminal(quiet=quiet), context.obj)
    run = Run(path)
    print(run.evidence["adopted"]["sentence"])
    print_metrics(run.evidence)
    print(f"\nReport: {path / 'report.html'}\nModel:  {path / 'model'}")
    void = any(audit["verdict"] == "void" for audit in run.evidence["audits"].values())
    return int(void or bool(run.evidence["accepted"]))


COMMANDS = (adopt,)
