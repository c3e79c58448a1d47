"""Selections from a Common Crawl on loopback: both indexes, caps, estimates, kills; the archives are real."""

import io
import json
import signal
import subprocess
import sys
import textwrap
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from warcio.archiveiterator import ArchiveIterator
from warcio.statusandheaders import StatusAndHeaders
from warcio.warcwriter import WARCWriter

from pipelines.corpus.acquisition.commoncrawl.acquire import JOURNAL_NAME, Progress, acquire
from pipelines.corpus.acquisition.commoncrawl.client import Clockwork
from pipelines.corpus.acquisition.commoncrawl.errors import CommonCrawlError
from pipelines.corpus.acquisition.config import ReaderConfig
from pipelines.corpus.acquisition.crawl.journal import JournalError
from pipelines.corpus.acquisition.readers.warc import read_records
from pipelines.corpus.acquisition.records import Record
from tests.pipelines.corpus.acquisition.commoncrawl.mirror import CRAWL, Mirror, running
from tests.pipelines.corpus.acquisition.commoncrawl.selections import ARCHIVES, run, settings
from tests.pipelines.corpus.acquisition.crawl.loopback import FakeClock
from tests.shared_data import shared

CASES = [
    ({"tlds": ["org"]}, lambda row: row["host"].endswith(".org")),
    ({"tlds": [], "domains": ["iana.org"]}, lambda row: ("." + row["host"]).endswith(".iana.org")),
    ({"tlds": [], "hosts": ["iana.org"]}, lambda row: row["host"] in ("iana.org", "www.iana.org")),
    ({"tlds": [], "urls": ["iana.org/domains/*"]}, lambda row: "iana.org/domains/" in row["url"]),
    ({"tlds": [], "urls": ["https://an.wikipedia.org/wiki/Escopete"]}, lambda row: row["url"].endswith("Escopete")),
    ({"languages": ["deu"]}, lambda row: _com(row) and (row["languages"] or "").startswith("deu")),
    (
        {"languages": ["zho", "deu"], "main_language": False},
        lambda row: _com(row) and bool({"zho", "deu"} & set((row["languages"] or "").split(","))),
    ),
    ({"mime": ["text/plain"]}, lambda row: _com(row) and row["mime-detected"] == "text/plain"),
    (
        {"tlds": [], "domains": ["iana.org"], "status": [302, 404]},
        lambda row: "iana.org" in row["host"] and row["status"] != "200",
    ),
    ({"fetched_from": "2025-01-01"}, lambda row: _com(row) and row["timestamp"] >= "20250101000000"),
    ({"fetched_to": "2025-12-31"}, lambda row: _com(row) and row["timestamp"] <= "20251231235959"),
    (
        {"tlds": ["com", "org"], "languages": ["eng", "zho"], "mime": ["text/html"], "status": [200]}
        | {"fetched_from": "2014-01-01", "fetched_to": "2025-06-30T12:00:00Z"},
        lambda row: (
            row["host"].rpartition(".")[2] in ("com", "org")
            and (row["languages"] or "").partition(",")[0] in ("eng", "zho")
            and (row["mime-detected"], row["status"]) == ("text/html", "200")
            and "20140101000000" <= row["timestamp"] <= "20250630120000"
        ),
    ),
]


def _com(row: dict[str, Any]) -> bool:
    return bool(row["host"].endswith(".com"))


@pytest.mark.parametrize("index", ["cdx", "columnar"])
@pytest.mark.parametrize(("changes", "expected"), CASES)
def test_conditions(mirror: Mirror, tmp_path: Path, index: str, changes: dict[str, Any], expected: Any) -> None:
    """The selection is what a plain loop over the archive's records says, whichever index is asked."""
    done = run(mirror, tmp_path, index=index, **{"status": [], **changes})
    wanted = {(row["filename"], int(row["offset"])) for row in mirror.rows if expected(row)}
    assert {(row["filename"], row["offset"]) for row in done.table.to_pylist()} == wanted
    assert set(done.outcomes) <= {"fetched", "fetched:digest_by_header"}


def test_both_indexes_give_the_same_rows_and_archives(mirror: Mirror, tmp_path: Path) -> None:
    cdx = run(mirror, tmp_path / "cdx", max_records=30)
    table = run(mirror, tmp_path / "table", max_records=30, index="columnar", concurrency=4, warc_max_bytes=1 << 30)
    assert cdx.table.equals(table.table)
    assert [(tmp_path / "cdx" / name).read_bytes() for name in cdx.files] == [
        (tmp_path / "table" / name).read_bytes() for name in table.files
    ]


