"""Tables of cases: CSV, TSV, XLSX and Parquet, every cell as the text that stands in it.

An identifier such as ``007`` or ``123456789012345678`` must come out as it went in, so nothing is turned into a number
here; what is a number is decided later, column by column (`semeion.cohort.columns`).
"""

from __future__ import annotations

import csv
import io
import math
import re
import zipfile
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from semeion.cohort.problems import Problems, listed
from semeion.cohort.sniff import HEAD, SUFFIXES, describe
from semeion.errors import InputError, nearest

TABLES = (".csv", ".tsv", ".xlsx", ".parquet")
_MAX_BYTES = 2 << 30
_ENCODINGS = [f"cp{page}" for page in (1252, 1250, 1251, 1253, 1254, 1255, 1256, 437, 932, 949)]
_ENCODINGS += ["mac_roman", "koi8_r", "gb18030", "big5"]

Cell = str | None


def read_table(path: Path) -> tuple[pd.DataFrame, tuple[str, ...]]:
    """Read a table without changing what stands in it.

    Parameters
    ----------
    path
        A ``.csv``, ``.tsv``, ``.xlsx`` or ``.parquet`` file with one header row.

    Returns
    -------
    table
        Columns of text (missing where the cell is empty); the index is the row's number in the file, the header being
        row 1.
    notes
        Sentences on what was guessed: the encoding, the delimiter, the sheet.

    Raises
    ------
    InputError
        No such file, another kind of file, empty, no header, a column without or with a repeated name, ragged rows.
    """
    kind = path.suffix.lower()
    if kind not in TABLES:
        raise InputError(
            f"is no table that can be read (suffix {kind or 'none'!r})",
            where=path.name,
            fix="give .csv, .tsv, .xlsx or .parquet, a folder of class folders, or a MedMNIST .npz",
        )
    data = _bytes_of(path)
    if kind == ".parquet":
        header, rows, notes = _parquet(data, path.name)
    elif kind == ".xlsx":
        header, rows, notes = _xlsx(data, path.name)
    else:
        header, rows, notes = _delimited(data, path.name, kind)
    return _frame(header, rows, path.name, notes)


def _bytes_of(path: Path) -> bytes:
    """Return the file's bytes."""
    try:
        size = path.stat().st_size
        data = path.read_bytes() if size <= _MAX_BYTES else b""
    except FileNotFoundError as error:
        siblings = [other.name for other in path.parent.iterdir()] if path.parent.is_dir() else []
        raise InputError(
            f"does not exist{nearest(path.name, siblings)}", where=str(path), fix="correct the path"
        ) from error
    except OSError as error:
        raise InputError(f"cannot be read ({error.strerror})", where=str(path), fix="check its permissions") from error
    if size > _MAX_BYTES:
        raise InputError(f"has {size:,} bytes, too many for a table", where=path.name, fix="keep one row a case")
    if not data.strip():
        raise InputError("is empty", where=path.name, fix="write a header row and one row a case")
    return data


def _delimited(data: bytes, name: str, kind: str) -> tuple[list[Cell], list[tuple[int, list[Cell]]], list[str]]:
    """Parse CSV or TSV; rows carry their number, blank ones are left out."""
    text, notes = _decode(data, name)
    delimiter = "\t" if kind == ".tsv" else _delimiter(text)
    if kind == ".csv" and delimiter != ",":
        notes.append(f"{name}: columns are delimited by {'tabs' if delimiter == chr(9) else repr(delimiter)}.")
    # Fields may be long (free-text reports); the module's own limit of 131072 is shared by the whole process.
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    rows: list[tuple[int, list[Cell]]] = []
    number = 0
    try:
        for number, record in enumerate(reader, 1):
            if any(cell.strip() for cell in record):
                rows.append((number, list(record)))
    except csv.Error as error:
        raise InputError(
            f"row {number + 1} cannot be parsed ({error})", where=name, fix="check its quotation marks"
        ) from error
    (_, header), *body = rows
    return header, body, notes


