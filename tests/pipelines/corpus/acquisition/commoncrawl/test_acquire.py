"""Selections from a Common Crawl on loopback: both indexes, every fault, caps, kills; the archives are real."""

import gzip
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

from pipelines.corpus.acquisition.commoncrawl.acquire import JOURNAL_NAME, Acquired, Progress, acquire
from pipelines.corpus.acquisition.commoncrawl.client import Clockwork
from pipelines.corpus.acquisition.commoncrawl.config import CommonCrawlConfig
from pipelines.corpus.acquisition.commoncrawl.errors import CommonCrawlError
from pipelines.corpus.acquisition.config import ReaderConfig
from pipelines.corpus.acquisition.crawl.journal import JournalError
from pipelines.corpus.acquisition.readers.warc import read_records
from pipelines.corpus.acquisition.records import Record
from tests.pipelines.corpus.acquisition.commoncrawl.mirror import CRAWL, Ask, Mirror, rows_of, running
from tests.pipelines.corpus.acquisition.crawl.loopback import FakeClock
from tests.shared_data import shared

ARCHIVES = (
    "html_gold/real-pages.warc.gz",
    "warc/commoncrawl-whirlwind/whirlwind.warc.gz",
    "warc/dolma/sample-0000.warc.gz",
    "warc/pywb/iana.warc.gz",
    "warc/resiliparse/cc-extract-benign.warc.gz",
)


@pytest.fixture(scope="module")
def mirror(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mirror]:
    """Five real archives, of the largest its first 60 pages."""
    large, *rest = (shared(name) for name in ARCHIVES)
    first = tmp_path_factory.mktemp("archives") / "first.warc.gz"
    first.write_bytes(large.read_bytes()[: int(rows_of("", large)[60]["offset"])])
    with running(Mirror([first, *rest])) as server:
        yield server


@pytest.fixture(autouse=True)
def _fresh(request: pytest.FixtureRequest) -> None:
    if "mirror" in request.fixturenames:
        server = request.getfixturevalue("mirror")
        server.fault = lambda ask: None
        server.asked.clear()
        server.sent = 0


def settings(server: Mirror, **changes: Any) -> CommonCrawlConfig:
    values = {
        "crawls": [CRAWL],
        "tlds": ["com"],
        "mime": [],
        "index_url": server.base,
        "data_url": server.base,
        "requests_per_second": 1e6,
        "timeout_seconds": 5,
        **changes,
    }
    return CommonCrawlConfig(**values)


def run(server: Mirror, folder: Path, clock: FakeClock | None = None, **changes: Any) -> Acquired:
    clock = clock or FakeClock()
    done = acquire(settings(server, **changes), folder, Clockwork(clock, clock.sleep, lambda: 1.0))
    assert sum(done.outcomes.values()) == len(done.table) == done.estimate.records
    assert done.seen == done.estimate.matched + sum(done.refused.values())
    check_archive(server, folder, done)
    return done


def check_archive(server: Mirror, folder: Path, done: Acquired) -> None:
    """Every fetched row's record is byte for byte the archive's, where the table says; warcio checks all digests."""
    urls = []
    files = {name: (folder / name).read_bytes() for name in done.files}
    for name in done.files:
        with (folder / name).open("rb") as stream:
            for record in ArchiveIterator(stream, check_digests="raise"):
                record.content_stream().read()
                if record.rec_type == "response":
                    urls.append(record.rec_headers.get_header("WARC-Target-URI"))
    fetched = [row for row in done.table.to_pylist() if row["outcome"].startswith("fetched")]
    assert urls == [row["url"] for row in fetched]
    for row in fetched:
        stored = files[row["stored_in"]][row["stored_at"] : row["stored_at"] + row["length"]]
        assert stored == server.files[row["filename"]][row["offset"] : row["offset"] + row["length"]]
    for row in done.table.to_pylist():
        if not row["outcome"].startswith("fetched"):
            assert str(row["offset"]) in row["detail"] or row["filename"] in row["detail"]
            assert row["stored_in"] is None


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
    for size in (5, 20, 50):
        done = run(mirror, tmp_path / str(size), max_records=size)
        assert len(done.table) == size < done.estimate.matched
        sets[size] = {(row["filename"], row["offset"]) for row in done.table.to_pylist()}
        assert [(row["filename"], row["offset"]) for row in done.table.to_pylist()] == sorted(sets[size])
    assert sets[5] < sets[20] < sets[50]
    assert {row["filename"] for row in done.table.to_pylist()} >= {name for name, _ in sets[5]}
    other = run(mirror, tmp_path / "other", max_records=20, seed=1)
    assert {(row["filename"], row["offset"]) for row in other.table.to_pylist()} != sets[20]
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


