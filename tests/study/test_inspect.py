"""From a source to checked cases: the whole list of bad images at once, and who was left out."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from semeion.audit.audit import Audit
from semeion.cohort.cohort import CohortOptions
from semeion.errors import InputError
from semeion.progress import Silent
from semeion.study.inspect import Inspected, inspect, labels, refuse_bad_images, refuse_void
from semeion.study.options import RunOptions
from support.tiny import PATIENT, Tiny, make_cohort, save_plan, train_tiny


def look(cohort: Tiny, **options: object) -> Inspected:
    return inspect(cohort.table, RunOptions(CohortOptions(target=cohort.target), jobs=1, **options), Silent())  # type: ignore[arg-type]


@pytest.fixture
def spoiled(tmp_path: Path) -> Tiny:
    """Eighty cases, of which five cannot be read, each in its own way."""
    cohort = make_cohort(tmp_path / "source")
    cohort.image(3).unlink()
    cohort.image(7).write_bytes(b"")
    cohort.image(20).write_bytes(cohort.image(20).read_bytes()[:200])
    cohort.image(41).write_text("no picture at all")
    cohort.image(66).write_bytes(b"\x89PNG\r\n\x1a\n" + b"\x00" * 100)
    return cohort


def test_every_bad_image_is_listed_at_once(spoiled: Tiny) -> None:
    with pytest.raises(InputError) as caught:
        refuse_bad_images(look(spoiled), skip_bad=False)
    message, *lines = str(caught.value).split("\n")
    fix = "correct these, or leave such cases out with --skip-bad"
    assert message == f"cohort.csv: 5 of 80 images cannot be read; {fix}"
    assert [line.split(":")[0].strip() for line in lines] == [f"case case-{row:03d}" for row in (3, 7, 20, 41, 66)]
    for line, what in zip(lines, ("does not exist", "zero bytes", "cut short", "image", "PNG"), strict=True):
        assert what in line
    assert PATIENT not in str(caught.value)


def test_skip_bad_leaves_them_out_and_the_evidence_says_so(spoiled: Tiny, tmp_path: Path) -> None:
    plan = save_plan(tmp_path, steps=3)
    with pytest.raises(InputError, match="5 of 80 images cannot be read"):
        train_tiny(spoiled, plan, tmp_path / "refused")
    assert not (tmp_path / "refused").exists(), "nothing was written"
    run = train_tiny(spoiled, plan, tmp_path / "run", skip_bad=True)
    steps = run.evidence["flow"]
    assert [step["n_cases"] for step in steps] == [80, 75]
    assert steps[-1]["step"] == "readable images"
    assert steps[-1]["reason"] == "5 images are missing or unreadable"
    assert run.evidence["metrics"]["oof"]["auroc"]["n"] == 75
    audit = run.evidence["audits"]["unreadable-images"]
    assert set(audit["cases"]) == {f"case-{row:03d}" for row in (3, 7, 20, 41, 66)}
    assert "5 images are missing or unreadable" in (run.path / "report.html").read_text()


def test_when_no_image_is_left_skipping_does_not_help(tmp_path: Path) -> None:
    cohort = make_cohort(tmp_path / "source", n=20)
    for row in range(20):
        cohort.image(row).unlink()
    with pytest.raises(InputError, match="20 of 20 images cannot be read; none is left: correct the paths"):
        refuse_bad_images(look(cohort), skip_bad=True)


def test_what_is_inspected_agrees_with_itself(tmp_path: Path) -> None:
    cohort = make_cohort(tmp_path / "source", n=20)
    seen = look(cohort, remarks=("A remark.",), synthetic=True)
    assert seen.cohort.table["case_id"].tolist() == seen.facts["case_id"].tolist() == cohort.rows["case_id"].tolist()
    assert seen.cohort.flow[-1].reason == "every image was read"
    assert seen.cohort.notes[-1] == "A remark."
    assert seen.cohort.synthetic
    assert labels(seen.cohort).tolist() == (cohort.rows["finding"] == "malignant").astype(float).tolist()


def test_labels_of_several_columns_stay_columns(tmp_path: Path) -> None:
    cohort = make_cohort(tmp_path / "source", n=20, task="multilabel")
    assert labels(look(cohort).cohort).tolist() == cohort.rows[["edema", "nodule"]].astype(float).to_numpy().tolist()


VOID = {
    "patient-overlap": Audit("patient-overlap", "void", advice="2 patients are on both sides of the test set."),
    "near-duplicates": Audit("near-duplicates", "void", advice="12 test cases are copied."),
    "class-counts": Audit("class-counts", "warn"),
}


def test_void_audits_are_refused_together_and_accepted_by_name() -> None:
    with pytest.raises(InputError) as caught:
        refuse_void(VOID, ())
    assert str(caught.value) == (
        "audits: the result would be void; correct the table (`semeion check` shows the cases), or accept by name: "
        "--accept patient-overlap --accept near-duplicates\n"
        "  patient-overlap: 2 patients are on both sides of the test set.\n"
        "  near-duplicates: 12 test cases are copied."
    )
    with pytest.raises(InputError) as caught:
        refuse_void(VOID, ("patient-overlap",))
    assert "--accept patient-overlap" not in str(caught.value)
    assert refuse_void(VOID, ("patient-overlap", "near-duplicates")) == ["patient-overlap", "near-duplicates"]


def test_accepting_what_is_not_void_accepts_nothing() -> None:
    clear = {name: dataclasses.replace(audit, verdict="clear") for name, audit in VOID.items()}
    assert refuse_void(clear, ("patient-overlap",)) == []


def test_an_unknown_audit_is_named_with_the_nearest() -> None:
    with pytest.raises(InputError) as caught:
        refuse_void(VOID, ("patient-overlaps",))
    assert "no audit is called 'patient-overlaps', did you mean 'patient-overlap'?" in str(caught.value)
