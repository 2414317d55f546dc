"""What a task carries, and what a member that learns elsewhere tells."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from semeion.errors import InputError, Interrupted, TrainingFailed
from semeion.study.members import telling
from semeion.study.members.task import LearnTask, MemoryRanOut, ran_out
from semeion.study.members.telling import ENDED, STOP, Listening, error_of, learn_telling


def task_of(folder: Path) -> LearnTask:
    (folder / "store").mkdir(exist_ok=True)
    rows = np.arange(3, dtype=np.int64)
    y = np.array([[0.0, np.nan], [1 / 3, 1.0]])
    return LearnTask(
        str(folder), "{}", "seed0", rows, rows[:0], y, str(folder / "store"), 3, (1, 8, 8), 3, None, 1, 0.0
    )


def test_a_task_is_a_line_of_json(tmp_path: Path) -> None:
    task = task_of(tmp_path)
    line = task.to_json()
    assert "\n" not in line
    back = LearnTask.from_json(line)
    assert np.array_equal(back.y, task.y, equal_nan=True) and back.y.dtype == np.float64
    assert back.learn.tolist() == [0, 1, 2] and len(back.validate) == 0
    assert {**vars(back), "y": 0, "learn": 0, "validate": 0} == {**vars(task), "y": 0, "learn": 0, "validate": 0}


@pytest.mark.parametrize(
    "error",
    [
        TrainingFailed("the loss is not finite", where="member seed0", fix="lower it"),
        MemoryRanOut("memory ran out", where="member seed0", fix="end programs"),
        Interrupted("stopped by the user"),
        InputError("no GPU", where="training.device", fix="write cpu", details=["one", "two"]),
        ValueError("a mistake"),
    ],
)
def test_an_error_elsewhere_is_the_same_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    heard: list[Any] = []

    def learn(_task: Any, stop: Any, stepped: Any, log: Any) -> None:
        assert not stop()
        stepped(1, 10, 0.5)
        stepped(2, 10, 0.5)
        stepped(10, 10, 0.25)
        log({"member": "seed0", "step": 1})
        raise error

    monkeypatch.setattr(telling, "learn_in_place", learn)
    task = task_of(tmp_path)
    listening = Listening(task.folder, lambda *now: heard.append(now), heard.append)
    assert listening.hear() is None
    ended = learn_telling(task)
    assert listening.hear() == ended
    # Of steps that follow one another within moments the first is told, and the last.
    assert heard == [(1, 10, 0.5), (10, 10, 0.25), {"member": "seed0", "step": 1}]
    found = error_of(ended)
    if isinstance(error, ValueError):
        assert isinstance(found, RuntimeError) and "ValueError: a mistake" in str(found)
    else:
        assert type(found) is type(error) and str(found) == str(error)
    listening.ask_to_stop()
    assert (task.folder / STOP).exists()
    listening.tidy()
    assert not list(task.folder.iterdir())
    assert error_of({ENDED: None}) is None


def test_a_run_that_is_not_seen_is_refused(tmp_path: Path) -> None:
    task = task_of(tmp_path)
    lost = LearnTask(**{**vars(task), "run": str(tmp_path / "elsewhere")})
    error = error_of(learn_telling(lost))
    assert "elsewhere: is not visible from where a member is to learn; put the run folder on a file system" in str(
        error
    )
    assert not (tmp_path / "elsewhere").exists()


def test_what_means_that_memory_ran_out() -> None:
    assert ran_out(MemoryError())
    assert ran_out(RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried to"))
    assert ran_out(RuntimeError("CUDA out of memory. Tried to allocate 2 GiB"))
    assert not ran_out(RuntimeError("shapes differ"))
