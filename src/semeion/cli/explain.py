"""The command that says why: findings, and beside them pictures and sentences of what each rests on."""

from __future__ import annotations

from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from semeion.cli import options as o
from semeion.cli.use import EngineKind, MaskFormat, RequireSignature
from semeion.cli.words import print_findings
from semeion.progress import for_terminal

if TYPE_CHECKING:
    from semeion.model.runtime import Model
    from semeion.model.several_targets import SeveralModel


class MethodKind(Enum):
    """How maps are made."""

    auto = "auto"
    activation = "activation"
    occlusion = "occlusion"


def explain(
    model: Annotated[Path, typer.Argument(metavar="MODEL", help="Model folder, or a packed model (.semeion).")],
    images: Annotated[
        list[str],
        typer.Argument(metavar="IMAGE...", help="Pictures, volumes, DICOM folders, tables or a MedMNIST .npz."),
    ],
    output: Annotated[Path, typer.Option("--output", "-o", metavar="DIR", help="Folder; new or empty.")],
    target: Annotated[
        str | None,
        typer.Option("--class", metavar="NAME", help="Class that is explained; the called one unless given."),
    ] = None,
    method: Annotated[
        MethodKind,
        typer.Option("--method", help="auto: activation maps where the model gives them, else occlusion."),
    ] = MethodKind.auto,
    map_format: Annotated[MaskFormat, typer.Option("--format", help="Of the maps of volumes.")] = MaskFormat.nifti,
    engine: Annotated[EngineKind, typer.Option("--engine", help="What runs the networks.")] = EngineKind.onnxruntime,
    require_signature: RequireSignature = None,
    jobs: o.Jobs = None,
    quiet: o.Quiet = False,
) -> int:
    """Read pictures or volumes with a shipped model, and show what each finding rests on.

    Of every case a picture with the map over it, of volumes the map too, on the image's own grid, and a JSON; of all
    findings.csv and explain.html. The exit status is 1 when a case failed; its row says why.

    Example: semeion explain runs/finding/model new/*.png -o why
    """
    from semeion.explain.asking import How
    from semeion.explain.run import explained_findings
    from semeion.model.findings import Tally, write_findings
    from semeion.model.several_targets import load_model

    loaded = load_model(model, engine=engine.value, require_signature=require_signature)
    how = How(target, method.value, map_format.value)
    found = explained_findings(loaded, images, output, how, jobs=jobs, progress=for_terminal(quiet=quiet))
    findings = output / "findings.csv"
    tally = Tally()
    counts = write_findings(tally.counting(found), findings, loaded.probability_names, interval=loaded.has_interval)
    print_findings(counts, findings, tally)
    for page in write_pages(loaded, output):
        print(f"Explanations: {page}")
    return int(counts.get("failed", 0) > 0)


def write_pages(model: Model | SeveralModel, folder: Path) -> list[Path]:
    """Write the page of every target's explanations, and return their paths."""
    from semeion.explain.run import target_folder
    from semeion.model.several_targets import SeveralModel
    from semeion.report.explain_page import write_explain_page

    targets = list(model.models) if isinstance(model, SeveralModel) else []
    return [write_explain_page(folder / target_folder(target)) for target in targets] or [write_explain_page(folder)]


COMMANDS = (explain,)
