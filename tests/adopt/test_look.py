"""How pixels become a network's numbers: said, read from the shape, or asked; never guessed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given as drawn
from hypothesis import strategies as st
from onnx import TensorProto

from adopt.graphs import SIDE, graph_of, pixels, saved
from semeion.adopt.given import Given, read_given
from semeion.adopt.look import look_of, parse_numbers, parse_scale
from semeion.errors import InputError, ModelRefused


def read(folder: Path, **made: Any) -> Given:
    return read_given(saved(graph_of(**made), folder))


def asked(given: Given, kind: type[Exception] = InputError, **said: Any) -> str:
    with pytest.raises(kind) as caught:
        look_of(given, **{"scale": "0..1", **said})
    return str(caught.value)


def test_numbers_are_those_that_pytorch_and_keras_make(tmp_path: Path) -> None:
    seen = pixels(2, channels=3)
    given = read(tmp_path, channels=3)
    normal = look_of(given, scale="0..1", mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225))
    wanted = (seen / 255 - np.reshape([0.485, 0.456, 0.406], (3, 1, 1))) / np.reshape([0.229, 0.224, 0.225], (3, 1, 1))
    np.testing.assert_allclose(normal.numbers(seen, "float32"), wanted, atol=1e-6)
    assert (normal.layout, normal.size, normal.channels) == ("nchw", (SIDE, SIDE), 3)
    last = look_of(read(tmp_path, channels=3, layout="nhwc"), scale="-1..1", blue_first=True)
    np.testing.assert_allclose(
        last.numbers(seen, "float32"), seen[:, ::-1].transpose(0, 2, 3, 1) / 127.5 - 1, atol=1e-6
    )
    assert last.why["layout"] == "the input is 24 x 24 x 3, and pictures have 1 or 3 channels"


def test_bytes_stay_bytes_where_the_graph_takes_them(tmp_path: Path) -> None:
    look = look_of(read(tmp_path, takes=TensorProto.UINT8, layout="nhwc"), scale=None)
    made = look.numbers(pixels(3), "uint8")
    assert (made.dtype, made.shape) == (np.dtype("uint8"), (3, SIDE, SIDE, 1))


@drawn(
    st.integers(0, 255),
    st.floats(-10, 10),
    st.floats(-10, 10).filter(lambda v: abs(v) > 1e-3),
    st.floats(-5, 5),
    st.floats(0.01, 5),
)
def test_factor_and_offset_do_in_one_step_what_the_numbers_do_in_four(
    tmp_path_factory: pytest.TempPathFactory, byte: int, low: float, width: float, mean: float, std: float
) -> None:
    from semeion.adopt.look import Look

    look = Look("nchw", 1, (8, 8), low, low + width, (mean,), (std,), False, {})
    seen = np.full((1, 1, 8, 8), byte, dtype=np.uint8)
    wanted = look.numbers(seen, "float64")
    np.testing.assert_allclose(seen * look.factor[0] + look.offset[0], wanted, rtol=1e-9, atol=1e-9 / std)


def test_the_scale_must_be_said(tmp_path: Path) -> None:
    said = asked(read(tmp_path), scale=None)
    assert said.startswith("--scale: how pixels become the network's numbers is not in the graph")
    assert "--scale 0..1 (divided by 255), -1..1 or 0..255" in said
    assert "the graph takes pixels as uint8, 0 to 255, and --scale says 0..1" in asked(
        read(tmp_path, takes=TensorProto.UINT8)
    )
    assert look_of(read(tmp_path, takes=TensorProto.UINT8), scale="0..255").high == 255


@pytest.mark.parametrize("text", ["0-1", "0..", "..1", "1", "imagenet", "0..0", "0..1..2", "nan..1"])
def test_what_is_no_range_is_refused(text: str) -> None:
    with pytest.raises(InputError, match=f"--scale: '{text}' is no range of numbers"):
        parse_scale(text)
    assert parse_scale(" -1 .. 1.5 ") == (-1, 1.5)


def test_mean_and_standard_deviation_fit_the_channels(tmp_path: Path) -> None:
    given = read(tmp_path, channels=3)
    assert look_of(given, scale="0..1", mean=(0.5,), std=(0.5,)).mean == (0.5, 0.5, 0.5)
    assert "--mean: 2 numbers were given, and the input has 3 channels" in asked(given, mean=(1.0, 2.0))
    assert "--std: a standard deviation is above 0" in asked(given, std=(0.0,))
    with pytest.raises(InputError, match="--mean: 'a,b' is no number or list of numbers"):
        parse_numbers("a,b", "--mean")
    assert parse_numbers("0.5, 1", "--mean") == (0.5, 1.0)
    assert parse_numbers(None, "--mean") == ()
    with pytest.raises(InputError, match="--std: 'inf' is no number"):
        parse_numbers("inf", "--std")
    assert "takes pixels as uint8, which no mean is taken from" in asked(
        read(tmp_path, takes=TensorProto.UINT8), scale=None, mean=(1.0,)
    )


def test_the_layout_is_asked_where_the_shape_can_mean_both(tmp_path: Path) -> None:
    from dataclasses import replace

    both = replace(read(tmp_path), sides=(3, SIDE, 3))
    said = asked(both)
    assert "an input of 3 x 24 x 3 can be channels first or last" in said
    assert "--layout nchw (PyTorch) or --layout nhwc (Keras, TensorFlow)" in said
    assert "the input is 1 x 24 x 24, which is nchw" in asked(read(tmp_path), layout="nhwc")
    assert "--layout: unknown layout 'hwc'; write nchw or nhwc" in asked(read(tmp_path), layout="hwc")


def test_inputs_that_no_picture_has_are_refused(tmp_path: Path) -> None:
    assert "the input is 4 x 24 x 24, and a picture has 1 or 3 channels" in asked(
        read(tmp_path, channels=4), ModelRefused
    )
    assert "the input is 4 x 4 pixels, and 8 to 1024 a side are prepared" in asked(read(tmp_path, side=4), ModelRefused)
    assert "the network takes grey images" in asked(read(tmp_path), blue_first=True)
