"""External validation of a model of several targets: each target on the cases of which it is known."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

from semeion.artefacts import read_json, write_json
from semeion.cohort.cohort import CohortOptions
from semeion.cohort.several import labels_of
from semeion.errors import InputError, ModelRefused
from semeion.model.several_targets import SeveralManifest, open_several
from semeion.progress import Progress
from semeion.report.page import write_report
from semeion.study.evaluating import evaluate_model
from semeion.study.folder import SEVERAL, parts_of, refuse_taken
from semeion.study.several_join import join_predictions, joined_evidence


def evaluate_several(
    model_path: Path,
    source: Path,
    output: Path,
    options: CohortOptions,
    *,
    skip_bad: bool,
    jobs: int | None,
    progress: Progress,
    run: Path | None = None,
) -> dict[str, Any]:
    """Weigh a model of several targets; parameters and errors are those of
    :func:`semeion.study.evaluating.evaluate_model`.

    Each target is weighed on its own, into ``targets/<name>`` of `output`, and the results are joined. ``target`` of
    the options names the table's columns: some of the model's targets by their names, or a column for each in the
    model's order. Codes of ``labels`` begin with the column, as in ``grade:1``.
    """
    refuse_taken(output)
    manifest, digest = open_several(model_path)
    columns = columns_for(manifest, options.target)
    labels = labels_of(options, tuple(columns.values()))
    runs = {} if run is None else _runs(run, digest)
    found, folders = {}, {}
    try:
        for part in (one for one in manifest.targets if one.target in columns):
            column = columns[part.target]
            place = part.folder.removeprefix("targets/")
            own = replace(
                options,
                target=column,
                labels=labels.get(column, {}),
                beside=tuple(other for other in columns.values() if other != column),
            )
            progress.say(f"target {part.target}")
            folders[part.target] = f"targets/{place}"
            found[part.target] = evaluate_model(
                model_path / part.folder,
                source,
                output / "targets" / place,
                own,
                skip_bad=skip_bad,
                jobs=jobs,
                progress=progress,
                run=runs.get(part.target),
            )
            if found[part.target]["model"] != part.model:
                raise ModelRefused(
                    f"the model of {part.target!r} is another one than model.json lists",
                    where=str(model_path / part.folder),
                    fix="get the model from its source again",
                )
    except BaseException:  # interrupted, too: nothing is left of what did not finish
        shutil.rmtree(output / "targets", ignore_errors=True)
        if output.is_dir() and not any(output.iterdir()):
            output.rmdir()
        raise
    join_predictions({name: output / folder for name, folder in folders.items()}, output)
    evidence = {**joined_evidence(found, folders), "model": digest}
    write_json(output / "evidence.json", evidence)
    held = [{"name": name, "folder": folder.removeprefix("targets/")} for name, folder in folders.items()]
    write_json(output / SEVERAL, {"schema": 1, "targets": held})
    write_report(output, name="evaluate")
    return evidence


def columns_for(manifest: SeveralManifest, asked: str | None) -> dict[str, str]:
    """Return the table's column of each target that is to be weighed.

    Raises
    ------
    InputError
        When the columns asked for are neither targets of the model nor one for each.
    """
    names = [part.target for part in manifest.targets]
    if asked is None:
        return {name: name for name in names}
    columns = [asked] if asked in names else [part.strip() for part in asked.split(",") if part.strip()]
    if set(columns) <= set(names):
        return {name: name for name in names if name in columns}
    if len(columns) == len(names):
        return dict(zip(names, columns, strict=True))
    raise InputError(
        f"{asked!r} does not say which columns hold the model's {len(names)} targets ({', '.join(names)})",
        where="--target",
        fix="name some of these, or a column for each in this order",
    )


def _runs(run: Path, model: str) -> dict[str, Path]:
    """Return the run of each target of the run that made a model."""
    if not (run / SEVERAL).is_file() or read_json(run / "evidence.json").get("model") != model:
        raise InputError(
            "is the run of another model: the hash of the model that it shipped differs",
            where=str(run),
            fix="give the run folder that this model folder comes from, or leave --run out",
        )
    return dict(parts_of(run))
