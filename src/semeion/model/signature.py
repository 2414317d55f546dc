"""Who vouches for a model: an Ed25519 signature over its manifest, which names the hash of every other file.

Ed25519: Bernstein et al. (2012), "High-speed high-security signatures"; RFC 8032. Keys are PEM files as OpenSSL writes
them: PKCS 8 for the private key (RFC 5958, RFC 8410), SubjectPublicKeyInfo for the public one. The signature lies in
``model.sig`` beside the manifest and is not listed in it; it stays valid when the model is packed and unpacked.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import os
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from semeion.artefacts import machine_errors, write_bytes
from semeion.errors import InputError, MachineError, ModelRefused
from semeion.model.manifest import SIGNATURE
from semeion.model.manifest_file import explain
from semeion.model.opening import MAX_SIGNATURE, Opened, place
from semeion.model.packing import repack
from semeion.model.several_targets import open_whole
from semeion.model.strict_json import read_strict

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

DOMAIN = b"Semeion model signature, version 1\x00"
"""Stands before the manifest's bytes in what is signed, so that no signature made for something else fits a model."""
MAX_KEY = 1 << 16
_MAKE = "make a pair of keys with `semeion keygen`, or with `openssl genpkey -algorithm ed25519`"


class Signature(BaseModel):
    """What ``model.sig`` holds.

    Attributes
    ----------
    algorithm
        Always ``Ed25519``.
    key
        sha256 of the public key (DER of SubjectPublicKeyInfo): which key it was, not whether to trust it.
    signature
        64 bytes, base64.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    schema_version: Literal[1] = Field(default=1, alias="schema")
    algorithm: Literal["Ed25519"] = "Ed25519"
    key: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    signature: Annotated[str, Field(min_length=88, max_length=88)]


def make_keys(path: Path, passphrase: bytes | None = None) -> str:
    """Make a new pair of keys: `path`, which only its owner may read, and ``<path>.pub``.

    Parameters
    ----------
    path
        Where the private key goes.
    passphrase
        Encrypts the private key; None: it is not encrypted.

    Returns
    -------
    str
        The name of the key: sha256 of the public one.

    Raises
    ------
    InputError
        When a file is there already: a key is never written over.
    MachineError
        When they cannot be written.
    """
    from cryptography.hazmat.primitives import serialization as s
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    public_path = path.with_name(path.name + ".pub")
    for file in (path, public_path):
        if os.path.lexists(file):
            raise InputError("there is a file already", where=str(file), fix="choose another name for the keys")
    key = Ed25519PrivateKey.generate()
    how = s.BestAvailableEncryption(passphrase) if passphrase else s.NoEncryption()
    private = key.private_bytes(s.Encoding.PEM, s.PrivateFormat.PKCS8, how)
    public = key.public_key().public_bytes(s.Encoding.PEM, s.PublicFormat.SubjectPublicKeyInfo)
    with machine_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        # Nobody else may read it, not even for the moment before its permissions are set.
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as opened:
            opened.write(private)
    write_bytes(public_path, public)
    return _name_of(key.public_key())


def sign_model(path: Path, key: Path, passphrase: bytes | None = None) -> str:
    """Sign a model, a folder or a ``.semeion`` file, and return the name of the key.

    The whole model is checked first. An earlier signature is replaced.

    Raises
    ------
    ModelRefused
        When the model cannot be trusted.
    InputError
        When the key is none, is another kind of key, or needs another passphrase.
    MachineError
        When the signature cannot be written.
    """
    private = _private_key(key, passphrase)
    opened = open_whole(path)
    made = Signature(
        key=_name_of(private.public_key()),
        signature=base64.b64encode(private.sign(DOMAIN + opened.text)).decode("ascii"),
    )
    text = made.model_dump_json(by_alias=True, indent=1).encode() + b"\n"
    if path.is_dir():
        write_bytes(path / SIGNATURE, text)
    else:
        repack(replace(opened, signature=text), path)
    return made.key


def check_signature(opened: Opened[Any], key: Path) -> str:
    """Return the name of the key when the model is signed with it.

    Parameters
    ----------
    opened
        The model.
    key
        The public key that is trusted.

    Raises
    ------
    ModelRefused
        When the model has no signature, that of another key, or one that does not fit its manifest.
    InputError
        When the key is no public Ed25519 key.
    """
    from cryptography.exceptions import InvalidSignature

    public = _public_key(key)
    wanted = _name_of(public)
    where = place(opened.path, SIGNATURE)
    found = read_signature(opened)
    if found is None:
        raise ModelRefused(
            f"the model is not signed, and a signature by the key {wanted[:16]}... is required",
            where=str(opened.path),
            fix="get the signed model from its source, or sign it yourself once you trust it: `semeion sign`",
        )
    if found.key != wanted:
        raise ModelRefused(
            f"the model is signed with another key: {found.key[:16]}..., not {wanted[:16]}...",
            where=where,
            fix="give the public key of who made the model, after you have it from them by another way",
        )
    try:
        public.verify(base64.b64decode(found.signature, validate=True), DOMAIN + opened.text)
    except (InvalidSignature, binascii.Error, ValueError) as error:
        raise ModelRefused(
            f"the signature by {wanted[:16]}... is not over this manifest: the model was changed after it was signed",
            where=where,
            fix="get the model from its source again, and do not use this one",
        ) from error
    return wanted


def read_signature(opened: Opened[Any]) -> Signature | None:
    """Return what the signature of a model says, without believing it; None where there is none.

    Raises
    ------
    ModelRefused
        When ``model.sig`` is no signature.
    """
    if opened.signature is None:
        return None
    where = place(opened.path, SIGNATURE)
    again = "get the model from its source again, or sign it anew"
    try:
        return Signature.model_validate(read_strict(opened.signature, MAX_SIGNATURE), strict=True)
    except ValidationError as error:
        raise ModelRefused(f"not a signature ({explain(error)})", where=where, fix=again) from error
    except ValueError as error:
        raise ModelRefused("not a signature: its JSON cannot be read", where=where, fix=again) from error


def _private_key(path: Path, passphrase: bytes | None) -> Ed25519PrivateKey:
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    data = _key_bytes(path)
    try:
        key = load_pem_private_key(data, passphrase)
    except TypeError as error:
        fix = "leave --passphrase-file out" if passphrase else "give the passphrase with --passphrase-file"
        what = "the key is not encrypted" if passphrase else "the key is encrypted"
        raise InputError(what, where=str(path), fix=fix) from error
    except (ValueError, UnsupportedAlgorithm) as error:
        what = "not a private key in PEM, or the passphrase is another" if passphrase else "not a private key in PEM"
        raise InputError(what, where=str(path), fix=_MAKE) from error
    if not isinstance(key, Ed25519PrivateKey):
        raise InputError("this is another kind of key than Ed25519", where=str(path), fix=_MAKE)
    return key


def _public_key(path: Path) -> Ed25519PublicKey:
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
    from cryptography.hazmat.primitives.serialization import load_pem_public_key

    data = _key_bytes(path)
    if b"PRIVATE KEY" in data:
        raise InputError(
            "this is a private key, and the public one is asked", where=str(path), fix="give the .pub file"
        )
    try:
        key = load_pem_public_key(data)
    except (ValueError, UnsupportedAlgorithm) as error:
        raise InputError("not a public key in PEM", where=str(path), fix=_MAKE) from error
    if not isinstance(key, Ed25519PublicKey):
        raise InputError("this is another kind of key than Ed25519", where=str(path), fix=_MAKE)
    return key


def _key_bytes(path: Path) -> bytes:
    if not path.is_file():
        raise InputError("there is no such key", where=str(path), fix="correct the path")
    try:
        with path.open("rb") as file:
            data = file.read(MAX_KEY + 1)
    except OSError as error:
        raise MachineError(f"the key cannot be read ({error.strerror})", where=str(path), fix="correct it") from error
    if len(data) > MAX_KEY:
        raise InputError("the file is too large for a key", where=str(path), fix=_MAKE)
    return data


def _name_of(key: Ed25519PublicKey) -> str:
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    return hashlib.sha256(key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).hexdigest()
