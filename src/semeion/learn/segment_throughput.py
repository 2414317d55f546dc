"""How fast this machine trains each U-Net: measured in seconds, kept in ``machine.json``."""

from __future__ import annotations

from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any

import numpy as np
import torch

from semeion.errors import InputError
from semeion.learn.layouts import laid_in_memory
from semeion.learn.segment_objective import loss
from semeion.learn.throughput import _facts, free_memory_gib, peak_gib
from semeion.learn.unet import UNet
from semeion.parallel import usable_cores
from semeion.plan.segment_rules import MeasuredArm, SegmentMachine
from semeion.plan.segment_schema import ArmPlan, SegmentTrainingPlan
from semeion.progress import Progress

SCHEMA = 1
KIND = "segmentation"
LONGEST = 30.0
"""Seconds that one candidate is measured at most: a machine that is slower than that cannot learn it in any budget."""


def measure_segmentation(
    candidates: list[ArmPlan], channels: int, labels: int, *, seconds: float, progress: Progress
) -> SegmentMachine:
    """Train each candidate for a few steps on noise and return the median time of a step.

    Parameters
    ----------
    candidates
        As :func:`semeion.plan.segment_networks.segment_candidates` returns.
    channels, labels
        Of the image and of the output, background among them.
    seconds
        What the whole measurement may take: the narrowest of each kind are measured first, wider ones only while time
        is left.
    progress
        For the bar.
    """
    device = "cuda" if torch.cuda.is_available() else "cpu"
    began = perf_counter()
    threads = best_threads(candidates, channels, labels, device)
    torch.set_num_threads(threads)
    progress.start("measuring this machine", len(candidates))
    measured: list[MeasuredArm] = []
    narrow_first = sorted(candidates, key=lambda arm: (arm.network.widths[0], arm.name))
    names = {arm.name for arm in candidates}
    bfloat16_pays = True
    for arm in narrow_first:
        progress.advance()
        known = [entry for entry in measured if entry.arm.name == arm.name]
        if known:
            ratio = (arm.network.widths[0] / known[-1].arm.network.widths[0]) ** 1.5
            expected = 4 * min(known[-1].seconds.values()) * ratio
            if perf_counter() - began + expected > seconds:
                continue
        result = {}
        if bfloat16_pays:
            result["bfloat16"] = step_seconds(arm, channels, labels, device, bfloat16=True)
        if arm.network.widths[0] == narrow_first[0].network.widths[0] or not bfloat16_pays:
            result["float32"] = step_seconds(arm, channels, labels, device, bfloat16=False)
        measured.append(MeasuredArm(arm, result, round(peak_gib(), 3)))
        # Once both have been timed for every kind, the faster precision alone is measured.
        first = measured[: len(names)]
        if len(measured) == len(names):
            bfloat16_pays = sum(e.seconds["bfloat16"] < 0.9 * e.seconds["float32"] for e in first) * 2 >= len(first)
    progress.finish()
    return SegmentMachine(threads, free_memory_gib(), device, measured, _facts(device))


def best_threads(candidates: list[ArmPlan], channels: int, labels: int, device: str) -> int:
    """Return all usable cores, or one fewer where that is faster: on a shared machine a late thread holds up all."""
    cores = usable_cores()
    if cores == 1 or not candidates:
        return cores
    arm = min(candidates, key=lambda arm: arm.network.widths[0])
    times = {}
    for threads in (cores, cores - 1):
        torch.set_num_threads(threads)
        times[threads] = step_seconds(arm, channels, labels, device, bfloat16=False)
    return min(times, key=lambda threads: times[threads])


def step_seconds(arm: ArmPlan, channels: int, labels: int, device: str, *, bfloat16: bool) -> float:
    """Return the median time of a training step without augmentation, in seconds."""
    torch.manual_seed(0)
    network = UNet(arm.network, channels, labels).to(device)
    layout = torch.channels_last if arm.network.dims == 2 else torch.channels_last_3d
    if arm.channels_last:
        network = laid_in_memory(network, device, layout)
    network.train()
    optimiser = torch.optim.AdamW(network.parameters(), 1e-3, fused=True)
    plan = SegmentTrainingPlan(threads=1)
    rng = np.random.default_rng(0)
    shape = (arm.batch, channels, *arm.network.patch)
    images = torch.from_numpy(rng.standard_normal(shape, dtype=np.float32)).to(device)
    if arm.channels_last:
        images = images.contiguous(memory_format=layout)
    wanted = torch.from_numpy(rng.integers(0, labels, (arm.batch, *arm.network.patch))).to(device)
    times: list[float] = []
    # The first step allocates and chooses kernels; the later ones are counted.
    for step in range(4):
        began = perf_counter()
        with torch.autocast(device, torch.bfloat16, enabled=bfloat16):
            outputs = network(images)
        value = loss(outputs, wanted, plan)
        optimiser.zero_grad(set_to_none=True)
        value.backward()
        optimiser.step()
        value.item()
        taken = perf_counter() - began
        if step >= 1:
            times.append(taken)
        if sum(times) > 2.0 or taken > LONGEST:
            break
    return median(times or [taken])


def segment_machine_to_json(machine: SegmentMachine) -> dict[str, Any]:
    """Return ``machine.json``."""
    return {
        "schema": SCHEMA,
        "kind": KIND,
        "threads": machine.threads,
        "memory_gib": machine.memory_gib if np.isfinite(machine.memory_gib) else None,
        "device": machine.device,
        "facts": machine.facts,
        "measured": [
            {"arm": entry.arm.model_dump(), "seconds_per_step": entry.seconds, "peak_gib": entry.peak_gib}
            for entry in machine.measured
        ],
    }


def segment_machine_from_json(raw: dict[str, Any], where: Path) -> SegmentMachine:
    """Return what :func:`segment_machine_to_json` took.

    Raises
    ------
    InputError
        When the file is of another kind or version.
    """
    if raw.get("schema") != SCHEMA or raw.get("kind") != KIND:
        raise InputError("machine.json is of another version", where=str(where), fix="delete it; it is measured again")
    measured = [
        MeasuredArm(ArmPlan(**entry["arm"]), entry["seconds_per_step"], entry["peak_gib"]) for entry in raw["measured"]
    ]
    free = float("inf") if raw["memory_gib"] is None else raw["memory_gib"]
    return SegmentMachine(raw["threads"], free, raw["device"], measured, raw["facts"])
