"""Members with unequal shares over the whole road: what ships says what was weighed, after a stop and when repeated."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import semeion
from semeion.artefacts import read_json
from semeion.errors import Interrupted
from semeion.plan.files import read_plan, write_plan
from semeion.plan.schema import CombinationPlan
from semeion.progress import Silent
from semeion.study import learning, road
from semeion.study.combining import Candidate, Combination
from semeion.study.road import resume_run
from semeion.study.stopping import Stopping
from support.tiny import TinyRun, make_cohort, make_plan, train_tiny, weights_of

SHARES = (0.625, 0.375, 0.0)
"""Of the members of a fold, in their order; the last one has no say and does not ship."""
SAME = 1e-6
RAW = "raw_malignant"


def forced(validation: Mapping[str, Any], y: Any, *_: Any, **__: Any) -> Combination:
    """Stand for the choice of weights, which on so few cases would find equal ones as good."""
    weights = dict(zip(validation, SHARES, strict=True))
    told = Candidate(0.5, 0.1, 0.02)
    losses = dict.fromkeys(validation, 0.6)
    return Combination(
        weights, "least", "forced", losses, 0.6, 0.5, 0.1, 0.06, 0.14, {"equal": told, "least": told}, len(y), len(y)
    )


def run_of(home: Path, scheme: str) -> TinyRun:
    """Learn three members a fold, whose shares are to be chosen."""
    plan = make_plan(scheme=scheme, steps=6, repeats=3)
    plan.combination = CombinationPlan(method="chosen")
    write_plan(plan, home / "fixed.yaml")
    tiny = make_cohort(home / "source", split="given" if scheme == "given" else "test")
    return train_tiny(tiny, home / "fixed.yaml", home / "run")


@pytest.fixture(scope="module", params=["given", "folds"])
def weighted(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> TinyRun:
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(learning, "choose_weights", forced)
        return run_of(tmp_path_factory.mktemp(request.param), request.param)


def predictions_of(path: Path) -> pd.DataFrame:
    return pd.read_parquet(path / "predictions.parquet")


def test_the_ensemble_is_the_weighted_mean_of_its_members(weighted: TinyRun) -> None:
    table = predictions_of(weighted.path)
    members = table[table["member"].isin([member.name for member in read_plan(weighted.plan).members])]
    assert set(table["split"]) >= {"test"}
    for split, rows in members.groupby("split"):
        ensemble = table[(table["split"] == split) & (table["member"] == "ensemble")].set_index("case_id")[RAW]
        summed = (rows[RAW] * rows["share"]).groupby(rows["case_id"]).sum()
        np.testing.assert_allclose(summed[ensemble.index], ensemble, atol=SAME)
        np.testing.assert_allclose(rows.groupby("case_id")["share"].sum(), 1)
        assert rows["share"].nunique() == 3
        # Equal shares would say something else.
        assert np.abs(rows.groupby("case_id")[RAW].mean()[ensemble.index] - ensemble).max() > 100 * SAME


def test_what_ships_says_what_was_weighed(weighted: TinyRun) -> None:
    manifest = read_json(weighted.model / "model.json")
    assert manifest["combination"] == "weighted"
    shares = sorted(member["weight"] for member in manifest["members"])
    # Folds count alike, and who has no share does not ship.
    folds = max(1, read_plan(weighted.plan).validation.folds)
    np.testing.assert_allclose(shares, sorted([0.375 / folds, 0.625 / folds] * folds))
    rows = weighted.cohort.rows
    table = predictions_of(weighted.path)
    for split in {"test", "val"} & set(table["split"]):
        weighed = table[(table["split"] == split) & (table["member"] == "ensemble")].set_index("case_id").sort_index()
        asked = rows.loc[rows["split"] == split, ["case_id", "image"]]
        asked = asked.assign(image=[str(weighted.cohort.table.parent / name) for name in asked["image"]])
        found = semeion.load_model(weighted.model).predict(asked).set_index("case_id").sort_index()
        assert list(found.index) == list(weighed.index)
        for name in ("p_benign", "p_malignant"):
            np.testing.assert_allclose(found[name], weighed[name], rtol=0, atol=SAME)
        point = weighted.evidence["operating_point"]["value"]
        assert (found["call"] == np.where(weighed["p_malignant"] >= point, "malignant", "benign")).all()


def test_the_plan_as_executed_repeats_shares_and_predictions(
    weighted: TinyRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(learning, "choose_weights", forced)
    executed = weighted.path / "plan.executed.yaml"
    assert read_plan(executed).combination.method == "chosen"
    again = train_tiny(weighted.cohort, executed, tmp_path / "again")
    assert weights_of(again.path) == weights_of(weighted.path)
    pd.testing.assert_frame_equal(predictions_of(again.path), predictions_of(weighted.path), check_exact=True)
    assert read_json(again.model / "model.json")["members"] == read_json(weighted.model / "model.json")["members"]


def test_a_stop_in_the_middle_changes_nothing(
    weighted: TinyRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(learning, "choose_weights", forced)
    looks = iter(range(9))

    class After(Stopping):
        """Asks to stop when it was looked at often enough: while the second member learns."""

        def __call__(self) -> bool:
            return next(looks, None) is None

    @contextmanager
    def stopping() -> Iterator[Stopping]:
        yield After()

    with monkeypatch.context() as patched:
        patched.setattr(road, "interruptible", stopping)
        # Of one fold what there is would be weighed at once, with as many shares as there are members.
        patched.setattr(learning, "choose_weights", lambda validation, y, *rest, **how: _few(validation, y))
        with pytest.raises(Interrupted):
            train_tiny(weighted.cohort, weighted.plan, tmp_path / "run")
    run = tmp_path / "run"
    resume_run(run, Silent())
    assert weights_of(run) == weights_of(weighted.path)
    pd.testing.assert_frame_equal(predictions_of(run), predictions_of(weighted.path), check_exact=True)
    assert read_json(run / "model" / "model.json")["members"] == read_json(weighted.model / "model.json")["members"]


def _few(validation: Mapping[str, Any], y: Any) -> Combination:
    everyone = forced(dict.fromkeys(["a", "b", "c"]), y)
    weights = {name: 1.0 / len(validation) for name in validation}
    return Combination(**{**vars(everyone), "weights": weights, "losses": dict.fromkeys(validation, 0.6)})
