from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from semeion.errors import InputError
from semeion.plan.schema import ValidationPlan
from semeion.plan.sites import MOST_SITES, plain_site, plan_sites, site_folds
from semeion.plan.splits import sides


def everyone(n):
    return np.arange(n, dtype=np.int64)


@given(st.integers(2, 6), st.integers(0, 2**31 - 1))
@settings(max_examples=25, deadline=None)
def test_each_site_is_held_out_once_and_no_patient_is_on_two_sides(n_sites, seed):
    rng = np.random.default_rng(seed)
    groups = np.repeat(np.arange(12 * n_sites), rng.integers(1, 4, 12 * n_sites)).astype(np.int64)
    site_of = np.arange(12 * n_sites) % n_sites
    y = (np.arange(12 * n_sites) // n_sites % 2)[groups].astype(float)
    values = [f"site {site_of[group]}" for group in groups]
    found = site_folds(values, everyone(len(groups)), y, "binary", groups)
    assert found.names == tuple(sorted(set(values)))
    how = {"scheme": "folds", "folds": n_sites, "inner_share": 0.2, "seed": 0}
    parts = sides(None, y, "binary", groups, **how, fold=found.fold)
    assert sorted(np.concatenate([part.held_out for part in parts])) == list(range(len(groups)))
    for part, name in zip(parts, found.names, strict=True):
        assert {values[row] for row in part.held_out} == {name}
        assert name not in {values[row] for row in [*part.learn, *part.validate]}
        assert not set(groups[part.learn]) & set(groups[part.validate])
        assert len(part.learn) + len(part.validate) + len(part.held_out) == len(groups)
        assert set(y[part.learn]) == set(y[part.validate]) == {0.0, 1.0}


def cohort(n=40, n_sites=4):
    groups = everyone(n)
    return [f"s{k % n_sites}" for k in range(n)], groups, (groups // n_sites % 2).astype(float)


def refused(values, groups, y, **options):
    with pytest.raises(InputError) as caught:
        site_folds(values, options.pop("pool", everyone(len(y))), y, options.pop("task", "binary"), groups, **options)
    return str(caught.value)


def test_test_cases_of_a_given_split_take_no_part():
    values, groups, y = cohort()
    pool = everyone(40)[:30]
    found = site_folds([*values[:30], *[None] * 10], pool, y, "binary", groups)
    assert (found.fold[30:] == -1).all()
    assert found.counts == (8, 8, 7, 7)


def test_empty_site_names_are_refused_and_named():
    values, groups, y = cohort()
    message = refused([*values[:37], None, " ", float("nan")], groups, y)
    assert "3 of 40 cases have no site" in message
    assert "row 38" in message
    # Rows may have been left out since the table was read; cases keep their names.
    named = refused([*values[:37], None, " ", float("nan")], groups, y, cases=[f"c{k}" for k in range(40)])
    assert "case c37" in named
    assert "no case has a site" in refused([None] * 40, groups, y)


def test_one_site_and_too_many_are_refused():
    _, groups, y = cohort()
    message = refused(["north"] * 40, groups, y)
    assert "all cases are of 'north'" in message
    assert "at least 2 sites" in message
    message = refused([f"s{k}" for k in groups], groups, y)
    assert f"40 sites, and at most {MOST_SITES}" in message


def test_a_patient_at_two_sites_is_refused_by_name():
    values, groups, y = cohort()
    groups = groups.copy()
    groups[1] = groups[0]
    message = refused(values, groups, y, patients=["P1", "P1", *[f"Q{k}" for k in range(38)]])
    assert "1 patients (or groups of identical images) have cases at several values of site" in message
    assert "P1: at s0, s1" in message
    # Test cases are read by the finished networks, and are no fold.
    site_folds(values, everyone(40)[1:], y, "binary", groups)


def test_a_site_with_one_class_is_held_out_like_any_other():
    values, groups, y = cohort()
    y[[k for k, value in enumerate(values) if value == "s2"]] = 0.0
    assert site_folds(values, everyone(40), y, "binary", groups).names == ("s0", "s1", "s2", "s3")


def test_a_class_of_one_site_alone_is_refused_with_the_site():
    values, groups, _ = cohort()
    y = np.array([float(value == "s1") for value in values])
    message = refused(values, groups, y, classes=("well", "ill"))
    assert "without 's1' there are 0 patients or groups of class 'ill' left" in message
    # A measured value has no class that could be lost.
    site_folds(values, everyone(40), y, "regression", groups)


def test_the_plan_names_the_sites_in_the_order_of_the_folds():
    values, groups, y = cohort()
    plan = plan_sites(site_folds(values, everyone(40), y, "binary", groups))
    assert (plan.scheme, plan.folds, plan.by) == ("folds", 4, "site")
    assert "leave-one-site-out (4 folds), internal-external validation" in plan.why["scheme"]
    assert "s0 (10), s1 (10), s2 (10), s3 (10)" in plan.why["folds"]
    with pytest.raises(ValueError, match="the given split has none"):
        ValidationPlan(scheme="given", by="site")


@pytest.mark.parametrize("other", ["NORTH 1", "north-1", " North_01", "North 1."])
def test_one_site_written_in_two_ways_is_refused(other):
    values, groups, y = cohort()
    named = [{"s0": "North 1", "s1": other}.get(value, value) for value in values]
    message = refused(named, groups, y)
    assert "would be held out as different sites" in message
    assert "'North 1'" in message
    assert "write each site in one way" in message


def test_names_are_compared_as_people_and_spreadsheets_write_them():
    assert plain_site("1.0") == plain_site("01") == plain_site("1") == "1"
    assert plain_site("Besan\u00e7on") == plain_site("BESANC\u0327ON")
    assert plain_site("1.5") != plain_site("15")
    assert plain_site("\u0915\u093f") != plain_site("\u0915\u0940")
    assert plain_site("--") == "--"
