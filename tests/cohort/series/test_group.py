"""Series become real volumes: parted where the scanner meant it, never shattered, and every fault told."""

from __future__ import annotations

import random
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from semeion.cohort.series.files import opened
from semeion.cohort.series.group import SeriesVolume, group_headers
from semeion.cohort.series.header import Header
from semeion.cohort.series.parse import parse_header
from semeion.cohort.series.walk import walk

CORONAL = (1.0, 0.0, 0.0, 0.0, 0.0, -1.0)


def image(number: int, height: float, **fields: Any) -> Header:
    made = Header(
        path=f"s/{number:04d}",
        size=1000,
        mtime_ns=0,
        sop_uid=f"1.{number}",
        sop_class="1.2.840.10008.5.1.4.1.1.4",
        patient_id="P",
        study_uid="1.2",
        series_uid="1.2.3",
        modality="MR",
        image_type=("ORIGINAL", "PRIMARY", "M"),
        series_number=1,
        instance_number=number,
        rows=64,
        cols=48,
        bits_allocated=16,
        position=(0.0, 0.0, height),
        orientation=(1.0, 0.0, 0.0, 0.0, 1.0, 0.0),
        spacing=(1.0, 1.0),
        pixel_bytes=6144,
    )
    return replace(made, **fields)


def stack(slices: int, start: int = 0, **fields: Any) -> list[Header]:
    return [image(start + place, 5.0 * place, **fields) for place in range(slices)]


def only(headers: list[Header]) -> SeriesVolume:
    random.Random(1).shuffle(headers)
    (volume,) = group_headers(headers)
    return volume


def heights(volume: SeriesVolume) -> list[float]:
    return [header.position[2] for header in volume.headers if header.position is not None]


def test_a_plain_stack_is_one_volume_in_order() -> None:
    volume = only(stack(6))
    assert (volume.status, volume.frames, volume.slices, volume.spacing) == ("ok", 1, 6, 5.0)
    assert heights(volume) == [0, 5, 10, 15, 20, 25] and volume.problems == ()
    assert volume.reference == "1.2.3"


def test_numbers_that_differ_slice_by_slice_do_not_shatter_a_volume() -> None:
    headers = [
        replace(header, acquisition_number=n, trigger_time=33.0 * n, echo_time=2.0 + n / 100, temporal_position=n)
        for n, header in enumerate(stack(8))
    ]
    assert only(headers).slices == 8


@pytest.mark.parametrize(
    ("field", "values"),
    [
        ("echo_time", (2.0, 8.0)),
        ("b_value", (0.0, 800.0)),
        ("acquisition_number", (1, 2)),
        ("image_type", (("ORIGINAL", "PRIMARY", "M"), ("ORIGINAL", "PRIMARY", "P"))),
    ],
)
def test_whole_stacks_of_another_contrast_are_volumes_of_their_own(field: str, values: tuple[Any, Any]) -> None:
    headers = [*stack(5, 0, **{field: values[0]}), *stack(5, 50, **{field: values[1]})]
    volumes = group_headers(headers)
    assert [(v.frames, v.slices, v.number, v.of, v.status) for v in volumes] == [(1, 5, 1, 2, "ok"), (1, 5, 2, 2, "ok")]
    assert [getattr(v.headers[0], field) for v in volumes] == list(values)
    assert volumes[1].reference == "1.2.3/2"
    assert volumes[0].problems == ("several-volumes: number 1 of 2 in this series",)


def test_a_half_copied_second_echo_is_not_parted_but_told() -> None:
    headers = [*stack(5, 0, echo_time=2.0), *stack(3, 50, echo_time=8.0)]
    volume = only(headers)
    assert volume.status == "flawed" and len(volume.headers) == 8
    assert volume.problems == ("incomplete-frames: 2 of 5 positions hold fewer than 2 images",)


def test_temporal_positions_are_frames_of_one_volume() -> None:
    headers = [header for time in (3, 1, 2) for header in stack(4, time * 10, temporal_position=time)]
    volume = only(headers)
    assert (volume.frames, volume.slices, volume.status) == (3, 4, "ok")
    assert [header.temporal_position for header in volume.headers] == [1] * 4 + [2] * 4 + [3] * 4
    assert heights(volume) == [0, 5, 10, 15] * 3


def test_a_cine_is_one_volume_by_the_rank_of_its_trigger_times() -> None:
    headers = [
        image(place * 10 + phase, 5.0 * place, trigger_time=40.0 * phase + place)
        for place in range(3)
        for phase in range(4)
    ]
    volume = only(headers)
    assert (volume.frames, volume.slices, volume.status, volume.problems) == (4, 3, "ok", ())
    times = [header.trigger_time for header in volume.headers]
    assert times == [0, 1, 2, 40, 41, 42, 80, 81, 82, 120, 121, 122]


@pytest.mark.parametrize("by_place", [False, True])
def test_repeats_without_any_time_are_frames_by_instance_number_and_said_so(by_place: bool) -> None:
    pairs = [(place, time) for place in range(3) for time in range(4)]
    pairs.sort(key=lambda pair: pair if by_place else pair[::-1])
    volume = only([image(number, 5.0 * place, echo_time=30.0) for number, (place, _) in enumerate(pairs)])
    assert (volume.frames, volume.slices, volume.status) == (4, 3, "ok")
    assert volume.problems == ("frames-by-instance-number: 4",)
    assert heights(volume) == [0, 5, 10] * 4


