"""A command run in this process: its status, what it printed, and proof that a refusal wrote nothing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from semeion.cli.app import run
from support.tiny import PATIENT, Tiny, contents_of, make_cohort


@dataclass(frozen=True)
class Done:
    """What a command left: exit status, standard output, standard error."""

    status: int
    out: str
    err: str


@pytest.fixture
def command(capsys: pytest.CaptureFixture[str]) -> Callable[..., Done]:
    """Run ``semeion ...`` and return what it left; no traceback and no patient is ever shown."""

    def call(*arguments: str | Path) -> Done:
        capsys.readouterr()
        status = run([str(argument) for argument in arguments], 0.0)
        done = Done(status, *capsys.readouterr())
        assert "Traceback" not in done.err
        assert PATIENT not in done.out + done.err
        return done

    return call


@pytest.fixture
def cohort(tmp_path: Path) -> Tiny:
    """Eighty pictures and their table."""
    return make_cohort(tmp_path / "source")


@pytest.fixture
def refuse(command: Callable[..., Done], tmp_path: Path) -> Callable[..., str]:
    """Run a command that must be refused (status 2 unless said) and leave the disk as it was; return its message."""

    def call(*arguments: str | Path, status: int = 2) -> str:
        before = contents_of(tmp_path)
        folders = sorted(path for path in tmp_path.rglob("*") if path.is_dir())
        done = command(*arguments)
        assert done.status == status, done.err
        assert done.out == ""
        assert contents_of(tmp_path) == before, "nothing was written"
        assert sorted(path for path in tmp_path.rglob("*") if path.is_dir()) == folders
        assert done.err.startswith("semeion: ")
        return done.err.removeprefix("semeion: ").rstrip("\n")

    return call
