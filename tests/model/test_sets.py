"""Which classes a finding names by the thresholds that ship, and which thresholds are refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas as pd
import pytest

from semeion.calibration.sets import held_classes, told_sets
from semeion.cli.app import run
from semeion.errors import InputError, ModelRefused
from semeion.model.findings import Status
from semeion.model.manifest_sets import ClassSets
from semeion.model.opening import open_folder
from semeion.model.runtime import load_model
from semeion.model.sets import named_sets

BY = {"split": "calibration", "n": 80, "n_patients": 60}


def rule(*thresholds: float, kind: str = "per_class") -> dict[str, Any]:
    return {
        "kind": kind,
        "thresholds": list(thresholds),
        "n_patients": [60] * len(thresholds),
        "calibration": BY,
        "promise": "The set holds the truth.",
    }


def sets(*thresholds: float, kind: str = "per_class", scored: str = "p") -> dict[str, Any]:
    return {"coverage": 0.9, "scored": scored, "method": "split conformal", "whole": rule(*thresholds, kind=kind)}


@pytest.fixture
def pictures(tmp_path: Path) -> list[str]:
    """Write pictures from dark to bright, and return their paths."""
    made = []
    grain = np.random.default_rng(0).integers(-10, 11, (8, 8))
    for level in range(10, 246, 8):
        path = tmp_path / f"{level}.png"
        cv2.imwrite(str(path), (level + grain).astype(np.uint8))
        made.append(str(path))
    return made


def found_by(folder: Path, pictures: list[str]) -> list[Any]:
    return list(load_model(folder, threads=1).findings(pictures, jobs=1))


def plain(make_model: Any, task: str, pictures: list[str]) -> list[Any]:
    return found_by(make_model(task, name="plain"), pictures)


@pytest.mark.parametrize("scored", ["p", "raw"])
@pytest.mark.parametrize("task", ["binary", "multiclass", "ordinal"])
def test_findings_name_the_classes_that_the_evidence_counts(
    make_model: Any, pictures: list[str], task: str, scored: str
) -> None:
    limits = (0.75, 0.35) if task == "binary" else (0.75, 0.3, 0.8)
    model = make_model(task, sets=sets(*limits, scored=scored))
    before = {one.image: one for one in plain(make_model, task, pictures)}
    seen: set[Status] = set()
    for one in found_by(model, pictures):
        other = before[one.image]
        classes = load_model(model).classes
        scores = np.array([one.p if scored == "p" else one.raw])
        named = told_sets(held_classes(scores, limits), [classes.index(other.call)], ordered=task == "ordinal")[0]
        among = [name for name, held in zip(classes, named, strict=True) if held]
        assert one.p == other.p
        wanted = "unsure" if not among else ("called" if len(among) == 1 else "set")
        seen.add(one.status)
        assert one.status == wanted
        assert one.call == ("|".join(among) or None)
        if one.status == "called":
            assert one.call == other.call
        codes = [reason.partition(":")[0] for reason in one.reasons]
        assert ("cannot-tell" in codes, "no-class-fits" in codes) == (wanted == "set", wanted == "unsure")
    assert {"called", "set"} <= seen


def test_a_call_that_its_set_contradicts_is_a_set_of_both(make_model: Any, pictures: list[str]) -> None:
    # No malignant case is ever in its set, and some are called so at the operating point of 0.4.
    model = make_model("binary", sets=sets(0.9, 0.0))
    found = {one.image: one for one in found_by(model, pictures)}
    before = {one.image: one for one in plain(make_model, "binary", pictures)}
    both = [image for image, one in found.items() if one.status == "set"]
    assert both
    for image in both:
        assert before[image].call == "malignant"
        assert found[image].call == "normal or benign|malignant"
        assert found[image].reasons[-1] == "cannot-tell: between normal or benign and malignant at 90 %"
    unsure = [one for one in found.values() if one.status == "unsure"]
    assert all(one.call is None and one.reasons[-1].startswith("no-class-fits") for one in unsure)
    assert unsure


def test_each_label_has_its_own_and_may_have_none(make_model: Any, pictures: list[str]) -> None:
    own = {"coverage": 0.8, "scored": "p", "method": "split conformal", "by_target": {"nodule": rule(0.9, 0.9)}}
    found = found_by(make_model("multilabel", sets=own), pictures)
    assert {one.status for one in found if one.target == "effusion"} == {"called"}
    of_nodule = [one for one in found if one.target == "nodule" and one.status == "set"]
    assert of_nodule
    assert {one.call for one in of_nodule} == {"absent|present"}
    assert of_nodule[0].reasons[-1] == "cannot-tell: between absent and present at 80 %"


def test_the_same_sets_as_the_rule_of_the_evidence() -> None:
    from semeion.evidence.use.conformal import SetRule

    p = np.random.default_rng(0).dirichlet(np.ones(3), 300)
    limits = (0.5, 0.7, 0.9)
    evidence = SetRule("lac", 0.9, True, "largest", limits, (60, 60, 60)).sets(p)
    shipped = ClassSets.model_validate(sets(*limits))
    named = named_sets(shipped, "kind", p, p, p.argmax(axis=1).tolist())
    assert named is not None
    assert (held_classes(p, limits) == evidence).all()
    assert (named >= evidence).all()
    assert (named.any(axis=1) == evidence.any(axis=1)).all()


@pytest.mark.parametrize("suffix", [".csv", ".json", ".parquet"])
def test_statuses_are_told_apart_in_every_format(
    make_model: Any, pictures: list[str], tmp_path: Path, suffix: str
) -> None:
    model = make_model("multiclass", sets=sets(0.75, 0.3, 0.8))
    (tmp_path / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    output = tmp_path / f"findings{suffix}"
    assert run(["predict", str(model), *pictures, str(tmp_path / "broken.png"), "-o", str(output), "--quiet"], 0.0) == 1
    if suffix == ".json":
        table = pd.DataFrame(json.loads(output.read_text()))
    else:
        table = pd.read_csv(output, dtype={"case_id": str}) if suffix == ".csv" else pd.read_parquet(output)
    by = dict(list(table.groupby("status")))
    assert {"called", "set", "failed"} <= set(by)
    assert set(by["called"]["call"]) <= {"a", "b", "c"}
    assert by["set"]["call"].str.contains("|", regex=False).all()
    assert by["set"]["p_a"].notna().all()
    assert by["set"]["reasons"].str.contains("cannot-tell: between").all()
    assert by["failed"]["call"].isna().all()
    assert by["failed"]["p_a"].isna().all()
    if "unsure" in by:
        assert by["unsure"]["call"].isna().all()
        assert by["unsure"]["p_a"].notna().all()


@pytest.mark.parametrize(
    ("task", "change", "says"),
    [
        ("multiclass", sets(0.5, 0.5), "2 thresholds, and there are 3 classes"),
        ("multiclass", sets(0.5, 0.6, 0.7, kind="marginal"), "have one threshold, and theirs differ"),
        ("multiclass", sets(0.5, 1.5, 0.5), "less than or equal to 1"),
        ("multiclass", sets(0.5, -0.1, 0.5), "greater than or equal to 0"),
        ("multiclass", sets(0.5, 0.5, 0.5) | {"coverage": 1.0}, "less than 1"),
        ("multiclass", sets(0.5, 0.5, 0.5) | {"scored": "logits"}, "'p' or 'raw'"),
        ("multiclass", {**sets(0.5, 0.5, 0.5), "whole": None}, "one rule for the one question"),
        ("multilabel", sets(0.5, 0.5), "of each label of a multi-label model"),
        (
            "multilabel",
            {"coverage": 0.9, "scored": "p", "method": "m", "by_target": {"fracture": rule(0.5, 0.5)}},
            "of each label of a multi-label model",
        ),
        ("regression", sets(0.5, 0.5), "belong to a question with classes"),
        ("binary", {**sets(0.5, 0.5), "whole": rule(0.5, 0.5) | {"n_patients": [60, 4]}}, "greater than or equal to 5"),
    ],
)
def test_thresholds_that_do_not_fit_are_refused(make_model: Any, task: str, change: dict[str, Any], says: str) -> None:
    with pytest.raises(InputError) as caught:
        make_model(task, sets=change)
    assert says in str(caught.value)
    folder = make_model(task)
    value = json.loads((folder / "model.json").read_text()) | {"sets": change}
    _replace(folder, json.dumps(value))
    with pytest.raises(ModelRefused) as refused:
        open_folder(folder)
    assert says in str(refused.value)


def test_a_threshold_that_is_no_number_is_refused(make_model: Any) -> None:
    folder = make_model("binary", sets=sets(0.5, 0.25))
    text = (folder / "model.json").read_text()
    assert "0.25" in text
    for other in ("NaN", "Infinity", '"0.25"', "null"):
        _replace(folder, text.replace("0.25", other))
        with pytest.raises(ModelRefused, match=r"model\.json"):
            open_folder(folder)


def test_without_thresholds_the_manifest_is_that_of_before(make_model: Any) -> None:
    assert "sets" not in json.loads((make_model("binary") / "model.json").read_text())
    assert open_folder(make_model("binary", sets=None))[0].sets is None


def _replace(folder: Path, text: str) -> None:
    import hashlib

    data = text.encode()
    (folder / "model.json").write_bytes(data)
    (folder / "model.sha256").write_text(hashlib.sha256(data).hexdigest() + "  model.json\n")
