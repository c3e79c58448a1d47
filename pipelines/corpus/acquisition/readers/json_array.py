"""A JSON array to records, element by element; the file is never held as a whole.

One file that is a JSON array of strings or objects comes in, or one object, which is element 0 then; an object that
another one follows is refused, for it begins a file of JSON Lines. Step 1: a scanner that knows only strings and
brackets finds where each element of the outer array ends. Step 2: each element is parsed on its own, so one bad element
is one drop and the next is read. Locator: `name#element`, from 0. Memory: one element of at most `max_line_bytes`.
Cost: 200 to 270 MB/s with parsing where strings are long; an array of small numbers is scanned at 3 MB/s.
"""

import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from pipelines.corpus.acquisition.config import ReaderConfig
from pipelines.corpus.acquisition.lines import utf8_chunks
from pipelines.corpus.acquisition.readers.fields import parse_json, record_of
from pipelines.corpus.acquisition.records import Drop, Record, detail
from pipelines.corpus.acquisition.streams import Chunk, Problem, decompressed

_STRUCTURE = re.compile(rb'["\[\]{},]')
_SPACE = b" \t\r\n"


class Element(NamedTuple):
    """Element `number` of the array. `size` counts its bytes; above the limit `data` is empty."""

    number: int
    data: bytes
    size: int
    torn: bool


def read_records(path: Path, name: str, config: ReaderConfig) -> Iterator[Record | Drop]:
    """Records of the JSON array at `path`; `name` is its path in the inventory."""
    start, stop = config.bounds()
    events = utf8_chunks(decompressed(path, config), config.encoding)
    for element in split_array(events, config.max_line_bytes):
        if isinstance(element, Problem):
            yield Drop(f"{name}#{element.place}", element.reason, element.detail)
            continue
        if stop is not None and element.number >= stop:
            return
        if element.number < start:
            continue
        locator = f"{name}#{element.number}"
        if element.torn:
            yield Drop(locator, "torn_record", f"the array breaks off {element.size} bytes into this element")
        elif element.size > config.max_line_bytes:
            yield Drop(locator, "line_too_long", f"{element.size} bytes, the limit is {config.max_line_bytes}")
        else:
            value = parse_json(element.data, locator)
            yield value if isinstance(value, Drop) else record_of(value.content, locator, config)


def split_array(events: Iterable[Chunk | Problem], max_bytes: int) -> Iterator[Element | Problem]:
    """The elements of a JSON array as bytes, longer ones by their size alone, and the problems of the stream.

    After a break in the stream nothing says where an element starts, so the rest of the file is one problem.
    """
    scanner = _Scanner(max_bytes)
    broken = False
    for event in events:
        if isinstance(event, Problem):
            if scanner.open and not broken:
                yield scanner.torn()
            broken = True
            yield event
        elif broken and not scanner.closed:
            yield Problem(
                "end", "torn_record", "an array cannot be read past a break; the rest of the file is not read"
            )
            return
        else:
            yield from scanner.feed(event.data)
            if scanner.refused:
                return
    if scanner.alone is not None:
        yield scanner.alone
    if broken or scanner.closed:
        return
    if scanner.open:
        yield scanner.torn()
    elif scanner.started:
        yield Problem("end", "torn_record", f"the array has no end after {scanner.number} elements")
    else:
        yield Problem("0", "not_a_json_array", "the file is empty")


