"""A buffer over the runs of neighbouring bytes of an archive, which knows where its frames begin.

Chunks and problems of one file come in (`streams.decompressed`). Step 1: frames are joined into runs; a problem ends a
run. Step 2: the reader of a format fills the buffer, takes records off its start, and asks after a broken record where
the next header begins. Cost: a copy of the bytes, a look at each frame's start, and of each pattern (`Ahead`) one pass,
however many records are broken; memory is one record and one chunk.
"""

import re
from bisect import bisect_left
from collections import deque
from collections.abc import Iterable

from pipelines.corpus.acquisition.streams import Chunk, Problem, place

BLANK_BYTES = 64
TRAILER_BYTES = 16
"""How far behind a record its end is looked for: two line ends and the next header, with room for sloppy writers."""


class Positions:
    """Rising positions: added at the end, forgotten from the start, found by bisection."""

    def __init__(self) -> None:
        self._values: list[int] = []
        self._first = 0

    def append(self, position: int) -> None:
        self._values.append(position)

    def forget_before(self, position: int) -> None:
        self._first = bisect_left(self._values, position, self._first)
        if self._first > len(self._values) // 2:
            del self._values[: self._first]
            self._first = 0

    def at_or_behind(self, position: int) -> int | None:
        """The first of them that is not before `position`."""
        index = bisect_left(self._values, position, self._first)
        return self._values[index] if index < len(self._values) else None