def test_repeats_without_an_order_are_duplicates() -> None:
    headers = [*stack(4), *(replace(header, sop_uid=f"2.{n}") for n, header in enumerate(stack(4)))]
    headers = [replace(header, path=f"s/{n}") for n, header in enumerate(headers)]
    volume = only(headers)
    assert volume.status == "flawed" and len(volume.headers) == 8
    assert volume.problems == ("duplicate-position: 4 of 4 positions hold more than one image (up to 2)",)


def test_a_duplicate_slice_is_told() -> None:
    volume = only([*stack(5), image(90, 10.0)])
    assert volume.problems == ("duplicate-position: 1 of 5 positions hold more than one image (up to 2)",)
    assert (volume.status, volume.slices, volume.frames) == ("flawed", 5, 1)


def test_a_missing_slice_and_a_half_copied_cine_are_told() -> None:
    missing = stack(6)
    del missing[3]
    assert only(missing).problems[0].startswith("missing-slices: 1 missing, first after slice 3")
    cine = [image(p * 10 + t, 5.0 * p, trigger_time=40.0 * t) for p in range(4) for t in range(3)]
    assert only(cine[:-1]).problems == ("incomplete-frames: 1 of 4 positions hold fewer than 3 images",)


def test_a_turned_slice_is_parted_and_told_on_both() -> None:
    headers = stack(5)
    headers[2] = replace(headers[2], orientation=CORONAL)
    volumes = group_headers(headers)
    assert [len(volume.headers) for volume in volumes] == [4, 1]
    assert all("mixed-orientation: the series holds 2 (4, 1 images)" in volume.problems for volume in volumes)
    assert volumes[0].problems[0].startswith("missing-slices: 1 missing")


def test_sizes_and_spacings_are_not_mixed() -> None:
    headers = [*stack(4), *stack(4, 20, rows=32)]
    assert all("mixed-size: the series holds 2 (4, 4 images)" in volume.problems for volume in group_headers(headers))
    assert len(group_headers([*stack(4), *stack(4, 20, spacing=(2.0, 2.0))])) == 2
    jitter = [replace(header, spacing=(1.0 + n * 1e-5, 1.0)) for n, header in enumerate(stack(6))]
    assert only(jitter).slices == 6


def test_localisers_derived_and_screenshots_are_set_aside() -> None:
    headers = [
        *stack(4),
        image(50, 0, image_type=("ORIGINAL", "PRIMARY", "LOCALIZER"), orientation=CORONAL),
        *stack(4, 60, image_type=("DERIVED", "SECONDARY", "MPR")),
        image(70, 0, sop_class="1.2.840.10008.5.1.4.1.1.7", position=None, orientation=None),
        image(71, 0, samples=3),
        image(72, 0, modality="SEG"),
    ]
    found = {volume.status: volume.real for volume in group_headers(headers)}
    assert found == {"ok": True, "localiser": False, "derived": True, "secondary-capture": False, "segmentation": False}


def test_images_without_a_place_are_told_or_are_pictures() -> None:
    volume = only([replace(header, position=None) for header in stack(3)])
    assert (volume.status, volume.problems) == ("flawed", ("no-position: 3 of 3 images",))
    pictures = [replace(header, position=None, orientation=None, modality="DX") for header in stack(2)]
    assert [v.status for v in group_headers(pictures)] == ["picture", "picture"]
    echo = image(1, 0, position=None, orientation=None, modality="US", frames=30)
    assert [(v.frames, v.slices, v.status) for v in group_headers([echo])] == [(30, 1, "ok")]


def test_an_enhanced_file_is_measured_by_its_frames() -> None:
    places = tuple((0.0, 0.0, 3.0 * place) for place in range(5) for _ in range(2))
    header = image(1, 0, frames=10, enhanced=True, frame_positions=places, frame_orientations=((1.0, 0, 0, 0, 1.0, 0),))
    volume = only([header])
    assert (volume.frames, volume.slices, volume.spacing, volume.status) == (2, 5, 3.0, "ok")
    gap = replace(header, frame_positions=places[:4] + places[6:], frames=8)
    assert only([gap]).problems[0].startswith("missing-slices: 1 missing")
    wrong = replace(header, frames=12)
    assert only([wrong]).problems == ("frame-count: 12 frames declared, 10 described",)


def test_acquisitions_at_other_positions_are_parted_only_when_each_is_a_stack() -> None:
    low = [image(n, 5.0 * n, acquisition_number=1) for n in range(5)]
    high = [image(50 + n, 203.0 + 3 * n, acquisition_number=2) for n in range(5)]
    assert [v.spacing for v in group_headers([*low, *high])] == [5.0, 3.0]
    assert only([*low, *high[:2]]).problems[0].startswith("uneven-spacing")


