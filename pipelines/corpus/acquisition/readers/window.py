"""A buffer over the runs of neighbouring bytes of an archive, which knows where its frames begin.

Chunks and problems of one file come in (`streams.decompressed`). Step 1: frames are joined into runs; a problem ends a
run. Step 2: the reader of a format fills the buffer, takes records off its start, and asks after a broken record where
the next header begins. Cost: a copy of the bytes; memory is one record and one chunk.
"""

import re
from collections import deque
from collections.abc import Iterable

from pipelines.corpus.acquisition.streams import Chunk, Problem, place

BLANK_BYTES = 64
TRAILER_BYTES = 16
"""How far behind a record its end is looked for: two line ends and the next header, with room for sloppy writers."""


class Window:
    """A buffer over one run of neighbouring bytes; every offset counts from the buffer's start.

    `header` is the pattern of where a record may begin, at a line's start, and matches within `header_bytes` bytes.
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
            head = self.data[:BLANK_BYTES]
            blank = len(head) - len(head.lstrip(b"\r\n"))
            if not blank:
                return True
            self.drop(blank)
        return False

    def frame_inside(self, start: int, stop: int) -> int | None:
        """The first offset in [start, stop) where a frame begins with a header."""
        for position, _, inside in self._marks:
            offset = position - self._base
            if start <= offset < stop and not inside and self._header.match(self.data, offset):
                return offset
        return None

    def ends_record(self, at: int) -> bool:
        """Whether what follows `at` is what follows a record: a blank line, a header, a frame's start or nothing."""
        tail = bytes(self.data[at : at + TRAILER_BYTES])
        rest = tail.lstrip(b"\r\n")
        blank = len(tail) - len(rest)
        return (
            not rest
            or self._header.match(self.data, at + blank) is not None
            or tail.startswith((b"\r\n\r\n", b"\n\n"))
            or any(position - self._base == at + blank and not inside for position, _, inside in self._marks)
        )

    def resync(self, start: int) -> int:
        """Drop everything before the next header at or behind `start`; returns the bytes dropped behind `start`."""
        dropped = -start
        while True:
            found = self._next_header(max(start - 1, 0))
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

    def _next_header(self, at: int) -> int:
        """The first line's start behind `at` that is a header; the end of the buffer if there is none."""
        found = self._line.search(self.data, at)
        return found.start() + 1 if found else len(self.data)

    def fill_more(self) -> bool:
        """Read at least one more byte of the run, if there is one."""
        before = len(self.data)
        return self.fill(before + 1) > before
