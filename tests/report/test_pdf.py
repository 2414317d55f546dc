"""Pages as PDF: whole, alone, and a clear word where WeasyPrint or its libraries are missing."""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from semeion.errors import InputError, MachineError
from semeion.report.page import write_report
from semeion.report.pdf import refuse_no_pdf, write_pdf
from support.told import told_run


def test_the_report_becomes_a_pdf(tmp_path: Path) -> None:
    told_run(tmp_path)
    page = write_report(tmp_path)
    assert write_pdf(page) == tmp_path / "report.pdf"
    data = (tmp_path / "report.pdf").read_bytes()
    assert data.startswith(b"%PDF-") and data.rstrip().endswith(b"%%EOF") and len(data) > 20_000


def test_nothing_outside_the_page_is_read(tmp_path: Path) -> None:
    secret = tmp_path / "secret.css"
    secret.write_text("body { font-size: 40px }")
    page = tmp_path / "page.html"
    page.write_text(f'<link rel="stylesheet" href="{secret.as_uri()}"><img src="http://127.0.0.1:9/x.png"><p>words</p>')
    plain = tmp_path / "plain.html"
    plain.write_text("<p>words</p>")
    assert len(write_pdf(page).read_bytes()) == pytest.approx(len(write_pdf(plain).read_bytes()), abs=400)


def test_without_weasyprint_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "weasyprint", None)
    with pytest.raises(InputError, match=r"--pdf: a PDF needs WeasyPrint.*pip install 'semeion\[pdf\]'"):
        refuse_no_pdf()
    with pytest.raises(InputError, match="print the page from a browser"):
        write_pdf(tmp_path / "report.html")


def test_without_its_libraries_the_error_names_the_packages(monkeypatch: pytest.MonkeyPatch) -> None:
    def find_spec(name: str, *_: Any) -> Any:
        if name == "weasyprint":
            raise OSError("cannot load library 'libpango-1.0-0'")

    finder = ModuleType("finder")
    finder.find_spec = find_spec  # type: ignore[attr-defined]
    monkeypatch.delitem(sys.modules, "weasyprint", raising=False)
    monkeypatch.setattr(sys, "meta_path", [finder, *sys.meta_path])
    with pytest.raises(MachineError, match=r"apt-get install libpango-1\.0-0 libpangoft2-1\.0-0 libharfbuzz-subset0"):
        refuse_no_pdf()
