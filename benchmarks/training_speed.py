"""Cases a second while a member learns, against the same network in a plain loop, and against the machine's limit.

The plain loop is what a tutorial of MONAI shows: a dataset that reads one case at a time, MONAI's random transforms on
it, torch's DataLoader (the faster of none and two workers), float32, AdamW. Ours is :func:`train_member` as every run
uses it, averaging of weights included. Neither validates. Both take turns in one process, so that a busy machine slows
both.
"""

from __future__ import annotations

import os
import tempfile
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks.record import record

if TYPE_CHECKING:
    import torch

    from semeion.plan.schema import Plan
    from semeion.prepare.store import Store
    from semeion.study.members.task import LearnTask

STEPS = 60
TURNS = 3
CASES = 1024
SIDE_BY_SIDE = 400
"""Steps of a member that learns beside others."""
MEMBERS_AT_ONCE = 4


@dataclass(frozen=True)
class Member:
    """A member to time: the shape of a prepared case, its recipe, and its batch."""

    name: str
    shape: tuple[int, ...]
    network: dict[str, Any]
    batch: int


MEMBERS = (
    Member("residual-28", (1, 28, 28), {"widths": [24, 48, 96]}, 64),
    Member("residual-128", (1, 128, 128), {"widths": [24, 48, 96, 192], "stem_stride": 2}, 32),
    Member("residual3d-32", (1, 32, 32, 32), {"kind": "residual3d", "widths": [16, 32, 64]}, 16),
    Member("lite0-96", (1, 28, 28), {"kind": "pretrained", "backbone": "lite0", "side": 96}, 32),
)


def store_of(folder: Path, shape: tuple[int, ...]) -> Store:
    """Write smooth random images as a store of one shard: no image is read, so that only learning is timed."""
    from semeion.prepare.store import Store

    rng = np.random.default_rng(0)
    folder.mkdir(parents=True)
    coarse = rng.integers(0, 256, (CASES, *shape), dtype=np.uint8)
    (folder / "shard-0000.bin").write_bytes(coarse.tobytes())
    return Store(folder, CASES, shape, CASES)


def plan_of(member: Member, precision: str, steps: int = STEPS) -> Plan:
    """Return a plan of one member of so many steps, validated once, at its end."""
    from semeion.parallel import usable_cores
    from semeion.plan.schema import Plan

    volume = len(member.shape) == 4
    preparation: dict[str, Any] = {"channels": 1, "size": list(member.shape[-2:])}
    if volume:
        preparation = {"channels": ["image"], "size": list(member.shape[1:]), "intensity": [{"kind": "percentiles"}]}
    training = {
        "batch": member.batch,
        "learning_rate": 2e-3,
        "threads": usable_cores(),
        "evaluations": 1,
        "precision": precision,
    }
    pretrained = member.network.get("kind") == "pretrained"
    recipe = {"kind": "network", "network": member.network, "training": training}
    return Plan.model_validate(
        {
            "schema": 1,
            "target": {"name": "finding", "task": "binary", "classes": ["no", "yes"], "positive": "yes"},
            "images": {"kind": "volume" if volume else "picture"},
            "preparation": preparation,
            "network": {"widths": [8], "kind": "residual"} if pretrained else member.network,
            "training": training,
            "recipes": {"tuned": recipe} if pretrained else {},
            "validation": {"scheme": "given"},
            "members": [{"name": "one", "seed": 0, "steps": steps, "recipe": "tuned" if pretrained else None}],
        }
    )


