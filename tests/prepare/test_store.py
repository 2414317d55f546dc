from __future__ import annotations

import shutil
from collections import namedtuple
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest
from scipy.ndimage import gaussian_filter

from semeion.artefacts import read_json
from semeion.cohort.reading import read_image
from semeion.cohort.volume import Grid, Volume
from semeion.errors import InputError, MachineError
from semeion.prepare import case as case_module
from semeion.prepare import store as module
from semeion.prepare.register import registered
from semeion.prepare.spec import Cleaning, Preparation
from semeion.prepare.store import SHARD_BYTES, Store, build_store, open_store
from semeion.prepare.transform import prepare_image
from semeion.prepare.volume_spec import VolumePreparation
from semeion.progress import Silent
from support.volumes import save_volume

SPEC = Preparation(size=(12, 14))
EACH = 12 * 14
Usage = namedtuple("Usage", "total used free")


class Counting(Silent):
    def __init__(self):
        self.total, self.done, self.finished = 0.0, 0.0, False

    def start(self, work, total):
        self.work, self.total = work, total

    def advance(self, amount=1.0, note=""):
        self.done += amount

    def finish(self):
        self.finished = True


@pytest.fixture
def files(tmp_path, tissue):
    """Ten real pictures of several sizes, the last one in colour."""
    names = []
    for number in range(10):
        picture = tissue(20 + number, 30, number)
        if number == 9:
            picture = np.repeat(picture, 3, axis=2) // np.array([1, 2, 3], np.uint8)
        names.append(str(tmp_path / f"PATIENT-{number}.png"))
        cv2.imwrite(names[-1], picture)
    return names


@pytest.fixture(autouse=True)
def _small_shards(monkeypatch):
    monkeypatch.setattr(module, "SHARD_BYTES", 4 * EACH + 5)


def ids(files):
    return [f"c{number}" for number in range(len(files))]


def build(files, folder, spec=SPEC, progress=None, case_ids=None):
    return build_store(case_ids or ids(files), files, spec, folder, jobs=1, progress=progress or Silent())


def read(files, spec=SPEC):
    return np.stack([prepare_image(read_image(file), spec) for file in files])


@pytest.fixture
def reads(monkeypatch):
    """The pictures that are read from here on."""
    kept = []
    monkeypatch.setattr(case_module, "read_image", lambda ref, **_: (kept.append(ref), read_image(ref))[1])
    return kept


@pytest.mark.parametrize(
    "spec", [SPEC, Preparation(size=(12, 14), channels=3, fit="stretch", clean=Cleaning(equalise=True))]
)
def test_it_holds_what_preparation_makes_of_each_case(files, tmp_path, spec):
    store = build(files, tmp_path / "store", spec)
    wanted = read(files, spec)
    assert store.shape == wanted.shape[1:]
    assert store.n == 10
    assert np.array_equal(store.take(np.arange(10)), wanted)


@pytest.mark.parametrize("rows", [[3], [9, 0, 5, 5, 4, 3], [], list(range(9, -1, -1))])
def test_rows_are_taken_in_any_order_from_any_shard(files, tmp_path, rows):
    store = build(files, tmp_path / "store")
    rows = np.array(rows, dtype=np.int64)
    taken = store.take(rows)
    assert taken.dtype == np.uint8
    assert taken.shape == (len(rows), 1, 12, 14)
    assert np.array_equal(taken, read(files)[rows])
    # A copy of its own: writing to it changes no file.
    taken[...] = 0
    assert np.array_equal(store.take(rows), read(files)[rows])


def test_batches_follow_the_rows(files, tmp_path):
    store = build(files, tmp_path / "store")
    rows = np.array([7, 1, 8, 2, 0])
    batches = list(store.batches(rows, 2))
    assert [len(batch) for batch in batches] == [2, 2, 1]
    assert np.array_equal(np.concatenate(batches), read(files)[rows])


def test_shards_are_bounded_and_found_by_offset(files, tmp_path):
    build(files, tmp_path / "store")
    shards = sorted((tmp_path / "store").glob("shard-*.bin"))
    assert [shard.stat().st_size for shard in shards] == [4 * EACH, 4 * EACH, 2 * EACH]
    index = pd.read_parquet(tmp_path / "store" / "index.parquet")
    assert {"case_id", "shard", "offset", "shape", "dtype", "spacing", "hash"} <= set(index.columns)
    assert index["case_id"].tolist() == ids(files)
    wanted = read(files)
    for row, entry in index.iterrows():
        data = shards[entry["shard"]].read_bytes()[entry["offset"] : entry["offset"] + EACH]
        assert np.array_equal(
            np.frombuffer(data, entry["dtype"]).reshape([int(s) for s in entry["shape"].split("x")]), wanted[row]
        )


