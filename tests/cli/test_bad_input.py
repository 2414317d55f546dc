"""Bad input gets a clear error and loses nothing: one test for each, reading the message and the disk."""

from __future__ import annotations

import shutil
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas as pd
import pytest

from semeion.artefacts import read_json
from support.tiny import PATIENT, SIDE, Tiny, TinyRun, contents_of, make_cohort, save_plan, write_picture

Refuse = Callable[..., str]
Command = Callable[..., Any]


def training(cohort: Tiny, *more: str | Path) -> tuple[str | Path, ...]:
    out = cohort.table.parents[1] / "run"
    return ("train", cohort.table, "--target", cohort.target, "-o", out, "-q", "--jobs", "1", *more)


def bomb() -> bytes:
    """Return a PNG of 70 bytes that declares 60,000 x 60,000 pixels."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    header = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0")) + chunk(b"IEND", b"")


# The table.


def test_no_such_table_is_named(refuse: Refuse, tmp_path: Path) -> None:
    for name in ("check", "plan", "train"):
        said = refuse(name, tmp_path / "cohrt.csv", "--target", "finding", "-o", tmp_path / "out")
        assert said == f"{tmp_path / 'cohrt.csv'}: no such file or folder; correct the path"


def test_an_unknown_column_is_named_with_the_nearest(refuse: Refuse, cohort: Tiny) -> None:
    table, out = cohort.table, cohort.table.parents[1] / "run"
    said = refuse("train", table, "--target", "findings", "-o", out)
    assert "cohort.csv: no column 'findings' (--target), did you mean 'finding'?" in said
    assert "choose one of case_id, patient_id, image, site, finding" in said
    for option, wrong, right in (("--group", "patientid", "patient_id"), ("--covariates", "sit", "site")):
        said = refuse(*training(cohort, option, wrong))
        assert f"no column '{wrong}' ({option}), did you mean '{right}'?" in said
    assert "no column 'fold' (--split)" in refuse(*training(cohort, "--split", "fold"))


def test_a_missing_image_column_is_named(refuse: Refuse, cohort: Tiny) -> None:
    cohort.rows.rename(columns={"image": "images"}).to_csv(cohort.table, index=False)
    assert "no column 'image', did you mean 'images'?" in refuse(*training(cohort))


def test_duplicate_case_ids_are_listed_with_their_rows(refuse: Refuse, cohort: Tiny) -> None:
    ids = cohort.rows["case_id"].to_list()
    ids[4], ids[9] = ids[3], ids[8]
    said = refuse(*training(cohort.rewrite(case_id=ids)))
    assert said == (
        "cohort.csv: the same case_id in several rows: 'case-003' (rows 5, 6), 'case-008' (rows 10, 11); "
        "keep one row a case"
    )


def test_missing_labels_are_listed_by_row(refuse: Refuse, cohort: Tiny) -> None:
    finding = cohort.rows["finding"].to_list()
    finding[0] = finding[7] = ""
    said = refuse(*training(cohort.rewrite(finding=finding)))
    assert "cohort.csv: " in said
    assert "rows 2, 9" in said
    assert "finding" in said


def test_a_misspelt_label_is_named_with_what_was_meant(refuse: Refuse, cohort: Tiny) -> None:
    finding = cohort.rows["finding"].to_list()
    row = finding.index("malignant")
    finding[row] = "malignent"
    said = refuse(*training(cohort.rewrite(finding=finding)))
    assert f"finding 'malignent' in row {row + 2} (1 of 80 cases) is probably 'malignant' misspelt; correct it" in said


def test_one_class_only_is_refused(refuse: Refuse, cohort: Tiny) -> None:
    said = refuse(*training(cohort.rewrite(finding=["benign"] * 80)))
    assert said == ("cohort.csv: every case is 'benign': finding has one class only; add cases of the other class")


def test_a_class_with_too_few_cases_for_folds_is_refused(refuse: Refuse, cohort: Tiny) -> None:
    finding = ["benign"] * 80
    finding[3] = finding[50] = "malignant"
    said = refuse(*training(cohort.rewrite(finding=finding), "--budget", "1m"))
    assert "class 'malignant' has 2 training cases; folds need at least 3 of every class" in said
    assert "bring more cases of it, leave it out, or merge it with another class" in said


def test_a_class_with_fewer_cases_than_folds_is_warned_of(command: Command, cohort: Tiny) -> None:
    finding = ["benign"] * 80
    finding[3] = finding[20] = finding[50] = finding[70] = "malignant"
    done = command("check", cohort.rewrite(finding=finding).table, "--target", "finding", "-q")
    assert done.status == 0
    assert "warn     class-counts" in done.out
    assert "Class 'malignant' has 4 cases, far too few to learn or to measure" in done.out
    assert "class 'malignant' has fewer patients (4) than folds (5)" in done.out


def test_the_target_among_the_inputs_is_refused(refuse: Refuse, cohort: Tiny) -> None:
    said = refuse(*training(cohort, "--covariates", "finding"))
    assert "'finding' is the target and also an input (--covariates); leave it out of --covariates" in said
    twin = cohort.rewrite(histology=cohort.rows["finding"])
    said = refuse(*training(twin, "--covariates", "histology"))
    assert "the input 'histology' (--covariates) holds the same values as the target 'finding'" in said


def test_a_recoding_of_the_target_among_the_inputs_is_void(command: Command, refuse: Refuse, cohort: Tiny) -> None:
    coded = cohort.rewrite(code=(cohort.rows["finding"] == "malignant") + 7)
    done = command("check", coded.table, "--target", "finding", "--covariates", "code", "-q")
    assert done.status == 1
    assert "void     target-leak" in done.out
    assert "'code' is the target or a recoding of it" in done.out
    said = refuse(*training(coded, "--covariates", "code"))
    assert "audits: the result would be void" in said
    assert "target-leak: " in said


def test_wrong_options_are_refused_before_anything_is_read(refuse: Refuse, cohort: Tiny) -> None:
    for more, message in (
        (("--budget", "15"), "--budget: '15' has no unit; write 15m for minutes or 15s for seconds"),
        (("--task", "binry"), "--task: unknown task 'binry', did you mean 'binary'?; use one of binary, multiclass,"),
        (("--labels", "0"), "--labels: '0' is not CODE=NAME; write for example 0=malignant,1=benign"),
        (("--labels", "0=a,0=b"), "--labels: the code '0' is named twice; name it once"),
        (("--operating-point", "youdn"), "--operating-point youdn: unknown rule 'youdn', did you mean 'youden'?"),
        (("--operating-point", "cost=1"), "'1' is not two costs above 0; write cost=FN:FP, for example cost=10:1"),
        (("--accept", "overlap"), "--accept: no audit is called 'overlap'"),
        (("--positive", "malignent"), "--positive 'malignent' is no class of finding, did you mean 'malignant'?"),
    ):
        assert message in refuse(*training(cohort, *more))


# Splits that contradict themselves.


@pytest.fixture
def torn(cohort: Tiny) -> Tiny:
    """Two patients have one case in train and one in test."""
    split = np.array(["train", "test", "train", "val"])[np.arange(80) // 2 % 4].astype(object)
    split[[0, 4]] = "test"  # patients 0 and 2, whose other case is in train
    return cohort.rewrite(split=split)


def test_a_patient_on_both_sides_is_void(command: Command, refuse: Refuse, torn: Tiny, tmp_path: Path) -> None:
    done = command("check", torn.table, "--target", "finding", "-o", tmp_path / "check", "-q")
    assert done.status == 1
    assert "void     patient-overlap  2 patients are on both sides of the test set" in done.out
    assert "cases: case-000=case-001, case-004=case-005" in done.out
    assert read_json(tmp_path / "check" / "check.json")["audits"]["patient-overlap"]["verdict"] == "void"
    said = refuse(*training(torn))
    assert said.startswith(
        "audits: the result would be void; correct the table (`semeion check` shows the cases), "
        "or accept by name: --accept patient-overlap\n  patient-overlap: 2 patients are on both sides"
    )


def test_what_was_accepted_is_said_with_figures_without_it(command: Command, torn: Tiny, tmp_path: Path) -> None:
    plan = save_plan(tmp_path, scheme="given", steps=3)
    done = command(*training(torn, "--plan", plan, "--accept", "patient-overlap"))
    assert done.status == 1, done.err
    evidence = read_json(tmp_path / "run" / "evidence.json")
    assert evidence["accepted"] == ["patient-overlap"]
    assert evidence["audits"]["patient-overlap"]["verdict"] == "void"
    assert evidence["metrics"]["test"]["auroc"]["n"] == 22
    without = evidence["without_accepted"]
    assert without["cases_left_out"] == 2
    assert without["metrics"]["test"]["auroc"]["n"] == 20
    page = (tmp_path / "run" / "report.html").read_text()
    assert "patient-overlap" in page
    assert "accepted" in page


def test_accepting_one_thing_accepts_no_other(refuse: Refuse, torn: Tiny) -> None:
    tested = np.flatnonzero(torn.rows["split"] == "test")
    learned = np.flatnonzero(torn.rows["split"] == "train")
    for test, train in zip(tested[:12], learned[-12:], strict=True):
        torn.image(test).write_bytes(torn.image(train).read_bytes())
    said = refuse(*training(torn, "--accept", "patient-overlap"))
    assert "--accept near-duplicates" in said
    assert "--accept patient-overlap" not in said
    assert "12 of 22 test cases are copied outside the test set" in said


def test_a_split_of_unknown_words_and_gaps_is_refused(refuse: Refuse, torn: Tiny) -> None:
    split = torn.rows["split"].to_list()
    split[1], split[6] = "trian", ""
    said = refuse(*training(torn.rewrite(split=split)))
    assert "split is none of train, val, test: 'trian' (row 3)" in said
    assert "no split in row 8, while other rows have one" in said


# Pictures.


def test_each_kind_of_bad_picture_says_what_is_wrong(refuse: Refuse, cohort: Tiny) -> None:
    whole = cohort.image(30).read_bytes()
    spoiled = {
        2: (None, "does not exist"),
        11: (b"", "is empty (zero bytes)"),
        17: (whole[: len(whole) // 2], "cut short"),
        23: (b"GIF89a" + b"\0" * 60, "GIF"),
        31: (b"%PDF-1.4 scanned report", "PDF"),
        47: (bomb(), "60000 x 60000"),
    }
    for row, (data, _) in spoiled.items():
        cohort.image(row).unlink() if data is None else cohort.image(row).write_bytes(data)
    message, *lines = refuse(*training(cohort)).split("\n")
    assert message == (
        "cohort.csv: 6 of 80 images cannot be read; correct these, or leave such cases out with --skip-bad"
    )
    for line, (row, (_, what)) in zip(lines, spoiled.items(), strict=True):
        assert line.startswith(f"  case case-{row:03d}: ")
        assert what.replace(",", "") in line.replace(",", ""), line


def test_a_jpeg_cut_in_the_middle_is_not_half_a_picture(refuse: Refuse, cohort: Tiny) -> None:
    big = np.random.default_rng(0).integers(0, 256, (200, 200), dtype=np.uint8)
    data = cv2.imencode(".jpg", big)[1].tobytes()
    cohort.image(5).write_bytes(data[: len(data) // 2])
    assert "case case-005: " in refuse(*training(cohort))


def test_check_lists_bad_pictures_and_writes_its_page(command: Command, cohort: Tiny, tmp_path: Path) -> None:
    cohort.image(5).write_bytes(b"")
    done = command("check", cohort.table, "--target", "finding", "-o", tmp_path / "check", "-q")
    assert done.status == 1
    assert "79 read, 0 missing, 1 unreadable" in done.out
    assert (tmp_path / "check" / "check.html").exists()


def test_odd_but_readable_pictures_go_the_road(command: Command, cohort: Tiny, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    write_picture(cohort.image(0), rng.integers(0, 256, (64, 48, 3), dtype=np.uint8))  # larger, and colour
    write_picture(cohort.image(1), rng.integers(0, 65536, (30, 24), dtype=np.uint16))  # 16 bits
    write_picture(cohort.image(2), rng.integers(0, 256, (SIDE, SIDE, 4), dtype=np.uint8))  # with opacity
    jpeg = cv2.imencode(".jpg", rng.integers(0, 256, (SIDE, SIDE), dtype=np.uint8))[1].tobytes()
    cohort.image(3).write_bytes(jpeg)  # a JPEG called .png
    write_picture(cohort.image(4), np.full((SIDE, SIDE), 7, np.uint8))  # constant
    done = command(*training(cohort, "--plan", save_plan(tmp_path, steps=3)))
    assert done.status == 0, done.err
    evidence = read_json(tmp_path / "run" / "evidence.json")
    assert evidence["metrics"]["oof"]["auroc"]["n"] == 80
    assert evidence["audits"]["blank-images"]["cases"] == ["case-004"]


# The disk and the output folder.


def test_too_little_disk_is_said_before_and_the_run_can_go_on(
    command: Command, cohort: Tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from semeion.prepare import store

    honest = shutil.disk_usage(tmp_path)
    with monkeypatch.context() as patched:
        patched.setattr(store.shutil, "disk_usage", lambda _: honest._replace(free=1 << 20))
        done = command(*training(cohort, "--plan", save_plan(tmp_path, steps=3)))
    assert done.status == 4
    assert "the prepared images need 0.00 GiB and 0.00 GiB are free" in done.err
    assert "free some space, or choose another folder with -o" in done.err
    assert command("resume", tmp_path / "run", "-q").status == 0
    assert (tmp_path / "run" / "report.html").exists()


def test_a_disk_that_fills_up_leaves_whole_files_and_a_run_that_goes_on(
    command: Command, cohort: Tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import errno

    from semeion.study import road

    def full(*_: Any, **__: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(pd.DataFrame, "to_parquet", full)
        done = command(*training(cohort, "--plan", save_plan(tmp_path, steps=3)))
    assert done.status == 4
    assert done.err.endswith("the disk is full; free some space and run again\n")
    with monkeypatch.context() as patched:
        patched.setattr(road, "write_gallery", full)
        assert command("resume", tmp_path / "run", "-q").status == 4
    assert not list((tmp_path / "run").rglob("*.part"))
    assert command("resume", tmp_path / "run", "-q").status == 0


def test_findings_on_a_full_disk_replace_nothing(
    command: Command, tiny_run: TinyRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import errno
    import os

    (tmp_path / "f.csv").write_text("yesterday's")

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", full)
        done = command("predict", tiny_run.model, tiny_run.cohort.image(0), "-o", tmp_path / "f.csv", "-q")
    assert done.status == 4
    assert done.err == f"semeion: {tmp_path / 'f.csv'}: the disk is full; free some space and run again\n"
    assert contents_of(tmp_path) == {"f.csv": b"yesterday's"}


def test_a_place_that_cannot_be_written_is_named(command: Command, cohort: Tiny, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    out = tmp_path / "file" / "run"
    done = command("train", cohort.table, "--target", "finding", "-o", out, "-q")
    assert done.status == 4
    assert str(tmp_path / "file") in done.err
    assert contents_of(tmp_path)["file"] == b"mine"


def test_an_output_that_holds_something_is_left_alone(refuse: Refuse, tiny_run: TinyRun, cohort: Tiny) -> None:
    out = cohort.table.parents[1] / "run"
    shutil.copytree(tiny_run.path, out)
    assert refuse(*training(cohort)) == f"{out}: already holds a finished run; choose another -o"
    (out / "run.json").unlink()
    assert refuse(*training(cohort)) == f"{out}: is not empty and holds no run; choose another folder with -o"


def test_demo_does_not_remove_what_is_no_run(refuse: Refuse, tmp_path: Path) -> None:
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "thesis.tex").write_text("years")
    said = refuse("demo", "--synthetic", "-o", tmp_path / "thesis", "-q")
    assert said == f"{tmp_path / 'thesis'}: holds something that is no run; choose another -o"


# The model.


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda m: (m / "CARD.md").write_text("x"), "CARD.md"),
        (lambda m: (m / "members" / "fold0-seed0.onnx").write_bytes(b"x"), "fold0-seed0.onnx"),
        (lambda m: (m / "members" / "fold1-seed0.onnx").unlink(), "a file of the model is missing"),
        (lambda m: (m / "notes.txt").write_text("x"), "notes.txt"),
        (lambda m: (m / "model.json").write_text("{}"), "model.json"),
        (lambda m: (m / "model.sha256").unlink(), "the file model.sha256 is missing"),
    ],
)
def test_a_changed_model_is_refused(
    refuse: Refuse, tiny_run: TinyRun, tmp_path: Path, spoil: Callable[[Path], object], message: str
) -> None:
    model = shutil.copytree(tiny_run.model, tmp_path / "model")
    spoil(model)
    image, table = tiny_run.cohort.image(0), tiny_run.cohort.table
    assert message in refuse("predict", model, image, "-o", tmp_path / "f.csv", "-q", status=3)
    assert message in refuse("evaluate", model, table, "-o", tmp_path / "out", "-q", status=3)


def test_a_run_in_place_of_a_model_gets_a_hint(refuse: Refuse, tiny_run: TinyRun, tmp_path: Path) -> None:
    said = refuse("predict", tiny_run.path, tiny_run.cohort.image(0), "-o", tmp_path / "f.csv", status=3)
    assert f"not a model folder: it has no model.json; give {tiny_run.path / 'model'}" in said


def test_findings_need_a_known_suffix(refuse: Refuse, tiny_run: TinyRun, tmp_path: Path) -> None:
    said = refuse("predict", tiny_run.model, tiny_run.cohort.image(0), "-o", tmp_path / "f.txt")
    assert said == (
        f"{tmp_path / 'f.txt'}: findings cannot be written as .txt; end the name with one of .csv .parquet .json"
    )


def test_a_broken_picture_has_a_row_that_says_why(command: Command, tiny_run: TinyRun, tmp_path: Path) -> None:
    (tmp_path / "empty.png").write_bytes(b"")
    (tmp_path / "bomb.png").write_bytes(bomb())
    images = [tiny_run.cohort.image(0), tmp_path / "empty.png", tmp_path / "absent.png", tmp_path / "bomb.png"]
    done = command("predict", tiny_run.model, *images, "-o", tmp_path / "f.csv", "-q")
    assert done.status == 1
    first, *reasons = done.out.splitlines()
    assert first == f"1 called, 3 failed: {tmp_path / 'f.csv'}"
    assert reasons == [
        "  1 failed: the file does not exist (missing-file)",
        "  1 failed: the declared or stored size is above the limits, or memory ran out (too-large)",
        "  1 failed: the image is damaged or of an unsupported kind (unreadable)",
    ]
    found = pd.read_csv(tmp_path / "f.csv")
    assert found["status"].tolist() == ["called", "failed", "failed", "failed"]
    codes = found["reasons"][1:].str.split(":").str[0].tolist()
    assert codes == ["unreadable", "missing-file", "too-large"]
    assert found["p_malignant"].notna().tolist() == [True, False, False, False]
    assert found["image"].tolist() == [str(image) for image in images]
    assert found["case_id"].tolist() == [1, 2, 3, 4]
    assert set(found["model"]) == {tiny_run.evidence["model"]}


def test_another_kind_of_picture_is_told_in_its_finding(command: Command, tiny_run: TinyRun, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    colour = write_picture(tmp_path / "colour.png", rng.integers(0, 256, (SIDE, SIDE, 3), dtype=np.uint8))
    dark = write_picture(tmp_path / "dark.png", rng.integers(0, 9, (SIDE, SIDE), dtype=np.uint8))
    huge = write_picture(tmp_path / "huge.png", rng.integers(60, 150, (300, 300), dtype=np.uint8))
    usual = tiny_run.cohort.image(0)
    done = command("predict", tiny_run.model, colour, dark, huge, usual, "-o", tmp_path / "f.json", "-q")
    assert done.status == 0, "a warning is no failure"
    found = read_json(tmp_path / "f.json")
    assert "colour-into-grey: a colour image, but the model was trained on grey ones" in found[0]["reasons"]
    assert "intensity-far: mean 0.02 of the grey scale, trained on" in found[1]["reasons"]
    assert "size-far: 300 x 300 pixels, trained on 24 x 24" in found[2]["reasons"]
    assert found[3]["reasons"] is None
    assert [row["status"] for row in found] == ["called", "unsure", "called", "called"]
    assert found[1]["call"] is None
    assert found[1]["p_malignant"] is not None


def test_no_image_at_all_is_refused(refuse: Refuse, tiny_run: TinyRun, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    said = refuse("predict", tiny_run.model, tmp_path / "empty", "-o", tmp_path / "f.csv")
    assert said == f"{tmp_path / 'empty'}: the folder holds no images; give a folder with pictures, or the pictures"


def test_a_report_of_what_is_no_run_is_refused(refuse: Refuse, tmp_path: Path) -> None:
    said = refuse("report", tmp_path)
    assert str(tmp_path) in said
    assert PATIENT not in said


def test_a_cohort_for_external_validation_must_answer_the_question(
    refuse: Refuse, tiny_run: TinyRun, tmp_path: Path
) -> None:
    other = make_cohort(tmp_path / "other", n=20, task="regression")
    said = refuse("evaluate", tiny_run.model, other.table, "-o", tmp_path / "out", "-q")
    assert "no column 'finding' (--target)" in said


def test_what_a_plan_holds_cannot_be_given_beside_it(refuse: Refuse, cohort: Tiny, tmp_path: Path) -> None:
    plan = save_plan(tmp_path)
    for option in (("--seed", "4"), ("--operating-point", "accuracy")):
        said = refuse(*training(cohort, "--plan", plan, *option))
        assert "--plan: the plan holds another seed or operating point" in said
