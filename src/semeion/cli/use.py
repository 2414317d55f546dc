"""Commands that need a run or a model, and no training stack: report, predict, evaluate."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from semeion.cli import options as o
from semeion.cli.places import refuse_clash
from semeion.cli.words import print_audits, print_findings, print_metrics
from semeion.errors import InputError
from semeion.progress import for_terminal

if TYPE_CHECKING:
    from semeion.model.observing import Observer
    from semeion.model.runtime import Model
    from semeion.model.several_targets import SeveralModel


class MaskFormat(Enum):
    """How masks are written."""

    nifti = "nii.gz"
    nrrd = "nrrd"


class EngineKind(Enum):
    """What runs networks."""

    onnxruntime = "onnxruntime"
    openvino = "openvino"


RequireSignature = Annotated[
    Path | None,
    typer.Option("--require-signature", metavar="PUB", help="Refuse a model that this public key did not sign."),
]
EXTERNAL = {
    "external": "External validation: yes.",
    "not_external": "No external validation.",
    "not_verified": "Stated as external, not verified.",
}


def report(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="Run folder, or the folder of an evaluation.")],
    no_pictures: Annotated[bool, typer.Option("--no-pictures", help="Show no image of any case.")] = False,
    intended_use: o.IntendedUse = None,
    pdf: Annotated[bool, typer.Option("--pdf", help="Print the pages as PDF too; needs semeion[pdf].")] = False,
) -> None:
    """Write a run's report anew from its artefacts, and what it answers of reporting standards.

    Example: semeion report runs/finding --intended-use intended_use.yaml
    """
    from semeion.report.page import write_report
    from semeion.report.pdf import refuse_no_pdf, write_pdf
    from semeion.report.reading import read_evidence
    from semeion.report.stated import keep_stated

    if pdf:
        refuse_no_pdf()
    if intended_use is not None:
        read_evidence(run / "evidence.json")
        keep_stated(intended_use, run)
    name = next((name for name in ("evaluate", "weigh") if (run / f"{name}.json").exists()), "report")
    page = write_report(run, pictures=not no_pictures, name=name)
    print(page)
    if pdf:
        print(write_pdf(page))
        print(write_pdf(run / "crosswalk.html"))


def audit(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="Folder of a finished run.")],
    full: Annotated[
        bool,
        typer.Option(
            "--full",
            help="Train again too, with permuted labels and other held-out cases, and read test images made worse.",
        ),
    ] = False,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Folder for audit.json and audit.html; RUN/audit by default.")
    ] = None,
    budget: Annotated[
        str | None,
        typer.Option("--budget", help="With --full: for the trainings with permuted labels; 10m by default."),
    ] = None,
    jobs: o.Jobs = None,
    quiet: o.Quiet = False,
) -> int:
    """Look for what could void a run's result, and bring its report up to date.

    The exit status is 1 when an audit is void. Interrupted trainings of --full go on when the command is given again.

    Example: semeion audit runs/finding --full --budget 10m
    """
    from semeion.study.audit_run import audit_run
    from semeion.study.options import parse_duration

    found = audit_run(
        run, output, full=full, seconds=parse_duration(budget), jobs=jobs, progress=for_terminal(quiet=quiet)
    )
    print_audits(found["audits"])
    folder = run / "audit" if output is None else output
    print(f"\nPage: {folder / 'audit.html'}")
    return int(any(one["verdict"] == "void" for one in found["audits"].values()))


def predict(
    model: Annotated[Path, typer.Argument(metavar="MODEL", help="Model folder, or a packed model (.semeion).")],
    images: Annotated[
        list[str],
        typer.Argument(metavar="IMAGE...", help="Pictures, volumes, DICOM folders, tables or a MedMNIST .npz."),
    ],
    output: Annotated[Path, typer.Option("--output", "-o", help="Findings: .csv, .parquet or .json.")],
    masks: Annotated[
        Path | None, typer.Option("--masks", metavar="DIR", help="Write each case's mask here, on its image's grid.")
    ] = None,
    mask_format: Annotated[MaskFormat, typer.Option("--mask-format", help="Of the masks.")] = MaskFormat.nifti,
    explain: Annotated[
        Path | None,
        typer.Option("--explain", metavar="DIR", help="Write here what each finding rests on; new or empty."),
    ] = None,
    no_abstain: Annotated[
        bool,
        typer.Option("--no-abstain", help="Call every case that can be read, for studies; the reasons are kept."),
    ] = False,
    log: Annotated[
        Path | None,
        typer.Option("--log", metavar="DIR", help="Keep a log for `semeion monitor` here, without any identifier."),
    ] = None,
    site: Annotated[
        str | None,
        typer.Option("--site", metavar="NAME", help="Of the log, where the table has no column site."),
    ] = None,
    engine: Annotated[
        EngineKind, typer.Option("--engine", help="What runs the networks; OpenVINO is an extra, faster on volumes.")
    ] = EngineKind.onnxruntime,
    require_signature: RequireSignature = None,
    jobs: o.Jobs = None,
    quiet: o.Quiet = False,
) -> int:
    """Read pictures or volumes with a shipped model.

    A case of several images (channels, frames, views) is a row of a table with the columns image.<name>, or its files
    in the order of the names. The exit status is 1 when a case failed; its row says why. A case that the model is not
    sure of, or that is of another kind than it knows, is not called, and its row says why; that is no failure.

    Example: semeion predict runs/finding/model new/*.png -o findings.csv
    """
    from semeion.model.findings import Tally, check_suffix, write_findings
    from semeion.model.several_targets import SeveralModel, load_model

    check_suffix(output)
    refuse_clash(output, model, images, masks=masks, explain=explain, log=log)
    loaded = load_model(model, engine=engine.value, require_signature=require_signature)
    progress = for_terminal(quiet=quiet)
    tally = Tally()
    with _logged(loaded, log, site, no_abstain) as observers:
        if explain is None:
            own = observers if isinstance(loaded, SeveralModel) else observers.get(loaded.manifest.target, ())
            found = loaded.findings(
                images,
                jobs=jobs,
                progress=progress,
                masks=masks,
                mask_format=mask_format.value,
                observers=own,  # type: ignore[arg-type]  # each kind of model was given its own, above
                abstain=not no_abstain,
            )
        else:
            from semeion.explain.run import explained_findings

            found = explained_findings(
                loaded,
                images,
                explain,
                jobs=jobs,
                progress=progress,
                masks=masks,
                mask_format=mask_format.value,
                observers=observers,
                abstain=not no_abstain,
            )
        counts = write_findings(tally.counting(found), output, loaded.probability_names, interval=loaded.has_interval)
    print_findings(counts, output, tally)
    if log is not None and _unwatched(loaded):
        print("  note: the model ships no baseline, so `semeion monitor` will refuse this log")
    if explain is not None:
        from semeion.cli.explain import write_pages

        for page in write_pages(loaded, explain):
            print(f"Explanations: {page}")
    return int(counts.get("failed", 0) > 0)


def _unwatched(model: Model | SeveralModel) -> bool:
    """Say whether a model ships nothing to compare its log with."""
    whole = getattr(model, "models", {"": model}).values()
    return any(getattr(one.manifest, "monitor", None) is None for one in whole)


@contextmanager
def _logged(
    model: Model | SeveralModel, folder: Path | None, site: str | None, no_abstain: bool
) -> Iterator[Mapping[str, Sequence[Observer]]]:
    """Yield who keeps the log, by the target; nobody where none is asked for."""
    if folder is None:
        if site is not None:
            raise InputError("a site is noted in a log, and none is kept", where="--site", fix="give --log DIR too")
        yield {}
        return
    if no_abstain:
        raise InputError(
            "a log is of a model in service, and --no-abstain is for studies",
            where="--log",
            fix="leave one of both out",
        )
    from semeion.monitor.log import logging

    with logging(model, folder, site=site) as loggers:
        yield loggers


def evaluate(
    model: Annotated[Path, typer.Argument(metavar="MODEL", help="Model folder, or a packed model (.semeion).")],
    table: o.Source,
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder; new or empty.")],
    target: o.Target = None,
    labels: o.Labels = None,
    group: o.Group = None,
    split: o.Split = None,
    no_split: o.NoSplit = False,
    delimiter: o.Delimiter = ";",
    skip_bad: o.SkipBad = False,
    run: Annotated[
        Path | None,
        typer.Option("--run", metavar="RUN", help="The run that made the model, to compare with."),
    ] = None,
    require_signature: RequireSignature = None,
    jobs: o.Jobs = None,
    quiet: o.Quiet = False,
) -> int:
    """Validate a shipped model on another cohort.

    Figures with intervals, at the model's own operating point. Of a table with a split only the test cases are weighed.
    With --run the page shows both cohorts side by side and how much was lost, and says whether the cases are external.

    Example: semeion evaluate runs/finding/model other_hospital.csv --target finding --run runs/finding -o runs/external
    """
    from semeion.cohort.cohort import CohortOptions
    from semeion.study.evaluating import evaluate_model
    from semeion.study.options import source_path

    options = CohortOptions(
        target=target, labels=o.code_names(labels), group=group, split=split, no_split=no_split, delimiter=delimiter
    )
    evidence = evaluate_model(
        model,
        source_path(table),
        output,
        options,
        skip_bad=skip_bad,
        jobs=jobs,
        progress=for_terminal(quiet=quiet),
        run=run,
        require_signature=require_signature,
    )
    print_metrics(evidence)
    further = evidence["targets"].values() if "several" in evidence else ()
    for one in further:
        print()
        print_metrics(one)
    print(f"\n{EXTERNAL[evidence['external']['status']]} {evidence['external']['reason']}")
    print(f"\nThe whole account: {output / 'evaluate.html'}")
    return int(any(step["step"] == "readable images" for one in (evidence, *further) for step in one["flow"]))


COMMANDS = (report, audit, predict, evaluate)
