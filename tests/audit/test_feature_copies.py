"""Neighbours in a network's features are candidates; only pictures that can be laid on each other are copies."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from semeion.audit import feature_copies
from semeion.audit.copies import find_copies, label_conflicts, near_duplicates
from semeion.audit.copy_search import Copies
from semeion.audit.feature_copies import (
    LEAST_COSINE,
    NEIGHBOURS,
    across_sides,
    find_feature_copies,
    known_groups,
    not_searched,
    whitened,
    with_features,
)
from semeion.audit.groups import exact_groups, with_copies
from semeion.cohort.cohort import Cohort, Target
from semeion.prepare.scan import scan
from support.altered import altered, save, texture

N = 40
TARGET = Target("finding", "binary", ("no", "yes"), "yes")


def cohort_of(files, split, y=None) -> Cohort:
    n = len(files)
    table = pd.DataFrame(
        {
            "case_id": [f"c{k}" for k in range(n)],
            "patient_id": [f"p{k}" for k in range(n)],
            "site": pd.array([None] * n, dtype="str"),
            "split": split if split is not None else pd.array([None] * n, dtype="str"),
            "image": [str(file) for file in files],
            "y": y if y is not None else np.arange(n) % 2.0,
        }
    )
    return Cohort(table, TARGET, has_patients=True)


@pytest.fixture(scope="module")
def seen(tmp_path_factory):
    """Files of 40 pictures, of which 36 to 39 are changed copies of 0 to 3, and features in which each lies by its own.

    Cases 34 and 35 lie by 4 and 5 as well, and show other pictures.
    """
    folder = tmp_path_factory.mktemp("pictures")
    files = [save(folder / f"{k}.png", texture(120, 130, k)) for k in range(36)]
    ways = ("mirrored", "cropped", "bright", "turned")
    files += [save(folder / f"{36 + k}.png", altered(texture(120, 130, k), how)) for k, how in enumerate(ways)]
    stream = np.random.default_rng(3)
    features = stream.normal(size=(N, 6)).astype(np.float32)
    for copy, of in ((36, 0), (37, 1), (38, 2), (39, 3), (34, 4), (35, 5)):
        features[copy] = features[of] + stream.normal(scale=0.01, size=6)
    return files, features


SPLIT = ["train"] * 30 + ["val"] * 4 + ["test"] * 6
FOLDS = np.array([f"fold {k // 20}" for k in range(N)], dtype=object)


def before(cohort, facts):
    """Return the facts and audits of a check that compared exact pixels alone, so that features find what it missed."""
    facts = with_copies(facts, [])
    figures = {"searched": "exact pixels only", "pairs_registered": 0, "pairs_compared_pixel_for_pixel": 0}
    figures |= {"pairs_left_unchecked": 0, "pairs_not_read_again": 0, "pairs_confirmed": 0, "candidate_pairs": 0}
    none = Copies(exact_groups(facts), exact_groups(facts), (), np.empty((0, 2), dtype=np.int64), figures)
    audits = near_duplicates(cohort, facts, none), label_conflicts(cohort, facts, none)
    return facts, {audit.name: audit.to_json() for audit in audits}


def test_what_features_name_is_confirmed_by_the_pictures_or_not_claimed(seen):
    files, features = seen
    cohort = cohort_of(files, SPLIT)
    facts, audits = before(cohort, scan(cohort))
    found = find_feature_copies(cohort, facts, features, np.array(SPLIT, dtype=object))
    assert sorted(tuple(sorted(one.rows)) for one in found.confirmed) == [(0, 36), (1, 37), (2, 38), (3, 39)]
    # Two more lie as near in the features, and show other pictures.
    assert found.figures["feature_pairs"] >= 6
    assert found.figures["feature_pairs_confirmed"] == 4
    assert found.figures["feature_pairs_compared"] == found.figures["feature_pairs"]
    assert found.figures["feature_pairs_left_unchecked"] == found.figures["feature_pairs_not_read_again"] == 0
    changed, affected = with_features(audits, cohort, facts, np.array(SPLIT, dtype=object), found)
    audit = changed["near-duplicates"]
    assert affected == {f"c{case}" for case in range(36, 40)}, "figures are of test cases"
    # Four of six test cases are copied: that is more than 5 %.
    assert (audits["near-duplicates"]["verdict"], audit["verdict"], audit["tier"]) == ("clear", "void", "check")
    assert audit["cases"] == [["c0", "c36"], ["c1", "c37"], ["c2", "c38"], ["c3", "c39"]]
    assert audit["figures"]["test_cases_with_a_copy_elsewhere"] == audit["figures"]["pairs_confirmed"] == 4
    assert audit["figures"]["searched"] == "exact pixels only"
    assert len(audit["figures"]["verified"]) == 4
    assert audit["advice"].endswith("4 of these were found by the network's features, across sides, after training.")
    assert "4 of 6 test cases are copied outside the test set" in audit["advice"]
    assert "label-conflicts" not in changed


def test_a_copy_with_another_label_is_a_conflict_too(seen):
    files, features = seen
    y = np.arange(N) % 2.0
    y[36] = 1.0
    cohort = cohort_of(files, SPLIT, y)
    facts, audits = before(cohort, scan(cohort))
    found = find_feature_copies(cohort, facts, features, np.array(SPLIT, dtype=object))
    conflicts = with_features(audits, cohort, facts, np.array(SPLIT, dtype=object), found)[0]["label-conflicts"]
    assert (conflicts["verdict"], conflicts["cases"]) == ("warn", [["c0", "c36"]])


def test_across_folds_the_cases_of_both_are_counted_and_the_words_say_what_to_do(seen):
    files, features = seen
    cohort = cohort_of(files, None)
    facts, audits = before(cohort, scan(cohort))
    found = find_feature_copies(cohort, facts, features, FOLDS)
    changed, affected = with_features(audits, cohort, facts, FOLDS, found)
    audit = changed["near-duplicates"]
    assert audit["verdict"] == "void"
    assert affected == {case for pair in audit["cases"] for case in pair}, "figures are of all that were held out"
    assert audit["figures"]["cases_with_a_copy_in_another_fold"] == 8
    assert audit["figures"]["cases_held_out"] == N
    assert "8 cases have a copy in another fold, of 40 held out" in audit["advice"]
    assert "name it with --group, and train again." in audit["advice"]
    assert "copies stay in one group when folds are drawn" not in audit["advice"]


def test_few_across_folds_are_a_warning(seen, monkeypatch):
    monkeypatch.setattr(feature_copies, "VOID_SHARE", 0.25)
    files, features = seen
    cohort = cohort_of(files, None)
    facts, audits = before(cohort, scan(cohort))
    found = find_feature_copies(cohort, facts, features, FOLDS)
    changed, affected = with_features(audits, cohort, facts, FOLDS, found)
    assert (changed["near-duplicates"]["verdict"], affected) == ("warn", frozenset())


def test_nothing_confirmed_changes_no_verdict_and_is_said(seen):
    files, features = seen
    cohort = cohort_of(files[:36], SPLIT[:36])
    facts, audits = before(cohort, scan(cohort))
    sides = np.array(SPLIT[:36], dtype=object)
    found = find_feature_copies(cohort, facts, features[:36], sides)
    assert found.confirmed == () and found.figures["feature_pairs_confirmed"] == 0 < found.figures["feature_pairs"]
    changed, _ = with_features(audits, cohort, facts, sides, found)
    assert set(changed) == {"near-duplicates"}
    audit = changed["near-duplicates"]
    assert (audit["verdict"], audit["cases"]) == ("clear", [])
    assert audit["advice"].endswith("pairs near in the network's features: no further copy.")


def test_what_the_check_found_is_not_looked_at_again(seen):
    files, features = seen
    cohort = cohort_of(files, SPLIT)
    facts = scan(cohort)
    facts = with_copies(facts, find_copies(cohort, facts).groups)
    found = find_feature_copies(cohort, facts, features, np.array(SPLIT, dtype=object))
    assert found.confirmed == ()
    pairs = across_sides(features, np.array(SPLIT, dtype=object), np.ones(N, dtype=bool), known_groups(facts))[0]
    assert not {(0, 36), (1, 37), (2, 38), (3, 39)} & {tuple(pair) for pair in pairs.tolist()}


def test_pairs_beyond_the_bound_and_the_time_are_counted(seen, monkeypatch):
    files, features = seen
    cohort = cohort_of(files, SPLIT)
    facts, _ = before(cohort, scan(cohort))
    sides = np.array(SPLIT, dtype=object)
    late = find_feature_copies(cohort, facts, features, sides, seconds=-1.0)
    assert late.confirmed == () and late.figures["feature_pairs_compared"] == 0
    assert late.figures["feature_pairs_left_unchecked"] == late.figures["feature_pairs"]
    monkeypatch.setattr(feature_copies, "MOST_REGISTERED", 4)
    few = find_feature_copies(cohort, facts, features, sides)
    assert few.figures["feature_pairs_compared"] == 4
    assert few.figures["feature_pairs_left_unchecked"] == few.figures["feature_pairs"] - 4


def test_pictures_that_were_moved_are_counted_and_not_claimed(seen, tmp_path):
    files, features = seen
    cohort = cohort_of(files, SPLIT)
    facts, audits = before(cohort, scan(cohort))
    gone = cohort_of([tmp_path / file.name for file in files], SPLIT)
    found = find_feature_copies(gone, facts, features, np.array(SPLIT, dtype=object))
    assert found.confirmed == ()
    assert found.figures["feature_pairs_not_read_again"] == found.figures["feature_pairs_compared"] > 0
    told = with_features(audits, gone, facts, np.array(SPLIT, dtype=object), found)[0]["near-duplicates"]
    lost = found.figures["feature_pairs_not_read_again"]
    assert f"0 pairs near in the network's features: no further copy; {lost} pairs could not be read" in told["advice"]


def test_what_was_not_searched_says_why_and_nothing_else(seen):
    files, _ = seen
    cohort = cohort_of(files, SPLIT)
    facts, audits = before(cohort, scan(cohort))
    changed, _ = with_features(
        audits, cohort, facts, np.array(SPLIT, dtype=object), not_searched("no member is a network")
    )
    audit = changed["near-duplicates"]
    assert audit["figures"]["feature_search"] == "none: no member is a network"
    assert "feature_pairs" not in audit["figures"]
    assert audit["advice"] == audits["near-duplicates"]["advice"]


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(2, 70), st.integers(1, 12))
def test_pairs_are_across_sides_usable_and_in_order(seed, n, width):
    stream = np.random.default_rng(seed)
    features = stream.normal(size=(n, width)).astype(np.float32)
    features[stream.random(n) < 0.1] = np.nan
    sides = stream.choice(np.array(["train", "val", "test", ""], dtype=object), n)
    usable = stream.random(n) < 0.9
    groups = [np.sort(stream.choice(n, 2, replace=False))]
    pairs, cosines = across_sides(features, sides, usable, groups)
    assert len(pairs) == len({tuple(pair) for pair in pairs.tolist()}) == len(cosines) <= NEIGHBOURS * n
    assert (np.diff(cosines) <= 0).all() and (cosines >= LEAST_COSINE).all()
    for a, b in pairs.tolist():
        assert a < b and sides[a] != sides[b] and "" not in (sides[a], sides[b]) and usable[a] and usable[b]
        assert np.isfinite(features[[a, b]]).all() and sorted(groups[0].tolist()) != [a, b]


def test_one_side_or_equal_features_have_no_neighbours():
    features = np.random.default_rng(0).normal(size=(9, 3)).astype(np.float32)
    usable, sides = np.ones(9, dtype=bool), np.array(["train"] * 8 + ["test"], dtype=object)
    assert len(across_sides(features, np.array(["train"] * 9, dtype=object), usable, [])[0]) == 0
    assert len(across_sides(np.ones((9, 3), dtype=np.float32), sides, usable, [])[0]) == 0
    assert len(across_sides(features[:1], sides[:1], usable[:1], [])[0]) == 0


def test_whitened_features_have_equal_spread_in_all_directions_before_they_are_scaled():
    stream = np.random.default_rng(1)
    features = (stream.normal(size=(4000, 5)) * [100, 10, 1, 0.5, 0]).astype(np.float32)
    placed = whitened(features).astype(np.float64)
    assert placed.shape == (4000, 4)  # a direction without spread is left out
    assert np.allclose(np.linalg.norm(placed, axis=1), 1)
    assert np.allclose(4 * placed.T @ placed / 4000, np.eye(4), atol=0.1)


def test_as_many_components_as_cases_would_set_all_equally_far_apart():
    stream = np.random.default_rng(2)
    features = stream.normal(size=(40, 200)).astype(np.float32)
    features[1] = features[0] + stream.normal(scale=0.05, size=200)
    placed = whitened(features)
    assert placed.shape[1] == 5
    assert placed[0] @ placed[1] > 0.9
