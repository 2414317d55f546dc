"""Plans of volumes and of several images a case."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plan.made import cohort_of
from semeion.cohort.roles import ImageRole
from semeion.plan.files import read_plan, write_plan
from semeion.plan.fingerprint import fingerprint
from semeion.plan.networks import MOST_SLICES, VOLUME_SIDES, candidates, volume_size, volume_spacing
from semeion.plan.rules import Machine, Measured, Wishes, make_plan
from semeion.plan.schema import Plan
from semeion.plan.segment_preparation import plan_intensity
from semeion.plan.volume_facts import lps_order


def scan_of(n: int = 60, *, size: Any = (40, 50, 36), spacing: Any = (1.0, 1.0, 1.0), **columns: Any) -> pd.DataFrame:
    """A scan of `n` readable volumes; `size` and `spacing` along i, j, k."""
    base: dict[str, Any] = {"case_id": [f"c{k}" for k in range(n)], "status": "ok", "problem": ""}
    base |= {f"size_{axis}": value for axis, value in zip("ijk", size, strict=True)}
    base |= {f"spacing_{axis}": value for axis, value in zip("ijk", spacing, strict=True)}
    base |= {"orientation": "LPS", "planes": 1, "unit": "", "modality": "MR", "source_format": "nifti"}
    base |= {"minimum": -1000.0, "p005": -900.0, "mean": 0.0, "p995": 900.0, "maximum": 3000.0}
    return pd.DataFrame({**base, **columns}, index=range(n))


def facts_of(n: int = 60, role: str = "single", names: tuple[str, ...] = (), kind: str = "volume", **scan: Any) -> Any:
    cohort = replace(cohort_of(n), images=ImageRole(kind, role, names))  # type: ignore[arg-type]
    return fingerprint(cohort, scan_of(n, **scan))


def plan_of(facts: dict[str, Any], *, fast: bool = True) -> Plan:
    """The plan on a machine that is so fast, or so slow, that the budget decides."""
    seconds = 1e-6 if fast else 1e-2
    measured = [
        Measured(c, {"float32": seconds * c.batch * (2 if c.kind == "residual3d" else 1) * c.widths[0]})
        for c in candidates(facts)
    ]
    return make_plan(facts, Machine(2, 8.0, "cpu", measured), Wishes(budget=900.0))


def test_the_orientation_says_which_axis_is_which() -> None:
    assert lps_order("LPS") == lps_order("RAI") == (0, 1, 2)
    assert lps_order("PIR") == (2, 0, 1)
    assert lps_order("") == lps_order("LLS") == (0, 1, 2)
    volume = facts_of(size=(10, 20, 30), orientation="PSR")["training"]["volume"]
    assert [volume["lps"]["size"][axis]["median"] for axis in "ijk"] == [30, 10, 20]
    assert [volume["stored"]["size"][axis]["median"] for axis in "ijk"] == [10, 20, 30]


def test_cubes_get_a_network_in_three_dimensions_and_thick_slices_get_slices() -> None:
    plan = plan_of(facts_of())
    assert (plan.network.kind, plan.preparation.orientation) == ("residual3d", "LPS")
    assert plan.preparation.size == (36, 52, 40)
    assert plan.preparation.spacing == (1.0, 1.0, 1.0)
    assert plan.training.augmentation.tilt == 10
    assert "1.0 times as far apart as pixels" in plan.network.why["kind"]
    plan = plan_of(facts_of(size=(80, 90, 9), spacing=(1.5, 1.5, 10.0)))
    assert (plan.network.kind, plan.network.pooling, plan.preparation.orientation) == ("slices", "attention", "stored")
    assert plan.preparation.size == (9, 92, 80)
    assert plan.preparation.spacing == (1.5, 1.5, 10.0)
    assert "6.7 times as far apart" in plan.network.why["kind"]
    assert plan.training.augmentation.tilt == 0


def test_a_short_budget_takes_slices_and_says_so() -> None:
    plan = plan_of(facts_of(), fast=False)
    assert plan.network.kind == "slices"
    assert plan.network.why["kind"] == "slices are cheaper to learn from than whole volumes within this budget"


def test_units_decide_the_intensities() -> None:
    window = plan_of(facts_of(unit="HU")).preparation
    assert window.units == ["HU"]
    assert (window.intensity[0].kind, window.intensity[0].low, window.intensity[0].high) == ("fixed", -900.0, 900.0)
    assert window.intensity[0].std == 1800.0
    own = plan_of(facts_of()).preparation
    assert (own.intensity[0].kind, own.units) == ("percentiles", None)
    assert "scaled by the percentiles of its foreground" in own.why["intensity"]


def test_what_no_rule_plans_says_how_to_ask_for_it() -> None:
    own, window = plan_of(facts_of()).preparation, plan_of(facts_of(unit="HU")).preparation
    assert (own.intensity[0].n4, own.crop) == (False, "none")
    assert "N4 is not planned by rule, set `n4: true` here to ask for it" in own.why["intensity"]
    assert "N4" not in window.why["intensity"]  # a unit that it would spoil
    assert "set `foreground` or `body`, with `margin_mm`" in own.why["crop"]


@pytest.mark.parametrize("unit", ["HU", ""])
def test_a_segmentation_says_the_same(unit: str) -> None:
    training = {"unit": {unit: 10}, "cases": 10, "foreground": {}}
    if unit:
        levels = {"p05": 0.0, "p95": 90.0, "mean": 50.0}
        training["foreground"] = dict.fromkeys(("fg_p005", "fg_p995", "fg_mean", "fg_std"), levels)
    assert ("n4: true" in plan_intensity(training)[2]) == (not unit)


def test_channels_that_do_not_lie_on_one_another_are_registered() -> None:
    names = ("FLAIR", "T1")
    apart = plan_of(facts_of(role="channels", names=names, aligned=False, notes="")).preparation
    lying = plan_of(facts_of(role="channels", names=names, aligned=True, notes="")).preparation
    assert (apart.registration, lying.registration) == ("rigid", "check")  # type: ignore[union-attr]


def test_frames_are_read_in_order_and_views_are_pooled() -> None:
    frames = plan_of(facts_of(role="frames", names=("ED", "ES")))
    assert (frames.images.groups, frames.network.group_pooling, frames.shape[0]) == (2, "gru", 2)
    views = plan_of(facts_of(role="views", names=("axial", "coronal", "sagittal")))
    assert (views.images.groups, views.network.group_pooling, views.network.shared) == (3, "mean", True)
    assert not plan_of(facts_of(1200, role="views", names=("a", "b"))).network.shared
    channels = plan_of(facts_of(role="channels", names=("FLAIR", "T1")))
    assert (channels.images.groups, channels.preparation.channels, channels.shape[0]) == (1, ["FLAIR", "T1"], 2)


def test_a_plan_of_volumes_is_read_as_it_was_written(tmp_path: Any) -> None:
    plan = plan_of(facts_of(role="frames", names=("ED", "ES")))
    write_plan(plan, tmp_path / "plan.yaml")
    assert read_plan(tmp_path / "plan.yaml") == plan


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"images": {"kind": "picture"}}, "the preparation is of the other kind"),
        ({"network": {"kind": "residual", "widths": [4]}}, "'residual' does not see images of kind 'volume'"),
        ({"preparation": {"channels": ["image"]}}, "size must be"),
    ],
)
def test_plans_that_contradict_themselves_are_refused(change: dict[str, Any], words: str) -> None:
    raw = plan_of(facts_of()).model_dump(by_alias=True)
    with pytest.raises(ValueError, match=words):
        Plan.model_validate({**raw, **change})


lengths = st.integers(1, 700)
steps = st.floats(0.2, 12.0)


@given(st.tuples(lengths, lengths, lengths), st.tuples(steps, steps, steps), st.sampled_from(VOLUME_SIDES))
@settings(max_examples=60, deadline=None)
def test_most_volumes_fit_into_the_input(size: Any, spacing: Any, side: int) -> None:
    volume = facts_of(4, size=size, spacing=spacing)["training"]["volume"]
    slices, height, width = volume_size(volume, side)
    step = volume_spacing(volume, side)
    axes = volume["stored" if volume["anisotropic"] else "lps"]["extent_mm"]
    for length, own, axis in zip((width, height, slices), step, "ijk", strict=True):
        assert length * own >= axes[axis]["p95"] * 0.999 - 0.06 * own
    assert slices <= MOST_SLICES
    assert max(height, width) <= max(side + 4, 8)
    # Where slices are thin all axes get the spacing of the plane, so only of the plane it is never finer.
    kept = 3 if volume["anisotropic"] else 2
    assert all(one >= own * 0.999 for one, own in zip(step[:kept], _medians(volume)[:kept], strict=True))


def _medians(volume: dict[str, Any]) -> list[float]:
    axes = volume["stored" if volume["anisotropic"] else "lps"]["spacing"]
    return [axes[axis]["median"] for axis in "ijk"]


@given(st.tuples(lengths, lengths, lengths), st.tuples(steps, steps, steps))
@settings(max_examples=40, deadline=None)
def test_the_ladder_is_legal_and_goes_down(size: Any, spacing: Any) -> None:
    ladder = candidates(facts_of(4, size=size, spacing=spacing))
    assert len(set(ladder)) == len(ladder)
    assert [c.wants_members for c in ladder] == sorted((c.wants_members for c in ladder), reverse=True)
    for candidate in ladder:
        assert len(candidate.size) == 3
        assert min(candidate.size[1:]) >= 8
        assert 1 <= len(candidate.widths) <= 6
