"""The flow of cases as one inline SVG, as a diagram of participants is drawn (STARD 2015, figure 1)."""

from __future__ import annotations

import textwrap
import xml.etree.ElementTree as ET
from collections.abc import Mapping
from typing import Any

from semeion.report.svg import INK, MUTED, clean
from semeion.report.words import count, plural

WIDTH = 480
"""Of the picture in its own units; text of 12.5 units stays legible on a phone."""
_SIZE, _LINE, _PAD = 12.5, 16.0, 9.0
_MAIN, _SIDE, _GAP = 236, 206, 38
_CHARACTER = 6.9
"""Mean width of a character of text of `_SIZE`, on the safe side."""
_MOST_LINES = 4
_BROWN = "#8a4b00"


def flow_picture(content: Mapping[str, Any]) -> str:
    """Return the diagram of what :func:`semeion.report.flow.flow_content` returns."""
    root = ET.Element(
        "svg", {"class": "picture flow-picture", "role": "img", "aria-labelledby": "flow-title flow-desc"}
    )
    ET.SubElement(root, "title", {"id": "flow-title"}).text = "Flow of cases"
    ET.SubElement(root, "desc", {"id": "flow-desc"}).text = clean(_description(content))
    y = 1.0
    for index, step in enumerate(content["steps"]):
        if index:
            y = _between(root, y, step)
        y = _box(root, 1, y, _MAIN, _step_lines(step, first=not index))
    parts = _shown(content)
    if parts:
        y = _branches(root, y, parts)
    root.attrib["viewBox"] = f"0 0 {WIDTH} {y + 1:.0f}"
    return ET.tostring(root, encoding="unicode")


def _shown(content: Mapping[str, Any]) -> list[dict[str, Any]]:
    parts = list(content["parts"])
    if content["unplaced"] > 0:
        parts.append(
            {"words": "in no split that was weighed", "n": content["unplaced"], "n_patients": None, "events": {}}
        )
    return parts


def _step_lines(step: Mapping[str, Any], *, first: bool) -> list[tuple[str, str]]:
    patients = "" if step["n_patients"] is None else f", {plural(step['n_patients'], 'patient')}"
    lines = [("bold", f"{plural(step['n_cases'], 'case')}{patients}"), *_wrapped("plain", step["step"], _MAIN)]
    return [*lines, *_wrapped("quiet", step["reason"], _MAIN)] if first or not step["left_out"] else lines


def _between(root: ET.Element, y: float, step: Mapping[str, Any]) -> float:
    """Draw the arrow to the next step, and beside it who was left out there; return where that step begins."""
    x = 1 + _MAIN / 2
    if not step["left_out"]:
        _arrow(root, x, y, x, y + 26)
        return y + 26
    lines = [("left", f"{plural(step['left_out'], 'case')} left out"), *_wrapped("quiet", step["reason"], _SIDE)]
    height = _height(lines)
    _arrow(root, x, y, x, y + height + 24)
    _arrow(root, x, y + 12 + height / 2, 1 + _MAIN + _GAP, y + 12 + height / 2)
    _box(root, 1 + _MAIN + _GAP, y + 12, _SIDE - 2, lines)
    return y + height + 24


def _branches(root: ET.Element, y: float, parts: list[dict[str, Any]]) -> float:
    """Draw the splits beside one another, or below one another where there are many; return where they end."""
    across = len(parts) if len(parts) <= 3 else 2
    width = (WIDTH - 2 - 12 * (across - 1)) / across
    x0 = 1 + _MAIN / 2
    top = y + 28
    for start in range(0, len(parts), across):
        row = parts[start : start + across]
        lines = [_part_lines(part, width) for part in row]
        height = max(_height(each) for each in lines)
        for column, each in enumerate(lines):
            x = 1 + column * (width + 12)
            middle = x0 if len(parts) == 1 else x + width / 2
            if not start:
                _line(root, [(x0, y), (x0, y + 12), (middle, y + 12)])
                _arrow(root, middle, y + 12, middle, top)
            _box(root, x, top, _MAIN if len(parts) == 1 else width, each, height)
        top += height + 12
    return top - 12


