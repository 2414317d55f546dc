from __future__ import annotations

import json

import cv2
import numpy as np
import pandas as pd
import pytest

from semeion.artefacts import finite
from semeion.audit.background import background_of, background_signal, holes_of, outlined_of
from semeion.cohort.cohort import Cohort, CohortOptions, Target
from semeion.cohort.gather import gather
from semeion.prepare.scan import scan
from semeion.prepare.volume_scan import scan_volumes
from semeion.study.facts import with_picture_columns
from support.altered import save
from support.spheres import make_spheres

N = 160
TARGET = Target("finding", "binary", ("no", "yes"), "yes")


def cases(folder, *, signal, empty=(), n=N, seed=0):
    """Return a cohort of pictures with a blob and its mask; `signal`: where the class shows."""
    rng = np.random.default_rng(seed)
    rows, cols = np.mgrid[:64, :64]
    y = np.arange(n) % 2
    table = {"image": [], "mask": []}
    for case in range(n):
        noise = cv2.GaussianBlur(rng.normal(size=(64, 64)), (0, 0), 2)
        at, size = rng.uniform(20, 44, 2), rng.uniform(6, 11)
        inside = (rows - at[0]) ** 2 + (cols - at[1]) ** 2 < size**2
        picture = 90 + 15 * noise / noise.std() + 40 * inside
        if signal == "inside":
            picture += 45 * y[case] * inside * rng.uniform(0.4, 1)
        elif signal == "size":
            size = size * (1.7 if y[case] else 1)
            inside = (rows - at[0]) ** 2 + (cols - at[1]) ** 2 < size**2
        elif signal in ("beside", "both"):
            picture += 12 * y[case] * (cols < 12)
        if signal == "both":
            picture += 30 * y[case] * inside
        table["image"].append(str(save(folder / f"{case}.png", np.clip(picture, 0, 255).astype(np.uint8))))
        drawn = np.zeros((64, 64), np.uint8) if case in empty else inside.astype(np.uint8) * 255
        table["mask"].append(str(save(folder / f"{case}-mask.png", drawn)))
    frame = pd.DataFrame(table).assign(
        case_id=[f"c{k}" for k in range(n)],
        patient_id=[f"p{k}" for k in range(n)],
        site=None,
        split=None,
        y=y * 1.0,
    )
    return Cohort(frame, TARGET, has_patients=False)


def test_a_class_told_beside_the_finding_is_warned_of(tmp_path):
    cohort = cases(tmp_path, signal="beside")
    audit = background_signal(cohort, scan(cohort))
    assert audit.verdict == "warn"
    assert audit.figures["background_auroc_low"] > 0.6
    assert audit.figures["background_less_outlined_low"] > 0.02
    assert audit.advice.startswith("With what was outlined masked out the class is told with an AUROC of")
    json.dumps(finite(audit.to_json()), allow_nan=False)


@pytest.mark.parametrize("signal", ["inside", "size", "nowhere"])
def test_a_class_told_by_the_finding_its_size_or_nothing_is_not(tmp_path, signal):
    cohort = cases(tmp_path, signal=signal)
    audit = background_signal(cohort, scan(cohort))
    assert audit.verdict in ("clear", "note")
    if signal != "nowhere":
        assert audit.figures["outlined_auroc_low"] > 0.7
        # The hole's size tells the class, and a linear classifier must not see it.
        assert audit.figures["background_auroc"] < 0.75


def test_cases_without_a_usable_mask_take_no_part(tmp_path):
    cohort = cases(tmp_path, signal="inside", empty=range(20), n=80)
    table = cohort.table
    table.loc[20, "mask"] = None
    table.loc[21, "mask"] = "/nowhere/at-all.png"
    table.loc[22, "mask"] = str(save(tmp_path / "small.png", np.full((32, 32), 255, np.uint8)))
    table.loc[23, "mask"] = str(save(tmp_path / "all.png", np.full((64, 64), 255, np.uint8)))
    audit = background_signal(cohort, scan(cohort))
    named = ("cases_with_a_mask", "masks_empty_in_what_is_shown", "masks_that_fill_the_picture")
    assert [audit.figures[name] for name in named] == [77, 20, 1]
    assert audit.figures["masks_missing_or_unusable"] == 3
    assert audit.figures["cases"] == 56
    none = background_signal(cases(tmp_path, signal="inside", empty=range(40), n=40), scan(cohort).iloc[:40])
    assert none.verdict == "not_run"
    assert "with a mask that can be used" in none.advice


