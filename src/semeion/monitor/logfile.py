"""``log.parquet``: what is in it, and how it is read and written: whole or not at all, by one process at a time."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from semeion.artefacts import machine_errors, only_writer, remove_parts, whole_file
from semeion.errors import InputError
from semeion.monitor.asks import Asks
from semeion.monitor.facts import INPUTS
from semeion.naming import encode_class

if TYPE_CHECKING:
    import pyarrow as pa

SCHEMA = 1
LOG, KEY = "log.parquet", "key"
STATUSES = ("called", "set", "unsure", "not_applicable", "failed")
TEXTS = ("entry", "group", "model", "site", "scanner", "modality", "status", "call", "reasons")
_META = b"semeion_log"
MOST_LINES = 500_000
"""Lines from which on a log is full: each reading writes it anew, which then takes seconds."""
_MAX_BYTES = 1 << 30
_MAX_ROWS = 5_000_000
_MAX_COLUMNS = 3000
_MAX_VALUES = 100_000_000
"""Rows times columns: of constant columns a file of kilobytes would fill any memory."""
_MAX_UNPACKED = 1 << 31
_MAX_TEXTS = 1 << 29
"""Letters of one column."""
_MAX_GROUPS = 10_000
_FOOTER = {"thrift_string_size_limit": 1 << 22, "thrift_container_size_limit": 1 << 18}
_LONGEST = 20_000
_TIMES = (np.datetime64("1970-01-01", "s"), np.datetime64("9999-01-01", "s"))


@dataclass(frozen=True)
class Log:
    """What one log holds, in the order of time.

    Attributes
    ----------
    model
        Hash of the model whose cases they are.
    time
        UTC seconds, ``datetime64[s]`` ``(cases,)``.
    texts
        By column of `TEXTS`, object ``(cases,)``; empty where there is none.
    numbers
        By column, float64 ``(cases,)``; NaN where there is none.
    """

    model: str
    time: npt.NDArray[np.datetime64]
    texts: Mapping[str, npt.NDArray[np.object_]]
    numbers: Mapping[str, npt.NDArray[np.float64]]

    def __len__(self) -> int:
        return len(self.time)

    def take(self, rows: npt.NDArray[Any]) -> Log:
        """Return some rows."""
        texts = {name: column[rows] for name, column in self.texts.items()}
        return Log(self.model, self.time[rows], texts, {name: column[rows] for name, column in self.numbers.items()})


def probability_columns(asks: Asks) -> tuple[str, ...]:
    """Return ``p_<class>``, of a multi-label model the probability that each label is present; none of a value."""
    return () if asks.task == "segmentation" else tuple(f"p_{encode_class(name)}" for name in asks.classes)


def volume_columns(asks: Asks) -> tuple[str, ...]:
    """Return ``ml_<label>`` of a segmentation: what each label measures; none of another model."""
    return tuple(f"ml_{encode_class(name)}" for name in asks.classes) if asks.task == "segmentation" else ()


def number_columns(asks: Asks, features: Sequence[str]) -> tuple[str, ...]:
    """Return the columns of numbers in order; `features` are those of :class:`semeion.monitor.features.Projection`."""
    return (*INPUTS, *probability_columns(asks), *volume_columns(asks), "value", *features)


@contextmanager
def held(folder: Path) -> Iterator[None]:
    """Hold a log against a second process.

    Raises
    ------
    InputError
        When another process holds it.
    MachineError
        As :func:`semeion.artefacts.only_writer`.
    """
    with machine_errors(folder):
        taken = folder.exists() and not folder.is_dir()
    if taken:
        raise InputError("is a file", where=str(folder), fix="give a folder for the log")
    refusal = InputError(
        "another process is writing this log",
        where=str(folder),
        fix="wait for it, or give every process a folder of its own and all of them to `semeion monitor`",
    )
    with only_writer(folder, refusal):
        remove_parts(folder)
        yield


def append(folder: Path, model: str, numbers: Sequence[str], rows: Sequence[Mapping[str, Any]]) -> None:
    """Write the log anew with more rows; the caller holds it (:func:`held`).

    Parameters
    ----------
    folder
        Of the log.
    model
        The model's hash.
    numbers
        From :func:`number_columns`.
    rows
        ``time`` and the columns of texts and numbers.

    Raises
    ------
    InputError
        When the log that is there is of another model, or is none.
    MachineError
        When it cannot be written; what was there is left as it was.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    schema = _schema(model, numbers)
    columns = [pa.array([row.get(field.name) for row in rows], field.type) for field in schema]
    table = pa.Table.from_arrays(columns, schema=schema)
    path = folder / LOG
    if path.exists():
        before = _table(path)
        check_model(path, _stated(before, path), model)
        if before.schema.names != schema.names:
            raise InputError(
                "its columns are not those that this version writes", where=str(path), fix="begin a log in a new folder"
            )
        table = pa.concat_tables([before.cast(schema), table])
    with whole_file(path) as temporary:
        pq.write_table(table, temporary, compression="zstd")


