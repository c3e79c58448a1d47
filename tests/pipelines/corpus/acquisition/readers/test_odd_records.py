"""Archives as writers of many years and makes leave them: each form is read, or counted under its reason."""

import gzip
import time
import zlib
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import brotli
import lz4.frame
import pytest
import zstandard

from pipelines.corpus.acquisition.config import ReaderConfig
from pipelines.corpus.acquisition.readers.framing import RawRecord
from pipelines.corpus.acquisition.readers.odd_records import in_usual_dress, joined_chunks, undone_body
from pipelines.corpus.acquisition.records import Record
from tests.pipelines.corpus.acquisition.archives import kinds, read_bytes

WARC = ReaderConfig(format="warc")
PAGE = b"<html><p>hello world page</p></html>"
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/html; charset=utf-8\r\n"


def record(
    block: bytes,
    kind: str = "response",
    version: str = "WARC/1.0",
    media: str | None = "application/http; msgtype=response",
    eol: str = "\r\n",
    end: bytes = b"\r\n\r\n",
    url: str = "http://a.example/",
    date: str = "2024-05-18T01:58:10Z",
    extra: str = "",
) -> bytes:
    """One record in the manner of some writer."""
    lines = [version, f"WARC-Type: {kind}", f"WARC-Target-URI: {url}", f"WARC-Date: {date}"]
    lines += (
        [f"Content-Type: {media}"] * (media is not None) + [extra] * bool(extra) + [f"Content-Length: {len(block)}"]
    )
    return (eol.join(lines) + eol + eol).encode() + block + end


def coded(content: str, body: bytes, transfer: bool = False) -> bytes:
    """A response under a content encoding, in chunks or not."""
    if transfer:
        body = b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body)
    lines = f"Content-Encoding: {content}\r\n" * bool(content) + "Transfer-Encoding: chunked\r\n" * transfer
    return record(HEAD + lines.encode() + b"\r\n" + body)


PLAIN = HEAD + b"\r\n" + PAGE
LF = PLAIN.replace(b"\r", b"")


