"""WARC 1.1 files (ISO 28500:2017) of a crawl, written so that equal exchanges give equal bytes.

Each file starts with a `warcinfo` record; each exchange is a `request` and a `response` record; each record is a gzip
member of its own, so a record can be read from its offset alone. Heads and bodies are the bytes of the wire, with two
exceptions that readers need: a chunked body is stored joined and its framing headers are renamed
`X-Crawler-Transfer-Encoding` and `X-Crawler-Content-Length` (Common Crawl's convention; a payload is defined without
transfer coding, and readers do not agree on digests of chunked bytes), and head lines end in CRLF, lines that are no
header left out. Content encodings (gzip) stay as they came. Digests are SHA-1 in base 32, as all readers check them.
Record ids are UUIDs of (type, URL, date, block digest).

A file has the suffix `.open` until it is complete: fsynced, then renamed. After a kill, `WarcWriter` goes on at the
offset that the journal vouches for and cuts off what lies behind it. The cost is compression: about 40 MB/s of HTML at
level 6.
"""

import base64
import hashlib
import os
import re
import uuid
import zlib
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO, Final, NamedTuple

from pipelines.core.fingerprint import Algorithm
from pipelines.corpus.acquisition.crawl.fetch import Exchange

WARC_WRITER = Algorithm("warc_writer", 1)
OPEN_SUFFIX: Final = ".open"
CONFORMS_TO: Final = "http://iipc.github.io/warc-specifications/specifications/warc-format/warc-1.1/"

_HEADER_LINE = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+:")
_FRAMING = re.compile(rb"(transfer-encoding|content-length)(?=:)", re.IGNORECASE)


class Position(NamedTuple):
    """The end of a record: number of the file, and bytes of the file up to there."""

    file: int
    end: int


class WarcWriter:
    """Appends records to numbered files `<prefix>-00000.warc.gz` in one folder; `info` joins each file's warcinfo."""

    def __init__(
        self,
        folder: Path,
        *,
        prefix: str,
        info: Mapping[str, str],
        max_bytes: int,
        level: int,
        resume: Position | None,
    ) -> None:
        self._folder = folder
        self._prefix = prefix
        self._info = info
        self._max_bytes = max_bytes
        self._level = level
        self._stream: BinaryIO | None = None
        self._info_id = ""
        self._file, self._end = 0, 0
        folder.mkdir(parents=True, exist_ok=True)
        if resume is not None:
            self._resume(resume)
        for stale in sorted(folder.glob(f"{prefix}-*.warc.gz{OPEN_SUFFIX}")):
            if self._stream is None or stale != self._path(self._file, complete=False):
                stale.unlink()

    def write(self, exchange: Exchange) -> Position:
        """Append the request and the response; returns where the response ends."""
        date = warc_date(exchange.date)
        head, body = stored_head(exchange), exchange.body
        block = head + body
        response_id = record_id("response", exchange.url, date, block)
        peer = {"WARC-IP-Address": exchange.peer} if exchange.peer else {}

        def both(info_id: str) -> bytes:
            shared = {"WARC-Target-URI": exchange.url, **peer, "WARC-Warcinfo-ID": info_id}
            request = self._member(
                record(
                    "request",
                    record_id("request", exchange.url, date, exchange.request),
                    date,
                    {**shared, "WARC-Concurrent-To": response_id},
                    exchange.request,
                    content_type="application/http; msgtype=request",
                )
            )
            response = record(
                "response",
                response_id,
                date,
                {**shared, "WARC-Payload-Digest": digest(body)},
                block,
                content_type="application/http; msgtype=response",
            )
            return request + self._member(response)

        # The id of the file's warcinfo is part of the records, so a record that opens a new file is packed again.
        packed = both(self._info_id) if self._stream is not None else b""
        if self._stream is not None and self._end + len(packed) > self._max_bytes:
            self._complete()
        if self._stream is None:
            self._begin(date)
            packed = both(self._info_id)
        assert self._stream is not None
        self._stream.write(packed)
        self._stream.flush()
        self._end += len(packed)
        return Position(self._file, self._end)

    def append(self, members: bytes, date: str) -> Position:
        """Append whole gzip members that another crawler wrote, as they are; returns where they end."""
        if self._stream is not None and self._end + len(members) > self._max_bytes:
            self._complete()
        if self._stream is None:
            self._begin(date)
        assert self._stream is not None
        self._stream.write(members)
        self._stream.flush()
        self._end += len(members)
        return Position(self._file, self._end)

    def sync(self) -> None:
        """What was written survives a power cut from here on."""
        if self._stream is not None:
            self._stream.flush()
            os.fsync(self._stream.fileno())

    def finish(self) -> tuple[Path, ...]:
        """Complete the last file; returns all files in order."""
        if self._stream is not None:
            self._complete()
        return complete_files(self._folder, self._prefix)

    def close(self) -> None:
        """Leave the last file open for a later resume."""
        if self._stream is not None:
            self._stream.close()
            self._stream = None

    def _begin(self, date: str) -> None:
        name = self._path(self._file).name
        lines = {
            "software": f"gristmill {WARC_WRITER.name}/{WARC_WRITER.version}",
            "format": "WARC File Format 1.1",
            "conformsTo": CONFORMS_TO,
            **self._info,
        }
        block = "".join(f"{key}: {value}\r\n" for key, value in lines.items()).encode()
        self._info_id = record_id("warcinfo", name, date, block)
        packed = self._member(
            record(
                "warcinfo", self._info_id, date, {"WARC-Filename": name}, block, content_type="application/warc-fields"
            )
        )
        self._stream = self._path(self._file, complete=False).open("wb")
        self._stream.write(packed)
        self._end = len(packed)

    def _complete(self) -> None:
        assert self._stream is not None
        self.sync()
        self._stream.close()
        self._stream = None
        self._path(self._file, complete=False).rename(self._path(self._file))
        sync_folder(self._folder)
        self._file, self._end = self._file + 1, 0

    def _resume(self, position: Position) -> None:
        complete = self._path(position.file)
        if complete.exists():
            # Killed between completing this file and the first record of the next one.
            self._file = position.file + 1
            return
        path = self._path(position.file, complete=False)
        self._stream = path.open("r+b")
        self._stream.truncate(position.end)
        self._stream.seek(position.end)
        self._file, self._end = position
        with path.open("rb") as stream:
            self._info_id = _first_record_id(stream)

    def _path(self, number: int, *, complete: bool = True) -> Path:
        return self._folder / f"{self._prefix}-{number:05d}.warc.gz{'' if complete else OPEN_SUFFIX}"

    def _member(self, data: bytes) -> bytes:
        # zlib's own gzip header: no name, time 0, so equal records are equal bytes.
        packer = zlib.compressobj(self._level, zlib.DEFLATED, 31)
        return packer.compress(data) + packer.flush()


