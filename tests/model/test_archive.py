from __future__ import annotations

import hashlib
import zipfile
from pathlib import Path

import numpy as np
import pytest

from semeion.errors import InputError, MachineError, ModelRefused
from semeion.model.archive import read_archive, write_archive
from semeion.model.opening import open_files
from semeion.model.packing import pack_model, unpack_model
from semeion.model.runtime import load_model
from support.hostile import files_of


def test_a_model_is_packed_and_unpacked_byte_for_byte(make_model, tmp_path):
    folder, packed = make_model("multiclass"), tmp_path / "out" / "m.semeion"
    digest = pack_model(folder, packed)
    assert digest == open_files(folder).hash == open_files(packed).hash
    assert unpack_model(packed, tmp_path / "again") == digest
    assert files_of(tmp_path / "again") == files_of(folder)
    assert sorted(path.name for path in packed.parent.iterdir()) == ["m.semeion"]


def test_the_bytes_follow_from_the_model_alone(make_model, tmp_path):
    folder = make_model()
    pack_model(folder, tmp_path / "a.semeion")
    unpack_model(tmp_path / "a.semeion", tmp_path / "elsewhere")
    for file in (tmp_path / "elsewhere").rglob("*"):
        file.chmod(0o700)
    pack_model(tmp_path / "elsewhere", tmp_path / "b.semeion")
    assert (tmp_path / "a.semeion").read_bytes() == (tmp_path / "b.semeion").read_bytes()


def test_the_layout_is_the_one_that_was_published(tmp_path):
    """The bytes are part of the format: they must be the same in later versions."""
    write_archive(tmp_path / "a.semeion", [("model.json", b"{}"), ("members/m.onnx", b"\0" * 10)])
    data = (tmp_path / "a.semeion").read_bytes()
    assert hashlib.sha256(data).hexdigest() == "bce50d1234685a69260f8c3f8e70083da8b7eb03e605721e5ca53baca263006b"
    assert list(read_archive(tmp_path / "a.semeion").entries) == ["model.json", "members/m.onnx"]


def test_other_programs_can_open_it(make_model, tmp_path):
    folder = make_model()
    pack_model(folder, tmp_path / "m.semeion")
    with zipfile.ZipFile(tmp_path / "m.semeion") as archive:
        assert archive.testzip() is None
        assert {name: archive.read(name) for name in archive.namelist()} == files_of(folder)
        assert {info.external_attr >> 16 for info in archive.infolist()} == {0o100644}


def test_a_packed_model_says_what_its_folder_says_and_is_not_unpacked(make_model, pictures, tmp_path):
    folder, images = make_model("multilabel"), pictures()
    pack_model(folder, tmp_path / "m.semeion")
    before = sorted(tmp_path.rglob("*"))
    packed = load_model(tmp_path / "m.semeion").predict(images)
    assert packed.equals(load_model(folder).predict(images))
    assert sorted(tmp_path.rglob("*")) == before
    assert np.isfinite(packed["p_present"]).all()


def test_packing_refuses_what_it_would_spoil(make_model, tmp_path):
    folder = make_model()
    for output, message in (
        (tmp_path / "m.zip", r"a packed model ends in \.semeion"),
        (folder / "m.semeion", "the file would lie in the model itself"),
    ):
        with pytest.raises(InputError, match=message):
            pack_model(folder, output)
    (tmp_path / "d.semeion").mkdir()
    with pytest.raises(InputError, match="this is a folder"):
        pack_model(folder, tmp_path / "d.semeion")
    (folder / "CARD.md").write_text("better\n")
    with pytest.raises(ModelRefused, match="was changed or damaged"):
        pack_model(folder, tmp_path / "m.semeion")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["d.semeion", "model"]


def test_unpacking_never_writes_over_anything(make_model, tmp_path):
    folder = make_model()
    pack_model(folder, tmp_path / "m.semeion")
    (tmp_path / "there").mkdir()
    with pytest.raises(InputError, match="there is something here already"):
        unpack_model(tmp_path / "m.semeion", tmp_path / "there")
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    with pytest.raises(InputError, match="there is something here already"):
        unpack_model(tmp_path / "m.semeion", tmp_path / "link")
    with pytest.raises(InputError, match="this is a model folder already"):
        unpack_model(folder, tmp_path / "new")
    with pytest.raises(ModelRefused, match="there is no such model folder"):
        unpack_model(tmp_path / "nowhere.semeion", tmp_path / "new")


def test_a_write_that_stops_halfway_leaves_the_earlier_file(make_model, tmp_path, monkeypatch):
    packed = tmp_path / "m.semeion"
    pack_model(make_model(), packed)
    before = packed.read_bytes()

    def files():
        yield "model.json", b"{}"
        raise OSError(28, "No space left on device")

    with pytest.raises(MachineError, match="the disk is full"):
        write_archive(packed, files())
    assert packed.read_bytes() == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["m.semeion", "model"]


def test_a_name_that_is_none_is_not_written(tmp_path):
    with pytest.raises(InputError, match="could lead out of the model folder"):
        write_archive(tmp_path / "m.semeion", [("../x", b"")])
    assert list(tmp_path.iterdir()) == []


def test_a_packed_model_changed_while_it_is_open_is_noticed(make_model, pictures, tmp_path):
    path: Path = tmp_path / "m.semeion"
    pack_model(make_model(), path)
    model = load_model(path)
    path.write_bytes(path.read_bytes().replace(b"Gemm", b"Gomm"))
    with pytest.raises(ModelRefused, match="checksum is another"):
        model.predict(pictures())
