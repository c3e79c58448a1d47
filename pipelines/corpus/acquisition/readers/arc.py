"""ARC archives (versions 1 and 2) to records: the pages of the time before WARC.

One archive comes in, plain or compressed. Step 1: framing. A record is a line `URL IP-address date type ... length`,
`length` bytes, and a line end; the length is believed only if a record end follows and no frame with a header lies
inside it, and where it is wrong, reading goes on at the next line that is a header. Step 2: the HTTP response inside is
judged and decoded as that of a WARC record (`warc.response_record`). The file's own description is a counted drop, and
so are DNS answers. Locator: `name#offset`. Cost: as `warc.py`.
"""

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from pipelines.corpus.acquisition.config import ReaderConfig
from pipelines.corpus.acquisition.readers.framing import RawRecord, pass_over
from pipelines.corpus.acquisition.readers.warc import response_record
from pipelines.corpus.acquisition.readers.window import TRAILER_BYTES, Window
from pipelines.corpus.acquisition.records import Drop, Record, detail
from pipelines.corpus.acquisition.streams import decompressed

MAX_LINE_BYTES: Final = 16 << 10
_LINE: Final = (
    rb"([A-Za-z][A-Za-z0-9+.-]{0,30}:[^\r\n]{0,8192}) ([0-9A-Fa-f.:]{2,45}|-) (\d{8,20}) "
    rb"([^ \r\n]{1,255}) (?:[^ \r\n]{0,2048} ){0,5}?([^ \r\n]{1,20})\r?\n"
)
"""URL, address, date, media type, length; version 2 has result code, checksum, location, offset and file between. A URL
may hold spaces, so the line is understood from its end."""
_HEADER = re.compile(_LINE)


def read_records(path: Path, name: str, config: ReaderConfig) -> Iterator[Record | Drop]:
    """Pages of the ARC file at `path`; `name` is its path in the inventory."""
    window = Window(decompressed(path, config), path.stat().st_size, _LINE, MAX_LINE_BYTES)
    while window.next_run():
        while window.skip_blank():
            yield _one(window, name, config.max_record_bytes)
        if window.problem is not None:
            yield Drop(f"{name}#{window.problem.place}", window.problem.reason, window.problem.detail)


def _one(window: Window, name: str, max_bytes: int) -> Record | Drop:
    """Consume one record or one gap."""
    locator = f"{name}#{window.place()}"
    window.fill(MAX_LINE_BYTES)
    match = _HEADER.match(window.data)
    if match is None:
        return Drop(locator, "not_an_arc_record", f"{window.resync(1)} bytes without an ARC header")
    url, _, date, media, length = (bytes(group).decode("utf-8", "replace") for group in match.groups())
    end = match.end()
    if not (length.isascii() and length.isdigit()):
        return Drop(locator, "bad_arc_header", detail(f"length {length}; {window.resync(end)} bytes skipped"))
    size = int(length)
    if window.impossible(end + size):
        return Drop(
            locator, "truncated_record", f"says {size} bytes, the file ends before; {window.resync(end)} skipped"
        )
    if size > max_bytes:
        return pass_over(window, locator, end, size, max_bytes, MAX_LINE_BYTES, _ends)
    stop = end + size
    have = window.fill(stop + max(TRAILER_BYTES, MAX_LINE_BYTES))
    inner = window.frame_inside(end, min(stop, have))
    if inner is not None:
        window.drop(inner)
        return Drop(locator, "wrong_length", f"says {size} bytes, the next record comes after {inner - end}")
    if have < stop:
        return Drop(
            locator, "truncated_record", f"says {size} bytes, {have - end} follow; {window.resync(end)} skipped"
        )
    if not _ends(window, stop):
        return Drop(locator, "wrong_length", f"says {size} bytes, no record ends there; {window.resync(end)} skipped")
    body = bytes(window.data[end:stop])
    window.drop(stop)
    return _record(locator, url, date, media, body, max_bytes)


def _ends(window: Window, at: int) -> bool:
    """Whether a record ends at `at`: as in a WARC, or with the one line end that ARC has between records."""
    return window.ends_record(at) or window.data.startswith((b"\n", b"\r"), at)


def _record(locator: str, url: str, date: str, media: str, body: bytes, max_bytes: int) -> Record | Drop:
    if url.startswith("filedesc:"):
        return Drop(locator, "record_type_arc_header", detail(url))
    if not body.startswith(b"HTTP/"):
        return Drop(locator, "not_http", detail(media))
    # In the dress of a WARC record, so that status, type and encodings are judged by one code.
    head = (
        "WARC/1.0\r\nWARC-Type: response\r\nContent-Type: application/http; msgtype=response\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    ).encode()
    try:
        found = response_record(RawRecord("", "response", head + body, len(head)), locator, max_bytes)
    except (OSError, ValueError) as error:
        return Drop(locator, "bad_http_header", detail(error))
    return found._replace(url=url, fetched_at=_moment(date)) if isinstance(found, Record) else found


def _moment(date: str) -> datetime | None:
    """The time of an ARC date, `YYYYMMDDhhmmss` with digits behind it ignored."""
    try:
        return datetime.strptime(date[:14], "%Y%m%d%H%M%S").replace(tzinfo=UTC)
    except ValueError:
        return None
