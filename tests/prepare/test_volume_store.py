"""The store of volumes: what preparation makes, read by offset; only what changed is made again."""

from __future__ import annotations

import json
import os
from collections import namedtuple
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from semeion.cohort.volume import Grid, Volume
from semeion.cohort.volumes.read import read_volume
from semeion.errors import InputError, MachineError
from semeion.prepare import volume_store as module
from semeion.prepare.volume import prepare_mask, prepare_volume, prepared_bytes
from semeion.prepare.volume_key import SAMPLES
from semeion.prepare.volume_spec import VolumePreparation
from semeion.prepare.volume_store import VolumeStore, build_volume_store, label_samples, open_volume_store
from semeion.progress import Silent
from support.volumes import blob, save_nifti, save_volume

SPEC = VolumePreparation(spacing=(1.0, 1.0, None), interpolation="linear")
Usage = namedtuple("Usage", "total used free")


class Cases:
    """Seven small volumes of several sizes; the last has no mask."""

    def __init__(self, folder: Path) -> None:
        self.ids = [f"c{number}" for number in range(7)]
        self.images: list[tuple[str, ...]] = []
        self.masks: list[str | None] = []
        for number in range(7):
            self.save(folder, number, number)

    def save(self, folder: Path, number: int, seed: int) -> None:
        values = blob((6 + number, 20, 24), seed)
        grid = Grid((24, 20, 6 + number), (1.25, 1.5, 3.0), (1.0, 2.0, number))
        image = save_volume(folder / f"image{number}.nii.gz", Volume(values[np.newaxis], grid))
        mask = save_volume(folder / f"mask{number}.nii.gz", Volume((values > 50).astype(np.uint8)[np.newaxis], grid))
        if number == len(self.images):
            self.images.append((image,))
            self.masks.append(mask if number < 6 else None)


