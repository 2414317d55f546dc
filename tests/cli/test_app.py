"""The command line itself: help, examples that parse, exit statuses, one message and no traceback."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import typer

import semeion
from semeion.cli.app import app, run
from semeion.errors import Interrupted, MachineError

COHORT = (
    "--target --task --positive --labels --order --group --split --no-split --delimiter --covariates "
    "--channels --frames --views --structures"
)
WEIGH = "--truth --probability --patient --case --split --no-split --fold --site --target --task --positive --labels"
COMMANDS = (
    "index",
    "demo",
    "check",
    "plan",
    "train",
    "resume",
    "report",
    "audit",
    "predict",
    "explain",
    "monitor",
    "evaluate",
    "weigh",
    "compare",
    "curve",
    "adopt",
    "pack",
    "unpack",
    "keygen",
    "sign",
    "verify",
    "sbom",
)
Said = pytest.CaptureFixture[str]


def help_of(command: str, capsys: Said) -> str:
    assert run([command, "--help"], 0.0) == 0
    return capsys.readouterr().out


def test_an_error_moves_no_cursor_and_colours_nothing(capsys: Said) -> None:
    assert run(["predict", "no\x1b[31m\x07model", "a.png", "-o", "f.csv"], 0.0) > 1
    text = capsys.readouterr().err
    assert "\x1b" not in text and "\x07" not in text
    assert "no?[31m?model" in text


def test_every_command_is_named_with_a_sentence(capsys: Said) -> None:
    assert run(["--help"], 0.0) == 0
    text = capsys.readouterr().out
    for command in COMMANDS:
        assert re.search(rf"^  {command} +[A-Z]", text, re.MULTILINE), command
    assert set(COMMANDS) == set(typer.main.get_command(app).commands)  # type: ignore[attr-defined]


@pytest.mark.parametrize("command", COMMANDS)
def test_help_ends_with_an_example_that_parses(command: str, capsys: Said) -> None:
    text = help_of(command, capsys)
    lines = [line.strip() for line in text.splitlines()]
    at = next(number for number, line in enumerate(lines) if line.startswith("Example:"))
    after = at + 1
    while lines[after] and not lines[after].endswith(":"):
        after += 1
    assert sum(line.startswith("Example:") for line in lines) == 1
    assert all(not line or line.startswith(("Options", "-", "Arguments")) or "  " in text for line in lines[after:])
    example = " ".join(lines[at:after]).removeprefix("Example:").strip()
    program, name, *arguments = shlex.split(example)
    assert (program, name) == ("semeion", command)
    found = typer.main.get_command(app).commands[name]  # type: ignore[attr-defined]
    context = found.make_context(name, arguments, resilient_parsing=False)
    given = {key: value for key, value in context.params.items() if value is not None}
    assert given, "options and arguments have the names that the example uses"


@pytest.mark.parametrize("command", COMMANDS)
def test_every_option_is_explained(command: str, capsys: Said) -> None:
    for parameter in typer.main.get_command(app).commands[command].params:  # type: ignore[attr-defined]
        assert getattr(parameter, "help", None), f"{command} {parameter.name}"


@pytest.mark.parametrize(
    ("command", "options"),
    [
        ("train", f"{COHORT} --budget --plan --seed --operating-point --skip-bad --accept --jobs --quiet --output -o"),
        ("plan", f"{COHORT} --budget --seed --operating-point --skip-bad --accept --jobs --quiet -o"),
        ("check", f"{COHORT} --jobs --quiet -o"),
        ("index", "-o --jobs --quiet"),
        ("predict", "-o --masks --mask-format --explain --engine --jobs --quiet"),
        ("explain", "-o --class --method --format --engine --require-signature --jobs --quiet"),
        ("evaluate", "--target --labels --group --skip-bad --jobs --quiet -o"),
        ("report", "--no-pictures"),
        ("weigh", f"{WEIGH} --operating-point --threshold --strata --weights --seed --output -o"),
        ("compare", "--split --seed --output -o"),
        ("curve", f"{COHORT} --budget --metric --want-width --seed --skip-bad --accept --jobs --quiet --output -o"),
        ("demo", "--data --synthetic -o --budget --seed --quiet"),
        ("resume", "--quiet"),
    ],
)
def test_options_have_the_names_of_the_interface(command: str, options: str, capsys: Said) -> None:
    text = help_of(command, capsys)
    for option in options.split():
        assert re.search(rf"(?<![\w-]){option}(?![\w-])", text), option


def test_the_version(capsys: Said) -> None:
    assert run(["--version"], 0.0) == 0
    assert capsys.readouterr().out == f"semeion {semeion.__version__}\n"


@pytest.mark.parametrize("entry", [["-m", "semeion"], ["-c", "from semeion.cli import main; main()"]])
def test_the_program_starts_as_a_module_and_as_a_script(entry: list[str]) -> None:
    done = subprocess.run(
        [sys.executable, *entry, "--version"], capture_output=True, text=True, check=False, timeout=60
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, f"semeion {semeion.__version__}\n", "")
    wrong = subprocess.run(
        [sys.executable, *entry, "resume", "/nowhere/run", "-q"],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert wrong.returncode == 2
    assert wrong.stdout == ""
    assert wrong.stderr == ("semeion: /nowhere/run: holds no run; give a folder that `semeion train -o` wrote\n")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["trian"], "No such command 'trian'"),
        (["train"], "Missing argument 'TABLE'"),
        (["train", "cohort.csv"], "Missing option '--output' / '-o'"),
        (["check", "cohort.csv", "--tagret", "x"], "No such option: --tagret"),
        (["check", "cohort.csv", "--seed", "many"], "Invalid value for '--seed'"),
        (["check", "cohort.csv", "--jobs", "0"], "Invalid value for '--jobs'"),
        (["check", "cohort.csv", "--seed", "-1"], "Invalid value for '--seed'"),
        (["predict", "model", "-o", "f.csv"], "Missing argument 'IMAGE...'"),
    ],
)
def test_wrong_usage_is_status_2(arguments: list[str], message: str, capsys: Said) -> None:
    assert run(arguments, 0.0) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert message in err


def test_no_command_shows_the_help(capsys: Said) -> None:
    assert run([], 0.0) in (0, 2)
    assert "Commands:" in "".join(capsys.readouterr())


def raising(error: BaseException) -> Callable[..., Any]:
    def fail(*_: Any, **__: Any) -> None:
        raise error

    return fail


@pytest.mark.parametrize(
    ("error", "status", "message"),
    [
        (Interrupted("stopped by the user", fix="continue with `semeion resume`"), 130, "stopped by the user"),
        (KeyboardInterrupt(), 130, "semeion: interrupted\n"),
        (MachineError("the disk is full", where="runs", fix="free some space"), 4, "runs: the disk is full; free"),
        (MemoryError(), 4, "semeion: memory ran out; give fewer --jobs, or a smaller cohort\n"),
        (PermissionError(13, "Permission denied", "runs/x"), 4, "semeion: runs/x: Permission denied\n"),
        (BrokenPipeError(32, "Broken pipe"), 0, ""),
    ],
)
def test_statuses_of_the_machine_and_of_interruption(
    error: BaseException, status: int, message: str, monkeypatch: pytest.MonkeyPatch, capsys: Said, tmp_path: Path
) -> None:
    from semeion.study import road

    monkeypatch.setattr(road, "resume_run", raising(error))
    assert run(["resume", str(tmp_path)], 0.0) == status
    out, err = capsys.readouterr()
    assert out == ""
    assert message in err if message else err == ""
    assert "Traceback" not in err


def test_debug_shows_the_traceback_and_keeps_the_status(capsys: Said, tmp_path: Path) -> None:
    for arguments in (["--debug", "resume", str(tmp_path)], ["resume", str(tmp_path), "--debug"]):
        assert run(arguments, 0.0) == 2
        err = capsys.readouterr().err
        assert "Traceback" in err
        assert err.endswith("holds no run; give a folder that `semeion train -o` wrote\n")
