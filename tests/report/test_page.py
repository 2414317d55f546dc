"""What report.html says, for every task; that it is safe, small, alone and the same every time."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import yaml

from semeion.errors import InputError
from semeion.report.page import write_report

TASKS = ["binary", "multiclass", "ordinal", "multilabel", "regression"]
HOSTILE = "<script>alert(1)</script>\" onload='x' {{ 7*7 }} $x_1$ &amp; \u202e"


class Page(HTMLParser):
    """Elements, addresses and text of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.hidden = 0
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self.hidden += tag in ("style", "script")

    def handle_endtag(self, tag: str) -> None:
        self.hidden -= tag in ("style", "script")

    def handle_data(self, data: str) -> None:
        if not self.hidden and data.strip():
            self.words.append(" ".join(data.split()))

    @property
    def text(self) -> str:
        return " ".join(self.words)


def read(folder: Path) -> Page:
    return Page((folder / "report.html").read_text(encoding="utf-8"))


@pytest.mark.parametrize("task", TASKS)
def test_page_has_every_section(task: str, written: Callable[[str], Path]) -> None:
    page = read(written(task))
    ids = {attrs.get("id") for _, attrs in page.tags}
    wanted = {"patients", "performance", "gallery", "limits", "audits", "metrics", "plan", "making", "terms"}
    assert wanted <= ids
    for words in (
        "Research use only. Not a medical device.",
        "near duplicates",
        "No other hospital's images were read.",
        "Flow of cases",
        "6 images were missing; left out with --skip-bad",
        "All images are grey.",
        "fold1",
        "no improvement in 6 epochs",
        "15 min 00 s were allowed and 14 min 21 s used; training ended because the time was used up.",
        "1 210 MiB",
        "(planned: 1180)",
        "Semeion, when the figures were made: 0.1.0",
    ):
        assert words in page.text, words
    assert "The data are synthetic." not in page.text


@pytest.mark.parametrize(
    ("task", "pictures", "words"),
    [
        (
            "binary",
            {"roc-0", "pr-0", "calibration-0", "confusion-0", "strata-0-0"},
            ["Telling malignant from normal or benign", "Called malignant when its probability is at least 0.412"],
        ),
        (
            "multiclass",
            {"roc", "pr", "calibration", "confusion"},
            ["Telling apart oedema", "By class", "pleural effusion"],
        ),
        ("ordinal", {"roc", "confusion"}, ["Grading finding, from grade 0 to grade 3", "Quadratic kappa", "0.710"]),
        (
            "multilabel",
            {"roc", "roc-0", "roc-2", "pr-1", "confusion-2"},
            ["Looking for cardiomegaly, effusion and nodule", "On 500 out-of-fold cases", "each fold's own point"],
        ),
        ("regression", {"scatter", "residuals"}, ["Measuring ejection_fraction", "Mean absolute error", "R²"]),
    ],
)
def test_each_task_shows_its_pictures(
    task: str, pictures: set[str], words: list[str], written: Callable[[str], Path]
) -> None:
    page = read(written(task))
    titles = {str(attrs["id"]).removesuffix("-title") for tag, attrs in page.tags if tag == "title" and "id" in attrs}
    assert pictures <= titles
    for each in words:
        assert each in page.text


@pytest.mark.parametrize(("counts", "said"), [([200, 110, 110], ""), ([300, 60, 60], "71\u00a0%")])
def test_accuracy_does_not_lead_and_the_page_says_why(counts: list[int], said: str, build: Any, tmp_path: Path) -> None:
    evidence = build.multiclass(k=3)
    names = evidence["classes"]
    evidence["splits"]["test"]["class_counts"] = dict(zip(names, counts, strict=True))
    run = build.write_run(tmp_path, evidence, gallery=0)
    page = write_report(run).read_text()
    told = json.loads((run / "report.json").read_text())["headline"]
    assert [row["key"] for row in told["figures"]] == ["auroc", "balanced_accuracy", "f1_macro"]
    if not said:
        assert told["balance"] == ""
        return
    assert told["balance"] == (
        f"{said} of these cases are {names[0]}: calling every case so would be right as often, so accuracy is not "
        "among these figures."
    )
    assert told["balance"] in page


