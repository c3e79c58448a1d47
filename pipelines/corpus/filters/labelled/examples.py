"""Labelled texts: from declared sets to a table of distinct examples, split into training and held-out ones.

In: texts with labels, set by set. 1. Cut each text. 2. Of each set keep the `max_documents` with the smallest keyed
hash of their text, whatever the order they come in. 3. A text that occurs again counts once; one that has two
different labels is left out of all. 4. The hash of a text decides whether it is held out, so no copy of a training
text is ever tested on; or its set does: one that only measures keeps its texts and labels, whatever other sets say of
them. Out: `EXAMPLES`, sorted by (label, hash), and counts. Memory: the chosen texts.
"""

import csv
import hashlib
import heapq
import io
from collections.abc import Collection, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple

import pyarrow as pa

from pipelines.core.documents import text_hash
from pipelines.core.errors import GristmillError
from pipelines.core.fingerprint import Algorithm
from pipelines.core.seeds import derive
from pipelines.corpus.acquisition.config import ReaderConfig
from pipelines.corpus.acquisition.lines import split_lines, utf8_chunks
from pipelines.corpus.acquisition.readers.fields import parse_json
from pipelines.corpus.acquisition.records import Drop
from pipelines.corpus.acquisition.streams import Problem, decompressed
from pipelines.corpus.filters.labelled.config import ExamplesConfig

EXAMPLE_SETS: Final = Algorithm("example_sets", 1)
_AT_ONCE: Final = 256

EXAMPLES: Final = pa.schema(
    [
        pa.field("text_hash", pa.binary(16), nullable=False),
        pa.field("text", pa.large_string(), nullable=False),
        pa.field("label", pa.large_string(), nullable=False),
        pa.field("origin", pa.large_string(), nullable=False),
        pa.field("held_out", pa.bool_(), nullable=False),
    ]
)


class ExamplesError(GristmillError, ValueError):
    """A declared set that cannot be read, or too little to train on."""


class TextColumn(Collection[str]):
    """The texts of a table in its order, as strings only a few at a time."""

    def __init__(self, column: pa.ChunkedArray) -> None:
        self._column = column

    def __len__(self) -> int:
        return len(self._column)

    def __iter__(self) -> Iterator[str]:
        for start in range(0, len(self), _AT_ONCE):
            yield from self._column.slice(start, _AT_ONCE).to_pylist()

    def __contains__(self, text: object) -> bool:
        return any(text == mine for mine in self)


class Labelled(NamedTuple):
    """One text with its label, as a set gives it."""

    text: str
    label: str


class ExampleSet(NamedTuple):
    """A set to choose from: where it comes from (for people), how many to keep, and its texts."""

    origin: str
    limit: int
    texts: Iterable[Labelled]
    held_out: bool | None = None
    """Whether all of them measure (True) or none does; None: their hash says."""


class Examples(NamedTuple):
    """Rows of `EXAMPLES` and what became of the texts that were offered: `rows_in = kept + dropped/...`."""

    table: pa.Table
    counts: dict[str, int]


def gather(sets: Iterable[ExampleSet], *, max_characters: int, held_out: float, seed: int) -> Examples:
    """The examples of all sets. `held_out` is the share (0 to 1) that is not trained on."""
    key = derive(seed, "examples").to_bytes(8, "little")
    counts = dict.fromkeys(("rows_in", "kept", "dropped/empty", "dropped/limit", "dropped/repeated"), 0)
    counts["dropped/two_labels"] = 0
    labels: dict[bytes, str] = {}
    chosen: dict[bytes, tuple[str, str, str, bool]] = {}
    measuring: set[bytes] = set()
    for item in sorted(sets, key=lambda item: item.held_out is not True):
        offered = _smallest(item, key, max_characters, counts)
        for rank, identity, text, label in offered:
            if identity not in labels:
                labels[identity] = label
                measures = rank / 2**64 < held_out if item.held_out is None else item.held_out
                chosen[identity] = (text, label, item.origin, measures)
                measuring |= {identity} if item.held_out else set()
            elif labels[identity] == label or (identity in measuring and not item.held_out):
                counts["dropped/repeated"] += 1
            else:
                counts["dropped/two_labels"] += 1 + (identity in chosen)
                chosen.pop(identity, None)
    rows = [(identity, *values) for identity, values in chosen.items()]
    rows.sort(key=lambda row: (row[2], row[0]))
    counts["kept"] = len(rows)
    columns = list(zip(*rows, strict=True)) if rows else [()] * len(EXAMPLES)
    table = pa.table([pa.array(column, field.type) for column, field in zip(columns, EXAMPLES, strict=True)], EXAMPLES)
    return Examples(table, counts)


