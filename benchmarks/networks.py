"""Our U-Net against MONAI's DynUNet of the same shape: equal time, validation Dice of an inner split by patient.

Held-out cases are left out of the table before anything is opened. Both networks see the same patches in the same
order, with the same loss, optimiser and schedule; how many steps fit is each one's own affair.
"""

from __future__ import annotations

import copy
import csv
import os
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import median
from time import perf_counter, process_time
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks.record import record
from benchmarks.segmentation import SETS

if TYPE_CHECKING:
    import torch

    from semeion.plan.segment_schema import ArmPlan, SegmentTrainingPlan
    from semeion.prepare.volume_store import VolumeStore

SECONDS = 240.0
"""That a network learns, a seed."""
SEEDS = (0, 1, 2)
WIDTH = 16
"""Channels of the first level, as a plan of 45 minutes takes them."""
SHARE = 0.2
"""Of the training patients, who validate."""
TIMED = 3
"""Steps by which each network's faster layout and precision are found."""
NETWORKS = ("unet", "dynunet")


@dataclass(frozen=True)
class Cases:
    """What both networks learn from and are weighed on.

    Attributes
    ----------
    store, values
        Prepared volumes and the labels in their masks.
    spacing_kji
        In mm.
    learn, validate
        Rows, of different patients.
    patient
        Number of the patient of every row.
    arm, settings
        As the plan has them.
    """

    store: VolumeStore
    values: tuple[int, ...]
    spacing_kji: tuple[float, float, float]
    learn: np.ndarray
    validate: np.ndarray
    patient: np.ndarray
    arm: ArmPlan
    settings: SegmentTrainingPlan


def prepared(folder: Path, name: str, kind: str) -> Cases:
    """Prepare the training cases of a set and plan its network of slices (``2d``) or of volumes (``3d``)."""
    from semeion.cohort.cohort import CohortOptions
    from semeion.cohort.roles import image_references, mask_references
    from semeion.parallel import usable_cores
    from semeion.plan.fingerprint import fingerprint
    from semeion.plan.segment_networks import segment_candidates
    from semeion.plan.segment_preparation import plan_preparation
    from semeion.plan.segment_rules import SegmentMachine, plan_training
    from semeion.plan.splits import inner_split
    from semeion.prepare.volume_store import build_volume_store
    from semeion.progress import Silent
    from semeion.study.inspect import inspect
    from semeion.study.options import RunOptions
    from semeion.study.segment_road import groups_of
    from semeion.study.segmenting import spacing_of

    write, labels = SETS[name]
    named = dict(pair.split("=") for pair in labels.split(","))
    options = RunOptions(CohortOptions(target="mask", task="segmentation", labels=named))
    seen = inspect(training_table(write(folder)), options, Silent())
    known = fingerprint(seen.cohort, seen.facts)
    arm = next(one for one in segment_candidates(known) if (one.name, one.network.widths[0]) == (kind, WIDTH))
    machine = SegmentMachine(usable_cores(), 0.0, "cpu", [])
    store = build_volume_store(
        seen.cohort.table["case_id"].tolist(),
        image_references(seen.cohort),
        [first[0] for first in mask_references(seen.cohort)],
        plan_preparation(known).spec(),
        folder / "store",
        progress=Silent(),
    )
    patient = groups_of(seen.cohort, seen.facts)
    rows = np.arange(store.n, dtype=np.int64)
    learn, validate = inner_split(rows, np.zeros_like(rows), patient, SHARE, 0)
    settings = plan_training(known, machine, 1, 0.0)
    values = seen.cohort.target.values
    return Cases(store, values, spacing_of(store, learn), learn, validate, patient, arm, settings)


def training_table(table: Path) -> Path:
    """Write the training rows of a table beside it, without the column that named the held-out ones."""
    with table.open(newline="") as file:
        rows = [row for row in csv.DictReader(file) if row.pop("split") == "train"]
    path = table.with_name("training.csv")
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return path


