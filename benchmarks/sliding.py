"""A network over a volume as it ships, against the same network in MONAI and PyTorch, each in a process of its own."""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from statistics import median
from time import perf_counter

import numpy as np

from benchmarks.processes import run
from benchmarks.record import record

PATCH = (48, 64, 48)
SHAPE = (128, 128, 96)
WIDTHS = [16, 32, 64, 128]
LABELS = 3
OVERLAP = 0.5
ROUNDS = 3
WAYS = ("eager", "eager_channels_last", "onnxruntime", "openvino")
TOLERANCE = 1e-4


def network() -> object:
    """Return the benchmark's U-Net with random weights, the same in every process."""
    import torch

    from semeion.learn.unet import ShippedUNet, UNet
    from semeion.plan.segment_schema import UNetPlan

    torch.manual_seed(0)
    levels = len(WIDTHS)
    plan = UNetPlan(
        dims=3,
        patch=list(PATCH),
        widths=WIDTHS,
        kernels=[[3, 3, 3]] * levels,
        strides=[[1, 1, 1], *[[2, 2, 2]] * (levels - 1)],
        deep_supervision=0,
    )
    made = UNet(plan, 1, LABELS)
    for head in made.heads:  # as after training: a head of tiny weights would hide differences
        torch.nn.init.normal_(head.weight, std=0.5)
    return ShippedUNet(made).eval()


def volume() -> np.ndarray:
    """Return the volume, float32 ``(1, *SHAPE)``: smooth noise, like a prepared image."""
    from scipy.ndimage import gaussian_filter

    noise = np.random.default_rng(0).normal(size=SHAPE)
    smooth = gaussian_filter(noise, 2)
    return (smooth / smooth.std() + 0.3 * noise).astype(np.float32)[None]


def export(folder: Path) -> None:
    """Write the graph, and the same for ONNX Runtime."""
    import io
    import warnings

    import torch

    from semeion.learn.flat_graph import flatten_convolutions

    buffer = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            network(),  # type: ignore[arg-type]
            (torch.zeros((2, 1, *PATCH)),),
            buffer,  # type: ignore[arg-type]
            input_names=["image"],
            output_names=["logits"],
            dynamic_axes={"image": {0: "batch"}, "logits": {0: "batch"}},
            opset_version=17,
            dynamo=False,
        )
    (folder / "plain.onnx").write_bytes(buffer.getvalue())
    (folder / "fast.onnx").write_bytes(flatten_convolutions(buffer.getvalue()))
    np.save(folder / "image.npy", volume())


def way(name: str, folder: Path) -> Callable[[np.ndarray], np.ndarray]:
    """Return how a volume becomes probabilities ``(LABELS, *SHAPE)``."""
    if name.startswith("eager"):
        import torch
        from monai.inferers import SlidingWindowInferer

        torch.set_num_threads(2)
        made = network()
        layout = torch.channels_last_3d if name.endswith("channels_last") else torch.contiguous_format
        made = made.to(memory_format=layout)  # type: ignore[attr-defined]
        inferer = SlidingWindowInferer(PATCH, sw_batch_size=1, overlap=OVERLAP, mode="gaussian")

        def eager(image: np.ndarray) -> np.ndarray:
            with torch.inference_mode():
                given = torch.from_numpy(image[None])
                logits = inferer(given, lambda x: torch.softmax(made(x.contiguous(memory_format=layout)), 1))
                return logits[0].numpy()

        return eager
    from semeion.model.engine import open_engine
    from semeion.model.sliding import sliding_window

    file = "fast.onnx" if name == "onnxruntime" else "plain.onnx"
    engine = open_engine(folder / file, 2, kind=name, takes="float32")  # type: ignore[arg-type]
    return lambda image: sliding_window(engine.run, image, engine.size, overlap=OVERLAP)


def one(name: str, folder: Path) -> None:
    """Time one way in this process and print the seconds; leave its probabilities behind."""
    image = np.load(folder / "image.npy")
    work = way(name, folder)
    work(image[:, : PATCH[0], : PATCH[1], : PATCH[2]])  # the first window allocates and plans
    began = perf_counter()
    p = work(image)
    seconds = perf_counter() - began
    np.save(folder / f"{name}.npy", p)
    print(json.dumps({"seconds": seconds}))


def sliding() -> None:
    """Run all ways in turn, several times, and record medians, ratios, memory and agreement."""
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        export(folder)
        seconds: dict[str, list[float]] = {name: [] for name in WAYS}
        memory: dict[str, float] = {}
        for _ in range(ROUNDS):
            for name in WAYS:
                words = [sys.executable, "-m", "benchmarks.sliding", name, str(folder)]
                done = run(words)
                if done.status:
                    sys.exit(done.output)
                seconds[name].append(json.loads(done.output.strip().splitlines()[-1])["seconds"])
                memory[name] = max(memory.get(name, 0.0), done.peak_mib)
        # MONAI lifts small weights, so windows are compared and not the blended volume.
        agreement = {name: agrees(name, folder) for name in WAYS[2:]}
    middle = {name: median(values) for name, values in seconds.items()}
    fastest = min(middle["eager"], middle["eager_channels_last"])
    figures = {
        "volume": SHAPE,
        "window": PATCH,
        "windows": count(),
        "seconds": {name: round(value, 2) for name, value in middle.items()},
        "all_seconds": {name: [round(value, 2) for value in values] for name, values in seconds.items()},
        "times_as_fast": {
            name: {
                "as eager": round(middle["eager"] / middle[name], 2),
                "as the faster layout of eager": round(fastest / middle[name], 2),
            }
            for name in WAYS[2:]
        },
        "peak_mib": {name: round(value) for name, value in memory.items()},
        "largest_difference_in_probability": agreement,
    }
    record("sliding", "python -m benchmarks sliding", figures, seed=0)


def count() -> int:
    """Return the number of windows of the volume."""
    from semeion.model.sliding import starts

    return int(np.prod([len(starts(size, side, OVERLAP)) for size, side in zip(SHAPE, PATCH, strict=True)]))


def agrees(name: str, folder: Path) -> float:
    """Return the largest difference in probability to the network in PyTorch over three windows."""
    import torch

    from semeion.model.engine import open_engine
    from semeion.model.sliding import softmax

    image = np.load(folder / "image.npy")
    file = "fast.onnx" if name == "onnxruntime" else "plain.onnx"
    engine = open_engine(folder / file, 2, kind=name, takes="float32")  # type: ignore[arg-type]
    made = network()
    worst = 0.0
    for at in (0, 20, 48):
        window = np.ascontiguousarray(image[None, :, at : at + PATCH[0], at : at + PATCH[1], at : at + PATCH[2]])
        with torch.inference_mode():
            wanted = torch.softmax(made(torch.from_numpy(window)), 1).numpy()  # type: ignore[operator]
        worst = max(worst, float(np.abs(softmax(engine.run(window)) - wanted).max()))
    if worst > TOLERANCE:
        sys.exit(f"{name} differs from the network by {worst:.2g} in probability")
    return worst


ROWS = {"sliding": sliding}

if __name__ == "__main__":
    one(sys.argv[1], Path(sys.argv[2]))
