from __future__ import annotations

import pytest

from semeion.audit.columns import date_role, joined, metadata_kind, tokens


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("StudyDate", ["study", "date"]),
        ("rater1", ["rater", "1"]),
        ("finding_reader-2", ["finding", "reader", "2"]),
        ("Gerät_Größe", ["gerät", "grösse"]),
        ("", []),
    ],
)
def test_words_of_a_name(name, words):
    assert tokens(name) == words


def test_a_name_without_punctuation():
    assert joined("Study Instance_UID") == joined("StudyInstanceUID") == "studyinstanceuid"


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("hospital", "site"),
        ("Centre_ID", "site"),
        ("source", "site"),
        ("dataset", "site"),
        ("scanner", "scanner"),
        ("Manufacturer", "scanner"),
        ("ManufacturerModelName", "scanner"),
        ("model", "scanner"),
        ("station_name", "scanner"),
        ("kVp", "protocol"),
        ("scan_protocol", "protocol"),
        ("ViewPosition", "protocol"),
        ("slice_thickness", "protocol"),
        ("MagneticFieldStrength", "protocol"),
        ("TE", "protocol"),
    ],
)
def test_metadata_are_known_by_name(name, kind):
    assert metadata_kind(name) == kind


@pytest.mark.parametrize(
    "name",
    [
        *("age", "sex", "weight_kg", "bmi", "tumour_grade", "treatment", "smoking_history", "lesion_size"),
        *("source_of_infection", "wall_thickness", "model_prediction", "device_implant", "birth_date", "patient_id"),
        *(
            "study_uid",
            "accession_number",
            "report",
            "hospital_death",
            "n_lesions",
            "lv_ef",
            "notes",
            "sequence_variant",
        ),
    ],
)
def test_clinical_columns_and_identifiers_are_none(name):
    assert metadata_kind(name) is None


@pytest.mark.parametrize(
    ("name", "role"),
    [
        ("date", "acquired"),
        ("AcquisitionDate", "acquired"),
        ("date_of_scan", "acquired"),
        ("acquired_on", "acquired"),
        ("scan_year", "acquired"),
        ("diagnosis_date", "outcome"),
        ("date_of_death", "outcome"),
        ("diagnosed_on", "outcome"),
        ("biopsy_dt", "outcome"),
        ("SurgeryDate", "treatment"),
        ("treatment_start_date", "treatment"),
        ("therapy_end_date", None),
        ("birth_date", None),
        ("follow_up_date", None),
        ("survival_time", None),
        ("time_to_event", None),
        ("diagnosis", None),
        ("treatment", None),
        ("update", None),
    ],
)
def test_dates_are_known_by_name(name, role):
    assert date_role(name) == role
