"""WARC files: read by warcio and FastWARC, digests verified, bytes a function of the exchanges."""

import gzip
from dataclasses import replace
from pathlib import Path

import pytest
from fastwarc.warc import ArchiveIterator
from warcio.archiveiterator import ArchiveIterator as WarcioIterator

from pipelines.corpus.acquisition.crawl import warc
from pipelines.corpus.acquisition.crawl.fetch import Exchange
from pipelines.corpus.acquisition.crawl.warc import Position, WarcWriter

DATE = 1_700_000_000.0


def exchange(number: int, body: bytes = b"<html>hello</html>", **changes: object) -> Exchange:
    head = (b"HTTP/1.1 200 OK\r\n", b"Content-Type: text/html\r\n", b"Content-Length: %d\r\n" % len(body), b"\r\n")
    plain = Exchange(
        url=f"http://example.com/{number}",
        outcome="fetched",
        status=200,
        request=b"GET /%d HTTP/1.1\r\nHost: example.com\r\n\r\n" % number,
        head=head,
        body=body,
        peer="93.184.216.34",
        date=DATE + number,
    )
    return replace(plain, **changes)  # type: ignore[arg-type]


def writer(folder: Path, resume: Position | None = None, max_bytes: int = 1 << 30) -> WarcWriter:
    return WarcWriter(
        folder, prefix="c", info={"http-header-user-agent": "Test/1"}, max_bytes=max_bytes, level=6, resume=resume
    )


def by_fastwarc(path: Path) -> list[tuple[str, str, str, bytes]]:
    rows = []
    with path.open("rb") as stream:
        for record in ArchiveIterator(stream, parse_http=False):
            assert record.verify_block_digest()
            block = record.reader.read()
            rows.append(
                (record.headers["WARC-Type"], record.record_id, record.headers.get("WARC-Target-URI", ""), block)
            )
    with path.open("rb") as stream:
        for record in ArchiveIterator(stream):
            if record.headers["WARC-Type"] == "response":
                assert record.verify_payload_digest()
    return rows


def by_warcio(path: Path) -> list[tuple[str, str, str, bytes]]:
    rows = []
    with path.open("rb") as stream:
        for record in WarcioIterator(stream, no_record_parse=True):
            header = record.rec_headers.get_header
            row = (record.rec_type, header("WARC-Record-ID"), header("WARC-Target-URI", ""), record.raw_stream.read())
            rows.append(row)
    with path.open("rb") as stream:
        for record in WarcioIterator(stream, check_digests="raise"):
            record.content_stream().read()
    return rows


def test_both_readers_see_the_same_records(tmp_path: Path) -> None:
    out = writer(tmp_path)
    packed = gzip.compress(b"<html>packed</html>", mtime=0)
    encoded = (b"HTTP/1.1 200 OK\r\n", b"Content-Encoding: gzip\r\n", b"Content-Length: %d\r\n" % len(packed), b"\r\n")
    chunked = (b"HTTP/1.1 200 OK\r\n", b"Transfer-Encoding: chunked\r\n", b"content-length: 5\r\n", b"\r\n")
    ugly = (
        b"HTTP/1.3 200\n",
        b"A: b\n",
        b" folded\n",
        b" \n",
        b"no header\n",
        b"Caf\xe9: x\n",
        b"X-Name: Caf\xe9\n",
        b"\n",
    )
    exchanges = [
        exchange(1),
        exchange(2, packed, head=encoded),
        exchange(3, b"joined", head=chunked, chunked=True),
        exchange(4, b"", head=ugly),
        exchange(5, head=(b"HTTP/1.1 301 Moved\r\n", b"Location: /6\r\n", b"\r\n"), body=b"", status=301),
    ]
    for one in exchanges:
        out.write(one)
    (path,) = out.finish()
    records = by_fastwarc(path)
    assert records == by_warcio(path)
    assert [row[0] for row in records] == ["warcinfo", *["request", "response"] * 5]
    assert [row[2] for row in records[1::2]] == [one.url for one in exchanges]
    assert [row[3] for row in records[1::2]] == [one.request for one in exchanges]
    blocks = [row[3] for row in records[2::2]]
    assert blocks[0] == b"".join(exchanges[0].head) + exchanges[0].body
    assert blocks[1].endswith(b"\r\n\r\n" + packed)
    assert blocks[2] == (
        b"HTTP/1.1 200 OK\r\nX-Crawler-Transfer-Encoding: chunked\r\nX-Crawler-content-length: 5\r\n"
        b"Content-Length: 6\r\n\r\njoined"
    )
    assert blocks[3] == b"HTTP/1.1 200\r\nA: b folded\r\nX-Name: Caf\xe9\r\n\r\n"
    assert len({row[1] for row in records}) == len(records)


def test_equal_exchanges_give_equal_bytes(tmp_path: Path) -> None:
    for name in ("a", "b"):
        out = writer(tmp_path / name)
        for number in range(5):
            out.write(exchange(number))
        out.finish()
    assert (tmp_path / "a/c-00000.warc.gz").read_bytes() == (tmp_path / "b/c-00000.warc.gz").read_bytes()


def test_files_rotate_at_their_limit(tmp_path: Path) -> None:
    out = writer(tmp_path, max_bytes=4000)
    positions = [out.write(exchange(number)) for number in range(20)]
    files = out.finish()
    assert len(files) > 2
    assert {position.file for position in positions} == set(range(len(files)))
    assert all(path.stat().st_size <= 4000 for path in files)
    found = [row for path in files for row in by_warcio(path)]
    assert [row[2] for row in found if row[0] == "response"] == [f"http://example.com/{number}" for number in range(20)]
    assert not list(tmp_path.glob("*.open"))


@pytest.mark.parametrize("max_bytes", [1 << 30, 4000])
def test_a_torn_tail_is_cut_and_the_rest_is_as_if_nothing_happened(tmp_path: Path, max_bytes: int) -> None:
    whole = writer(tmp_path / "whole", max_bytes=max_bytes)
    for number in range(9):
        whole.write(exchange(number))
    expected = [path.read_bytes() for path in whole.finish()]
    for vouched in range(9):
        folder = tmp_path / f"torn{vouched}"
        torn = writer(folder, max_bytes=max_bytes)
        position = None
        for number in range(vouched):
            position = torn.write(exchange(number))
        torn.write(exchange(vouched))  # written, but the journal does not know it
        torn.close()
        for path in folder.glob("*.open"):
            with path.open("ab") as stream:
                stream.write(b"\x1f\x8b\x08\x00torn")
        again = writer(folder, resume=position, max_bytes=max_bytes)
        for number in range(vouched, 9):
            again.write(exchange(number))
        assert [path.read_bytes() for path in again.finish()] == expected


def test_whole_records_end_where_the_damage_begins(tmp_path: Path) -> None:
    out = writer(tmp_path)
    ends = [out.write(exchange(number)).end for number in range(3)]
    (path,) = out.finish()
    data = path.read_bytes()
    assert list(warc.whole_records(path))[2::2] == ends
    assert warc.vouched(tmp_path, "c", Position(0, ends[1]))
    assert not warc.vouched(tmp_path, "c", Position(0, ends[1] + 1))
    path.write_bytes(data[: ends[2] - 1])
    assert list(warc.whole_records(path))[-2] == ends[1]
    assert not warc.vouched(tmp_path, "c", Position(0, ends[2]))
    zeroed = bytearray(data)
    zeroed[ends[0] + 20 : ends[1]] = bytes(ends[1] - ends[0] - 20)
    path.write_bytes(zeroed)
    assert list(warc.whole_records(path))[-1] == ends[0]