def ours(member: Member, precision: str, store: Store, y: np.ndarray) -> float:
    """Return cases a second of a member as every run lets it learn, but for its validation.

    The difference of a long and a short training leaves out what both have: validation and building the network.
    """
    from semeion.learn.member import train_member
    from semeion.learn.standing import Hooks
    from semeion.plan.splits import Sides

    rows = np.arange(CASES, dtype=np.int64)
    sides = Sides(-1, rows[:-64], rows[-64:], rows[:0])
    seconds = []
    for steps in (STEPS // 4, STEPS // 4 + STEPS):
        plan = plan_of(member, precision, steps)
        with tempfile.TemporaryDirectory() as place:
            facts = train_member(plan, plan.members[0], store, y, sides, Path(place), Hooks()).facts
        seconds.append(float(facts["seconds"]))
    return member.batch * STEPS / (seconds[1] - seconds[0])


def plain(member: Member, workers: int, images: np.ndarray, y: np.ndarray) -> float:
    """Return cases a second of the same network in a plain loop."""
    import monai.transforms as mt
    import torch
    from torch.utils.data import DataLoader, Dataset

    from semeion.learn.network3d import make_network

    spatial = len(member.shape) - 1
    turn = np.deg2rad(10.0)
    transform = mt.Compose(
        [
            mt.RandAffine(
                prob=1.0,
                rotate_range=[turn] * (1 if spatial == 2 else 3),
                scale_range=[0.12] * spatial,
                translate_range=[0.1 * side for side in member.shape[1:]],
                padding_mode="border",
            ),
            mt.RandScaleIntensity(factors=0.2, prob=1.0),
            mt.RandShiftIntensity(offsets=0.2, prob=1.0),
        ]
    )

    class Cases(Dataset):
        def __len__(self) -> int:
            return CASES - 64

        def __getitem__(self, row: int) -> tuple[torch.Tensor, int]:
            image = torch.from_numpy(images[row].astype(np.float32))
            return torch.as_tensor(transform((image - 127.5) / 127.5)), int(y[row])

    torch.manual_seed(0)
    plan = plan_of(member, "float32")
    network = make_network(plan.recipe_of(plan.members[0]).network, member.shape, 1, "binary", 2)
    optimiser = torch.optim.AdamW(network.parameters(), 2e-3, weight_decay=0.05)
    loss = torch.nn.CrossEntropyLoss(label_smoothing=0.05)
    network.train()
    loader = DataLoader(Cases(), batch_size=member.batch, shuffle=True, num_workers=workers, drop_last=True)
    done, began = 0, perf_counter()
    while done < STEPS:
        for pixels, wanted in loader:
            optimiser.zero_grad()
            loss(network(pixels), wanted).backward()
            optimiser.step()
            done += 1
            if done == STEPS:
                break
    return member.batch * STEPS / (perf_counter() - began)


def limit(dtype: torch.dtype) -> float:
    """Return the floating-point operations a second of a large matrix multiplication."""
    import torch

    a, b = torch.randn(2048, 2048).to(dtype), torch.randn(2048, 2048).to(dtype)
    times = []
    for _ in range(6):
        began = perf_counter()
        torch.mm(a, b)
        times.append(perf_counter() - began)
    return 2 * 2048**3 / median(times[1:])


def operations(member: Member) -> float:
    """Return the floating-point operations of one case's step: forward, and twice as many backward.

    Backward is not counted by torch, whose counter takes a convolution of many groups for one of a single group.
    """
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    from semeion.learn.network3d import make_network

    plan = plan_of(member, "float32")
    network = make_network(plan.recipe_of(plan.members[0]).network, member.shape, 1, "binary", 2).train()
    with torch.inference_mode(), FlopCounterMode(display=False) as counter:
        network(torch.randn(4, *member.shape))
    return 3 * counter.get_total_flops() / 4


def training_speed() -> None:
    """Time every member in turns with the plain loop."""
    import torch

    from semeion.parallel import usable_cores

    torch.set_num_threads(usable_cores())
    figures: dict[str, Any] = {}
    for member in MEMBERS:
        with tempfile.TemporaryDirectory() as place:
            store = store_of(Path(place) / "store", member.shape)
            images = store.take(np.arange(CASES, dtype=np.int64))
            y = (np.arange(CASES) % 2).astype(np.float64)
            # As a plan chooses it: by measuring both.
            precision = max(("float32", "bfloat16"), key=lambda name: ours(member, name, store, y))
            workers = max((0, 2), key=lambda count: plain(member, count, images, y))
            turns = [(ours(member, precision, store, y), plain(member, workers, images, y)) for _ in range(TURNS)]
            mine, theirs = (median(values) for values in zip(*turns, strict=True))
            dtype = torch.bfloat16 if precision == "bfloat16" else torch.float32
            figures[member.name] = {
                "cases_per_second": round(mine, 1),
                "plain_cases_per_second": round(theirs, 1),
                "ratio": round(median(a / b for a, b in turns), 2),
                "precision": precision,
                "plain_workers": workers,
                "share_of_matrix_limit": round(mine * operations(member) / limit(dtype), 3),
            }
            print(member.name, figures[member.name], flush=True)
    record("training-speed", "python -m benchmarks training-speed", figures)


def together(processes: int, store: Store, y: np.ndarray, folder: Path) -> tuple[float, float]:
    """Return cases a second of four members of the smallest network, and the share of all cores that was busy.

    Everything counts from the moment at which torch is loaded where they learn: export and comparison too.
    """
    from semeion.parallel import usable_cores
    from semeion.plan.splits import Sides
    from semeion.study.members.crew import Here
    from semeion.study.members.processes import Processes
    from semeion.study.members.task import task_of

    cores, member = usable_cores(), MEMBERS[0]
    plan = plan_of(member, "float32", SIDE_BY_SIDE)
    plan.training.threads = max(1, cores // processes)
    one = plan.members[0]
    members = [one.model_copy(update={"name": f"seed{n}", "seed": n}) for n in range(MEMBERS_AT_ONCE + processes)]
    rows = np.arange(CASES, dtype=np.int64)
    sides = Sides(-1, rows[:-64], rows[-64:], rows[:0])
    tasks = [task_of(folder, plan, each, store, y, sides, None, plan.training.threads) for each in members]
    crew = (
        Here(lambda: False, lambda _: None) if processes == 1 else Processes(processes, lambda: False, lambda _: None)
    )

    def learn(some: list[LearnTask]) -> None:
        waiting, under_way = list(some), 0
        while waiting or under_way:
            while waiting and under_way < processes:
                crew.start(waiting.pop(), lambda *_: None)
                under_way += 1
            if (error := crew.wait().error) is not None:
                raise error
            under_way -= 1

    with crew:
        # Once in each process, so that what is only done once does not count.
        learn(tasks[:processes])
        pids = [os.getpid(), *(worker.process.pid for worker in getattr(crew, "workers", {}).values())]
        began, before = perf_counter(), busy_seconds(pids)
        learn(tasks[processes:])
        wall, busy = perf_counter() - began, busy_seconds(pids) - before
    return MEMBERS_AT_ONCE * SIDE_BY_SIDE * member.batch / wall, busy / (wall * cores)


def busy_seconds(pids: list[int]) -> float:
    """Return the seconds of processor time that processes have used so far."""
    import psutil

    times = [psutil.Process(pid).cpu_times() for pid in pids]
    return sum(time.user + time.system for time in times)


def side_by_side() -> None:
    """Time members one after the other with all cores, and as many at once as there are cores, in turns."""
    from semeion.parallel import usable_cores

    turns: dict[int, list[tuple[float, float]]] = {1: [], usable_cores(): []}
    with tempfile.TemporaryDirectory() as place:
        store = store_of(Path(place) / "store", MEMBERS[0].shape)
        y = (np.arange(CASES) % 2).astype(np.float64)
        for turn in range(TURNS):
            for processes, found in turns.items():
                found.append(together(processes, store, y, Path(place) / f"turn{turn}-{processes}"))
    figures = {
        f"{processes}_at_once": {
            "cases_per_second": round(median(rate for rate, _ in found), 1),
            "cores_busy": round(median(busy for _, busy in found), 3),
        }
        for processes, found in turns.items()
    }
    print(figures, flush=True)
    record("training-side-by-side", "python -m benchmarks training-side-by-side", figures)


ROWS = {"training-speed": training_speed, "training-side-by-side": side_by_side}
