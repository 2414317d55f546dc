"""How fast this machine trains each candidate: measured in seconds, kept in ``machine.json``."""

from __future__ import annotations

import platform
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any

import numpy as np
import torch

from semeion.errors import InputError
from semeion.learn import augment
from semeion.learn.classic import classic_step_seconds
from semeion.learn.layouts import laid_in_memory, layout_of
from semeion.learn.network import Scales, outputs_of
from semeion.learn.network3d import make_network
from semeion.learn.objective import loss
from semeion.parallel import usable_cores
from semeion.plan.networks import Candidate
from semeion.plan.parallel import Beside
from semeion.plan.recipes import AnyNetwork, AugmentationPlan, NetworkPlan, PretrainedPlan
from semeion.plan.rules import Machine, Measured
from semeion.progress import Progress

SCHEMA = 1


def measure_machine(
    candidates: list[Candidate],
    task: str,
    classes: list[str],
    channels: int,
    *,
    groups: int = 1,
    seconds: float,
    progress: Progress,
    pretrained: Sequence[Candidate] = (),
) -> Machine:
    """Train each candidate for a few steps on noise and return the median time of a step.

    Parameters
    ----------
    candidates
        Best first, as :func:`semeion.plan.networks.candidates` returns.
    task, classes, channels
        They decide the head and the stem; `channels` counts the planes of all images of a case.
    groups
        Frames or views among them that are encoded each for itself.
    seconds
        What the whole measurement may take. The cheapest candidates are measured first; those for which no time is
        left are left out of the choice.
    progress
        For the bar.
    pretrained
        Pretrained networks, best first, measured alike; a third of `seconds` is theirs. Those of volumes are measured
        with single grey pictures, of which a volume gives several.
    """
    device = "cuda" if torch.cuda.is_available() else "cpu"
    began = perf_counter()
    alone = len(candidates[-1].size) == 3
    progress.start("measuring this machine", len(candidates) + len(pretrained) + 1)
    threads = best_threads(candidates[-1], task, classes, channels, device, groups)
    torch.set_num_threads(threads)
    progress.advance()

    def measured(ladder: Sequence[Candidate], until: float, *, both: bool = False) -> list[Measured]:
        """Return a ladder measured from its cheap end, best first; in `both` precisions at every step of it, or not."""
        done: list[Measured] = []
        planes, sets = (1, 1) if alone and ladder is not candidates else (channels, groups)
        for candidate in reversed(ladder):
            left = until - (perf_counter() - began)
            if done and left < 4 * _previous_step(done[-1], candidate):
                break
            result = {"float32": step_seconds(candidate, task, classes, planes, device, sets, bfloat16=False)}
            # Where bfloat16 does not pay for one network, the processor has no instructions for it: not tried again.
            if both or not done or done[-1].precision == "bfloat16":
                result["bfloat16"] = step_seconds(candidate, task, classes, planes, device, sets, bfloat16=True)
            done.append(Measured(candidate, result, round(peak_gib(), 3)))
            progress.advance()
        return done[::-1]

    own = measured(candidates, seconds if not pretrained else 0.67 * seconds)
    # Small inputs gain nothing from bfloat16, large ones do.
    further: list[Measured] = []
    for ladder in ([one for one in pretrained if not one.kept], [one for one in pretrained if one.kept]):
        if ladder:
            further += extrapolated(ladder, measured(ladder, seconds, both=True))
    classic = classic_step_seconds((channels, *own[-1].candidate.size), threads)
    progress.finish()
    facts = {**_facts(device), "classic_step": round(classic, 5)}
    return Machine(threads, free_memory_gib(), device, own, facts, further)


def extrapolated(ladder: Sequence[Candidate], measured: list[Measured]) -> list[Measured]:
    """Return the measured candidates after those too slow to be measured, whose steps are estimated by their pixels.

    Of one network at several sizes, best first, the smallest were measured.
    """
    largest = measured[0]
    estimates = []
    for candidate in ladder[: len(ladder) - len(measured)]:
        times = float(np.prod(candidate.size) / np.prod(largest.candidate.size))
        seconds = {name: value * times for name, value in largest.seconds.items()}
        estimates.append(Measured(candidate, seconds, round(largest.peak_gib * times, 3), estimated=True))
    return [*estimates, *measured]


