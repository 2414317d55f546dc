"""A model of several targets: whole models side by side, one manifest that lists all, a row a case and target."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from semeion.errors import InputError, ModelRefused
from semeion.model import runtime
from semeion.model.findings import write_findings
from semeion.model.several_targets import SeveralModel, is_several, load_model, write_several


@pytest.fixture
def both(make_model: Callable[..., Path], tmp_path: Path) -> Path:
    """Return a model of a binary finding, a grade and an age."""
    models = {
        "finding": ("finding", make_model(name="a")),
        "grade": ("grade", make_model("ordinal", name="b", target="grade")),
        "age": ("age", make_model("regression", name="c", target="age")),
    }
    write_several(tmp_path / "several", models)
    return tmp_path / "several"


def test_every_target_says_what_its_own_model_says(both: Path, pictures: Callable[..., list[str]]) -> None:
    model, paths = load_model(both), pictures()
    assert isinstance(model, SeveralModel) and is_several(both)
    found = model.predict(paths)
    assert tuple(found.columns) == model.columns
    assert found["target"].tolist() == ["finding", "grade", "age"] * len(paths)
    assert found["case_id"].tolist() == [str(1 + row // 3) for row in range(3 * len(paths))]
    for name in ("finding", "grade", "age"):
        alone, own = runtime.load_model(both / "targets" / name).predict(paths), found[found["target"] == name]
        assert [str(one) for one in alone["call"]] == own["call"].tolist()
        for column in (one for one in found.columns if one.startswith("p_")):
            if column in alone:
                assert np.array_equal(alone[column].to_numpy(), own[column].to_numpy())
            else:
                assert own[column].isna().all()
        assert set(own["model"]) == {model.hash}


def test_a_picture_that_cannot_be_read_fails_for_every_target(
    both: Path, pictures: Callable[..., list[str]], tmp_path: Path
) -> None:
    broken = tmp_path / "broken.png"
    broken.write_bytes(b"\x89PNG\r\n\x1a\n")
    model = load_model(both)
    for suffix in (".csv", ".json", ".parquet"):
        file = tmp_path / f"findings{suffix}"
        findings = model.findings([*pictures(2), str(broken)])
        counts = write_findings(findings, file, model.probability_names, interval=model.has_interval)
        assert counts == {"called": 6, "failed": 3}
    told = pd.read_parquet(tmp_path / "findings.parquet")
    assert told["call"].isna().sum() == 3 and len(told) == 9


def test_measured_values_alone_are_numbers(
    make_model: Callable[..., Path], pictures: Callable[..., list[str]], tmp_path: Path
) -> None:
    models = {
        name: (name, make_model("regression", name=name, target=name, members=1 + place))
        for place, name in enumerate(("age", "size"))
    }
    write_several(tmp_path / "several", models)
    model = load_model(tmp_path / "several")
    assert model.predict(pictures(2))["call"].dtype == np.float64
    write_findings(model.findings(pictures(2)), tmp_path / "found.parquet", model.probability_names)
    assert pd.read_parquet(tmp_path / "found.parquet")["call"].dtype == np.float64


def test_a_changed_file_of_any_target_is_refused(both: Path) -> None:
    card = both / "targets" / "grade" / "CARD.md"
    card.write_text("another")
    with pytest.raises(ModelRefused, match=r"changed or damaged") as refused:
        load_model(both)
    assert "targets/grade/CARD.md" in str(refused.value)


def test_a_file_that_is_not_listed_is_refused(both: Path) -> None:
    (both / "targets" / "grade" / "more.txt").write_text("x")
    with pytest.raises(ModelRefused, match=r"'targets/grade/more.txt' is not listed in model.json"):
        load_model(both)


def test_a_model_in_the_place_of_another_is_refused(both: Path, make_model: Callable[..., Path]) -> None:
    """As damage: every byte of the other model is sound, and it is not the one listed."""
    other = make_model("ordinal", name="other", target="grade", members=1)
    shutil.rmtree(both / "targets" / "grade")
    shutil.copytree(other, both / "targets" / "grade")
    with pytest.raises(ModelRefused, match=r"changed or damaged|missing|not listed"):
        load_model(both)


def _rewrite(folder: Path, change: Callable[[dict[str, Any]], None]) -> None:
    value = json.loads((folder / "model.json").read_text())
    change(value)
    (folder / "model.json").write_text(json.dumps(value))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda value: value["targets"][0].update(folder="../out"), "could lead out of the model folder"),
        (lambda value: value["targets"][0].update(folder="targets/grade"), "two targets have the same folder"),
        (lambda value: value["targets"][1].update(target="finding"), "two targets have the same name"),
        (lambda value: value["targets"].__delitem__(slice(1, None)), "targets: List should have at least 2 items"),
        (lambda value: value["files"].pop("targets/age/model.json"), "'targets/age/model.json' is used but not listed"),
        (lambda value: value.update(more=1), "more: Extra inputs are not permitted"),
        (lambda value: value.update(schema=2), "schema: Input should be 1"),
    ],
)
def test_a_manifest_that_is_not_sound_is_refused(
    both: Path, change: Callable[[dict[str, Any]], None], said: str
) -> None:
    _rewrite(both, change)
    with pytest.raises(ModelRefused) as refused:
        load_model(both)
    assert said in str(refused.value)


def test_who_needs_one_target_or_masks_says_so(both: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelRefused, match="this is a model of several targets, and the model of one is needed"):
        runtime.load_model(both)
    with pytest.raises(InputError, match="a model of several targets has no masks"):
        load_model(both).findings([], masks=tmp_path / "masks")


def test_several_targets_are_packed_signed_and_read_as_one_file(
    both: Path, pictures: Callable[..., list[str]], tmp_path: Path
) -> None:
    from semeion.model.packing import pack_model, unpack_model
    from semeion.model.signature import make_keys, sign_model
    from support.tiny import contents_of

    packed, key = tmp_path / "m.semeion", tmp_path / "key"
    digest = pack_model(both, packed)
    make_keys(key)
    with pytest.raises(ModelRefused, match="the model is not signed"):
        load_model(packed, require_signature=tmp_path / "key.pub")
    sign_model(packed, key)
    model = load_model(packed, require_signature=tmp_path / "key.pub")
    assert isinstance(model, SeveralModel) and model.hash == digest
    paths = pictures()
    assert model.predict(paths).equals(load_model(both).predict(paths))
    sign_model(both, key)
    unpack_model(packed, tmp_path / "again")
    assert contents_of(tmp_path / "again") == contents_of(both)
    assert load_model(both, require_signature=tmp_path / "key.pub").hash == digest
    (both / "targets/age/CARD.md").write_text("better\n")
    with pytest.raises(ModelRefused, match="was changed or damaged"):
        load_model(both, require_signature=tmp_path / "key.pub")
