"""Golden cases: generated images whose answers are known, tried when a model is opened, before any patient's image is.

A runtime, a processor or a driver that computes wrongly gives numbers that look like any other. So the model ships what
each of its networks answered to a phantom where it was made, and the answer here must be the same.
"""

from __future__ import annotations

from collections.abc import Iterable
from importlib.metadata import version
from typing import Annotated, Any, Literal

import numpy as np
import numpy.typing as npt
from pydantic import Field, ValidationError

from semeion.errors import ModelRefused
from semeion.model.engine import Engine, Kind, Takes
from semeion.model.heads import judged
from semeion.model.linear import LinearMember
from semeion.model.manifest import Task
from semeion.model.manifest_file import explain
from semeion.model.manifest_parts import Part
from semeion.model.strict_json import read_strict

GOLDEN = "golden.json"
TOLERANCE = 1e-4
"""Largest difference in probability; of a measured value, of its size where that is above 1."""
MAX_GOLDEN = 16 << 20
_PLACES = 64
"""Of an answer for every voxel, this many voxels are kept, evenly spread."""
_DIGITS = 7
_MULTIPLIER, _INCREMENT, _WRAP = 6_364_136_223_846_793_005, 1_442_695_040_888_963_407, 1 << 64
"""Of the noise: a linear congruential generator (Knuth's MMIX), run once along each axis."""
_AGAIN = "get the model from its source again"

Answer = Annotated[list[float], Field(min_length=1, max_length=65_536)]


class Golden(Part):
    """What the networks answered where the model was made.

    Attributes
    ----------
    seed
        Of the phantom.
    answers
        By the path of the graph, or of the head of a graph that gives features: probabilities (values) in order.
    """

    schema_version: Literal[1] = Field(default=1, alias="schema")
    seed: Annotated[int, Field(ge=0, lt=1 << 31)] = 0
    answers: Annotated[dict[str, Answer], Field(max_length=1000)]


