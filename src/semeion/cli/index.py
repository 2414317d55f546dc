"""The command that indexes DICOM files; it needs no training stack."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from semeion.cli import options as o
from semeion.progress import for_terminal

if TYPE_CHECKING:
    from semeion.cohort.series.index import Index

SHOWN = 20


def index(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="Folder, zip archive or DICOMDIR.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Table: .parquet.")],
    jobs: Annotated[int | None, typer.Option(min=1, help="Processes that read headers; all cores.")] = None,
    quiet: o.Quiet = False,
) -> None:
    """List the volumes of a tree of DICOM files, with what is wrong with them.

    One row a volume. An interrupted run goes on when it is started again.

    Example: semeion index dicom/ -o series.parquet
    """
    from semeion.cohort.series.index import index_folder

    for line in lines_of(index_folder(folder, output, jobs=jobs, progress=for_terminal(quiet=quiet))):
        print(line)


def lines_of(found: Index) -> list[str]:
    """Return what to tell of an index: counts, what was set aside, what could not be read. Never a patient."""
    from semeion.cohort.series.index import WORDS

    patients = len({(v.headers[0].patient_id, v.headers[0].issuer) for v in found.volumes})
    real = sum(volume.real for volume in found.volumes)
    lines = [f"{real} volumes of {patients} patients in {found.kinds.get('image', 0)} image files: {found.table}"]
    aside = Counter(volume.status for volume in found.volumes)
    told = [f"{aside[status]} {status}" for status in sorted(aside) if status != "ok"]
    if told:
        lines.append(f"status other than ok: {', '.join(told)}")
    codes = Counter(text.split(":")[0] for volume in found.volumes for text in volume.problems)
    if codes:
        lines.append(f"remarks: {', '.join(f'{code} ({count})' for code, count in sorted(codes.items()))}")
    rest = [f"{count} {WORDS[kind]}" for kind, count in sorted(found.kinds.items()) if kind in WORDS]
    if found.copies:
        rest.append(f"{found.copies} copies of other files")
    if found.hidden:
        rest.append(f"{found.hidden} hidden files or folders")
    if rest:
        lines.append(f"left out: {', '.join(rest)}")
    if found.reused:
        lines.append(f"{found.reused} headers were kept from an interrupted run")
    lines += [f"  {path}: {problem}" for path, problem in found.unread[:SHOWN]]
    if len(found.unread) > SHOWN:
        lines.append(f"  and {len(found.unread) - SHOWN} more, in the table of files beside it")
    return lines


COMMANDS = (index,)
