from __future__ import annotations

import json
import os
import shutil
import stat
import subprocess
from pathlib import Path
from typing import Any

import pytest

from semeion.errors import InputError, ModelRefused
from semeion.model.opening import open_files
from semeion.model.packing import pack_model, unpack_model
from semeion.model.runtime import load_model
from semeion.model.signature import check_signature, make_keys, read_signature, sign_model
from support.hostile import rehash


@pytest.fixture
def keys(tmp_path: Path) -> Path:
    make_keys(tmp_path / "keys" / "mine")
    return tmp_path / "keys" / "mine"


def public(key: Path) -> Path:
    return key.with_name(key.name + ".pub")


def test_a_signed_model_is_known_by_its_key_packed_and_unpacked(make_model: Any, keys: Path, tmp_path: Path) -> None:
    folder = make_model()
    before = open_files(folder).hash
    name = sign_model(folder, keys)
    assert open_files(folder).hash == before, "a signature changes nothing of the model"
    pack_model(folder, tmp_path / "m.semeion")
    unpack_model(tmp_path / "m.semeion", tmp_path / "again")
    for path in (folder, tmp_path / "m.semeion", tmp_path / "again"):
        assert check_signature(open_files(path), public(keys)) == name
        assert load_model(path, require_signature=public(keys)).hash == before
    written = json.loads((folder / "model.sig").read_text())
    assert written.keys() == {"schema", "algorithm", "key", "signature"}
    assert (written["schema"], written["algorithm"], written["key"]) == (1, "Ed25519", name)


def test_a_packed_model_is_signed_in_its_place(make_model: Any, keys: Path, tmp_path: Path) -> None:
    folder, packed = make_model(), tmp_path / "m.semeion"
    pack_model(folder, packed)
    sign_model(packed, keys)
    sign_model(folder, keys)
    pack_model(folder, tmp_path / "other.semeion")
    assert packed.read_bytes() == (tmp_path / "other.semeion").read_bytes()
    assert sign_model(packed, keys) == check_signature(open_files(packed), public(keys))


def refusal(path: Path, key: Path) -> str:
    with pytest.raises(ModelRefused) as caught:
        load_model(path, require_signature=key)
    assert caught.value.exit_status == 3
    return str(caught.value)


def test_what_is_not_signed_or_by_another_or_changed_is_refused_each_by_name(
    make_model: Any, keys: Path, tmp_path: Path
) -> None:
    folder, other = make_model(), tmp_path / "other"
    make_keys(other)
    assert "the model is not signed, and a signature by the key" in refusal(folder, public(keys))
    sign_model(folder, keys)
    assert "the model is signed with another key" in refusal(folder, public(other))
    # Who changes a model and all of its hashes cannot change its signature.
    rehash(folder, lambda value: value["operating_point"].update(value=0.9))
    assert open_files(folder).manifest.operating_point.value == 0.9
    assert "the model was changed after it was signed" in refusal(folder, public(keys))


def test_the_signature_of_another_model_or_of_other_bytes_is_refused(
    make_model: Any, keys: Path, tmp_path: Path
) -> None:
    a, b = make_model(name="a"), make_model("multiclass", name="b")
    sign_model(a, keys)
    shutil.copy(a / "model.sig", b / "model.sig")
    assert "is not over this manifest" in refusal(b, public(keys))
    # The same key over the bare bytes, without the words that say what they are.
    import base64

    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    bare = load_pem_private_key(keys.read_bytes(), None).sign((a / "model.json").read_bytes())  # type: ignore[union-attr, call-arg]
    said = json.loads((a / "model.sig").read_text()) | {"signature": base64.b64encode(bare).decode()}
    (a / "model.sig").write_text(json.dumps(said))
    assert "is not over this manifest" in refusal(a, public(keys))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "its JSON cannot be read"),
        ("[1]", "not a signature"),
        ('{"schema": 2, "algorithm": "Ed25519", "key": "", "signature": ""}', "not a signature (schema"),
        ('{"schema": 1, "algorithm": "none"}', "not a signature (algorithm"),
        (json.dumps({"schema": 1, "key": "0" * 64, "signature": "A" * 87}), "signature: String should have"),
        ('{"schema": 1, "schema": 1}', "its JSON cannot be read"),
        ("x" * 5000, "its JSON cannot be read"),
    ],
)
def test_what_is_no_signature_is_refused(make_model: Any, keys: Path, text: str, message: str) -> None:
    folder = make_model()
    (folder / "model.sig").write_text(text)
    assert message in refusal(folder, public(keys))
    with pytest.raises(ModelRefused, match="not a signature"):
        read_signature(open_files(folder))


