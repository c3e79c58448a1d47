"""ARC: versions 1 and 2, plain and compressed; broken records recovered from, each counted where it lies."""

import gzip
import random
from datetime import UTC, datetime
from pathlib import Path

import pytest
import zstandard
from warcio.archiveiterator import ArchiveIterator

from pipelines.corpus.acquisition.config import ReaderConfig
from pipelines.corpus.acquisition.readers.arc import read_records
from pipelines.corpus.acquisition.records import Record
from tests.pipelines.corpus.acquisition.archives import arc_record, kinds, read_bytes
from tests.shared_data import shared

ARC = ReaderConfig(format="arc")
VERSION_1 = b"1 0 Test\nURL IP-address Archive-date Content-type Archive-length\n"


HEAD = b"filedesc://x.arc 0.0.0.0 20040102030405 text/plain %d\n%s\n" % (len(VERSION_1), VERSION_1)
A, B, C = (arc_record(letter * 500) for letter in (b"a", b"b", b"c"))


def test_every_form_gives_the_same_records(tmp_path: Path) -> None:
    version_2 = arc_record(b"a" * 500, extra="200 CHECKSUM - 1234 file.arc ")
    for data in (
        HEAD + A + B,
        gzip.compress(HEAD) + gzip.compress(A) + gzip.compress(B),
        gzip.compress(HEAD + A + B),
        zstandard.compress(HEAD + A + B),
        HEAD + version_2 + B,
        (HEAD + A + B).replace(b"\n192", b"\n192"),
    ):
        items = read_bytes(tmp_path, data, ARC)
        assert kinds(items) == ["record_type_arc_header", "a", "b"]
        assert isinstance(items[1], Record)
        assert items[1].url == "http://a.example/"
        assert items[1].fetched_at == datetime(2004, 1, 2, 3, 4, 5, tzinfo=UTC)


def test_a_url_may_hold_spaces(tmp_path: Path) -> None:
    url = "http://a.example/?title=Examples From 1.2.3.4 The Web&x=1"
    (item,) = read_bytes(tmp_path, arc_record(b"body", url=url), ARC)
    assert isinstance(item, Record)
    assert (item.url, item.body) == (url, b"body")


@pytest.mark.parametrize("member", [False, True], ids=["plain", "gzip"])
@pytest.mark.parametrize(
    ("records", "expected"),
    [
        ([A, arc_record(b"x" * 500, length=200), B], ["a", "wrong_length", "b"]),
        ([A, arc_record(b"x" * 500, length=800), B, C], ["a", "wrong_length", "b", "c"]),
        ([A, arc_record(b"x" * 500, length=10**12), B], ["a", "truncated_record", "b"]),
        ([A, arc_record(b"x" * 500, length=-1), B], ["a", "bad_arc_header", "b"]),
        ([A, b"no record at all\n" * 9, B], ["a", "not_an_arc_record", "b"]),
        ([A, b"dns:a.example 192.0.2.1 20040102030405 text/dns 3\ndns\n", B], ["a", "not_http", "b"]),
        ([A, A[:300]], ["a", "truncated_record"]),
    ],
    ids=["short", "long", "huge", "negative", "gap", "dns", "torn"],
)
def test_a_broken_record_is_one_drop_and_the_rest_is_read(
    tmp_path: Path, records: list[bytes], expected: list[str], member: bool
) -> None:
    found = kinds(
        read_bytes(tmp_path, b"".join(gzip.compress(record) if member else record for record in records), ARC)
    )
    if member and "b" in expected:  # the next member shows where a record ends, whatever length it says
        expected = ["wrong_length" if reason == "truncated_record" else reason for reason in expected]
    assert found == expected


def test_any_damage_leaves_the_other_records_readable(tmp_path: Path) -> None:
    seeded = random.Random(11)
    texts = [bytes([65 + number]) * seeded.randrange(20, 3000) for number in range(10)]
    for trial in range(60):
        records = [arc_record(text) for text in texts]
        data = bytearray(b"".join(gzip.compress(record) if trial % 2 else record for record in records))
        place = seeded.randrange(4, len(data) - 8)  # without its magic the file is no gzip file at all
        data[place : place + 4] = seeded.randbytes(4)
        items = read_bytes(tmp_path, bytes(data), ARC)
        kept = [item.body for item in items if isinstance(item, Record)]
        assert sum(text in kept for text in texts) >= 8, (trial, place)


def test_records_above_the_limit_are_passed_over(tmp_path: Path) -> None:
    small = ReaderConfig(format="arc", max_record_bytes=2048, max_line_bytes=4096)
    big = arc_record(b"x" * 3_000_000)
    assert kinds(read_bytes(tmp_path, A + big + B, small)) == ["a", "record_too_large", "b"]
    lying = arc_record(b"x" * 100, length=3_000_000)
    assert kinds(read_bytes(tmp_path, A + lying + B, small)) == ["a", "truncated_record", "b"]


def test_pages_of_a_real_crawl_equal_those_of_warcio() -> None:
    path = shared("warc/jwat/1-1-20110922131213-00000-svc-VirtualBox.arc")
    ours = {item.url: item.body for item in read_records(path, "x", ARC) if isinstance(item, Record)}
    theirs = {}
    with path.open("rb") as stream:
        for record in ArchiveIterator(stream, arc2warc=True):
            uri = record.rec_headers.get_header("WARC-Target-URI")
            if uri in ours and record.http_headers and record.http_headers.get_statuscode() == "200":
                theirs[uri] = record.content_stream().read()
    assert len(ours) == 13
    assert ours == theirs
