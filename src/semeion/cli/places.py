"""Where a command writes: two of its outputs must not be one place, nor an output one of its inputs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from semeion.errors import InputError

_FINDINGS = "findings"
_LOG = "log.parquet"


def refuse_clash(
    output: Path,
    model: Path,
    images: Sequence[str],
    *,
    masks: Path | None = None,
    explain: Path | None = None,
    log: Path | None = None,
) -> None:
    """Refuse places of `predict` of which one would replace or spoil another; call it before any work is done.

    Parameters
    ----------
    output
        The file of findings.
    model, images
        What is read.
    masks, explain, log
        Folders that are written, where they are asked for.

    Raises
    ------
    InputError
        Naming both options.
    """
    folders = {"--masks": masks, "--explain": explain, "--log": log}
    asked = {option: folder for option, folder in folders.items() if folder is not None}
    from semeion.monitor.logfile import refuse_inside

    for option, folder in asked.items():
        if _inside(folder, output):
            raise InputError(
                f"--output would be a file where {option} needs a folder",
                where=str(output),
                fix=f"give --output and {option} different places",
            )
    if explain is not None and log is not None and (_inside(log, explain) or _inside(explain, log)):
        raise InputError(
            "--explain and --log lie in one another: explanations need a folder that is new or empty, and a log grows",
            where=str(log),
            fix="give --explain and --log folders beside one another",
        )
    if explain is not None and _inside(output, explain) and _json(output) and _stem(output) != _FINDINGS:
        raise InputError(
            "--output could replace an explanation, or be replaced: the folder of --explain holds a .json of each case "
            "and explain.json",
            where=str(output),
            fix=f"call it {_FINDINGS}.json, or give --output a place outside the folder of --explain",
        )
    if log is not None and _inside(output, log) and output.name.casefold() == _LOG:
        raise InputError(
            "--output would replace the log that --log keeps",
            where=str(output),
            fix="give --output another name, or --log another folder",
        )
    for given in (str(model), *images):
        if _same(output, Path(given)):
            raise InputError(
                f"--output would replace {'MODEL' if given == str(model) else 'an IMAGE that is given'}",
                where=str(output),
                fix="give --output another name",
            )
    for option, place in {"--log": log, "--masks": masks, "--explain": explain, "--output": output}.items():
        if place is not None:
            refuse_inside(place, model, option)


def _same(one: Path, other: Path) -> bool:
    return one.resolve() == other.resolve()


def _inside(place: Path, folder: Path) -> bool:
    """Say whether a place is a folder or lies in it, whatever links lead there."""
    return place.resolve().is_relative_to(folder.resolve())


def _json(path: Path) -> bool:
    return path.suffix.lower() == ".json"


def _stem(path: Path) -> str:
    return path.stem.casefold()
