"""Every reader bears files that were changed at random; those that it once could not bear are read again for ever."""

from __future__ import annotations

import faulthandler
import os
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from semeion.errors import InputError
from support.fuzz import CASES, READERS, fuzz, main
from support.fuzz_child import Child
from support.fuzz_readers import Reader

KEPT = sorted(CASES.glob("*/*"))


def _sleep(_: Path) -> None:
    time.sleep(60)


def _sleep_and_take_any_error_for_damage(path: Path) -> None:
    try:
        _sleep(path)
    except BaseException as error:
        raise InputError("damaged", where=str(path), fix="none") from error


def _crash(_: Path) -> None:
    faulthandler._sigsegv()  # type: ignore[attr-defined]


def _crash_at_the_third() -> Callable[[Path], None]:
    """Return a reader that does damage which shows only later."""
    read: list[Path] = []

    def third(path: Path) -> None:
        read.append(path)
        if len(read) == 3:
            _crash(path)

    return third


def _hold_much(_: Path) -> None:
    bytearray(b"x") * (300 << 20)


def _exit(_: Path) -> None:
    sys.exit(0)


def _exit_at_once(_: Path) -> None:
    os._exit(0)


def _print_and_refuse(path: Path) -> None:
    os.write(1, b'{"trouble": "said by a library", "peak_mib": 0}\n' * 1000)
    raise InputError("damaged", where=str(path), fix="none")


def _fail(_: Path) -> None:
    raise KeyError("nothing that a user could read")


TROUBLED = {
    name: Reader(lambda _: [b"a good file"], read, ".x")
    for name, read in {
        "sleep": _sleep,
        "sleep and refuse": _sleep_and_take_any_error_for_damage,
        "crash": _crash,
        "crash later": _crash_at_the_third(),
        "hold much": _hold_much,
        "exit": _exit,
        "exit at once": _exit_at_once,
        "print and refuse": _print_and_refuse,
        "fail": _fail,
    }.items()
}
"""Readers that do what none may do; the child imports this module."""


@pytest.fixture(scope="module")
def child() -> Iterator[Child]:
    """One process for all readers of the product, which takes a second to start."""
    with Child() as made:
        yield made


@pytest.fixture(scope="module")
def troubled() -> Iterator[Child]:
    with Child("test_fuzz:TROUBLED") as made:
        yield made


@pytest.mark.parametrize("name", READERS)
def test_a_reader_takes_or_refuses_whatever_comes(name: str, child: Child, tmp_path: Path) -> None:
    account = fuzz(name, child, seconds=20.0, seed=1, keep=tmp_path / "kept", most=60)
    assert account.tried > 0
    assert account.found == {}


@pytest.mark.parametrize(
    ("name", "says", "where"),
    [
        ("sleep", "too long: more than 1 s for one file", "in _sleep"),
        ("sleep and refuse", "too long: more than 1 s for one file", "in _sleep"),
        ("crash", "dead: the process ended by SIGSEGV", "in _crash"),
        ("hold much", "too much memory", ""),
        ("exit", "SystemExit: 0", "in _exit"),
        ("exit at once", "dead: the process ended by exit status 0", ""),
        ("fail", "KeyError: 'nothing that a user could read'", "in _fail"),
    ],
)
def test_what_a_reader_may_not_do_is_found_and_the_next_file_is_read(
    name: str, says: str, where: str, troubled: Child, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr("support.fuzz_child.MOST_MIB", 250)
        if "sleep" in name:
            patch.setattr(troubled, "longest", 1)
        found = troubled.trouble(name, tmp_path / "a.x")
    assert found is not None
    assert says in found
    assert where in found
    assert troubled.trouble("print and refuse", tmp_path / "a.x") is None


def test_the_file_that_killed_a_reader_is_kept_once(troubled: Child, tmp_path: Path) -> None:
    account = fuzz("crash", troubled, 20.0, seed=1, keep=tmp_path / "kept", most=3, readers=TROUBLED)
    assert account.tried == 3
    (kind,) = account.found
    assert kind.startswith("dead in File ")
    assert len(list((tmp_path / "kept").iterdir())) == 1


def test_files_read_before_a_death_are_kept_when_the_last_one_alone_is_borne(tmp_path: Path) -> None:
    with Child("test_fuzz:TROUBLED") as child:
        account = fuzz("crash later", child, 20.0, seed=1, keep=tmp_path / "kept", most=3, readers=TROUBLED)
    (text,) = account.found.values()
    assert "not of this file alone" in text
    (before,) = (tmp_path / "kept").glob("*.before")
    assert len(list(before.iterdir())) == 2
    assert (tmp_path / "kept" / before.with_suffix(".x").name).is_file()


def test_a_fuzzing_that_finds_something_ends_with_a_status(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("support.fuzz.CASES", tmp_path / "tests" / "fuzz_cases")
    monkeypatch.setattr("support.fuzz.TABLE", "test_fuzz:TROUBLED")
    monkeypatch.setattr("support.fuzz.READERS", TROUBLED)
    assert main(["print and refuse", "0.1"]) == 0
    assert main(["fail", "0.1"]) == 1
    assert main(["nothing"]) == 2
    fine, found, *_ = [line for line in capsys.readouterr().out.splitlines() if "files, peak" in line]
    assert "0 kinds of trouble" in fine
    assert f"1 kinds of trouble, kept in {tmp_path / 'build' / 'fuzz' / 'fail'}" in found


@pytest.mark.parametrize("case", KEPT, ids=lambda case: f"{case.parent.name}-{case.name}")
def test_a_file_that_was_found_is_borne(case: Path, child: Child) -> None:
    assert child.trouble(case.parent.name, case) is None
