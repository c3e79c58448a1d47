"""WARC framing: where each record of an archive starts and ends, and the bytes that belong to none.

Chunks and problems of one file come in (`streams.decompressed`). Step 1: a `Window` over them joins frames into runs
of neighbouring bytes; a problem ends a run. Step 2: at each place the header block is read and `Content-Length` taken.
Step 3: the length is believed only if a record end follows (blank lines, then `WARC/`, a frame's start or the end of
the run) and no frame that starts with `WARC/` lies inside it. Step 4: where it is wrong, the record is a drop and
reading goes on at the next `WARC/` line after its header.

Why not fastwarc's `ArchiveIterator` (2.0.1): it gives an empty body without an error for a truncated gzip member, one
`stream_pos` for all records of a member, and it stops for good at the first bad header. It parses the records that are
framed here (`warc.py`), and is the oracle of the tests. Cost: as `warc.py` says; decompression is the limit.
"""

import re
from collections import deque
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from pipelines.corpus.acquisition.records import Drop
from pipelines.corpus.acquisition.streams import Chunk, Problem, place

MAX_HEADER_BYTES = 64 << 10
SKIP_BYTES = 1 << 20
_TRAILER_BYTES = 16
"""How far behind a record its end is looked for: two line ends and the next `WARC/`, with room for sloppy writers."""
_HEADER_END = re.compile(rb"\r{0,2}\n\r{0,2}\n")
_LENGTH = re.compile(rb"(?mi)^content-length[ \t]*:[ \t]*(\d{1,18})[ \t]*\r{0,2}$")
_TYPE = re.compile(rb"(?mi)^warc-type[ \t]*:[ \t]*([A-Za-z_-]{1,40})[ \t]*\r{0,2}$")
_BOUNDARY = b"WARC/"
_TYPES = frozenset(("warcinfo", "response", "resource", "request", "metadata", "revisit", "conversion", "continuation"))


class RawRecord(NamedTuple):
    """One framed record: its place for the locator, its type in lower case and its bytes, header block included."""

    place: str
    kind: str
    block: bytes
    header_bytes: int


def split_archive(
    events: Iterable[Chunk | Problem], name: str, file_bytes: int, max_bytes: int, wanted: frozenset[str]
) -> Iterator[RawRecord | Drop]:
    """Records of the `wanted` types whole, and a drop for every other record, gap and problem of the archive.

    `file_bytes` is the file's size on disk: in a plain file no record can reach beyond it.
    """
    window = _Window(events, file_bytes)
    while window.next_run():
        while window.skip_blank():
            yield _one(window, name, max_bytes, wanted)
        if window.problem is not None:
            yield Drop(f"{name}#{window.problem.place}", window.problem.reason, window.problem.detail)


def _one(window: "_Window", name: str, max_bytes: int, wanted: frozenset[str]) -> RawRecord | Drop:
    """Consume one record or one gap."""
    here = window.place()
    locator = f"{name}#{here}"
    window.fill(MAX_HEADER_BYTES)
    if not window.data.startswith(_BOUNDARY):
        return Drop(locator, "not_a_warc_record", f"{window.resync(0)} bytes without a WARC header")
    match = _HEADER_END.search(window.data, 0, MAX_HEADER_BYTES)
    end = match.end() if match else 0
    header = bytes(window.data[:end])
    length, kind = _LENGTH.search(header), _TYPE.search(header)
    if length is None or kind is None:
        missing = "header end" if not end else "Content-Length" if length is None else "WARC-Type"
        return Drop(locator, "bad_warc_header", f"no valid {missing}; {window.resync(len(_BOUNDARY))} bytes skipped")
    size, type_name = int(length.group(1)), kind.group(1).decode().lower()
    if window.impossible(end + size):
        skipped = window.resync(end)
        return Drop(
            locator, "truncated_record", f"{type_name} says {size} bytes, the file ends before; {skipped} skipped"
        )
    if size > max_bytes:
        return _pass_over(window, locator, end, size, max_bytes)
    stop = end + size
    have = window.fill(stop + _TRAILER_BYTES)
    inner = window.frame_inside(end, min(stop, have))
    if inner is not None:
        window.drop(inner)
        return Drop(
            locator, "wrong_length", f"{type_name} says {size} bytes, the next record comes after {inner - end}"
        )
    if have < stop:
        skipped = window.resync(end)
        return Drop(
            locator, "truncated_record", f"{type_name} says {size} bytes, {have - end} follow; {skipped} skipped"
        )
    if not window.ends_record(stop):
        skipped = window.resync(end)
        return Drop(locator, "wrong_length", f"{type_name} says {size} bytes, no record ends there; {skipped} skipped")
    if type_name in wanted:
        block = bytes(window.data[:stop])
        window.drop(stop)
        return RawRecord(here, type_name, block, end)
    window.drop(stop)
    return Drop(locator, f"record_type_{type_name if type_name in _TYPES else 'other'}", type_name)