def best_threads(
    candidate: Candidate, task: str, classes: list[str], channels: int, device: str, groups: int = 1
) -> int:
    """Return all usable cores, or one fewer where that is faster.

    On a shared machine a thread that must wait for its core holds up all the others.
    """
    cores = usable_cores()
    times = {}
    for threads in {cores, max(1, cores - 1)}:
        torch.set_num_threads(threads)
        times[threads] = step_seconds(candidate, task, classes, channels, device, groups, bfloat16=False)
    return min(times, key=lambda threads: times[threads])


def _previous_step(previous: Measured, following: Candidate) -> float:
    """Estimate a step of the next candidate from the last one's, by pixels and the square of the width."""
    pixels = np.prod(following.size) / np.prod(previous.candidate.size)
    own = following.kind != "pretrained"
    width = (following.widths[0] / previous.candidate.widths[0]) ** 1.5 if own else 1.0
    batch = following.batch / previous.candidate.batch
    return float(previous.seconds["float32"] * pixels * width * batch)


def step_seconds(
    candidate: Candidate,
    task: str,
    classes: list[str],
    channels: int,
    device: str,
    groups: int = 1,
    *,
    bfloat16: bool,
) -> float:
    """Return the median time of a training step, augmentation included, in seconds."""
    step = a_step(candidate, task, classes, channels, device, groups, bfloat16=bfloat16)
    times: list[float] = []
    # The first steps allocate and choose kernels; the later ones are counted.
    for number in range(6):
        began = perf_counter()
        step()
        if number >= 2:
            times.append(perf_counter() - began)
        if number >= 2 and sum(times) > 1.0:
            break
    return median(times)


def a_step(
    candidate: Candidate,
    task: str,
    classes: list[str],
    channels: int,
    device: str,
    groups: int = 1,
    *,
    bfloat16: bool,
) -> Callable[[], None]:
    """Return what takes one training step on noise, augmentation included, each time it is called."""
    torch.manual_seed(0)
    outputs = outputs_of(task, classes)
    plan = _network_of(candidate)
    layout = layout_of(plan, channels_last=True)
    network = make_network(plan, (channels, *candidate.size), groups, task, outputs)
    network = laid_in_memory(network, device, layout)
    optimiser = torch.optim.AdamW(network.parameters(), 1e-3, fused=True)
    scales = Scales((127.0,) * channels, (50.0,) * channels)
    rng = np.random.default_rng(0)
    shape = (candidate.batch, channels, *candidate.size)
    pixels = torch.from_numpy(rng.integers(0, 256, shape, dtype=np.uint8))
    wanted = torch.zeros((candidate.batch, outputs)) if task == "multilabel" else torch.zeros(candidate.batch)
    learns: Callable[[torch.Tensor], torch.Tensor] = network
    begun: torch.Tensor | None = None
    if candidate.kept:  # the stages that are kept were passed before
        learns = network.ended  # type: ignore[assignment]
        with torch.no_grad():
            begun = network.begun(((pixels.float() - 127) / 50).to(device))  # type: ignore[operator]

    def step() -> None:
        images = begun
        if images is None:
            images = ((augment.apply(pixels.float(), _drawn(candidate, rng)) - 127) / 50).to(device)
        if images.ndim == 4 or layout == torch.channels_last_3d:
            images = images.contiguous(memory_format=layout)
        with torch.autocast(device, torch.bfloat16, enabled=bfloat16):
            logits = learns(images)
        value = loss(logits.float(), wanted.to(device), task, scales, None, 0.0)
        optimiser.zero_grad(set_to_none=True)
        value.backward()
        optimiser.step()
        value.item()

    return step