@pytest.mark.parametrize("fault", ["cut", "wrong_range", "200", "503 7", "429 7", "500", "corrupt"])
def test_passing_faults_cost_nothing(mirror: Mirror, tmp_path: Path, fault: str) -> None:
    """Every first answer is spoiled, of archives and of both indexes; the second one is asked for after a wait."""

    def spoiled(ask: Ask) -> bool:
        if fault == "corrupt":
            return [path for path, _ in mirror.ranges()].count(ask.path) == 1
        return ask.times == 0

    mirror.fault = lambda ask: fault if spoiled(ask) else None
    for index in ("cdx", "columnar"):
        clock = FakeClock()
        done = run(mirror, tmp_path / index, clock, index=index, tlds=["org"], concurrency=1)
        assert set(done.outcomes) <= {"fetched", "fetched:digest_by_header"} and len(done.table) > 30
        assert fault == "corrupt" or clock.slept
        if fault.endswith(" 7"):
            assert {7.0} == {wait for wait in clock.slept if wait > 2.0}
        mirror.asked.clear()


def test_a_cut_range_is_continued_where_it_broke(mirror: Mirror, tmp_path: Path) -> None:
    mirror.fault = lambda ask: "cut" if "/segments/" in ask.path and ask.times == 0 and ask.span[0] in starts else None
    starts = {int(row["offset"]) for row in mirror.rows}
    done = run(mirror, tmp_path, tlds=["org"])
    assert done.outcomes == {"fetched": len(done.table)}
    assert sum(stop - start for _, (start, stop) in mirror.ranges()) > done.estimate.request_bytes
    index_bytes = 400_000
    assert done.received <= done.estimate.request_bytes + index_bytes


@pytest.mark.parametrize(
    ("fault", "outcome"), [("corrupt", "corrupt_member"), ("404", "http_404"), ("403", "http_403"), ("301", "http_301")]
)
def test_lasting_faults_are_counted_with_file_and_offset(
    mirror: Mirror, tmp_path: Path, fault: str, outcome: str
) -> None:
    bad = next(row["filename"] for row in mirror.rows if row["filename"].endswith("00003.warc.gz"))
    mirror.fault = lambda ask: fault if bad in ask.path else None
    done = run(mirror, tmp_path, tlds=["org"], max_range_bytes=1)
    lost = sum(row["filename"] == bad for row in done.table.to_pylist())
    assert 0 < lost < len(done.table)
    assert done.outcomes == {outcome: lost, "fetched": len(done.table) - lost}


def test_an_index_that_lies_is_found_out(tmp_path: Path) -> None:
    """Wrong offset, length, digest, URL, a place outside the file, a path that leaves the base."""
    with running(Mirror([shared(ARCHIVES[3])])) as server:
        rows = [row for row in server.rows if row["status"] == "200"][:8]
        kept, rows[0]["offset"], rows[1]["digest"] = rows[7], str(int(rows[0]["offset"]) + 1), "A" * 32
        rows[2]["url"] = rows[2]["url"] + "x"
        rows[3]["offset"], rows[4]["length"] = "99999999", str(int(rows[4]["length"]) - 1)
        rows[5]["filename"], rows[6]["length"] = "../../etc/passwd", "abc"
        server.rows = rows
        done = run(server, tmp_path, tlds=["org"], gap_bytes=0)
        outcomes = {row["url"]: row["outcome"] for row in done.table.to_pylist()}
    assert done.refused == {"bad_row": 2}
    assert outcomes[kept["url"]] == "fetched"
    assert sorted(outcomes.values()) == sorted(
        ["corrupt_member", "digest_mismatch", "wrong_record", "range_outside", "corrupt_member", "fetched"]
    )