def test_shards_are_at_most_256_mib():
    assert SHARD_BYTES == 256 * 2**20


def test_open_gives_the_same_store(files, tmp_path):
    built = build(files, tmp_path / "store")
    opened = open_store(tmp_path / "store")
    assert opened == built
    assert np.array_equal(opened.take(np.arange(10)), read(files))


def test_progress_counts_the_cases(files, tmp_path):
    progress = Counting()
    build(files, tmp_path / "store", progress=progress)
    assert (progress.work, progress.total, progress.done, progress.finished) == ("preparing images", 10, 10, True)


# Going on


def test_a_finished_store_reads_no_picture_again(files, tmp_path, reads):
    first = build(files, tmp_path / "store")
    reads.clear()
    for file in files:
        (tmp_path / file).unlink()
    assert build(files, tmp_path / "store") == first
    assert reads == []


def test_it_goes_on_at_the_shard_that_is_missing(files, tmp_path, reads):
    build(files, tmp_path / "store")
    (tmp_path / "store" / "shard-0001.bin").unlink()
    reads.clear()
    progress = Counting()
    store = build(files, tmp_path / "store", progress=progress)
    assert reads == files[4:8]
    assert progress.total == progress.done == 4
    assert np.array_equal(store.take(np.arange(10)), read(files))


def test_an_interrupted_build_is_unfinished_and_goes_on(files, tmp_path, monkeypatch):
    def interrupted(ref, **_):
        if ref == files[6]:
            raise KeyboardInterrupt
        return read_image(ref)

    monkeypatch.setattr(case_module, "read_image", interrupted)
    with pytest.raises(KeyboardInterrupt):
        build(files, tmp_path / "store")
    # Whole shards only, and no half one beside them.
    left = sorted(file.name for file in (tmp_path / "store").iterdir())
    assert left == ["shard-0000.bin", "shard-0000.json", "store.json"]
    with pytest.raises(InputError, match="holds no finished store; run `semeion resume` on the run folder"):
        open_store(tmp_path / "store")
    kept = []
    monkeypatch.setattr(case_module, "read_image", lambda ref, **_: (kept.append(ref), read_image(ref))[1])
    store = build(files, tmp_path / "store")
    assert kept == files[4:]
    assert np.array_equal(store.take(np.arange(10)), read(files))


def test_other_steps_prepare_everything_anew(files, tmp_path, reads):
    build(files, tmp_path / "store")
    reads.clear()
    other = Preparation(size=(12, 14), intensity="percentiles")
    store = build(files, tmp_path / "store", other)
    assert reads == files
    assert np.array_equal(store.take(np.arange(10)), read(files, other))


def test_another_cohort_prepares_everything_anew(files, tmp_path, reads):
    build(files, tmp_path / "store")
    reads.clear()
    store = build(files[:7], tmp_path / "store")
    assert len(reads) == 7
    shards = sorted(file.name for file in (tmp_path / "store").glob("shard-*.bin"))
    assert shards == ["shard-0000.bin", "shard-0001.bin"]
    assert store.n == open_store(tmp_path / "store").n == 7
    reads.clear()
    build(files[:7], tmp_path / "store", case_ids=[f"other{k}" for k in range(7)])
    assert len(reads) == 7
    assert pd.read_parquet(tmp_path / "store" / "index.parquet")["case_id"][0] == "other0"


def test_other_shards_are_not_mixed_with_the_present_ones(files, tmp_path, monkeypatch):
    build(files, tmp_path / "store")
    (tmp_path / "store" / "shard-0001.bin").unlink()
    monkeypatch.setattr(module, "SHARD_BYTES", 3 * EACH)
    store = build(files, tmp_path / "store")
    assert np.array_equal(store.take(np.arange(10)), read(files))
    assert open_store(tmp_path / "store") == store


# What goes wrong


def test_a_full_disk_is_refused_before_anything_is_read(files, tmp_path, monkeypatch, reads):
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(2**40, 2**40, 2**20))
    with pytest.raises(MachineError) as caught:
        build(files, tmp_path / "store")
    assert caught.value.what == "the prepared images need 0.00 GiB and 0.00 GiB are free"
    assert caught.value.where == str(tmp_path / "store")
    assert caught.value.fix == "free some space, or choose another folder with -o"
    assert caught.value.exit_status == 4
    assert reads == []