def test_first_page_speaks_in_cases_and_intervals(written: Callable[[str], Path]) -> None:
    page, evidence = read(written("binary")), json.loads((written("binary") / "evidence.json").read_text())
    (tn, fp), (fn, tp) = evidence["confusion"]["test"]["counts"]
    assert f"Of {tp + fn} malignant cases, the model called {tp} and missed {fn}" in page.text
    assert f"Of {tn + fp} other cases, it raised a false alarm in {fp}" in page.text
    figure = evidence["metrics"]["test"]["auroc"]
    assert f"{figure['value']:.3f} {figure['low']:.2f} to {figure['high']:.2f}" in page.text
    assert "On 156 test cases of 147 patients" in page.text


def numbers(metrics: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {
        key: {name: figure.get(name) for name in ("value", "low", "high", "n", "n_patients")}
        for key, figure in metrics.items()
    }


@pytest.mark.parametrize("task", TASKS)
def test_numbers_of_report_json_are_those_of_the_evidence(task: str, written: Callable[[str], Path]) -> None:
    evidence = json.loads((written(task) / "evidence.json").read_text())
    report = json.loads((written(task) / "report.json").read_text())
    told = {
        (table["target"], table["split"]): {row["key"]: row for row in table["rows"]} for table in report["metrics"]
    }
    true = {(None, split): metrics for split, metrics in evidence["metrics"].items()}
    for target, part in evidence["targets"].items():
        true |= {(target, split): metrics for split, metrics in part["metrics"].items()}
    assert {key: numbers(rows) for key, rows in told.items()} == {key: numbers(rows) for key, rows in true.items()}
    split = report["headline"]["split"]
    for row in report["headline"]["figures"]:
        assert row["value"] == evidence["metrics"][split][row["key"]]["value"]
    for row in report["patients"]["splits"]:
        assert {key: row[key] for key in ("n", "n_patients", "class_counts")} == evidence["splits"][row["split"]]
    for section in report["strata"]:
        for row in section["rows"]:
            metrics = evidence["strata"][section["column"]][row["level"]]["metrics"][split]
            assert all(numbers(metrics)[key]["value"] == figure["value"] for key, figure in row["figures"].items())
    for part in report["performance"]["parts"]:
        source = evidence["targets"][part["target"]] if part["target"] else evidence
        points, operating = source["curves"][split]["points"], part["operating"]
        given = set(zip(*(points[name] for name in ("threshold", "tp", "fp", "tn", "fn")), strict=True))
        shown = set(zip(*(operating[name] for name in ("threshold", "tp", "fp", "tn", "fn")), strict=True))
        assert given <= shown
        assert {row[0] for row in shown - given} <= {source["operating_point"]["value"]}
        assert part["curves"]["roc"] == source["curves"][split]["roc"]


@pytest.mark.parametrize("task", TASKS)
def test_page_is_alone_small_and_guarded(task: str, written: Callable[[str], Path]) -> None:
    data = (written(task) / "report.html").read_bytes()
    assert len(data) < 1_000_000
    page = Page(data.decode())
    for tag, attrs in page.tags:
        for name, value in attrs.items():
            if name in ("src", "href", "xlink:href", "srcset", "action", "poster", "data"):
                beside = value == "crosswalk.html"  # a link to the page beside this one; nothing is fetched
                assert value is not None and (beside or value.startswith(("#", "data:image/"))), (tag, name, value)
            assert not name.startswith("on"), (tag, name)
    assert not re.search(r"https?:|//[a-z]+\.|@import|url\((?!#)", re.sub(r"data:image/[^\"]*", "", data.decode()))
    policy = next(
        a["content"] for t, a in page.tags if t == "meta" and a.get("http-equiv") == "Content-Security-Policy"
    )
    assert policy is not None and policy.startswith("default-src 'none'; img-src data:;")
    assert "script-src 'sha256-" in policy and "'unsafe-eval'" not in policy


@pytest.mark.parametrize("task", TASKS)
def test_ids_do_not_clash_and_every_reference_is_answered(task: str, written: Callable[[str], Path]) -> None:
    text = (written(task) / "report.html").read_text()
    page = Page(text)
    ids = [attrs["id"] for _, attrs in page.tags if "id" in attrs]
    assert len(ids) == len(set(ids))
    wanted = {a["href"][1:] for _, a in page.tags if (a.get("href") or "").startswith("#")}
    wanted |= set(re.findall(r"url\(#([^)]+)\)", text))
    for _, attrs in page.tags:
        wanted |= set((attrs.get("aria-labelledby") or "").split()) | ({attrs["for"]} if "for" in attrs else set())
    assert wanted <= set(ids)


@pytest.mark.parametrize("task", ["binary", "multilabel"])
def test_the_same_artefacts_give_the_same_bytes(task: str, written: Callable[[str], Path], tmp_path: Path) -> None:
    shutil.copytree(written(task), tmp_path / "copy")
    (tmp_path / "copy" / "report.html").unlink()
    write_report(tmp_path / "copy")
    for name in ("report.html", "report.json"):
        assert (tmp_path / "copy" / name).read_bytes() == (written(task) / name).read_bytes()


def test_hostile_words_stay_words(build: ModuleType, tmp_path: Path) -> None:
    evidence = build.binary(negative=HOSTILE, positive=f"{HOSTILE}2")
    evidence |= {
        "target": HOSTILE,
        "source": HOSTILE,
        "notes": [HOSTILE],
        "not_validated": [HOSTILE],
        "accepted": [HOSTILE],
    }
    evidence["strata"] = {
        HOSTILE: {f"{HOSTILE}{k}": level for k, level in enumerate(evidence["strata"]["site"].values())}
    }
    evidence["audits"] = {
        HOSTILE: {"verdict": "void", "figures": {HOSTILE: HOSTILE}, "cases": [HOSTILE], "advice": HOSTILE}
    }
    evidence["flow"][0] |= {"step": HOSTILE, "reason": HOSTILE}
    evidence["members"][0] |= {"name": HOSTILE, "stopped": HOSTILE}
    evidence["operating_point"]["rule"] = HOSTILE
    run = build.write_run(tmp_path, evidence)
    (run / "plan.yaml").unlink()
    (run / "plan.executed.yaml").write_text(yaml.safe_dump({"network": {HOSTILE: HOSTILE, "why": {HOSTILE: HOSTILE}}}))
    listed = json.loads((run / "gallery" / "gallery.json").read_text())
    for case in listed["cases"]:
        case |= {"case_id": HOSTILE, "truth": HOSTILE}
    (run / "gallery" / "gallery.json").write_text(json.dumps(listed))
    write_report(run)
    page = read(run)
    scripts = [attrs for tag, attrs in page.tags if tag == "script"]
    assert scripts == [{"type": "application/json"}, {}]
    assert not any("onload" in attrs for _, attrs in page.tags)
    assert page.text.count("alert(1)") > 20
    assert "49" not in re.findall(r"onload='x' (\S+)", page.text)


def test_synthetic_data_are_named_first(build: ModuleType, tmp_path: Path) -> None:
    evidence = build.binary() | {"synthetic": True}
    write_report(build.write_run(tmp_path, evidence))
    page = read(tmp_path)
    body = page.words[page.words.index("finding: report") + 1 :] if "finding: report" in page.words else page.words
    assert body[0] == "The data are synthetic."


def test_external_folder_needs_no_plan(build: ModuleType, tmp_path: Path) -> None:
    evidence = build.binary("external") | {"members": []}
    for key in ("budget", "cost", "without_accepted"):
        evidence.pop(key)
    write_report(build.write_run(tmp_path, evidence, plan=False, gallery=0))
    page = read(tmp_path)
    # No check is on record: then an evaluation is not called external.
    assert "Semeion report, stated as external, not verified" in page.text
    assert "On 156 cases stated as external" in page.text
    assert "external validation: yes" not in page.text.lower()
    assert not {"plan", "gallery"} & {attrs.get("id") for _, attrs in page.tags}


def test_validation_figures_are_marked_optimistic(build: ModuleType, tmp_path: Path) -> None:
    evidence = build.binary()
    for key in ("metrics", "confusion", "curves"):
        evidence[key].pop("test")
    write_report(build.write_run(tmp_path, evidence))
    text = read(tmp_path).text
    assert "On 78 validation cases" in text
    assert "Optimistic. These cases also chose when training stopped" in text


def test_absent_patients_and_accepted_faults_stand_on_the_first_page(build: ModuleType, tmp_path: Path) -> None:
    evidence = build.binary() | {"has_patients": False, "accepted": ["near-duplicates"]}
    figures = {"auroc": build.figure(0.8123, 0.06), "recall": build.figure(0.7, 0.1)}
    evidence["without_accepted"] = {"cases_left_out": 3, "metrics": {"test": figures}}
    write_report(build.write_run(tmp_path, evidence))
    text = read(tmp_path).text
    assert "No patient identifiers were given." in text
    assert "Accepted against advice: near-duplicates." in text
    assert text.index("Accepted against advice") < text.index("On 156 test cases")
    assert "warn, accepted" in text
    assert "Without the 3 affected cases: Area under the ROC curve 0.812 (0.75 to 0.86)" in text


def test_undefined_figures_say_why(build: ModuleType, tmp_path: Path) -> None:
    evidence = build.binary()
    evidence["metrics"]["test"]["auroc"] = build.figure(None, reason="only one class among the cases")
    write_report(build.write_run(tmp_path, evidence))
    text = read(tmp_path).text
    assert "not defined only one class among the cases" in text


def test_without_pictures_no_image_of_a_patient_is_in_the_page(build: ModuleType, tmp_path: Path) -> None:
    write_report(build.write_run(tmp_path, build.binary()), pictures=False)
    assert not [tag for tag, _ in read(tmp_path).tags if tag == "img"]
    assert json.loads((tmp_path / "report.json").read_text())["gallery"] == []


def test_many_large_pictures_are_left_out_to_stay_small(build: ModuleType, tmp_path: Path) -> None:
    run = build.write_run(tmp_path, build.binary(), gallery=20)
    heavy = build.picture(1, 400) + b"\0" * 200_000
    for file in (run / "gallery").glob("*.png"):
        file.write_bytes(heavy)
    write_report(run)
    assert (run / "report.html").stat().st_size < 5_000_000
    assert "more pictures in the run folder under gallery/" in read(run).text


def test_many_classes_stay_readable(build: ModuleType, tmp_path: Path) -> None:
    evidence = build.multiclass(k=24)
    write_report(build.write_run(tmp_path, evidence))
    assert "Telling apart 24 classes" in read(tmp_path).text
    assert (tmp_path / "report.html").stat().st_size < 1_500_000


def spoil(run: Path, name: str, change: Callable[[str], str]) -> None:
    (run / name).write_text(change((run / name).read_text()))


@pytest.mark.parametrize(
    ("spoiled", "message"),
    [
        (lambda run: (run / "evidence.json").unlink(), "there is no evidence.json"),
        (lambda run: spoil(run, "evidence.json", lambda text: text[:200]), "not a whole JSON file"),
        (lambda run: spoil(run, "evidence.json", lambda text: text.replace('"schema": 1', '"schema": 9')), "schema 9"),
        (lambda run: spoil(run, "evidence.json", lambda text: "[]"), "not a JSON object"),
        (
            lambda run: spoil(run, "evidence.json", lambda t: t.replace('"task": "binary"', '"task": "x"')),
            "task is not as",
        ),
        (lambda run: [file.unlink() for file in run.glob("plan*")], "the run has no plan.yaml"),
        (lambda run: spoil(run, "plan.yaml", lambda text: "a: [1"), "not a readable YAML"),
        (lambda run: spoil(run, "plan.yaml", lambda text: "schema: 7"), "plan schema 7"),
        (lambda run: (run / "cohort.parquet").write_bytes(b"PAR1"), "not a whole Parquet file"),
        (
            lambda run: spoil(run, "gallery/gallery.json", lambda t: t.replace("right-0.png", "../../x.png")),
            "not a file name",
        ),
    ],
)
def test_unusable_artefacts_are_refused_with_a_way_out(
    spoiled: Callable[[Path], Any], message: str, build: ModuleType, tmp_path: Path
) -> None:
    run = build.write_run(tmp_path / "run", build.binary())
    spoiled(run)
    with pytest.raises(InputError, match=re.escape(message)) as caught:
        write_report(run)
    assert caught.value.fix and caught.value.where
    assert not (run / "report.html").exists()
    assert not (run / "report.json").exists()


def test_no_such_folder(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such folder; give the run folder"):
        write_report(tmp_path / "nowhere")
