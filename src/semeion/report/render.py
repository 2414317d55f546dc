"""Templates to one self-contained page: everything inline, nothing fetched, user text escaped."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from functools import lru_cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from semeion.report import words

if TYPE_CHECKING:
    from jinja2 import Environment

LARGEST_PAGE = 5_000_000
"""Bytes. A page must stay below."""


@lru_cache(maxsize=1)
def environment() -> Environment:
    """Return the Jinja2 environment of all pages: escaping always on, an unknown name is an error.

    There is one, which keeps the templates that it compiled: that takes longer than to fill them in.
    """
    from jinja2 import Environment, PackageLoader, StrictUndefined

    made = Environment(
        loader=PackageLoader("semeion.report", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters.update(
        value=lambda figure, key: words.figure_value(key, figure),
        interval=lambda figure, key: words.figure_interval(key, figure),
        figure=lambda figure, key: words.figure_text(key, figure),
        number=words.number,
        significant=words.significant,
        duration=words.duration,
        count=words.count,
        plain=words.plain,
        present=words.present,
        percent=words.percent,
        plural=words.plural,
    )
    made.globals.update(meaning=words.metric_meaning, verdict_words=words.VERDICTS, split_role=words.SPLIT_ROLE)
    return made


def render(template: str, *, script: str | None, pictures: Mapping[str, str], **values: Any) -> bytes:
    """Return the finished page as UTF-8.

    Parameters
    ----------
    template
        Name of the template.
    script
        Name of the one script file that may run, or None. The page's policy allows it by its hash alone, so that no
        text smuggled into the page could run.
    pictures
        Inline SVG by name, already safe.
    """
    from markupsafe import Markup

    folder = files("semeion.report") / "templates"
    code = (folder / script).read_text(encoding="utf-8") if script else ""
    digest = base64.b64encode(hashlib.sha256(code.encode()).digest()).decode()
    source = f"'sha256-{digest}'" if script else "'none'"
    policy = (
        f"default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src {source}; "
        "base-uri 'none'; form-action 'none'"
    )
    page = (
        environment()
        .get_template(template)
        .render(
            policy=policy,
            script=Markup(code),  # noqa: S704  (our own file)
            style=Markup((folder / "style.css").read_text(encoding="utf-8")),  # noqa: S704  (our own file)
            pictures={name: Markup(svg) for name, svg in pictures.items()},  # noqa: S704  (escaped by the SVG writer)
            **values,
        )
    )
    return page.encode("utf-8", errors="replace")


def data_uri(picture: bytes) -> str:
    """Return a PNG or JPEG as a ``data:`` address."""
    kind = "jpeg" if picture.startswith(b"\xff\xd8\xff") else "png"
    return f"data:image/{kind};base64,{base64.b64encode(picture).decode()}"


def is_small(picture: bytes, side: int = 112) -> bool:
    """Tell whether a PNG has so few pixels that they should be shown as squares rather than smeared."""
    header = picture[:24]
    return header.startswith(b"\x89PNG") and len(header) == 24 and int.from_bytes(header[16:20], "big") <= side


def spend(pictures: Mapping[str, bytes], most: int) -> tuple[dict[str, str], int]:
    """Return as many pictures as `most` bytes of base64 hold, in order, as data URIs, and how many were left out."""
    kept: dict[str, str] = {}
    used = 0
    for name, picture in pictures.items():
        cost = len(picture) * 4 // 3 + 32
        if used + cost <= most:
            used += cost
            kept[name] = data_uri(picture)
    return kept, len(pictures) - len(kept)
