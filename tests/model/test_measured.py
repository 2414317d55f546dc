"""A model that diagnoses from measurements: by hand, with a stump over one volume."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from semeion.errors import InputError, MachineError, ModelRefused
from semeion.model import mask_findings, measured
from semeion.model.findings import Finding
from semeion.model.manifest import Manifest
from semeion.model.runtime import load_model
from semeion.model.trees import Trees
from support.stump import FILE, STRUCTURES, STUMP, write_stump


@pytest.fixture(name="make")
def _make(tmp_path: Path) -> Callable[..., Path]:
    def make(trees: dict[str, Any] | bytes | None = None, **changes: Any) -> Path:
        return write_stump(tmp_path / "model", STUMP if trees is None else trees, **changes)

    return make


def table_of(tmp_path: Path, rows: list[tuple[str, Any, Any]]) -> Path:
    pd.DataFrame(rows, columns=["case_id", "image.before", "image.after"]).to_csv(tmp_path / "new.csv", index=False)
    return tmp_path / "new.csv"


def test_a_finding_by_hand(make: Any, make_volume: Any, tmp_path: Path) -> None:
    path, _ = make_volume()
    small, _ = make_volume("small.nii.gz", scale=0.5)  # at half the brightness the core is a rim
    model = load_model(make(), threads=1)
    found = model.predict(table_of(tmp_path, [("1", small, path), ("2", path, small)]))
    assert found["status"].tolist() == ["called", "called"]
    assert found["call"].tolist() == ["grown", "shrunk"]
    np.testing.assert_allclose(found["p_grown"], [0.8, 0.1])
    assert found["explanation"].iloc[0].startswith("core at after: volume 0.5")
    assert found["explanation"].iloc[0].endswith(" ml: speaks for grown (+0.30 on the probability)")
    # What spoke against the call, or not at all, is not said to have driven it.
    assert found["explanation"].iloc[0].count("(") == 1
    assert found["reasons"].fillna("").tolist() == ["", "measurement-missing: after_core_sphericity"]


class Onlooker:
    """Keeps what it is shown, and says that it wrote an explanation."""

    wants: frozenset[str] = frozenset()
    keeps_images = True

    def __init__(self, path: str = "") -> None:
        self.path = path
        self.seen: list[Any] = []

    def see(self, seen: Any) -> str:
        self.seen.append(seen)
        return self.path


def test_who_looks_on_is_shown_every_case_once(make: Any, make_volume: Any, tmp_path: Path) -> None:
    path, _ = make_volume()
    table = table_of(tmp_path, [("1", path, path), ("2", path, None), ("3", path, tmp_path / "gone.nii.gz")])
    one, other = Onlooker(), Onlooker("why.png")
    found = list(load_model(make(), threads=1).findings(table, observers=[one, other]))
    assert [finding.explanation for finding in found] == ["why.png"] * 3
    assert [seen.case.case_id for seen in one.seen] == [seen.case.case_id for seen in other.seen] == ["1", "2", "3"]
    assert [seen.findings[0].status for seen in one.seen] == ["called", "failed", "failed"]
    assert [len(seen.images) for seen in one.seen] == [2, 0, 0]
    assert one.seen[0].images[0].grid.size == (20, 18, 14)
    assert one.seen[0].findings[0].values[0].name == "after_core_volume_ml"
    assert one.seen[0].said is None
    plain = list(load_model(make(), threads=1).findings(table))
    assert [replace(finding, explanation="") for finding in found] == [replace(one, explanation="") for one in plain]


def test_what_is_not_called_is_explained_by_its_most_probable_class(
    make: Any, make_volume: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At a threshold of 0.9 the core that has 0.8 is called shrunk; unsure, it is told what spoke for grown."""
    path, _ = make_volume()
    table = table_of(tmp_path, [("1", path, path)])
    model = load_model(make(operating_point={"rule": "youden", "value": 0.9}), threads=1)
    (found,) = model.findings(table)
    assert (found.call, found.values[0].contribution) == ("shrunk", pytest.approx(-0.3))
    monkeypatch.setattr(measured, "decide", lambda facts: ("unsure", None, ("members-disagree",)))
    (found,) = model.findings(table)
    assert (found.status, found.values[0].contribution) == ("unsure", pytest.approx(0.3))


