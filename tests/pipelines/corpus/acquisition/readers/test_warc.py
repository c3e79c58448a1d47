"""WARC and WET: every record of real archives read or counted; broken ones recovered from."""

import gzip
import io
import json
import lzma
import random
import re
import time
from collections import Counter
from pathlib import Path

import brotli
import lz4.frame
import pytest
import zstandard
from fastwarc.warc import ArchiveIterator, WarcRecordType

from pipelines.corpus.acquisition.config import ReaderConfig
from pipelines.corpus.acquisition.readers import read_records as read_any
from pipelines.corpus.acquisition.readers.warc import read_records
from pipelines.corpus.acquisition.readers.window import Ahead, Window
from pipelines.corpus.acquisition.records import Drop, Record
from pipelines.corpus.acquisition.streams import Chunk
from tests.pipelines.corpus.acquisition.archives import kinds, raw_record, read_bytes, warc_record
from tests.shared_data import shared

WARC = ReaderConfig(format="warc")
NEVER_A_PAGE = ("warcinfo", "request", "metadata", "revisit", "continuation")
A, B, C = (warc_record(letter * 500) for letter in (b"a", b"b", b"c"))


def format_of(name: str) -> ReaderConfig:
    kind = "arc" if ".arc" in name else "wet" if ".wet." in name else "warc"
    return ReaderConfig.model_validate({"format": kind})


def test_every_record_of_the_real_archives_is_read_or_counted() -> None:
    """Against the counts by type of warcio and fastwarc: where fastwarc reads a file to its end, ours are equal."""
    kept = 0
    for entry in json.loads(shared("warc/expected.json").read_text()):
        name = entry["file"]
        items = list(read_any(shared(f"warc/{name}"), name, format_of(name)))
        assert len({item.locator for item in items}) == len(items), name
        assert all(item.locator.startswith(f"{name}#") for item in items)
        counts = Counter("kept" if isinstance(item, Record) else item.reason for item in items)
        kept += counts["kept"]
        # fastwarc reads no ARC, and stops at the truncated response of one file; warcio and we read what is behind it.
        reader = "warcio" if ".arc" in name or name == "warcio/example-trunc.warc" else "fastwarc"
        types = dict(entry[reader]["types"])
        if name == "warcio/bad.arc":  # warcio takes the three headers without a length for records of no bytes
            assert counts == {"bad_arc_header": 3, "not_http": 1}
            continue
        assert counts["record_type_arc_header"] == types.get("arc_header", 0), name
        for kind in NEVER_A_PAGE:
            assert counts[f"record_type_{kind}"] == types.get(kind, 0), (name, kind)
        resources = types.get("resource", 0) - counts["record_type_resource"]
        assert resources == (name == "warcio/example-resource.warc.gz"), name  # the one of a web address
        breaks = counts["truncated_gzip"]  # the span of the file beside the record that it cuts off
        assert len(items) - breaks == sum(types.values()), name
    assert kept == 90  # of them 37 dolma, 16 iana, 6 + 1 Common Crawl, 1 WET, 13 + 1 + 1 of ARC files, 1 resource


def test_every_file_of_the_folder_is_read_or_counted_whatever_it_is_taken_for() -> None:
    """Also those that `expected.json` does not list, and every file under the format of the others."""
    seen = 0
    for path in sorted(shared("warc").rglob("*")):
        if path.is_file() and path.suffix != ".json":
            seen += 1
            for kind in ("warc", "arc", "wet"):
                items = list(read_any(path, path.name, ReaderConfig.model_validate({"format": kind})))
                assert items, (path.name, kind)
                assert all("#" in item.locator for item in items)
    assert seen == 36


def test_lz4_and_gzip_forms_of_an_archive_have_the_same_records() -> None:
    forms = [shared(f"warc/resiliparse/block-sized-records.warc.{suffix}") for suffix in ("gz", "lz4")]
    one, other = ([item.reason for item in read_records(path, "x", WARC) if isinstance(item, Drop)] for path in forms)
    assert one == other == ["record_type_other"] * 3


def test_bodies_equal_those_of_fastwarc() -> None:
    path = shared("html_gold/real-pages.warc.gz")
    ours = {item.url: item.body for item in read_records(path, "x", WARC) if isinstance(item, Record)}
    with path.open("rb") as stream:
        theirs = {
            record.headers.get("WARC-Target-URI"): record.reader.read()
            for record in ArchiveIterator(stream, record_types=WarcRecordType.response, auto_decode="all")
        }
    assert len(ours) == 181
    assert ours == theirs


def test_a_locator_leads_to_the_record_in_the_archive() -> None:
    path = shared("warc/dolma/sample-0000.warc.gz")
    data = path.read_bytes()
    records = [item for item in read_records(path, "x", WARC) if isinstance(item, Record)]
    assert len(records) == 22
    for record in records:
        found = next(iter(ArchiveIterator(io.BytesIO(data[int(record.locator.removeprefix("x#")) :]))))
        assert (found.headers.get("WARC-Target-URI") or "").strip("<>") == record.url  # wget has them in brackets
        assert found.record_date == record.fetched_at


