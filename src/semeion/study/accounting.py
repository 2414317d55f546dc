"""The time a run has used, kept while it works, and what is left of one that was refused."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from semeion.artefacts import machine_errors
from semeion.errors import Interrupted, MachineError
from semeion.study.clock import Clock
from semeion.study.folder import RunFolder


@contextmanager
def accounted(run: RunFolder, state: dict[str, Any], clock: Clock) -> Iterator[None]:
    """Keep the seconds used in ``run.json``, also while working, so that a kill loses few of them."""
    over = threading.Event()

    def keep() -> None:
        while not over.wait(5.0):
            run.write_state({**state, "seconds_used": clock.used()})

    keeper = threading.Thread(target=keep, daemon=True)
    keeper.start()
    try:
        yield
    except (KeyboardInterrupt, Interrupted) as error:
        what = error.what if isinstance(error, Interrupted) else "stopped by the user"
        raise Interrupted(what, fix=f"continue with `semeion resume {_shown(run.path)}`") from error
    except MemoryError as error:
        raise MachineError(
            "memory ran out", where=str(run.path), fix="lower training.batch in the plan and resume"
        ) from error
    finally:
        over.set()
        keeper.join()
        if run.state.exists():
            with machine_errors(run.path):
                run.write_state({**state, "seconds_used": clock.used()})


def _shown(path: Path) -> Path:
    """Return the path as a person would type it: relative when it is below the working folder."""
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path


def remove_refused(run: RunFolder, existed: bool) -> None:
    """Leave nothing behind when the input was refused before anything was prepared or learned."""
    import shutil

    if (run / "members").exists() or (run / "store").exists():
        return
    for entry in run.path.iterdir():
        if entry.is_dir():
            shutil.rmtree(entry)
        else:
            entry.unlink()
    if not existed:
        run.path.rmdir()
