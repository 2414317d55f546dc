"""One hash over the code that runs: anybody can make it anew, and any change of any file changes it."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
from pathlib import Path

import pytest

from semeion.provenance import PACKAGE, code_hash


@pytest.fixture
def package(tmp_path: Path) -> Path:
    (tmp_path / "room").mkdir()
    (tmp_path / "room" / "b.py").write_text("B = 1\n")
    (tmp_path / "a.py").write_text("A = 1\n")
    return tmp_path


def test_it_is_the_hash_of_each_file_and_its_name_in_order(package: Path) -> None:
    lines = f"{hashlib.sha256(b'A = 1' + bytes([10])).hexdigest()}  a.py\n"
    lines += f"{hashlib.sha256(b'B = 1' + bytes([10])).hexdigest()}  room/b.py\n"
    assert code_hash.__wrapped__(package) == hashlib.sha256(lines.encode()).hexdigest()


@pytest.mark.skipif(shutil.which("sha256sum") is None, reason="no sha256sum on this machine")
def test_the_shell_makes_it_anew() -> None:
    command = "find * -name '*.py' | LC_ALL=C sort | xargs sha256sum | sha256sum"
    told = subprocess.run(["sh", "-c", command], cwd=PACKAGE, capture_output=True, text=True, check=True).stdout
    assert code_hash.__wrapped__(PACKAGE) == told.split()[0]


def test_a_changed_renamed_or_added_file_changes_it_and_no_other_file_does(package: Path) -> None:
    first = code_hash.__wrapped__(package)
    (package / "a.txt").write_text("no code")
    (package / "room" / "b.pyc").write_bytes(b"compiled")
    assert code_hash.__wrapped__(package) == first
    (package / "a.py").write_text("A = 2\n")
    changed = code_hash.__wrapped__(package)
    (package / "a.py").rename(package / "c.py")
    renamed = code_hash.__wrapped__(package)
    (package / "d.py").touch()
    assert len({first, changed, renamed, code_hash.__wrapped__(package)}) == 4


def test_it_is_read_once_a_process(package: Path) -> None:
    first = code_hash(package)
    (package / "a.py").write_text("A = 2\n")
    assert code_hash(package) == first
