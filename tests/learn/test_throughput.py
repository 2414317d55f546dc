from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from semeion.artefacts import finite
from semeion.errors import InputError
from semeion.learn import throughput
from semeion.learn.network3d import PartsNetwork
from semeion.learn.throughput import (
    best_threads,
    free_memory_gib,
    machine_from_json,
    machine_to_json,
    measure_machine,
    peak_gib,
    step_seconds,
)
from semeion.plan.networks import Candidate
from semeion.plan.parallel import Beside
from semeion.progress import Silent

SMALL = Candidate((12, 12), "pad", (4,), 1, 4, 1.0)
LARGE = Candidate((12, 16), "stretch", (4, 8), 1, 8, 2.0)


class Counting(Silent):
    def __init__(self):
        self.total, self.done = 0.0, 0.0

    def start(self, work, total):
        self.total = total

    def advance(self, amount=1.0, note=""):
        self.done += amount


@pytest.fixture(autouse=True)
def _one_core(monkeypatch):
    monkeypatch.setattr(throughput, "usable_cores", lambda: 1)


@pytest.fixture
def machine():
    return measure_machine([LARGE, SMALL], "binary", ["a", "b"], 1, seconds=60, progress=Silent())


def test_every_candidate_is_measured_best_first(machine):
    assert [entry.candidate for entry in machine.measured] == [LARGE, SMALL]
    for entry in machine.measured:
        assert {"float32"} <= set(entry.seconds) <= {"float32", "bfloat16"}
        assert all(0 < value < 10 for value in entry.seconds.values())
        assert entry.images_per_second > 0
    assert (machine.threads, machine.device) == (1, "cuda" if torch.cuda.is_available() else "cpu")
    assert machine.memory_gib == pytest.approx(free_memory_gib(), rel=0.5) and machine.memory_gib > 0
    assert machine.facts["torch"] == torch.__version__
    assert 0 < machine.facts["peak_gib"] <= peak_gib() + 0.01


def test_it_comes_back_from_json(machine):
    text = json.dumps(finite(machine_to_json(machine)), allow_nan=False)
    assert machine_from_json(json.loads(text), Path("machine.json")) == machine
    beside = replace(machine, beside=(Beside(1, 2, 0.1), Beside(2, 1, 0.15)))
    assert machine_from_json(machine_to_json(beside), Path("machine.json")) == beside


def test_it_names_no_person_and_no_path(machine):
    text = json.dumps(finite(machine_to_json(machine)))
    assert str(Path.home()) not in text
    assert "hostname" not in text


@pytest.mark.parametrize(("factor", "tried"), [(0.5, 2), (2.0, 1)])
def test_bfloat16_is_tried_on_as_long_as_it_pays(monkeypatch, factor, tried):
    monkeypatch.setattr(throughput, "step_seconds", lambda *_, bfloat16: 0.1 * factor if bfloat16 else 0.1)
    machine = measure_machine([LARGE, SMALL], "binary", ["a", "b"], 1, seconds=60, progress=Silent())
    assert [entry.precision for entry in machine.measured] == ["bfloat16" if factor < 1 else "float32"] * 2
    assert sum("bfloat16" in entry.seconds for entry in machine.measured) == tried


@pytest.mark.parametrize("raw", [{}, {"schema": 2}])
def test_another_version_is_refused(raw):
    with pytest.raises(InputError) as caught:
        machine_from_json(raw, Path("run/machine.json"))
    assert str(caught.value) == "run/machine.json: machine.json is of another version; delete it; it is measured again"


def test_the_cheapest_is_measured_first_and_always(monkeypatch):
    progress = Counting()
    machine = measure_machine([LARGE, SMALL], "binary", ["a", "b"], 1, seconds=0.0, progress=progress)
    assert [entry.candidate for entry in machine.measured] == [SMALL]
    assert progress.done <= progress.total == 3


@pytest.mark.parametrize(
    ("task", "classes", "channels"),
    [
        ("multiclass", ["a", "b", "c"], 3),
        ("ordinal", ["a", "b", "c"], 1),
        ("multilabel", ["a", "b"], 1),
        ("regression", [], 1),
    ],
)
def test_each_task_can_be_measured(task, classes, channels):
    assert step_seconds(SMALL, task, classes, channels, "cpu", bfloat16=False) > 0


def test_the_faster_number_of_threads_is_kept(monkeypatch):
    monkeypatch.setattr(throughput, "usable_cores", lambda: 4)
    monkeypatch.setattr(torch, "set_num_threads", lambda n: seen.append(n))
    seen: list[int] = []
    monkeypatch.setattr(throughput, "step_seconds", lambda *_, **__: 0.2 if seen[-1] == 4 else 0.1)
    assert best_threads(SMALL, "binary", ["a", "b"], 1, "cpu") == 3
    assert set(seen) == {3, 4}


def test_pretrained_networks_see_volumes_picture_by_picture(monkeypatch):
    seen = {}

    def step(candidate, task, classes, channels, device, groups, *, bfloat16):
        seen[candidate.kind] = (channels, groups)
        return 0.1

    monkeypatch.setattr(throughput, "step_seconds", lambda *args, **named: step(*args, **named))
    monkeypatch.setattr(throughput, "best_threads", lambda *_: 1)
    monkeypatch.setattr(throughput, "classic_step_seconds", lambda *_: 0.1)
    volume = Candidate((8, 16, 16), "pad", (4, 8), 1, 4, 1.0, kind="slices")
    ladder = [Candidate((64, 64), "pad", (), 1, 32, 1.0, kind="pretrained", side=64)]
    measure_machine(
        [volume], "binary", ["a", "b"], 2, groups=2, seconds=60, progress=Silent(), pretrained=ladder
    )  # fmt: skip
    assert seen == {"slices": (2, 2), "pretrained": (1, 1)}


def test_the_last_stages_alone_can_be_measured(monkeypatch):
    passed = []
    begun = PartsNetwork.begun
    monkeypatch.setattr(PartsNetwork, "begun", lambda self, x: passed.append(len(x)) or begun(self, x))
    last = Candidate((64, 64), "pad", (), 1, 4, 1.0, kind="pretrained", side=64, kept=6)
    assert step_seconds(last, "binary", ["a", "b"], 2, "cpu", 2, bfloat16=False) > 0
    assert passed == [4], "the stages that are kept are passed before, and in no step"


def test_those_that_keep_stages_are_estimated_from_their_own(monkeypatch):
    monkeypatch.setattr(throughput, "step_seconds", lambda one, *_, **__: 0.1 if one.kept else 1.0)
    monkeypatch.setattr(throughput, "best_threads", lambda *_: 1)
    monkeypatch.setattr(throughput, "classic_step_seconds", lambda *_: 0.1)
    ladder = [
        Candidate((side, side), "pad", (), 1, 32, 1.0, kind="pretrained", side=side, kept=kept)
        for kept in (0, 6)
        for side in (224, 160)
    ]
    found = measure_machine([SMALL], "binary", ["a", "b"], 1, seconds=0.0, progress=Silent(), pretrained=ladder)
    told = {
        (one.candidate.side, one.candidate.kept): (one.seconds["float32"], one.estimated) for one in found.pretrained
    }
    assert list(told) == [(224, 0), (160, 0), (224, 6), (160, 6)]
    assert told[160, 6] == (0.1, False)
    assert told[224, 6] == (pytest.approx(0.1 * (224 / 160) ** 2), True)
    assert told[224, 0] == (pytest.approx(1.0 * (224 / 160) ** 2), True)
