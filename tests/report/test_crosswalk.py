"""What reporting standards ask and a run answers: every item there, each status by rule, nothing invented."""

from __future__ import annotations

import html
import json
import re
import shutil
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from semeion.report.crosswalk import STANDARDS, STATUSES, Item, answered, read_standard
from semeion.report.fact import Fact
from semeion.report.facts import FACTS
from semeion.report.page import write_report
from semeion.report.stated import FILE, KEYS
from support.told import told_run

ROWS = {"tripod_ai": 52, "claim_2024": 44, "stard_ai": 48}


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("crosswalk")
    told_run(folder)
    write_report(folder)
    return folder


def items(folder: Path) -> dict[tuple[str, str], dict[str, Any]]:
    found = json.loads((folder / "crosswalk.json").read_text())["standards"]
    return {(one["standard"], item["id"]): item for one in found for item in one["items"]}


def words(folder: Path) -> str:
    text = re.sub(r"<style>.*?</style>", "", (folder / "crosswalk.html").read_text(), flags=re.DOTALL)
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", text)).split())


@pytest.mark.parametrize("name", STANDARDS)
def test_every_item_is_there_once_and_names_what_exists(name: str) -> None:
    standard = read_standard(name)
    ids = [item.id for item in standard.items]
    assert len(ids) == ROWS[name] and max(Counter(ids).values()) == 1
    for item in standard.items:
        assert item.run or item.also or item.stated or item.suggest, item.id
        assert {*item.run, *item.also, *item.suggest} <= set(FACTS), item.id
        assert set(item.stated) <= set(KEYS), item.id
    assert standard.wording and "must check" in standard.check and standard.doi.startswith("10.")


def test_numbers_run_as_the_standards_have_them() -> None:
    mains = {name: {int(re.findall(r"\d+", item.id)[0]) for item in read_standard(name).items} for name in STANDARDS}
    assert mains["tripod_ai"] == set(range(1, 28))
    assert mains["claim_2024"] == set(range(1, 45))
    assert mains["stard_ai"] == set(range(1, 41))


def test_every_fact_and_every_key_is_asked_for_somewhere() -> None:
    rows = [item for name in STANDARDS for item in read_standard(name).items]
    asked = {name for item in rows for name in (*item.run, *item.also, *item.suggest)}
    assert asked == set(FACTS)
    # The rest is for the model card or for the first page alone.
    only_card = {"developer", "contact", "release_stage", "regulatory", "risk", "maintenance", "not_for"}
    assert {key for item in rows for key in item.stated} == set(KEYS) - only_card


SURE, OFFERED = Fact("yes", "here"), Fact("perhaps", "here", False)


@pytest.mark.parametrize(
    ("item", "told", "stated", "status"),
    [
        ({"run": ["a"]}, {"a": SURE}, {}, "filled"),
        ({"run": ["a"]}, {"a": None}, {}, "not_provided"),
        ({"run": ["a"]}, {"a": OFFERED}, {}, "confirm"),
        ({"run": ["a", "b"]}, {"a": SURE, "b": None}, {}, "confirm"),
        ({"run": ["a"], "also": ["b"]}, {"a": SURE, "b": None}, {}, "filled"),
        ({"run": ["a"], "stated": ["users"]}, {"a": SURE}, {}, "confirm"),
        ({"run": ["a"], "stated": ["users"]}, {"a": SURE}, {"users": "x"}, "filled"),
        ({"stated": ["users", "setting"]}, {}, {"users": "x"}, "confirm"),
        ({"stated": ["users"]}, {}, {}, "not_provided"),
        ({"stated": ["users"], "suggest": ["a"]}, {"a": SURE}, {}, "confirm"),
        ({"stated": ["users"], "suggest": ["a"]}, {"a": SURE}, {"users": "x"}, "filled"),
        ({"suggest": ["a"]}, {"a": SURE}, {}, "confirm"),
        ({"suggest": ["a"]}, {"a": None}, {}, "not_provided"),
    ],
)
def test_the_status_follows_from_what_is_known(
    item: dict[str, Any], told: dict[str, Any], stated: dict[str, str], status: str
) -> None:
    found = answered(Item(id="1", section="s", text="t", **item), told, stated)
    assert found["status"] == status
    assert bool(found["answers"]) == (status != "not_provided")
    assert set(found["missing"]) == set(item.get("stated", [])) - set(stated)


