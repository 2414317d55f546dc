"""Features of frozen networks, taken once for each case and kept in the run folder."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from time import monotonic

import numpy as np
import numpy.typing as npt

from semeion.artefacts import read_json, whole_file, write_json
from semeion.errors import Interrupted
from semeion.prepare.store import Store

SAVE_SECONDS = 60.0
"""Features that were taken for longer than this are kept before more are, so that a killed run loses little."""
TOGETHER = 32
"""Pictures that go through the graph at a time; larger batches gain nothing on a processor and take memory."""

Features = npt.NDArray[np.float32]
Rows = npt.NDArray[np.int64]
Run = Callable[[npt.NDArray[np.uint8]], Features]
"""Runs the graph of the features as it ships: uint8 ``(N, planes, (slices,) rows, columns)`` to ``(N, features)``."""


def features_of(
    store: Store,
    rows: Rows,
    graph: Path,
    run: Run,
    width: int,
    *,
    pictures: int = 1,
    mirrored: bool = False,
    part: str = "",
    seen: Callable[[int, int], None] = lambda _done, _of: None,
    stop: Callable[[], bool] = lambda: False,
) -> Features:
    """Return the features of `rows`, taken by the graph that ships, or as they were taken before.

    Beside ``<recipe>.onnx`` stands ``<recipe>.npy``, float32 ``(cases of the store, features)`` with NaN where none was
    asked for yet, and ``<recipe>.json`` with the digest of graph and store that they belong to; features of another
    graph or store are removed. No label is looked at, so folds share them, and test cases are taken when they are asked
    for.

    Parameters
    ----------
    store, rows
        Prepared images, and the cases asked for; a case may be asked for twice.
    graph
        Path of the graph of a :class:`semeion.learn.pretrained.FrozenFeatures`.
    run, width
        Runs it, and how many features it gives.
    pictures
        That the graph looks at of each case: as many cases go through it at a time as have :data:`TOGETHER` together.
    mirrored
        Of the images with left and right exchanged: further learning cases. They are kept in ``<recipe>.mirrored.npy``.
    part
        Of which images besides the cases: those are kept in ``<recipe>.<part>.npy``.
    seen
        Called with the cases looked at and their number, while new ones are.
    stop
        Whether the user asked to stop.

    Raises
    ------
    Interrupted
        When the user asked to stop; what was taken is kept.
    MachineError
        When the disk is full.
    """
    name = ".".join([graph.stem, *([part] if part else []), *(["mirrored"] if mirrored else [])])
    file = graph.with_name(f"{name}.npy")
    _remove_stale(file, graph, store)
    missing = _missing(file, np.unique(rows))
    total = len(missing)
    while len(missing):
        began, done = monotonic(), 0
        with whole_file(file) as temporary:
            if file.exists():
                shutil.copyfile(file, temporary)
            else:
                _write_empty(temporary, store.n, width)
            bank = np.lib.format.open_memmap(temporary, mode="r+")
            for pixels in store.batches(missing, store.at_once(max(1, TOGETHER // pictures))):
                bank[missing[done : done + len(pixels)]] = run(_mirror(pixels) if mirrored else pixels)
                done += len(pixels)
                seen(total - len(missing) + done, total)
                if stop() or monotonic() - began > SAVE_SECONDS:
                    break
            bank.flush()
            del bank
        missing = missing[done:]
        if stop():
            raise Interrupted("stopped by the user", fix="continue with `semeion resume`")
    if not len(rows):
        return np.zeros((0, width), np.float32)
    return np.asarray(np.load(file, mmap_mode="r", allow_pickle=False)[rows])


def hand_on(graph: Path, cases: Sequence[str], to: Path, wanted: Sequence[str], store: Path) -> None:
    """Copy a graph of features, and what it gave of the cases in common, for another store of the same images.

    Parameters
    ----------
    graph, cases
        The graph beside whose features this is, and the case of each row of its store.
    to, wanted
        Where the copy goes, and the case of each row of the other store.
    store
        The folder of the other store; without one the graph alone is copied.
    """
    place = {name: row for row, name in enumerate(cases)}
    rows = np.array([place.get(name, -1) for name in wanted], dtype=np.int64)
    held = store / "store.json"
    for suffix in ("", ".mirrored") if held.exists() else ():
        file = graph.with_name(f"{graph.stem}{suffix}.npy")
        if not file.exists():
            continue
        known = np.load(file, mmap_mode="r", allow_pickle=False)
        own = to.with_name(f"{to.stem}{suffix}.npy")
        with whole_file(own) as temporary:
            _write_empty(temporary, len(rows), known.shape[1])
            bank = np.lib.format.open_memmap(temporary, mode="r+")
            for row in np.flatnonzero(rows >= 0):
                bank[row] = known[rows[row]]
            bank.flush()
            del bank
        key = hashlib.sha256(graph.read_bytes() + read_json(held)["key"].encode()).hexdigest()
        write_json(own.with_suffix(".json"), {"schema": 1, "key": key})
    # Last: with a graph there are its features.
    with whole_file(to) as temporary:
        shutil.copyfile(graph, temporary)


def _mirror(pixels: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    return np.ascontiguousarray(pixels[..., ::-1])


def _remove_stale(file: Path, graph: Path, store: Store) -> None:
    """Remove features of another graph or store, and say whose the next ones are."""
    key = hashlib.sha256(graph.read_bytes() + read_json(store.folder / "store.json")["key"].encode()).hexdigest()
    facts = file.with_suffix(".json")
    if facts.exists() and read_json(facts).get("key") == key:
        return
    # First the features: a key must never stand beside features of another one.
    file.unlink(missing_ok=True)
    write_json(facts, {"schema": 1, "key": key})


def _missing(file: Path, rows: Rows) -> Rows:
    """Return which of `rows` have no features yet."""
    if not file.exists():
        return rows
    known = np.load(file, mmap_mode="r", allow_pickle=False)
    return np.asarray(rows[np.isnan(known[rows, 0])])


def _write_empty(path: Path, cases: int, width: int) -> None:
    """Write features of no case. Every byte is written: a full disk is told now, and not by a signal to a mapping."""
    header = {"descr": "<f4", "fortran_order": False, "shape": (cases, width)}
    line = np.full(width, np.nan, "<f4").tobytes()
    with path.open("wb") as out:
        np.lib.format.write_array_header_1_0(out, header)
        for _ in range(cases):
            out.write(line)