def test_a_server_that_is_away_stops_the_fetch_and_settles_nothing(mirror: Mirror, tmp_path: Path) -> None:
    broken = {"on": False}

    def fault(ask: Ask) -> str | None:
        if "/segments/" in ask.path and len(mirror.ranges()) > 4:
            broken["on"] = True
        return "503" if broken["on"] else None

    mirror.fault = fault
    common: dict[str, Any] = {"tlds": ["org"], "max_range_bytes": 1, "concurrency": 1}
    with pytest.raises(CommonCrawlError, match="run it again"):
        run(mirror, tmp_path, retries=1, **common)
    mirror.fault = lambda ask: None
    mirror.asked.clear()
    done = run(mirror, tmp_path, **common)
    assert done.outcomes == {"fetched": len(done.table)}
    assert len(mirror.ranges()) == len(done.table) - 4
    assert not [path for path, _ in mirror.asked if "index" in path]
    mirror.asked.clear()
    again = run(mirror, tmp_path, **common)
    assert again.table.equals(done.table) and mirror.asked == []


@pytest.mark.parametrize("index", ["cdx", "columnar"])
def test_an_index_that_is_away_fetches_nothing(mirror: Mirror, tmp_path: Path, index: str) -> None:
    mirror.fault = lambda ask: "503" if ask.query.get("page") == ["1"] or "part-00001" in ask.path else None
    with pytest.raises(CommonCrawlError, match="503"):
        run(mirror, tmp_path, index=index, retries=1)
    assert mirror.ranges() == []
    first = Counter(path for path, _ in mirror.asked)
    mirror.fault = lambda ask: None
    done = run(mirror, tmp_path, index=index)
    assert len(done.table) > 50
    known = [path for path, span in mirror.asked if ("page=0" in path or "part-00000" in path)]
    assert len(known) == sum(first[path] for path in set(known)), "what was looked up is not looked up again"


def test_a_server_that_ignores_ranges_is_told_apart(mirror: Mirror, tmp_path: Path) -> None:
    mirror.fault = lambda ask: "200" if "/segments/" in ask.path else None
    with pytest.raises(CommonCrawlError, match="range_ignored"):
        run(mirror, tmp_path, retries=2, max_range_bytes=1)


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
    run(mirror, tmp_path, tlds=["uk"])
    with pytest.raises(JournalError, match="another config"):
        run(mirror, tmp_path, tlds=["br"])
    assert run(mirror, tmp_path, tlds=["uk"], concurrency=5, gap_bytes=1, data_url="http://127.0.0.1:1").outcomes


def test_requests_keep_the_pace(mirror: Mirror, tmp_path: Path) -> None:
    clock = FakeClock()
    start = clock.now
    done = run(mirror, tmp_path, clock, tlds=["uk"], requests_per_second=0.5, concurrency=4, max_range_bytes=1)
    assert clock.now - start >= 2.0 * (len(done.table) - 1)


def test_a_dripping_server_is_cut_off(tmp_path: Path) -> None:
    with running(Mirror([shared(ARCHIVES[1])])) as server:
        server.fault = lambda ask: "drip" if "/segments/" in ask.path else None
        work = Clockwork(time.time, lambda seconds: None, lambda: 0.5)
        began = time.monotonic()
        with pytest.raises(CommonCrawlError, match="too_slow"):
            changes = {"max_request_seconds": 0.2, "retries": 0, "tlds": ["org"], "max_range_bytes": 1}
            three = [{**server.rows[0]}, {**server.rows[0], "offset": "1"}, {**server.rows[0], "offset": "2"}]
            server.rows = three
            acquire(settings(server, **changes), tmp_path, work)
        assert time.monotonic() - began < 10


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
        while process.poll() is None and len(mirror.asked) < before + 18:
            time.sleep(0.002)
        if process.poll() is not None:
            assert process.returncode == 0
            break
        process.send_signal(signal.SIGKILL)
        process.wait()
        kills += 1
        assert kills < 30
    assert kills >= 2
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


def test_gunzip_of_the_index_list_is_checked(mirror: Mirror, tmp_path: Path) -> None:
    path = f"crawl-data/{CRAWL}/cc-index-table.paths.gz"
    whole = mirror.files[path]
    try:
        mirror.files[path] = gzip.compress(b"x" * 100)[:20]
        with pytest.raises(CommonCrawlError, match="no list of files"):
            run(mirror, tmp_path, index="columnar")
    finally:
        mirror.files[path] = whole
