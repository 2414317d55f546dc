"""A Ray cluster whose nodes learn members: joined only where one is named, and looked at before it is used."""

from __future__ import annotations

import logging
import signal
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from uuid import uuid4

from semeion.cohort.cohort import Cohort
from semeion.errors import InputError
from semeion.provenance import code_hash

OPTION = "--cluster"
PATIENCE = 60.0
"""Seconds that a node has to answer."""


@dataclass(frozen=True)
class Node:
    """A machine of the cluster, and what it offers."""

    number: str
    name: str
    cpus: float
    gpus: float

    def slots(self, threads: int, device: str) -> int:
        """Return how many members learn here at once: one a GPU, or one for so many threads."""
        return int(self.gpus if device == "cuda" else self.cpus // threads)


@contextmanager
def joined(address: str) -> Iterator[list[Node]]:
    """Join a cluster that runs already, and leave it again.

    Raises
    ------
    InputError
        When Ray is not installed, or nothing answers at `address`.
    """
    nodes = join(address)
    try:
        yield nodes
    finally:
        leave()


def join(address: str) -> list[Node]:
    """Join a cluster that runs already; see :func:`joined`."""
    if find_spec("ray") is None:
        raise InputError(
            "a cluster needs a package that is not installed",
            where=OPTION,
            fix="run pip install 'semeion[cluster]' on every machine",
        )
    import ray

    # Ray takes the signals that a run answers with a checkpoint.
    main = threading.current_thread() is threading.main_thread()
    before = {one: signal.getsignal(one) for one in (signal.SIGINT, signal.SIGTERM)} if main else {}
    try:
        _knock(address)
        ray.init(address=address, logging_level=logging.ERROR, log_to_driver=False, ignore_reinit_error=True)
    except (OSError, ValueError, RuntimeError) as error:
        what = "no Ray cluster runs on this machine" if address == "auto" else f"no Ray cluster answers at {address!r}"
        raise InputError(
            what, where=OPTION, fix="start one with `ray start --head`, or give the address that this printed"
        ) from error
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    return [
        Node(
            str(node["NodeID"]),
            str(node["NodeManagerHostname"]),
            float(node["Resources"].get("CPU", 0)),
            float(node["Resources"].get("GPU", 0)),
        )
        for node in ray.nodes()
        if node["Alive"]
    ]


def _knock(address: str) -> None:
    """Raise an OSError where nothing answers at ``host:port``: Ray itself waits for minutes."""
    host, _, port = address.rpartition("://")[2].rpartition(":")
    if host and port.isdigit():
        socket.create_connection((host, int(port)), timeout=PATIENCE / 6).close()


def leave() -> None:
    """Leave the cluster; it goes on."""
    import ray

    ray.shutdown()


def refuse_cluster(cohort: Cohort, address: str | None) -> None:
    """Refuse a cluster for what is outlined or measured: those networks learn on one machine.

    Raises
    ------
    InputError
        Saying what to leave out.
    """
    if address is not None and (cohort.target.task == "segmentation" or cohort.structures):
        raise InputError(
            "networks that outline learn on one machine",
            where=OPTION,
            fix=f"leave {OPTION} out, or classify images",
        )


def slots_of(address: str | None, threads: int, device: str) -> int:
    """Return how many members a cluster learns at once; 0 where none is named.

    Raises
    ------
    InputError
        When it cannot be joined, or has no room for a member.
    """
    if address is None:
        return 0
    with joined(address) as nodes:
        return slots_in(nodes, threads, device)


def slots_in(nodes: list[Node], threads: int, device: str) -> int:
    """Return how many members the nodes learn at once.

    Raises
    ------
    InputError
        When they have no room for a single one.
    """
    slots = sum(node.slots(threads, device) for node in nodes)
    if not slots:
        wanted = "a GPU" if device == "cuda" else f"the {threads} CPUs that a member learns with"
        raise InputError(
            f"no node of the cluster has {wanted}", where=OPTION, fix="plan again on a machine like its nodes"
        )
    return slots


def refuse_other_nodes(nodes: list[Node], run: Path) -> None:
    """Refuse a cluster of which a node does not see the run folder, or has another Semeion.

    A file with a random word is written into the run folder, and every node is asked to read it.

    Raises
    ------
    InputError
        Naming the node.
    """
    import ray
    from ray.exceptions import RayError
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    token, word = run / f".token-{uuid4().hex}", uuid4().hex
    token.write_text(word, encoding="utf-8")
    try:
        asked = {}
        for node in nodes:
            there = NodeAffinitySchedulingStrategy(node_id=node.number, soft=False)
            look = ray.remote(look_around).options(num_cpus=0, max_retries=0, scheduling_strategy=there)
            asked[node] = look.remote(str(token))
        for node, answer in asked.items():
            try:
                read, code = ray.get(answer, timeout=PATIENCE)
            except RayError as error:
                last = str(error).strip().splitlines()[-1]
                raise InputError(
                    f"the node {node.name} cannot run Semeion: {last}",
                    where=OPTION,
                    fix="install semeion[train,cluster] there, in the same version as here",
                ) from error
            if read != word:
                raise InputError(
                    f"the node {node.name} does not see the run folder",
                    where=str(run),
                    fix="put the run folder on a file system that all nodes share, under the same path",
                )
            if code != code_hash():
                raise InputError(
                    f"the node {node.name} has another version of Semeion", where=OPTION, fix="install the same there"
                )
    finally:
        token.unlink(missing_ok=True)


def look_around(token: str) -> tuple[str, str]:
    """Return what a node reads in a file, empty where it sees none, and the hash of its Semeion."""
    file = Path(token)
    return (file.read_text(encoding="utf-8") if file.is_file() else ""), code_hash()


def options_of(threads: int, device: str) -> dict[str, Any]:
    """Return what a member asks of a node."""
    return {"num_gpus": 1, "num_cpus": 1} if device == "cuda" else {"num_cpus": threads}
