"""CSV and TSV to records, row by row; a quoted column may hold line ends, and one bad row never takes another along.

One file, plain or compressed, comes in. Step 1: lines (`lines.split_lines`). Step 2: a line is cut into columns by RFC
4180: a column that starts with a quote ends at the next single quote, on a later line if need be; a quote elsewhere is
a character. Step 3: the first row names the columns, unless the source does; a row with more or fewer is a drop that
says both numbers. Step 4: fields become a record (`fields.record_of`). A quote that nothing closes within
`max_line_bytes` costs its own line: the lines behind it are read again, `MAX_RESCANS` times a file, then together as
one drop. Locator: `name#row`, from 0 behind the header; a drop's detail has the line. Cost: 10 MB/s where lines have
30 bytes, 36 where they have 600.

Text that is not UTF-8 stays bytes, so that its encoding is found (`encoding: detect`) or used (`encoding: gb18030`).
"""

import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final, NamedTuple

from pipelines.corpus.acquisition.config import ReaderConfig
from pipelines.corpus.acquisition.lines import Line, split_lines, utf8_chunks
from pipelines.corpus.acquisition.readers.fields import record_of
from pipelines.corpus.acquisition.records import Drop, Record, detail
from pipelines.corpus.acquisition.streams import Chunk, Problem, decompressed

MAX_RESCANS: Final = 16
_DELIMITERS: Final = {"csv": ",", "tsv": "\t"}


_QUOTED = re.compile(rb'[^"]*+(?:""[^"]*+)*+')
"""The inside of a quoted column as far as a line has it; possessive, or a line of quotes takes memory a hundredfold."""


class Row(NamedTuple):
    """Columns of a row that starts on line `line` (from 0) and has `lines` lines; `reason` where it is none."""

    columns: list[bytes]
    line: int
    lines: int
    reason: str = ""
    detail: str = ""


def read_records(path: Path, name: str, config: ReaderConfig) -> Iterator[Record | Drop]:
    """Records of the CSV or TSV file at `path`; `name` is its path in the inventory."""
    start, stop = config.bounds()
    delimiter = (config.delimiter or _DELIMITERS[config.format]).encode()
    events = _line_feeds(utf8_chunks(decompressed(path, config), config.encoding))
    names = list(config.columns)
    number = 0
    for row in split_rows(split_lines(events, config.max_line_bytes), delimiter, config):
        if isinstance(row, Problem):
            yield Drop(f"{name}#byte-{row.place}", row.reason, row.detail)
            continue
        if not names:
            names = [column.decode("utf-8", "replace").strip() for column in row.columns]
            if row.reason or not any(names) or len(set(names)) < len(names):
                why = row.detail or f"line {row.line + 1} names no columns, or one twice: {names}"
                yield Drop(f"{name}#header", row.reason or "no_header", detail(f"the file is not read: {why}"))
                return
            continue
        if stop is not None and number >= stop:
            return
        locator = f"{name}#{number}"
        number += 1
        if number <= start:
            continue
        if row.reason:
            yield Drop(locator, row.reason, row.detail)
        elif len(row.columns) != len(names):
            place = f"line {row.line + 1}" + (f" to {row.line + row.lines}" if row.lines > 1 else "")
            counts = f"{place}: {len(row.columns)} columns, the header has {len(names)}"
            yield Drop(locator, "wrong_columns", counts)
        else:
            values = {name: _text(column) for name, column in zip(names, row.columns, strict=True)}
            yield record_of(values, locator, config)


def _line_feeds(events: Iterable[Chunk | Problem]) -> Iterator[Chunk | Problem]:
    """The same events; where the first piece has carriage returns alone, as old spreadsheets write, they end lines."""
    lone: bool | None = None
    for event in events:
        if isinstance(event, Chunk):
            if lone is None:
                lone = b"\r" in event.data[:-1] and b"\n" not in event.data
            if lone:
                event = event._replace(data=event.data.replace(b"\r", b"\n"))
        yield event


