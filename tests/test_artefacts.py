"""Files are whole or absent, whatever happens while they are written."""

from __future__ import annotations

import errno
import json
import math
import os
import stat
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from semeion import artefacts
from semeion.artefacts import (
    finite,
    machine_errors,
    only_writer,
    read_json,
    whole_file,
    whole_folder,
    write_json,
    write_text,
)
from semeion.errors import InputError, MachineError


def names(folder: Path) -> list[str]:
    """Return what lies in `folder`, hidden files too."""
    return sorted(os.listdir(folder))  # noqa: PTH208


def fail_with(number: int) -> OSError:
    return OSError(number, os.strerror(number))


def test_a_file_appears_under_its_name_and_nothing_else_remains(tmp_path: Path) -> None:
    target = tmp_path / "new" / "deeper" / "a.txt"
    write_text(target, "wörd\n")
    assert target.read_bytes() == "wörd\n".encode()
    assert names(target.parent) == ["a.txt"]
    assert stat.S_IMODE(target.stat().st_mode) == 0o644


def test_a_failure_keeps_the_old_file_and_leaves_no_rubbish(tmp_path: Path) -> None:
    target = tmp_path / "a.txt"
    write_text(target, "old")
    with pytest.raises(ValueError, match="half way"), whole_file(target) as temporary:
        temporary.write_text("ne")
        raise ValueError("half way")
    assert target.read_text() == "old"
    assert names(tmp_path) == ["a.txt"]


def test_nobody_sees_a_file_before_it_is_whole(tmp_path: Path) -> None:
    target = tmp_path / "a.txt"
    with whole_file(target) as temporary:
        temporary.write_text("half")
        assert not target.exists()
        assert temporary.parent == target.parent, "a rename is atomic only inside one file system"
    assert target.read_text() == "half"


def test_a_process_killed_while_writing_leaves_the_old_file(tmp_path: Path) -> None:
    target = tmp_path / "a.txt"
    write_text(target, "old")
    script = """
        import os, signal, sys
        from pathlib import Path
        from semeion.artefacts import whole_file
        with whole_file(Path(sys.argv[1])) as temporary:
            temporary.write_text("new")
            os.kill(os.getpid(), signal.SIGKILL)
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(script), str(target)], check=False)
    assert done.returncode == -9
    assert target.read_text() == "old"


def test_a_full_disk_is_named_and_the_old_file_stays(tmp_path: Path) -> None:
    target = tmp_path / "a.json"
    write_text(target, "old")
    with pytest.raises(MachineError) as caught, whole_file(target) as temporary:
        temporary.write_text("half")
        raise fail_with(errno.ENOSPC)
    assert str(caught.value) == f"{target}: the disk is full; free some space and run again"
    assert caught.value.exit_status == 4
    assert target.read_text() == "old"
    assert names(tmp_path) == ["a.json"]


def test_a_device_that_is_really_full_is_named(tmp_path: Path) -> None:
    full = Path("/dev/full")
    if not full.exists():
        pytest.skip("this system has no /dev/full")
    with pytest.raises(MachineError, match=r"the disk is full"), machine_errors(tmp_path / "a.bin"):
        full.write_bytes(b"x" * 100_000)


def test_a_disk_that_fills_during_the_sync_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_space(handle: int) -> None:
        raise fail_with(errno.EDQUOT)

    monkeypatch.setattr(artefacts.os, "fsync", no_space)
    with pytest.raises(MachineError, match=r"a\.txt: the disk is full"):
        write_text(tmp_path / "a.txt", "x")
    assert names(tmp_path) == []


def test_a_file_in_the_way_of_a_folder_is_named(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("x")
    with pytest.raises(MachineError) as caught:
        write_text(tmp_path / "a" / "b" / "c.txt", "x")
    where = tmp_path / "a" / "b" / "c.txt"
    assert str(caught.value) == f"{where}: a file stands where a folder is needed; choose another folder with -o"


def test_a_folder_has_one_writer_at_a_time(tmp_path: Path) -> None:
    folder = tmp_path / "new" / "deeper"
    refusal = InputError("is taken", where="here")
    with only_writer(folder, refusal):
        with pytest.raises(InputError) as caught, only_writer(folder, refusal):
            pass
        assert caught.value is refusal
    with only_writer(folder, refusal):
        assert names(folder) == [".lock"]


def test_a_killed_process_holds_nothing(tmp_path: Path) -> None:
    script = """
        import os, signal, sys
        from pathlib import Path
        from semeion.artefacts import only_writer
        from semeion.errors import InputError
        with only_writer(Path(sys.argv[1]), InputError("is taken")):
            os.kill(os.getpid(), signal.SIGKILL)
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(script), str(tmp_path)], check=False)
    assert done.returncode == -9
    with only_writer(tmp_path, InputError("is taken")):
        assert names(tmp_path) == [".lock"]


