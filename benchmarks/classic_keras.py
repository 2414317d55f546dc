"""The classic small network beside the same network in Keras 3: one architecture, one training, the same cases.

Both see PneumoniaMNIST's training images, made larger to 64 x 64 by the very same matrix, and are weighed on its test
cases, from which nothing is chosen. Keras runs on its torch backend. Besides three seeds of each, which differ by first
weights and order, one start is shared: from the same weights and in the same order both must say the same losses.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from statistics import mean, stdev
from time import perf_counter
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks.record import data, record

if TYPE_CHECKING:
    from semeion.learn.classic import Classic
    from semeion.prepare.store import Store

SEEDS = (0, 1, 2)
EPOCHS = 10
SHARED_STEPS = 20
"""Steps from one start in which both must agree; later the last bits of a sum have grown."""
SET = "pneumoniamnist"

Pixels = np.ndarray


def read_set(folder: Path) -> dict[str, tuple[Pixels, np.ndarray]]:
    """Return uint8 images ``(cases, 1, 28, 28)`` and labels of each split."""
    with np.load(folder / SET / f"{SET}.npz") as archive:
        return {
            split: (archive[f"{split}_images"][:, None], archive[f"{split}_labels"][:, 0].astype(np.float64))
            for split in ("train", "test")
        }


def store_of(pixels: Pixels, folder: Path) -> Store:
    """Keep images as a run does."""
    from semeion.prepare.store import Store

    folder.mkdir(parents=True, exist_ok=True)
    (folder / "shard-0000.bin").write_bytes(np.ascontiguousarray(pixels).tobytes())
    return Store(folder, len(pixels), pixels.shape[1:], len(pixels))


def seen(pixels: Pixels) -> Pixels:
    """Return what both networks see, float32 ``(cases, 64, 64, 3)``, from the network's own resizing."""
    import torch

    from semeion.learn.classic import Classic

    with torch.inference_mode():
        planes = Classic(pixels.shape[1:], "binary", 2).seen(torch.from_numpy(pixels))
        return np.ascontiguousarray(planes.permute(0, 2, 3, 1).numpy())


def load_keras() -> Any:
    """Import Keras, which reads once which backend it has."""
    os.environ.setdefault("KERAS_BACKEND", "torch")
    import keras

    return keras


def keras_network() -> Any:
    """Return the network as the textbooks write it, compiled."""
    keras = load_keras()
    network = keras.Sequential(
        [
            keras.Input((64, 64, 3)),
            keras.layers.Conv2D(32, (3, 3), activation="relu"),
            keras.layers.MaxPooling2D((2, 2)),
            keras.layers.Flatten(),
            keras.layers.Dense(128, activation="relu"),
            keras.layers.Dense(1, activation="sigmoid"),
        ]
    )
    network.compile(optimizer="adam", loss="binary_crossentropy")
    return network


def keras_weights(network: Classic) -> list[np.ndarray]:
    """Return our weights in Keras' order: axes the other way round, and maps flattened with the filters last."""
    parts = {name: each.detach().numpy() for name, each in network.named_parameters()}
    filters, side = len(parts["convolution.bias"]), 31
    hidden = parts["hidden.weight"].reshape(-1, filters, side, side).transpose(2, 3, 1, 0)
    return [
        parts["convolution.weight"].transpose(2, 3, 1, 0),
        parts["convolution.bias"],
        hidden.reshape(side * side * filters, -1),
        parts["hidden.bias"],
        parts["output.weight"].T,
        parts["output.bias"],
    ]


def shared_start(pixels: Pixels, y: np.ndarray, steps: int = SHARED_STEPS) -> dict[str, Any]:
    """Train both from the same weights on the same batches and return how far their losses and answers differ."""
    import torch

    from semeion.learn.classic import BATCH, Classic, learn_batch, make_optimiser

    torch.manual_seed(0)
    ours, theirs = Classic(pixels.shape[1:], "binary", 2), keras_network()
    theirs.set_weights(keras_weights(ours))
    optimiser = make_optimiser(ours)
    order = np.random.default_rng(0).permutation(len(y))
    losses = []
    for step in range(steps):
        rows = order[step * BATCH : (step + 1) * BATCH]
        own = learn_batch(ours, optimiser, pixels[rows], y[rows], step)
        # Else Keras would say the mean of the losses so far.
        theirs.reset_metrics()
        losses.append((own, float(theirs.train_on_batch(seen(pixels[rows]), y[rows][:, None]))))
    with torch.inference_mode():
        p = torch.sigmoid(ours.raw(torch.from_numpy(pixels[:256]))[:, 0]).numpy()
    other = theirs.predict(seen(pixels[:256]), verbose=0)[:, 0]
    return {
        "steps": steps,
        "losses": [round(loss, 5) for loss, _ in losses],
        "largest_difference_in_loss": float(max(abs(one - other) for one, other in losses)),
        "largest_difference_in_probability": float(np.abs(p - other).max()),
    }


