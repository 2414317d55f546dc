"""Readers of what strangers send, tried on files that were changed at random, for as long as one likes.

``python -m support.fuzz READER SECONDS [SEED]`` in ``tests/`` writes what a reader could not bear to ``build/fuzz/``;
such files are then kept in ``tests/fuzz_cases/<reader>/``, which the tests read for ever. The mutations know nothing of
the code that they reach, as in Miller et al. (1990), "An empirical study of the reliability of UNIX utilities", and
start from files that are good: most of a format is behind its first bytes.
"""

from __future__ import annotations

import hashlib
import random
import sys
import tempfile
import time
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from support.fuzz_child import READERS as TABLE
from support.fuzz_child import Child
from support.fuzz_readers import READERS, Reader

CASES = Path(__file__).parents[1] / "fuzz_cases"
REMEMBERED = 200
"""Files before a death that are kept with it: what damages the heap may show only many files later."""
WORDS = [b"0", b"-1", b"1e999", b"NaN", b"null", b"true", b"[]", b"{}", b'"', b",", b"\n", b"\0", b"\xff\xff\xff\xff"]
WORDS += [b"\x7f\xff\xff\xff", b"\x80", b"../", b"schema", b"PK\x01\x02", b"\xef\xbb\xbf", b"999999999999", b"[" * 40]


@dataclass
class Account:
    """What came of trying a reader: `found` holds one text for each kind of trouble."""

    tried: int = 0
    peak_mib: int = 0
    found: dict[str, str] = field(default_factory=dict)


def mutated(data: bytes, others: list[bytes], chance: random.Random) -> bytes:
    """Return `data` with a few changes: bits, bytes, pieces left out, doubled, moved in from another file, words."""
    made = bytearray(data)
    for _ in range(chance.choice([1, 1, 1, 2, 3, 8])):
        at = chance.randrange(len(made) + 1)
        length = min(len(made) - at, chance.choice([1, 2, 4, 8, 64, 1000]))
        kind = chance.randrange(8)
        if kind == 0 and at < len(made):
            made[at] ^= 1 << chance.randrange(8)
        elif kind == 1 and at < len(made):
            made[at] = chance.choice([0, 1, 127, 128, 255, chance.randrange(256)])
        elif kind == 2:
            del made[at : at + length]
        elif kind == 3:
            made[at:at] = made[at : at + length]
        elif kind == 4:
            word = chance.choice(WORDS)
            made[at : at + chance.choice([0, len(word)])] = word
        elif kind == 5:
            other = chance.choice(others)
            start = chance.randrange(len(other) + 1)
            made[at : at + length] = other[start : start + length]
        elif kind == 6:
            made[at : at + 4] = chance.randrange(1 << 32).to_bytes(4, chance.choice(["little", "big"]))
        elif kind == 7 and chance.random() < 0.2:
            del made[at:]
    return bytes(made)


def fuzz(
    name: str,
    child: Child,
    seconds: float,
    seed: int,
    keep: Path,
    most: int | None = None,
    readers: dict[str, Reader] | None = None,
) -> Account:
    """Try a reader in `child` until the time is over or `most` files are read; keep a file for each kind of trouble."""
    reader, chance, account = (readers or READERS)[name], random.Random(seed), Account()
    before: deque[bytes] = deque(maxlen=REMEMBERED)
    with tempfile.TemporaryDirectory() as folder:
        seeds = reader.seeds(Path(folder))
        file = Path(folder) / f"fuzzed{reader.suffix}"
        end, started = time.monotonic() + seconds, child.started
        while time.monotonic() < end and (most is None or account.tried < most):
            data = mutated(chance.choice(seeds), seeds, chance)
            file.write_bytes(data)
            text = child.trouble(name, file)
            account.tried += 1
            if child.started != started:  # what a child that is gone has read did nothing to this one
                before.clear()
                started = child.started
            if text is not None and (what := kind_of(text)) not in account.found:
                account.found[what] = text
                stem = hashlib.sha256(data).hexdigest()[:12]
                keep.mkdir(parents=True, exist_ok=True)
                (keep / f"{stem}{reader.suffix}").write_bytes(data)
                if _died(text) and not _died(child.trouble(name, file)):
                    account.found[what] = f"{text}\nnot of this file alone: what it read before is in {stem}.before"
                    _write_all(keep / f"{stem}.before", before, reader.suffix)
            before.append(data)
    account.peak_mib = child.peak_mib
    return account


def kind_of(text: str) -> str:
    """Return a trouble's last line without its figures and the innermost place that it names."""
    _, native, thread = text.partition("Current thread")
    places = [line.strip() for line in (thread or text).splitlines() if line.startswith("  File ")]
    # A traceback ends with the innermost place; what faulthandler writes of a thread begins with it.
    place = "" if not places else places[0 if native else -1]
    return f"{text.strip().splitlines()[-1].split(':')[0]} in {place}"


def _died(text: str | None) -> bool:
    return text is not None and text.splitlines()[-1].startswith("dead: ")


def _write_all(folder: Path, files: Iterable[bytes], suffix: str) -> None:
    folder.mkdir(exist_ok=True)
    for number, data in enumerate(files):
        (folder / f"{number:03}{suffix}").write_bytes(data)


def main(arguments: list[str]) -> int:
    """Fuzz one reader, or each for its share of the time; the exit status is 1 when something was found."""
    name, seconds, seed = (*arguments, *["all", "60", "0"][len(arguments) :])[:3]
    if name != "all" and name not in READERS:
        print(f"no reader {name!r}; one of all, {', '.join(READERS)}")
        return 2
    names = list(READERS) if name == "all" else [name]
    status = 0
    for one in names:
        keep = CASES.parents[1] / "build" / "fuzz" / one
        with Child(TABLE) as child:
            account = fuzz(one, child, float(seconds) / len(names), int(seed), keep)
        kinds = f"{len(account.found)} kinds of trouble" + (f", kept in {keep}" if account.found else "")
        print(f"{one}: {account.tried} files, peak {account.peak_mib} MiB, {kinds}", flush=True)
        for text in account.found.values():
            print(text, flush=True)
        status |= bool(account.found)
    return int(status)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
