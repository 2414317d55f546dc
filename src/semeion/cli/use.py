"""Commands that need a run or a model, and no training stack: report, predict, evaluate."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from semeion.cli import options as o
from semeion.cli.words import print_findings, print_metrics
from semeion.progress import for_terminal


def report(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="Run folder, or the folder of an evaluation.")],
    no_pictures: Annotated[bool, typer.Option("--no-pictures", help="Show no image of any case.")] = False,
) -> None:
    """Write a run's report anew from its artefacts.

    Example: semeion report runs/finding
    """
    from semeion.report.page import write_report

    name = "evaluate" if (run / "evaluate.json").exists() else "report"
    print(write_report(run, pictures=not no_pictures, name=name))


def predict(
    model: Annotated[Path, typer.Argument(metavar="MODEL", help="Model folder.")],
    images: Annotated[
        list[str], typer.Argument(metavar="IMAGE...", help="Pictures, folders, tables or a MedMNIST .npz.")
    ],
    output: Annotated[Path, typer.Option("--output", "-o", help="Findings: .csv, .parquet or .json.")],
    jobs: o.Jobs = None,
    quiet: o.Quiet = False,
) -> int:
    """Read pictures with a shipped model.

    The exit status is 1 when a picture failed; its row says why.

    Example: semeion predict runs/finding/model new/*.png -o findings.csv
    """
    from semeion.model.findings import check_suffix, write_findings
    from semeion.model.runtime import load_model

    check_suffix(output)
    loaded = load_model(model)
    found = loaded.findings(images, jobs=jobs, progress=for_terminal(quiet=quiet))
    counts = write_findings(found, output, loaded.probability_names)
    print_findings(counts, output)
    return int(counts.get("failed", 0) > 0)


def evaluate(
    model: Annotated[Path, typer.Argument(metavar="MODEL", help="Model folder.")],
    table: o.Source,
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder; new or empty.")],
    target: o.Target = None,
    labels: o.Labels = None,
    group: o.Group = None,
    split: o.Split = None,
    no_split: o.NoSplit = False,
    delimiter: o.Delimiter = ";",
    skip_bad: o.SkipBad = False,
    jobs: o.Jobs = None,
    quiet: o.Quiet = False,
) -> int:
    """Validate a shipped model on another cohort.

    Figures with intervals, at the model's own operating point. Of a table with a split only the test cases are weighed.

    Example: semeion evaluate runs/finding/model other_hospital.csv --target finding -o runs/external
    """
    from semeion.cohort.cohort import CohortOptions
    from semeion.study.evaluating import evaluate_model
    from semeion.study.options import source_path

    options = CohortOptions(
        target=target, labels=o.code_names(labels), group=group, split=split, no_split=no_split, delimiter=delimiter
    )
    evidence = evaluate_model(
        model, source_path(table), output, options, skip_bad=skip_bad, jobs=jobs, progress=for_terminal(quiet=quiet)
    )
    print_metrics(evidence)
    print(f"\nThe whole account: {output / 'evaluate.html'}")
    return int(any(step["step"] == "readable images" for step in evidence["flow"]))


COMMANDS = (report, predict, evaluate)
