"""WARC records as odd writers leave them, brought into the dress that the parser knows; asked only where it failed.

Step 1 (`in_usual_dress`): header lines that end in LF or CR CR LF end in CRLF, names and the media type get their usual
case, a missing `Content-Type` is read off the block, a head of HTTP/2 pseudo headers becomes a status line, blank lines
before the status line go; a response or resource that holds a page without any HTTP head gets one. Step 2
(`undone_body`): transfer and content codings that the parser does not undo (x-gzip, raw deflate, a list, one applied
twice, a stream or a chunk that breaks off) are undone here, `limit + 1` bytes at most.
"""

import re
import zlib
from typing import Final

import brotli
import zstandard

from pipelines.corpus.acquisition.readers.framing import RawRecord
from pipelines.corpus.acquisition.streams import ZSTD_FEED_BYTES, ZSTD_WINDOW_BYTES

HEAD_BYTES: Final = 64 << 10
MAX_CODINGS: Final = 4
GZIP_MAGIC: Final = b"\x1f\x8b"
_LINE_END = re.compile(rb"\r{0,2}\n")  # `\r*` tries a run of CR from each of its bytes: 64 KiB cost 3 s
_HEAD_END = re.compile(rb"\r{0,2}\n\r{0,2}\n")
_STATUS_LINE = re.compile(rb"HTTP/\d")
_PSEUDO = re.compile(rb":status[ \t]*:[ \t]*(\d{3})", re.IGNORECASE)
_HTTP_TYPE: Final = b"application/http; msgtype=response"
_CHUNK = re.compile(rb"([0-9A-Fa-f]{1,8})[ \t]*(?:;[^\r\n]{0,200})?\r?\n")
_WEB = re.compile(rb"https?://", re.IGNORECASE)


def in_usual_dress(item: RawRecord) -> RawRecord | None:
    """The record with the header and the HTTP head that the parser expects; None where nothing can be changed."""
    header, block = item.block[: item.header_bytes], item.block[item.header_bytes :]
    first, *lines = (line for line in _LINE_END.split(header) if line)
    fields = [(name.strip(), value.strip()) for name, colon, value in (line.partition(b":") for line in lines) if colon]
    known = {name.lower(): value for name, value in fields}
    media = known.get(b"content-type", b"").strip()
    bare = block.lstrip(b"\r\n")
    if _STATUS_LINE.match(bare):
        block, media = _http_head(bare), _HTTP_TYPE
    elif _PSEUDO.match(bare):
        block, media = _http_head(_status_line(bare)), _HTTP_TYPE
    elif media and not media.lower().startswith((b"application/http", b"text/dns")):
        if not _WEB.match(known.get(b"warc-target-uri", b"").lstrip(b"<")):
            return None  # a log, a screenshot, a list of what the crawler did
        block, media = b"HTTP/1.1 200 OK\r\nContent-Type: " + media + b"\r\n\r\n" + block, _HTTP_TYPE
    else:
        return None
    kept = [
        (name.title().replace(b"Warc-", b"WARC-").replace(b"-Uri", b"-URI"), value)
        for name, value in fields
        if name.lower() not in (b"content-type", b"content-length")
    ]
    kept += [(b"Content-Type", media), (b"Content-Length", b"%d" % len(block))]
    dressed = first + b"\r\n" + b"".join(b"%s: %s\r\n" % pair for pair in kept) + b"\r\n"
    whole = dressed + block
    return None if whole == item.block else RawRecord(item.place, item.kind, whole, len(dressed))


def _http_head(block: bytes) -> bytes:
    """The block with a head whose lines end in CRLF; the body as it is."""
    end = _HEAD_END.search(block, 0, HEAD_BYTES)
    if end is None:
        return block
    lines = _LINE_END.split(block[: end.start()])
    return b"\r\n".join(line for line in lines if not line.startswith(b":")) + b"\r\n\r\n" + block[end.end() :]


def _status_line(block: bytes) -> bytes:
    status = _PSEUDO.match(block)
    assert status is not None
    return b"HTTP/1.1 " + status[1] + b" \r\n" + block


def undone_body(body: bytes, transfer: str, content: str, limit: int) -> bytes | None:
    """The bytes behind the codings that the headers name, as far as they reach; None if they are not what they say."""
    if "chunked" in transfer.lower():
        body = joined_chunks(body) or body
    named = f"{content},{transfer}".lower().replace("chunked", "").split(",")
    codings = [coding.strip() for coding in named if coding.strip()]
    for coding in reversed(codings[:MAX_CODINGS]):
        undone = _undone(body, coding, limit)
        if undone is None:
            return None
        body = undone
    for _ in range(MAX_CODINGS):  # applied more often than it is named
        if not body.startswith(GZIP_MAGIC):
            break
        body = _inflated(body, 31, limit) or b""
    return body


def joined_chunks(body: bytes) -> bytes | None:
    """The data of a chunked body, the last chunk as far as it reaches; None where it does not begin with a chunk."""
    pieces: list[bytes] = []
    at = 0
    while (head := _CHUNK.match(body, at)) is not None:
        size = int(head[1], 16)
        pieces.append(body[head.end() : head.end() + size])
        at = head.end() + size
        if not size or at >= len(body):
            break
        at += 2 if body.startswith(b"\r\n", at) else 1
    return b"".join(pieces) if pieces else None


def _undone(body: bytes, coding: str, limit: int) -> bytes | None:
    if coding in ("gzip", "x-gzip"):
        return _inflated(body, 31, limit)
    if coding == "deflate":  # zlib's format by the standard, raw by many servers
        return _inflated(body, 15, limit) or _inflated(body, -15, limit)
    if coding == "br":
        return _unbrotlied(body, limit)
    if coding == "zstd":
        return _unzstded(body, limit)
    return body  # `none`, `utf-8` and the like: words of servers, no codings


def _inflated(body: bytes, window: int, limit: int) -> bytes | None:
    try:
        return zlib.decompressobj(window).decompress(body, limit + 1) or None
    except zlib.error:
        return None


def _unbrotlied(body: bytes, limit: int) -> bytes | None:
    decoder, pieces, size = brotli.Decompressor(), [], 0  # the parser's own takes whole streams only
    try:
        piece = decoder.process(body, output_buffer_limit=limit + 1)
        while piece and size <= limit:
            pieces.append(piece)
            size += len(piece)
            piece = b"" if decoder.can_accept_more_data() else decoder.process(b"", output_buffer_limit=limit + 1)
    except brotli.error:
        return b"".join(pieces) or None
    return b"".join(pieces)[: limit + 1] or None


def _unzstded(body: bytes, limit: int) -> bytes | None:
    decoder = zstandard.ZstdDecompressor(max_window_size=ZSTD_WINDOW_BYTES).decompressobj()
    out = bytearray()
    try:
        for at in range(0, len(body), ZSTD_FEED_BYTES):
            out += decoder.decompress(body[at : at + ZSTD_FEED_BYTES])
            if len(out) > limit or decoder.eof:
                break
    except zstandard.ZstdError:
        pass
    return bytes(out[: limit + 1]) or None
