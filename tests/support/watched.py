"""A tiny model with a baseline, and pictures like those that it knows: the mean of a picture is what it judges."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from semeion.model.manifest import OperatingPoint
from semeion.monitor.asks import Question
from semeion.monitor.baseline import Baseline, Statistic
from semeion.monitor.bins import fit_bins
from semeion.monitor.facts import looks
from semeion.monitor.logfile import TEXTS, Log
from semeion.monitor.statistics import statistics_of
from semeion.monitor.watch import Asked, watch

SIDE = 16
POINT = 0.5
SLOPE, OFFSET = (150 - 106) / 144, float(np.log(0.3 / 0.7))
"""Of the log odds that a picture is bright, by its mean less 128: what is right for :func:`pixels`."""


def graph() -> bytes:
    """Return uint8 (N, 1, H, W) -> mean -> two logits, 0 and the log odds of bright."""
    image = helper.make_tensor_value_info("image", TensorProto.UINT8, ["N", 1, SIDE, SIDE])
    logits = helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["N", 2])
    nodes = [
        helper.make_node("Cast", ["image"], ["x"], to=TensorProto.FLOAT),
        helper.make_node("GlobalAveragePool", ["x"], ["mean"]),
        helper.make_node("Flatten", ["mean"], ["flat"], axis=1),
        helper.make_node("Gemm", ["flat", "w", "b"], ["logits"]),
    ]
    constants = [
        numpy_helper.from_array(np.array([[0, SLOPE]], np.float32), "w"),
        numpy_helper.from_array(np.array([0, OFFSET - 128 * SLOPE], np.float32), "b"),
    ]
    made = helper.make_graph(nodes, "tiny", [image], [logits], constants)
    model = helper.make_model(made, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString())


def pixels(n: int, seed: int, *, prevalence: float = 0.3, contrast: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    """Return pictures uint8 (n, side, side) and whether each is bright."""
    random = np.random.default_rng(seed)
    bright = random.random(n) < prevalence
    means = np.where(bright, 150, 106) + random.normal(0, 12, n)
    noise = random.normal(0, 20 * contrast, (n, SIDE, SIDE))
    return np.clip(np.round(means[:, None, None] + noise), 0, 255).astype(np.uint8), bright


def p_of(images: np.ndarray) -> np.ndarray:
    """Return the probability that each is bright, as the model says it."""
    return 1 / (1 + np.exp(-SLOPE * (images.mean(axis=(1, 2)) - 128) - OFFSET))


def baseline(n: int = 400, **changes: Any) -> Baseline:
    """Return the baseline of pictures that are like :func:`pixels`."""
    images, bright = pixels(n, 1000)
    each = [looks(image[None]) for image in images]
    numbers = {name: np.array([one[name] for one in each]) for name in each[0]}
    p = p_of(images)
    numbers |= {"p_dark": 1 - p, "p_bright": p, "size_i": np.full(n, float(SIDE)), "size_j": np.full(n, float(SIDE))}
    asked = Question("binary", ("dark", "bright"), "bright", OperatingPoint(rule="youden", value=POINT))
    found = []
    for name, values in statistics_of(numbers, asked, reasons=np.full(n, "", object)).items():
        bins = fit_bins(values.values[values.counts], values.edges)
        found.append(Statistic(name=name, family=values.family, edges=bins.edges.tolist(), counts=bins.counts.tolist()))
    counts = {"dark": int((~bright).sum()), "bright": int(bright.sum())}
    return Baseline(**{"cases": "Generated.", "statistics": found, "prevalence": counts, **changes})


def parts() -> dict[str, Any]:
    return {
        "task": "binary",
        "target": "finding",
        "classes": ["dark", "bright"],
        "positive": "bright",
        "labels": {"0": "dark", "1": "bright"},
        "inputs": {"photometry": "grey"},
        "preparation": {"channels": 1, "size": (SIDE, SIDE), "fit": "stretch"},
        "operating_point": {"rule": "youden", "value": POINT},
        "evidence": {"test": {"auroc": {"value": 0.99, "low": 0.97, "high": 1.0, "n": 100, "n_patients": 100}}},
    }


ASKED = Question("binary", ("dark", "bright"), "bright", OperatingPoint(rule="youden", value=0.5))
KNOWN: Baseline = baseline()


def log_of(n: int, seed: int, *, days: float = 0.05, **how: Any) -> Log:
    """Return the log of pictures like :func:`pixels`, one every so many days."""
    images, _ = pixels(n, seed, **how)
    each = [looks(image[None]) for image in images]
    numbers = {name: np.array([one[name] for one in each]) for name in each[0]}
    p = p_of(images)
    numbers |= {"p_dark": 1 - p, "p_bright": p, "size_i": np.full(n, 16.0), "size_j": np.full(n, 16.0)}
    texts = {name: np.full(n, "", dtype=object) for name in TEXTS}
    texts["status"] = np.full(n, "called", dtype=object)
    texts["entry"] = np.array([f"{seed}-{number}" for number in range(n)], dtype=object)
    seconds = (np.arange(n) * days * 86_400).astype("timedelta64[s]")
    return Log("a" * 64, np.datetime64("2026-01-05T08:00:00", "s") + seconds, texts, numbers)


def watched(log: Log, known: Baseline = KNOWN, **how: Any) -> dict[str, Any]:
    return watch(log, known, ASKED, Asked(**how))  # type: ignore[arg-type]
