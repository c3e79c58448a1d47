"""WARC and WET archives to records: pages and plain text; everything else is a counted drop.

One archive comes in, plain or compressed. Step 1: framing (`framing.split_archive`). Step 2: fastwarc parses the
headers of the response (WARC) or conversion (WET) records. Step 3: status and content type decide; a missing content
type is judged by the body's first bytes. Step 4: transfer and content encodings are undone up to `max_record_bytes`; a
header that names an encoding which the body does not have is ignored. Step 5: what the parser does not understand is
tried again in its usual form (`odd_records`), and so is a resource record of a web address, which holds a page without
an HTTP head. Locator: `name#offset`, as in a CDX index. An ARC file is one gap here (`arc.py` reads it). Cost: 1.2 GB/s
plain, 600 MB/s of content in gzip members.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from fastwarc.warc import WarcRecord

from pipelines.corpus.acquisition.config import ReaderConfig
from pipelines.corpus.acquisition.readers.framing import RawRecord, split_archive
from pipelines.corpus.acquisition.readers.odd_records import GZIP_MAGIC, in_usual_dress, joined_chunks, undone_body
from pipelines.corpus.acquisition.records import Drop, Record, detail, moment
from pipelines.corpus.acquisition.streams import decompressed

_HTML_TYPES: Final = frozenset(("text/html", "application/xhtml+xml"))
_TEXT_TYPES: Final = frozenset(("text/plain", "text/markdown"))
_SNIFFED: Final = (b"<!doctype html", b"<html", b"<head", b"<body")
HEAD_BYTES: Final = 16 << 10
"""Both heads of most records end before; where nothing follows them here, the whole record is parsed."""
_DECODINGS: Final = ("all", "content", "transfer", "none")
"""Tried in order: old crawlers stored bodies already unchunked or decompressed and kept the headers."""
_MISUNDERSTOOD: Final = frozenset(("not_http", "bad_http_header", "bad_warc_header", "empty_record"))


def read_records(path: Path, name: str, config: ReaderConfig) -> Iterator[Record | Drop]:
    """Pages of a WARC file, or texts of a WET file, by `config.format`; `name` is its path in the inventory."""
    wet = config.format == "wet"
    wanted = frozenset(("conversion",) if wet else ("response", "resource"))
    size = path.stat().st_size
    for item in split_archive(decompressed(path, config), name, size, config.max_record_bytes, wanted):
        if isinstance(item, Drop):
            yield item
            continue
        locator = f"{name}#{item.place}"
        try:
            yield _conversion(item, locator) if wet else _page(item, locator, config.max_record_bytes)
        except (OSError, ValueError) as error:
            yield Drop(locator, "bad_warc_header", detail(error))


def _conversion(item: RawRecord, locator: str) -> Record | Drop:
    record = WarcRecord.from_bytes(item.block)
    languages = record.headers.get("WARC-Identified-Content-Language") or ""
    return Record(
        locator=locator,
        url=record.headers.get("WARC-Target-URI"),
        body=item.block[item.header_bytes :],
        content_type="text/plain",
        charset="utf-8",
        fetched_at=moment(record.headers.get("WARC-Date")),
        meta={"languages": languages} if languages else {},
        kind="text",
    )


def _page(item: RawRecord, locator: str, max_bytes: int) -> Record | Drop:
    """The page in a response or resource record, in whatever form its writer left it."""
    found: Record | Drop = Drop(locator, f"record_type_{item.kind}", item.kind)
    if item.kind == "response":
        try:
            found = response_record(item, locator, max_bytes)
        except (OSError, ValueError) as error:
            found = Drop(locator, "bad_warc_header", detail(error))
        if isinstance(found, Record) or found.reason not in _MISUNDERSTOOD:
            return found
    again = in_usual_dress(item)
    if again is None and item.kind == "response":
        return found
    dressed = response_record(again or item, locator, max_bytes)
    return found if isinstance(dressed, Drop) and item.kind != "response" else dressed


def response_record(item: RawRecord, locator: str, max_bytes: int) -> Record | Drop:
    """The page in a response record, or why there is none; OSError or ValueError for headers that cannot be parsed."""
    record, start = _headers(item.block)
    http = record.http_headers
    if not record.is_http:
        return Drop(locator, "not_http", detail(record.headers.get("Content-Type")))
    status = http.status_code if http is not None else None
    if status is None:
        return Drop(locator, "bad_http_header", detail(http.status_line if http is not None else "none"))
    if status != 200:
        return Drop(locator, "http_status", str(status))
    media_type = (record.http_content_type or "").partition(",")[0].strip().lower()
    if media_type and media_type not in _HTML_TYPES and media_type not in _TEXT_TYPES:
        return Drop(locator, "content_type", detail(media_type))
    encoded = http.get("Content-Encoding") or http.get("Transfer-Encoding")
    body = _body(item.block, max_bytes) if encoded else item.block[start : start + max_bytes + 1]
    transfer = http.get("Transfer-Encoding") or ""
    if body is None or body.startswith(GZIP_MAGIC) or (transfer and joined_chunks(body[:16])):
        body = _undone(item.block, transfer, http.get("Content-Encoding") or "", max_bytes)
    if body is None:
        return Drop(locator, "broken_content_encoding", detail(http.get("Content-Encoding")))
    if len(body) > max_bytes:
        return Drop(locator, "record_too_large", f"more than {max_bytes} bytes after decoding")
    if not body:
        return Drop(locator, "empty_record", "the body has no bytes")
    if not media_type and not body[:512].lstrip().lower().startswith(_SNIFFED):
        return Drop(locator, "content_type", "none, and the body does not begin as HTML")
    meta: dict[str, Any] = {}
    if record.headers.get("WARC-Truncated"):
        meta["truncated"] = record.headers.get("WARC-Truncated")
    return Record(
        locator=locator,
        url=(record.headers.get("WARC-Target-URI") or "").strip("<>") or None,
        body=body,
        content_type=media_type or None,
        charset=(record.http_charset or "").strip("\"' ").lower() or None,
        fetched_at=moment(record.headers.get("WARC-Date")),
        meta=meta,
        kind="text" if media_type in _TEXT_TYPES else "html",
    )


def _headers(block: bytes) -> tuple[WarcRecord, int]:
    """The record with its HTTP head parsed, and where its payload begins; pages are not copied for it."""
    for head in (block[:HEAD_BYTES], block):
        record = WarcRecord.from_bytes(head)
        if not record.is_http:
            break
        record.parse_http(auto_decode="none", strict_mode=False)
        payload = len(record.reader.read())
        if payload:
            return record, len(head) - payload
    return record, len(block)


def _undone(block: bytes, transfer: str, content: str, max_bytes: int) -> bytes | None:
    """The payload with its encodings undone by our own means; None where it stays what no text is."""
    record = WarcRecord.from_bytes(block)
    record.parse_http(auto_decode="none", strict_mode=False)
    stored: bytes = record.reader.read()
    body = undone_body(stored, transfer, content, max_bytes)
    return None if body == stored and b"\0" in stored[:512] else body


def _body(block: bytes, max_bytes: int) -> bytes | None:
    """The payload with its encodings undone, `max_bytes + 1` bytes at most; None if no decoding fits."""
    for decoding in _DECODINGS:
        try:
            record = WarcRecord.from_bytes(block)
            record.parse_http(auto_decode=decoding, strict_mode=False)
            body: bytes = record.reader.read(max_bytes + 1)
        except (OSError, ValueError):
            continue
        if decoding in ("transfer", "none") and b"\0" in body[:512]:
            return None  # still compressed
        return body
    return None
