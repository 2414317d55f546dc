"""Members on two nodes of a Ray cluster on this machine: the same weights, though a worker is killed midway."""

from __future__ import annotations

import importlib.util
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from plan.made import cohort_of
from semeion.errors import InputError
from semeion.study import clusters
from semeion.study.clusters import Node, join, refuse_cluster, slots_in
from semeion.study.members import cluster as crew
from semeion.study.members.task import LearnTask
from semeion.study.members.telling import TOLD
from study.members.crewed import learn, plan_of, sums_of

ray_there = pytest.mark.skipif(importlib.util.find_spec("ray") is None, reason="Ray is not installed")

PID = "pid"


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    """Return the address of a cluster of two nodes, of one CPU each."""
    from ray.cluster_utils import Cluster

    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    node = {"num_cpus": 1, "object_store_memory": 80 << 20, "include_dashboard": False}
    cluster = Cluster(initialize_head=True, head_node_args=node)
    try:
        cluster.add_node(num_cpus=1, object_store_memory=80 << 20)
        cluster.wait_for_nodes(120)
        yield cluster.address
    finally:
        cluster.shutdown()


def killed_once(task: LearnTask) -> dict[str, Any]:
    """Learn a member; the first time the process is killed when it has told of a step."""
    from semeion.study.members.telling import learn_telling

    file = task.folder.parent / PID
    if task.member == "fold0-seed0" and not file.exists():
        file.touch()

        def kill() -> None:
            while not (task.folder / TOLD).exists():
                time.sleep(0.002)
            os.kill(os.getpid(), signal.SIGKILL)

        threading.Thread(target=kill, daemon=True).start()
    return learn_telling(task)


@ray_there
def test_two_nodes_learn_what_one_process_does_though_a_worker_is_killed(
    tmp_path: Path, address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    import ray.cloudpickle

    # This module is no package that a node could import: what is sent is the function itself.
    ray.cloudpickle.register_pickle_by_value(sys.modules[__name__])
    monkeypatch.setattr(crew, "learn_telling", killed_once)
    handlers = [signal.getsignal(one) for one in (signal.SIGINT, signal.SIGTERM)]
    plan = plan_of(steps=60)
    done, run = learn(tmp_path / "run", plan, cluster=address)
    assert [signal.getsignal(one) for one in (signal.SIGINT, signal.SIGTERM)] == handlers
    assert (run / "members" / PID).exists()
    [note] = done.notes
    assert note.startswith("Member fold0-seed0 went on from its checkpoint: the process that it learned in has ended")
    (run / "members" / PID).unlink()
    assert sums_of(run) == sums_of(learn(tmp_path / "alone", plan)[1])
    assert not list(run.path.glob(".token-*"))


@ray_there
def test_a_node_that_does_not_see_the_run_is_refused(
    tmp_path: Path, address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def blind(_token: str) -> tuple[str, str]:
        return "", ""

    assert clusters.slots_of(address, 1, "cpu") == 2
    monkeypatch.setattr(clusters, "look_around", blind)
    nodes = join(address)
    try:
        assert [node.cpus for node in nodes] == [1.0, 1.0]
        with pytest.raises(InputError, match="does not see the run folder; put the run folder on a file system"):
            clusters.refuse_other_nodes(nodes, tmp_path)
    finally:
        clusters.leave()
    assert not list(tmp_path.iterdir())


@ray_there
def test_an_address_at_which_nothing_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    import ray

    def init(**_: Any) -> None:
        raise ConnectionError("Could not find any running Ray instance.")

    monkeypatch.setattr(ray, "init", init)
    fix = "start one with `ray start --head`, or give the address that this printed"
    with pytest.raises(InputError) as caught:
        join("auto")
    assert str(caught.value) == f"--cluster: no Ray cluster runs on this machine; {fix}"
    monkeypatch.setattr(ray, "init", lambda **_: pytest.fail("Ray waits for minutes"))
    with socket.socket() as taken:
        # Bound, and nobody listens.
        taken.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(InputError) as caught:
            join(address)
    assert str(caught.value) == f"--cluster: no Ray cluster answers at {address!r}; {fix}"


def test_without_ray_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clusters, "find_spec", lambda _: None)
    with pytest.raises(InputError, match=r"not installed; run pip install 'semeion\[cluster\]'"):
        join("auto")


def test_how_many_learn_at_once() -> None:
    nodes = [Node("a", "one", 5.0, 0.0), Node("b", "two", 2.0, 4.0)]
    assert slots_in(nodes, 2, "cpu") == 3
    assert slots_in(nodes, 2, "cuda") == 4
    with pytest.raises(InputError, match="no node of the cluster has the 8 CPUs that a member learns with"):
        slots_in(nodes, 8, "cpu")
    with pytest.raises(InputError, match="no node of the cluster has a GPU"):
        slots_in(nodes[:1], 2, "cuda")


def test_networks_that_outline_are_refused() -> None:
    cohort = replace(cohort_of(), structures={"1": "liver"})
    with pytest.raises(InputError, match="--cluster: networks that outline learn on one machine; leave --cluster out"):
        refuse_cluster(cohort, "auto")
    refuse_cluster(cohort, None)
    refuse_cluster(cohort_of(), "auto")
