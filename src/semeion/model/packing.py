"""From a model folder to one file and back, byte for byte."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from semeion.artefacts import whole_folder
from semeion.errors import InputError
from semeion.model.archive import SUFFIX, in_order, write_archive
from semeion.model.manifest import HASH, MANIFEST, SIGNATURE
from semeion.model.opening import Opened, read_listed
from semeion.model.several_targets import open_whole


def pack_model(model: Path, output: Path) -> str:
    """Write a model folder as one file, and return the model's hash.

    The whole model is checked before and after. The same model gives the same bytes on every machine.

    Raises
    ------
    InputError
        When `output` does not end in ``.semeion``, or lies in the model.
    ModelRefused
        When the model cannot be trusted.
    MachineError
        When the file cannot be written.
    """
    if output.suffix.lower() != SUFFIX:
        raise InputError(f"a packed model ends in {SUFFIX}", where=str(output), fix=f"name it {output.name}{SUFFIX}")
    if output.is_dir():
        raise InputError("this is a folder", where=str(output), fix="give the file to write")
    if output.resolve().is_relative_to(model.resolve()):
        raise InputError("the file would lie in the model itself", where=str(output), fix="write it elsewhere")
    repack(open_whole(model), output)
    return open_whole(output).hash


def repack(opened: Opened[Any], output: Path) -> None:
    """Write an opened model as one file; `output` may be the file that it comes from."""
    write_archive(output, ((name, _bytes(opened, name)) for name in _names(opened)))


def unpack_model(packed: Path, output: Path) -> str:
    """Write the folder of a packed model, whole or not at all, and return the model's hash.

    Raises
    ------
    InputError
        When there is something at `output` already.
    ModelRefused
        When the packed model cannot be trusted; nothing is written then.
    MachineError
        When the folder cannot be written.
    """
    if os.path.lexists(output):
        raise InputError("there is something here already", where=str(output), fix="give a new folder")
    opened = open_whole(packed)
    if packed.is_dir():
        raise InputError("this is a model folder already", where=str(packed), fix="give what `semeion pack` wrote")
    with whole_folder(output) as temporary:
        for name in _names(opened):
            file = temporary / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(_bytes(opened, name))
    return opened.hash


def _names(opened: Opened[Any]) -> list[str]:
    return in_order({MANIFEST, HASH, *opened.manifest.files, *({SIGNATURE} if opened.signature else ())})


def _bytes(opened: Opened[Any], name: str) -> bytes:
    """Return one file; only one is in memory at a time."""
    if name == MANIFEST:
        return opened.text
    if name == HASH:
        return f"{opened.hash}  {MANIFEST}\n".encode()
    if name == SIGNATURE:
        return opened.signature or b""
    return read_listed(opened.path, name, opened.manifest.files[name])
