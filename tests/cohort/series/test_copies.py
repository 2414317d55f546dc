"""Copies: the same bytes under one identifier count once, different bytes are both kept."""

from __future__ import annotations

from pathlib import Path

from semeion.cohort.series.copies import content_digest, without_copies
from semeion.cohort.series.header import Header


def header(path: Path, uid: str = "1.2") -> Header:
    return Header(str(path), path.stat().st_size, path.stat().st_mtime_ns, sop_uid=uid)


def written(folder: Path, **files: bytes) -> list[Path]:
    for name, data in files.items():
        (folder / name).write_bytes(data)
    return [folder / name for name in files]


def test_the_first_by_path_of_equal_files_is_kept(tmp_path: Path) -> None:
    paths = written(tmp_path, c=b"same", a=b"same", b=b"same")
    kept, copies = without_copies([header(path) for path in paths])
    assert [Path(item.path).name for item in kept] == ["a"]
    assert copies == {str(tmp_path / "b"): str(tmp_path / "a"), str(tmp_path / "c"): str(tmp_path / "a")}


def test_other_bytes_other_sizes_and_other_identifiers_are_kept(tmp_path: Path) -> None:
    paths = written(tmp_path, a=b"same", b=b"diff", c=b"longer", d=b"same")
    headers = [header(path) for path in paths[:3]] + [header(paths[3], "1.3")]
    assert without_copies(headers) == (headers, {})


def test_files_that_stand_alone_are_not_read() -> None:
    def refuse(item: Header) -> bytes:
        raise AssertionError(item.path)

    headers = [Header("a", 4, 0, sop_uid="1"), Header("b", 4, 0, sop_uid="2"), Header("c", 5, 0, sop_uid="1")]
    assert without_copies([*headers, Header("d", 4, 0), Header("e", 4, 0)], refuse)[1] == {}


def test_a_file_that_is_gone_equals_no_other(tmp_path: Path) -> None:
    (path,) = written(tmp_path, a=b"same")
    item = header(path)
    path.unlink()
    assert content_digest(item) != content_digest(Header(str(tmp_path / "b"), 4, 0))
