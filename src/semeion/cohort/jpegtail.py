"""JPEG files that were cut short and got an end marker all the same.

Decoders fill what is missing with middle grey and only grumble on standard error. A picture that really ends in middle
grey is told apart by its code: each flat block takes one code for "no change" and one for "no more coefficients", so
the coded data must end in a repetition of them (ITU-T T.81, annex F).
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from semeion.cohort.channels import Pixels

_MIDDLE = 128
_CHECKED = 8
"""How many flat units at the end are enough to tell."""


@dataclass
class _Stream:
    """What the markers before the coded data say."""

    codes: dict[int, str] = field(default_factory=dict)
    """Table class and number (as in DHT) -> bits of symbol 0."""
    sampling: dict[int, tuple[int, int]] = field(default_factory=dict)
    selectors: list[tuple[int, int, int]] = field(default_factory=list)
    restarts: bool = False
    sequential: bool = False
    start: int = 0


def tail_is_missing(data: bytes, pixels: Pixels) -> bool:
    """Tell whether a decoded JPEG ends in grey that its data do not hold.

    Only files of one sequential scan without restarts are judged; for others the answer is False.

    Parameters
    ----------
    data
        The file, known to reach its end marker.
    pixels
        What it decodes to, before any rotation.
    """
    if not bool((pixels[-1:, -1:] == _MIDDLE).all()):
        return False
    stream = _parse(data)
    if stream is None or not stream.sequential or stream.restarts or not stream.selectors:
        return False
    if len(stream.selectors) != len(stream.sampling):
        return False
    alone = len(stream.selectors) == 1
    wide = 8 if alone else 8 * max(h for h, _ in stream.sampling.values())
    high = 8 if alone else 8 * max(v for _, v in stream.sampling.values())
    flat = _flat_units(pixels, wide, high)
    if flat < 2:
        return False
    unit = ""
    for component, dc, ac in stream.selectors:
        codes = stream.codes.get(dc), stream.codes.get(0x10 | ac)
        if codes[0] is None or codes[1] is None:
            return True
        h, v = (1, 1) if alone else stream.sampling.get(component, (1, 1))
        unit += (codes[0] + codes[1]) * (h * v)
    return not _ends_in(data, stream.start, unit * (flat - 1))


def _flat_units(pixels: Pixels, wide: int, high: int) -> int:
    """Return how many coding units at the end of the last row of units are middle grey, at most 8."""
    rows, cols = pixels.shape[:2]
    strip = pixels[(rows - 1) // high * high :]
    count = 0
    for left in range((cols - 1) // wide * wide, -1, -wide):
        if count == _CHECKED or not bool(np.all(strip[:, left : left + wide] == _MIDDLE)):
            break
        count += 1
    return count


def _ends_in(data: bytes, start: int, pattern: str) -> bool:
    """Tell whether the coded data end in `pattern`, less up to seven filling ones."""
    end = data.rfind(b"\xff\xd9")
    coded = data[max(start, end - len(pattern) // 4 - 64) : end].replace(b"\xff\x00", b"\xff")
    bits = "".join(f"{byte:08b}" for byte in coded)
    for filling in range(8):
        if filling and not bits.endswith("1" * filling):
            return False
        if bits[: len(bits) - filling].endswith(pattern):
            return True
    return False


def _parse(data: bytes) -> _Stream | None:
    """Read the markers up to the coded data; None when they are not as expected."""
    stream, at = _Stream(), 2
    while at + 4 <= len(data) and data[at] == 0xFF:
        marker, length = data[at + 1], int.from_bytes(data[at + 2 : at + 4], "big")
        body = data[at + 4 : at + 2 + length]
        if marker == 0xFF:
            at += 1
            continue
        if marker in (0xC0, 0xC1) and len(body) >= 6:
            stream.sequential = True
            for i in range(body[5]):
                number, factors = body[6 + 3 * i : 8 + 3 * i]
                stream.sampling[number] = factors >> 4, factors & 15
        elif marker == 0xC4:
            _read_codes(body, stream.codes)
        elif marker == 0xDD:
            stream.restarts = any(body)
        elif marker == 0xDA and body:
            for i in range(body[0]):
                number, tables = body[1 + 2 * i : 3 + 2 * i]
                stream.selectors.append((number, tables >> 4, tables & 15))
            stream.start = at + 2 + length
            return stream
        at += 2 + length
    return None


def _read_codes(body: bytes, codes: dict[int, str]) -> None:
    """Note the code of symbol 0 of every Huffman table in a DHT segment (T.81, annex C)."""
    at = 0
    while at + 17 <= len(body):
        table, counts = body[at], body[at + 1 : at + 17]
        symbols = body[at + 17 : at + 17 + sum(counts)]
        codes.pop(table, None)
        code, position = 0, 0
        for bits, count in enumerate(counts, 1):
            for _ in range(count):
                if position < len(symbols) and symbols[position] == 0:
                    codes[table] = f"{code:0{bits}b}"
                code, position = code + 1, position + 1
            code <<= 1
        at += 17 + sum(counts)