def test_a_signature_that_is_no_base64_is_refused(make_model: Any, keys: Path) -> None:
    folder = make_model()
    sign_model(folder, keys)
    said = json.loads((folder / "model.sig").read_text())
    (folder / "model.sig").write_text(json.dumps(said | {"signature": "!" * 88}))
    assert "is not over this manifest" in refusal(folder, public(keys))


def test_a_changed_model_is_not_signed(make_model: Any, keys: Path) -> None:
    folder = make_model()
    (folder / "CARD.md").write_text("better")
    with pytest.raises(ModelRefused, match="changed or damaged"):
        sign_model(folder, keys)
    assert not (folder / "model.sig").exists()


def test_only_its_owner_reads_a_private_key_and_none_is_written_over(keys: Path) -> None:
    assert stat.S_IMODE(keys.stat().st_mode) == 0o600
    assert keys.read_bytes().startswith(b"-----BEGIN PRIVATE KEY-----")
    before = keys.read_bytes()
    with pytest.raises(InputError, match="there is a file already"):
        make_keys(keys)
    keys.rename(keys.with_name("elsewhere"))
    with pytest.raises(InputError, match=r"mine\.pub: there is a file already"):
        make_keys(keys)
    assert keys.with_name("elsewhere").read_bytes() == before


def test_a_key_may_have_a_passphrase(make_model: Any, tmp_path: Path) -> None:
    folder, key = make_model(), tmp_path / "locked"
    name = make_keys(key, b"open sesame")
    assert b"ENCRYPTED PRIVATE KEY" in key.read_bytes()
    with pytest.raises(InputError, match="the key is encrypted; give the passphrase with --passphrase-file"):
        sign_model(folder, key)
    with pytest.raises(InputError, match="the passphrase is another"):
        sign_model(folder, key, b"wrong")
    assert sign_model(folder, key, b"open sesame") == name
    make_keys(tmp_path / "open")
    with pytest.raises(InputError, match="the key is not encrypted; leave --passphrase-file out"):
        sign_model(folder, tmp_path / "open", b"x")


def test_what_is_no_key_is_refused(make_model: Any, keys: Path, tmp_path: Path) -> None:
    from cryptography.hazmat.primitives import serialization as s
    from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

    folder, bad = make_model(), tmp_path / "bad"
    with pytest.raises(InputError, match="there is no such key"):
        sign_model(folder, bad)
    bad.write_bytes(b"no key")
    with pytest.raises(InputError, match="not a private key in PEM"):
        sign_model(folder, bad)
    with pytest.raises(InputError, match="not a public key in PEM"):
        check_signature(open_files(folder), bad)
    bad.write_bytes(b"x" * 70_000)
    with pytest.raises(InputError, match="too large for a key"):
        sign_model(folder, bad)
    with pytest.raises(InputError, match="this is a private key, and the public one is asked"):
        check_signature(open_files(folder), keys)
    other = X25519PrivateKey.generate()
    bad.write_bytes(other.private_bytes(s.Encoding.PEM, s.PrivateFormat.PKCS8, s.NoEncryption()))
    with pytest.raises(InputError, match="another kind of key than Ed25519"):
        sign_model(folder, bad)
    bad.write_bytes(other.public_key().public_bytes(s.Encoding.PEM, s.PublicFormat.SubjectPublicKeyInfo))
    with pytest.raises(InputError, match="another kind of key than Ed25519"):
        check_signature(open_files(folder), bad)


def test_keys_and_signatures_are_those_of_openssl(make_model: Any, tmp_path: Path) -> None:
    import base64

    program = shutil.which("openssl")
    if program is None:
        if os.environ.get("CI") == "true":
            pytest.fail("no openssl here")
        pytest.skip("no openssl here")

    def openssl(*arguments: str) -> str:
        done = subprocess.run([program, *arguments], capture_output=True, text=True, cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        return done.stdout

    openssl("genpkey", "-algorithm", "ed25519", "-out", "k.pem")
    openssl("pkey", "-in", "k.pem", "-pubout", "-out", "k.pub")
    folder = make_model()
    sign_model(folder, tmp_path / "k.pem")
    check_signature(open_files(folder), tmp_path / "k.pub")
    # Whoever has no Semeion can check it too.
    words = b"Semeion model signature, version 1\0"
    (tmp_path / "signed").write_bytes(words + (folder / "model.json").read_bytes())
    said = json.loads((folder / "model.sig").read_text())["signature"]
    (tmp_path / "sig").write_bytes(base64.b64decode(said))
    arguments = ("-verify", "-pubin", "-inkey", "k.pub", "-rawin", "-in", "signed", "-sigfile", "sig")
    assert "Verified Successfully" in openssl("pkeyutl", *arguments)
