"""What several processes take beside one another."""

from __future__ import annotations

import io
import json
from dataclasses import asdict
from typing import Any

import pytest

from semeion.learn import pace
from semeion.learn.pace import measure_beside, serve
from semeion.plan.networks import Candidate

SMALL = Candidate((12, 12), "pad", (4,), 1, 4, 1.0)
NETWORK = {"task": "binary", "classes": ["a", "b"], "channels": 1}


def measured(**settings: Any) -> list[pace.Beside]:
    return measure_beside(SMALL, "binary", ["a", "b"], 1, **{"threads": 2, "cores": 2, "most": 2, **settings})


def test_a_process_answers_each_question(monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    threads: list[int] = []
    monkeypatch.setattr(torch, "set_num_threads", threads.append)
    network = {"candidate": asdict(SMALL), **NETWORK, "groups": 1, "bfloat16": False}
    told = io.StringIO()
    serve(io.StringIO(json.dumps(network) + "\n2 0.0\n1 0.01\n"), told)
    ready, first, second = told.getvalue().splitlines()
    assert ready == "ready"
    assert 0 < float(first) < 10 and 0 < float(second) < 10
    assert threads == [2, 1]


def test_one_and_two_processes_are_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pace, "SECONDS", 0.05)
    found = measured()
    assert [(one.processes, one.threads) for one in found] == [(1, 2), (2, 1)]
    assert all(0 < one.seconds < 10 for one in found)


def test_nothing_is_measured_where_there_is_nothing_to_compare(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pace, "_runner", lambda _: pytest.fail("a process was started"))
    assert measured(cores=1) == []
    assert measured(most=1) == []


def test_a_process_that_cannot_learn_gives_no_measurement(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pace, "_heard", lambda _: "")
    monkeypatch.setattr(pace.sys, "executable", "false-interpreter-that-is-not-there")
    assert measured() == []
