"""Every reader bears files that were changed at random; those that it once could not bear are read again for ever."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from semeion.errors import InputError
from support.fuzz import CASES, READERS, Reader, fuzz, trouble

KEPT = sorted(CASES.glob("*/*"))


@pytest.mark.parametrize("name", READERS)
def test_a_reader_takes_or_refuses_whatever_comes(name: str, tmp_path: Path) -> None:
    account = fuzz(name, seconds=20.0, seed=1, keep=tmp_path / "kept", most=60)
    assert account["tried"] > 0
    assert account["found"] == {}


def test_a_reader_that_takes_too_long_is_found_whatever_it_catches(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def slow(path: Path) -> None:
        try:
            time.sleep(30)
        except Exception as error:
            raise InputError("damaged", where=str(path), fix="none") from error

    monkeypatch.setattr("support.fuzz.LONGEST", 1)
    found = trouble(Reader(lambda _: [], slow, ".x"), tmp_path / "a.x")
    assert found is not None
    assert "more than 1 s for one file" in found


@pytest.mark.parametrize("case", KEPT, ids=lambda case: f"{case.parent.name}-{case.name}")
def test_a_file_that_was_found_is_borne(case: Path) -> None:
    assert trouble(READERS[case.parent.name], case) is None