def made(name: str, cases: Cases, seed: int) -> torch.nn.Module:
    """Return a network with random weights; DynUNet with its own normalisation, which is by instance."""
    import torch
    from monai.networks.nets import DynUNet

    from semeion.learn.unet import UNet

    torch.manual_seed(seed)
    plan, labels = cases.arm.network, 1 + len(cases.values)
    if name == "unet":
        return UNet(plan, 1, labels)
    return DynUNet(
        plan.dims,
        1,
        labels,
        kernel_size=plan.kernels,
        strides=plan.strides,
        upsample_kernel_size=plan.strides[1:],
        filters=plan.widths,
        deep_supervision=plan.deep_supervision > 0,
        deep_supr_num=max(1, plan.deep_supervision),
    )


class Learner:
    """A network, its averaged weights and its optimiser, in a layout and a precision."""

    def __init__(self, name: str, cases: Cases, seed: int, arm: ArmPlan) -> None:
        import torch

        self.name, self.settings, self.arm, self.step = name, cases.settings, arm, 0
        network = made(name, cases, seed)
        if arm.channels_last:
            layout = torch.channels_last if arm.network.dims == 2 else torch.channels_last_3d
            network = network.to(memory_format=layout)  # type: ignore[call-overload]
        self.network = network.train()
        self.averaged = copy.deepcopy(network).eval()
        self.optimiser = torch.optim.AdamW(
            network.parameters(), 1e-3, weight_decay=self.settings.weight_decay, fused=True
        )

    def learn(self, images: torch.Tensor, wanted: torch.Tensor, phase: float) -> None:
        """Do one step at `phase` of the schedule, as :mod:`semeion.learn.segment` does."""
        import torch

        from semeion.learn.member import average
        from semeion.learn.segment import CLIP, learning_rate
        from semeion.learn.segment_look import laid_out
        from semeion.learn.segment_objective import loss

        for group in self.optimiser.param_groups:
            group["lr"] = self.arm.learning_rate * learning_rate(phase, self.settings)
        with torch.autocast("cpu", torch.bfloat16, enabled=self.arm.precision == "bfloat16"):
            outputs = self.network(laid_out(images, self.arm))
        if isinstance(outputs, torch.Tensor):  # of DynUNet: all levels at full resolution, (N, levels, L, ...)
            outputs = outputs.unbind(1) if self.arm.network.deep_supervision else [outputs]
        value = loss(outputs, wanted, self.settings)
        if not bool(torch.isfinite(value)):
            raise RuntimeError(f"{self.name}: the loss is not a finite number at step {self.step}")
        self.optimiser.zero_grad(set_to_none=True)
        value.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(self.network.parameters(), CLIP)
        self.optimiser.step()
        self.step += 1
        average(self.averaged, self.network, self.settings.averaging, self.step)

    def shipped(self) -> torch.nn.Module:
        """Return what outlines: the averaged weights, logits at full resolution out."""
        from semeion.learn.unet import ShippedUNet, UNet

        return ShippedUNet(self.averaged).eval() if isinstance(self.averaged, UNet) else self.averaged


def fastest(name: str, cases: Cases, batch: Sequence[torch.Tensor]) -> ArmPlan:
    """Return the arm in the layout and the precision in which this network is faster; bfloat16 must gain a tenth."""
    seconds: dict[tuple[bool, str], float] = {}
    for channels_last in (True, False):
        for precision in ("float32", "bfloat16"):
            arm = cases.arm.model_copy(update={"channels_last": channels_last, "precision": precision})
            learner, times = Learner(name, cases, 0, arm), []
            for _ in range(1 + TIMED):
                began = perf_counter()
                learner.learn(batch[0], batch[1], 0.0)
                times.append(perf_counter() - began)
            seconds[channels_last, precision] = median(times[1:]) / (0.9 if precision == "bfloat16" else 1.0)
    channels_last, precision = min(seconds, key=lambda way: seconds[way])
    return cases.arm.model_copy(update={"channels_last": channels_last, "precision": precision})


