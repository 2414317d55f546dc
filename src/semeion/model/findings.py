"""What the model says about each case, and the files it is written to."""

from __future__ import annotations

import csv
import json
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from semeion.artefacts import whole_file
from semeion.errors import InputError
from semeion.model.codes import code_of
from semeion.naming import encode_class

if TYPE_CHECKING:
    from semeion.model.sentences import Value

Status = Literal["called", "set", "unsure", "not_applicable", "failed"]
SUFFIXES = (".csv", ".parquet", ".json")
_BEFORE = ("case_id", "image", "target", "status", "call")
_ENDS = ("low", "high")
_AFTER = ("mask", "explanation", "reasons", "model")
_ROWS_A_GROUP = 20_000
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


@dataclass(frozen=True)
class Finding:
    """One row of the findings: one case and one target.

    Attributes
    ----------
    case_id, image
        The case, and the picture as it was given.
    target
        What was looked for; of a multi-label model one label.
    status
        As :func:`semeion.model.deciding.decide` found it.
    call
        The class at the operating point (multi-label: ``present`` or ``absent``), the measured value of a regression,
        classes joined by ``|`` of a set, or None when there is none.
    p
        Calibrated probabilities in the order of the findings' columns; empty when failed, and for regression. Those of
        a ``not_applicable`` finding mean nothing and are written nowhere; they are kept for evaluation.
    reasons
        ``code`` or ``code: text``, see :data:`semeion.model.codes.CODES`.
    model
        The model's hash.
    raw
        Combined probabilities before calibration (regression: the value). Not written to findings files.
    mask, explanation
        Paths of pictures written beside the finding; empty when none.
    interval
        Lower and upper end around a measured value, of a model that ships with an interval; None when failed. Written
        where there is a call.
    """

    case_id: str
    image: str
    target: str
    status: Status
    call: str | float | None
    p: tuple[float, ...]
    reasons: tuple[str, ...]
    model: str
    raw: tuple[float, ...] = ()
    mask: str = ""
    explanation: str = ""
    interval: tuple[float, float] | None = None
    values: tuple[Value, ...] = ()

    def row(self, width: int, *, interval: bool = False) -> tuple[Any, ...]:
        """Return the values of :func:`columns` for `width` probabilities; what is absent is None."""
        p = self.p if self.p and self.status != "not_applicable" else (None,) * width
        ends = ((self.interval if self.call is not None else None) or (None, None)) if interval else ()
        end = (self.mask or None, self.explanation or None, ";".join(self.reasons) or None, self.model)
        return (self.case_id, self.image, self.target, self.status, self.call, *ends, *p, *end)


@dataclass
class Tally:
    """Counts why findings are what they are, while they pass."""

    reasons: Counter[tuple[Status, str]] = field(default_factory=Counter)
    """How often each code stands with each status."""

    def counting(self, findings: Iterable[Finding]) -> Iterator[Finding]:
        """Yield the findings unchanged."""
        for finding in findings:
            self.reasons.update({(finding.status, code_of(text)) for text in finding.reasons})
            yield finding


def columns(probability_names: Sequence[str], *, interval: bool = False) -> tuple[str, ...]:
    """Return the columns: ``case_id image target status call p_<class>... mask explanation reasons model``.

    With `interval`, of a measured value, ``low high`` follow ``call``.
    """
    ends = _ENDS if interval else ()
    return (*_BEFORE, *ends, *(f"p_{encode_class(name)}" for name in probability_names), *_AFTER)


def reason(code: str, text: str = "") -> str:
    """Return ``code: text`` as one reason; ``;`` and line breaks in `text` would end it and are replaced."""
    plain = " ".join(text.replace(";", ",").split())
    plain = "".join(letter if letter.isprintable() else "?" for letter in plain)[:300]
    return f"{code}: {plain}" if plain else code


def check_suffix(path: Path) -> None:
    """Raise :class:`InputError` unless findings can be written to `path`; call it before any work is done."""
    if path.suffix.lower() not in SUFFIXES:
        raise InputError(
            f"findings cannot be written as {path.suffix or 'a file without suffix'}",
            where=str(path),
            fix=f"end the name with one of {' '.join(SUFFIXES)}",
        )
    if path.is_dir():
        raise InputError("this is a folder", where=str(path), fix="give the name of the findings file")