def test_what_is_said_of_measurements_states_that_images_have_a_say(
    make: Any, make_volume: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, _ = make_volume()
    model = load_model(make(), threads=1)
    seen = Finding("1", "", "course", "called", "grown", (0.4, 0.6), (), model.hash, (0.4, 0.6))
    monkeypatch.setattr(model, "_images", lambda: lambda case: seen)
    (found,) = model.findings(table_of(tmp_path, [("1", path, path)]))
    np.testing.assert_allclose(found.p, [0.3, 0.7])
    assert found.values[-1].name == "(others)"
    assert found.values[-1].sentence.startswith("Networks that see the images themselves have 50 % of the say")
    assert "50 %" not in found.explanation


def test_masks_that_would_be_one_file_are_refused_before_any_work(make: Any, make_volume: Any, tmp_path: Path) -> None:
    path, _ = make_volume()
    table = table_of(tmp_path, [("a", path, path), ("A", path, path)])
    with pytest.raises(InputError, match=r"masks of case 'a', image 'before' and of case 'A', image 'before' would be"):
        list(load_model(make(), threads=1).findings(table, masks=tmp_path / "m"))
    assert not list((tmp_path / "m").iterdir())


def test_a_mask_that_cannot_be_written_ends_the_whole(
    make: Any, make_volume: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, _ = make_volume()

    def full(*_: object) -> None:
        raise MachineError("no space is left", where=str(tmp_path), fix="free some")

    monkeypatch.setattr(measured, "write_mask", full)
    with pytest.raises(MachineError, match="no space is left"):
        list(load_model(make(), threads=1).findings(table_of(tmp_path, [("a", path, path)]), masks=tmp_path / "m"))


def test_masks_are_named_by_case_and_image(make: Any, make_volume: Any, tmp_path: Path) -> None:
    path, _ = make_volume()
    table = table_of(tmp_path, [("a 1", path, path)])
    found = list(load_model(make(), threads=1).findings(table, masks=tmp_path / "m"))
    assert sorted(file.name for file in (tmp_path / "m").iterdir()) == ["a%201.after.nii.gz", "a%201.before.nii.gz"]
    assert found[0].mask == str(tmp_path / "m" / "a%201.before.nii.gz")


def test_a_case_that_fails_keeps_its_row_and_says_which_image(make: Any, make_volume: Any, tmp_path: Path) -> None:
    path, _ = make_volume()
    (tmp_path / "broken.nii.gz").write_bytes(b"no volume")
    rows = [("1", path, None), ("2", path, tmp_path / "gone.nii.gz"), ("3", tmp_path / "broken.nii.gz", path)]
    found = load_model(make(), threads=1).predict(table_of(tmp_path, [*rows, ("4", path, path)]))
    assert found["case_id"].astype(str).tolist() == ["1", "2", "3", "4"]
    assert found["status"].tolist() == ["failed"] * 3 + ["called"]
    assert found["reasons"].iloc[0] == "missing-file: the table names no image 'after' for this case"
    assert found["reasons"].iloc[1].startswith("missing-file: ")
    assert found["reasons"].iloc[2].startswith("not-an-image: image 1 of 2 ")
    assert found["p_grown"].isna().tolist() == [True] * 3 + [False]


def test_an_image_without_a_scale_gets_no_finding(
    make: Any, make_volume: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, _ = make_volume()
    real = mask_findings.read_volumes
    bare = lambda *given: [replace(one, notes=("no-spacing: a stand-in",)) for one in real(*given)]  # noqa: E731
    monkeypatch.setattr(measured, "read_volumes", bare)
    found = load_model(make(), threads=1).predict(table_of(tmp_path, [("1", path, path)]))
    assert found["status"].tolist() == ["failed"]
    assert found["reasons"].iloc[0].startswith("not-measured: the size of a voxel is not known")


def test_a_case_without_any_measurement_gets_no_finding(make: Any, make_volume: Any, tmp_path: Path) -> None:
    path, _ = make_volume(scale=0.5)
    trees = {**STUMP, "features": ["after_core_elongation", "after_core_sphericity"]}
    found = load_model(make(trees), threads=1).predict(table_of(tmp_path, [("1", path, path)]))
    assert found["reasons"].tolist() == ["not-measured: none of the measurements could be taken"]


@pytest.mark.parametrize(
    ("trees", "message"),
    [
        (b"{", "holds no trees"),
        ({**STUMP, "left": [0, 0, 0]}, "holds no trees .*node 0 leads nowhere"),
        ({**STUMP, "threshold": [0.3]}, "the lists of nodes differ in length"),
        ({**STUMP, "code": "import os"}, "holds no trees"),
        ({**STUMP, "outputs": 3, "value": [[0.0] * 3] * 3}, "the trees have 3 outputs, not the model's classes"),
        ({**STUMP, "features": ["after_core_volume_ml", "egg"]}, "the measurement 'egg' is not taken"),
    ],
)
def test_a_bad_file_of_trees_is_refused(make: Any, make_volume: Any, trees: Any, message: str) -> None:
    path, _ = make_volume()
    with pytest.raises(ModelRefused, match=message) as refused:
        load_model(make(trees), threads=1).predict(
            pd.DataFrame({"image.before": [str(path)], "image.after": [str(path)]})
        )
    assert FILE in str(refused.value)


def test_a_changed_file_of_trees_is_refused(make: Any, make_volume: Any) -> None:
    folder, (path, _) = make(), make_volume()
    file = folder / FILE
    file.write_bytes(file.read_bytes().replace(b"0.3", b"0.4"))
    with pytest.raises(ModelRefused, match=r"measurements\.json: the file was changed or damaged"):
        load_model(folder, threads=1).predict(pd.DataFrame({"image.before": [str(path)], "image.after": [str(path)]}))


def test_the_manifest_goes_round(make: Any) -> None:
    manifest = load_model(make(), threads=1).manifest
    again = Manifest.model_validate_json(manifest.model_dump_json(by_alias=True))
    assert again == manifest
    assert again.measured is not None
    assert again.measured.measurements.images == ["before", "after"]
    assert dict(again.measured.measurements.structures) == STRUCTURES
    assert Trees.model_validate_json(json.dumps(STUMP)).features == STUMP["features"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"structures": ["rim", "shell"]}, "the structures that are outlined and those that are measured differ"),
        (
            {"measurements": {"kind": "regions", "images": [""], "structures": STRUCTURES}},
            "1 images are measured, and a case has 2",
        ),
        ({"file": "../trees.json"}, "file"),
    ],
)
def test_a_manifest_that_does_not_fit_is_refused(make: Any, change: dict[str, Any], message: str) -> None:
    folder = make()
    raw = json.loads((folder / "model.json").read_text())
    raw["measured"] |= change
    with pytest.raises(ValueError, match=message):
        Manifest.model_validate(raw)