def test_items_are_filled_from_the_run_with_where_it_stands(run: Path) -> None:
    found = items(run)
    evidence = json.loads((run / "evidence.json").read_text())
    flow = found["CLAIM", "35"]
    assert flow["status"] == "filled"
    assert "7 left out at with a label (the target is missing)" in flow["answers"][0]["value"]
    assert flow["answers"][0]["where"].startswith("evidence.json: flow")
    accuracy = found["STARD-AI", "31"]
    figure = evidence["metrics"]["test"]["auroc"]
    told = f"AUROC {figure['value']:.3f} ({figure['low']:.2f} to {figure['high']:.2f})"
    assert accuracy["status"] == "filled" and told in accuracy["answers"][0]["value"]
    [[tn, fp], [fn, tp]] = evidence["confusion"]["test"]["counts"]
    table = found["STARD-AI", "30"]["answers"][0]["value"]
    assert table == (
        f"of {tn + fp} benign: {tn} called benign, {fp} called malignant; "
        f"of {fn + tp} malignant: {fn} called benign, {tp} called malignant"
    )
    assert found["CLAIM", "20"]["answers"][0]["value"].startswith("No patient is on more than one of 3 sides")


def test_what_only_a_person_knows_is_not_provided(run: Path) -> None:
    found = items(run)
    for place in [("TRIPOD+AI", "18a"), ("TRIPOD+AI", "17"), ("CLAIM", "44"), ("STARD-AI", "6"), ("STARD-AI", "39")]:
        assert found[place]["status"] == "not_provided" and found[place]["answers"] == []
    # No external validation is no answer to why not: a person must say.
    assert found["CLAIM", "33"]["status"] == "confirm"
    assert found["CLAIM", "33"]["answers"][0]["value"].startswith("No external validation")


def test_statements_fill_items_of_all_three_standards(run: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(run, tmp_path / "run")
    (copy / FILE).write_text("funding: Nobody paid for it\nethics: Approved by our committee (17/2025)\n")
    write_report(copy)
    for place in [("TRIPOD+AI", "18a"), ("CLAIM", "44"), ("STARD-AI", "38")]:
        assert items(copy)[place]["status"] == "filled"
        [answer] = items(copy)[place]["answers"]
        assert (answer["value"], answer["where"]) == ("Nobody paid for it", "intended_use.yaml: funding")
    assert items(copy)["STARD-AI", "6"]["status"] == "filled"


def test_the_page_counts_as_the_file_does_and_says_who_must_check(run: Path) -> None:
    told = json.loads((run / "crosswalk.json").read_text())
    for one in told["standards"]:
        assert sum(one["counts"].values()) == len(one["items"])
        assert {status: sum(item["status"] == status for item in one["items"]) for status in STATUSES} == one["counts"]
        for part in (one["citation"], one["doi"], one["wording"], one["check"]):
            assert part in words(run)
        for item in one["items"]:
            assert item["text"] in words(run)
    assert "For a person to check." in words(run)
    page = html.unescape((run / "crosswalk.html").read_text())
    assert "script-src 'none'" in page and "<script" not in page
    assert not re.search(r"https?:|@import|url\((?!#)", page)
    ids = re.findall(r'id="([^"]+)"', page)
    assert len(ids) == len(set(ids)) and set(re.findall(r'href="#([^"]+)"', page)) <= set(ids)


def test_the_report_links_to_it(run: Path) -> None:
    assert '<a href="crosswalk.html">' in (run / "report.html").read_text()


def test_hostile_words_stay_words(run: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(run, tmp_path / "run")
    (copy / FILE).write_text("funding: <script>alert(1)</script>\n")
    evidence = json.loads((copy / "evidence.json").read_text()) | {"source": "<img src=x onerror=alert(1)>"}
    (copy / "evidence.json").write_text(json.dumps(evidence))
    write_report(copy)
    page = (copy / "crosswalk.html").read_text()
    assert "<script" not in page and "<img" not in page and page.count("alert(1)") > 3


@pytest.mark.parametrize("task", ["binary", "multiclass", "ordinal", "multilabel", "regression"])
def test_every_task_has_a_crosswalk(task: str, written: Callable[[str], Path]) -> None:
    found = items(written(task))
    assert len(found) == sum(ROWS.values())
    assert found["STARD-AI", "31"]["status"] == "filled"
    assert (found["STARD-AI", "30"]["status"] == "filled") == (task in ("binary", "multiclass", "ordinal"))


def test_of_predictions_alone_nothing_is_claimed_of_the_model(build: ModuleType, tmp_path: Path) -> None:
    evidence = build.binary("external") | {"members": [], "weighed": {"own": False, "roles": {}, "split_words": {}}}
    write_report(build.write_run(tmp_path, evidence, plan=False, gallery=0))
    found = items(tmp_path)
    for place in [("CLAIM", "22"), ("TRIPOD+AI", "12f"), ("TRIPOD+AI", "27a"), ("STARD-AI", "17a"), ("CLAIM", "33")]:
        told = [answer["name"] for answer in found[place]["answers"]]
        assert told in ([], ["output"]), place