@pytest.fixture(scope="module")
def whole_crawl(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mirror]:
    """A crawl with all three subsets: pages, errors and revisits, robots.txt files."""
    robots = tmp_path_factory.mktemp("robots") / "robots.warc.gz"
    with robots.open("wb") as stream:
        writer = WARCWriter(stream, gzip=True)
        for name in ("a.example.com", "b.example.org", "c.example.com"):
            text = f"User-agent: *\nDisallow: /{name}\n".encode()
            head = StatusAndHeaders("200 OK", [("Content-Type", "text/plain")], protocol="HTTP/1.1")
            url = f"https://{name}/robots.txt"
            writer.write_record(writer.create_warc_record(url, "response", payload=io.BytesIO(text), http_headers=head))
    others = {"crawldiagnostics": [shared("warc/pywb/dupes.warc.gz")], "robotstxt": [robots]}
    with running(Mirror([shared(ARCHIVES[3])], others=others)) as server:
        yield server


@pytest.mark.parametrize("index", ["cdx", "columnar"])
@pytest.mark.parametrize("subsets", [["warc"], ["crawldiagnostics"], ["robotstxt"], ["warc", "crawldiagnostics"]])
def test_subsets(whole_crawl: Mirror, tmp_path: Path, index: str, subsets: list[str]) -> None:
    """The records of the wanted parts of a crawl and no others; revisits are kept and told apart."""
    done = run(whole_crawl, tmp_path, index=index, tlds=["com", "org"], subsets=subsets, status=[])
    wanted = {
        (row["filename"], int(row["offset"])): row
        for row in whole_crawl.rows
        if row["filename"].split("/")[-2] in subsets and row["host"].endswith((".com", ".org"))
    }
    assert {(row["filename"], row["offset"]) for row in done.table.to_pylist()} == set(wanted)
    assert len(wanted) >= 3
    assert done.outcomes.get("fetched:revisit", 0) == (9 if "crawldiagnostics" in subsets else 0)
    assert set(done.outcomes) <= {"fetched", "fetched:revisit", "fetched:digest_by_header"}
    if "robotstxt" in subsets:
        items = [
            item for name in done.files for item in read_records(tmp_path / name, name, ReaderConfig(format="warc"))
        ]
        assert sum(b"Disallow" in item.body for item in items if isinstance(item, Record)) == 3


def test_overlapping_patterns_bring_a_row_once(mirror: Mirror, tmp_path: Path) -> None:
    done = run(mirror, tmp_path, tlds=["org"], domains=["iana.org"], hosts=["iana.org"])
    places = [(row["filename"], row["offset"]) for row in done.table.to_pylist()]
    assert len(set(places)) == len(places)
    assert done.refused["repeated"] > 20


def test_row_groups_and_columns_that_cannot_match_are_not_fetched(mirror: Mirror, tmp_path: Path) -> None:
    done = run(mirror, tmp_path, tlds=[], hosts=["an.wikipedia.org"], index="columnar")
    parts = [span for path, span in mirror.asked if path.endswith(".parquet")]
    tables = {path: data for path, data in mirror.files.items() if path.endswith(".parquet")}
    # Two sizes, two footers (small files: read whole by arrow's 64 KB look at the end), one group's columns.
    assert done.refused["pruned"] >= len(mirror.rows) - 2 * 25
    assert len(done.table) == 1
    assert len(parts) <= 8 and all(span is not None for span in parts)
    assert len(tables) == 2


def test_caps_sample_by_hash_and_nest(mirror: Mirror, tmp_path: Path) -> None:
    """A smaller cap keeps a part of what a larger one keeps, from everywhere; another seed keeps others."""
    sets = {}
    for size in (4, 10, 20):
        done = run(mirror, tmp_path / str(size), max_records=size)
        assert len(done.table) == size < done.estimate.matched
        sets[size] = {(row["filename"], row["offset"]) for row in done.table.to_pylist()}
        assert [(row["filename"], row["offset"]) for row in done.table.to_pylist()] == sorted(sets[size])
    assert sets[4] < sets[10] < sets[20]
    assert {row["filename"] for row in done.table.to_pylist()} >= {name for name, _ in sets[4]}
    other = run(mirror, tmp_path / "other", max_records=10, seed=1)
    assert {(row["filename"], row["offset"]) for row in other.table.to_pylist()} != sets[10]
    few = run(mirror, tmp_path / "bytes", max_bytes=200_000)
    assert 0 < few.stored <= 200_000 < few.estimate.matched_bytes