def test_a_file_system_without_locks_is_not_taken_for_a_folder_in_use(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fcntl = pytest.importorskip("fcntl")

    def refuse(*args: Any) -> None:
        raise fail_with(errno.ENOLCK)

    monkeypatch.setattr(fcntl, "flock", refuse)
    with (
        pytest.raises(MachineError, match=r"locks no files .*choose a folder on a local disk"),
        only_writer(tmp_path, InputError("is taken")),
    ):
        pass


@pytest.mark.parametrize("number", [errno.EACCES, errno.EPERM, errno.EROFS])
def test_a_missing_permission_is_named(tmp_path: Path, number: int, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: Any, **kwargs: Any) -> None:
        raise fail_with(number)

    monkeypatch.setattr(artefacts.tempfile, "mkstemp", refuse)
    with pytest.raises(MachineError) as caught:
        write_text(tmp_path / "a.txt", "x")
    assert str(caught.value) == f"{tmp_path / 'a.txt'}: no permission to write here; choose another folder with -o"


def test_a_folder_that_is_really_read_only_is_named(tmp_path: Path) -> None:
    superuser = os.geteuid() == 0
    tmp_path.chmod(0o555)
    if superuser:  # who may write everywhere
        os.seteuid(65534)
    try:
        with pytest.raises(MachineError, match=r"a\.txt: no permission to write here"):
            write_text(tmp_path / "a.txt", "x")
    finally:
        if superuser:
            os.seteuid(0)
        tmp_path.chmod(0o755)


def test_other_errors_of_the_system_pass_unchanged(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError), machine_errors(tmp_path):
        (tmp_path / "absent").read_bytes()


def test_a_folder_replaces_the_old_one_as_a_whole(tmp_path: Path) -> None:
    target = tmp_path / "model"
    with whole_folder(target) as temporary:
        (temporary / "members").mkdir()
        (temporary / "members" / "a.onnx").write_bytes(b"1")
    with whole_folder(target) as temporary:
        (temporary / "b.txt").write_text("2")
        assert names(target) == ["members"]
    assert names(target) == ["b.txt"]
    assert names(tmp_path) == ["model"]
    assert stat.S_IMODE(target.stat().st_mode) == 0o755


def test_a_folder_that_fails_leaves_the_old_one(tmp_path: Path) -> None:
    target = tmp_path / "model"
    with whole_folder(target) as temporary:
        (temporary / "a.txt").write_text("old")
    with pytest.raises(MachineError, match="the disk is full"), whole_folder(target) as temporary:
        (temporary / "a.txt").write_text("new")
        raise fail_with(errno.ENOSPC)
    assert (target / "a.txt").read_text() == "old"
    assert names(tmp_path) == ["model"]


def test_json_holds_plain_values_only(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    value = {
        1: np.float32(0.5),
        "counts": np.array([[1, 2], [3, 4]]),
        "undefined": [math.nan, np.float64("inf"), -math.inf],
        "pair": (True, None),
        "name": "Grad é",
    }
    write_json(path, value)
    assert read_json(path) == {
        "1": 0.5,
        "counts": [[1, 2], [3, 4]],
        "undefined": [None, None, None],
        "pair": [True, None],
        "name": "Grad é",
    }
    assert "NaN" not in path.read_text()
    assert path.read_text().endswith("\n")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=10,
)


@given(JSON)
def test_whatever_goes_in_strict_json_comes_out(value: Any) -> None:
    once = finite(value)
    text = json.dumps(once, allow_nan=False)
    assert json.loads(text) == once
    assert finite(once) == once