def record(kind: str, identifier: str, date: str, headers: dict[str, str], block: bytes, *, content_type: str) -> bytes:
    """One WARC record, uncompressed."""
    lines = {
        "WARC-Type": kind,
        "WARC-Record-ID": identifier,
        "WARC-Date": date,
        **headers,
        "WARC-Block-Digest": digest(block),
        "Content-Type": content_type,
        "Content-Length": str(len(block)),
    }
    head = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
    return b"WARC/1.1\r\n" + head.encode() + b"\r\n" + block + b"\r\n\r\n"


def record_id(kind: str, target: str, date: str, block: bytes) -> str:
    """The id of a record as a function of what it is, in URN form."""
    name = "\n".join((kind, target, date, digest(block)))
    return f"<urn:uuid:{uuid.uuid5(uuid.NAMESPACE_URL, name)}>"


def digest(data: bytes) -> str:
    """`sha1:` and base 32."""
    return f"sha1:{base64.b32encode(hashlib.sha1(data, usedforsecurity=False).digest()).decode()}"


def warc_date(seconds: float) -> str:
    """UTC to the second: fractions are legal in 1.1 but not read everywhere."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def stored_head(exchange: Exchange) -> bytes:
    """The response head to store: CRLF line ends, header lines alone, framing renamed when the body was chunked."""
    status, *rest = exchange.head
    # http.client accepts any HTTP/1.x and 0.9; archive readers know 1.0 and 1.1.
    lines = [re.sub(rb"^HTTP/(?!1\.[01] )\S*", b"HTTP/1.1", status.strip())]
    for line in rest:
        text = line.rstrip(b"\r\n")
        if text[:1] in (b" ", b"\t") and text.strip() and len(lines) > 1:
            lines[-1] += b" " + text.strip()  # obsolete line folding, unfolded as RFC 9112 section 5.2 asks
        elif _HEADER_LINE.match(text):
            lines.append(
                _FRAMING.sub(rb"X-Crawler-\1", text, count=1) if exchange.chunked and _FRAMING.match(text) else text
            )
    if exchange.chunked:
        lines.append(b"Content-Length: %d" % len(exchange.body))
    return b"\r\n".join(lines) + b"\r\n\r\n"


def whole_records(path: Path) -> Iterator[int]:
    """The offset behind each whole gzip member from the start of a file; a torn or damaged tail ends the sequence."""
    offset = 0
    inflater = zlib.decompressobj(31)
    with path.open("rb") as stream:
        data = stream.read(1 << 20)
        while data:
            try:
                inflater.decompress(data)
            except zlib.error:
                return
            if inflater.eof:
                offset += len(data) - len(inflater.unused_data)
                yield offset
                data = inflater.unused_data or stream.read(1 << 20)
                inflater = zlib.decompressobj(31)
            else:
                offset += len(data)
                data = stream.read(1 << 20)


def vouched(folder: Path, prefix: str, position: Position) -> bool:
    """Whether the disk holds everything up to `position`, whole: a power cut can lose data that the journal names."""
    complete = folder / f"{prefix}-{position.file:05d}.warc.gz"
    path = complete if complete.exists() else complete.with_name(complete.name + OPEN_SUFFIX)
    return path.exists() and path.stat().st_size >= position.end and position.end in whole_records(path)


def complete_files(folder: Path, prefix: str) -> tuple[Path, ...]:
    """The finished files of a crawl, in order."""
    return tuple(sorted(folder.glob(f"{prefix}-*.warc.gz")))


def sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _first_record_id(stream: BinaryIO) -> str:
    inflater = zlib.decompressobj(31)
    head = inflater.decompress(stream.read(1 << 16), 4096)
    match = re.search(rb"^WARC-Record-ID: (<urn:uuid:[0-9a-f-]{36}>)\r$", head, re.MULTILINE)
    if match is None:
        raise ValueError(
            "the open WARC file does not begin with a warcinfo record; remove the crawl's folder and start again"
        )
    return match[1].decode()