def test_what_a_large_cohort_needs_is_said(tmp_path, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(2**40, 2**40, 5 * 2**30))
    n = 20_000
    spec = Preparation(size=(512, 512))
    with pytest.raises(MachineError, match=r"the prepared images need 4\.88 GiB and 5\.00 GiB are free"):
        build_store([str(k) for k in range(n)], ["x.png"] * n, spec, tmp_path / "store", jobs=1, progress=Silent())


def test_a_finished_store_needs_no_room(files, tmp_path, monkeypatch):
    first = build(files, tmp_path / "store")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(2**40, 2**40, 2**20))
    assert build(files, tmp_path / "store") == first


@pytest.mark.parametrize("damage", ["gone", "empty", "short"])
def test_a_picture_that_cannot_be_read_any_more_is_named_by_its_case(files, tmp_path, damage):
    file = Path(files[5])
    data = file.read_bytes()
    if damage == "gone":
        file.unlink()
    else:
        file.write_bytes(b"" if damage == "empty" else data[: len(data) // 2])
    with pytest.raises(InputError) as caught:
        build(files, tmp_path / "store")
    assert caught.value.where == "case c5"
    assert caught.value.what.startswith("the image could be read before and cannot now: ")
    assert caught.value.fix == "restore the file and run `semeion resume`"
    # Restored, it goes on.
    file.write_bytes(data)
    assert np.array_equal(build(files, tmp_path / "store").take(np.arange(10)), read(files))


def test_the_name_of_the_file_may_name_the_patient_and_is_not_in_the_message(files, tmp_path):
    Path(files[5]).unlink()
    with pytest.raises(InputError) as caught:
        build(files, tmp_path / "store")
    assert "PATIENT" not in str(caught.value)


def test_a_write_that_was_killed_leaves_nothing_for_good(files, tmp_path):
    (tmp_path / "store").mkdir()
    build(files, tmp_path / "store")
    (tmp_path / "store" / "shard-0001.bin").unlink()
    (tmp_path / "store" / ".shard-0001.bin.x1y2.part").write_bytes(b"half of 256 MiB")
    build(files, tmp_path / "store")
    assert not list((tmp_path / "store").glob(".*.part"))


def test_no_store_at_all(tmp_path):
    with pytest.raises(InputError, match="holds no finished store"):
        open_store(tmp_path / "nothing")


def test_nothing_names_the_files_of_the_patients(files, tmp_path):
    build(files, tmp_path / "store")
    assert "PATIENT" not in str(read_json(tmp_path / "store" / "store.json"))
    assert b"PATIENT" not in (tmp_path / "store" / "index.parquet").read_bytes()


def test_a_store_is_a_value():
    assert Store(Path("a"), 3, (1, 2, 2), 2) == Store(Path("a"), 3, (1, 2, 2), 2)


def test_it_keeps_what_registration_said_of_each_case(tmp_path):
    """Two contrasts of one head, the second shifted by 4 mm; and the same pair where it lies."""
    spec = VolumePreparation(channels=["T1", "T2"], size=(12, 24, 24), size_mode="stretch", registration="rigid")
    values = gaussian_filter(np.random.default_rng(0).random((12, 24, 24)), 2.0).astype(np.float32) * 1000
    grid = Grid((24, 24, 12), (2.0, 2.0, 2.0), (0.0, 0.0, 0.0))
    there = Volume(values[np.newaxis], grid)
    inverted = replace(there, voxels=values.max() - there.voxels)
    moved = replace(inverted, grid=replace(grid, origin=(4.0, 0.0, 0.0)))
    first, second, third = (
        save_volume(tmp_path / f"{number}.nii.gz", volume) for number, volume in enumerate((there, inverted, moved))
    )
    pairs = [(first, second), (first, third)]
    store = build_store(["lies", "moved"], pairs, spec, tmp_path / "store", progress=Silent())
    assert store.per_shard == 1  # each case in a shard of its own, with its own notes
    (found,) = registered(store.notes())
    assert (found["channel"], found["cases"], found["moved"]) == ("T2", 2, 1)
    assert found["largest_mm"] == pytest.approx(4, abs=0.5)
    assert registered(open_store(tmp_path / "store").notes()) == [found]


def test_pictures_have_no_notes(files, tmp_path):
    store = build_store(ids(files), files, SPEC, tmp_path / "store", progress=Silent())
    assert store.notes() == [()] * len(files)


@pytest.mark.parametrize(("shape", "many"), [((1, 28, 28), 128), ((1, 96, 96, 96), 18), ((1, 512, 512, 512), 1)])
def test_a_network_looks_at_fewer_volumes_than_pictures_together(shape: tuple[int, ...], many: int) -> None:
    assert Store(Path("a"), 3, shape, 2).at_once(128) == many
