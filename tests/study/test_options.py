"""What a user may ask for: durations, and options that survive a stop and a resume."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from semeion.cohort.cohort import CohortOptions
from semeion.errors import InputError
from semeion.study.options import (
    RunOptions,
    parse_duration,
    parse_measured,
    refuse_without_structures,
    source_path,
)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("90s", 90),
        ("15m", 900),
        ("1h30m", 5400),
        ("2d", 172_800),
        ("1.5h", 5400),
        (" 15M ", 900),
        ("1d2h3m4s", 93_784),
        (30, 30),
        (0.5, 0.5),
        (None, None),
    ],
)
def test_durations(text: str | float | None, seconds: float | None) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("15", "--budget: '15' has no unit; write 15m for minutes or 15s for seconds"),
        ("-5m", "--budget: '-5m' is no duration; write for example 90s, 15m or 1h30m"),
        ("soon", "--budget: 'soon' is no duration; write for example 90s, 15m or 1h30m"),
        ("", "--budget: '' is no duration; write for example 90s, 15m or 1h30m"),
        ("15 m", "--budget: '15 m' is no duration; write for example 90s, 15m or 1h30m"),
        ("0m", "--budget: '0m' is not a positive duration; write for example 15m"),
        (0, "--budget: 0 is not a positive duration; write for example 15m"),
        (-3.0, "--budget: -3.0 is not a positive duration; write for example 15m"),
        (float("nan"), "--budget: nan is not a positive duration; write for example 15m"),
        (float("inf"), "--budget: inf is not a positive duration; write for example 15m"),
    ],
)
def test_what_is_no_duration_is_refused_with_a_hint(text: str | float, message: str) -> None:
    with pytest.raises(InputError) as caught:
        parse_duration(text)
    assert str(caught.value) == message


@given(st.integers(0, 20), st.integers(0, 100), st.integers(0, 100))
def test_the_parts_of_a_duration_add_up(hours: int, minutes: int, seconds: int) -> None:
    total = 3600 * hours + 60 * minutes + seconds
    if total:
        assert parse_duration(f"{hours}h{minutes}m{seconds}s") == total


def test_what_is_measured_besides_size_and_shape() -> None:
    assert parse_measured(None) == ()
    assert parse_measured("size") == ()
    assert parse_measured("texture, intensity") == ("intensity", "texture")
    with pytest.raises(InputError) as caught:
        parse_measured("intensity,textur")
    assert str(caught.value) == (
        "--measure: 'textur' cannot be measured, did you mean 'texture'?; write intensity, or intensity,texture; size "
        "and shape are always measured"
    )
    with pytest.raises(InputError, match="--measure: intensity of structures is to be measured, and no structure is"):
        refuse_without_structures(RunOptions(measure=("intensity",)))
    options = RunOptions(CohortOptions("group", structures={"1": "ball"}), measure=("intensity", "texture"))
    assert RunOptions.from_json(json.loads(json.dumps(options.to_json()))) == options
    assert "measure" not in RunOptions().to_json()


def test_options_come_back_from_json_as_they_went() -> None:
    cohort = CohortOptions("finding", "ordinal", None, {"0": "low"}, ("low", "high"), "nhs", covariates=("age",))
    options = RunOptions(cohort, 90.0, 7, "cost=10:1", True, ("patient-overlap",), "plan.yaml", 2, True, ("A.",))
    assert RunOptions.from_json(json.loads(json.dumps(options.to_json()))) == options


def test_a_source_that_is_not_there_is_named(tmp_path: Path) -> None:
    (tmp_path / "cohort.csv").touch()
    assert source_path("cohort.csv", tmp_path) == tmp_path / "cohort.csv"
    with pytest.raises(InputError) as caught:
        source_path("other/cohrt.csv", tmp_path)
    assert str(caught.value) == "other/cohrt.csv: no such file or folder; correct the path"


def test_images_beside_measurements_are_remembered_and_written_only_where_asked() -> None:
    asked = RunOptions(CohortOptions(structures={"1": "lv"}), with_images=True)
    refuse_without_structures(asked)
    assert RunOptions.from_json(json.loads(json.dumps(asked.to_json()))) == asked
    assert "with_images" not in RunOptions().to_json()
    assert not RunOptions.from_json(RunOptions().to_json()).with_images


def test_images_beside_nothing_that_is_measured_are_refused() -> None:
    with pytest.raises(InputError, match=r"--with-images: networks that see the images are averaged with measurements"):
        refuse_without_structures(RunOptions(with_images=True))
