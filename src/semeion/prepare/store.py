"""Model-ready arrays on disk, read by offset, so that memory does not grow with the cohort."""

from __future__ import annotations

import hashlib
import math
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from semeion.artefacts import machine_errors, read_json, remove_parts, whole_file, write_json
from semeion.errors import ImageError, InputError, MachineError
from semeion.parallel import ordered_map
from semeion.prepare.case import Spec, case_shape, prepare_case_noted, read_case
from semeion.progress import Progress

SHARD_BYTES = 256 << 20
TOGETHER = 1 << 24
"""Values of the images that a network looks at together when it does not learn: of a volume the first layers alone
need some hundred bytes for each."""
STEPS_VERSION = 2
"""Raised whenever preparation gives other pixels for the same settings, or the store holds other files."""
Pixels = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Store:
    """Prepared images of one cohort, in cohort order.

    Attributes
    ----------
    folder
        Holds ``shard-0000.bin`` and on, each with its ``shard-0000.json`` of notes, ``index.parquet`` and
        ``store.json``.
    n
        Number of cases.
    shape
        Of each: planes, height and width; of volumes planes, slices, height and width.
    per_shard
        Cases in every shard but the last.
    """

    folder: Path
    n: int
    shape: tuple[int, ...]
    per_shard: int

    def take(self, rows: npt.NDArray[np.int64]) -> Pixels:
        """Return the images of `rows`, uint8 ``(len(rows), *shape)``, read from disk."""
        out = np.empty((len(rows), *self.shape), dtype=np.uint8)
        shard = rows // self.per_shard
        for number in np.unique(shard):
            chosen = np.flatnonzero(shard == number)
            out[chosen] = self._shard(int(number))[rows[chosen] - number * self.per_shard]
        return out

    def notes(self) -> list[tuple[str, ...]]:
        """Return the coded notes of preparing each case, in cohort order."""
        shards = (-(-self.n // self.per_shard)) if self.n else 0
        found = [read_json(_notes_file(self.folder, number)) for number in range(shards)]
        return [tuple(notes) for shard in found for notes in shard["notes"]]

    def _shard(self, number: int) -> npt.NDArray[np.uint8]:
        # Mapped anew at each call: a mapping that is dropped gives its pages back, so memory stays flat.
        count = min(self.per_shard, self.n - number * self.per_shard)
        path = self.folder / f"shard-{number:04d}.bin"
        return np.memmap(path, dtype=np.uint8, mode="r", shape=(count, *self.shape))

    def at_once(self, most: int) -> int:
        """Return how many images a network should look at together: `most`, fewer volumes than pictures."""
        return max(1, min(most, TOGETHER // math.prod(self.shape)))

    def batches(self, rows: npt.NDArray[np.int64], size: int = 64) -> Iterator[Pixels]:
        """Yield the images of `rows` in order, at most `size` at a time."""
        for start in range(0, len(rows), size):
            yield self.take(rows[start : start + size])


def build_store(
    case_ids: Sequence[str],
    references: Sequence[str] | Sequence[tuple[str, ...]],
    spec: Spec,
    folder: Path,
    *,
    groups: int = 1,
    hashes: Sequence[str] | None = None,
    taken: Callable[[int], tuple[Pixels, tuple[str, ...]]] | None = None,
    jobs: int | None = None,
    progress: Progress,
) -> Store:
    """Prepare every image once; an interrupted build goes on at the first shard that is missing.

    Parameters
    ----------
    case_ids, references
        Of every case, in cohort order; the references as :func:`semeion.prepare.case.read_case` takes them, several
        when a case has several images.
    spec
        The steps of preparation.
    groups
        Frames or views of a case, as :func:`semeion.prepare.case.prepare_case` takes them.
    hashes
        Of every image's pixels, as the scan found them; an image that was changed since is prepared anew.
    taken
        Gives the prepared image of a row and its notes where another store has them, and no image is read.
    folder
        Where the shards go; a store of another cohort or other steps in it is replaced.

    Raises
    ------
    MachineError
        When the disk has too little room.
    InputError
        When an image that could be read before cannot be read now.
    """
    several = [(reference,) if isinstance(reference, str) else reference for reference in references]
    shape = case_shape(spec, len(several[0]) if several else 1, groups)
    each = int(np.prod(shape))
    per_shard = max(1, min(SHARD_BYTES // each, len(case_ids)))
    digest = hashlib.sha256(f"{STEPS_VERSION} {groups} {per_shard} {spec.model_dump_json()}".encode())
    hashes = hashes or [""] * len(case_ids)
    for case_id, images, pixel_hash in zip(case_ids, several, hashes, strict=True):
        digest.update("\t".join((f"\n{case_id}", *images, pixel_hash)).encode())
    key = digest.hexdigest()
    store = Store(folder, len(case_ids), shape, per_shard)
    facts = folder / "store.json"
    if not facts.exists() or read_json(facts).get("key") != key:
        shutil.rmtree(folder, ignore_errors=True)
        with machine_errors(folder):
            folder.mkdir(parents=True, exist_ok=True)
        write_json(facts, {"schema": 1, "key": key, "n": store.n, "shape": list(shape), "per_shard": per_shard})
    remove_parts(folder)
    starts = [s for s in range(0, store.n, per_shard) if not (folder / f"shard-{s // per_shard:04d}.bin").exists()]
    _refuse_full_disk(folder, sum(min(per_shard, store.n - start) for start in starts) * each)
    progress.start("preparing images", sum(min(per_shard, store.n - start) for start in starts) or 1)

    def prepare(row: int) -> tuple[Pixels, tuple[str, ...]]:
        try:
            if taken is not None:
                return taken(row)
            prepared, notes = prepare_case_noted(read_case(several[row], spec, groups), spec, groups)
        except ImageError as error:
            raise InputError(
                f"the image could be read before and cannot now: {error.what}",
                where=f"case {case_ids[row]}",
                fix="restore the file and run `semeion resume`",
            ) from error
        if prepared.shape != shape:
            raise InputError(
                f"the case has planes and size {prepared.shape}, and {shape} is planned",
                where=f"case {case_ids[row]}",
                fix="see that every case has the same images and channels",
            )
        return prepared, notes

    for start in starts:
        number, rows = start // per_shard, range(start, min(start + per_shard, store.n))
        said: list[list[str]] = []
        with whole_file(folder / f"shard-{number:04d}.bin") as temporary, temporary.open("wb") as out:
            for pixels, notes in ordered_map(prepare, rows, jobs=jobs):
                out.write(np.ascontiguousarray(pixels).data)
                said.append(list(notes))
                progress.advance()
            # Before the shard gets its name: a shard that is there has its notes.
            write_json(_notes_file(folder, number), {"notes": said})
    if not (folder / "index.parquet").exists():
        _write_index(store, case_ids, hashes, spec)
    progress.finish()
    return store


def open_store(folder: Path) -> Store:
    """Open a finished store.

    Raises
    ------
    InputError
        When the store is absent or unfinished.
    """
    if not (folder / "index.parquet").exists():
        raise InputError("holds no finished store", where=str(folder), fix="run `semeion resume` on the run folder")
    facts = read_json(folder / "store.json")
    return Store(folder, int(facts["n"]), tuple(facts["shape"]), int(facts["per_shard"]))


def _notes_file(folder: Path, shard: int) -> Path:
    return folder / f"shard-{shard:04d}.json"


def _write_index(store: Store, case_ids: Sequence[str], hashes: Sequence[str], spec: Spec) -> None:
    import pandas as pd

    rows = np.arange(store.n)
    each = int(np.prod(store.shape))
    index = pd.DataFrame(
        {
            "case_id": list(case_ids),
            "shard": rows // store.per_shard,
            "offset": rows % store.per_shard * each,
            "shape": ["x".join(map(str, store.shape))] * store.n,
            "dtype": "uint8",
            "spacing": None,
            "hash": [
                hashlib.sha256(f"{STEPS_VERSION} {spec.model_dump_json()} {one}".encode()).hexdigest() for one in hashes
            ],
        }
    )
    with whole_file(store.folder / "index.parquet") as temporary:
        index.to_parquet(temporary, index=False)


def _refuse_full_disk(folder: Path, need: int) -> None:
    if not need:
        return
    free = shutil.disk_usage(folder).free
    if need * 1.05 + (64 << 20) > free:
        raise MachineError(
            f"the prepared images need {need / 2**30:.2f} GiB and {free / 2**30:.2f} GiB are free",
            where=str(folder),
            fix="free some space, or choose another folder with -o",
        )