def trained(name: str, cases: Cases, seed: int, arm: ArmPlan, seconds: float) -> dict[str, Any]:
    """Train a network for so many seconds and return its figures and the Dice ``(cases, labels)`` it ends with."""
    import torch

    from semeion.learn.ahead import Ahead
    from semeion.learn.patches import Sampling, make_batch
    from semeion.learn.segment_look import dice_of_cases

    sampling = Sampling(cases.learn, cases.values, cases.spacing_kji, arm, cases.settings, seed)
    learner = Learner(name, cases, seed, arm)
    batches = Ahead(partial(make_batch, cases.store, sampling), 0, started=lambda: torch.set_num_threads(1))
    began, cpu = perf_counter(), process_time()
    try:
        for images, wanted in batches:
            phase = (perf_counter() - began) / seconds
            if phase >= 1:
                break
            learner.learn(images, wanted, phase)
    finally:
        batches.close()
    used = {"seconds": round(perf_counter() - began, 1), "cpu_seconds": round(process_time() - cpu, 1)}
    dice = dice_of_cases(learner.shipped(), cases.store, cases.validate, cases.values, arm, torch.device("cpu"))
    return {"steps": learner.step, **used, "dice": dice}


def compare(name: str, kind: str) -> None:
    """Train both networks with every seed, in turn, for SECONDS each, or BENCH_SECONDS to try it out unrecorded."""
    import torch

    from semeion.learn.patches import Sampling, make_batch
    from semeion.study.segment_choice import bootstrap_mean

    seconds = float(os.environ.get("BENCH_SECONDS", SECONDS))
    with tempfile.TemporaryDirectory() as folder:
        cases = prepared(Path(folder), name, kind)
        torch.set_num_threads(cases.settings.threads)
        sampling = Sampling(cases.learn, cases.values, cases.spacing_kji, cases.arm, cases.settings, 0)
        batch = make_batch(cases.store, sampling, 0)
        arms = {network: fastest(network, cases, batch) for network in NETWORKS}
        found: dict[str, list[dict[str, Any]]] = {network: [] for network in NETWORKS}
        for seed in SEEDS:
            # Each goes first in turn: a machine that slows down while it works slows both.
            for network in NETWORKS if seed % 2 == 0 else NETWORKS[::-1]:
                found[network].append(trained(network, cases, seed, arms[network], seconds))
    # Rightly outlining nothing earns its credit, as where a plan's choices are made.
    dice = {
        network: np.array([np.where(np.isnan(one["dice"]), 1.0, one["dice"]).mean(1) for one in seeds])
        for network, seeds in found.items()
    }
    difference = dice["unet"] - dice["dynunet"]
    low, high = bootstrap_mean(difference.mean(0), cases.patient[cases.validate], 0)
    shape = cases.arm.network
    figures = {
        "seconds_a_network": seconds,
        "network": {key: getattr(shape, key) for key in ("patch", "widths", "kernels", "strides", "deep_supervision")},
        "batch": cases.arm.batch,
        "learning_cases": len(cases.learn),
        "validation_cases": len(cases.validate),
        "validation_patients": len(np.unique(cases.patient[cases.validate])),
        **{network: summary(dice[network], found[network], arms[network]) for network in NETWORKS},
        "parameters": {network: sum(p.numel() for p in made(network, cases, 0).parameters()) for network in NETWORKS},
        "difference_unet_less_dynunet": {
            "value": round(float(difference.mean()), 4),
            "low": round(low, 4),
            "high": round(high, 4),
            "by_seed": [round(float(value), 4) for value in difference.mean(1)],
        },
    }
    row = f"unet-vs-dynunet-{name}-{kind}"
    if seconds == SECONDS:
        record(row, f"python -m benchmarks {row}", figures)
    else:
        print(figures)


def summary(dice: np.ndarray, seeds: list[dict[str, Any]], arm: ArmPlan) -> dict[str, Any]:
    """Return what one network reached: Dice ``(seeds, cases)`` by seed, its mean and spread, and what it took."""
    by_seed = dice.mean(1)
    return {
        "dice": round(float(by_seed.mean()), 4),
        "std_over_seeds": round(float(by_seed.std(ddof=1)), 4),
        "by_seed": [round(float(value), 4) for value in by_seed],
        **{key: [one[key] for one in seeds] for key in ("steps", "seconds", "cpu_seconds")},
        "channels_last": arm.channels_last,
        "precision": arm.precision,
    }


ROWS: dict[str, Callable[[], None]] = {
    f"unet-vs-dynunet-{name}-{kind}": partial(compare, name, kind)
    for name, kind in (("hippocampus", "3d"), ("hippocampus", "2d"), ("acdc", "2d"))
}
