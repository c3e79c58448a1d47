"""From rows to requests and back: ranges of neighbouring records, and the proof that a piece is its row's record.

Rows of one file whose gap is at most `gap_bytes` share a range of at most `max_range_bytes`. A piece is one record when
it is one whole gzip member, its WARC header names the row's URL, and its payload has the row's digest (SHA-1 in base
32). Where the archive's own payload digest agrees with the index while the stored bytes do not (a body that was cut or
re-coded by the crawler after it was digested), the record is kept and told apart as `fetched:digest_by_header`. A
revisit (not modified, or the payload of an earlier record) has no payload to digest: it is kept as `fetched:revisit`.
"""

import base64
import hashlib
import re
import zlib
from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

from pipelines.corpus.acquisition.commoncrawl.rows import IndexRow

_HEADER: Final = re.compile(rb"^([A-Za-z0-9-]+)[ \t]*:[ \t]*(.*?)[ \t]*\r?$", re.MULTILINE)
_CHUNK: Final = re.compile(rb"([0-9A-Fa-f]{1,8})[^\r\n]*\r?\n")


class Range(NamedTuple):
    """One request: bytes `start` to `end` (excluded) of a file, for rows `first` to `first + len(rows)`."""

    filename: str
    start: int
    end: int
    first: int
    rows: tuple[IndexRow, ...]


class Verdict(NamedTuple):
    """`outcome` is `fetched`, `fetched:digest_by_header`, `fetched:revisit`, or why the piece is not the record.

    `date` is its WARC-Date.
    """

    outcome: str
    detail: str
    date: str = ""


def plan_ranges(rows: Sequence[IndexRow], *, gap: int, longest: int) -> Iterator[Range]:
    """Ranges that cover the rows (in the order of fetching), each row in one."""
    start = 0
    while start < len(rows):
        head = rows[start]
        low, high, stop = head.offset, head.offset + head.length, start + 1
        while stop < len(rows) and rows[stop].filename == head.filename:
            row = rows[stop]
            reach = max(high, row.offset + row.length)
            if row.offset > high + gap or reach - low > longest:
                break
            high, stop = reach, stop + 1
        yield Range(head.filename, low, high, start, tuple(rows[start:stop]))
        start = stop


def verify(piece: bytes, row: IndexRow, max_decoded: int) -> Verdict:
    """Whether `piece`, the bytes that the row names, is the row's record."""
    inflater = zlib.decompressobj(31)
    try:
        data = inflater.decompress(piece, max_decoded + 1)
    except zlib.error as error:
        return Verdict("corrupt_member", str(error)[:200])
    if len(data) > max_decoded:
        return Verdict("bomb", f"more than {max_decoded} bytes")
    if not inflater.eof or inflater.unused_data:
        return Verdict("corrupt_member", "the range is not one whole gzip member")
    head, blank, block = data.partition(b"\r\n\r\n")
    if not head.startswith(b"WARC/") or not blank:
        return Verdict("not_warc", repr(data[:40]))
    fields = {name.lower(): value for name, value in _HEADER.findall(head)}
    url = fields.get(b"warc-target-uri", b"").strip(b"<>").decode("utf-8", "replace")
    if url != row.url:
        return Verdict("wrong_record", f"the record is of {url[:300]!r}")
    kind = fields.get(b"warc-type", b"").decode("latin-1")
    if kind not in ("response", "revisit"):
        return Verdict("wrong_record", f"a {kind[:40]!r} record")
    length = fields.get(b"content-length", b"")
    if not length.isdigit() or len(block) < int(length[:18]):
        return Verdict("corrupt_member", "shorter than its Content-Length")
    date = fields.get(b"warc-date", b"").decode("latin-1")
    named = fields.get(b"warc-payload-digest", b"").decode("latin-1").removeprefix("sha1:").upper()
    if kind == "revisit" and row.digest.upper() in ("", named or row.digest.upper()):
        return Verdict("fetched:revisit", "" if named and row.digest else "no digest to compare", date)
    return _payload(block[: int(length[:18])], row, named, date)


def _payload(block: bytes, row: IndexRow, named: str, date: str) -> Verdict:
    """Compare digests: of the payload as it is stored, of the payload without chunks, and the archive's own."""
    wanted = row.digest.upper() or named
    if not wanted:
        return Verdict("fetched", "no digest to compare", date)
    _, _, body = block.partition(b"\r\n\r\n")
    if _sha1(body) == wanted:
        return Verdict("fetched", "", date)
    joined = _unchunked(body)
    if joined is not None and _sha1(joined) == wanted:
        return Verdict("fetched", "", date)
    if row.digest and named == wanted:
        return Verdict("fetched:digest_by_header", "", date)
    return Verdict("digest_mismatch", f"the index has {wanted[:40]}, the record {(named or _sha1(body))[:40]}")


def _unchunked(body: bytes) -> bytes | None:
    pieces, at = [], 0
    while (found := _CHUNK.match(body, at)) is not None:
        size = int(found[1], 16)
        pieces.append(body[found.end() : found.end() + size])
        if size == 0:
            return b"".join(pieces)
        at = found.end() + size + 2
    return None


def _sha1(data: bytes) -> str:
    return base64.b32encode(hashlib.sha1(data, usedforsecurity=False).digest()).decode()