def check_log(folder: Path, model: str) -> None:
    """Refuse a log of another model, or one that is full, before any work is done; a new log is neither."""
    path = folder / LOG
    if path.exists():
        table = _table(path)
        check_model(path, _stated(table, path), model)
        if table.num_rows >= MOST_LINES:
            raise InputError(
                f"the log is full: it has {table.num_rows} lines, and all are written anew each time",
                where=str(path),
                fix="begin a log in a new folder, and give all of them to `semeion monitor`",
            )


def refuse_inside(folder: Path, model: Path, where: str) -> None:
    """Refuse to write into the model's folder: with a file that its manifest does not list it is refused itself."""
    if model.is_dir() and folder.resolve().is_relative_to(model.resolve()):
        raise InputError("lies in the model's folder, which must stay as it is", where=where, fix="give another place")


def check_model(path: Path, found: str, model: str) -> None:
    """Refuse a log of another model.

    Raises
    ------
    InputError
        Naming both hashes.
    """
    if found != model:
        raise InputError(
            f"is the log of another model: {found[:12]}..., and this one is {model[:12]}...",
            where=str(path),
            fix="give the model that wrote it, or another folder for this one's log",
        )


def read_log(path: Path) -> Log:
    """Read a log, as hostile input.

    Parameters
    ----------
    path
        The file, or the folder that ``predict --log`` was given.

    Raises
    ------
    InputError
        No such file, no log, a newer one, or one without a row.
    """
    file = path / LOG if path.is_dir() else path
    table = _table(file)
    model = _stated(table, file)
    if not table.num_rows:
        raise InputError("the log has no rows", where=str(file), fix="read images with `semeion predict --log` first")
    try:
        time = table.column("time").to_numpy().astype("datetime64[s]")
        texts = {name: _text(table.column(name)) for name in TEXTS}
        numbers = {
            name: table.column(name).to_numpy(zero_copy_only=False).astype(np.float64)
            for name in table.schema.names
            if name not in (*TEXTS, "time")
        }
    except _damage() as error:
        raise _no_log(file, str(error)) from error
    if np.isnat(time).any() or not set(texts["status"].tolist()) <= set(STATUSES):
        raise _no_log(file, "a time or a status is missing")
    if time.min() < _TIMES[0] or time.max() >= _TIMES[1]:
        raise _no_log(file, "a time is before 1970 or after 9998")
    for name, column in numbers.items():
        # NaN is neither below nor above.
        if name.startswith("p_") and ((column < 0) | (column > 1)).any():
            raise _no_log(file, f"a value of {name[:40]!r} is no probability")
    if set(texts["model"].tolist()) != {model}:
        raise _no_log(file, "its rows and its footer name different models")
    order = np.argsort(time, kind="stable")
    return Log(model, time, texts, numbers).take(order)


def _damage() -> tuple[type[Exception], ...]:
    import pyarrow as pa

    return (pa.ArrowException, OSError, ValueError, KeyError, OverflowError, TypeError)


def _text(column: Any) -> npt.NDArray[np.object_]:
    """Return texts, each of them held once however many rows have it; raises ValueError where one is too long."""
    encoded = column.fill_null("").combine_chunks().dictionary_encode()
    names = np.array(encoded.dictionary.to_pylist(), dtype=object)
    if any(len(text) > _LONGEST for text in names):
        raise ValueError("a text is too long")
    return np.asarray(names[encoded.indices.to_numpy(zero_copy_only=False)])


def _schema(model: str, numbers: Sequence[str]) -> pa.Schema:
    import pyarrow as pa

    meta = {_META: json.dumps({"schema": SCHEMA, "model": model}).encode()}
    fields = [("time", pa.timestamp("s", tz="UTC")), *((name, pa.string()) for name in TEXTS)]
    return pa.schema([*fields, *((name, pa.float64()) for name in numbers)], metadata=meta)


