"""Trees: any depth and name, loops, links, refusals; archives within bounds, whose names never become paths."""

from __future__ import annotations

import os
import zipfile
from pathlib import Path

import pytest

from semeion.cohort.series.walk import Entry, Walk, WalkLimits, archive_members, walk
from semeion.errors import InputError


def names(found: Walk, home: Path) -> list[str]:
    return [os.path.relpath(entry.path, home) for entry in found.entries]


def test_every_file_at_any_depth_is_found_in_order(tmp_path: Path) -> None:
    for name in ("b", "a/1", "a/b/c/d/e/f", "a/ü x;y/IM0", ".hidden/1", "a/.DS_Store"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"xy")
    found = walk(tmp_path, skip=(tmp_path / "a" / ".." / "b",))
    assert names(found, tmp_path) == ["a/1", "a/b/c/d/e/f", "a/ü x;y/IM0"]
    assert (found.hidden, found.problems) == (2, [])
    assert found.entries[0].size == 2 and found.entries[0].mtime_ns == (tmp_path / "a/1").stat().st_mtime_ns


def test_loops_end_and_links_are_followed_once(tmp_path: Path) -> None:
    (tmp_path / "tree" / "deep").mkdir(parents=True)
    (tmp_path / "tree" / "deep" / "1").write_bytes(b"x")
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "2").write_bytes(b"x")
    (tmp_path / "tree" / "deep" / "up").symlink_to(tmp_path / "tree")
    (tmp_path / "tree" / "out").symlink_to(tmp_path / "outside")
    (tmp_path / "tree" / "gone").symlink_to(tmp_path / "nowhere")
    (tmp_path / "tree" / "self").symlink_to(tmp_path / "tree" / "self")
    found = walk(tmp_path / "tree")
    assert names(found, tmp_path / "tree") == ["deep/1", "out/2"]
    assert [(Path(path).name, text) for path, text in found.problems] == [
        ("gone", "no such file or directory"),
        ("self", "too many levels of symbolic links"),
    ]


def test_what_is_no_regular_file_is_not_opened(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    assert walk(tmp_path).problems == [(str(tmp_path / "pipe"), "is no regular file")]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_forbidden_folder_is_a_problem_of_its_own(tmp_path: Path) -> None:
    (tmp_path / "closed").mkdir(mode=0)
    (tmp_path / "1").write_bytes(b"x")
    found = walk(tmp_path)
    (tmp_path / "closed").chmod(0o700)
    assert len(found.entries) == 1
    assert found.problems == [(str(tmp_path / "closed"), "permission denied")]


def test_a_source_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="nowhere: does not exist; correct the path"):
        walk(tmp_path / "nowhere")


def test_a_file_stands_for_itself_and_a_dicomdir_for_its_folder(tmp_path: Path) -> None:
    (tmp_path / "1").write_bytes(b"x" * 2000)
    assert names(walk(tmp_path / "1"), tmp_path) == ["1"]
    directory = bytes(128) + b"DICM" + b"\x02\x00\x02\x00UI\x16\x001.2.840.10008.1.3.10\x00\x00"
    (tmp_path / "DICOMDIR").write_bytes(directory)
    assert names(walk(tmp_path / "DICOMDIR"), tmp_path) == ["1", "DICOMDIR"]


def entry(path: Path) -> Entry:
    return Entry(str(path), path.stat().st_size, 5)


def zipped(path: Path, members: dict[str, bytes]) -> Entry:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return entry(path)


def test_members_of_an_archive_are_entries_whatever_their_names(tmp_path: Path) -> None:
    archive = zipped(tmp_path / "a", {"../../etc/passwd": b"1", "/abs": b"22", "d/": b"", "d/x": b"3", "__/.y": b""})
    found = archive_members(archive, WalkLimits())
    assert [(item.member, item.size) for item in found.entries] == [("../../etc/passwd", 1), ("/abs", 2), ("d/x", 1)]
    assert {item.path for item in found.entries} == {
        f"{archive.path}!{name}" for name in ("../../etc/passwd", "/abs", "d/x")
    }
    assert found.hidden == 1 and {item.mtime_ns for item in found.entries} == {5}


def problems(archive: Entry, **limits: float) -> str:
    found = archive_members(archive, WalkLimits(**limits))  # type: ignore[arg-type]
    return "\n".join(text for _, text in found.problems)


def test_archives_are_bounded_in_count_size_and_ratio(tmp_path: Path) -> None:
    many = zipped(tmp_path / "many", {str(n): b"" for n in range(30)})
    assert problems(many, max_members=20) == "the archive holds 30 files, more than 20"
    assert "directory is too large" in problems(many, max_members=1)
    large = zipped(tmp_path / "large", {"1": bytes(5000), "2": b"x"})
    assert problems(large, max_member_bytes=4000) == "has 5,000 bytes, more than the 4,000 that are read"
    assert "inflates from" in problems(large, max_bytes=4000)
    bomb = zipped(tmp_path / "bomb", {"1": bytes(80 << 20)})
    assert "inflates from" in problems(bomb) and "83,886,080 bytes, which is not trusted" in problems(bomb)


def test_damaged_archives_are_problems(tmp_path: Path) -> None:
    whole = zipped(tmp_path / "whole", {"1": b"x" * 500})
    data = Path(whole.path).read_bytes()
    for cut in (5, 30, len(data) // 2, len(data) - 1):
        (tmp_path / "cut").write_bytes(data[:cut])
        assert problems(entry(tmp_path / "cut")).startswith("the archive cannot be opened"), cut


def test_of_two_members_with_one_name_the_last_is_read_and_it_is_told(tmp_path: Path) -> None:
    with pytest.warns(UserWarning, match="Duplicate name"), zipfile.ZipFile(tmp_path / "a", "w") as archive:
        archive.writestr("1", b"first")
        archive.writestr("1", b"second one")
    found = archive_members(entry(tmp_path / "a"), WalkLimits())
    assert [item.size for item in found.entries] == [10]
    assert found.problems[0][1] == "an earlier member of the same name was passed over"


def test_encrypted_members_are_told(tmp_path: Path) -> None:
    zipped(tmp_path / "a", {"1": b"x"})
    data = bytearray((tmp_path / "a").read_bytes())
    data[data.find(b"PK\x01\x02") + 8] |= 1
    (tmp_path / "a").write_bytes(bytes(data))
    assert problems(entry(tmp_path / "a")) == "is encrypted"
