"""Models that earlier versions wrote still open and say the same; see ``fixtures``.

``fixtures/schema1`` was written before models had golden cases. A folder is never changed once it is there.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from semeion.errors import ModelRefused
from semeion.model import manifest_file
from semeion.model.manifest import SCHEMA
from semeion.model.opening import open_files
from semeion.model.packing import pack_model, unpack_model
from semeion.model.runtime import load_model
from support.hostile import files_of, rehash

FIXTURES = Path(__file__).parent / "fixtures"


def test_there_is_a_model_of_every_schema() -> None:
    found = {json.loads((folder / "model.json").read_text())["schema"] for folder in FIXTURES.iterdir()}
    assert found == set(range(1, SCHEMA + 1))


def test_a_model_of_schema_1_still_says_what_it_said(reference: Any) -> None:
    model = load_model(FIXTURES / "schema1", threads=1)
    assert model.hash == hashlib.sha256((FIXTURES / "schema1" / "model.json").read_bytes()).hexdigest()
    assert (model.task, model.classes) == ("multiclass", ("a", "b", "c"))
    images = np.random.default_rng(0).integers(0, 256, (4, 1, 8, 8), dtype=np.uint8)
    logits = reference("multiclass", images, 2)
    odds = np.exp(logits)
    wanted = odds / odds.sum(axis=2, keepdims=True)
    np.testing.assert_allclose(model.raw(images), wanted, atol=1e-5)
    assert "holds no golden cases" in model.try_out()


def test_an_old_model_is_packed_as_it_is(tmp_path: Path) -> None:
    pack_model(FIXTURES / "schema1", tmp_path / "m.semeion")
    unpack_model(tmp_path / "m.semeion", tmp_path / "again")
    assert files_of(tmp_path / "again") == files_of(FIXTURES / "schema1")


def test_an_older_schema_is_carried_over_step_by_step(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As it will be: schema 1 called the target ``goal``, and schema 2 says ``target``."""
    folder = tmp_path / "old"
    shutil.copytree(FIXTURES / "schema1", folder)
    rehash(folder, lambda value: value.update(goal=value.pop("target")))

    def second(value: dict[str, Any]) -> dict[str, Any]:
        return {name: text for name, text in value.items() if name != "goal"} | {"target": value["goal"]}

    with pytest.raises(ModelRefused, match="target: Field required"):
        open_files(folder)
    monkeypatch.setattr(manifest_file, "SCHEMA", 2)
    monkeypatch.setitem(manifest_file.MIGRATIONS, 1, second)
    opened = open_files(folder)
    assert opened.manifest.target == "finding"
    assert opened.hash == hashlib.sha256((folder / "model.json").read_bytes()).hexdigest(), "of the bytes on the disk"


def test_a_newer_schema_is_refused_with_both_versions(tmp_path: Path) -> None:
    folder = tmp_path / "new"
    shutil.copytree(FIXTURES / "schema1", folder)
    rehash(folder, lambda value: value.update(schema=SCHEMA + 1, semeion="7.1.0"))
    with pytest.raises(ModelRefused, match=rf"schema {SCHEMA + 1}, written by Semeion 7\.1\.0; this is Semeion"):
        open_files(folder)