class Window:
    """A buffer over one run of neighbouring bytes; every offset counts from the buffer's start.

    `header` is the pattern of where a record may begin, at a line's start, and matches within `header_bytes` bytes.
    Who asks for frames up to an offset has filled the buffer `header_bytes` beyond it, or to the end of the run.
    `file_bytes` is the file's size on disk: in a plain file no record can reach beyond it.
    """

    def __init__(self, events: Iterable[Chunk | Problem], file_bytes: int, header: bytes, header_bytes: int) -> None:
        self._header, self._line = re.compile(header), re.compile(rb"\n" + header)
        self._header_bytes = header_bytes
        self.data = bytearray()
        self.problem: Problem | None = None
        self._events = iter(events)
        self._file_bytes = file_bytes
        self._run_ended = self._file_ended = False
        self.base = 0
        """Position of data[0] in all runs so far: it never goes back."""
        self._marks: deque[tuple[int, int | None, int]] = deque()  # (position, frame, position in the frame)
        self._starts = Positions()  # where frames begin
        self._unjudged: deque[int] = deque()  # of these, where a header may stand
        self._headers = Positions()  # and where one stands

    def next_run(self) -> bool:
        """Go behind the last problem; False at the end of the file."""
        self.problem, self._run_ended = None, self._file_ended
        self.base += len(self.data)
        self.data.clear()
        self._marks.clear()
        self._unjudged.clear()
        return self.fill(1) > 0 or self.problem is not None

    def fill(self, count: int) -> int:
        """Have `count` bytes, as far as the run has them; returns how many there are, `count` at most."""
        while len(self.data) < count and not self._run_ended:
            event = next(self._events, None)
            if event is None or isinstance(event, Problem):
                self.problem, self._run_ended, self._file_ended = event, True, event is None
            else:
                if not self._marks or self._marks[-1][1] != event.frame:
                    self._mark(event)
                self.data += event.data
        return min(count, len(self.data))

    def _mark(self, chunk: Chunk) -> None:
        """Note that another frame goes on or begins with the chunk."""
        position = self.base + len(self.data)
        self._marks.append((position, chunk.frame, chunk.position))
        if not chunk.position:
            self._starts.append(position)
            self._unjudged.append(position)

    def drop(self, count: int) -> None:
        """Forget the first `count` bytes; the buffer has them."""
        del self.data[:count]
        self.base += count
        while len(self._marks) > 1 and self._marks[1][0] <= self.base:
            self._marks.popleft()
        while self._unjudged and self._unjudged[0] < self.base:
            self._unjudged.popleft()
        self._starts.forget_before(self.base)
        self._headers.forget_before(self.base)

    def place(self) -> str:
        start, frame, position = self._marks[0]
        return place(frame, self.base - start + position)

    def impossible(self, count: int) -> bool:
        """Whether `count` more bytes would lie beyond the end of a plain file."""
        start, frame, position = self._marks[0]
        return frame is None and self.base - start + position + count > self._file_bytes

    def skip_blank(self) -> bool:
        """Pass over blank lines; False at the end of the run."""
        while self.fill(1):
            head = self.data[:BLANK_BYTES]
            blank = len(head) - len(head.lstrip(b"\r\n"))
            if not blank:
                return True
            self.drop(blank)
        return False

    def frame_inside(self, start: int, stop: int) -> int | None:
        """The first offset in [start, stop) where a frame begins with a header."""
        found = self._judged_frame(start)
        if found is not None:
            return found if found < stop else None
        for position in self._unjudged:  # in the last bytes of the buffer
            offset = position - self.base
            if offset >= stop:
                return None
            if offset >= start and self._header.match(self.data, offset):
                return offset
        return None

    def _judged_frame(self, start: int) -> int | None:
        """The first frame at or behind `start` that begins with a header, of those that the buffer has whole.

        Each frame is looked at once.
        """
        whole = self.base + len(self.data) - (0 if self._run_ended else self._header_bytes)
        while self._unjudged and self._unjudged[0] <= whole:
            position = self._unjudged.popleft()
            if self._header.match(self.data, position - self.base):
                self._headers.append(position)
        position_found = self._headers.at_or_behind(self.base + start)
        return None if position_found is None else position_found - self.base

    def ends_record(self, at: int) -> bool:
        """Whether what follows `at` is what follows a record: a blank line, a header, a frame's start or nothing."""
        tail = bytes(self.data[at : at + TRAILER_BYTES])
        rest = tail.lstrip(b"\r\n")
        blank = len(tail) - len(rest)
        return (
            not rest
            or self._header.match(self.data, at + blank) is not None
            or tail.startswith((b"\r\n\r\n", b"\n\n"))
            or self._starts.at_or_behind(self.base + at + blank) == self.base + at + blank
        )

    def resync(self, start: int) -> int:
        """Drop everything before the next header at or behind `start`; returns the bytes dropped behind `start`."""
        dropped = -start
        while True:
            framed = self._judged_frame(start)
            found = self._next_header(max(start - 1, 0), len(self.data) if framed is None else framed)
            framed = self.frame_inside(start, found)
            found = found if framed is None else framed
            if found < len(self.data):
                self.drop(found)
                return dropped + found
            count = max(len(self.data) - self._header_bytes, 0)  # the header may begin in the last bytes
            if not self.fill_more():
                count = len(self.data)
                self.drop(count)
                return dropped + count
            self.drop(count)
            dropped += count
            start = max(start - count, 0)

    def _next_header(self, at: int, stop: int) -> int:
        """The first line's start behind `at` and before `stop` that is a header, or else `stop`."""
        found = self._line.search(self.data, at, stop)
        # A header is one line: of those that begin before `stop` only the last can end behind it.
        last = found.start() if found else self.data.rfind(b"\n", at, stop)
        return last + 1 if found or (last >= 0 and self._header.match(self.data, last + 1)) else stop

    def fill_more(self) -> bool:
        """Read more of the run, if there is more: as much as is kept of the buffer, or it would be searched often."""
        before = len(self.data)
        return self.fill(before + max(self._header_bytes, 1)) > before


class Ahead:
    """The next match of a pattern in a window whose records are asked one after another: each byte is searched once.

    `overlap` is how far before the end of a searched span a match may begin that ends behind it.
    """

    def __init__(self, window: Window, pattern: re.Pattern[bytes], overlap: int) -> None:
        self._window, self._pattern, self._overlap = window, pattern, overlap
        self._searched = 0  # no match that is not found begins before this position
        self._found = (-1, -1, b"")

    def search(self, stop: int) -> tuple[int, bytes] | None:
        """Where the first match in [0, stop) of the buffer ends, and what its last group holds."""
        base = self._window.base
        if self._found[0] < base:
            at = max(self._searched, base)
            match = self._pattern.search(self._window.data, at - base, max(stop, at - base))
            if match is None:
                self._searched = max(self._searched, base + stop - self._overlap)
                return None
            self._searched = base + match.start() + 1
            self._found = (base + match.start(), base + match.end(), bytes(match[match.lastindex or 0]))
        return (self._found[1] - base, self._found[2]) if self._found[1] <= base + stop else None
