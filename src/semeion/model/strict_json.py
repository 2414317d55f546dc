"""JSON of strangers: bounded in bytes, depth and number of values before it is parsed; no key twice, no NaN."""

from __future__ import annotations

import json
import re
from typing import Any

MAX_DEPTH = 32
MAX_GROUPS = 5_000_000
MAX_VALUES = 16_000_000
"""Most lists and objects, and most values in them: a list takes 60 bytes of memory and as few as two in a file."""

_ESCAPE = re.compile(rb"\\.", re.DOTALL)
_STRING = re.compile(rb'"[^"]*"')
_NOT_BRACKETS = bytes(set(range(256)) - set(b"[]{}"))


def read_strict(data: bytes, limit: int) -> Any:
    """Parse JSON.

    Parameters
    ----------
    data
        The bytes, UTF-8.
    limit
        Most bytes that are parsed.

    Raises
    ------
    ValueError
        When it is too large, too deep, holds too many values, is not UTF-8 or not JSON, or holds a key twice, NaN,
        an infinity or a number that no computer number holds.
    """
    if len(data) > limit:
        raise ValueError(f"it has more than {limit} bytes")
    _refuse_shape(data)
    try:
        return json.loads(
            data.decode("utf-8"), object_pairs_hook=_no_duplicates, parse_constant=_no_constant, parse_float=_finite
        )
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error


def _refuse_shape(data: bytes) -> None:
    # Text cannot hold brackets or commas that count once escapes and then strings are gone.
    bare = _STRING.sub(b"", _ESCAPE.sub(b"", data)) if b'"' in data else data
    if bare.count(b",") > MAX_VALUES or bare.count(b"[") + bare.count(b"{") > MAX_GROUPS:
        raise ValueError("it holds too many values")
    depth = 0
    for bracket in bare.translate(None, _NOT_BRACKETS):
        depth += 1 if bracket in b"[{" else -1
        if depth > MAX_DEPTH:
            raise ValueError("it is nested too deeply")


def _no_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key occurs twice")
    return found


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is not a number of JSON")


def _finite(text: str) -> float:
    value = float(text)
    if value in (float("inf"), float("-inf")):
        raise ValueError("a number is too large")
    return value
