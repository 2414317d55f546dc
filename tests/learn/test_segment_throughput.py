from __future__ import annotations

from pathlib import Path

import pytest

from learn.outlines import network_of
from semeion.errors import InputError
from semeion.learn.segment_throughput import (
    measure_segmentation,
    segment_machine_from_json,
    segment_machine_to_json,
    step_seconds,
)
from semeion.plan.segment_schema import ArmPlan
from semeion.progress import Silent


def candidates():
    found = []
    for dims in (3, 2):
        for width in (16, 8):
            network = network_of(dims, widths=[width, 2 * width])
            found.append(ArmPlan(name=f"{dims}d", network=network, batch=2))
    return found


@pytest.fixture(scope="module")
def machine():
    return measure_segmentation(candidates(), 1, 3, seconds=60, progress=Silent())


def test_every_candidate_is_measured_where_there_is_time(machine):
    assert {(e.arm.name, e.arm.network.widths[0]) for e in machine.measured} == {
        ("3d", 8),
        ("3d", 16),
        ("2d", 8),
        ("2d", 16),
    }
    assert all(min(entry.seconds.values()) > 0 for entry in machine.measured)
    narrow = [entry for entry in machine.measured if entry.arm.network.widths[0] == 8]
    assert all(set(entry.seconds) == {"bfloat16", "float32"} for entry in narrow)
    assert machine.device in ("cpu", "cuda")
    assert machine.threads >= 1


def test_without_time_the_narrowest_of_each_kind_are_measured():
    machine = measure_segmentation(candidates(), 1, 3, seconds=0, progress=Silent())
    assert sorted((e.arm.name, e.arm.network.widths[0]) for e in machine.measured) == [("2d", 8), ("3d", 8)]


def test_a_larger_batch_takes_longer():
    small, large = (
        ArmPlan(name="2d", network=network_of(2, patch=[64, 64], widths=[16, 32]), batch=batch) for batch in (2, 32)
    )
    assert step_seconds(large, 1, 3, "cpu", bfloat16=False) > 2 * step_seconds(small, 1, 3, "cpu", bfloat16=False)


def test_the_measurement_survives_its_file(machine):
    again = segment_machine_from_json(segment_machine_to_json(machine), Path("machine.json"))
    assert again == machine


@pytest.mark.parametrize("changed", [{"schema": 99}, {"kind": "diagnosis"}])
def test_another_kind_of_file_is_refused(machine, changed):
    raw = {**segment_machine_to_json(machine), **changed}
    with pytest.raises(InputError, match=r"machine.json is of another version"):
        segment_machine_from_json(raw, Path("run/machine.json"))