@pytest.fixture
def cases(tmp_path: Path) -> Cases:
    return Cases(tmp_path)


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the images that are read from here on."""
    names: list[str] = []

    def reading(ref: str, **more: Any) -> Volume:
        if Path(ref).name.startswith("image"):
            names.append(Path(ref).name.split(".")[0])
        return read_volume(ref, **more)

    monkeypatch.setattr(module, "read_volume", reading)
    return names


def build(cases: Cases, folder: Path, spec: VolumePreparation = SPEC, **more: Any) -> VolumeStore:
    more = {"jobs": 2, "progress": Silent()} | more
    return build_volume_store(cases.ids, cases.images, cases.masks, spec, folder, **more)


def check(store: VolumeStore, cases: Cases, spec: VolumePreparation = SPEC) -> None:
    """Hold a store to what preparation makes of each case."""
    assert store.n == len(cases.ids)
    for row, ((image,), mask) in enumerate(zip(cases.images, cases.masks, strict=True)):
        wanted = prepare_volume([read_volume(image)], spec)
        assert store.image(row).dtype == np.float16
        np.testing.assert_array_equal(store.image(row), wanted.array.astype(np.float16))
        assert store.shape(row) == wanted.array.shape
        assert (store.grid(row), store.source(row)) == (wanted.grid, wanted.source)
        kept = store.mask(row)
        if mask is None:
            assert kept is None
            assert store.foreground(row).shape == (0, 4)
            continue
        labels = prepare_mask(read_volume(mask), wanted)
        np.testing.assert_array_equal(kept, labels)
        samples = store.foreground(row)
        assert samples.dtype == np.int32
        assert len(samples) == min(SAMPLES, int((labels == 1).sum()))
        assert len(np.unique(samples, axis=0)) == len(samples)
        assert (labels[tuple(samples[:, 1:].T)] == samples[:, 0]).all()


def test_it_holds_what_preparation_makes_of_each_case(cases: Cases, tmp_path: Path) -> None:
    store = build(cases, tmp_path / "store")
    check(store, cases)
    assert open_volume_store(tmp_path / "store") == store
    back = store.prepared(2)
    assert back.grid == store.grid(2)
    assert back.array.dtype == np.float32


def test_shards_are_bounded_and_found_by_offset(cases: Cases, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SHARD_BYTES", 60_000)
    store = build(cases, tmp_path / "store")
    check(store, cases)
    shards = sorted((tmp_path / "store").glob("shard-*.bin"))
    assert len(shards) > 2
    biggest = max(prepared_bytes(store.source(row), SPEC, mask=True) + 4 * SAMPLES * 4 for row in range(7))
    assert all(shard.stat().st_size <= max(60_000, biggest) for shard in shards)
    index = pd.read_parquet(tmp_path / "store" / "index.parquet")
    assert {"case_id", "shard", "offset", "shape", "dtype", "spacing", "hash"} <= set(index.columns)
    assert index["case_id"].tolist() == cases.ids
    for row, entry in index.iterrows():
        shape = tuple(map(int, entry["shape"].split("x")))
        data = shards[entry["shard"]].read_bytes()[entry["offset"] :]
        array = np.frombuffer(data, np.float16, count=int(np.prod(shape))).reshape(shape)
        np.testing.assert_array_equal(array, store.image(int(row)))


def test_what_is_there_is_not_made_again(cases: Cases, tmp_path: Path, made: list[str]) -> None:
    first = build(cases, tmp_path / "store")
    assert len(made) == 7
    made.clear()
    assert build(cases, tmp_path / "store") == first
    assert made == []


def test_a_changed_image_or_mask_redoes_that_case_only(cases: Cases, tmp_path: Path, made: list[str]) -> None:
    build(cases, tmp_path / "store")
    made.clear()
    cases.save(tmp_path, 3, 99)
    check(build(cases, tmp_path / "store"), cases)
    assert made == ["image3"]
    made.clear()
    os.utime(str(cases.masks[5]), ns=(1, 1))
    build(cases, tmp_path / "store")
    assert made == ["image5"]


def test_hashes_of_voxels_decide_when_given(cases: Cases, tmp_path: Path, made: list[str]) -> None:
    hashes = [f"h{number}" for number in range(7)]
    build(cases, tmp_path / "store", hashes=hashes)
    made.clear()
    os.utime(cases.images[3][0], ns=(1, 1))
    build(cases, tmp_path / "store", hashes=hashes)
    assert made == []
    hashes[4] = "other"
    build(cases, tmp_path / "store", hashes=hashes)
    assert made == ["image4"]


def test_a_corrected_spacing_redoes_a_case_of_the_same_voxels(cases: Cases, tmp_path: Path, made: list[str]) -> None:
    hashes = ["the same"] * 7
    build(cases, tmp_path / "store", hashes=hashes)
    made.clear()
    volume = read_volume(cases.images[2][0])
    grid = replace(volume.grid, spacing=(1.0, 1.0, 4.0))
    for path in (cases.images[2][0], str(cases.masks[2])):
        save_volume(Path(path), Volume(read_volume(path).voxels, grid))
    check(build(cases, tmp_path / "store", hashes=hashes), cases)
    assert made == ["image2"]


def test_other_steps_redo_all_and_leave_no_old_shards(cases: Cases, tmp_path: Path, made: list[str]) -> None:
    build(cases, tmp_path / "store")
    made.clear()
    other = VolumePreparation(spacing=(2.0, 2.0, None))
    check(build(cases, tmp_path / "store", other), cases, other)
    assert len(made) == 7
    assert len(list((tmp_path / "store").glob("shard-*.bin"))) == 1


def test_other_cases_or_another_order_reuse_what_fits(cases: Cases, tmp_path: Path, made: list[str]) -> None:
    build(cases, tmp_path / "store")
    made.clear()
    for name in ("ids", "images", "masks"):
        setattr(cases, name, getattr(cases, name)[4:1:-1])
    store = build(cases, tmp_path / "store")
    check(store, cases)
    assert made == []
    assert open_volume_store(tmp_path / "store") == store


def test_a_killed_build_goes_on_at_the_last_whole_shard(
    cases: Cases, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, made: list[str]
) -> None:
    monkeypatch.setattr(module, "SHARD_BYTES", 40_000)
    folder = tmp_path / "store"
    real, seen = module._write_case, []

    def killed(case: Any, shard: int, out: Any) -> Any:
        seen.append(case)
        if len(seen) == 5:
            raise KeyboardInterrupt
        return real(case, shard, out)

    monkeypatch.setattr(module, "_write_case", killed)
    with pytest.raises(KeyboardInterrupt):
        build(cases, folder)
    assert not (folder / "index.parquet").exists()
    with pytest.raises(InputError, match="holds no finished store; run `semeion resume` on the run folder"):
        open_volume_store(folder)
    kept = sum(len(json.loads(path.read_text())) for path in folder.glob("shard-*.json"))
    assert 1 <= kept < 5
    # What a kill in other moments leaves: an unfinished file, and a shard whose list was not written yet.
    (folder / ".shard-0009.bin.x.part").write_bytes(b"half")
    (folder / "shard-0008.bin").write_bytes(b"no list")
    monkeypatch.setattr(module, "_write_case", real)
    made.clear()
    check(build(cases, folder, jobs=1), cases)
    assert made == [f"image{number}" for number in range(kept, 7)]
    assert not list(folder.glob(".*.part"))
    assert not (folder / "shard-0008.bin").exists()


def test_a_full_disk_is_refused_before_anything_is_made(
    cases: Cases, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, made: list[str]
) -> None:
    monkeypatch.setattr(module.shutil, "disk_usage", lambda _: Usage(1 << 40, 0, 1 << 20))
    with pytest.raises(MachineError, match=r"the prepared volumes need up to 0.00 GiB and 0.00 GiB are free"):
        build(cases, tmp_path / "store")
    assert made == []


def test_the_room_asked_for_is_never_too_small(cases: Cases, tmp_path: Path) -> None:
    for spec in (SPEC, VolumePreparation(), VolumePreparation(crop="body"), VolumePreparation(size=(8, 8, 8))):
        store = build(cases, tmp_path / "store", spec)
        for row in range(7):
            grid = store.source(row)
            stored = store.image(row).nbytes + (0 if store.mask(row) is None else int(np.prod(store.shape(row)[1:])))
            assert prepared_bytes(grid, spec, mask=True) >= stored


def test_a_case_that_cannot_be_prepared_is_named(cases: Cases, tmp_path: Path) -> None:
    Path(cases.images[2][0]).write_bytes(b"gone bad")
    with pytest.raises(InputError) as caught:
        build(cases, tmp_path / "store")
    text = str(caught.value)
    assert text.startswith("case c2: cannot be prepared: ")
    assert "image2.nii.gz: is no volume that can be read: it looks like text" in text


def test_a_mask_of_another_grid_is_named(cases: Cases, tmp_path: Path) -> None:
    cases.masks[1] = cases.masks[4]
    with pytest.raises(InputError, match=r"case c1: .*mask4.nii.gz: the mask has 24 x 20 x 10 voxels and its image"):
        build(cases, tmp_path / "store")


def test_cases_of_one_image_are_made_once(cases: Cases, tmp_path: Path, made: list[str]) -> None:
    cases.images[4], cases.masks[4] = cases.images[0], cases.masks[0]
    check(build(cases, tmp_path / "store"), cases)
    assert len(made) == 6


def test_channels_of_one_file_and_a_region_to_crop_to(tmp_path: Path) -> None:
    values = blob((6, 20, 24))
    image = save_nifti(tmp_path / "image.nii", np.stack([values, 100 - values]))
    mask = save_nifti(tmp_path / "mask.nii", (values > 130).astype(np.uint8))
    spec = VolumePreparation(channels=["a", "b"], crop="mask", margin_mm=2)
    store = build_volume_store(["c"], [(image,)], [mask], spec, tmp_path / "store", progress=Silent())
    assert store.shape(0)[0] == 2
    assert np.prod(store.shape(0)[1:]) < values.size
    assert (np.asarray(store.mask(0)) == 1).sum() == (values > 130).sum()


def test_what_float16_cannot_hold_is_its_largest(tmp_path: Path) -> None:
    values = blob((6, 20, 24)) * 1000
    image = save_nifti(tmp_path / "image.nii", values)
    spec = VolumePreparation(intensity=[{"kind": "fixed", "low": -1, "high": 1e9, "mean": 0, "std": 1}])
    store = build_volume_store(["c"], [(image,)], [None], spec, tmp_path / "store", progress=Silent())
    assert float(np.max(store.image(0))) == 65504
    assert np.isfinite(store.image(0)).all()


def test_samples_are_capped_and_repeat() -> None:
    labels = np.zeros((20, 30, 40), np.uint8)
    labels[:10] = 1
    labels[12, 3, :5] = 7
    samples = label_samples(labels, "key")
    assert (samples[:, 0] == 1).sum() == SAMPLES
    assert (samples[:, 0] == 7).sum() == 5
    np.testing.assert_array_equal(samples, label_samples(labels, "key"))
    assert not np.array_equal(samples, label_samples(labels, "other"))
    assert label_samples(np.zeros((2, 2, 2), np.uint8), "key").shape == (0, 4)


def test_the_index_is_plain_json_and_numbers(cases: Cases, tmp_path: Path) -> None:
    build(cases, tmp_path / "store")
    entry = json.loads(pd.read_parquet(tmp_path / "store" / "index.parquet")["entry"][0])
    assert entry["source"]["size"] == [24, 20, 6]
    with pytest.raises(InputError, match="holds no finished store"):
        open_volume_store(tmp_path / "absent")