def split_rows(lines: Iterable[Line | Problem], delimiter: bytes, config: ReaderConfig) -> Iterator[Row | Problem]:
    """Rows and the problems of the stream; blank lines between rows are none."""
    cut = _Columns(delimiter, config.quoting == "rfc4180")
    held: list[Line] = []  # lines of a row whose quote is open
    size = rescans = 0
    waiting = iter(lines)
    again: list[Line] = []  # lines to read once more, last first
    while True:
        event = again.pop() if again else next(waiting, None)
        grown = size + (event.size if isinstance(event, Line) else 0)
        if isinstance(event, Line) and not event.torn and grown <= config.max_line_bytes:
            if held or delimiter in event.data or (event.data and not event.data.isspace()):
                columns = cut.add(event.data)
                held.append(event)
                size = grown + 1
                if columns is not None:
                    yield Row(columns, held[0].number, len(held))
                    held, size = [], 0
                elif cut.broken:
                    event = None
            if not cut.broken:
                continue
        if held:
            first, rest = held[0], held[1:]
            held, size = [], 0
            cut.reset()
            if isinstance(event, Line):
                again.append(event)
            elif event is not None:
                waiting = _before(event, waiting)
            rescans += 1
            told = f"line {first.number + 1} opens a quote that does not end"
            if rescans <= MAX_RESCANS:
                again += reversed(rest)
                yield Row([], first.number, 1, "unclosed_quote", told)
            else:
                lost = f"{told}; {len(rest) + 1} lines are not read"
                yield Row([], first.number, len(rest) + 1, "unclosed_quote", lost)
        elif event is None:
            return
        elif isinstance(event, Problem):
            yield event
        elif event.torn:
            told = f"line {event.number + 1} breaks off after {event.size} bytes"
            yield Row([], event.number, 1, "torn_record", told)
        else:
            limit = f"line {event.number + 1}: {event.size} bytes, the limit is {config.max_line_bytes}"
            yield Row([], event.number, 1, "line_too_long", limit)


def _before(first: Problem, rest: Iterator[Line | Problem]) -> Iterator[Line | Problem]:
    yield first
    yield from rest


class _Columns:
    """Cuts lines into columns; a quoted column may go on in the next line."""

    def __init__(self, delimiter: bytes, quoted: bool) -> None:
        self._delimiter, self._quoted = delimiter, quoted
        self.reset()

    def reset(self) -> None:
        self.broken = False  # a column of several lines ends in a quote with text behind it: it was never meant to
        self._done: list[bytes] = []
        self._open: list[bytes] | None = None  # pieces of the quoted column that is not closed

    def add(self, line: bytes) -> list[bytes] | None:
        """The columns of the row that ends with this line, or None while a quote is open."""
        if self._open is None and (not self._quoted or b'"' not in line):
            return line.split(self._delimiter)
        at = 0
        if self._open is not None:
            at = self._close(line, 0)
            if at < 0:
                return None
        elif line.startswith(b'"'):
            self._open = []
            at = self._close(line, 1)
            if at < 0:
                return None
        else:
            at = self._next_plain(line, 0)
        while at <= len(line):
            if line.startswith(b'"', at):
                self._open = []
                at = self._close(line, at + 1)
                if at < 0:
                    return None
            else:
                at = self._next_plain(line, at)
        columns, self._done = self._done, []
        return columns

    def _next_plain(self, line: bytes, at: int) -> int:
        """Take the unquoted column at `at`; returns where the next one begins, beyond the line if there is none."""
        end = line.find(self._delimiter, at)
        end = len(line) if end < 0 else end
        self._done.append(line[at:end])
        return end + 1

    def _close(self, line: bytes, at: int) -> int:
        """Take the rest of the open column; returns where the next one begins, or -1 where it goes on behind the line.

        What stands between the closing quote and the delimiter belongs to the column, as other readers have it, unless
        the column began on an earlier line.
        """
        assert self._open is not None
        later = bool(self._open)
        quote = _QUOTED.match(line, at).end()  # type: ignore[union-attr]  # matches the empty run too
        self._open.append(line[at:quote].replace(b'""', b'"'))
        if quote == len(line):
            self._open.append(b"\n")
            return -1
        end = line.find(self._delimiter, quote + 1)
        end = len(line) if end < 0 else end
        self.broken = later and end > quote + 1
        if self.broken:
            return -1
        self._done.append(b"".join(self._open) + line[quote + 1 : end])
        self._open = None
        return end + 1


def _text(column: bytes) -> str | bytes:
    try:
        return column.decode("utf-8")
    except UnicodeDecodeError:
        return column