def _table(path: Path) -> pa.Table:
    """Return a log as a table, after bounding what it may take."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with path.open("rb") as source:
            data = source.read(_MAX_BYTES + 1)
    except FileNotFoundError as error:
        raise InputError("does not exist", where=str(path), fix="correct the path") from error
    except OSError as error:
        raise InputError(f"cannot be read ({error.strerror})", where=str(path), fix="check the path") from error
    if len(data) > _MAX_BYTES:
        raise _no_log(path, "it has more than a gibibyte")
    try:
        names = pq.ParquetFile(io.BytesIO(data), **_FOOTER).schema_arrow.names
        # As dictionaries, so that a long text which many rows share is held once.
        file = pq.ParquetFile(io.BytesIO(data), read_dictionary=[name for name in TEXTS if name in names], **_FOOTER)
        facts, schema = file.metadata, file.schema_arrow
        if facts.num_rows > _MAX_ROWS or facts.num_columns > _MAX_COLUMNS or facts.num_row_groups > _MAX_GROUPS:
            raise _no_log(path, "it has more rows or columns than a log may have")
        if facts.num_rows * facts.num_columns > _MAX_VALUES or _unpacked(facts) > _MAX_UNPACKED:
            raise _no_log(path, "it holds more than a log may hold")
        _check_schema(schema, path)
        table = file.read()
        table.validate(full=True)
        for name in TEXTS:
            _check_texts(table.column(name))
        return table.cast(pa.schema([_plain(field) for field in table.schema], metadata=schema.metadata))
    except _damage() as error:
        raise _no_log(path, str(error)) from error


def _unpacked(facts: Any) -> int:
    return sum(facts.row_group(number).total_byte_size for number in range(facts.num_row_groups))


def _check_texts(column: Any) -> None:
    """Refuse texts that would fill the memory when every row has its own; raises ValueError."""
    import pyarrow.compute as pc

    letters = 0
    for chunk in column.chunks:
        lengths = pc.binary_length(chunk.dictionary)
        if (pc.max(lengths).as_py() or 0) > 4 * _LONGEST:
            raise ValueError("a text is too long")
        letters += pc.sum(lengths.take(chunk.indices)).as_py() or 0
    if letters > _MAX_TEXTS:
        raise ValueError("its texts are too long")


def _plain(field: pa.Field) -> pa.Field:
    """Return a column of texts as one of plain texts, and of times as seconds."""
    import pyarrow as pa

    if pa.types.is_dictionary(field.type):
        return pa.field(field.name, pa.string())
    return pa.field(field.name, pa.timestamp("s", tz="UTC")) if pa.types.is_timestamp(field.type) else field


def _check_schema(schema: pa.Schema, path: Path) -> None:
    """Refuse a file whose columns are not those of a log; what is newer is named first."""
    import pyarrow as pa

    stated = _footer(schema, path)
    if not isinstance(stated.get("schema"), int) or stated["schema"] < 1:
        raise _no_log(path, "its footer states no schema")
    if stated["schema"] > SCHEMA:
        raise InputError(
            f"is a log of schema {stated['schema']}, newer than {SCHEMA}, which this version reads",
            where=str(path),
            fix="use a newer version of Semeion",
        )
    names = schema.names
    if len(set(names)) != len(names) or names[: 1 + len(TEXTS)] != ["time", *TEXTS]:
        raise _no_log(path, "its columns are not those of a log")
    for field in schema:
        wanted = (
            pa.types.is_timestamp(field.type)
            if field.name == "time"
            else pa.types.is_dictionary(field.type) and field.type.value_type == pa.string()
            if field.name in TEXTS
            else field.type == pa.float64()
        )
        if not wanted:
            raise _no_log(path, f"its column {field.name[:40]!r} is of another type")


def _footer(schema: pa.Schema, path: Path) -> dict[str, Any]:
    data = (schema.metadata or {}).get(_META)
    try:
        stated = json.loads(data.decode()) if data is not None and len(data) < 10_000 else None
    except (ValueError, RecursionError):
        stated = None
    if not isinstance(stated, dict):
        raise _no_log(path, "its footer does not say that it is one")
    return stated


def _stated(table: pa.Table, path: Path) -> str:
    """Return the hash of the model whose log it is."""
    model = _footer(table.schema, path).get("model")
    if not isinstance(model, str) or len(model) != 64 or set(model) - set("0123456789abcdef"):
        raise _no_log(path, "its footer names no model")
    return model


def _no_log(path: Path, why: str) -> InputError:
    return InputError(
        f"is no log of a model in service ({' '.join(why.split())[:160]})",
        where=str(path),
        fix="give what `semeion predict --log DIR` wrote",
    )