def _part_lines(part: Mapping[str, Any], width: float) -> list[tuple[str, str]]:
    name = part["words"]
    lines = [("bold", count(part["n"])), *_wrapped("plain", name, width)]
    if part["n_patients"] is not None:
        lines += _wrapped("quiet", plural(part["n_patients"], "patient"), width)
    for label, n in list(part["events"].items())[:6]:
        lines += _wrapped("quiet", f"{label}: {count(n)}", width)
    return lines


def _wrapped(kind: str, text: str, width: float) -> list[tuple[str, str]]:
    most = int((width - 2 * _PAD) / _CHARACTER)
    lines = textwrap.wrap(" ".join(clean(str(text)).split()), most)
    if len(lines) > _MOST_LINES:
        lines = [*lines[: _MOST_LINES - 1], f"{lines[_MOST_LINES - 1][: most - 1]}…"]
    return [(kind, line) for line in lines]


def _height(lines: list[tuple[str, str]]) -> float:
    return len(lines) * _LINE + 2 * _PAD


def _box(
    root: ET.Element, x: float, y: float, width: float, lines: list[tuple[str, str]], height: float | None = None
) -> float:
    """Draw a box with text and return where it ends."""
    tall = height or _height(lines)
    frame = {"fill": "#ffffff", "stroke": MUTED, "stroke-width": "1", "rx": "2"}
    ET.SubElement(root, "rect", {"x": _n(x), "y": _n(y), "width": _n(width), "height": _n(tall), **frame})
    ink = {"bold": INK, "plain": INK, "quiet": MUTED, "left": _BROWN}
    for index, (kind, text) in enumerate(lines):
        place = {"x": _n(x + _PAD), "y": _n(y + _PAD + (index + 0.76) * _LINE), "fill": ink[kind]}
        weight = {"font-weight": "600"} if kind in ("bold", "left") else {}
        ET.SubElement(root, "text", {**place, "font-size": str(_SIZE), **weight}).text = text
    return y + tall


def _line(root: ET.Element, points: list[tuple[float, float]]) -> None:
    path = " ".join(f"{_n(x)},{_n(y)}" for x, y in points)
    ET.SubElement(root, "polyline", {"points": path, "fill": "none", "stroke": MUTED, "stroke-width": "1"})


def _arrow(root: ET.Element, x0: float, y0: float, x1: float, y1: float) -> None:
    _line(root, [(x0, y0), (x1, y1)])
    across, down = (1.0, 0.0) if y0 == y1 else (0.0, 1.0)
    tip = [(x1, y1), (x1 - 6 * across - 3.5 * down, y1 - 6 * down - 3.5 * across)]
    tip.append((x1 - 6 * across + 3.5 * down, y1 - 6 * down + 3.5 * across))
    ET.SubElement(root, "polygon", {"points": " ".join(f"{_n(x)},{_n(y)}" for x, y in tip), "fill": MUTED})


def _n(value: float) -> str:
    return f"{value:.1f}".removesuffix(".0")


def _description(content: Mapping[str, Any]) -> str:
    """Return the whole diagram in words, for who cannot see it."""
    told = []
    for step in content["steps"]:
        left = f"{plural(step['left_out'], 'case')} left out" if step["left_out"] else ""
        why = "; ".join(part for part in (left, step["reason"]) if part)
        told.append(f"{plural(step['n_cases'], 'case')}: {step['step']}{f' ({why})' if why else ''}.")
    for part in _shown(content):
        name = part["words"]
        events = "".join(f", {label}: {n}" for label, n in part["events"].items())
        told.append(f"{name}: {part['n']}{events}.")
    return " ".join([*told, content["sentence"]])
