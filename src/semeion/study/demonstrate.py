"""``semeion demo``: the whole road on real breast ultrasound, or on phantoms that say that they are."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

from semeion.cohort.demo import demo_source
from semeion.errors import InputError
from semeion.progress import Progress
from semeion.study.folder import read_run_state
from semeion.study.options import RunOptions, parse_duration
from semeion.study.road import start_run
from semeion.study.study import Run


def demonstrate(
    data: Path | None,
    synthetic: bool,
    output: Path,
    budget: str | None,
    seed: int,
    progress: Progress,
    started: float | None,
) -> Run:
    """Find the images, replace an earlier demonstration in `output`, and train.

    Raises
    ------
    InputError
        When `data` cannot be used, or `output` holds something that is no run.
    """
    seconds = parse_duration(budget)
    earlier = output.exists() and (not output.is_dir() or any(output.iterdir()))
    if earlier:
        try:
            read_run_state(output)
        except InputError as error:
            raise InputError("holds something that is no run", where=str(output), fix="choose another -o") from error
    # Only now the download, and only then is the earlier demonstration given up.
    source = demo_source(data, cache_folder(), synthetic)
    if source.note:
        progress.say(source.note)
    if earlier:
        shutil.rmtree(output)
    options = RunOptions(
        budget=seconds,
        seed=seed,
        synthetic=source.synthetic,
        remarks=(source.note,) if source.note else (),
    )
    return Run(start_run(source.source, options, output, progress, started))


def cache_folder() -> Path:
    """Return this user's cache folder for Semeion, by the custom of the system."""
    if sys.platform == "win32":
        base = Path(os.environ.get("LOCALAPPDATA", Path.home() / "AppData" / "Local"))
    elif sys.platform == "darwin":
        base = Path.home() / "Library" / "Caches"
    else:
        base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return base / "semeion"
