"""A page as PDF, made by WeasyPrint: an extra, asked for by ``semeion report RUN --pdf``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from semeion.artefacts import machine_errors, write_bytes
from semeion.errors import InputError, MachineError

_LIBRARIES = "libpango-1.0-0 libpangoft2-1.0-0 libharfbuzz-subset0"


def write_pdf(page: Path) -> Path:
    """Print a page and write it beside itself, as ``report.pdf`` for ``report.html``.

    The page is one file: what it might ask of another file or computer is refused.

    Raises
    ------
    InputError
        When WeasyPrint is not installed.
    MachineError
        When the libraries that it draws text with are missing, or the folder cannot be written.
    """
    weasyprint = _weasyprint()
    with machine_errors(page):
        text = page.read_text(encoding="utf-8")
    inside = weasyprint.URLFetcher(allowed_protocols={"data"})
    made = weasyprint.HTML(string=text, url_fetcher=inside, media_type="print").write_pdf()
    output = page.with_suffix(".pdf")
    write_bytes(output, made)
    return output


def refuse_no_pdf() -> None:
    """Refuse to go on where no PDF could be made, before anything is written.

    Raises
    ------
    InputError, MachineError
        As :func:`write_pdf`.
    """
    _weasyprint()


def _weasyprint() -> Any:
    try:
        import weasyprint
    except ImportError as error:
        raise InputError(
            "a PDF needs WeasyPrint, which is not installed",
            where="--pdf",
            fix="install it with `pip install 'semeion[pdf]'`, or print the page from a browser",
        ) from error
    except OSError as error:
        raise MachineError(
            "WeasyPrint does not find the libraries that it draws text with (Pango)",
            where="--pdf",
            fix=f"install them, on Debian with `apt-get install {_LIBRARIES}`, or print the page from a browser",
        ) from error
    return weasyprint
