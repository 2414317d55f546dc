"""The run folder: where each artefact is, who may write, and what is already done."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from semeion import __version__
from semeion.artefacts import machine_errors, only_writer, read_json, write_json
from semeion.cohort.cohort import Cohort
from semeion.errors import InputError
from semeion.provenance import code_hash
from semeion.study.options import RunOptions

SCHEMA = 1
SEVERAL = "targets/targets.json"
"""In the folder of a run or evaluation of several targets: their names, and the folder of each below ``targets``."""


class RunFolder:
    """Paths and state of one run; the state is what a resume needs."""

    def __init__(self, path: Path) -> None:
        self.path = path.absolute()

    def __truediv__(self, name: str) -> Path:
        return self.path / name

    @property
    def state(self) -> Path:
        """``run.json``: source, options, seconds used so far, whether finished."""
        return self.path / "run.json"

    def refuse_taken(self) -> None:
        """Refuse a path that already holds something; nothing is written.

        Raises
        ------
        InputError
            A run, finished or not or of another version; other files; a file in place of a folder.
        """
        if self.state.exists():
            state = read_run_state(self.path)
            fix = (
                "choose another -o"
                if state["finished"]
                else f"continue it with `semeion resume {self.path.name}`, or choose another -o"
            )
            kind = "a finished run" if state["finished"] else "an unfinished run"
            raise InputError(f"already holds {kind}", where=str(self.path), fix=fix)
        if self.path.exists() and (
            not self.path.is_dir() or any(entry.name != ".lock" for entry in self.path.iterdir())
        ):
            raise InputError("is not empty and holds no run", where=str(self.path), fix="choose another folder with -o")

    def begin(self, source: Path, options: RunOptions) -> None:
        """Make a new run.

        Raises
        ------
        InputError
            When the folder already holds something.
        MachineError
            When it cannot be written.
        """
        self.refuse_taken()
        with machine_errors(self.path):
            self.path.mkdir(parents=True, exist_ok=True)
        state = {"source": str(source), "options": options.to_json(), "seconds_used": 0.0, "finished": False}
        self.write_state({**state, "code": code_hash()})

    def count_reading(self, cohort: Cohort) -> int | None:
        """Count in ``readings.json`` that the test cases are about to be read; return how often, this time included.

        None where there are no test cases.
        """
        if not cohort.has_split or not bool((cohort.table["split"] == "test").any()):
            return None
        file = self.path / "readings.json"
        readings = 1 + (int(read_json(file)["test"]) if file.exists() else 0)
        write_json(file, {"test": readings})
        return readings

    def write_state(self, state: dict[str, Any]) -> None:
        """Write ``run.json`` whole."""
        write_json(self.state, {**state, "schema": SCHEMA, "semeion": __version__})

    def tidy(self) -> None:
        """Remove what a killed process left half-written; only for who holds the folder."""
        for pattern in (".*.part", ".*.old"):
            for left in list(self.path.rglob(pattern)):
                if left.is_dir():
                    shutil.rmtree(left, ignore_errors=True)
                else:
                    left.unlink(missing_ok=True)

    def log(self, event: str, **facts: Any) -> None:
        """Append one line to ``log.jsonl``; never with a patient's data."""
        line = {"time": datetime.now(UTC).isoformat(timespec="milliseconds"), "event": event, **facts}
        with machine_errors(self.path), (self.path / "log.jsonl").open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the folder against a second process.

        Raises
        ------
        InputError
            When another process holds it.
        MachineError
            As :func:`semeion.artefacts.only_writer`.
        """
        refusal = InputError(
            "is in use by another process", where=str(self.path), fix="wait for it, or choose another -o"
        )
        with only_writer(self.path, refusal):
            yield


def code_notes(run: RunFolder) -> list[str]:
    """Say where a run was begun with other code than goes on with it; nothing where it is the same or not known."""
    begun = read_run_state(run.path).get("code")
    if begun in (None, code_hash()):
        return []
    return [f"The code was changed after this run was begun: sha256 {begun} then, {code_hash()} when it was weighed."]


def parts_of(run: Path) -> Iterator[tuple[str, Path]]:
    """Yield the name and the folder of each target of a run, evaluation or model folder with several."""
    for one in read_json(run / SEVERAL)["targets"]:
        yield one["name"], run / "targets" / one["folder"]


def refuse_several_targets(path: Path) -> None:
    """Refuse a folder that holds several targets where one is needed.

    Raises
    ------
    InputError
        Naming the folder of each.
    """
    if (path / SEVERAL).is_file():
        held = read_json(path / SEVERAL)["targets"]
        folders = ", ".join(str(path / "targets" / one["folder"]) for one in held)
        raise InputError(
            f"holds {len(held)} targets ({', '.join(one['name'] for one in held)}), and one is needed",
            where=str(path),
            fix=f"give the folder of one of them: {folders}",
        )


def refuse_taken(output: Path) -> None:
    """Refuse a path that holds something.

    Raises
    ------
    InputError
        When it is a file or a folder that is not empty.
    """
    if output.exists() and (not output.is_dir() or any(output.iterdir())):
        raise InputError("is not empty", where=str(output), fix="choose another folder with -o")


def read_run_state(path: Path) -> dict[str, Any]:
    """Read ``run.json``.

    Raises
    ------
    InputError
        When the folder holds no run, or one of another version.
    """
    file = path / "run.json"
    if not file.is_file():
        raise InputError("holds no run", where=str(path), fix="give a folder that `semeion train -o` wrote")
    try:
        state: Any = read_json(file)
    except ValueError:
        state = None
    if not isinstance(state, dict):
        raise InputError("is damaged", where=str(file), fix="train again into another folder")
    if state.get("schema") != SCHEMA:
        raise InputError(
            f"was written by Semeion {state.get('semeion')} in a form that {__version__} does not read",
            where=str(path),
            fix="use that version, or train again into another folder",
        )
    return state