def ours(folder: Path, sets: dict[str, tuple[Pixels, np.ndarray]], seed: int, epochs: int) -> dict[str, float]:
    """Train our network, export it, and return its figures on the test cases through ONNX Runtime."""
    import torch

    from semeion.learn.classic import classic_onnx, train_classic
    from semeion.model.combine import from_logits
    from semeion.model.engine import open_engine

    pixels, y = sets["train"]
    threads = torch.get_num_threads()  # as many as Keras has
    store = store_of(pixels, folder / "store")
    began = perf_counter()
    learned = train_classic(
        store, y, np.arange(len(y)), "binary", ["no", "yes"], epochs=epochs, seed=seed, threads=threads
    )
    seconds = perf_counter() - began
    assert learned.network is not None, learned.reason
    engine = open_engine(classic_onnx(learned.network, store.shape), threads)
    return {**figures(sets["test"][1], from_logits(engine.run(sets["test"][0]), "binary")[:, 1]), "seconds": seconds}


def keras_own(sets: dict[str, tuple[Pixels, np.ndarray]], seed: int, epochs: int) -> dict[str, float]:
    """Train Keras' network and return its figures on the test cases."""
    load_keras().utils.set_random_seed(seed)
    network = keras_network()
    pixels, y = seen(sets["train"][0]), sets["train"][1]
    began = perf_counter()
    network.fit(pixels, y, batch_size=32, epochs=epochs, verbose=0)
    seconds = perf_counter() - began
    return {**figures(sets["test"][1], network.predict(seen(sets["test"][0]), verbose=0)[:, 0]), "seconds": seconds}


def figures(y: np.ndarray, p: np.ndarray) -> dict[str, float]:
    """Return AUROC, log loss, and accuracy at one half."""
    from sklearn.metrics import log_loss, roc_auc_score

    return {
        "auroc": float(roc_auc_score(y, p)),
        "accuracy": float(((p >= 0.5) == (y == 1)).mean()),
        "log_loss": float(log_loss(y, p.astype(np.float64))),
    }


def summary(found: dict[str, list[dict[str, float]]]) -> dict[str, Any]:
    """Return mean and spread of both, and Welch's interval of their difference over seeds."""
    from scipy.stats import ttest_ind

    told: dict[str, Any] = {}
    for name in ("auroc", "accuracy", "log_loss"):
        values = {who: [one[name] for one in each] for who, each in found.items()}
        told[name] = {
            who: {"mean": round(mean(each), 4), "sd": round(stdev(each), 4), "values": [round(v, 4) for v in each]}
            for who, each in values.items()
        }
        span = ttest_ind(values["semeion"], values["keras"], equal_var=False).confidence_interval()
        told[name]["difference"] = {
            "value": round(mean(values["semeion"]) - mean(values["keras"]), 4),
            "low": round(float(span.low), 4),
            "high": round(float(span.high), 4),
            "within_noise": bool(span.low <= 0 <= span.high),
        }
    told["seconds"] = {who: [round(one["seconds"], 1) for one in each] for who, each in found.items()}
    return told


def compare() -> None:
    """Train both with every seed, in turn; BENCH_EPOCHS tries it out, unrecorded."""
    epochs = int(os.environ.get("BENCH_EPOCHS", EPOCHS))
    sets = read_set(data())
    start = shared_start(*sets["train"])
    found: dict[str, list[dict[str, float]]] = {"semeion": [], "keras": []}
    for seed in SEEDS:
        with tempfile.TemporaryDirectory() as folder:
            found["semeion"].append(ours(Path(folder), sets, seed, epochs))
        found["keras"].append(keras_own(sets, seed, epochs))
    keras = load_keras()
    told = {
        "set": SET,
        "training_cases": len(sets["train"][1]),
        "test_cases": len(sets["test"][1]),
        "epochs": epochs,
        "seeds": list(SEEDS),
        "keras": f"{keras.__version__} on {keras.backend.backend()}",
        "same_start": start,
        **summary(found),
    }
    if epochs == EPOCHS:
        record("classic-keras", "python -m benchmarks classic-keras", told)
    else:
        print(told)


ROWS: dict[str, Callable[[], None]] = {"classic-keras": compare}
