"""After training, copies across sides are looked for in the network's features, within the run's time."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np
import pandas as pd
import pytest

from semeion.artefacts import read_json
from semeion.audit.copy_search import Copies
from semeion.audit.groups import exact_groups
from semeion.plan.splits import Sides
from semeion.prepare.store import Store
from semeion.study import feature_audit
from semeion.study.clock import Clock
from semeion.study.feature_audit import LEAST, look_in_features, network_features, seconds_for, sides_of_cases
from semeion.study.weighing import Audited
from support.tiny import TinyRun, make_cohort, save_plan, train_tiny, write_picture


def exact_only(cohort: Any, facts: pd.DataFrame, **_: Any) -> Copies:
    """Find exact copies alone, as a check of too many pictures does."""
    names = ("candidate_pairs", "pairs_registered", "pairs_compared_pixel_for_pixel", "pairs_left_unchecked")
    figures = {"searched": "exact pixels only", **dict.fromkeys((*names, "pairs_not_read_again", "pairs_confirmed"), 0)}
    groups = exact_groups(facts)
    return Copies(groups, groups, (), np.empty((0, 2), dtype=np.int64), figures)


@pytest.fixture(scope="module")
def copied(tmp_path_factory: pytest.TempPathFactory) -> TinyRun:
    """A run whose first test case is a copy of its first training case, encoded again, which the check did not see."""
    home = tmp_path_factory.mktemp("copied")
    tiny = make_cohort(home / "source", split="given")
    train, test = (int(np.flatnonzero(tiny.rows["split"] == side)[0]) for side in ("train", "test"))
    pixels = cv2.imread(str(tiny.image(train)), cv2.IMREAD_GRAYSCALE)
    changed = pixels.astype(int) + np.random.default_rng(0).integers(-1, 2, pixels.shape)
    write_picture(tiny.image(test), np.clip(changed, 0, 255).astype(np.uint8))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("semeion.study.inspect.find_copies", exact_only)
        return train_tiny(tiny, save_plan(home, scheme="given"), home / "run")


def test_a_copy_that_the_check_did_not_see_is_found_confirmed_and_told(copied: TinyRun) -> None:
    before = read_json(copied.path / "audits.json")["audits"]["near-duplicates"]
    audit = copied.evidence["audits"]["near-duplicates"]
    rows = copied.cohort.rows
    pair = [rows["case_id"][rows["split"] == side].iloc[0] for side in ("train", "test")]
    assert before["verdict"] in ("clear", "note") and audit["verdict"] == "warn"
    assert sorted(audit["cases"][0]) == sorted(pair)
    figures = audit["figures"]
    assert figures["feature_pairs"] >= figures["feature_pairs_confirmed"] == 1
    assert figures["test_cases_with_a_copy_elsewhere"] == 1
    assert "1 of these was found by the network's features" in audit["advice"]
    told = read_json(copied.path / "report.json")
    shown = told["audits"]["shown"]["copies"]["groups"][0]["cases"]
    assert sorted(case["case_id"] for case in shown) == sorted(pair)
    assert sorted(case["split"] for case in shown) == ["test", "train"]
    assert (copied.path / "report.html").read_text().count(f'alt="Case {pair[0]}, train') == 1


def test_figures_are_also_given_without_copies_that_made_it_void_when_all_was_learned(
    copied: TinyRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("semeion.study.inspect.find_copies", exact_only)
    monkeypatch.setattr("semeion.audit.copies.VOID_SHARE", 0.01)
    run = train_tiny(copied.cohort, save_plan(tmp_path, scheme="given"), tmp_path / "run")
    evidence, rows = run.evidence, copied.cohort.rows
    assert evidence["audits"]["near-duplicates"]["verdict"] == "void"
    assert evidence["accepted"] == []
    tested = int((rows["split"] == "test").sum())
    assert evidence["metrics"]["test"]["auroc"]["n"] == tested
    assert evidence["without_accepted"]["cases_left_out"] == 1
    assert evidence["without_accepted"]["metrics"]["test"]["auroc"]["n"] == tested - 1
    page = (run.path / "report.html").read_text(encoding="utf-8")
    assert "Void, as found when all was learned:</b> near-duplicates." in page
    assert "Without the 1 affected cases" in page
    assert "Accepted against advice" not in page


def test_a_run_of_folds_says_what_features_came_to(tiny_run: TinyRun) -> None:
    figures = tiny_run.evidence["audits"]["near-duplicates"]["figures"]
    assert figures["feature_search"].startswith("nearest 2 of other sides")
    assert figures["feature_pairs_compared"] == figures["feature_pairs"] > 0
    assert figures["feature_pairs_confirmed"] == 0


def test_without_time_nothing_is_searched_and_it_is_said(tiny_run: TinyRun, monkeypatch: pytest.MonkeyPatch) -> None:
    found = again(tiny_run, Clock(60.0, used_before=60.0))
    search = found["near-duplicates"]["figures"]["feature_search"]
    assert search.startswith("none: features of 80 cases would take 0 s, and 0 s are left for them (fold0-seed0)")
    assert found["near-duplicates"]["verdict"] == tiny_run.evidence["audits"]["near-duplicates"]["verdict"]
    monkeypatch.setattr(feature_audit, "MOST_SEARCHED", 50)
    search = again(tiny_run, Clock())["near-duplicates"]["figures"]["feature_search"]
    assert search == "none: 80 cases are more than 50"


def again(run: TinyRun, clock: Clock, audits: dict[str, Any] | None = None) -> dict[str, Any]:
    """Look once more in a finished run."""
    from semeion.cohort.cohort import read_cohort
    from semeion.plan.files import read_plan
    from semeion.study.folder import RunFolder
    from semeion.study.road import sides_of

    cohort, facts = read_cohort(run.path / "cohort.parquet"), pd.read_parquet(run.path / "scan.parquet")
    plan = read_plan(run.path / "plan.executed.yaml")
    facts_of = read_json(run.path / "store" / "store.json")
    store = Store(run.path / "store", facts_of["n"], tuple(facts_of["shape"]), facts_of["per_shard"])
    audited = Audited(**read_json(run.path / "audits.json"))
    audited = audited if audits is None else replace(audited, audits=audits)
    parts = sides_of(cohort, facts, plan)
    return look_in_features(RunFolder(run.path), plan, cohort, facts, store, parts, audited, clock).audits


def test_an_audit_that_is_not_there_is_not_made_up(tiny_run: TinyRun) -> None:
    audits = {"blank-images": {"verdict": "clear"}}
    assert again(tiny_run, Clock(), audits) == audits


def test_it_takes_a_fiftieth_of_the_budget_and_a_third_of_the_rest_at_most() -> None:
    assert seconds_for(Clock()) is None
    assert seconds_for(Clock(1000.0, started=None)) == pytest.approx(20.0, abs=0.1)
    assert seconds_for(Clock(60.0)) == pytest.approx(LEAST)
    assert seconds_for(Clock(60.0, used_before=54.0)) == pytest.approx(2.0, abs=0.1)
    assert seconds_for(Clock(60.0, used_before=70.0)) == 0.0


def test_the_side_of_a_case_is_its_split_or_its_fold() -> None:
    given = SimpleNamespace(table=pd.DataFrame({"split": ["train", None, "val", "test"]}), has_split=True)
    empty = np.empty(0, dtype=np.int64)
    parts = [Sides(-1, np.array([0]), np.array([2]), empty)]
    assert sides_of_cases(given, parts).tolist() == ["train", "", "val", "test"]  # type: ignore[arg-type]
    given.table = pd.DataFrame({"split": ["train", "train", "train", "test"]})
    parts = [Sides(0, np.array([1]), np.array([2]), np.array([0])), Sides(1, np.array([0]), empty, np.array([1, 2]))]
    assert sides_of_cases(given, parts).tolist() == ["fold 0", "fold 1", "fold 1", "test"]  # type: ignore[arg-type]
    given.has_split = False
    assert sides_of_cases(given, parts).tolist() == ["fold 0", "fold 1", "fold 1", ""]  # type: ignore[arg-type]


def test_features_are_of_every_case_in_order(tiny_run: TinyRun) -> None:
    facts = read_json(tiny_run.path / "store" / "store.json")
    store = Store(tiny_run.path / "store", facts["n"], tuple(facts["shape"]), facts["per_shard"])
    graph = (tiny_run.path / "members" / "fold0-seed0" / "graph.onnx").read_bytes()
    features = network_features(graph, store, 1, None)
    assert isinstance(features, np.ndarray) and features.shape == (80, 8)
    one = Store(Path(store.folder), store.n, store.shape, store.per_shard)
    monkey = network_features(graph, one, 1, 1e9)
    assert np.array_equal(features, monkey)


def test_a_head_on_frozen_features_has_those_of_its_network(tiny_run: TinyRun, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Any] = []

    class Kept:
        def __init__(self, *_: Any) -> None: ...

        def take(self, name: str, rows: Any) -> Any:
            asked.append((name, rows))
            return np.random.default_rng(0).normal(size=(len(rows), 5)).astype(np.float32)

    monkeypatch.setattr(feature_audit, "_frozen_network", lambda *_: True)
    monkeypatch.setattr(feature_audit, "Banks", Kept)
    figures = again(tiny_run, Clock())["near-duplicates"]["figures"]
    assert len(asked) == 1 and len(asked[0][1]) == 80
    assert figures["feature_pairs"] > 0 == figures["feature_pairs_confirmed"]
