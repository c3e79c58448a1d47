"""The journal of a crawl: a JSON line per settled URL, robots.txt and end, so that a killed crawl goes on where it was.

A line is written after the WARC records that it names. On opening, a torn last line is cut off. Lines of URLs that lie
under the crawl's base are stored relative to it (`/topics.html`), because a site started for the crawl has another port
after a restart. The file is locked: two crawls never write one folder.
"""

import fcntl
import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, BinaryIO, Self

from pipelines.core.errors import GristmillError

JOURNAL_NAME = "crawl.journal.jsonl"

Event = dict[str, Any]


class JournalError(GristmillError):
    """The folder holds another crawl, or one that is running."""


class Journal:
    """Append-only events; `events` are those of the earlier runs, without the header."""

    def __init__(self, path: Path, header: Event) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._path = path
        self._stream: BinaryIO = path.open("a+b", buffering=0)
        try:
            fcntl.flock(self._stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            self._stream.close()
            raise JournalError(
                f"{path}: another crawl is writing this folder; wait for it or use another folder"
            ) from error
        events, ends = _read(self._stream)
        if not events:
            self._stream.truncate(0)
            self.append(header)
        elif events[0] != header:
            changed = sorted(
                name for name in header.keys() | events[0].keys() if header.get(name) != events[0].get(name)
            )
            self._stream.close()
            raise JournalError(
                f"{path}: this folder holds a crawl with another {', '.join(changed)}; "
                "use a new folder, or the configuration it began with"
            )
        else:
            self._stream.truncate(ends[-1])
        self.events: list[Event] = events[1:]
        self._starts = ends[:-1]

    def append(self, event: Event) -> None:
        data = json.dumps(event, separators=(",", ":"), ensure_ascii=True).encode() + b"\n"
        self._stream.write(data)

    def replay(self) -> Iterator[Event]:
        """All events that are in the file by now, one at a time, without the header."""
        with self._path.open("rb") as stream:
            next(stream)
            for line in stream:
                yield json.loads(line)

    def keep_before(self, lost: Callable[[Event], bool]) -> None:
        """Cut the journal before the first event that is `lost`."""
        for index, event in enumerate(self.events):
            if lost(event):
                self._stream.truncate(self._starts[index])
                del self.events[index:]
                return

    def sync(self) -> None:
        os.fsync(self._stream.fileno())

    def close(self) -> None:
        self._stream.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _read(stream: BinaryIO) -> tuple[list[Event], list[int]]:
    """The whole events from the start, and where each ends; stops at the first line that is torn."""
    stream.seek(0)
    events: list[Event] = []
    ends: list[int] = []
    for line, end in _lines(stream):
        try:
            event = json.loads(line)
        except ValueError:
            break
        if not line.endswith(b"\n") or not isinstance(event, dict):
            break
        events.append(event)
        ends.append(end)
    return events, ends


def _lines(stream: BinaryIO) -> Iterator[tuple[bytes, int]]:
    end = 0
    for line in stream:
        end += len(line)
        yield line, end