def phantom(shape: Iterable[int], takes: Takes, seed: int = 0) -> npt.NDArray[Any]:
    """Return a generated input of a network: a bright ellipsoid before a slope, in noise.

    Integers alone make it, so that it is the same on every machine and in every version of numpy.

    Parameters
    ----------
    shape
        ``(C, H, W)`` or ``(C, D, H, W)`` in pixels or voxels.
    takes
        ``uint8``: 0 to 255. ``float32``: -2 to 2, exact.
    seed
        Of the noise and of where the ellipsoid lies.

    Returns
    -------
    numpy.ndarray
        ``(1, C, ...)``.
    """
    sides = tuple(shape)
    noises, slopes, aways = [], [], []
    for axis, side in enumerate(sides):
        at = np.arange(side, dtype=np.int64)
        power = pow(_MULTIPLIER, len(sides) - 1 - axis, _WRAP)
        noises.append((at.astype(np.uint64) + np.uint64(_INCREMENT)) * np.uint64(power))
        if axis == 0:  # channels differ a little, so that none can be mistaken for another
            slopes.append(9 * at)
            aways.append(0 * at)
            continue
        slopes.append(60 * at // max(side - 1, 1) // (len(sides) - 1))
        middle = side // 3 + (seed * 7 + 3 * axis) % max(side // 3, 1)
        aways.append(((at - middle) * 1000 // max(side // 4, 1)) ** 2)
    start = (seed * 15_485_863 + 12_345) % (1 << 32) * pow(_MULTIPLIER, len(sides), _WRAP)
    values = np.empty(sides, np.uint8)
    for place in np.ndindex(*sides[:-2]):  # a plane at a time: a volume of 64-bit numbers would take gigabytes
        first = (start + sum(int(noises[axis][at]) for axis, at in enumerate(place))) % _WRAP
        noise = np.uint64(first) + noises[-2][:, None] + noises[-1]
        noise ^= noise >> np.uint64(29)
        noise = (noise * np.uint64(11_400_714_819_323_198_485)) >> np.uint64(59)  # 0 to 31
        slope, away = (
            sum(int(one[axis][at]) for axis, at in enumerate(place)) + one[-2][:, None] + one[-1]
            for one in (slopes, aways)
        )
        values[place] = np.clip(40 + slope + np.where(away < 1_000_000, 90, 0) + noise.astype(np.int64), 0, 255)
    if takes == "uint8":
        return values[None]
    scaled = values.astype(np.float32)
    scaled -= 128
    scaled /= 64
    return scaled[None]


def answer(engine: Engine, head: LinearMember | None, task: Task, takes: Takes, seed: int) -> npt.NDArray[np.float64]:
    """Return what a network says of its golden case; see :func:`said_of`.

    Raises
    ------
    ModelRefused
        When the graph fails.
    """
    return said_of(run_phantom(engine, takes, seed), head, task, dense=engine.dense)


def run_phantom(engine: Engine, takes: Takes, seed: int = 0) -> npt.NDArray[np.float32]:
    """Return the output of a graph for its golden case; raises as :func:`answer`."""
    try:
        return engine.run(phantom((engine.channels, *engine.size), takes, seed))
    except MemoryError as error:
        sides = " x ".join(map(str, (engine.channels, *engine.size)))
        raise ModelRefused(
            f"there is not enough memory for one input of {sides}", fix="use a machine with more memory"
        ) from error


def said_of(
    given: npt.NDArray[np.float32], head: LinearMember | None, task: Task, *, dense: bool
) -> npt.NDArray[np.float64]:
    """Return an output as probabilities or values, of a few voxels where the graph answers for all."""
    if not dense:
        return np.asarray(judged(given, head, task), dtype=np.float64).ravel()
    said = given[0].reshape(given.shape[1], -1)
    places = np.linspace(0, said.shape[1] - 1, min(_PLACES, said.shape[1])).astype(np.int64)
    return np.asarray(judged(said[:, places].T, None, "multiclass"), dtype=np.float64).ravel()


def golden_json(answers: dict[str, npt.NDArray[np.float64]], seed: int = 0) -> bytes:
    """Return the file's bytes. An answer that is no finite number is left out: it cannot be compared."""
    kept = {
        path: [round(float(value), _DIGITS) for value in said]
        for path, said in answers.items()
        if np.isfinite(said).all()
    }
    return (Golden(seed=seed, answers=kept).model_dump_json(by_alias=True, indent=1) + "\n").encode()


def read_golden(data: bytes, *, where: str) -> Golden:
    """Read golden cases as hostile input.

    Raises
    ------
    ModelRefused
        When they are none.
    """
    try:
        return Golden.model_validate(read_strict(data, MAX_GOLDEN), strict=True)
    except ValidationError as error:
        raise ModelRefused(f"not golden cases ({explain(error)})", where=where, fix=_AGAIN) from error
    except ValueError as error:
        raise ModelRefused("not golden cases: the JSON cannot be read", where=where, fix=_AGAIN) from error


def difference(
    golden: Golden, path: str, found: npt.NDArray[np.float64], *, where: str, kind: Kind = "onnxruntime"
) -> float | None:
    """Return how far an answer is from the stored one, in probability or of a value's size; None where none is stored.

    Raises
    ------
    ModelRefused
        When it is further than :data:`TOLERANCE`.
    """
    if path not in golden.answers:
        return None
    stored = np.array(golden.answers[path])
    if stored.shape != found.shape:
        raise ModelRefused(
            f"a golden case has {len(stored)} numbers, and the network answers {len(found)}", where=where, fix=_AGAIN
        )
    # Probabilities are at most 1, so that their differences stay as they are.
    far = np.abs(found - stored) / np.maximum(1.0, np.abs(stored))
    worst = float(far.max())
    if not worst <= TOLERANCE:  # NaN as well
        name = "OpenVINO" if kind == "openvino" else "ONNX Runtime"
        raise ModelRefused(
            f"a golden case is answered otherwise here than where the model was made: {worst:.2g} apart, and "
            f"{TOLERANCE:g} is allowed; this machine's processor or {name} {version(kind)} is broken",
            where=where,
            fix=f"install {name} again or another version, or use another machine; read no image with it",
        )
    return worst
