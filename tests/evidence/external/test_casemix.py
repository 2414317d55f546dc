from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from semeion.errors import InputError
from semeion.evidence.external.casemix import Trait, case_mix

AGE, SEX = Trait("age", "Age", "number", "years"), Trait("sex", "Sex", "levels")


def one(trait, external, internal):
    named = [None if side is None else pd.DataFrame({trait.column: side}) for side in (external, internal)]
    [row] = case_mix([trait], named[0], named[1])
    return row


def test_a_number_is_compared_over_the_mean_variance():
    row = one(AGE, [60.0, 70, 80, None], [40.0, 50, 60])
    assert row["external"] == {"n": 3, "missing": 1, "mean": 70, "sd": 10, "median": 70, "low": 65, "high": 75}
    assert row["difference"] == pytest.approx(2.0)
    assert row["notable"] is True
    assert (row["title"], row["unit"], row["reason"]) == ("Age", "years", "")


def test_two_levels_have_the_difference_of_two_shares():
    row = one(SEX, ["f"] * 3 + ["m"] * 1, ["f", "m"])
    assert row["internal"] == {"n": 2, "missing": 0, "levels": {"f": 1, "m": 1}}
    # Austin, Stat Med 28:3083 (2009): (p1 - p2) / sqrt((p1 (1 - p1) + p2 (1 - p2)) / 2).
    assert row["difference"] == pytest.approx(0.25 / np.sqrt((0.75 * 0.25 + 0.5 * 0.5) / 2))


@settings(deadline=None)
@given(st.lists(st.sampled_from("abcd"), min_size=2, max_size=30), st.lists(st.sampled_from("abcd"), min_size=2))
def test_a_distance_of_levels_has_no_side_and_none_to_itself(left, right):
    forth, back = one(SEX, left, right)["difference"], one(SEX, right, left)["difference"]
    assert forth == (None if back is None else pytest.approx(back, abs=1e-9))
    assert one(SEX, left, left)["difference"] == pytest.approx(0, abs=1e-9)


def test_what_is_not_known_is_said_to_be():
    row = one(AGE, [50.0, 60], None)
    assert (row["internal"], row["difference"], row["notable"]) == (None, None, None)
    assert row["reason"] == "not known of the cases the model was built on"
    assert one(AGE, [None, None], [50.0, 60])["reason"] == "not known of these cases"
    assert one(SEX, [" ", None], [None])["reason"] == "known on neither side"
    assert one(AGE, [50.0], [50.0, 60])["reason"] == "fewer than 2 cases on a side"


def test_differences_that_are_undefined():
    assert one(SEX, ["a"], ["b"])["reason"] == "no level in common"
    assert one(AGE, [5.0, 5], [6.0, 6])["reason"] == "varies on neither side"
    assert one(AGE, [5.0, 5], [5.0, 5])["difference"] == 0


def test_many_levels_are_joined():
    levels = one(SEX, [f"l{k:02d}" for k in range(20)], ["l00"])["external"]["levels"]
    assert len(levels) == 13
    assert levels["8 others"] == 8


def test_a_number_that_is_none_is_refused():
    with pytest.raises(InputError, match="column 'age': a value is not a number"):
        one(AGE, ["old"], [50.0])


def test_a_level_shown_of_one_side_is_not_among_the_others_of_the_other():
    internal = [f"l{k:02d}" for k in range(15) for _ in range(20 - k)]
    row = one(SEX, ["l13"] * 30 + ["l00"] * 5, internal)
    assert row["internal"]["levels"]["l13"] == 7
    assert row["external"]["levels"]["l13"] == 30
    assert list(row["internal"]["levels"]) == list(row["external"]["levels"])
    for side, n in (("internal", len(internal)), ("external", 35)):
        assert sum(row[side]["levels"].values()) == n