def write_findings(
    findings: Iterable[Finding], path: Path, probability_names: Sequence[str], *, interval: bool = False
) -> dict[str, int]:
    """Write findings to a ``.csv``, ``.parquet`` or ``.json`` file, whole or not at all, as they come.

    In CSV (UTF-8, RFC 4180 quoting, empty for what is absent, numbers with all digits) a text that a spreadsheet would
    run as a formula, one that begins with ``= + - @`` or a control character and is no number, gets an apostrophe in
    front, as OWASP advises: file names and case ids come from outside. A carriage return is written as a backslash and
    an r. JSON (an array of objects, null for what is absent) and Parquet hold every text unchanged.

    Parameters
    ----------
    findings
        From :meth:`semeion.model.runtime.Model.findings`; taken one by one.
    path
        The file to write.
    probability_names
        :attr:`semeion.model.runtime.Model.probability_names`.
    interval
        Whether the model ships with an interval: :attr:`semeion.model.runtime.Model.has_interval`.

    Returns
    -------
    dict
        How many findings have each status.

    Raises
    ------
    InputError
        For another suffix, before anything is computed.
    MachineError
        When the file cannot be written.
    """
    check_suffix(path)
    names = columns(probability_names, interval=interval)
    width = len(probability_names)
    statuses: Counter[str] = Counter()

    def counted() -> Iterator[tuple[Any, ...]]:
        for finding in findings:
            statuses[finding.status] += 1
            yield finding.row(width, interval=interval)

    with whole_file(path) as temporary:
        {".csv": _write_csv, ".json": _write_json, ".parquet": _write_parquet}[path.suffix.lower()](
            temporary, names, counted()
        )
    return dict(statuses)


def frame(findings: Iterable[Finding], probability_names: Sequence[str], *, interval: bool = False) -> Any:
    """Return findings as a :class:`pandas.DataFrame` with exactly :func:`columns`."""
    import pandas as pd

    names = columns(probability_names, interval=interval)
    rows = [finding.row(len(probability_names), interval=interval) for finding in findings]
    table = pd.DataFrame(rows, columns=list(names))
    numbers = list(names[len(_BEFORE) : len(names) - len(_AFTER)])
    if not probability_names:
        numbers.append("call")
    texts = [name for name in names if name not in numbers]
    return table.astype({**dict.fromkeys(numbers, "float64"), **dict.fromkeys(texts, "str")})


def _write_csv(path: Path, names: Sequence[str], rows: Iterator[tuple[Any, ...]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(names)
        writer.writerows([_cell(value) for value in row] for row in rows)


def _cell(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    formula = len(value) > 1 and value.startswith(_FORMULA) and not _is_number(value)
    # Python's csv does not quote a lone carriage return, and readers end the row at it.
    text = value.replace("\r", "\\r")
    return f"'{text}" if formula else text


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _write_json(path: Path, names: Sequence[str], rows: Iterator[tuple[Any, ...]]) -> None:
    with path.open("w", encoding="utf-8") as file:
        file.write("[")
        for number, row in enumerate(rows):
            text = json.dumps(dict(zip(names, row, strict=True)), ensure_ascii=False, allow_nan=False)
            file.write(f",\n {text}" if number else f"\n {text}")
        file.write("\n]\n")


def _write_parquet(path: Path, names: Sequence[str], rows: Iterator[tuple[Any, ...]]) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    first = len(_BEFORE)
    measured = not any(name.startswith("p_") for name in names[first:])
    numeric = {"call", *_ENDS} if measured else set(names[first : len(names) - len(_AFTER)])
    schema = pa.schema([(name, pa.float64() if name in numeric else pa.string()) for name in names])
    with pq.ParquetWriter(path, schema) as writer:
        while group := list(islice(rows, _ROWS_A_GROUP)):
            arrays = [
                pa.array(values, field.type) for values, field in zip(zip(*group, strict=True), schema, strict=True)
            ]
            writer.write_table(pa.Table.from_arrays(arrays, schema=schema))