def test_plain_gzip_zstd_and_one_member_give_the_same_records(tmp_path: Path) -> None:
    forms = [
        A + B + C,
        gzip.compress(A) + gzip.compress(B) + gzip.compress(C),
        gzip.compress(A + B + C),
        zstandard.compress(A) + zstandard.compress(B + C),
        zstandard.compress(A + B + C),
        lz4.frame.compress(A) + lz4.frame.compress(B + C),
        lzma.compress(A) + lzma.compress(B + C),
        gzip.compress((A + B + C)[:1000]) + gzip.compress((A + B + C)[1000:]),
    ]
    results = [read_bytes(tmp_path, form, WARC) for form in forms]
    for items in results:
        assert kinds(items) == ["a", "b", "c"]
        assert [item._replace(locator="") for item in items] == [item._replace(locator="") for item in results[0]]
        assert len({item.locator for item in items}) == 3


@pytest.mark.parametrize("member", [False, True], ids=["plain", "gzip"])
@pytest.mark.parametrize(
    ("records", "expected"),
    [
        ([A, warc_record(b"x" * 500, length=200), B], ["a", "wrong_length", "b"]),
        ([A, warc_record(b"x" * 500, length=900), B, C], ["a", "wrong_length", "b", "c"]),
        ([A, warc_record(b"x" * 500, length=10**12), B, C], ["a", "truncated_record", "b", "c"]),
        ([A, warc_record(b"x" * 500, length=-4), B], ["a", "bad_warc_header", "b"]),
        ([A, b"no record at all\r\n" * 9, B], ["a", "not_a_warc_record", "b"]),
        ([b"garbage\r\n", A], ["not_a_warc_record", "a"]),
        ([A, A[:300]], ["a", "truncated_record"]),
        ([A, A[:100]], ["a", "bad_warc_header"]),
        ([A, b"WARC/1.0\r\n" + b"z" * 100_000 + A, B], ["a", "bad_warc_header", "b"]),
        ([A, raw_record(b"dns", "response", media="text/dns"), B], ["a", "not_http", "b"]),
    ],
    ids=["short", "long", "huge", "negative", "gap", "head", "torn body", "torn header", "long header", "dns"],
)
def test_a_broken_record_is_one_drop_and_the_rest_is_read(
    tmp_path: Path, records: list[bytes], expected: list[str], member: bool
) -> None:
    items = read_bytes(tmp_path, b"".join(gzip.compress(record) if member else record for record in records), WARC)
    found = kinds(items)
    if member:
        # The next member shows where a record ends, whatever length it says.
        expected = [
            "wrong_length" if reason == "truncated_record" and "b" in expected else reason for reason in expected
        ]
    assert found == expected


def test_truncated_and_corrupt_members_cost_one_record(tmp_path: Path) -> None:
    a, b, c = (gzip.compress(record) for record in (A, B, C))
    assert kinds(read_bytes(tmp_path, a + b + c[:-40], WARC)) == ["a", "b", "truncated_record", "truncated_gzip"]
    broken = b[:60] + b"\x00\xff\x00" + b[63:]
    found = kinds(read_bytes(tmp_path, a + broken + c, WARC))
    assert found[0] == "a"
    assert found[-1] == "c"
    assert "corrupt_gzip" in found


def test_any_damage_leaves_the_other_records_readable(tmp_path: Path) -> None:
    """Random bytes over a random place of ten records: at most the two records there are lost, and never uncounted."""
    seeded = random.Random(7)
    texts = [bytes([65 + number]) * seeded.randrange(20, 3000) for number in range(10)]
    for trial in range(60):
        records = [warc_record(text) for text in texts]
        data = bytearray(b"".join(gzip.compress(record) if trial % 2 else record for record in records))
        place = seeded.randrange(len(data) - 8)
        data[place : place + 4] = seeded.randbytes(4)
        items = read_bytes(tmp_path, bytes(data), WARC)
        kept = [item.body for item in items if isinstance(item, Record)]
        assert sum(text in kept for text in texts) >= 8, (trial, place)
        assert len(items) >= 9, (trial, place)


@pytest.mark.parametrize(
    ("encoding", "body"),
    [
        ("gzip", gzip.compress(b"<p>hello", mtime=0)),
        ("br", brotli.compress(b"<p>hello")),
        ("gzip", b"<p>hello"),
        ("br", b"<p>hello"),
        ("chunked", b"8\r\n<p>hello\r\n0\r\n\r\n"),
        ("chunked", b"<p>hello"),
    ],
)
def test_content_encodings_are_undone_also_where_the_header_lies(tmp_path: Path, encoding: str, body: bytes) -> None:
    field = b"Transfer-Encoding" if encoding == "chunked" else b"Content-Encoding"
    head = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n" + field + b": " + encoding.encode() + b"\r\n\r\n"
    items = read_bytes(
        tmp_path, raw_record(head + body, "response", media="application/http; msgtype=response") + A, WARC
    )
    assert isinstance(items[0], Record)
    assert items[0].body == b"<p>hello"
    assert kinds(items)[1] == "a"


