"""The way of a model to others: pack, sign, verify, read."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from semeion.model import opened_members
from support.tiny import TinyRun

Command = Callable[..., "object"]


@pytest.fixture
def model(tiny_run: TinyRun, tmp_path: Path) -> Path:
    return Path(shutil.copytree(tiny_run.model, tmp_path / "model"))


def test_the_whole_way(command: Callable[..., object], model: Path, tiny_run: TinyRun, tmp_path: Path) -> None:
    def done(*arguments: str | Path, status: int = 0) -> str:
        found = command(*arguments)
        assert found.status == status, found.err  # type: ignore[attr-defined]
        return str(found.out + found.err)  # type: ignore[attr-defined]

    packed, mine, other = tmp_path / "m.semeion", tmp_path / "mine", tmp_path / "other"
    image = next(path for path in sorted(tiny_run.path.parent.rglob("*.png")) if "gallery" not in str(path))
    assert "m.semeion: the model " in done("pack", model, "-o", packed)
    assert "keep it to yourself" in done("keygen", "-o", mine)
    done("keygen", "-o", other)
    said = done("verify", packed)
    assert "Golden cases: " in said
    assert "Not signed: whoever could change it could change its hashes too." in said
    assert "the model is not signed" in done("verify", packed, "--key", f"{mine}.pub", status=3)
    assert "signed with the key" in done("sign", packed, "--key", mine)
    assert "nobody looked" in done("verify", packed)
    assert f"Signed with {mine}.pub." in done("verify", packed, "--key", f"{mine}.pub")
    assert "signed with another key" in done("verify", packed, "--key", f"{other}.pub", status=3)
    key = ("--require-signature", f"{mine}.pub")
    done("predict", packed, image, "-o", tmp_path / "f.csv", "-q", *key)
    refused = done("predict", model, image, "-o", tmp_path / "g.csv", "-q", *key, status=3)
    assert "the model is not signed" in refused
    assert not (tmp_path / "g.csv").exists()
    table, target = tiny_run.cohort.table, ("--target", tiny_run.cohort.target)
    refused = done("evaluate", model, table, *target, "-o", tmp_path / "none", "-q", *key, status=3)
    assert "the model is not signed" in refused
    assert not (tmp_path / "none").exists()
    assert "The whole account: " in done("evaluate", packed, table, *target, "-o", tmp_path / "e", "-q", *key)
    assert "unpacked: the model " in done("unpack", packed, "-o", tmp_path / "unpacked")
    done("predict", tmp_path / "unpacked", image, "-o", tmp_path / "h.csv", "-q", *key)
    assert (tmp_path / "f.csv").read_text() == (tmp_path / "h.csv").read_text()
    assert " components" in done("sbom", packed, "-o", tmp_path / "sbom.cdx.json")


def test_keys_with_a_passphrase(command: Callable[..., object], model: Path, tmp_path: Path) -> None:
    words, key = tmp_path / "words", tmp_path / "key"
    words.write_text("open sesame\nnot this\n")
    assert command("keygen", "-o", key, "--passphrase-file", words).status == 0  # type: ignore[attr-defined]
    assert command("sign", model, "--key", key, "--passphrase-file", words).status == 0  # type: ignore[attr-defined]


def test_what_is_refused_leaves_everything_as_it_was(refuse: Callable[..., str], model: Path, tmp_path: Path) -> None:
    assert "a packed model ends in .semeion" in refuse("pack", model, "-o", tmp_path / "m.zip")
    assert "there is no such key" in refuse("sign", model, "--key", tmp_path / "none")
    (tmp_path / "empty").write_text("\n")
    keygen = ("keygen", "-o", tmp_path / "k", "--passphrase-file")
    assert "the passphrase cannot be read" in refuse(*keygen, tmp_path / "none")
    assert "its first line is empty" in refuse(*keygen, tmp_path / "empty")
    (tmp_path / "long").write_text("x" * 5000)
    assert "its first line has more than 1000 bytes" in refuse(*keygen, tmp_path / "long")
    assert not (tmp_path / "k").exists()
    (tmp_path / "half.semeion").write_bytes(b"PK\x03\x04" + b"\0" * 500)
    for command in (("verify",), ("unpack", "-o", tmp_path / "u"), ("sbom", "-o", tmp_path / "s.json")):
        name, *rest = command
        said = refuse(name, tmp_path / "half.semeion", *rest, status=3)
        assert "not an archive of a model that can be trusted: it is cut short" in said


def test_a_broken_machine_is_told_with_status_3(
    refuse: Callable[..., str], model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(opened_members, "answer", lambda *given: __import__("numpy").zeros(2))
    assert "a golden case is answered otherwise here" in refuse("verify", model, status=3)