def test_identifiers_that_name_two_things_are_told_and_never_quoted() -> None:
    first = stack(3, issuer="A")
    second = [replace(header, issuer="B", study_uid="9", series_uid="9.9") for header in stack(3, 10)]
    problems = {text for volume in group_headers([*first, *second]) for text in volume.problems}
    assert problems == {"patient-id-reused: this PatientID comes from 2 issuers"}
    other = [replace(header, patient_id="SECRET") for header in stack(3, 10)]
    texts = " ".join(text for volume in group_headers([*stack(3), *other]) for text in volume.problems)
    assert "study-of-several-patients" in texts and "series-uid-reused" in texts and "SECRET" not in texts
    twice = [replace(header, sop_uid="1.1") for header in stack(3)]
    assert only(twice).problems == ("sop-uid-reused: 1 SOP Instance UIDs name files with different content",)


def test_problems_of_files_are_counted() -> None:
    headers = stack(4)
    headers[1] = replace(headers[1], problems=("truncated: 5 of 9 bytes of pixels are missing",))
    volume = only(headers)
    assert (volume.status, volume.problems) == ("flawed", ("truncated: 1 of 4 files",))


@settings(max_examples=60, deadline=None)
@given(
    slices=st.integers(1, 6),
    frames=st.integers(1, 5),
    echoes=st.integers(1, 3),
    drop=st.lists(st.integers(0, 89), max_size=5),
    seed=st.integers(0, 99),
)
def test_every_file_is_in_exactly_one_volume_whatever_is_missing(
    slices: int, frames: int, echoes: int, drop: list[int], seed: int
) -> None:
    headers = [
        image(e * 100 + t * 10 + p, 5.0 * p, trigger_time=40.0 * t, echo_time=2.0 + e)
        for e in range(echoes)
        for t in range(frames)
        for p in range(slices)
    ]
    kept = [header for n, header in enumerate(headers) if n not in drop] or headers
    random.Random(seed).shuffle(kept)
    volumes = group_headers(kept)
    assert sorted(h.path for v in volumes for h in v.headers) == sorted(h.path for h in kept)
    if kept is headers or len(kept) == len(headers):
        assert [(v.frames, v.slices, v.status) for v in volumes] == [(frames, slices, "ok")] * echoes


@pytest.fixture(scope="module")
def real(data: Path) -> dict[str, list[Header]]:
    found: dict[str, list[Header]] = {}
    for name in ("ct_head_tilted", "cine_mr/dicom", "qa_nih/In", "mr_brain_study"):
        for entry in walk(data / "dicom" / name).entries:
            with opened(entry) as (read, size):
                header = parse_header(read, size, entry.path, entry.mtime_ns)
            if header is not None:
                found.setdefault(name, []).append(header)
    return found


@pytest.mark.real_data
def test_real_series_are_what_their_makers_say(real: dict[str, list[Header]]) -> None:
    tilted = only(real["ct_head_tilted"])
    assert (tilted.slices, tilted.frames, tilted.status) == (28, 1, "flawed")
    assert tilted.problems == ("uneven-spacing: 1.08 to 7.00 mm between slices", "tilt: 18.50 degrees")
    cine = only(real["cine_mr/dicom"])
    assert (cine.slices, cine.frames, cine.status, cine.problems) == (12, 20, "ok", ())
    shapes = [(v.slices, v.frames) for v in group_headers(real["qa_nih/In"])]
    assert shapes == [(15, 10)] * 4 + [(5, 2)] * 4
    study = group_headers(real["mr_brain_study"])
    assert sorted((v.slices, v.status) for v in study) == [(22, "ok")] * 4 + [(40, "derived")]


@pytest.mark.real_data
def test_faults_made_from_a_real_series_are_found(real: dict[str, list[Header]]) -> None:
    series = [h for h in real["mr_brain_study"] if h.description == "FLAIR_reg"]
    series.sort(key=lambda header: header.position or ())
    assert only([*series[:9], *series[10:]]).problems[0].startswith("missing-slices: 1 missing, first after slice 9")
    again = replace(series[4], path="copy", sop_uid="1.9")
    assert only([*series, again]).problems[0].startswith("duplicate-position: 1 of 22")
    x, y, z = series[7].position or (0, 0, 0)
    a, b, c, d, e, f = series[7].orientation or CORONAL
    moved = replace(series[7], position=(x + 2.0, y, z + 2.0))
    assert any(
        text.startswith(("uneven-spacing", "crooked")) for text in only([*series[:7], moved, *series[8:]]).problems
    )
    flipped = replace(series[7], orientation=(-a, -b, -c, d, e, f))
    assert {len(v.headers) for v in group_headers([*series[:7], flipped, *series[8:]])} == {21, 1}


def test_a_mosaic_holds_the_slices_that_it_tiles() -> None:
    fields = {"image_type": ("ORIGINAL", "PRIMARY", "M", "MOSAIC"), "tiles": 36, "between": 3.5}
    headers = [image(n, 0, acquisition_number=n, **fields) for n in range(4)]
    volume = only(headers)
    assert (volume.frames, volume.slices, volume.spacing, volume.status) == (4, 36, 3.5, "ok")
    assert volume.problems == ("mosaic: each file tiles 36 slices",)