def test_a_bomb_inside_a_response_is_a_drop(tmp_path: Path) -> None:
    bomb = gzip.compress(b"\0" * (64 << 20))
    head = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Encoding: gzip\r\n\r\n"
    items = read_bytes(
        tmp_path, raw_record(head + bomb, "response", media="application/http; msgtype=response") + A, WARC
    )
    assert kinds(items) == ["record_too_large", "a"]


def test_records_above_the_limit_are_passed_over(tmp_path: Path) -> None:
    small = ReaderConfig(format="warc", max_record_bytes=2048, max_line_bytes=4096)
    big = warc_record(b"x" * 5_000_000)
    assert kinds(read_bytes(tmp_path, A + big + B, small)) == ["a", "record_too_large", "b"]
    assert kinds(read_bytes(tmp_path, gzip.compress(A) + gzip.compress(big) + gzip.compress(B), small)) == [
        "a",
        "record_too_large",
        "b",
    ]
    lying = warc_record(b"x" * 100, length=5_000_000)
    assert kinds(read_bytes(tmp_path, A + lying + B, small)) == ["a", "truncated_record", "b"]


def test_wet_texts_have_their_language_and_url() -> None:
    path = shared("warc/commoncrawl-whirlwind/whirlwind.warc.wet.gz")
    items = list(read_records(path, "x", ReaderConfig(format="wet")))
    (record,) = [item for item in items if isinstance(item, Record)]
    assert (record.kind, record.charset) == ("text", "utf-8")
    assert record.url == "https://an.wikipedia.org/wiki/Escopete"
    assert record.meta["languages"].startswith("spa")
    assert isinstance(record.body, bytes)
    assert len(record.body) == 4456


def _head(length: int) -> bytes:
    return b"WARC/1.0\r\nWARC-Type: response\r\nContent-Length: %d\r\n\r\n" % length


HOSTILE = {
    "lines without a header's end": lambda count: (b"WARC/1.0\r\n" * count, {"bad_warc_header": count}),
    "headers without a length": lambda count: (
        (b"WARC/1.0\r\n" * 5999 + b"WARC/1.0\r\n\r\n") * (count // 6000),
        {"bad_warc_header": count // 6000 * 6000},
    ),
    "one long length before many members": lambda count: (
        gzip.compress(_head(15_000_000)) + gzip.compress(_head(0), mtime=0) * count,
        {"wrong_length": 1, "not_http": count},
    ),
    "many long lengths before many members": lambda count: (
        gzip.compress(_head(15_000_000) * count) + gzip.compress(b"x\n", mtime=0) * count,
        {"truncated_record": count},
    ),
    "bad members behind a long length": lambda count: (
        gzip.compress(_head(15_000_000)) + gzip.compress(b"WARC/1.0 bad", mtime=0) * count,
        {"wrong_length": 1, "bad_warc_header": count},
    ),
}


@pytest.mark.timeout(60)
@pytest.mark.parametrize("shape", HOSTILE)
def test_broken_records_cost_by_their_number(tmp_path: Path, shape: str) -> None:
    """20,000 `WARC/` lines took 22 seconds, 20,000 members behind a long length 11: both grew with the square."""
    data, expected = HOSTILE[shape](24_000)
    began = time.process_time()
    items = read_bytes(tmp_path, data if data[:2] == b"\x1f\x8b" else gzip.compress(data), WARC)
    assert time.process_time() - began < 6
    assert Counter(getattr(item, "reason", "kept") for item in items) == expected
    assert len({item.locator for item in items}) == len(items)


def test_a_line_like_a_record_inside_of_a_header_is_part_of_it(tmp_path: Path) -> None:
    """What is behind the next header's end belongs to the next header, also when two headers were searched at once."""
    twice = b"WARC/1.0\r\n" + A
    assert kinds(read_bytes(tmp_path, twice + B + b"WARC/1.0\r\nX: y\r\n\r\n" + C, WARC)) == [
        "a",
        "b",
        "bad_warc_header",
        "c",
    ]


def test_ahead_finds_what_a_search_from_each_place_finds() -> None:
    """Against the search that starts anew, for places that move on and limits that do not."""
    chance = random.Random(5)
    pattern = re.compile(rb"\r{0,2}\n\r{0,2}(\n)")
    for _ in range(300):
        data = bytes(chance.choices(b"\r\nx", k=120))
        window = Window([Chunk(data, None, 0)], len(data), b"W", 1)
        window.next_run()
        ahead = Ahead(window, pattern, 5)
        while window.fill(1):
            stop = chance.randint(0, len(window.data))
            if window.data[:1] == b"x":
                plain = pattern.search(window.data, 0, stop)
                assert ahead.search(stop) == (None if plain is None else (plain.end(), b"\n"))
            window.drop(chance.randint(1, min(9, len(window.data))))