class _Scanner:
    """Position in the array: before it, inside an element, or after it."""

    def __init__(self, max_bytes: int) -> None:
        self.number = 0
        self.started = self.closed = self.refused = self.single = False
        self.alone: Element | None = None  # the object that is no array's, until something other than a space follows
        self._max_bytes = max_bytes
        self._held: list[bytes] = []
        self._size = 0
        self._depth = 0  # brackets open inside the element
        self._in_string = False
        self._odd_backslashes = False  # the data so far ends in a string with an odd run of backslashes
        self._after_comma = False

    @property
    def open(self) -> bool:
        """An element has begun and not ended."""
        return self._size > 0

    def torn(self) -> Element:
        return Element(self.number, b"", self._size, torn=True)

    def feed(self, data: bytes) -> Iterator[Element | Problem]:
        at = 0
        if not self.started:
            at = len(data) - len(data.lstrip(_SPACE))
            if at == len(data):
                return
            self.started = True
            if data[at : at + 1] == b"{":
                self.single, at = True, at - 1  # the object is the one element of an array that nobody opened
            elif data[at : at + 1] != b"[":
                self.refused = True
                found = detail(data[at : at + 40].decode("utf-8", "replace"))
                yield Problem("0", "not_a_json_array", f"expected `[`, found {found}")
                return
            at += 1
        if self.closed:
            yield from self._after(data)
            return
        begin = at  # where the element's bytes of this chunk start
        while True:
            if self._in_string:
                at = self._end_of_string(data, at)
                if self._in_string:
                    break
                continue
            match = _STRUCTURE.search(data, at)
            if match is None:
                break
            byte, at = match.group(), match.end()
            if byte == b'"':
                self._in_string, self._odd_backslashes = True, False
            elif byte in (b"[", b"{"):
                self._depth += 1
            elif self._depth and byte != b",":
                self._depth -= 1
                if self.single and not self._depth:
                    self._hold(data[begin:at])
                    self.closed = True
                    self.alone = self._take()
                    yield from self._after(data[at:])
                    return
            elif not self._depth and byte in (b",", b"]"):
                self._hold(data[begin : at - 1])
                self.closed = byte == b"]"
                if self.open or byte == b"," or self._after_comma:
                    yield self._take()
                self._after_comma = byte == b","
                begin = at
                if self.closed:
                    yield from self._after(data[at:])
                    return
        self._hold(data[begin:])

    def _after(self, data: bytes) -> Iterator[Element | Problem]:
        rest = data.lstrip(_SPACE)
        if rest and not self.refused:
            self.refused = True
            if self.alone is not None and rest.startswith(b"{"):
                self.alone = None
                yield Problem(
                    "0", "not_a_json_array", "an object follows the first one: JSON Lines are `format: jsonl`"
                )
                return
            if self.alone is not None:
                yield self.alone
                self.alone = None
            yield Problem("end", "trailing_data", f"bytes after the array's end, after {self.number} elements")

    def _end_of_string(self, data: bytes, at: int) -> int:
        """The position after the string's closing quote, or the end of `data` with the state kept.

        A quote closes the string when an even run of backslashes stands before it; a run is looked at once, from the
        quote behind it, so a string of backslashes costs linear time.
        """
        start = at
        while (quote := data.find(b'"', at)) >= 0:
            if not self._odd_run(data, start, quote):
                self._in_string, self._odd_backslashes = False, False
                return quote + 1
            at = quote + 1
            start, self._odd_backslashes = at, False
        self._odd_backslashes = self._odd_run(data, start, len(data))
        return len(data)

    def _odd_run(self, data: bytes, start: int, end: int) -> bool:
        """Whether the run of backslashes that ends at `end` is odd, counting one carried into `start`."""
        body = data[start:end]
        run = len(body) - len(body.rstrip(b"\\"))
        carried = self._odd_backslashes and run == len(body)
        return (run + carried) % 2 == 1

    def _hold(self, piece: bytes) -> None:
        if not self._size:
            piece = piece.lstrip(_SPACE)
        self._size += len(piece)
        if self._size > self._max_bytes:
            self._held.clear()
        elif piece:
            self._held.append(piece)

    def _take(self) -> Element:
        data = b"".join(self._held) if self._size <= self._max_bytes else b""
        element = Element(self.number, data, self._size, torn=False)
        self.number += 1
        self._held, self._size = [], 0
        return element