def test_the_estimate_is_told_before_any_archive_is_asked(mirror: Mirror, tmp_path: Path) -> None:
    told: list[tuple[Progress, int]] = []
    clock = FakeClock()
    done = acquire(
        settings(mirror, tlds=["org"]),
        tmp_path,
        Clockwork(clock, clock.sleep, lambda: 1.0),
        lambda moment: told.append((moment, len(mirror.ranges()))),
    )
    first = next(index for index, (moment, _) in enumerate(told) if moment.phase == "fetching")
    assert told[first][1] == 0 and told[first][0].estimate == done.estimate
    assert f"{done.estimate.requests} requests" in told[first][0].note
    assert all(moment.phase == "looking up" for moment, _ in told[:first])
    assert told[-1][0].done == told[-1][0].total == len(done.table)
    assert len(mirror.ranges()) == done.estimate.requests
    assert mirror.sent >= done.estimate.request_bytes >= done.estimate.bytes == done.stored


def test_neighbours_share_a_request_within_the_gap(mirror: Mirror, tmp_path: Path) -> None:
    alone = run(mirror, tmp_path / "alone", tlds=["org"], max_range_bytes=1)
    assert len(mirror.ranges()) == len(alone.table)
    mirror.asked.clear()
    wide = run(mirror, tmp_path / "wide", tlds=["org"], gap_bytes=1 << 40, max_range_bytes=1 << 40)
    assert len(mirror.ranges()) == len({row["filename"] for row in wide.table.to_pylist()})
    assert wide.table.equals(alone.table)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"crawls": ["CC-MAIN-2024-21"]}, f"it has {CRAWL}"),
        ({"crawls": ["CC-MAIN-2024-21"], "index": "columnar"}, "has no crawl-data/CC-MAIN-2024-21"),
        ({"index": "columnar", "subsets": ["crawldiagnostics"]}, "no Parquet file of the subsets crawldiagnostics"),
    ],
)
def test_what_is_not_there_is_said(mirror: Mirror, tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(CommonCrawlError, match=message):
        run(mirror, tmp_path, **changes)


def test_a_table_that_lacks_a_column_or_is_none(tmp_path: Path) -> None:
    with running(Mirror([shared(ARCHIVES[1])])) as server:
        path = next(path for path in server.files if path.endswith("part-00001.gz.parquet"))
        whole = server.files[path]
        sink = pa.BufferOutputStream()
        table = pa.parquet.read_table(pa.BufferReader(whole)).drop_columns(["content_languages"])
        pa.parquet.write_table(table, sink)
        server.files[path] = sink.getvalue().to_pybytes()
        with pytest.raises(CommonCrawlError, match="no column content_languages"):
            run(server, tmp_path / "a", index="columnar", languages=["arg"], tlds=["org"])
        server.files[path] = whole[:-9] + b"garbage!!"
        with pytest.raises(CommonCrawlError, match="cannot be read as Parquet"):
            run(server, tmp_path / "b", index="columnar", tlds=["org"])


def test_a_folder_or_object_store_is_read_through_fsspec(mirror: Mirror, tmp_path: Path) -> None:
    for name, data in mirror.files.items():
        (tmp_path / "bucket" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "bucket" / name).write_bytes(data)
    local = run(mirror, tmp_path / "a", index="columnar", tlds=["org"], data_url=(tmp_path / "bucket").as_uri())
    assert mirror.asked == []
    assert local.table.equals(run(mirror, tmp_path / "b", index="columnar", tlds=["org"]).table)
    gone = next(path for path in (tmp_path / "bucket").rglob("*-00003.warc.gz"))
    gone.write_bytes(gone.read_bytes()[:300_000])
    cut = run(mirror, tmp_path / "c", index="columnar", tlds=["org"], data_url=(tmp_path / "bucket").as_uri())
    assert set(cut.outcomes) == {"fetched", "range_outside"}


def test_what_was_fetched_reads_as_any_archive_does(mirror: Mirror, tmp_path: Path) -> None:
    done = run(mirror, tmp_path, tlds=[], domains=["wikipedia.org"])
    (file,) = done.files
    items = read_records(tmp_path / file, file, ReaderConfig(format="warc"))
    (record,) = [item for item in items if isinstance(item, Record)]
    (row,) = done.table.to_pylist()
    assert b"Escopete" in record.body
    assert (record.url, record.locator) == (row["url"], f"{file}#{row['stored_at']}")
    with (tmp_path / file).open("rb") as stream:
        info = next(iter(ArchiveIterator(stream))).content_stream().read()
    assert f"isPartOf: {CRAWL}".encode() in info


def test_files_are_cut_at_their_size(mirror: Mirror, tmp_path: Path) -> None:
    done = run(mirror, tmp_path, tlds=["org"], warc_max_bytes=100_000)
    sizes = [(tmp_path / name).stat().st_size for name in done.files]
    largest = max(row["length"] for row in done.table.to_pylist())
    assert len(sizes) > 3 and max(sizes) <= max(100_000, largest + 1000)


def test_another_selection_in_the_folder_is_refused(mirror: Mirror, tmp_path: Path) -> None:
    first = run(mirror, tmp_path, tlds=["org"], max_records=5)
    with pytest.raises(JournalError, match="another config"):
        run(mirror, tmp_path, tlds=["br"])
    elsewhere = {"concurrency": 5, "gap_bytes": 1, "data_url": "http://127.0.0.1:1"}
    assert run(mirror, tmp_path, tlds=["org"], max_records=5, **elsewhere).table.equals(first.table)


def test_requests_keep_the_pace(mirror: Mirror, tmp_path: Path) -> None:
    clock = FakeClock()
    start = clock.now
    pace = {"requests_per_second": 0.5, "concurrency": 4, "max_range_bytes": 1}
    done = run(mirror, tmp_path, clock, tlds=["org"], max_records=6, **pace)
    assert len(done.table) == 6 and clock.now - start >= 2.0 * (6 - 1)


def test_kills_fetch_nothing_twice(mirror: Mirror, tmp_path: Path) -> None:
    """SIGKILL at moments spread over the run; the archive equals the one of a run that nothing disturbed."""
    whole = run(mirror, tmp_path / "whole", tlds=["org"], max_range_bytes=1)
    mirror.asked.clear()
    mirror.fault = lambda ask: time.sleep(0.01) or None
    program = textwrap.dedent(
        """
        import sys, time
        from pathlib import Path
        from pipelines.corpus.acquisition.commoncrawl.acquire import acquire
        from pipelines.corpus.acquisition.commoncrawl.client import Clockwork
        from pipelines.corpus.acquisition.commoncrawl.config import CommonCrawlConfig
        config = CommonCrawlConfig.model_validate_json(sys.argv[1])
        acquire(config, Path(sys.argv[2]), Clockwork(time.time, time.sleep, lambda: 0.5))
        """
    )
    config = settings(mirror, tlds=["org"], max_range_bytes=1, concurrency=2).model_dump_json()
    folder, kills = tmp_path / "killed", 0
    while True:
        process = subprocess.Popen([sys.executable, "-c", program, config, str(folder)])
        before = len(mirror.asked)
        while process.poll() is None and len(mirror.asked) < before + 25:
            time.sleep(0.002)
        if process.poll() is not None:
            assert process.returncode == 0
            break
        process.send_signal(signal.SIGKILL)
        process.wait()
        kills += 1
        assert kills < 30
    assert kills >= 1
    times = Counter(mirror.ranges())
    # The few that were in flight at a kill, at most twice the concurrency, are asked again.
    assert sum(count - 1 for count in times.values()) <= 4 * kills
    done = run(mirror, folder, tlds=["org"], max_range_bytes=1, concurrency=2)
    assert done.table.equals(whole.table)
    assert [(folder / name).read_bytes() for name in done.files] == [
        (tmp_path / "whole" / name).read_bytes() for name in whole.files
    ]


def test_a_journal_ahead_of_the_disk_is_cut_back(mirror: Mirror, tmp_path: Path) -> None:
    """What a power cut leaves: the journal names bytes that are not there."""
    whole = run(mirror, tmp_path, tlds=["org"], max_range_bytes=1)
    journal, (name,) = tmp_path / JOURNAL_NAME, whole.files
    kept = [line for line in journal.read_bytes().splitlines(keepends=True) if json.loads(line)["event"] != "end"]
    journal.write_bytes(b"".join(kept) + b'{"event":"ran')
    data = (tmp_path / name).read_bytes()
    (tmp_path / name).unlink()
    (tmp_path / f"{name}.open").write_bytes(data[: len(data) // 2])
    mirror.asked.clear()
    done = run(mirror, tmp_path, tlds=["org"], max_range_bytes=1)
    assert done.table.equals(whole.table) and (tmp_path / name).read_bytes() == data
    assert 0 < len(mirror.ranges()) < len(done.table)