def _decode(data: bytes, name: str) -> tuple[str, list[str]]:
    """Return the text and, when it is not UTF-8, a sentence that names the encoding."""
    for mark, encoding in ((b"\xff\xfe", "utf-16"), (b"\xfe\xff", "utf-16"), (b"\xef\xbb\xbf", "utf-8-sig")):
        if data.startswith(mark):
            try:
                text = data.decode(encoding)
            except UnicodeDecodeError as error:
                raise InputError(
                    f"is not the {encoding} text that it begins as", where=name, fix="save it as UTF-8"
                ) from error
            return text, [f"{name} is read as UTF-16."] if encoding == "utf-16" else []
    if b"\x00" in data[:HEAD] or data.startswith((b"PK\x03\x04", b"PAR1", b"%PDF")):
        raise InputError(
            f"is no text table: it looks like {describe(data[:HEAD])}", where=name, fix="save it as CSV in UTF-8"
        )
    try:
        return data.decode("utf-8"), []
    except UnicodeDecodeError:
        pass
    from charset_normalizer import from_bytes

    best = from_bytes(data, cp_isolation=_ENCODINGS).best()
    if best is None:
        raise InputError("is neither UTF-8 nor another encoding that is known", where=name, fix="save it as UTF-8")
    note = f"{name} is not UTF-8; it is read as {best.encoding}: check letters with accents, or save it as UTF-8."
    return data.decode(best.encoding), [note]


def _delimiter(text: str) -> str:
    """Return the delimiter of the header: the one of comma, semicolon and tab that occurs most outside quotes."""
    first = next((line for line in text.splitlines() if line.strip()), "")
    bare = re.sub(r'"[^"]*"', "", first)
    counts = Counter({mark: bare.count(mark) for mark in ",;\t"})
    mark, count = counts.most_common(1)[0]
    return mark if count else ","


def _xlsx(data: bytes, name: str) -> tuple[list[Cell], list[tuple[int, list[Cell]]], list[str]]:
    """Parse the first sheet that holds anything."""
    if not data.startswith(b"PK"):
        raise InputError(
            f"is no XLSX: it looks like {describe(data[:HEAD])}", where=name, fix="save it as .xlsx or .csv"
        )
    import openpyxl

    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            inflated = sum(item.file_size for item in archive.infolist())
        if inflated > _MAX_BYTES:
            raise InputError(f"inflates to {inflated:,} bytes, too many for a table", where=name, fix="save it as CSV")
        book = openpyxl.load_workbook(io.BytesIO(data), read_only=True, data_only=True)
        filled = []
        for sheet in book.worksheets:
            # The declared extent may be wrong in files of other programs; the cells themselves decide.
            sheet.reset_dimensions()
            rows = [
                (number, [_cell_text(cell) for cell in record]) for number, record in enumerate(sheet.iter_rows(), 1)
            ]
            rows = [(number, record) for number, record in rows if any(record)]
            if rows:
                filled.append((sheet.title, rows))
    except (InputError, MemoryError):
        raise
    except Exception as error:  # openpyxl and what it stands on have no common base: zlib's, XML's, its own
        raise InputError(f"the workbook is damaged ({error})", where=name, fix="save it again") from error
    if not filled:
        raise InputError("is empty", where=name, fix="write a header row and one row a case")
    notes = []
    if len(filled) > 1:
        others = listed(title for title, _ in filled[1:])
        notes.append(f"{name}: sheet {filled[0][0]!r} is read, not {others}.")
    (_, header), *body = filled[0][1]
    width = len(header)
    padded = [(number, record + [None] * (width - len(record))) for number, record in body]
    return header, padded, notes


def _cell_text(cell: Any) -> Cell:
    """Return what a spreadsheet shows: ``7`` for the number 7, ``007`` when the cell's format asks for three digits."""
    value = cell.value
    if isinstance(value, int) and not isinstance(value, bool):
        zeros = str(getattr(cell, "number_format", "") or "")
        return str(value).zfill(len(zeros)) if re.fullmatch(r"0+", zeros) else str(value)
    return _text(value)


