"""What the demonstration runs on."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from semeion.cohort import demo
from semeion.cohort.demo import DownloadError, demo_source
from semeion.errors import InputError


@pytest.fixture(autouse=True)
def quick_phantoms(monkeypatch: pytest.MonkeyPatch) -> None:
    """Phantoms have tests of their own; here an empty file stands for them."""
    monkeypatch.setattr(demo, "write_phantoms", lambda path: (path.parent.mkdir(exist_ok=True), path.touch()))


def never(seconds: float) -> bytes:
    raise AssertionError("nothing may be downloaded here")


def test_named_data_come_first(tmp_path: Path) -> None:
    (tmp_path / "mine.npz").touch()
    source = demo_source(tmp_path / "mine.npz", tmp_path / "cache", fetch=never)
    assert (source.source, source.synthetic) == (tmp_path / "mine.npz", False)
    assert source.note == "Data: mine.npz, as named by --data."


def test_named_data_must_exist_and_not_contradict(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"none\.npz: does not exist; name a MedMNIST \.npz with --data"):
        demo_source(tmp_path / "none.npz", tmp_path)
    with pytest.raises(InputError, match="--data and --synthetic contradict each other"):
        demo_source(tmp_path / "none.npz", tmp_path, synthetic=True)


def test_synthetic_as_asked(tmp_path: Path) -> None:
    source = demo_source(None, tmp_path / "cache", synthetic=True, fetch=never)
    assert source.synthetic
    assert source.source == tmp_path / "cache" / "phantoms.npz"
    assert source.note.startswith("The data are SYNTHETIC ultrasound phantoms")
    assert "as asked by --synthetic" in source.note


def test_a_download_is_kept_and_used_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(demo, "MD5", "5d41402abc4b2a76b9719d911017c592")
    source = demo_source(None, tmp_path / "cache", fetch=lambda seconds: b"hello")
    assert (source.synthetic, source.source.read_bytes()) == (False, b"hello")
    assert "downloaded from zenodo.org" in source.note
    again = demo_source(None, tmp_path / "cache", fetch=never)
    assert again.source == source.source
    assert "from the cache" in again.note


def test_another_file_than_the_official_one_is_not_used(tmp_path: Path) -> None:
    source = demo_source(None, tmp_path / "cache", fetch=lambda seconds: b"<html>log in to the hotel's network</html>")
    assert source.synthetic
    assert "could not be downloaded: what came is not the official file (another MD5)" in source.note
    assert not (tmp_path / "cache" / "breastmnist.npz").exists()


def test_a_damaged_cache_is_not_used(tmp_path: Path) -> None:
    (tmp_path / "breastmnist.npz").write_bytes(b"half")
    assert demo_source(None, tmp_path, fetch=lambda seconds: b"other").synthetic


def test_without_a_network_there_are_phantoms(tmp_path: Path) -> None:
    def offline(seconds: float) -> bytes:
        raise DownloadError("Name or service not known")

    source = demo_source(None, tmp_path / "cache", fetch=offline)
    assert source.synthetic
    assert "because BreastMNIST could not be downloaded: Name or service not known" in source.note


def test_whatever_goes_wrong_the_demonstration_goes_on(tmp_path: Path) -> None:
    def surprised(seconds: float) -> bytes:
        raise RuntimeError("proxy")

    assert "RuntimeError: proxy" in demo_source(None, tmp_path / "cache", fetch=surprised).note


def test_the_whole_download_is_bounded_in_time(tmp_path: Path) -> None:
    release = threading.Event()

    def hanging(seconds: float) -> bytes:
        release.wait(60)
        return b""

    try:
        source = demo_source(None, tmp_path / "cache", timeout=0.2, fetch=hanging)
    finally:
        release.set()
    assert source.synthetic
    assert "no answer within 0 s" in source.note


def test_a_network_error_says_its_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*arguments: object, **options: object) -> None:
        raise OSError("unreachable")

    monkeypatch.setattr("urllib.request.urlopen", refuse)
    with pytest.raises(DownloadError, match="unreachable"):
        demo.download(1.0)


@pytest.mark.real_data
def test_the_real_file_is_the_official_one(data: Path, tmp_path: Path) -> None:
    (tmp_path / "breastmnist.npz").write_bytes((data / "breastmnist" / "breastmnist.npz").read_bytes())
    source = demo_source(None, tmp_path, fetch=never)
    assert not source.synthetic
    assert "from the cache" in source.note
