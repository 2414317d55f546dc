"""The data of the demonstration: real breast ultrasound when it can be had, synthetic phantoms when not."""

from __future__ import annotations

import hashlib
import threading
import time
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from semeion.artefacts import write_bytes
from semeion.cohort.phantom import write_phantoms
from semeion.errors import InputError, MachineError

URL = "https://zenodo.org/records/10519652/files/breastmnist.npz?download=1"
MD5 = "750601b1f35ba3300ea97c75c52ff8f6"
"""Official checksum of BreastMNIST, 28 x 28 (MedMNIST v2). It finds damage; the download itself is by HTTPS."""

TIMEOUT_SECONDS = 20.0
_MAX_BYTES = 16 << 20
_SYNTHETIC = "The data are SYNTHETIC ultrasound phantoms: the figures say nothing about patients."


@dataclass(frozen=True)
class DemoSource:
    """What the demonstration runs on.

    Attributes
    ----------
    source
        An archive in MedMNIST's layout.
    synthetic
        Whether its images were generated.
    note
        One or two sentences for the terminal and the report's first line.
    """

    source: Path
    synthetic: bool
    note: str


class DownloadError(Exception):
    """The download did not succeed; the text says why."""


def demo_source(
    data: Path | None,
    cache: Path,
    synthetic: bool = False,
    *,
    timeout: float = TIMEOUT_SECONDS,
    fetch: Callable[[float], bytes] | None = None,
) -> DemoSource:
    """Find the data of the demonstration: what is named, else the cache, else the download, else phantoms.

    Parameters
    ----------
    data
        A MedMNIST archive that the user named.
    cache
        Folder for what is downloaded or generated.
    synthetic
        Do not look for real data.
    timeout
        Seconds that the whole download may take.
    fetch
        What downloads, given the seconds; the official address by default.

    Raises
    ------
    InputError
        When `data` does not exist or contradicts `synthetic`.
    MachineError
        When the cache cannot be written.
    """
    if data is not None:
        if synthetic:
            raise InputError("--data and --synthetic contradict each other", where="demo", fix="give one of them")
        if not data.is_file():
            raise InputError("does not exist", where=str(data), fix="name a MedMNIST .npz with --data, or leave it out")
        made = data.stem.lower() == "phantoms"
        return DemoSource(data, made, _SYNTHETIC if made else f"Data: {data.name}, as named by --data.")
    if synthetic:
        return _phantoms(cache, "as asked by --synthetic")
    cached = cache / "breastmnist.npz"
    if cached.is_file() and _is_official(cached.read_bytes()):
        return DemoSource(cached, False, "Data: BreastMNIST (Yang et al. 2023, CC BY 4.0), from the cache.")
    try:
        archive = _bounded(fetch or download, timeout)
        if not _is_official(archive):
            raise DownloadError("what came is not the official file (another MD5)")
    except DownloadError as error:
        return _phantoms(cache, f"because BreastMNIST could not be downloaded: {error}")
    write_bytes(cached, archive)
    return DemoSource(cached, False, "Data: BreastMNIST (Yang et al. 2023, CC BY 4.0), downloaded from zenodo.org.")


def download(timeout: float) -> bytes:
    """Fetch the official file.

    Raises
    ------
    DownloadError
        No network, another answer, too large or too slow.
    """
    end = time.monotonic() + timeout
    request = urllib.request.Request(URL, headers={"User-Agent": "semeion"})
    parts: list[bytes] = []
    size = 0
    try:
        with urllib.request.urlopen(request, timeout=timeout) as answer:  # noqa: S310 - https, to the address above
            while part := answer.read(1 << 16):
                parts.append(part)
                size += len(part)
                if size > _MAX_BYTES:
                    raise DownloadError("the answer is too large")
                if time.monotonic() > end:
                    raise DownloadError(f"it took longer than {timeout:.0f} s")
    # HTTPException, URLError and timeouts; a proxy's odd answer raises ValueError.
    except (OSError, ValueError) as error:
        raise DownloadError(str(getattr(error, "reason", error)) or type(error).__name__) from error
    return b"".join(parts)


def _bounded(fetch: Callable[[float], bytes], timeout: float) -> bytes:
    """Run `fetch` for at most `timeout` seconds: looking a name up, too, may hang, and no socket timeout covers it."""
    outcome: list[bytes | DownloadError] = []

    def work() -> None:
        try:
            outcome.append(fetch(timeout))
        except DownloadError as error:
            outcome.append(error)
        # The thread's own exceptions would only be printed; whatever it is, the demonstration goes on with phantoms.
        except Exception as error:
            outcome.append(DownloadError(f"{type(error).__name__}: {error}"))

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    thread.join(timeout)
    if not outcome:
        raise DownloadError(f"no answer within {timeout:.0f} s")
    if isinstance(outcome[0], DownloadError):
        raise outcome[0]
    return outcome[0]


def _is_official(archive: bytes) -> bool:
    return hashlib.md5(archive, usedforsecurity=False).hexdigest() == MD5


def _phantoms(cache: Path, why: str) -> DemoSource:
    """Write the phantoms into the cache, unless they are there; without a cache there is nowhere to put them."""
    path = cache / "phantoms.npz"
    if not path.is_file():
        try:
            write_phantoms(path)
        except OSError as error:
            raise MachineError(f"cannot be written ({error})", where=str(path), fix="name another cache") from error
    return DemoSource(path, True, f"{_SYNTHETIC} They are used {why}.")