def _pass_over(window: "_Window", locator: str, end: int, size: int, max_bytes: int) -> Drop:
    """Consume a record above the limit without holding it."""
    window.drop(end)
    left = size
    while left:
        have = min(left, window.fill(min(left, SKIP_BYTES) + _TRAILER_BYTES))
        inner = window.frame_inside(0, have)
        if inner is not None:
            window.drop(inner)
            return Drop(
                locator, "wrong_length", f"says {size} bytes, the next record comes after {size - left + inner}"
            )
        if not have:
            return Drop(locator, "truncated_record", f"says {size} bytes, {size - left} follow")
        window.drop(have)
        left -= have
    window.fill(_TRAILER_BYTES)
    if not window.ends_record(0):
        return Drop(
            locator, "wrong_length", f"says {size} bytes, no record ends there; {window.resync(0)} more skipped"
        )
    return Drop(locator, "record_too_large", f"{size} bytes, the limit is {max_bytes}")


class _Window:
    """A buffer over one run of neighbouring bytes; every offset counts from the buffer's start."""

    def __init__(self, events: Iterable[Chunk | Problem], file_bytes: int) -> None:
        self.data = bytearray()
        self.problem: Problem | None = None
        self._events = iter(events)
        self._file_bytes = file_bytes
        self._run_ended = self._file_ended = False
        self._base = 0  # position of data[0] in the run
        self._marks: deque[tuple[int, int | None, int]] = deque()  # (position in the run, frame, position in it)

    def next_run(self) -> bool:
        """Go behind the last problem; False at the end of the file."""
        self.problem, self._run_ended, self._base = None, self._file_ended, 0
        self.data.clear()
        self._marks.clear()
        return self.fill(1) > 0 or self.problem is not None

    def fill(self, count: int) -> int:
        """Have `count` bytes, as far as the run has them; returns how many there are, `count` at most."""
        while len(self.data) < count and not self._run_ended:
            event = next(self._events, None)
            if event is None or isinstance(event, Problem):
                self.problem, self._run_ended, self._file_ended = event, True, event is None
            else:
                if not self._marks or self._marks[-1][1] != event.frame:
                    self._marks.append((self._base + len(self.data), event.frame, event.position))
                self.data += event.data
        return min(count, len(self.data))

    def drop(self, count: int) -> None:
        """Forget the first `count` bytes; the buffer has them."""
        del self.data[:count]
        self._base += count
        while len(self._marks) > 1 and self._marks[1][0] <= self._base:
            self._marks.popleft()

    def place(self) -> str:
        start, frame, position = self._marks[0]
        return place(frame, self._base - start + position)

    def impossible(self, count: int) -> bool:
        """Whether `count` more bytes would lie beyond the end of a plain file."""
        start, frame, position = self._marks[0]
        return frame is None and self._base - start + position + count > self._file_bytes

    def skip_blank(self) -> bool:
        """Pass over blank lines; False at the end of the run."""
        while self.fill(1):
            blank = len(self.data) - len(self.data.lstrip(b"\r\n")) if self.data[0] in b"\r\n" else 0
            if not blank:
                return True
            self.drop(blank)
        return False

    def frame_inside(self, start: int, stop: int) -> int | None:
        """The first offset in [start, stop) where a frame begins with a WARC header."""
        for position, _, inside in self._marks:
            offset = position - self._base
            if start <= offset < stop and not inside and self.data.startswith(_BOUNDARY, offset):
                return offset
        return None

    def ends_record(self, at: int) -> bool:
        """Whether what follows `at` is what follows a record: a blank line, a header, a frame's start or nothing."""
        tail = bytes(self.data[at : at + _TRAILER_BYTES])
        rest = tail.lstrip(b"\r\n")
        blank = len(tail) - len(rest)
        return (
            not rest
            or rest.startswith(_BOUNDARY)
            or tail.startswith((b"\r\n\r\n", b"\n\n"))
            or any(position - self._base == at + blank and not inside for position, _, inside in self._marks)
        )

    def resync(self, start: int) -> int:
        """Drop everything before the next header at or behind `start`; returns the bytes dropped behind `start`."""
        dropped = -start
        while True:
            found = self.data.find(b"\n" + _BOUNDARY, max(start - 1, 0)) + 1 or len(self.data)
            framed = self.frame_inside(start, found)
            found = found if framed is None else framed
            if found < len(self.data):
                self.drop(found)
                return dropped + found
            count = max(len(self.data) - len(_BOUNDARY), 0)  # the header may begin in the last bytes
            if not self.fill_more():
                count = len(self.data)
                self.drop(count)
                return dropped + count
            self.drop(count)
            dropped += count
            start = max(start - count, 0)

    def fill_more(self) -> bool:
        """Read at least one more byte of the run, if there is one."""
        before = len(self.data)
        return self.fill(before + 1) > before
