"""Hostile model files: each kind is refused with a typed error, and nothing is written anywhere."""

from __future__ import annotations

import stat
from pathlib import Path
from typing import Any

import pytest

from semeion.errors import ModelRefused
from semeion.model.opening import open_files
from semeion.model.packing import pack_model, unpack_model
from semeion.model.runtime import load_model
from semeion.model.signature import read_signature
from support.hostile import ARCHIVES, FOLDERS, files_of


def state(folder: Path) -> dict[str, Any]:
    """Return everything below a folder: kinds and contents."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        if stat.S_ISREG(mode := path.lstat().st_mode)
        else stat.S_IFMT(mode)
        for path in sorted(folder.rglob("*"))
    }


def tried(path: Path) -> None:
    """Do all that is done with a model of others."""
    read_signature(open_files(path))
    load_model(path, threads=1).try_out()


@pytest.mark.parametrize("kind", ARCHIVES)
def test_an_archive_of_this_kind_is_refused(kind: str, make_model: Any, tmp_path: Path) -> None:
    folder, good = make_model(), tmp_path / "good.semeion"
    pack_model(folder, good)
    tried(good)
    spoil, message = ARCHIVES[kind]
    bad = tmp_path / "bad.semeion"
    bad.write_bytes(spoil(good.read_bytes(), files_of(folder)))
    before = state(tmp_path)
    with pytest.raises(ModelRefused) as caught:
        tried(bad)
    assert caught.value.exit_status == 3
    assert message in str(caught.value)
    assert caught.value.fix
    assert str(caught.value).isprintable()
    if "signature" not in kind:
        with pytest.raises(ModelRefused):
            unpack_model(bad, tmp_path / "unpacked")
    assert state(tmp_path) == before, "nothing was written"


@pytest.mark.parametrize("kind", FOLDERS)
def test_a_folder_of_this_kind_is_refused(kind: str, make_model: Any, tmp_path: Path) -> None:
    folder = make_model()
    spoil, message = FOLDERS[kind]
    spoil(folder)
    before = state(tmp_path)
    with pytest.raises(ModelRefused) as caught:
        tried(folder)
    assert caught.value.exit_status == 3
    assert message in str(caught.value)
    assert caught.value.fix
    assert state(tmp_path) == before, "nothing was written"


def test_there_are_many_kinds() -> None:
    assert len(ARCHIVES) + len(FOLDERS) >= 100


def test_an_archive_that_was_cut_anywhere_is_refused(make_model: Any, tmp_path: Path) -> None:
    good = tmp_path / "good.semeion"
    pack_model(make_model(members=1), good)
    data, bad = good.read_bytes(), tmp_path / "bad.semeion"
    for stop in range(0, len(data), 13):
        bad.write_bytes(data[:stop])
        with pytest.raises(ModelRefused):
            open_files(bad)


def test_any_changed_byte_of_an_archive_is_refused(make_model: Any, tmp_path: Path) -> None:
    good = tmp_path / "good.semeion"
    pack_model(make_model(members=1), good)
    data, bad = good.read_bytes(), tmp_path / "bad.semeion"
    for at in range(0, len(data), 11):
        changed = bytearray(data)
        changed[at] ^= 1 << (at % 8)
        bad.write_bytes(changed)
        with pytest.raises(ModelRefused):
            open_files(bad)
