"""Processes that read headers: records in order, and a dead one is an error that says how to go on."""

from __future__ import annotations

import json
from pathlib import Path

import pydicom
import pytest

from semeion.cohort.series.records import make_record
from semeion.cohort.series.walk import Entry
from semeion.cohort.series.worker import Worker
from semeion.errors import MachineError

SHIPPED = Path(pydicom.__file__).parent / "data" / "test_files"


def test_a_process_answers_as_this_one_does(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # A module of the current folder must not be taken for one of the library.
    (tmp_path / "json.py").write_text("raise SystemExit(9)")
    monkeypatch.chdir(tmp_path)
    entries = [Entry(str(SHIPPED / name), 1, 2) for name in ("MR_small.dcm", "README.txt", "DICOMDIR", "gone")]
    worker = Worker()
    try:
        for _ in range(2):
            assert [json.loads(line) for line in worker.ask(entries)] == [make_record(entry) for entry in entries]
        assert worker.ask([]) == []
    finally:
        worker.close()


def test_a_process_that_died_is_told() -> None:
    worker = Worker()
    worker._process.kill()
    worker._process.wait()
    with pytest.raises(MachineError, match="ended before its work; run again: what was read is kept; with --jobs 1"):
        worker.ask([Entry("a", 1, 2)])
    worker.close()
