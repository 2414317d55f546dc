"""Commands that need predictions and nothing else: weigh, compare."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from semeion.cli import options as o
from semeion.cli.words import print_metrics

_Column = str | None


def weigh(
    predictions: Annotated[
        Path,
        typer.Argument(
            metavar="PREDICTIONS", help="Table (CSV, TSV, XLSX, Parquet), or a folder with predictions.parquet."
        ),
    ],
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder; new or empty.")],
    truth: Annotated[_Column, typer.Option(help="Column of the reference standard; a,b,c of several labels.")] = None,
    probability: Annotated[
        _Column,
        typer.Option(
            help="Column of the probability of the positive class, or one a class as p_a,p_b; of a measured value, of "
            "the predicted value."
        ),
    ] = None,
    patient: Annotated[_Column, typer.Option(help="Column of the patient.")] = None,
    case: Annotated[_Column, typer.Option(help="Column of the case.")] = None,
    split: Annotated[_Column, typer.Option(help="Column of the split (train, val, test).")] = None,
    no_split: o.NoSplit = False,
    fold: Annotated[_Column, typer.Option(help="Column of the fold, of out-of-fold predictions.")] = None,
    site: Annotated[_Column, typer.Option(help="Column of the site.")] = None,
    target: Annotated[
        _Column, typer.Option("--target", "-t", help="What is diagnosed; which of several targets.")
    ] = None,
    task: Annotated[
        _Column, typer.Option(help="binary, multiclass, multilabel, ordinal or regression; inferred for classes.")
    ] = None,
    positive: Annotated[_Column, typer.Option(help="Positive class, which one probability is of.")] = None,
    labels: o.Labels = None,
    operating_point: Annotated[
        _Column,
        typer.Option(
            help="Rule by which validation cases choose: youden, accuracy, sensitivity=0.95, specificity=0.95 or "
            "cost=FN:FP."
        ),
    ] = None,
    threshold: Annotated[
        float | None, typer.Option(help="Operating point, given; 0.5 where no validation case chooses.")
    ] = None,
    strata: Annotated[_Column, typer.Option(help="Columns whose levels are weighed one by one: sex,site.")] = None,
    weights: Annotated[
        _Column, typer.Option(help="Refused: figures are of the cases as they stand, and not of weighted ones.")
    ] = None,
    seed: o.Seed = 0,
) -> int:
    """Weigh predictions of any model: every figure with its interval.

    Columns are guessed only when there is one candidate. Without a split the cases are external; nothing is known of
    how the model was trained. The exit status is 1 when a patient is on two sides of the table's splits.

    Example: semeion weigh predictions.csv --truth y --probability p --patient id -o runs/weighed
    """
    from semeion.evidence.foreign.columns import Named
    from semeion.study.weigh_file import weigh_file

    named = Named(
        truth=o.names(truth),
        probability=o.names(probability),
        patient=patient,
        case=case,
        split=split,
        no_split=no_split,
        fold=fold,
        site=site,
        strata=o.names(strata),
        weights=weights,
        target=target,
        task=task,
        positive=positive,
        labels=o.code_names(labels),
    )
    evidence = weigh_file(predictions, output, named, rule=operating_point, threshold=threshold, seed=seed)
    print(evidence["why"])
    print_metrics(evidence)
    for note in evidence["notes"]:
        print(f"note: {note}")
    overlap = evidence["audits"]["patient-overlap"]
    if overlap["verdict"] in ("void", "warn"):
        print(f"{overlap['verdict']}: {overlap['advice']}")
    print(f"\nThe whole account: {output / 'weigh.html'}")
    return int(overlap["verdict"] == "void")


def compare(
    a: Annotated[
        Path, typer.Argument(metavar="A", help="Run folder, folder of evaluate or weigh, or file of predictions.")
    ],
    b: Annotated[Path, typer.Argument(metavar="B", help="The same of another model, on the same cases.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder; new or empty.")],
    split: Annotated[
        _Column, typer.Option(help="Whose cases: test, external, oof or val; the first that both have.")
    ] = None,
    seed: o.Seed = 0,
) -> None:
    """Compare two models on the same cases: the difference of every figure, paired, with its interval.

    Cases are paired by their ids and drawn by patient. Where the interval holds 0, no difference is shown.

    Example: semeion compare runs/one runs/other -o runs/compared
    """
    from semeion.study.comparing import compare_files

    comparison = compare_files(a, b, output, split=split, seed=seed)
    for side in ("a", "b"):
        print(f"{side.upper()}: {comparison[side]['source']}, split {comparison[side]['split']}")
    for sentence in comparison["sentences"]:
        print(f"  {sentence}")
    for note in comparison["notes"]:
        print(f"note: {note}")
    print(f"Research use only. Intervals are 95 %, over patients.\n\nThe whole account: {output / 'compare.html'}")


COMMANDS = (weigh, compare)
