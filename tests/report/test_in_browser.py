"""The pages in a real browser: no sideways scroll at 400 px, a slider that works, nothing asked of the network."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from semeion.report.check_page import write_check
from semeion.report.page import write_report
from semeion.report.stated import FIRST
from support.told import told_run

LONG = "a sentence that goes on and on, " * 8


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("told")
    told_run(folder)
    (folder / "intended_use.yaml").write_text("".join(f"{key}: {LONG}{'w' * 90}\n" for key in FIRST))
    write_report(folder)
    return folder


TOO_WIDE = """[...document.querySelectorAll('main *, header *')].filter(e => !e.closest('svg')
  && e.getBoundingClientRect().width > 0 && e.getBoundingClientRect().right > innerWidth + 1
  && !e.closest('.stack thead')).map(e => e.tagName + '.' + e.className + ': ' + e.textContent.slice(0, 40))"""


@pytest.mark.parametrize("width", [400, 1280])
@pytest.mark.parametrize("task", ["binary", "multiclass", "multilabel", "regression"])
def test_page_fits_its_width(task: str, width: int, browser: Any, written: Callable[[str], Path]) -> None:
    browser.open(written(task) / "report.html", width)
    assert browser.run("document.documentElement.scrollWidth") <= width
    assert browser.run(TOO_WIDE) == []
    assert browser.addresses() == [(written(task) / "report.html").resolve().as_uri()] or all(
        address.startswith(("file:", "data:")) for address in browser.addresses()
    )


@pytest.mark.parametrize("width", [400, 1280])
def test_check_page_fits_its_width(width: int, browser: Any, build: ModuleType, tmp_path: Path) -> None:
    write_check(tmp_path, *build.check())
    browser.open(tmp_path / "check.html", width)
    assert browser.run("document.documentElement.scrollWidth") <= width
    assert browser.run(TOO_WIDE) == []


@pytest.mark.parametrize("width", [400, 1280])
@pytest.mark.parametrize("page", ["report", "crosswalk"])
def test_first_page_demographics_and_crosswalk_fit(page: str, width: int, browser: Any, told: Path) -> None:
    browser.open(told / f"{page}.html", width)
    assert browser.run("document.documentElement.scrollWidth") <= width
    assert browser.run(TOO_WIDE) == []
    assert all(address.startswith("file:") for address in browser.addresses())


def test_long_words_do_not_widen_the_page(browser: Any, build: ModuleType, tmp_path: Path) -> None:
    evidence = build.binary(negative="n" * 120, positive="p" * 120) | {"source": "s" * 200, "notes": ["w" * 300]}
    write_report(build.write_run(tmp_path, evidence, gallery=2))
    browser.open(tmp_path / "report.html", 400)
    assert browser.run("document.documentElement.scrollWidth") <= 400


@pytest.mark.parametrize("width", [400, 1280])
def test_many_classes_do_not_widen_the_page(width: int, browser: Any, build: ModuleType, tmp_path: Path) -> None:
    write_report(build.write_run(tmp_path, build.multiclass(k=24), gallery=2))
    browser.open(tmp_path / "report.html", width)
    assert browser.run("document.documentElement.scrollWidth") <= width
    assert browser.run(TOO_WIDE) == []


def test_text_in_pictures_is_legible_on_a_phone(browser: Any, written: Callable[[str], Path]) -> None:
    browser.open(written("binary") / "report.html", 400)
    smallest = """Math.min(...[...document.querySelectorAll('svg text')].map(text => {
      const svg = text.ownerSVGElement;
      return parseFloat(getComputedStyle(text).fontSize) * svg.clientWidth / svg.viewBox.baseVal.width;
    }))"""
    assert browser.run(smallest) >= 9


def shown(browser: Any, key: str) -> str:
    return str(browser.run(f"document.querySelector('[data-value={key}]').textContent"))


def slide(browser: Any, index: int) -> None:
    browser.run(f"document.querySelector('input').value = {index}")
    browser.run("document.querySelector('input').dispatchEvent(new Event('input'))")


def test_slider_changes_the_figures_and_moves_the_dot(browser: Any, written: Callable[[str], Path]) -> None:
    browser.open(written("binary") / "report.html", 1280)
    shipped = {key: shown(browser, key) for key in ("threshold", "sensitivity", "specificity", "tp", "fp", "tn", "fn")}
    assert shipped["threshold"] == "0.412"
    dot = "document.querySelector('svg .moving')"
    assert browser.run(f"getComputedStyle({dot}).visibility") == "hidden"
    slide(browser, 0)
    assert (shown(browser, "sensitivity"), shown(browser, "specificity"), shown(browser, "fn")) == (
        "1.000",
        "0.000",
        "0",
    )
    assert shown(browser, "npv") == "–"
    unit = [float(part) for part in browser.run("document.querySelector('svg[data-unit]').dataset.unit").split()]
    assert float(browser.run(f"{dot}.getAttribute('cx')")) == pytest.approx(unit[2], abs=0.01)
    assert float(browser.run(f"{dot}.getAttribute('cy')")) == pytest.approx(unit[3], abs=0.01)
    assert browser.run(f"getComputedStyle({dot}).visibility") == "visible"
    assert "sensitivity 1.000" in browser.run("document.querySelector('input').getAttribute('aria-valuetext')")
    browser.run("document.querySelector('.slider button').click()")
    assert {key: shown(browser, key) for key in shipped} == shipped
    assert browser.run(f"getComputedStyle({dot}).visibility") == "hidden"


def test_each_label_has_its_own_slider(browser: Any, written: Callable[[str], Path]) -> None:
    browser.open(written("multilabel") / "report.html", 1280)
    count = "[...document.querySelectorAll('[data-panel]')].map(p => p.querySelector('[data-value=tp]').textContent)"
    before = browser.run(count)
    slide(browser, 0)
    after = browser.run(count)
    assert len(before) == 3 and before[0] != after[0] and before[1:] == after[1:]


def test_words_cannot_become_code(browser: Any, build: ModuleType, tmp_path: Path) -> None:
    bad = "<img src=x onerror=\"document.title='owned'\"><script>document.title='owned'</script>"
    evidence = build.binary(negative=bad, positive=f"</script>{bad}") | {"notes": [bad], "source": bad}
    write_report(build.write_run(tmp_path, evidence, gallery=1))
    browser.open(tmp_path / "report.html", 1280)
    assert browser.run("document.title") == "finding: report"
    # Even code that got in would not run: the policy knows one script only, by its hash.
    code = "const added = document.createElement('script'); added.textContent = \"document.title='owned'\"; "
    browser.run(f"(() => {{ {code} document.body.append(added); }})()")
    assert browser.run("document.title") == "finding: report"
    assert shown(browser, "threshold") == "0.412"


def test_it_prints(browser: Any, written: Callable[[str], Path], tmp_path: Path) -> None:
    browser.open(written("binary") / "report.html", 1280)
    browser.pdf(tmp_path / "report.pdf")
    assert (tmp_path / "report.pdf").read_bytes().startswith(b"%PDF")
    browser.send("Emulation.setEmulatedMedia", media="print")
    try:
        assert browser.run("getComputedStyle(document.querySelector('.slider')).display") == "none"
        closed = (
            "[...document.querySelectorAll('details')].filter(d => !d.lastElementChild.getBoundingClientRect().height)"
        )
        assert browser.run(f"{closed}.length") == 0
    finally:
        browser.send("Emulation.setEmulatedMedia", media="")
