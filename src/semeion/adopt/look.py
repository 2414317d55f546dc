"""What a network from elsewhere sees: how a prepared image of 256 steps becomes its input."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from semeion.adopt.given import Given
from semeion.errors import InputError, ModelRefused
from semeion.model.manifest import MAX_SIDE

LAYOUTS = ("nchw", "nhwc")
CHANNELS = (1, 3)
SMALLEST = 8
"""Least side of a picture in pixels, as of every model."""
_NUMBER = r"[+-]?\d+(?:\.\d+)?"
_HOW = (
    "say how pixels became numbers where it learned: --scale 0..1 (divided by 255), -1..1 or 0..255, and where it was "
    "so --mean and --std, one number a channel"
)


@dataclass(frozen=True)
class Look:
    """How bytes become numbers, in this order: 0 to 255 spread over `low` to `high`, less `mean`, divided by `std`.

    Attributes
    ----------
    layout
        ``nchw`` (channels first) or ``nhwc``.
    channels, size
        1 or 3; height and width in pixels.
    low, high, mean, std
        Of the numbers; `mean` and `std` one a channel, in the order that the network takes.
    blue_first
        Whether colours are turned around: blue, green, red.
    why
        Reasons of these decisions by their names.
    """

    layout: str
    channels: int
    size: tuple[int, int]
    low: float
    high: float
    mean: tuple[float, ...]
    std: tuple[float, ...]
    blue_first: bool
    why: dict[str, str]

    @property
    def factor(self) -> npt.NDArray[np.float64]:
        """What a byte is multiplied by, one number a channel."""
        return np.asarray((self.high - self.low) / 255 / np.array(self.std), dtype=np.float64)

    @property
    def offset(self) -> npt.NDArray[np.float64]:
        """What is added then, one number a channel."""
        return np.asarray((self.low - np.array(self.mean)) / np.array(self.std), dtype=np.float64)

    def numbers(self, pixels: npt.NDArray[np.uint8], takes: str) -> npt.NDArray[Any]:
        """Return what the graph takes, as a program elsewhere would write it.

        Parameters
        ----------
        pixels
            Prepared images, uint8 ``(N, channels, height, width)``, red first.
        takes
            The type of the graph's input.
        """
        seen: npt.NDArray[Any] = pixels[:, ::-1] if self.blue_first else pixels
        if takes != "uint8":
            by_channel = (1, self.channels, 1, 1)
            spread = seen.astype(np.float64) / 255 * (self.high - self.low) + self.low
            spread = (spread - np.reshape(self.mean, by_channel)) / np.reshape(self.std, by_channel)
            seen = spread.astype(takes)
        return np.ascontiguousarray(seen if self.layout == "nchw" else seen.transpose(0, 2, 3, 1))


def look_of(
    given: Given,
    *,
    scale: str | None,
    mean: tuple[float, ...] = (),
    std: tuple[float, ...] = (),
    layout: str | None = None,
    blue_first: bool = False,
) -> Look:
    """Put together what the graph says and what the user says of the input.

    Parameters
    ----------
    given
        The graph.
    scale, mean, std
        As :class:`Look` has them, ``LOW..HIGH`` and one number or one a channel; nothing is guessed.
    layout
        Needed where the shape of the input does not tell it.
    blue_first
        Whether the network takes blue first.

    Raises
    ------
    InputError
        When something is not said that must be, or contradicts the graph.
    ModelRefused
        When no picture has the channels or the size of the input.
    """
    why: dict[str, str] = {}
    chosen = _layout(given, layout, why)
    channels, *size = given.sides if chosen == "nchw" else (given.sides[2], *given.sides[:2])
    if channels not in CHANNELS:
        raise ModelRefused(
            f"the input has {channels} channels, and a picture has 1 or 3", where=given.name, fix="give another model"
        )
    if not all(SMALLEST <= side <= MAX_SIDE for side in size):
        raise ModelRefused(
            f"the input is {size[0]} x {size[1]} pixels, and {SMALLEST} to {MAX_SIDE} a side are prepared",
            where=given.name,
            fix="export the model for another size",
        )
    low, high = _range(given, scale, why)
    if given.takes == "uint8" and (mean or std):
        raise InputError(
            "the graph takes pixels as uint8, which no mean is taken from",
            where="--mean",
            fix="leave --mean and --std out",
        )
    if blue_first and channels == 1:
        raise InputError("the network takes grey images", where="--blue-first", fix="leave the option out")
    means, stds = _by_channel(mean, channels, "--mean", 0.0), _by_channel(std, channels, "--std", 1.0)
    if min(stds) <= 0:
        raise InputError("a standard deviation is above 0", where="--std", fix="correct it")
    if mean or std:
        why["mean"] = "given with --mean and --std: taken from the scaled numbers, which are then divided"
    if channels == 3:
        why["blue_first"] = "given with --blue-first" if blue_first else "red comes first unless --blue-first is given"
    return Look(chosen, channels, (size[0], size[1]), low, high, means, stds, blue_first, why)


def _layout(given: Given, asked: str | None, why: dict[str, str]) -> str:
    told = " x ".join(map(str, given.sides))
    fits = [name for name, side in zip(LAYOUTS, (given.sides[0], given.sides[2]), strict=True) if side in CHANNELS]
    if asked is not None:
        if asked not in LAYOUTS:
            raise InputError(f"unknown layout {asked!r}", where="--layout", fix=f"write {' or '.join(LAYOUTS)}")
        if fits and asked not in fits:
            raise InputError(
                f"the input is {told}, which is {fits[0]}", where="--layout", fix="leave it out, or correct it"
            )
        why["layout"] = "given with --layout"
        return asked
    if len(fits) == 2:
        raise InputError(
            f"an input of {told} can be channels first or last",
            where=given.name,
            fix="say --layout nchw (PyTorch) or --layout nhwc (Keras, TensorFlow)",
        )
    if not fits:
        raise ModelRefused(
            f"the input is {told}, and a picture has 1 or 3 channels, first or last",
            where=given.name,
            fix="give another model",
        )
    why["layout"] = f"the input is {told}, and pictures have 1 or 3 channels"
    return fits[0]


def _range(given: Given, scale: str | None, why: dict[str, str]) -> tuple[float, float]:
    if given.takes == "uint8":
        if scale is not None and parse_scale(scale) != (0.0, 255.0):
            raise InputError(
                f"the graph takes pixels as uint8, 0 to 255, and --scale says {scale}",
                where="--scale",
                fix="leave it out",
            )
        why["scale"] = "the graph takes pixels as uint8"
        return 0.0, 255.0
    if scale is None:
        raise InputError(
            "how pixels become the network's numbers is not in the graph, and a guess would give a wrong model",
            where="--scale",
            fix=_HOW,
        )
    why["scale"] = "given with --scale"
    return parse_scale(scale)


def parse_scale(text: str) -> tuple[float, float]:
    """Return the ends of ``LOW..HIGH``: what a black and what a white pixel becomes.

    Raises
    ------
    InputError
        When the text is no range.
    """
    found = re.fullmatch(rf"\s*({_NUMBER})\s*\.\.\s*({_NUMBER})\s*", text)
    low, high = (float(found[1]), float(found[2])) if found else (0.0, 0.0)
    if low == high:
        raise InputError(f"{text!r} is no range of numbers", where="--scale", fix=_HOW)
    return low, high


def parse_numbers(text: str | None, where: str) -> tuple[float, ...]:
    """Return the numbers of ``0.485,0.456,0.406``; none of nothing.

    Raises
    ------
    InputError
        When a part is no number.
    """
    try:
        found = tuple(float(part) for part in (text or "").split(",") if part.strip())
    except ValueError:
        found = (math.nan,)
    if not all(map(math.isfinite, found)):
        raise InputError(
            f"{text!r} is no number or list of numbers", where=where, fix="write 0.5, or 0.485,0.456,0.406"
        )
    return found


def _by_channel(found: tuple[float, ...], channels: int, where: str, none: float) -> tuple[float, ...]:
    if len(found) not in (0, 1, channels):
        raise InputError(
            f"{len(found)} numbers were given, and the input has {channels} channels",
            where=where,
            fix="give one number, or one a channel",
        )
    return (found or (none,)) * (channels if len(found) < 2 else 1)
