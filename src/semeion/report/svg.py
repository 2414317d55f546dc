"""Matplotlib figures as small inline SVG: same bytes for same data, no ids that clash, readable by a screen reader."""

from __future__ import annotations

import io
import re
import warnings
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

INK, MUTED, HAIR = "#1b2430", "#5a6572", "#d5dbe1"
COLOURS = ("#0b5394", "#d55e00", "#007a5e", "#a8458a", "#3a9bd9", "#8a6d00", "#4b4b4b", "#b22222")
"""After Okabe and Ito (2008), darkened for lines on white: distinct for colour-blind readers; styles differ too."""
STYLES = ("solid", (0, (6, 2)), (0, (2, 1.5)), (0, (7, 2, 1.5, 2)))

_STYLE: Any = {
    "svg.fonttype": "none",
    "svg.hashsalt": "semeion",
    "text.parse_math": False,
    "font.family": ["sans-serif"],
    "font.sans-serif": ["DejaVu Sans"],
    "font.size": 10.5,
    "axes.labelsize": 10.5,
    "xtick.labelsize": 9.5,
    "ytick.labelsize": 9.5,
    "legend.fontsize": 9.5,
    "axes.edgecolor": MUTED,
    "axes.labelcolor": INK,
    "text.color": INK,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "axes.linewidth": 0.8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.unicode_minus": True,
    "path.simplify": True,
}
_NUMBER = re.compile(r"-?\d+\.\d{3,}(?:e-?\d+)?")
_FONT = re.compile(r"font(?:-family)?:\s*[^;\"]*", re.IGNORECASE)
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]")


def clean(text: str) -> str:
    """Return `text` without the control characters that XML does not know."""
    return _CONTROL.sub("", text)


def label(text: str, longest: int = 26) -> str:
    """Return `text` fit for a picture: without control characters, on one line, cut at `longest` characters."""
    line = " ".join(clean(str(text)).split())
    return line if len(line) <= longest else line[: longest - 1] + "…"


@contextmanager
def canvas(width: float = 4.6, height: float = 4.3, *, fitted: bool = False) -> Iterator[tuple[Figure, Axes]]:
    """Yield a figure of `width` by `height` inches and its axes; call :func:`to_svg` inside the block.

    `fitted` leaves room for labels of any length, which takes several times as long as the fixed margins.
    """
    import matplotlib
    from matplotlib.figure import Figure

    with matplotlib.rc_context(_STYLE), warnings.catch_warnings():
        # A glyph that the measuring font lacks (a Chinese class name) is drawn by the reader's own font.
        warnings.filterwarnings("ignore", message="Glyph .* missing from font", category=UserWarning)
        figure = Figure(figsize=(width, height), layout="constrained" if fitted else None)
        margins = {} if fitted else {"left": 0.135, "right": 0.985, "bottom": 0.12, "top": 0.985}
        yield figure, figure.subplots(gridspec_kw=margins)


def to_svg(figure: Figure, name: str, title: str, description: str, *, mark: Axes | None = None) -> str:
    """Return `figure` as one ``<svg>`` element for an HTML page.

    Parameters
    ----------
    name
        Unique on the page and a plain word: prefixes every id.
    title, description
        What a screen reader says.
    mark
        Axes whose unit square is written to ``data-unit`` as ``x0 y0 x1 y1`` in the picture's own coordinates, and
        a hidden dot put in, which the page's script moves.
    """
    buffer = io.BytesIO()
    figure.savefig(buffer, format="svg", dpi=72, metadata={"Date": None, "Creator": None, "Format": None, "Type": None})
    root = ET.fromstring(buffer.getvalue())  # noqa: S314  (written two lines above, not taken from outside)
    used = _references(root)
    _plain(root, used, name)
    for attribute in ("width", "height", "version"):
        root.attrib.pop(attribute, None)
    root.attrib |= {"role": "img", "aria-labelledby": f"{name}-title {name}-desc", "class": "picture"}
    for position, (tag, text) in enumerate((("title", title), ("desc", description))):
        element = ET.Element(tag, {"id": f"{name}-{tag}"})
        element.text = clean(text)
        root.insert(position, element)
    if mark is not None:
        _add_dot(root, figure, mark)
    return ET.tostring(root, encoding="unicode")


def _add_dot(root: ET.Element, figure: Figure, axes: Axes) -> None:
    height = figure.get_figheight() * 72
    (x0, y0), (x1, y1) = axes.transData.transform([(0.0, 0.0), (1.0, 1.0)]) * 72 / figure.dpi
    root.attrib["data-unit"] = f"{x0:.2f} {height - y0:.2f} {x1:.2f} {height - y1:.2f}"
    ET.SubElement(root, "circle", {"class": "moving", "cx": "0", "cy": "0", "r": "6", "visibility": "hidden"})


def _references(root: ET.Element) -> set[str]:
    """Ids that are used: by ``href`` and by ``url(#...)``. All others are dropped."""
    found: set[str] = set()
    for element in root.iter():
        for key, value in element.attrib.items():
            if key.endswith("href"):
                found.add(value.lstrip("#"))
            found.update(re.findall(r"url\(#([^)]+)\)", value))
    return found


def _plain(element: ET.Element, used: set[str], name: str) -> None:
    """Drop namespaces, metadata, unused ids and fonts; prefix used ids; shorten numbers. In place, recursively."""
    element.tag = element.tag.rpartition("}")[2]
    element.attrib = _attributes(element.attrib, used, name)
    for child in list(element):
        tag = str(child.tag).rpartition("}")[2]
        if tag in ("metadata", "style"):
            element.remove(child)
            continue
        _plain(child, used, name)
        if tag in ("defs", "g") and not len(child):
            element.remove(child)
    if element.tag != "text":
        element.text = element.text.strip() if element.text else None
    element.tail = None


def _attributes(attributes: dict[str, Any], used: set[str], name: str) -> dict[str, str]:
    kept: dict[str, str] = {}
    for raw_key, raw_value in attributes.items():
        key, value = raw_key.rpartition("}")[2], str(raw_value)
        if key == "id":
            if value not in used:
                continue
            value = f"{name}-{value}"
        elif key == "href":
            value = f"#{name}-{value.lstrip('#')}"
        elif key == "transform" and value.startswith("rotate(-0 "):
            continue
        elif key == "style":
            value = _FONT.sub(_font, value).replace("; ;", ";").strip("; ")
        value = re.sub(r"url\(#([^)]+)\)", rf"url(#{name}-\1)", value)
        kept[key] = " ".join(_NUMBER.sub(_short, value).split())
    return kept


def _font(match: re.Match[str]) -> str:
    """Keep the size and weight of a font, not its family: the page's own font is used."""
    text = match.group()
    if text.lower().startswith("font-family"):
        return ""
    size = re.search(r"([\d.]+)px", text)
    weight = re.search(r"\b(bold|[5-9]00)\b", text)
    return f"font-size: {size.group(1) if size else 10}px" + (f"; font-weight: {weight.group(1)}" if weight else "")


def _short(match: re.Match[str]) -> str:
    text = f"{float(match.group()):.2f}".rstrip("0").rstrip(".")
    return "0" if text == "-0" else text
