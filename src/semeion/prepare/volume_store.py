"""Model-ready volumes on disk, read by offset, so that memory does not grow with the cohort.

Every case has a key of its input and its steps. A build keeps what an earlier one left for the same key and makes only
what is missing, so a changed image costs one case, and a killed build goes on at the last whole shard.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from semeion.artefacts import machine_errors, read_json, remove_parts, whole_file, write_json
from semeion.cohort.volume import Grid
from semeion.cohort.volumes.read import read_grid, read_volume
from semeion.errors import ImageError, InputError, MachineError
from semeion.parallel import ordered_map, usable_cores
from semeion.prepare.volume import PreparedVolume, prepare_mask, prepare_volume, prepared_bytes
from semeion.prepare.volume_key import SAMPLES, case_key
from semeion.prepare.volume_spec import VolumePreparation
from semeion.progress import Progress

SHARD_BYTES = 64 << 20
"""A shard is closed when the next case would pass this; a larger case has one of its own. A killed build loses at most
this much work, and the limit of 256 MB a shard is kept."""
_ALIGN = 64
_HIGHEST = float(np.finfo(np.float16).max)


@dataclass(frozen=True)
class Entry:
    """Where one case lies. Offsets and counts in bytes and rows; the order in a shard: image, mask, samples."""

    key: str
    shard: int
    offset: int
    shape: tuple[int, int, int, int]
    mask_offset: int | None
    samples_offset: int
    samples: int
    grid: Grid
    source: Grid
    notes: tuple[str, ...] = ()

    @staticmethod
    def of(value: dict[str, Any]) -> Entry:
        """Make an entry of its JSON."""
        grids = {name: _grid(value[name]) for name in ("grid", "source")}
        planes, depth, height, width = value["shape"]
        return Entry(
            **(value | grids | {"shape": (planes, depth, height, width), "notes": tuple(value.get("notes", ()))})
        )


def _grid(value: dict[str, Any]) -> Grid:
    return Grid(*(tuple(value[name]) for name in ("size", "spacing", "origin", "direction")))


@dataclass(frozen=True)
class VolumeStore:
    """Prepared volumes of one cohort, in cohort order; what is read is a view of the file and must not be written."""

    folder: Path
    entries: tuple[Entry, ...]

    @property
    def n(self) -> int:
        """Number of cases."""
        return len(self.entries)

    def _mapped(self, row: int, offset: int, shape: tuple[int, ...], dtype: Any) -> npt.NDArray[Any]:
        # Mapped anew at each call: a mapping that is dropped gives its pages back, so memory stays flat.
        path = self.folder / _shard_name(self.entries[row].shard)
        return np.memmap(path, dtype=dtype, mode="r", offset=offset, shape=shape)

    def image(self, row: int) -> npt.NDArray[np.float16]:
        """Return the image of case `row`, float16 ``(C, D, H, W)``."""
        entry = self.entries[row]
        return self._mapped(row, entry.offset, entry.shape, np.float16)

    def mask(self, row: int) -> npt.NDArray[np.uint8] | None:
        """Return the mask of case `row` with its own labels, uint8 ``(D, H, W)``; None when it has none."""
        entry = self.entries[row]
        if entry.mask_offset is None:
            return None
        return self._mapped(row, entry.mask_offset, entry.shape[1:], np.uint8)

    def foreground(self, row: int) -> npt.NDArray[np.int32]:
        """Return places of labelled voxels, int32 ``(n, 4)`` of label, k, j, i: at most `SAMPLES` a label."""
        entry = self.entries[row]
        if entry.samples == 0:
            return np.zeros((0, 4), np.int32)
        return self._mapped(row, entry.samples_offset, (entry.samples, 4), np.int32)

    def shape(self, row: int) -> tuple[int, int, int, int]:
        """Return channels, D, H, W of case `row`."""
        return self.entries[row].shape

    def grid(self, row: int) -> Grid:
        """Return the grid of the prepared image."""
        return self.entries[row].grid

    def source(self, row: int) -> Grid:
        """Return the grid of the image as it was read."""
        return self.entries[row].source

    def notes(self, row: int) -> tuple[str, ...]:
        """Return the coded remarks of reading and preparing case `row`."""
        return self.entries[row].notes

    def prepared(self, row: int) -> PreparedVolume:
        """Return case `row` as it was prepared, but rounded to float16."""
        return PreparedVolume(self.image(row).astype(np.float32), self.grid(row), self.source(row), self.notes(row))


def build_volume_store(
    case_ids: Sequence[str],
    images: Sequence[tuple[str, ...]],
    masks: Sequence[str | None],
    spec: VolumePreparation,
    folder: Path,
    *,
    hashes: Sequence[str] | None = None,
    jobs: int | None = None,
    progress: Progress,
) -> VolumeStore:
    """Prepare every case once; what an earlier build left for the same input and steps is kept.

    At any time one case a worker is in memory.

    Parameters
    ----------
    case_ids, images, masks
        Of every case, in cohort order: references as :func:`semeion.cohort.volumes.read.read_volume` takes them.
    spec
        The steps.
    folder
        Where the shards go.
    hashes
        Of every case's voxels, as the scan found them. Without, an image counts as changed when its files' sizes or
        times are.

    Raises
    ------
    MachineError
        When the disk has too little room.
    InputError
        When an image or mask that could be read before cannot be read now, or does not fit the plan.
    """
    folder = Path(folder)
    keys = [case_key(images[row], masks[row], spec, hashes[row] if hashes else None) for row in range(len(case_ids))]
    with machine_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
    remove_parts(folder)
    kept = _kept(folder, set(keys))
    missing = [
        row for row in {key: row for row, key in reversed(list(enumerate(keys)))}.values() if keys[row] not in kept
    ]
    missing.sort()
    progress.start("preparing volumes", max(len(missing), 1))
    try:
        if missing:
            (folder / "index.parquet").unlink(missing_ok=True)
            _refuse_full_disk(folder, _need(missing, images, masks, spec))
        made = _made(missing, case_ids, images, masks, keys, spec, jobs or usable_cores(), progress)
        kept |= _write_shards(folder, made)
    finally:
        progress.finish()
    store = VolumeStore(folder, tuple(kept[key] for key in keys))
    if missing or not _index_is(folder, case_ids, keys):
        _write_index(store, case_ids)
    return store


def open_volume_store(folder: Path) -> VolumeStore:
    """Open a finished store: public, for who looks at what networks of a run see; the page on volumes shows it.

    Raises
    ------
    InputError
        When the store is absent or unfinished.
    """
    import pandas as pd

    folder = Path(folder)
    if not (folder / "index.parquet").exists():
        raise InputError("holds no finished store", where=str(folder), fix="run `semeion resume` on the run folder")
    index = pd.read_parquet(folder / "index.parquet", columns=["entry"])
    return VolumeStore(folder, tuple(Entry.of(json.loads(text)) for text in index["entry"]))


@dataclass(frozen=True)
class _Case:
    """One prepared case on its way to a shard."""

    key: str
    parts: tuple[npt.NDArray[Any], ...]
    shape: tuple[int, int, int, int]
    has_mask: bool
    prepared: PreparedVolume

    @property
    def nbytes(self) -> int:
        return sum(part.nbytes + _ALIGN for part in self.parts)


def _made(
    rows: list[int],
    case_ids: Sequence[str],
    images: Sequence[tuple[str, ...]],
    masks: Sequence[str | None],
    keys: list[str],
    spec: VolumePreparation,
    jobs: int,
    progress: Progress,
) -> Iterator[_Case]:
    """Yield prepared cases in order; `jobs` of them at a time are in memory."""

    def make(row: int) -> _Case:
        try:
            return _case(keys[row], images[row], masks[row], spec)
        except ImageError as error:
            place = f"{error.where}: " if error.where else ""
            raise InputError(
                f"cannot be prepared: {place}{error.what}",
                where=f"case {case_ids[row]}",
                fix=error.fix or "correct or restore the file and run again",
            ) from error

    for start in range(0, len(rows), jobs):
        for case in ordered_map(make, rows[start : start + jobs], jobs=jobs):
            yield case
            progress.advance()


def _case(key: str, image: tuple[str, ...], mask: str | None, spec: VolumePreparation) -> _Case:
    """Read and prepare one case."""
    several: Literal["channel"] | None = "channel" if len(image) < len(spec.channels) else None
    volumes = [read_volume(reference, several=several) for reference in image]
    drawn = read_volume(mask) if mask is not None else None
    prepared = prepare_volume(volumes, spec, region=drawn)
    del volumes
    labels = prepare_mask(drawn, prepared, where=mask) if drawn is not None else None
    pixels = np.clip(prepared.array, -_HIGHEST, _HIGHEST).astype(np.float16)
    planes, depth, height, width = pixels.shape
    samples = label_samples(labels, key) if labels is not None else np.zeros((0, 4), np.int32)
    parts = (pixels, samples) if labels is None else (pixels, labels, samples)
    small = PreparedVolume(np.zeros((0, 1, 1, 1), np.float32), prepared.grid, prepared.source, prepared.notes)
    return _Case(key, parts, (planes, depth, height, width), labels is not None, small)


def label_samples(labels: npt.NDArray[np.uint8], seed: str) -> npt.NDArray[np.int32]:
    """Return places of labelled voxels, int32 ``(n, 4)`` of label, k, j, i: at most `SAMPLES` a label, by `seed`."""
    rng = np.random.default_rng(int(hashlib.sha256(seed.encode()).hexdigest()[:16], 16))
    found = []
    for label in np.flatnonzero(np.bincount(labels.ravel(), minlength=1)):
        if label == 0:
            continue
        places = np.flatnonzero(labels == label)
        if len(places) > SAMPLES:
            places = np.sort(rng.choice(places, SAMPLES, replace=False))
        k, j, i = np.unravel_index(places, labels.shape)
        found.append(np.stack([np.full(len(places), label), k, j, i], axis=1).astype(np.int32))
    return np.concatenate(found) if found else np.zeros((0, 4), np.int32)


def _write_shards(folder: Path, cases: Iterator[_Case]) -> dict[str, Entry]:
    """Write cases to new shards, each with a list of what it holds; return where they are."""
    entries: dict[str, Entry] = {}
    case = next(cases, None)
    while case is not None:
        number = next(n for n in range(1 << 30) if not (folder / _shard_name(n)).exists())
        written: list[Entry] = []
        with whole_file(folder / _shard_name(number)) as temporary, temporary.open("wb") as out:
            while case is not None and (not written or out.tell() + case.nbytes <= SHARD_BYTES):
                written.append(_write_case(case, number, out))
                case = next(cases, None)
        write_json(folder / f"shard-{number:04d}.json", [asdict(entry) for entry in written])
        entries |= {entry.key: entry for entry in written}
    return entries


def _write_case(case: _Case, shard: int, out: Any) -> Entry:
    offsets = []
    for part in case.parts:
        out.write(bytes(-out.tell() % _ALIGN))
        offsets.append(out.tell())
        out.write(np.ascontiguousarray(part).data)
    mask = offsets[1] if case.has_mask else None
    prepared = case.prepared
    return Entry(
        case.key,
        shard,
        offsets[0],
        case.shape,
        mask,
        offsets[-1],
        len(case.parts[-1]),
        prepared.grid,
        prepared.source,
        prepared.notes,
    )


def _shard_name(number: int) -> str:
    return f"shard-{number:04d}.bin"


def _kept(folder: Path, wanted: set[str]) -> dict[str, Entry]:
    """Return what earlier builds left that is wanted; shards without anything wanted are removed."""
    kept: dict[str, Entry] = {}
    for shard in sorted(folder.glob("shard-*.bin")):
        listed = shard.with_suffix(".json")
        held = [Entry.of(value) for value in read_json(listed)] if listed.exists() else []
        good = {entry.key: entry for entry in held if entry.key in wanted and entry.key not in kept}
        if good:
            kept |= good
        else:
            shard.unlink()
            listed.unlink(missing_ok=True)
    return kept


def _need(
    rows: list[int], images: Sequence[tuple[str, ...]], masks: Sequence[str | None], spec: VolumePreparation
) -> int:
    """Return an upper bound of the bytes that cases need; one whose header is not cheap to read counts as the mean."""
    known = []
    for row in rows:
        try:
            grid = read_grid(images[row][0])
        except ImageError:
            grid = None  # told with the case's name when its turn comes
        if grid is not None:
            known.append(prepared_bytes(grid, spec, mask=masks[row] is not None))
    return int(np.mean(known) * len(rows)) if known else 0


def _refuse_full_disk(folder: Path, need: int) -> None:
    free = shutil.disk_usage(folder).free
    if need * 1.05 + (64 << 20) > free:
        raise MachineError(
            f"the prepared volumes need up to {need / 2**30:.2f} GiB and {free / 2**30:.2f} GiB are free",
            where=str(folder),
            fix="free some space, or choose another folder with -o",
        )


def _index_is(folder: Path, case_ids: Sequence[str], keys: list[str]) -> bool:
    """Tell whether the index lists these cases in this order."""
    import pandas as pd

    if not (folder / "index.parquet").exists():
        return False
    index = pd.read_parquet(folder / "index.parquet", columns=["case_id", "hash"])
    return index["case_id"].tolist() == list(case_ids) and index["hash"].tolist() == keys


def _write_index(store: VolumeStore, case_ids: Sequence[str]) -> None:
    import pandas as pd

    index = pd.DataFrame(
        {
            "case_id": list(case_ids),
            "shard": [entry.shard for entry in store.entries],
            "offset": [entry.offset for entry in store.entries],
            "shape": ["x".join(map(str, entry.shape)) for entry in store.entries],
            "dtype": "float16",
            "spacing": ["x".join(f"{one:g}" for one in entry.grid.spacing) for entry in store.entries],
            "hash": [entry.key for entry in store.entries],
            "entry": [json.dumps(asdict(entry)) for entry in store.entries],
        }
    )
    with whole_file(store.folder / "index.parquet") as temporary:
        index.to_parquet(temporary, index=False)
