"""Pictures: whole SVG without strangers' ids, addresses or fonts; hostile labels are text."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from semeion.report import figures
from semeion.report.performance import four_counts, rule_words
from semeion.report.svg import label

ROW = {"value": 0.9, "low": 0.8, "high": 1.0}
CURVE = {
    "x": [0, 0.1, 0.4, 1],
    "y": [0, 0.6, 0.9, 1],
    "low": [0, 0.5, None, 1],
    "high": [0, 0.7, 1, 1],
    "n": [3, 4, 5, 6],
}


def pictures(name: str = "malignant") -> dict[str, str]:
    return {
        "roc": figures.roc("roc", {name: CURVE}, shipped=(0.1, 0.6)),
        "pr": figures.precision_recall("pr", {name: CURVE, "b": CURVE}, base=0.3),
        "calibration": figures.calibration("calibration", {name: CURVE}),
        "confusion": figures.confusion("confusion", [name, "b", "c"], [[5, 1, 0], [2, 7, 1], [0, 0, 0]]),
        "scatter": figures.scatter("scatter", [1.0, 2.0, 3.0], [1.5, 2.5, 2.0], name),
        "residuals": figures.residuals("residuals", [1.0, 2.0], [1.0, 2.0], name),
        "forest": figures.forest("forest", [(name, ROW), ("b", {"value": None})], "AUROC", unit=True),
    }


def test_pictures_are_whole_and_alone() -> None:
    for name, svg in pictures().items():
        root = ET.fromstring(svg)
        assert root.tag == "svg" and root.attrib["role"] == "img" and "viewBox" in root.attrib
        assert [child.tag for child in root][:2] == ["title", "desc"]
        assert "http" not in svg and "font-family" not in svg and "DejaVu" not in svg and "<style" not in svg
        assert all(one == name or one.startswith(f"{name}-") for one in re.findall(r' id="([^"]+)"', svg))
        assert len(svg) < 60_000


def test_pictures_are_the_same_every_time() -> None:
    assert pictures() == pictures()


def test_the_unit_square_is_told_to_the_script() -> None:
    x0, y0, x1, y1 = map(float, ET.fromstring(pictures()["roc"]).attrib["data-unit"].split())
    assert x0 < x1 and y1 < y0
    assert x1 - x0 == pytest.approx(y0 - y1, abs=0.02)  # the axes are square


def test_shipped_point_is_drawn_where_the_script_would_put_it() -> None:
    svg = figures.roc("roc", {"a": CURVE}, shipped=(0.25, 0.75))
    x0, y0, x1, y1 = map(float, ET.fromstring(svg).attrib["data-unit"].split())
    wanted = (x0 + 0.25 * (x1 - x0), y0 + 0.75 * (y1 - y0))
    drawn = [(float(use.attrib["x"]), float(use.attrib["y"])) for use in ET.fromstring(svg).iter("use")]
    assert any(abs(x - wanted[0]) < 0.05 and abs(y - wanted[1]) < 0.05 for x, y in drawn)


@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.text(max_size=40))
def test_any_label_makes_a_picture(name: str) -> None:
    for svg in (
        figures.confusion("confusion", [name, f"{name}2"], [[1, 2], [3, 4]]),
        figures.roc("roc", {name: CURVE, f"{name}2": CURVE}, shipped=None),
    ):
        assert ET.fromstring(svg).tag == "svg"


def test_math_and_markup_in_labels_stay_text() -> None:
    svg = pictures("$\\frac{1}$ <script>x</script>")["confusion"]
    assert "<script" not in svg and "&lt;script&gt;" in svg
    assert label("a\x00b\n c" + "x" * 50) == "ab c" + "x" * 21 + "…"


def test_empty_curves_do_not_break_pictures() -> None:
    empty: dict[str, list[float]] = {"x": [], "y": []}
    for name, svg in (
        ("roc", figures.roc("roc", {"a": empty}, shipped=None)),
        ("calibration", figures.calibration("calibration", {"a": {**empty, "n": []}})),
    ):
        root = ET.fromstring(svg)
        assert (root.tag, root.attrib["role"]) == ("svg", "img")
        assert root.find("title").attrib["id"] == f"{name}-title"  # type: ignore[union-attr]


def test_four_counts_and_rules() -> None:
    assert four_counts([[103, 14], [7, 32]], 1) == {"tp": 32, "fp": 14, "tn": 103, "fn": 7}
    assert four_counts([], 0) is None
    assert rule_words({"rule": "sensitivity=0.95"}) == "a sensitivity of at least 0.95"
    assert rule_words({"rule": "cost=10:1"}) == "the least cost, where a missed case weighs 10 and a false alarm 1"
