"""Commands for a model on its way to others: pack, unpack, keygen, sign, verify, sbom."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

Model = Annotated[Path, typer.Argument(metavar="MODEL", help="Model folder, or a packed model (.semeion).")]
_LONGEST = 1000
"""Bytes of a passphrase; OpenSSL takes 1023."""
Passphrase = Annotated[
    Path | None,
    typer.Option("--passphrase-file", metavar="FILE", help="Its first line is the passphrase of the private key."),
]


def pack(
    model: Annotated[Path, typer.Argument(metavar="MODEL", help="Model folder.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="File to write; it ends in .semeion.")],
) -> None:
    """Write a model as one file, after checking every byte of it. The same model gives the same bytes.

    Example: semeion pack runs/finding/model -o finding.semeion
    """
    from semeion.model.packing import pack_model

    print(f"{output}: the model {pack_model(model, output)}")


def unpack(
    packed: Annotated[Path, typer.Argument(metavar="FILE.semeion", help="Packed model.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder to make.")],
) -> None:
    """Write the folder of a packed model, byte for byte. To read images this is not needed: predict takes the file.

    Example: semeion unpack finding.semeion -o finding-model
    """
    from semeion.model.packing import unpack_model

    print(f"{output}: the model {unpack_model(packed, output)}")


def keygen(
    output: Annotated[Path, typer.Option("--output", "-o", help="Private key; the public one is written beside it.")],
    passphrase_file: Passphrase = None,
) -> None:
    """Make a pair of Ed25519 keys to sign models with, in PEM as OpenSSL writes them.

    Example: semeion keygen -o keys/hospital
    """
    from semeion.model.signature import make_keys

    name = make_keys(output, _passphrase(passphrase_file))
    print(f"Private key: {output} (keep it to yourself)\nPublic key:  {output}.pub\nName:        {name}")


def sign(
    model: Model,
    key: Annotated[Path, typer.Option("--key", metavar="KEY", help="Private Ed25519 key in PEM.")],
    passphrase_file: Passphrase = None,
) -> None:
    """Sign a model: say with a key that these are the bytes one vouches for.

    Example: semeion sign finding.semeion --key keys/hospital
    """
    from semeion.model.signature import sign_model

    print(f"{model}: signed with the key {sign_model(model, key, _passphrase(passphrase_file))}")


def verify(
    model: Model,
    key: Annotated[
        Path | None, typer.Option("--key", metavar="PUB", help="Public Ed25519 key in PEM that must have signed it.")
    ] = None,
) -> None:
    """Check every file of a model, run its golden cases, and check its signature. The exit status is 3 when it fails.

    Without --key hashes are checked, which show damage and no forgery.

    Example: semeion verify finding.semeion --key keys/hospital.pub
    """
    from semeion.model.several_targets import SeveralModel, load_model, open_whole
    from semeion.model.signature import read_signature

    loaded = load_model(model, require_signature=key)
    if isinstance(loaded, SeveralModel):
        # A name in a file of others could steer a terminal.
        golden = [f"{name!r}: {one.try_out()}" for name, one in loaded.models.items()]
    else:
        golden = [loaded.try_out()]
    print("\n".join([f"{model}: whole; the model {loaded.hash}", *golden]))
    if key is not None:
        print(f"Signed with {key}.")
        return
    found = read_signature(open_whole(model))
    if found is None:
        print("Not signed: whoever could change it could change its hashes too.")
    else:
        print(f"It says that the key {found.key} signed it; nobody looked: give that key with --key.")


def sbom(
    model: Model,
    output: Annotated[Path, typer.Option("--output", "-o", help="File to write, for example sbom.cdx.json.")],
) -> None:
    """Write what a model is made of and what runs it here: packages, versions, licences, graphs (CycloneDX 1.6).

    Example: semeion sbom finding.semeion -o sbom.cdx.json
    """
    from semeion.artefacts import write_json
    from semeion.model.bom import bill_of_materials

    bill = bill_of_materials(model)
    write_json(output, bill)
    print(f"{output}: {len(bill['components'])} components")


def _passphrase(path: Path | None) -> bytes | None:
    """Return the first line of a file."""
    from semeion.errors import InputError

    if path is None:
        return None
    try:
        with path.open("rb") as file:
            line = file.readline(2 * _LONGEST).rstrip(b"\r\n")
    except OSError as error:
        raise InputError(
            f"the passphrase cannot be read ({error.strerror})", where=str(path), fix="correct the path"
        ) from error
    if not line:
        raise InputError("its first line is empty", where=str(path), fix="write the passphrase into it")
    if len(line) > _LONGEST:
        raise InputError(f"its first line has more than {_LONGEST} bytes", where=str(path), fix="use a shorter one")
    return line


COMMANDS = (pack, unpack, keygen, sign, verify, sbom)