def _network_of(candidate: Candidate) -> AnyNetwork:
    if candidate.kind == "pretrained":
        return PretrainedPlan(backbone=candidate.backbone, side=candidate.side, kept=candidate.kept)
    return NetworkPlan(
        kind=candidate.kind,
        widths=list(candidate.widths),
        stem_stride=candidate.stem_stride,
        pooling=candidate.pooling,
    )


def _drawn(candidate: Candidate, rng: np.random.Generator) -> augment.Draw:
    """Draw the changes of a batch as training would."""
    if candidate.kind == "residual3d":
        slices, height, width = candidate.size
        return augment.draw_volumes(AugmentationPlan(tilt=10.0), candidate.batch, (slices, height, width), rng)
    return augment.draw(AugmentationPlan(), candidate.batch, 1.0, rng)


def machine_to_json(machine: Machine) -> dict[str, Any]:
    """Return ``machine.json``."""
    return {
        "schema": SCHEMA,
        "threads": machine.threads,
        "memory_gib": machine.memory_gib,
        "device": machine.device,
        "facts": machine.facts,
        "measured": [_measured_json(entry) for entry in machine.measured],
        "pretrained": [_measured_json(entry) for entry in machine.pretrained],
        **({"beside": [vars(entry) for entry in machine.beside]} if machine.beside else {}),
    }


def _measured_json(entry: Measured) -> dict[str, Any]:
    told = {"candidate": vars(entry.candidate), "seconds_per_step": entry.seconds, "peak_gib": entry.peak_gib}
    return {**told, "estimated": True} if entry.estimated else told


def _measured_of(entry: dict[str, Any]) -> Measured:
    candidate = {**entry["candidate"]}
    for name in ("size", "widths"):
        candidate[name] = tuple(candidate[name])
    estimated = bool(entry.get("estimated", False))
    return Measured(Candidate(**candidate), entry["seconds_per_step"], entry["peak_gib"], estimated)


def machine_from_json(raw: dict[str, Any], where: Path) -> Machine:
    """Return what :func:`machine_to_json` took.

    Raises
    ------
    InputError
        When the schema is not known.
    """
    if raw.get("schema") != SCHEMA:
        raise InputError("machine.json is of another version", where=str(where), fix="delete it; it is measured again")
    measured = [_measured_of(entry) for entry in raw["measured"]]
    pretrained = [_measured_of(entry) for entry in raw.get("pretrained", ())]
    free = float("inf") if raw["memory_gib"] is None else raw["memory_gib"]
    beside = tuple(Beside(**entry) for entry in raw.get("beside", ()))
    return Machine(raw["threads"], free, raw["device"], measured, raw["facts"], pretrained, beside)


def _facts(device: str) -> dict[str, Any]:
    return {
        "system": platform.system(),
        "architecture": platform.machine(),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "accelerator": torch.cuda.get_device_name(0) if device == "cuda" else "none",
        "peak_gib": round(peak_gib(), 3),
        **({"gpus": gpus()} if device == "cuda" else {}),
    }


def gpus() -> int:
    """Return how many GPUs torch sees."""
    return torch.cuda.device_count() if torch.cuda.is_available() else 0


def peak_gib() -> float:
    """Return the largest resident memory of this process so far, in GiB."""
    if sys.platform == "win32":
        return 0.0
    import resource

    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 2**30


def free_memory_gib() -> float:
    """Return the memory that this process may still take, with what it has, in GiB; infinite where nobody says.

    The least of what the system has available and of the limit of the control group (version 2), as containers set it.
    """
    free = float("inf")
    for file, divisor in ((Path("/sys/fs/cgroup/memory.max"), 2**30), (Path("/proc/meminfo"), 2**20)):
        try:
            text = file.read_text()
        except OSError:
            continue
        if file.name == "meminfo":
            lines = dict(line.split(":", 1) for line in text.splitlines() if ":" in line)
            value = lines.get("MemAvailable", "").split()[:1]
        else:
            value = text.split()[:1]
        if value and value[0].isdigit():
            free = min(free, int(value[0]) / divisor)
    return round(free, 2) if free < float("inf") else free
