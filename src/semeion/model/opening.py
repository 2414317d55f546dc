"""Opens a model, a folder or one file, and believes it only when every byte is as listed."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, Protocol, TypeVar

from semeion.errors import MachineError, ModelRefused
from semeion.model.archive import Archive, read_archive
from semeion.model.manifest import HASH, MANIFEST, MAX_FILES, SIGNATURE, ListedFile, Manifest
from semeion.model.manifest_file import MAX_MANIFEST, parse_manifest

MAX_SIGNATURE = 4096
_PIECE = 1 << 20
_AGAIN = "get the model from its source again"


class Listing(Protocol):
    """A manifest of any kind: what it lists."""

    @property
    def files(self) -> dict[str, ListedFile]:
        """Every other file of the model."""


AnyManifest = TypeVar("AnyManifest", bound=Listing)


@dataclass(frozen=True)
class Opened(Generic[AnyManifest]):
    """A model whose files are all as listed.

    Attributes
    ----------
    path
        The folder or the file.
    manifest, hash
        What ``model.json`` says, and the sha256 of its bytes.
    text, signature
        The bytes of ``model.json`` and of ``model.sig``; None where there is no signature. Nobody has looked at it yet.
    """

    path: Path
    manifest: AnyManifest
    hash: str
    text: bytes
    signature: bytes | None


def open_folder(folder: Path) -> tuple[Manifest, str]:
    """Return the manifest and the hash of a model; see :func:`open_files`."""
    opened = open_files(folder)
    return opened.manifest, opened.hash


def open_files(path: Path) -> Opened[Manifest]:
    """Check every file of a model against its manifest.

    This shows damage, not forgery: who changes the model on purpose can change the hashes too. Only a signature by a
    key that one trusts shows that (:mod:`semeion.model.signature`).

    Parameters
    ----------
    path
        The folder that holds ``model.json``, or a ``.semeion`` file. Nothing is unpacked.

    Raises
    ------
    ModelRefused
        No model, a newer schema, or a file that is missing, changed, not listed, or a link. The message names the file.
    MachineError
        When a file cannot be read.
    """
    manifest, digest, text, signature = open_as(path, lambda data, where: parse_manifest(data, where=where))
    return Opened(path, manifest, digest, text, signature)


def open_as(path: Path, parse: Callable[[bytes, str], AnyManifest]) -> tuple[AnyManifest, str, bytes, bytes | None]:
    """Check every file against a manifest of any kind; see :func:`open_files`.

    Parameters
    ----------
    path
        The folder or the file.
    parse
        Reads the bytes of ``model.json``; the second argument says where they are from.

    Returns
    -------
    tuple
        The manifest, its hash, its bytes, and the signature, None without one.
    """
    packed = _archive(path)
    if packed is None:
        text, said = manifest_bytes(path), _read(path / HASH, 4096)
        signature = _read(path / SIGNATURE, MAX_SIGNATURE) if os.path.lexists(path / SIGNATURE) else None
    else:
        for name in (MANIFEST, HASH):
            if name not in packed.entries:
                raise ModelRefused(f"it holds no {name}", where=str(path), fix=_AGAIN)
        text, said = _packed(packed, MANIFEST, MAX_MANIFEST), _packed(packed, HASH, 4096)
        signature = _packed(packed, SIGNATURE, MAX_SIGNATURE) if SIGNATURE in packed.entries else None
    digest = hashlib.sha256(text).hexdigest()
    where = place(path, MANIFEST)
    manifest = parse(text, where)
    stated = said.decode("ascii", "replace").split()
    if not stated or stated[0] != digest:
        raise ModelRefused(
            f"model.json was changed or damaged: its sha256 is {digest[:12]}..., but {HASH} says "
            f"{_printable(stated[0][:12]) if stated else 'nothing'}...",
            where=where,
            fix=_AGAIN,
        )
    if packed is None:
        _check_names(path, manifest)
    else:
        _check_packed_names(packed, manifest)
    for name, listed in manifest.files.items():
        _check_file(path, packed, name, listed)
    return manifest, digest, text, signature


def read_listed(path: Path, name: str, listed: ListedFile) -> bytes:
    """Return the bytes of a listed file after checking them again, so that what is used is what was listed."""
    packed = _archive(path)
    if packed is None:
        data = _read(path / name, listed.size)
    else:
        data = _packed(packed, name, listed.size) if name in packed.entries else b""
    if len(data) != listed.size or hashlib.sha256(data).hexdigest() != listed.sha256:
        raise ModelRefused("the file was changed since the model was opened", where=place(path, name), fix=_AGAIN)
    return data


def place(path: Path, name: str) -> str:
    """Return where a file of a model is, for messages."""
    return str(path / name) if path.is_dir() else f"{path} ({name})"


def _archive(path: Path) -> Archive | None:
    """Return the archive at `path`, or what a folder in an archive holds; None where there is a folder, or nothing."""
    if path.is_dir():
        return None
    if path.exists():
        return read_archive(path)
    packed = next((parent for parent in path.parents if parent.exists()), path)
    return read_archive(packed).below(path.relative_to(packed).as_posix()) if packed.is_file() else None


def manifest_text(path: Path) -> bytes:
    """Return the bytes of ``model.json``, in a folder or a file; nothing is checked but the form of an archive.

    Raises
    ------
    ModelRefused
        When there is none.
    MachineError
        When it cannot be read.
    """
    packed = _archive(path)
    if packed is None:
        return manifest_bytes(path)
    if MANIFEST not in packed.entries:
        raise ModelRefused(f"it holds no {MANIFEST}", where=str(path), fix=_AGAIN)
    return _packed(packed, MANIFEST, MAX_MANIFEST)


def _packed(packed: Archive, name: str, limit: int) -> bytes:
    """Return the bytes of a file in an archive, or too many when it has more than `limit`."""
    if packed.entries[name].size > limit:
        return b" " * (limit + 1)
    return b"".join(packed.pieces(name))


def _check_packed_names(packed: Archive, manifest: Listing) -> None:
    known = {MANIFEST, HASH, *manifest.files}
    for name in packed.entries:
        if name not in known | {SIGNATURE}:
            raise ModelRefused(f"{name!r} is not listed in model.json", where=str(packed.path), fix=_AGAIN)
    for name in sorted(known - set(packed.entries)):
        raise ModelRefused("a file of the model is missing", where=place(packed.path, name), fix=_AGAIN)


def manifest_bytes(folder: Path) -> bytes:
    """Return the bytes of ``model.json`` of a folder; what is no model folder is refused."""
    if not folder.exists():
        raise ModelRefused("there is no such model folder", where=str(folder), fix="correct the path")
    if not (folder / MANIFEST).is_file():
        inside = folder / "model"
        hint = f"give {inside}" if (inside / MANIFEST).is_file() else "give the model folder of a run: RUN/model"
        raise ModelRefused(f"not a model folder: it has no {MANIFEST}", where=str(folder), fix=hint)
    if not (folder / HASH).exists():
        raise ModelRefused(f"the file {HASH} is missing", where=str(folder), fix=_AGAIN)
    return _read(folder / MANIFEST, MAX_MANIFEST)


def _read(path: Path, limit: int) -> bytes:
    """Return the bytes of a regular file, at most one more than `limit`; a link is refused."""
    _check_regular(path)
    try:
        with path.open("rb") as file:
            return file.read(limit + 1)
    except OSError as error:
        raise MachineError(f"the file cannot be read ({error.strerror})", where=str(path), fix="correct it") from error


def _check_regular(path: Path) -> os.stat_result:
    try:
        facts = path.lstat()
    except FileNotFoundError as error:
        raise ModelRefused("a file of the model is missing", where=str(path), fix=_AGAIN) from error
    except OSError as error:
        raise MachineError(f"the file cannot be read ({error.strerror})", where=str(path), fix="correct it") from error
    if stat.S_ISLNK(facts.st_mode):
        raise ModelRefused("the file is a link; a model folder holds its files itself", where=str(path), fix=_AGAIN)
    if not stat.S_ISREG(facts.st_mode):
        raise ModelRefused("this is not a regular file", where=str(path), fix=_AGAIN)
    return facts


def _check_names(folder: Path, manifest: Listing) -> None:
    """Refuse whatever lies in the folder and is not listed: files, links, folders without a listed file."""
    known = {MANIFEST, HASH, SIGNATURE, *manifest.files}
    parents = {path.rsplit("/", depth)[0] for path in known for depth in range(1, path.count("/") + 1)}
    seen = 0
    todo = [folder]
    while todo:
        try:
            entries = sorted(os.scandir(todo.pop()), key=lambda entry: entry.name)
        except OSError as error:
            raise MachineError(
                f"the folder cannot be read ({error.strerror})", where=str(folder), fix="correct its permissions"
            ) from error
        for entry in entries:
            name = Path(entry.path).relative_to(folder).as_posix()
            seen += 1
            if entry.is_symlink():
                raise ModelRefused(
                    "the file is a link; a model folder holds its files itself", where=entry.path, fix=_AGAIN
                )
            if entry.is_dir(follow_symlinks=False) and name in parents:
                todo.append(Path(entry.path))
            elif name not in known or seen > 3 * MAX_FILES:
                raise ModelRefused(
                    f"{_printable(name)!r} is not listed in model.json",
                    where=str(folder),
                    fix="delete it if you put it there, else get the model from its source again",
                )


def _check_file(path: Path, packed: Archive | None, name: str, listed: ListedFile) -> None:
    where = place(path, name)
    size = _check_regular(path / name).st_size if packed is None else packed.entries[name].size
    if size != listed.size:
        raise ModelRefused(
            f"the file was changed or damaged: it has {size} bytes, model.json lists {listed.size}",
            where=where,
            fix=_AGAIN,
        )
    digest = hashlib.sha256()
    for piece in _pieces(path / name) if packed is None else packed.pieces(name):
        digest.update(piece)
    found = digest.hexdigest()
    if found != listed.sha256:
        raise ModelRefused(
            f"the file was changed or damaged: sha256 is {found[:12]}..., model.json lists {listed.sha256[:12]}...",
            where=where,
            fix=_AGAIN,
        )


def _pieces(path: Path) -> Iterator[bytes]:
    try:
        with path.open("rb") as file:
            while piece := file.read(_PIECE):
                yield piece
    except OSError as error:
        raise MachineError(f"the file cannot be read ({error.strerror})", where=str(path), fix="correct it") from error


def _printable(text: str) -> str:
    return "".join(letter if letter.isprintable() else "?" for letter in text)[:200]