def test_without_masks_or_classes_it_is_not_run(make_cohort, make_facts):
    cohort = make_cohort(40)
    audit = background_signal(cohort, make_facts(cohort))
    assert (audit.verdict, audit.advice) == ("not_run", "Not looked at: the cohort has no masks of what is shown.")
    target = Target("mask", "segmentation", ("a",), values=(1,))
    outlined = make_cohort(40, target=target, mask=["/nowhere/m.png"] * 40)
    audit = background_signal(outlined, make_facts(outlined))
    assert (audit.verdict, audit.advice) == ("not_run", "Not looked at: a segmentation has no classes to tell apart.")


def test_masks_of_volumes_come_with_the_scan(tmp_path):
    cohort = gather(make_spheres(tmp_path, n=60, masks=True), CohortOptions(target="finding", no_split=True))
    facts = with_picture_columns(scan_volumes(cohort))
    assert {len(one) for one in facts["mask_thumb"]} == {3 * 1024}
    audit = background_signal(cohort, facts)
    assert audit.figures["cases_with_a_mask"] == 60
    assert audit.verdict in ("clear", "note")
    assert audit.figures["outlined_auroc"] > 0.8
    assert background_signal(cohort, facts.drop(columns="mask_thumb")).verdict == "not_run"


def test_the_hole_is_a_pixel_wider_than_the_mask():
    masks = np.zeros((1, 1, 32, 32), np.uint8)
    masks[0, 0, 10:12, 20:22] = 255
    hole = holes_of(masks)
    assert hole[0, 0, 9:13, 19:23].all()
    assert hole.sum() == 16
    beside = background_of(np.full((1, 1, 32, 32), 51, np.uint8), masks)
    assert np.isnan(beside).sum() == 16
    assert np.nanmax(beside) == np.nanmin(beside) == 0.2


def test_what_is_outlined_is_cut_out_with_its_size_and_place():
    pixels = np.random.default_rng(0).integers(0, 255, (2, 1, 32, 32)).astype(np.uint8)
    masks = np.zeros((2, 1, 32, 32), np.uint8)
    masks[0, 0, 8:24, 0:16] = 255
    features = outlined_of(pixels, masks)
    np.testing.assert_allclose(features[0, :256], pixels[0, 0, 8:24, 0:16].ravel() / 255, atol=1e-6)
    assert (features[0, 256:512] == 1).all()
    np.testing.assert_allclose(features[0, 512:], [0.25, 0.5, 0.5, 0.5, 0.5, 0.25])
    assert np.isnan(features[1]).all()


def test_a_background_that_tells_is_warned_of_though_the_finding_tells_more(tmp_path):
    cohort = cases(tmp_path, signal="both")
    facts = scan(cohort)
    audit = background_signal(cohort, facts)
    assert audit.verdict == "warn"
    assert audit.figures["background_less_outlined_high"] < 0.02
    assert "A model needs not see the finding: either the disease shows around it, or markers" in audit.advice
    # Where levels are of a window of the image's own, what was outlined moves those beside it.
    assert background_signal(cohort, facts.assign(maximum=4000.0)).verdict == "note"


def test_what_lies_around_real_lesions_tells_too(data):
    cohort = gather(data / "busi" / "cases.csv", CohortOptions(target="finding"))
    audit = background_signal(cohort, scan(cohort))
    assert audit.verdict == "warn"
    assert "A model needs not see the finding" in audit.advice
    assert audit.figures["masks_empty_in_what_is_shown"] == 133
    assert audit.figures["background_less_outlined_high"] < 0
