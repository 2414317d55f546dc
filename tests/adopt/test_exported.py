"""Networks as their users export them: a Keras 3 model and PyTorch modules, against what these say themselves."""

from __future__ import annotations

import logging
import os
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from adopt.graphs import SIDE, pixels
from semeion.adopt.answer import Answer, try_graph, understand
from semeion.adopt.given import Given, read_given
from semeion.adopt.look import look_of
from semeion.adopt.wrap import refuse_difference, wrap
from semeion.model.combine import from_logits
from semeion.model.engine import open_engine

TWO = ("benign", "malignant")


def adopted(path: Path, seen: Any, named: Any = TWO, **look: Any) -> tuple[Given, Answer, np.ndarray]:
    """Return the graph, what it was understood to answer, and the wrapped graph's probabilities."""
    given = read_given(path)
    how = look_of(given, **look)
    session = given.session(1)
    values, single = try_graph(session, given, how, seen, [str(number) for number in range(len(seen))])
    answer = understand(given, values, "binary", TWO, single=single, named=named)
    graph = wrap(given, how, answer, "binary")
    assert refuse_difference(graph, session, given, how, answer, "binary", seen) < 1e-5
    return given, answer, from_logits(open_engine(graph, 1).run(seen), "binary")


def test_a_keras_model_says_the_same_when_adopted(tmp_path: Path) -> None:
    os.environ.setdefault("KERAS_BACKEND", "torch")
    keras = pytest.importorskip("keras", exc_type=ImportError)
    keras.utils.set_random_seed(0)
    model = keras.Sequential(
        [
            keras.Input((SIDE, SIDE, 3)),
            keras.layers.Conv2D(4, 3, activation="relu"),
            keras.layers.BatchNormalization(),
            keras.layers.MaxPooling2D(),
            keras.layers.Flatten(),
            keras.layers.Dropout(0.5),
            keras.layers.Dense(1, activation="sigmoid"),
        ]
    )
    seen = pixels(12, channels=3)
    wanted = np.asarray(model.predict(seen.transpose(0, 2, 3, 1) / np.float32(255), verbose=0))[:, 0]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model.export(str(tmp_path / "model.onnx"), format="onnx", verbose=False)
    given, answer, p = adopted(tmp_path / "model.onnx", seen, scale="0..1")
    assert given.sides == (SIDE, SIDE, 3)
    assert (answer.kind, answer.single) == ("probabilities", False)
    np.testing.assert_allclose(p[:, 1], wanted, atol=1e-5)


@pytest.mark.parametrize("free", [True, False])
def test_a_pytorch_module_says_the_same_when_adopted(tmp_path: Path, free: bool) -> None:
    torch = pytest.importorskip("torch")
    torch.manual_seed(0)
    nn = torch.nn
    module = nn.Sequential(
        nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(4 * 11 * 11, 2)
    ).eval()
    seen = pixels(12)
    with torch.inference_mode():
        wanted = torch.softmax(module((torch.from_numpy(seen) / 255 - 0.4) / 0.2) * 4, 1).numpy()
        module[-1].weight.mul_(4)
        module[-1].bias.mul_(4)
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        # The one that traces, since it takes a tenth of the time of the one that the page shows.
        torch.onnx.export(
            module,
            (torch.zeros(1, 1, SIDE, SIDE),),
            str(tmp_path / "model.onnx"),
            input_names=["image"],
            output_names=["logits"],
            dynamic_axes={"image": {0: "batch"}, "logits": {0: "batch"}} if free else None,
            dynamo=False,
        )
    given, answer, p = adopted(tmp_path / "model.onnx", seen, TWO[::-1], scale="0..1", mean=(0.4,), std=(0.2,))
    assert given.producer.startswith("pytorch ")
    assert (given.batch, answer.kind, answer.single) == (None if free else 1, "logits", not free)
    np.testing.assert_allclose(p[:, 0], wanted[:, 1], atol=1e-5)
