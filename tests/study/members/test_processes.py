"""Members in processes of their own: the same weights, and what becomes of one whose process dies."""

from __future__ import annotations

import os
import signal
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from semeion.errors import Interrupted, TrainingFailed
from semeion.study.members import task as tasks
from semeion.study.members.processes import Processes
from semeion.study.members.task import LearnTask
from semeion.study.members.telling import STOP, TOLD
from study.members.crewed import learn, plan_of, sums_of


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Return the sums of the weights that this process learns."""
    return sums_of(learn(tmp_path_factory.mktemp("alone") / "run", plan_of())[1])


def kill_when_it_learns(monkeypatch: pytest.MonkeyPatch, member: str, times: int) -> list[int]:
    """Kill the process of a member so many times, each as soon as it told of its first step."""
    real, killed = Processes.start, []

    def start(self: Processes, task: LearnTask, stepped: Any) -> None:
        real(self, task, stepped)
        if task.member != member or len(killed) == times:
            return
        process = next(worker.process for worker in self.workers.values() if worker.task is task)
        killed.append(process.pid)

        def kill() -> None:
            while not (task.folder / TOLD).exists() and process.poll() is None:
                time.sleep(0.002)
            os.kill(process.pid, signal.SIGKILL)

        threading.Thread(target=kill, daemon=True).start()

    monkeypatch.setattr(Processes, "start", start)
    return killed


def test_two_processes_learn_what_one_does_though_one_is_killed(
    tmp_path: Path, alone: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    killed = kill_when_it_learns(monkeypatch, "fold0-seed0", 1)
    done, run = learn(tmp_path / "run", plan_of(2))
    assert len(killed) == 1
    assert sums_of(run) == alone
    assert [facts["name"] for facts in done.facts] == [member.name for member in done.plan.members]
    [note] = done.notes
    assert note == (
        "Member fold0-seed0 went on from its checkpoint: the process that it learned in has ended: signal 9."
    )
    left = {file.name for file in run.path.glob("members/*/*")}
    assert not left & {TOLD, STOP, "begun.json", "checkpoint.safetensors"}
    assert '"event": "evaluation"' in (run / "log.jsonl").read_text()


def test_a_member_whose_process_dies_twice_is_left_out(
    tmp_path: Path, alone: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    killed = kill_when_it_learns(monkeypatch, "fold1-seed0", 2)
    done, run = learn(tmp_path / "run", plan_of(2))
    assert len(killed) == 2
    assert done.notes[-1].startswith("Member fold1-seed0 was left out: the process that it learned in has ended")
    del alone["fold1-seed0"]
    assert sums_of(run) == alone
    assert [member.name for member in done.plan.members] == list(done.validation)


def test_a_stop_ends_all_with_their_checkpoints(tmp_path: Path) -> None:
    folder = tmp_path / "run"

    def begun() -> bool:
        return len(list(folder.glob(f"members/*/{TOLD}"))) == 2

    with pytest.raises(Interrupted):
        learn(folder, plan_of(2, steps=100_000), begun)
    left = sorted(file.name for file in folder.glob("members/fold*-seed0/*"))
    assert left == ["begun.json", "begun.json", "checkpoint.safetensors", "checkpoint.safetensors"]


def test_a_mistake_in_the_code_is_raised_here(tmp_path: Path) -> None:
    plan = plan_of(2, steps=10)
    plan.training.class_weights = [1.0, 2.0, 3.0]
    with pytest.raises(RuntimeError, match="Traceback"):
        learn(tmp_path / "run", plan)


def test_memory_that_runs_out_halves_the_batch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = tasks.learn_network

    def learn_network(plan: Any, member: Any, *rest: Any) -> None:
        if plan.recipe_of(member).training.batch > 4:
            raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 1 bytes.")
        real(plan, member, *rest)

    monkeypatch.setattr(tasks, "learn_network", learn_network)
    done, run = learn(tmp_path / "run", plan_of(steps=2))
    assert [member.recipe for member in done.plan.members] == ["network-b4"] * 4
    assert done.plan.recipes["network-b4"].training.batch == 4  # type: ignore[union-attr]
    assert [member.steps for member in done.plan.members] == [4] * 4, "it sees as many images"
    assert done.notes[0] == ("Memory ran out while member fold0-seed0 learned with batches of 8: it learns with 4.")
    # What was finished is not begun again with other steps.
    again, _ = learn(tmp_path / "run", plan_of(steps=2))
    assert again.plan.members == done.plan.members
    monkeypatch.undo()
    assert sums_of(learn(tmp_path / "repeated", done.plan)[1]) == sums_of(run)


def test_memory_that_never_lasts_fails_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def learn_network(*_: Any) -> None:
        raise MemoryError

    monkeypatch.setattr(tasks, "learn_network", learn_network)
    with pytest.raises(TrainingFailed, match=r"memory ran out while it learned; lower training\.batch"):
        learn(tmp_path / "run", plan_of(steps=2))


def test_a_process_ends_with_the_one_that_started_it() -> None:
    """Else it would write beside the next run in the same folder after a ``kill -9``."""
    crew = Processes(1, lambda: False, lambda _: None)
    worker = crew._worker(0)
    assert worker.process.poll() is None
    assert worker.process.stdin is not None
    worker.process.stdin.close()
    assert worker.process.wait(120) == 0
    worker.printed.close()
