"""SUV by body weight against values worked out by hand; what a header does not say is named and refused."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset

from semeion.cohort.series.assemble import read_series
from semeion.cohort.series.suv import series_factors, suv_factor
from semeion.errors import ImageError
from support.series import ct_slices, headers_in, save, stored


def pet(dataset: Any = None) -> Any:
    """Return a header of 70 kg, 350 MBq of fluorine-18, injected one half life (6586.2 s) before the scan."""
    dataset = Dataset() if dataset is None else dataset
    dataset.Modality, dataset.Units, dataset.DecayCorrection = "PT", "BQML", "START"
    dataset.CorrectedImage = ["ATTN", "SCAT", "DECY"]
    dataset.PatientWeight = "70"
    dataset.SeriesDate = dataset.AcquisitionDate = "20200102"
    dataset.SeriesTime = dataset.AcquisitionTime = "114946.2"
    drug = Dataset()
    drug.RadionuclideTotalDose = "350000000"
    drug.RadionuclideHalfLife = "6586.2"
    drug.RadiopharmaceuticalStartTime = "100000.0"
    dataset.RadiopharmaceuticalInformationSequence = [drug]
    return dataset


def drug_of(dataset: Any) -> Any:
    return dataset.RadiopharmaceuticalInformationSequence[0]


def test_one_half_life_after_injection_half_the_dose_is_left() -> None:
    # 70,000 g / (350e6 Bq / 2) = 0.0004 g/ml per Bq/ml: 2,500 Bq/ml are an SUV of 1.
    assert suv_factor(pet(), None, "x") == pytest.approx(0.0004, rel=1e-12)


def test_an_image_corrected_to_the_injection_needs_no_decay() -> None:
    dataset = pet()
    dataset.DecayCorrection = "ADMIN"
    assert suv_factor(dataset, None, "x") == pytest.approx(70_000 / 350e6, rel=1e-12)


def test_values_in_gml_are_suv_already() -> None:
    dataset = pet()
    dataset.Units = "GML"
    assert suv_factor(dataset, None, "x") == 1.0
    dataset.SUVType = "LBM"
    with pytest.raises(ImageError, match=r"holds uptake values by LBM \(0054,1006\), not by body weight"):
        suv_factor(dataset, None, "x")


def test_counts_need_the_factor_of_philips() -> None:
    dataset = pet()
    dataset.Units = "CNTS"
    with pytest.raises(ImageError, match=r"SUV Factor \(7053,xx00\) or .* \(7053,xx09\) of Philips is missing"):
        suv_factor(dataset, None, "x")
    block = dataset.private_block(0x7053, "Philips PET Private Group", create=True)
    block.add_new(0x09, "DS", "2.5")
    assert suv_factor(dataset, None, "x") == pytest.approx(2.5 * 0.0004, rel=1e-12)
    block.add_new(0x00, "DS", "0.00123")
    assert suv_factor(dataset, None, "x") == 0.00123


def test_a_full_date_and_time_of_injection_goes_first() -> None:
    dataset = pet()
    drug_of(dataset).RadiopharmaceuticalStartDateTime = "20200102080000.0+0100"
    hours = (11 * 3600 + 49 * 60 + 46.2) - 8 * 3600
    assert suv_factor(dataset, None, "x") == pytest.approx(70_000 / (350e6 * 2 ** (-hours / 6586.2)), rel=1e-12)


def test_an_injection_before_midnight_belongs_to_the_day_before() -> None:
    dataset = pet()
    dataset.SeriesTime = dataset.AcquisitionTime = "003000"
    drug_of(dataset).RadiopharmaceuticalStartTime = "233000"
    assert suv_factor(dataset, None, "x") == pytest.approx(70_000 / (350e6 * 2 ** (-3600 / 6586.2)), rel=1e-12)
    drug_of(dataset).RadiopharmaceuticalStartTime = "013000"
    with pytest.raises(ImageError, match=r"was injected after the scan began, by .*\(0018,1072\)"):
        suv_factor(dataset, None, "x")


def test_a_series_written_again_later_is_dated_by_its_first_acquisition() -> None:
    dataset = pet()
    dataset.SeriesTime = "150000"
    with pytest.raises(ImageError, match=r"AcquisitionTime \(0008,0032\) in every slice"):
        suv_factor(dataset, None, "x")
    first = datetime(2020, 1, 2, 11, 49, 46, 200_000)
    assert suv_factor(dataset, first, "x") == pytest.approx(0.0004, rel=1e-12)
    later = pet()
    later.SeriesTime, later.AcquisitionTime = "150000", "120500"
    assert series_factors([later, dataset], "x") == pytest.approx([0.0004, 0.0004], rel=1e-12)
    block = dataset.private_block(0x0009, "GEMS_PETD_01", create=True)
    block.add_new(0x0D, "DT", "20200102100000")
    assert suv_factor(dataset, first, "x") == pytest.approx(70_000 / 350e6, rel=1e-12)


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (lambda d: delattr(d, "Units"), r"Units \(0054,1001\) is missing"),
        (lambda d: setattr(d, "Units", "PROPCPS"), r"has the unit PROPCPS \(0054,1001\)"),
        (lambda d: delattr(d, "PatientWeight"), r"PatientWeight \(0010,1030\) is missing"),
        (lambda d: setattr(d, "PatientWeight", "0"), r"has 0 in PatientWeight \(0010,1030\)"),
        (lambda d: delattr(d, "RadiopharmaceuticalInformationSequence"), r"\(0054,0016\) is missing"),
        (lambda d: delattr(drug_of(d), "RadionuclideTotalDose"), r"RadionuclideTotalDose \(0018,1074\) is missing"),
        (lambda d: setattr(drug_of(d), "RadionuclideTotalDose", "350"), r"350 Bq \(0018,1074\): other units"),
        (lambda d: delattr(drug_of(d), "RadionuclideHalfLife"), r"RadionuclideHalfLife \(0018,1075\) is missing"),
        (
            lambda d: delattr(drug_of(d), "RadiopharmaceuticalStartTime"),
            r"\(0018,1078\) or .* is missing",
        ),
        (
            lambda d: setattr(drug_of(d), "RadiopharmaceuticalStartTime", "nine"),
            r"be understood, .*\(0018,1072\)",
        ),
        (lambda d: delattr(d, "DecayCorrection"), r"DecayCorrection \(0054,1102\) is missing"),
        (lambda d: setattr(d, "DecayCorrection", "NONE"), r"has DecayCorrection NONE \(0054,1102\)"),
        (lambda d: delattr(d, "CorrectedImage"), r"CorrectedImage \(0028,0051\) is missing"),
        (lambda d: setattr(d, "CorrectedImage", ["DECY", "SCAT"]), r"not corrected for attenuation \(0028,0051\)"),
        (lambda d: setattr(d, "CorrectedImage", "ATTN"), r"not corrected for decay \(0028,0051\)"),
        (lambda d: delattr(d, "SeriesTime"), r"SeriesDate \(0008,0021\) and SeriesTime \(0008,0031\) is missing"),
        (lambda d: delattr(d, "AcquisitionTime"), r"AcquisitionTime \(0008,0032\) is missing"),
    ],
)
def test_what_is_missing_or_not_comparable_is_named(change: Callable[[Any], None], text: str) -> None:
    dataset = pet()
    change(dataset)
    with pytest.raises(ImageError, match=f"^x: cannot be made SUV: .*{text}"):
        suv_factor(dataset, None, "x")


def test_a_half_life_that_contradicts_the_radionuclide_is_refused() -> None:
    dataset = pet()
    code = Dataset()
    code.CodeMeaning = "^18^Fluorine"
    drug_of(dataset).RadionuclideCodeSequence = [code]
    assert suv_factor(dataset, None, "x") == pytest.approx(0.0004)
    drug_of(dataset).RadionuclideHalfLife = "1223.4"
    with pytest.raises(ImageError, match=r"half life of 1223.4 s \(0018,1075\), and \^18\^Fluorine decays in 6586.2 s"):
        suv_factor(dataset, None, "x")


def test_a_pet_series_is_read_in_suv_or_in_its_own_unit(tmp_path: Path) -> None:
    slices = ct_slices(3)
    for n, dataset in enumerate(slices):
        pet(dataset)
        dataset.RescaleSlope, dataset.RescaleIntercept = f"{0.5 + n}", "0"
        dataset.PixelData = np.abs(dataset.pixel_array).tobytes()
    headers = headers_in(save(slices, tmp_path))
    volume = read_series(headers)
    assert volume.unit == "SUVbw"
    assert np.allclose(volume.plane, stored(slices) * 0.0004, rtol=1e-6)
    plain = read_series(headers, pet="stored")
    assert plain.unit == "BQML"
    assert np.allclose(plain.plane, stored(slices))
    path = Path(headers[1].path)
    dataset = pydicom.dcmread(path)
    del dataset.PatientWeight
    dataset.save_as(path)
    with pytest.raises(ImageError, match=r"cannot be made SUV: PatientWeight \(0010,1030\) is missing"):
        read_series(headers_in(tmp_path))
