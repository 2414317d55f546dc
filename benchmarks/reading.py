"""What predicting costs: a cold process, and throughput against the same network in PyTorch, in one run."""

from __future__ import annotations

import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median
from time import perf_counter

import cv2
import numpy as np

from benchmarks.processes import run
from benchmarks.record import data, record
from semeion.plan.files import read_plan, write_plan

KEPT = Path("runs/bench-reading")
BATCH = 64
COPIES = 4
ROUNDS = 5


def trained() -> Path:
    """Return a run with what a quarter of an hour on PneumoniaMNIST ships, made once: four networks of 24-48-96.

    Their steps are cut to a few: speed does not depend on skill.
    """
    if not (KEPT / "model" / "model.json").exists():
        archive = str(data() / "pneumoniamnist" / "pneumoniamnist.npz")
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "plan.yaml"
            done = run(
                [sys.executable, "-m", "semeion", "plan", archive, "--budget", "15m", "-o", str(file), "--quiet"]
            )
            if done.status:
                sys.exit(done.output)
            plan = read_plan(file)
            plan.network.widths, plan.budget.seconds = [24, 48, 96], None
            first = plan.members[0]
            plan.members = [first.model_copy(update={"name": f"seed{n}", "seed": n, "steps": 30}) for n in range(4)]
            write_plan(plan, file)
            shutil.rmtree(KEPT, ignore_errors=True)
            words = ["train", archive, "--plan", str(file), "--quiet", "-o", str(KEPT)]
            done = run([sys.executable, "-m", "semeion", *words], every=0.5)
            if done.status:
                sys.exit(done.output)
    return KEPT


def write_pictures(folder: Path, copies: int) -> list[str]:
    """Write the test images as PNG files, `copies` times."""
    images = np.load(data() / "pneumoniamnist" / "pneumoniamnist.npz")["test_images"]
    paths = []
    for number, pixels in enumerate(np.concatenate([images] * copies)):
        path = folder / f"{number:05d}.png"
        cv2.imwrite(str(path), pixels)
        paths.append(str(path))
    return paths


def cold() -> None:
    """Predict one picture in a new process, several times."""
    model = trained() / "model"
    with tempfile.TemporaryDirectory() as folder:
        picture = write_pictures(Path(folder), 1)[0]
        words = ["predict", str(model), picture, "-o", str(Path(folder) / "findings.csv"), "--quiet"]
        results = [run([sys.executable, "-m", "semeion", *words], every=0.005) for _ in range(12)][2:]
    if any(result.status for result in results):
        sys.exit(results[0].output)
    figures = {
        "wall_seconds": {
            "median": round(median(r.seconds for r in results), 3),
            "max": round(max(r.seconds for r in results), 3),
        },
        "peak_mib": round(max(r.peak_mib for r in results), 1),
        "max_rss_mib": round(max(r.max_rss_mib for r in results), 1),
        "runs": len(results),
        "members": len(list((model / "members").iterdir())),
    }
    record("predict-cold", "semeion predict MODEL one.png -o findings.csv", figures)


def throughput() -> None:
    """Compare files per second of the shipped model with PyTorch eager, decoding included, alternating."""
    import torch

    from semeion.cohort.reading import read_image
    from semeion.learn.checkpoint import load_tensors
    from semeion.learn.network import Network, Scales, ShippedNetwork, outputs_of
    from semeion.model.runtime import load_model
    from semeion.parallel import ordered_map, usable_cores
    from semeion.prepare.transform import prepare_image

    path = trained()
    plan = read_plan(path / "plan.executed.yaml")
    threads = usable_cores()
    torch.set_num_threads(threads)
    networks = []
    channels = plan.preparation.channels
    for member in plan.members:
        tensors, _ = load_tensors(path / "members" / member.name / "weights.safetensors")
        network = Network(plan.network, channels, plan.target.task, outputs_of(plan.target.task, plan.target.classes))
        blank = Scales((0.0,) * channels, (1.0,) * channels)
        shipped = ShippedNetwork(network, blank, plan.training.class_weights, plan.target.task)
        shipped.load_state_dict(tensors)
        networks.append(shipped.eval())
    spec = plan.preparation.spec()

    def batches(paths: list[str]) -> Iterator[np.ndarray]:
        prepared = ordered_map(lambda path: prepare_image(read_image(path), spec), paths, jobs=threads)
        group: list[np.ndarray] = []
        for pixels in prepared:
            group.append(pixels)
            if len(group) == BATCH:
                yield np.stack(group)
                group = []
        if group:
            yield np.stack(group)

    def eager(paths: list[str], bfloat16: bool) -> np.ndarray:
        out = []
        with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16, enabled=bfloat16):
            for pixels in batches(paths):
                image = torch.from_numpy(pixels)
                out.append(np.mean([torch.softmax(net(image).float(), 1).numpy() for net in networks], axis=0))
        return np.concatenate(out)

    model = load_model(path / "model")
    ours = "semeion (ONNX Runtime)"
    contenders: dict[str, Callable[[list[str]], object]] = {
        ours: lambda paths: list(model.findings(paths)),
        "PyTorch eager float32": lambda paths: eager(paths, False),
        "PyTorch eager bfloat16": lambda paths: eager(paths, True),
    }
    times: dict[str, list[float]] = {name: [] for name in contenders}
    with tempfile.TemporaryDirectory() as folder:
        paths = write_pictures(Path(folder), COPIES)
        for _ in range(ROUNDS + 1):
            for name, work in contenders.items():
                began = perf_counter()
                work(paths)
                times[name].append(perf_counter() - began)
    rates = {name: round(len(paths) / median(values[1:]), 1) for name, values in times.items()}
    plain = times["PyTorch eager float32"]
    ratios = [slow / fast for slow, fast in zip(plain[1:], times[ours][1:], strict=True)]
    figures = {
        "pictures_per_second": rates,
        "ratio_to_float32": {
            "median": round(median(ratios), 3),
            "min": round(min(ratios), 3),
            "max": round(max(ratios), 3),
        },
        "pictures": len(paths),
        "members": len(networks),
        "threads": threads,
        "batch": BATCH,
    }
    record("predict-throughput", "python -m benchmarks predict-throughput", figures)


ROWS: dict[str, Callable[[], None]] = {"predict-cold": cold, "predict-throughput": throughput}