@pytest.mark.parametrize(
    "data",
    [
        record(PLAIN, version="WARC/0.17"),
        record(PLAIN, version="WARC/0.18", date="20240518015810"),
        record(PLAIN, version="WARC/1.1", date="2024-05-18T01:58:10.000000000Z"),
        record(PLAIN, eol="\n", end=b"\n\n"),
        record(LF, eol="\n", end=b"\n\n"),
        record(LF),
        record(PLAIN, eol="\r\r\n", end=b"\r\r\n\r\r\n"),
        record(b"\r\n" + PLAIN),
        record(PLAIN).replace(b"WARC-", b"warc-").replace(b"\nContent-Length", b"\ncontent-length"),
        record(PLAIN, media="Application/HTTP;msgtype=response"),
        record(PLAIN, media='application/http;msgtype="response"'),
        record(PLAIN, media="application/http"),
        record(PLAIN, media=None),
        record(PLAIN, url="<http://a.example/>"),
        record(PLAIN, extra="X-Folded: a\r\n b"),
        record(PLAIN, extra="WARC-Block-Digest: sha1:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"),
        record(PLAIN, extra="WARC-Payload-Digest: md5:nonsense"),
        record(b"HTTP/2 200\r\ncontent-type: text/html\r\n\r\n" + PAGE),
        record(b"HTTP/2.0 200 OK\r\ncontent-type: text/html\r\n\r\n" + PAGE),
        record(b"HTTP/3 200 \r\ncontent-type: text/html\r\n\r\n" + PAGE),
        record(b"HTTP/1.1 200 OK\r\n:status: 200\r\ncontent-type: text/html\r\n\r\n" + PAGE),
        record(b":status: 200\r\n:scheme: https\r\ncontent-type: text/html\r\n\r\n" + PAGE),
        record(b"HTTP/1.1 200\r\nContent-Type: text/html, text/html; charset=utf-8\r\n\r\n" + PAGE),
        record(HEAD + b"Content-Length: 5\r\n\r\n" + PAGE),
        record(PAGE, media="text/html"),
        record(PAGE, kind="resource", media="text/html; charset=utf-8"),
        record(PLAIN, kind="resource"),
        record(PLAIN, end=b""),
        record(PLAIN, end=b"\r\n"),
        b"\r\n\r\n" + record(PLAIN),
        coded("x-gzip", gzip.compress(PAGE)),
        coded("GZIP", gzip.compress(PAGE)),
        coded("gzip, gzip", gzip.compress(gzip.compress(PAGE))),
        coded("gzip", gzip.compress(gzip.compress(PAGE))),
        coded("gzip, br", brotli.compress(gzip.compress(PAGE))),
        coded("", gzip.compress(PAGE)),
        coded("deflate", zlib.compress(PAGE)),
        coded("deflate", zlib.compress(PAGE)[2:-4]),
        coded("br", brotli.compress(PAGE)),
        coded("zstd", zstandard.compress(PAGE)),
        coded("zstd", zstandard.ZstdCompressor(write_content_size=False).compress(PAGE)),
        coded("gzip", gzip.compress(PAGE), transfer=True),
        coded("br", brotli.compress(PAGE), transfer=True),
        coded("zstd", zstandard.compress(PAGE), transfer=True),
        coded("x-gzip", gzip.compress(PAGE), transfer=True),
        coded("utf-8", PAGE),
        record(
            HEAD + b"Transfer-Encoding: gzip, chunked\r\n\r\n%x\r\n%b\r\n0\r\n\r\n" % (56, gzip.compress(PAGE, mtime=0))
        ),
        record(HEAD + b"Transfer-Encoding: chunked\r\n\r\n%x\r\n" % 5000 + PAGE),
    ],
)
def test_pages_of_many_makes_are_the_same_page(tmp_path: Path, data: bytes) -> None:
    for form in (data, gzip.compress(data), zstandard.compress(data), lz4.frame.compress(data)):
        (found,) = read_bytes(tmp_path, form, WARC)
        assert isinstance(found, Record), found
        assert (found.body, found.url, found.content_type) == (PAGE, "http://a.example/", "text/html")
        assert found.fetched_at == datetime(2024, 5, 18, 1, 58, 10, tzinfo=UTC)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (record(PAGE), "bad_http_header"),
        (record(b"ICY 200 OK\r\n\r\nsound"), "bad_http_header"),
        (record(b"HTTP/1.1 206 Partial\r\nContent-Type: text/html\r\n\r\n" + PAGE), "http_status"),
        (record(b":status: 404\r\ncontent-type: text/html\r\n\r\n" + PAGE), "http_status"),
        (record(b"\0\1picture", media="image/png"), "content_type"),
        (record(b"20040518\na.example 192.0.2.1", media="text/dns", url="dns:a.example"), "not_http"),
        (record(b"", media="text/plain"), "empty_record"),
        (
            record(b"log", kind="resource", media="text/plain", url="metadata://gnu.org/wget.log"),
            "record_type_resource",
        ),
        (record(b"\x89PNG", kind="resource", media="image/png"), "record_type_resource"),
        (record(b'{"urls": []}', kind="resource", media="application/json"), "record_type_resource"),
        (record(b"text", kind="conversion", media="text/plain"), "record_type_conversion"),
        (record(b'{"Envelope": {}}', kind="metadata", media="application/json"), "record_type_metadata"),
        (record(HEAD + b"\r\n", kind="revisit"), "record_type_revisit"),
        (coded("gzip", b"\0\1\2\3" * 9), "broken_content_encoding"),
        (coded("br", b"\0\xff\2\3" * 9), "broken_content_encoding"),
        (coded("gzip", gzip.compress(bytes(64 << 20))), "record_too_large"),
        (coded("x-gzip", gzip.compress(bytes(64 << 20))), "record_too_large"),
        (coded("deflate", zlib.compress(bytes(64 << 20))[2:-4]), "record_too_large"),
        (coded("", gzip.compress(gzip.compress(bytes(64 << 20)))), "record_too_large"),
    ],
)
def test_what_is_no_page_has_its_reason(tmp_path: Path, data: bytes, reason: str) -> None:
    assert kinds(read_bytes(tmp_path, data + record(PLAIN), WARC)) == [reason, "<"]


@pytest.mark.parametrize(
    ("coding", "body"),
    [("gzip", gzip.compress), ("x-gzip", gzip.compress), ("br", brotli.compress), ("zstd", zstandard.compress)],
)
def test_a_stream_that_breaks_off_gives_what_came(coding: str, body: Any) -> None:
    words = " ".join(f"word{number * number}" for number in range(60_000)).encode()
    got = undone_body(body(words)[:-100], "", coding, 1 << 20)
    assert got is not None and 1000 < len(got) < len(words) and words.startswith(got)
    assert len(undone_body(body(bytes(1 << 20)), "", coding, 1000) or b"") == 1001


def test_chunks_are_joined_as_far_as_they_reach() -> None:
    assert joined_chunks(b"3\r\nabc\r\n2;x=y\r\nde\r\n0\r\n\r\n") == b"abcde"
    assert joined_chunks(b"3\nabc\n2\nde\n0\n\n") == b"abcde"
    assert joined_chunks(b"FFFFFFFF\r\nabc") == b"abc"
    assert joined_chunks(b"<html>") is None


def test_runs_of_carriage_returns_cost_linear_time() -> None:
    """64 KB of CR in a header or in the head of a page once cost seconds each; they cost milliseconds."""
    run = b"\r" * (64 << 10)
    header = b"WARC/1.0\r\nWARC-Type: response\r\nContent-Type: text/html\r\nWARC-Target-URI: http://a.example/\r\n"
    start = time.process_time()
    for head, block in (
        (header + b"X: " + run + b"x\r\n\r\n", b"<p>"),
        (header + b"\r\n", b"HTTP/1.1 200 OK\r\n" + run),
    ):
        in_usual_dress(RawRecord("0", "response", head + block, len(head)))
    assert time.process_time() - start < 1
