"""The command that watches a model in service."""

from __future__ import annotations

from enum import Enum
from pathlib import Path
from typing import Annotated

import typer

from semeion.cli.use import RequireSignature


class Period(Enum):
    """How time is divided."""

    week = "week"
    month = "month"


def monitor(
    model: Annotated[Path, typer.Argument(metavar="MODEL", help="Model folder, or a packed model (.semeion).")],
    logs: Annotated[
        list[Path], typer.Argument(metavar="LOG...", help="Folders of `predict --log`, or their log.parquet.")
    ],
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder for monitor.json and monitor.html.")],
    labels: Annotated[
        Path | None,
        typer.Option("--labels", metavar="TABLE", help="Labels that came later: case_id, target, perhaps patient_id."),
    ] = None,
    by: Annotated[Period, typer.Option("--by", help="Periods that are compared.")] = Period.week,
    false_alarms: Annotated[
        float, typer.Option("--false-alarms", help="Share of services without change that may ever raise an alarm.")
    ] = 0.05,
    seed: Annotated[int, typer.Option(min=0, max=2**31 - 1, help="The one source of randomness.")] = 0,
    require_signature: RequireSignature = None,
) -> int:
    """Compare what comes in with what a model was trained on: images, features, answers, prevalence, abstaining.

    All cases, each site, each scanner and each period are watched. The exit status is 1 when an alarm was raised.

    Example: semeion monitor runs/finding/model service/log --labels outcomes.csv -o service/page
    """
    from semeion.report.monitor_words import sentences
    from semeion.study.monitoring import monitor_model

    found = monitor_model(
        model,
        logs,
        output,
        labels=labels,
        by=by.value,
        rate=false_alarms,
        seed=seed,
        require_signature=require_signature,
    )
    for sentence in sentences(found):
        print(sentence)
    print(f"\nPage: {output / 'monitor.html'}")
    return int(bool(found["alarms"]))


COMMANDS = (monitor,)
