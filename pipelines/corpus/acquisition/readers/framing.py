"""WARC framing: where each record of an archive starts and ends, and the bytes that belong to none.

Chunks and problems of one file come in (`streams.decompressed`). Step 1: a `Window` joins frames into runs of
neighbouring bytes; a problem ends a run. Step 2: at each place the header block is read and `Content-Length` taken.
Step 3: the length is believed only if a record end follows (blank lines, then `WARC/`, a frame's start or the end of
the run) and no frame that starts with `WARC/` lies inside it. Step 4: where it is wrong, the record is a drop and
reading goes on at the next `WARC/` line after its header.

Why not fastwarc's `ArchiveIterator` (2.0.1): it gives an empty body without an error for a truncated gzip member, one
`stream_pos` for all records of a member, and it stops for good at the first bad header. It parses the records that are
framed here (`warc.py`), and is the oracle of the tests. Cost: as `warc.py` says; decompression is the limit.
"""

import re
from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

from pipelines.corpus.acquisition.readers.window import TRAILER_BYTES, Ahead, Window
from pipelines.corpus.acquisition.records import Drop
from pipelines.corpus.acquisition.streams import Chunk, Problem

MAX_HEADER_BYTES = 64 << 10
SKIP_BYTES = 1 << 20
_HEADER_END = re.compile(rb"\r{0,2}\n\r{0,2}\n")
_HEADER_END_BYTES = 6
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
    window = Window(events, file_bytes, _BOUNDARY, len(_BOUNDARY))
    heads = _Heads(
        Ahead(window, _HEADER_END, _HEADER_END_BYTES - 1), Ahead(window, _LENGTH, 0), Ahead(window, _TYPE, 0)
    )
    while window.next_run():
        while window.skip_blank():
            yield _one(window, heads, name, max_bytes, wanted)
        if window.problem is not None:
            yield Drop(f"{name}#{window.problem.place}", window.problem.reason, window.problem.detail)


class _Heads(NamedTuple):
    """The next end of a header block, and the next lines of length and type. A file may be nothing but `WARC/` lines,
    each with 64 KiB behind it in which no header block ends, or one without a length."""

    end: Ahead
    length: Ahead
    kind: Ahead


def _one(window: Window, heads: _Heads, name: str, max_bytes: int, wanted: frozenset[str]) -> RawRecord | Drop:
    """Consume one record or one gap."""
    here = window.place()
    locator = f"{name}#{here}"
    window.fill(MAX_HEADER_BYTES)
    if not window.data.startswith(_BOUNDARY):
        return Drop(locator, "not_a_warc_record", f"{window.resync(0)} bytes without a WARC header")
    head = heads.end.search(min(MAX_HEADER_BYTES, len(window.data)))
    end = head[0] if head else 0
    length, kind = heads.length.search(end), heads.kind.search(end)
    if length is None or kind is None:
        missing = "header end" if not end else "Content-Length" if length is None else "WARC-Type"
        return Drop(locator, "bad_warc_header", f"no valid {missing}; {window.resync(len(b'WARC/'))} bytes skipped")
    size, type_name = int(length[1]), kind[1].decode().lower()
    if window.impossible(end + size):
        skipped = window.resync(end)
        return Drop(
            locator, "truncated_record", f"{type_name} says {size} bytes, the file ends before; {skipped} skipped"
        )
    if size > max_bytes:
        return pass_over(window, locator, end, size, max_bytes, TRAILER_BYTES, Window.ends_record)
    stop = end + size
    have = window.fill(stop + TRAILER_BYTES)
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
        block = bytes(memoryview(window.data)[:stop])
        window.drop(stop)
        return RawRecord(here, type_name, block, end)
    window.drop(stop)
    return Drop(locator, f"record_type_{type_name if type_name in _TYPES else 'other'}", type_name)


def pass_over(
    window: Window, locator: str, end: int, size: int, max_bytes: int, ahead: int, ends: Callable[[Window, int], bool]
) -> Drop:
    """Consume a record above the limit without holding it: after its header, which stops at `end`, `size` bytes.

    `ends` says whether a record ends at an offset, and looks at no more than `ahead` bytes from there.
    """
    window.drop(end)
    left = size
    while left:
        have = min(left, window.fill(min(left, SKIP_BYTES) + ahead))
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
    window.fill(ahead)
    if not ends(window, 0):
        return Drop(
            locator, "wrong_length", f"says {size} bytes, no record ends there; {window.resync(0)} more skipped"
        )
    return Drop(locator, "record_too_large", f"{size} bytes, the limit is {max_bytes}")