def _parquet(data: bytes, name: str) -> tuple[list[Cell], list[tuple[int, list[Cell]]], list[str]]:
    """Parse a Parquet file; nested and binary columns are left out and said so."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        table = pq.read_table(io.BytesIO(data))
        return _columns_of(table, name)
    except (pa.ArrowException, OSError, ValueError, OverflowError) as error:  # names and texts are decoded when asked
        raise InputError(f"is no Parquet that can be read ({error})", where=name, fix="write it again") from error


def _columns_of(table: Any, name: str) -> tuple[list[Cell], list[tuple[int, list[Cell]]], list[str]]:
    import pyarrow as pa

    plain = [
        field.name for field in table.schema if not (pa.types.is_nested(field.type) or pa.types.is_binary(field.type))
    ]
    left_out = [field for field in table.schema.names if field not in plain and field != "__index_level_0__"]
    notes = [f"{name}: {listed(left_out, 'column')} of nested or binary values left out."] if left_out else []
    header = [field for field in plain if field != "__index_level_0__"]
    # By position: a name may occur twice, which is refused later with the rest.
    positions = [index for index, field in enumerate(table.schema.names) if field in header]
    columns = [[_text(value) for value in table.column(index).to_pylist()] for index in positions]
    names: list[Cell] = [table.schema.names[index] for index in positions]
    body = [(number, list(record)) for number, record in enumerate(zip(*columns, strict=True), 2)]
    return names, body, notes


def _text(value: Any) -> Cell:
    """Return a value as text: whole floats without a fraction, dates in ISO form, None and NaN as missing."""
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        if math.isnan(value):
            return None
        return str(int(value)) if value.is_integer() and abs(value) < 1e15 else repr(value)
    if hasattr(value, "isoformat"):
        return str(value.isoformat())
    return str(value)


def _frame(
    header: Sequence[Cell], rows: Iterable[tuple[int, list[Cell]]], name: str, notes: list[str]
) -> tuple[pd.DataFrame, tuple[str, ...]]:
    """Check the header and the width of every row, and make the table."""
    problems = Problems(name)
    names = [(cell or "").strip() for cell in header]
    while names and not names[-1]:
        names.pop()
    body = list(rows)
    _check_names(names, problems)
    width = len(names)
    ragged = [
        (number, len(row)) for number, row in body if len(row) < width or any((c or "").strip() for c in row[width:])
    ]
    if ragged:
        shown = listed(f"{number} ({cells})" for number, cells in ragged)
        problems.add(
            f"the header has {width} columns, and not every row does: {'row' if len(ragged) == 1 else 'rows'} {shown} "
            "(number of cells in brackets)",
            "give every row the same cells, and quote those that hold the delimiter",
        )
    if not body:
        problems.add("has a header and no rows", "write one row a case")
    problems.raise_any()
    cells = list(zip(*(row[:width] for _, row in body), strict=True))
    index = pd.Index([number for number, _ in body], name="row")
    kept = [position for position, column in enumerate(names) if column]
    if len(kept) < width:
        notes.append(f"{name}: the first column has no name and is left out.")
    data = {
        names[position]: pd.Series([c or None for c in cells[position]], index=index, dtype="str") for position in kept
    }
    return pd.DataFrame(data, index=index), tuple(notes)


def _check_names(names: list[str], problems: Problems) -> None:
    """Refuse a header that is none, and columns without or with a repeated name."""
    values = [n for n in names if Path(n).suffix.lower() in SUFFIXES or re.fullmatch(r"-?\d+([.,]\d+)?", n)]
    if values and (any(Path(n).suffix.lower() in SUFFIXES for n in values) or len(values) == len(names)):
        problems.add(
            f"has no header: its first row holds values ({listed(repr(v) for v in values[:3])})",
            "write the columns' names into the first row",
        )
        return
    # Nameless first columns are the row numbers that pandas and R write.
    nameless = [position for position, column in enumerate(names, 1) if not column and position > 1]
    if nameless:
        problems.add(
            f"{listed(nameless, 'column')} of the header {'has' if len(nameless) == 1 else 'have'} no name", "name it"
        )
    twice = [column for column, count in Counter(filter(None, names)).items() if count > 1]
    if twice:
        problems.add(
            f"the header repeats {listed((repr(c) for c in twice), 'column')}", "give every column its own name"
        )