def _smallest(
    item: ExampleSet, key: bytes, max_characters: int, counts: dict[str, int]
) -> list[tuple[int, bytes, str, str]]:
    """(rank, text hash, text, label) of the set's texts with the smallest ranks, smallest first."""
    heap: list[tuple[int, int, str, str, bytes]] = []
    for number, (text, label) in enumerate(item.texts):
        counts["rows_in"] += 1
        text = (
            text[:max_characters].encode("utf-8", "replace").decode().strip()
        )  # JSON can hold half of a surrogate pair
        if not text:
            counts["dropped/empty"] += 1
            continue
        identity = text_hash(text)
        rank = int.from_bytes(hashlib.blake2b(identity, digest_size=8, key=key).digest(), "little")
        heapq.heappush(heap, (-rank, -number, text, label, identity))
        if len(heap) > item.limit:
            heapq.heappop(heap)
            counts["dropped/limit"] += 1
    return [(-rank, identity, text, label) for rank, _, text, label, identity in sorted(heap, reverse=True)]


def file_texts(path: Path, config: ExamplesConfig) -> Iterator[Labelled]:
    """The texts of a declared file. Raises `ExamplesError` with file and line for a record without its fields."""
    for number, record in read_rows(path):
        if any(str(record.get(field)) != value for field, value in config.where.items()):
            continue
        label = _label(record, config, path, number)
        if label is None:
            continue
        parts = [record.get(field) for field in config.text_fields]
        if all(part is None for part in parts):
            known = ", ".join(sorted(map(str, record))[:12])
            raise ExamplesError(
                f"{path.name}, line {number}: none of the fields {', '.join(config.text_fields)}; there are {known}"
            )
        yield Labelled("\n".join(str(part) for part in parts if part not in (None, "")), label)


def table_texts(tables: Iterable[pa.Table], label: str) -> Iterator[Labelled]:
    """The texts of document tables, under one label."""
    for table in tables:
        for batch in table.select(["text"]).to_batches(max_chunksize=1024):
            yield from (Labelled(text, label) for text in batch.column("text").to_pylist())


def _label(record: Mapping[str, Any], config: ExamplesConfig, path: Path, number: int) -> str | None:
    if config.label_field is None:
        return config.label or ""
    value = record.get(config.label_field)
    if value is None:
        raise ExamplesError(f"{path.name}, line {number}: no label in the field {config.label_field!r}")
    return config.labels.get(str(value)) if config.labels else str(value)


def read_rows(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """(line number from 1, record) of a JSONL file, or of a CSV file with a header (its name ends in .csv[.gz|.zst]).

    A labelled file is small and trusted to be whole: the first bad line stops the reading with an `ExamplesError`.
    """
    settings = ReaderConfig(format="jsonl")
    events = utf8_chunks(decompressed(path, settings), "detect")
    lines: list[bytes] = []
    table = ".csv" in path.suffixes
    for line in split_lines(events, settings.max_line_bytes):
        if isinstance(line, Problem):
            raise ExamplesError(f"{path.name}, at {line.place}: {line.reason}, {line.detail}")
        where = f"{path.name}, line {line.number + 1}"
        if line.torn or line.size > settings.max_line_bytes:
            raise ExamplesError(f"{where}: torn, or longer than {settings.max_line_bytes} bytes")
        if table:
            lines.append(line.data)
            continue
        if not line.data.strip():
            continue
        value = parse_json(line.data, where)
        if isinstance(value, Drop) or not isinstance(value.content, dict):
            raise ExamplesError(
                f"{where}: is no JSON object ({value.detail if isinstance(value, Drop) else 'a value'})"
            )
        yield line.number + 1, value.content
    if table:
        yield from _csv(path, b"\n".join(lines))


def _csv(path: Path, data: bytes) -> Iterator[tuple[int, dict[str, Any]]]:
    try:
        rows = csv.DictReader(io.StringIO(data.decode("utf-8"), newline=""), strict=True)
        for row in rows:
            if None in row or None in row.values():
                raise ExamplesError(f"{path.name}, line {rows.line_num}: has not as many cells as the header")
            yield rows.line_num, dict(row)
    except (csv.Error, UnicodeDecodeError) as error:
        raise ExamplesError(f"{path.name}: is no CSV in UTF-8: {error}") from error
