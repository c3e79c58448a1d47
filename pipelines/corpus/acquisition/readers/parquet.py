"""Parquet to records, a few rows at a time.

One Parquet file comes in. Step 1: only the declared columns are read, row group by row group, text columns as
dictionaries, so that a value stored once and named a million times is held once. Step 2: each row becomes a record
(`fields.record_of`); text that is not UTF-8 stays bytes, so that its encoding is found. A value that cannot be had is a
drop of its row. A row group that cannot be read is one drop, which says how many rows it had; text beyond
`max_expansion` times the file's size ends the file. Locator: `name#row`. Cost: 100 MB/s on one core.
"""

from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from pipelines.corpus.acquisition.config import ReaderConfig
from pipelines.corpus.acquisition.readers.dialogue import dialogue_fields
from pipelines.corpus.acquisition.readers.fields import record_of
from pipelines.corpus.acquisition.records import Drop, Record, detail
from pipelines.corpus.acquisition.streams import EXPANSION_FLOOR

BATCH_ROWS = 256
_ERRORS = (pa.ArrowException, OSError, ValueError, KeyError)


def read_records(path: Path, name: str, config: ReaderConfig) -> Iterator[Record | Drop]:
    """Records of the Parquet file at `path`; `name` is its path in the inventory."""
    start, stop = config.bounds()
    with path.open("rb") as stream:
        try:
            schema = pq.read_schema(stream)
            columns = _columns(schema, config)
            dictionary = [
                field for field in columns if field == config.text_field and _is_text(schema.field(field).type)
            ]
            file = pq.ParquetFile(stream, read_dictionary=dictionary, pre_buffer=False)
            sizes = [file.metadata.row_group(group).num_rows for group in range(file.num_row_groups)]
            if min(sizes, default=0) < 0 or sum(sizes) != file.metadata.num_rows:
                raise ValueError(f"its groups have {sum(sizes)} rows, the footer says {file.metadata.num_rows}")
        except _ERRORS as error:
            yield Drop(f"{name}#0", "unreadable_file", detail(f"not a readable Parquet file: {error}"))
            return
        has_text = config.text_field in columns or config.text_field.partition(".")[0] in columns
        if not (has_text if config.dialogue is None else columns):
            wanted = repr(config.text_field) if config.dialogue is None else "of the dialogue"
            found = ", ".join(schema.names)
            yield Drop(f"{name}#0", "no_text", detail(f"no column {wanted}; the columns are: {found}"))
            return
        allowed = EXPANSION_FLOOR + config.max_expansion * path.stat().st_size
        first = 0
        for group, rows in enumerate(sizes):
            if stop is not None and first >= stop:
                return
            if first + rows <= start:
                first += rows
                continue
            for row, item in _group_rows(file, group, columns):
                number = first + row
                if isinstance(item, _RowError):
                    yield Drop(f"{name}#{number}", "unreadable_row", detail(item))
                    continue
                if isinstance(item, Exception):
                    left = f"row group {group}, {rows - row} of {rows} rows: {item}"
                    yield Drop(f"{name}#{number}", "unreadable_row_group", detail(left))
                    break
                if number < start or (stop is not None and number >= stop):
                    continue
                record = record_of(item, f"{name}#{number}", config)
                if isinstance(record, Record):
                    allowed -= len(record.body)
                    if allowed < 0:
                        total = file.metadata.num_rows
                        limit = f"more than {config.max_expansion}:1; rows {number} to {total - 1} are not read"
                        yield Drop(record.locator, "expansion_limit", limit)
                        return
                yield record
            first += rows


class _RowError(ValueError):
    """One row has a value that cannot be had."""


def _is_text(kind: pa.DataType) -> bool:
    return any(
        test(kind)
        for test in (pa.types.is_string, pa.types.is_large_string, pa.types.is_binary, pa.types.is_large_binary)
    )


def _columns(schema: pa.Schema, config: ReaderConfig) -> list[str]:
    named = (config.url_field, config.id_field, config.language_field, config.date_field)
    wanted = {*(field for field in named if field), *config.meta_fields}
    if config.dialogue is None:
        wanted.add(config.text_field)
    else:
        wanted |= dialogue_fields(config.dialogue)
    # `outer.inner` is inside the column `outer`, unless a column has the dot in its name.
    columns = {field if field in schema.names else field.partition(".")[0] for field in wanted}
    return [field for field in schema.names if field in columns]


def _group_rows(
    file: pq.ParquetFile, group: int, columns: list[str]
) -> Iterator[tuple[int, dict[str, object] | Exception]]:
    """(row in the group, its values or `_RowError`), and the exception that ended the group early in place of a row."""
    row = 0
    try:
        for batch in file.iter_batches(batch_size=BATCH_ROWS, row_groups=[group], columns=columns, use_threads=False):
            arrays = {field: _convertible(batch.column(field)) for field in columns}
            for index in range(len(batch)):
                yield row, _values(arrays, index)
                row += 1
    except _ERRORS as error:
        yield row, error
        return
    expected = file.metadata.row_group(group).num_rows
    if row < expected:
        yield row, ValueError("the group ends early")


def _values(arrays: dict[str, pa.Array], index: int) -> dict[str, object] | _RowError:
    values: dict[str, object] = {}
    for field, array in arrays.items():
        scalar = array[index]
        try:
            try:
                values[field] = scalar.as_py()
            except UnicodeDecodeError:
                plain = scalar.value if isinstance(scalar, pa.DictionaryScalar) else scalar
                values[field] = plain.cast(pa.large_binary()).as_py()
        except _ERRORS as error:
            return _RowError(f"{field}: {error}")
    return values


def _convertible(array: pa.Array) -> pa.Array:
    """Nanoseconds as microseconds, the finest that Python's datetime holds."""
    kind = array.type
    if pa.types.is_timestamp(kind) and kind.unit == "ns":
        return array.cast(pa.timestamp("us", kind.tz), safe=False)
    if pa.types.is_duration(kind) and kind.unit == "ns":
        return array.cast(pa.duration("us"), safe=False)
    if pa.types.is_time64(kind) and kind.unit == "ns":
        return array.cast(pa.time64("us"), safe=False)
    return array
